"""The pocket CLIP's configuration and vocabulary, in OpenCLIP's format."""

import gzip
from pathlib import Path
from typing import Any

from open_clip.tokenizer import default_bpe

from train.pocket.pretrained import MEAN, STD

EMBED_DIM, TEXT_LAYERS, TEXT_HEADS, TEXT_MLP_RATIO = 640, 2, 10, 0.5
MERGES = 4000  # of OpenCLIP's 48,894: a token table of 6 MB instead of 63


def write_merges(path: Path) -> None:
    """Write OpenCLIP's byte-pair merges, cut to the most frequent `MERGES`."""
    with gzip.open(default_bpe()) as full:
        lines = full.read().decode("utf-8").split("\n")[: MERGES + 1]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
        file.write("\n".join(lines).encode("utf-8"))


def configuration() -> dict[str, Any]:
    """The content of open_clip_config.json."""
    return {
        "model_cfg": {
            "embed_dim": EMBED_DIM,
            "vision_cfg": {
                "image_size": 128,
                "timm_model_name": "pocket_grid_tower",
                "timm_pool": "",
                "timm_proj": "",
            },
            "text_cfg": {
                "context_length": 77,
                "vocab_size": 512 + MERGES + 2,
                "width": EMBED_DIM,
                "heads": TEXT_HEADS,
                "layers": TEXT_LAYERS,
                "mlp_ratio": TEXT_MLP_RATIO,
            },
        },
        "preprocess_cfg": {
            "size": 128,
            "mean": [MEAN] * 3,
            "std": [STD] * 3,
            "interpolation": "bicubic",
            "resize_mode": "shortest",
        },
        "tokenizer": {"merges": "merges.txt.gz"},
    }
