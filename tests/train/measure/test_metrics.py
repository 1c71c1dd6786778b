"""The metrics of painted pictures give their bounds for the truth and for wrong pictures."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from train.measure import composition, painting, subject_fidelity, training_curve
from train.measure.composition import frechet
from train.measure.controls import edge_agreement, likeness
from train.measure.judge import (
    ALONE,
    BESIDE,
    choose_sprites,
    cut,
    named_right,
    scene_of,
    spread_places,
)
from train.measure.subject_fidelity import dominant
from train.world.places import PLACES
from train.world.render import render, render_sprite
from train.world.scenes import sample_scene
from train.world.split import load_split


class PixelJudge:
    """Feature maps are small pictures, features all that is in them."""

    def __init__(self) -> None:
        self.known: dict[tuple, torch.Tensor] = {}

    def maps(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        rows = [np.asarray(p.resize((12, 12)), np.float32) for p in pictures]
        return torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2)

    def features(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        return self.maps(pictures).flatten(1)


@pytest.mark.parametrize("side", ["held", "seen"])
def test_candidates_are_of_their_side_and_drawn_once(side: str) -> None:
    chosen = choose_sprites(side, 20)
    held = load_split().sprites
    assert [(s.name in held) for s in chosen] == [side == "held"] * 20
    assert chosen == choose_sprites(side, 20) and len(set(chosen)) == 20


def test_the_truth_is_named_right_and_another_subject_is_not() -> None:
    sprites, places = choose_sprites("held", 8), spread_places(8)
    truth = [
        render(scene_of([s], place, f"k-{s.name}"))
        for s, place in zip(sprites, places, strict=True)
    ]
    assert named_right(PixelJudge(), truth, sprites, places) == [True] * 8
    others = [
        render(scene_of([s], place, f"k-{s.name}"))
        for s, place in zip(sprites[1:] + sprites[:1], places, strict=True)
    ]
    assert named_right(PixelJudge(), others, sprites, places) == [False] * 8


def test_two_subjects_are_named_each_on_its_own_spot() -> None:
    sprites, places = choose_sprites("seen", 6), spread_places(6)
    others = sprites[1:] + sprites[:1]
    truth = [
        render(scene_of(pair, place, f"{i}", BESIDE))
        for i, (pair, place) in enumerate(
            zip(zip(sprites, others, strict=True), places, strict=True)
        )
    ]
    left, right = BESIDE.spots
    assert named_right(PixelJudge(), truth, sprites, places, left, sprites) == [True] * 6
    assert named_right(PixelJudge(), truth, others, places, right, sprites) == [True] * 6
    assert not any(named_right(PixelJudge(), truth, others, places, left, sprites))


def test_the_oracle_reads_place_and_relation() -> None:
    read, maps = composition.train_oracle(PixelJudge(), 400)
    assert maps.shape == (400, 3, 12, 12)
    scenes = [sample_scene(3, i, "seen") for i in range(60)]
    right = read.accuracy(PixelJudge().maps([render(s) for s in scenes]), scenes)
    assert right["place"] > 0.9
    assert right["both"] <= min(right["place"], right["relation"])
    moved = [sample_scene(4, i, "seen") for i in range(60)]
    wrong = read.accuracy(PixelJudge().maps([render(s) for s in moved]), scenes)
    assert wrong["place"] < 0.3


def test_relations_that_look_the_same_are_one_to_the_oracle() -> None:
    scenes = (sample_scene(3, i) for i in range(200))
    layouts = {scene.relation.name: composition.labels(scene)[1] for scene in scenes}
    assert layouts["and"] == layouts["chasing"] == layouts["looking"] != layouts["alone"]
    assert layouts["sitting"] == layouts["standing"] != layouts["front"]


def test_the_frechet_distance_is_that_of_normal_distributions() -> None:
    random = torch.Generator().manual_seed(0)
    a = torch.randn(4000, 3, generator=random)
    b = 2 * torch.randn(4000, 3, generator=random) + torch.tensor([3.0, 0.0, 0.0])
    assert frechet(a, a) == pytest.approx(0, abs=1e-6)
    assert frechet(a, b) == pytest.approx(9 + 3 * (2 - 1) ** 2, rel=0.05)
    assert frechet(a, b) == pytest.approx(frechet(b, a), rel=1e-6)


def test_the_dominant_colour_is_the_subjects() -> None:
    beach = next(place for place in PLACES if place.name == "beach")
    sprite = choose_sprites("seen", 1)[0]
    picture = render_sprite(sprite, beach, ALONE.spots[0]).copy()
    picture.paste((200, 20, 30), (34, 38, 94, 98))
    lightness, a, b = dominant(picture, beach)
    assert 35 < lightness < 50 and a > 50 and b > 20
    assert np.array_equal(dominant(picture, beach), dominant(picture, beach))
    assert cut(picture, ALONE.spots[0]).size[0] == pytest.approx(1.12 * ALONE.spots[0].size, abs=2)


def test_likeness_is_full_for_the_sprite_itself_and_less_for_another() -> None:
    sprites, places = choose_sprites("held", 8), spread_places(8)
    scenes = [scene_of([s], p, f"l-{s.name}") for s, p in zip(sprites, places, strict=True)]
    truth = [render(scene) for scene in scenes]
    own = likeness(PixelJudge(), truth, scenes)
    other = likeness(PixelJudge(), truth[1:] + truth[:1], scenes)
    assert own.min() > 0.99
    assert other.mean() < 0.8


def test_edges_agree_within_two_pixels() -> None:
    wanted = np.zeros((40, 40), bool)
    wanted[20, 5:35] = True
    assert edge_agreement(wanted, wanted) == pytest.approx(1)
    assert edge_agreement(np.roll(wanted, 2, 0), wanted) == pytest.approx(1)
    assert edge_agreement(np.roll(wanted, 6, 0), wanted) == 0
    assert edge_agreement(np.zeros_like(wanted), wanted) == 0
    half = wanted.copy()
    half[20, 20:] = False
    assert 0.6 < edge_agreement(half, wanted) < 0.8


def test_pairs_count_as_both_only_where_both_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subject_fidelity, "PAIRS", 6)
    (each, both) = subject_fidelity.named_pairs(None, PixelJudge(), "seen", ("truth",))["truth"]
    assert (each, both) == (1, 1)
    pairs = subject_fidelity.choose_pairs("seen")
    swapped = [(one, pairs[i - 1][1]) for i, (one, _) in enumerate(pairs)]
    monkeypatch.setattr(
        subject_fidelity, "whole_path", lambda studio, scenes: [render(s) for s in scenes]
    )
    scene_of_pair = subject_fidelity.scene_of

    def other(pair: tuple, place: object, key: str, relation: object) -> object:
        """The picture has another second subject than is asked for."""
        return scene_of_pair(swapped[int(key.split("-")[1])], place, key, relation)

    monkeypatch.setattr(subject_fidelity, "scene_of", other)
    assert subject_fidelity.named_pairs(None, PixelJudge(), "seen") == {"path": (0.5, 0.0)}


def test_shares_are_means_over_draws_of_other_sprites(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, int]] = []

    def one(studio: object, judge: object, side: str, draw: int) -> float:
        asked.append((side, draw))
        return draw / 4

    monkeypatch.setattr(subject_fidelity, "named_path", one)
    assert subject_fidelity.path(None, None) == {"named_path_held": 0.25, "named_path_seen": 0.25}
    assert asked == [(side, draw) for side in ("held", "seen") for draw in range(3)]
    drawn = [painting.alone("held", draw=draw)[0] for draw in range(3)]
    assert len({tuple(sprite.name for sprite in sprites) for sprites in drawn}) == 3
    assert subject_fidelity.choose_pairs("held", 1) != subject_fidelity.choose_pairs("held")


def test_the_curve_measures_every_kept_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    prior = nn.Linear(2, 2)
    stack = SimpleNamespace(models=SimpleNamespace(prior=prior))
    monkeypatch.setattr(training_curve.Studio, "open", lambda *_: stack)
    monkeypatch.setattr(training_curve, "Judge", lambda cache: None)
    monkeypatch.setattr(training_curve, "named_path", lambda *_: float(prior.bias[0]))
    monkeypatch.setattr(
        training_curve, "named_pairs", lambda *_: {"path": (0.5, float(prior.bias[1]))}
    )
    monkeypatch.setattr("sys.argv", ["train.measure.training_curve", "--run", str(tmp_path)])
    with pytest.raises(SystemExit):
        training_curve.main()
    assert "--keep" in capsys.readouterr().err
    log = []
    for step, value in ((10, 0.25), (20, 0.5)):
        log.append({"step": step, "hours": step / 100, "loss": 1.0})
        log.append({"step": step, "cosine_pictures_held": value})
        with torch.no_grad():
            prior.bias.fill_(value)
        torch.save(prior.state_dict(), tmp_path / f"weights-{step}.pt")
    (tmp_path / "log.jsonl").write_text("\n".join(map(json.dumps, log)))
    out = tmp_path / "curve.md"
    monkeypatch.setattr(
        "sys.argv", ["train.measure.training_curve", "--run", str(tmp_path), "--out", str(out)]
    )
    training_curve.main()
    assert out.read_text().splitlines()[2:] == [
        "| 0.10 | 10 | 0.250 | 0.25 | 0.25 |",
        "| 0.20 | 20 | 0.500 | 0.50 | 0.50 |",
    ]
