"""Pictures of at least 1024 px to run the pipeline on, and ways to spoil them."""

import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int, size: tuple[int, int] = (1024, 1536)) -> Image.Image:
    """Soft blobs of colour, never white: RGB, a function of the seed."""
    coarse = np.random.default_rng(seed).integers(0, 240, (6, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BILINEAR)


def write_folder(folder: Path, count: int) -> Path:
    """`count` good JPEGs, `picture-00.jpg` and on."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        picture(i).save(folder / f"picture-{i:02d}.jpg", quality=90)
    return folder


def spoil(folder: Path) -> dict[str, str]:
    """Adds one bad file of each kind; returns the cause that each must be counted under."""
    whole = io.BytesIO()
    picture(99).save(whole, "JPEG")
    (folder / "bad-cut.jpg").write_bytes(whole.getvalue()[:9000])
    (folder / "bad-empty.jpg").write_bytes(b"")
    (folder / "bad-text.png").write_text("not found")
    (folder / "bad-link.jpg").symlink_to(folder / "gone.jpg")
    picture(98, (1023, 1536)).save(folder / "bad-small.jpg")
    (folder / "notes.txt").write_text("no picture, and no entry either")
    damaged = "damaged, too large, or not a picture"
    return {
        "bad-cut.jpg": damaged,
        "bad-empty.jpg": damaged,
        "bad-text.png": damaged,
        "bad-link.jpg": "file could not be read",
        "bad-small.jpg": "too few pixels",
    }


def write_archive(path: Path, members: dict[str, bytes]) -> Path:
    """A tar of these members."""
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path
