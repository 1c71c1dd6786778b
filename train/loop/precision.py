"""The precision of matrix products: which devices have bfloat16 instructions."""

import platform
from pathlib import Path
from typing import Literal

import torch

Precision = Literal["float32", "bfloat16"]


def has_bfloat16(device: torch.device, cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether a device has bfloat16 instructions; a CPU without them is 100 times slower in it."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type != "cpu" or platform.system() != "Linux":
        return False
    try:
        words = set(cpuinfo.read_text(errors="replace").split())
    except OSError:
        return False
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})


def check(requested: str, device: str) -> Precision:
    """The precision to use on a device.

    requested: "auto" is bfloat16 on a GPU that has it, else float32, in which a resumed run is
    bit-equal. ValueError for bfloat16 on a device without it, and for unavailable devices.
    """
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"--device {device}: {str(error).splitlines()[0]}") from None
    if requested == "auto":
        return "bfloat16" if chosen.type == "cuda" and has_bfloat16(chosen) else "float32"
    if requested == "bfloat16" and not has_bfloat16(chosen):
        raise ValueError(
            f"--precision bfloat16: {device} has no instructions for it and would be a hundred "
            f"times slower; use float32."
        )
    return "bfloat16" if requested == "bfloat16" else "float32"
