"""CLIP as one encoder: prompts → token states and pooled text, pictures → embeddings.

Works for any OpenCLIP model with a causal text transformer as wide as the embedding. Embeddings
are never normalised: the prior and the decoder expect them so.

Letters: B prompts or pictures, L text positions kept, D embedding width, P side in px.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from lambda_eclipse import clip_pair
from lambda_eclipse.clip_model import (
    CONFIG_NAME,
    build,
    causal_mask,
    embed_dim,
    model_cfg,
    text_tower,
    tokenizer_of,
)
from lambda_eclipse.layouts import OPEN_CLIP, network_file
from lambda_eclipse.manifest import verify
from lambda_eclipse.state_dicts import load_module
from lambda_eclipse.tensor_files import entries
from lambda_eclipse.tokens import TokenBatch, Tokenizer
from lambda_eclipse.weights import read_json

WEIGHTS_NAME = OPEN_CLIP[0]


@dataclass(frozen=True)
class TextFeatures:
    """The text tower's output for a batch of prompts.

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

        tower: Any = model.visual
        size = tower.image_size
        settings = PreprocessCfg(**merge_preprocess_dict(PreprocessCfg(), dict(preprocess)))
        settings.size = size if isinstance(size, int) else size[0]
        self.model: Any = model
        self.tokenizer = tokenizer
        self.dtype = dtype
        self.image_size: int = settings.size
        self.embed_dim: int = embed_dim(text_tower(model), tokenizer)
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
        model = build(model_cfg(cfg, "The configuration"), torch.float32)
        return cls(model, tokenizer_of(cfg, folder), cfg.get("preprocess_cfg", {})).eval()

    @classmethod
    def from_folder(
        cls,
        path: str | Path,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        manifest: Path | None = None,
    ) -> Clip:
        """Load a folder in any layout of a CLIP (`layouts`), strictly; frozen.

        manifest: checksums to verify first. Raises WeightsError naming the file.
        """
        path = Path(path)
        if manifest is not None:
            verify(manifest, path)
        in_towers = clip_pair.is_in(path)
        cfg = clip_pair.read_config(path) if in_towers else read_json(path / CONFIG_NAME)
        settings = model_cfg(cfg, str(path / CONFIG_NAME))
        # Towers from timm compute constants when built, so they need a real device; on the meta
        # device the others skip the slow random initialisation.
        is_timm = bool(settings["vision_cfg"].get("timm_model_name"))
        with torch.device("cpu" if is_timm else "meta"):
            model = build(settings, dtype)
        types = {name: tensor.dtype for name, tensor in model.state_dict().items()}
        weights = network_file(path, OPEN_CLIP)
        found = clip_pair.find(path, dtype == torch.float16) if in_towers else entries(weights)
        load_module(model, found, path if in_towers else weights, device, types.__getitem__)
        tower = text_tower(model)
        if tower.attn_mask is not None and tower.attn_mask.is_meta:
            tower.attn_mask = causal_mask(tower.context_length)  # not in the weights file
        clip = cls(model.to(device), tokenizer_of(cfg, path), cfg.get("preprocess_cfg", {}), dtype)
        return clip.eval().requires_grad_(False)

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def text(self, prompts: Sequence[str]) -> TextFeatures:
        """Encode prompts; longer ones are truncated to the context."""
        return self.tokens(self.tokenizer.encode(prompts))

    def tokens(self, batch: TokenBatch) -> TextFeatures:
        """Encode tokenized prompts.

        Attention is causal: positions after the longest prompt do not influence the others and
        are dropped.
        """
        lengths = batch.mask.sum(dim=1)  # (B,)
        kept = int(lengths.max())  # L
        ids = batch.ids[:, :kept].to(self.device)  # (B, L)
        ends = (lengths - 1).to(self.device)  # (B,)
        tower = text_tower(self.model)
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

        Pictures are resized and cropped to (P, P) by the model's configuration. Raises ValueError
        for other modes and shapes.
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

    def null_image(self) -> Tensor:
        """Embedding (1, D) of the null image: zero everywhere *after* normalisation.

        The prior's control input without an edge map, and the decoder's negative condition.
        Computed once.
        """
        if self._null is None:
            # Tensors made in inference mode could not take part in a later training.
            with torch.inference_mode(False), torch.no_grad():
                zeros = torch.zeros(1, 3, self.image_size, self.image_size)
                self._null = self.model.encode_image(zeros.to(self.device, self.dtype))
        return self._null.to(self.device)
