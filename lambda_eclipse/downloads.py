"""Downloads: files of snapshots into the cache, with progress, from where they stopped.

huggingface_hub deletes what it has of a file when it is stopped, which may be gigabytes. Here a
file grows in the cache under its final name and ".incomplete", and the next download goes on from
there. Finished files are compared with the hub's checksum.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import quote

from lambda_eclipse import hub
from lambda_eclipse.hub import RemoteFile, Snapshot
from lambda_eclipse.manifest import file_sha256
from lambda_eclipse.messages import Report, StudioError, Text
from lambda_eclipse.weights import WeightsError

SPARE_BYTES = 500e6  # left free on the disk
EVERY_S = 0.25  # between two reports
MEMORY_S = 20.0  # the speed is that of the last so many seconds


def fetch(snapshots: Sequence[Snapshot], report: Report) -> None:
    """Download what is missing of snapshots; disk space is checked before.

    Raises WeightsError with the reason, and what `report` raises.
    """
    missing = [(snapshot, file) for snapshot in snapshots for file in snapshot.missing()]
    check_disk([_rest(snapshot, file) for snapshot, file in missing])
    progress = Progress(sum(file.size for _, file in missing), report)
    for snapshot, file in missing:
        progress.begin(file, _part(snapshot, file))
        _download(snapshot, file, progress)
        _place(snapshot, file)
    for snapshot in snapshots:
        ref = hub.cache_of(snapshot.repo) / "refs" / hub.MAIN
        if not ref.exists() or not snapshot.pinned:
            ref.parent.mkdir(parents=True, exist_ok=True)
            ref.write_text(snapshot.commit)  # a pinned commit leaves "main" of other programs alone


def check_disk(sizes: Sequence[int]) -> None:
    """Raise WeightsError unless so many bytes fit on the cache's disk."""
    needed, folder = sum(sizes), hub.cache()
    existing = next(one for one in (folder, *folder.parents) if one.exists())
    free = shutil.disk_usage(existing).free
    if needed and free < needed + SPARE_BYTES:
        raise WeightsError(
            "The download needs {needed} GB in {folder}, where {free} GB are free: free some "
            "space, or set HF_HOME to a folder on another disk.",
            needed=_gb(needed + SPARE_BYTES),
            folder=folder,
            free=_gb(free),
        )


class Progress:
    """Bytes of all files so far, told as a sentence; stands in for tqdm's bar in `http_get`."""

    def __init__(self, total: int, report: Report, clock: Callable[[], float] = time.monotonic):
        self.total, self.done = total, 0
        self._report, self._clock = report, clock
        self._name = ""
        self._marks: list[tuple[float, int]] = []  # times and bytes of this connection

    def begin(self, file: RemoteFile, part: Path) -> None:
        """The next file; what is here of it counts as done, but not for the speed."""
        self._name = file.name
        self.done += part.stat().st_size if part.exists() else 0
        self._marks = []
        self.update(0)

    def update(self, count: float | None = 1) -> None:
        """So many bytes more; negative where the hub starts a file again."""
        self.done += int(count or 0)
        now = self._clock()
        if self._marks and now - self._marks[-1][0] < EVERY_S and self.done < self.total:
            return
        self._marks = [m for m in self._marks if now - m[0] < MEMORY_S] + [(now, self.done)]
        self._report(self.text())

    def text(self) -> Text:
        """File, bytes of bytes, speed, time left."""
        (then, before), (now, done) = self._marks[0], self._marks[-1]
        fields = {"file": self._name, "done": _gb(self.done), "total": _gb(self.total)}
        speed = (done - before) / (now - then) if now > then else 0.0
        if speed <= 0:
            return Text("downloading {file}: {done} of {total} GB", **fields)
        left = round((self.total - self.done) / speed)
        return Text(
            "downloading {file}: {done} of {total} GB · {speed} MB/s · {left} left",
            **fields,
            speed=f"{speed / 1e6:.1f}",
            left=f"{left // 60}:{left % 60:02}",
        )


def _gb(size: float) -> str:
    return f"{size / 1e9:.2f}"


def _part(snapshot: Snapshot, file: RemoteFile) -> Path:
    blob = snapshot.blob(file)
    return blob.with_name(blob.name + ".incomplete")


def _rest(snapshot: Snapshot, file: RemoteFile) -> int:
    part = _part(snapshot, file)
    return file.size - (part.stat().st_size if part.exists() else 0)


def _download(snapshot: Snapshot, file: RemoteFile, progress: Progress) -> None:
    """The content of a file, checked, into the cache."""
    from huggingface_hub.utils import WeakFileLock

    blob, part = snapshot.blob(file), _part(snapshot, file)
    blob.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(blob.with_name(blob.name + ".lock")):
        if blob.exists():
            return
        try:
            _transfer(snapshot, file, part, progress)
        except StudioError:
            raise
        except Exception as error:  # the client raises a dozen unrelated types
            raise WeightsError(
                "The download of {file} from {source} broke off ({error}): start again, it goes "
                "on from there.",
                file=file.name,
                source=snapshot.repo,
                error=type(error).__name__,
            ) from error
        if file.sha256 is not None and file_sha256(part) != file.sha256:
            part.unlink()
            raise WeightsError(
                "{file} of {source} does not match its checksum: download it again.",
                file=file.name,
                source=snapshot.repo,
            )
        part.replace(blob)
    blob.with_name(blob.name + ".lock").unlink(missing_ok=True)


def _transfer(snapshot: Snapshot, file: RemoteFile, part: Path, progress: Progress) -> None:
    from huggingface_hub import constants
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    path = f"{snapshot.repo}/resolve/{snapshot.commit}/{quote(file.name)}"
    with part.open("ab") as target:
        http_get(
            f"{constants.ENDPOINT}/{path}",
            target,
            resume_size=target.tell(),
            headers=build_hf_headers(),
            expected_size=file.size,
            _tqdm_bar=progress,
        )


def _place(snapshot: Snapshot, file: RemoteFile) -> None:
    """Show a file of the cache under its name, as a link where the system has links."""
    path, blob = snapshot.folder / file.name, snapshot.blob(file)
    path.parent.mkdir(parents=True, exist_ok=True)
    up = "../" * (file.name.count("/") + 2)
    try:
        path.symlink_to(f"{up}blobs/{file.blob}")
    except FileExistsError:
        pass
    except OSError:
        blob.replace(path)
