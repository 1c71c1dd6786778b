"""The log of a run: `log.jsonl`, a progress bar and, on request, TensorBoard."""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from torch import Tensor
from tqdm import tqdm

from lambda_eclipse.weights import write_whole
from train.loop import ranks


class Log:
    """The log of a run that continues after step `first`; only the first process writes one.

    samples: examples per step, of all processes. spent_s: training time of earlier calls.
    """

    def __init__(
        self,
        folder: Path,
        steps: int,
        samples: int,
        first: int,
        spent_s: float,
        tensorboard: bool = False,
    ) -> None:
        self.path, self.samples = folder / "log.jsonl", samples
        self._started = self._marked_s = time.perf_counter()
        self._spent_s, self._marked = spent_s, first
        self.board = None
        if ranks.rank():
            self.bar = tqdm(disable=True)
            return
        self._drop_lines_after(first)
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(folder / "tensorboard", purge_step=first + 1)
        self.bar = tqdm(
            total=steps * samples,
            initial=first * samples,
            unit=" samples",
            unit_scale=True,
            disable=None,  # where stderr is no terminal
            bar_format="{percentage:3.0f} %|{bar:20}| {n_fmt}/{total_fmt}, {rate_fmt}, "
            "{remaining} left{postfix}",
        )

    def __enter__(self) -> "Log":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.bar.close()
        if self.board is not None:
            self.board.close()

    def _drop_lines_after(self, step: int) -> None:
        """Drop what a killed run wrote after its checkpoint: those steps are done again."""
        if not self.path.exists():
            return
        lines = self.path.read_text().splitlines(keepends=True)
        # A line that was cut off is one of those.
        kept = [line for line in lines if line.endswith("}\n") and json.loads(line)["step"] <= step]
        if kept != lines:
            write_whole(self.path, lambda path: path.write_text("".join(kept)))

    @property
    def seconds(self) -> float:
        """Time spent on the run, evaluations included, over all calls."""
        return self._spent_s + time.perf_counter() - self._started

    def advance(self) -> None:
        """Move the bar by one step."""
        self.bar.update(self.samples)

    def losses(self, step: int, losses: Mapping[str, Tensor]) -> None:
        """Report a step's losses, the mean over processes, and the pace since the last line."""
        now = time.perf_counter()
        pace_ms = 1000 * (now - self._marked_s) / self.samples / (step - self._marked)
        self._marked_s, self._marked = now, step
        parts = {name: ranks.mean(value).item() for name, value in losses.items()}
        self._write({"step": step, "ms_per_sample": pace_ms, "hours": self.seconds / 3600, **parts})

    def metrics(self, step: int, metrics: Mapping[str, float]) -> None:
        """Report an evaluation, whose time does not count in the pace."""
        self._write({"step": step, **metrics})
        self._marked_s, self._marked = time.perf_counter(), step

    def _write(self, line: Mapping[str, float]) -> None:
        if ranks.rank():
            return
        text = json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in line.items()})
        with self.path.open("a") as file:
            file.write(text + "\n")
        shown = {name: f"{line[name]:.4f}" for name in line if name != "step"}
        self.bar.set_postfix(shown, refresh=False)
        tqdm.write(text, file=sys.stdout)
        sys.stdout.flush()
        if self.board is not None:
            for name, value in line.items():
                self.board.add_scalar(name, value, line["step"])
