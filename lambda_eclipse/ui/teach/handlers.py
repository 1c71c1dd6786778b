"""What the panel of lessons does: learn from pictures, stop, use what was learned, forget it."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.i18n import t
from lambda_eclipse.ui.run import Update
from lambda_eclipse.ui.teach import jobs as jobs_teach
from lambda_eclipse.ui.teach.jobs import Order, Taught
from lambda_eclipse.ui.text import duration_text, progress_html, reporting
from lambda_eclipse.ui.visit import Visit

MAX_PICTURES = 20
STEPS = (10, 400)
USUAL_STEPS = 100
BLANK = (gr.skip(), gr.skip(), gr.skip(), progress_html(note=""), gr.skip())


@dataclass(frozen=True)
class TeachActions:
    """The handlers, over an engine. Shown: what is learned from, before, after, progress, state."""

    engine: Engine

    def teach(
        self, visit: Visit, files: Sequence[str] | None, noun: str, prompt: str, steps: float
    ) -> Iterator[tuple]:
        """Learn a subject of the visit."""

        def values() -> Iterator[tuple]:
            order = read_order(files, noun, prompt, steps)
            visit.uploads.update(order.pictures)
            visit.lesson = None
            starting = progress_html(Update(t("Starting")))
            yield [], None, None, starting, self.state(visit)
            with closing(self.engine.run(jobs_teach.teach, order)) as updates:
                for update in updates:
                    if update.payload:
                        visit.lesson = begun = update.payload
                        before = _file(visit, "before", begun.before)
                        seen = [_file(visit, "seen", one) for one in begun.seen]
                        yield seen, before, gr.skip(), progress_html(update), gr.skip()
                    elif update.done:
                        yield self._learned(visit, update.result)
                    else:
                        yield (*[gr.skip()] * 3, progress_html(update), gr.skip())

        yield from reporting(values(), BLANK)

    def finish(self, visit: Visit) -> Iterator[tuple]:
        """After a stop: what was learned until then, if anything was."""

        def values() -> Iterator[tuple]:
            begun = visit.lesson
            if begun is None or not begun.lesson.done:
                yield (gr.skip(),) * 5
                return
            job = (jobs_teach.finish, begun.lesson, begun.request)
            with closing(self.engine.run(*job)) as updates:
                for update in updates:
                    if update.done:
                        yield self._learned(visit, update.result)

        yield from reporting(values(), BLANK)

    def _learned(self, visit: Visit, taught: Taught) -> tuple:
        visit.learn(taught)
        note = progress_html(
            note=t("Learned for {steps} steps. Compare before and after.", steps=taught.steps)
        )
        after = _file(visit, "after", taught.after)
        return gr.skip(), gr.skip(), after, note, self.state(visit)

    def use(self, visit: Visit) -> str:
        """Paint with what was learned from now on; the state."""
        if visit.taught is None:
            raise gr.Error(t("It has learned nothing yet: teach it first."), print_exception=False)
        visit.use(True)
        return self.state(visit)

    def forget(self, visit: Visit) -> tuple:
        """Drop what was learned."""
        visit.learn(None)
        return [], None, None, progress_html(note=""), self.state(visit)

    def state(self, visit: Visit) -> str:
        """Which decoder paints for this visit, in a sentence."""
        if visit.taught is None:
            return escape(t("Your pictures are painted by the decoder as it came."))
        if visit.uses:
            state = t(
                "Your pictures are painted with what it learned in {steps} steps.",
                steps=visit.taught.steps,
            )
        else:
            state = t(
                "It has learned for {steps} steps. Your pictures are still painted by the "
                "decoder as it came.",
                steps=visit.taught.steps,
            )
        return escape(state)

    def cost(self, steps: float) -> str:
        """The time that a lesson would take on this machine."""
        if self.engine.studio is None:
            return duration_text(None)
        how = self.engine.studio.models.stack.finetuning
        if not how.on_page:
            return escape(
                t(
                    "This stack is too large to learn here. On a machine with a large card, "
                    "python -m train.finetune teaches it."
                )
            )
        return duration_text(self.engine.pace.lesson_seconds(int(steps), how.batch))


def read_order(files: Sequence[str] | None, noun: str, prompt: str, steps: float) -> Order:
    """Check the form of a lesson; ValueError says what is missing."""
    if not files:
        raise ValueError(t("There are no pictures to learn from: add a few of one subject."))
    if len(files) > MAX_PICTURES:
        raise ValueError(t("Too many pictures: give {most} at most.", most=MAX_PICTURES))
    if not (noun or "").strip():
        raise ValueError(t("Name the subject with a word, such as “cat”."))
    if not STEPS[0] <= steps <= STEPS[1]:
        raise ValueError(t("A lesson has {low} to {high} steps.", low=STEPS[0], high=STEPS[1]))
    noun = noun.strip()
    return Order(tuple(files), noun, (prompt or "").strip() or f"a {noun}", int(steps))


def _file(visit: Visit, name: str, image: Any) -> str:
    from lambda_eclipse.keep.recipe import write

    return visit.file(f"{name}.png", write(image, None))
