"""What people do to pictures, harmless to those who look at them."""

import io
from collections.abc import Callable

from PIL import Image


def jpeg(image: Image.Image) -> Image.Image:
    """JPEG at quality 80."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=80)
    return Image.open(out).convert("RGB")


def half(image: Image.Image) -> Image.Image:
    """Half as wide and high."""
    return image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS)


def double(image: Image.Image) -> Image.Image:
    """Twice as wide and high."""
    return image.resize((2 * image.width, 2 * image.height), Image.Resampling.BICUBIC)


def crop(image: Image.Image) -> Image.Image:
    """Without a tenth of each side, at an odd offset."""
    left, top = image.width // 20 + 1, image.height // 20
    return image.crop((left, top, left + image.width * 9 // 10, top + image.height * 9 // 10))


ATTACKS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "none": lambda image: image,
    "JPEG 80": jpeg,
    "half": half,
    "crop": crop,
    "crop, JPEG": lambda image: jpeg(crop(image)),
}
