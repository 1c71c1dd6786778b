"""Image-text interleaving: subject embeddings take the place of their nouns (Sec. 3.2).

Letters: B prompts, L text positions, D embedding width, K subjects of one prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lambda_eclipse.tokens import Span


class Condition(NamedTuple):
    """The prior's inputs beside noise, as `Prior.forward` takes them.

    pooled: (1, D) text. states: (1, L, D). mask: (1, L) bool. control: (1, D).
    """

    pooled: Tensor
    states: Tensor
    mask: Tensor
    control: Tensor


def per_mention(
    spans: Sequence[Sequence[Span]], embeddings: Tensor, strengths: Sequence[float]
) -> tuple[list[list[Span]], list[Tensor], list[list[float]]]:
    """The arguments of `swap` for one prompt whose K subjects take one or more mentions each.

    spans: of each subject's mentions. embeddings: (K, D). strengths: K numbers.
    """
    rows = [row for row, own in enumerate(spans) for _ in own]
    flat = [span for own in spans for span in own]
    return [flat], [embeddings[rows]], [[strengths[row] for row in rows]]


def swap(
    states: Tensor,
    spans: Sequence[Sequence[Span]],
    embeddings: Sequence[Tensor],
    strengths: Sequence[Sequence[float]] | None = None,
) -> Tensor:
    """Text states with each subject's embedding at every position of its noun's span.

    states: (B, L, D) text states; not changed.
    spans: for each prompt, K token spans [start, end), not overlapping. A subject with several
        mentions comes once for each of them.
    embeddings: for each prompt, (K, D) image embeddings.
    strengths: for each prompt, K numbers s; the state becomes state + s · (embedding − state).
        None means 1: the embedding itself.
    Returns new states (B, L, D). ValueError when the arguments don't fit each other.
    """
    rows: list[int] = []
    columns: list[int] = []
    values: list[Tensor] = []
    weights: list[float] = []
    _check_count("spans", len(spans), len(states))
    _check_count("embeddings", len(embeddings), len(states))
    if strengths is not None:
        _check_count("strengths", len(strengths), len(states))
    for row, (row_spans, row_embeddings) in enumerate(zip(spans, embeddings, strict=True)):
        row_strengths = [1.0] * len(row_spans) if strengths is None else strengths[row]
        if not len(row_spans) == len(row_embeddings) == len(row_strengths):
            raise ValueError(
                f"Prompt {row} has {len(row_spans)} spans, {len(row_embeddings)} embeddings and "
                f"{len(row_strengths)} strengths; give one of each per subject."
            )
        held: set[int] = set()
        for span, embedding, strength in zip(row_spans, row_embeddings, row_strengths, strict=True):
            positions = range(*span)
            _check_span(span, states.shape[1], held)
            held.update(positions)
            rows += [row] * len(positions)
            columns += positions
            values += [embedding] * len(positions)
            weights += [strength] * len(positions)
    if not rows:
        return states.clone()
    index = (
        torch.tensor(rows, device=states.device),
        torch.tensor(columns, device=states.device),
    )
    new = torch.stack(values).to(states)  # (positions, D)
    if new.shape[-1] != states.shape[-1]:
        raise ValueError(
            f"Embeddings are {new.shape[-1]} wide and text states {states.shape[-1]}; "
            f"take both from the same CLIP model."
        )
    weight = torch.tensor(weights, dtype=states.dtype, device=states.device)[:, None]
    mixed = torch.lerp(states[index], new, weight)  # exact at 0 and at 1
    return states.index_put(index, mixed)


def _check_count(what: str, count: int, prompts: int) -> None:
    if count != prompts:
        raise ValueError(f"{count} lists of {what} for {prompts} prompts; give one per prompt.")


def _check_span(span: Span, length: int, held: set[int]) -> None:
    start, end = span
    if not 0 <= start < end <= length:
        raise ValueError(f"Span {span} is empty or outside the {length} text positions.")
    if held.intersection(range(start, end)):
        raise ValueError(f"Span {span} overlaps another subject's span of the same prompt.")
