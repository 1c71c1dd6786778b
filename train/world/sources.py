"""Fetches what the renders are made from: 3D objects, photographic environments, 3D emoji.

    python -m train.world.sources --out SOURCES

    SOURCES/furniture/*.sh3f     820 named objects (Debian's sweethome3d-furniture; CC0, CC-BY 3.0)
    SOURCES/environments/*.exr   18 environments (npm's @pmndrs/assets; CC0)
    SOURCES/emoji/*.webp         3,391 rendered emoji (npm's @lobehub/fluent-emoji-3d; MIT)
    SOURCES/textures/*.jpg       10 photographs (Debian's lomiri-wallpapers-16.04; CC-BY 4.0, CC0)

What is there already stays. Licences and creators: CREDITS.md.
"""

import argparse
import base64
import re
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from train.world.packages import debian_files, npm_files

FURNITURE = "sweethome3d-furniture"
ENVIRONMENTS = "@pmndrs/assets@1.7.0"
EMOJI = "@lobehub/fluent-emoji-3d@1.1.0"
WALLPAPERS = "lomiri-wallpapers-16.04"
# The package's others are CC-BY-SA.
TEXTURES = re.compile(
    r"/(aitzgorri|friends|life|picosdeeuropa|Picture_0B|Picture_1A|seeding|sunset|umang|Wine)_by_"
)
_DATA_URL = re.compile(rb"base64,([A-Za-z0-9+/=]+)")


def environments() -> Iterable[tuple[str, bytes]]:
    """Names and contents of the EXR files, which the package holds as data URLs in modules."""
    for name, content in npm_files(ENVIRONMENTS, "hdri/"):
        if name.endswith(".exr.js"):
            found = _DATA_URL.search(content)
            if found is None:
                raise RuntimeError(f"{name} of {ENVIRONMENTS} holds no data URL: it has changed.")
            yield name.removesuffix(".js"), base64.b64decode(found[1])


def textures() -> Iterable[tuple[str, bytes]]:
    """Names and contents of the photographs whose licence lets derived works have any licence."""
    return (f for f in debian_files(WALLPAPERS, "usr/share/backgrounds/") if TEXTURES.search(f[0]))


def fetch(folder: Path, files: Callable[[], Iterable[tuple[str, bytes]]]) -> int:
    """Write the files into `folder`, under their last names, unless it exists; their number."""
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as name:
            part = Path(name) / folder.name
            part.mkdir()
            for path, content in files():
                (part / Path(path).name).write_bytes(content)
            part.rename(folder)  # readers never see a partial folder
    return len(list(folder.iterdir()))


SOURCES: dict[str, Callable[[], Iterable[tuple[str, bytes]]]] = {
    "furniture": lambda: debian_files(FURNITURE, "usr/share/sweethome3d/furniture/"),
    "environments": environments,
    "emoji": lambda: npm_files(EMOJI, "assets/"),
    "textures": textures,
}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name, files in SOURCES.items():
        print(f"{fetch(out / name, files)} files in {out / name}")


if __name__ == "__main__":
    main()
