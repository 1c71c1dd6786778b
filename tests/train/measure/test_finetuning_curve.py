"""The curve of finetuning: who is taught where, what its measures mean, its table and plot."""

import xml.etree.ElementTree as ElementTree

import pytest
import torch
from PIL import Image

from train.measure.finetuning_curve import (
    CONCEPTS,
    LINES,
    OTHERS,
    PICTURES,
    PROMPTS,
    STEPS,
    Asked,
    ask,
    choose,
    likenesses,
    measure,
    pictures_of,
    plot,
    table,
)
from train.measure.judge import ALONE, BESIDE, scene_of
from train.measure.oracle import Oracle
from train.world.split import load_split

ROWS = [{"steps": steps, **dict.fromkeys(LINES, 0.25 * i)} for i, steps in enumerate((0, 20, 40))]


def test_held_out_concepts_are_taught_and_asked_for_elsewhere() -> None:
    subjects, others, places = choose()
    split = load_split()
    assert len(set(subjects)) == CONCEPTS and {one.noun for one in subjects} <= split.concepts
    assert len(set(others)) == OTHERS and not {one.name for one in others} & split.sprites
    assert len(places) == len(set(places)) >= PICTURES + len(PROMPTS)
    assert choose() == (subjects, others, places)
    assert STEPS[0] == 0 and list(STEPS) == sorted(set(STEPS))
    pictures = pictures_of(subjects[:2], places[:3])
    assert len({picture.tobytes() for picture in pictures}) == 6


class Colours:
    """Judges by the mean colour, and knows no networks."""

    def features(self, pictures: list[Image.Image]) -> torch.Tensor:
        return torch.tensor([p.resize((1, 1)).getpixel((0, 0)) for p in pictures]).float()

    def maps(self, pictures: list[Image.Image]) -> torch.Tensor:
        return self.features(pictures)[:, :, None, None]


def test_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "train.measure.finetuning_curve.embed", lambda studio, views: torch.eye(len(views))
    )
    monkeypatch.setattr("train.measure.finetuning_curve.predict", lambda *_: torch.zeros(3))
    subjects, known, places = choose()
    asked = ask(None, Colours(), subjects[:3], known, [(ALONE, places[4]), (BESIDE, places[5])])
    assert asked.kinds.tolist() == [0, 0, 0, 1, 1, 1]
    assert [scene.sprites[0] for scene in asked.scenes] == subjects[:3] * 2
    assert [len(scene.sprites) for scene in asked.scenes] == [1, 1, 1, 2, 2, 2]
    assert all(scene.sprites[1] in known for scene in asked.scenes[3:])
    assert {scene.place for scene in asked.scenes} == {places[4], places[5]}
    assert asked.truth.shape == (6, 3) and asked.embeddings.shape == (6, 3)


def test_the_measures() -> None:
    subjects, _, places = choose()
    scenes = tuple(scene_of([one], places[0], "a scene") for one in subjects[:2])
    truth = torch.tensor([[255.0, 0, 0], [0, 0, 255.0]])
    asked = Asked(scenes, torch.zeros(2), torch.zeros(2, 3), truth)
    oracle = Oracle(lambda seen: torch.zeros(2), lambda seen: torch.zeros(2))
    right, wrong = (
        [Image.new("RGB", (128, 128), colour) for colour in colours]
        for colours in (("red", "blue"), ("blue", "red"))
    )
    good = measure(lambda embeddings: right, Colours(), oracle, asked, asked)
    assert (good["likeness"], good["others"], good["named"]) == (pytest.approx(1),) * 2 + (1,)
    bad = measure(lambda embeddings: wrong, Colours(), oracle, asked, asked)
    assert bad["likeness"] == pytest.approx(-1) and bad["named"] == 0
    assert likenesses(truth, asked).tolist() == [[pytest.approx(1), pytest.approx(-1)],
                                                 [pytest.approx(-1), pytest.approx(1)]]  # fmt: skip


def test_the_table_and_the_plot() -> None:
    lines = table(ROWS).splitlines()
    assert len(lines) == 2 + len(ROWS) and lines[-1] == "| 40 |" + " 0.50 |" * len(LINES)
    root = ElementTree.fromstring(plot(ROWS))
    drawn = [one for one in root.iter() if one.tag.endswith("polyline")]
    assert len(drawn) == len(LINES)
    heights = [float(p.split(",")[1]) for p in drawn[0].get("points").split()]
    assert heights == sorted(heights, reverse=True)
