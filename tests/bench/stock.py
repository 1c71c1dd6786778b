"""diffusers' own prior at the paper's size, with all text positions: what ours is compared with."""

import torch
from diffusers import PriorTransformer
from torch import Tensor, nn

from lambda_eclipse import paper
from lambda_eclipse.prior import Prior, PriorConfig


def stock_prior() -> PriorTransformer:
    """As wide and as deep as the paper's; its fourth extra position is the time step's."""
    return PriorTransformer(
        num_attention_heads=paper.NUM_HEADS,
        attention_head_dim=paper.HEAD_DIM,
        num_layers=paper.NUM_LAYERS,
        embedding_dim=paper.EMBED_DIM,
        num_embeddings=paper.TEXT_POSITIONS,
        additional_embeddings=paper.ADDITIONAL_EMBEDDINGS,
    )


def own_prior() -> Prior:
    """Ours at the paper's size, with random weights."""
    torch.manual_seed(0)
    prior = Prior(PriorConfig())
    nn.init.normal_(prior.positional_embedding, std=0.02)
    nn.init.normal_(prior.prd_embedding, std=0.02)
    return prior


def padded(states: Tensor, lengths: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Text states (N, 77, D) and their mask from packed states (T, D)."""
    count = len(lengths)
    whole = torch.zeros(count, paper.TEXT_POSITIONS, states.shape[1])
    for row, own in zip(whole, states.split(lengths), strict=True):
        row[: len(own)] = own
    mask = torch.arange(paper.TEXT_POSITIONS) < torch.tensor(lengths)[:, None]
    return whole, mask


def run_stock(
    prior: PriorTransformer, noise: Tensor, pooled: Tensor, states: Tensor, mask: Tensor
) -> Tensor:
    """Embeddings (N, D), from states and mask as of `padded`."""
    return prior(noise, 0, pooled, states, mask).predicted_image_embedding
