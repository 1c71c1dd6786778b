"""Embeddings and latents of all pictures, from the finished CLIP and autoencoder.

    python -m train.pocket.embeddings --arrays ARRAYS --clip CLIP [--movq MOVQ]

Writes, as float16: `views-embed.npy` and `<side>-embed.npy` (N, D), `null-embed.npy` (1, D), and
`<side>-edges-embed.npy`, the Canny maps of every `FREE_EVERY`-th scene; with --movq also
`<side>-latents.npy` (N, C, 16, 16) and `places-latents.npy`, the empty places in the order of
`PLACES`. The decoder and the prior train on them.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lambda_eclipse.canny import edge_map
from lambda_eclipse.clip import Clip
from lambda_eclipse.networks import read_model
from lambda_eclipse.pocket.movq import PocketMOVQ
from lambda_eclipse.pocket.tower import GridTower
from lambda_eclipse.stacks import STACKS
from train.pocket.trunk import OnnxTrunk
from train.world.arrays import FREE_EVERY, SIDES, Arrays, pixels, write_array, write_pieces
from train.world.places import PLACES
from train.world.render import ground


def edge_maps(pictures: np.ndarray) -> np.ndarray:
    """Canny maps of pictures (n, 128, 128, 3), as the application draws them."""
    size_px = STACKS["pocket"].edges_px
    maps = [edge_map(Image.fromarray(picture), size_px=size_px) for picture in pictures]
    return np.stack([np.asarray(m.convert("RGB")) for m in maps])


def check_appearance(tower: GridTower, folder: Path) -> None:
    """ValueError when the CLIP's fixed networks are not those that encoded the arrays."""
    ours = tower.state_dict()
    for name, theirs in torch.load(folder / "appearance.pt", weights_only=True).items():
        if not torch.allclose(ours[name], theirs, atol=1e-2):
            raise ValueError(
                f"{folder} was encoded with another {name} than the CLIP's: run "
                f"train.pocket.appearance and train.pocket.clip on the same arrays."
            )


def write_embeddings(arrays: Arrays, clip: Clip, threads: int) -> None:
    """Embed the null image, views, scenes and edge maps."""
    folder, tower = arrays.folder, clip.model.visual.trunk
    check_appearance(tower, folder)
    write_array(folder / "null-embed.npy", clip.null_image().half().numpy())
    trunk = OnnxTrunk(tower, folder, threads)

    def embed(name: str, index: np.ndarray) -> Tensor:
        return tower.embed(*arrays.features(name, index))

    def embed_edges(side: str, index: np.ndarray) -> Tensor:
        maps = edge_maps(arrays.pictures(side)[index * FREE_EVERY])
        grid, logits = map(torch.from_numpy, trunk(maps))
        return tower.embed(grid, logits, tower.appearance(pixels(maps), grid))

    for name in ("views", *SIDES):
        count = len(arrays.pictures(name))
        write_pieces(folder / f"{name}-embed.npy", count, partial(embed, name))
        if name in SIDES:
            maps = -(-count // FREE_EVERY)  # rounded up: the last scenes count too
            write_pieces(folder / f"{name}-edges-embed.npy", maps, partial(embed_edges, name))


def write_latents(arrays: Arrays, movq: PocketMOVQ) -> None:
    """Encode scenes and empty places."""
    pictures = {side: arrays.pictures(side) for side in SIDES}
    pictures["places"] = np.stack([np.asarray(ground(place)) for place in PLACES])

    def encode(name: str, index: np.ndarray) -> Tensor:
        return movq.encode(pixels(pictures[name][index]))

    for name, rows in pictures.items():
        write_pieces(arrays.folder / f"{name}-latents.npy", len(rows), partial(encode, name))


@torch.no_grad()
def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Embed all pictures with the finished networks.")
    parser.add_argument("--arrays", type=Path, required=True)
    parser.add_argument("--clip", type=Path, help="folder of the finished CLIP")
    parser.add_argument("--movq", type=Path, help="folder of the finished autoencoder")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arrays = Arrays(arguments.arrays)
    if arguments.clip:
        write_embeddings(arrays, Clip.from_folder(arguments.clip), arguments.threads)
    if arguments.movq:
        write_latents(arrays, read_model(arguments.movq, torch.float32).eval())


if __name__ == "__main__":
    main()
