"""Where the parts of a stack are: folders of this machine, downloaded where needed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lambda_eclipse import hub, layouts, stacks
from lambda_eclipse.downloads import fetch
from lambda_eclipse.hub import Snapshot
from lambda_eclipse.messages import Report
from lambda_eclipse.stacks import PARTS, Part, Stack
from lambda_eclipse.weights import WeightsError


@dataclass(frozen=True)
class Place:
    """Where a part is: its source, and its folder or what to download."""

    source: str
    at: Path | Snapshot

    @property
    def folder(self) -> Path:
        """Its folder, once it is downloaded."""
        return self.at if isinstance(self.at, Path) else self.at.folder


def folders(
    stack: Stack,
    sources: Mapping[str, str] | None = None,
    half: bool = False,
    report: Report = lambda text: None,
    newest: bool = False,
) -> dict[Part, Place]:
    """The parts of a stack, all of them here; WeightsError where one cannot be.

    half: the weights will be in half precision. newest: ask the hub for newer files.
    """
    places = {part: place(stack, part, sources, half, newest) for part in PARTS}
    fetch([one.at for one in places.values() if isinstance(one.at, Snapshot)], report)
    return places


def place(
    stack: Stack,
    part: Part,
    sources: Mapping[str, str] | None = None,
    half: bool = False,
    newest: bool = False,
) -> Place:
    """Where a part is: the first of its sources that is here, else the first that the hub has."""
    candidates = stacks.sources_of(stack, part, sources, half)
    choose = partial(layouts.choose, part, half=half)
    try:
        for source in candidates:
            if found := here(source, choose, newest):
                return Place(source, found)
        return _on_the_hub(candidates, choose, newest)
    except WeightsError as error:
        raise WeightsError(
            "The {part} of the {stack} stack was not found. {error} Set {variable} to use another "
            "folder.",
            part=part,
            stack=stack.name,
            error=error.text,
            variable=stacks.variable(stack, part),
        ) from error


def resolve(source: str, part: Part, extra: tuple[str, ...] = ()) -> Path:
    """The folder of a source of a part, downloaded if it is a repository that is not here.

    extra: files to download, too, where the repository has them.
    """

    def choose(names: Collection[str]) -> tuple[str, ...] | None:
        chosen = layouts.choose(part, names)
        return chosen and (*chosen, *(name for name in extra if name in names))

    if folder := here(source, choose):
        return folder
    found = _on_the_hub((source,), choose, newest=False)
    assert isinstance(found.at, Snapshot)
    fetch([found.at], lambda text: None)
    return found.folder


def here(source: str, choose: hub.Choose, newest: bool = False) -> Path | None:
    """The folder of a source on this machine; None if it is to be downloaded."""
    path = Path(source).expanduser()
    if path.is_dir():
        return path
    if not hub.is_repository(source):
        raise WeightsError(
            "{source} is neither an existing folder nor the name of a hub repository: use a "
            'folder or "owner/name".',
            source=source,
        )
    return None if newest else hub.cached(source, choose)


def _on_the_hub(candidates: tuple[str, ...], choose: hub.Choose, newest: bool) -> Place:
    first: WeightsError | None = None
    for source in candidates:
        try:
            return Place(source, hub.find(source, choose, newest))
        except WeightsError as error:
            first = first or error
    assert first is not None
    raise first
