"""Subject fidelity over the hours of the prior's training, from the weights that a run kept.

    python -m train.pocket.prior … --keep --run RUN
    python -m train.measure.training_curve --run RUN [--out FILE]

Each row of the table is an evaluation of the run: its hours and steps, the trainer's cosine on
held-out scenes, and the share of held-out sprites that the judge (`train.measure.judge`) names
right in the whole path's pictures: one subject, and both of two.
"""

import argparse
import json
from pathlib import Path

import torch

from lambda_eclipse.pipeline import Studio
from train.measure.judge import CACHE, Judge
from train.measure.subject_fidelity import named_pairs, named_path

SIDE = "held"


def reports(run: Path) -> dict[int, dict[str, float]]:
    """Step → its entries in the run's log, hours included."""
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
    parser = argparse.ArgumentParser(description="Subject fidelity over the prior's training.")
    parser.add_argument("--run", type=Path, required=True, help="of train.pocket.prior --keep")
    parser.add_argument("--cache", type=Path, default=CACHE, help="the judge's published weights")
    parser.add_argument("--out", type=Path, help="also write the table here, as markdown")
    arguments = parser.parse_args()
    weights = sorted(
        (int(path.stem.split("-")[1]), path) for path in arguments.run.glob("weights-*")
    )
    if not weights:
        parser.error(f"{arguments.run} holds no weights-*.pt: train with --keep.")
    studio, judge, rows = Studio.open("pocket", "cpu"), Judge(arguments.cache), []
    logged = reports(arguments.run)
    for step, path in weights:
        studio.models.prior.load_state_dict(torch.load(path, weights_only=True))
        rows.append(
            {
                "step": step,
                "hours": logged[step]["hours"],
                "cosine": logged[step][f"cosine_pictures_{SIDE}"],
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
