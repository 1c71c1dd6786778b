"""Checksums of weights, by which a recipe identifies them."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from lambda_eclipse import layouts
from lambda_eclipse.locations import resolve
from lambda_eclipse.manifest import file_sha256
from lambda_eclipse.models import Models
from lambda_eclipse.stacks import PARTS, Part, Stack, manifest_of, source_of
from lambda_eclipse.weights import read_json


def checksums(
    stack: Stack, sources: Mapping[str, str] | None = None, half: bool = False
) -> dict[str, str]:
    """SHA-256 (64 hex digits) of a stack's "clip", "prior" and "decoder", each of all its files.

    sources, half: as in `locations.folders`. Read from the manifest of shipped files, else computed
    once, at about a minute for ten gigabytes. Raises WeightsError for a missing source.
    """
    return {
        part: _checksum(
            part, source_of(stack, part, sources), manifest_of(stack, part, sources), half
        )
        for part in PARTS
    }


def checksums_of(models: Models) -> dict[str, str]:
    """The checksums of loaded networks."""
    half = models.device.type == "cuda"
    return {**checksums(models.stack, models.sources, half), **models.digests}


@functools.cache
def _checksum(part: Part, source: str, manifest: Path | None, half: bool) -> str:
    """SHA-256 of the lines "checksum  name" of a part's files, as `sha256sum` lists them."""
    if manifest is not None:
        files = read_json(manifest)["files"]
        prefix = Path(source).relative_to(manifest.parent).as_posix() + "/"
        below = {name.removeprefix(prefix) for name in files if name.startswith(prefix)}
        named = {n: files[prefix + n]["sha256"] for n in layouts.choose(part, below, half) or ()}
    else:
        folder = resolve(source, part)
        named = {n: _file_checksum(folder / n) for n in layouts.files_in(folder, part, half)}
    lines = [f"{digest}  {name}\n" for name, digest in sorted(named.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _file_checksum(path: Path) -> str:
    blob = path.resolve().name
    if re.fullmatch("[0-9a-f]{64}", blob):
        return blob  # the hub's cache names large files by their checksum
    return file_sha256(path)
