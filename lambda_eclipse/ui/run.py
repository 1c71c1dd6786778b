"""A running job's line to the page: what it reports, when it is to stop, how fast it is."""

import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lambda_eclipse.ui.i18n import t

PREVIEW_EVERY_S = 0.8
CACHE_ENTRIES = 64
PACE_MEMORY = 0.8  # how much of the pace so far a new measurement leaves standing


@dataclass(frozen=True)
class Update:
    """One piece of news from a running job."""

    text: str = ""
    fraction: float | None = None  # [0, 1], None while unknown
    payload: Any = None  # something finished that may be shown at once
    previews: list | None = None  # pictures taking shape, PIL
    result: Any = None
    done: bool = False


@dataclass
class Pace:
    """How long one picture takes on this machine, by those so far; None while unknown.

    step_s: seconds of one of its steps. rest_s: seconds of all else, such as its way to a file.
    lesson_s: seconds of one step of learning.
    """

    step_s: float | None = None
    rest_s: float | None = None
    lesson_s: float | None = None

    def note_step(self, seconds: float) -> None:
        """Take a step into account."""
        self.step_s = _mixed(self.step_s, seconds)

    def note_picture(self, seconds: float, steps: int) -> None:
        """Take a finished picture of so many steps into account."""
        if self.step_s is not None:
            self.rest_s = _mixed(self.rest_s, max(0.0, seconds - steps * self.step_s))

    def seconds(self, pictures: int, steps: int) -> float | None:
        """How long so many pictures take; None while that is unknown."""
        if self.step_s is None:
            return None
        return pictures * (steps * self.step_s + (self.rest_s or 0.0))

    def note_lesson(self, seconds: float) -> None:
        """Take a step of learning into account."""
        self.lesson_s = _mixed(self.lesson_s, seconds)

    def lesson_seconds(self, steps: int, batch: int) -> float | None:
        """How long so many steps of learning take, by painting before the first; None if unknown.

        A picture takes about as long to learn from, among others, as to be painted alone.
        """
        if self.lesson_s is not None:
            return steps * self.lesson_s
        return None if self.step_s is None else steps * batch * self.step_s


def _mixed(old: float | None, new: float) -> float:
    """A mean that follows; a single slow picture changes little."""
    return new if old is None else PACE_MEMORY * old + (1 - PACE_MEMORY) * new


@dataclass
class Run:
    """A job's line to the page: it reports here, and learns here that it is to stop."""

    updates: queue.SimpleQueue
    stop: threading.Event
    cache: OrderedDict
    pace: Pace
    step_aside: Callable[[], None]  # lets the jobs of others go first
    prefix: str = ""
    span: tuple[float, float] = (0.0, 1.0)  # the part of the progress bar that the steps fill
    _began: float = field(default_factory=time.monotonic)
    _previewed: float = field(default_factory=time.monotonic)
    _said: float = 0.0  # when what happens now began
    _stepped: float | None = None  # when the last step of this run of steps ended
    _painted: tuple[int, int] | None = None  # pictures and steps of this run of steps
    _ordered: tuple[int, int] | None = None  # pictures before these steps, and in all

    def say(
        self, text: str, span: tuple[float, float] = (0.0, 1.0),
        ordered: tuple[int, int] | None = None,
    ) -> None:  # fmt: skip
        """Name what happens now; the steps that follow fill `span` of the bar.

        ordered: how many pictures come before those of these steps, and how many there are in all;
        None if these are all.
        """
        self.prefix, self.span, self._stepped, self._painted = text, span, None, None
        self._ordered = ordered
        self._said = time.monotonic()
        self.updates.put(Update(text, span[0]))

    def emit(self, payload: Any) -> None:
        """Hand over something finished while the job goes on."""
        if self._painted is not None:
            pictures, steps = self._painted
            self.pace.note_picture((time.monotonic() - self._said) / pictures, steps)
        self.updates.put(Update(self.prefix, self.span[1], payload=payload))

    def on_step(self, info: Any) -> bool:
        """The pipeline's step callback: report, and return False once a stop is asked for."""
        if self.stop.is_set():
            return False
        now = time.monotonic()
        if self._stepped is not None and info.step > 1:
            self.pace.note_step((now - self._stepped) / info.count)
        self._painted = info.total, info.steps
        start, end = self.span
        painted = info.index_of_batch_start + info.count * info.step / info.steps  # in pictures
        fraction = start + (end - start) * painted / info.total
        text = t(
            "{what} · step {step} of {steps}", what=self.prefix, step=info.step, steps=info.steps
        )
        before, total = self._ordered or (0, info.total)
        if info.count < total:
            first = before + info.index_of_batch_start + 1
            last = first + info.count - 1
            text += t(
                " · pictures {first} to {last} of {total}", first=first, last=last, total=total
            )
        text += self._left(now - self._began, fraction)
        previews = None
        if now - self._previewed > PREVIEW_EVERY_S and info.step < info.steps:
            previews = info.preview()
            # A slow decoder must not spend its time on previews: wait five times what one took.
            self._previewed = time.monotonic() + 5 * (time.monotonic() - now)
        self.updates.put(Update(text, fraction, previews=previews))
        self._stepped = time.monotonic()
        return True

    def on_lesson(self, step: int, steps: int) -> bool:
        """As `on_step`, for steps that learn; then others have their turn."""
        if self.stop.is_set():
            return False
        now = time.monotonic()
        text = t("{what} · step {step} of {steps}", what=self.prefix, step=step, steps=steps)
        text += self._left(now - self._said, step / steps)
        self.updates.put(Update(text, step / steps))
        if self._stepped is not None:
            self.pace.note_lesson(now - self._stepped)
        self.step_aside()
        self._stepped = time.monotonic()
        return not self.stop.is_set()

    def _left(self, spent_s: float, fraction: float) -> str:
        if not 0.02 < fraction < 1 or spent_s <= 2:
            return ""
        return t(
            " · about {seconds} s left", seconds=max(1, round(spent_s * (1 - fraction) / fraction))
        )

    def remember(self, key: tuple, make: Callable[[], Any]) -> Any:
        """`make()`, or what it gave when this key was last asked for."""
        if key not in self.cache:
            self.cache[key] = make()
            while len(self.cache) > CACHE_ENTRIES:
                self.cache.popitem(last=False)
        self.cache.move_to_end(key)
        return self.cache[key]
