"""Weights on disk: where they come from, checks of their files, strict reading, whole writes."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lambda_eclipse.messages import StudioError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class WeightsError(StudioError):
    """A file of weights or its configuration is missing, damaged or of another model."""


def resolve(
    source: str | Path,
    folder: str | Path | None = None,
    patterns: Sequence[str] | None = None,
) -> Path:
    """The local folder of a model: `folder` if it exists, else that of `source`.

    source: a folder, or the name of a hub repository ("owner/name"), which is downloaded once
    and cached; `patterns` limits the files. Raises WeightsError when neither exists.
    """
    for candidate in (folder, source):
        if candidate is not None and (path := Path(candidate).expanduser()).is_dir():
            return path
    name = str(source)
    if name.count("/") != 1 or name.startswith((".", "~", "/")):
        raise WeightsError(
            "{source} is neither an existing folder nor the name of a hub repository: use a "
            'folder or "owner/name".',
            source=name,
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(patterns) if patterns else None))
    except Exception as error:  # the client raises a dozen unrelated types, all with one remedy
        raise WeightsError(
            "Could not download {source} ({error}): check the name and the network connection, "
            "or use a local folder with its files.",
            source=name,
            error=type(error).__name__,
        ) from error


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


def read_safetensors(
    path: Path,
    expected: Mapping[str, Sequence[int]],
    device: str | torch.device = "cpu",
    dtype: torch.dtype | Callable[[str], torch.dtype] | None = None,
) -> dict[str, Tensor]:
    """Tensors of a safetensors file that holds exactly the `expected` names and shapes.

    dtype: what floating-point tensors become, one for all or by name; None keeps the file's.
    WeightsError names the file, what is wrong with it, and the remedy.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise missing_file(path)
    try:
        with safe_open(path, "pt", device=str(device)) as file:
            names = set(file.keys())
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in names}
            _check_layout(path, shapes, {n: tuple(s) for n, s in expected.items()})
            state = {}
            for name in sorted(names):
                tensor = file.get_tensor(name)
                wanted = dtype(name) if callable(dtype) else dtype
                if wanted is not None and tensor.is_floating_point():
                    tensor = tensor.to(wanted)
                state[name] = tensor
            return state
    except (SafetensorError, OSError) as error:
        raise WeightsError(
            "{path} is not a readable safetensors file ({error}): download it again.",
            path=path,
            error=error,
        ) from error


def _check_layout(
    path: Path, found: dict[str, tuple[int, ...]], expected: dict[str, tuple[int, ...]]
) -> None:
    missing = sorted(expected.keys() - found.keys())
    unknown = sorted(found.keys() - expected.keys())
    wrong = sorted(n for n in expected.keys() & found.keys() if expected[n] != found[n])
    faults = []
    if missing:
        faults.append(f"lacks {_few(missing)}")
    if unknown:
        faults.append(f"has unknown {_few(unknown)}")
    if wrong:
        name = wrong[0]
        faults.append(
            f"has {len(wrong)} tensors of another shape, such as {name} "
            f"{list(found[name])} instead of {list(expected[name])}"
        )
    if faults:
        raise WeightsError(
            "{path} does not match its configuration: it {faults}. Use the weights and the "
            "configuration file of the same model.",
            path=path,
            faults="; it ".join(faults),
        )


def _few(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def load_module(
    module: nn.Module,
    path: Path,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | Callable[[str], torch.dtype] | None = None,
) -> None:
    """Load exactly the tensors of a module, which may be on the meta device, from a file.

    Tensors are assigned, not copied: the module takes their device and type.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    state = read_safetensors(path, expected, device, dtype)
    module.load_state_dict(state, strict=True, assign=True)


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
