"""What the finished CLIP and autoencoder make of the shards: the data of the decoder and the prior.

    python -m train.pocket.embeddings --shards SHARDS --clip CLIP [--movq MOVQ]

Writes `views-embed.npy` and `<side>-embed.npy` (N, D), `null-embed.npy` (1, D), per side
`<side>-edges-embed.npy` (Canny maps; of every `FREE_EVERY`-th scene: the free ones) and, given
--movq, `<side>-latents.npy` (N, C, 16, 16) and the same of the empty places in the order of
`PLACES` (`places-latents.npy`), all float16.
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
from lambda_eclipse.networks import read_model
from lambda_eclipse.pocket.tower import GridTower
from train.pocket.trunk import FastFeatures
from train.world.arrays import FREE_EVERY, Shards, pixels
from train.world.places import PLACES
from train.world.render import ground

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


def check_appearance(tower: GridTower, folder: Path) -> None:
    """ValueError when the CLIP finds and encodes subjects otherwise than the shards' were."""
    own = tower.state_dict()
    for name, given in torch.load(folder / "appearance.pt", weights_only=True).items():
        if not torch.allclose(own[name], given, atol=1e-2):
            raise ValueError(
                f"{folder} was encoded with another {name} than the CLIP's: "
                f"run train.pocket.appearance and train.pocket.clip on the same shards."
            )


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
        check_appearance(tower, folder)
        np.save(folder / "null-embed.npy", clip.null_image().half().numpy())
        for name, count in counts.items():
            write(
                folder / f"{name}-embed.npy",
                count,
                lambda index, name=name: tower.embed(*shards.features(name, index)),
            )
        fast = FastFeatures(tower, folder, arguments.threads)

        def embed_edges(name: str, index: np.ndarray) -> Tensor:
            maps = edges(pictures[name][index * FREE_EVERY])
            grid, logits = fast(maps)
            grid, logits = torch.from_numpy(grid), torch.from_numpy(logits)
            return tower.embed(grid, logits, tower.appearance(pixels(maps), grid))

        for name in ("held", "seen", "train"):
            write(
                folder / f"{name}-edges-embed.npy",
                -(-counts[name] // FREE_EVERY),  # the last ones too when it does not divide
                lambda index, name=name: embed_edges(name, index),
            )
    if arguments.movq:
        movq = read_model(arguments.movq, torch.float32).eval()
        for name in ("held", "seen", "train"):
            write(
                folder / f"{name}-latents.npy",
                counts[name],
                lambda index, name=name: movq.encode(pixels(pictures[name][index])),
            )
        places = np.stack([np.asarray(ground(place)) for place in PLACES])
        write(
            folder / "places-latents.npy",
            len(places),
            lambda index: movq.encode(pixels(places[index])),
        )


if __name__ == "__main__":
    main()
