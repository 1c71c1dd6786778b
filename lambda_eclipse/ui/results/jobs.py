"""Jobs on a finished picture: variations, leave-one-out, reproduction."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lambda_eclipse.ui.i18n import t, translate
from lambda_eclipse.ui.jobs import Painted, with_recipes
from lambda_eclipse.ui.run import Run, share

if TYPE_CHECKING:
    from lambda_eclipse.keep.recipe import Recipe
    from lambda_eclipse.pipeline import Studio


def leave_one_out(studio: Studio, run: Run, recipe: Recipe) -> list[Painted]:
    """The picture of a recipe again, without each of its subjects in turn."""
    from lambda_eclipse.explore import variations

    request = replace(recipe.request, seed=recipe.request.seed + recipe.index, count=1)
    requests = variations.leave_one_out(request)
    finished: list[Painted] = []
    for index, (name, one) in enumerate(requests):
        label = translate(name)
        run.begin(t("Generating {label}", label=label), share(index, len(requests)))
        [painted] = with_recipes(studio, one, studio.generate(one, run.on_step))
        finished.append(replace(painted, label=label))
        run.emit(list(finished))
    return finished


def vary(studio: Studio, run: Run, painted: Painted, count: int, angle_deg: float) -> list[Painted]:
    """`count` pictures from embeddings at an angle around that of a picture."""
    from lambda_eclipse.explore import variations
    from lambda_eclipse.insight.likeness import likeness
    from lambda_eclipse.keep.recipe import Recipe

    request, picture = painted.recipe.request, painted.picture
    embeddings = variations.variations(picture.embedding, count, angle_deg, picture.seed)
    finished: list[Painted] = []
    # One by one: a picture painted from an embedding is reproduced alone.
    for index in range(count):
        what = t("Generating variation {number} of {count}", number=index + 1, count=count)
        run.begin(what, share(index, count))
        [variation] = studio.paint(
            embeddings[index : index + 1], [picture.seed], request.sampling, run.on_step
        )
        recipe = Recipe.from_point(studio, variation, request.sampling, prompt=request.prompt)
        scores = likeness(studio, variation.image, request)
        label = t("variation {number}", number=index + 1)
        finished.append(Painted(variation, recipe, scores, label))
        run.emit(list(finished))
    return finished


def reproduce(studio: Studio, run: Run, recipe: Recipe) -> list[Painted]:
    """The picture of a recipe: the same bits if models and machine are the same."""
    from lambda_eclipse.insight.likeness import likeness
    from lambda_eclipse.keep import reproduction

    run.begin(t("Reproducing"))
    picture = reproduction.reproduce(studio, recipe, run.on_step)
    scores = likeness(studio, picture.image, recipe.request) if recipe.embedding is None else None
    painted = Painted(picture, recipe, scores, t("seed {seed}, reproduced", seed=picture.seed))
    run.emit([painted])
    return [painted]
