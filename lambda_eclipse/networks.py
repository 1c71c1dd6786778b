"""Networks that a stack's configuration files name: their modules, and strict reading.

Modules are imported on first use: a stack imports only its own networks.
"""

from __future__ import annotations

import logging
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lambda_eclipse.weights import WeightsError, missing_file, read_json

if TYPE_CHECKING:
    import torch

# Name in a configuration → module. The published stack uses diffusers' own classes.
MODULES = {
    "UNet2DConditionModel": "diffusers",
    "VQModel": "diffusers",
    "PocketUNet": "lambda_eclipse.pocket.unet",
    "PocketMOVQ": "lambda_eclipse.pocket.movq",
    "pocket_grid_tower": "lambda_eclipse.pocket.tower",  # its import registers it with timm
}


def model_class(name: str) -> Any:
    """The class of a config's "_class_name"; raises WeightsError for an unknown one."""
    if name not in MODULES:
        raise WeightsError(
            'There is no network class "{name}": known are {names}.',
            name=name,
            names=", ".join(MODULES),
        )
    return getattr(import_module(MODULES[name]), name)


def read_model(folder: Path, dtype: torch.dtype) -> Any:
    """Read a U-Net or an autoencoder strictly, from its folder in the hub's layout.

    Diffusers alone would fill missing tensors at random. Raises WeightsError naming the file.
    """
    from diffusers.utils import logging as diffusers_logging

    cls = model_class(str(read_json(folder / "config.json").get("_class_name")))
    weights = folder / "diffusion_pytorch_model.safetensors"
    if not weights.is_file():
        raise missing_file(weights)
    # Silence diffusers: whatever is wrong with the file is raised below.
    verbosity = diffusers_logging.get_verbosity()
    diffusers_logging.set_verbosity(logging.CRITICAL)
    try:
        model, info = cls.from_pretrained(
            folder, torch_dtype=dtype, use_safetensors=True, output_loading_info=True
        )
    except Exception as error:  # each library below raises its own types
        reason = str(error).split(". ")[0]  # diffusers adds advice for programmers
        raise WeightsError(
            "{path} does not match its configuration or is damaged: {reason}.",
            path=weights,
            reason=reason,
        ) from error
    finally:
        diffusers_logging.set_verbosity(verbosity)
    wrong = [
        f"{len(info[kind])} {kind.split('_')[0]} ({info[kind][0]})"
        for kind in ("missing_keys", "unexpected_keys", "mismatched_keys")
        if info[kind]
    ]
    if wrong:
        raise WeightsError(
            "{path} does not match its configuration: tensors {wrong}.",
            path=weights,
            wrong=", ".join(wrong),
        )
    for tensor in (*model.parameters(), *model.buffers()):
        # Copy out of the mapped file into aligned memory: alignment changes the order of sums in
        # kernels, so the same weights would give other bits depending on how they were loaded.
        tensor.data = tensor.data.clone()
    return model
