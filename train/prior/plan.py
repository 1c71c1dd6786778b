"""Estimates of a training's arithmetic, memory and time: `--dry-run` of `train.prior`."""

import time
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lambda_eclipse.paper import GPU_HOURS
from lambda_eclipse.prior import Prior, PriorConfig
from train.data.feature_shards import FeatureShards
from train.loop.precision import Precision
from train.prior import published
from train.prior.packed_text import Packed, flops
from train.prior.presets import Preset

A100_FLOPS = 312e12  # bfloat16, from its data sheet
SHARES = (0.05, 0.1, 0.2, 0.4)  # utilizations to list
TRAINING_PASSES = 3  # a backward pass has two products for each one of the forward pass
# float32 weights, gradients, two moments of AdamW, and averaged weights
BYTES_PER_PARAMETER = 5 * 4
TIMED_EXAMPLES, TIMED_STEPS = 32, 2


def typical_lengths(mean: float, count: int) -> tuple[int, ...]:
    """`count` ascending lengths from 3 below to 3 above a mean, typical of captions."""
    spread = [min(3.0, mean - 3) * (2 * i / max(count - 1, 1) - 1) for i in range(count)]
    return tuple(sorted(max(3, round(mean + s)) for s in spread))


def random_inputs(config: PriorConfig, lengths: Sequence[int], device: str = "cpu") -> tuple:
    """Random arguments of `Packed`."""
    dim, count = config.embedding_dim, len(lengths)
    rows = [torch.randn(count, dim, device=device) for _ in range(3)]
    return torch.randn(sum(lengths), dim, device=device), tuple(lengths), *rows


def activation_bytes(config: PriorConfig, lengths: Sequence[int]) -> int:
    """Bytes that a forward pass saves for the backward pass in float32; nothing is computed."""
    with torch.device("meta"):
        network = Packed(Prior(config))
    own = {parameter.untyped_storage()._cdata for parameter in network.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        network(*random_inputs(config, lengths, "meta"))
    return sum(storage.nbytes() for storage in kept.values())


def examples_per_s(
    config: PriorConfig, lengths: Sequence[int], device: torch.device, precision: Precision
) -> float:
    """Examples per second of forward and backward passes, measured on random examples."""
    network = Packed(Prior(config)).to(device)
    inputs = [x.to(device) if isinstance(x, Tensor) else x for x in random_inputs(config, lengths)]
    low = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
    times = []
    for _ in range(TIMED_STEPS + 1):
        began = time.perf_counter()
        with low:
            predicted = network(*inputs)
        F.mse_loss(predicted, inputs[2]).backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - began)
    return len(lengths) / min(times[1:])


def plan(
    preset: Preset,
    features: FeatureShards,
    start_from: str | None,
    device: torch.device,
    precision: Precision,
    processes: int = 1,
    parts: int = 1,
) -> str:
    """The plan in words, one fact per line."""
    if start_from is None:
        sizes = (preset.heads, preset.head_dim, preset.layers, features.clip.dimension)
        config = PriorConfig(*sizes)
        origin = "from scratch"
    else:
        config = published.load(start_from, features.clip).config
        origin = f"from {start_from}"
    with torch.device("meta"):
        parameters = sum(p.numel() for p in Prior(config).parameters() if p.requires_grad)
    mean = features.tokens / max(features.examples, 1)
    lengths = typical_lengths(mean, preset.batch)
    each = TRAINING_PASSES * flops(config, lengths) / len(lengths)
    padded = TRAINING_PASSES * flops(config, (config.num_embeddings,))
    batch = preset.batch * processes
    samples, train = preset.steps * batch, features.count("train")
    kept = activation_bytes(config, lengths[:: max(parts, 1)])
    memory = BYTES_PER_PARAMETER * parameters + kept
    few = typical_lengths(mean, min(TIMED_EXAMPLES, preset.batch))
    speed = examples_per_s(config, few, device, precision)
    hours = samples * each / A100_FLOPS / 3600
    guesses = ", ".join(f"{100 * share:.0f} %: {hours / share:.2g} h" for share in SHARES)
    return "\n".join(
        [
            f"prior: {parameters:,} trained parameters ({config.num_layers} layers, "
            f"{config.num_attention_heads} heads × {config.attention_head_dim}, embeddings "
            f"{config.embedding_dim}), {origin}",
            f"data: {train:,} training and {features.count('validation'):,} validation examples, "
            f"{features.bytes / 1e9:.3g} GB, {mean:.1f} text positions each",
            f"steps: {preset.steps:,} of {batch:,} examples ({preset.batch} in each of {processes} "
            f"processes): {samples:,} examples, {samples / max(train, 1):.1f} times each; peak "
            f"rate {preset.rate:g}, warm-up {preset.warmup}, then a cosine; λ "
            f"{preset.contrast_weight:g}, edge map left out of {preset.canny_drop:.0%}",
            f"arithmetic: {each / 1e9:.2f} GFLOP an example, {padded / each:.1f} times less than "
            f"with all {config.num_embeddings} text positions; {samples * each:.3g} FLOP in all",
            f"memory of a process: {memory / 2**30:.2f} GiB (parameters, gradients, moments and "
            f"average {BYTES_PER_PARAMETER * parameters / 2**30:.2f}, activations in float32 "
            f"{kept / 2**30:.2f})",
            f"here: {speed:.1f} examples/s in {precision} on {device} (forward and backward, "
            f"{TIMED_STEPS} steps of {len(few)}): {samples / processes / speed / 3600:.3g} hours "
            f"on {processes} such",
            f"on one A100 ({A100_FLOPS / 1e12:.0f} TFLOP/s in bfloat16), if a training reaches "
            f"{guesses} (the paper: {GPU_HOURS} h for its run); computed, not measured",
        ]
    )
