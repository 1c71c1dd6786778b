"""OpenCLIP models from their configuration, and what interleaving needs of them (Sec. 3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lambda_eclipse.layouts import OPEN_CLIP_CONFIG
from lambda_eclipse.networks import MODULES
from lambda_eclipse.tokens import Tokenizer
from lambda_eclipse.weights import WeightsError, missing_file

CONFIG_NAME = OPEN_CLIP_CONFIG


def model_cfg(cfg: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A copy of the "model_cfg" of a configuration; raises WeightsError unless it is a CLIP's."""
    settings = cfg.get("model_cfg")
    if not isinstance(settings, Mapping):
        raise WeightsError(
            "{where} has no model_cfg: use the model's own {file}.", where=where, file=CONFIG_NAME
        )
    missing = {"embed_dim", "vision_cfg", "text_cfg"} - settings.keys()
    if missing:
        raise WeightsError(
            "{where}: model_cfg lacks {names}: use the model's own {file}.",
            where=where,
            names=", ".join(sorted(missing)),
            file=CONFIG_NAME,
        )
    if "multimodal_cfg" in settings or settings["text_cfg"].get("hf_model_name"):
        raise WeightsError(
            "{where} is not of a plain CLIP model: use one with CLIP's own text tower.",
            where=where,
        )
    return deepcopy(dict(settings))


def build(settings: dict[str, Any], dtype: torch.dtype) -> nn.Module:
    """The OpenCLIP model of a `model_cfg` with random weights; in half precision, as OpenCLIP
    runs it, norms (and, without timm, embeddings) stay in float32.
    """
    from open_clip import model as open_clip_model
    from open_clip.transformer import LayerNormFp32

    timm_name = settings["vision_cfg"].get("timm_model_name") or ""
    if timm_name in MODULES:
        import_module(MODULES[timm_name])  # registers the tower with timm
    if timm_name:
        settings["vision_cfg"]["timm_model_pretrained"] = False
    kind = "CustomTextCLIP" if settings.pop("custom_text", False) else "CLIP"
    low = dtype in (torch.float16, torch.bfloat16)
    model: nn.Module = getattr(open_clip_model, kind)(**settings, cast_dtype=dtype if low else None)
    if low and timm_name:
        model.to(dtype=dtype)
        for module in model.modules():
            if isinstance(module, LayerNormFp32):
                module.float()
    elif low:
        open_clip_model.convert_weights_to_lp(model, dtype=dtype)
    return model


def tokenizer_of(cfg: Mapping[str, Any], folder: Path | None) -> Tokenizer:
    """The tokenizer of a configuration; its merges file is in `folder`."""
    context_length = cfg["model_cfg"]["text_cfg"].get("context_length", 77)
    name = cfg.get("tokenizer", {}).get("merges")
    if name is None:
        return Tokenizer(context_length)
    merges = Path(name) if folder is None else folder / name
    if not merges.is_file():
        raise missing_file(merges)
    return Tokenizer(context_length, merges)


def text_tower(model: nn.Module) -> Any:
    """The module with the text tower's parts: the model itself, or its `text` in newer ones."""
    return getattr(model, "text", model)


def embed_dim(tower: Any, tokenizer: Tokenizer) -> int:
    """The embedding width D; raises WeightsError unless subjects can replace token states."""
    table, width = tower.token_embedding.weight.shape
    if table != tokenizer.vocab_size:
        raise WeightsError(
            "The CLIP model has {model} tokens and its tokenizer {tokenizer}: use the merges file "
            "and the configuration of the same model.",
            model=table,
            tokenizer=tokenizer.vocab_size,
        )
    pool = getattr(tower, "text_pool_type", None) or getattr(tower, "pool_type", None)
    if tower.attn_mask is None or pool not in ("argmax", "eos"):
        raise WeightsError(
            "The CLIP model's text tower is not causal or does not pool at the end-of-text token: "
            "use a CLIP model that is and does."
        )
    projection = tower.text_projection
    if isinstance(projection, nn.Linear):
        dim = projection.out_features
    else:
        dim = width if projection is None else projection.shape[1]
    if dim != width:
        raise WeightsError(
            "The CLIP model's text states are {states} wide and its embeddings {embeddings}: use a "
            "model with equal widths, so that an embedding can replace a token's state.",
            states=width,
            embeddings=dim,
        )
    return int(dim)


def causal_mask(length: int) -> Tensor:
    """(length, length) additive attention mask."""
    return torch.full((length, length), float("-inf")).triu(1)
