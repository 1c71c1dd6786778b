"""Where the prior's training starts: at closed forms instead of at random.

Most of a scene's embedding is linear: in what its words say, and in each subject, by a map that its
place in the scene decides. A transformer from random weights is slow to find linear functions of
full rank, and slower to find who stands where. So it starts with them, all fitted on training
scenes:

- the first block's attention reads the pooled text: a ridge regression from words to the scene, and
  per group of relations (`GROUPS`) how sure the words are of it;
- the next blocks' heads (`READERS`) read one subject each: the first or the last of the prompt,
  when the words are sure of the group, through a regression of reduced rank from that subject to
  what the words leave unsaid. Where they are not, they read the start of the text, as zero;
- the output layer is the ridge regression of what has come together.

Positions start as smooth waves, large enough to tell the first subject from the last: swapped
tokens know nothing else of where they stand. Everything else starts as nothing: feed-forward layers
add zero, and the noise, which the squared error has no use for, hardly enters.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lambda_eclipse.clip import TextFeatures
from lambda_eclipse.prior import Attention, Prior, attention_masks

GROUPS = {
    "alone": ("alone",),
    "beside": ("and", "looking", "chasing"),
    "wearing": ("wearing",),
    "stacked": ("sitting", "standing"),
    "front": ("front",),
}
RIDGE = 10.0
ROUNDS = 3  # of fitting words and subjects in turn
NOISE_STD = 1e-3
WAVES, POSITION_STD = 8, 0.8
LONGEST_WAVE = 320.0  # positions; each wave is half as long as the one before
SUBJECT, START, CONTROL, TEXT, QUERY = 1, 2, 3, 4, 6  # kinds of tokens
DETECTED, JOINED = 24, 64  # batches that kinds of tokens, and the output layer, are fitted on
SURE, ORDER, NULL, OTHERS = 50.0, 1.5, 14.0, 200.0  # logits: of a group, per position, of the start


@dataclass(frozen=True)
class Reader:
    """Heads (a share of a block's) that read the first or the last subject of a group's scenes."""

    block: int
    heads: tuple[float, float]
    group: str
    first: bool


READERS = (
    Reader(1, (0.0, 0.5), "alone", True),
    Reader(1, (0.5, 0.7), "wearing", True),
    Reader(1, (0.7, 0.8), "wearing", False),
    Reader(1, (0.8, 0.9), "front", True),
    Reader(1, (0.9, 1.0), "front", False),
    Reader(2, (0.0, 0.4), "beside", True),
    Reader(2, (0.4, 0.8), "beside", False),
    Reader(2, (0.8, 0.9), "stacked", True),
    Reader(2, (0.9, 1.0), "stacked", False),
)


@dataclass(frozen=True)
class Sample:
    """A batch of training scenes: text, which positions are subjects, relations, scenes.

    swapped (B, L) bool; complete (B,) bool: all of the scene's subjects are shown; control and
    scenes (B, D).
    """

    text: TextFeatures
    swapped: Tensor
    complete: Tensor
    relations: tuple[str, ...]
    control: Tensor
    scenes: Tensor


def ridge(
    x: Tensor, y: Tensor, centred: bool = True, strength: float = RIDGE
) -> tuple[Tensor, Tensor]:
    """Weight (E, D) and bias (E,) of the ridge regression of y (N, E) on x (N, D)."""
    x_mean = x.mean(0) if centred else torch.zeros(x.shape[1])
    y_mean = y.mean(0) if centred else torch.zeros(y.shape[1])
    gram = (x - x_mean).T @ (x - x_mean) + strength * torch.eye(x.shape[1])
    weight = torch.linalg.solve(gram, (x - x_mean).T @ (y - y_mean)).T
    return weight, y_mean - weight @ x_mean


def logistic(x: Tensor, y: Tensor, decay: float = 1e-4) -> tuple[Tensor, Tensor]:
    """Weight (G, D) and bias (G,) of one logistic regression per column of y (N, G), 0 or 1."""
    mean, std = x.mean(0), x.std(0) + 1e-4
    scaled = (x - mean) / std
    weight = torch.zeros(y.shape[1], x.shape[1], requires_grad=True)
    bias = torch.zeros(y.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(scaled @ weight.T + bias, y)
        loss = loss + decay * weight.square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    final = weight.detach() / std
    return final, bias.detach() - final @ mean


@dataclass(frozen=True)
class Map:
    """A linear map (E, D), and what it was fitted on (N, D)."""

    weight: Tensor
    x: Tensor

    def reduced(self, rank: int) -> tuple[Tensor, Tensor]:
        """Factors (E, r), (r, D) of the best map of that rank for these inputs."""
        y = self.x @ self.weight.T
        vectors = torch.linalg.eigh(y.T @ y).eigenvectors[:, -rank:]  # (E, r)
        return vectors, vectors.T @ self.weight


def waves(count: int, directions: Tensor) -> Tensor:
    """Position codes (count, W): waves along unit `directions` (2 WAVES, W), of `POSITION_STD`."""
    width = directions.shape[1]
    phase = torch.arange(count)[:, None] * 2 * math.pi / (LONGEST_WAVE / 2 ** torch.arange(WAVES))
    code = torch.cat([phase.sin(), phase.cos()], 1)  # (count, 2 W), rows of norm √W
    return POSITION_STD * (width / WAVES) ** 0.5 * code @ directions


def normed(x: Tensor) -> Tensor:
    """What a block's layers are given at the start."""
    return F.layer_norm(x, x.shape[-1:])


class _Tokens:
    """What a block is given, token by token, over a part of the sample."""

    def __init__(self, prior: Prior, sample: Sequence[Sample], blocks: int) -> None:
        count = prior.config.additional_embeddings
        found: dict[str, list[Tensor]] = {"x": [], "kind": [], "position": []}
        for part in sample[:DETECTED]:
            x, mask = _given(prior, part)
            full, _ = attention_masks(mask, count)
            for block in prior.transformer_blocks[:blocks]:
                x = block(x, x.shape[1], full, causal=full is None)
            # what a token is: 0 text, 1 a subject, 2 the start, then the extra ones
            kind = part.swapped[:, : mask.shape[1]].int()
            kind[:, 0] = START
            extra = torch.arange(CONTROL, CONTROL + count).expand(len(x), -1)
            real = torch.cat([mask, torch.ones_like(extra, dtype=torch.bool)], 1)
            found["x"].append(x[real])
            found["kind"].append(torch.cat([kind, extra], 1)[real])
            found["position"].append(torch.arange(x.shape[1]).expand(len(x), -1)[real])
        self.x, self.kind, self.position = (torch.cat(rows) for rows in found.values())

    def start(self) -> Tensor:
        """The start of the text, normalised (W,): the same in every scene."""
        return normed(self.x[self.kind == START][0])

    def detect(self, kind: int) -> tuple[Tensor, Tensor]:
        """Weight (W,) and bias () of what is about 1 at tokens of this kind, 0 at others."""
        return self._fit((self.kind == kind).float())

    def order(self, first: bool) -> tuple[Tensor, Tensor]:
        """The same of what is 0 at the likeliest position and falls by 1 for each further one."""
        position = self.position.float()
        longest = position[self.kind == SUBJECT].max()
        value = torch.where(self.kind == START, 0.0, -longest)
        subjects = -position if first else position - longest
        return self._fit(torch.where(self.kind == SUBJECT, subjects, value), 8)

    def _fit(self, target: Tensor, repeats: int = 1) -> tuple[Tensor, Tensor]:
        """By ridge regression; each subject counts as `repeats` other tokens."""
        rows = torch.arange(len(target)).repeat_interleave(
            torch.where(self.kind == SUBJECT, repeats, 1)
        )
        weight, bias = ridge(normed(self.x)[rows], target[rows, None], strength=0.1)
        return weight[0], bias[0]


def _given(prior: Prior, part: Sample) -> tuple[Tensor, Tensor]:
    text = part.text
    noise = torch.zeros_like(part.control)
    return prior.tokens(noise, text.pooled, text.states, text.mask, part.control)


def _rows(attention: Attention, head: int) -> slice:
    width = attention.to_q.out_features // attention.heads
    return slice(head * width, (head + 1) * width)


def _clear(attention: Attention) -> None:
    for layer in (attention.to_q, attention.to_k, attention.to_v, attention.to_out[0]):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)


def _score(
    attention: Attention,
    head: int,
    slot: int,
    query: tuple[Tensor, Tensor | float],
    key: tuple[Tensor, Tensor | float],
) -> None:
    """Adds (query · x + b)(key · y + c) to a head's logits, by the coordinate `slot`."""
    rows = _rows(attention, head)
    at = rows.start + slot
    attention.to_q.weight[at], attention.to_q.bias[at] = query[0], float(query[1])
    scale = (rows.stop - rows.start) ** 0.5
    attention.to_k.weight[at], attention.to_k.bias[at] = scale * key[0], scale * float(key[1])


@torch.no_grad()
def start(prior: Prior, sample: Sequence[Sample]) -> None:
    """Sets the weights of a prior that is as wide as its embeddings.

    ValueError when the prior's width is not that of the embeddings: a narrower one cuts the rank of
    what it can carry.
    """
    config = prior.config
    width = config.num_attention_heads * config.attention_head_dim
    if width != config.embedding_dim:
        raise ValueError(f"the prior is {width} wide inside; its embeddings {config.embedding_dim}")
    subjects = torch.cat([part.text.states[part.swapped] for part in sample])
    vectors = torch.linalg.eigh(torch.cov(subjects.T)).eigenvectors.T
    spare = vectors[: 2 * WAVES + config.additional_embeddings]  # where subjects differ least
    _start_tokens(prior, spare)
    scenes = torch.cat([part.scenes for part in sample])
    relations = [relation for part in sample for relation in part.relations]
    complete = torch.cat([part.complete for part in sample])
    member = {
        group: complete & torch.tensor([relation in names for relation in relations])
        for group, names in GROUPS.items()
    }
    spoken = torch.tensor([[r in names for names in GROUPS.values()] for r in relations]).float()
    codes = slice(width - len(GROUPS), width)  # coordinates of the query that say the group

    words, ends = _start_words(prior, sample)
    sure, offset = logistic(words, spoken)
    spread = (words @ sure.T).std(0)
    sure, offset = sure / spread[:, None], offset / spread
    left, attention = scenes, prior.transformer_blocks[0].attn1
    for _ in range(ROUNDS):
        weight, bias = ridge(words, left)
        weight[codes], bias[codes] = sure, offset
        attention.to_out[0].weight.copy_(weight)
        prior.prd_embedding[0, 0] = bias  # of the query alone: other tokens stay as they are
        before, after = _Tokens(prior, sample, 0), _Tokens(prior, sample, 1)
        added = (after.x - before.x)[after.kind == SUBJECT].mean(0)  # nearly the same to each
        unsaid = scenes - (words @ weight.T + bias)
        left = scenes.clone()
        maps: dict[tuple[str, bool], Map] = {}
        for group in GROUPS:
            mine = member[group]
            firsts = [reader.first for reader in READERS if reader.group == group]
            inputs = [normed(ends[first][mine] + added) - after.start() for first in firsts]
            inputs = [x - x @ spare.T @ spare for x in inputs]  # positions say nothing
            fitted, _ = ridge(torch.cat(inputs, 1), unsaid[mine], centred=False)
            for first, x, part in zip(firsts, inputs, fitted.split(width, 1), strict=True):
                maps[group, first] = Map(part - part @ spare.T @ spare, x)
                left[mine] -= x @ part.T
    for block in sorted({reader.block for reader in READERS if reader.block < config.num_layers}):
        _start_readers(prior, sample, block, maps, codes)
    _start_output(prior, sample)


def _start_tokens(prior: Prior, directions: Tensor) -> None:
    """Tokens as they come, with positions along `directions` (n, W); blocks that add nothing."""
    nn.init.zeros_(prior.prd_embedding)
    count, extra = prior.config.num_embeddings, prior.config.additional_embeddings
    prior.positional_embedding[0, :count] = waves(count, directions[: 2 * WAVES])
    size = POSITION_STD * directions.shape[1] ** 0.5
    prior.positional_embedding[0, count:] = size * directions[2 * WAVES : 2 * WAVES + extra]
    nn.init.normal_(prior.proj_in.weight, std=NOISE_STD)
    nn.init.zeros_(prior.proj_in.bias)
    for layer in (
        prior.encoder_hidden_states_proj,
        prior.embedding_proj,
        prior.embedding_control,
    ):
        nn.init.eye_(layer.weight)
        nn.init.zeros_(layer.bias)
    for block in prior.transformer_blocks:
        nn.init.zeros_(block.ff.net[2].weight)
        nn.init.zeros_(block.ff.net[2].bias)
        nn.init.zeros_(block.attn1.to_out[0].weight)
        nn.init.zeros_(block.attn1.to_out[0].bias)


def _start_words(prior: Prior, sample: Sequence[Sample]) -> tuple[Tensor, dict[bool, Tensor]]:
    """The first block's attention looks at the pooled text.

    Returns what it sees there (N, W), and each scene's first (True) and last subject (N, W) as the
    block is given them; a scene without subjects has some other token there.
    """
    tokens, attention = _Tokens(prior, sample, 0), prior.transformer_blocks[0].attn1
    _clear(attention)
    nothing = torch.zeros(attention.to_q.in_features)
    for head in range(attention.heads):
        for slot, (kind, logit) in enumerate(((TEXT, 30.0), (START, 15.0))):
            _score(attention, head, slot, (nothing, logit), tokens.detect(kind))
    start_of_text = tokens.start()
    nn.init.eye_(attention.to_v.weight)
    attention.to_v.bias.copy_(-start_of_text)  # so that looking there adds nothing
    words, ends = [], {True: [], False: []}
    for part in sample:
        x, mask = _given(prior, part)
        swapped, each = part.swapped[:, : mask.shape[1]].int(), torch.arange(len(x))
        words.append(normed(x[:, -3]) - start_of_text)
        ends[True].append(x[each, swapped.argmax(1)])
        ends[False].append(x[each, swapped.shape[1] - 1 - swapped.flip(1).argmax(1)])
    return torch.cat(words), {first: torch.cat(rows) for first, rows in ends.items()}


def _start_readers(
    prior: Prior,
    sample: Sequence[Sample],
    block: int,
    maps: dict[tuple[str, bool], Map],
    codes: slice,
) -> None:
    tokens, attention = _Tokens(prior, sample, block), prior.transformer_blocks[block].attn1
    is_query, is_subject, is_start = map(tokens.detect, (QUERY, SUBJECT, START))
    nothing = torch.zeros(attention.to_q.in_features)
    _clear(attention)
    for reader in (reader for reader in READERS if reader.block == block):
        here = range(*(round(share * attention.heads) for share in reader.heads))
        if not here:
            continue  # too few heads for all
        query = OTHERS * is_query[0]
        query[codes.start + list(GROUPS).index(reader.group)] += SURE
        rows = slice(_rows(attention, here[0]).start, _rows(attention, here[-1]).stop)
        out, value = maps[reader.group, reader.first].reduced(rows.stop - rows.start)
        out[codes] = 0
        attention.to_v.weight[rows] = value
        attention.to_v.bias[rows] = -value @ tokens.start()
        attention.to_out[0].weight[:, rows] = out
        for head in here:
            _score(attention, head, 0, (query, OTHERS * (is_query[1] - 1)), is_subject)
            _score(attention, head, 1, (nothing, ORDER), tokens.order(reader.first))
            _score(attention, head, 2, (nothing, NULL), is_start)


def _start_output(prior: Prior, sample: Sequence[Sample]) -> None:
    """The output layer: from what the query holds at the end to the scene."""
    layer, prior.proj_to_clip_embeddings = prior.proj_to_clip_embeddings, nn.Identity()
    rows = []
    for part in sample[:JOINED]:
        noise, text = torch.zeros_like(part.control), part.text
        rows.append(prior(noise, text.pooled, text.states, text.mask, part.control))
    prior.proj_to_clip_embeddings = layer
    weight, bias = ridge(torch.cat(rows), torch.cat([part.scenes for part in sample[:JOINED]]))
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)
