"""What the benchmarks measure time with."""

import argparse
import time
from collections.abc import Callable

import torch

Clock = Callable[[], float]


def add_busy(parser: argparse.ArgumentParser) -> None:
    """The option for machines that have other work."""
    parser.add_argument(
        "--busy",
        action="store_true",
        help="one thread, and its own CPU seconds, so that other load hardly counts",
    )


def choose(busy: bool) -> Clock:
    """Wall time, or this process's CPU time on one thread."""
    if busy:
        torch.set_num_threads(1)
    return time.process_time if busy else time.perf_counter


def timed(clock: Clock, run: Callable[[], object]) -> float:
    """Seconds that `run` takes."""
    began = clock()
    run()
    return clock() - began
