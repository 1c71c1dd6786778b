"""How fast the paper's prior trains, beside diffusers' stock one: everything measured in one run.

    python -m tests.bench.training [--batch 256] [--steps 3] [--busy] [--json FILE]

Real trainer, real loader, features of the paper's size with random content, as long as the paper's
prompts. Both modules have the same loss, optimizer and batch. The share of the machine's rate is of
matrix products alone, counted as `packed.flops` does, over whole steps.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from lambda_eclipse import paper
from lambda_eclipse.cpu_linear import AVAILABLE, product
from lambda_eclipse.prior import PriorConfig
from lambda_eclipse.stacks import STACKS
from lambda_eclipse.tokens import Tokenizer
from tests.bench.clocks import Clock, add_busy, choose, timed
from tests.bench.prompts import prompts
from tests.bench.stock import padded, run_stock, stock_prior
from train.data import engines, feature_shards, features
from train.data.feature_shards import FeatureShards, Source, encode
from train.data.tars import read_done, write_tar
from train.loop.loop import train
from train.loop.task import Losses, Task
from train.prior.batches import Batches, Features
from train.prior.loss import gather_texts, prior_loss
from train.prior.packed_text import flops
from train.prior.plan import A100_FLOPS, TRAINING_PASSES
from train.prior.presets import PRESETS, Preset
from train.prior.task import build, from_scratch
from train.world.interleaved import write_side

EXAMPLES, PER_SHARD = 512, 128
SQUARE = 1024  # side of the matrices that the machine's rate is measured with
A100_SUSTAINED = 0.5  # of its stated rate, for matrices of this size: assumed
A100_CORES = 12  # of the machine for each card: assumed
SCENES = 48
Row = dict[str, float | str]


def write_examples(folder: Path) -> FeatureShards:
    """Feature shards with random content and real lengths."""
    rng, dim = np.random.default_rng(0), paper.EMBED_DIM
    texts = prompts(EXAMPLES)
    lengths = Tokenizer().encode(texts).mask.sum(1).tolist()
    dones = []
    for number, first in enumerate(range(0, EXAMPLES, PER_SHARD)):
        samples = []
        for i in range(first, first + PER_SHARD):
            rows = rng.standard_normal((lengths[i] + 6, dim), np.float32)
            tensors = dict(zip(("pooled", "target", "canny"), rows[-3:], strict=True))
            spans = [(2, 3), (4, 5)]
            content = {**tensors, "states": rows[: lengths[i]], "subjects": rows[-5:-3]}
            samples.append({"safetensors": encode(content | {"spans": spans}, texts[i], str(i))})
        report = {"train": PER_SHARD, "tokens": sum(lengths[first : first + PER_SHARD])}
        write_tar(folder, feature_shards.KIND, number, samples, report)
        dones.append(read_done(folder, feature_shards.KIND, number))
    source = Source(dim, "0" * 64, 100.0)
    feature_shards.write_index(folder, dones, source, torch.zeros(dim))
    return FeatureShards(folder)


def stock_step(preset: Preset, shards: FeatureShards) -> Callable[[int], None]:
    """A training step of the stock module on the trainer's own batches."""
    network = stock_prior().train()
    parameters = [p for n, p in network.named_parameters() if n not in ("clip_mean", "clip_std")]
    optimizer = torch.optim.AdamW(parameters, paper.LEARNING_RATE, fused=True)
    batches = Batches(shards, preset)

    def step(number: int) -> None:
        given = batches[number].to(torch.device("cpu"))
        states, mask = padded(given.states, given.lengths)
        predicted = run_stock(network, given.noise, given.pooled, states, mask)
        texts = gather_texts(given.pooled, given.keys)
        optimizer.zero_grad(set_to_none=True)
        prior_loss(predicted, given.target, texts, 100.0)["loss"].backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()

    return step


def matrix_rate(clock: Clock) -> float:
    """FLOP/s of a matrix product, the median of a few; the faster of PyTorch and oneDNN."""
    one, two = torch.randn(SQUARE, SQUARE), torch.randn(SQUARE, SQUARE)
    ways = [lambda: one @ two] + ([lambda: product(one, two)] if AVAILABLE else [])
    times = [[timed(clock, way) for _ in range(4)] for way in ways]
    return 2 * SQUARE**3 / min(statistics.median(each[1:]) for each in times)


def trainer(shards: FeatureShards, batch: int, steps: int) -> tuple[Task, Preset, Features]:
    """The real one, for one step more than are measured, and its source."""
    preset = replace(PRESETS["paper"], batch=batch, steps=steps + 1, save_every=10**9)
    data = Features(shards, preset, 1, torch.device("cpu"))
    prior = from_scratch(preset, shards.clip.dimension)
    return build(data, prior, preset, fused=True), preset, data


def measure_training(
    shards: FeatureShards, batch: int, steps: int, folder: Path, clock: Clock
) -> Row:
    """Steps of the real trainer and of the stock module, in turn."""
    task, preset, _ = trainer(shards, batch, steps + 1)
    steps_s, rates, stock_s, lengths = [], [], [], []
    source = Batches(shards, preset)
    theirs = stock_step(preset, shards)
    began = 0.0

    def watched(step: int) -> Losses | Iterator[Losses]:
        """Between two steps of ours: a stock step, and the machine's rate."""
        nonlocal began
        if step > 1:  # the first one makes AdamW's moments
            steps_s.append(clock() - began)
            rates.append(matrix_rate(clock))
            stock_s.append(timed(clock, partial(theirs, step)))
            lengths.extend(source[step - 1].lengths)
        began = clock()
        return task.loss(step)

    train(replace(task, loss=watched), preset, folder)
    own_s, other_s = statistics.median(steps_s), statistics.median(stock_s)
    each = TRAINING_PASSES * flops(PriorConfig(), lengths) / len(lengths)
    return {
        "samples_per_s": batch / own_s,
        "stock_samples_per_s": batch / other_s,
        "ratio": other_s / own_s,
        "gflop_an_example": each / 1e9,
        "gflops": batch * each / own_s / 1e9,
        "machine_gflops": statistics.median(rates) / 1e9,
        "share": batch * each / own_s / statistics.median(rates),
        "text_positions": statistics.fmean(lengths),
    }


def measure_waiting(shards: FeatureShards, batch: int, steps: int, folder: Path) -> float:
    """Share of the trainer's time that it waits for data, after the first batch."""
    task, preset, data = trainer(shards, batch, steps)
    waited, began = 0.0, 0.0

    def watched(step: int) -> Losses | Iterator[Losses]:
        nonlocal began, waited
        if step == 1:
            began, waited = time.perf_counter(), data.waited_s
        return task.loss(step)

    train(replace(task, loss=watched), preset, folder)
    return (data.waited_s - waited) / (time.perf_counter() - began)


def measure_loader(shards: FeatureShards, batch: int, clock: Clock) -> float:
    """Examples/s that one core reads and collates; shards are in the page cache."""
    batches = Batches(shards, replace(PRESETS["paper"], batch=batch))
    for step in range(EXAMPLES // batch):  # opens and checks all shards
        batches[step]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    took = [timed(clock, lambda step=step: batches[step]) for step in range(2 * EXAMPLES // batch)]
    torch.set_num_threads(threads)
    return batch / statistics.median(took)


def measure_extraction(folder: Path, clock: Clock) -> Row:
    """The pocket's CLIP on sticker world: examples/s, and the share of time it waits for them."""
    write_side(folder / "stickers", 0, SCENES, "train")
    took = {"models": 0.0, "models_wall": 0.0}

    def engine(tasks: Sequence, work: engines.Work):
        models = work.load()

        def watched(chunk):
            began, began_wall = clock(), time.perf_counter()
            found = models(chunk)
            took["models"] += clock() - began
            took["models_wall"] += time.perf_counter() - began_wall
            return found

        began = time.perf_counter()
        yield from engines.run_local(tasks, replace(work, load=lambda: watched))
        took["all"] = time.perf_counter() - began

    clip = features.clip_folder("pocket", None)
    features.run(
        folder / "stickers",
        clip,
        folder / "features",
        "cpu",
        16,
        engine,
        edges_px=STACKS["pocket"].edges_px,
    )
    waiting = 1 - took["models_wall"] / took["all"]
    return {"examples_per_s": SCENES / took["models"], "waiting": waiting}


def implied_hours(training: Row, loader: float) -> tuple[float, float]:
    """Hours of the paper's run on one A100: of its arithmetic, and of its loaders."""
    samples = paper.TRAINING_STEPS * paper.BATCH
    rate = A100_FLOPS * A100_SUSTAINED * training["share"]
    arithmetic = samples * training["gflop_an_example"] * 1e9 / rate / 3600
    return arithmetic, samples / (loader * A100_CORES) / 3600


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Measure the prior's training.")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--steps", type=int, default=3)
    add_busy(parser)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    batch, steps, clock = arguments.batch, arguments.steps, choose(arguments.busy)
    print(f"{torch.get_num_threads()} threads, float32, batch {batch}, medians of {steps} steps")

    def show(text: str, value: float, aim: str = "") -> None:
        print(f"{text:40}{value:10.3f}   {aim}", flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "paper").mkdir()
        shards = write_examples(folder / "paper")
        loader = measure_loader(shards, batch, clock)
        show("loader, examples/s on one core", loader, "≥ 1000")
        training = measure_training(shards, batch, steps, folder / "one", clock)
        show("training, samples/s", training["samples_per_s"])
        show("the stock module, samples/s", training["stock_samples_per_s"])
        show("ratio", training["ratio"], "≥ 5")
        show("GFLOP/s of the whole step", training["gflops"])
        show(f"GFLOP/s of {SQUARE}² matrix products", training["machine_gflops"])
        show("share", training["share"], "≥ 0.6")
        waiting = measure_waiting(shards, batch, steps, folder / "two")
        show("share of time waiting for data", waiting, "< 0.05")
        extraction = measure_extraction(folder, clock)
        show("extraction (pocket), examples/s", extraction["examples_per_s"])
        show("share of time it waits for pictures", extraction["waiting"], "< 0.05")
        size = shards.bytes / shards.examples
    arithmetic, loading = implied_hours(training, loader)
    figures = {
        **training,
        "waiting": waiting,
        "loader_examples_per_s": loader,
        "extraction": extraction,
        "bytes_an_example": size,
        "a100_hours": max(arithmetic, loading),
    }
    show("hours of the paper's run on one A100", figures["a100_hours"], "< 3")
    print(
        f"A100: {paper.TRAINING_STEPS * paper.BATCH:,} examples of "
        f"{training['gflop_an_example']:.2f} GFLOP ({training['text_positions']:.1f} text "
        f"positions, measured) in {arithmetic:.2f} h of arithmetic at the share measured here "
        f"({training['share']:.0%}) of {A100_SUSTAINED:.0%} (assumed) of "
        f"{A100_FLOPS / 1e12:.0f} TFLOP/s; {loading:.2f} h of loading on {A100_CORES} cores "
        f"(assumed) as fast as this one, at {size / 1000:.0f} kB an example; both at once, the "
        f"longer counts. Not run."
    )
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
