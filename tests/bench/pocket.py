"""How fast the pocket stack answers, beside the plain pipeline: everything measured in one run.

    python -m tests.bench.pocket [--repeats 5] [--json FILE]

The plain pipeline is the paper's: 50 DDIM steps, one picture at a time, with guidance. Ratios are
what to compare; seconds are this machine's.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from lambda_eclipse.pipeline import Studio
from lambda_eclipse.request import Request, Sampling, Subject
from lambda_eclipse.stacks import ASSETS

ROOT = Path(__file__).parents[2]
PROMPT = "a cat wearing a hat on the beach"
PLAIN = Sampling(50, 3.0)
DRAG_POINTS = 30
START_LIMIT_S = 120


def median_s(run: Callable[[], object], repeats: int) -> float:
    """Median wall time of `run`, after one warm-up."""
    run()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def subjects(studio: Studio) -> tuple[Subject, Subject]:
    """Two subjects with their masks ready: cut out, not yet embedded."""
    pictures = {"cat": "cat-1.png", "hat": "hat-1.png"}
    cutouts = {
        noun: studio.prepare(Subject(noun, str(ASSETS / "subjects" / name))).cutout
        for noun, name in pictures.items()
    }
    return tuple(Subject(noun, cutout) for noun, cutout in cutouts.items())


def plain(studio: Studio, request: Request) -> list[object]:
    """The plain pipeline: one picture after another."""
    return [
        studio.generate(replace(request, count=1, seed=request.seed + i, sampling=PLAIN))
        for i in range(request.count)
    ]


def measure(studio: Studio, repeats: int) -> list[dict[str, float | str]]:
    """Rows of the table."""
    stack, pair = studio.models.stack, subjects(studio)
    one = Request(PROMPT, pair, seed=1)
    four = replace(one, count=4)
    corners = studio.embed(replace(one, count=4))
    rows = []

    def row(name: str, ours: Callable[[], object], theirs: Callable[[], object]) -> None:
        fast, slow = median_s(ours, repeats), median_s(theirs, max(1, repeats // 2))
        rows.append({"case": name, "seconds": fast, "plain": slow, "ratio": slow / fast})

    row("first picture", lambda: studio.generate(one), lambda: plain(studio, one))
    row("four pictures", lambda: studio.generate(four), lambda: plain(studio, four))
    row(
        "5×5 grid",
        lambda: studio.grid(corners, 5),
        lambda: [
            studio.at(corners, x / 4, y / 4, sampling=PLAIN) for y in range(5) for x in range(5)
        ],
    )
    points = iter(range(10**9))

    def drag() -> object:
        t = next(points) % DRAG_POINTS / DRAG_POINTS
        return studio.at(corners, t, 1 - t, sampling=Sampling(stack.draft_steps))

    row(
        "one point while dragging",
        lambda: [drag() for _ in range(DRAG_POINTS)],
        lambda: [studio.at(corners, i / 3, i / 3, sampling=PLAIN) for i in range(3)],
    )
    rows[-1]["seconds"] /= DRAG_POINTS
    rows[-1]["plain"] /= 3
    rows[-1]["ratio"] = rows[-1]["plain"] / rows[-1]["seconds"]
    return rows


def start_s(port: int = 7911) -> tuple[float, float]:
    """Seconds from starting the page to its first answer, and to loaded models."""
    command = [sys.executable, "app.py", "--port", str(port), "--stack", "pocket"]
    began = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        answered = None
        while time.perf_counter() - began < START_LIMIT_S:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).read()
                answered = time.perf_counter() - began
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        if answered is None:
            raise RuntimeError("the page did not answer")
        from gradio_client import Client

        client = Client(f"http://127.0.0.1:{port}", verbose=False)
        client.predict("a cat", count=1, api_name="/generate")
        return answered, time.perf_counter() - began
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Measure the pocket stack.")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures here")
    arguments = parser.parse_args()
    answered, painted = start_s()
    began = time.perf_counter()
    studio = Studio.open("pocket", "cpu")
    opened = time.perf_counter() - began
    rows = measure(studio, arguments.repeats)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    stack = studio.models.stack
    print(
        f"{torch.get_num_threads()} threads; shipped: {stack.steps} steps, guidance "
        f"{stack.guidance:g}; plain: {PLAIN.steps} steps, guidance {PLAIN.guidance:g}, one by one"
    )
    print(f"{'case':28}{'seconds':>10}{'plain':>10}{'ratio':>8}")
    for row in rows:
        print(f"{row['case']:28}{row['seconds']:10.3f}{row['plain']:10.3f}{row['ratio']:8.1f}")
    print(
        f"page answers after {answered:.1f} s, first picture of a cold start after {painted:.1f} s"
    )
    print(f"models open in {opened:.1f} s; peak memory {peak:.2f} GiB")
    if arguments.json:
        figures = {"rows": rows, "answered": answered, "cold": painted, "peak_gib": peak}
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
