"""Priors to start from: this trainer's runs and exports, λ-ECLIPSE v1.0, and ECLIPSE.

ECLIPSE for Kandinsky 2.2 is the same transformer without an edge map: it has three positions after
the text where λ-ECLIPSE has four. Its tensors are kept as they are; the edge map's layer starts
random and its position as that of the pooled text, which follows it.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lambda_eclipse.layouts import network_file
from lambda_eclipse.locations import resolve
from lambda_eclipse.paper import ADDITIONAL_EMBEDDINGS
from lambda_eclipse.prior import CONFIG_NAME, Prior, PriorConfig
from lambda_eclipse.state_dicts import read_safetensors
from lambda_eclipse.weights import WeightsError, read_json, write_json
from train.data.feature_shards import Source
from train.loop.checkpoints import CHECKPOINT, check_fit
from train.loop.checkpoints import read as read_checkpoint

NOTES_NAME = "training.json"  # beside a prior's weights: what it was trained on


def save(prior: Prior, folder: Path, clip: Source | None, **notes: Any) -> None:
    """Writes the folder that the app and the published code load, and notes on its training."""
    write_json({"clip": None if clip is None else asdict(clip), **notes}, folder / NOTES_NAME)
    prior.save(folder)


def load(source: str | Path, clip: Source | None = None) -> Prior:
    """A prior to train on: of a run's folder, a prior's folder, or a repository of the hub.

    float32, trainable. WeightsError where there is none, where it is of another kind, or where it
    was trained on another CLIP than `clip`.
    """
    path = Path(source)
    if (path / CHECKPOINT).is_file():
        notes = path / "prior"
        prior = _of_run(path)
    else:
        notes = resolve(str(source), "prior", (NOTES_NAME,))
        content = read_json(notes / CONFIG_NAME)
        if content.get("additional_embeddings", 3) == 3:
            prior = _of_eclipse(notes, content)
        else:
            prior = Prior.from_folder(notes)
    if clip is not None:
        _check_clip(prior, notes / NOTES_NAME, clip, str(source))
    return prior.train()


def _of_run(folder: Path) -> Prior:
    """The averaged weights of a run's checkpoint."""
    path = folder / CHECKPOINT
    content = read_checkpoint(path)
    state = content["ema"] or content["model"]
    try:
        width, dim = state["proj_in.weight"].shape
        positions = state["positional_embedding"].shape[1]
        layers = 1 + max(int(n.split(".")[1]) for n in state if n.startswith("transformer_blocks."))
    except (KeyError, ValueError):
        raise WeightsError(
            "{path} is not a prior's checkpoint: use the folder of a train.prior run.",
            path=path,
        ) from None
    head_dim = content.get("settings", {}).get("head_dim", 32)
    sizes = (width // head_dim, head_dim, layers, dim, positions - ADDITIONAL_EMBEDDINGS)
    prior = Prior(PriorConfig(*sizes))
    check_fit(prior, state, path)
    prior.load_state_dict(state)
    return prior


def _of_eclipse(folder: Path, content: Mapping[str, Any]) -> Prior:
    """λ-ECLIPSE's layout from ECLIPSE's."""
    path = folder / CONFIG_NAME
    full = {"num_embeddings": 77, **content, "additional_embeddings": ADDITIONAL_EMBEDDINGS}
    config = PriorConfig.from_dict(full, str(path))
    prior = Prior(config)
    ours = prior.state_dict()
    shapes = {n: tuple(t.shape) for n, t in ours.items() if not n.startswith("embedding_control")}
    _, positions, width = shapes["positional_embedding"]
    shapes["positional_embedding"] = (1, positions - 1, width)
    state = read_safetensors(network_file(folder), shapes, dtype=torch.float32)
    text = config.num_embeddings
    theirs = state["positional_embedding"]
    rows: list[Tensor] = [theirs[:, :text], theirs[:, text : text + 1], theirs[:, text:]]
    prior.load_state_dict(ours | state | {"positional_embedding": torch.cat(rows, 1)})
    return prior


def _check_clip(prior: Prior, notes: Path, clip: Source, source: str) -> None:
    """WeightsError where a prior doesn't belong to a CLIP, as far as that is known."""
    dim = prior.config.embedding_dim
    theirs = replace(clip, dimension=dim)
    if notes.is_file() and (told := read_json(notes).get("clip")):
        theirs = Source(**told)
    if differs := clip.difference(theirs):
        raise WeightsError(
            "The features are of another CLIP than the prior {source}: {difference}. Write the "
            "features with the prior's CLIP, or start from another prior.",
            source=source,
            difference=differs,
        )
