"""What is told of a running training: `log.jsonl`, a progress bar and, if wanted, TensorBoard."""

import json
import sys
from pathlib import Path

from tqdm import tqdm

from train.loop import ranks


class Log:
    """The log of a run that goes on after step `first`; the first process alone writes one."""

    def __init__(
        self, folder: Path, steps: int, batch: int, first: int, tensorboard: bool = False
    ) -> None:
        self.path = folder / "log.jsonl"
        self.board = None
        if ranks.rank():
            self.bar = tqdm(disable=True)
            return
        self._forget(first)
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self.board = SummaryWriter(folder / "tensorboard", purge_step=first + 1)
        self.bar = tqdm(
            total=steps * batch,
            initial=first * batch,
            unit=" samples",
            unit_scale=True,
            disable=None,  # where stderr is no terminal
            bar_format="{percentage:3.0f} %|{bar:20}| {n_fmt}/{total_fmt}, {rate_fmt}, "
            "{remaining} left{postfix}",
        )

    def _forget(self, step: int) -> None:
        """Drops what a killed run did after its checkpoint: that is done, and written, again."""
        if not self.path.exists():
            return
        lines = self.path.read_text().splitlines(keepends=True)
        # a line that was cut off is one of those
        kept = [line for line in lines if line.endswith("}\n") and json.loads(line)["step"] <= step]
        if kept != lines:
            part = self.path.with_name("log.jsonl.part")
            part.write_text("".join(kept))
            part.replace(self.path)

    def advance(self, samples: int) -> None:
        """Moves the bar."""
        self.bar.update(samples)

    def write(self, line: dict[str, float]) -> None:
        """Appends one line to the run's log, and prints it."""
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

    def close(self) -> None:
        """Ends the bar, and what TensorBoard reads."""
        self.bar.close()
        if self.board is not None:
            self.board.close()
