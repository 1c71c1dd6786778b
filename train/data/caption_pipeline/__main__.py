"""The command: `python -m train.data.caption_pipeline --input PICTURES --out SHARDS`."""

import argparse
import dataclasses
from functools import partial
from pathlib import Path
from typing import get_args

import torch

from train.data.caption_pipeline.options import Dtype, Options, Ratio
from train.data.caption_pipeline.statistics import table

HELP = {
    "caption_model": "BLIP-2: hub name or folder",
    "noun_model": "spaCy's English model: package or folder",
    "box_model": "Grounding DINO: hub name or folder",
    "mask_model": "SAM: hub name or folder",
    "caption_tokens": "tokens of a caption at most",
    "min_px": "both sides of a picture at least",
    "box_ratio": "the paper's 0.08-0.7 as both sides' shares of the picture, or as a box's width "
    "by its height, which drops every square and landscape box",
    "subject_px": "side of the subjects' pictures",
    "margin": "white on each side of a subject, as a share of its longer side",
    "per_shard": "entries of the input for each shard",
    "caption_dtype": "of BLIP-2's weights; auto: float16 on CUDA, else float32",
    "device": "cpu, cuda, cuda:1, mps",
    "batch": "pictures at once",
}
CHOICES = {"box_ratio": get_args(Ratio), "caption_dtype": get_args(Dtype)}


def main(arguments: list[str] | None = None) -> None:
    """The command; errors of input and options are one line, with exit code 2."""
    parser = argparse.ArgumentParser(
        prog="python -m train.data.caption_pipeline",
        description="Pictures to interleaved training shards: captions, nouns, boxes, masks, "
        "filters (Sec. 3.2 and Appendix B). Run again, it goes on where it stopped.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--input", type=Path, required=True, help="folder of pictures or of .tar shards; one .tar"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the shards")
    for field in dataclasses.fields(Options):
        default = field.default
        if field.name == "device" and torch.cuda.is_available():
            default = "cuda"
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=type(field.default),
            default=default,
            choices=CHOICES.get(field.name),
            help=HELP[field.name],
        )
    parser.add_argument("--engine", choices=("local", "ray"), default="local", help="who runs it")
    parser.add_argument("--workers", type=int, default=1, help="annotators, with --engine ray")
    given = vars(parser.parse_args(arguments))
    out = given["out"].resolve()
    try:  # here, so that --help needs none of it
        from train.data import engines
        from train.data.caption_pipeline.run import run
        from train.data.caption_pipeline.steps import work
    except ImportError as error:
        parser.error(f"{error.name} is missing: pip install -r requirements-data.txt")
    try:
        chosen = {field.name: given[field.name] for field in dataclasses.fields(Options)}
        options = Options(**chosen)
        if given["engine"] == "ray":
            engine = partial(engines.run_ray, work=work(options, out), workers=given["workers"])
        else:
            engine = partial(engines.run_local, work=work(options, out))
        statistics = run(given["input"].resolve(), out, options, engine)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(table(statistics), end="")


if __name__ == "__main__":
    main()
