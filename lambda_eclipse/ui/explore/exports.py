"""Taking things away from the Explore view: the atlas as a sheet and a zip, a path as a film."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from lambda_eclipse import paper
from lambda_eclipse.explore import atlas
from lambda_eclipse.explore import route as paths
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.explore import jobs as jobs_square
from lambda_eclipse.ui.explore.form import read_square
from lambda_eclipse.ui.explore.handlers import BLANK, cells_of
from lambda_eclipse.ui.explore.jobs import Square
from lambda_eclipse.ui.form import STACKS_OWN
from lambda_eclipse.ui.i18n import t
from lambda_eclipse.ui.i18n.core_texts import told
from lambda_eclipse.ui.saving import content, given, save
from lambda_eclipse.ui.text import progress_html, reading, reporting
from lambda_eclipse.ui.visit import Visit

DRAWN = "drawn"
ROUTES = (*paths.EDGES, DRAWN)
FRAMES = (2, 48)
SHEET_COLUMNS = 6


@dataclass(frozen=True)
class ExportActions:
    """The handlers, over an engine. Their docstrings describe the endpoints."""

    engine: Engine

    def sheet(self, visit: Visit, size: float, with_recipe: bool = True) -> Any:
        """The finished cells of the last grid: a sheet with its axes, and a zip of PNG files."""
        from lambda_eclipse.keep.recipe import write

        with reading():
            if visit.square is None:
                raise ValueError(t("There is no grid yet: paint one first."))
            files = cells_of(visit, visit.square)
            cells = {at: _opened(path) for at, path in files.items()}
            across, down = _axes(visit.square)
            drawn = write(atlas.sheet(cells, int(size), across, down), None)
            found = {at: content(path, with_recipe) for at, path in files.items()}
            packed = atlas.to_zip(found, int(size))
        found = [visit.file("atlas.png", drawn), visit.file("atlas.zip", packed)]
        return gr.File(value=found, visible=True)

    def path(
        self,
        visit: Visit,
        corners_from: str,
        prompt: str | None = None,
        noun_a: str | None = None, picture_a1: str | None = None, picture_a2: str | None = None,
        noun_b: str | None = None, picture_b1: str | None = None, picture_b2: str | None = None,
        top_left: str | None = None, top_right: str | None = None,
        bottom_left: str | None = None, bottom_right: str | None = None,
        mode: str = "slerp", steps: float = STACKS_OWN, guidance: float = paper.GUIDANCE,
        seed: float = 0, route: str = "diagonal", line: Any = None, frames: float = 12,
        with_recipe: bool = True,
    ) -> Iterator[tuple]:  # fmt: skip
        """Paint a path through a square, frame by frame.

        The other parameters are those of `at`.

        Parameters:
            corners_from: "subjects" for two versions each of A and B, "pictures" for four pictures.
            route: An edge of the square, a diagonal of it, or "drawn" for `line`.
            line: Points [x, y] from 0 to 1 to go through.
            frames: How many, at equal distances, from 2 to 48.
            with_recipe: Write into each PNG what paints it again.
        """

        def values() -> Iterator[tuple]:
            square = read_square((
                corners_from, prompt, noun_a, picture_a1, picture_a2, noun_b, picture_b1,
                picture_b2, top_left, top_right, bottom_left, bottom_right, mode, steps, guidance,
                seed,
            ))  # fmt: skip
            if not FRAMES[0] <= frames <= FRAMES[1]:
                raise ValueError(
                    t("A path has {low} to {high} frames.", low=FRAMES[0], high=FRAMES[1])
                )
            points = points_of(route, line, int(frames))
            yield from self._frames(visit, square, points, bool(with_recipe))

        yield from reporting(values(), BLANK)

    def drawn(self, event: gr.EventData) -> tuple[Any, str]:
        """The line that was drawn in the square, and the route that means it."""
        return event.points, DRAWN

    def _frames(
        self, visit: Visit, square: Square, line: list[paths.Point], with_recipe: bool
    ) -> Iterator[tuple]:
        visit.frames, visit.path, shown = [], square, []
        names = paths.frame_names(len(line))
        with closing(self.engine.run(visit.own(jobs_square.frames), square, line)) as updates:
            for update in updates:
                if update.payload:
                    at, painted = update.payload
                    name = names[len(shown)].removesuffix(".png")
                    path = save(visit, painted, True, name)
                    visit.frames.append((path, at))
                    shown.append((given(visit, path, with_recipe), painted.label))
                    yield list(shown), progress_html(update)
                elif update.done:
                    note = t("{count} frames · seed {seed}", count=len(shown), seed=square.seed)
                    yield list(shown), progress_html(note=note)
                else:
                    yield gr.skip(), progress_html(update)

    def film(
        self, visit: Visit, fps: float = paths.FPS, loop: bool = True, with_recipe: bool = True
    ) -> Any:
        """The frames painted so far as GIF, MP4, contact sheet, JSON, and a zip of PNG files.

        loop: play them forth and back.
        """
        from lambda_eclipse.keep.recipe import write

        with reading():
            there = [(path, at) for path, at in visit.frames if Path(path).is_file()]
            if visit.path is None or not there:
                raise ValueError(t("There are no frames yet: paint the path first."))
            mode, seed = visit.path.mode, visit.path.seed
            frames = [paths.Frame(_opened(path), at, seed) for path, at in there]
            packed = [content(path, with_recipe) for path, _ in there]
            played = paths.there_and_back(frames) if loop else frames
            files = {
                "path.gif": paths.to_gif(played, float(fps)),
                "path-sheet.png": write(paths.to_sheet(frames, SHEET_COLUMNS), None),
                "path.json": paths.to_json(frames, mode).encode(),
                "path.zip": paths.to_zip(frames, mode, packed),
            }
            try:
                files["path.mp4"] = paths.to_mp4(played, float(fps))
            except ValueError as error:  # not every build of OpenCV can; the rest is still good
                gr.Info(told(str(error)), title=t("Please note"))
        return gr.File(value=[visit.file(*file) for file in files.items()], visible=True)


def points_of(route: str, line: Any, frames: int) -> list[paths.Point]:
    """The points of a path; `line` is what was drawn: a list of points, or the same as JSON."""
    if route != DRAWN:
        return paths.along(route, frames)
    drawn = json.loads(line) if isinstance(line, str) else line
    if not isinstance(drawn, list) or len(drawn) < 2:
        raise ValueError(
            t("Nothing is drawn: draw a line in the square with mouse, finger or arrow keys first.")
        )
    return paths.resample([tuple(map(float, one)) for one in drawn], frames)


def _opened(path: str) -> Image.Image:
    """RGB, the picture in a file."""
    with Image.open(path) as picture:
        return picture.convert("RGB")


def _axes(square: Square) -> tuple[tuple[str, str], tuple[str, str]]:
    """What the ends of the square's axes stand for; in English, as the font has Latin letters."""
    if square.corners:
        return ("left", "right"), ("top", "bottom")
    return (
        tuple(f"{part.noun} {number}" for number, part in enumerate(square.a, 1)),
        tuple(f"{part.noun} {number}" for number, part in enumerate(square.b, 1)),
    )
