"""Painting pictures again from their recipes, and what may come out different here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lambda_eclipse.images import flatten, open_picture
from lambda_eclipse.keep.card import read_card
from lambda_eclipse.keep.checksums import checksums_of
from lambda_eclipse.keep.png import NoRecipeError, RecipeError, short
from lambda_eclipse.keep.recipe import Recipe, circumstances, read
from lambda_eclipse.pipeline import Studio
from lambda_eclipse.request import Picture
from lambda_eclipse.stacks import Models

if TYPE_CHECKING:
    from lambda_eclipse.decoder import OnStep


def check(recipe: Recipe, models: Models) -> list[str]:
    """What is different here from where the picture was painted, a sentence each.

    Without any, `reproduce` gives the same bits, given the same machine.
    """
    stack = models.stack
    if recipe.stack != stack.name:
        other = short(recipe.stack)
        return [f"It was painted by the stack “{other}”, and this is “{stack.name}”."]
    here = circumstances(models)
    found = [
        f"The weights of the {part} are others than those it was painted with."
        for part, checksum in here["weights"].items()
        if recipe.weights[part] != checksum
    ]
    found += [
        f"It was painted with {name} {short(recipe.versions.get(name))}, and this is {version}."
        for name, version in here["versions"].items()
        if recipe.versions.get(name) != version
    ]
    if recipe.device != here["device"]:
        other = short(recipe.device)
        found.append(f"It was painted on “{other}”, and this is “{here['device']}”.")
    if recipe.size_px != here["size_px"]:
        found.append(f"It has {recipe.size_px} px a side; here they have {here['size_px']}.")
    if recipe.batch_size != here["batch_size"] and recipe.request.count > 1:
        found.append(
            f"Up to {recipe.batch_size} pictures were painted in one go, "
            f"here up to {here['batch_size']} are."
        )
    return found


def reproduce(studio: Studio, recipe: Recipe, on_step: OnStep | None = None) -> Picture:
    """Paint a recipe's picture again: the same bits where `check` finds no difference.

    `on_step` as in `Studio.generate`. Raises RecipeError for embeddings of another width than
    the studio's stack has, and what `Studio.generate` raises.
    """
    request, width = recipe.request, studio.models.clip.embed_dim
    for embedding in (recipe.embedding, *(subject.embedding for subject in request.subjects)):
        if embedding is not None and len(embedding) != width:
            raise RecipeError(
                f"The recipe has embeddings of {len(embedding)} numbers, and those of the "
                f"{studio.models.stack.name} stack have {width}: open the stack it was painted by."
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
    """(D,) embedding of a picture file, on the CPU: what it was painted from, if that is known.

    A PNG with a recipe or a card of these weights tells it exactly; of any other picture it is
    what CLIP sees in all of it. Raises RecipeError for damaged ones and PictureError.
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
    picture = flatten(open_picture(source, "corner"))
    with torch.no_grad(), studio.models.encoders() as (clip, _):
        return clip.image([picture])[0].float().cpu()


def corners_of(studio: Studio, sources: Sequence[str | Path | bytes]) -> Tensor:
    """(4, D) corners of a square between four picture files; see `point_of` and `Studio.square`."""
    if len(sources) != 4:
        raise RecipeError(f"A square has four corners, not {len(sources)}.")
    return torch.stack([point_of(studio, source) for source in sources])
