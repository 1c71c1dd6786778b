"""Checksums of weights: by these a recipe tells which ones its picture was painted with."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from lambda_eclipse.stacks import PATTERNS, Models, Stack, source_of
from lambda_eclipse.weights import read_json, resolve


def checksums(stack: Stack, sources: Mapping[str, str] | None = None) -> dict[str, str]:
    """SHA-256 (64 hex digits) of a stack's "clip", "prior" and "decoder", each of all its files.

    `sources` as in `stacks.load`. Taken from the manifest of shipped files, else computed, once:
    for ten gigabytes that may take a minute. Raises WeightsError when a source is not here.
    """
    found = {}
    for part in PATTERNS:
        source = source_of(stack, part, sources)
        shipped = source == getattr(stack, part)
        found[part] = _checksum(part, source, stack.manifest if shipped else None)
    return found


def checksums_of(models: Models) -> dict[str, str]:
    """Those of loaded networks, wherever they come from."""
    return {**checksums(models.stack, models.sources), **models.digests}


@functools.cache
def _checksum(part: str, source: str, manifest: Path | None) -> str:
    """SHA-256 of the lines "checksum  name" of a part's files: what `sha256sum` would list."""
    if manifest is not None:
        files = read_json(manifest)["files"]
        below = Path(source).relative_to(manifest.parent).as_posix()
        named = {name: files.get(f"{below}/{name}", {}).get("sha256") for name in PATTERNS[part]}
    else:
        folder = resolve(source, patterns=PATTERNS[part])
        named = {name: _file_checksum(folder / name) for name in PATTERNS[part]}
    lines = [f"{digest}  {name}\n" for name, digest in sorted(named.items()) if digest]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _file_checksum(path: Path) -> str | None:
    if not path.is_file():
        return None  # some are optional, and loading has complained about the others
    blob = path.resolve().name
    if re.fullmatch("[0-9a-f]{64}", blob):
        return blob  # the hub's cache names large files by their checksum
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
