"""Trains the pocket prior on sticker world.

    python -m train.pocket.prior --arrays ARRAYS --clip CLIP --run RUN [--export FOLDER]

Eq. 1, and a loss on tokens (`subject_loss`), for captions with subjects swapped in (`examples`).
"""

from pathlib import Path

from lambda_eclipse.clip import Clip
from train.loop.loop import train
from train.loop.options import chosen, command
from train.pocket.prior.examples import Examples
from train.pocket.prior.training import SETTINGS, task
from train.prior import published
from train.world.arrays import Arrays


def main() -> None:
    """The command."""
    parser = command("Train the pocket prior.", SETTINGS)
    parser.add_argument("--arrays", type=Path, required=True)
    parser.add_argument("--clip", type=Path, required=True, help="folder of the finished CLIP")
    parser.add_argument(
        "--from", dest="start_from", metavar="PRIOR", help="start from this run or export"
    )
    parser.add_argument("--export", type=Path, help="write fp16 weights and configuration here")
    parser.add_argument("--keep", action="store_true", help="keep the weights of every evaluation")
    arguments = parser.parse_args()
    settings = chosen(arguments, SETTINGS)
    examples = Examples(Arrays(arguments.arrays), Clip.from_folder(arguments.clip))
    start = published.load(arguments.start_from) if arguments.start_from else None
    trained = task(examples, settings, start)
    prior = train(trained, settings, arguments.run, keep=arguments.keep)
    if arguments.export:
        prior.save(arguments.export)


if __name__ == "__main__":
    main()
