"""The prior on packed text: no padding.

The same function and parameters as `Prior.forward`. Layers that act on single positions see all
positions of a batch as one matrix; attention runs over groups of examples of equal length, without
a mask. Queries, keys and values are one product.

Letters: N examples, T text positions of all of them, P = T + 4 N positions, D embedding width,
H heads, W = H · head width; a group has n examples of S positions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby, pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lambda_eclipse.cpu_linear import linear
from lambda_eclipse.prior import Prior, PriorConfig
from lambda_eclipse.transformer import Attention

TENSORS = ("states", "noise", "pooled", "control", "target", "keys")


@dataclass(frozen=True)
class Batch:
    """Examples, in ascending order of length.

    states: (T, D) token states of all examples, concatenated, with the subjects swapped in.
    lengths: the N numbers of text positions. noise, pooled, control, target: (N, D).
    keys: (N,) int64, equal for equal captions.
    """

    states: Tensor
    lengths: tuple[int, ...]
    noise: Tensor
    pooled: Tensor
    control: Tensor
    target: Tensor
    keys: Tensor

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def inputs(self) -> tuple[Tensor | tuple[int, ...], ...]:
        """Arguments of `Packed`."""
        return self.states, self.lengths, self.noise, self.pooled, self.control

    def to(self, device: torch.device) -> "Batch":
        """On a device, in float32."""
        moved = {name: getattr(self, name).to(device, non_blocking=True) for name in TENSORS}
        halves = {name: moved[name].float() for name in TENSORS if name != "keys"}
        return replace(self, keys=moved["keys"], **halves)

    def pin_memory(self) -> "Batch":
        """In page-locked memory, which a GPU copies asynchronously."""
        return replace(self, **{name: getattr(self, name).pin_memory() for name in TENSORS})

    def split(self, parts: int) -> list["Batch"]:
        """Batches of nearly equal size, shortest captions first."""
        parts = min(parts, len(self))
        edges = [len(self) * i // parts for i in range(parts + 1)]
        starts = list(accumulate(self.lengths, initial=0))
        rows = [name for name in TENSORS if name != "states"]
        return [
            Batch(
                states=self.states[starts[a] : starts[b]],
                lengths=self.lengths[a:b],
                **{name: getattr(self, name)[a:b] for name in rows},
            )
            for a, b in pairwise(edges)
        ]


class Packed(nn.Module):
    """A prior's forward pass over packed batches, with the prior's parameters."""

    def __init__(self, prior: Prior) -> None:
        super().__init__()
        self.prior = prior

    def forward(
        self, states: Tensor, lengths: Sequence[int], noise: Tensor, pooled: Tensor, control: Tensor
    ) -> Tensor:
        """Image embeddings (N, D); arguments as in `Batch`."""
        prior, extra = self.prior, self.prior.config.additional_embeddings
        order, positions, last = layout(lengths, extra, prior.config.num_embeddings, states.device)
        extras = [
            prior.embedding_control(control),
            prior.embedding_proj(pooled),
            prior.proj_in(noise),
            prior.prd_embedding[0].expand(len(noise), -1),
        ]  # each (N, W)
        text = prior.encoder_hidden_states_proj(states)  # (T, W)
        x = torch.cat([text, *(e.to(text.dtype) for e in extras)]).index_select(0, order)  # (P, W)
        x = x + F.embedding(positions, prior.positional_embedding[0])  # (P, W)
        groups = [(len(list(same)), length + extra) for length, same in groupby(lengths)]  # n, S
        blocks: list[Any] = list(prior.transformer_blocks)
        for block in blocks[:-1]:
            x = x + attend(block.attn1, block.norm1(x), groups)  # (P, W)
            x = x + block.ff(block.norm3(x))  # (P, W)
        # Only the last position, the learned query, is read; it attends to all positions.
        block = blocks[-1]
        x = x.index_select(0, last) + attend_last(block.attn1, block.norm1(x), groups, last)
        x = x + block.ff(block.norm3(x))  # (N, W)
        return prior.proj_to_clip_embeddings(prior.norm_out(x)).float()  # (N, D)


def layout(
    lengths: Sequence[int], extra: int, text_positions: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Indices that sort rows by example; input: all texts, then each extra row of all examples.

    Returns source rows (P,), position indices in the prior (P,), and last rows of examples (N,).
    """
    length = torch.tensor(lengths)  # (N,)
    count, total = len(length), int(length.sum())
    start = length.cumsum(0) - length  # (N,) in the text
    size = length + extra  # (N,)
    owner = torch.repeat_interleave(torch.arange(count), size)  # (P,)
    within = torch.arange(len(owner)) - (size.cumsum(0) - size)[owner]  # (P,) index in the example
    beyond = within - length[owner]  # (P,) index of the extra row; negative: text
    is_text = beyond < 0
    order = torch.where(is_text, start[owner] + within, total + beyond * count + owner)
    positions = torch.where(is_text, within, text_positions + beyond)
    last = size.cumsum(0) - 1
    order, positions, last = (i.to(device, non_blocking=True) for i in (order, positions, last))
    return order, positions, last


def attend(attention: Attention, x: Tensor, groups: Sequence[tuple[int, int]]) -> Tensor:
    """Causal attention within each example: (P, W) → (P, W)."""
    heads = attention.heads
    layers = attention.to_q, attention.to_k, attention.to_v
    weight = torch.cat([layer.weight for layer in layers])  # (3 W, W)
    bias = torch.cat([layer.bias for layer in layers])
    qkv = linear(x, weight, bias)  # (P, 3 W)
    rows = []
    for part, (count, size) in zip(qkv.split([n * s for n, s in groups]), groups, strict=True):
        q, k, v = part.view(count, size, 3, heads, -1).permute(2, 0, 3, 1, 4)  # (n, H, S, W / H)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)  # (n, H, S, W / H)
        rows.append(y.transpose(1, 2).reshape(count * size, -1))  # (n S, W)
    return attention.to_out[0](torch.cat(rows))  # (P, W)


def attend_last(
    attention: Attention, x: Tensor, groups: Sequence[tuple[int, int]], last: Tensor
) -> Tensor:
    """Attention of each example's last row to all of its rows: (P, W) → (N, W)."""
    heads = attention.heads
    queries = attention.to_q(x.index_select(0, last))  # (N, W)
    weight = torch.cat([attention.to_k.weight, attention.to_v.weight])  # (2 W, W)
    bias = torch.cat([attention.to_k.bias, attention.to_v.bias])
    kv = linear(x, weight, bias)  # (P, 2 W)
    rows = []
    for q, part, (count, size) in zip(
        queries.split([n for n, _ in groups]),
        kv.split([n * s for n, s in groups]),
        groups,
        strict=True,
    ):
        k, v = part.view(count, size, 2, heads, -1).permute(2, 0, 3, 1, 4)  # (n, H, S, W / H)
        y = F.scaled_dot_product_attention(q.view(count, heads, 1, -1), k, v)  # (n, H, 1, W / H)
        rows.append(y.reshape(count, -1))  # (n, W)
    return attention.to_out[0](torch.cat(rows))  # (N, W)


def flops(config: PriorConfig, lengths: Sequence[int]) -> float:
    """Floating-point operations of the matrix products of a forward pass.

    A multiply-add counts two. A backward pass has two products for each one here.
    """
    width, dim = config.num_attention_heads * config.attention_head_dim, config.embedding_dim
    sizes = [length + config.additional_embeddings for length in lengths]
    count, rows = len(sizes), sum(sizes)
    ends = dim * width * (sum(lengths) + 3 * count) + width * dim * count
    layers = (config.num_layers - 1) * 12 * width**2 * rows
    last = width**2 * (2 * rows + 10 * count)
    attention = 2 * width * ((config.num_layers - 1) * sum(s * s for s in sizes) + rows)
    return 2.0 * (ends + layers + last + attention)
