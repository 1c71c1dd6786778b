"""Feature shards: a frozen CLIP's features of interleaved shards, and a checked reader.

A folder of WebDataset shards `features-000000.tar`, … (`tars`), with one member KEY.safetensors for
each example, training examples first, then validation examples:

    states    (L, D)  float16  token states from start to end-of-text, no subject swapped in
    pooled    (D,)    float16  pooled text
    spans     (K, 2)  int16    token positions [start, end) of each subject's noun
    subjects  (K, D)  float16  embedding of each subject alone on white
    target    (D,)    float16  embedding of the picture
    canny     (D,)    float16  embedding of its edge map
    key       (1,)    int64    equal for equal captions

with {"caption", "source"} as JSON in its metadata "example". `manifest.json` also has "train",
the number of training examples, for each shard; and "tokens", the number of text positions,
"clip", the encoder (`Source`), and "null", the null image's embedding, for all.
"""

import hashlib
import json
import mmap
import tarfile
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
from torch import Tensor

from train.data.tars import MANIFEST, ShardError, open_checked, read_manifest, write_manifest

FORMAT = "features-1"
KIND = "features"
OPEN_SHARDS = 64  # memory-mapped at once by a reader
NAMES = ("states", "pooled", "spans", "subjects", "target", "canny", "key")


@dataclass(frozen=True)
class Source:
    """The CLIP that computed the features.

    dimension: D. sha256: of its weights' file. inverse_temperature: exp of its logit_scale.
    """

    dimension: int
    sha256: str
    inverse_temperature: float

    def difference(self, other: "Source") -> str | None:
        """The difference to another, in words; None if they are the same CLIP."""
        if self.dimension != other.dimension:
            return f"embeddings are {self.dimension} wide, not {other.dimension}"
        if self.sha256 != other.sha256:
            return f"weights have the SHA-256 {self.sha256[:12]}…, not {other.sha256[:12]}…"
        return None


def key_of(caption: str) -> int:
    """A hash of a caption: equal captions have equal keys."""
    digest = hashlib.sha256(caption.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def encode(tensors: Mapping[str, np.ndarray], caption: str, source: str) -> bytes:
    """The content of an example's member. ValueError for values out of float16's range."""
    halves = {}
    for name in ("states", "pooled", "subjects", "target", "canny"):
        with np.errstate(over="ignore"):
            halves[name] = np.ascontiguousarray(tensors[name], np.float16)
        if not np.isfinite(halves[name]).all():
            raise ValueError(f"{name} of {source} holds values that float16 can't.")
    content: dict[str, np.ndarray] = {
        **halves,
        "spans": np.asarray(tensors["spans"], np.int16).reshape(-1, 2),
        "key": np.array([key_of(caption)], np.int64),
    }
    # One entry, since several have no fixed order in the file.
    example = json.dumps({"caption": caption, "source": source}, ensure_ascii=False)
    return safetensors.numpy.save(content, {"example": example})


def write_index(
    folder: Path, dones: Sequence[Mapping[str, Any]], clip: Source, null: Tensor
) -> Path:
    """Write `manifest.json` over the finished shards."""
    return write_manifest(
        folder,
        KIND,
        FORMAT,
        dones,
        ("train",),
        tokens=sum(done["tokens"] for done in dones),
        clip=asdict(clip),
        null=null.flatten().tolist(),
    )


class FeatureShards:
    """The examples of a folder of feature shards, by index.

    counts: the number of "train" and "validation" examples in each shard. A shard is compared with
    the manifest when its first example is read. ShardError if anything differs.
    """

    def __init__(self, folder: Path) -> None:
        content = read_manifest(folder, FORMAT)
        self.folder = folder
        try:
            self.files: dict[str, dict[str, Any]] = content["files"]
            self.clip = Source(**content["clip"])
            self.null = torch.tensor(content["null"])  # (D,)
            self.examples, self.tokens = content["examples"], content["tokens"]
            self.bytes = sum(entry["bytes"] for entry in self.files.values())
            self.counts = {
                "train": [entry["train"] for entry in self.files.values()],
                "validation": [e["examples"] - e["train"] for e in self.files.values()],
            }
        except (KeyError, TypeError, ValueError) as error:
            raise ShardError(
                f"{folder / MANIFEST} is damaged: run the command that writes it again."
            ) from error
        self._names = list(self.files)
        self._open: OrderedDict[int, tuple[mmap.mmap, list[tuple[int, int]]]] = OrderedDict()

    def count(self, side: str) -> int:
        """Number of examples of a side."""
        return sum(self.counts[side])

    @property
    def digest(self) -> str:
        """A checksum of all shards' checksums."""
        rows = "".join(entry["sha256"] for entry in self.files.values())
        return hashlib.sha256(rows.encode()).hexdigest()

    def read(self, side: str, shard: int, number: int) -> dict[str, np.ndarray]:
        """The tensors of example `number` of a side within a shard."""
        content, members = self._shard(shard)
        first = 0 if side == "train" else self.counts["train"][shard]
        offset, size = members[first + number]
        try:
            tensors = safetensors.numpy.load(content[offset : offset + size])
            if not set(NAMES) <= tensors.keys():
                raise ValueError(f"it has {', '.join(sorted(tensors))}")
        except Exception as error:  # the library's own error is no ValueError
            raise ShardError(
                f"{self.folder / self._names[shard]}: an example is not of format {FORMAT} "
                f"({error}): write the features anew."
            ) from error
        if tensors["states"].shape[1] != self.clip.dimension:
            raise ShardError(
                f"{self.folder / self._names[shard]} has states of width "
                f"{tensors['states'].shape[1]}, its manifest says {self.clip.dimension}: these "
                f"are features of two CLIPs; write them anew."
            )
        return tensors

    def _shard(self, number: int) -> tuple[mmap.mmap, list[tuple[int, int]]]:
        """A shard's content, and offset and size of each member."""
        if number in self._open:
            self._open.move_to_end(number)
            return self._open[number]
        name = self._names[number]
        content = open_checked(self.folder, name, self.files[name])
        with tarfile.open(fileobj=content, mode="r:") as tar:
            members = [(member.offset_data, member.size) for member in tar]
        self._open[number] = content, members
        if len(self._open) > OPEN_SHARDS:
            self._open.popitem(last=False)
        return self._open[number]

    def __getstate__(self) -> dict[str, Any]:
        """Memory maps can't be pickled; another process opens its own."""
        return {**self.__dict__, "_open": OrderedDict()}
