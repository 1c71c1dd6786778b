"""Weights on disk: their errors, configuration files, whole writes."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lambda_eclipse.messages import StudioError

if TYPE_CHECKING:
    from torch import Tensor


class WeightsError(StudioError):
    """A file of weights or its configuration is missing, damaged or of another model."""


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; WeightsError when there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise missing_file(path) from error
    except (OSError, ValueError) as error:
        raise WeightsError(
            "{path} is not JSON ({error}): download it again.", path=path, error=error
        ) from error
    if not isinstance(content, dict):
        raise WeightsError("{path} holds no JSON object: download it again.", path=path)
    return content


def save_fp16(state: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors, floating-point ones as float16, whole or not at all.

    WeightsError when a value doesn't fit float16.
    """
    import torch
    from safetensors.torch import save_file

    half: dict[str, Tensor] = {}
    for name, tensor in state.items():
        kept = tensor.detach().cpu()
        if kept.is_floating_point():
            kept = kept.to(torch.float16)
            if not torch.isfinite(kept).all():
                raise WeightsError(
                    "{name} has values beyond the range of float16: {path} was not written.",
                    name=name,
                    path=path,
                )
        # Tensors that share memory can't be saved; a copy of each can.
        half[name] = kept.contiguous().clone()
    write_whole(path, lambda temporary: save_file(half, temporary, {"format": "pt"}))


def write_json(content: Mapping[str, Any], path: Path) -> None:
    """Write a JSON object, whole or not at all."""
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file beside its target, then rename it: readers never see a partial file."""
    write_all({path: write})


def write_all(writers: Mapping[Path, Callable[[Path], object]]) -> None:
    """As `write_whole`, for several files: if one fails, none is written."""
    parts: dict[Path, Path] = {}
    try:
        for path, write in writers.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            os.close(handle)
            parts[path] = Path(name)
            write(parts[path])
            parts[path].chmod(0o644)  # mkstemp makes files private
        for path, part in parts.items():
            part.replace(path)
    finally:
        for part in parts.values():
            part.unlink(missing_ok=True)


def missing_file(path: Path) -> WeightsError:
    """The error for a file that should be in a model's folder."""
    return WeightsError("{path} is missing: download the whole folder again.", path=path)
