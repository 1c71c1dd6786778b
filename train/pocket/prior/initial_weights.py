"""Initial weights of the pocket prior: token states pass through every layer unchanged.

Most of a scene's embedding is nearly a copy of its subjects' embeddings, and random projections cut
the rank that such a copy needs. So all projections start as the identity, and blocks add nothing
but attention's mean. Positions start as smooth waves, large enough to distinguish one swapped
subject from the next.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from lambda_eclipse.prior import Prior

WAVES, POSITION_STD = 8, 0.8
LONGEST_WAVE = 320.0  # positions; each wave is half as long as the one before
NOISE_STD = 1e-3  # of the noise's projection: the squared error has no use for the noise


def waves(count: int, directions: Tensor) -> Tensor:
    """Position codes (count, W): waves along unit `directions` (2 `WAVES`, W)."""
    width = directions.shape[1]
    phase = torch.arange(count)[:, None] * 2 * math.pi / (LONGEST_WAVE / 2 ** torch.arange(WAVES))
    code = torch.cat([phase.sin(), phase.cos()], 1)  # (count, 2 `WAVES`)
    return POSITION_STD * (width / WAVES) ** 0.5 * code @ directions


@torch.no_grad()
def start(prior: Prior) -> None:
    """Set the initial weights of a prior that is as wide as its embeddings."""
    count, extra = prior.config.num_embeddings, prior.config.additional_embeddings
    width = prior.config.embedding_dim
    directions = nn.init.orthogonal_(torch.empty(2 * WAVES + extra, width))
    prior.positional_embedding[0, :count] = waves(count, directions[: 2 * WAVES])
    prior.positional_embedding[0, count:] = POSITION_STD * width**0.5 * directions[2 * WAVES :]
    nn.init.normal_(prior.proj_in.weight, std=NOISE_STD)
    identities = [
        prior.encoder_hidden_states_proj,
        prior.embedding_proj,
        prior.embedding_control,
        prior.proj_to_clip_embeddings,
    ]
    blocks: Any = prior.transformer_blocks
    for block in blocks:
        identities += [block.attn1.to_v, block.attn1.to_out[0]]
        nn.init.zeros_(block.ff.net[2].weight)
        nn.init.zeros_(block.ff.net[2].bias)
    for layer in identities:
        nn.init.eye_(layer.weight)
        nn.init.zeros_(layer.bias)
