"""What the finished CLIP and autoencoder make of the shards: the data of the decoder and the prior.

    python -m train.embeddings --shards SHARDS --clip CLIP [--movq MOVQ]

Writes `views-embed.npy` and `<side>-embed.npy` (N, D), `null-embed.npy` (1, D), per side
`<side>-edges-embed.npy` (Canny maps; of every `EDGE_EVERY`-th training scene) and, given --movq,
`<side>-latents.npy` (N, C, 16, 16), all float16.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lambda_eclipse.canny import edge_map
from lambda_eclipse.clip import Clip
from lambda_eclipse.movq import PocketMOVQ
from train.features import FastFeatures
from train.shards import Shards, pixels

EDGE_EVERY = 4
PIECE = 256


def write(path: Path, count: int, compute: Callable[[np.ndarray], Tensor]) -> None:
    """Fills an array piece by piece; the file appears when it is whole."""
    if path.exists():
        return
    pieces = [
        compute(np.arange(first, min(count, first + PIECE))).half().numpy()
        for first in range(0, count, PIECE)
    ]
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.save(file, np.concatenate(pieces))
    part.replace(path)


def edges(pictures: np.ndarray) -> np.ndarray:
    """Canny maps of pictures (n, 128, 128, 3), as the application draws them."""
    maps = [edge_map(Image.fromarray(picture), size_px=128) for picture in pictures]
    return np.stack([np.asarray(m.convert("RGB")) for m in maps])


@torch.no_grad()
def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Embed the shards with the finished networks.")
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--clip", type=Path, help="folder of the finished CLIP")
    parser.add_argument("--movq", type=Path, help="folder of the finished autoencoder")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    folder = arguments.shards
    shards = Shards(folder)
    counts = {"views": len(shards.views), **{s: len(rows) for s, rows in shards.rows.items()}}
    pictures = {"views": shards.views, **shards.scenes}
    if arguments.clip:
        clip = Clip.from_folder(arguments.clip)
        tower = clip.model.visual.trunk
        np.save(folder / "null-embed.npy", clip.null_image().half().numpy())
        for name, count in counts.items():
            write(
                folder / f"{name}-embed.npy",
                count,
                lambda index, name=name: tower.embed(*shards.features(tower, name, index)),
            )
        fast = FastFeatures(tower, folder, arguments.threads)

        def embed_edges(name: str, index: np.ndarray) -> Tensor:
            maps = edges(pictures[name][index * EDGE_EVERY])
            grid, logits = fast(maps)
            patches = tower.patches(pixels(maps)).flatten(1)
            return tower.embed(torch.from_numpy(grid), torch.from_numpy(logits), patches)

        for name in ("held", "seen", "train"):
            write(
                folder / f"{name}-edges-embed.npy",
                -(-counts[name] // EDGE_EVERY),  # the last ones too when it does not divide
                lambda index, name=name: embed_edges(name, index),
            )
    if arguments.movq:
        movq = PocketMOVQ.from_pretrained(arguments.movq, torch_dtype=torch.float32).eval()
        for name in ("held", "seen", "train"):
            write(
                folder / f"{name}-latents.npy",
                counts[name],
                lambda index, name=name: movq.encode(pixels(pictures[name][index])),
            )


if __name__ == "__main__":
    main()
