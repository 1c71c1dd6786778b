"""What the Keep view does: restore from a PNG or from the history, the shelf, deleting it all."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from lambda_eclipse import paper
from lambda_eclipse.ui.compose import jobs
from lambda_eclipse.ui.compose.jobs import Painted, Part
from lambda_eclipse.ui.compose.result_handlers import form_of
from lambda_eclipse.ui.compose.subject_handlers import at_slot, png
from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.form import EMPTY, values_of
from lambda_eclipse.ui.i18n import t
from lambda_eclipse.ui.i18n.core_texts import told
from lambda_eclipse.ui.run import Update
from lambda_eclipse.ui.saving import follow
from lambda_eclipse.ui.text import progress_html, reading, reporting
from lambda_eclipse.ui.visit import Visit
from lambda_eclipse.ui.widgets.edges import DRAWING, OFF
from lambda_eclipse.ui.widgets.examples import SUBJECTS

BLANK = (gr.skip(), progress_html(note=""), gr.skip())
FORM_VALUES = 1 + 5 * paper.MAX_SUBJECTS + 10
SIGN_CELLS = 5  # a subject without a photo is shown by a pattern of so many cells a side
SIGN_PX = 224


def sign(embedding: Any) -> Image.Image:
    """RGBA picture that stands for a subject of which only the embedding is known."""
    numbers = [float(value) for value in embedding[: SIGN_CELLS * (SIGN_CELLS + 1) // 2]]
    colour = tuple(random.Random(str(numbers)).randint(60, 200) for _ in range(3))
    small = Image.new("RGBA", (SIGN_CELLS, SIGN_CELLS))
    half = (SIGN_CELLS + 1) // 2
    for index, number in enumerate(numbers):
        row, column = divmod(index, half)
        if number > 0:
            for x in (column, SIGN_CELLS - 1 - column):
                small.putpixel((x, row), (*colour, 255))
    small.putpixel((half - 1, half - 1), (*colour, 255))  # never all transparent
    return small.resize((SIGN_PX, SIGN_PX), Image.Resampling.NEAREST)


@dataclass(frozen=True)
class KeepActions:
    """The handlers of the view, over an engine. Their docstrings describe the endpoints."""

    engine: Engine

    def restore(self, visit: Visit, file: str | None) -> list[Any]:
        """The form of the picture in a PNG with a recipe, and what is different here."""
        from lambda_eclipse.keep.checksums import checksums_of
        from lambda_eclipse.keep.recipe import read
        from lambda_eclipse.keep.reproduction import check

        if not file:
            return [gr.skip()] * (FORM_VALUES + 1)
        visit.uploads.add(file)
        with reading():
            recipe = read(file)
            models = visit.painter(self.engine.wait()).models
            found = check(recipe, models)
            here = recipe.stack, recipe.weights["clip"]
            same = here == (models.stack.name, checksums_of(models)["clip"])
            form = self._form(visit, recipe, same)
        found = [told(line) for line in found]
        lines = "".join(
            f"<li>{escape(line)}</li>"
            for line in found or [t("Nothing is different here: the picture comes out the same.")]
        )
        if found:  # the page goes on to the form, so it is told there as well
            gr.Warning(f"<ul>{lines}</ul>", title=t("Please note"))
        return [*form, f'<ul class="le-found">{lines}</ul>']

    def _form(self, visit: Visit, recipe: Any, same: bool) -> list[Any]:
        """As `results_actions.form_of`, from a recipe. Its subjects become concept cards.

        Without the `same` CLIP their embeddings mean nothing, so they are left out.
        """
        from lambda_eclipse.keep.card import Card, write_card

        request, parts = recipe.request, []
        for subject in request.subjects if same else ():
            picture = sign(subject.embedding)
            card = Card(
                subject.noun, picture, subject.embedding, recipe.stack, recipe.weights["clip"]
            )
            path = visit.file("subject.card.png", write_card(card))
            mention = 0 if subject.occurrence is None else subject.occurrence + 1
            parts.append(Part(subject.noun, path, None, float(subject.strength), mention))
        edges = request.edges
        drawn = visit.file("edges.png", png(edges)) if edges is not None else None
        return [
            request.prompt, *values_of(parts, paper.MAX_SUBJECTS),
            DRAWING if drawn else OFF, None, int(request.canny_low), int(request.canny_high), drawn,
            min(request.count, 8), request.sampling.steps, request.sampling.guidance,
            request.seed, False,
        ]  # fmt: skip

    def reproduce(self, visit: Visit, file: str | None) -> Iterator[tuple]:
        """Paint the picture of a PNG with a recipe again: the same bits on the same machine.

        Parameters:
            file: A PNG as it was saved, painted here with its recipe.
        """
        from lambda_eclipse.keep.recipe import read

        def values() -> Iterator[tuple]:
            if not file:
                return
            updates = self.engine.run(visit.own(jobs.again), read(file))
            yield from follow(visit, _as_list(updates), None, True)

        yield from reporting(values(), BLANK)

    def history(self, visit: Visit) -> list:
        """Every picture of this visit, the latest first."""
        files = [kept for kept in reversed(visit.history) if Path(kept.path).is_file()]
        return [(kept.path, kept.painted.label) for kept in files]

    def choose(self, event: gr.SelectData, visit: Visit) -> str:
        """The picture of the history that was clicked."""
        files = [kept for kept in reversed(visit.history) if Path(kept.path).is_file()]
        if event.index < len(files):
            visit.choose(files[event.index])
        return self._describe(visit)

    def _describe(self, visit: Visit) -> str:
        if not visit.chosen:
            return escape(t("Click a picture to choose it."))
        painted = visit.chosen[-1].painted
        prompt = painted.recipe.request.prompt
        return escape(t("Chosen: {label}, “{prompt}”.", label=painted.label, prompt=prompt))

    def bring_back(self, visit: Visit) -> list[Any]:
        """The form that the chosen picture of the history came from."""
        if not visit.chosen:
            raise gr.Error(t("Click a picture to choose it."), print_exception=False)
        return form_of(visit.chosen[-1])

    def shelf(self, visit: Visit) -> list:
        """The cards of this visit, then the subjects that are shipped."""
        return [*visit.shelf, *shipped()]

    def shelve(self, visit: Visit, file: str | None) -> list:
        """Put a card from a file onto the shelf."""
        from lambda_eclipse.keep.card import read_card

        if file:
            visit.uploads.add(file)
            with reading():
                visit.shelve(file, read_card(file).noun)
        return self.shelf(visit)

    def take(self, event: gr.SelectData, visit: Visit, number: int) -> list[Any]:
        """The subject on the shelf that was clicked, for a slot: all slots' values, and a note."""
        found = self.shelf(visit)
        if event.index >= len(found):
            return [gr.skip()] * (5 * paper.MAX_SUBJECTS + 1)
        path, noun = found[event.index]
        columns = [at_slot(number, value) for value in (noun, path, *EMPTY[2:])]
        note = escape(t("“{noun}” is now subject {number}.", noun=noun, number=number))
        return [*[value for slot in zip(*columns, strict=True) for value in slot], note]

    def delete(self, visit: Visit) -> None:
        """Delete every file, picture and embedding of this visit, at once."""
        self.engine.forget(visit.delete())


def shipped() -> list[tuple[str, str]]:
    """The subjects that come with the program, and their words."""
    files = sorted(SUBJECTS.glob("*.png"))
    return [(str(path), path.stem.rpartition("-")[0]) for path in files]


def _as_list(updates: Iterator[Update]) -> Iterator[Update]:
    """A job with one picture as its result, as `follow` takes those with several."""
    try:
        for update in updates:
            if update.done and isinstance(update.result, Painted):
                yield replace(update, payload=[update.result], done=False)
            yield update
    finally:
        updates.close()
