"""Requests: what to paint, with which subjects and sampling; finished pictures; every limit.

Imports no model library, so that requests can be checked before any model is loaded.
"""

from __future__ import annotations

import numbers
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from lambda_eclipse.messages import StudioError, Text
from lambda_eclipse.paper import MAX_SUBJECTS

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from lambda_eclipse.images import PictureSource

MAX_SEED = 2**31 - 1  # browsers and some file formats round larger integers
MAX_COUNT = 16
MAX_OCCURRENCE = 99  # more than any prompt has words
STEPS = (1, 250)
GUIDANCE = (0.0, 20.0)
STRENGTH = (0.0, 2.0)
GRID_SIDES = (2, 9)
# Thresholds on the gradient of 8-bit grey levels.
CANNY_LOW, CANNY_HIGH, MAX_CANNY = 100, 200, 1000

ALL: Literal["all"] = "all"  # mentions of a noun
Occurrence = int | Literal["all"] | None

# Ways between embeddings. Straight by default, as in the published script (`linear_interpolation`
# of its interpolation.py); by our own measure that is smoother (`smoothness`, docs/results.md).
Mode = Literal["lerp", "slerp"]
MODE: Mode = "lerp"

Sampler = Literal["ddim", "ddpm"]  # see `samplers`
SAMPLER: Sampler = "ddim"  # the paper's (Sec. 3.2)


class RequestError(StudioError):
    """A request with a value that is missing or out of range."""


@dataclass(frozen=True)
class Sampling:
    """Settings of the decoder: steps in 1..250, guidance in [0, 20]; None: the stack's default."""

    steps: int | None = None
    guidance: float | None = None
    sampler: Sampler = SAMPLER

    def check(self) -> None:
        """Raise RequestError for values out of range."""
        if self.steps is not None:
            check_integer(Text("number of steps"), self.steps, *STEPS)
        if self.guidance is not None:
            check_range(Text("guidance"), self.guidance, *GUIDANCE)
        if self.sampler not in get_args(Sampler):
            raise RequestError(
                'There is no sampler "{sampler}": use {samplers}.',
                sampler=self.sampler,
                samplers=" or ".join(get_args(Sampler)),
            )

    def values(self, steps: int, guidance: float) -> tuple[int, float]:
        """Steps and guidance; the arguments are the defaults, taken for None."""
        return (
            steps if self.steps is None else int(self.steps),
            guidance if self.guidance is None else float(self.guidance),
        )


@dataclass(frozen=True)
class Subject:
    """A noun of the prompt and the picture that personalizes it.

    picture: any source that `images.open_picture` accepts. mask: cut-out, white is kept; None
    for automatic masking.
    strength: in [0, 2]; interpolates from the noun's states (0) to the picture's embedding (1).
    embedding: (D,) or (1, D), precomputed, replaces the picture.
    occurrence: index among the noun's mentions, as in `Tokenizer.occurrences`; None: the first
    mention that no other subject uses; ALL: every such mention, as in the published script.
    """

    noun: str
    picture: PictureSource | None = None
    mask: Image.Image | None = None
    strength: float = 1.0
    embedding: Tensor | None = None
    occurrence: Occurrence = None


@dataclass(frozen=True)
class Request:
    """What to paint; on one machine equal requests give equal pictures, bit for bit.

    subjects: at most four; none for plain text to image.
    canny: a picture whose edges guide the composition, with its hysteresis thresholds.
    edges: a finished edge map instead of `canny`, RGB, square.
    count: 1..16 pictures; picture i has the seed `seed` + i.
    """

    prompt: str
    subjects: tuple[Subject, ...] = ()
    canny: PictureSource | None = None
    seed: int = 0
    count: int = 1
    sampling: Sampling = Sampling()
    canny_low: float = CANNY_LOW
    canny_high: float = CANNY_HIGH
    edges: Image.Image | None = None

    @property
    def seeds(self) -> list[int]:
        """The seed of each picture; after the largest seed follows 0."""
        return [(self.seed + i) % (MAX_SEED + 1) for i in range(self.count)]

    def check(self) -> None:
        """Raise RequestError for everything that is wrong independently of the models."""
        if not isinstance(self.prompt, str) or (not self.prompt.strip() and not self.subjects):
            raise RequestError("The prompt is empty: describe the picture.")
        if len(self.subjects) > MAX_SUBJECTS:
            raise RequestError(
                "{count} subjects: use {most} at most.",
                count=len(self.subjects),
                most=MAX_SUBJECTS,
            )
        for number, subject in enumerate(self.subjects, 1):
            if not subject.noun.strip():
                raise RequestError(
                    "Subject {number} has no noun: enter a word of the prompt.", number=number
                )
            if subject.picture is None and subject.embedding is None:
                raise no_picture(subject)
            strength = Text('strength of "{noun}"', noun=subject.noun)
            check_range(strength, subject.strength, *STRENGTH)
            if subject.occurrence is not None and subject.occurrence != ALL:
                occurrence = Text('occurrence of "{noun}"', noun=subject.noun)
                check_integer(occurrence, subject.occurrence, 0, MAX_OCCURRENCE)
        check_seed(self.seed)
        check_integer(Text("number of pictures"), self.count, 1, MAX_COUNT)
        self.sampling.check()


@dataclass(frozen=True)
class Picture:
    """A finished picture, RGB.

    seconds: its share of the painting time. embedding: (D,), on the CPU; it was painted from it.
    """

    image: Image.Image
    seed: int
    seconds: float
    embedding: Tensor


def random_seed() -> int:
    """A seed in 0..MAX_SEED."""
    return secrets.randbelow(MAX_SEED + 1)


def no_picture(subject: Subject) -> RequestError:
    """The error for a subject without a picture and without an embedding."""
    return RequestError('The subject "{noun}" has no picture: add one.', noun=subject.noun)


def check_seed(seed: int) -> None:
    """Raise RequestError for a seed outside 0..MAX_SEED."""
    check_integer(Text("seed"), seed, 0, MAX_SEED)


def check_integer(what: Text, value: int, low: int, high: int) -> None:
    """Raise RequestError unless `value` is an integer in low..high."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise RequestError(
            "The {what} is {value}: it must be an integer.", what=what, value=repr(value)
        )
    check_range(what, value, low, high)


def check_range(what: Text, value: float, low: float, high: float) -> None:
    """Raise RequestError unless `value` is a number in [low, high]."""
    if not isinstance(value, numbers.Real) or not low <= value <= high:
        raise RequestError(
            "The {what} is {value}: it must be between {low} and {high}.",
            what=what,
            value=value,
            low=f"{low:g}",
            high=f"{high:g}",
        )
