"""Subjects are found, cut out and centred on white; no network is ever asked."""

import os
import socket

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw
from skimage import data

from lambda_eclipse import masking
from lambda_eclipse.images import open_picture
from lambda_eclipse.masking import candidates, prepare_subject


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("something tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def solid(prepared) -> np.ndarray:
    return np.asarray(prepared.mask) >= 128


def dark_box(image: Image.Image) -> tuple[int, int, int, int]:
    """Bounds of what is not white."""
    return Image.fromarray(np.asarray(image.convert("L")) < 200).getbbox()


def on_ground(colour, size=(300, 200), box=(40, 60, 100, 140), mode="RGB") -> Image.Image:
    image = Image.new(mode, size, colour)
    ImageDraw.Draw(image).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=(150, 20, 20))
    return image


# Photograph, its subject's expected share of the picture, points (x, y in 0..1) on the subject
# and on the ground.
PHOTOS = [
    ("chelsea", (0.45, 0.85), [(0.4, 0.5), (0.58, 0.8)], [(0.97, 0.6)]),
    ("coffee", (0.35, 0.60), [(0.5, 0.6), (0.5, 0.2)], [(0.03, 0.05), (0.95, 0.9)]),
    ("astronaut", (0.40, 0.70), [(0.43, 0.25), (0.3, 0.7)], [(0.75, 0.1), (0.95, 0.3)]),
    ("rocket", (0.01, 0.06), [(0.5, 0.6)], [(0.1, 0.1), (0.9, 0.4)]),
]


@pytest.mark.parametrize("name, share, inside, outside", PHOTOS)
def test_photographs(name, share, inside, outside):
    photo = open_picture(getattr(data, name)())
    prepared = prepare_subject(photo)
    mask = solid(prepared)
    assert prepared.method == "rembg"
    assert share[0] < mask.mean() < share[1]
    for points, value in ((inside, True), (outside, False)):
        for x, y in points:
            assert mask[int(y * photo.height), int(x * photo.width)] == value, (x, y)
    assert prepared.picture.size == prepared.cutout.size == (224, 224)
    assert prepared.picture.mode == "RGB" and prepared.cutout.mode == "RGBA"
    assert prepared.mask.size == prepared.overlay.size == photo.size
    left, top, right, bottom = (
        prepared.cutout.getchannel("A").point(lambda a: 255 * (a > 128)).getbbox()
    )
    assert abs(left + right - 224) <= 6 and abs(top + bottom - 224) <= 6, "not centred"
    assert max(right - left, bottom - top) == pytest.approx(224 / 1.16, abs=5)


def test_masks_are_the_same_each_time():
    photo = open_picture(data.coffee())
    assert prepare_subject(photo).picture.tobytes() == prepare_subject(photo).picture.tobytes()


def test_the_shipped_weights_are_used_whatever_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    masking._rembg_session.cache_clear()
    assert prepare_subject(open_picture(data.coffee())).method == "rembg"
    assert os.environ["NUMBA_DISABLE_JIT"] == "1"
    assert not list(tmp_path.iterdir())


def test_missing_weights_are_named_and_not_downloaded(monkeypatch, tmp_path):
    monkeypatch.setattr(masking, "U2NET_HOME", tmp_path)
    masking._rembg_session.cache_clear()
    with pytest.raises(FileNotFoundError, match="u2netp.onnx is missing"):
        prepare_subject(open_picture(data.coffee()))
    masking._rembg_session.cache_clear()


@pytest.fixture
def no_rembg(monkeypatch):
    def refuse():
        raise AssertionError("this picture does not need rembg")

    monkeypatch.setattr(masking, "_rembg_session", refuse)


@pytest.mark.parametrize("colour", ["white", (250, 251, 249), (30, 160, 40), "black"])
def test_plain_ground(no_rembg, colour):
    prepared = prepare_subject(on_ground(colour), size_px=128)
    assert prepared.method == "plain"
    expected = np.zeros((200, 300), dtype=bool)
    expected[60:140, 40:100] = True
    np.testing.assert_array_equal(solid(prepared), expected)


def test_plain_ground_with_jpeg_noise_and_specks(no_rembg):
    noise = np.random.default_rng(0).integers(-5, 1, (200, 300, 3))
    array = (np.asarray(on_ground("white")).astype(int) + noise).clip(0, 255).astype(np.uint8)
    array[5:7, 280:282] = 90
    prepared = prepare_subject(Image.fromarray(array))
    assert prepared.method == "plain"
    assert Image.fromarray(solid(prepared)).getbbox() == (40, 60, 100, 140)


def test_white_inside_the_subject_is_kept(no_rembg):
    """A panda on white: only ground that is joined to the border is ground."""
    image = on_ground("white")
    ImageDraw.Draw(image).rectangle((60, 90, 80, 110), fill="white")
    assert solid(prepare_subject(image))[100, 70]


def test_aspect_margin_and_centre(no_rembg):
    picture = prepare_subject(on_ground("white"), size_px=232, margin=0.08).picture
    left, top, right, bottom = dark_box(picture)
    assert (right - left) / (bottom - top) == pytest.approx(60 / 80, abs=0.03)
    assert top == pytest.approx(232 * 0.08 / 1.16, abs=2)
    assert abs(left + right - 232) <= 2 and abs(top + bottom - 232) <= 2
    tight = dark_box(prepare_subject(on_ground("white"), size_px=232, margin=0).picture)
    assert (tight[1], tight[3]) == (0, 232)


def test_subject_at_the_edge_is_centred_on_white(no_rembg):
    image = on_ground((30, 160, 40), box=(270, 0, 300, 30))
    with pytest.raises(AssertionError, match="rembg"):
        prepare_subject(image)  # so much of it lies on the border that it is not plain
    image = Image.new("RGBA", (300, 200), (0, 0, 0, 0))
    image.paste((150, 20, 20, 255), (270, 0, 300, 30))
    picture = prepare_subject(image, size_px=116, margin=0.08).picture
    assert dark_box(picture) == pytest.approx((8, 8, 108, 108), abs=1)
    assert picture.getpixel((1, 1)) == (255, 255, 255)


def test_useful_alpha_channel(no_rembg):
    image = Image.new("RGBA", (300, 200), (0, 255, 0, 0))
    image.paste((150, 20, 20, 255), (40, 60, 100, 140))
    prepared = prepare_subject(image)
    assert prepared.method == "alpha"
    assert Image.fromarray(solid(prepared)).getbbox() == (40, 60, 100, 140)
    colours = np.asarray(prepared.picture).astype(int)
    assert not ((colours[..., 1] > 60) & (colours[..., 0] < 100)).any(), "hidden green shows"


def test_useless_alpha_channel_is_looked_past():
    photo = open_picture(data.coffee()).convert("RGBA")
    alpha = Image.new("L", photo.size, 255)
    alpha.paste(0, (0, 0, 3, 3))
    photo.putalpha(alpha)
    assert prepare_subject(photo).method == "rembg"


def test_painted_mask_wins(no_rembg):
    photo = open_picture(data.coffee())
    painted = Image.new("L", photo.size)
    painted.paste(255, (100, 50, 200, 150))
    prepared = prepare_subject(photo, painted)
    assert prepared.method == "painted"
    assert Image.fromarray(solid(prepared)).getbbox() == (100, 50, 200, 150)
    layer = Image.new("RGBA", (photo.width // 2, photo.height // 2))
    layer.paste((255, 0, 0, 255), (50, 25, 100, 75))
    box = Image.fromarray(solid(prepare_subject(photo, layer))).getbbox()
    assert box == pytest.approx((100, 50, 200, 150), abs=2)


@pytest.mark.parametrize("mask", [Image.new("L", (60, 40)), Image.new("RGBA", (600, 400))])
def test_empty_mask_takes_the_whole_picture(no_rembg, mask):
    prepared = prepare_subject(open_picture(data.coffee()), mask)
    assert prepared.method == "whole" and solid(prepared).all()
    picture = np.asarray(prepared.picture)
    assert (picture[:34] == 255).all() and (picture[-34:] == 255).all()  # 600×400 kept its aspect
    assert not (picture[112] == 255).all()


def test_one_colour_all_over(no_rembg):
    prepared = prepare_subject(Image.new("RGB", (64, 64), (10, 120, 200)))
    assert prepared.method == "whole"
    assert prepared.picture.getpixel((100, 100)) == (10, 120, 200)


@pytest.mark.parametrize("size", [(16, 16), (16, 2048), (2048, 16), (17, 33)])
def test_odd_sizes(size):
    noise = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8)
    prepared = prepare_subject(Image.fromarray(noise), size_px=64)
    assert prepared.picture.size == (64, 64) and prepared.mask.size == size


def test_bad_arguments():
    with pytest.raises(ValueError, match="margin"):
        prepare_subject(on_ground("white"), margin=-1)


# Candidates to choose from


def methods(found) -> list[str]:
    return [one.method for one in found]


def overlap(a, b) -> float:
    first, second = solid(a), solid(b)
    return (first & second).sum() / (first | second).sum()


@pytest.mark.parametrize("name", ["chelsea", "coffee", "astronaut", "rocket"])
def test_candidates_of_photographs(name):
    photo = open_picture(getattr(data, name)())
    found = candidates(photo)
    assert methods(found) == ["rembg", "grabcut", "whole"]
    assert found[0].mask.tobytes() == prepare_subject(photo).mask.tobytes()
    for one in found:
        assert one.mask.mode == "L" and one.overlay.mode == "RGB"
        assert one.mask.size == one.overlay.size == photo.size
    for i, one in enumerate(found):
        assert all(overlap(one, other) <= 0.97 for other in found[:i])
    assert solid(found[-1]).all() and found[-1].overlay.tobytes() == photo.tobytes()


def test_grabcut_finds_the_cup():
    rembg, grabcut, _ = candidates(open_picture(data.coffee()))
    assert overlap(rembg, grabcut) > 0.85


def test_candidates_are_the_same_each_time():
    photo = open_picture(data.coffee())
    first = candidates(photo)
    cv2.setRNGSeed(12345)
    for one, other in zip(first, candidates(photo), strict=True):
        assert one.mask.tobytes() == other.mask.tobytes()
        assert one.overlay.tobytes() == other.overlay.tobytes()


def test_a_box_says_where_grabcut_looks():
    image = Image.new("RGB", (300, 200), (90, 140, 90))
    draw = ImageDraw.Draw(image)
    draw.rectangle((40, 60, 99, 139), fill=(150, 20, 20))
    draw.rectangle((200, 60, 259, 139), fill=(20, 20, 150))
    found = {one.method: one for one in candidates(image, box=(190, 50, 280, 150))}
    assert Image.fromarray(solid(found["grabcut"])).getbbox() == (200, 60, 260, 140)
    assert Image.fromarray(solid(found["plain"])).getbbox() == (40, 60, 260, 140)


def test_large_pictures_are_cut_on_a_small_copy():
    small = on_ground((90, 140, 90))
    large = small.resize((2100, 1400), Image.Resampling.NEAREST)
    box = (20, 40, 120, 160)
    mask = masking._grabcut_mask(large, tuple(7 * side for side in box))
    assert mask.size == large.size
    expected = masking._grabcut_mask(small, box).getbbox()
    assert expected == (40, 60, 100, 140)
    assert mask.getbbox() == pytest.approx(tuple(7 * side for side in expected), abs=10)


def test_masks_that_are_alike_are_shown_once():
    """A plain ground leaves little to disagree on."""
    found = candidates(on_ground("white"))
    assert methods(found)[0] == "plain" and methods(found)[-1] == "whole"
    assert "grabcut" not in methods(found)


def test_candidates_of_a_picture_with_alpha():
    image = Image.new("RGBA", (300, 200), (0, 255, 0, 0))
    image.paste((150, 20, 20, 255), (40, 60, 100, 140))
    found = candidates(image)
    assert methods(found)[0] == "alpha" and "whole" not in methods(found)
    for one in found:
        assert not solid(one)[:60].any(), "what is transparent is no subject"


def test_one_colour_leaves_nothing_to_choose(no_rembg):
    flat = Image.new("RGB", (64, 64), (10, 120, 200))
    assert methods(candidates(flat)) == ["whole"]
    assert methods(candidates(flat, box=(10, 10, 30, 30))) == ["whole"]


def test_a_box_finds_what_is_too_faint_by_itself(no_rembg):
    faint = on_ground((250, 250, 250))
    ImageDraw.Draw(faint).rectangle((40, 60, 99, 139), fill=(243, 243, 243))
    assert methods(candidates(faint)) == ["whole"]
    found = candidates(faint, box=(30, 50, 110, 150))
    assert methods(found) == ["whole", "grabcut"]
    assert Image.fromarray(solid(found[1])).getbbox() == (40, 60, 100, 140)


@pytest.mark.parametrize("size", [(16, 16), (16, 2048), (2048, 16), (17, 33)])
def test_candidates_of_odd_sizes(size):
    noise = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8)
    found = candidates(Image.fromarray(noise))
    assert found[-1].method == "whole" and all(one.mask.size == size for one in found)


@pytest.mark.parametrize(
    "box, message",
    [
        ((50, 50, 50, 90), "empty"),
        ((-1, 0, 50, 90), "beyond the picture of 300×200 px"),
        ((0, 0, 301, 90), "beyond"),
        ((0, 0, 300, 200), "leave some ground"),
    ],
)
def test_impossible_boxes_are_refused(box, message):
    with pytest.raises(ValueError, match=message):
        candidates(on_ground("white"), box)
