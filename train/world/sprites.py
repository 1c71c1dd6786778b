"""The sprites: drawings of every concept by every artist, rendered once from the art packages.

    python -m train.world.sprites [--breadth]

Fetches the packages by name with npm and writes `data/sprites.zip` and `data/sprites.json` (noun,
style and kind of each). With --breadth it writes `data/breadth.zip`, which is not committed:
thousands of other things, for training only. They share no word with a held-out concept.
"""

import argparse
import functools
import io
import json
import re
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from lambda_eclipse.weights import write_whole
from train.world.concepts import CONCEPTS, Concept
from train.world.packages import npm_files

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
# emoji group → kind of its members, which decides their roles in scenes
BREADTH_GROUPS: dict[str, str] = {
    "Animals & Nature": "thing",
    "Food & Drink": "food",
    "Travel & Places": "thing",
    "Activities": "thing",
    "Objects": "thing",
}
_NOT_BREADTH = re.compile(r"oclock|thirty|_moon|globe|japanese|_button|no_")


def fetch_json(package: str, member: str = "icons.json") -> Any:
    """A JSON file of an npm package; raises RuntimeError as `npm_files`."""
    [(_, content)] = npm_files(package, member)
    return json.loads(content)


def breadth_concepts(held: frozenset[str]) -> tuple[Concept, ...]:
    """Concepts beyond `CONCEPTS` that share no word with a `held` concept."""
    taken = {name.replace("-", " ") for c in CONCEPTS for name in (c.noun, *c.icons, *c.synonyms)}
    avoided = {
        word
        for c in CONCEPTS
        if c.noun in held
        for name in (c.noun, *c.icons, *c.synonyms)
        for word in re.split("[ -]", name)
    }
    concepts = []
    for group in fetch_json(NAMES, "data-by-group.json"):
        kind = BREADTH_GROUPS.get(group["name"])
        if kind is None:
            continue
        for emoji in group["emojis"]:
            slug = emoji["slug"]
            noun = slug.replace("_", " ")
            if _NOT_BREADTH.search(slug) or noun in taken or avoided & set(noun.split()):
                continue
            concepts.append(Concept(noun, kind, (slug.replace("_", "-"),)))
    return tuple(concepts)


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
    """Crop to the visible pixels and scale the long side to `size_px`."""
    box = picture.getchannel("A").point(lambda a: 255 * (a > 16)).getbbox()
    picture = picture.crop(box)
    scale = size_px / max(picture.size)
    width, height = (max(1, round(side * scale)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def build(
    data: Path = DATA, name: str = "sprites", concepts: tuple[Concept, ...] = CONCEPTS
) -> list[Sprite]:
    """Render all sprites of the concepts into `data/<name>.zip` and .json; return them."""
    sprites: list[Sprite] = []

    def write(part: Path) -> None:
        with zipfile.ZipFile(part, "w") as archive:
            for style, package in PACKAGES.items():
                icons = fetch_json(package)
                for concept in concepts:
                    if (svg := icon_svg(icons, concept)) is None:
                        continue
                    sprite = Sprite(f"{style}/{concept.noun}", concept.noun, style, concept.kind)
                    png = io.BytesIO()
                    trim(rasterize(svg, 256)).save(png, "PNG", optimize=True)
                    stamp = zipfile.ZipInfo(sprite.name + ".png", (1980, 1, 1, 0, 0, 0))
                    archive.writestr(stamp, png.getvalue())
                    sprites.append(sprite)

    write_whole(data / f"{name}.zip", write)
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


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description="Render the sprites of sticker world.")
    parser.add_argument("--breadth", action="store_true", help="other things than the concepts")
    arguments = parser.parse_args()
    if arguments.breadth:
        held = frozenset(json.loads((DATA / "split.json").read_text())["concepts"])
        sprites = build(name="breadth", concepts=breadth_concepts(held))
    else:
        sprites = build()
    print(f"{len(sprites)} sprites of {len({s.noun for s in sprites})} concepts in {DATA}")


if __name__ == "__main__":
    main()
