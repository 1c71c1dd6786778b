"""Sprites as pictures: the looks that each has, and its views alone on white."""

import functools
import math
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image

from train.world.sprites import picture_of

SIZE_PX = 128
VIEW_PX = 110  # a subject's long side alone on white, as `masking.prepare_subject` frames it
LOOKS = 8  # ways that a sprite looks, its own included


def turn_hue(picture: Image.Image, degrees: float, gain: float = 1.0) -> Image.Image:
    """Turns the colours of an RGBA picture about the grey axis (YIQ); greys stay."""
    if degrees == 0 and gain == 1:
        return picture
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    to_yiq = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    turn = np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    matrix = gain * np.linalg.inv(to_yiq) @ turn @ to_yiq
    rows = np.concatenate([matrix, np.zeros((3, 1))], axis=1).ravel()
    turned = picture.convert("RGB").convert("RGB", tuple(rows))
    turned.putalpha(picture.getchannel("A"))
    return turned


@dataclass(frozen=True)
class Look:
    """How a sprite is changed: colours, light, mirrored, turned (degrees), stretched in width."""

    hue: float = 0.0
    light: float = 1.0
    mirrored: bool = False
    tilt: float = 0.0
    stretch: float = 1.0


@functools.cache
def looks(name: str) -> tuple[Look, ...]:
    """The looks of a sprite: its own, then `LOOKS` − 1 others."""
    rng = random.Random("looks-" + name)
    return (
        Look(),
        *(
            Look(
                rng.uniform(30, 330) if rng.random() < 0.6 else 0.0,
                rng.uniform(0.85, 1.1),
                rng.random() < 0.5,
                rng.uniform(-12, 12),
                rng.uniform(0.85, 1.18),
            )
            for _ in range(LOOKS - 1)
        ),
    )


@functools.lru_cache(4096)
def dressed(name: str, look: int) -> Image.Image:
    """A sprite in one of its looks, RGBA, cut to what is visible."""
    change, picture = looks(name)[look], picture_of(name)
    picture = turn_hue(picture, change.hue, change.light)
    if change.stretch != 1:
        size = (max(1, round(picture.width * change.stretch)), picture.height)
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    if change.mirrored:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if change.tilt:
        picture = picture.rotate(change.tilt, Image.Resampling.BICUBIC, expand=True)
    return picture.crop(picture.getchannel("A").point(lambda a: 255 * (a > 16)).getbbox())


def fit(picture: Image.Image, size: float, flip: bool = False, tilt: float = 0) -> Image.Image:
    """A picture scaled to a long side of `size` pixels, perhaps mirrored and turned (degrees)."""
    if flip:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    scale = size / max(picture.size)
    target = tuple(max(1, round(side * scale)) for side in picture.size)
    picture = picture.resize(target, Image.Resampling.BICUBIC, reducing_gap=2.0)
    if tilt:
        picture = picture.rotate(tilt, Image.Resampling.BICUBIC, expand=True)
    return picture


def paste(canvas: Image.Image, picture: Image.Image, x: float, y: float) -> None:
    """Puts an RGBA picture with its centre at a point."""
    at = (round(x - picture.width / 2), round(y - picture.height / 2))
    canvas.paste(picture, at, picture)


def sprite_view(name: str, look: int, key: str, loose: bool = False) -> Image.Image:
    """A sprite alone on white, RGB 128 × 128; small differences are drawn from `key`.

    Framed as the masking of a user's picture frames it (paper, Sec. 3.2), turned up to 1°, at
    0.98-1 of that size, in a light changed by up to 4 %. A loose view is mirrored in one of five,
    turned up to 8°, at 0.8-1 of that size, and moved up to 3 px.
    """
    rng = random.Random(f"view-{name}-{key}")
    turn, smallest, shift, mirrored = (8, 0.8, 3, 0.2) if loose else (1, 0.98, 0, 0)
    picture = turn_hue(dressed(name, look), rng.uniform(-3, 3), rng.uniform(0.96, 1.04))
    size, tilt = VIEW_PX * rng.uniform(smallest, 1), rng.uniform(-turn, turn)
    fitted = fit(picture, size, rng.random() < mirrored, tilt)
    canvas = Image.new("RGB", (SIZE_PX, SIZE_PX), "white")
    paste(canvas, fitted, 64 + rng.uniform(-shift, shift), 64 + rng.uniform(-shift, shift))
    return canvas
