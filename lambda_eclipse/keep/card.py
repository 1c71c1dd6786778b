"""Concept cards: a subject as a PNG of its cut-out, with its embedding.

Letters: D embedding width, P side of a picture in px.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, PngImagePlugin
from torch import Tensor

from lambda_eclipse.images import open_picture
from lambda_eclipse.keep.png import (
    FIRST_FORMAT,
    add_text,
    content_of,
    floats,
    floats_text,
    png_bytes,
    reading,
    string,
    text_in,
)
from lambda_eclipse.keep.weight_checksums import checksums_of
from lambda_eclipse.messages import Text
from lambda_eclipse.models import Models
from lambda_eclipse.pipeline import Studio
from lambda_eclipse.request import Subject

CARD_KEYWORD = "lambda-eclipse-card"
CARD = Text("card")


@dataclass(frozen=True, eq=False)
class Card:
    """A subject: its noun, its cut-out picture and its embedding.

    noun: may be empty, to fill in after loading.
    picture: RGBA cut-out, P × P, P being CLIP's. embedding: (D,) float32, of the CLIP model with
    the checksum `clip` in the stack of that name.
    """

    noun: str
    picture: Image.Image
    embedding: Tensor
    stack: str
    clip: str

    @classmethod
    def from_subject(cls, studio: Studio, subject: Subject) -> Card:
        """Cut out and encode a subject with a picture. Errors as in `Studio.prepare`."""
        cutout = studio.prepare(subject).cutout
        stack = studio.models.stack
        embedding = studio.subject_embedding(subject)
        return cls(subject.noun, cutout, embedding, stack.name, checksums_of(studio.models)["clip"])

    def fits(self, stack: str, clip: str) -> bool:
        """Whether the embedding is of the stack of that name and of this CLIP."""
        return (self.stack, self.clip) == (stack, clip)

    def subject(self, models: Models) -> Subject:
        """The subject for a request: with the embedding if it fits, else with the picture alone."""
        fits = self.fits(models.stack.name, checksums_of(models)["clip"])
        return Subject(self.noun, self.picture, embedding=self.embedding if fits else None)


def write_card(card: Card) -> bytes:
    """A card as a PNG of its subject; not marked as generated, as it comes from a photo."""
    content = {
        "format": FIRST_FORMAT,
        "noun": card.noun,
        "stack": card.stack,
        "clip": card.clip,
        "embedding": floats_text(card.embedding),
    }
    info = PngImagePlugin.PngInfo()
    add_text(info, CARD_KEYWORD, json.dumps(content))
    return png_bytes(card.picture.convert("RGBA"), pnginfo=info)


def read_card(source: str | Path | bytes) -> Card:
    """The card in a PNG: a path, or the bytes of a file; one of another stack as well.

    Raises NoRecipeError without a card, RecipeError for a file that is missing, damaged or of a
    newer format, and PictureError for a damaged picture.
    """
    text = text_in(source, CARD_KEYWORD, CARD)
    with reading(CARD):
        content = content_of(text, CARD)
        noun, stack, clip = (string(content, name) for name in ("noun", "stack", "clip"))
        embedding = floats(string(content, "embedding"))
    return Card(noun, open_picture(source, CARD).convert("RGBA"), embedding, stack, clip)
