"""Handlers of the teaching panel: finetune, stop, use the finetuned decoder, drop it."""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from html import escape

import gradio as gr
from PIL import Image

from lambda_eclipse.ui.engine import Engine
from lambda_eclipse.ui.errors import reports
from lambda_eclipse.ui.html import duration_text, progress_html
from lambda_eclipse.ui.i18n import t
from lambda_eclipse.ui.jobs import FinetunedDecoder
from lambda_eclipse.ui.run import Update
from lambda_eclipse.ui.saving import png_bytes
from lambda_eclipse.ui.teach import jobs
from lambda_eclipse.ui.visit import Visit

NO_CHANGE = (gr.skip(), gr.skip(), gr.skip(), gr.skip(), gr.skip())
BLANK = (*NO_CHANGE[:3], progress_html(), gr.skip())


@dataclass(frozen=True)
class TeachActions:
    """The handlers, over an engine. Outputs: training pictures, before, after, progress, state."""

    engine: Engine

    @reports(BLANK)
    def teach(
        self, visit: Visit, files: Sequence[str] | None, noun: str, prompt: str, steps: float
    ) -> Iterator[tuple]:
        """Finetune on a subject of the visit."""
        form = jobs.read_form(files, noun, prompt, steps)
        visit.uploads.update(form.pictures)
        visit.lesson = None
        starting = progress_html(Update(t("Starting")))
        yield [], None, None, starting, self.state(visit)
        with closing(self.engine.run(jobs.teach, form)) as updates:
            for update in updates:
                if update.payload:
                    visit.lesson = started = update.payload
                    before = _file(visit, "before", started.before)
                    examples = [visit.file("seen.png", png_bytes(one)) for one in started.examples]
                    yield examples, before, gr.skip(), progress_html(update), gr.skip()
                elif update.done:
                    yield self._finished(visit, update.result)
                else:
                    yield (*NO_CHANGE[:3], progress_html(update), gr.skip())

    @reports(BLANK)
    def finish(self, visit: Visit) -> Iterator[tuple]:
        """After a stop: the decoder after the steps so far, if there were any."""
        started = visit.lesson
        if started is None or not started.lesson.done:
            yield NO_CHANGE
            return
        updates = self.engine.run(jobs.finish, started.lesson, started.request)
        with closing(updates):
            for update in updates:
                if update.done:
                    yield self._finished(visit, update.result)

    def _finished(self, visit: Visit, finetuned: FinetunedDecoder) -> tuple:
        visit.set_decoder(finetuned)
        note = progress_html(
            note=t("Fine-tuned for {steps} steps. Compare before and after.", steps=finetuned.steps)
        )
        assert finetuned.after is not None  # painted when training ended
        after = _file(visit, "after", finetuned.after)
        return gr.skip(), gr.skip(), after, note, self.state(visit)

    def use(self, visit: Visit) -> str:
        """Paint with the finetuned decoder from now on; the state."""
        if visit.finetuned is None:
            raise gr.Error(
                t("The decoder is not fine-tuned: run the fine-tuning first."),
                print_exception=False,
            )
        visit.use_finetuned(True)
        return self.state(visit)

    def forget(self, visit: Visit) -> tuple:
        """Drop the finetuned decoder."""
        visit.set_decoder(None)
        return [], None, None, progress_html(), self.state(visit)

    def state(self, visit: Visit) -> str:
        """Which decoder this visit uses, in a sentence."""
        if visit.finetuned is None:
            return escape(t("In use: original decoder."))
        steps = visit.finetuned.steps
        if visit.uses_finetuned:
            return escape(t("In use: decoder fine-tuned for {steps} steps.", steps=steps))
        return escape(
            t(
                "Fine-tuned for {steps} steps. In use: original decoder.",
                steps=steps,
            )
        )

    def cost(self, steps: float) -> str:
        """The estimated time of a lesson on this machine."""
        if self.engine.studio is None:
            return duration_text(None)
        settings = self.engine.studio.models.stack.finetuning
        if not settings.on_page:
            return escape(
                t(
                    "This stack is too large to fine-tune here: run python -m train.finetune "
                    "on a machine with a large GPU."
                )
            )
        return duration_text(self.engine.pace.training_seconds(int(steps), settings.batch))


def _file(visit: Visit, name: str, image: Image.Image) -> str:
    from lambda_eclipse.keep.recipe import write

    return visit.file(f"{name}.png", write(image, None))
