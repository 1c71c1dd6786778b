"""Sticker world as arrays, rendered once for the trainers that pass over it many times.

    python -m train.world.arrays --out SHARDS [--train 60000] [--core]

Writes per side ("train", "held", "seen") `<side>-scenes.npy` (N, 128, 128, 3) uint8, of the first
of them `<side>-mattes.npy` (M, 128, 128) uint8, and `<side>-scenes.jsonl` (caption, place,
relation, nouns, sprite, look and spot of each subject), `sprites.json` (every sprite and whether
it is held out) and `views.npy` (sprites, LOOKS, VIEWS, 128, 128, 3): every sprite alone on white.
With --core only concepts, else also the breadth.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lambda_eclipse.paper import MAX_SUBJECTS
from lambda_eclipse.pocket.embedding import MIDDLE
from train.world.looks import LOOKS, SIZE_PX, sprite_view
from train.world.render import matte, placed, render
from train.world.scenes import Scene, sample_scene
from train.world.split import load_split
from train.world.sprites import Sprite, load, load_breadth

VIEWS = 2
EVALUATION_SEED = 1
EVALUATION_SCENES = 2048
FREE_EVERY = 4  # of how many training scenes one has its subjects off their spots
MATTES = 16_000  # scenes per side with what is not ground, to learn it from


@dataclass(frozen=True)
class Row:
    """A scene as the trainers read it.

    `subjects` are (sprite index, look index), `spots` (x, y, size).
    """

    caption: str
    place: str
    relation: str
    nouns: tuple[str, ...]
    subjects: tuple[tuple[int, int], ...]
    spots: tuple[tuple[float, float, float], ...]


def describe(scene: Scene, numbers: dict[str, int]) -> dict[str, object]:
    """The scene as a JSON row."""
    return {
        "caption": scene.caption,
        "place": scene.place.name,
        "relation": scene.relation.name,
        "nouns": scene.nouns,
        "subjects": [
            (numbers[sprite.name], look)
            for sprite, look in zip(scene.sprites, scene.looks, strict=True)
        ],
        "spots": [(spot.x, spot.y, spot.size) for spot in placed(scene)],
    }


def write_sprites(folder: Path, breadth: bool) -> tuple[Sprite, ...]:
    """Lists the sprites in the order of their views; keeps a list that is there."""
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
    """Renders `count` scenes of a side; keeps what is already complete."""
    rows_path = folder / f"{side}-scenes.jsonl"
    if rows_path.exists():
        return
    numbers = {sprite.name: i for i, sprite in enumerate(sprites)}
    breadth = side == "train" and len(sprites) > len(load()[0])
    shape = (count, SIZE_PX, SIZE_PX, 3)
    scenes = np.lib.format.open_memmap(folder / f"{side}-scenes.npy", "w+", np.uint8, shape)
    shape = (min(count, MATTES), SIZE_PX, SIZE_PX)
    mattes = np.lib.format.open_memmap(folder / f"{side}-mattes.npy", "w+", np.uint8, shape)
    rows = []
    for i in range(count):
        scene = sample_scene(seed, i, side, breadth, side == "train" and i % FREE_EVERY == 0)
        scenes[i] = np.asarray(render(scene))
        if i < len(mattes):
            mattes[i] = np.asarray(matte(scene))
        rows.append(json.dumps(describe(scene, numbers)))
    scenes.flush()
    mattes.flush()
    rows_path.write_text("\n".join(rows) + "\n")


def write_views(folder: Path, sprites: Sequence[Sprite]) -> None:
    """Renders every sprite in every look, `VIEWS` times; held-out ones for evaluation."""
    path = folder / "views.npy"
    if path.exists():
        return
    part = folder / "views.npy.part"
    shape = (len(sprites), LOOKS, VIEWS, SIZE_PX, SIZE_PX, 3)
    views = np.lib.format.open_memmap(part, "w+", np.uint8, shape)
    for i, sprite in enumerate(sprites):
        for look in range(LOOKS):
            for v in range(VIEWS):
                views[i, look, v] = np.asarray(sprite_view(sprite.name, look, f"{look}-{v}"))
    views.flush()
    part.replace(path)


def read_rows(folder: Path, side: str) -> list[Row]:
    """The descriptions of a side's scenes."""
    rows = []
    for line in (folder / f"{side}-scenes.jsonl").read_text().splitlines():
        row = json.loads(line)
        row["nouns"] = tuple(row["nouns"])
        row["subjects"], row["spots"] = (tuple(map(tuple, row[k])) for k in ("subjects", "spots"))
        rows.append(Row(**row))
    return rows


class Shards:
    """The arrays that training and evaluation read."""

    def __init__(self, folder: Path) -> None:
        def array(name: str) -> np.ndarray:
            return np.load(folder / f"{name}.npy", mmap_mode="r")

        self.folder = folder
        self.sprites, self.held = read_sprites(folder)
        self.rows: dict[str, list[Row]] = {}
        self.scenes = {}
        for side in ("train", "held", "seen"):
            self.rows[side] = read_rows(folder, side)
            self.scenes[side] = array(f"{side}-scenes")
        self.views = array("views").reshape(-1, 128, 128, 3)
        self.grid, self.logits, self.appearance = (
            {name: array(f"{name}-{part}") for name in (*self.rows, "views")}
            for part in ("grid", "logits", "appearance")
        )

    def pictures(self, name: str, index: np.ndarray) -> np.ndarray:
        """(n, 128, 128, 3) uint8."""
        return (self.views if name == "views" else self.scenes[name])[index]

    def features(self, name: str, index: np.ndarray) -> tuple[Tensor, ...]:
        """What `tower.embed` takes: (n, 16, 768), (n, 1000), (n, 576), float32."""
        arrays = self.grid[name], self.logits[name], self.appearance[name]
        grid, logits, appearance = (torch.from_numpy(array[index]).float() for array in arrays)
        return grid, logits, appearance


def known_layout(rows: Sequence[Row]) -> tuple[Tensor, Tensor]:
    """How many subjects scenes have (n,), and their spots (n, 4, 3)."""
    count = torch.tensor([len(row.spots) for row in rows])
    spots = torch.tensor(MIDDLE).repeat(len(rows), MAX_SUBJECTS, 1)
    for own, row in zip(spots, rows, strict=True):
        own[: len(row.spots)] = torch.tensor(row.spots)
    return count, spots


def view_index(
    sprite: np.ndarray | int, look: np.ndarray | int, view: np.ndarray | int
) -> np.ndarray:
    """Where a view stands in the flattened array of views."""
    return (np.asarray(sprite) * LOOKS + look) * VIEWS + view


def train_views(held: np.ndarray) -> np.ndarray:
    """Where the views of training sprites stand; `held` as from `read_sprites`."""
    return np.flatnonzero(np.repeat(~held, LOOKS * VIEWS))


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
