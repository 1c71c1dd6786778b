"""Dreambench: its folder is read as published, and the nearest photograph decides."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from train.measure import dreambench
from train.measure.dreambench import Identity, read_dreambench

TABLE = """\
Classes

subject_name,class
red_thing,can
green_thing,stuffed animal
blue_dog,dog

Object Prompts

prompt_list = [
'a {0} {1} in the jungle'.format(unique_token, class_token),
'a red {0} {1}'.format(unique_token, class_token)
]

Live Subject Prompts

prompt_list = [
'a {0} {1} in the snow'.format(unique_token, class_token)
]
"""
COLOURS = {"red_thing": (200, 30, 30), "green_thing": (30, 200, 30), "blue_dog": (30, 30, 200)}


class ColourJudge:
    """Mean colours as features."""

    def features(self, pictures: list[Image.Image]) -> torch.Tensor:
        return torch.stack(
            [torch.from_numpy(np.asarray(p, np.float32).mean((0, 1))) for p in pictures]
        )


def disc(colour: tuple[int, int, int], size: int) -> Image.Image:
    """A disc of a colour on white."""
    y, x = np.mgrid[:128, :128] - 64
    inside = (np.hypot(x, y) < size)[..., None]
    return Image.fromarray(np.where(inside, colour, 255).astype(np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "prompts_and_classes.txt").write_text(TABLE, encoding="utf-8")
    for name, colour in COLOURS.items():
        (tmp_path / name).mkdir()
        for i in range(3):
            disc(colour, 30 + 5 * i).save(tmp_path / name / f"{i:02}.jpg", quality=95)
    return tmp_path


def test_subjects_and_prompts_are_those_of_the_folder(folder: Path) -> None:
    bench = read_dreambench(folder)
    assert [(s.name, s.noun) for s in bench.subjects] == [
        ("blue_dog", "dog"),
        ("green_thing", "stuffed animal"),
        ("red_thing", "can"),
    ]
    assert all(s.reference.name == "00.jpg" and len(s.others) == 2 for s in bench.subjects)
    dog, _, can = bench.subjects
    assert bench.prompts(can) == ("a {} in the jungle", "a red {}")
    assert bench.prompts(dog) == ("a {} in the snow",)


def test_another_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"prompts_and_classes\.txt"):
        read_dreambench(tmp_path)


def test_the_nearest_other_photograph_decides(folder: Path) -> None:
    identity = Identity(ColourJudge(), read_dreambench(folder))
    pictures = [dreambench.cut_out(disc(COLOURS[name], 40)) for name in COLOURS]
    assert identity.right(pictures, list(COLOURS)) == [True] * 3
    assert identity.right(pictures, ["green_thing", "red_thing", "blue_dog"]) == [
        False,
        False,
        True,
    ]
