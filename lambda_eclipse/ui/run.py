"""The connection of a running job to the page: updates, the request to stop, the pace."""

from __future__ import annotations

import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from lambda_eclipse.ui.i18n import t

if TYPE_CHECKING:
    from PIL import Image

    from lambda_eclipse.decoder import StepInfo

T = TypeVar("T")
PREVIEW_EVERY_S = 0.8
CACHE_ENTRIES = 64
PACE_DECAY = 0.8  # of the exponential moving average


@dataclass(frozen=True)
class Update:
    """What a running job reports."""

    text: str = ""
    fraction: float | None = None  # done, in [0, 1]; None while unknown
    payload: Any = None  # a finished part of the result
    previews: list[Image.Image] | None = None  # of unfinished pictures
    result: Any = None
    done: bool = False


@dataclass
class Pace:
    """Measured seconds on this machine, as moving averages; None while unknown.

    step_s: one denoising step of one picture. rest_s: the rest of a picture, such as saving it.
    training_step_s: one step of finetuning.
    """

    step_s: float | None = None
    rest_s: float | None = None
    training_step_s: float | None = None

    def note_step(self, seconds: float) -> None:
        """Take a denoising step into account."""
        self.step_s = _average(self.step_s, seconds)

    def note_picture(self, seconds: float, steps: int) -> None:
        """Take a finished picture of `steps` steps into account."""
        if self.step_s is not None:
            self.rest_s = _average(self.rest_s, max(0.0, seconds - steps * self.step_s))

    def note_training_step(self, seconds: float) -> None:
        """Take a step of finetuning into account."""
        self.training_step_s = _average(self.training_step_s, seconds)

    def seconds(self, pictures: int, steps: int) -> float | None:
        """The time of `pictures` pictures of `steps` steps; None while unknown."""
        if self.step_s is None:
            return None
        return pictures * (steps * self.step_s + (self.rest_s or 0.0))

    def training_seconds(self, steps: int, batch: int) -> float | None:
        """The time of `steps` steps of finetuning; None while unknown.

        Before the first one it is estimated: a picture of a batch takes as long as painting a step.
        """
        if self.training_step_s is not None:
            return steps * self.training_step_s
        return None if self.step_s is None else steps * batch * self.step_s


def _average(average: float | None, seconds: float) -> float:
    """The moving average after one more measurement."""
    return seconds if average is None else PACE_DECAY * average + (1 - PACE_DECAY) * seconds


def share(index: int, total: int) -> tuple[float, float]:
    """The span of the progress bar for part `index` of `total` equal ones."""
    return index / total, (index + 1) / total


@dataclass
class Run:
    """A job's connection to the page: it reports here, and reads here whether to stop."""

    updates: queue.SimpleQueue
    stop: threading.Event
    cache: OrderedDict
    pace: Pace
    yield_turn: Callable[[], None]  # lets waiting jobs run
    text: str = ""  # of the current stage
    span: tuple[float, float] = (0.0, 1.0)  # of the progress bar, filled by the current stage
    _started_s: float = field(default_factory=time.monotonic)
    _previewed_s: float = field(default_factory=time.monotonic)
    _stage_started_s: float = 0.0
    _step_ended_s: float | None = None  # the last step of the current stage
    _painted: tuple[int, int] | None = None  # pictures and steps of the current stage
    _pictures: tuple[int, int] | None = None  # before the current stage, and of all stages

    def begin(
        self,
        text: str,
        span: tuple[float, float] = (0.0, 1.0),
        pictures: tuple[int, int] | None = None,
    ) -> None:
        """Begin a stage, whose steps fill `span` of the progress bar.

        pictures: the number before this stage and of all stages; None if there is only this one.
        """
        self.text, self.span, self._pictures = text, span, pictures
        self._step_ended_s = self._painted = None
        self._stage_started_s = time.monotonic()
        self.updates.put(Update(text, span[0]))

    def emit(self, payload: Any) -> None:
        """Report a finished part of the result."""
        if self._painted is not None:
            pictures, steps = self._painted
            spent_s = time.monotonic() - self._stage_started_s
            self.pace.note_picture(spent_s / pictures, steps)
        self.updates.put(Update(self.text, self.span[1], payload=payload))

    def on_step(self, info: StepInfo) -> bool:
        """The pipeline's step callback: report the step; False requests a stop."""
        if self.stop.is_set():
            return False
        now_s = time.monotonic()
        if self._step_ended_s is not None and info.step > 1:
            self.pace.note_step((now_s - self._step_ended_s) / info.count)
        self._painted = info.total, info.steps
        start, end = self.span
        painted = info.index_of_batch_start + info.count * info.step / info.steps  # in pictures
        fraction = start + (end - start) * painted / info.total
        text: str = t(
            "{what} · step {step} of {steps}", what=self.text, step=info.step, steps=info.steps
        )
        before, total = self._pictures or (0, info.total)
        if info.count < total:
            first = before + info.index_of_batch_start + 1
            last = first + info.count - 1
            text += t(
                " · pictures {first} to {last} of {total}", first=first, last=last, total=total
            )
        text += _remaining(now_s - self._started_s, fraction)
        previews = None
        if now_s - self._previewed_s > PREVIEW_EVERY_S and info.step < info.steps:
            previews = info.preview()
            # Previews take at most a sixth of the time, however slow the decoder is.
            self._previewed_s = time.monotonic() + 5 * (time.monotonic() - now_s)
        self.updates.put(Update(text, fraction, previews=previews))
        self._step_ended_s = time.monotonic()
        return True

    def on_training_step(self, step: int, steps: int) -> bool:
        """As `on_step`, for a step of finetuning; then waiting jobs run."""
        if self.stop.is_set():
            return False
        now_s = time.monotonic()
        text: str = t("{what} · step {step} of {steps}", what=self.text, step=step, steps=steps)
        text += _remaining(now_s - self._stage_started_s, step / steps)
        self.updates.put(Update(text, step / steps))
        if self._step_ended_s is not None:
            self.pace.note_training_step(now_s - self._step_ended_s)
        self.yield_turn()
        self._step_ended_s = time.monotonic()
        return not self.stop.is_set()

    def cached(self, key: tuple, make: Callable[[], T]) -> T:
        """`make()`, or its result of an earlier call with this key."""
        if key not in self.cache:
            self.cache[key] = make()
            while len(self.cache) > CACHE_ENTRIES:
                self.cache.popitem(last=False)
        self.cache.move_to_end(key)
        return self.cache[key]


def _remaining(spent_s: float, fraction: float) -> str:
    """The estimated remaining time; nothing while it is too uncertain."""
    if not 0.02 < fraction < 1 or spent_s <= 2:
        return ""
    return t(
        " · about {seconds} s left", seconds=max(1, round(spent_s * (1 - fraction) / fraction))
    )
