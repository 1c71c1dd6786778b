"""Trains every network of the pocket stack from nothing, one after the other.

    python -m train.pocket.run_all --runs RUNS [--out assets/pocket] [--dry-run]

Each step is one of the commands of `train`; finished ones are kept as `RUNS/<step>.done` with the
hours that they took, so that the same command goes on after being killed. Nothing is written to
`--out` before everything is trained: the networks are exported to `RUNS/pocket` and copied at the
end, with new checksums.
"""

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

from lambda_eclipse.stacks import ASSETS
from lambda_eclipse.weights import write_manifest


def steps(runs: Path) -> dict[str, list[str]]:
    """Name → module and arguments, in their order."""
    shards, out = str(runs / "shards"), runs / "pocket"
    clip, decoder, prior = str(out / "clip"), str(out / "decoder"), str(out / "prior")
    movq = str(out / "decoder" / "movq")

    def run(name: str) -> list[str]:
        return ["--run", str(runs / name)]

    return {
        "art": ["train.world.sprites"],
        "breadth": ["train.world.sprites", "--breadth"],
        "autoencoder": ["train.pocket.movq", *run("autoencoder"), "--export", movq],
        "shards": ["train.world.arrays", "--out", shards],
        "trunk": ["train.pocket.trunk", "--shards", shards],
        "matte": ["train.pocket.matte", "--shards", shards, *run("matte")],
        "layout": ["train.pocket.layout", "--shards", shards, *run("layout")],
        "subjects": ["train.pocket.codec", "--shards", shards, *run("subjects")],
        "appearance": ["train.pocket.appearance", "--shards", shards],
        "clip": ["train.pocket.clip", "--shards", shards, *run("clip"), "--export", clip],
        "embeddings": [
            "train.pocket.embeddings",
            "--shards",
            shards,
            "--clip",
            clip,
            "--movq",
            movq,
        ],
        "prior": [
            *("train.pocket.prior", "--shards", shards, "--clip", clip),
            *(*run("prior"), "--export", prior),
        ],
        "decoder": [
            *("train.pocket.unet", "--shards", shards, "--movq", movq, "--steps", "12000"),
            *(*run("decoder"), "--export", decoder),
        ],
    }


def main() -> None:
    """The command; ends with the step's own message when one fails."""
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
            sys.exit(f"{name} failed; mend it and run the same command again.")
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
