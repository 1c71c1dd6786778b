"""What the page asks of the studio, as functions that take plain data.

Each runs in the engine's worker thread as `job(studio, run, ...)`. The pipeline is imported inside
them because it brings the model libraries, which the page must not wait for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from lambda_eclipse.insight.nouns import vocabulary
from lambda_eclipse.request import CANNY_HIGH, CANNY_LOW
from lambda_eclipse.ui.i18n import t
from lambda_eclipse.ui.i18n.core_texts import told
from lambda_eclipse.ui.run import Run

PROPOSALS = 6
WARM_UP_STEPS = 2


@dataclass(frozen=True)
class Part:
    """A subject as the form has it: its noun and files.

    picture: a path, of a photo or of a concept card. mask: the path of a mask chosen by hand, None
    for the automatic one. mention: which mention of the noun it is, from 1; 0 takes the first free.
    """

    noun: str
    picture: str
    mask: str | None = None
    strength: float = 1.0
    mention: int = 0


@dataclass(frozen=True)
class Order:
    """The Compose form after it was checked.

    canny: a picture whose edges are to be found. edges: a finished edge map in its place.
    """

    prompt: str
    subjects: tuple[Part, ...] = ()
    canny: str | None = None
    canny_low: int = CANNY_LOW
    canny_high: int = CANNY_HIGH
    edges: str | None = None
    seed: int = 0
    count: int = 1
    steps: int | None = None
    guidance: float | None = None


@dataclass(frozen=True, eq=False)
class Painted:
    """A finished picture: a pipeline.Picture, its Recipe, its Likeness if known, a short label."""

    picture: Any
    recipe: Any
    likeness: Any
    label: str


def subject(studio: Any, part: Part) -> Any:
    """The pipeline.Subject of a part: with the embedding of its card, where it is one that fits."""
    from lambda_eclipse.images import open_picture
    from lambda_eclipse.keep.card import read_card
    from lambda_eclipse.keep.png import NoRecipeError
    from lambda_eclipse.request import Subject

    occurrence = part.mention - 1 if part.mention else None
    if part.mask is None:
        try:
            card = read_card(part.picture)
        except NoRecipeError:
            pass
        else:
            kept = card.subject(studio.models)
            return replace(kept, noun=part.noun, strength=part.strength, occurrence=occurrence)
    mask = open_picture(part.mask, "mask") if part.mask else None
    return Subject(part.noun, part.picture, mask, part.strength, occurrence=occurrence)


def embedded(studio: Any, run: Run, part: Part) -> Any:
    """The subject of a part, with its embedding, which is computed once."""
    found = subject(studio, part)
    key = ("subject", part.picture, part.mask)
    return replace(found, embedding=run.remember(key, lambda: studio.subject_embedding(found)))


def request_of(studio: Any, run: Run, order: Order) -> Any:
    """The pipeline.Request of an order, its subjects embedded."""
    from lambda_eclipse.images import open_picture
    from lambda_eclipse.request import Request, Sampling

    with studio.models.encoders():
        subjects = tuple(embedded(studio, run, part) for part in order.subjects)
    edges = open_picture(order.edges, "edge map").convert("RGB") if order.edges else None
    return Request(
        order.prompt, subjects, order.canny, order.seed, order.count,
        Sampling(order.steps, order.guidance), order.canny_low, order.canny_high, edges,
    )  # fmt: skip


def paint(studio: Any, run: Run, order: Order) -> list[Painted]:
    """The pictures of an order, each batch handed over as soon as it is finished.

    Batch by batch as the studio would paint them itself, so the bits are the same.
    """
    run.say(t("Reading the subjects"))
    request = request_of(studio, run, order)
    request.check()
    size, finished = studio.models.stack.batch_size, []
    for start in range(0, request.count, size):
        count = min(size, request.count - start)
        what = (
            t("Painting")
            if request.count == 1
            else t("Painting {count} pictures", count=request.count)
        )
        share = start / request.count, (start + count) / request.count
        run.say(what, share, (start, request.count))
        batch = replace(request, seed=request.seed + start, count=count)
        pictures = studio.generate(batch, run.on_step)
        finished += _described(studio, request, pictures, start)
        run.emit(list(finished))
    return finished


def _described(studio: Any, request: Any, pictures: Sequence[Any], start: int) -> list[Painted]:
    """Pictures `start`… of a request with their recipes and what they are like."""
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


def without_each(studio: Any, run: Run, recipe: Any) -> list[Painted]:
    """A picture of a recipe again, without each of its subjects in turn."""
    from lambda_eclipse.insight.likeness import leave_one_out

    request = replace(recipe.request, seed=recipe.request.seed + recipe.index, count=1)
    requests = leave_one_out(request)
    finished: list[Painted] = []
    for index, (name, one) in enumerate(requests):
        label = told(name)
        share = index / len(requests), (index + 1) / len(requests)
        run.say(t("Painting it {label}", label=label), share)
        [painted] = _described(studio, one, studio.generate(one, run.on_step), 0)
        finished.append(replace(painted, label=label))
        run.emit(list(finished))
    return finished


def around(studio: Any, run: Run, like: Painted, count: int, angle_deg: float) -> list[Painted]:
    """Variations: `count` pictures painted from points at an angle around that of another."""
    from lambda_eclipse.insight.likeness import likeness, variations
    from lambda_eclipse.keep.recipe import Recipe

    request, seed = like.recipe.request, like.picture.seed
    points = variations(like.picture.embedding, count, angle_deg, seed)
    finished: list[Painted] = []
    # One by one: a picture painted from a point is reproduced alone.
    for index in range(count):
        what = t("Painting variation {number} of {count}", number=index + 1, count=count)
        run.say(what, (index / count, (index + 1) / count))
        how = ([seed], request.sampling, run.on_step)
        [picture] = studio.paint(points[index : index + 1], *how)
        recipe = Recipe.from_point(studio, picture, request.sampling, prompt=request.prompt)
        scores = likeness(studio, picture.image, request)
        finished.append(Painted(picture, recipe, scores, t("variation {number}", number=index + 1)))
        run.emit(list(finished))
    return finished


def again(studio: Any, run: Run, recipe: Any) -> Painted:
    """The picture of a recipe, the same bits where nothing is different here."""
    from lambda_eclipse.insight.likeness import likeness
    from lambda_eclipse.keep.reproduction import reproduce

    run.say(t("Painting it again"))
    picture = reproduce(studio, recipe, run.on_step)
    scores = likeness(studio, picture.image, recipe.request) if recipe.embedding is None else None
    return Painted(picture, recipe, scores, t("seed {seed}, again", seed=picture.seed))


def see(studio: Any, picture: str, mask: str | None = None) -> Any:
    """What the model sees of a picture, a masking.Prepared. Takes no turn: it cuts out only."""
    return studio.prepare(replace(subject(studio, Part("subject", picture, mask)), embedding=None))


def nouns(studio: Any, run: Run, part: Part) -> list[tuple[str, float]]:
    """Words that fit a subject best, with their probabilities, best first.

    The whole picture counts as well, unless a mask was chosen in it.
    """
    from lambda_eclipse.images import flatten, open_picture
    from lambda_eclipse.insight.likeness import propose_nouns

    run.say(t("Looking for words"))
    with studio.models.encoders() as (clip, _):
        embedding = embedded(studio, run, part).embedding
        whole = flatten(open_picture(part.picture)) if part.mask is None else None
        words = vocabulary(studio.models.stack.name)
        return propose_nouns(clip, embedding, words, PROPOSALS, whole=whole)


def card(studio: Any, run: Run, part: Part) -> bytes:
    """The concept card of a subject, as a PNG file."""
    from lambda_eclipse.keep.card import Card, write_card

    run.say(t("Reading the subject"))
    with studio.models.encoders():
        return write_card(Card.from_subject(studio, subject(studio, part)))


def blends(studio: Any, run: Run, parts: Sequence[Part]) -> list:
    """The risk that subjects melt into one, an insight.Blend for each pair."""
    from lambda_eclipse.insight.likeness import blend_risk

    with studio.models.encoders():
        embeddings = [embedded(studio, run, part).embedding for part in parts]
    return blend_risk(embeddings, [part.noun for part in parts])


def warm_up(studio: Any, run: Run) -> None:
    """One quick picture, so that the time of one on this machine is known."""
    paint(studio, run, Order("a picture", steps=WARM_UP_STEPS))
