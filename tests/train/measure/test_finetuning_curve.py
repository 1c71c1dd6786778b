"""The finetuning curve: its subjects and places, its measures, its table and plot."""

import xml.etree.ElementTree as ElementTree

import pytest
import torch
from PIL import Image

from train.measure.composition import Oracle
from train.measure.finetuning_curve import (
    CONCEPTS,
    OTHERS,
    PICTURES,
    PROMPTS,
    STEPS,
    Queries,
    choose,
    likenesses,
    measure,
    pictures_of,
    query,
)
from train.measure.finetuning_plot import LINES, plot, table
from train.measure.judge import ALONE, BESIDE, scene_of
from train.world.split import load_split

ROWS = [{"steps": steps, **dict.fromkeys(LINES, 0.25 * i)} for i, steps in enumerate((0, 20, 40))]


def test_subjects_are_of_held_out_concepts_at_different_places() -> None:
    subjects, others, places = choose()
    split = load_split()
    assert len(set(subjects)) == CONCEPTS and {one.noun for one in subjects} <= split.concepts
    assert len(set(others)) == OTHERS and not {one.name for one in others} & split.sprites
    assert len(places) == len(set(places)) >= PICTURES + len(PROMPTS)
    assert choose() == (subjects, others, places)
    assert STEPS[0] == 0 and list(STEPS) == sorted(set(STEPS))
    pictures = pictures_of(subjects[:2], places[:3])
    assert len({picture.tobytes() for picture in pictures}) == 6


class MeanColour:
    """A judge whose features are the mean colour."""

    def features(self, pictures: list[Image.Image]) -> torch.Tensor:
        return torch.tensor([p.resize((1, 1)).getpixel((0, 0)) for p in pictures]).float()

    def maps(self, pictures: list[Image.Image]) -> torch.Tensor:
        return self.features(pictures)[:, :, None, None]


def test_every_subject_gets_every_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "train.measure.finetuning_curve.predict", lambda studio, scenes: torch.zeros(len(scenes), 3)
    )
    subjects, known, places = choose()
    prompts = [(ALONE, places[4]), (BESIDE, places[5])]
    queries = query(None, MeanColour(), subjects[:3], known, prompts)
    assert queries.prompts.tolist() == [0, 0, 0, 1, 1, 1]
    assert [scene.sprites[0] for scene in queries.scenes] == subjects[:3] * 2
    assert [len(scene.sprites) for scene in queries.scenes] == [1, 1, 1, 2, 2, 2]
    assert all(scene.sprites[1] in known for scene in queries.scenes[3:])
    assert {scene.place for scene in queries.scenes} == {places[4], places[5]}
    assert queries.truth.shape == (6, 3) and queries.embeddings.shape == (6, 3)


def test_measures_reach_their_bounds() -> None:
    subjects, _, places = choose()
    scenes = tuple(scene_of([sprite], places[0], "a scene") for sprite in subjects[:2])
    truth = torch.tensor([[255.0, 0, 0], [0, 0, 255.0]])
    queries = Queries(scenes, torch.zeros(2), torch.zeros(2, 3), truth)
    oracle = Oracle(lambda maps: torch.zeros(2), lambda maps: torch.zeros(2))
    right, wrong = (
        [Image.new("RGB", (128, 128), colour) for colour in colours]
        for colours in (("red", "blue"), ("blue", "red"))
    )
    good = measure(lambda embeddings: right, MeanColour(), oracle, queries, queries)
    assert (good["likeness"], good["others"], good["named"]) == (pytest.approx(1),) * 2 + (1,)
    bad = measure(lambda embeddings: wrong, MeanColour(), oracle, queries, queries)
    assert bad["likeness"] == pytest.approx(-1) and bad["named"] == 0
    expected = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
    assert torch.allclose(likenesses(truth, queries), expected)


def test_the_table_and_the_plot() -> None:
    lines = table(ROWS).splitlines()
    assert len(lines) == 2 + len(ROWS) and lines[-1] == "| 40 |" + " 0.50 |" * len(LINES)
    root = ElementTree.fromstring(plot(ROWS, "title"))
    drawn = [one for one in root.iter() if one.tag.endswith("polyline")]
    assert len(drawn) == len(LINES)
    heights = [float(p.split(",")[1]) for p in drawn[0].get("points").split()]
    assert heights == sorted(heights, reverse=True)
