"""What the finished CLIP and autoencoder make of the shards: the data of the decoder and the prior.

    python -m train.embeddings --shards SHARDS --clip CLIP [--movq MOVQ]

Writes `views-embed.npy` and `<side>-embed.npy` (N, D), `null-embed.npy` (1, D), per side
`<side>-edges-embed.npy` (Canny maps; of every `EDGE_EVERY`-th training scene) and, given --movq,
`<side>-latents.npy` (N, C, 16, 16), the same of what stands in the first scenes, on white
(`<side>-cut-latents.npy`, `CUT_SCENES` at most) and of the empty places in the order of `PLACES`
(`places-latents.npy`), all float16.
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
from lambda_eclipse.tower import GridTower, Matte, on_white
from train.features import FastFeatures
from train.shards import Shards, pixels
from train.stickers.places import PLACES
from train.stickers.render import ground

EDGE_EVERY = 4
CUT_SCENES = 20_000
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


def check_cut(tower: GridTower, folder: Path) -> None:
    """ValueError when the CLIP cuts pictures otherwise than the shards' patches were."""
    given = torch.load(folder / "foreground.pt", weights_only=True)["matte"]
    own = tower.matte.state_dict()
    if any(not torch.allclose(own[name], given[name], atol=1e-2) for name in given):
        raise ValueError(
            f"{folder} was cut by another matte than the CLIP's: run train.matte and train.clip on "
            f"the same shards."
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
        check_cut(tower, folder)
        np.save(folder / "null-embed.npy", clip.null_image().half().numpy())
        for name, count in counts.items():
            write(
                folder / f"{name}-embed.npy",
                count,
                lambda index, name=name: tower.embed(*shards.features(name, index)),
            )
        fast = FastFeatures(tower, folder, arguments.threads)

        def embed_edges(name: str, index: np.ndarray) -> Tensor:
            maps = edges(pictures[name][index * EDGE_EVERY])
            grid, logits = fast(maps)
            cut = tower.cut(pixels(maps))
            return tower.embed(torch.from_numpy(grid), torch.from_numpy(logits), cut)

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
        places = np.stack([np.asarray(ground(place)) for place in PLACES])
        write(
            folder / "places-latents.npy",
            len(places),
            lambda index: movq.encode(pixels(places[index])),
        )
        matte = Matte()
        matte.load_state_dict(torch.load(folder / "foreground.pt", weights_only=True)["matte"])

        def encode_cut(name: str, index: np.ndarray) -> Tensor:
            scenes = pixels(pictures[name][index])
            return movq.encode(on_white(scenes, matte(scenes)))

        for name in ("held", "seen", "train"):
            write(
                folder / f"{name}-cut-latents.npy",
                min(counts[name], CUT_SCENES),
                lambda index, name=name: encode_cut(name, index),
            )


if __name__ == "__main__":
    main()
