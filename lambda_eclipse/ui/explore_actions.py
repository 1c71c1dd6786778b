"""What the Explore view does: paint one point of the square, or the whole of it."""

import base64
import io
import math
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import gradio as gr
from PIL import Image

from lambda_eclipse import paper
from lambda_eclipse.ui import jobs
from lambda_eclipse.ui.compose_actions import save
from lambda_eclipse.ui.engine import Engine, Update
from lambda_eclipse.ui.examples import EXPLORE
from lambda_eclipse.ui.pad import CORNERS
from lambda_eclipse.ui.text import progress_html, read_seed, reporting

GRID_SIDES = (2, 7)
BACKDROP_PX = 72  # side of one cell in the picture that is laid under the square
EMPTY_CELL_RGBA = (148, 163, 184, 48)
BLANK = (gr.skip(), progress_html(note=""))


def read_square(
    prompt: str,
    nouns: tuple[str, str],
    pictures: tuple[str | None, str | None, str | None, str | None],
    seed: float,
    mode: str,
    steps: float,
    guidance: float,
) -> jobs.Square:
    """Check the Explore form; ValueError says what is missing."""
    names = [f"picture {number} of subject {letter}" for letter in "AB" for number in (1, 2)]
    missing = [name for name, path in zip(names, pictures, strict=True) if not path]
    if missing:
        raise ValueError(f"The square needs four pictures. Still missing: {', '.join(missing)}.")
    if not (prompt or "").strip():
        raise ValueError("The prompt is empty: name both subjects in a short sentence.")
    a, b = ((noun or "").strip() for noun in nouns)
    if not a or not b:
        raise ValueError("Name both subjects with the words that stand for them in the prompt.")
    return jobs.Square(
        prompt=prompt.strip(),
        a=((a, pictures[0]), (a, pictures[1])),
        b=((b, pictures[2]), (b, pictures[3])),
        seed=read_seed(seed),
        mode=mode,
        steps=int(steps),
        guidance=float(guidance),
    )


def backdrop(cells: list[str]) -> str:
    """A finished grid, files row by row, as one small picture for the square: a data URI.

    The centre of a cell lies where the handle asks for that cell, so the outer cells are cut in
    half by the edge of the square.
    """
    size = math.isqrt(len(cells))
    sheet = Image.new("RGB", (size * BACKDROP_PX, size * BACKDROP_PX))
    for index, path in enumerate(cells):
        with Image.open(path) as picture:
            small = picture.convert("RGB").resize((BACKDROP_PX, BACKDROP_PX))
        row, column = divmod(index, size)
        sheet.paste(small, (column * BACKDROP_PX, row * BACKDROP_PX))
    half = BACKDROP_PX // 2
    sheet = sheet.crop((half, half, sheet.width - half, sheet.height - half))
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


@dataclass(frozen=True)
class ExploreActions:
    """The handlers of the view, over an engine. Their docstrings describe the endpoints."""

    engine: Engine

    def at(
        self,
        prompt: str,
        noun_a: str, picture_a1: str | None, picture_a2: str | None,
        noun_b: str, picture_b1: str | None, picture_b2: str | None,
        x: float = 0.5, y: float = 0.5, mode: str = "slerp", steps: float = paper.DDIM_STEPS,
        guidance: float = paper.GUIDANCE, seed: float = 0,
    ) -> Iterator[tuple]:  # fmt: skip
        """Paint one point of the square between two versions each of two subjects.

        x and y go from 0 to 1: (0, 0) is the first version of both, (1, 0) the second version of
        A, (0, 1) the second version of B. mode is "slerp" or "lerp".
        """

        def read() -> jobs.Square:
            return read_square(
                prompt, (noun_a, noun_b), (picture_a1, picture_a2, picture_b1, picture_b2),
                seed, mode, steps, guidance,
            )  # fmt: skip

        yield from reporting(self._point(read, float(x), float(y)), BLANK)

    def at_pad(self, point: tuple[float, float], *rest: Any) -> Iterator[tuple]:
        """`at` for the square itself, when it was let go."""
        *subjects, mode, steps, guidance, seed = rest
        yield from self.at(*subjects, *point, mode, steps, guidance, seed)

    def quick(self, point: tuple[float, float], *rest: Any) -> Iterator[tuple]:
        """`at` in few steps, while the point still moves."""
        *subjects, mode, steps, guidance, seed = rest
        _, noun_a, *a, noun_b, b1, b2 = subjects
        if all((noun_a, *a, noun_b, b1, b2)):  # else the message comes once, on release
            yield from self.at(*subjects, *point, mode, max(3, int(steps) // 5), guidance, seed)

    def _point(self, read: Callable[[], jobs.Square], x: float, y: float) -> Iterator[tuple]:
        square = read()
        with closing(self.engine.run(jobs.point, square, x, y)) as updates:
            for update in updates:
                if update.done:
                    note = f"({x:.2f}, {y:.2f}) · seed {square.seed} · {square.steps} steps"
                    note += f" · {update.result.seconds:.1f} s"
                    yield update.result.image, progress_html(note=note)
                else:
                    yield gr.skip(), progress_html(update)

    def grid(
        self,
        prompt: str,
        noun_a: str, picture_a1: str | None, picture_a2: str | None,
        noun_b: str, picture_b1: str | None, picture_b2: str | None,
        size: float = 5, mode: str = "slerp", steps: float = paper.DDIM_STEPS,
        guidance: float = paper.GUIDANCE, seed: float = 0,
    ) -> Iterator[tuple]:  # fmt: skip
        """Paint size × size points of the square, row by row in the result; size from 2 to 7."""

        def read() -> jobs.Square:
            if not GRID_SIDES[0] <= size <= GRID_SIDES[1]:
                raise ValueError(f"A grid of {size} × {size}: choose a size from 2 to 7.")
            return read_square(
                prompt, (noun_a, noun_b), (picture_a1, picture_a2, picture_b1, picture_b2),
                seed, mode, steps, guidance,
            )  # fmt: skip

        yield from reporting(self._cells(read, int(size)), BLANK)

    def _cells(self, read: Callable[[], jobs.Square], size: int) -> Iterator[tuple]:
        square = read()
        files: dict[tuple[int, int], str] = {}
        order = [(row, column) for row in range(size) for column in range(size)]
        with (
            tempfile.TemporaryDirectory() as folder,
            closing(self.engine.run(jobs.atlas, square, size)) as updates,
        ):
            empty = f"{folder}/empty.png"
            Image.new("RGBA", (BACKDROP_PX, BACKDROP_PX), EMPTY_CELL_RGBA).save(empty)
            yield [empty] * len(order), progress_html(Update("Starting"))
            for update in updates:
                if update.payload:
                    row, column, picture = update.payload
                    name = f"row-{row + 1}-column-{column + 1}-seed-{square.seed}"
                    files[row, column] = save(picture, folder, name)
                    yield [files.get(cell, empty) for cell in order], progress_html(update)
                elif update.done:
                    note = f"{size} × {size} cells · seed {square.seed} · drag across them"
                    # Clients get what is yielded last, so it is complete once more.
                    yield [files[cell] for cell in order], progress_html(note=note)
                else:
                    yield gr.skip(), progress_html(update)

    def make_room(self, size: float) -> dict[str, Any]:
        """As many columns as the grid will have."""
        return gr.update(columns=int(size))

    def lay_under(self, cells: list[tuple[str, str | None]]) -> dict[str, Any]:
        """The finished grid under the square."""
        return gr.update(backdrop=backdrop([path for path, _ in cells]))

    def name_corners(self, noun_a: str, noun_b: str) -> dict[str, Any]:
        """Labels of the square's corners in the visitor's own words."""
        a, b = (noun_a or "").strip(), (noun_b or "").strip()
        if not a or not b:
            return gr.update(corners=list(CORNERS))
        pairs = ((1, 1), (2, 1), (1, 2), (2, 2))
        return gr.update(corners=[f"{a} {i} + {b} {j}" for i, j in pairs])

    def fill(self, event: gr.EventData) -> list:
        """The form of an example: prompt, word and two pictures each, seed; and the middle."""
        example = [example for example in EXPLORE if example.complete()][event.index]
        a1, a2, b1, b2 = (str(path) for path in example.files())
        noun_a, noun_b = example.subjects[0][0], example.subjects[2][0]
        middle = [0.5, 0.5, (0.5, 0.5)]
        return [example.prompt, noun_a, a1, a2, noun_b, b1, b2, example.seed, *middle]
