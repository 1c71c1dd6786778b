"""Scenes of sticker world that several tests look at."""

import functools

import numpy as np
from PIL import Image

from train.world.looks import SIZE_PX
from train.world.scenes import Scene, sample_scene

SIDES = ("train", "seen", "held")
SAMPLED = 2500  # scenes per side: about 70 of the rarest relation


@functools.cache
def sampled(side: str) -> tuple[Scene, ...]:
    """The first scenes of a side."""
    return tuple(sample_scene(0, index, side) for index in range(SAMPLED))


def pixels(picture: Image.Image) -> np.ndarray:
    """A picture of the world's size as an array (128, 128, 3)."""
    assert picture.mode == "RGB" and picture.size == (SIZE_PX, SIZE_PX)
    return np.asarray(picture)
