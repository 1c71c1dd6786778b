"""What the page asks of the studio about a lesson: learn a subject, paint with what was learned.

The decoder of all visitors is never changed: a lesson has a U-Net of its own.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lambda_eclipse.ui.i18n import t
from lambda_eclipse.ui.run import Run

SEED = 0  # of the pictures before and after, so that only the decoder differs


@dataclass(frozen=True)
class Order:
    """The form of a lesson after it was checked: picture files of a subject, and how it is seen."""

    pictures: tuple[str, ...]
    noun: str
    prompt: str
    steps: int


@dataclass(frozen=True, eq=False)
class Begun:
    """A finetune.Lesson that goes on, what it learns from, and the picture before, PIL."""

    lesson: Any
    request: Any
    seen: Sequence[Any]
    before: Any


@dataclass(frozen=True, eq=False)
class Taught:
    """What was learned: a Decoder, the checksum of its U-Net, its steps, the picture after, PIL."""

    decoder: Any
    digest: str
    steps: int
    after: Any = None

    def painter(self, studio: Any) -> Any:
        """A studio that paints with what was learned, and says so in its recipes."""
        from lambda_eclipse.pipeline import Studio

        digests = {"decoder": self.digest}
        return Studio(replace(studio.models, decoder=self.decoder, digests=digests))


def teach(studio: Any, run: Run, order: Order) -> Taught | None:
    """Learn a subject; None after a stop. What has begun is handed over before, to be kept."""
    from lambda_eclipse import finetune
    from lambda_eclipse.images import open_picture
    from lambda_eclipse.request import Request, Subject

    models = studio.models
    how = models.stack.finetuning
    if not how.on_page:
        raise ValueError(
            t(
                "This stack is too large to learn here. On a machine with a large card, "
                "python -m train.finetune teaches it."
            )
        )
    run.say(t("Reading the subject"))
    pictures = [open_picture(path) for path in order.pictures]
    shown = studio.subject_embedding(Subject(order.noun, pictures[0]))
    request = Request(order.prompt, (Subject(order.noun, embedding=shown),), seed=SEED)
    [before] = studio.generate(request)
    concepts = finetune.read_concepts(models, pictures, how.cut_out)
    lesson = finetune.begin(models.decoder, concepts, how)
    run.emit(Begun(lesson, request, concepts.pictures, before.image))
    run.say(t("Learning"))
    for _ in finetune.learn(lesson, order.steps):
        if not run.on_lesson(lesson.done, order.steps):
            return None
    return finish(studio, run, lesson, request)


def finish(studio: Any, run: Run, lesson: Any, request: Any) -> Taught:
    """What a lesson has learned so far, and the picture that it paints now."""
    from lambda_eclipse import finetune

    unet = finetune.finished(lesson)
    digest = finetune.digest(unet)
    taught = Taught(studio.models.decoder.with_unet(unet), digest, lesson.done)
    [after] = taught.painter(studio).generate(request)
    return replace(taught, after=after.image)


def by(taught: Taught, job: Callable[..., Any]) -> Callable[..., Any]:
    """A job, done with what was learned."""

    def work(studio: Any, run: Run, *arguments: Any) -> Any:
        return job(taught.painter(studio), run, *arguments)

    return work
