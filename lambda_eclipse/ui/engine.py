"""The studio behind the page: loaded once in the background, used by one job at a time.

The page is served within seconds while the model libraries take longer to import, so the engine
opens the studio in a thread and lets early requests wait with a message. A job runs in a worker
thread and reports through a queue; closing the stream that reads the queue stops the job at its
next denoising step.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lambda_eclipse.ui.i18n import LazyText, language, localize, mark, t
from lambda_eclipse.ui.run import Pace, Run, Update

if TYPE_CHECKING:
    from lambda_eclipse.pipeline import Studio

HEARTBEAT_S = 0.25  # yield at least this often: only a suspended generator can be closed
TURN_S = 0.005

log = logging.getLogger(__name__)

# Messages of the core while a stack loads, marked for translation.
LOADING = (
    mark("reading CLIP"),
    mark("reading the prior"),
    mark("reading the decoder"),
    mark("warming up"),
)

State = Literal["idle", "loading", "ready", "failed"]


class EngineError(RuntimeError):
    """The studio could not be opened; the message names the reason."""


@dataclass(frozen=True)
class Status:
    """The state of the studio, and a sentence about it."""

    state: State
    text: str


class Engine:
    """Opens a studio once and runs jobs on it one after another.

    open_studio: takes a callback for progress messages, returns the studio. wrap: decorates the
    generator that runs jobs, for hosts that lend a GPU per call. warm_up: a job that runs once
    before the studio is ready, to measure the pace of this machine.
    """

    def __init__(
        self,
        open_studio: Callable[[Callable[[str], None]], Studio],
        wrap: Callable[[Callable], Callable] = lambda function: function,
        warm_up: Callable[..., Any] | None = None,
    ) -> None:
        self._open = open_studio
        self._lock = threading.Lock()
        self._state_lock = threading.Lock()
        self._finished = threading.Event()
        self._state: State = "idle"
        self._message = ""
        self._started_s = 0.0
        self._studio: Studio | None = None
        self._cache: OrderedDict = OrderedDict()
        self._warm_up = warm_up
        self.pace = Pace()
        self._work = wrap(self._events)

    @property
    def studio(self) -> Studio | None:
        """The studio, or None while it is not ready."""
        return self._studio

    def steps(self, steps: int) -> int:
        """The steps of a picture: `steps`, or the stack's default for 0 once it is loaded."""
        return steps or (self._studio.models.stack.steps if self._studio else 0)

    def start(self) -> None:
        """Load in the background, once; after a failure again."""
        with self._state_lock:
            if self._state in ("loading", "ready"):
                return
            self._state, self._message = "loading", t("starting")
            self._started_s = time.monotonic()
            self._finished.clear()
        threading.Thread(target=self._load, name="open-studio", daemon=True).start()

    def load(self) -> None:
        """Load and wait, for hosts that need the models before the page is served."""
        self.start()
        self._finished.wait()

    def _load(self) -> None:
        try:
            studio = self._open(self._note)
            if self._warm_up is not None:
                self._note(t("measuring the speed of this machine"))
                self._warm_up(studio, self._run(queue.SimpleQueue(), threading.Event()))
            self._studio = studio
        except Exception as error:
            log.exception("opening the studio failed")
            self._state, self._message = "failed", str(error) or type(error).__name__
        else:
            self._state = "ready"
        finally:
            self._finished.set()

    def _note(self, message: str) -> None:
        self._message = message if isinstance(message, LazyText) else t(message)

    def status(self) -> Status:
        """A sentence for the status line."""
        if self._state == "ready" and self._studio is not None:
            models = self._studio.models
            device = {"cpu": "CPU", "cuda": "GPU (CUDA)", "mps": "GPU (Apple)"}
            where = device.get(str(models.device).split(":")[0], str(models.device))
            return Status(
                "ready", t("{title} · {where} · ready", title=models.stack.title, where=where)
            )
        if self._state == "loading":
            waited_s = round(time.monotonic() - self._started_s)
            message = localize(self._message)
            return Status(
                "loading", t("Loading: {message} · {seconds} s", message=message, seconds=waited_s)
            )
        if self._state == "failed":
            return Status("failed", t("Not loaded: {message}", message=self._message))
        return Status("idle", t("Not loaded yet"))

    def run(self, job: Callable[..., Any], *arguments: Any) -> Generator[Update]:
        """Wait for the studio, then run `job(studio, run, *arguments)` and yield its updates.

        The last update has `done` set and the job's result. Closing the iterator stops the job at
        its next step. Raises the job's exceptions, and EngineError if the studio can't be opened.
        """
        self.start()
        while not self._finished.wait(HEARTBEAT_S):
            yield Update(t("{status} · your request is queued", status=self.status().text), None)
        if self._state == "failed":
            raise EngineError(self.status().text)
        with closing(self._work(job, arguments, language.current())) as updates:
            yield from updates

    def result(self, job: Callable[..., Any], *arguments: Any) -> Any:
        """Run a job to its end; its result. Raises as `run` does."""
        return next(update.result for update in self.run(job, *arguments) if update.done)

    def wait(self) -> Studio:
        """The loaded studio, for what uses none of the networks. Raises EngineError."""
        self.start()
        self._finished.wait()
        if self._studio is None:
            raise EngineError(self.status().text)
        return self._studio

    def forget(self, paths: Iterable[str]) -> None:
        """Drop everything computed from these files."""
        for key in list(self._cache):
            if any(path in repr(key) for path in paths):
                self._cache.pop(key, None)

    def _run(self, updates: queue.SimpleQueue, stop: threading.Event) -> Run:
        return Run(updates, stop, self._cache, self.pace, self._yield_turn)

    def _yield_turn(self) -> None:
        """Let waiting jobs run; a long job calls this between its steps."""
        self._lock.release()
        time.sleep(TURN_S)  # locks are not fair: without a pause this thread would get it back
        self._lock.acquire()

    def _events(self, job: Callable[..., Any], arguments: tuple, code: str) -> Iterator[Update]:
        updates: queue.SimpleQueue = queue.SimpleQueue()
        stop = threading.Event()
        run = self._run(updates, stop)

        def work() -> None:
            try:
                with self._lock, language.override(code):
                    if not stop.is_set():
                        result = job(self._studio, run, *arguments)
                        updates.put(Update(result=result, fraction=1.0, done=True))
            except BaseException as error:
                # After a stop nobody reads the queue, and the pipeline stops by raising.
                if not stop.is_set():
                    updates.put(error)

        threading.Thread(target=work, name="studio-job", daemon=True).start()
        with language.override(code):
            last = Update(t("Waiting for the model"), None)
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
