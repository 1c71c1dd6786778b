"""Networks that a stack's configuration files name: their modules, and strict reading.

Modules are imported on first use: a stack imports only its own networks.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lambda_eclipse.layouts import network_file
from lambda_eclipse.state_dicts import load_module
from lambda_eclipse.tensor_files import Source, entries
from lambda_eclipse.weights import WeightsError, read_json

# Name in a configuration → module. The published stack uses diffusers' own classes.
MODULES = {
    "UNet2DConditionModel": "diffusers",
    "VQModel": "diffusers",
    "PocketUNet": "lambda_eclipse.pocket.unet",
    "PocketMOVQ": "lambda_eclipse.pocket.movq",
    "pocket_grid_tower": "lambda_eclipse.pocket.tower",  # its import registers it with timm
}

_RENAMED = {
    ".query.": ".to_q.",
    ".key.": ".to_k.",
    ".value.": ".to_v.",
    ".proj_attn.": ".to_out.0.",
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


def read_model(folder: Path, dtype: torch.dtype, device: str | torch.device = "cpu") -> Any:
    """Read a U-Net or an autoencoder strictly, from its folder in the hub's layout.

    Diffusers alone would fill missing tensors at random. Raises WeightsError naming the file.
    """
    config = read_json(folder / "config.json")
    name = str(config.get("_class_name"))
    model = _build(model_class(name), config, folder / "config.json", MODULES[name] == "diffusers")
    path = network_file(folder, half=dtype == torch.float16)
    load_module(model, _renamed(entries(path), model), path, device, dtype)
    # Past diffusers' own `to`, which warns of casts: buffers that no file holds are left for it.
    return nn.Module.to(model, device=device, dtype=dtype).eval()


def _build(cls: Any, config: dict[str, Any], path: Path, empty: bool) -> Any:
    """The network of a configuration; `empty`: on the meta device, without random weights, which
    networks that compute constants when built cannot be.
    """
    from diffusers.utils import logging as diffusers_logging

    # Silence diffusers: whatever is wrong with the configuration is raised here or when loading.
    verbosity = diffusers_logging.get_verbosity()
    diffusers_logging.set_verbosity(logging.CRITICAL)
    try:
        with torch.device("meta" if empty else "cpu"):
            return cls.from_config(config)
    except Exception as error:  # the classes below raise their own types
        raise WeightsError(
            "{path} does not match a network of its class ({reason}): download it again.",
            path=path,
            reason=str(error).split(". ")[0],
        ) from error
    finally:
        diffusers_logging.set_verbosity(verbosity)


def _renamed(found: Mapping[str, Source], model: nn.Module) -> dict[str, Source]:
    """The tensors under today's names: diffusers renamed those of attention in version 0.17."""
    expected = model.state_dict().keys()
    named = dict(found)
    for name in found.keys() - expected:
        new = name
        for old_part, new_part in _RENAMED.items():
            new = new.replace(old_part, new_part)
        if new in expected:
            named[new] = named.pop(name)
    return named
