"""Subjects are found, cut out and centred on white; no network is ever asked."""

import os
import socket

import numpy as np
import pytest
from PIL import Image, ImageDraw
from skimage import data

from lambda_eclipse import masking
from lambda_eclipse.images import open_picture
from lambda_eclipse.masking import Prepared, prepare_subject
from lambda_eclipse.weights import WeightsError


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("something tried to reach the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def framed(*arguments, **options) -> Prepared:
    return prepare_subject(*arguments, **options, margin=0.08)


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
    prepared = framed(photo)
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
    assert framed(photo).picture.tobytes() == framed(photo).picture.tobytes()


def test_the_shipped_weights_are_used_whatever_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    monkeypatch.delenv("NUMBA_DISABLE_JIT", raising=False)
    masking._rembg_session.cache_clear()
    assert framed(open_picture(data.coffee())).method == "rembg"
    assert os.environ["NUMBA_DISABLE_JIT"] == "1"
    assert not list(tmp_path.iterdir())


def test_missing_weights_are_named_and_not_downloaded(monkeypatch, tmp_path):
    monkeypatch.setattr(masking, "U2NET_HOME", tmp_path)
    masking._rembg_session.cache_clear()
    with pytest.raises(WeightsError, match="u2netp.onnx is missing"):
        framed(open_picture(data.coffee()))
    masking._rembg_session.cache_clear()


@pytest.fixture
def no_rembg(monkeypatch):
    def refuse():
        raise AssertionError("this picture does not need rembg")

    monkeypatch.setattr(masking, "_rembg_session", refuse)


@pytest.mark.parametrize("colour", ["white", (250, 251, 249), (30, 160, 40), "black"])
def test_plain_ground(no_rembg, colour):
    prepared = framed(on_ground(colour), size_px=128)
    assert prepared.method == "plain"
    expected = np.zeros((200, 300), dtype=bool)
    expected[60:140, 40:100] = True
    np.testing.assert_array_equal(solid(prepared), expected)


def test_plain_ground_with_jpeg_noise_and_specks(no_rembg):
    noise = np.random.default_rng(0).integers(-5, 1, (200, 300, 3))
    array = (np.asarray(on_ground("white")).astype(int) + noise).clip(0, 255).astype(np.uint8)
    array[5:7, 280:282] = 90
    prepared = framed(Image.fromarray(array))
    assert prepared.method == "plain"
    assert Image.fromarray(solid(prepared)).getbbox() == (40, 60, 100, 140)


def test_white_inside_the_subject_is_kept(no_rembg):
    """A panda on white: only ground that is joined to the border is ground."""
    image = on_ground("white")
    ImageDraw.Draw(image).rectangle((60, 90, 80, 110), fill="white")
    assert solid(framed(image))[100, 70]


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
        framed(image)  # so much of it lies on the border that it is not plain
    image = Image.new("RGBA", (300, 200), (0, 0, 0, 0))
    image.paste((150, 20, 20, 255), (270, 0, 300, 30))
    picture = prepare_subject(image, size_px=116, margin=0.08).picture
    assert dark_box(picture) == pytest.approx((8, 8, 108, 108), abs=1)
    assert picture.getpixel((1, 1)) == (255, 255, 255)


def test_useful_alpha_channel(no_rembg):
    image = Image.new("RGBA", (300, 200), (0, 255, 0, 0))
    image.paste((150, 20, 20, 255), (40, 60, 100, 140))
    prepared = framed(image)
    assert prepared.method == "alpha"
    assert Image.fromarray(solid(prepared)).getbbox() == (40, 60, 100, 140)
    colours = np.asarray(prepared.picture).astype(int)
    assert not ((colours[..., 1] > 60) & (colours[..., 0] < 100)).any(), "hidden green shows"


def test_useless_alpha_channel_is_looked_past():
    photo = open_picture(data.coffee()).convert("RGBA")
    alpha = Image.new("L", photo.size, 255)
    alpha.paste(0, (0, 0, 3, 3))
    photo.putalpha(alpha)
    assert framed(photo).method == "rembg"


def test_painted_mask_wins(no_rembg):
    photo = open_picture(data.coffee())
    painted = Image.new("L", photo.size)
    painted.paste(255, (100, 50, 200, 150))
    prepared = framed(photo, painted)
    assert prepared.method == "painted"
    assert Image.fromarray(solid(prepared)).getbbox() == (100, 50, 200, 150)
    layer = Image.new("RGBA", (photo.width // 2, photo.height // 2))
    layer.paste((255, 0, 0, 255), (50, 25, 100, 75))
    box = Image.fromarray(solid(framed(photo, layer))).getbbox()
    assert box == pytest.approx((100, 50, 200, 150), abs=2)


@pytest.mark.parametrize("mask", [Image.new("L", (60, 40)), Image.new("RGBA", (600, 400))])
def test_empty_mask_takes_the_whole_picture(no_rembg, mask):
    prepared = framed(open_picture(data.coffee()), mask)
    assert prepared.method == "whole" and solid(prepared).all()
    picture = np.asarray(prepared.picture)
    assert (picture[:34] == 255).all() and (picture[-34:] == 255).all()  # 600×400 kept its aspect
    assert not (picture[112] == 255).all()


def test_one_colour_all_over(no_rembg):
    prepared = framed(Image.new("RGB", (64, 64), (10, 120, 200)))
    assert prepared.method == "whole"
    assert prepared.picture.getpixel((100, 100)) == (10, 120, 200)


@pytest.mark.parametrize("size", [(16, 16), (16, 2048), (2048, 16), (17, 33)])
def test_odd_sizes(size):
    noise = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8)
    prepared = framed(Image.fromarray(noise), size_px=64)
    assert prepared.picture.size == (64, 64) and prepared.mask.size == size


def test_bad_arguments():
    with pytest.raises(ValueError, match="margin"):
        prepare_subject(on_ground("white"), margin=-1)
