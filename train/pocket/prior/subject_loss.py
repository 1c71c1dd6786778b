"""Auxiliary loss beside Eq. 1: each swapped token predicts its subject's number.

A subject's token states are its embedding, the same at every position of the caption, so only their
position distinguishes the second subject from the third, and captions differ in length. CLIP's
states of the neighbouring words do distinguish them: the loss teaches tokens to attend to those. It
applies after every block that a later one attends to, along fixed directions without parameters.
"""

import functools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lambda_eclipse.paper import MAX_SUBJECTS
from train.loop.task import generator

WEIGHT = 0.2


@functools.cache
def directions(width: int) -> Tensor:
    """Fixed random directions (W, `MAX_SUBJECTS`), one per subject number."""
    return torch.randn(width, MAX_SUBJECTS, generator=generator(0, 0)) / width**0.5


def subject_loss(states: Sequence[Tensor], numbers: Tensor) -> Tensor:
    """`WEIGHT` times the mean cross-entropy; 0 where no token belongs to a subject.

    states: token states (B, S, W) after some blocks, text first. numbers: (B, L) of text tokens,
    their subject's number from 1, or 0; L may exceed the text positions kept in S.
    """
    kept = numbers[:, : states[0].shape[1]]
    rows = kept > 0
    if not rows.any():
        return states[0].new_zeros(())
    target = kept[rows].long() - 1
    losses = []
    for state in states:
        tokens = state[:, : kept.shape[1]][rows]  # (tokens, W)
        logits = F.layer_norm(tokens, tokens.shape[-1:]) @ directions(state.shape[-1])
        losses.append(F.cross_entropy(logits, target))
    return WEIGHT * torch.stack(losses).mean()
