"""Keys, Content Credentials, and what `verify` tells of a file."""

import io
import json
import stat
from pathlib import Path

import pytest
from attacks import crop, half
from PIL import Image
from synthetic_pictures import scene

from lambda_eclipse.__main__ import main
from lambda_eclipse.explore.route import Frame, to_gif, to_mp4
from lambda_eclipse.keep.png import NoRecipeError
from lambda_eclipse.keep.recipe import read as read_recipe
from lambda_eclipse.keep.recipe import write
from lambda_eclipse.mark import credentials, iptc, keys, marking
from lambda_eclipse.mark.keys import MarkError, signing_key
from lambda_eclipse.mark.watermark import add


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv(keys.FOLDER, str(tmp_path / "data"))
    return tmp_path / "data"


def told(path: Path, capsys) -> tuple[int, dict]:
    code = main(["verify", str(path)])
    return code, json.loads(capsys.readouterr().out)


def saved(image: Image.Image, path: Path, **options) -> Path:
    image.save(path, **options)
    return path


# The key


def test_a_key_is_made_once_and_kept_private(data):
    first = signing_key()
    [file] = data.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    keys._own.cache_clear()
    assert signing_key() == first
    file.write_text("damaged")
    keys._own.cache_clear()
    assert signing_key() != first, "made anew"


def test_without_a_folder_a_key_lasts_as_long_as_the_process(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv(keys.FOLDER, str(tmp_path / "file" / "below"))
    assert signing_key() == signing_key()


def test_the_users_own_key_signs(data, tmp_path, monkeypatch):
    own = keys._made()
    for name, text in ((keys.CERTIFICATE, own.certificates), (keys.KEY, own.key)):
        (tmp_path / name).write_bytes(text)
        monkeypatch.setenv(name, str(tmp_path / name))
    assert signing_key() == own and not data.exists()
    (tmp_path / keys.KEY).write_bytes(keys._made().key)
    with pytest.raises(MarkError, match="not the key of its certificate"):
        signing_key()
    (tmp_path / keys.KEY).write_text("no key")
    with pytest.raises(MarkError, match="use PEM files"):
        marking.start()
    monkeypatch.delenv(keys.KEY)
    with pytest.raises(MarkError, match="Set both"):
        signing_key()
    monkeypatch.setenv(keys.KEY, str(tmp_path / "absent"))
    with pytest.raises(MarkError, match="absent is not a readable file"):
        signing_key()


# Files


def test_a_png_carries_all_three(data, tmp_path, capsys):
    path = tmp_path / "picture.png"
    path.write_bytes(write(scene(128), None))
    code, line = told(path, capsys)
    assert code == 0 and line["generated"] is True
    assert line["credentials"].startswith("intact: trainedAlgorithmicMedia")
    assert "on no list of trust" in line["credentials"]
    assert line["iptc"] == "trainedAlgorithmicMedia"
    assert line["watermark"].startswith("found: 32 of 32 bits")
    assert Image.open(path).convert("RGB").tobytes() == add(scene(128)).tobytes()


def test_what_is_left_of_a_copy(data, tmp_path, capsys):
    marked = Image.open(io.BytesIO(write(scene(128), None))).convert("RGB")
    for name, image in (("half.jpg", half(marked)), ("crop.png", crop(marked))):
        code, line = told(saved(image, tmp_path / name, quality=95), capsys)
        assert code == 0 and line["credentials"] == line["iptc"] == "none"
        assert line["watermark"].startswith("found")


def test_a_changed_file_is_called_out(data, tmp_path, capsys):
    content = bytearray(write(scene(128), None))
    content[-30] ^= 1  # the end of the pixels
    (tmp_path / "changed.png").write_bytes(content)
    signed = credentials.read(bytes(content))
    assert signed is not None and not signed.intact
    assert any("Hash" in problem or "hash" in problem for problem in signed.problems)


def test_unmarked_pictures_and_other_files(data, tmp_path, capsys):
    code, line = told(saved(scene(128), tmp_path / "photo.png"), capsys)
    assert code == 1 and line["generated"] is False and line["watermark"].startswith("none")
    (tmp_path / "text.txt").write_text("no picture")
    for name in ("text.txt", "absent.png"):
        assert main(["verify", str(tmp_path / name)]) == 2
    assert "absent.png is not a readable file" in capsys.readouterr().err


def test_films_are_signed(data, tmp_path, capsys):
    frames = [Frame(add(scene(128, seed)), (0.0, 0.0), seed) for seed in range(3)]
    for name, content, kind in (
        ("path.gif", to_gif(frames), marking.GIF),
        ("path.mp4", to_mp4(frames), marking.MP4),
    ):
        path = tmp_path / name
        path.write_bytes(marking.signed(content, kind))
        code, line = told(path, capsys)
        assert code == 0 and line["credentials"].startswith("intact: trained"), line


def test_the_operator_may_switch_it_off(data):
    try:
        marking.start(on=False)
        content = write(scene(128), None)
    finally:
        marking.start()
    with Image.open(io.BytesIO(content)) as image:
        assert image.tobytes() == scene(128).tobytes() and iptc.source_type(image) is None
    assert credentials.read(content) is None


def test_pixels_of_our_own_files_are_not_marked_twice(data):
    once = write(scene(128), None)
    again = write(Image.open(io.BytesIO(once)), None, painted=False)
    assert Image.open(io.BytesIO(once)).tobytes() == Image.open(io.BytesIO(again)).tobytes()
    assert credentials.read(again).intact
    with pytest.raises(NoRecipeError):
        read_recipe(again)


def test_other_ways_to_write_iptcs_mark():
    image = Image.new("RGB", (8, 8))
    for text in (
        f'<rdf:Description x:DigitalSourceType="{iptc.SOURCE_TYPE}"/>',
        f"<x:DigitalSourceType>{iptc.SOURCE_TYPE}</x:DigitalSourceType>",
        f'<x:DigitalSourceType rdf:resource="{iptc.SOURCE_TYPE}"/>',
    ):
        image.info["xmp"] = text.encode()
        assert iptc.source_type(image) == "trainedAlgorithmicMedia"
    image.info["xmp"] = b"<DigitalSourceType>another scheme</DigitalSourceType>"
    assert iptc.source_type(image) is None
