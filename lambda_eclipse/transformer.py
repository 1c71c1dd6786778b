"""The blocks of the prior's transformer (Appendix C); tensor names are the checkpoint's.

Letters: B pictures, S positions, H heads, W = H · head width.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from lambda_eclipse.cpu_linear import Linear


class Attention(nn.Module):
    """Multi-head attention of the last `queries` positions to all positions."""

    def __init__(self, heads: int, head_dim: int) -> None:
        super().__init__()
        width = heads * head_dim
        self.heads = heads
        self.to_q = Linear(width, width)
        self.to_k = Linear(width, width)
        self.to_v = Linear(width, width)
        self.to_out = nn.ModuleList([Linear(width, width)])

    def forward(self, x: Tensor, queries: int, mask: Tensor | None, causal: bool) -> Tensor:
        q = self._split(self.to_q(x[:, -queries:]))  # (B, H, queries, head_dim)
        k = self._split(self.to_k(x))  # (B, H, S, head_dim)
        v = self._split(self.to_v(x))  # (B, H, S, head_dim)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
        return self.to_out[0](y.transpose(1, 2).flatten(2))  # (B, queries, W)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class GELU(nn.Module):
    """Linear layer followed by the exact GELU."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.proj = Linear(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.proj(x))


class FeedForward(nn.Module):
    """Two layers, four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        # The identity stands for the published model's dropout, which is zero.
        self.net = nn.Sequential(GELU(width, 4 * width), nn.Identity(), Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Block(nn.Module):
    """Pre-norm transformer block; the name `norm3` is the checkpoint's."""

    def __init__(self, heads: int, head_dim: int) -> None:
        super().__init__()
        width = heads * head_dim
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = Attention(heads, head_dim)
        self.norm3 = nn.LayerNorm(width)
        self.ff = FeedForward(width)

    def forward(self, x: Tensor, queries: int, mask: Tensor | None, causal: bool) -> Tensor:
        y = self.attn1(self.norm1(x), queries, mask, causal)  # (B, queries, W)
        x = x[:, -queries:] + y  # (B, queries, W)
        return x + self.ff(self.norm3(x))  # (B, queries, W)
