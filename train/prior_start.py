"""Where the prior's training starts: at closed forms instead of at random.

Most of a scene's embedding is linear: in what its words say, and in each subject, by a map that its
place in the scene decides. A transformer from random weights is slow to find linear functions of
full rank, and slower to find who stands where. So it starts with them, all fitted on training
scenes:

- the first block's attention reads the pooled text: a ridge regression from words to the scene, and
  how sure the words are of each set of relations that matters to a reader;
- the next blocks' heads (`READERS`) fill one spot of the layout each: they read the subject that
  stands there, its number in the prompt depending on the relation, through a regression of reduced
  rank from that subject to what words and other subjects leave unsaid. Where the words are of no
  such relation, they read the start of the text, as zero;
- the output layer is the ridge regression of what has come together.

Positions start as smooth waves, large enough to tell one subject from the next: swapped tokens know
nothing else of where they stand. Everything else starts as nothing: feed-forward layers add zero,
and the noise, which the squared error has no use for, hardly enters.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lambda_eclipse.clip import TextFeatures
from lambda_eclipse.paper import MAX_SUBJECTS
from lambda_eclipse.prior import Attention, Prior, attention_masks

RIDGE, FULL = 100.0, 8000  # strength, and scenes below which it grows
ROUNDS = 3  # of fitting words and subjects in turn
NOISE_STD = 1e-3
WAVES, POSITION_STD = 8, 0.8
LONGEST_WAVE = 320.0  # positions; each wave is half as long as the one before
READ, DECAY = 800, 1e-4  # scenes of a relation that readers learn to read, and how cautiously
SUBJECT, START, CONTROL, TEXT, QUERY = 1, 2, 3, 4, 6  # kinds of tokens
DETECTED, JOINED = 24, 128  # batches that kinds of tokens, and the output layer, are fitted on
# logits: of the subject asked for, of the start, of its loss where the words are sure, and its gain
# for other tokens than the query
FOUND, NULL, SURE, OTHERS = 12.0, 20.0, 40.0, 60.0


@dataclass(frozen=True)
class Reader:
    """Heads (a share of a block's) that read the subject of one spot.

    `who`: relations, and the number in the prompt of the subject that stands there.
    """

    block: int
    heads: tuple[float, float]
    who: tuple[tuple[tuple[str, ...], int], ...]

    @property
    def relations(self) -> tuple[str, ...]:
        """All relations that have this spot."""
        return tuple(name for names, _ in self.who for name in names)


BESIDE = ("and", "looking", "chasing")
STACKED = ("sitting", "standing")
# the larger a spot, the more numbers it takes to say what stands there
READERS = (
    Reader(1, (0.0, 0.65), ((("alone",), 0),)),
    Reader(1, (0.65, 0.75), ((("front",), 1), (("front of",), 2))),
    Reader(1, (0.75, 0.8), ((("front",), 0),)),
    Reader(1, (0.8, 0.85), ((("four",), 0),)),
    Reader(1, (0.85, 0.9), ((("four",), 1),)),
    Reader(1, (0.9, 0.95), ((("with two",), 1), (("front of",), 0), (("four",), 2))),
    Reader(1, (0.95, 1.0), ((("with two",), 2), (("front of",), 1), (("four",), 3))),
    Reader(2, (0.0, 0.25), (((*BESIDE, "background"), 0),)),
    Reader(2, (0.25, 0.5), ((BESIDE, 1), (("background",), 1))),
    Reader(2, (0.5, 0.7), ((("wearing",), 0),)),
    Reader(2, (0.7, 0.8), ((("wearing",), 1),)),
    Reader(2, (0.8, 0.9), (((*STACKED, "with two"), 0), (("background",), 2))),
    Reader(2, (0.9, 1.0), ((STACKED, 1),)),
)
# what the words must be sure of: the relations of each reader, and of its parts
SETS = tuple(
    dict.fromkeys(
        names
        for reader in READERS
        for names in (reader.relations, *(names for names, _ in reader.who))
    )
)


@dataclass(frozen=True)
class Sample:
    """A batch of training scenes: text, which positions are subjects, relations, scenes.

    swapped (B, L): the number of a position's subject from 1, 0 for words; complete (B,) bool: all
    of the scene's subjects are shown; control and scenes (B, D).
    """

    text: TextFeatures
    swapped: Tensor
    complete: Tensor
    relations: tuple[str, ...]
    control: Tensor
    scenes: Tensor


def ridge(x: Tensor, y: Tensor, strength: float, centred: bool = True) -> tuple[Tensor, Tensor]:
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
    """A linear map (E, D), and what it was fitted on: inputs (n, D) of the sample's `rows` (n,)."""

    weight: Tensor
    x: Tensor
    rows: Tensor

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
        found: dict[str, list[Tensor]] = {"x": [], "kind": []}
        for part in sample[:DETECTED]:
            x, mask = _given(prior, part, blocks)
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

    def detect(self, kind: int) -> tuple[Tensor, Tensor]:
        """Weight (W,) and bias () of what is about 1 at tokens of this kind, 0 at others."""
        weight, bias = ridge(normed(self.x), (self.kind == kind).float()[:, None], strength=0.1)
        return weight[0], bias[0]


def _given(prior: Prior, part: Sample, blocks: int) -> tuple[Tensor, Tensor]:
    """What the block after so many is given (B, S, W), and the mask of its text (B, L)."""
    text = part.text
    noise = torch.zeros_like(part.control)
    x, mask = prior.tokens(noise, text.pooled, text.states, text.mask, part.control)
    full, _ = attention_masks(mask, prior.config.additional_embeddings)
    for block in prior.transformer_blocks[:blocks]:
        x = block(x, x.shape[1], full, causal=full is None)
    return x, mask


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
    swapped = torch.cat([part.text.states[part.swapped > 0] for part in sample])
    vectors = torch.linalg.eigh(torch.cov(swapped.T)).eigenvectors.T
    spare = vectors[: 2 * WAVES + config.additional_embeddings]  # where subjects differ least
    _start_tokens(prior, spare)
    scenes = torch.cat([part.scenes for part in sample])
    relations = [relation for part in sample for relation in part.relations]
    complete = torch.cat([part.complete for part in sample])
    said = torch.stack([_among(relations, names) for names in SETS], 1)  # (N, sets) bool
    codes = slice(width - len(SETS), width)  # coordinates of the query that say the relation

    words, subjects = _start_words(prior, sample)
    sure, offset = logistic(words, said.float())
    spread = (words @ sure.T).std(0)
    sure, offset = sure / spread[:, None], offset / spread
    left, attention = scenes, prior.transformer_blocks[0].attn1
    maps: dict[Reader, Map] = {}
    for _ in range(ROUNDS):
        weight, bias = ridge(words, left, RIDGE)
        weight[codes], bias[codes] = sure, offset
        attention.to_out[0].weight.copy_(weight)
        prior.prd_embedding[0, 0] = bias  # of the query alone: other tokens stay as they are
        before, after = _Tokens(prior, sample, 0), _Tokens(prior, sample, 1)
        added = (after.x - before.x)[after.kind == SUBJECT].mean(0)  # nearly the same to each
        unsaid = scenes - (words @ weight.T + bias)
        maps = _fit_maps(maps, unsaid, subjects, added, after.start(), spare, relations, complete)
        left = scenes - sum(_said_by(reader, found, len(scenes)) for reader, found in maps.items())
    strength = said.float() * (words @ sure.T + offset)  # of each set where it is true
    typical = strength.sum(0) / said.sum(0).clamp(min=1)
    texts = _Texts(prior, sample, added)
    selectors = {reader: [texts.selector(*part) for part in reader.who] for reader in READERS}
    for block in sorted({reader.block for reader in READERS if reader.block < config.num_layers}):
        _start_readers(prior, sample, block, maps, selectors, codes, typical)
    _start_output(prior, sample)


def _among(relations: Sequence[str], names: Sequence[str]) -> Tensor:
    """Which relations (N,) are one of the names: (N,) bool."""
    return torch.tensor([relation in names for relation in relations])


def _said_by(reader: Reader, found: Map, count: int) -> Tensor:
    """What a reader's map adds to each scene (count, W)."""
    out = torch.zeros(count, found.weight.shape[0])
    out[found.rows] = found.x @ found.weight.T
    return out


def _fit_maps(
    maps: dict[Reader, Map],
    unsaid: Tensor,
    subjects: Tensor,
    added: Tensor,
    start_of_text: Tensor,
    spare: Tensor,
    relations: Sequence[str],
    complete: Tensor,
) -> dict[Reader, Map]:
    """Each reader's map from its subject to what words and the other readers leave (N, W) unsaid.

    subjects: (N, `MAX_SUBJECTS`, W) as the first block is given them; it adds `added` to each.
    """
    left = unsaid - sum(_said_by(reader, found, len(unsaid)) for reader, found in maps.items())
    maps = dict(maps)
    for reader in READERS:
        numbers = torch.full((len(relations),), -1)
        for names, number in reader.who:
            numbers[_among(relations, names)] = number
        rows = ((numbers >= 0) & complete).nonzero()[:, 0]
        if reader in maps:
            left[rows] += maps[reader].x @ maps[reader].weight.T
        x = normed(subjects[rows, numbers[rows]] + added) - start_of_text
        x = x - x @ spare.T @ spare  # positions say nothing
        strength = RIDGE * max(1.0, FULL / max(1, len(rows)))
        weight, _ = ridge(x, left[rows], strength, centred=False)
        weight = weight - weight @ spare.T @ spare
        maps[reader] = Map(weight, x, rows)
        left[rows] -= x @ weight.T
    return maps


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


def _start_words(prior: Prior, sample: Sequence[Sample]) -> tuple[Tensor, Tensor]:
    """The first block's attention looks at the pooled text.

    Returns what it sees there (N, W), and each scene's subjects (N, `MAX_SUBJECTS`, W) as the block
    is given their first token; zero where there is none.
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
    words, subjects = [], []
    for part in sample:
        x, _ = _given(prior, part, 0)
        words.append(normed(x[:, -3]) - start_of_text)
        subjects.append(_subjects(x, part.swapped))
    return torch.cat(words), torch.cat(subjects)


def _subjects(x: Tensor, swapped: Tensor) -> Tensor:
    """The first token of each subject (B, `MAX_SUBJECTS`, W) among tokens (B, S, W); else zero."""
    found = torch.zeros(len(x), MAX_SUBJECTS, x.shape[2])
    for number in range(MAX_SUBJECTS):
        mine = swapped == number + 1
        has = mine.any(1)
        found[has, number] = x[has, mine[has].int().argmax(1)]
    return found


class _Texts:
    """Tokens of text of some scenes of each relation, as the readers' blocks are given them."""

    def __init__(self, prior: Prior, sample: Sequence[Sample], added: Tensor) -> None:
        self.scenes: dict[str, list[tuple[Tensor, Tensor]]] = {}
        for part in sample:
            x, mask = _given(prior, part, 0)
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
        scenes = [scene for name in names for scene in self.scenes.get(name, [])]
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


def _start_readers(
    prior: Prior,
    sample: Sequence[Sample],
    block: int,
    maps: dict[Reader, Map],
    selectors: dict[Reader, list[tuple[Tensor, Tensor]]],
    codes: slice,
    typical: Tensor,
) -> None:
    tokens, attention = _Tokens(prior, sample, block), prior.transformer_blocks[block].attn1
    is_query, is_start = map(tokens.detect, (QUERY, START))
    nothing = torch.zeros(attention.to_q.in_features)
    _clear(attention)
    for reader in (reader for reader in READERS if reader.block == block):
        here = range(*(round(share * attention.heads) for share in reader.heads))
        if not here:
            continue  # too few heads for all
        sure = [SETS.index(names) for names in (reader.relations, *(n for n, _ in reader.who))]
        reads = [nothing.clone() for _ in sure]  # queries that are 1 where words are sure
        for query, which in zip(reads, sure, strict=True):
            query[codes.start + which] = 1 / max(float(typical[which]), 0.1)
        rows = slice(_rows(attention, here[0]).start, _rows(attention, here[-1]).stop)
        out, value = maps[reader].reduced(rows.stop - rows.start)
        out[codes] = 0
        attention.to_v.weight[rows] = value
        attention.to_v.bias[rows] = -value @ tokens.start()
        attention.to_out[0].weight[:, rows] = out
        away = -SURE * reads[0] - OTHERS * is_query[0]
        for head in here:
            _score(attention, head, 0, (away, NULL + OTHERS * (1 - is_query[1])), is_start)
            for part, selector in enumerate(selectors[reader]):
                if not len(selector[0]):
                    continue  # no such scene
                asked = (FOUND * reads[1 + part], 0.0) if len(reader.who) > 1 else (nothing, FOUND)
                _score(attention, head, 1 + part, asked, selector)


def _start_output(prior: Prior, sample: Sequence[Sample]) -> None:
    """The output layer: from what the query holds at the end to the scene."""
    layer, prior.proj_to_clip_embeddings = prior.proj_to_clip_embeddings, nn.Identity()
    rows = []
    for part in sample[:JOINED]:
        noise, text = torch.zeros_like(part.control), part.text
        rows.append(prior(noise, text.pooled, text.states, text.mask, part.control))
    prior.proj_to_clip_embeddings = layer
    wanted = torch.cat([part.scenes for part in sample[:JOINED]])
    weight, bias = ridge(torch.cat(rows), wanted, RIDGE)
    layer.weight.copy_(weight)
    layer.bias.copy_(bias)
