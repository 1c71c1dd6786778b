"""The subjects that ship with the page, in `assets/subjects`.

    python -m train.world.page_subjects

Drawings come from the art packages at 320 px (licences in CREDITS.md); the photograph of a cat is
scikit-image's Chelsea (CC0).
"""

from importlib.resources import files

from PIL import Image

from lambda_eclipse.stacks import ASSETS
from train.world.concepts import CONCEPTS
from train.world.sprites import PACKAGES, fetch_json, icon_svg, rasterize

SIZE_PX, COLOURS = 320, 256
# file name → style and noun
DRAWINGS: dict[str, tuple[str, str]] = {
    "cat-1": ("noto", "cat"),
    "cat-2": ("emojione", "cat"),
    "dog-1": ("twemoji", "dog"),
    "dog-2": ("fluent", "dog"),
    "hat-1": ("noto", "hat"),
    "hat-2": ("fluent", "hat"),
    "robot-1": ("noto", "robot"),
    "robot-2": ("emojione", "robot"),
    "fox-1": ("noto", "fox"),
    "car-1": ("twemoji", "car"),
    "castle-1": ("fluent", "castle"),
    "glasses-1": ("noto", "glasses"),
}


def main() -> None:
    """The command."""
    target = ASSETS / "subjects"
    target.mkdir(parents=True, exist_ok=True)
    by_noun = {concept.noun: concept for concept in CONCEPTS}
    icons = {style: fetch_json(PACKAGES[style]) for style in {s for s, _ in DRAWINGS.values()}}
    for name, (style, noun) in DRAWINGS.items():
        svg = icon_svg(icons[style], by_noun[noun])
        if svg is None:
            raise RuntimeError(f"{PACKAGES[style]} has no {noun}")
        drawing = rasterize(svg, SIZE_PX).quantize(COLOURS, Image.Quantize.FASTOCTREE)
        drawing.save(target / f"{name}.png", optimize=True)
    with Image.open(str(files("skimage") / "data/chelsea.png")) as photo:
        photo.convert("RGB").save(target / "cat-photo.jpg", quality=90)


if __name__ == "__main__":
    main()
