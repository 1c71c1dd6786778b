"""Trains the pocket's prior with Eq. 1 on sticker world's arrays, from closed forms.

    python -m train.pocket.prior --shards SHARDS --clip CLIP --run RUN [--export PRIOR]

The same command resumes a killed run. `train.prior` trains priors on feature shards.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from lambda_eclipse.clip import Clip
from train.loop.checkpoints import CHECKPOINT
from train.loop.loop import train
from train.loop.options import chosen, command
from train.loop.task import Task
from train.pocket.prior.examples import Examples
from train.pocket.prior.training import Stickers, write_predictions
from train.prior import published
from train.prior.presets import PRESETS, Preset
from train.prior.task import build as build_prior
from train.prior.task import from_scratch


def build(
    shards: Path, clip: Path, preset: Preset, start_from: Path | None = None, resumes: bool = False
) -> Task:
    """The task of training on `shards`, encoded by the CLIP in the folder `clip`.

    start_from: as in `published.load`; None: closed forms. resumes: weights are loaded from a
    checkpoint afterwards, so the closed forms are skipped.
    """
    torch.manual_seed(preset.seed)
    data = Stickers(shards, clip, preset.batch, preset.seed)
    prior = from_scratch(preset, data.dimension)
    if start_from is not None:
        prior.load_state_dict(published.load(start_from).state_dict())
    elif not resumes:
        data.start(prior)
    return build_prior(data, prior, preset)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = command("Train the pocket's prior.", PRESETS["pocket"])
    parser.add_argument("--shards", type=Path, required=True, help="sticker world's arrays")
    parser.add_argument("--clip", type=Path, required=True, help="folder of the finished CLIP")
    parser.add_argument(
        "--from",
        type=Path,
        dest="start_from",
        metavar="PRIOR",
        help="start from the weights of this run or export",
    )
    parser.add_argument("--export", type=Path, help="write fp16 weights and configuration here")
    parser.add_argument("--keep", action="store_true", help="keep the weights of every evaluation")
    parser.add_argument(
        "--predict", type=int, metavar="N", help="write predictions for N training scenes"
    )
    given = parser.parse_args(arguments)
    preset = chosen(given, PRESETS["pocket"])
    resumes = (given.run / CHECKPOINT).exists()
    task = build(given.shards, given.clip, preset, given.start_from, resumes)
    prior = train(task, preset, given.run, keep=given.keep)
    if given.export:
        prior.save(given.export)
    if given.predict:
        examples = Examples(given.shards, Clip.from_folder(given.clip))
        write_predictions(prior, examples, given.shards, given.predict)


if __name__ == "__main__":
    main()
