"""What the Compose view does: paint, warn while typing, tell the cost and the risk beforehand."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from lambda_eclipse import paper
from lambda_eclipse.request import CANNY_HIGH, CANNY_LOW
from lambda_eclipse.ui.compose import jobs
from lambda_eclipse.ui.compose.jobs import Order, Part
from lambda_eclipse.ui.compose.subject_handlers import result
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.form import (
    STACKS_OWN,
    part_of,
    read_sampling,
    read_seed,
    read_subjects,
    slots_of,
    values_of,
)
from lambda_eclipse.ui.i18n import mark, t
from lambda_eclipse.ui.run import Update
from lambda_eclipse.ui.saving import as_corner, follow
from lambda_eclipse.ui.text import cost_text, meter_html, progress_html, reporting
from lambda_eclipse.ui.visit import Visit
from lambda_eclipse.ui.widgets.edges import DRAWING, OFF, PICTURE
from lambda_eclipse.ui.widgets.examples import COMPOSE, SUBJECTS
from lambda_eclipse.ui.widgets.pad import CORNER_NAMES
from lambda_eclipse.ui.widgets.strip import read, strip_html

BLANK = (gr.skip(), gr.skip(), progress_html(note=""), gr.skip())
BEST_STEPS, BEST_COUNT = 2, 4  # steps as a multiple of the stack's own
MAX_COUNT = 8

BLEND_LABELS: dict[str, str] = {
    "low": mark("low"),
    "some": mark("some"),
    "high": mark("high"),
}


@dataclass(frozen=True)
class ComposeActions:
    """The handlers of the view, over an engine. Their docstrings describe the endpoints."""

    engine: Engine

    def generate(
        self,
        visit: Visit,
        prompt: str,
        noun_1: str | None = None, picture_1: str | None = None, mask_1: str | None = None,
        strength_1: float = 1, mention_1: float = 0,
        noun_2: str | None = None, picture_2: str | None = None, mask_2: str | None = None,
        strength_2: float = 1, mention_2: float = 0,
        noun_3: str | None = None, picture_3: str | None = None, mask_3: str | None = None,
        strength_3: float = 1, mention_3: float = 0,
        noun_4: str | None = None, picture_4: str | None = None, mask_4: str | None = None,
        strength_4: float = 1, mention_4: float = 0,
        layout: str = OFF, edges_from: str | None = None, edges_low: float = CANNY_LOW,
        edges_high: float = CANNY_HIGH, edge_map: str | None = None,
        count: float = 2, steps: float = STACKS_OWN, guidance: float = paper.GUIDANCE,
        seed: float = 0, randomize: bool = True, with_recipe: bool = True,
    ) -> Iterator[tuple]:  # fmt: skip
        """Paint pictures of your subjects in the scene that the prompt describes.

        Up to four subjects, each with a picture and a noun. The last values are the finished
        pictures, the seed of the first of them, a line of text, and how like the subjects they
        are; the others have the seeds that follow.

        Parameters:
            prompt: The scene in a short English sentence, such as "a cat wearing a hat".
            noun_1: The word of the prompt that subject 1 is, such as "cat"; so for the others.
            picture_1: A photo, a drawing or a concept card of subject 1; so for the others.
            mask_1: A picture that is bright where the subject is; without one it is found.
            strength_1: From 0 to 1.5, how far the noun becomes the subject.
            mention_1: Which mention of the noun in the prompt it is, from 1; 0 for the first.
            layout: "off", "picture" for the edges of edges_from, "drawing" for edge_map as it is.
            edges_from: A picture whose edges fix the layout.
            edges_low: The lower Canny threshold, from 0 to 500.
            edges_high: The upper Canny threshold, from 0 to 500.
            edge_map: Edges as they are, white on black.
            count: How many pictures, from 1 to 8.
            steps: Denoising steps, from 1 to 100; more take longer. 0: as many as are best for
                the stack, with its own guidance.
            guidance: How closely to follow the embedding, from 0 to 20.
            seed: Of the first picture, a whole number; equal seeds give equal pictures.
            randomize: Draw a new seed instead.
            with_recipe: Write into each PNG what paints it again, which holds no photo.
        """

        form = [
            prompt,
            noun_1, picture_1, mask_1, strength_1, mention_1,
            noun_2, picture_2, mask_2, strength_2, mention_2,
            noun_3, picture_3, mask_3, strength_3, mention_3,
            noun_4, picture_4, mask_4, strength_4, mention_4,
            layout, edges_from, edges_low, edges_high, edge_map,
            count, steps, guidance, seed, randomize,
        ]  # fmt: skip
        yield from reporting(self._paint(visit, form, bool(with_recipe)), BLANK)

    def _paint(self, visit: Visit, form: Sequence[Any], with_recipe: bool) -> Iterator[tuple]:
        order = read_order(form)
        visit.note_uploads(order)
        updates = self.engine.run(visit.own(jobs.paint), order)
        yield gr.skip(), order.seed, progress_html(Update(t("Starting"))), ""
        for gallery, progress, bars in follow(visit, updates, order, with_recipe):
            # Clients get what is yielded last, so it has the seed once more.
            yield gallery, order.seed, progress, bars

    def corner(self, visit: Visit, name: str, with_recipe: bool, *form: Any) -> Iterator[tuple]:
        """The form as a corner of the square, painted in few steps: the corners, and progress."""

        def values() -> Iterator[tuple]:
            steps, _, _ = self.draft()
            order = replace(read_order(form), count=1, steps=steps)
            visit.note_uploads(order)
            nothing = [gr.skip()] * len(CORNER_NAMES)
            updates = self.engine.run(visit.own(jobs.paint), order)
            for _, progress, _ in follow(visit, updates, order, bool(with_recipe)):
                yield (*nothing, progress)
            path = as_corner(visit, visit.shown[-1])
            yield (*[path if name == one else gr.skip() for one in CORNER_NAMES], gr.skip())

        blank = (*[gr.skip()] * len(CORNER_NAMES), progress_html(note=""))
        yield from reporting(values(), blank)

    def read_prompt(self, prompt: str, *slots: Any) -> str:
        """The token strip under the prompt, with what is wrong; empty while loading."""
        if self.engine.studio is None or not (prompt or "").strip():
            return ""
        named = {index: part for index, part in enumerate(_parts(slots)) if part and part.noun}
        chips, warnings = read(
            self.engine.studio.models.clip.tokenizer, prompt,
            [part.noun for part in named.values()], [part.mention for part in named.values()],
            list(named),
        )  # fmt: skip
        return strip_html(chips, warnings)

    def bind(self, event: gr.EventData) -> list[Any]:
        """The mention of its noun that a subject was bound to by a click, for its slot."""
        wanted = [gr.skip()] * paper.MAX_SUBJECTS
        if 0 <= int(event.subject) < len(wanted):
            wanted[int(event.subject)] = int(event.mention)
        return wanted

    def risk(self, *slots: Any) -> str:
        """How likely the subjects are to melt into one, before anything is painted."""
        parts = [part for part in _parts(slots) if part and part.noun]
        if len(parts) < 2 or self.engine.studio is None:
            return ""
        try:
            found = result(self.engine.run(jobs.blends, parts))
        except ValueError:
            return ""  # the slot itself says what is wrong with it
        rows = [
            (
                f"{parts[one.first].noun} + {parts[one.second].noun}",
                max(one.cosine, 0.0),
                t(BLEND_LABELS[one.level]),
            )
            for one in found
        ]
        return meter_html(
            rows, t("Risk that subjects melt into one"), [f"risk-{one.level}" for one in found]
        )

    def cost(self, count: float, steps: float) -> str:
        """The time that a click would take, from the steps measured so far on this machine."""
        return cost_text(self.engine.pace, int(count), self.engine.steps(int(steps)))

    def draft(self) -> list[Any]:
        """Steps, guidance and count for a quick look."""
        stack = self.engine.wait().models.stack
        return [stack.draft_steps, stack.guidance, 1]

    def best(self) -> list[Any]:
        """Steps, guidance and count for the last word."""
        stack = self.engine.wait().models.stack
        return [BEST_STEPS * stack.steps, stack.guidance, BEST_COUNT]

    def fill(self, event: gr.EventData) -> list:
        """The form of an example: prompt, slots, layout, its picture, panel, seed, randomize."""
        example = [example for example in COMPOSE if example.complete()][event.index]
        parts = [Part(noun, str(SUBJECTS / name)) for noun, name in example.subjects]
        canny = str(SUBJECTS / example.canny) if example.canny else None
        panel = gr.Accordion(open=canny is not None)
        slots = values_of(parts, paper.MAX_SUBJECTS)
        layout = PICTURE if canny else OFF
        return [example.prompt, *slots, layout, canny, panel, example.seed, False]


def read_order(form: Sequence[Any]) -> Order:
    """Check the form, given as in `generate`; ValueError and gr.Error say what is missing."""
    prompt, *slots = form[:-10]
    layout, edges_from, low, high, edge_map, count, steps, guidance, seed, randomize = form[-10:]
    if not (prompt or "").strip():
        raise ValueError(t("The prompt is empty: describe the picture in a few words."))
    return Order(
        prompt=prompt.strip(),
        subjects=read_subjects(slots),
        canny=edges_from if layout == PICTURE else None,
        canny_low=int(low),
        canny_high=int(high),
        edges=edge_map if layout == DRAWING else None,
        seed=read_seed(seed, randomize),
        count=int(count),
        **read_sampling(steps, guidance),
    )


def _parts(slots: tuple[Any, ...]) -> list[Part | None]:
    return [part_of(slot) for slot in slots_of(slots)]
