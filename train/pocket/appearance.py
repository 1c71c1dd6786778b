"""Layout and appearance codes of all pictures, from the image tower's fixed networks.

    python -m train.pocket.appearance --arrays ARRAYS [--clip CLIP]

Reads `matte.pt`, `layout.pt` and `codec.pt` beside the arrays, or takes the three networks of a
finished CLIP, to continue its training. Scenes use their true layouts: a detected layout is a pixel
or two off, and the prior cannot predict that error.

Writes `<name>-appearance.npy` (N, 576) float16 for the views and each side's scenes, and
`appearance.pt`, the three networks' weights under the tower's names.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lambda_eclipse.clip import Clip
from lambda_eclipse.pocket.tower import GridTower
from train.world.arrays import SIDES, Arrays, pixels, true_layout, write_pieces

FIXED = ("matte", "layout", "subjects")  # parts of the tower
TRAINED_BY = {"matte": "matte", "layout": "layout", "subjects": "codec"}


def fixed_state(folder: Path) -> dict[str, Tensor]:
    """Weights of the tower's fixed parts, from the files of their trainers.

    FileNotFoundError when a trainer has not run.
    """
    state: dict[str, Tensor] = {}
    for part, trainer in TRAINED_BY.items():
        path = folder / f"{trainer}.pt"
        if not path.exists():
            raise FileNotFoundError(
                f"{path} is missing: run train.pocket.{trainer} on these arrays first."
            )
        weights = torch.load(path, weights_only=True)
        if trainer == "codec":  # the tower holds only the encoder
            weights = half_of_codec(weights, "encoder")
        state |= {f"{part}.{name}": tensor for name, tensor in weights.items()}
    return state


def half_of_codec(codec: dict[str, Tensor], half: str) -> dict[str, Tensor]:
    """The weights of one half of the codec, "encoder" or "decoder"."""
    prefix = f"{half}."
    return {name.removeprefix(prefix): v for name, v in codec.items() if name.startswith(prefix)}


def load_fixed(tower: GridTower, folder: Path) -> None:
    """Load `appearance.pt` into the tower, and freeze those parts."""
    state = torch.load(folder / "appearance.pt", weights_only=True)
    tower.load_state_dict(tower.state_dict() | state)
    for part in FIXED:
        tower.get_submodule(part).requires_grad_(False)


@torch.no_grad()
def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Locate and encode the subjects of all pictures.")
    parser.add_argument("--arrays", type=Path, required=True)
    parser.add_argument("--clip", type=Path, help="folder of a CLIP to take the networks from")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arrays, tower = Arrays(arguments.arrays), GridTower().eval()
    if arguments.clip:
        whole = Clip.from_folder(arguments.clip).model.visual.trunk.state_dict()
        state = {name: value for name, value in whole.items() if name.startswith(FIXED)}
    else:
        state = fixed_state(arrays.folder)
    torch.save(state, arrays.folder / "appearance.pt")
    load_fixed(tower, arrays.folder)
    for name in (*SIDES, "views"):

        def appearance(index: np.ndarray, name: str = name) -> Tensor:
            grid = torch.from_numpy(arrays[f"{name}-grid"][index]).float()
            rows = [] if name == "views" else [arrays.rows(name)[i] for i in index]
            layout = true_layout(rows) if rows else None
            return tower.appearance(pixels(arrays.pictures(name)[index]), grid, layout)

        path = arrays.folder / f"{name}-appearance.npy"
        write_pieces(path, len(arrays.pictures(name)), appearance)


if __name__ == "__main__":
    main()
