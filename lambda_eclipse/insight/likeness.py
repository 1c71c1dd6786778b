"""What CLIP says about a request and its results: nouns, the risk of blending, likeness.

Embeddings are those of `Clip.image`, `Clip.text` and `Studio.embed`, unnormalised. A cosine is in
[-1, 1]. Letters: D embedding width, K subjects, V words of a vocabulary, n variations.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Literal
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from lambda_eclipse.images import flatten
from lambda_eclipse.tokens import plurals

if TYPE_CHECKING:
    from lambda_eclipse.clip import Clip
    from lambda_eclipse.pipeline import Studio
    from lambda_eclipse.request import Request

Level = Literal["low", "some", "high"]
LEVELS: tuple[Level, ...] = ("low", "some", "high")

# Cosines from which a pair of subjects blends "some" and "high". Measured with the pocket CLIP on
# two stickers each of 60 nouns, about their mean: 95 % of the pairs of different nouns lie under
# 0.34, and half of the pairs of one noun above 0.51.
CENTRED_THRESHOLDS = (0.35, 0.55)
# Large published CLIPs crowd all pictures into a narrow cone, where even unrelated ones are close.
RAW_THRESHOLDS = (0.65, 0.8)

TEXT_BATCH = 256

_phrases: WeakKeyDictionary[Clip, dict[str, Tensor]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Blend:
    """How likely two subjects melt into one; `first` and `second` count from 0."""

    first: int
    second: int
    cosine: float
    same_noun: bool
    level: Level


@dataclass(frozen=True)
class Score:
    """A likeness: what it is to, its cosine, and the same as a fraction in [0, 1] for a bar."""

    label: str
    cosine: float
    fraction: float


@dataclass(frozen=True)
class Likeness:
    """How like a result is to each subject, in the request's order, and to the prompt."""

    subjects: tuple[Score, ...]
    text: Score


@torch.no_grad()
def propose_nouns(
    clip: Clip,
    subject: Image.Image | Tensor,
    vocabulary: Sequence[str],
    count: int = 5,
    template: str = "a {}",
    whole: Image.Image | None = None,
) -> list[tuple[str, float]]:
    """The `count` words that fit a subject best, with their probabilities, best first.

    subject: its picture, best alone on white as `Studio.prepare` makes it, or its embedding (D,)
    or (1, D). vocabulary: words to choose from; repeated ones count once. template: the phrase
    that CLIP reads of each. whole: the picture that the subject was cut out of, RGB; what is around
    a subject tells what it is, too, so both count the same. The probabilities, in [0, 1], are
    CLIP's own over the vocabulary: they sum to 1 over all of its words.

    The phrases' embeddings are computed once per `clip` and kept for as long as it lives, so
    its weights must not change. ValueError for an empty vocabulary, one with empty words, a
    template without {}, a count under 1, or an embedding of another width.
    """
    words = list(dict.fromkeys(vocabulary))
    if not words or not all(word.strip() for word in words):
        raise ValueError("The vocabulary is empty or has an empty word: give words to choose from.")
    if "{}" not in template or count < 1:
        raise ValueError(f'Template "{template}", count {count}: use "a {{}}" and at least 1.')
    if isinstance(subject, Tensor):
        embedding = subject.detach().float().cpu().reshape(1, -1)  # (1, D)
    else:
        embedding = clip.image([flatten(subject)]).float().cpu()  # (1, D)
    if whole is not None:
        around = clip.image([flatten(whole)]).float().cpu()  # (1, D)
        embedding = F.normalize(embedding, dim=1) + F.normalize(around, dim=1)  # (1, D)
    text = _read(clip, [template.format(word) for word in words])  # (V, D)
    scale = float(clip.model.logit_scale.exp())
    chances = (scale * cosines(embedding[0], text)).softmax(dim=0)  # (V,)
    best = chances.topk(min(count, len(words)))
    return [(words[i], p) for p, i in zip(*(t.tolist() for t in best), strict=True)]


def cosines(one: Tensor, others: Tensor, mean: Tensor | None = None) -> Tensor:
    """(K,) float32 cosines between an embedding (D,) and others (K, D), about `mean` (D,) if given.

    All embeddings of a CLIP share a large part; about the mean of a reference set, which lacks
    it, cosines separate like from unlike better. Zero where a vector is zero. ValueError for
    unfitting shapes.
    """
    if one.ndim != 1 or others.ndim != 2 or others.shape[1] != len(one):
        raise ValueError(
            f"Embeddings are {tuple(one.shape)} and {tuple(others.shape)}; expected (D,), (K, D)."
        )
    one, others = one.float().cpu(), others.float().cpu()
    if mean is not None:
        if mean.shape != one.shape:
            raise ValueError(f"The mean is {tuple(mean.shape)}; expected {tuple(one.shape)}.")
        mean = mean.float().cpu()
        one, others = one - mean, others - mean
    return torch.cosine_similarity(one[None], others, dim=1).clamp(-1, 1)


def blend_risk(
    embeddings: Tensor | Sequence[Tensor],
    nouns: Sequence[str],
    mean: Tensor | None = None,
    thresholds: tuple[float, float] | None = None,
) -> list[Blend]:
    """The risk that subjects melt into one, for each pair of them; the riskiest pair first.

    embeddings: (K, D) of the subjects, or K of (D,). nouns: their K nouns. mean: as in `cosines`.
    thresholds: cosines from which the risk is "some" and "high"; None takes CENTRED_THRESHOLDS
    with a mean and RAW_THRESHOLDS without. One noun for both, be it in the plural, is one level
    more.
    ValueError for unfitting shapes and for thresholds out of order.
    """
    if not isinstance(embeddings, Tensor):
        embeddings = torch.stack(tuple(embeddings)) if embeddings else torch.empty(0, 1)
    if embeddings.ndim != 2 or len(embeddings) != len(nouns):
        raise ValueError(f"Embeddings are {tuple(embeddings.shape)} for {len(nouns)} nouns.")
    if thresholds is None:
        thresholds = RAW_THRESHOLDS if mean is None else CENTRED_THRESHOLDS
    if not -1 <= thresholds[0] <= thresholds[1] <= 1:
        raise ValueError(f"Thresholds {thresholds}: give two rising cosines in [-1, 1].")
    found = []
    for i, j in combinations(range(len(nouns)), 2):
        cosine = float(cosines(embeddings[i], embeddings[j : j + 1], mean)[0])
        same = _same_noun(nouns[i], nouns[j])
        rank = sum(cosine >= threshold for threshold in thresholds) + same
        found.append(Blend(i, j, cosine, same, LEVELS[min(rank, 2)]))
    return sorted(found, key=lambda blend: (-LEVELS.index(blend.level), -blend.cosine))


@torch.no_grad()
def likeness(
    studio: Studio,
    image: Image.Image,
    request: Request,
    mean: Tensor | None = None,
    subject_range: tuple[float, float] = (0.0, 1.0),
    text_range: tuple[float, float] = (0.0, 1.0),
) -> Likeness:
    """How like a result is to the subjects and to the prompt of its request, as CLIP sees it.

    image: the finished picture, RGB; it is read anew by the image tower. mean: as in `cosines`,
    for the subjects, which are compared as `Clip.alike` does without it. The ranges are the
    cosines at which a bar is empty and full: those of a prompt are small in large CLIPs (0.3 is
    good there), so (0.1, 0.4) shows more. Errors as in `Studio.subject_embedding` and `fraction`.
    """
    with studio.models.encoders() as (clip, _):
        result = clip.image([flatten(image)])[0]  # (D,)
        text = clip.text([request.prompt]).pooled  # (1, D)
        subjects = [studio.subject_embedding(subject) for subject in request.subjects]  # (D,) each
    kept = torch.stack(subjects) if subjects else torch.empty(0, len(result))  # (K, D)
    found = clip.alike(result, kept) if mean is None else cosines(result, kept, mean)  # (K,)
    scores = tuple(
        Score(subject.noun, cosine, fraction(cosine, *subject_range))
        for subject, cosine in zip(request.subjects, found.clamp(-1, 1).tolist(), strict=True)
    )
    cosine = float(cosines(result, text)[0])
    return Likeness(scores, Score(request.prompt, cosine, fraction(cosine, *text_range)))


def fraction(cosine: float, low: float = 0.0, high: float = 1.0) -> float:
    """A cosine as a share in [0, 1] of the way from `low` to `high`; ValueError if low ≥ high."""
    if not low < high:
        raise ValueError(f"A bar from {low} to {high}: it must begin under its end.")
    return min(max((cosine - low) / (high - low), 0.0), 1.0)


def leave_one_out(request: Request) -> list[tuple[str, Request]]:
    """The request without each of its K subjects in turn, each with a label.

    A subject that is left out keeps its place at strength 0, so its noun is the plain word again.
    The seed stays: equal noise, so the pictures differ by that subject only.
    """
    times = Counter(subject.noun for subject in request.subjects)
    so_far: Counter[str] = Counter()
    found = []
    for index, subject in enumerate(request.subjects):
        so_far[subject.noun] += 1
        label = f'without "{subject.noun}"'
        if times[subject.noun] > 1:
            label += f" {so_far[subject.noun]} of {times[subject.noun]}"
        subjects = list(request.subjects)
        subjects[index] = replace(subject, strength=0.0)
        found.append((label, replace(request, subjects=tuple(subjects))))
    return found


def variations(
    embedding: Tensor, n: int, angle_deg: float, generator: torch.Generator | int
) -> Tensor:
    """(n, D) embeddings around one (D,), each `angle_deg` away from it in a random direction.

    Norm and type are kept. angle_deg: degrees in [0, 180]. `generator`: on the CPU, or the seed
    for one; row i depends on its seed and i only. ValueError for other shapes and angles, n under
    1, and an embedding of zero, which has no direction.
    """
    if embedding.ndim != 1 or len(embedding) < 2 or n < 1:
        raise ValueError(f"{n} variations of {tuple(embedding.shape)}: give (D,) and at least 1.")
    if not 0 <= angle_deg <= 180:
        raise ValueError(f"An angle of {angle_deg}°: it must be between 0 and 180.")
    centre = embedding.detach().double().cpu()  # (D,)
    norm = centre.norm()
    if not norm > 0 or not norm.isfinite():
        raise ValueError("The embedding is zero or not finite: take that of a painted picture.")
    unit = centre / norm  # (D,)
    if isinstance(generator, int):
        generator = torch.Generator().manual_seed(generator)
    # Row by row: torch draws a large block of numbers in another order than a small one.
    draws = [torch.randn(len(unit), generator=generator, dtype=torch.float64) for _ in range(n)]
    noise = torch.stack(draws)  # (n, D)
    side = noise - (noise @ unit)[:, None] * unit  # (n, D), perpendicular to the embedding
    side = side / side.norm(dim=1, keepdim=True)
    angle = math.radians(angle_deg)
    turned = math.cos(angle) * unit + math.sin(angle) * side  # (n, D)
    return (norm * turned).to(embedding)


def _read(clip: Clip, phrases: Sequence[str]) -> Tensor:
    """(V, D) float32 embeddings of phrases, on the CPU, each computed once per Clip."""
    known = _phrases.setdefault(clip, {})
    new = [phrase for phrase in phrases if phrase not in known]
    for start in range(0, len(new), TEXT_BATCH):
        batch = new[start : start + TEXT_BATCH]
        known.update(zip(batch, clip.text(batch).pooled.float().cpu(), strict=True))
    return torch.stack([known[phrase] for phrase in phrases])


def _same_noun(a: str, b: str) -> bool:
    first, second = (" ".join(noun.lower().split()) for noun in (a, b))
    return first in plurals(second) or second in plurals(first)
