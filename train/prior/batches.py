"""Batches of feature shards: which examples a step has, with which noise and drops.

Both are functions of (seed, position in the order) alone: of neither the number of processes nor
the step at which a run was interrupted.
"""

import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from lambda_eclipse.prior import Prior
from train.data.feature_shards import FeatureShards
from train.data.tars import ShardError
from train.loop import ranks
from train.prior.packed_text import Batch, Packed
from train.prior.presets import Preset

WINDOW = 32  # shards that are shuffled together, so that a disk is read in order
EVALUATED = 512  # validation examples, at most
PER_PASS = 64  # of them in one forward pass
PREFETCHED = 4  # batches that each loader process holds ready
Example = dict[str, np.ndarray]


def order(counts: Sequence[int], seed: int, epoch: int) -> np.ndarray:
    """A permutation of all examples: (N, 2), shard and index within it.

    counts: examples of each shard. Shards are shuffled, then the examples of each `WINDOW`
    consecutive shards.
    """
    rng = np.random.default_rng([seed, epoch])
    shards = rng.permutation(len(counts))
    windows = []
    for first in range(0, len(shards), WINDOW):
        window = shards[first : first + WINDOW]
        sizes = [counts[shard] for shard in window]
        numbers = [np.arange(size) for size in sizes]
        rows = np.stack([np.repeat(window, sizes), np.concatenate(numbers)], axis=1)
        windows.append(rng.permutation(rows))
    return np.concatenate(windows)


def collate(
    examples: list[Example], noise: Tensor, shown: list[list[bool]], edges: list[bool], null: Tensor
) -> Batch:
    """A batch, shortest captions first.

    noise: (N, D). shown: for each subject of each example, whether its embedding replaces its
    noun's token states. edges: whether each example has its edge map's embedding or that of the
    null image, `null` (D,).
    """
    turn = sorted(range(len(examples)), key=lambda i: len(examples[i]["states"]))
    examples = [examples[i] for i in turn]
    lengths = tuple(len(example["states"]) for example in examples)
    states = np.concatenate([example["states"] for example in examples])
    for start, i, example in zip(accumulate(lengths, initial=0), turn, examples, strict=False):
        for (a, b), subject, is_shown in zip(
            example["spans"], example["subjects"], shown[i], strict=True
        ):
            if is_shown:
                states[start + a : start + b] = subject
    null_row = null.half().numpy()
    control = [e["canny"] if edges[i] else null_row for i, e in zip(turn, examples, strict=True)]
    stacked = {
        "pooled": [example["pooled"] for example in examples],
        "control": control,
        "target": [example["target"] for example in examples],
        "keys": [example["key"][0] for example in examples],
    }
    rows = {name: torch.from_numpy(np.stack(row)) for name, row in stacked.items()}
    return Batch(states=torch.from_numpy(states), lengths=lengths, noise=noise[turn], **rows)


class Batches(Dataset):
    """The batches of process `rank` of `world`; `[step]` is a `Batch`, or the error in its place.

    preset: gives the batch size of a process, the seed and the drop probabilities.
    """

    def __init__(
        self, shards: FeatureShards, preset: Preset, rank: int = 0, world: int = 1
    ) -> None:
        self.shards, self.preset, self.rank, self.world = shards, preset, rank, world
        self.count = shards.count("train")
        self._order = lru_cache(2)(self._epoch)

    def __getitem__(self, step: int) -> Batch | ShardError:
        size = self.preset.batch
        first = (step * self.world + self.rank) * size
        try:
            return self.assemble(range(first, first + size))
        except ShardError as error:  # raised here, a loader process would add its traceback
            return error

    def assemble(self, positions: range) -> Batch:
        """The examples at these positions of the endless order."""
        examples, noise, shown, edges = [], [], [], []
        dim, preset = self.shards.clip.dimension, self.preset
        for position in positions:
            epoch, within = divmod(position, self.count)
            shard, number = self._order(epoch)[within]
            example = self.shards.read("train", int(shard), int(number))
            rng = np.random.Generator(np.random.Philox(key=[preset.seed, position]))
            examples.append(example)
            noise.append(rng.standard_normal(dim, np.float32))
            shown.append((rng.random(len(example["spans"])) >= preset.subject_drop).tolist())
            edges.append(rng.random() >= preset.canny_drop)
        rows = torch.from_numpy(np.stack(noise))
        return collate(examples, rows, shown, edges, self.shards.null)

    def _epoch(self, epoch: int) -> np.ndarray:
        return order(self.shards.counts["train"], self.preset.seed, epoch)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_order"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._order = lru_cache(2)(self._epoch)


class Features:
    """Feature shards as a source of examples (`task.Data`).

    workers: processes that read ahead, or 0. waited_s: total time that steps have waited for their
    batch. ShardError when there are no training examples.
    """

    def __init__(
        self, shards: FeatureShards, preset: Preset, workers: int, device: torch.device
    ) -> None:
        if not shards.count("train"):
            raise ShardError(f"{shards.folder} holds no training examples, only for validation.")
        self.shards, self.steps, self.workers, self.device = shards, preset.steps, workers, device
        self.dimension = shards.clip.dimension
        self.inverse_temperature = shards.clip.inverse_temperature
        self.batches = Batches(shards, preset, ranks.rank(), ranks.world())
        self.waited_s = 0.0
        self._next = -1
        self._iterator: Iterator[Batch | ShardError] = iter(())

    @property
    def identity(self) -> dict[str, Any]:
        """What a checkpoint must have been trained on to be resumed."""
        return {
            "embedding width": self.dimension,
            "CLIP's SHA-256": self.shards.clip.sha256,
            "features": self.shards.digest,
            "processes": ranks.world(),
        }

    def network(self, prior: Prior) -> nn.Module:
        """The prior on a batch's inputs."""
        return Packed(prior)

    def auxiliary(self, batch: Batch) -> dict[str, Tensor]:
        """No losses beside Eq. 1."""
        return {}

    def batch(self, step: int) -> Batch:
        """The examples of a step, on the device. Raises ShardError."""
        began = time.perf_counter()
        if step != self._next:
            self._iterator = self._load(step)
        batch = next(self._iterator)
        if isinstance(batch, ShardError):
            raise batch
        self._next = step + 1
        self.waited_s += time.perf_counter() - began
        return batch.to(self.device)

    def _load(self, step: int) -> Iterator[Batch | ShardError]:
        """The batches from a step on."""
        return iter(
            DataLoader(
                self.batches,
                batch_size=None,
                sampler=range(step, self.steps),
                num_workers=self.workers,
                prefetch_factor=PREFETCHED if self.workers else None,
                pin_memory=self.device.type == "cuda",
            )
        )

    @torch.no_grad()
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Mean cosine of predicted and true embeddings of validation examples, without edge maps.

        "cosine_pictures": with the subjects' embeddings; "cosine_words": with their nouns. Empty
        when there are no validation examples.
        """
        rows = order(self.shards.counts["validation"], 0, 0)[:EVALUATED]
        if not len(rows):
            return {}
        assert isinstance(model, Prior)
        examples = [self.shards.read("validation", int(s), int(n)) for s, n in rows]
        noise = torch.randn(len(rows), self.dimension, generator=torch.Generator().manual_seed(2))
        network, result = self.network(model), {}
        for name, is_shown in (("pictures", True), ("words", False)):
            shown = [[is_shown] * len(example["spans"]) for example in examples]
            no_edges = [False] * len(examples)
            batch = collate(examples, noise, shown, no_edges, self.shards.null).to(self.device)
            cosines = [
                F.cosine_similarity(network(*part.inputs), part.target)
                for part in batch.split(-(-len(batch) // PER_PASS))
            ]
            result[f"cosine_{name}"] = float(torch.cat(cosines).mean())
        return result
