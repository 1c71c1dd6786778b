"""The risk of blending: similar embeddings, shared nouns."""

import math

import pytest
import torch

from lambda_eclipse.insight import blending
from lambda_eclipse.insight.blending import blend_risk


def turned(*degrees: float) -> torch.Tensor:
    """(K, 2) embeddings at these angles, of different norms."""
    angles = [math.radians(d) for d in degrees]
    return torch.tensor([[i * math.cos(a), i * math.sin(a)] for i, a in enumerate(angles, 1)])


def test_similar_subjects_blend_and_the_riskiest_pair_comes_first(monkeypatch) -> None:
    monkeypatch.setattr(blending, "THRESHOLDS", (0.15, 0.5))
    found = blend_risk(turned(0, 10, 90), ["cat", "fox", "hat"])
    assert [(b.first, b.second, b.level) for b in found] == [
        (0, 1, "high"),
        (1, 2, "some"),
        (0, 2, "low"),
    ]
    assert found[0].cosine == pytest.approx(math.cos(math.radians(10)))
    assert not any(blend.same_noun for blend in found)


@pytest.mark.parametrize(
    "pair", [("cat", "cat"), ("Cat ", "cat"), ("cats", "cat"), ("fox", "foxes")]
)
def test_a_shared_noun_raises_the_level(pair, monkeypatch) -> None:
    monkeypatch.setattr(blending, "THRESHOLDS", (0.3, 0.8))
    for degrees, alone, twice in ((90, "low", "some"), (60, "some", "high"), (5, "high", "high")):
        embeddings = turned(0, degrees)
        [other] = blend_risk(embeddings, ["cat", "hat"])
        [same] = blend_risk(embeddings, pair)
        assert (other.level, same.level) == (alone, twice) and same.same_noun


def test_fewer_than_two_subjects_cannot_blend() -> None:
    assert blend_risk(turned(0), ["cat"]) == blend_risk([], []) == []
    with pytest.raises(ValueError, match="shorter"):
        blend_risk(turned(0, 1), ["cat"])
