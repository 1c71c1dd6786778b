"""Main memory: how much of it is free, and how much a stack will take."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import psutil
import torch

from lambda_eclipse import layouts
from lambda_eclipse.stacks import Part, Stack
from lambda_eclipse.tensor_files import entries
from lambda_eclipse.weights import WeightsError

CGROUP = Path("/sys/fs/cgroup")  # where a container's own limit is
SPARE_BYTES = 1e9  # for what is not weights


def free_bytes() -> int:
    """Memory that programs can still take, within a container's limit if there is one."""
    free = psutil.virtual_memory().available
    try:
        limit = int((CGROUP / "memory.max").read_text())
        used = int((CGROUP / "memory.current").read_text())
    except (OSError, ValueError):  # another system, or "max"
        return int(free)
    return int(min(free, max(0, limit - used)))


def weights_bytes(folder: Path, part: Part, dtype: torch.dtype) -> int:
    """Memory of a part's weights in a type, from the headers of their files."""
    half = dtype == torch.float16
    total = 0
    for name in layouts.files_in(folder, part, half):
        if name.endswith(".safetensors"):
            for entry in entries(folder / name).values():
                size = dtype.itemsize if entry.dtype.is_floating_point else entry.dtype.itemsize
                total += torch.Size(entry.shape).numel() * size
    return total


def check(stack: Stack, folders: Mapping[Part, Path], dtype: torch.dtype) -> None:
    """Raise WeightsError unless a stack's weights fit into main memory."""
    needed = sum(weights_bytes(folder, part, dtype) for part, folder in folders.items())
    free = free_bytes()
    if needed > SPARE_BYTES and free < needed + SPARE_BYTES:
        raise WeightsError(
            "The {stack} stack needs {needed} GB of memory, of which {free} GB are free: close "
            "other programs, or use another stack.",
            stack=stack.name,
            needed=f"{(needed + SPARE_BYTES) / 1e9:.1f}",
            free=f"{free / 1e9:.1f}",
        )
