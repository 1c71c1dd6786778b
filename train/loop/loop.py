"""The loop that every trainer runs, its checkpoints and its log.

A run is a folder: `log.jsonl` (one line per report), `checkpoint.pt` (all that is needed to go on)
and, when finished, the exported weights. Running the same command again resumes it. Data is drawn
from (seed, step), so a resumed run is bit for bit the run that was not interrupted. Where there are
several processes, all of them compute; the first alone writes.
"""

import argparse
import copy
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from train.loop import ranks
from train.loop.progress import Log

Losses = dict[str, Tensor]  # {"loss": …, parts …}


CHECKPOINT = "checkpoint.pt"


@dataclass
class Run:
    """What the loop needs to know of a training."""

    folder: Path
    model: nn.Module  # all that is trained, heads included
    optimizer: torch.optim.Optimizer
    steps: int
    batch: int  # examples of a step, of all processes
    # step → its losses; or those of the parts that it is computed in, which are added up
    compute_loss: Callable[[int], Losses | Iterator[Losses]]
    evaluate: Callable[[nn.Module], dict[str, float]]  # held-out metrics of the model given
    warmup: int = 100
    ema_decay: float | None = None
    report_every: int = 50
    evaluations: int = 10  # in all
    save_every: int = 250
    max_norm: float = 1.0
    keep: bool = False  # the weights of every evaluation, as `weights-<step>.pt`
    settings: dict[str, Any] = field(default_factory=dict)  # a run goes on with the same ones only
    export: Callable[[nn.Module], None] | None = None  # called with the weights of a checkpoint
    tensorboard: bool = False
    ema: nn.Module | None = field(default=None, init=False)

    @property
    def evaluate_every(self) -> int:
        """Steps between evaluations."""
        return max(1, math.ceil(self.steps / self.evaluations))


def learning_rate_factor(step: int, steps: int, warmup: int) -> float:
    """Linear warm-up, then a cosine down to 2 %."""
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress))


def generator(seed: int, step: int, stream: int = 0) -> torch.Generator:
    """The random numbers of one step."""
    return torch.Generator().manual_seed((seed * 1_000_003 + step) * 101 + stream)


def save(run: Run, step: int, seconds: float) -> None:
    """Writes the checkpoint; a kill while writing, or a full disk, leaves the former one."""
    state = {
        "step": step,
        "seconds": seconds,
        "settings": run.settings,
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "ema": run.ema.state_dict() if run.ema is not None else None,
    }
    part = run.folder / f"{CHECKPOINT}.part"
    try:
        torch.save(state, part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
    except (OSError, RuntimeError) as error:  # torch raises the latter on a full disk
        part.unlink(missing_ok=True)
        raise OSError(
            f"{part} of step {step} could not be written ({str(error).splitlines()[0]}); the "
            f"checkpoint before it is intact. Make room on the disk and run the same command again."
        ) from error
    part.replace(run.folder / CHECKPOINT)


def resume(run: Run) -> tuple[int, float]:
    """Loads the checkpoint if there is one; returns (next step, seconds spent).

    ValueError where it is damaged, of another network, or of a run with other settings.
    """
    path = run.folder / CHECKPOINT
    if not path.exists():
        return 0, 0.0
    state = read_checkpoint(path)
    begun = state.get("settings", {})
    differ = [
        f"{name} is {run.settings.get(name)!r}, was {begun.get(name)!r}"
        for name in sorted(run.settings.keys() | begun.keys())
        if run.settings.get(name) != begun.get(name)
    ]
    if differ:
        raise ValueError(
            f"{run.folder} was begun otherwise: {'; '.join(differ)}. Go on as it was begun, or "
            f"start anew with another --run (from these weights with --from {run.folder})."
        )
    check_fit(run.model, state["model"], path)
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    if run.ema is not None:
        run.ema.load_state_dict(state["ema"])
    return state["step"], state["seconds"]


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's content; ValueError where it is damaged."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        state["model"], state["optimizer"], state["step"]
    except Exception as error:  # whatever a damaged file raises
        raise ValueError(
            f"{path} is damaged ({str(error).splitlines()[0]}): delete it to start anew."
        ) from error
    return state


def check_fit(model: nn.Module, state: dict[str, Tensor], path: Path) -> None:
    """ValueError where weights are of a network of other sizes."""
    ours = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    theirs = {name: list(tensor.shape) for name, tensor in state.items()}
    differ = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    if differ:
        name = differ[0]
        raise ValueError(
            f"{path} is of another network: {name} is {theirs.get(name)} there and "
            f"{ours.get(name)} here, and {len(differ) - 1} more differ. Use the options that it "
            f"was begun with, or another --run."
        )


@torch.no_grad()
def update_ema(run: Run, step: int) -> None:
    """Moves the averaged weights towards the model's; faster while young."""
    assert run.ema is not None and run.ema_decay is not None
    decay = min(run.ema_decay, (1 + step) / (10 + step))
    for mean, now in zip(run.ema.parameters(), run.model.parameters(), strict=True):
        mean.lerp_(now, 1 - decay)
    for mean, now in zip(run.ema.buffers(), run.model.buffers(), strict=True):
        mean.copy_(now)


def backward(run: Run, step: int) -> Losses:
    """Adds up the gradients of a step; returns its losses, detached."""
    found = run.compute_loss(step)
    totals: Losses = {}
    for losses in [found] if isinstance(found, dict) else found:
        losses["loss"].backward()
        for name, value in losses.items():
            totals[name] = totals[name] + value.detach() if name in totals else value.detach()
    return totals


def train(run: Run, stop_after: int | None = None) -> nn.Module:
    """Trains to the end (or `stop_after` steps of this call); returns the weights to export.

    FloatingPointError where a gradient is not finite, OSError where the disk is full; the last
    checkpoint is intact then.
    """
    run.folder.mkdir(parents=True, exist_ok=True)
    torch.set_flush_denormal(True)  # sharp attention makes many, each a hundred times as slow
    if run.ema_decay is not None:
        run.ema = copy.deepcopy(run.model).requires_grad_(False)
    exported = run.ema if run.ema is not None else run.model
    first, spent = resume(run)
    base_rates = [group.setdefault("base_lr", group["lr"]) for group in run.optimizer.param_groups]
    last = run.steps if stop_after is None else min(run.steps, first + stop_after)
    log = Log(run.folder, run.steps, run.batch, first, run.tensorboard)
    saved = first
    started = mark = time.perf_counter()
    marked = first  # the step that `mark` was taken after
    for step in range(first, last):
        factor = learning_rate_factor(step, run.steps, run.warmup)
        for group, rate in zip(run.optimizer.param_groups, base_rates, strict=True):
            group["lr"] = rate * factor
        run.model.train()
        run.optimizer.zero_grad(set_to_none=True)
        losses = backward(run, step)
        norm = nn.utils.clip_grad_norm_(run.model.parameters(), run.max_norm)
        if not torch.isfinite(norm):
            raise FloatingPointError(
                f"the gradient at step {step} is not finite; the last checkpoint, of step {saved}, "
                f"is intact. Start another --run with a lower --rate."
            )
        run.optimizer.step()
        if run.ema is not None:
            update_ema(run, step)
        done, now = step + 1, time.perf_counter()
        log.advance(run.batch)
        if done % run.report_every == 0 or done == last:
            ms = 1000 * (now - mark) / run.batch / (done - marked)
            mark, marked = now, done
            parts = {name: ranks.mean(value).item() for name, value in losses.items()}
            hours = (spent + now - started) / 3600
            log.write({"step": done, "ms_per_sample": ms, "hours": hours, **parts})
        if (done % run.evaluate_every == 0 or done == run.steps) and not ranks.rank():
            log.write({"step": done, **run.evaluate(exported.eval())})
            if run.keep:
                torch.save(exported.state_dict(), run.folder / f"weights-{done}.pt")
            mark, marked = time.perf_counter(), done
        if (done % run.save_every == 0 or done == last) and not ranks.rank():
            save(run, done, spent + time.perf_counter() - started)
            saved = done
            if run.export is not None:
                run.export(exported)
    log.close()
    return exported.eval()


def command(description: str, *, steps: int, batch: int, rate: float) -> argparse.ArgumentParser:
    """The options that every trainer has, with its defaults."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--run", type=Path, required=True, help="folder of checkpoints and log")
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--batch", type=int, default=batch, help="examples per step")
    parser.add_argument("--rate", type=float, default=rate, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--export", type=Path, help="write fp16 weights and configuration here")
    return parser


def options(arguments: argparse.Namespace) -> dict[str, Any]:
    """What every trainer's `build` takes; sets the number of threads."""
    torch.set_num_threads(arguments.threads)
    names = {"folder": "run", "steps": "steps", "batch": "batch", "rate": "rate", "seed": "seed"}
    return {name: getattr(arguments, option) for name, option in names.items()}
