"""The sprites: every concept as every artist drew it, rendered once from the art packages.

`python -m train.world.sprites` fetches the packages by name with npm, renders the icons and
writes `data/sprites.zip` and `data/sprites.json` (noun, style and kind of each).
`python -m train.world.sprites --breadth` does the same for `data/breadth.zip`, which is not
committed: thousands of other things, only to train on, so that the networks meet more than the
concepts that scenes are mostly made of. What resembles a held-out concept stays out of it.
"""

import argparse
import functools
import io
import json
import re
import subprocess
import tarfile
import tempfile
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from train.world.concepts import CONCEPTS, Concept

DATA = Path(__file__).parent / "data"
SPRITE_PX = 112
# style → npm package and version; licences in CREDITS.md
PACKAGES: dict[str, str] = {
    "noto": "@iconify-json/noto@1.2.9",
    "noto-v1": "@iconify-json/noto-v1@1.2.5",
    "twemoji": "@iconify-json/twemoji@1.2.5",
    "fluent": "@iconify-json/fluent-emoji@1.2.7",
    "fluent-flat": "@iconify-json/fluent-emoji-flat@1.2.6",
    "emojione": "@iconify-json/emojione@1.2.3",
}


@dataclass(frozen=True)
class Sprite:
    """One drawing: `name` is "style/noun", also its file name in the archive."""

    name: str
    noun: str
    style: str
    kind: str


NAMES = "unicode-emoji-json@0.9.0"
# group of emoji → what its members may do in a scene
BREADTH_GROUPS: dict[str, str] = {
    "Animals & Nature": "thing",
    "Food & Drink": "food",
    "Travel & Places": "thing",
    "Activities": "thing",
    "Objects": "thing",
}
_NOT_BREADTH = re.compile(r"oclock|thirty|_moon|globe|japanese|_button|no_")


def fetch_json(package: str, member: str, folder: Path) -> Any:
    """A JSON file of an npm package, fetched with `npm pack` into `folder`."""
    done = subprocess.run(
        ["npm", "pack", "--silent", package], cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"npm could not fetch {package}: {done.stderr.strip()}")
    with tarfile.open(folder / done.stdout.strip().splitlines()[-1]) as archive:
        file = archive.extractfile(f"package/{member}")
        if file is None:
            raise RuntimeError(f"{package} holds no {member}")
        return json.load(file)


def fetch_icons(package: str, folder: Path) -> dict[str, Any]:
    """The icon set of an npm package."""
    return fetch_json(package, "icons.json", folder)


def breadth_concepts(folder: Path, held: frozenset[str]) -> tuple[Concept, ...]:
    """Things that are none of `CONCEPTS`, nor called like a `held` concept or anything it is."""
    taken = {name.replace("-", " ") for c in CONCEPTS for name in (c.noun, *c.icons, *c.synonyms)}
    avoided = {
        word
        for c in CONCEPTS
        if c.noun in held
        for name in (c.noun, *c.icons, *c.synonyms)
        for word in re.split("[ -]", name)
    }
    found = []
    for group in fetch_json(NAMES, "data-by-group.json", folder):
        kind = BREADTH_GROUPS.get(group["name"])
        for emoji in group["emojis"] if kind else ():
            slug = emoji["slug"]
            noun = slug.replace("_", " ")
            if _NOT_BREADTH.search(slug) or noun in taken or avoided & set(noun.split()):
                continue
            found.append(Concept(noun, kind, (slug.replace("_", "-"),)))
    return tuple(found)


def icon_svg(icons: dict[str, Any], concept: Concept) -> str | None:
    """The SVG text of the concept's first icon that the set has, or None."""
    for name in concept.icons:
        name = icons.get("aliases", {}).get(name, {}).get("parent", name)
        if icon := icons["icons"].get(name):
            width, height = (icon.get(k, icons.get(k, 16)) for k in ("width", "height"))
            return (
                f'<svg xmlns="http://www.w3.org/2000/svg" '
                f'xmlns:xlink="http://www.w3.org/1999/xlink" '
                f'viewBox="0 0 {width} {height}">{icon["body"]}</svg>'
            )
    return None


def rasterize(svg: str, size_px: int) -> Image.Image:
    """Renders an SVG to a square RGBA picture."""
    import resvg_py

    png = resvg_py.svg_to_bytes(svg_string=svg, width=size_px, height=size_px)
    return Image.open(io.BytesIO(bytes(png))).convert("RGBA")


def trim(picture: Image.Image, size_px: int = SPRITE_PX) -> Image.Image:
    """Cuts to what is visible and scales the long side to `size_px`."""
    box = picture.getchannel("A").point(lambda a: 255 * (a > 16)).getbbox()
    picture = picture.crop(box)
    scale = size_px / max(picture.size)
    size = tuple(max(1, round(side * scale)) for side in picture.size)
    return picture.resize(size, Image.Resampling.LANCZOS)


def build(
    data: Path = DATA, name: str = "sprites", concepts: tuple[Concept, ...] = CONCEPTS
) -> list[Sprite]:
    """Renders all sprites of all concepts into `data`; returns what was written."""
    data.mkdir(parents=True, exist_ok=True)
    sprites: list[Sprite] = []
    part = data / f"{name}.zip.part"
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(part, "w") as archive:
        for style, package in PACKAGES.items():
            icons = fetch_icons(package, Path(folder))
            for concept in concepts:
                if (svg := icon_svg(icons, concept)) is None:
                    continue
                sprite = Sprite(f"{style}/{concept.noun}", concept.noun, style, concept.kind)
                png = io.BytesIO()
                trim(rasterize(svg, 256)).save(png, "PNG", optimize=True)
                stamp = zipfile.ZipInfo(sprite.name + ".png", (1980, 1, 1, 0, 0, 0))
                archive.writestr(stamp, png.getvalue())
                sprites.append(sprite)
    part.replace(data / f"{name}.zip")
    text = json.dumps([asdict(s) for s in sprites], indent=0)
    (data / f"{name}.json").write_text(text + "\n")
    return sprites


def _read(data: Path, name: str, option: str) -> tuple[tuple[Sprite, ...], dict[str, Image.Image]]:
    archive_path = data / f"{name}.zip"
    if not archive_path.exists():
        raise FileNotFoundError(
            f"{archive_path} is missing: build it with python -m train.world.sprites{option}"
        )
    sprites = tuple(Sprite(**row) for row in json.loads((data / f"{name}.json").read_text()))
    with zipfile.ZipFile(archive_path) as archive:
        pictures = {
            s.name: Image.open(io.BytesIO(archive.read(s.name + ".png"))).convert("RGBA")
            for s in sprites
        }
    return sprites, pictures


@functools.cache
def load(data: Path = DATA) -> tuple[tuple[Sprite, ...], dict[str, Image.Image]]:
    """All sprites and their pictures (RGBA, long side 112 px) by name."""
    return _read(data, "sprites", "")


@functools.cache
def load_breadth(data: Path = DATA) -> tuple[tuple[Sprite, ...], dict[str, Image.Image]]:
    """The sprites of `--breadth`, as `load`."""
    return _read(data, "breadth", " --breadth")


def picture_of(name: str) -> Image.Image:
    """The picture of a sprite of either collection."""
    pictures = load()[1]
    return pictures[name] if name in pictures else load_breadth()[1][name]


def contact_sheet(names: list[str], columns: int = 30, cell_px: int = 64) -> Image.Image:
    """The named sprites on white, row by row."""
    rows = -(-len(names) // columns)
    sheet = np.full((rows * cell_px, columns * cell_px, 3), 255, np.uint8)
    canvas = Image.fromarray(sheet)
    for i, name in enumerate(names):
        picture = picture_of(name).copy()
        picture.thumbnail((cell_px - 4, cell_px - 4))
        at = (i % columns * cell_px + 2, i // columns * cell_px + 2)
        canvas.paste(picture, at, picture)
    return canvas


def main() -> None:
    """Builds the sprites; with --sheet also a contact sheet to look at."""
    parser = argparse.ArgumentParser(description="Render the sprites of sticker world.")
    parser.add_argument("--sheet", type=Path, help="also write a contact sheet here")
    parser.add_argument("--breadth", action="store_true", help="the other things, to train on")
    arguments = parser.parse_args()
    if arguments.breadth:
        held = frozenset(json.loads((DATA / "split.json").read_text())["concepts"])
        with tempfile.TemporaryDirectory() as folder:
            concepts = breadth_concepts(Path(folder), held)
        sprites = build(name="breadth", concepts=concepts)
    else:
        sprites = build()
    print(f"{len(sprites)} sprites of {len({s.noun for s in sprites})} concepts in {DATA}")
    if arguments.sheet:
        contact_sheet(sorted((s.name for s in sprites), key=lambda n: n.split("/")[1])).save(
            arguments.sheet
        )


if __name__ == "__main__":
    main()
