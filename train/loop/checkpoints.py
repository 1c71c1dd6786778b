"""Checkpoints: all that a training changes, written whole, compared before it is resumed."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lambda_eclipse.weights import write_whole

CHECKPOINT = "checkpoint.pt"


@dataclass
class State:
    """Everything that training changes.

    average: the averaged weights, if there are any. step: steps done; saved: those of the last
    checkpoint. seconds: time spent, over all calls.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: nn.Module | None = None
    step: int = 0
    saved: int = 0
    seconds: float = 0.0

    @property
    def result(self) -> nn.Module:
        """The weights to evaluate and export."""
        return self.model if self.average is None else self.average


def save(state: State, folder: Path, identity: Mapping[str, Any]) -> None:
    """Write the checkpoint. OSError when the disk is full; the previous one is intact then."""
    path = folder / CHECKPOINT
    content = {
        "step": state.step,
        "seconds": state.seconds,
        "settings": dict(identity),
        "model": state.model.state_dict(),
        "optimizer": state.optimizer.state_dict(),
        "ema": None if state.average is None else state.average.state_dict(),
    }
    try:
        write(content, path)
    except (OSError, RuntimeError) as error:  # PyTorch raises the latter on a full disk
        raise OSError(
            f"{path} of step {state.step} could not be written ({str(error).splitlines()[0]}); the "
            f"checkpoint before it is intact. Make room on the disk and run the same command again."
        ) from error
    state.saved = state.step


def write(content: Mapping[str, Any], path: Path) -> None:
    """Write tensors and numbers as PyTorch does, whole and onto the disk."""

    def write_synced(temporary: Path) -> None:
        with temporary.open("wb") as file:
            torch.save(content, file)
            file.flush()
            os.fsync(file.fileno())

    write_whole(path, write_synced)


def resume(state: State, folder: Path, identity: Mapping[str, Any]) -> None:
    """Load the folder's checkpoint, if there is one, into `state`.

    ValueError when it is damaged, of another network, or was trained with other settings.
    """
    path = folder / CHECKPOINT
    for leftover in folder.glob(f".{CHECKPOINT}.*"):  # of a process killed while writing
        leftover.unlink(missing_ok=True)
    if not path.exists():
        return
    content = read(path)
    if differ := differences(identity, content.get("settings", {})):
        raise ValueError(
            f"{folder} was begun otherwise: {'; '.join(differ)}. Go on as it was begun, or "
            f"start anew with another --run (from these weights with --from {folder})."
        )
    check_fit(state.model, content["model"], path)
    state.model.load_state_dict(content["model"])
    state.optimizer.load_state_dict(content["optimizer"])
    if state.average is not None:
        state.average.load_state_dict(content["ema"])
    state.step = state.saved = content["step"]
    state.seconds = content["seconds"]


def differences(current: Mapping[str, Any], previous: Mapping[str, Any]) -> list[str]:
    """Each entry that differs, in words, by name."""
    return [
        f"{name} is {current.get(name)!r}, was {previous.get(name)!r}"
        for name in sorted(current.keys() | previous.keys())
        if current.get(name) != previous.get(name)
    ]


def read(path: Path) -> dict[str, Any]:
    """A checkpoint's content; ValueError when it is damaged."""
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        content["model"], content["optimizer"], content["step"]
    except Exception as error:  # unpickling raises nearly anything
        raise ValueError(
            f"{path} is damaged ({str(error).splitlines()[0]}): delete it to start anew."
        ) from error
    return content


def check_fit(model: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """ValueError when weights belong to a network of other sizes."""
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
