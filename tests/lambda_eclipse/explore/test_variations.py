"""Requests without one subject, and variations around an embedding."""

import math
from dataclasses import replace

import pytest
import torch
from cat_and_hat import CAT, HAT, REQUEST
from small_stack import DIM

from lambda_eclipse.explore.variations import leave_one_out, variations
from lambda_eclipse.request import Request


def test_each_subject_is_left_out_once_and_nothing_else_changes() -> None:
    found = leave_one_out(REQUEST)
    assert [str(label) for label, _ in found] == ['without "cat"', 'without "hat"']
    for index, (_, request) in enumerate(found):
        strengths = [subject.strength for subject in request.subjects]
        assert strengths == [0.0 if i == index else 1.0 for i in range(2)]
        restored = tuple(replace(subject, strength=1.0) for subject in request.subjects)
        assert replace(request, subjects=restored) == REQUEST
    assert leave_one_out(Request("a cat")) == []


def test_one_noun_twice_gets_labels_of_its_own() -> None:
    request = Request("a cat beside a cat and a hat", (CAT, HAT, replace(CAT, strength=0.5)))
    labels = [str(label) for label, _ in leave_one_out(request)]
    assert labels == ['without "cat" 1 of 2', 'without "hat"', 'without "cat" 2 of 2']


def test_leaving_out_brings_the_plain_word_back(studio) -> None:
    (_, without_cat), _ = leave_one_out(REQUEST)
    only_hat = studio.embed(replace(REQUEST, subjects=(HAT,)))
    assert torch.equal(studio.embed(without_cat), only_hat)
    assert not torch.equal(studio.embed(REQUEST), only_hat)


@pytest.mark.parametrize("angle", [0.0, 5.0, 45.0, 90.0, 180.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_variations_keep_angle_and_norm(angle: float, dtype: torch.dtype) -> None:
    centre = (7 * torch.randn(DIM, generator=torch.Generator().manual_seed(1))).to(dtype)
    found = variations(centre, 6, angle, 2)
    assert found.shape == (6, DIM) and found.dtype == dtype
    exact = 1e-3 if dtype == torch.float16 else 1e-5
    torch.testing.assert_close(
        found.double().norm(dim=1), centre.double().norm().expand(6), rtol=exact, atol=0
    )
    cosine = torch.cosine_similarity(found.double(), centre.double()[None])
    assert cosine.tolist() == pytest.approx([math.cos(math.radians(angle))] * 6, abs=exact)


def test_variations_depend_on_the_seed_only() -> None:
    centre = torch.arange(1.0, DIM + 1)
    torch.manual_seed(1)
    six = variations(centre, 6, 20, 0)
    torch.manual_seed(2)
    assert torch.equal(variations(centre, 6, 20, 0), six)
    assert torch.equal(variations(centre, 2, 20, 0), six[:2])
    assert not torch.equal(variations(centre, 6, 20, 1), six)
    directions = torch.nn.functional.normalize(six - six.mean(dim=0))
    off_diagonal = (directions @ directions.T).fill_diagonal_(0)
    assert off_diagonal.abs().max() < 0.8, "the directions differ"


@pytest.mark.parametrize(
    "embedding, n, angle, message",
    [
        (torch.zeros(4), 2, 10, "zero or not finite"),
        (torch.full((4,), math.nan), 2, 10, "zero or not finite"),
        (torch.ones(1, 4), 2, 10, r"\(1, 4\)"),
        (torch.ones(4), 0, 10, "0 variations"),
        (torch.ones(4), 2, 181, "between 0 and 180"),
        (torch.ones(4), 2, math.nan, "between 0 and 180"),
    ],
)
def test_impossible_variations_are_refused(embedding, n, angle, message) -> None:
    with pytest.raises(ValueError, match=message):
        variations(embedding, n, angle, 0)
