"""Handlers of the Compose form: painting, warnings while typing, cost and risk beforehand."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from lambda_eclipse import paper
from lambda_eclipse.ui.compose import jobs
from lambda_eclipse.ui.endpoint import takes_form
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.errors import reports
from lambda_eclipse.ui.explore_form import CORNER_NAMES
from lambda_eclipse.ui.form import (
    EDGES_FROM_PICTURE,
    EDGES_OFF,
    STACK_DEFAULT,
    ComposeForm,
    SlotForm,
    SlotsForm,
)
from lambda_eclipse.ui.html import cost_text, meter_html, progress_html
from lambda_eclipse.ui.i18n import mark, t
from lambda_eclipse.ui.run import Update
from lambda_eclipse.ui.saving import save_corner, stream_results
from lambda_eclipse.ui.visit import Visit
from lambda_eclipse.ui.widgets.examples import COMPOSE, SUBJECTS
from lambda_eclipse.ui.widgets.token_strip import read, strip_html

BLANK = (gr.skip(), gr.skip(), progress_html(), gr.skip())
NO_CORNERS = [gr.skip()] * len(CORNER_NAMES)
BEST_STEPS, BEST_COUNT = 2, 4  # steps as a multiple of the stack's default
MAX_COUNT = 8
RISK_LEVELS: dict[str, str] = {"low": mark("low"), "some": mark("medium"), "high": mark("high")}


@dataclass(frozen=True)
class ComposeActions:
    """The handlers of the view, over an engine. Their docstrings describe the endpoints."""

    engine: Engine

    @takes_form
    @reports(BLANK)
    def generate(
        self, visit: Visit, form: ComposeForm, with_recipe: bool = True
    ) -> Iterator[tuple]:
        """Paint pictures of your subjects in the scene that the prompt describes.

        Up to four subjects, each with a picture and a noun. The last values are the finished
        pictures, the seed of the first of them, a line of text, and how like the subjects they
        are; the others have the seeds that follow.

        Parameters:
            with_recipe: Write into each PNG what paints it again, which holds no photo.
        """
        form = form.checked()
        visit.uploads.update(form.files)
        updates = self.engine.run(visit.job(jobs.paint), form)
        yield gr.skip(), form.seed, progress_html(Update(t("Starting"))), ""
        for gallery, progress, likeness in stream_results(visit, updates, form, with_recipe):
            # Clients get the last values, which include the seed.
            yield gallery, form.seed, progress, likeness

    @takes_form
    @reports((*NO_CORNERS, progress_html()))
    def corner(
        self, visit: Visit, name: str, with_recipe: bool, form: ComposeForm
    ) -> Iterator[tuple]:
        """The form as a corner of the square, painted in few steps: the corners, and progress."""
        stack = self.engine.wait().models.stack
        by_stack = form.steps == STACK_DEFAULT
        guidance = stack.guidance if by_stack else form.guidance
        form = replace(form.checked(), count=1, steps=stack.draft_steps, guidance=guidance)
        visit.uploads.update(form.files)
        updates = self.engine.run(visit.job(jobs.paint), form)
        for _, progress, _ in stream_results(visit, updates, form, with_recipe):
            yield (*NO_CORNERS, progress)
        path = save_corner(visit, visit.gallery[-1])
        yield (*[path if name == corner else gr.skip() for corner in CORNER_NAMES], gr.skip())

    @takes_form
    def read_prompt(self, prompt: str, form: SlotsForm) -> str:
        """The token strip under the prompt, with warnings; empty while loading."""
        if self.engine.studio is None or not (prompt or "").strip():
            return ""
        subjects = {number: slot for number, slot in form.subjects().items() if slot.noun}
        chips, warnings = read(
            self.engine.studio.models.clip.tokenizer,
            prompt,
            [slot.noun or "" for slot in subjects.values()],
            [int(slot.mention) for slot in subjects.values()],
            [number - 1 for number in subjects],
        )
        return strip_html(chips, warnings)

    def bind(self, event: gr.EventData) -> list[Any]:
        """Bind a subject to the clicked mention of its noun: the mentions of all slots."""
        mentions: list[Any] = [gr.skip()] * paper.MAX_SUBJECTS
        if 0 <= int(event.subject) < len(mentions):
            mentions[int(event.subject)] = int(event.mention)
        return mentions

    @takes_form
    def risk(self, form: SlotsForm) -> str:
        """The risk that the subjects blend into one, before painting."""
        slots = [slot for slot in form.subjects().values() if slot.noun]
        if len(slots) < 2 or self.engine.studio is None:
            return ""
        try:
            blends = self.engine.result(jobs.blend_risk, slots)
        except ValueError:
            return ""  # the slot itself shows what is wrong with it
        rows = [
            (
                f"{slots[blend.first].noun} + {slots[blend.second].noun}",
                max(blend.cosine, 0.0),
                t(RISK_LEVELS[blend.level]),
            )
            for blend in blends
        ]
        return meter_html(
            rows, t("Risk of subject blending"), [f"risk-{blend.level}" for blend in blends]
        )

    def cost(self, count: float, steps: float) -> str:
        """The estimated time of painting, from the pace of this machine."""
        return cost_text(self.engine.pace, int(count), self.engine.steps(int(steps)))

    def draft(self) -> list[Any]:
        """Steps, guidance and count of the draft preset."""
        stack = self.engine.wait().models.stack
        return [stack.draft_steps, stack.guidance, 1]

    def best(self) -> list[Any]:
        """Steps, guidance and count of the preset for the best quality."""
        stack = self.engine.wait().models.stack
        return [BEST_STEPS * stack.steps, stack.guidance, BEST_COUNT]

    def fill(self, event: gr.EventData) -> list[Any]:
        """The form of an example: prompt, slots, layout, its picture, panel, seed, randomize."""
        example = [example for example in COMPOSE if example.complete()][event.index]
        subjects = [SlotForm(noun, str(SUBJECTS / name)) for noun, name in example.subjects]
        edges_from = str(SUBJECTS / example.canny) if example.canny else None
        return [
            example.prompt,
            *SlotsForm.filled(subjects).to_values(),
            EDGES_FROM_PICTURE if edges_from else EDGES_OFF,
            edges_from,
            gr.Accordion(open=edges_from is not None),
            example.seed,
            False,
        ]
