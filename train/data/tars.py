"""Numbered tar shards, a `.json` beside each and a manifest over all; each is written atomically.

`<kind>-000000.tar`, … are WebDataset shards. The `.json` of each is written last and marks it as
done; an empty shard has only its `.json`. `manifest.json`: {"format", "examples", "files": {name:
{"sha256", "bytes", "examples", …}}, …}.
"""

import hashlib
import io
import json
import mmap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lambda_eclipse.weights import write_json, write_whole

MANIFEST = "manifest.json"


class ShardError(ValueError):
    """A missing, damaged or foreign shard; the message names the file and the remedy."""


def name_of(kind: str, number: int) -> str:
    """A shard's name without its suffix."""
    return f"{kind}-{number:06d}"


def write_tar(
    folder: Path,
    kind: str,
    number: int,
    samples: Sequence[Mapping[str, bytes]],
    report: Mapping[str, Any],
) -> None:
    """Write a shard, then its `.json`, each atomically; equal input gives equal bytes.

    samples: content of each member by its suffix; keys are ten digits, shard and index within it.
    report: kept in the `.json`, beside {"examples", "bytes", "sha256"}.
    """
    from webdataset import TarWriter

    buffer = io.BytesIO()
    with TarWriter(buffer, encoder=False, mtime=0, mode=0o644, user="", group="") as tar:
        for i, sample in enumerate(samples):
            tar.write({"__key__": f"{number:06d}{i:04d}", **sample})
    content = buffer.getbuffer()
    name = name_of(kind, number)
    if samples:
        write_whole(folder / f"{name}.tar", lambda path: path.write_bytes(content))
    done = {
        "examples": len(samples),
        "bytes": len(content) if samples else 0,
        "sha256": hashlib.sha256(content).hexdigest() if samples else None,
        **report,
    }
    write_json(done, folder / f"{name}.json")


def read_done(folder: Path, kind: str, number: int) -> dict[str, Any] | None:
    """Content of a finished shard's `.json`; None if the shard is still to be made."""
    name = name_of(kind, number)
    try:
        done = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        if done["examples"] and (folder / f"{name}.tar").stat().st_size != done["bytes"]:
            return None
    except (OSError, ValueError, KeyError):
        return None
    return done


def write_manifest(
    folder: Path,
    kind: str,
    written: str,
    dones: Sequence[Mapping[str, Any]],
    keys: Sequence[str] = (),
    **more: Any,
) -> Path:
    """Write `manifest.json` from the content of the shards' `.json`, in order.

    written: the format. keys: further entries of each shard to keep. more: further entries.
    """
    kept = ("sha256", "bytes", "examples", *keys)
    files = {
        f"{name_of(kind, number)}.tar": {key: done[key] for key in kept}
        for number, done in enumerate(dones)
        if done["examples"]
    }
    examples = sum(done["examples"] for done in dones)
    content = {"format": written, "examples": examples, "files": files, **more}
    write_json(content, folder / MANIFEST)
    return folder / MANIFEST


def read_manifest(folder: Path, written: str) -> dict[str, Any]:
    """Content of `manifest.json`; ShardError if it is missing, damaged or of another format."""
    path = folder / MANIFEST
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found, _ = content["format"], content["files"]
    except FileNotFoundError:
        raise ShardError(
            f"{path} is missing: run the command that writes the shards to its end."
        ) from None
    except (ValueError, KeyError, TypeError):
        raise ShardError(f"{path} is damaged: run the command that writes it again.") from None
    if found != written:
        raise ShardError(f"{path} is of format “{found}”, not {written}: write it anew.")
    return content


def open_checked(folder: Path, name: str, entry: Mapping[str, Any]) -> mmap.mmap:
    """A shard's content; ShardError if it differs from its entry of the manifest."""
    path = folder / name
    remedy = (
        f"delete it and {path.with_suffix('.json').name}, then run the command that wrote it "
        f"again; it writes only this one."
    )
    if not path.is_file():
        raise ShardError(f"{path} is missing: {remedy}")
    size = path.stat().st_size
    if size != entry["bytes"]:
        raise ShardError(f"{path} has {size} bytes, not {entry['bytes']}: {remedy}")
    with path.open("rb") as file:
        content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise ShardError(f"{path} does not match its checksum: {remedy}")
    return content
