"""The loss of the λ-ECLIPSE prior: projection plus λ times contrast (paper, Eq. 1)."""

import torch
import torch.distributed
import torch.nn.functional as F
from torch import Tensor

from lambda_eclipse.paper import LAMBDA


def gather(rows: Tensor) -> Tensor:
    """Rows of all ranks, (R · N, D), own gradient kept; the rows themselves on a single process."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return rows
    pieces = [torch.zeros_like(rows) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(pieces, rows.contiguous())
    pieces[torch.distributed.get_rank()] = rows
    return torch.cat(pieces)


def prior_loss(
    predicted: Tensor,
    target: Tensor,
    text: Tensor,
    inverse_temperature: float | Tensor,
    weight: float = LAMBDA,
    positive: Tensor | None = None,
) -> dict[str, Tensor]:
    """Eq. 1 for a batch: predicted, target and pooled text embeddings, each (N, D).

    The projection is the mean over the batch and the D dimensions of the squared error, as in the
    published ECLIPSE trainers (the sum over dimensions would only rescale λ). The contrast is over
    unit vectors and the global batch, with CLIP's own temperature; `positive` (N, N) bool marks
    pairs that are not each other's negatives (equal captions). Returns loss, projection, contrast.
    """
    projection = F.mse_loss(predicted, target)
    unit = F.normalize(predicted, dim=-1)
    everyone = gather(F.normalize(text, dim=-1))  # (M, D)
    logits = inverse_temperature * unit @ everyone.T  # (N, M)
    rank = torch.distributed.get_rank() if len(everyone) > len(text) else 0
    own = torch.arange(len(predicted), device=logits.device) + rank * len(predicted)
    hits = torch.zeros_like(logits, dtype=torch.bool)
    hits[torch.arange(len(predicted)), own] = True
    if positive is not None:
        hits[:, own] |= positive
    contrast = (logits.logsumexp(1) - logits.masked_fill(~hits, -torch.inf).logsumexp(1)).mean()
    return {
        "loss": projection + weight * contrast,
        "projection": projection,
        "contrast": contrast,
    }
