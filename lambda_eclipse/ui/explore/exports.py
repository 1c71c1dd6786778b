"""Exports of the Explore view: the grid as a sheet and a zip; a path as frames and a film."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from lambda_eclipse.explore import atlas
from lambda_eclipse.explore import route as routes
from lambda_eclipse.mark.marking import GIF, MP4, signed
from lambda_eclipse.messages import StudioError
from lambda_eclipse.ui.endpoint import takes_form
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.errors import errors_as_messages, reports
from lambda_eclipse.ui.explore import jobs
from lambda_eclipse.ui.explore.handlers import BLANK
from lambda_eclipse.ui.explore_form import FROM_PICTURES, SquareForm
from lambda_eclipse.ui.html import progress_html
from lambda_eclipse.ui.i18n import t, translate
from lambda_eclipse.ui.saving import read_png, save, shareable
from lambda_eclipse.ui.visit import Visit

DRAWN = "drawn"
FRAMES = (2, 48)
SHEET_COLUMNS = 6


@dataclass(frozen=True)
class ExportActions:
    """The handlers, over an engine. Their docstrings describe the endpoints."""

    engine: Engine

    def sheet(self, visit: Visit, size: float, with_recipe: bool = True) -> gr.File:
        """The finished cells of the last grid: a sheet with its axes, and a zip of PNG files."""
        from lambda_eclipse.keep.recipe import write

        with errors_as_messages():
            if visit.square is None:
                raise ValueError(t("The grid is empty: generate it first."))
            paths = visit.cells_of(visit.square)
            cells = {at: _opened(path) for at, path in paths.items()}
            sheet = write(atlas.sheet(cells, int(size), *_axes(visit.square)), None)
            contents = {at: read_png(path, with_recipe) for at, path in paths.items()}
            packed = atlas.to_zip(contents, int(size))
        files = [visit.file("atlas.png", sheet), visit.file("atlas.zip", packed)]
        return gr.File(value=files, visible=True)

    @takes_form
    @reports(BLANK)
    def path(
        self,
        visit: Visit,
        form: SquareForm,
        route: str = "diagonal",
        line: Any = None,
        frames: float = 12,
        with_recipe: bool = True,
    ) -> Iterator[tuple]:
        """Paint a path through a square, frame by frame.

        Parameters:
            route: An edge of the square, a diagonal of it, or "drawn" for `line`.
            line: Points [x, y] from 0 to 1 to go through.
            frames: How many, at equal distances, from 2 to 48.
            with_recipe: Write into each PNG what paints it again.
        """
        form = form.checked()
        if not FRAMES[0] <= frames <= FRAMES[1]:
            raise ValueError(t("A path has {low} to {high} frames.", low=FRAMES[0], high=FRAMES[1]))
        points = points_of(route, line, int(frames))
        visit.frames, visit.frames_square = [], form
        gallery: list[tuple[str, str]] = []
        names = routes.frame_names(len(points))
        with closing(self.engine.run(visit.job(jobs.paint_frames), form, points)) as updates:
            for update in updates:
                if update.payload:
                    at, painted = update.payload
                    name = names[len(gallery)].removesuffix(".png")
                    path = save(visit, painted, True, name)
                    visit.frames.append((path, at))
                    gallery.append((shareable(visit, path, with_recipe), painted.label))
                    yield list(gallery), progress_html(update)
                elif update.done:
                    note = t("{count} frames · seed {seed}", count=len(gallery), seed=form.seed)
                    yield list(gallery), progress_html(note=note)
                else:
                    yield gr.skip(), progress_html(update)

    def use_drawn_line(self, event: gr.EventData) -> tuple[Any, str]:
        """The line drawn in the square, and the route that uses it."""
        return event.points, DRAWN

    def film(
        self, visit: Visit, fps: float = routes.FPS, loop: bool = True, with_recipe: bool = True
    ) -> gr.File:
        """The frames painted so far as GIF, MP4, contact sheet, JSON, and a zip of PNG files.

        loop: play them forth and back.
        """
        from lambda_eclipse.keep.recipe import write

        with errors_as_messages():
            painted = [(path, at) for path, at in visit.frames if Path(path).is_file()]
            if visit.frames_square is None or not painted:
                raise ValueError(t("The path has no frames: generate it first."))
            mode, seed = visit.frames_square.mode, int(visit.frames_square.seed)
            frames = [routes.Frame(_opened(path), at, seed) for path, at in painted]
            contents = [read_png(path, with_recipe) for path, _ in painted]
            played = routes.there_and_back(frames) if loop else frames
            files = {
                "path.gif": signed(routes.to_gif(played, float(fps)), GIF),
                "path-sheet.png": write(routes.to_sheet(frames, SHEET_COLUMNS), None),
                "path.json": routes.to_json(frames, mode).encode(),
                "path.zip": routes.to_zip(frames, mode, contents),
            }
            try:
                files["path.mp4"] = signed(routes.to_mp4(played, float(fps)), MP4)
            except StudioError as error:  # not every build of OpenCV encodes MP4
                gr.Info(translate(error.text), title=t("Note"))
        return gr.File(value=[visit.file(*file) for file in files.items()], visible=True)


def points_of(route: str, line: Any, frames: int) -> list[routes.Point]:
    """The points of a path. line: for "drawn", a list of points, or the same as JSON."""
    if route != DRAWN:
        return routes.along(route, frames)
    points = json.loads(line) if isinstance(line, str) else line
    if not isinstance(points, list) or len(points) < 2:
        raise ValueError(
            t("The path is empty: draw a line in the square with mouse, touch or arrow keys.")
        )
    return routes.resample([(float(x), float(y)) for x, y in points], frames)


def _opened(path: str) -> Image.Image:
    with Image.open(path) as picture:
        return picture.convert("RGB")


def _axes(form: SquareForm) -> tuple[tuple[str, str], tuple[str, str]]:
    """Labels for the ends of both axes; in English, as the font has Latin letters only."""
    if form.corners_from == FROM_PICTURES:
        return ("left", "right"), ("top", "bottom")
    a, b = form.noun_a, form.noun_b
    return (f"{a} 1", f"{a} 2"), (f"{b} 1", f"{b} 2")
