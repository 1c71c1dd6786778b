"""Handlers of the subject slots and the subject editor: masks, nouns, concept cards.

The pipeline's modules are imported inside functions: the page must not wait for them.
"""

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from lambda_eclipse import paper
from lambda_eclipse.ui.endpoint import takes_form
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.errors import errors_as_messages
from lambda_eclipse.ui.form import SlotForm, SlotsForm, at_slot
from lambda_eclipse.ui.i18n import mark, t
from lambda_eclipse.ui.jobs import subject_of
from lambda_eclipse.ui.saving import png_bytes
from lambda_eclipse.ui.subjects import jobs
from lambda_eclipse.ui.subjects.brush import mask_of_canvas, with_mask
from lambda_eclipse.ui.visit import Visit

MASK_NOTES: dict[str, str] = {
    "alpha": mark("Mask from transparency"),
    "plain": mark("Mask from plain background"),
    "rembg": mark("Automatic mask"),
    "grabcut": mark("Mask from colors"),
    "painted": mark("Painted mask"),
    "whole": mark("No subject found: using the whole picture"),
}
CARD_NOTE = mark("From a concept card")
CANDIDATE_LABELS = MASK_NOTES | {"whole": mark("Whole picture")}
NO_CHANGE = [gr.skip()] * (paper.MAX_SUBJECTS + 1)


@dataclass(frozen=True)
class SubjectActions:
    """The handlers, over an engine. Their docstrings describe the endpoints."""

    engine: Engine

    def mask(
        self, visit: Visit, picture: str | None, mask: str | None = None
    ) -> tuple[Any, str, Any]:
        """What the model sees of a picture: the subject on white, how it was found, the mask.

        The last one is the picture with everything but the subject dimmed.

        Parameters:
            picture: A photo, a drawing or a concept card.
            mask: A mask of your own: bright, or opaque, where the subject is.
        """
        if not picture:
            return None, "", None
        visit.uploads.update(path for path in (picture, mask) if path)
        slot = SlotForm("subject", picture, mask)
        with errors_as_messages():
            studio = self.engine.wait()
            prepared = jobs.prepare(studio, slot)
            is_card = subject_of(studio, slot).embedding is not None
        note = t(CARD_NOTE if is_card else MASK_NOTES[prepared.method])
        return prepared.picture, escape(note), prepared.overlay

    def noun_of_card(self, picture: str | None, noun: str) -> Any:
        """The noun of a concept card, for a slot without one."""
        from lambda_eclipse.keep.card import read_card
        from lambda_eclipse.keep.png import RecipeError

        if not picture or (noun or "").strip():
            return gr.skip()
        try:
            return read_card(picture).noun
        except RecipeError:
            return gr.skip()

    def open_editor(self, number: int) -> tuple[Any, int, Any]:
        """Open the editor for a subject."""
        return gr.Accordion(open=True), number, gr.Column(visible=True)

    def show_canvas(self) -> gr.Column:
        """Show the canvas when the editor is opened by hand."""
        return gr.Column(visible=True)

    def close_editor(self, visit: Visit) -> gr.Column:
        """Remove the canvas: the browser would go on drawing a hidden one."""
        visit.edited = None
        return gr.Column(visible=False)

    @takes_form
    def candidates(self, visit: Visit, number: int, form: SlotsForm) -> tuple[Any, Any]:
        """Candidate masks of the edited subject, and its current mask on the canvas.

        Nothing changes if they are shown already: a slot's button opens the panel, and both events
        arrive here.
        """
        slot = form.subjects().get(int(number))
        if slot is not None and visit.edited == (number, slot):
            return gr.skip(), gr.skip()
        visit.masks, visit.edited = [], (number, slot)
        if slot is None:
            return [], None
        try:
            return self._candidates(visit, slot)
        except Exception:
            visit.edited = None
            raise

    def _candidates(self, visit: Visit, slot: SlotForm) -> tuple[list, Any]:
        from lambda_eclipse.images import open_picture
        from lambda_eclipse.insight.masks import candidates

        with errors_as_messages():
            picture = open_picture(slot.path)
            prepared = jobs.prepare(self.engine.wait(), slot)
            found = candidates(picture)
        visit.masks, visit.masked_picture = [one.mask for one in found], picture
        # Separate files: Gradio names files by content and would overwrite one, when the editor is
        # filled again, while the browser may still be reading it.
        gallery = [
            (
                visit.file("candidate.png", png_bytes(one.overlay)),
                t(CANDIDATE_LABELS[one.method]),
            )
            for one in found
        ]
        return gallery, with_mask(picture, prepared.mask)

    def choose_candidate(self, event: gr.SelectData, visit: Visit, number: int) -> list[Any]:
        """Use the clicked mask for the edited subject, and show it on the canvas."""
        if event.index >= len(visit.masks) or visit.masked_picture is None:
            return NO_CHANGE
        mask = visit.masks[event.index]
        path = visit.file("mask.png", png_bytes(mask))
        return [*at_slot(number, path), with_mask(visit.masked_picture, mask)]

    @takes_form
    def apply_canvas(
        self, visit: Visit, number: int, canvas: dict[str, Any] | None, form: SlotsForm
    ) -> list[Any]:
        """Use the painted mask for the edited subject."""
        from lambda_eclipse.images import open_picture

        slot = _filled(form, number)
        with errors_as_messages():
            mask = mask_of_canvas(canvas, open_picture(slot.path).size)
        return at_slot(number, visit.file("mask.png", png_bytes(mask)))

    def use_automatic_mask(self, number: int) -> list[Any]:
        """Remove the chosen mask of the edited subject."""
        return at_slot(number, None)

    @takes_form
    def propose_nouns(self, visit: Visit, number: int, form: SlotsForm) -> gr.Radio:
        """Nouns that fit the edited subject, most probable first."""
        slot = form.subjects().get(int(number))
        if slot is None:
            return gr.Radio(choices=[], value=None)
        with errors_as_messages():
            nouns = self.engine.result(jobs.propose_nouns, slot)
        choices = [(f"{noun} · {100 * probability:.0f} %", noun) for noun, probability in nouns]
        return gr.Radio(choices=choices, value=None)

    def choose_noun(self, number: int, noun: str | None, prompt: str) -> list[Any]:
        """Use a noun for the edited subject; a prompt without it gets it."""
        if not noun:
            return NO_CHANGE
        return [*at_slot(number, noun), self._with_noun(prompt or "", noun)]

    def _with_noun(self, prompt: str, noun: str) -> Any:
        if not prompt.strip():
            return f"a {noun}"
        studio = self.engine.studio
        if studio is None or studio.models.clip.tokenizer.occurrences(prompt, noun):
            return gr.skip()
        return f"{prompt.rstrip(' .,')} and a {noun}"

    @takes_form
    def save_card(self, visit: Visit, number: int, form: SlotsForm) -> gr.File:
        """Make the concept card of the edited subject, and add it to the shelf."""
        slot = _filled(form, number)
        with errors_as_messages():
            content = self.engine.result(jobs.concept_card, slot)
        noun = slot.noun or ""
        path = visit.file(f"{file_stem(noun)}.card.png", content)
        visit.shelve(path, noun)
        return gr.File(value=path, visible=True)


def _filled(form: SlotsForm, number: int) -> SlotForm:
    slot = form.subjects().get(int(number))
    if slot is None:
        raise gr.Error(
            t("Subject {number} has no picture: add one first.", number=number),
            print_exception=False,
        )
    return slot


def file_stem(noun: str) -> str:
    """A file name for a noun: letters and digits only."""
    return "-".join("".join(c if c.isalnum() else " " for c in noun).split())[:40] or "subject"
