"""Eq. 1 of the paper, and that equal captions are not each other's negatives."""

import math

import pytest
import torch
import torch.nn.functional as F

from lambda_eclipse.paper import LAMBDA
from train.prior.loss import gather, gather_texts, prior_loss

COUNT, DIM = 5, 7


def rows(seed: int) -> torch.Tensor:
    return torch.randn(COUNT, DIM, generator=torch.Generator().manual_seed(seed))


def loss_of(
    predicted: torch.Tensor,
    target: torch.Tensor,
    text: torch.Tensor,
    scale: float,
    keys: torch.Tensor | None = None,
) -> dict[str, torch.Tensor]:
    return prior_loss(predicted, target, gather_texts(text, keys), scale)


def test_the_loss_is_projection_plus_lambda_times_contrast() -> None:
    predicted, target, text = rows(0), rows(1), rows(2)
    parts = loss_of(predicted, target, text, 20.0)
    logits = 20 * F.normalize(predicted, dim=1) @ F.normalize(text, dim=1).T
    contrast = F.cross_entropy(logits, torch.arange(COUNT))
    projection = ((predicted - target) ** 2).sum() / (COUNT * DIM)
    assert parts["projection"].item() == pytest.approx(projection.item(), rel=1e-5)
    assert parts["contrast"].item() == pytest.approx(contrast.item(), rel=1e-5)
    total = (projection + LAMBDA * contrast).item()
    assert parts["loss"].item() == pytest.approx(total, rel=1e-5)


def test_a_perfect_prediction_that_is_the_text_costs_nothing() -> None:
    target = 10 * torch.eye(COUNT, DIM)
    parts = loss_of(target, target, target, 100.0)
    assert parts["projection"] == 0
    assert parts["contrast"].item() == pytest.approx(0, abs=1e-6)


def test_equal_captions_are_not_each_others_negatives() -> None:
    text = torch.eye(COUNT, DIM)
    text[1] = text[0]
    keys = torch.tensor([4, 4, 2, 1, 0])
    without = loss_of(text, text, text, 100.0)["contrast"].item()
    marked = loss_of(text, text, text, 100.0, keys)["contrast"].item()
    assert without == pytest.approx(2 * math.log(2) / COUNT, rel=1e-4)
    assert marked == pytest.approx(0, abs=1e-6)


def test_length_of_embeddings_matters_to_the_projection_only() -> None:
    predicted, target, text = rows(3), rows(4), rows(5)
    one, two = (loss_of(scale * predicted, target, text, 14.0) for scale in (1, 3))
    assert one["contrast"].item() == pytest.approx(two["contrast"].item(), rel=1e-5)
    assert one["projection"] != two["projection"]


def test_gradients_reach_the_prediction() -> None:
    predicted = rows(6).requires_grad_()
    loss_of(predicted, rows(7), rows(8), 14.0)["loss"].backward()
    assert predicted.grad is not None and (predicted.grad.abs().sum(1) > 0).all()


def test_parts_of_a_batch_add_up() -> None:
    predicted, target, texts = rows(3), rows(4), gather_texts(rows(5))
    whole = prior_loss(predicted, target, texts, 14.0)
    first = prior_loss(predicted[:2], target[:2], texts, 14.0)
    rest = prior_loss(predicted[2:], target[2:], texts, 14.0, skip=2)
    for name, value in whole.items():
        assert (2 * first[name] + 3 * rest[name]).item() / 5 == pytest.approx(value.item())


def test_a_single_process_gathers_its_own_rows() -> None:
    mine = rows(9)
    assert gather(mine) is mine
