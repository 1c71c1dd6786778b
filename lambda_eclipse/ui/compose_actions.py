"""What the Compose view does: paint, show what the model sees, edges, the prompt's tokens."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import gradio as gr

from lambda_eclipse import paper
from lambda_eclipse.ui import jobs
from lambda_eclipse.ui.engine import Engine, Update
from lambda_eclipse.ui.examples import COMPOSE, SUBJECTS
from lambda_eclipse.ui.text import (
    progress_html,
    read_seed,
    read_subjects,
    readable,
    reporting,
    strip_html,
    warning_html,
)

METHODS = {
    "alpha": "cut out by its transparency",
    "plain": "cut out from its plain ground",
    "rembg": "cut out automatically",
    "painted": "cut out by hand",
    "whole": "no subject found, all of it is used",
}
EDGE_VIEW_PX = 256


def save(picture: Any, folder: str, name: str) -> str:
    """Write a pipeline.Picture as PNG under a name that says what it is; the path."""
    path = Path(folder) / f"{name}.png"
    picture.image.save(path)
    return str(path)


@dataclass(frozen=True)
class ComposeActions:
    """The handlers of the view, over an engine. Their docstrings describe the endpoints."""

    engine: Engine

    def generate(
        self,
        prompt: str,
        noun_1: str | None = None, picture_1: str | None = None,
        noun_2: str | None = None, picture_2: str | None = None,
        noun_3: str | None = None, picture_3: str | None = None,
        noun_4: str | None = None, picture_4: str | None = None,
        edges_from: str | None = None, edges_low: float = 100, edges_high: float = 200,
        count: float = 2, steps: float = paper.DDIM_STEPS, guidance: float = paper.GUIDANCE,
        seed: float = 0, randomize: bool = True,
    ) -> Iterator[tuple]:  # fmt: skip
        """Paint pictures of your subjects in the scene that the prompt describes.

        Each picture that is given needs a noun, and the noun has to be a word of the prompt. The
        last values are the finished pictures, the seed of the first of them and a line of text;
        the others have the seeds that follow.
        """

        def read() -> jobs.Order:
            subjects = read_subjects(
                [noun_1, noun_2, noun_3, noun_4], [picture_1, picture_2, picture_3, picture_4]
            )
            if not (prompt or "").strip():
                raise ValueError("The prompt is empty: describe the picture in a few words.")
            return jobs.Order(
                prompt=prompt.strip(),
                subjects=subjects,
                canny=edges_from,
                canny_low=int(edges_low),
                canny_high=int(edges_high),
                seed=read_seed(seed, randomize),
                count=int(count),
                steps=int(steps),
                guidance=float(guidance),
            )

        blank = gr.skip(), gr.skip(), progress_html(note="")
        yield from reporting(self._paint(read), blank)

    def _paint(self, read: Callable[[], jobs.Order]) -> Iterator[tuple]:
        order = read()
        # Gradio copies a file when it is yielded, so the folder may go when the generator ends.
        with (
            tempfile.TemporaryDirectory() as folder,
            closing(self.engine.run(jobs.paint, order)) as updates,
        ):
            yield gr.skip(), order.seed, progress_html(Update("Starting"))
            for update in updates:
                if update.done:
                    yield self._finished(update.result, folder)
                elif update.previews:
                    taking_shape = [(image, "taking shape") for image in update.previews]
                    yield taking_shape, gr.skip(), progress_html(update)
                else:
                    yield gr.skip(), gr.skip(), progress_html(update)

    def _finished(self, pictures: list, folder: str) -> tuple:
        files = [
            (save(picture, folder, f"lambda-eclipse-{picture.seed}"), f"seed {picture.seed}")
            for picture in pictures
        ]
        seconds = sum(picture.seconds for picture in pictures)
        seeds = ", ".join(str(picture.seed) for picture in pictures)
        word = "Seed" if len(pictures) == 1 else "Seeds"
        return files, pictures[0].seed, progress_html(note=f"{word} {seeds} · {seconds:.1f} s")

    def mask(self, picture: str | None) -> tuple[Any, str]:
        """What the model sees of a picture: the subject cut out, on white, and how it was found."""
        if not picture:
            return None, ""
        try:
            prepared = jobs.see(self.engine.wait(), picture)
        except Exception as error:
            raise readable(error) from error
        return prepared.picture, f"As the model sees it: {METHODS[prepared.method]}"

    def edges(self, picture: str | None, low: float = 100, high: float = 200) -> Any:
        """The Canny edge map of a picture, white on black; thresholds from 0 to 500."""
        if not picture:
            return None
        # OpenCV takes a moment to import, and nothing else of the page needs it.
        from lambda_eclipse.canny import edge_map
        from lambda_eclipse.images import open_picture

        try:
            image = open_picture(picture, "edge picture")
            return edge_map(image, int(low), int(high), size_px=EDGE_VIEW_PX)
        except Exception as error:
            raise readable(error) from error

    def read_prompt(self, prompt: str, *slots: Any) -> str:
        """The token strip under the prompt, or what is wrong with it; empty while loading."""
        if self.engine.studio is None or not (prompt or "").strip():
            return ""
        pairs = zip(slots[::2], slots[1::2], strict=True)
        named = [noun.strip() for noun, picture in pairs if picture and noun.strip()]
        try:
            return strip_html(jobs.pieces(self.engine.studio, prompt, named))
        except ValueError as error:
            return warning_html(str(error))

    def fill(self, event: gr.EventData) -> list:
        """The form of an example: prompt, slots, edge picture, its panel, seed, randomize."""
        example = [example for example in COMPOSE if example.complete()][event.index]
        filled = [(noun, str(SUBJECTS / name)) for noun, name in example.subjects]
        slots = [*filled, *[("", None)] * (paper.MAX_SUBJECTS - len(filled))]
        canny = str(SUBJECTS / example.canny) if example.canny else None
        panel = gr.Accordion(open=canny is not None)
        return [example.prompt, *chain.from_iterable(slots), canny, panel, example.seed, False]
