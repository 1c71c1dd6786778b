"""What the page asks of the studio, as functions that take plain data.

Each runs in the engine's worker thread as `job(studio, run, ...)`. The pipeline is imported inside
them because it brings the model libraries, which the page must not wait for.
"""

from dataclasses import asdict, dataclass
from typing import Any

from lambda_eclipse.atlas import coarse_to_fine
from lambda_eclipse.ui.engine import Run

Named = tuple[str, str]  # a subject: its noun and the path of its picture


@dataclass(frozen=True)
class Order:
    """The Compose form after it was checked."""

    prompt: str
    subjects: tuple[Named, ...] = ()
    canny: str | None = None
    canny_low: int = 100
    canny_high: int = 200
    seed: int = 0
    count: int = 1
    steps: int | None = None
    guidance: float | None = None


@dataclass(frozen=True)
class Square:
    """The Explore form after it was checked: two versions each of two subjects."""

    prompt: str
    a: tuple[Named, Named]
    b: tuple[Named, Named]
    seed: int
    mode: str
    steps: int
    guidance: float


def paint(studio: Any, run: Run, order: Order) -> list:
    """The pictures of an order, list of pipeline.Picture."""
    from lambda_eclipse.pipeline import Request, Subject

    fields = asdict(order)
    fields["subjects"] = tuple(Subject(noun, picture) for noun, picture in order.subjects)
    run.say("Painting" if order.count == 1 else f"Painting {order.count} pictures")
    return studio.generate(Request(**fields), on_step=run.on_step)


def see(studio: Any, picture: str) -> Any:
    """What the model sees of a picture, a masking.Prepared. Takes no turn: it cuts out only."""
    from lambda_eclipse.pipeline import Subject

    return studio.prepare(Subject("subject", picture))


def _corners(studio: Any, run: Run, square: Square) -> Any:
    """The four corner embeddings, (4, D), kept for the next point of the same square."""
    from lambda_eclipse.pipeline import Subject

    def make() -> Any:
        run.say("Reading the four pictures")
        first, second = (tuple(Subject(*named) for named in pair) for pair in (square.a, square.b))
        return studio.square(square.prompt, first, second, square.seed)

    return run.remember((square.prompt, square.a, square.b, square.seed), make)


def point(studio: Any, run: Run, square: Square, x: float, y: float) -> Any:
    """The picture at one point of the square, a pipeline.Picture; x and y in [0, 1]."""
    corners = _corners(studio, run, square)
    run.say(f"Painting the point ({x:.2f}, {y:.2f})")
    return studio.at(
        corners, x, y, square.mode, square.seed, square.steps, square.guidance,
        on_step=run.on_step,
    )  # fmt: skip


def atlas(studio: Any, run: Run, square: Square, size: int) -> None:
    """Paint size × size points and emit (row, column, picture) for each as it is finished."""
    corners = _corners(studio, run, square)
    cells = list(coarse_to_fine(size))
    for index, (row, column) in enumerate(cells):
        span = (index / len(cells), (index + 1) / len(cells))
        run.say(f"Painting cell {index + 1} of {len(cells)}", span)
        x, y = column / (size - 1), row / (size - 1)
        picture = studio.at(
            corners, x, y, square.mode, square.seed, square.steps, square.guidance,
            on_step=run.on_step,
        )  # fmt: skip
        run.emit((row, column, picture))


def pieces(studio: Any, prompt: str, nouns: list[str]) -> list[tuple[str, int | None]]:
    """The prompt's tokens, each with the index of the subject that takes its place, if any."""
    tokenizer = studio.models.clip.tokenizer
    spans = tokenizer.assign(prompt, nouns) if nouns else []
    # Position 0 is the start-of-text token, which is not among the readable pieces.
    owner = {
        position: index
        for index, (start, end) in enumerate(spans)
        for position in range(start, end)
    }
    return [(text, owner.get(i + 1)) for i, text in enumerate(tokenizer.pieces(prompt))]
