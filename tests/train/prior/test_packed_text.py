"""The packed prior is the prior: same embeddings, same gradients, whatever the lengths."""

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lambda_eclipse.prior import Prior, PriorConfig
from train.prior.packed_text import Batch, Packed, flops, layout

DIM = 24
CONFIG = PriorConfig(2, 8, 3, DIM)


def small_prior() -> Prior:
    torch.manual_seed(0)
    prior = Prior(CONFIG)
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return prior


def batch(lengths: tuple[int, ...]) -> Batch:
    generator = torch.Generator().manual_seed(sum(lengths))
    states = torch.randn(sum(lengths), DIM, generator=generator)
    rows = [torch.randn(len(lengths), DIM, generator=generator) for _ in range(4)]
    return Batch(states, lengths, *rows, torch.arange(len(lengths)))


def padded(prior: Prior, given: Batch) -> Tensor:
    """What the app computes."""
    rows = given.states.split(given.lengths)
    states = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    mask = torch.arange(states.shape[1]) < torch.tensor(given.lengths)[:, None]
    return prior(given.noise, given.pooled, states, mask, given.control)


@pytest.mark.parametrize("lengths", [(3,), (4, 4, 4), (3, 5, 5, 9), (2, 20, 77)])
def test_embeddings_and_gradients_are_the_priors(lengths: tuple[int, ...]) -> None:
    prior, given = small_prior(), batch(lengths)
    found = []
    for predicted in (Packed(prior)(*given.inputs), padded(prior, given)):
        prior.zero_grad()
        (predicted * given.target).sum().backward()
        trained = {n: p.grad.clone() for n, p in prior.named_parameters() if p.requires_grad}
        found.append((predicted.detach(), trained))
    (ours, our_gradients), (theirs, their_gradients) = found
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert our_gradients.keys() == their_gradients.keys()
    for name, gradient in our_gradients.items():
        torch.testing.assert_close(gradient, their_gradients[name], atol=2e-4, rtol=1e-4, msg=name)


def test_rows_go_where_the_prior_has_them() -> None:
    order, positions, last = layout((1, 2), 4, 77, torch.device("cpu"))
    # texts are rows 0 to 2; then control, pooled, noise and query of both examples
    assert order.tolist() == [0, 3, 5, 7, 9, 1, 2, 4, 6, 8, 10]
    assert positions.tolist() == [0, 77, 78, 79, 80, 0, 1, 77, 78, 79, 80]
    assert last.tolist() == [4, 10]


@pytest.mark.parametrize("parts", [1, 2, 3, 4, 9])
def test_parts_are_the_whole(parts: int) -> None:
    prior, given = small_prior(), batch((3, 5, 5, 9))
    pieces = given.split(parts)
    assert len(pieces) == min(parts, 4)
    whole = Packed(prior)(*given.inputs)
    torch.testing.assert_close(torch.cat([Packed(prior)(*p.inputs) for p in pieces]), whole)
    assert torch.cat([piece.keys for piece in pieces]).tolist() == given.keys.tolist()


def test_the_count_of_operations_is_that_of_the_matrix_products(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The counter knows PyTorch's matrix products, but not every processor's attention kernel.
    monkeypatch.setattr("lambda_eclipse.cpu_linear.AVAILABLE", False)
    prior, given = small_prior(), batch((3, 5, 5, 9))
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        Packed(prior)(*given.inputs)
    counted = counter.get_total_flops()
    assert flops(CONFIG, given.lengths) == pytest.approx(counted, rel=0.02)


def test_half_precision_batches_are_computed_in_single() -> None:
    given = batch((3, 4))
    halves = Batch(
        given.states.half(),
        given.lengths,
        given.noise,
        given.pooled.half(),
        given.control.half(),
        given.target.half(),
        given.keys,
    ).to(torch.device("cpu"))
    assert halves.states.dtype == halves.target.dtype == torch.float32
    assert halves.keys.dtype == torch.int64
