"""The studio behind the page: loaded once in the background, used by one request at a time.

The page must be up within seconds while the model libraries take longer to import, so the engine
opens the studio in a thread and lets early requests wait with a message. A job runs in a worker
thread and talks back through a queue; closing the stream that reads the queue asks the job to stop,
which it does at its next denoising step.
"""

import logging
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Literal

from lambda_eclipse.ui.texts import t

HEARTBEAT_S = (
    0.25  # a generator can only be closed while it is suspended: yield at least this often
)
PREVIEW_EVERY_S = 0.8
CACHE_ENTRIES = 64
PACE_MEMORY = 0.8  # how much of the pace so far a new step leaves standing

log = logging.getLogger(__name__)

State = Literal["idle", "loading", "ready", "failed"]


class EngineError(RuntimeError):
    """The studio could not be opened; the message says why."""


@dataclass(frozen=True)
class Status:
    """What the status line says: the state of the studio, and a sentence about it."""

    state: State
    text: str


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


class Engine:
    """Opens a studio once and runs jobs on it one after another.

    `open_studio` takes a callback for progress messages and returns the studio. `wrap` may decorate
    the generator that does the work (a host that lends its GPU per call needs that). `warm_up` is a
    job to run once before the studio is called ready, to learn how fast this machine is.
    """

    def __init__(
        self,
        open_studio: Callable[[Callable[[str], None]], Any],
        wrap: Callable[[Callable], Callable] = lambda function: function,
        warm_up: Callable[..., Any] | None = None,
    ) -> None:
        self._open = open_studio
        self._lock = threading.Lock()
        self._state_lock = threading.Lock()
        self._finished = threading.Event()
        self._state: State = "idle"
        self._message = ""
        self._began = self._took_s = 0.0
        self._studio: Any = None
        self._cache: OrderedDict = OrderedDict()
        self._warm_up = warm_up
        self.pace = Pace()
        self._work = wrap(self._events)

    @property
    def studio(self) -> Any:
        """The studio, or None while it is not ready."""
        return self._studio

    def start(self) -> None:
        """Begin loading in the background; again after a failure, else nothing."""
        with self._state_lock:
            if self._state in ("loading", "ready"):
                return
            self._state, self._message = "loading", t("status.starting")
            self._began = time.monotonic()
            self._finished.clear()
        threading.Thread(target=self._load, name="open-studio", daemon=True).start()

    def load(self) -> None:
        """Load and wait: for hosts where the models have to be there before the page is."""
        self.start()
        self._finished.wait()

    def _load(self) -> None:
        try:
            studio = self._open(self._note)
            if self._warm_up is not None:
                self._note(t("status.measuring"))
                self._warm_up(studio, self._run(queue.SimpleQueue(), threading.Event()))
            self._studio = studio
        except Exception as error:
            log.exception("opening the studio failed")
            self._state, self._message = "failed", str(error) or type(error).__name__
        else:
            self._took_s = time.monotonic() - self._began
            self._state = "ready"
        finally:
            self._finished.set()

    def _note(self, message: str) -> None:
        self._message = message

    def status(self) -> Status:
        """A sentence for the status line."""
        if self._state == "ready":
            models = self._studio.models
            device = {"cpu": "CPU", "cuda": "GPU (CUDA)", "mps": "GPU (Apple)"}
            where = device.get(str(models.device).split(":")[0], str(models.device))
            return Status("ready", t("status.ready", title=models.stack.title, where=where))
        if self._state == "loading":
            waited_s = round(time.monotonic() - self._began)
            return Status("loading", t("status.loading", message=self._message, seconds=waited_s))
        if self._state == "failed":
            return Status("failed", t("status.failed", message=self._message))
        return Status("idle", t("status.idle"))

    def run(self, job: Callable[..., Any], *arguments: Any) -> Iterator[Update]:
        """Wait for the studio, then run `job(studio, run, *arguments)`; yield its news as it comes.

        The last update has `done` set and carries the job's result. Closing the iterator stops the
        job at its next step. Errors of the job are raised here; EngineError when the studio could
        not be opened.
        """
        self.start()
        while not self._finished.wait(HEARTBEAT_S):
            yield Update(t("status.next", status=self.status().text), None)
        if self._state == "failed":
            raise EngineError(self.status().text)
        with closing(self._work(job, arguments)) as updates:
            yield from updates

    def wait(self) -> Any:
        """The studio, for what needs none of the networks that jobs take turns with."""
        self.start()
        self._finished.wait()
        if self._state == "failed":
            raise EngineError(self.status().text)
        return self._studio

    def forget(self, paths: Iterable[str]) -> None:
        """Drop what was computed from these files, at once."""
        for key in list(self._cache):
            if any(path in repr(key) for path in paths):
                self._cache.pop(key, None)

    def _run(self, updates: queue.SimpleQueue, stop: threading.Event) -> Run:
        return Run(updates, stop, self._cache, self.pace)

    def _events(self, job: Callable[..., Any], arguments: tuple) -> Iterator[Update]:
        updates: queue.SimpleQueue = queue.SimpleQueue()
        stop = threading.Event()
        run = self._run(updates, stop)

        def work() -> None:
            try:
                with self._lock:
                    if not stop.is_set():
                        result = job(self._studio, run, *arguments)
                        updates.put(Update(result=result, fraction=1.0, done=True))
            except BaseException as error:
                # After a stop nobody listens, and the pipeline's way of stopping is to raise.
                if not stop.is_set():
                    updates.put(error)

        threading.Thread(target=work, name="studio-job", daemon=True).start()
        last = Update(t("status.waiting"), None)
        try:
            while not last.done:
                try:
                    item = updates.get(timeout=HEARTBEAT_S)
                except queue.Empty:
                    yield Update(last.text, last.fraction)
                    continue
                if isinstance(item, BaseException):
                    raise item
                last = item
                yield last
        finally:
            stop.set()
