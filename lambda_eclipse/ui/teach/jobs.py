"""Jobs of a lesson: finetuning on a visitor's subject.

The shared decoder is never changed: a lesson trains its own copy of the U-Net.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lambda_eclipse.request import Request, Subject
from lambda_eclipse.ui.i18n import t
from lambda_eclipse.ui.jobs import FinetunedDecoder, StartedLesson
from lambda_eclipse.ui.run import Run

if TYPE_CHECKING:
    from lambda_eclipse.finetune import Lesson
    from lambda_eclipse.pipeline import Studio

MAX_PICTURES = 20
STEPS = (10, 400)
DEFAULT_STEPS = 100
SEED = 0  # of the pictures before and after: only the decoder differs


@dataclass(frozen=True)
class LessonForm:
    """The checked form of a lesson. pictures: paths. prompt: of the pictures before and after."""

    pictures: tuple[str, ...]
    noun: str
    prompt: str
    steps: int


def read_form(pictures: Sequence[str] | None, noun: str, prompt: str, steps: float) -> LessonForm:
    """Check the form of a lesson; ValueError names what is missing."""
    if not pictures:
        raise ValueError(t("Training pictures are missing: add a few pictures of one subject."))
    if len(pictures) > MAX_PICTURES:
        raise ValueError(t("Too many pictures: add {most} at most.", most=MAX_PICTURES))
    if not (noun or "").strip():
        raise ValueError(t("The noun is missing: enter one, such as “cat”."))
    if not STEPS[0] <= steps <= STEPS[1]:
        raise ValueError(
            t("Training steps out of range: choose {low} to {high}.", low=STEPS[0], high=STEPS[1])
        )
    noun = noun.strip()
    return LessonForm(tuple(pictures), noun, (prompt or "").strip() or f"a {noun}", int(steps))


def teach(studio: Studio, run: Run, form: LessonForm) -> FinetunedDecoder | None:
    """Finetune on a subject; reports the StartedLesson first. None after a stop."""
    from lambda_eclipse import finetune
    from lambda_eclipse.images import open_picture

    models = studio.models
    settings = models.stack.finetuning
    if not settings.on_page:
        raise ValueError(
            t(
                "This stack is too large to fine-tune here: run python -m train.finetune "
                "on a machine with a large GPU."
            )
        )
    run.begin(t("Encoding the subject"))
    pictures = [open_picture(path) for path in form.pictures]
    embedding = studio.subject_embedding(Subject(form.noun, pictures[0]))
    request = Request(form.prompt, (Subject(form.noun, embedding=embedding),), seed=SEED)
    [before] = studio.generate(request)
    concepts = finetune.read_concepts(models, pictures, settings.cut_out)
    lesson = finetune.begin(models.decoder, concepts, settings)
    run.emit(StartedLesson(lesson, request, concepts.pictures, before.image))
    run.begin(t("Fine-tuning"))
    for _ in finetune.learn(lesson, form.steps):
        if not run.on_training_step(lesson.done, form.steps):
            return None
    return finish(studio, run, lesson, request)


def finish(studio: Studio, run: Run, lesson: Lesson, request: Request) -> FinetunedDecoder:
    """The decoder after the steps so far, and the request painted with it."""
    from lambda_eclipse import finetune

    unet = finetune.finished(lesson)
    digest = finetune.digest(unet)
    finetuned = FinetunedDecoder(studio.models.decoder.with_unet(unet), digest, lesson.done)
    [after] = finetuned.studio(studio).generate(request)
    return replace(finetuned, after=after.image)
