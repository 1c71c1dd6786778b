"""The looks of each sprite, and its views isolated on white."""

import functools
import math
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image

from lambda_eclipse.stacks import STACKS
from train.world.sprites import picture_of

SIZE_PX = 128
# A subject's long side alone on white, as `masking.prepare_subject` frames it: 110 px.
VIEW_PX = round(SIZE_PX / (1 + 2 * STACKS["pocket"].margin))
LOOKS = 8  # variants of a sprite, the artist's drawing included


def rotate_hue(picture: Image.Image, degrees: float, gain: float = 1.0) -> Image.Image:
    """Rotate the colours of an RGBA picture about the grey axis (YIQ); greys stay."""
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
    """A variant of a sprite. Angles in degrees; `light` scales colours, `stretch` the width."""

    hue: float = 0.0
    light: float = 1.0
    mirrored: bool = False
    tilt: float = 0.0
    stretch: float = 1.0


@functools.cache
def looks(name: str) -> tuple[Look, ...]:
    """The looks of a sprite: the artist's drawing, then `LOOKS` − 1 variants."""
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
def styled(name: str, look: int) -> Image.Image:
    """A sprite in one of its looks, RGBA, cropped to its visible pixels."""
    change, picture = looks(name)[look], picture_of(name)
    picture = rotate_hue(picture, change.hue, change.light)
    if change.stretch != 1:
        size = (max(1, round(picture.width * change.stretch)), picture.height)
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    if change.mirrored:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if change.tilt:
        picture = picture.rotate(change.tilt, Image.Resampling.BICUBIC, expand=True)
    return picture.crop(picture.getchannel("A").point(lambda a: 255 * (a > 16)).getbbox())


def fit(picture: Image.Image, size: float, tilt: float = 0) -> Image.Image:
    """Scale a picture to a long side of `size` pixels and rotate it by `tilt` degrees."""
    scale = size / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    picture = picture.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=2.0)
    if tilt:
        picture = picture.rotate(tilt, Image.Resampling.BICUBIC, expand=True)
    return picture


def paste(canvas: Image.Image, picture: Image.Image, x: float, y: float) -> None:
    """Paste an RGBA picture with its centre at (x, y)."""
    at = (round(x - picture.width / 2), round(y - picture.height / 2))
    canvas.paste(picture, at, picture)


def sprite_view(name: str, look: int, key: str) -> Image.Image:
    """A sprite isolated on white, RGB 128 × 128, with small variations drawn from `key`.

    Framed as the masking of a user's picture frames it (paper, Sec. 3.2), rotated up to 1°, at
    0.98-1 of that size, its brightness changed by up to 4 %.
    """
    rng = random.Random(f"view-{name}-{key}")
    picture = rotate_hue(styled(name, look), rng.uniform(-3, 3), rng.uniform(0.96, 1.04))
    size, tilt = VIEW_PX * rng.uniform(0.98, 1), rng.uniform(-1, 1)
    canvas = Image.new("RGB", (SIZE_PX, SIZE_PX), "white")
    paste(canvas, fit(picture, size, tilt), SIZE_PX / 2, SIZE_PX / 2)
    return canvas
