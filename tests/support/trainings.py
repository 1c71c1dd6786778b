"""What every training must do: its loss goes down, and it resumes bit for bit."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from train.loop.loop import train
from train.loop.task import Settings, Task


@torch.no_grad()
def loss_of(task: Task, steps: int = 3) -> float:
    """Sum of a task's losses over its first steps."""
    task.model.train()
    total = 0.0
    for step in range(steps):
        losses = task.loss(step)
        parts = [losses] if isinstance(losses, dict) else losses
        total += sum(part["loss"].item() for part in parts)
    return total


def same_weights(one: nn.Module, two: nn.Module) -> bool:
    ours, theirs = one.state_dict(), two.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def check_training(
    build: Callable[[], Task], settings: Settings, folder: Path, stop_after: int
) -> tuple[Task, nn.Module]:
    """Train a task, and train it again with an interruption; both end with equal weights.

    Warm-up and evaluations are left out. The runs are `whole` and `cut` in `folder`. Returns the
    task and its exported weights.
    """

    def quick() -> Task:
        return replace(build(), evaluate=lambda model: {})

    settings = replace(settings, warmup=1)
    whole = quick()
    before = loss_of(whole)
    result = train(whole, settings, folder / "whole")
    assert loss_of(whole) < before
    train(quick(), settings, folder / "cut", stop_after)
    resumed = quick()
    again = train(resumed, settings, folder / "cut")
    assert same_weights(result, again)
    assert same_weights(whole.model, resumed.model)
    return whole, result
