"""Painting pictures again from their recipes, and differences to expect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lambda_eclipse.images import flatten, open_picture
from lambda_eclipse.keep.card import read_card
from lambda_eclipse.keep.png import NoRecipeError, RecipeError, short
from lambda_eclipse.keep.provenance import provenance
from lambda_eclipse.keep.recipe import Recipe, read
from lambda_eclipse.keep.weight_checksums import checksums_of
from lambda_eclipse.messages import Text
from lambda_eclipse.models import Models
from lambda_eclipse.pipeline import Studio
from lambda_eclipse.request import Picture

if TYPE_CHECKING:
    from lambda_eclipse.decoder import OnStep


def check(recipe: Recipe, models: Models) -> list[Text]:
    """Differences between these models and those that painted the picture, a sentence each.

    Without any, `reproduce` gives the same bits on the same machine.
    """
    stack = models.stack
    if recipe.stack != stack.name:
        return [
            Text(
                "It was painted by the stack “{other}”, and this is “{stack}”.",
                other=short(recipe.stack),
                stack=stack.name,
            )
        ]
    here = provenance(models)
    differences = [
        Text("The weights of the {part} are others than those it was painted with.", part=part)
        for part, checksum in here["weights"].items()
        if recipe.weights[part] != checksum
    ]
    for name, version in here["versions"].items():
        if (other := recipe.versions.get(name)) != version:
            differences.append(
                Text(
                    "It was painted with {name} {other}, and this is {version}.",
                    name=name,
                    other=short(other),
                    version=version,
                )
            )
    if recipe.device != here["device"]:
        differences.append(
            Text(
                "It was painted on “{other}”, and this is “{device}”.",
                other=short(recipe.device),
                device=here["device"],
            )
        )
    if recipe.size_px != here["size_px"]:
        differences.append(
            Text(
                "It has {other} px a side; here they have {size}.",
                other=recipe.size_px,
                size=here["size_px"],
            )
        )
    if recipe.batch_size != here["batch_size"] and recipe.request.count > 1:
        differences.append(
            Text(
                "Up to {other} pictures were painted in one go, here up to {size} are.",
                other=recipe.batch_size,
                size=here["batch_size"],
            )
        )
    return differences


def reproduce(studio: Studio, recipe: Recipe, on_step: OnStep | None = None) -> Picture:
    """Paint a recipe's picture again: the same bits where `check` finds no difference.

    `on_step` as in `Studio.generate`. Raises RecipeError for embeddings of another width than
    the studio's stack has, and what `Studio.generate` raises.
    """
    request, width = recipe.request, studio.models.clip.embed_dim
    for embedding in (recipe.embedding, *(subject.embedding for subject in request.subjects)):
        if embedding is not None and len(embedding) != width:
            raise RecipeError(
                "The recipe has embeddings of {count} numbers, and those of the {stack} stack have "
                "{width}: open the stack it was painted by.",
                count=len(embedding),
                stack=studio.models.stack.name,
                width=width,
            )
    if recipe.embedding is not None:
        how = ([request.seed], request.sampling, on_step)
        [picture] = studio.paint(recipe.embedding[None], *how)
        return picture
    start = recipe.index // recipe.batch_size * recipe.batch_size
    batch = replace(
        request,
        seed=request.seeds[start],
        count=min(recipe.batch_size, request.count - start),
    )
    return studio.generate(batch, on_step)[recipe.index - start]


def point_of(studio: Studio, source: str | Path | bytes) -> Tensor:
    """(D,) embedding of a picture file, on the CPU.

    From the recipe or card in a PNG, if it is of these weights; else CLIP's of the whole picture.
    Raises RecipeError for damaged files and PictureError.
    """
    here = checksums_of(studio.models)
    try:
        recipe = read(source)
    except NoRecipeError:
        pass
    else:
        if (recipe.stack, dict(recipe.weights)) == (studio.models.stack.name, here):
            if recipe.embedding is not None:
                return recipe.embedding
            request = recipe.request
            return studio.embed(replace(request, seed=request.seeds[recipe.index], count=1))[0]
    try:
        card = read_card(source)
    except NoRecipeError:
        pass
    else:
        if card.fits(studio.models.stack.name, here["clip"]):
            return card.embedding
    picture = flatten(open_picture(source, Text("corner")))
    with torch.no_grad(), studio.models.encoders() as (clip, _):
        return clip.image([picture])[0].float().cpu()


def corners_of(studio: Studio, sources: Sequence[str | Path | bytes]) -> Tensor:
    """(4, D) corners of a square between four picture files; see `point_of` and `Studio.square`."""
    if len(sources) != 4:
        raise RecipeError("A square has four corners, not {count}.", count=len(sources))
    return torch.stack([point_of(studio, source) for source in sources])
