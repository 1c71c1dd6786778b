"""Finished pictures as files of a visit, and a running job as what the page shows of it."""

import io
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from lambda_eclipse.ui.compose.jobs import Order, Painted
from lambda_eclipse.ui.i18n import t
from lambda_eclipse.ui.run import Update
from lambda_eclipse.ui.text import progress_html
from lambda_eclipse.ui.visit import Kept, Visit
from lambda_eclipse.ui.widgets.results import likeness_html, seeds_note


def save(visit: Visit, painted: Painted, with_recipe: bool, name: str | None = None) -> str:
    """Write a picture as PNG, with its recipe or without; the path.

    `name`: without extension; by default it tells the seed.
    """
    from lambda_eclipse.keep.recipe import write

    content = write(painted.picture.image, painted.recipe if with_recipe else None)
    return visit.file(f"{name or f'lambda-eclipse-{painted.picture.seed}'}.png", content)


def content(path: str, with_recipe: bool) -> bytes:
    """The file of a finished picture, with the recipe that it has or without."""
    from lambda_eclipse.keep.recipe import write

    data = Path(path).read_bytes()
    return data if with_recipe else write(Image.open(io.BytesIO(data)), None)


def given(visit: Visit, path: str, with_recipe: bool) -> str:
    """The file of a finished picture that a visitor gets: itself, or a copy without its recipe."""
    if with_recipe:
        return path
    if path not in visit.bare:
        visit.bare[path] = visit.file(Path(path).name, content(path, False))
    return visit.bare[path]


def as_corner(visit: Visit, kept: Kept) -> str:
    """A file of a finished picture for the square, which reads from the recipe where it lies."""
    return save(visit, kept.painted, True)


def follow(
    visit: Visit, updates: Iterator[Update], order: Order | None, with_recipe: bool
) -> Iterator[tuple[Any, str, str]]:
    """A painting job as (gallery, progress, likeness): previews, then what is finished, kept.

    What is finished stays in the visit, whether or not the job comes to its end.
    """
    paths: list[str] = []
    finished: list[Painted] = []

    def gallery(previews: list | None = None) -> list:
        done = [(path, one.label) for path, one in zip(paths, finished, strict=True)]
        return [*done, *[(image, t("taking shape")) for image in previews or []]]

    try:
        with closing(updates):
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
            visit.keep(finished, paths, order)
