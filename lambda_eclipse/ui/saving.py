"""Finished pictures as files of a visit, and painting jobs as updates of the page."""

import io
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from lambda_eclipse.mark.marking import watermarked
from lambda_eclipse.ui.form import ComposeForm
from lambda_eclipse.ui.html import likeness_html, progress_html
from lambda_eclipse.ui.i18n import t
from lambda_eclipse.ui.jobs import Painted
from lambda_eclipse.ui.run import Update
from lambda_eclipse.ui.visit import HistoryEntry, Visit


def png_bytes(image: Image.Image) -> bytes:
    """The image as PNG without text chunks."""
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def save(visit: Visit, painted: Painted, with_recipe: bool, name: str | None = None) -> str:
    """Write a picture as PNG, with its recipe or without; returns the path.

    name: without extension; None for one with the seed.
    """
    from lambda_eclipse.keep.recipe import write

    content = write(painted.picture.image, painted.recipe if with_recipe else None)
    return visit.file(f"{name or f'lambda-eclipse-{painted.picture.seed}'}.png", content)


def read_png(path: str, with_recipe: bool) -> bytes:
    """The content of a saved picture, without its recipe unless `with_recipe`."""
    from lambda_eclipse.keep.recipe import write

    content = Path(path).read_bytes()
    return content if with_recipe else write(Image.open(io.BytesIO(content)), None, painted=False)


def shareable(visit: Visit, path: str, with_recipe: bool) -> str:
    """The path of a saved picture, or of its copy without the recipe."""
    if with_recipe:
        return path
    if path not in visit.without_recipe:
        visit.without_recipe[path] = visit.file(Path(path).name, read_png(path, False))
    return visit.without_recipe[path]


def save_corner(visit: Visit, entry: HistoryEntry) -> str:
    """A file of a picture for a corner of the square, which is read from its recipe."""
    return save(visit, entry.painted, True)


def stream_results(
    visit: Visit, updates: Iterator[Update], form: ComposeForm | None, with_recipe: bool
) -> Iterator[tuple[Any, str, Any]]:
    """A painting job as (gallery, progress, likeness): previews, then finished pictures.

    Finished pictures stay in the visit even if the job is stopped.
    """
    paths: list[str] = []
    finished: list[Painted] = []

    def gallery(previews: list | None = None) -> list:
        done = [(path, one.label) for path, one in zip(paths, finished, strict=True)]
        return [*done, *[(watermarked(image), t("preview")) for image in previews or []]]

    try:
        with closing(updates):  # type: ignore[type-var]
            for update in updates:
                if update.payload:
                    new = update.payload[len(finished) :]
                    paths += [save(visit, one, with_recipe) for one in new]
                    finished += new
                    yield gallery(), progress_html(update), likeness_html(finished)
                elif update.done:
                    note = progress_html(note=seeds_note(finished))
                    yield gallery(), note, likeness_html(finished)
                elif update.previews:
                    yield gallery(update.previews), progress_html(update), gr.skip()
                else:
                    yield gr.skip(), progress_html(update), gr.skip()
    finally:
        if finished:
            visit.keep(finished, paths, form)


def seeds_note(finished: list[Painted]) -> str:
    """The seeds of finished pictures, and their time."""
    pictures = [one.picture for one in finished]
    seeds = ", ".join(dict.fromkeys(str(picture.seed) for picture in pictures))
    seconds = f"{sum(picture.seconds for picture in pictures):.1f}"
    if "," in seeds:
        return t("Finished · seeds {seeds} · {seconds} s", seeds=seeds, seconds=seconds)
    return t("Finished · seed {seeds} · {seconds} s", seeds=seeds, seconds=seconds)
