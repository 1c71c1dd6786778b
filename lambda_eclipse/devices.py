"""Devices: which exist on this machine, and which can hold a stack."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from lambda_eclipse.messages import StudioError

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps")


def check_name(name: str) -> None:
    """Raise StudioError unless `name` is one of DEVICES or "cuda:N"."""
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        raise StudioError(
            'There is no device "{device}": choose {devices}.',
            device=name,
            devices=", ".join(DEVICES),
        )


def find(name: str, min_cuda_gib: float) -> torch.device:
    """The device of that name; "auto" takes a CUDA card of that size, else MPS, else the CPU.

    Raises StudioError for a device that does not exist, and for a CUDA card that is smaller.
    """
    import torch

    has_mps = torch.backends.mps.is_available()
    if name == "auto":
        if cuda_fits(name, min_cuda_gib):
            return torch.device("cuda")
        return torch.device("mps" if has_mps else "cpu")
    if name == "mps" and not has_mps:
        raise StudioError("This machine has no Apple GPU for --device mps: use auto or cpu.")
    if name.startswith("cuda"):
        if not _has_cuda(name):
            raise StudioError(
                "This machine has no CUDA card for --device {device}: use auto or cpu.",
                device=name,
            )
        if not cuda_fits(name, min_cuda_gib):
            raise StudioError(
                "The stack needs a CUDA card with {least} GiB, this one has {size}: use --device "
                "cpu or another stack.",
                least=f"{min_cuda_gib:g}",
                size=f"{cuda_gib(name):.1f}",
            )
    return torch.device(name)


def cuda_fits(name: str, min_gib: float) -> bool:
    """Whether the CUDA card "cuda:N", or the first one, exists and has that much memory."""
    return _has_cuda(name) and cuda_gib(name) >= min_gib


def cuda_gib(device: torch.device | str) -> float:
    """Memory of a CUDA card in GiB."""
    import torch

    return float(torch.cuda.get_device_properties(_index(device)).total_memory / 2**30)


def cpu_teraflops(side: int = 1024, seconds: float = 0.3) -> float:
    """Measured speed of this processor in 10¹² operations a second, of float32 products."""
    import torch

    a = torch.randn(side, side)
    a @ a
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        a @ a
        count += 1
    return count * 2 * side**3 / (time.perf_counter() - began) / 1e12


def _has_cuda(name: str) -> bool:
    import torch

    return torch.cuda.is_available() and _index(name) < torch.cuda.device_count()


def _index(device: torch.device | str) -> int:
    return int(str(device).partition(":")[2] or 0)
