"""Where the prior's training starts: at closed forms instead of at random.

Most of a scene's embedding is linear: in what its words say, and in each subject, whose numbers are
nearly copied. A transformer from random weights is slow to find linear functions of full rank, and
slower to find who stands where. So it starts with them, all fitted on training scenes:

- the first block's attention reads the pooled text: a ridge regression from words to the scene, and
  how sure the words are of each set of relations that matters to a reader;
- the next blocks' heads (`train.pocket.prior.readers`) read one subject each, through a regression
of
  reduced rank from that subject to what words and other subjects leave unsaid. Where the words are
  of no such relation, they read the start of the text, as zero;
- one head reads the edge map, if there is one: a regression from it to where subjects stand;
- the output layer is the ridge regression of what has come together.

Positions start as smooth waves, large enough to tell one subject from the next: swapped tokens know
nothing else of where they stand. Everything else starts as nothing: feed-forward layers add zero,
and the noise, which the squared error has no use for, hardly enters.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lambda_eclipse.pocket.closed_forms import ridge
from lambda_eclipse.pocket.embedding import LAYOUT
from lambda_eclipse.pocket.tower import SEMANTIC
from lambda_eclipse.prior import Prior
from lambda_eclipse.transformer import Attention
from train.pocket.prior.readers import (
    READERS,
    RIDGE,
    SETS,
    Map,
    Reader,
    among,
    fit_maps,
    logistic,
    said_by,
)
from train.pocket.prior.sample import (
    CONTROL,
    DETECTED,
    QUERY,
    START,
    SUBJECT,
    TEXT,
    Sample,
    Texts,
    Tokens,
    first_tokens,
    given,
    normed,
)

ROUNDS = 3  # of fitting words and subjects in turn
NOISE_STD = 1e-3
WAVES, POSITION_STD = 8, 0.8
LONGEST_WAVE = 320.0  # positions; each wave is half as long as the one before
JOINED = 128  # batches that the output layer is fitted on
# where the query says how sure words are: appearance numbers that matter least to scenes of any
# number of subjects
CODES = slice(SEMANTIC + LAYOUT + 364, SEMANTIC + LAYOUT + 364 + len(SETS))
# logits: of the subject asked for, of the start, of its loss where the words are sure, and its gain
# for other tokens than the query
FOUND, NULL, SURE, OTHERS = 12.0, 20.0, 40.0, 60.0


def waves(count: int, directions: Tensor) -> Tensor:
    """Position codes (count, W): waves along unit `directions` (2 WAVES, W), of `POSITION_STD`."""
    width = directions.shape[1]
    phase = torch.arange(count)[:, None] * 2 * math.pi / (LONGEST_WAVE / 2 ** torch.arange(WAVES))
    code = torch.cat([phase.sin(), phase.cos()], 1)  # (count, 2 W), rows of norm √W
    return POSITION_STD * (width / WAVES) ** 0.5 * code @ directions


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
    heads = 1 + max(reader.heads[-1] for reader in READERS)
    blocks = 1 + max(reader.block for reader in READERS)
    if config.num_attention_heads < heads or config.num_layers < blocks:
        raise ValueError(f"the readers need {blocks} blocks of {heads} heads")
    swapped = torch.cat([part.text.states[part.swapped > 0] for part in sample])
    vectors = torch.linalg.eigh(torch.cov(swapped.T)).eigenvectors.T
    spare = vectors[: 2 * WAVES + config.additional_embeddings]  # where subjects differ least
    _start_tokens(prior, spare)
    scenes = torch.cat([part.scenes for part in sample])
    relations = [relation for part in sample for relation in part.relations]
    complete = torch.cat([part.complete for part in sample])
    said = torch.stack([among(relations, names) for names in SETS], 1)  # (N, sets) bool

    words, subjects = _start_words(prior, sample)
    sure, offset = logistic(words, said.float())
    spread = (words @ sure.T).std(0)
    sure, offset = sure / spread[:, None], offset / spread
    left, attention = scenes, prior.transformer_blocks[0].attn1
    maps: dict[Reader, Map] = {}
    for _ in range(ROUNDS):
        weight, bias = ridge(words, left, RIDGE)
        weight[CODES], bias[CODES] = sure, offset
        attention.to_out[0].weight.copy_(weight)
        prior.prd_embedding[0, 0] = bias  # of the query alone: other tokens stay as they are
        before, after = Tokens(prior, sample, 0), Tokens(prior, sample, 1)
        added = (after.x - before.x)[after.kind == SUBJECT].mean(0)  # nearly the same to each
        unsaid = scenes - (words @ weight.T + bias)
        maps = fit_maps(maps, unsaid, subjects, added, after.start(), spare, relations, complete)
        left = scenes - sum(said_by(reader, found, len(scenes)) for reader, found in maps.items())
    texts = Texts(prior, sample, added)
    parts = {part for reader in READERS for part in reader.who}
    selectors = {part: texts.selector(*part) for part in sorted(parts)}
    for block in sorted({reader.block for reader in READERS}):
        _start_readers(prior, sample, block, maps, selectors)
    mapped = torch.cat([part.mapped for part in sample])
    _start_control(prior, sample, left[mapped])
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


def _start_words(prior: Prior, sample: Sequence[Sample]) -> tuple[Tensor, Tensor]:
    """The first block's attention looks at the pooled text.

    Returns what it sees there (N, W), and each scene's subjects (N, `MAX_SUBJECTS`, W) as the block
    is given their first token; zero where there is none.
    """
    tokens, attention = Tokens(prior, sample, 0), prior.transformer_blocks[0].attn1
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
        x, _ = given(prior, part, 0)
        words.append(normed(x[:, -3]) - start_of_text)
        subjects.append(first_tokens(x, part.swapped))
    return torch.cat(words), torch.cat(subjects)


def _start_readers(
    prior: Prior,
    sample: Sequence[Sample],
    block: int,
    maps: dict[Reader, Map],
    selectors: dict[tuple[tuple[str, ...], int], tuple[Tensor, Tensor]],
) -> None:
    tokens, attention = Tokens(prior, sample, block), prior.transformer_blocks[block].attn1
    is_query, is_start = map(tokens.detect, (QUERY, START))
    is_extra = tokens.detect(CONTROL, QUERY)
    asking = _Asking(prior, sample, block)
    nothing = torch.zeros(attention.to_q.in_features)
    _clear(attention)
    for reader in (reader for reader in READERS if reader.block == block):
        here = reader.heads
        reads = [asking.of(names) for names in (reader.relations, *(n for n, _ in reader.who))]
        rows = slice(_rows(attention, here[0]).start, _rows(attention, here[-1]).stop)
        out, value = maps[reader].reduced(rows.stop - rows.start)
        out[CODES] = 0
        attention.to_v.weight[rows] = value
        attention.to_v.bias[rows] = -value @ tokens.start()
        attention.to_out[0].weight[:, rows] = out
        away = -SURE * reads[0][0] - OTHERS * is_query[0]
        stays = NULL - SURE * reads[0][1] + OTHERS * (1 - is_query[1])
        for head in here:
            _score(attention, head, 0, (away, stays), is_start)
            for part, who in enumerate(reader.who):
                selector = selectors[who]
                if not len(selector[0]):
                    continue  # no such scene
                weight, bias = reads[1 + part] if len(reader.who) > 1 else (nothing, 1.0)
                _score(attention, head, 1 + part, (FOUND * weight, FOUND * bias), selector)
            # what finds a subject among words knows nothing of the tokens after them
            _score(attention, head, 1 + len(reader.who), (nothing, -OTHERS), is_extra)


class _Asking:
    """How sure words are of each set of relations, as the query says it at a block."""

    def __init__(self, prior: Prior, sample: Sequence[Sample], block: int) -> None:
        sample = sample[:DETECTED]
        query = torch.cat([normed(given(prior, part, block)[0][:, -1]) for part in sample])
        relations = [relation for part in sample for relation in part.relations]
        complete = torch.cat([part.complete for part in sample])
        self.width = query.shape[1]
        self.levels: list[tuple[float, float]] = []  # where it is false, and where it is true
        for code, names in zip(query[:, CODES].T, SETS, strict=True):
            said = among(relations, names)
            low, high = (code[complete & where].mean().nan_to_num() for where in (~said, said))
            self.levels.append((float(low), float(high)))

    def of(self, names: tuple[str, ...]) -> tuple[Tensor, float]:
        """Weight (W,) and bias of what is 1 in the query where words are of these, else 0."""
        weight = torch.zeros(self.width)
        if names not in SETS:
            return weight, 1.0  # all there are
        low, high = self.levels[SETS.index(names)]
        scale = 1 / max(high - low, 0.1)
        weight[CODES.start + SETS.index(names)] = scale
        return weight, -low * scale


def _start_control(prior: Prior, sample: Sequence[Sample], left: Tensor) -> None:
    """The last head of the second block moves subjects to where an edge map has them.

    left (n, W): what words and subjects leave unsaid of the scenes that have one.
    """
    if not len(left):
        return
    block = 1
    tokens, attention = Tokens(prior, sample, block), prior.transformer_blocks[block].attn1
    maps, null = [], None
    for part in sample:
        x = normed(given(prior, part, block)[0][:, -prior.config.additional_embeddings])
        maps.append(x[part.mapped])
        if null is None and not part.mapped.all():
            null = x[~part.mapped][0]
    assert null is not None
    away = F.normalize(tokens.start() - null, dim=0)
    x = torch.cat(maps) - null
    x = x - (x @ away)[:, None] * away  # so that both no map and the start of the text add nothing
    here = slice(SEMANTIC, SEMANTIC + LAYOUT)
    weight, _ = ridge(x, left[:, here], RIDGE, centred=False)
    weight = weight - (weight @ away)[:, None] * away
    head = attention.heads - 1
    rows = _rows(attention, head)
    said = slice(rows.start, rows.start + LAYOUT)
    attention.to_v.weight[said] = weight
    attention.to_v.bias[said] = -weight @ null
    attention.to_out[0].weight[here, said] = torch.eye(LAYOUT)
    is_query, is_start, is_map = map(tokens.detect, (QUERY, START, CONTROL))
    _score(attention, head, 0, (OTHERS * is_query[0], OTHERS * is_query[1] - OTHERS / 2), is_map)
    _score(attention, head, 1, (torch.zeros_like(null), OTHERS / 4), is_start)


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
