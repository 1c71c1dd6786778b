"""The Explore view: a square between two versions each of two subjects, to drag through."""

import base64
import io
import tempfile
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import gradio as gr
from PIL import Image

from lambda_eclipse import paper
from lambda_eclipse.ui import jobs
from lambda_eclipse.ui.cards import example_cards
from lambda_eclipse.ui.compose import HEAVY, save
from lambda_eclipse.ui.engine import Engine, Update
from lambda_eclipse.ui.examples import EXPLORE
from lambda_eclipse.ui.pad import CORNERS, SquarePad
from lambda_eclipse.ui.text import MAX_SEED, fresh_seed, progress_html, read_seed, readable_errors

BACKDROP_PX = 72  # side of one cell in the picture that is laid under the square
EMPTY_CELL = Image.new("RGB", (BACKDROP_PX, BACKDROP_PX), (128, 128, 136))


def read_square(
    prompt: str,
    nouns: tuple[str, str],
    pictures: tuple[str | None, str | None, str | None, str | None],
    seed: float,
    mode: str,
    steps: float,
    guidance: float,
) -> jobs.Square:
    """Check the Explore form; ValueError says what is missing."""
    names = ("picture 1 of subject A", "picture 2 of subject A",
             "picture 1 of subject B", "picture 2 of subject B")  # fmt: skip
    missing = [name for name, path in zip(names, pictures, strict=True) if not path]
    if missing:
        raise ValueError(f"The square needs four pictures. Still missing: {', '.join(missing)}.")
    if not (prompt or "").strip():
        raise ValueError("The prompt is empty: name both subjects in a short sentence.")
    a, b = ((noun or "").strip() for noun in nouns)
    if not a or not b:
        raise ValueError("Name both subjects with the words that stand for them in the prompt.")
    return jobs.Square(
        prompt=prompt.strip(),
        a=((a, pictures[0]), (a, pictures[1])),
        b=((b, pictures[2]), (b, pictures[3])),
        seed=read_seed(seed),
        mode=mode,
        steps=int(steps),
        guidance=float(guidance),
    )


def backdrop(cells: dict[tuple[int, int], Any], size: int) -> str:
    """The finished grid as one small picture for the square, a data URI.

    The centre of a cell's picture lies where the handle asks for that cell, so the outer cells
    are cut in half by the edge of the square.
    """
    sheet = Image.new("RGB", (size * BACKDROP_PX, size * BACKDROP_PX))
    for (row, column), picture in cells.items():
        small = picture.image.resize((BACKDROP_PX, BACKDROP_PX))
        sheet.paste(small, (column * BACKDROP_PX, row * BACKDROP_PX))
    half = BACKDROP_PX // 2
    sheet = sheet.crop((half, half, sheet.width - half, sheet.height - half))
    out = io.BytesIO()
    sheet.save(out, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode()


def explore_view(engine: Engine) -> dict[str, gr.components.Component]:
    """Lay out and wire the view; returns the widgets whose defaults depend on the stack."""

    def show_point(square: jobs.Square, x: float, y: float, steps: int) -> Iterator[tuple]:
        with closing(engine.run(jobs.point, square, x, y, steps)) as updates:
            try:
                for update in updates:
                    if update.done:
                        note = f"({x:.2f}, {y:.2f}) · seed {square.seed} · {steps} steps"
                        note += f" · {update.result.seconds:.1f} s"
                        yield update.result.image, progress_html(note=note)
                    else:
                        yield gr.skip(), progress_html(update)
            except Exception:
                yield gr.skip(), progress_html(note="")
                raise

    def at(
        prompt: str,
        noun_a: str, picture_a1: str | None, picture_a2: str | None,
        noun_b: str, picture_b1: str | None, picture_b2: str | None,
        x: float, y: float, mode: str, steps: float, guidance: float, seed: float,
    ) -> Iterator[tuple]:  # fmt: skip
        """Paint one point of the square between two versions each of two subjects.

        x and y go from 0 to 1: (0, 0) is the first version of both, (1, 0) the second version of
        A, (0, 1) the second version of B. mode is "slerp" or "lerp".
        """
        with readable_errors():
            square = read_square(
                prompt, (noun_a, noun_b), (picture_a1, picture_a2, picture_b1, picture_b2),
                seed, mode, steps, guidance,
            )  # fmt: skip
            yield from show_point(square, float(x), float(y), square.steps)

    def at_pad(point: tuple[float, float], *rest: Any) -> Iterator[tuple]:
        *subjects, mode, steps, guidance, seed = rest
        yield from at(*subjects, *point, mode, steps, guidance, seed)

    def quick(point: tuple[float, float], *rest: Any) -> Iterator[tuple]:
        *subjects, mode, steps, guidance, seed = rest
        if not all(subjects[i] for i in (2, 3, 5, 6)):
            return  # the message comes once, on release
        few = max(3, int(steps) // 5)
        yield from at(*subjects, *point, mode, few, guidance, seed)

    def grid(
        prompt: str,
        noun_a: str, picture_a1: str | None, picture_a2: str | None,
        noun_b: str, picture_b1: str | None, picture_b2: str | None,
        size: float, mode: str, steps: float, guidance: float, seed: float,
    ) -> Iterator[tuple]:  # fmt: skip
        """Paint size × size points of the square, row by row in the result; size from 2 to 7."""
        with readable_errors():
            size = int(size)
            if not 2 <= size <= 7:
                raise ValueError(f"A grid of {size} × {size}: choose a size from 2 to 7.")
            square = read_square(
                prompt, (noun_a, noun_b), (picture_a1, picture_a2, picture_b1, picture_b2),
                seed, mode, steps, guidance,
            )  # fmt: skip
            yield from show_grid(square, size)

    def show_grid(square: jobs.Square, size: int) -> Iterator[tuple]:
        cells: dict[tuple[int, int], Any] = {}
        files: dict[tuple[int, int], str] = {}
        with (
            tempfile.TemporaryDirectory() as folder,
            closing(engine.run(jobs.atlas, square, size)) as updates,
        ):
            empty = f"{folder}/empty.png"
            EMPTY_CELL.save(empty)

            def pictures() -> dict[str, Any]:
                order = [(row, column) for row in range(size) for column in range(size)]
                value = [files.get(cell, empty) for cell in order]
                return gr.update(value=value, columns=size, visible=True)

            yield pictures(), gr.skip(), progress_html(Update("Starting"))
            try:
                for update in updates:
                    if update.payload:
                        row, column, picture = update.payload
                        cells[row, column] = picture
                        name = f"row-{row + 1}-column-{column + 1}-seed-{square.seed}"
                        files[row, column] = save(picture, folder, name)
                        yield pictures(), gr.skip(), progress_html(update)
                    elif update.done:
                        note = f"{size} × {size} cells · seed {square.seed} · drag across them"
                        under = gr.update(backdrop=backdrop(cells, size))
                        yield gr.skip(), under, progress_html(note=note)
                    else:
                        yield gr.skip(), gr.skip(), progress_html(update)
            except Exception:
                yield gr.skip(), gr.skip(), progress_html(note="")
                raise

    def name_corners(noun_a: str, noun_b: str) -> dict[str, Any]:
        a, b = (noun_a or "").strip(), (noun_b or "").strip()
        if not a or not b:
            return gr.update(corners=list(CORNERS))
        pairs = ((1, 1), (2, 1), (1, 2), (2, 2))
        return gr.update(corners=[f"{a} {i} + {b} {j}" for i, j in pairs])

    rows = [example for example in EXPLORE if example.complete()]

    def fill(event: gr.EventData) -> list:
        example = rows[event.index]
        a1, a2, b1, b2 = (str(path) for path in example.files())
        noun_a, noun_b = example.subjects[0][0], example.subjects[2][0]
        return [example.prompt, noun_a, a1, a2, noun_b, b1, b2, example.seed]

    def upload(letter: str, number: int) -> gr.Image:
        return gr.Image(
            label=f"{letter}{number}", type="filepath", image_mode=None, height=140,
            sources=["upload", "webcam", "clipboard"], buttons=[], min_width=120,
            placeholder="Drop or click", elem_id=f"corner-{letter.lower()}{number}",
        )  # fmt: skip

    with gr.Row(elem_classes="le-main"):
        with gr.Column(scale=5, min_width=320):
            prompt = gr.Textbox(
                label="Prompt", placeholder="a cat wearing a hat", max_lines=3,
                elem_id="explore-prompt",
            )  # fmt: skip
            subjects: list[gr.components.Component] = [prompt]
            for letter, hint in (("A", "cat"), ("B", "hat")):
                with gr.Group(elem_classes=f"le-slot{'AB'.index(letter)}"):
                    noun = gr.Textbox(
                        label=f"Subject {letter}: its word in the prompt", placeholder=hint,
                        max_lines=1, elem_id=f"noun-{letter.lower()}",
                    )  # fmt: skip
                    with gr.Row():
                        subjects += [noun, upload(letter, 1), upload(letter, 2)]
            with gr.Row():
                mode = gr.Radio(
                    ["slerp", "lerp"], value="slerp", label="Way between embeddings",
                    elem_id="mode",
                )  # fmt: skip
                with gr.Row():
                    seed = gr.Number(
                        label="Seed", value=0, precision=0, minimum=0, maximum=MAX_SEED,
                        min_width=120, elem_id="explore-seed",
                    )  # fmt: skip
                    another = gr.Button(
                        "New seed", size="sm", min_width=90, elem_id="explore-new-seed"
                    )
            with gr.Accordion("Sampling", open=False, elem_id="explore-sampling-panel"), gr.Row():
                steps = gr.Slider(
                    1, 100, paper.DDIM_STEPS, step=1, label="Steps", elem_id="explore-steps"
                )
                guidance = gr.Slider(
                    0, 20, paper.GUIDANCE, step=0.5, label="Guidance", elem_id="explore-guidance"
                )
            if rows:
                gr.Markdown("#### Examples: one click paints the middle", elem_classes="le-heading")
                cards = example_cards(rows, "explore-examples")
        with gr.Column(scale=6, min_width=320):
            with gr.Row(elem_classes="le-stage"):
                with gr.Column(min_width=260):
                    pad = SquarePad(elem_id="pad")
                    x = gr.Slider(0, 1, 0.5, step=0.01, label="A: 1 to 2 (across)", elem_id="x")
                    y = gr.Slider(0, 1, 0.5, step=0.01, label="B: 1 to 2 (down)", elem_id="y")
                with gr.Column(min_width=260):
                    picture = gr.Image(
                        label="The picture at this point", interactive=False, format="png",
                        height=330, buttons=["download", "fullscreen"], elem_id="point",
                    )  # fmt: skip
                    render = gr.Button("Paint this point", variant="primary", elem_id="render")
                    stop = gr.Button("Stop", variant="stop", elem_id="explore-stop")
            progress = gr.HTML(
                progress_html(note="Drag the dot, or use the arrow keys."),
                elem_id="explore-progress",
            )
            with gr.Row(elem_classes="le-actions"):
                size = gr.Slider(2, 7, 5, step=1, label="Grid size", elem_id="grid-size")
                whole = gr.Button("Paint the whole grid", elem_id="grid")
            cells = gr.Gallery(
                label="Grid", columns=5, object_fit="contain", format="png", height="auto",
                buttons=["download", "download_all", "fullscreen"], interactive=False,
                visible=False, elem_id="cells",
            )  # fmt: skip
    quiet = {"show_progress": "hidden"}
    private = {**quiet, "api_visibility": "private"}
    sampling = [mode, steps, guidance, seed]
    shown = [picture, progress]

    # The two ways to say where: kept in step in the browser, without asking the server.
    to_sliders = "(point) => [point.x, point.y]"
    to_pad = "(x, y) => ({x: x, y: y})"
    gr.on([pad.input, pad.release], None, pad, [x, y], js=to_sliders, **private)
    gr.on([x.input, y.input, x.release, y.release], None, [x, y], pad, js=to_pad, **private)

    full = [
        gr.on(
            [render.click, x.release, y.release], at, [*subjects, x, y, *sampling], shown,
            api_name="at", trigger_mode="always_last", **quiet, **HEAVY,
        ),
        pad.release(
            at_pad, [pad, *subjects, *sampling], shown, trigger_mode="always_last",
            **private, **HEAVY,
        ),
    ]  # fmt: skip
    # A move makes a full picture of the last point pointless: stop that first.
    cheap = pad.input(
        quick, [pad, *subjects, *sampling], shown, trigger_mode="always_last", cancels=full,
        **private, **HEAVY,
    )  # fmt: skip
    painted = whole.click(
        grid, [*subjects, size, *sampling], [cells, pad, progress], api_name="grid",
        **quiet, **HEAVY,
    )  # fmt: skip
    everything = [*full, cheap, painted]
    if rows:
        filled = cards.click(fill, None, [*subjects, seed], queue=False, **private)
        everything.append(filled.then(at, [*subjects, x, y, *sampling], shown, **private, **HEAVY))
    stop.click(
        lambda: progress_html(note="Stopped. What was finished stays."), None, progress,
        cancels=everything, queue=False, **private,
    )  # fmt: skip
    another.click(fresh_seed, None, seed, queue=False, **private)
    gr.on(
        [subjects[1].change, subjects[4].change], name_corners, [subjects[1], subjects[4]], pad,
        trigger_mode="always_last", **private,
    )  # fmt: skip
    return {"steps": steps, "guidance": guidance}
