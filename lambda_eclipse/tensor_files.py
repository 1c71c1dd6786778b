"""Tensors of safetensors files: one file, or the shards that an index lists.

Files are read, not mapped: pages of a mapped file count as memory of the process beside the copy
that a conversion makes, and a tensor within one is not aligned, which changes the order of sums in
kernels. So memory holds each tensor once, and the same weights give the same bits however they lie
in a file. Format: 8 bytes with the length of a JSON header, the header, the bytes of the tensors
(https://huggingface.co/docs/safetensors).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from lambda_eclipse.weights import WeightsError, missing_file

INDEX_SUFFIX = ".index.json"
_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.safetensors$")


class Source(Protocol):
    """Something that a tensor can be read from."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the tensor."""

    def read(self) -> Tensor:
        """The tensor, in memory of its own on the CPU, in the file's type."""


@dataclass(frozen=True)
class Entry:
    """A tensor in a file: `size` bytes from `start`."""

    path: Path
    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    size: int

    def read(self) -> Tensor:
        """See `Source`."""
        tensor = torch.empty(self.shape, dtype=self.dtype)
        if self.size:
            rest = memoryview(tensor.flatten().view(torch.uint8).numpy().data)
            with self.path.open("rb", buffering=0) as file:
                file.seek(self.start)
                while rest:
                    count = file.readinto(rest)
                    if not count:
                        raise OSError("the file ends early")
                    rest = rest[count:]
        return tensor


@dataclass(frozen=True)
class Joined:
    """Tensors joined along their first dimension."""

    parts: Sequence[Source]

    @property
    def shape(self) -> tuple[int, ...]:
        """See `Source`."""
        return (sum(part.shape[0] for part in self.parts), *self.parts[0].shape[1:])

    def read(self) -> Tensor:
        """See `Source`."""
        return torch.cat([part.read() for part in self.parts])


@dataclass(frozen=True)
class Transposed:
    """A matrix, transposed."""

    of: Source

    @property
    def shape(self) -> tuple[int, ...]:
        """See `Source`."""
        return self.of.shape[::-1]

    def read(self) -> Tensor:
        """See `Source`."""
        return self.of.read().t().contiguous()


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor that no file has."""

    value: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """See `Source`."""
        return tuple(self.value.shape)

    def read(self) -> Tensor:
        """See `Source`."""
        return self.value.clone()


def entries(path: Path) -> dict[str, Entry]:
    """The tensors of a file by name, or of the shards that the index beside it lists.

    Raises WeightsError for missing and damaged files.
    """
    if path.is_file():
        return _header(path)
    index = path.with_name(path.name + INDEX_SUFFIX)
    if not index.is_file():
        raise missing_file(path)
    try:
        shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise WeightsError("{path} is no index: download it again.", path=index) from error
    found: dict[str, Entry] = {}
    for name in shards:
        shard = path.with_name(Path(name).name)
        if not shard.is_file():
            raise missing_file(shard)
        found |= _header(shard)
    return found


def shards(name: str, names: Sequence[str] | set[str]) -> tuple[str, ...]:
    """Of `names`, those of a file's shards and their index; empty unless all are there."""
    if name + INDEX_SUFFIX not in names:
        return ()
    stem = name.removesuffix(".safetensors")
    found = sorted(n for n in names if n.startswith(f"{stem}-") and _SHARD.search(n))
    counts = {int(match[2]) for n in found if (match := _SHARD.search(n))}
    whole = len(counts) == 1 and len(found) == counts.pop()
    return (name + INDEX_SUFFIX, *found) if whole else ()


def _header(path: Path) -> dict[str, Entry]:
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            size = path.stat().st_size
            if not 2 <= length <= size - 8:
                raise ValueError("it has no header")
            header: Mapping[str, Any] = json.loads(file.read(length))
        found = {
            name: _entry(path, entry, 8 + length)
            for name, entry in header.items()
            if name != "__metadata__"
        }
        if max((e.start + e.size for e in found.values()), default=8 + length) != size:
            raise ValueError("its size is not that of its tensors")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(
            "{path} is not a readable safetensors file ({error}): download it again.",
            path=path,
            error=error,
        ) from error
    return found


def _entry(path: Path, entry: Mapping[str, Any], base: int) -> Entry:
    dtype, shape = _TYPES[entry["dtype"]], tuple(entry["shape"])
    start, end = entry["data_offsets"]
    if start < 0 or end - start != dtype.itemsize * torch.Size(shape).numel():
        raise ValueError("a tensor's size is not that of its shape")
    return Entry(path, dtype, shape, base + start, end - start)
