"""What the jobs of all views share. A job runs in the engine's worker as `job(studio, run, …)`.

The pipeline is imported inside functions: it imports the model libraries, which take longer to
load than the page.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from lambda_eclipse.messages import Text
from lambda_eclipse.request import Subject
from lambda_eclipse.ui.form import SlotForm
from lambda_eclipse.ui.i18n import t
from lambda_eclipse.ui.run import Run

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from lambda_eclipse.decoder import Decoder
    from lambda_eclipse.finetune import Lesson
    from lambda_eclipse.insight.likeness import Likeness
    from lambda_eclipse.keep.recipe import Recipe
    from lambda_eclipse.pipeline import Studio
    from lambda_eclipse.request import Picture, Request


@dataclass(frozen=True, eq=False)
class Painted:
    """A finished picture. likeness: None where unknown. label: short, for its caption."""

    picture: Picture
    recipe: Recipe
    likeness: Likeness | None
    label: str


@dataclass(frozen=True, eq=False)
class StartedLesson:
    """A running lesson, the pictures that it learns from, and `request` painted before it."""

    lesson: Lesson
    request: Request
    examples: Sequence[Image.Image]
    before: Image.Image


@dataclass(frozen=True, eq=False)
class FinetunedDecoder:
    """A visit's own decoder. digest: of its U-Net. after: the lesson's request painted with it."""

    decoder: Decoder
    digest: str
    steps: int
    after: Image.Image | None = None

    def studio(self, studio: Studio) -> Studio:
        """The studio with this decoder, whose recipes name its digest."""
        from lambda_eclipse.pipeline import Studio

        digests = {"decoder": self.digest}
        return Studio(replace(studio.models, decoder=self.decoder, digests=digests))

    def job(self, job: Callable[..., Any]) -> Callable[..., Any]:
        """The same job with this decoder, which can be pickled if the job can."""
        return partial(_with_decoder, self, job)


def _with_decoder(
    finetuned: FinetunedDecoder,
    job: Callable[..., Any],
    studio: Studio,
    run: Run,
    *arguments: Any,
) -> Any:
    return job(finetuned.studio(studio), run, *arguments)


def subject_of(studio: Studio, slot: SlotForm) -> Subject:
    """The subject in a slot; a concept card for this stack brings its embedding."""
    from lambda_eclipse.images import open_picture
    from lambda_eclipse.keep.card import read_card
    from lambda_eclipse.keep.png import NoRecipeError

    noun = slot.noun or ""
    if slot.mask is None:
        try:
            card = read_card(slot.path)
        except NoRecipeError:
            pass
        else:
            subject = card.subject(studio.models)
            return replace(subject, noun=noun, strength=slot.strength, occurrence=slot.occurrence)
    mask = open_picture(slot.mask, Text("mask")) if slot.mask else None
    return Subject(noun, slot.picture, mask, slot.strength, occurrence=slot.occurrence)


def embedded(studio: Studio, run: Run, slot: SlotForm) -> Subject:
    """The subject in a slot with its embedding, which is computed once."""
    return replace(subject_of(studio, slot), embedding=embedding_of(studio, run, slot))


def embedding_of(studio: Studio, run: Run, slot: SlotForm) -> Tensor:
    """(D,) embedding of the subject in a slot, computed once."""

    def compute() -> Tensor:
        return studio.subject_embedding(subject_of(studio, slot))

    return run.cached(("subject", slot.picture, slot.mask), compute)


def with_recipes(
    studio: Studio, request: Request, pictures: Sequence[Picture], start: int = 0
) -> list[Painted]:
    """The pictures of a request from number `start`, with recipes and likeness."""
    from lambda_eclipse.insight.likeness import likeness
    from lambda_eclipse.keep.recipe import Recipe

    recipe = Recipe.from_request(studio, request, start)
    return [
        Painted(
            picture,
            replace(recipe, index=start + i),
            likeness(studio, picture.image, recipe.request),
            t("seed {seed}", seed=picture.seed),
        )
        for i, picture in enumerate(pictures)
    ]
