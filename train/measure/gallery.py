"""The gallery of the page's examples, as one click on the page paints them.

    python -m train.measure.gallery --out assets/readme/examples.jpg

Each example of Compose is a pair: its inputs (subjects, then the picture for the edge map), and its
first picture. Each example of Explore is a pair too: its four versions, and the middle of their
square. Seeds are the page's; nothing is selected.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from lambda_eclipse.explore.contact_sheet import contact_sheet
from lambda_eclipse.images import flatten, open_picture
from lambda_eclipse.pipeline import Studio
from lambda_eclipse.request import Request, Subject
from lambda_eclipse.ui.widgets.examples import COMPOSE, EXPLORE, SUBJECTS, Example

CELL_PX = 128
PAIRS = 4  # in a row


def inputs(example: Example) -> Image.Image:
    """The input pictures of an example, in one cell."""
    cell = Image.new("RGB", (CELL_PX, CELL_PX), "white")
    pictures = [flatten(open_picture(str(path))) for path in example.files()]
    side = CELL_PX if len(pictures) < 2 else CELL_PX // 2
    for i, picture in enumerate(pictures):
        picture.thumbnail((side - 4, side - 4))
        left, top = i % 2 * side, i // 2 * side
        corner = left + (side - picture.width) // 2, top + (side - picture.height) // 2
        cell.paste(picture, corner)
    return cell


def subjects_of(example: Example) -> list[Subject]:
    """Its subjects."""
    return [Subject(noun, str(SUBJECTS / name)) for noun, name in example.subjects]


def composed(studio: Studio, example: Example) -> Image.Image:
    """The first picture of an example of Compose."""
    canny = open_picture(str(SUBJECTS / example.canny)) if example.canny else None
    request = Request(example.prompt, tuple(subjects_of(example)), canny, example.seed)
    return studio.generate(request)[0].image


def explored(studio: Studio, example: Example) -> Image.Image:
    """The middle of the square of an example of Explore."""
    subjects = subjects_of(example)
    corners = studio.square(example.prompt, subjects[:2], subjects[2:], example.seed)
    return studio.at(corners, 0.5, 0.5, seed=example.seed).image


def paint(studio: Studio, compose: Sequence[Example], explore: Sequence[Example]) -> Image.Image:
    """The whole gallery."""
    cells, labels = [], []
    for examples, result in ((compose, composed), (explore, explored)):
        for example in examples:
            cells += [inputs(example), result(studio, example)]
            labels += [example.prompt, "" if result is composed else "the middle of the square"]
    return contact_sheet(cells, 2 * PAIRS, labels)


@torch.no_grad()
def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Paint the gallery of the page's examples.")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    sheet = paint(Studio.open("pocket", "cpu"), COMPOSE, EXPLORE)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.convert("RGB").save(arguments.out, optimize=True, quality=80)


if __name__ == "__main__":
    main()
