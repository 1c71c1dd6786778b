"""The loop that every trainer runs.

A run is a folder: `log.jsonl`, one line per report; `checkpoint.pt`, all that is needed to resume;
with `keep`, `weights-<step>.pt` of each evaluation. The same command resumes it. Data is a function
of (seed, step), so a resumed run equals the uninterrupted one bit for bit. All processes compute;
only the first one writes.
"""

import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from train.loop import checkpoints, ranks
from train.loop.checkpoints import State
from train.loop.progress import Log
from train.loop.task import Losses, Settings, Task


def train(
    task: Task,
    settings: Settings,
    folder: Path,
    stop_after: int | None = None,
    keep: bool = False,
    tensorboard: bool = False,
) -> Any:
    """Train to the end, or for `stop_after` steps of this call; returns the model to export.

    FloatingPointError when a gradient is not finite, OSError when the disk is full: the last
    checkpoint is intact then. ValueError when the folder's checkpoint does not fit the task.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_flush_denormal(True)  # sharp attention makes many, each a hundred times as slow
    state = begin(task, settings)
    checkpoints.resume(state, folder, task.identity)
    first, samples = state.step, settings.batch * ranks.world()
    last = settings.steps if stop_after is None else min(settings.steps, first + stop_after)
    with Log(folder, settings.steps, samples, first, state.seconds, tensorboard) as log:
        while state.step < last:
            losses = update(task, settings, state)
            log.advance()
            if state.step % settings.report_every == 0 or state.step == last:
                log.losses(state.step, losses)
            if ranks.rank():
                continue
            if state.step % settings.evaluate_every == 0 or state.step == settings.steps:
                log.metrics(state.step, task.evaluate(state.result.eval()))
                if keep:
                    path = folder / f"weights-{state.step}.pt"
                    checkpoints.write(state.result.state_dict(), path)
            if state.step % settings.save_every == 0 or state.step == last:
                state.seconds = log.seconds
                checkpoints.save(state, folder, task.identity)
                if task.export is not None:
                    task.export(state.result, folder)
    return state.result.eval()


def begin(task: Task, settings: Settings) -> State:
    """The state before the first step."""
    average = None
    if settings.ema_decay is not None:
        average = copy.deepcopy(task.model).requires_grad_(False)
    return State(task.model, task.optimizer(settings), average)


def update(task: Task, settings: Settings, state: State) -> Losses:
    """Take one step; returns its losses."""
    for group in state.optimizer.param_groups:
        group["lr"] = group["base_lr"] * settings.rate_factor(state.step)
    state.model.train()
    state.optimizer.zero_grad(set_to_none=True)
    losses = backward(task, state.step)
    norm = nn.utils.clip_grad_norm_(state.model.parameters(), settings.max_norm)
    if not torch.isfinite(norm):
        raise FloatingPointError(
            f"the gradient at step {state.step} is not finite; the last checkpoint, of step "
            f"{state.saved}, is intact. Start another --run with a lower --rate."
        )
    state.optimizer.step()
    if state.average is not None:
        assert settings.ema_decay is not None
        decay = min(settings.ema_decay, (1 + state.step) / (10 + state.step))  # faster while young
        update_average(state.average, state.model, decay)
    state.step += 1
    return losses


def backward(task: Task, step: int) -> Losses:
    """Accumulate the gradients of a step; returns its losses, detached."""
    computed = task.loss(step)
    totals: Losses = {}
    for losses in [computed] if isinstance(computed, dict) else computed:
        losses["loss"].backward()
        for name, value in losses.items():
            totals[name] = totals[name] + value.detach() if name in totals else value.detach()
    return totals


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Move the averaged weights towards the model's; buffers are copied."""
    for mean, now in zip(average.parameters(), model.parameters(), strict=True):
        mean.lerp_(now, 1 - decay)
    for copied, buffer in zip(average.buffers(), model.buffers(), strict=True):
        copied.copy_(buffer)
