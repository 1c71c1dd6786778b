"""Layouts: which files of a folder or hub repository are a part of a stack, and which to take.

The same weights are published under several names and in several layouts. A layout names them in
order of preference; only safetensors are read, never a pickle.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from lambda_eclipse.stacks import Part
from lambda_eclipse.tensor_files import INDEX_SUFFIX, shards
from lambda_eclipse.weights import missing_file

OPEN_CLIP_CONFIG = "open_clip_config.json"
TOWERS = ("image_encoder", "text_encoder")  # folders of the two towers of a pipeline of diffusers
PREPROCESSING = "image_processor/preprocessor_config.json"
CONFIG = "config.json"
SCHEDULER = "scheduler/scheduler_config.json"

# In single precision, in half.
NETWORK = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors")
TRANSFORMERS = ("model.safetensors", "model.fp16.safetensors")
OPEN_CLIP = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")


@dataclass(frozen=True)
class Layout:
    """files: all are needed. weights: for each network its names, of which one is needed, alone or
    in shards. optional: read where they are there.
    """

    files: tuple[str, ...]
    weights: tuple[tuple[str, ...], ...]
    optional: tuple[str, ...] = ()


def _below(folder: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{folder}/{name}" for name in names)


LAYOUTS: dict[Part, tuple[Layout, ...]] = {
    "clip": (
        Layout((OPEN_CLIP_CONFIG,), (OPEN_CLIP,), ("merges.txt.gz",)),
        Layout(
            tuple(f"{tower}/{CONFIG}" for tower in TOWERS),
            tuple(_below(tower, TRANSFORMERS) for tower in TOWERS),
            (PREPROCESSING,),
        ),
        Layout((CONFIG,), (TRANSFORMERS,), ("preprocessor_config.json",)),
    ),
    "prior": (Layout((CONFIG,), (NETWORK,)),),
    "decoder": (
        Layout(
            ("unet/config.json", "movq/config.json", SCHEDULER),
            (_below("unet", NETWORK), _below("movq", NETWORK)),
        ),
    ),
}


def choose(part: Part, names: Collection[str], half: bool = False) -> tuple[str, ...] | None:
    """Of the file names of a folder or repository, those to read; None where no layout is whole.

    half: weights will be in half precision, so files in half precision are exact, too.
    """
    names = set(names)
    for layout in LAYOUTS[part]:
        chosen = [_weights(stems, names, half) for stems in layout.weights]
        if all(chosen) and names.issuperset(layout.files):
            optional = [name for name in layout.optional if name in names]
            return (*layout.files, *(name for one in chosen for name in one), *optional)
    return None


def files_in(folder: Path, part: Part, half: bool = False) -> tuple[str, ...]:
    """The files of a part in a folder, as `choose`; WeightsError for the first that is missing."""
    chosen = choose(part, names_in(folder), half)
    if chosen is None:
        first = LAYOUTS[part][0]
        for name in (*first.files, *(stems[0] for stems in first.weights)):
            if not (folder / name).is_file():
                raise missing_file(folder / name)
    return chosen or ()


def names_in(folder: Path) -> set[str]:
    """Names of all files below a folder, with forward slashes."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def network_file(folder: Path, stems: tuple[str, ...] = NETWORK, half: bool = False) -> Path:
    """The file of a network's weights; it may be in shards, or missing under every name."""
    chosen = _weights(stems, {path.name for path in folder.glob("*")}, half)
    return folder / (chosen[0].removesuffix(INDEX_SUFFIX) if chosen else stems[0])


def _weights(stems: tuple[str, ...], names: set[str], half: bool) -> tuple[str, ...]:
    """The file, or the index and the shards, of the best of the names; empty if none is there."""
    for stem in sorted(stems, key=lambda stem: half != (".fp16." in stem)):
        if found := ((stem,) if stem in names else shards(stem, names)):
            return found
    return ()
