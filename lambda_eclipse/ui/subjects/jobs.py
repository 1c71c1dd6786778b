"""Jobs on one subject: its cut-out, nouns that fit it, its concept card."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lambda_eclipse.insight import nouns
from lambda_eclipse.ui.form import SlotForm
from lambda_eclipse.ui.i18n import t
from lambda_eclipse.ui.jobs import embedding_of, subject_of
from lambda_eclipse.ui.run import Run

if TYPE_CHECKING:
    from lambda_eclipse.masking import Prepared
    from lambda_eclipse.pipeline import Studio

PROPOSALS = 6


def prepare(studio: Studio, slot: SlotForm) -> Prepared:
    """The subject cut out, as the model sees it. Needs no turn: no network of the stack runs."""
    return studio.prepare(replace(subject_of(studio, slot), embedding=None))


def propose_nouns(studio: Studio, run: Run, slot: SlotForm) -> list[tuple[str, float]]:
    """Nouns that fit a subject, with their probabilities, most probable first.

    The whole picture counts as well, unless a mask was chosen in it.
    """
    from lambda_eclipse.images import flatten, open_picture

    run.begin(t("Suggesting nouns"))
    with studio.models.encoders() as (clip, _):
        embedding = embedding_of(studio, run, slot)
        whole = flatten(open_picture(slot.path)) if slot.mask is None else None
        words = nouns.VOCABULARIES[studio.models.stack.nouns]
        return nouns.propose_nouns(clip, embedding, words, PROPOSALS, whole=whole)


def concept_card(studio: Studio, run: Run, slot: SlotForm) -> bytes:
    """The concept card of a subject, as a PNG file."""
    from lambda_eclipse.keep.card import Card, write_card

    run.begin(t("Encoding the subject"))
    with studio.models.encoders():
        return write_card(Card.from_subject(studio, subject_of(studio, slot)))
