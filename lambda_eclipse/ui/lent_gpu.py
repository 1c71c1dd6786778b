"""Hosts that lend a GPU per call (ZeroGPU): for how long to ask, from what is asked for.

There a job runs in a process of its own, so it, its arguments and what it reports are pickled. The
times are estimates, not measured on such a host: a wrong one ends a job early, or makes visitors
wait longer for a GPU than they need to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

START_S = 15.0  # to move the networks there, and the first kernels
STEP_S = 0.1  # a denoising step of a picture
TRAINING_STEP_S = 0.3
SHORTEST_S, LONGEST_S = 15, 120  # the host refuses longer ones to most visitors
UNKNOWN_STEPS = 50


def seconds(job: Callable[..., Any], arguments: Sequence[Any], code: str = "") -> int:
    """How long a job with these arguments may take, in seconds."""
    steps = pictures = 1.0
    training = 0.0
    for one in arguments:
        sampling = getattr(one, "sampling", None) or getattr(
            getattr(one, "request", None), "sampling", None
        )
        if sampling is not None:
            steps = sampling.steps or UNKNOWN_STEPS
            pictures = max(pictures, getattr(one, "count", 1) or 1)
        elif hasattr(one, "steps"):
            training = one.steps * TRAINING_STEP_S
        elif isinstance(one, list | tuple):  # cells of a grid, frames of a path
            pictures = max(pictures, len(one))
    wanted = START_S + steps * pictures * STEP_S + training
    return round(min(max(wanted, SHORTEST_S), LONGEST_S))
