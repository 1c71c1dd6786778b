"""A running job's line to the page: what it reports, when it is to stop, how fast it is."""

import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lambda_eclipse.ui.texts import t

PREVIEW_EVERY_S = 0.8
CACHE_ENTRIES = 64
PACE_MEMORY = 0.8  # how much of the pace so far a new step leaves standing


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
    """Seconds that one step of one picture takes on this machine, by the steps so far."""

    step_s: float | None = None

    def note(self, seconds: float) -> None:
        """Take a step into account; a single slow one changes little."""
        old = seconds if self.step_s is None else self.step_s
        self.step_s = PACE_MEMORY * old + (1 - PACE_MEMORY) * seconds


@dataclass
class Run:
    """A job's line to the page: it reports here, and learns here that it is to stop."""

    updates: queue.SimpleQueue
    stop: threading.Event
    cache: OrderedDict
    pace: Pace
    prefix: str = ""
    span: tuple[float, float] = (0.0, 1.0)  # the part of the progress bar that the steps fill
    _began: float = field(default_factory=time.monotonic)
    _previewed: float = field(default_factory=time.monotonic)
    _stepped: float | None = None  # when the last step of this run of steps ended

    def say(self, text: str, span: tuple[float, float] = (0.0, 1.0)) -> None:
        """Name what happens now; the steps that follow fill `span` of the bar."""
        self.prefix, self.span, self._stepped = text, span, None
        self.updates.put(Update(text, span[0]))

    def emit(self, payload: Any) -> None:
        """Hand over something finished while the job goes on."""
        self.updates.put(Update(self.prefix, self.span[1], payload=payload))

    def on_step(self, info: Any) -> bool:
        """The pipeline's step callback: report, and return False once a stop is asked for."""
        if self.stop.is_set():
            return False
        now = time.monotonic()
        if self._stepped is not None and info.step > 1:
            self.pace.note((now - self._stepped) / info.count)
        start, end = self.span
        painted = info.index_of_batch_start + info.count * info.step / info.steps  # in pictures
        fraction = start + (end - start) * painted / info.total
        text = t("run.step", what=self.prefix, step=info.step, steps=info.steps)
        if info.count < info.total:
            last = info.index_of_batch_start + info.count
            first = info.index_of_batch_start + 1
            text += t("run.pictures", first=first, last=last, total=info.total)
        if 0.02 < fraction < 1 and now - self._began > 2:
            left_s = (now - self._began) * (1 - fraction) / fraction
            text += t("run.left", seconds=max(1, round(left_s)))
        previews = None
        if now - self._previewed > PREVIEW_EVERY_S and info.step < info.steps:
            previews = info.preview()
            # A slow decoder must not spend its time on previews: wait five times what one took.
            self._previewed = time.monotonic() + 5 * (time.monotonic() - now)
        self.updates.put(Update(text, fraction, previews=previews))
        self._stepped = time.monotonic()
        return True

    def remember(self, key: tuple, make: Callable[[], Any]) -> Any:
        """`make()`, or what it gave when this key was last asked for."""
        if key not in self.cache:
            self.cache[key] = make()
            while len(self.cache) > CACHE_ENTRIES:
                self.cache.popitem(last=False)
        self.cache.move_to_end(key)
        return self.cache[key]
