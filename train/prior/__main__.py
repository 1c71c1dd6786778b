"""Trains λ-ECLIPSE priors with Eq. 1 (Sec. 3.1) on feature shards.

    python -m train.prior --features FEATURES --preset paper --run RUN [--from PRIOR] [--dry-run]
    torchrun --nproc-per-node 2 -m -- train.prior --features FEATURES --preset paper --run RUN

Reads what `train.data.features` writes. The same command resumes a killed run: the same batches,
the same losses. The app loads RUN/prior with --prior, and so does the published code.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import torch

from train.data.feature_shards import FeatureShards
from train.loop import ranks
from train.loop.loop import train
from train.loop.precision import check
from train.prior import published
from train.prior.presets import PRESETS, Preset
from train.prior.task import build_features


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(prog="python -m train.prior", description="Train a prior.")
    made.add_argument(
        "--features", type=Path, required=True, help="folder written by train.data.features"
    )
    made.add_argument("--run", type=Path, required=True, help="folder of checkpoint and log")
    made.add_argument("--preset", choices=tuple(PRESETS), default="pocket", help="(%(default)s)")
    for name, kind, text in (
        ("steps", int, "in all"),
        ("batch", int, "examples per step in each process"),
        ("rate", float, "peak learning rate"),
    ):
        made.add_argument(f"--{name}", type=kind, help=f"{text} (of the preset)")
    made.add_argument("--seed", type=int, default=0, help="(%(default)s)")
    made.add_argument(
        "--from",
        dest="start_from",
        metavar="PRIOR",
        help="start from the weights of this run, folder or hub repository: ours, λ-ECLIPSE's or "
        "ECLIPSE's",
    )
    made.add_argument("--export", type=Path, help="also write fp16 weights and configuration here")
    made.add_argument("--keep", action="store_true", help="keep the weights of every evaluation")
    made.add_argument("--tensorboard", action="store_true", help="also log to RUN/tensorboard")
    made.add_argument("--dry-run", action="store_true", help="print the plan, train nothing")
    _add_machine(made)
    return made


def _add_machine(made: argparse.ArgumentParser) -> None:
    """The options that say what a training runs on."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    made.add_argument("--device", default=device, help="cpu, cuda or mps (%(default)s)")
    made.add_argument(
        "--precision",
        choices=("auto", "float32", "bfloat16"),
        default="auto",
        help="of matrix products; auto: bfloat16 on a GPU that has it, else float32",
    )
    made.add_argument(
        "--parts", type=int, default=1, help="compute a step in so many parts, to save memory"
    )
    made.add_argument("--workers", type=int, default=1, help="processes that read ahead (1)")
    made.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch")


def main(arguments: Sequence[str] | None = None) -> None:
    """The command; errors are one line, with exit code 2."""
    options = parser()
    given = options.parse_args(arguments)
    torch.set_num_threads(given.threads)
    if given.tensorboard and find_spec("tensorboard") is None:
        options.error("--tensorboard needs it: pip install -r requirements-train.txt")
    try:
        run(given)
    except (ValueError, OSError, FloatingPointError) as error:
        if ranks.is_distributed():
            # The other processes wait for this one: torchrun ends them when it exits.
            print(f"{options.prog}: error: {error}", file=sys.stderr, flush=True)
        else:
            options.error(str(error))
        sys.exit(2)


def chosen_preset(given: argparse.Namespace) -> Preset:
    """The preset with the command's overrides; ValueError for numbers out of range."""
    overrides = {name: getattr(given, name) for name in ("steps", "batch", "rate")}
    overrides = {name: value for name, value in overrides.items() if value is not None}
    for name, value in {**overrides, "parts": given.parts}.items():
        if value <= 0:
            raise ValueError(f"--{name} {value}: take more than 0.")
    return replace(PRESETS[given.preset], seed=given.seed, **overrides)


def run(given: argparse.Namespace) -> None:
    """Train, or print the plan. ValueError, OSError and FloatingPointError as in `train`."""
    preset = chosen_preset(given)
    features = FeatureShards(given.features)
    precision = check(given.precision, given.device)
    if given.dry_run:
        from train.prior.plan import plan

        device, processes = torch.device(given.device), int(os.environ.get("WORLD_SIZE", "1"))
        if os.environ.get("RANK", "0") == "0":
            start, parts = given.start_from, given.parts
            print(plan(preset, features, start, device, precision, processes, parts))
        return
    task = build_features(
        features,
        preset,
        start_from=given.start_from,
        device=ranks.start(torch.device(given.device)),
        workers=given.workers,
        parts=given.parts,
        precision=precision,
    )
    model = train(task, preset, given.run, keep=given.keep, tensorboard=given.tensorboard)
    if given.export and not ranks.rank():
        published.save(model, given.export, features.clip, **task.identity)
    ranks.stop()


if __name__ == "__main__":
    main()
