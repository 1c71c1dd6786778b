"""Recipes: what a PNG carries so that its picture can be painted again, bit for bit.

A recipe is JSON in a text chunk, and never holds a photo:

- A subject is stored as its embedding, in float32: the prior's only input from it.
- Edges are stored as the edge map, one bit per pixel. Unlike an embedding, a map can be shown on
  the page, and encoded by any stack.
- The size of a batch and the position in it change a picture's last bits (see `decoder`). So the
  recipe stores the picture's index in its request, and the same batch is painted again.

Files are untrusted: check everything, raise RecipeError for anything wrong.

Letters: D embedding width, P side of a picture in px.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image
from torch import Tensor

from lambda_eclipse.keep.png import (
    MAX_SIDE_PX,
    RecipeError,
    add_text,
    content_of,
    field,
    floats,
    floats_text,
    png_bytes,
    reading,
    string,
    text_in,
)
from lambda_eclipse.keep.provenance import provenance
from lambda_eclipse.keep.request_json import request_content, request_of
from lambda_eclipse.mark.marking import PNG, metadata, signed, watermarked
from lambda_eclipse.messages import Text
from lambda_eclipse.pipeline import Studio
from lambda_eclipse.request import MAX_CANNY, Picture, Request, Sampling, Subject
from lambda_eclipse.stacks import PARTS, Stack

KEYWORD = "lambda-eclipse"
RECIPE = Text("recipe")
MAX_BATCH = 1024


@dataclass(frozen=True, eq=False)
class Recipe:
    """How one picture was painted.

    request: the whole request. Each subject has its embedding and no picture; steps and guidance
        are numbers; `canny` is None, what it became is in `edges`.
    index: which of the request's pictures, 0..count − 1. batch_size: painted in one go at most.
    stack: its name. weights: SHA-256 of "clip", "prior" and "decoder", as by `checksums_of`.
    versions: of the packages that compute. device: "cpu", "cuda" or "mps". size_px: P.
    embedding: (D,) float32, of a picture painted from this very point, of a square say, instead of
        from what the prior makes of the request. The seed is the decoder's then, the count 1, and
        the prompt is just a note.
    """

    request: Request
    index: int
    batch_size: int
    stack: str
    weights: Mapping[str, str]
    versions: Mapping[str, str]
    device: str
    size_px: int
    embedding: Tensor | None = None

    @classmethod
    def from_request(cls, studio: Studio, request: Request, index: int = 0) -> Recipe:
        """The recipe of picture `index` (0..count − 1) of what `studio` paints for `request`.

        Subjects without an embedding are encoded here. `dataclasses.replace` turns the recipe of
        one picture into that of the next. Raises RecipeError for an index out of range,
        RequestError and PictureError for the request.
        """
        request.check()
        subjects = tuple(
            Subject(
                one.noun,
                strength=float(one.strength),
                embedding=studio.subject_embedding(one),
                occurrence=one.occurrence,
            )
            for one in request.subjects
        )
        explicit, edges = _explicit(request, studio.models.stack), studio.edges(request)
        kept = replace(explicit, subjects=subjects, canny=None, edges=edges)
        return _checked(cls(kept, index, **provenance(studio.models)))

    @classmethod
    def from_point(
        cls,
        studio: Studio,
        picture: Picture,
        sampling: Sampling = Sampling(),
        *,
        prompt: str = "",
    ) -> Recipe:
        """The recipe of a picture that `Studio.at` painted.

        A picture of `Studio.grid`, painted in a batch, is reproduced up to rounding only.
        sampling: of the painting. prompt: a note. Raises RequestError for values out of range.
        """
        request = Request(prompt, seed=picture.seed, sampling=sampling)
        kept = _explicit(request, studio.models.stack)
        embedding = picture.embedding.detach().float().cpu()
        return _checked(cls(kept, 0, embedding=embedding, **provenance(studio.models)))

    def to_json(self) -> str:
        """The recipe as ASCII JSON; floats come back bit for bit."""
        content = {
            **request_content(self.request),
            "versions": dict(self.versions),
            "stack": self.stack,
            "weights": dict(self.weights),
            "device": self.device,
            "index": self.index,
            "batch_size": self.batch_size,
            "size_px": self.size_px,
            "embedding": None if self.embedding is None else floats_text(self.embedding),
        }
        return json.dumps(content, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Read `to_json` back. Raises RecipeError for damaged, absurd and newer recipes."""
        with reading(RECIPE):
            content = content_of(text, RECIPE)
            embedding = content.get("embedding")
            weights, versions = (field(content, name, dict) for name in ("weights", "versions"))
            recipe = cls(
                request_of(content),
                field(content, "index", int),
                field(content, "batch_size", int),
                stack=string(content, "stack"),
                weights={part: string(weights, part) for part in PARTS},
                versions={name: string(versions, name) for name in versions},
                device=string(content, "device"),
                size_px=field(content, "size_px", int),
                embedding=None if embedding is None else floats(string(content, "embedding")),
            )
            return _checked(recipe)


def write(image: Image.Image, recipe: Recipe | None, *, painted: bool = True) -> bytes:
    """A picture as a PNG file: with the mark, and with its recipe unless None.

    painted: just now; False for the pixels of a file of ours, which have the watermark already.
    Raises RecipeError when the recipe is larger than readers accept (a prompt of a million
    letters).
    """
    info = metadata()
    if recipe is not None:
        add_text(info, KEYWORD, recipe.to_json())
    pixels = watermarked(image) if painted else image
    return signed(png_bytes(pixels, pnginfo=info), PNG)


def read(source: str | Path | bytes) -> Recipe:
    """The recipe in a PNG: a path, or the bytes of a file. The pixels are not looked at.

    Raises NoRecipeError where there is none, and RecipeError for a file that is missing, and for
    recipes that are damaged, absurd, or of a newer format.
    """
    return Recipe.from_json(text_in(source, KEYWORD, RECIPE))


def _explicit(request: Request, stack: Stack) -> Request:
    """The request with the stack's defaults, and plain numbers that JSON can hold."""
    steps, guidance = request.sampling.values(stack.steps, stack.guidance)
    return replace(
        request,
        seed=int(request.seed),
        count=int(request.count),
        sampling=replace(request.sampling, steps=steps, guidance=guidance),
        canny_low=float(request.canny_low),
        canny_high=float(request.canny_high),
    )


def _checked(recipe: Recipe) -> Recipe:
    """The recipe, if all its numbers are in range; RequestError or RecipeError otherwise."""
    request = recipe.request
    (request if recipe.embedding is None else replace(request, prompt="a point")).check()
    for what, value, low, high in (
        (Text("index"), recipe.index, 0, request.count - 1),
        (Text("batch size"), recipe.batch_size, 1, MAX_BATCH),
        (Text("size in px"), recipe.size_px, 1, MAX_SIDE_PX),
        (Text("high Canny threshold"), request.canny_high, 0, MAX_CANNY),
        (Text("low Canny threshold"), request.canny_low, 0, request.canny_high),
    ):
        if not low <= value <= high:
            raise RecipeError(
                "The {what} is {value}: it must be between {low} and {high}.",
                what=what,
                value=value,
                low=low,
                high=high,
            )
    return recipe
