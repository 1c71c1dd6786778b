"""Sticker world as arrays, rendered once for the trainers that read it many times.

    python -m train.world.arrays --out ARRAYS [--train 60000] [--core]

Writes for each side ("train", "held", "seen"):

- `<side>-scenes.npy` (N, 128, 128, 3) uint8;
- `<side>-mattes.npy` (M, 128, 128) uint8: the foreground of the first M ≤ `MATTES` scenes;
- `<side>-scenes.jsonl`: caption, place, relation, nouns, and sprite, look and spot per subject;

besides `sprites.json` (every sprite, and whether it is held out) and `views.npy` (sprites, LOOKS,
VIEWS, 128, 128, 3): every sprite alone on white. With --core only concepts, else the breadth too.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lambda_eclipse.paper import MAX_SUBJECTS
from lambda_eclipse.pocket.embedding import MIDDLE
from lambda_eclipse.weights import write_whole
from train.world.looks import LOOKS, SIZE_PX, sprite_view
from train.world.render import matte, placed_spots, render
from train.world.scenes import Scene, sample_scene
from train.world.split import load_split
from train.world.sprites import Sprite, load, load_breadth

VIEWS = 2
SIDES = ("train", "held", "seen")
EVALUATION_SEED = 1
EVALUATION_SCENES = 2048
FREE_EVERY = 4  # every so many training scenes, subjects stand off their canonical spots
MATTES = 16_000  # scenes per side with a foreground matte


@dataclass(frozen=True)
class Row:
    """Description of a scene. `subjects`: (sprite index, look index); `spots`: (x, y, size)."""

    caption: str
    place: str
    relation: str
    nouns: tuple[str, ...]
    subjects: tuple[tuple[int, int], ...]
    spots: tuple[tuple[float, float, float], ...]


def describe(scene: Scene, sprite_index: dict[str, int]) -> Row:
    """The scene's row; `sprite_index`: sprite name → index in `sprites.json`."""
    pairs = zip(scene.sprites, scene.looks, strict=True)
    return Row(
        scene.caption,
        scene.place.name,
        scene.relation.name,
        scene.nouns,
        tuple((sprite_index[sprite.name], look) for sprite, look in pairs),
        tuple((spot.x, spot.y, spot.size) for spot in placed_spots(scene)),
    )


def write_array(path: Path, array: np.ndarray) -> None:
    """Write an .npy file that appears only when it is complete."""

    def write(part: Path) -> None:
        with part.open("wb") as file:
            np.save(file, array)

    write_whole(path, write)


def write_pieces(
    path: Path, count: int, compute: Callable[[np.ndarray], Tensor], piece: int = 128
) -> None:
    """Write rows 0 … count − 1 as float16, computed `piece` at a time; keep an existing file."""
    if not path.exists():
        pieces = np.split(np.arange(count), range(piece, count, piece))
        write_array(path, np.concatenate([compute(index).half().numpy() for index in pieces]))


def write_sprites(folder: Path, breadth: bool) -> tuple[Sprite, ...]:
    """List the sprites in the order of their views; keep an existing list."""
    if (folder / "sprites.json").exists():
        return read_sprites(folder)[0]
    sprites = (*load()[0], *(load_breadth()[0] if breadth else ()))
    held = load_split().sprites
    rows = [{**asdict(sprite), "held": sprite.name in held} for sprite in sprites]
    (folder / "sprites.json").write_text(json.dumps(rows, indent=0) + "\n")
    return sprites


def read_sprites(folder: Path) -> tuple[tuple[Sprite, ...], np.ndarray]:
    """The sprites of the views, and which of them are held out (N,) bool."""
    rows = json.loads((folder / "sprites.json").read_text())
    held = np.array([row.pop("held") for row in rows])
    return tuple(Sprite(**row) for row in rows), held


def write_scenes(folder: Path, side: str, seed: int, count: int, sprites: Sequence[Sprite]) -> None:
    """Render `count` scenes of a side; keep a side that is complete."""
    rows_path = folder / f"{side}-scenes.jsonl"
    if rows_path.exists():
        return
    sprite_index = {sprite.name: i for i, sprite in enumerate(sprites)}
    breadth = side == "train" and len(sprites) > len(load()[0])
    shape = (count, SIZE_PX, SIZE_PX, 3)
    scenes = np.lib.format.open_memmap(folder / f"{side}-scenes.npy", "w+", np.uint8, shape)
    size = (min(count, MATTES), SIZE_PX, SIZE_PX)
    mattes = np.lib.format.open_memmap(folder / f"{side}-mattes.npy", "w+", np.uint8, size)
    rows = []
    for i in range(count):
        scene = sample_scene(seed, i, side, breadth, side == "train" and i % FREE_EVERY == 0)
        scenes[i] = np.asarray(render(scene))
        if i < len(mattes):
            mattes[i] = np.asarray(matte(scene))
        rows.append(json.dumps(asdict(describe(scene, sprite_index))))
    scenes.flush()
    mattes.flush()
    rows_path.write_text("\n".join(rows) + "\n")


def write_views(folder: Path, sprites: Sequence[Sprite]) -> None:
    """Render every sprite in every look, `VIEWS` times; held-out ones for evaluation."""
    path = folder / "views.npy"
    if path.exists():
        return
    shape = (len(sprites), LOOKS, VIEWS, SIZE_PX, SIZE_PX, 3)

    def write(part: Path) -> None:
        views = np.lib.format.open_memmap(part, "w+", np.uint8, shape)
        for i, look, view in np.ndindex(shape[:3]):
            views[i, look, view] = np.asarray(sprite_view(sprites[i].name, look, f"{look}-{view}"))
        views.flush()

    write_whole(path, write)


class Arrays:
    """The arrays of a folder, memory-mapped: `arrays["train-scenes"]`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sprites, self.held = read_sprites(folder)
        # Indices of the views of training sprites.
        self.train_views = np.flatnonzero(np.repeat(~self.held, LOOKS * VIEWS))
        self._open = cache(lambda name: np.load(folder / f"{name}.npy", mmap_mode="r"))
        self.rows = cache(lambda side: read_rows(folder, side))

    def __getitem__(self, name: str) -> np.ndarray:
        return self._open(name)

    def tensor(self, name: str) -> Tensor:
        """A whole array, in memory."""
        return torch.from_numpy(np.array(self[name]))

    def pictures(self, name: str) -> np.ndarray:
        """Scenes of a side, or all "views", (N, 128, 128, 3) uint8."""
        if name == "views":
            return self["views"].reshape(-1, *self["views"].shape[3:])
        return self[f"{name}-scenes"]

    def mattes(self, side: str, index: np.ndarray) -> Tensor:
        """Foreground mattes (n, 1, 128, 128) in [0, 1]; index < `MATTES`."""
        return torch.from_numpy(self[f"{side}-mattes"][index])[:, None].float() / 255

    def features(self, name: str, index: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
        """Arguments of `tower.embed`: (n, 16, 768), (n, 1000), (n, 576), float32."""
        grid, logits, appearance = (
            torch.from_numpy(self[f"{name}-{part}"][index]).float()
            for part in ("grid", "logits", "appearance")
        )
        return grid, logits, appearance


def read_rows(folder: Path, side: str) -> list[Row]:
    """The descriptions of a side's scenes."""
    rows = []
    for line in (folder / f"{side}-scenes.jsonl").read_text().splitlines():
        row = json.loads(line)
        row["nouns"] = tuple(row["nouns"])
        row["subjects"], row["spots"] = (tuple(map(tuple, row[k])) for k in ("subjects", "spots"))
        rows.append(Row(**row))
    return rows


def true_layout(rows: Sequence[Row]) -> tuple[Tensor, Tensor]:
    """Number of subjects (n,) and their spots (n, 4, 3), of scenes."""
    count = torch.tensor([len(row.spots) for row in rows])
    spots = torch.tensor(MIDDLE).repeat(len(rows), MAX_SUBJECTS, 1)
    for target, row in zip(spots, rows, strict=True):
        target[: len(row.spots)] = torch.tensor(row.spots)
    return count, spots


def view_index(
    sprite: np.ndarray | int, look: np.ndarray | int, view: np.ndarray | int
) -> np.ndarray:
    """Index of a view in the flattened array of views."""
    return (np.asarray(sprite) * LOOKS + look) * VIEWS + view


def pixels(pictures: np.ndarray) -> Tensor:
    """uint8 (n, 128, 128, 3) → (n, 3, 128, 128) in [−1, 1]."""
    return torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Render sticker world to arrays.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--train", type=int, default=60_000, help="training scenes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--core", action="store_true", help="only the concepts, no breadth")
    arguments = parser.parse_args()
    folder = arguments.out
    folder.mkdir(parents=True, exist_ok=True)
    sprites = write_sprites(folder, not arguments.core)
    for side in ("held", "seen"):
        write_scenes(folder, side, EVALUATION_SEED, EVALUATION_SCENES, sprites)
    write_scenes(folder, "train", arguments.seed, arguments.train, sprites)
    write_views(folder, sprites)


if __name__ == "__main__":
    main()
