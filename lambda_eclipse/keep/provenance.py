"""Provenance of a picture: stack, weights, package versions and device."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import torch

from lambda_eclipse import __version__
from lambda_eclipse.keep.weight_checksums import checksums_of
from lambda_eclipse.models import Models


def provenance(models: Models) -> dict[str, Any]:
    """The fields of a recipe that are the same for all that `models` paint."""
    return {
        "batch_size": models.stack.batch_size,
        "stack": models.stack.name,
        "weights": checksums_of(models),
        "versions": {
            "lambda_eclipse": __version__,
            "torch": str(torch.__version__),  # with the build, which the package's version lacks
            "diffusers": metadata.version("diffusers"),
            "open_clip": metadata.version("open_clip_torch"),
        },
        "device": models.device.type,
        "size_px": models.decoder.native_size_px,
    }
