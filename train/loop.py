"""The loop that every trainer runs, its checkpoints and its log.

A run is a folder: `log.jsonl` (one line per report), `checkpoint.pt` (all that is needed to go on)
and, when finished, the exported weights. Running the same command again resumes it. Data is drawn
from (seed, step), so a resumed run is bit for bit the run that was not interrupted.
"""

import argparse
import copy
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn


@dataclass
class Run:
    """What the loop needs to know of a training."""

    folder: Path
    model: nn.Module  # all that is trained, heads included
    optimizer: torch.optim.Optimizer
    steps: int
    batch: int
    compute_loss: Callable[[int], dict[str, torch.Tensor]]  # step → {"loss": …, parts …}
    evaluate: Callable[[nn.Module], dict[str, float]]  # held-out metrics of the model given
    warmup: int = 100
    ema_decay: float | None = None
    report_every: int = 50
    evaluations: int = 10  # in all
    save_every: int = 250
    max_norm: float = 1.0
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
    """Writes the checkpoint; a kill while writing leaves the former one."""
    state = {
        "step": step,
        "seconds": seconds,
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "ema": run.ema.state_dict() if run.ema is not None else None,
    }
    part = run.folder / "checkpoint.pt.part"
    torch.save(state, part)
    part.replace(run.folder / "checkpoint.pt")


def resume(run: Run) -> tuple[int, float]:
    """Loads the checkpoint if there is one; returns (next step, seconds spent)."""
    path = run.folder / "checkpoint.pt"
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, map_location="cpu", weights_only=True)
    run.model.load_state_dict(state["model"])
    run.optimizer.load_state_dict(state["optimizer"])
    if run.ema is not None:
        run.ema.load_state_dict(state["ema"])
    return state["step"], state["seconds"]


def report(run: Run, line: dict[str, float]) -> None:
    """Appends one line to the run's log and prints it."""
    text = json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in line.items()})
    with (run.folder / "log.jsonl").open("a") as log:
        log.write(text + "\n")
    print(text, flush=True)


@torch.no_grad()
def update_ema(run: Run, step: int) -> None:
    """Moves the averaged weights towards the model's; faster while young."""
    assert run.ema is not None and run.ema_decay is not None
    decay = min(run.ema_decay, (1 + step) / (10 + step))
    for mean, now in zip(run.ema.parameters(), run.model.parameters(), strict=True):
        mean.lerp_(now, 1 - decay)
    for mean, now in zip(run.ema.buffers(), run.model.buffers(), strict=True):
        mean.copy_(now)


def train(run: Run, stop_after: int | None = None) -> nn.Module:
    """Trains to the end (or `stop_after` steps of this call); returns the weights to export."""
    run.folder.mkdir(parents=True, exist_ok=True)
    torch.set_flush_denormal(True)  # sharp attention makes many, each a hundred times as slow
    if run.ema_decay is not None:
        run.ema = copy.deepcopy(run.model).requires_grad_(False)
    first, spent = resume(run)
    base_rates = [group.setdefault("base_lr", group["lr"]) for group in run.optimizer.param_groups]
    started = mark = time.perf_counter()
    marked = first  # the step that `mark` was taken after
    last = run.steps if stop_after is None else min(run.steps, first + stop_after)
    for step in range(first, last):
        factor = learning_rate_factor(step, run.steps, run.warmup)
        for group, rate in zip(run.optimizer.param_groups, base_rates, strict=True):
            group["lr"] = rate * factor
        run.model.train()
        losses = run.compute_loss(step)
        run.optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        norm = nn.utils.clip_grad_norm_(run.model.parameters(), run.max_norm)
        if not torch.isfinite(norm):
            raise FloatingPointError(f"the gradient at step {step} is not finite")
        run.optimizer.step()
        if run.ema is not None:
            update_ema(run, step)
        done, now = step + 1, time.perf_counter()
        if done % run.report_every == 0 or done == last:
            ms = 1000 * (now - mark) / run.batch / (done - marked)
            mark, marked = now, done
            parts = {name: value.item() for name, value in losses.items()}
            report(
                run,
                {
                    "step": done,
                    "ms_per_sample": ms,
                    "hours": (spent + now - started) / 3600,
                    **parts,
                },
            )
        if done % run.evaluate_every == 0 or done == run.steps:
            exported = run.ema if run.ema is not None else run.model
            exported.eval()
            report(run, {"step": done, **run.evaluate(exported)})
            mark, marked = time.perf_counter(), done
        if done % run.save_every == 0 or done == last:
            save(run, done, spent + time.perf_counter() - started)
    exported = run.ema if run.ema is not None else run.model
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
