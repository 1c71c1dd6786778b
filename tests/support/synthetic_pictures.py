"""Pictures to run the pipeline and the watermark on, and ways to spoil them."""

import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw


def picture(seed: int, size: tuple[int, int] = (1024, 1536)) -> Image.Image:
    """Soft blobs of colour, never white: RGB, a function of the seed; at least 1024 px."""
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


def scene(side: int, seed: int = 0) -> Image.Image:
    """Soft colours, an outline, fine grain: a bit of everything that pictures have."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(40, 220, (6, 6, 3), np.uint8))
    image = coarse.resize((side, side), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    draw.ellipse((side // 4, side // 4, 3 * side // 4, 3 * side // 4), "orange", "black", 3)
    grain = rng.normal(0, 3, (side, side, 3))
    return Image.fromarray((np.asarray(image) + grain).clip(0, 255).astype(np.uint8))
