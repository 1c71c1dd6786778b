"""Folders in the hub's layout with small random weights of the published architectures."""

import json
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel, VQModel
from repository import FIXTURES
from safetensors.torch import save_file

from lambda_eclipse.clip import Clip
from lambda_eclipse.prior import Prior, PriorConfig

DIM = 64  # embedding width of the small stack


def published() -> dict:
    """unet, movq and scheduler configurations of the published Kandinsky 2.2 decoder."""
    return json.loads((FIXTURES / "kandinsky22_decoder_config.json").read_text())


def small_unet(seed: int = 0) -> UNet2DConditionModel:
    """Kandinsky's U-Net with four narrow levels and 8 × 8 latents."""
    torch.manual_seed(seed)
    config = published()["unet"] | {
        "block_out_channels": [32, 32, 64, 64],
        "layers_per_block": 1,
        "attention_head_dim": 16,
        "cross_attention_dim": 32,
        "encoder_hid_dim": DIM,
        "sample_size": 8,
    }
    return UNet2DConditionModel.from_config(config).eval()


def small_movq(seed: int = 0) -> VQModel:
    """Kandinsky's MOVQ; SpatialNorm has 32 groups, so no level is narrower."""
    torch.manual_seed(seed)
    config = published()["movq"] | {
        "block_out_channels": [32, 32, 32, 32],
        "layers_per_block": 1,
        "num_vq_embeddings": 32,
    }
    return VQModel.from_config(config).eval()


def write_decoder(folder: Path) -> Path:
    small_unet().save_pretrained(folder / "unet")
    small_movq().save_pretrained(folder / "movq")
    (folder / "scheduler").mkdir(parents=True)
    scheduler = folder / "scheduler" / "scheduler_config.json"
    scheduler.write_text(json.dumps(published()["scheduler"]))
    return folder


def write_clip(folder: Path) -> Path:
    torch.manual_seed(1)
    config = {
        "model_cfg": {
            "embed_dim": DIM,
            "vision_cfg": {
                "image_size": 32,
                "layers": 2,
                "width": 64,
                "head_width": 32,
                "patch_size": 8,
            },
            "text_cfg": {
                "context_length": 77,
                "vocab_size": 49408,
                "width": DIM,
                "heads": 2,
                "layers": 2,
            },
        },
        "preprocess_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
    }
    folder.mkdir(parents=True)
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    state = Clip.from_config(config).model.state_dict()
    save_file(
        {name: tensor.contiguous() for name, tensor in state.items()},
        folder / "open_clip_model.safetensors",
    )
    return folder


def write_prior(folder: Path) -> Path:
    torch.manual_seed(2)
    config = PriorConfig(
        num_attention_heads=4, attention_head_dim=16, num_layers=2, embedding_dim=DIM
    )
    prior = Prior(config)
    for parameter in prior.parameters():  # its positions and query start as zeros
        torch.nn.init.normal_(parameter, std=0.1)
    prior.save(folder)
    return folder


def write_stack(root: Path) -> dict[str, str]:
    """clip, prior and decoder folders below `root`, as sources of a stack."""
    return {
        "clip": str(write_clip(root / "clip")),
        "prior": str(write_prior(root / "prior")),
        "decoder": str(write_decoder(root / "decoder")),
    }
