"""The README's sheet: sixteen held-out requests, not selected, beside their upper bounds.

    python -m train.measure.sheet --out assets/readme/sheet.jpg

Scenes 0-15 of the held-out side. Columns of each: the first subject's isolated view, the rendered
truth, the picture painted from the true embedding (the decoder's bound; paper, Fig. 3), and the
whole path from caption and subjects. Scene i is painted with seed i.
"""

import argparse
from pathlib import Path

import torch

from lambda_eclipse.explore.contact_sheet import contact_sheet
from lambda_eclipse.pipeline import Studio
from lambda_eclipse.request import Request, Subject
from train.measure.painting import embed, paint
from train.world.arrays import EVALUATION_SEED
from train.world.render import render, subject_view
from train.world.scenes import sample_scene

COUNT = 16


@torch.no_grad()
def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Paint the README's sheet.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--side", choices=("held", "seen"), default="held")
    parser.add_argument("--count", type=int, default=COUNT)
    arguments = parser.parse_args()
    studio = Studio.open("pocket", "cpu")
    scenes = [sample_scene(EVALUATION_SEED, i, arguments.side) for i in range(arguments.count)]
    truth = [render(scene) for scene in scenes]
    rebuilt = paint(studio, embed(studio, truth))
    cells, labels = [], []
    for i, scene in enumerate(scenes):
        views = [subject_view(scene, k) for k in range(len(scene.nouns))]
        subjects = tuple(Subject(noun, view) for noun, view in zip(scene.nouns, views, strict=True))
        [picture] = studio.generate(Request(scene.caption, subjects, seed=i))
        cells += [views[0], truth[i], rebuilt[i], picture.image]
        labels += ["subject 1", scene.caption, "from true embedding", "from the prior"]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    sheet = contact_sheet(cells, 8, labels)
    sheet.convert("RGB").save(arguments.out, optimize=True, quality=80)


if __name__ == "__main__":
    main()
