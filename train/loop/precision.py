"""Which devices compute in half precision, and which only pretend to."""

import platform
from pathlib import Path
from typing import Literal

import torch

Precision = Literal["float32", "bfloat16"]


def has_bfloat16(device: torch.device, cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether a device has instructions for bfloat16 products.

    A CPU without them computes them all the same, some hundred times as slowly.
    """
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu" or platform.system() != "Linux":
        return False
    try:
        words = set(cpuinfo.read_text(errors="replace").split())
    except OSError:
        return False
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})


def check(asked: str, device: str) -> Precision:
    """The precision for what was asked, on a device.

    "auto": bfloat16 on a GPU that has it, else float32, in which a resumed run repeats every bit.
    ValueError for bfloat16 where the device has none, and for devices that are not here.
    """
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {device}: {str(error).splitlines()[0]}") from None
    if asked == "auto":
        return "bfloat16" if chosen.type == "cuda" and has_bfloat16(chosen) else "float32"
    if asked == "bfloat16" and not has_bfloat16(chosen):
        raise ValueError(
            f"--precision bfloat16: {device} has no instructions for it and would take a hundred "
            f"times as long; use float32."
        )
    return asked
