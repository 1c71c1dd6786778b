"""What the start of the prior (`train.pocket.prior.start`) is fitted on: a sample of training
scenes.

As a step shows them, with what each block of the prior is given for them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lambda_eclipse.clip import TextFeatures
from lambda_eclipse.paper import MAX_SUBJECTS
from lambda_eclipse.pocket.closed_forms import ridge
from lambda_eclipse.prior import Prior, attention_masks

READ, DECAY = 800, 1e-4  # scenes of a relation that readers learn to read, and how cautiously
SUBJECT, START, CONTROL, TEXT, QUERY = 1, 2, 3, 4, 6  # kinds of tokens
DETECTED = 24  # batches that kinds of tokens are fitted on


@dataclass(frozen=True)
class Sample:
    """A batch of training scenes: text, which positions are subjects, relations, scenes.

    swapped (B, L): the number of a position's subject from 1, 0 for words; complete (B,) bool: all
    of the scene's subjects are shown; mapped (B,) bool: the control is an edge map; control and
    scenes (B, D).
    """

    text: TextFeatures
    swapped: Tensor
    complete: Tensor
    relations: tuple[str, ...]
    mapped: Tensor
    control: Tensor
    scenes: Tensor


def normed(x: Tensor) -> Tensor:
    """What a block's layers are given at the start."""
    return F.layer_norm(x, x.shape[-1:])


class Tokens:
    """What a block is given, token by token, over a part of the sample."""

    def __init__(self, prior: Prior, sample: Sequence[Sample], blocks: int) -> None:
        count = prior.config.additional_embeddings
        found: dict[str, list[Tensor]] = {"x": [], "kind": []}
        for part in sample[:DETECTED]:
            x, mask = given(prior, part, blocks)
            # what a token is: 0 text, 1 a subject, 2 the start, then the extra ones
            kind = (part.swapped[:, : mask.shape[1]] > 0).int()
            kind[:, 0] = START
            extra = torch.arange(CONTROL, CONTROL + count).expand(len(x), -1)
            real = torch.cat([mask, torch.ones_like(extra, dtype=torch.bool)], 1)
            found["x"].append(x[real])
            found["kind"].append(torch.cat([kind, extra], 1)[real])
        self.x, self.kind = (torch.cat(rows) for rows in found.values())

    def start(self) -> Tensor:
        """The start of the text, normalised (W,): the same in every scene."""
        return normed(self.x[self.kind == START][0])

    def detect(self, kind: int, last: int | None = None) -> tuple[Tensor, Tensor]:
        """Weight (W,) and bias () of what is about 1 at tokens of this kind, 0 at others.

        `last`: the last of several kinds.
        """
        wanted = (self.kind >= kind) & (self.kind <= (kind if last is None else last))
        weight, bias = ridge(normed(self.x), wanted.float()[:, None], strength=0.1)
        return weight[0], bias[0]


def given(prior: Prior, part: Sample, blocks: int) -> tuple[Tensor, Tensor]:
    """What the block after so many is given (B, S, W), and the mask of its text (B, L)."""
    text = part.text
    noise = torch.zeros_like(part.control)
    x, mask = prior.tokens(noise, text.pooled, text.states, text.mask, part.control)
    full, _ = attention_masks(mask, prior.config.additional_embeddings)
    for block in prior.transformer_blocks[:blocks]:
        x = block(x, x.shape[1], full, causal=full is None)
    return x, mask


def first_tokens(x: Tensor, swapped: Tensor) -> Tensor:
    """The first token of each subject (B, `MAX_SUBJECTS`, W) among tokens (B, S, W); else zero."""
    found = torch.zeros(len(x), MAX_SUBJECTS, x.shape[2])
    for number in range(MAX_SUBJECTS):
        mine = swapped == number + 1
        has = mine.any(1)
        found[has, number] = x[has, mine[has].int().argmax(1)]
    return found


class Texts:
    """Tokens of text of some scenes of each relation, as the readers' blocks are given them."""

    def __init__(self, prior: Prior, sample: Sequence[Sample], added: Tensor) -> None:
        self.scenes: dict[str, list[tuple[Tensor, Tensor]]] = {}
        for part in sample:
            x, mask = given(prior, part, 0)
            for i, relation in enumerate(part.relations):
                own = self.scenes.setdefault(relation, [])
                if part.complete[i] and len(own) < READ:
                    real = mask[i].nonzero()[1:, 0]  # without the start
                    numbers = part.swapped[i, real]
                    tokens = x[i, real] + added * (numbers > 0)[:, None]
                    own.append((normed(tokens), numbers))

    def selector(self, names: Sequence[str], number: int) -> tuple[Tensor, Tensor]:
        """Weight (W,) and bias () of what finds the tokens of subject `number`.

        `names`: the scenes' relations. A logistic regression of one token against each other in the
        same scene, scaled to put nine of ten right ones at least 1 above all others, these at 0.
        """
        each = max(READ // 4, 2 * READ // len(names))
        scenes = [scene for name in names for scene in self.scenes.get(name, [])[:each]]
        if not scenes:
            return torch.zeros(0), torch.zeros(())
        tokens = nn.utils.rnn.pad_sequence([x for x, _ in scenes], batch_first=True)
        numbers = nn.utils.rnn.pad_sequence([n for _, n in scenes], True, padding_value=-1)
        mine, others = numbers == number + 1, (numbers >= 0) & (numbers != number + 1)
        mean, std = tokens[numbers >= 0].mean(0), tokens[numbers >= 0].std(0) + 1e-2
        tokens = (tokens - mean) / std
        weight = torch.zeros(tokens.shape[2], requires_grad=True)
        optimizer = torch.optim.LBFGS([weight], max_iter=50, line_search_fn="strong_wolfe")

        def margins() -> tuple[Tensor, Tensor]:
            scores = tokens @ weight
            # the least of its own tokens must be above the sum of all others
            return (
                -(-scores).masked_fill(~mine, -torch.inf).logsumexp(1),
                scores.masked_fill(~others, -torch.inf).logsumexp(1),
            )

        def closure() -> Tensor:
            optimizer.zero_grad()
            own, rest = margins()
            loss = F.softplus(rest - own).mean() + DECAY * weight.square().sum()
            loss.backward()
            return loss

        with torch.enable_grad():
            optimizer.step(closure)
        weight = weight.detach()
        own, rest = margins()
        scale = (own - rest).quantile(0.1).clamp(min=(own - rest).median().abs() / 4 + 1e-3)
        weight = weight / scale
        return weight / std, -(mean / std) @ weight - rest.median() / scale
