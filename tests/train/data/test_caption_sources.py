"""Folders and WebDataset shards as input: every entry is either a picture or counted by cause."""

import io
import os
from pathlib import Path

import pytest
import synthetic_pictures
from synthetic_pictures import picture, spoil, write_archive, write_folder

from train.data.caption_pipeline.sources import digest, plan, read


def jpeg(seed: int, size: tuple[int, int] = (1100, 1050)) -> bytes:
    buffer = io.BytesIO()
    picture(seed, size).save(buffer, "JPEG")
    return buffer.getvalue()


def read_all(source: Path, per_shard: int = 3):
    read_tasks = [read(task, 1024) for task in plan(source, per_shard)]
    pictures = [one for found, _ in read_tasks for one in found]
    dropped: dict[str, list[str]] = {}
    for _, report in read_tasks:
        for cause, names in report.first.items():
            dropped.setdefault(cause, []).extend(names)
    return pictures, dropped, sum(report.seen for _, report in read_tasks)


def test_a_folder_with_bad_files(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "pictures" / "deep", 2).parent
    causes = spoil(folder)
    pictures, dropped, seen = read_all(folder)
    assert [one.name for one in pictures] == ["deep/picture-00.jpg", "deep/picture-01.jpg"]
    assert {name: cause for cause, names in dropped.items() for name in names} == causes
    assert seen == 2 + len(causes)


def test_pictures_are_upright_flat_and_bounded(tmp_path: Path) -> None:
    turned = picture(0, (1200, 1030))
    exif = turned.getexif()
    exif[0x0112] = 6  # to be turned by a quarter
    turned.save(tmp_path / "a.jpg", exif=exif)
    clear = picture(1, (1030, 1030)).convert("RGBA")
    clear.paste((0, 0, 0, 0), (0, 0, 100, 100))
    clear.save(tmp_path / "b.png")
    picture(2, (3000, 1100)).save(tmp_path / "c.webp")
    [first, second, third], _, _ = read_all(tmp_path)
    assert first.image().size == (1030, 1200)
    assert not first.image().getexif()
    assert min(second.image().getpixel((50, 50))) > 250
    assert third.image().size == (2048, 751)  # its own size decides whether it is large enough


@pytest.mark.parametrize(("size", "kept"), [((1024, 1024), 1), ((1024, 1023), 0)])
def test_1024_px_are_enough(tmp_path: Path, size: tuple[int, int], kept: int) -> None:
    picture(0, size).save(tmp_path / "a.png")
    pictures, dropped, _ = read_all(tmp_path)
    assert len(pictures) == kept
    assert dropped == ({} if kept else {"too few pixels": ["a.png"]})


def test_webdataset_shards_with_dead_entries(tmp_path: Path) -> None:
    members = {
        "00.jpg": jpeg(0),
        "00.json": b"{}",
        "00.txt": b"a caption that is replaced",
        "01.json": b'{"status": "failed_to_download"}',
        "02.jpg": b"",
        "02.json": b"{}",
        "03.JPG": jpeg(3),
        "03.mask.png": b"of something else",
    }
    write_archive(tmp_path / "00000.tar", members)
    write_archive(tmp_path / "00001.tar", {"10.png": jpeg(10)})
    picture(9).save(tmp_path / "beside.jpg")  # a folder with archives counts as archives
    pictures, dropped, seen = read_all(tmp_path, per_shard=3)
    assert [one.name for one in pictures] == ["00.jpg", "03.JPG", "10.png"]
    assert dropped == {
        "no picture in the entry": ["01"],
        "damaged, too large, or not a picture": ["02.jpg"],
    }
    assert seen == 5
    assert [len(task.names) for task in plan(tmp_path, 3)] == [3, 1, 1]
    assert [len(task.names) for task in plan(tmp_path / "00000.tar", 9)] == [4]


@pytest.mark.parametrize("kept_share", [0.0, 0.5, 0.98])
def test_an_archive_that_breaks_off(tmp_path: Path, kept_share: float) -> None:
    path = write_archive(tmp_path / "a.tar", {f"{i}.jpg": jpeg(i) for i in range(4)})
    content = path.read_bytes()
    data = len(content.rstrip(b"\0"))
    path.write_bytes(content[: int(kept_share * data)] or b"no archive")
    pictures, dropped, seen = read_all(tmp_path)
    whole = int(4 * kept_share)
    assert [one.name for one in pictures] == [f"{i}.jpg" for i in range(whole)]
    [broken] = dropped.pop("rest of a damaged archive (one for each archive)")
    assert broken == str(path)
    assert sum(map(len, dropped.values())) == seen - 1 - whole


def test_tasks_depend_on_the_input_alone(tmp_path: Path) -> None:
    write_folder(tmp_path, 5)
    tasks = plan(tmp_path, 2)
    assert [task.number for task in tasks] == [0, 1, 2]
    assert [name for task in tasks for name in task.names] == [
        f"picture-{i:02d}.jpg" for i in range(5)
    ]
    assert digest(tasks) == digest(plan(tmp_path, 2))
    synthetic_pictures.picture(7).save(tmp_path / "another.jpg")
    assert digest(tasks) != digest(plan(tmp_path, 2))


def test_names_that_are_no_unicode_and_pictures_that_are_tiny(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.jpg")).write_bytes(jpeg(0))
    picture(1, (9, 9)).save(tmp_path / "tiny.png")
    [found], dropped, _ = read_all(tmp_path)
    assert found.name == "caf?.jpg"
    assert dropped == {"too few pixels": ["tiny.png"]}


def test_nothing_to_do_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    for source in (tmp_path, tmp_path / "nowhere", tmp_path / "notes.txt"):
        with pytest.raises(ValueError, match="neither pictures"):
            plan(source, 3)
    with pytest.raises(ValueError, match="10000"):
        plan(tmp_path, 10_001)
