"""Jobs of the Compose form: painting, and the risk that subjects blend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lambda_eclipse.messages import Text
from lambda_eclipse.request import Request
from lambda_eclipse.ui.form import ComposeForm, SlotForm
from lambda_eclipse.ui.i18n import t
from lambda_eclipse.ui.jobs import Painted, embedded, embedding_of, with_recipes
from lambda_eclipse.ui.run import Run

if TYPE_CHECKING:
    from lambda_eclipse.insight.blending import Blend
    from lambda_eclipse.pipeline import Studio

WARM_UP_STEPS = 2


def request_of(studio: Studio, run: Run, form: ComposeForm) -> Request:
    """The request of a checked form, its subjects embedded."""
    from lambda_eclipse.images import open_picture

    with studio.models.encoders():
        subjects = tuple(embedded(studio, run, slot) for slot in form.subjects)
    edges = open_picture(form.edge_map, Text("edge map")).convert("RGB") if form.edge_map else None
    return Request(
        form.prompt,
        subjects,
        form.edges_from,
        int(form.seed),
        int(form.count),
        form.sampling,
        form.edges_low,
        form.edges_high,
        edges,
    )


def paint(studio: Studio, run: Run, form: ComposeForm) -> list[Painted]:
    """The pictures of a checked form; each batch is reported when it is finished.

    Batches are those of `Studio.generate`, so the bits are the same.
    """
    run.begin(t("Encoding the subjects"))
    request = request_of(studio, run, form)
    request.check()
    size = studio.models.stack.batch_size
    finished: list[Painted] = []
    for start in range(0, request.count, size):
        count = min(size, request.count - start)
        what = (
            t("Generating")
            if request.count == 1
            else t("Generating {count} pictures", count=request.count)
        )
        span = start / request.count, (start + count) / request.count
        run.begin(what, span, (start, request.count))
        batch = replace(request, seed=request.seed + start, count=count)
        pictures = studio.generate(batch, run.on_step)
        finished += with_recipes(studio, request, pictures, start)
        run.emit(list(finished))
    return finished


def blend_risk(studio: Studio, run: Run, slots: Sequence[SlotForm]) -> list[Blend]:
    """The risk that subjects blend into one, for each pair."""
    from lambda_eclipse.insight import blending

    with studio.models.encoders():
        embeddings = [embedding_of(studio, run, slot) for slot in slots]
    return blending.blend_risk(embeddings, [slot.noun or "" for slot in slots])


def warm_up(studio: Studio, run: Run) -> None:
    """Paint one quick picture to measure the pace of this machine."""
    paint(studio, run, ComposeForm("a picture", count=1, steps=WARM_UP_STEPS))
