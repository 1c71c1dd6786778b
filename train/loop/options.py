"""The options that every trainer's command has."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch

from train.loop.task import Settings

S = TypeVar("S", bound=Settings)


def command(description: str, settings: Settings) -> argparse.ArgumentParser:
    """A parser with these options, whose defaults are `settings`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--run", type=Path, required=True, help="folder of checkpoint and log")
    parser.add_argument("--steps", type=int, default=settings.steps, help="in all (%(default)s)")
    parser.add_argument(
        "--batch", type=int, default=settings.batch, help="examples per step (%(default)s)"
    )
    parser.add_argument(
        "--rate", type=float, default=settings.rate, help="peak learning rate (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=settings.seed, help="(%(default)s)")
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="of PyTorch (%(default)s)"
    )
    return parser


def chosen(arguments: argparse.Namespace, settings: S) -> S:
    """`settings` with the command's steps, batch, rate and seed; sets PyTorch's threads."""
    torch.set_num_threads(arguments.threads)
    names = ("steps", "batch", "rate", "seed")
    return replace(settings, **{name: getattr(arguments, name) for name in names})
