"""Handlers of the Explore view: points of the square, and its grid."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from lambda_eclipse.explore.atlas import Place, missing, place, point
from lambda_eclipse.request import GRID_SIDES
from lambda_eclipse.ui.endpoint import takes_form
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.errors import reports
from lambda_eclipse.ui.explore import jobs
from lambda_eclipse.ui.explore.cell_pictures import backdrop, empty_cell
from lambda_eclipse.ui.explore_form import FROM_SUBJECTS, SquareForm
from lambda_eclipse.ui.form import STACK_DEFAULT
from lambda_eclipse.ui.html import cost_text, progress_html
from lambda_eclipse.ui.i18n import t
from lambda_eclipse.ui.run import Update
from lambda_eclipse.ui.saving import save, shareable
from lambda_eclipse.ui.visit import Visit
from lambda_eclipse.ui.widgets.examples import EXPLORE
from lambda_eclipse.ui.widgets.square_pad import VERSION_LABELS

BLANK = (gr.skip(), progress_html())
NO_CHANGE = (gr.skip(), gr.skip())  # a generator that yields nothing empties its outputs
CENTRE = (0.5, 0.5)


@dataclass(frozen=True)
class ExploreActions:
    """The handlers of the view, over an engine. Their docstrings describe the endpoints."""

    engine: Engine

    @takes_form
    def at(
        self,
        visit: Visit,
        form: SquareForm,
        x: float = 0.5,
        y: float = 0.5,
        with_recipe: bool = True,
    ) -> Iterator[tuple]:
        """Paint one point of a square between four pictures, or between two subjects.

        (0, 0) is the top left corner or the first version of both subjects, (1, 0) the second
        version of A, (0, 1) the second version of B.

        Parameters:
            x: Across, from 0 to 1.
            y: Down, from 0 to 1.
            with_recipe: Write into the PNG what paints it again.
        """
        yield from self._point(visit, form, (x, y), with_recipe)

    @takes_form
    def at_sliders(
        self,
        visit: Visit,
        form: SquareForm,
        x: float = 0.5,
        y: float = 0.5,
        with_recipe: bool = True,
    ) -> Iterator[tuple]:
        """`at` for the sliders, which also report a release when they only lose the focus."""
        if (float(x), float(y)) == visit.resting_point:
            yield NO_CHANGE
        else:
            yield from self._point(visit, form, (x, y), with_recipe)

    @takes_form
    def at_pad(
        self, visit: Visit, at: tuple[float, float], with_recipe: bool, form: SquareForm
    ) -> Iterator[tuple]:
        """`at` for the square, after a drag."""
        yield from self._point(visit, form, at, with_recipe)

    @takes_form
    def draft_at_pad(
        self, visit: Visit, at: tuple[float, float], with_recipe: bool, form: SquareForm
    ) -> Iterator[tuple]:
        """`at` in few steps, during a drag."""
        yield from self._draft(visit, form, at, with_recipe)

    @takes_form
    def draft_at_sliders(
        self,
        visit: Visit,
        form: SquareForm,
        x: float = 0.5,
        y: float = 0.5,
        with_recipe: bool = True,
    ) -> Iterator[tuple]:
        """`draft_at_pad` for the sliders."""
        yield from self._draft(visit, form, (x, y), with_recipe)

    def _draft(
        self, visit: Visit, form: SquareForm, at: tuple[float, float], with_recipe: bool
    ) -> Iterator[tuple]:
        if not form.complete or tuple(at) == visit.resting_point:
            yield NO_CHANGE
            return
        stack = self.engine.wait().models.stack
        if form.steps == STACK_DEFAULT:
            form = replace(form, steps=stack.steps, guidance=stack.guidance)
        form = replace(form, steps=min(int(form.steps), stack.draft_steps))
        for value in self._point(visit, form, at, with_recipe):
            visit.resting_point = None
            yield value

    @reports(BLANK)
    def _point(
        self, visit: Visit, form: SquareForm, at: tuple[float, float], with_recipe: bool
    ) -> Iterator[tuple]:
        x, y = visit.resting_point = float(at[0]), float(at[1])
        form = form.checked()
        _remember(visit, form)
        with closing(self.engine.run(visit.job(jobs.paint_point), form, x, y)) as updates:
            for update in updates:
                if update.done:
                    name = f"point-{x:.2f}-{y:.2f}-{form.seed}"
                    path = save(visit, update.result, with_recipe, name)
                    note = t(
                        "({x}, {y}) · seed {seed} · {steps} steps · {seconds} s",
                        x=f"{x:.2f}",
                        y=f"{y:.2f}",
                        seed=form.seed,
                        steps=update.result.recipe.request.sampling.steps,
                        seconds=f"{update.result.picture.seconds:.1f}",
                    )
                    yield path, progress_html(note=note)
                else:
                    yield gr.skip(), progress_html(update)

    @takes_form
    @reports(BLANK)
    def grid(
        self, visit: Visit, form: SquareForm, size: float = 5, with_recipe: bool = True
    ) -> Iterator[tuple]:
        """Paint size × size points of a square, row by row in the result.

        Corners come first, then what lies between. Cells that were painted before in this visit,
        for another size too, are not painted again.

        Parameters:
            size: Points along a side, from 2 to 9.
            with_recipe: Write into each PNG what paints it again.
        """
        low, high = GRID_SIDES
        if not low <= size <= high:
            raise ValueError(
                t(
                    "A grid of {size} × {size}: choose a size from {low} to {high}.",
                    size=int(size),
                    low=low,
                    high=high,
                )
            )
        form, size = form.checked(), int(size)
        _remember(visit, form)
        done = visit.cells_of(form)
        empty = visit.file("empty.png", empty_cell())
        unpainted = missing(size, done)

        def gallery() -> list[str]:
            places = [place(row, column, size) for row in range(size) for column in range(size)]
            return [
                shareable(visit, done[at], with_recipe) if at in done else empty for at in places
            ]

        yield gallery(), progress_html(Update(t("Starting")))
        job = visit.job(jobs.paint_cells)
        with closing(self.engine.run(job, form, size, unpainted)) as updates:
            for update in updates:
                if update.payload:
                    at, painted = update.payload
                    done[at] = save(visit, painted, True, _cell_name(at, size, int(form.seed)))
                    yield gallery(), progress_html(update)
                elif not update.done:
                    yield gr.skip(), progress_html(update)
        # Clients get the last values, which include all cells.
        note = t(
            "{size} × {size} cells · {new} generated · seed {seed} · drag to browse",
            size=size,
            seed=form.seed,
            new=len(unpainted),
        )
        yield gallery(), progress_html(note=note)

    @takes_form
    def costs(self, visit: Visit, size: float, frames: float, form: SquareForm) -> tuple[str, str]:
        """The estimated times of a grid's missing cells, and of a path."""
        try:
            done: Any = visit.cells.get(form.checked(), ())
        except (ValueError, gr.Error):  # the click reports what is missing
            done = ()
        steps, pace = self.engine.steps(int(form.steps)), self.engine.pace
        cells = len(missing(int(size), done))
        return cost_text(pace, cells, steps), cost_text(pace, int(frames), steps)

    def set_columns(self, size: float) -> dict[str, Any]:
        """As many columns as the grid will have."""
        return gr.update(columns=int(size))

    def show_backdrop(self, visit: Visit, size: float) -> dict[str, Any]:
        """The finished cells below the square."""
        if visit.square is None:
            return gr.skip()
        return gr.update(backdrop=backdrop(visit.cells_of(visit.square), int(size)))

    def open_cell(
        self, event: gr.SelectData, visit: Visit, size: float, with_recipe: bool
    ) -> list[Any]:
        """The picture of the clicked cell, and its point."""
        row, column = divmod(int(event.index), int(size))
        at = place(min(row, int(size) - 1), column, int(size))
        path = visit.cells_of(visit.square).get(at) if visit.square else None
        x, y = visit.resting_point = point(at)
        return [shareable(visit, path, with_recipe) if path else gr.skip(), x, y, (x, y)]

    def name_corners(self, source: str, noun_a: str, noun_b: str) -> dict[str, Any]:
        """Labels of the square's corners with the visitor's nouns."""
        a, b = (noun_a or "").strip(), (noun_b or "").strip()
        if source != FROM_SUBJECTS:
            return gr.update(corners=[""] * 4)
        if not a or not b:
            return gr.update(corners=list(VERSION_LABELS))
        pairs = ((1, 1), (2, 1), (1, 2), (2, 2))
        return gr.update(corners=[f"{a} {i} + {b} {j}" for i, j in pairs])

    def fill(self, event: gr.EventData) -> list[Any]:
        """The form of an example: source, prompt, two subjects, seed; and the centre."""
        example = [example for example in EXPLORE if example.complete()][event.index]
        a1, a2, b1, b2 = (str(path) for path in example.files())
        noun_a, noun_b = example.subjects[0][0], example.subjects[2][0]
        subjects = [noun_a, a1, a2, noun_b, b1, b2]
        return [FROM_SUBJECTS, example.prompt, *subjects, example.seed, *CENTRE, CENTRE]


def _remember(visit: Visit, form: SquareForm) -> None:
    visit.square = form
    visit.uploads.update(form.files)


def _cell_name(at: Place, size: int, seed: int) -> str:
    row, column = (round(float(fraction) * (size - 1)) + 1 for fraction in at)
    return f"row-{row}-column-{column}-seed-{seed}"
