"""Trains every network of the pocket stack from scratch, one after the other.

    python -m train.pocket.run_all --runs RUNS [--out assets/pocket] [--dry-run]

Each step is one of the commands of `train`. A finished step leaves `RUNS/<step>.done` with its
hours, so that the same command resumes after a kill. The networks are exported to `RUNS/pocket`
and copied to `--out`, with new checksums, when everything is trained.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from lambda_eclipse.manifest import write_manifest
from lambda_eclipse.stacks import ASSETS


def steps(runs: Path) -> dict[str, list[str]]:
    """Name → module and arguments, in order."""
    out = runs / "pocket"
    arrays, clip = ["--arrays", str(runs / "arrays")], ["--clip", str(out / "clip")]
    movq = ["--movq", str(out / "decoder" / "movq")]

    def run(name: str, export: str = "") -> list[str]:
        options = ["--run", str(runs / name)]
        return [*options, "--export", str(out / export)] if export else options

    return {
        "art": ["train.world.sprites"],
        "breadth": ["train.world.sprites", "--breadth"],
        "autoencoder": ["train.pocket.movq", *run("autoencoder", "decoder/movq")],
        "arrays": ["train.world.arrays", "--out", str(runs / "arrays")],
        "trunk": ["train.pocket.trunk", *arrays],
        "matte": ["train.pocket.matte", *arrays, *run("matte")],
        "layout": ["train.pocket.layout", *arrays, *run("layout")],
        "codec": ["train.pocket.codec", *arrays, *run("codec")],
        "appearance": ["train.pocket.appearance", *arrays],
        "clip": ["train.pocket.clip", *arrays, *run("clip", "clip")],
        "embeddings": ["train.pocket.embeddings", *arrays, *clip, *movq],
        "prior": ["train.pocket.prior", *arrays, *clip, *run("prior", "prior")],
        "decoder": [
            *("train.pocket.unet", *arrays, *movq, "--steps", "12000"),
            *run("decoder", "decoder"),
        ],
    }


def main() -> None:
    """The command; stops at the first step that fails."""
    parser = argparse.ArgumentParser(description="Train the pocket stack from nothing.")
    parser.add_argument("--runs", type=Path, required=True, help="a folder with 30 GB to spare")
    parser.add_argument("--out", type=Path, default=ASSETS / "pocket")
    parser.add_argument("--dry-run", action="store_true", help="only print the commands")
    arguments = parser.parse_args()
    plan = steps(arguments.runs)
    for name, command in plan.items():
        print(name, "python -m", *command, flush=True)
        done = arguments.runs / f"{name}.done"
        if arguments.dry_run or done.exists():
            continue
        arguments.runs.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        failed = subprocess.run([sys.executable, "-m", *command]).returncode
        if failed:
            sys.exit(f"{name} failed: fix the error above and run the same command again.")
        hours = (time.perf_counter() - began) / 3600
        done.write_text(json.dumps({"hours": round(hours, 3)}) + "\n")
    if arguments.dry_run:
        return
    shutil.copytree(arguments.runs / "pocket", arguments.out, dirs_exist_ok=True)
    write_manifest(arguments.out)
    took = [json.loads((arguments.runs / f"{name}.done").read_text())["hours"] for name in plan]
    print(f"{sum(took):.1f} hours in all")


if __name__ == "__main__":
    main()
