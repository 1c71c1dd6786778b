"""A loss beside Eq. 1 that teaches a prior's tokens which of the scene's subjects they belong to.

A subject's states are its embedding, the same wherever its noun stands, so that only their position
says whether it is the second or the third, and captions differ in length. The words before and
after it say so. So tokens are asked for the number of their subject after every block that a later
one attends to, along fixed directions, which cost the prior no weights.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from lambda_eclipse.paper import MAX_SUBJECTS
from lambda_eclipse.prior import Prior
from train.loop.loop import generator

WEIGHT = 0.2


class Counting:
    """Watches a prior; `loss` is about its last forward pass."""

    def __init__(self, prior: Prior) -> None:
        config = prior.config
        width = config.num_attention_heads * config.attention_head_dim
        self.directions = torch.randn(width, MAX_SUBJECTS, generator=generator(0, 0)) / width**0.5
        self.seen: list[Tensor] = []  # tokens after each block, of the last pass
        seen = self.seen  # a copy of the prior must not copy what this object holds

        def watch(number: int) -> Callable[[object, object, Tensor], None]:
            def keep(_block: object, _given: object, tokens: Tensor) -> None:
                if number == 0:
                    seen.clear()
                seen.append(tokens)

            return keep

        for number, block in enumerate(prior.transformer_blocks[:-1]):
            block.register_forward_hook(watch(number))

    def loss(self, numbers: Tensor) -> Tensor:
        """`WEIGHT` times the mean cross-entropy; 0 where no token belongs to a subject.

        numbers: (B, L) of text tokens, 0 where they belong to no subject, else its number from 1.
        """
        tokens = [one[:, : numbers.shape[1]] for one in self.seen]
        self.seen.clear()
        own = numbers[:, : tokens[0].shape[1]]
        rows = own > 0
        if not rows.any():
            return tokens[0].new_zeros(())
        wanted = own[rows].long() - 1
        logits = (F.layer_norm(one[rows], one.shape[-1:]) @ self.directions for one in tokens)
        return WEIGHT * torch.stack([F.cross_entropy(one, wanted) for one in logits]).mean()
