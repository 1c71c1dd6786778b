"""Checksums of weights, by which a recipe identifies them."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from lambda_eclipse.manifest import file_sha256
from lambda_eclipse.models import Models
from lambda_eclipse.stacks import PATTERNS, Part, Stack, manifest_of, source_of
from lambda_eclipse.weights import read_json, resolve


def checksums(stack: Stack, sources: Mapping[str, str] | None = None) -> dict[str, str]:
    """SHA-256 (64 hex digits) of a stack's "clip", "prior" and "decoder", each of all its files.

    sources: as in `models.load`. Read from the manifest of shipped files, else computed once, at
    about a minute for ten gigabytes. Raises WeightsError for a missing source.
    """
    return {
        part: _checksum(part, source_of(stack, part, sources), manifest_of(stack, part, sources))
        for part in PATTERNS
    }


def checksums_of(models: Models) -> dict[str, str]:
    """The checksums of loaded networks."""
    return {**checksums(models.stack, models.sources), **models.digests}


@functools.cache
def _checksum(part: Part, source: str, manifest: Path | None) -> str:
    """SHA-256 of the lines "checksum  name" of a part's files, as `sha256sum` lists them."""
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
        return None  # an optional file: loading raises an error for the others
    blob = path.resolve().name
    if re.fullmatch("[0-9a-f]{64}", blob):
        return blob  # the hub's cache names large files by their checksum
    return file_sha256(path)
