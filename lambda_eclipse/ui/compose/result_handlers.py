"""What can be done with finished pictures: compare, send on, vary, take apart, restore."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from lambda_eclipse import paper
from lambda_eclipse.ui.compose import jobs
from lambda_eclipse.ui.compose.subject_handlers import at_slot
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.form import EMPTY, values_of
from lambda_eclipse.ui.i18n import t
from lambda_eclipse.ui.saving import as_corner, follow
from lambda_eclipse.ui.text import cost_text, progress_html, reporting
from lambda_eclipse.ui.visit import Kept, Visit
from lambda_eclipse.ui.widgets.edges import DRAWING, OFF, PICTURE
from lambda_eclipse.ui.widgets.pad import CORNER_NAMES
from lambda_eclipse.ui.widgets.results import compared

BLANK = (gr.skip(), progress_html(note=""), gr.skip())


@dataclass(frozen=True)
class ResultsActions:
    """The handlers, over an engine."""

    engine: Engine

    def choose(self, event: gr.SelectData, visit: Visit) -> tuple[str, Any, Any]:
        """Take the clicked picture as the chosen one; the one before is what it is compared to."""
        if event.index >= len(visit.shown):  # it still takes shape
            return gr.skip(), gr.skip(), gr.skip()
        visit.choose(visit.shown[event.index])
        return *self.chosen(visit), gr.Accordion(open=True)

    def chosen(self, visit: Visit) -> tuple[str, Any]:
        """The chosen picture in a sentence, and the two chosen last under the slider."""
        painted = _chosen(visit).painted
        prompt = painted.recipe.request.prompt
        said = escape(
            t(
                "Chosen: {label}, “{prompt}”. A second click on another one compares the two.",
                label=painted.label,
                prompt=prompt,
            )
        )
        return said, compared([kept.path for kept in visit.chosen])

    def costs(self, visit: Visit, number: float) -> tuple[str, str]:
        """The time that so many variations of the chosen picture take, and its parts one by one."""
        if not visit.chosen:
            return "", ""
        request = visit.chosen[-1].painted.recipe.request
        pace, subjects = self.engine.pace, len(request.subjects)
        steps = request.sampling.steps
        apart = (
            cost_text(pace, subjects, steps)
            if subjects
            else t("This picture has no subjects to leave out.")
        )
        return cost_text(pace, int(number), steps), apart

    def to_slot(self, visit: Visit, number: int) -> list[Any]:
        """The chosen picture as a subject: the five values of every slot."""
        values = ["", _chosen(visit).path, *EMPTY[2:]]
        return [value for slot in zip(*[at_slot(number, v) for v in values], strict=True)
                for value in slot]  # fmt: skip

    def to_corner(self, visit: Visit, name: str) -> list[Any]:
        """The chosen picture as a corner of the square: the four corners."""
        path = as_corner(visit, _chosen(visit))
        return [path if name == corner else gr.skip() for corner in CORNER_NAMES]

    def vary(self, visit: Visit, angle: float, count: float, recipe: bool) -> Iterator[tuple]:
        """Pictures from points around that of the chosen one."""
        yield from self._more(
            visit, recipe, lambda kept: (jobs.around, kept.painted, int(count), float(angle))
        )

    def without(self, visit: Visit, recipe: bool) -> Iterator[tuple]:
        """The chosen picture again, without each of its subjects in turn."""

        def job(kept: Kept) -> tuple:
            if not kept.painted.recipe.request.subjects:
                raise ValueError(t("This picture has no subjects to leave out."))
            return jobs.without_each, kept.painted.recipe

        yield from self._more(visit, recipe, job)

    def _more(self, visit: Visit, recipe: bool, job: Callable[[Kept], tuple]) -> Iterator[tuple]:
        def values() -> Iterator[tuple]:
            kept = _chosen(visit)
            what, *given = job(kept)
            updates = self.engine.run(visit.own(what), *given)
            yield from follow(visit, updates, kept.order, recipe)

        yield from reporting(values(), BLANK)

    def restore(self, visit: Visit) -> list[Any]:
        """The form that the chosen picture came from."""
        return form_of(_chosen(visit))


def form_of(kept: Kept) -> list[Any]:
    """Prompt, slots, layout, edge picture, thresholds, map, count, steps, guidance, seed, fixed."""
    order, request = kept.order, kept.painted.recipe.request
    if order is None:
        raise gr.Error(t("This picture did not come from the Compose form."), print_exception=False)
    layout = PICTURE if order.canny else DRAWING if order.edges else OFF
    return [
        order.prompt, *values_of(order.subjects, paper.MAX_SUBJECTS), layout, order.canny,
        order.canny_low, order.canny_high, order.edges or gr.skip(), order.count,
        request.sampling.steps, request.sampling.guidance, order.seed, False,
    ]  # fmt: skip


def _chosen(visit: Visit) -> Kept:
    if not visit.chosen:
        raise gr.Error(t("Click a picture to choose it."), print_exception=False)
    return visit.chosen[-1]
