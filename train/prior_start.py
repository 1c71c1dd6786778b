"""Where the prior's training starts: at a closed form instead of at random.

Most of a scene's embedding is a linear function of its subject's, and a transformer from random
weights is slow to find a linear function of full rank. So the first block starts as that function:
its attention looks at swapped tokens alone, which a linear detector tells from words, and carries
what they hold through a ridge regression from subject to scene. Positions start as smooth waves,
large enough to tell the first subject from the last: swapped tokens know nothing else of where they
stand. Everything else starts as nothing: the other branches add zero, and the noise, which the
squared error has no use for, hardly enters.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lambda_eclipse.prior import Prior

RIDGE = 10.0
SHARPNESS = 8.0  # difference of attention's logits between a subject and a word
NOISE_STD = 1e-3
WAVES, POSITION_STD = 8, 0.4
LONGEST_WAVE = 320.0  # positions; each wave is half as long as the one before


def ridge(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Weight (E, D) and bias (E,) of the ridge regression of y (N, E) on x (N, D)."""
    x_mean, y_mean = x.mean(0), y.mean(0)
    gram = (x - x_mean).T @ (x - x_mean) + RIDGE * torch.eye(x.shape[1])
    weight = torch.linalg.solve(gram, (x - x_mean).T @ (y - y_mean)).T
    return weight, y_mean - weight @ x_mean


def waves(count: int, width: int) -> Tensor:
    """Position codes (count, width): waves along directions at right angles, of `POSITION_STD`."""
    directions = torch.linalg.qr(torch.randn(width, 2 * WAVES)).Q.T  # (2 W, width), unit rows
    phase = torch.arange(count)[:, None] * 2 * math.pi / (LONGEST_WAVE / 2 ** torch.arange(WAVES))
    code = torch.cat([phase.sin(), phase.cos()], 1)  # (count, 2 W), rows of norm √W
    return POSITION_STD * (width / WAVES) ** 0.5 * code @ directions


@torch.no_grad()
def start(
    prior: Prior, states: Tensor, is_subject: Tensor, subjects: Tensor, scenes: Tensor
) -> None:
    """Sets the weights of a prior that is as wide as its embeddings.

    states (N, D): token states, of which `is_subject` (N,) bool are swapped. subjects and scenes
    (M, D): embeddings of subjects alone and of the scenes that hold them. ValueError when the
    prior's width is not D: a narrower one cuts the rank of what it can carry.
    """
    config = prior.config
    width = config.num_attention_heads * config.attention_head_dim
    if width != config.embedding_dim:
        raise ValueError(f"the prior is {width} wide inside; its embeddings {config.embedding_dim}")
    nn.init.normal_(prior.prd_embedding, std=0.02)
    nn.init.normal_(prior.positional_embedding, std=POSITION_STD)
    prior.positional_embedding[0, : config.num_embeddings] = waves(config.num_embeddings, width)
    nn.init.normal_(prior.proj_in.weight, std=NOISE_STD)
    for block in prior.transformer_blocks:
        for branch in (block.ff.net[2], block.attn1.to_out[0]):
            nn.init.zeros_(branch.weight)
            nn.init.zeros_(branch.bias)
    nn.init.eye_(prior.encoder_hidden_states_proj.weight)
    nn.init.zeros_(prior.encoder_hidden_states_proj.bias)

    attention = prior.transformer_blocks[0].attn1
    detector, offset = ridge(F.layer_norm(states, (width,)), is_subject.float()[:, None])
    for head in range(config.num_attention_heads):
        row = head * config.attention_head_dim
        # one coordinate of the query is a constant, that of the key detects subjects
        attention.to_q.weight[row].zero_()
        attention.to_q.bias[row] = config.attention_head_dim**0.5
        attention.to_k.weight[row] = SHARPNESS * detector[0]
        attention.to_k.bias[row] = SHARPNESS * offset[0]
    nn.init.eye_(attention.to_v.weight)
    nn.init.zeros_(attention.to_v.bias)
    weight, bias = ridge(F.layer_norm(subjects, (width,)), scenes)
    attention.to_out[0].weight.copy_(weight)
    attention.to_out[0].bias.copy_(bias)
    # the output norm makes every sum as large; scenes' embeddings are about so
    prior.proj_to_clip_embeddings.weight.copy_(torch.eye(width) * scenes.square().mean().sqrt())
    nn.init.zeros_(prior.proj_to_clip_embeddings.bias)
