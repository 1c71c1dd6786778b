"""The Compose view: up to four subjects, a prompt, an optional edge map, pictures."""

import tempfile
from collections.abc import Iterator
from contextlib import closing
from html import escape
from itertools import chain
from pathlib import Path
from typing import Any

import gradio as gr

from lambda_eclipse import paper
from lambda_eclipse.ui import jobs
from lambda_eclipse.ui.cards import example_cards
from lambda_eclipse.ui.engine import Engine, Update
from lambda_eclipse.ui.examples import COMPOSE, SUBJECTS, Example
from lambda_eclipse.ui.text import (
    MAX_SEED,
    progress_html,
    read_seed,
    read_subjects,
    readable_errors,
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
HOW = "Add a picture, name it with a word of the prompt, press Generate. Or click an example."
# One job at a time uses the models; the others of all visitors wait in one line.
HEAVY = {"concurrency_id": "studio", "concurrency_limit": 1}


def save(picture: Any, folder: str, name: str) -> str:
    """Write a pipeline.Picture as PNG under a name that says what it is; the path."""
    path = Path(folder) / f"{name}.png"
    picture.image.save(path)
    return str(path)


def compose_view(engine: Engine) -> dict[str, gr.components.Component]:
    """Lay out and wire the view; returns the widgets whose defaults depend on the stack."""

    def generate(
        prompt: str,
        noun_1: str, picture_1: str | None,
        noun_2: str, picture_2: str | None,
        noun_3: str, picture_3: str | None,
        noun_4: str, picture_4: str | None,
        edges_from: str | None, edges_low: float, edges_high: float,
        count: float, steps: float, guidance: float, seed: float, randomize: bool,
    ) -> Iterator[tuple]:  # fmt: skip
        """Paint pictures of your subjects in the scene that the prompt describes.

        Each picture that is given needs a noun, and the noun has to be a word of the prompt. The
        last values are the finished pictures, the seed of the first of them and a line of text;
        the others have the seeds that follow.
        """
        with readable_errors():
            subjects = read_subjects(
                [noun_1, noun_2, noun_3, noun_4], [picture_1, picture_2, picture_3, picture_4]
            )
            if not (prompt or "").strip() and not subjects:
                raise ValueError("The prompt is empty: describe the picture in a few words.")
            order = jobs.Order(
                prompt=(prompt or "").strip(),
                subjects=subjects,
                canny=edges_from,
                canny_low=int(edges_low),
                canny_high=int(edges_high),
                seed=read_seed(seed, randomize),
                count=int(count),
                steps=int(steps),
                guidance=float(guidance),
            )
            yield from show(order)

    def show(order: jobs.Order) -> Iterator[tuple]:
        # Gradio copies a file when it is yielded, so the folder may go when the generator ends.
        with (
            tempfile.TemporaryDirectory() as folder,
            closing(engine.run(jobs.paint, order)) as updates,
        ):
            yield gr.skip(), order.seed, progress_html(Update("Starting"))
            try:
                for update in updates:
                    if update.done:
                        yield finished(update.result, folder)
                    elif update.previews:
                        taking_shape = [(image, "taking shape") for image in update.previews]
                        yield taking_shape, gr.skip(), progress_html(update)
                    else:
                        yield gr.skip(), gr.skip(), progress_html(update)
            except Exception:
                yield gr.skip(), gr.skip(), progress_html(note="")
                raise

    def finished(pictures: list, folder: str) -> tuple:
        files = [(save(p, folder, f"lambda-eclipse-{p.seed}"), f"seed {p.seed}") for p in pictures]
        seconds = sum(p.seconds for p in pictures)
        seeds = ", ".join(str(p.seed) for p in pictures)
        word = "Seed" if len(pictures) == 1 else "Seeds"
        gallery = gr.update(value=files, columns=1 if len(files) == 1 else 2)
        return gallery, pictures[0].seed, progress_html(note=f"{word} {seeds} · {seconds:.1f} s")

    def mask(picture: str | None) -> tuple[Any, str]:
        """What the model sees of a picture: the subject cut out, on white, and how it was found."""
        if not picture:
            return None, ""
        with readable_errors():
            prepared = engine.call(jobs.see, picture)
        return prepared.picture, METHODS.get(prepared.method, prepared.method)

    def show_mask(picture: str | None) -> tuple[dict[str, Any], str]:
        seen, method = mask(picture)
        note = f'<span class="le-said">Seen: {escape(method)}</span>' if method else ""
        return gr.update(value=seen, visible=seen is not None), note

    def edges(picture: str | None, low: float, high: float) -> Any:
        """The Canny edge map of a picture, white on black; thresholds from 0 to 500."""
        if not picture:
            return None
        # OpenCV takes a moment to import, and nothing else of the page needs it.
        from lambda_eclipse.canny import edge_map
        from lambda_eclipse.images import open_picture

        with readable_errors():
            image = open_picture(picture, "edge picture")
            return edge_map(image, int(low), int(high), size_px=EDGE_VIEW_PX)

    def show_edges(picture: str | None, low: float, high: float) -> dict[str, Any]:
        return gr.update(value=edges(picture, low, high), visible=picture is not None)

    def read_prompt(prompt: str, *slots: Any) -> str:
        if engine.studio is None or not (prompt or "").strip():
            return ""
        named = [n.strip() for n, p in zip(slots[::2], slots[1::2], strict=True) if p and n.strip()]
        try:
            return strip_html(jobs.pieces(engine.studio, prompt, named))
        except ValueError as error:
            return warning_html(str(error))

    rows = [example for example in COMPOSE if example.complete()]

    def fill(event: gr.EventData) -> list:
        example: Example = rows[event.index]
        filled = [(noun, str(SUBJECTS / name)) for noun, name in example.subjects]
        slots = [*filled, *[("", None)] * (paper.MAX_SUBJECTS - len(filled))]
        canny = str(SUBJECTS / example.canny) if example.canny else None
        panel = gr.Accordion(open=canny is not None)
        return [example.prompt, *chain.from_iterable(slots), canny, panel, example.seed, False]

    with gr.Row(elem_classes="le-main"):
        with gr.Column(scale=6, min_width=320):
            prompt = gr.Textbox(
                label="Prompt",
                placeholder="a cat wearing a hat on the beach",
                lines=2,
                max_lines=4,
                elem_id="prompt",
            )
            strip = gr.HTML(elem_id="strip")
            slots, seen = [], []
            with gr.Row(elem_classes="le-slots"):
                for number in range(1, paper.MAX_SUBJECTS + 1):
                    with gr.Column(min_width=140, elem_classes=f"le-slot le-slot{number - 1}"):
                        picture = gr.Image(
                            label=f"Subject {number}",
                            type="filepath",
                            image_mode=None,
                            sources=["upload", "webcam", "clipboard"],
                            placeholder="Drop or click",
                            height=160,
                            buttons=[],
                            elem_id=f"picture-{number}",
                        )
                        noun = gr.Textbox(
                            label="Word in prompt",
                            placeholder=("cat", "hat", "dog", "guitar")[number - 1],
                            max_lines=1,
                            elem_id=f"noun-{number}",
                        )
                        view = gr.Image(
                            label=f"What the model sees of subject {number}",
                            show_label=False,
                            interactive=False,
                            visible=False,
                            height=120,
                            buttons=["fullscreen"],
                            elem_id=f"seen-{number}",
                        )
                        caption = gr.HTML(elem_id=f"seen-note-{number}", elem_classes="le-note")
                        slots += [noun, picture]
                        seen.append([view, caption])
            with gr.Row(elem_classes="le-actions"):
                go = gr.Button("Generate", variant="primary", scale=3, elem_id="generate")
                stop = gr.Button("Stop", variant="stop", scale=1, min_width=90, elem_id="stop")
            with gr.Row():
                count = gr.Slider(1, 8, 2, step=1, label="Pictures", elem_id="count")
                with gr.Column(min_width=200):
                    seed = gr.Number(
                        label="Seed", value=0, precision=0, minimum=0, maximum=MAX_SEED,
                        elem_id="seed",
                    )  # fmt: skip
                    randomize = gr.Checkbox(
                        label="A new seed each time", value=True, elem_id="randomize"
                    )
            with gr.Accordion(
                "Layout from edges (optional)", open=False, elem_id="edges-panel"
            ) as edges_panel:
                gr.Markdown("The edges of a second picture say where things go.")
                with gr.Row():
                    edges_from = gr.Image(
                        label="Picture", type="filepath", image_mode=None, height=180,
                        sources=["upload", "webcam", "clipboard"], buttons=[],
                        placeholder="Drop, paste or click", elem_id="edges-from",
                    )  # fmt: skip
                    edge_view = gr.Image(
                        label="Edge map", interactive=False, height=180, visible=False,
                        format="png", buttons=["download", "fullscreen"], elem_id="edge-map",
                    )  # fmt: skip
                with gr.Row():
                    low = gr.Slider(0, 500, 100, step=5, label="Low", elem_id="edges-low")
                    high = gr.Slider(0, 500, 200, step=5, label="High", elem_id="edges-high")
            with gr.Accordion("Sampling", open=False, elem_id="sampling-panel"), gr.Row():
                steps = gr.Slider(1, 100, paper.DDIM_STEPS, step=1, label="Steps", elem_id="steps")
                guidance = gr.Slider(
                    0, 20, paper.GUIDANCE, step=0.5, label="Guidance", elem_id="guidance"
                )
        with gr.Column(scale=5, min_width=320):
            gallery = gr.Gallery(
                label="Pictures", columns=2, object_fit="contain", format="png", height=440,
                buttons=["download", "download_all", "fullscreen"], interactive=False,
                elem_id="gallery",
            )  # fmt: skip
            progress = gr.HTML(progress_html(note=HOW), elem_id="progress")
            if rows:
                gr.Markdown("#### Examples: one click paints them", elem_classes="le-heading")
                cards = example_cards(rows, "examples")

    form = [prompt, *slots, edges_from, low, high, count, steps, guidance, seed, randomize]
    for picture, view in zip(slots[1::2], seen, strict=True):
        picture.change(
            show_mask, picture, view, show_progress="minimal", trigger_mode="always_last",
            api_visibility="private", **HEAVY,
        )  # fmt: skip
    gr.api(mask, api_name="mask", **HEAVY)
    gr.api(edges, api_name="edges")
    gr.on(
        [edges_from.change, low.release, high.release], show_edges, [edges_from, low, high],
        edge_view, show_progress="hidden", trigger_mode="always_last", api_visibility="private",
    )  # fmt: skip
    gr.on(
        [prompt.change, *[slot.change for slot in slots]], read_prompt, [prompt, *slots], strip,
        show_progress="hidden", trigger_mode="always_last", api_visibility="private",
    )  # fmt: skip
    outputs = [gallery, seed, progress]
    painting = [
        gr.on(
            [go.click, prompt.submit],
            generate,
            form,
            outputs,
            api_name="generate",
            show_progress="hidden",
            **HEAVY,
        )
    ]
    if rows:
        filled = cards.click(
            fill, None, [prompt, *slots, edges_from, edges_panel, seed, randomize],
            show_progress="hidden", queue=False, api_visibility="private",
        )  # fmt: skip
        painting.append(
            filled.then(
                generate, form, outputs, show_progress="hidden", api_visibility="private", **HEAVY
            )
        )
    stop.click(
        lambda: progress_html(note="Stopped."), None, progress, cancels=painting, queue=False,
        show_progress="hidden", api_visibility="private",
    )  # fmt: skip
    return {"steps": steps, "guidance": guidance}
