"""What the slots and the workbench do: cut out, choose and mend masks, propose words, make cards.

The pipeline's modules are imported inside, because the page must not wait for them.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr
from PIL import Image

from lambda_eclipse import paper
from lambda_eclipse.ui.compose import jobs
from lambda_eclipse.ui.compose.jobs import Part
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.form import part_of, slots_of
from lambda_eclipse.ui.i18n import mark, t
from lambda_eclipse.ui.text import readable, reading
from lambda_eclipse.ui.visit import Visit
from lambda_eclipse.ui.widgets.brush import painted_mask, under_brush

SLOTS = paper.MAX_SUBJECTS

MASK_NOTES: dict[str, str] = {
    "alpha": mark("Cut out by its transparency"),
    "plain": mark("Cut out from its plain ground"),
    "rembg": mark("Cut out automatically"),
    "grabcut": mark("Cut out by its colours"),
    "painted": mark("Cut out by hand"),
    "whole": mark("No subject found: all of it is used"),
}
CARD_NOTE = mark("Known from its concept card")
CANDIDATE_LABELS = {**MASK_NOTES, "whole": mark("The whole picture")}


def result(updates: Iterator[Any]) -> Any:
    """The result of a job, waited for."""
    return next(update.result for update in updates if update.done)


def at_slot(number: int, value: Any) -> list[Any]:
    """A value for the slot with this number, and nothing for the others."""
    return [value if index == int(number) else gr.skip() for index in range(1, SLOTS + 1)]


def png(image: Image.Image) -> bytes:
    """A picture as PNG."""
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


@dataclass(frozen=True)
class SlotActions:
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
        with reading():
            studio = self.engine.wait()
            found = jobs.see(studio, picture, mask)
            known = jobs.subject(studio, Part("subject", picture, mask)).embedding is not None
        note = t(CARD_NOTE if known else MASK_NOTES[found.method])
        return found.picture, escape(note), found.overlay

    def noun_of_card(self, picture: str | None, noun: str) -> Any:
        """The word of a concept card, where the slot has none."""
        from lambda_eclipse.keep.card import read_card
        from lambda_eclipse.keep.png import RecipeError

        if not picture or (noun or "").strip():
            return gr.skip()
        try:
            return read_card(picture).noun
        except RecipeError:
            return gr.skip()

    def open_bench(self, number: int, *slots: Any) -> tuple[Any, int, Any]:
        """The panel, opened for a subject."""
        return gr.Accordion(open=True), number, gr.Column(visible=True)

    def show_easel(self) -> gr.Column:
        """What the editor stands in, when the panel is opened by hand."""
        return gr.Column(visible=True)

    def close_bench(self, visit: Visit) -> gr.Column:
        """Nothing under the brush: a canvas that nobody sees is drawn all the same."""
        visit.bench = None
        return gr.Column(visible=False)

    def candidates_of(self, visit: Visit, number: int, *slots: Any) -> tuple[Any, Any]:
        """Masks to choose from for the chosen subject, and its present one under the brush.

        What is there already stays: a slot's button opens the panel, which asks for the same again.
        """
        part = self._part(number, slots)
        if part is not None and visit.bench == (number, part):
            return gr.skip(), gr.skip()
        visit.masks, visit.bench = [], (number, part)
        if part is None:
            return [], None
        try:
            return self._candidates(visit, part)
        except Exception:
            visit.bench = None
            raise

    def _candidates(self, visit: Visit, part: Any) -> tuple[list, Any]:
        from lambda_eclipse.images import open_picture
        from lambda_eclipse.masking import candidates

        with reading():
            picture = open_picture(part.picture)
            now = jobs.see(self.engine.wait(), part.picture, part.mask)
            found = candidates(picture)
        visit.masks = [(one.mask, picture) for one in found]
        # Files of their own: those that Gradio names by what they hold are written again, when the
        # same bench is filled again, while the browser may still read them.
        shown = [
            (
                visit.file("candidate.png", png(one.overlay)),
                t(CANDIDATE_LABELS[one.method]),
            )
            for one in found
        ]
        return shown, under_brush(picture, now.mask)

    def take_candidate(self, event: gr.SelectData, visit: Visit, number: int) -> list[Any]:
        """The mask that was clicked, for the chosen subject; it goes under the brush, too."""
        if event.index >= len(visit.masks):
            return [gr.skip()] * (SLOTS + 1)
        mask, picture = visit.masks[event.index]
        return [*at_slot(number, visit.file("mask.png", png(mask))), under_brush(picture, mask)]

    def take_brush(self, visit: Visit, number: int, editor: Any, *slots: Any) -> list[Any]:
        """The painted mask, for the chosen subject."""
        from lambda_eclipse.images import open_picture

        part = self._part(number, slots)
        if part is None:
            raise gr.Error(
                t("Subject {number} has no picture: add one first.", number=number),
                print_exception=False,
            )
        with reading():
            mask = painted_mask(editor, open_picture(part.picture).size)
        return at_slot(number, visit.file("mask.png", png(mask)))

    def automatic(self, number: int) -> list[Any]:
        """The automatic mask again."""
        return at_slot(number, None)

    def words_of(self, visit: Visit, number: int, *slots: Any) -> Any:
        """Words that fit the chosen subject, best first."""
        part = self._part(number, slots)
        if part is None:
            return gr.Radio(choices=[], value=None)
        try:
            found = result(self.engine.run(jobs.nouns, part))
        except Exception as error:
            raise readable(error) from error
        choices = [(f"{word} · {100 * chance:.0f} %", word) for word, chance in found]
        return gr.Radio(choices=choices, value=None)

    def take_word(self, number: int, word: str | None, prompt: str) -> list[Any]:
        """A word for the chosen subject; it goes into the prompt where that lacks it."""
        if not word:
            return [gr.skip()] * (SLOTS + 1)
        return [*at_slot(number, word), self._with_word(prompt or "", word)]

    def _with_word(self, prompt: str, word: str) -> Any:
        if not prompt.strip():
            return f"a {word}"
        studio = self.engine.studio
        if studio is None or studio.models.clip.tokenizer.occurrences(prompt, word):
            return gr.skip()
        return f"{prompt.rstrip(' .,')} and a {word}"

    def card(self, visit: Visit, number: int, *slots: Any) -> Any:
        """The concept card of the chosen subject, to load again later; it goes on the shelf."""
        part = self._part(number, slots)
        if part is None:
            raise gr.Error(
                t("Subject {number} has no picture: add one first.", number=number),
                print_exception=False,
            )
        try:
            content = result(self.engine.run(jobs.card, part))
        except Exception as error:
            raise readable(error) from error
        path = visit.file(f"{file_stem(part.noun)}.card.png", content)
        visit.shelve(path, part.noun)
        return gr.File(value=path, visible=True)

    def _part(self, number: int, slots: tuple[Any, ...]) -> Part | None:
        return part_of(list(slots_of(slots))[int(number) - 1])


def file_stem(noun: str) -> str:
    """A name for a file out of a word: letters and digits only."""
    return "-".join("".join(c if c.isalnum() else " " for c in noun).split())[:40] or "subject"
