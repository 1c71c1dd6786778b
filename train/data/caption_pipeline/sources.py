"""The input: a folder of pictures, or WebDataset archives (such as LAION from img2dataset).

It is divided into tasks, one for each shard; equal input gives equal tasks.
"""

import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from webdataset.tariterators import base_plus_ext

from lambda_eclipse.images import flatten, open_picture
from train.data.caption_pipeline.report import Cause, Report
from train.data.interleaved_shards import encode

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff")
ARCHIVES = (".tar", ".tar.gz", ".tgz")
_BROKEN = (tarfile.TarError, OSError, EOFError, zlib.error)  # raised by a broken archive


@dataclass(frozen=True)
class Task:
    """The pictures of one shard to make.

    source: a folder or an archive. names: relative paths or members; the key of an archive's entry
    that has no picture. damaged: the archive is truncated after these.
    """

    number: int
    source: str
    names: tuple[str, ...]
    damaged: bool = False

    @property
    def size(self) -> int:
        """Number of pictures."""
        return len(self.names)


@dataclass(frozen=True)
class Picture:
    """A picture; `content` is a JPEG, upright RGB, long side ≤ 2048 px.

    sha256: of the original file.
    """

    name: str
    content: bytes = field(repr=False)
    sha256: str

    def image(self) -> Image.Image:
        """Decoded, RGB."""
        return Image.open(io.BytesIO(self.content)).convert("RGB")


@dataclass(frozen=True)
class Chunk:
    """A task in progress: `items` are pictures before the annotator, examples after it."""

    number: int
    items: list[Any]
    report: Report


def plan(source: Path, per_shard: int) -> list[Task]:
    """The tasks of a folder or an archive; of a folder that holds archives, those of its archives.

    ValueError if the input is empty.
    """
    if per_shard < 1 or per_shard > 10_000:
        raise ValueError(f"{per_shard} pictures per shard: take 1 to 10000.")
    if source.is_dir():
        files = sorted(path for path in source.rglob("*") if not path.is_dir())
    else:
        files = [source] if source.exists() else []
    archives = [path for path in files if path.name.lower().endswith(ARCHIVES)]
    groups: list[tuple[str, tuple[str, ...], bool]] = []
    for archive in archives:
        names, damaged = _members(archive)
        parts = list(_parts(names, per_shard)) or [()]
        groups += [(str(archive), part, damaged and part is parts[-1]) for part in parts]
    if not archives and source.is_dir():
        pictures = [path.relative_to(source).as_posix() for path in files if _is_picture(path.name)]
        groups += [(str(source), part, False) for part in _parts(tuple(pictures), per_shard)]
    if not groups:
        raise ValueError(
            f"{source} holds neither pictures ({', '.join(ENDINGS)}) nor WebDataset shards "
            f"({', '.join(ARCHIVES)}): check --input."
        )
    return [Task(i, *group) for i, group in enumerate(groups)]


def digest(tasks: list[Task]) -> str:
    """SHA-256 of all tasks, by which a changed input is detected."""
    rows = "\n".join(
        f"{Path(task.source).name} {task.damaged} {name}" for task in tasks for name in task.names
    )
    return hashlib.sha256(rows.encode("utf-8", "surrogateescape")).hexdigest()


def read(task: Task, min_px: int) -> tuple[list[Picture], Report]:
    """The usable pictures of a task, and a report that counts the others by cause.

    min_px: minimum of both sides of the original picture (Appendix B: 1024 × 1024).
    """
    report = Report(seen=len(task.names))
    pictures = []
    for name, content in _archived(task) if Path(task.source).is_file() else _filed(task):
        shown = name.encode("utf-8", "replace").decode()  # names may be no valid Unicode
        if content is not None:
            picture = _usable(shown, content, min_px)
        else:
            picture = Cause.UNREADABLE if _is_picture(name) else Cause.NO_PICTURE
        if isinstance(picture, Picture):
            pictures.append(picture)
        else:
            report.drop(picture, shown)
    if task.damaged:
        report.drop(Cause.ARCHIVE, task.source)
        report.seen += 1
    return pictures, report


def _usable(name: str, content: bytes, min_px: int) -> Picture | Cause:
    """The picture, or the cause of dropping it."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            if min(image.size) < min_px:
                return Cause.SMALL
        upright = open_picture(content, name)
    except Exception:  # decoders raise nearly anything on damaged files
        return Cause.DAMAGED
    sha256 = hashlib.sha256(content).hexdigest()
    return Picture(name, encode(flatten(upright), "jpg"), sha256)


def _filed(task: Task) -> Iterator[tuple[str, bytes | None]]:
    for name in task.names:
        try:
            yield name, (Path(task.source) / name).read_bytes()
        except OSError:  # a dead link, no permission, a bad block
            yield name, None


def _archived(task: Task) -> Iterator[tuple[str, bytes | None]]:
    wanted = {name for name in task.names if _is_picture(name)}
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(task.source) as tar:
            for member in tar:
                if len(found) == len(wanted):
                    break
                if member.name in wanted:
                    content = tar.extractfile(member)
                    found[member.name] = content.read() if content else b""
    except _BROKEN:
        pass  # `plan` has marked it as damaged; keep the members read so far
    for name in task.names:
        yield name, found.get(name)


def _members(archive: Path) -> tuple[tuple[str, ...], bool]:
    """One name for each entry of an archive, and whether it is truncated.

    An entry is WebDataset's: the members with the same path up to the first dot of their name.
    """
    entries: dict[str, str] = {}
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                key, _ = base_plus_ext(member.name)
                if not member.isfile() or key is None:
                    continue
                if entries.setdefault(key, key) == key and _is_picture(member.name):
                    entries[key] = member.name  # the first of several
    except _BROKEN:
        return tuple(entries.values()), True
    return tuple(entries.values()), False


def _is_picture(name: str) -> bool:
    return name.lower().endswith(ENDINGS)


def _parts(names: tuple[str, ...], size: int) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(names), size):
        yield names[start : start + size]
