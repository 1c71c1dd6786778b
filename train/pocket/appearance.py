"""What the image tower's fixed parts make of all pictures: who stands where, and their looks.

    python -m train.pocket.appearance --shards SHARDS [--clip CLIP]

Reads `matte.pt`, `layout.pt` and `subjects.pt`, as their trainers left them beside the shards, or
takes the three networks of a finished CLIP, to go on from it instead of from nothing. In scenes,
where subjects stand is known; finding them is a pixel or two less certain, which is nothing that
the prior could predict.
Writes `<name>-appearance.npy` (N, 576) float16 for the views and each side's scenes, and
`appearance.pt`, the three networks' weights as the tower names them.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from lambda_eclipse.clip import Clip
from lambda_eclipse.pocket.tower import GridTower
from train.world.arrays import known_layout, pixels, read_rows

FIXED = ("matte", "layout", "subjects")  # parts of the tower
PIECE = 128


def fixed_state(folder: Path) -> dict[str, torch.Tensor]:
    """Weights of the tower's fixed parts, from the files of their trainers."""
    state = {}
    for part in FIXED:
        path = folder / f"{part}.pt"
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing: run train.{part} on these shards first")
        for name, tensor in torch.load(path, weights_only=True).items():
            if part == "subjects":  # encoder and decoder; the tower has only the former
                half, _, name = name.partition(".")
                if half != "encoder":
                    continue
            state[f"{part}.{name}"] = tensor
    return state


@torch.no_grad()
def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Find and encode the subjects of all pictures.")
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--clip", type=Path, help="folder of a CLIP to take the networks from")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    folder, tower = arguments.shards, GridTower().eval()
    if arguments.clip:
        whole = Clip.from_folder(arguments.clip).model.visual.trunk.state_dict()
        state = {name: value for name, value in whole.items() if name.startswith(FIXED)}
    else:
        state = fixed_state(folder)
    missing, unexpected = tower.load_state_dict(state, strict=False)
    assert not unexpected and not [n for n in missing if n.startswith(FIXED)], (missing, unexpected)
    torch.save(state, folder / "appearance.pt")
    for name in ("held", "seen", "train", "views"):
        path = folder / f"{name}-appearance.npy"
        if path.exists():
            continue
        stored = "views" if name == "views" else f"{name}-scenes"
        pictures = np.load(folder / f"{stored}.npy", mmap_mode="r")
        pictures = pictures.reshape(-1, *pictures.shape[-3:])
        grid = np.load(folder / f"{name}-grid.npy", mmap_mode="r")
        scenes = [] if name == "views" else read_rows(folder, name)
        rows = []
        for first in range(0, len(pictures), PIECE):
            here = slice(first, first + PIECE)
            grids = torch.from_numpy(np.array(grid[here])).float()
            known = known_layout(scenes[here]) if scenes else None
            rows.append(tower.appearance(pixels(pictures[here]), grids, known).half().numpy())
        part = path.with_name(path.name + ".part")
        with part.open("wb") as file:
            np.save(file, np.concatenate(rows))
        part.replace(path)


if __name__ == "__main__":
    main()
