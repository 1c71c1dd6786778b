"""Manifests: size and checksum of every file of a folder of weights."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lambda_eclipse.weights import WeightsError, missing_file, read_json, write_json

MANIFEST_NAME = "manifest.json"


def write_manifest(root: Path) -> Path:
    """Write `manifest.json` with size and SHA-256 of every file below `root`; returns its path."""
    files = {
        path.relative_to(root).as_posix(): {
            "sha256": file_sha256(path),
            "bytes": path.stat().st_size,
        }
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != MANIFEST_NAME and not path.name.startswith(".")
    }
    target = root / MANIFEST_NAME
    write_json({"files": files}, target)
    return target


def verify(manifest: Path | Mapping[str, Any], root: Path) -> None:
    """Check the files below `root` against a manifest; WeightsError at the first that differs.

    manifest: a manifest file, whose names are relative to its own folder, so that `root` may be
    a folder deeper down; or its content, whose names are relative to `root`.
    """
    if isinstance(manifest, Mapping):
        content, base = manifest, root
    else:
        content, base = read_json(Path(manifest)), Path(manifest).parent
    below = root.resolve()
    for name, entry in content["files"].items():
        path = base / name
        if not path.resolve().is_relative_to(below):
            continue
        if not path.is_file():
            raise missing_file(path)
        size = path.stat().st_size
        if size != entry["bytes"]:
            raise WeightsError(
                "{path} has {size} bytes instead of {expected}: download it again; from a clone "
                'with Git LFS, run "git lfs pull".',
                path=path,
                size=size,
                expected=entry["bytes"],
            )
        if file_sha256(path) != entry["sha256"]:
            raise WeightsError("{path} does not match its checksum: download it again.", path=path)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
