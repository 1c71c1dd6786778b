"""Hub repositories: which of their files are here, and what has to be downloaded.

Everything is read from and written to the cache of huggingface_hub, so that other programs share
it; its variables work as everywhere: HF_HOME and HF_HUB_CACHE (where), HF_ENDPOINT (another hub),
HF_HUB_OFFLINE (no network), HF_TOKEN. A repository is read at one commit: the one that the table
of stacks pins, else the one that was downloaded first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lambda_eclipse.layouts import names_in
from lambda_eclipse.stacks import PINS
from lambda_eclipse.weights import WeightsError

MAIN = "main"
TIMEOUT_S = 10
Choose = Callable[[Collection[str]], tuple[str, ...] | None]  # of file names those to read


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository. blob: its name in the cache; sha256: None for small files."""

    name: str
    size: int
    blob: str
    sha256: str | None


@dataclass(frozen=True)
class Snapshot:
    """Files of a repository at a commit that are to be in the cache. `files`: all that are read."""

    repo: str
    commit: str
    files: tuple[RemoteFile, ...]

    @property
    def folder(self) -> Path:
        """Where they are, or will be."""
        return cache_of(self.repo) / "snapshots" / self.commit

    @property
    def pinned(self) -> bool:
        """Whether the commit is that of the table of stacks."""
        return self.commit == PINS.get(self.repo)

    def blob(self, file: RemoteFile) -> Path:
        """The content of a file in the cache."""
        return cache_of(self.repo) / "blobs" / file.blob

    def missing(self) -> list[RemoteFile]:
        """The files that are not here yet."""
        return [file for file in self.files if not (self.folder / file.name).exists()]


def is_repository(source: str) -> bool:
    """Whether a source can be the name of a repository, "owner/name"."""
    return source.count("/") == 1 and not source.startswith((".", "~", "/"))


def cache() -> Path:
    """The folder of all repositories."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def cache_of(repo: str) -> Path:
    """The folder of a repository."""
    return cache() / ("models--" + repo.replace("/", "--"))


def cached(repo: str, choose: Choose) -> Path | None:
    """The folder of a repository's files where all that are read are here already."""
    first = cache_of(repo) / "refs" / MAIN
    commits = [PINS.get(repo), first.read_text().strip() if first.is_file() else None]
    for commit in filter(None, commits):
        folder = cache_of(repo) / "snapshots" / commit
        if folder.is_dir() and choose(names_in(folder)) is not None:
            return folder
    return None


def find(repo: str, choose: Choose, newest: bool = False) -> Snapshot:
    """The files of a repository to read, as the hub lists them; WeightsError says why not.

    newest: the newest commit instead of the pinned one.
    """
    try:
        info = _info(repo, None if newest else PINS.get(repo))
    except Exception as error:  # the client raises a dozen unrelated types
        raise _unreachable(repo, error) from error
    remote = {one.rfilename: one for one in info.siblings or ()}
    names = choose(remote.keys())
    if names is None:
        raise WeightsError(
            "{source} holds the weights in no layout that can be read (safetensors only): use a "
            "local folder with them.",
            source=repo,
        )
    return Snapshot(repo, info.sha, tuple(_file(remote[name]) for name in names))


def _info(repo: str, commit: str | None) -> Any:
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import OfflineModeIsEnabled, RevisionNotFoundError

    if constants.HF_HUB_OFFLINE:
        raise OfflineModeIsEnabled("offline")
    api = HfApi(endpoint=constants.ENDPOINT)
    try:
        return api.model_info(repo, revision=commit, timeout=TIMEOUT_S, files_metadata=True)
    except RevisionNotFoundError:  # the pinned commit is gone; the newest is better than none
        return api.model_info(repo, timeout=TIMEOUT_S, files_metadata=True)


def _file(remote: Any) -> RemoteFile:
    sha256 = remote.lfs.sha256 if remote.lfs else None
    return RemoteFile(remote.rfilename, remote.size or 0, sha256 or remote.blob_id, sha256)


def _unreachable(repo: str, error: Exception) -> WeightsError:
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled, RepositoryNotFoundError

    if isinstance(error, OfflineModeIsEnabled):
        return WeightsError(
            "{source} is not in {folder}, and HF_HUB_OFFLINE forbids to download it: unset the "
            "variable, or use a local folder with its files.",
            source=repo,
            folder=cache(),
        )
    if isinstance(error, GatedRepoError | RepositoryNotFoundError):
        return WeightsError(
            "The hub shows no repository {source}: check the name, or set HF_TOKEN if it is "
            "private.",
            source=repo,
        )
    return WeightsError(
        "Could not download {source} from {hub} ({error}): check the network connection, or use a "
        "local folder with its files.",
        source=repo,
        hub=constants.ENDPOINT,
        error=type(error).__name__,
    )
