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
from typing import TYPE_CHECKING, Any

from lambda_eclipse.messages import Report, Stopped, StudioError, Text
from lambda_eclipse.ui.i18n import LazyText, language, localize, t
from lambda_eclipse.ui.run import Pace, Run, Update
from lambda_eclipse.ui.status import EngineError, State, Status, loading_text, ready_text

if TYPE_CHECKING:
    from lambda_eclipse.pipeline import Studio

HEARTBEAT_S = 0.25  # yield at least this often: only a suspended generator can be closed
TURN_S = 0.005

log = logging.getLogger(__name__)


class Engine:
    """Opens a studio once and runs jobs on it one after another.

    open_studio: takes a callback for progress messages, returns the studio. wrap: decorates the
    generator that runs jobs, for hosts that lend a GPU per call. warm_up: a job that runs once
    before the studio is ready, to measure the pace of this machine.
    """

    def __init__(
        self,
        open_studio: Callable[[Report], Studio],
        wrap: Callable[[Callable], Callable] = lambda function: function,
        warm_up: Callable[..., Any] | None = None,
    ) -> None:
        self._open = open_studio
        self._lock = threading.Lock()
        self._state_lock = threading.Lock()
        self._finished = threading.Event()
        self._state: State = "idle"
        self._retrying = False
        self._stop_loading = False
        self._message: str | Text = ""
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

    @property
    def retrying(self) -> bool:
        """Whether a studio is loaded in the background, to replace the present one."""
        return self._retrying

    def steps(self, steps: int) -> int:
        """The steps of a picture: `steps`, or the stack's default for 0 once it is loaded."""
        return steps or (self._studio.models.stack.steps if self._studio else 0)

    def start(self) -> None:
        """Load in the background, once; after a failure again."""
        with self._state_lock:
            if self._state in ("loading", "ready"):
                return
            self._begin()
            self._state = "loading"
            self._finished.clear()
        threading.Thread(target=self._load, name="open-studio", daemon=True).start()

    def retry(self) -> None:
        """Load again in the background; a studio that is there serves meanwhile."""
        if self._studio is None:
            self.start()
            return
        with self._state_lock:
            if self._retrying:
                return
            self._begin()
            self._retrying = True
        threading.Thread(target=self._load, name="open-studio", daemon=True).start()

    def stop_loading(self) -> None:
        """Stop a download at its next report; what is here of it stays."""
        self._stop_loading = True

    def _begin(self) -> None:
        self._message, self._stop_loading = t("starting"), False
        self._started_s = time.monotonic()

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
            with self._lock:  # a job that still runs has the old one
                self._studio = studio
                self._cache.clear()
        except Exception as error:
            if isinstance(error, StudioError):
                log.error("%s", error)
            else:
                log.exception("opening the studio failed")
            told = error.text if isinstance(error, StudioError) else str(error)
            self._message = told or type(error).__name__
            self._state = "failed" if self._studio is None else "ready"
        else:
            self._state = "ready"
        finally:
            self._retrying = False
            self._finished.set()

    def _note(self, message: str | Text) -> None:
        self._message = message if isinstance(message, LazyText | Text) else t(message)
        if self._stop_loading:
            raise Stopped("The loading was stopped. What is downloaded stays; try again to go on.")

    def status(self) -> Status:
        """A sentence for the status line."""
        if self._state == "ready" and self._studio is not None:
            models = self._studio.models
            text = ready_text(models)
            if self._retrying:
                return Status("ready", text, self._loading(), can_stop=self._downloads())
            notice = localize(models.instead) if models.instead else ""
            return Status("ready", text, notice, can_retry=bool(notice))
        if self._state == "loading":
            return Status("loading", self._loading(), can_stop=self._downloads())
        if self._state == "failed":
            text = t("Not loaded: {message}", message=localize(self._message))
            return Status("failed", text, can_retry=True)
        return Status("idle", t("Not loaded yet"))

    def _loading(self) -> str:
        return loading_text(self._message, time.monotonic() - self._started_s)

    def _downloads(self) -> bool:
        """Of all that is noted, only downloads have figures and take long enough to be stopped."""
        return isinstance(self._message, Text) and not self._stop_loading

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
