"""OpenCLIP's weights in the classes of transformers: one CLIPModel, or the pair of its towers.

The repository of Kandinsky's prior holds ViT-bigG/14 as CLIPVisionModelWithProjection and
CLIPTextModelWithProjection. The networks are the same; tensors have other names, projections are
transposed, and the three projections of an attention are one matrix in OpenCLIP.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lambda_eclipse.layouts import (
    CONFIG,
    OPEN_CLIP_CONFIG,
    PREPROCESSING,
    TOWERS,
    TRANSFORMERS,
    network_file,
)
from lambda_eclipse.tensor_files import Constant, Joined, Source, Transposed, entries
from lambda_eclipse.weights import WeightsError, read_json

EPSILON = 1e-5  # of OpenCLIP's layer norms
ACTIVATIONS = ("gelu", "quick_gelu")
MAX_LOGIT_SCALE = math.log(100)  # where OpenCLIP's training clamps it; the towers alone lack it
_TOP = {
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.pre_layrnorm.weight": "visual.ln_pre.weight",
    "vision_model.pre_layrnorm.bias": "visual.ln_pre.bias",
    "vision_model.post_layernorm.weight": "visual.ln_post.weight",
    "vision_model.post_layernorm.bias": "visual.ln_post.bias",
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
    "logit_scale": "logit_scale",
}
_TRANSPOSED = {
    "visual_projection.weight": "visual.proj",
    "text_projection.weight": "text_projection",
}
_BLOCKS = {
    "vision_model.encoder.layers.": "visual.transformer.resblocks.",
    "text_model.encoder.layers.": "transformer.resblocks.",
}
_IN_BLOCK = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_QKV = ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")


def is_in(folder: Path) -> bool:
    """Whether a folder holds a CLIP in the classes of transformers, and not in OpenCLIP's."""
    configs = (CONFIG, *(f"{tower}/{CONFIG}" for tower in TOWERS))
    return not (folder / OPEN_CLIP_CONFIG).is_file() and any(
        (folder / c).is_file() for c in configs
    )


def read_config(folder: Path) -> dict[str, Any]:
    """What an open_clip_config.json would say of the model; WeightsError for other networks."""
    from transformers import CLIPConfig, CLIPTextConfig, CLIPVisionConfig

    if (folder / CONFIG).is_file():
        path = folder / CONFIG
        whole = CLIPConfig.from_dict(read_json(path))
        vision, text, dim = whole.vision_config, whole.text_config, whole.projection_dim
        preprocessing = folder / Path(PREPROCESSING).name
    else:
        path, text_path = (folder / tower / CONFIG for tower in TOWERS)
        vision = CLIPVisionConfig.from_dict(read_json(path))
        text = CLIPTextConfig.from_dict(read_json(text_path))
        dim = vision.projection_dim
        preprocessing = folder / PREPROCESSING
    for config in (vision, text):
        if config.layer_norm_eps != EPSILON or config.hidden_act not in ACTIVATIONS:
            raise WeightsError("{path} is not of an OpenCLIP model: use one that is.", path=path)
    model = {
        "embed_dim": dim,
        "quick_gelu": vision.hidden_act == "quick_gelu",
        "vision_cfg": {
            **_tower(vision),
            "head_width": vision.hidden_size // vision.num_attention_heads,
            "image_size": vision.image_size,
            "patch_size": vision.patch_size,
        },
        "text_cfg": {
            **_tower(text),
            "heads": text.num_attention_heads,
            "context_length": text.max_position_embeddings,
            "vocab_size": text.vocab_size,
        },
    }
    return {"model_cfg": model, "preprocess_cfg": _preprocessing(preprocessing)}


def _tower(config: Any) -> dict[str, Any]:
    """Sizes; OpenCLIP rounds the inner width down, so it gets half a number more."""
    ratio = (config.intermediate_size + 0.5) / config.hidden_size
    return {"layers": config.num_hidden_layers, "width": config.hidden_size, "mlp_ratio": ratio}


def _preprocessing(path: Path) -> dict[str, Any]:
    """Mean and standard deviation of pictures; without a file OpenCLIP's defaults."""
    if not path.is_file():
        return {}
    content = read_json(path)
    names = {"image_mean": "mean", "image_std": "std"}
    return {ours: content[theirs] for theirs, ours in names.items() if theirs in content}


def find(folder: Path, half: bool) -> dict[str, Source]:
    """The tensors under OpenCLIP's names, of files in half precision where they may be."""
    folders = [folder] if (folder / CONFIG).is_file() else [folder / tower for tower in TOWERS]
    found: dict[str, Source] = {}
    for one in folders:
        found |= entries(network_file(one, TRANSFORMERS, half))
    return renamed(found)


def renamed(found: Mapping[str, Source]) -> dict[str, Source]:
    """Tensors under OpenCLIP's names; those that nobody knows keep theirs."""
    ours: dict[str, Source] = {"logit_scale": Constant(torch.tensor(MAX_LOGIT_SCALE))}
    for name, source in found.items():
        if name.endswith("position_ids"):
            continue  # a counter in files of older versions
        if name in _TRANSPOSED:
            ours[_TRANSPOSED[name]] = Transposed(source)
            continue
        new = _TOP.get(name) or _in_block(name)
        if new is None and any(part in name for part in _QKV):
            continue  # joined below
        ours[new or name] = source
    for name in found:
        if _QKV[0] in name:
            parts = [found.get(name.replace(_QKV[0], part)) for part in _QKV]
            block = _block(name.replace(_QKV[0] + ".", "attn.in_proj_"))
            if block and all(parts):
                ours[block] = Joined([part for part in parts if part is not None])
    return ours


def _in_block(name: str) -> str | None:
    """OpenCLIP's name of a tensor of a transformer block, but for queries, keys and values."""
    for theirs, ours in _IN_BLOCK.items():
        if f".{theirs}." in name:
            return _block(name.replace(theirs, ours))
    return None


def _block(name: str) -> str | None:
    for theirs, ours in _BLOCKS.items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return None
