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
from dataclasses import dataclass
from typing import Any, Literal

from lambda_eclipse.ui.i18n import language, localize, t
from lambda_eclipse.ui.i18n.core_texts import told
from lambda_eclipse.ui.run import Pace, Run, Update

HEARTBEAT_S = (
    0.25  # a generator can only be closed while it is suspended: yield at least this often
)
TURN_S = 0.005

log = logging.getLogger(__name__)

State = Literal["idle", "loading", "ready", "failed"]


class EngineError(RuntimeError):
    """The studio could not be opened; the message says why."""


@dataclass(frozen=True)
class Status:
    """What the status line says: the state of the studio, and a sentence about it."""

    state: State
    text: str


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

    def steps(self, asked: int) -> int:
        """The steps of a picture: as many as are asked for, or the stack's own once it is known."""
        return asked or (self._studio.models.stack.steps if self._studio else 0)

    def start(self) -> None:
        """Begin loading in the background; again after a failure, else nothing."""
        with self._state_lock:
            if self._state in ("loading", "ready"):
                return
            self._state, self._message = "loading", t("starting")
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
                self._note(t("measuring the speed of this machine"))
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
            return Status(
                "ready", t("{title} · {where} · ready", title=models.stack.title, where=where)
            )
        if self._state == "loading":
            waited_s = round(time.monotonic() - self._began)
            message = told(localize(self._message))
            return Status(
                "loading", t("Loading: {message} · {seconds} s", message=message, seconds=waited_s)
            )
        if self._state == "failed":
            return Status("failed", t("Not loaded: {message}", message=self._message))
        return Status("idle", t("Not loaded yet"))

    def run(self, job: Callable[..., Any], *arguments: Any) -> Iterator[Update]:
        """Wait for the studio, then run `job(studio, run, *arguments)`; yield its news as it comes.

        The last update has `done` set and carries the job's result. Closing the iterator stops the
        job at its next step. Errors of the job are raised here; EngineError when the studio could
        not be opened.
        """
        self.start()
        while not self._finished.wait(HEARTBEAT_S):
            yield Update(t("{status} · your request is next", status=self.status().text), None)
        if self._state == "failed":
            raise EngineError(self.status().text)
        with closing(self._work(job, arguments, language.current())) as updates:
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
        return Run(updates, stop, self._cache, self.pace, self._step_aside)

    def _step_aside(self) -> None:
        """Called by a job that goes on for long: those that wait for their turn have it now."""
        self._lock.release()
        time.sleep(TURN_S)  # a lock goes to whoever is there, so leave
        self._lock.acquire()

    def _events(self, job: Callable[..., Any], arguments: tuple, words: str) -> Iterator[Update]:
        updates: queue.SimpleQueue = queue.SimpleQueue()
        stop = threading.Event()
        run = self._run(updates, stop)

        def work() -> None:
            try:
                with self._lock, language.override(words):
                    if not stop.is_set():
                        result = job(self._studio, run, *arguments)
                        updates.put(Update(result=result, fraction=1.0, done=True))
            except BaseException as error:
                # After a stop nobody listens, and the pipeline's way of stopping is to raise.
                if not stop.is_set():
                    updates.put(error)

        threading.Thread(target=work, name="studio-job", daemon=True).start()
        with language.override(words):
            last = Update(t("Waiting for the studio"), None)
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
