"""State dicts, read strictly: exactly the names and shapes of a module, or an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from lambda_eclipse.tensor_files import Source, entries
from lambda_eclipse.weights import WeightsError


def read_safetensors(
    path: Path,
    expected: Mapping[str, Sequence[int]],
    device: str | torch.device = "cpu",
    dtype: torch.dtype | Callable[[str], torch.dtype] | None = None,
) -> dict[str, Tensor]:
    """`read` of a safetensors file, or of its shards."""
    return read(entries(path), path, expected, device, dtype)


def read(
    found: Mapping[str, Source],
    path: Path,
    expected: Mapping[str, Sequence[int]],
    device: str | torch.device = "cpu",
    dtype: torch.dtype | Callable[[str], torch.dtype] | None = None,
) -> dict[str, Tensor]:
    """Tensors of exactly the `expected` names and shapes, one after another.

    path: where they are found, for messages. dtype: what floating-point tensors become, one for all
    or by name; None keeps the file's. Raises WeightsError naming the file, what is wrong with it,
    and the remedy.
    """
    _check_layout(path, found, {name: tuple(shape) for name, shape in expected.items()})
    state = {}
    for name in sorted(found):
        try:
            tensor = found[name].read()
        except OSError as error:
            raise WeightsError(
                "{path} is not a readable safetensors file ({error}): download it again.",
                path=path,
                error=error,
            ) from error
        wanted = dtype(name) if callable(dtype) else dtype
        floating = wanted is not None and tensor.is_floating_point()
        state[name] = tensor.to(device, wanted if floating else tensor.dtype)
    return state


def load_module(
    module: nn.Module,
    found: Path | Mapping[str, Source],
    path: Path | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | Callable[[str], torch.dtype] | None = None,
) -> None:
    """Load exactly the tensors of a module, which may be on the meta device.

    found: a file, or tensors found in `path`; others as in `read`. Tensors are assigned, not
    copied: the module takes their device and type.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    if isinstance(found, Path):
        path, found = found, entries(found)
    assert path is not None
    module.load_state_dict(read(found, path, expected, device, dtype), strict=True, assign=True)


def _check_layout(
    path: Path, sources: Mapping[str, Source], expected: dict[str, tuple[int, ...]]
) -> None:
    found = {name: source.shape for name, source in sources.items()}
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
