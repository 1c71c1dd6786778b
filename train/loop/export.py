"""Finished weights into the folder layout that `lambda_eclipse` reads: fp16 safetensors, JSON."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from diffusers import ModelMixin

from lambda_eclipse.clip import WEIGHTS_NAME, Clip
from lambda_eclipse.clip_model import CONFIG_NAME
from lambda_eclipse.weights import save_fp16, write_json

MODULE_WEIGHTS = "diffusion_pytorch_model.safetensors"


def save_module(module: ModelMixin, folder: Path) -> None:
    """A diffusers-style module: `config.json` and fp16 weights."""
    folder.mkdir(parents=True, exist_ok=True)
    module.save_config(folder)
    save_fp16(module.state_dict(), folder / MODULE_WEIGHTS)


def save_clip(clip: Clip, config: Mapping[str, Any], folder: Path) -> None:
    """An OpenCLIP model: `open_clip_config.json` and fp16 weights."""
    write_json(config, folder / CONFIG_NAME)
    save_fp16(clip.model.state_dict(), folder / WEIGHTS_NAME)
