"""The watermark: invisible, the same every time, and still there after what people do."""

import numpy as np
import pytest
from attacks import crop, double, half, jpeg
from PIL import Image, ImageFilter
from synthetic_pictures import scene

from lambda_eclipse.mark.watermark import FOUND, add, find


def psnr(one: Image.Image, other: Image.Image) -> float:
    difference = np.asarray(one, float) - np.asarray(other, float)
    return float(10 * np.log10(255**2 / np.mean(difference**2)))


@pytest.mark.parametrize("side", [128, 256, 512])
@pytest.mark.parametrize("attack", [None, jpeg, half, crop, double])
def test_it_survives(side, attack):
    marked = add(scene(side))
    reading = find(attack(marked) if attack else marked)
    assert reading.found and reading.bits == 32


@pytest.mark.parametrize("side", [128, 512])
def test_it_is_invisible_and_the_same_every_time(side):
    image = scene(side)
    assert psnr(add(image), image) >= 40
    assert add(image).tobytes() == add(image).tobytes()
    assert image.tobytes() == scene(side).tobytes(), "the picture itself is left alone"


@pytest.mark.parametrize("colour", ["white", "black", "yellow", "gray"])
def test_flat_pictures(colour):
    image = Image.new("RGB", (128, 128), colour)
    marked = add(image)
    assert find(marked).found and psnr(marked, image) >= 38


def test_unmarked_pictures_have_none():
    flat = Image.new("RGB", (128, 128), "white")
    blurred = scene(128, 5).filter(ImageFilter.GaussianBlur(2))
    for image in (flat, blurred, *(scene(128, seed) for seed in range(4))):
        reading = find(image)
        assert not reading.found and reading.score < FOUND - 1


def test_small_and_odd_sizes():
    for size in ((5, 40), (8, 8), (71, 90)):
        image = scene(128).crop((0, 0, *size))
        assert add(image).size == size
        assert not find(image).found
    wide = scene(256).crop((0, 0, 203, 131))
    assert find(add(wide)).bits == 32


def test_transparency_stays():
    image = scene(128).convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize((128, 128)))
    marked = add(image)
    assert (
        marked.mode == "RGBA"
        and marked.getchannel("A").tobytes() == image.getchannel("A").tobytes()
    )
    assert find(marked).found
