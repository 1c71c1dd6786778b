"""What one visit holds: its pictures, its subjects, its cells. Nothing of it is seen by others.

Gradio keeps one Visit per open page and hands the same one to every handler. Files lie in a folder
with a secret name below Gradio's own, where they are served from as they are, and deleted with it.
"""

import secrets
import shutil
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder

from lambda_eclipse.ui.compose.jobs import Order, Painted
from lambda_eclipse.ui.explore.jobs import Square
from lambda_eclipse.ui.teach.jobs import Begun, Taught, by

MAX_KEPT = 60  # pictures in the history; each has a file and an embedding
MAX_SHELF = 24


@dataclass(frozen=True, eq=False)
class Kept:
    """A finished picture of a visit: what was painted, its file, and the form it came from."""

    painted: Painted
    path: str
    order: Order | None = None


@dataclass(eq=False)
class Visit:
    """See above. shown: what is in the gallery; chosen: the two clicked last; shelf: cards."""

    history: list[Kept] = field(default_factory=list)
    shown: list[Kept] = field(default_factory=list)
    chosen: list[Kept] = field(default_factory=list)
    shelf: list[tuple[str, str]] = field(default_factory=list)
    masks: list = field(default_factory=list)  # on the workbench: (mask, picture)
    bench: tuple | None = None  # whom it shows: (number, form)
    uploads: set[str] = field(default_factory=set)
    cells: OrderedDict = field(default_factory=OrderedDict)  # of each square, by place
    square: Square | None = None  # the one painted last
    rest: tuple[float, float] | None = (0.5, 0.5)  # where in it the point came to rest
    frames: list = field(default_factory=list)  # of the last path: (file, point)
    path: Square | None = None  # the square it goes through
    bare: dict[str, str] = field(default_factory=dict)  # copies of files that lack the recipe
    lesson: Begun | None = None  # while it is learned, and after a stop
    taught: Taught | None = None  # what was learned
    uses: bool = False  # whether that paints
    _folder: Path | None = None

    def file(self, name: str, content: bytes) -> str:
        """Write a file of this visit under that very name, which a download keeps; its path."""
        if self._folder is None:
            self._folder = Path(get_upload_folder()) / secrets.token_hex(20)
        folder = self._folder / secrets.token_hex(4)
        folder.mkdir(parents=True)
        path = folder / name
        path.write_bytes(content)
        return str(path)

    def keep(self, painted: list[Painted], paths: list[str], order: Order | None) -> list[Kept]:
        """Put finished pictures into the history, and into the gallery."""
        found = [Kept(one, path, order) for one, path in zip(painted, paths, strict=True)]
        self.history = [*self.history, *found][-MAX_KEPT:]
        self.shown = found
        return found

    def note_uploads(self, order: Order) -> None:
        """Remember the files of a form, to delete them when asked to."""
        files = [path for part in order.subjects for path in (part.picture, part.mask)]
        self.uploads.update(path for path in (*files, order.canny, order.edges) if path)

    def shelve(self, card: str, noun: str) -> None:
        """Put the file of a card onto the shelf."""
        self.shelf = [*self.shelf, (card, noun)][-MAX_SHELF:]

    def choose(self, kept: Kept) -> None:
        """Take a picture as the last one chosen."""
        others = [one for one in self.chosen if one is not kept]
        self.chosen = [*others[-1:], kept]

    def learn(self, taught: Taught | None) -> None:
        """Take what was learned in place of what was before, not to be used yet; None forgets."""
        self.lesson, self.taught = None, taught
        self.use(False)

    def use(self, uses: bool) -> None:
        """Paint with what was learned, or as everybody. Cells of the other kind don't count."""
        self.uses = uses
        self.cells.clear()

    def own(self, job: Callable[..., Any]) -> Callable[..., Any]:
        """A job for the engine that paints as this visit does now."""
        return by(self.taught, job) if self.uses else job

    def painter(self, studio: Any) -> Any:
        """The studio as this visit paints now."""
        return self.taught.painter(studio) if self.uses else studio

    def delete(self) -> list[str]:
        """Delete every file and forget everything; the paths of the files there were."""
        paths = sorted(self.uploads)
        own = Path(get_upload_folder()).resolve()
        for path in map(Path, self.uploads):
            if own in path.resolve().parents:  # never a file of ours, such as an example's
                path.unlink(missing_ok=True)
        if self._folder is not None:
            paths += [str(path) for path in self._folder.rglob("*") if path.is_file()]
            shutil.rmtree(self._folder, ignore_errors=True)
        self.__init__()
        return paths
