"""The loss of the λ-ECLIPSE prior: projection plus λ times contrast (paper, Eq. 1)."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from lambda_eclipse.paper import LAMBDA
from train.loop import ranks


class _Gather(torch.autograd.Function):
    """Rows of all ranks; a row's gradient is the sum over all ranks.

    PyTorch's differentiable gather changes its name between versions.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        ctx.own = slice(ranks.rank() * len(rows), (ranks.rank() + 1) * len(rows))
        pieces = [torch.empty_like(rows) for _ in range(ranks.world())]
        dist.all_gather(pieces, rows)
        return torch.cat(pieces)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total[ctx.own]


def gather(rows: Tensor) -> Tensor:
    """Rows of all ranks, (R · N, D); gradients go back to the rank that each row came from.

    All ranks must have equally many rows, and join the backward pass if rows need gradients.
    """
    if not ranks.is_distributed():
        return rows
    return _Gather.apply(rows.contiguous())


@dataclass(frozen=True)
class Texts:
    """The texts of the global batch, which a step's predictions are contrasted with.

    unit: (M, D) unit vectors. keys: (M,) int64, equal for equal captions; None: all differ.
    first: index of this rank's first text.
    """

    unit: Tensor
    keys: Tensor | None
    first: int


def gather_texts(text: Tensor, keys: Tensor | None = None) -> Texts:
    """The texts of all ranks, from this one's pooled texts (N, D) and keys (N,)."""
    first = ranks.rank() * len(text)
    return Texts(gather(F.normalize(text, dim=-1)), None if keys is None else gather(keys), first)


def prior_loss(
    predicted: Tensor,
    target: Tensor,
    texts: Texts,
    inverse_temperature: float | Tensor,
    weight: float = LAMBDA,
    skip: int = 0,
) -> dict[str, Tensor]:
    """Eq. 1 for predicted and target embeddings, each (N, D).

    The projection is the mean over the batch and the D dimensions: Eq. 1 prints the squared norm,
    and the paper calls it the mean-squared error (Sec. 3.1); no training code is published. A sum
    over dimensions with λ is this mean with λ / D. The contrast is over unit vectors and the global
    batch, with CLIP's own temperature; equal captions are not each other's negatives. weight: λ
    beside the mean. skip: this rank's texts before that of the first prediction, when a step is
    computed in parts. Returns loss, projection, contrast.
    """
    projection = F.mse_loss(predicted, target)
    unit = F.normalize(predicted, dim=-1)
    logits = inverse_temperature * unit @ texts.unit.T  # (N, M)
    own = texts.first + skip + torch.arange(len(predicted), device=logits.device)
    if texts.keys is None:
        hits = own[:, None] == torch.arange(len(texts.unit), device=logits.device)
    else:
        hits = texts.keys[own][:, None] == texts.keys  # (N, M)
    contrast = (logits.logsumexp(1) - logits.masked_fill(~hits, -torch.inf).logsumexp(1)).mean()
    return {
        "loss": projection + weight * contrast,
        "projection": projection,
        "contrast": contrast,
    }
