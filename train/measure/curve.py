"""What the prior's training is worth: likeness against hours, from the weights that a run kept.

    python -m train.prior … --keep --run RUN
    python -m train.measure.curve --run RUN [--out FILE]

Each row of the table is an evaluation of the run: its hours and steps, the cosine that the trainer
reported for held-out scenes, and how often the judge (`train.measure.judge`) names what the whole
path
paints of held-out sprites: one subject, and both of two.
"""

import argparse
import json
from pathlib import Path

import torch

from lambda_eclipse.pipeline import Studio
from train.measure.judge import CACHE, Judge
from train.measure.painted import named_pairs, named_path

SIDE = "held"


def reports(run: Path) -> dict[int, dict[str, float]]:
    """Step → what the run's log says of it, hours included."""
    rows: dict[int, dict[str, float]] = {}
    hours = 0.0
    for line in (run / "log.jsonl").read_text().splitlines():
        row = json.loads(line)
        hours = row.get("hours", hours)  # an evaluation follows the report of its step
        rows.setdefault(row["step"], {}).update({"hours": hours} | row)
    return rows


def table(rows: list[dict[str, float]]) -> str:
    """Markdown."""
    lines = ["| hours | steps | cosine | one subject | both of two |", "|---|---|---|---|---|"]
    lines += [
        f"| {row['hours']:.2f} | {row['step']} | {row['cosine']:.3f} | {row['one']:.2f} "
        f"| {row['both']:.2f} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


@torch.no_grad()
def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Likeness against hours of the prior's training.")
    parser.add_argument("--run", type=Path, required=True, help="of train.prior --keep")
    parser.add_argument("--cache", type=Path, default=CACHE, help="the judge's published weights")
    parser.add_argument("--out", type=Path, help="also write the table here, as markdown")
    arguments = parser.parse_args()
    kept = sorted((int(path.stem.split("-")[1]), path) for path in arguments.run.glob("weights-*"))
    if not kept:
        parser.error(f"{arguments.run} holds no weights-*.pt: train with --keep.")
    studio, judge, rows = Studio.open("pocket", "cpu"), Judge(arguments.cache), []
    said = reports(arguments.run)
    for step, path in kept:
        studio.models.prior.load_state_dict(torch.load(path, weights_only=True))
        rows.append(
            {
                "step": step,
                "hours": said[step]["hours"],
                "cosine": said[step][f"cosine_pictures_{SIDE}"],
                "one": named_path(studio, judge, SIDE),
                "both": named_pairs(studio, judge, SIDE)["path"][1],
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    print(table(rows), end="")
    if arguments.out:
        arguments.out.write_text(table(rows))


if __name__ == "__main__":
    main()
