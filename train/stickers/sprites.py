"""The sprites: every concept as every artist drew it, rendered once from the art packages.

`python -m train.stickers.sprites` fetches the packages by name with npm, renders the icons and
writes `data/sprites.zip` and `data/sprites.json` (noun, style and kind of each).
"""

import argparse
import functools
import io
import json
import subprocess
import tarfile
import tempfile
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from train.stickers.concepts import CONCEPTS, Concept

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


def fetch_icons(package: str, folder: Path) -> dict[str, object]:
    """The icon set of an npm package (`icons.json`), fetched with `npm pack` into `folder`."""
    done = subprocess.run(
        ["npm", "pack", "--silent", package], cwd=folder, capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"npm could not fetch {package}: {done.stderr.strip()}")
    with tarfile.open(folder / done.stdout.strip().splitlines()[-1]) as archive:
        member = archive.extractfile("package/icons.json")
        if member is None:
            raise RuntimeError(f"{package} holds no icons.json")
        return json.load(member)


def icon_svg(icons: dict, concept: Concept) -> str | None:
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


def build(data: Path = DATA) -> list[Sprite]:
    """Renders all sprites of all concepts into `data`; returns what was written."""
    data.mkdir(parents=True, exist_ok=True)
    sprites: list[Sprite] = []
    part = data / "sprites.zip.part"
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(part, "w") as archive:
        for style, package in PACKAGES.items():
            icons = fetch_icons(package, Path(folder))
            for concept in CONCEPTS:
                if (svg := icon_svg(icons, concept)) is None:
                    continue
                sprite = Sprite(f"{style}/{concept.noun}", concept.noun, style, concept.kind)
                png = io.BytesIO()
                trim(rasterize(svg, 256)).save(png, "PNG", optimize=True)
                stamp = zipfile.ZipInfo(sprite.name + ".png", (1980, 1, 1, 0, 0, 0))
                archive.writestr(stamp, png.getvalue())
                sprites.append(sprite)
    part.replace(data / "sprites.zip")
    text = json.dumps([asdict(s) for s in sprites], indent=0)
    (data / "sprites.json").write_text(text + "\n")
    return sprites


@functools.cache
def load(data: Path = DATA) -> tuple[tuple[Sprite, ...], dict[str, Image.Image]]:
    """All sprites and their pictures (RGBA, long side 112 px) by name."""
    if not (data / "sprites.zip").exists():
        raise FileNotFoundError(
            f"{data / 'sprites.zip'} is missing: build it with python -m train.stickers.sprites"
        )
    sprites = tuple(Sprite(**row) for row in json.loads((data / "sprites.json").read_text()))
    with zipfile.ZipFile(data / "sprites.zip") as archive:
        pictures = {
            s.name: Image.open(io.BytesIO(archive.read(s.name + ".png"))).convert("RGBA")
            for s in sprites
        }
    return sprites, pictures


def contact_sheet(names: list[str], columns: int = 30, cell_px: int = 64) -> Image.Image:
    """The named sprites on white, row by row."""
    _, pictures = load()
    rows = -(-len(names) // columns)
    sheet = np.full((rows * cell_px, columns * cell_px, 3), 255, np.uint8)
    canvas = Image.fromarray(sheet)
    for i, name in enumerate(names):
        picture = pictures[name].copy()
        picture.thumbnail((cell_px - 4, cell_px - 4))
        at = (i % columns * cell_px + 2, i // columns * cell_px + 2)
        canvas.paste(picture, at, picture)
    return canvas


def main() -> None:
    """Builds the sprites; with --sheet also a contact sheet to look at."""
    parser = argparse.ArgumentParser(description="Render the sprites of sticker world.")
    parser.add_argument("--sheet", type=Path, help="also write a contact sheet here")
    arguments = parser.parse_args()
    sprites = build()
    print(f"{len(sprites)} sprites of {len({s.noun for s in sprites})} concepts in {DATA}")
    if arguments.sheet:
        contact_sheet(sorted((s.name for s in sprites), key=lambda n: n.split("/")[1])).save(
            arguments.sheet
        )


if __name__ == "__main__":
    main()
