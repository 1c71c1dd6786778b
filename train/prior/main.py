"""Trains λ-ECLIPSE priors with Eq. 1 (Sec. 3.1), the paper's or the pocket's.

    python -m train.prior --features FEATURES --preset paper --run RUN [--from PRIOR] [--dry-run]
    torchrun --nproc-per-node 2 -m -- train.prior --features FEATURES --preset paper --run RUN
    python -m train.prior --shards SHARDS --clip CLIP --run RUN [--export assets/pocket/prior]

The first two read what `train.data.features` writes; the last is the pocket's own training on
sticker
world's arrays (`prior_stickers`), from closed forms. Run again, a killed training goes on: the same
batches, the same losses. RUN/prior is what the app loads with --prior, and the published code too.
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
from train.prior.run import build_features, build_stickers


def parser() -> argparse.ArgumentParser:
    """The options."""
    made = argparse.ArgumentParser(prog="python -m train.prior", description="Train a prior.")
    data = made.add_mutually_exclusive_group(required=True)
    data.add_argument("--features", type=Path, help="folder that train.data.features wrote")
    data.add_argument("--shards", type=Path, help="sticker world's arrays, with --clip")
    made.add_argument("--clip", type=Path, help="with --shards: folder of the finished CLIP")
    made.add_argument("--run", type=Path, required=True, help="folder of checkpoints and log")
    made.add_argument("--preset", choices=tuple(PRESETS), default="pocket", help="(pocket)")
    for name, kind, text in (
        ("steps", int, "in all"),
        ("batch", int, "examples of a step, in each process"),
        ("rate", float, "peak learning rate"),
    ):
        made.add_argument(f"--{name}", type=kind, help=f"{text} (of the preset)")
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--threads", type=int, default=torch.get_num_threads())
    made.add_argument(
        "--from",
        dest="start_from",
        metavar="PRIOR",
        help="start from the weights of this run, this folder, or this repository of the hub: "
        "ours, λ-ECLIPSE's or ECLIPSE's",
    )
    made.add_argument("--export", type=Path, help="also write fp16 weights and configuration here")
    made.add_argument(
        "--keep",
        action="store_true",
        help="keep the weights of every evaluation (train.measure.curve)",
    )
    made.add_argument(
        "--predict", type=int, metavar="N", help="with --shards: predictions for N training scenes"
    )
    default = "cuda" if torch.cuda.is_available() else "cpu"
    made.add_argument("--device", default=default, help=f"cpu, cuda, mps ({default})")
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
    made.add_argument("--tensorboard", action="store_true", help="also log to RUN/tensorboard")
    made.add_argument("--dry-run", action="store_true", help="print the plan, train nothing")
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """The command; errors are one line, with exit code 2."""
    options = parser()
    given = options.parse_args(arguments)
    torch.set_num_threads(given.threads)
    if given.tensorboard and find_spec("tensorboard") is None:
        options.error("--tensorboard needs it: pip install -r requirements-train.txt")
    try:
        asked = {name: getattr(given, name) for name in ("steps", "batch", "rate")}
        changed = {name: value for name, value in asked.items() if value is not None}
        for name, value in {**changed, "parts": given.parts}.items():
            if value <= 0:
                raise ValueError(f"--{name} {value}: take more than 0.")
        preset = replace(PRESETS[given.preset], **changed)
        if given.shards is not None:
            _train_stickers(given, preset)
        else:
            _train_features(given, preset)
    except (ValueError, OSError, FloatingPointError) as error:
        if ranks.is_distributed():
            # The other processes wait for this one: torchrun ends them when it is gone.
            print(f"{options.prog}: error: {error}", file=sys.stderr, flush=True)
        else:
            options.error(str(error))
        sys.exit(2)


def _train_stickers(given: argparse.Namespace, preset: Preset) -> None:
    if given.clip is None:
        raise ValueError("--shards needs --clip: the folder of the CLIP that they were encoded by.")
    defaults = {"preset": "pocket", "parts": 1, "tensorboard": False, "dry_run": False}
    for name, value in defaults.items():
        if getattr(given, name) != value:
            raise ValueError(f"--{name.replace('_', '-')} is for --features, not for --shards.")
    run = build_stickers(
        given.shards,
        given.clip,
        given.run,
        preset.steps,
        preset.batch,
        preset.rate,
        given.seed,
        given.start_from and Path(given.start_from),
    )
    run.keep = given.keep
    model = train(run)
    if given.export:
        model.save(given.export)
    if given.predict:
        from lambda_eclipse.clip import Clip
        from train.pocket.prior.examples import Examples
        from train.pocket.prior.training import write_predictions

        examples = Examples(given.shards, Clip.from_folder(given.clip))
        write_predictions(model, examples, given.shards, given.predict)


def _train_features(given: argparse.Namespace, preset: Preset) -> None:
    features = FeatureShards(given.features)
    precision = check(given.precision, given.device)
    if given.dry_run:
        from train.prior.plan import plan

        device, processes = torch.device(given.device), int(os.environ.get("WORLD_SIZE", "1"))
        if os.environ.get("RANK", "0") == "0":
            start, parts = given.start_from, given.parts
            print(plan(preset, features, start, device, precision, processes, parts))
        return
    device = ranks.start(torch.device(given.device))
    run = build_features(
        features,
        preset,
        given.run,
        seed=given.seed,
        start_from=given.start_from,
        device=device,
        workers=given.workers,
        parts=given.parts,
        precision=precision,
        tensorboard=given.tensorboard,
    )
    run.keep = given.keep
    model = train(run)
    if given.export and not ranks.rank():
        published.save(model, given.export, features.clip, **run.settings)
    ranks.stop()


if __name__ == "__main__":
    main()
