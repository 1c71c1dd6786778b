"""Renders sticker world to arrays once, for the trainers that pass over it many times.

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

from train.stickers.scenes import HUES, SIZE_PX, Scene, palette, render, sample_scene, sprite_view
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
