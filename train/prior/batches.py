"""Feature shards as what the prior is trained on: which examples, in which order, as what batches.

Which examples a step has, and each one's noise and drops, follow from (seed, example's place in
the order) alone: from neither the number of processes nor where a run was stopped.
"""

import time
from collections.abc import Iterator
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
from train.prior.packed import Batch, Packed
from train.prior.presets import Preset

WINDOW = 32  # shards whose examples are shuffled together, so that a disk is read in order
EVALUATED = 512
Example = dict[str, np.ndarray]


def order(counts: list[int], seed: int, epoch: int) -> np.ndarray:
    """(N, 2): shard, and number in it, of all examples, each once, shuffled anew in each epoch.

    Shards are shuffled, and within `WINDOW` of them that follow each other all examples.
    """
    rng = np.random.default_rng([seed, epoch])
    shards = rng.permutation(len(counts))
    windows = []
    for first in range(0, len(shards), WINDOW):
        own = shards[first : first + WINDOW]
        sizes = [counts[shard] for shard in own]
        numbers = [np.arange(size) for size in sizes]
        rows = np.stack([np.repeat(own, sizes), np.concatenate(numbers)], axis=1)
        windows.append(rng.permutation(rows))
    return np.concatenate(windows)


def collate(
    examples: list[Example], noise: Tensor, shown: list[list[bool]], edges: list[bool], null: Tensor
) -> Batch:
    """A batch, shortest captions first.

    noise: (N, D). shown: which of each example's subjects take their noun's place. edges: whether
    each is given its edge map's embedding; else it has that of the null image (D,).
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
    empty = null.half().numpy()
    control = [e["canny"] if edges[i] else empty for i, e in zip(turn, examples, strict=True)]
    stacked = {
        "pooled": [example["pooled"] for example in examples],
        "control": control,
        "target": [example["target"] for example in examples],
        "keys": [example["key"][0] for example in examples],
    }
    rows = {name: torch.from_numpy(np.stack(row)) for name, row in stacked.items()}
    return Batch(states=torch.from_numpy(states), lengths=lengths, noise=noise[turn], **rows)


class Batches(Dataset):
    """This process's batch of each step; `[step]` is a `Batch`, or the error that kept it off.

    batch: examples of a step of this process. rank, world: which process, of how many.
    """

    def __init__(
        self, shards: FeatureShards, preset: Preset, batch: int, seed: int, rank: int, world: int
    ) -> None:
        self.shards, self.preset, self.batch, self.seed = shards, preset, batch, seed
        self.rank, self.world = rank, world
        self.count = shards.count("train")
        self._order = lru_cache(2)(self._epoch)

    def __getitem__(self, step: int) -> Batch | ShardError:
        first = (step * self.world + self.rank) * self.batch
        try:
            return self.assemble(range(first, first + self.batch))
        except ShardError as error:  # a loader's process would add its traceback
            return error

    def assemble(self, places: range) -> Batch:
        """The examples at these places of the endless order."""
        examples, noise, shown, edges = [], [], [], []
        dim = self.shards.clip.dimension
        for place in places:
            epoch, within = divmod(place, self.count)
            shard, number = self._order(epoch)[within]
            example = self.shards.read("train", int(shard), int(number))
            draw = np.random.Generator(np.random.Philox(key=[self.seed, place]))
            examples.append(example)
            noise.append(draw.standard_normal(dim, np.float32))
            shown.append((draw.random(len(example["spans"])) >= self.preset.words).tolist())
            edges.append(draw.random() >= self.preset.no_canny)
        rows = torch.from_numpy(np.stack(noise))
        return collate(examples, rows, shown, edges, self.shards.null)

    def _epoch(self, epoch: int) -> np.ndarray:
        return order(self.shards.counts["train"], self.seed, epoch)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_order"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._order = lru_cache(2)(self._epoch)


class Features:
    """The source of a training on feature shards.

    batch: examples of a step in each process. workers: processes that read ahead; 0: none.
    waited_s: time that steps waited for their batch so far.
    """

    def __init__(
        self,
        shards: FeatureShards,
        preset: Preset,
        batch: int,
        steps: int,
        seed: int,
        workers: int,
        device: torch.device,
    ) -> None:
        if not shards.count("train"):
            raise ShardError(f"{shards.folder} holds no training examples, only for validation.")
        self.shards, self.steps, self.workers, self.device = shards, steps, workers, device
        self.dimension = shards.clip.dimension
        self.inverse_temperature = shards.clip.inverse_temperature
        self.batches = Batches(shards, preset, batch, seed, ranks.rank(), ranks.world())
        self.waited_s = 0.0
        self._next, self._iterator = -1, iter(())
        self.settings = {
            "embedding width": self.dimension,
            "CLIP's SHA-256": shards.clip.sha256,
            "features": shards.digest,
            "processes": ranks.world(),
        }

    def network(self, prior: Prior) -> nn.Module:
        """What is given a batch's inputs."""
        return Packed(prior)

    def aside(self, batch: Batch) -> dict[str, Tensor]:
        """Losses beside Eq. 1: none."""
        return {}

    def batch(self, step: int) -> Batch:
        """The examples of a step, on the device. Raises ShardError."""
        began = time.perf_counter()
        if step != self._next:
            self._iterator = self._load(step)
        found = next(self._iterator)
        if isinstance(found, ShardError):
            raise found
        self._next = step + 1
        self.waited_s += time.perf_counter() - began
        return found.to(self.device)

    def _load(self, step: int) -> Iterator[Batch | ShardError]:
        """The batches from a step on."""
        return iter(
            DataLoader(
                self.batches,
                batch_size=None,
                sampler=range(step, self.steps),
                num_workers=self.workers,
                prefetch_factor=4 if self.workers else None,
                pin_memory=self.device.type == "cuda",
            )
        )

    @torch.no_grad()
    def evaluate(self, prior: nn.Module) -> dict[str, float]:
        """Mean cosine of predicted and true embedding of the first validation examples, no edges.

        With subjects as pictures and as words; empty where there are no such examples.
        """
        rows = order(self.shards.counts["validation"], 0, 0)[:EVALUATED]
        if not len(rows):
            return {}
        examples = [self.shards.read("validation", int(s), int(n)) for s, n in rows]
        noise = torch.randn(len(rows), self.dimension, generator=torch.Generator().manual_seed(2))
        network, result = self.network(prior), {}
        for name, is_shown in (("pictures", True), ("words", False)):
            shown = [[is_shown] * len(example["spans"]) for example in examples]
            no_edges = [False] * len(examples)
            batch = collate(examples, noise, shown, no_edges, self.shards.null).to(self.device)
            cosines = [
                F.cosine_similarity(network(*part.inputs), part.target)
                for part in batch.split(-(-len(batch) // 64))
            ]
            result[f"cosine_{name}"] = float(torch.cat(cosines).mean())
        return result
