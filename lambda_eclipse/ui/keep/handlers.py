"""Handlers of the Keep view: restoring from a PNG or the history, the shelf, deleting."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr
from PIL import Image

from lambda_eclipse import paper
from lambda_eclipse.ui.compose.handlers import MAX_COUNT
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.errors import errors_as_messages, reports
from lambda_eclipse.ui.form import (
    EDGES_DRAWN,
    EDGES_OFF,
    EMPTY_SLOT,
    STACK_DEFAULT,
    ComposeForm,
    SlotForm,
    SlotsForm,
    mention_of,
    slot_values,
)
from lambda_eclipse.ui.i18n import t, translate
from lambda_eclipse.ui.results import jobs
from lambda_eclipse.ui.results.handlers import BLANK, chosen_entry, form_values
from lambda_eclipse.ui.saving import png_bytes, stream_results
from lambda_eclipse.ui.visit import Visit
from lambda_eclipse.ui.widgets.examples import SUBJECTS

if TYPE_CHECKING:
    from torch import Tensor

    from lambda_eclipse.keep.recipe import Recipe

IDENTICON_CELLS = 5
IDENTICON_PX = 224


def identicon(embedding: "Tensor") -> Image.Image:
    """A symmetric RGBA pattern in place of the photo of a subject with a known embedding only."""
    numbers = [float(value) for value in embedding[: IDENTICON_CELLS * (IDENTICON_CELLS + 1) // 2]]
    grey = random.Random(str(numbers)).randint(60, 200)
    rgba = (grey, grey, grey, 255)
    small = Image.new("RGBA", (IDENTICON_CELLS, IDENTICON_CELLS))
    half = (IDENTICON_CELLS + 1) // 2
    for index, number in enumerate(numbers):
        row, column = divmod(index, half)
        if number > 0:
            for x in (column, IDENTICON_CELLS - 1 - column):
                small.putpixel((x, row), rgba)
    small.putpixel((half - 1, half - 1), rgba)  # never fully transparent
    return small.resize((IDENTICON_PX, IDENTICON_PX), Image.Resampling.NEAREST)


@dataclass(frozen=True)
class KeepActions:
    """The handlers of the view, over an engine. Their docstrings describe the endpoints."""

    engine: Engine

    def restore(self, visit: Visit, file: str | None) -> list[Any]:
        """The form of the picture in a PNG with a recipe, and how this machine differs."""
        from lambda_eclipse.keep.recipe import read
        from lambda_eclipse.keep.reproduction import check
        from lambda_eclipse.keep.weight_checksums import checksums_of

        if not file:
            return [gr.skip()] * (len(ComposeForm.names()) + 1)
        visit.uploads.add(file)
        with errors_as_messages():
            recipe = read(file)
            models = visit.studio(self.engine.wait()).models
            differences = [translate(line) for line in check(recipe, models)]
            clip = recipe.stack, recipe.weights["clip"]
            same_clip = clip == (models.stack.name, checksums_of(models)["clip"])
            form = _form_of(visit, recipe, same_clip)
        lines = "".join(
            f"<li>{escape(line)}</li>"
            for line in differences or [t("No differences: the picture is reproduced exactly.")]
        )
        if differences:  # the page switches to the form, where the list is not visible
            gr.Warning(f"<ul>{lines}</ul>", title=t("Note"))
        return [*form.to_values(), f'<ul class="le-found">{lines}</ul>']

    @reports(BLANK)
    def reproduce(self, visit: Visit, file: str | None) -> Iterator[tuple]:
        """Paint the picture of a PNG with a recipe again: the same bits on the same machine.

        Parameters:
            file: A PNG as it was saved, painted here with its recipe.
        """
        from lambda_eclipse.keep.recipe import read

        if file:
            updates = self.engine.run(visit.job(jobs.reproduce), read(file))
            yield from stream_results(visit, updates, None, True)

    def history(self, visit: Visit) -> list[tuple[str, str]]:
        """Every picture of this visit, latest first."""
        return [(entry.path, entry.painted.label) for entry in visit.existing_history]

    def choose(self, event: gr.SelectData, visit: Visit) -> str:
        """Choose the clicked picture of the history; it in words."""
        entries = visit.existing_history
        if event.index < len(entries):
            visit.choose(entries[event.index])
        if not visit.chosen:
            return escape(t("Select a picture first."))
        painted = visit.chosen[-1].painted
        prompt = painted.recipe.request.prompt
        return escape(t("Selected: {label}, “{prompt}”.", label=painted.label, prompt=prompt))

    def restore_chosen(self, visit: Visit) -> list[Any]:
        """The form that the chosen picture of the history was painted from."""
        return form_values(chosen_entry(visit))

    def shelf(self, visit: Visit) -> list[tuple[str, str]]:
        """The concept cards of this visit, then the shipped subjects."""
        return [*visit.shelf, *shipped()]

    def shelve(self, visit: Visit, file: str | None) -> list[tuple[str, str]]:
        """Add a concept card from a file to the shelf."""
        from lambda_eclipse.keep.card import read_card

        if file:
            visit.uploads.add(file)
            with errors_as_messages():
                visit.shelve(file, read_card(file).noun)
        return self.shelf(visit)

    def load(self, event: gr.SelectData, visit: Visit, number: int) -> list[Any]:
        """Load the clicked subject of the shelf into a slot: all slots' values, and a note."""
        shelf = self.shelf(visit)
        if event.index >= len(shelf):
            return [gr.skip()] * (len(SlotsForm.names()) + 1)
        path, noun = shelf[event.index]
        note = escape(t("“{noun}” is now subject {number}.", noun=noun, number=number))
        return [*slot_values(number, replace(EMPTY_SLOT, noun=noun, picture=path)), note]

    def delete(self, visit: Visit) -> None:
        """Delete every file, picture and embedding of this visit, at once."""
        self.engine.forget(visit.delete())


def _form_of(visit: Visit, recipe: "Recipe", same_clip: bool) -> ComposeForm:
    """The form of a recipe; its subjects become concept cards.

    Without the same CLIP their embeddings mean nothing, so they are left out.
    """
    from lambda_eclipse.keep.card import Card, write_card

    request, slots = recipe.request, []
    guidance = request.sampling.guidance
    for subject in request.subjects if same_clip else ():
        embedding = subject.embedding
        assert embedding is not None  # every subject of a recipe has one
        weights = recipe.weights["clip"]
        card = Card(subject.noun, identicon(embedding), embedding, recipe.stack, weights)
        path = visit.file("subject.card.png", write_card(card))
        slots.append(
            SlotForm(
                subject.noun, path, None, float(subject.strength), mention_of(subject.occurrence)
            )
        )
    edges = request.edges
    return ComposeForm(
        request.prompt,
        SlotsForm.filled(slots).slots,
        layout=EDGES_OFF if edges is None else EDGES_DRAWN,
        edges_low=int(request.canny_low),
        edges_high=int(request.canny_high),
        edge_map=None if edges is None else visit.file("edges.png", png_bytes(edges)),
        count=min(request.count, MAX_COUNT),
        steps=request.sampling.steps or STACK_DEFAULT,
        guidance=paper.GUIDANCE if guidance is None else guidance,
        sampler=request.sampling.sampler,
        seed=request.seed,
        randomize=False,
    )


def shipped() -> list[tuple[str, str]]:
    """The subjects that come with the program, and their nouns."""
    files = sorted(SUBJECTS.glob("*.png"))
    return [(str(path), path.stem.rpartition("-")[0]) for path in files]
