"""Sticker world as arrays, rendered once for the trainers that pass over it many times.

    python -m train.shards --out SHARDS [--train 60000]

Writes per side ("train", "held", "seen") `<side>-scenes.npy` (N, 128, 128, 3) uint8 and
`<side>-scenes.jsonl` (caption, place, relation, nouns, sprite and colouring of each subject), and
`views.npy` (sprites, colourings, VIEWS, 128, 128, 3): every sprite alone on white.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lambda_eclipse.tower import GridTower
from train.stickers.scenes import HUES, SIZE_PX, Scene, palette, render, sample_scene, sprite_view
from train.stickers.split import load_split
from train.stickers.sprites import load

VIEWS = 4
EVALUATION_SEED = 1
EVALUATION_SCENES = 2048


@dataclass(frozen=True)
class Row:
    """A scene as the trainers read it; `subjects` are (sprite index, colouring index)."""

    caption: str
    place: str
    relation: str
    nouns: tuple[str, ...]
    subjects: tuple[tuple[int, int], ...]


def describe(scene: Scene, numbers: dict[str, int]) -> dict[str, object]:
    """The scene as a JSON row."""
    subjects = [
        (numbers[sprite.name], palette(sprite.name).index(hue))
        for sprite, hue in zip(scene.sprites, scene.hues, strict=True)
    ]
    return {
        "caption": scene.caption,
        "place": scene.place.name,
        "relation": scene.relation.name,
        "nouns": scene.nouns,
        "subjects": subjects,
    }


def write_scenes(folder: Path, side: str, seed: int, count: int) -> None:
    """Renders `count` scenes of a side; keeps what is already complete."""
    rows_path = folder / f"{side}-scenes.jsonl"
    if rows_path.exists():
        return
    sprites, _ = load()
    numbers = {sprite.name: i for i, sprite in enumerate(sprites)}
    shape = (count, SIZE_PX, SIZE_PX, 3)
    scenes = np.lib.format.open_memmap(folder / f"{side}-scenes.npy", "w+", np.uint8, shape)
    rows = []
    for i in range(count):
        scene = sample_scene(seed, i, side)
        scenes[i] = np.asarray(render(scene))
        rows.append(json.dumps(describe(scene, numbers)))
    scenes.flush()
    rows_path.write_text("\n".join(rows) + "\n")


def write_views(folder: Path) -> None:
    """Renders every sprite in every colouring, `VIEWS` times; held-out ones for evaluation."""
    path = folder / "views.npy"
    if path.exists():
        return
    sprites, _ = load()
    part = folder / "views.npy.part"
    shape = (len(sprites), HUES, VIEWS, SIZE_PX, SIZE_PX, 3)
    views = np.lib.format.open_memmap(part, "w+", np.uint8, shape)
    for i, sprite in enumerate(sprites):
        for h, hue in enumerate(palette(sprite.name)):
            for v in range(VIEWS):
                views[i, h, v] = np.asarray(sprite_view(sprite.name, hue, f"{h}-{v}"))
    views.flush()
    part.replace(path)


def read_rows(folder: Path, side: str) -> list[Row]:
    """The descriptions of a side's scenes."""
    rows = []
    for line in (folder / f"{side}-scenes.jsonl").read_text().splitlines():
        row = json.loads(line)
        row["nouns"] = tuple(row["nouns"])
        row["subjects"] = tuple(map(tuple, row["subjects"]))
        rows.append(Row(**row))
    return rows


def train_views() -> np.ndarray:
    """Where the views of training sprites stand in the flattened array of views."""
    sprites, _ = load()
    held = load_split().sprites
    per_sprite = HUES * VIEWS
    return np.concatenate(
        [
            np.arange(i * per_sprite, (i + 1) * per_sprite)
            for i, sprite in enumerate(sprites)
            if sprite.name not in held
        ]
    )


class Shards:
    """The arrays that training and evaluation read."""

    def __init__(self, folder: Path) -> None:
        def array(name: str) -> np.ndarray:
            return np.load(folder / f"{name}.npy", mmap_mode="r")

        self.rows: dict[str, list[Row]] = {}
        self.scenes, self.grid, self.logits = {}, {}, {}
        for side in ("train", "held", "seen"):
            self.rows[side] = read_rows(folder, side)
            self.scenes[side] = array(f"{side}-scenes")
            self.grid[side], self.logits[side] = array(f"{side}-grid"), array(f"{side}-logits")
        self.views = array("views").reshape(-1, 128, 128, 3)
        self.grid["views"], self.logits["views"] = array("views-grid"), array("views-logits")

    def pictures(self, name: str, index: np.ndarray) -> np.ndarray:
        """(n, 128, 128, 3) uint8."""
        return (self.views if name == "views" else self.scenes[name])[index]

    def features(self, tower: GridTower, name: str, index: np.ndarray) -> tuple[Tensor, ...]:
        """What `tower.embed` takes: (n, 16, 1408), (n, 1000), (n, 2048), float32."""
        grid, logits = self.grid[name][index], self.logits[name][index]
        with torch.no_grad():
            patches = tower.patches(pixels(self.pictures(name, index))).flatten(1)
        return torch.from_numpy(grid).float(), torch.from_numpy(logits).float(), patches


def view_index(
    sprite: np.ndarray | int, hue: np.ndarray | int, view: np.ndarray | int
) -> np.ndarray:
    """Where a view stands in the flattened array of views."""
    return (np.asarray(sprite) * HUES + hue) * VIEWS + view


def pixels(pictures: np.ndarray) -> Tensor:
    """uint8 (n, 128, 128, 3) → (n, 3, 128, 128) in [−1, 1]."""
    return torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Render sticker world to arrays.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--train", type=int, default=60_000, help="training scenes")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_views(arguments.out)
    for side in ("held", "seen"):
        write_scenes(arguments.out, side, EVALUATION_SEED, EVALUATION_SCENES)
    write_scenes(arguments.out, "train", arguments.seed, arguments.train)


if __name__ == "__main__":
    main()
