"""The state of one visit: its pictures, subjects and grid cells, invisible to other visits.

Gradio keeps one Visit per open page and passes it to every handler. Its files are in a folder with
a secret name below Gradio's own, from which they are served unchanged.
"""

from __future__ import annotations

import secrets
import shutil
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradio.utils import get_upload_folder

from lambda_eclipse.explore.atlas import Place
from lambda_eclipse.explore.route import Point
from lambda_eclipse.ui.explore_form import SquareForm
from lambda_eclipse.ui.form import ComposeForm, SlotForm
from lambda_eclipse.ui.jobs import FinetunedDecoder, Painted, StartedLesson

if TYPE_CHECKING:
    from PIL import Image

    from lambda_eclipse.pipeline import Studio

MAX_HISTORY = 60  # pictures in the history; each has a file and an embedding
MAX_SHELF = 24
MAX_SQUARES = 4  # squares whose cells are kept


@dataclass(frozen=True, eq=False)
class HistoryEntry:
    """A finished picture of a visit, its file, and the form it was painted from."""

    painted: Painted
    path: str
    form: ComposeForm | None = None


@dataclass(eq=False)
class Visit:
    """See above."""

    history: list[HistoryEntry] = field(default_factory=list)
    gallery: list[HistoryEntry] = field(default_factory=list)
    chosen: list[HistoryEntry] = field(default_factory=list)  # the last two
    shelf: list[tuple[str, str]] = field(default_factory=list)  # concept cards: (path, noun)
    # In the subject editor: the candidate masks, their picture, and which subject it shows.
    masks: list[Image.Image] = field(default_factory=list)
    masked_picture: Image.Image | None = None
    edited: tuple[int, SlotForm | None] | None = None
    uploads: set[str] = field(default_factory=set)
    cells: OrderedDict[SquareForm, dict[Place, str]] = field(default_factory=OrderedDict)
    square: SquareForm | None = None  # painted last
    resting_point: tuple[float, float] | None = (0.5, 0.5)  # None while it moves
    frames: list[tuple[str, Point]] = field(default_factory=list)  # of the last path
    frames_square: SquareForm | None = None
    without_recipe: dict[str, str] = field(default_factory=dict)  # copies of files, by path
    lesson: StartedLesson | None = None  # kept after a stop
    finetuned: FinetunedDecoder | None = None
    uses_finetuned: bool = False
    _folder: Path | None = None

    def file(self, name: str, content: bytes) -> str:
        """Write a file of this visit; returns its path. A download keeps the name."""
        if self._folder is None:
            self._folder = Path(get_upload_folder()) / secrets.token_hex(20)
        folder = self._folder / secrets.token_hex(4)
        folder.mkdir(parents=True)
        path = folder / name
        path.write_bytes(content)
        return str(path)

    def keep(self, painted: list[Painted], paths: list[str], form: ComposeForm | None) -> None:
        """Add finished pictures to the history, and show them in the gallery."""
        self.gallery = [
            HistoryEntry(one, path, form) for one, path in zip(painted, paths, strict=True)
        ]
        self.history = [*self.history, *self.gallery][-MAX_HISTORY:]

    @property
    def existing_history(self) -> list[HistoryEntry]:
        """The history, latest first, without deleted files."""
        return [entry for entry in reversed(self.history) if Path(entry.path).is_file()]

    def cells_of(self, form: SquareForm) -> dict[Place, str]:
        """The files of a square's finished cells; a visit keeps those of a few squares."""
        cells = self.cells.setdefault(form, {})
        for at, path in list(cells.items()):
            if not Path(path).is_file():  # files are deleted after an hour
                del cells[at]
        self.cells.move_to_end(form)
        while len(self.cells) > MAX_SQUARES:
            self.cells.popitem(last=False)
        return cells

    def shelve(self, card: str, noun: str) -> None:
        """Add a concept card to the shelf."""
        self.shelf = [*self.shelf, (card, noun)][-MAX_SHELF:]

    def choose(self, entry: HistoryEntry) -> None:
        """Choose a picture; the one chosen before stays as the second."""
        others = [one for one in self.chosen if one is not entry]
        self.chosen = [*others[-1:], entry]

    def set_decoder(self, finetuned: FinetunedDecoder | None) -> None:
        """Replace the finetuned decoder without using it yet; None removes it."""
        self.lesson, self.finetuned = None, finetuned
        self.use_finetuned(False)

    def use_finetuned(self, uses: bool) -> None:
        """Paint with the finetuned decoder or the shared one; drop the cells of the other one."""
        self.uses_finetuned = uses
        self.cells.clear()

    def job(self, job: Callable[..., Any]) -> Callable[..., Any]:
        """The job with the decoder that this visit uses."""
        return self.finetuned.job(job) if self.finetuned and self.uses_finetuned else job

    def studio(self, studio: Studio) -> Studio:
        """The studio with the decoder that this visit uses."""
        if self.finetuned and self.uses_finetuned:
            return self.finetuned.studio(studio)
        return studio

    def delete(self) -> list[str]:
        """Delete every file and forget everything; returns the paths of the files."""
        paths = sorted(self.uploads)
        upload_folder = Path(get_upload_folder()).resolve()
        for path in map(Path, self.uploads):
            if upload_folder in path.resolve().parents:  # never a shipped file of an example
                path.unlink(missing_ok=True)
        if self._folder is not None:
            paths += [str(path) for path in self._folder.rglob("*") if path.is_file()]
            shutil.rmtree(self._folder, ignore_errors=True)
        self.__dict__.update(Visit().__dict__)
        return paths
