"""Handlers of finished pictures: compare, send on, vary, leave subjects out, restore."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import gradio as gr

from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.errors import reports
from lambda_eclipse.ui.explore_form import CORNER_NAMES
from lambda_eclipse.ui.form import EDGES_DRAWN, EMPTY_SLOT, slot_values
from lambda_eclipse.ui.html import cost_text, progress_html
from lambda_eclipse.ui.i18n import t
from lambda_eclipse.ui.results import jobs
from lambda_eclipse.ui.results.view import comparison
from lambda_eclipse.ui.saving import save_corner, stream_results
from lambda_eclipse.ui.visit import HistoryEntry, Visit

BLANK = (gr.skip(), progress_html(), gr.skip())


@dataclass(frozen=True)
class ResultsActions:
    """The handlers, over an engine."""

    engine: Engine

    def choose(self, event: gr.SelectData, visit: Visit) -> tuple[Any, Any, Any]:
        """Choose the clicked picture; it is compared to the one chosen before."""
        if event.index >= len(visit.gallery):  # a preview
            return gr.skip(), gr.skip(), gr.skip()
        visit.choose(visit.gallery[event.index])
        return *self.chosen(visit), gr.Accordion(open=True)

    def chosen(self, visit: Visit) -> tuple[str, gr.ImageSlider]:
        """The chosen picture in words, and the slider over the last two chosen."""
        painted = chosen_entry(visit).painted
        prompt = painted.recipe.request.prompt
        text = escape(
            t(
                "Selected: {label}, “{prompt}”. Select another picture to compare the two.",
                label=painted.label,
                prompt=prompt,
            )
        )
        return text, comparison([entry.path for entry in visit.chosen])

    def costs(self, visit: Visit, number: float) -> tuple[str, str]:
        """Seconds for that many variations of the chosen picture, and for its leave-one-out."""
        if not visit.chosen:
            return "", ""
        request = visit.chosen[-1].painted.recipe.request
        pace, steps = self.engine.pace, self.engine.steps(request.sampling.steps or 0)
        subjects = len(request.subjects)
        without = (
            cost_text(pace, subjects, steps)
            if subjects
            else t("This picture has no subjects to remove.")
        )
        return cost_text(pace, int(number), steps), without

    def to_slot(self, visit: Visit, number: int) -> list[Any]:
        """The chosen picture as a subject: the values of all slots."""
        return slot_values(number, replace(EMPTY_SLOT, picture=chosen_entry(visit).path))

    def to_corner(self, visit: Visit, name: str) -> list[Any]:
        """The chosen picture as a corner of the square: the four corners."""
        path = save_corner(visit, chosen_entry(visit))
        return [path if name == corner else gr.skip() for corner in CORNER_NAMES]

    @reports(BLANK)
    def vary(self, visit: Visit, angle: float, count: float, with_recipe: bool) -> Iterator[tuple]:
        """Paint pictures from embeddings around that of the chosen one."""
        painted = chosen_entry(visit).painted
        yield from self._paint(visit, with_recipe, jobs.vary, painted, int(count), float(angle))

    @reports(BLANK)
    def leave_one_out(self, visit: Visit, with_recipe: bool) -> Iterator[tuple]:
        """Paint the chosen picture again, without each of its subjects in turn."""
        recipe = chosen_entry(visit).painted.recipe
        if not recipe.request.subjects:
            raise ValueError(t("This picture has no subjects to remove."))
        yield from self._paint(visit, with_recipe, jobs.leave_one_out, recipe)

    def _paint(
        self, visit: Visit, with_recipe: bool, job: Callable[..., Any], *arguments: Any
    ) -> Iterator[tuple]:
        form = chosen_entry(visit).form
        updates = self.engine.run(visit.job(job), *arguments)
        yield from stream_results(visit, updates, form, with_recipe)

    def restore(self, visit: Visit) -> list[Any]:
        """The form that the chosen picture was painted from."""
        return form_values(chosen_entry(visit))


def form_values(entry: HistoryEntry) -> list[Any]:
    """The values of the Compose form that a picture was painted from."""
    form, sampling = entry.form, entry.painted.recipe.request.sampling
    if form is None:
        raise gr.Error(
            t("This picture was not generated in Compose: it has no settings to restore."),
            print_exception=False,
        )
    drawn = form.layout == EDGES_DRAWN
    return form.to_values(
        steps=sampling.steps,
        guidance=sampling.guidance,
        sampler=sampling.sampler,
        edge_map=form.edge_map if drawn else gr.skip(),  # made anew from the picture
    )


def chosen_entry(visit: Visit) -> HistoryEntry:
    """The picture chosen last; gr.Error without any."""
    if not visit.chosen:
        raise gr.Error(t("Select a picture first."), print_exception=False)
    return visit.chosen[-1]
