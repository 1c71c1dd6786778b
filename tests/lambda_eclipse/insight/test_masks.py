"""Alternative masks of a picture: order, differences, boxes, odd sizes."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw
from skimage import data

from lambda_eclipse import masking
from lambda_eclipse.images import open_picture
from lambda_eclipse.insight import masks
from lambda_eclipse.insight.masks import candidates
from lambda_eclipse.masking import prepare_subject


def solid(prepared) -> np.ndarray:
    return np.asarray(prepared.mask) >= 128


def on_ground(colour, size=(300, 200), box=(40, 60, 100, 140), mode="RGB") -> Image.Image:
    image = Image.new(mode, size, colour)
    ImageDraw.Draw(image).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=(150, 20, 20))
    return image


@pytest.fixture
def no_rembg(monkeypatch):
    def refuse():
        raise AssertionError("this picture does not need rembg")

    monkeypatch.setattr(masking, "_rembg_session", refuse)


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
    assert found[0].mask.tobytes() == prepare_subject(photo, margin=0.08).mask.tobytes()
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
    mask = masks._grabcut_mask(large, tuple(7 * side for side in box))
    assert mask.size == large.size
    expected = masks._grabcut_mask(small, box).getbbox()
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
        ((0, 0, 300, 200), "leave background"),
    ],
)
def test_impossible_boxes_are_refused(box, message):
    with pytest.raises(ValueError, match=message):
        candidates(on_ground("white"), box)
