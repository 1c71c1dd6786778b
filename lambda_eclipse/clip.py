"""CLIP's two towers as one encoder: prompts → token states and pooled text, pictures → embeddings.

Any OpenCLIP model with a causal text transformer as wide as the embedding, given by its model
configuration. Embeddings are never normalised: the prior and the decoder expect them so.

Letters: B prompts or pictures, L text positions kept, D embedding width, P side in px.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from lambda_eclipse.tokens import TokenBatch, Tokenizer
from lambda_eclipse.weights import WeightsError, load_module, read_json, verify

CONFIG_NAME = "open_clip_config.json"
WEIGHTS_NAME = "open_clip_model.safetensors"


@dataclass(frozen=True)
class TextFeatures:
    """What the text tower makes of a batch of prompts.

    states: (B, L, D) after the tower's final layer norm, before projection; L is the length of
    the longest prompt, start and end included. pooled: (B, D), projected, unnormalised.
    mask: (B, L) bool, true up to and including end-of-text.
    """

    states: Tensor
    pooled: Tensor
    mask: Tensor


class Clip(nn.Module):
    """An OpenCLIP model with its tokenizer and its picture preparation.

    model: the OpenCLIP model. image_size: side in px. embed_dim: D. mean, std: normalisation of
    RGB in [0, 1].
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Tokenizer,
        preprocess: Mapping[str, Any],
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        from open_clip.transform import PreprocessCfg, image_transform_v2, merge_preprocess_dict

        size = model.visual.image_size
        settings = PreprocessCfg(**merge_preprocess_dict(PreprocessCfg(), dict(preprocess)))
        settings.size = size if isinstance(size, int) else size[0]
        self.model = model
        self.tokenizer = tokenizer
        self.dtype = dtype
        self.image_size: int = settings.size
        self.embed_dim: int = _check_text(_text_tower(model), tokenizer)
        self.mean = tuple(settings.mean)
        self.std = tuple(settings.std)
        self._prepare = image_transform_v2(settings, is_train=False)
        self._null: Tensor | None = None

    @classmethod
    def from_config(cls, cfg: Mapping[str, Any], folder: Path | None = None) -> Clip:
        """A model with random weights from the content of an open_clip_config.json.

        cfg: {"model_cfg": …, "preprocess_cfg": …, "tokenizer": {"merges": file in `folder`}}, the
        last two optional. Evaluation mode, float32, trainable.
        """
        model = _build(_model_cfg(cfg, "The configuration"), torch.float32)
        return cls(model, _tokenizer(cfg, folder), cfg.get("preprocess_cfg", {})).eval()

    @classmethod
    def from_folder(
        cls,
        path: str | Path,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        manifest: Path | None = None,
    ) -> Clip:
        """Load open_clip_config.json and the weights beside it, strictly; frozen.

        manifest: a manifest file to check the folder against. WeightsError names the culprit.
        """
        path = Path(path)
        if manifest is not None:
            verify(manifest, path)
        cfg = read_json(path / CONFIG_NAME)
        model_cfg = _model_cfg(cfg, str(path / CONFIG_NAME))
        # Towers from timm compute constants while they are built, so those need a real device;
        # the others skip the slow random initialisation.
        is_timm = bool(model_cfg["vision_cfg"].get("timm_model_name"))
        with torch.device("cpu" if is_timm else "meta"):
            model = _build(model_cfg, dtype)
        types = {name: tensor.dtype for name, tensor in model.state_dict().items()}
        load_module(model, path / WEIGHTS_NAME, device, types.__getitem__)
        tower = _text_tower(model)
        if tower.attn_mask is not None and tower.attn_mask.is_meta:
            tower.attn_mask = _causal_mask(tower.context_length)  # not in the weights file
        clip = cls(model.to(device), _tokenizer(cfg, path), cfg.get("preprocess_cfg", {}), dtype)
        return clip.eval().requires_grad_(False)

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def text(self, prompts: Sequence[str]) -> TextFeatures:
        """Encode prompts; those longer than the context are cut off."""
        return self.tokens(self.tokenizer.encode(prompts))

    def tokens(self, batch: TokenBatch) -> TextFeatures:
        """Encode prompts that are tokens already.

        Attention is causal, so the positions after the longest prompt have no influence on the
        others and are left out.
        """
        lengths = batch.mask.sum(dim=1)  # (B,)
        kept = int(lengths.max())  # L
        ids = batch.ids[:, :kept].to(self.device)  # (B, L)
        ends = (lengths - 1).to(self.device)  # (B,)
        tower = _text_tower(self.model)
        dtype = tower.transformer.get_cast_dtype()
        x = tower.token_embedding(ids).to(dtype)  # (B, L, D)
        x = x + tower.positional_embedding[:kept].to(dtype)  # (B, L, D)
        x = tower.transformer(x, attn_mask=tower.attn_mask[:kept, :kept])  # (B, L, D)
        states = tower.ln_final(x)  # (B, L, D)
        pooled = states[torch.arange(len(ids), device=self.device), ends]  # (B, D)
        projection = tower.text_projection
        if isinstance(projection, nn.Linear):
            pooled = projection(pooled)  # (B, D)
        elif projection is not None:
            pooled = pooled @ projection  # (B, D)
        return TextFeatures(states, pooled, batch.mask[:, :kept].to(self.device))

    def image(self, pictures: Sequence[Image.Image] | Tensor) -> Tensor:
        """Embeddings (B, D) of RGB pictures, or of a tensor (B, 3, H, W), RGB in [0, 1].

        Pictures are resized and cropped to (P, P) as the model's configuration says.
        ValueError for other modes and shapes.
        """
        if isinstance(pictures, Tensor):
            if pictures.ndim != 4 or pictures.shape[1] != 3:
                raise ValueError(f"Pictures are {tuple(pictures.shape)}; expected (B, 3, H, W).")
            pixels = self._prepare(pictures.to(self.device))  # (B, 3, P, P)
        else:
            if not pictures:
                raise ValueError("There is no picture to encode.")
            for picture in pictures:
                if picture.mode != "RGB":
                    raise ValueError(f"A picture is {picture.mode}; flatten it to RGB first.")
            pixels = torch.stack([self._prepare(p) for p in pictures])  # (B, 3, P, P)
        return self.model.encode_image(pixels.to(self.device, self.dtype))  # (B, D)

    def alike(self, scene: Tensor, subjects: Tensor) -> Tensor:
        """Cosines (K,) of a scene's embedding (D,) with those of subjects (K, D), shown alone.

        Where the image tower has numbers for each who stands in a scene, those count.
        """
        scene, subjects = scene.float().cpu(), subjects.float().cpu()
        trunk = getattr(self.model.visual, "trunk", None)
        if hasattr(trunk, "alike"):
            return trunk.alike(scene, subjects)
        return F.cosine_similarity(scene[None], subjects, dim=1)

    def null_image(self) -> Tensor:
        """Embedding (1, D) of the null image: zero everywhere *after* normalisation.

        It stands for "no edge map" in the prior and is the decoder's negative condition. It
        depends on the weights alone, so it is computed once.
        """
        if self._null is None:
            # A constant made under inference mode could not take part in a later training.
            with torch.inference_mode(False), torch.no_grad():
                zeros = torch.zeros(1, 3, self.image_size, self.image_size)
                self._null = self.model.encode_image(zeros.to(self.device, self.dtype))
        return self._null.to(self.device)


def _model_cfg(cfg: Mapping[str, Any], where: str) -> dict[str, Any]:
    model_cfg = cfg.get("model_cfg")
    if not isinstance(model_cfg, Mapping):
        raise WeightsError(f"{where} has no model_cfg: use the model's own {CONFIG_NAME}.")
    missing = {"embed_dim", "vision_cfg", "text_cfg"} - model_cfg.keys()
    if missing:
        raise WeightsError(f"{where}: model_cfg lacks {', '.join(sorted(missing))}.")
    if "multimodal_cfg" in model_cfg or model_cfg["text_cfg"].get("hf_model_name"):
        raise WeightsError(f"{where} describes no plain CLIP model: its text tower must be CLIP's.")
    return deepcopy(dict(model_cfg))


def _build(model_cfg: dict[str, Any], dtype: torch.dtype) -> nn.Module:
    """The OpenCLIP model with random weights, its tensors of the types that `dtype` asks for."""
    from open_clip import model as open_clip_model
    from open_clip.transformer import LayerNormFp32

    timm_name = model_cfg["vision_cfg"].get("timm_model_name") or ""
    if timm_name.startswith("pocket_"):
        import lambda_eclipse.pocket.tower  # noqa: F401  (the import registers the tower with timm)
    if timm_name:
        model_cfg["vision_cfg"]["timm_model_pretrained"] = False
    kind = "CustomTextCLIP" if model_cfg.pop("custom_text", False) else "CLIP"
    low = dtype in (torch.float16, torch.bfloat16)
    model = getattr(open_clip_model, kind)(**model_cfg, cast_dtype=dtype if low else None)
    if low and timm_name:
        model.to(dtype=dtype)
        for module in model.modules():
            if isinstance(module, LayerNormFp32):
                module.float()
    elif low:
        # Matrices in low precision, norms and embeddings in float32, as OpenCLIP runs them.
        open_clip_model.convert_weights_to_lp(model, dtype=dtype)
    return model


def _tokenizer(cfg: Mapping[str, Any], folder: Path | None) -> Tokenizer:
    context_length = cfg["model_cfg"]["text_cfg"].get("context_length", 77)
    name = cfg.get("tokenizer", {}).get("merges")
    if name is None:
        return Tokenizer(context_length)
    merges = Path(name) if folder is None else folder / name
    if not merges.is_file():
        raise WeightsError(f"{merges} is missing: fetch the whole folder again.")
    return Tokenizer(context_length, merges)


def _text_tower(model: nn.Module) -> Any:
    """Where the text tower's parts hang: on the model itself, or on `text` in newer ones."""
    return getattr(model, "text", model)


def _check_text(tower: Any, tokenizer: Tokenizer) -> int:
    """The embedding width, if subjects can be interleaved with this tower's states."""
    table, width = tower.token_embedding.weight.shape
    if table != tokenizer.vocab_size:
        raise WeightsError(
            f"The CLIP model knows {table} tokens and its tokenizer {tokenizer.vocab_size}: "
            f"use the merges file and the configuration of one and the same model."
        )
    pool = getattr(tower, "text_pool_type", None) or getattr(tower, "pool_type", None)
    if tower.attn_mask is None or pool not in ("argmax", "eos"):
        raise WeightsError(
            "The CLIP model's text tower is not causal or does not read its end-of-text token; "
            "λ-ECLIPSE needs one that is and does."
        )
    projection = tower.text_projection
    if isinstance(projection, nn.Linear):
        dim = projection.out_features
    else:
        dim = width if projection is None else projection.shape[1]
    if dim != width:
        raise WeightsError(
            f"The CLIP model's text states are {width} wide and its embeddings {dim}; a subject's "
            f"embedding can take a token's place only where both are the same."
        )
    return dim


def _causal_mask(length: int) -> Tensor:
    return torch.full((length, length), float("-inf")).triu(1)
