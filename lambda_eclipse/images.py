"""Reading pictures: any upload becomes an upright 8-bit RGB or RGBA picture.

Conventions: PIL pictures are 8-bit; tensors are float32, RGB, (B, 3, H, W), in [0, 1].
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from lambda_eclipse.messages import StudioError, Text

if TYPE_CHECKING:
    import torch

LONG_SIDE_PX = 2048
SHORT_SIDE_PX = 16
MAX_MEGAPIXELS = 100
PICTURE = Text("picture")

PictureSource = str | Path | bytes | Image.Image | np.ndarray


class PictureError(StudioError):
    """A picture that cannot be used."""


def open_picture(source: PictureSource, what: str | Text = PICTURE) -> Image.Image:
    """Open a picture, turn it upright and limit its size.

    source: a path, the bytes of a file, a PIL picture, or an array of shape (H, W), (H, W, 1),
    (H, W, 3) or (H, W, 4), of uint8, uint16, bool, or floats in [0, 1]. An animation gives its
    first frame. what: name of the picture in messages.

    Returns a new RGB picture, or RGBA if some of it is transparent; the long side is at most
    2048 px. Raises PictureError for a source that is not a picture or damaged, a side under
    16 px, more than 100 megapixels, or a fully transparent picture.
    """
    with warnings.catch_warnings():
        # PIL warns above 89 megapixels, under our own limit, and about metadata that it skips.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.simplefilter("ignore", UserWarning)
        image = _decoded(source, what)
    image = _eight_bit(image)
    if image.mode == "RGBA":
        lowest, highest = image.getchannel("A").getextrema()
        if highest == 0:
            raise PictureError(
                "The {what} is fully transparent: choose one with something on it.", what=what
            )
        if lowest == 255:
            image = image.convert("RGB")
    if max(image.size) > LONG_SIDE_PX:
        image.thumbnail((LONG_SIDE_PX, LONG_SIDE_PX), Image.Resampling.LANCZOS)
    image.info = {}  # drop EXIF (places, names) and profiles: saved pictures must not carry them
    return image


def flatten(image: Image.Image) -> Image.Image:
    """RGB on white: transparent parts become white, the encoder's background."""
    if image.mode == "RGB":
        return image
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, rgba).convert("RGB")


def to_tensor(images: Sequence[Image.Image]) -> torch.Tensor:
    """Pictures of one size to (B, 3, H, W) float32 in [0, 1]; transparency becomes white."""
    import torch

    sizes = {image.size for image in images}
    if len(sizes) != 1:
        raise ValueError(f"a batch needs one or more pictures of one size, got sizes {sizes}")
    stack = np.stack([np.asarray(flatten(image)) for image in images])  # (B, H, W, 3)
    return torch.from_numpy(stack).permute(0, 3, 1, 2).float().div_(255).contiguous()


def to_pil(pictures: torch.Tensor) -> list[Image.Image]:
    """(B, 3, H, W) in [0, 1] to pictures; values outside are clipped, then rounded to 8 bits."""
    if pictures.ndim != 4 or pictures.shape[1] != 3:
        raise ValueError(f"expected (B, 3, H, W), got {tuple(pictures.shape)}")
    array = pictures.detach().float().clamp(0, 1).mul(255).round().byte()
    return [Image.fromarray(one) for one in array.permute(0, 2, 3, 1).cpu().numpy()]


def _decoded(source: PictureSource, what: str | Text) -> Image.Image:
    """The first frame of `source`, upright and fully loaded; a new picture in any mode."""
    try:
        image = _opened(source, what)
        if image.width * image.height > MAX_MEGAPIXELS * 1_000_000:
            raise _too_large(
                what, Text("{width}×{height} px", width=image.width, height=image.height)
            )
        if min(image.size) < SHORT_SIDE_PX:
            raise PictureError(
                "The {what} is {width}×{height} px: both sides must be at least {least} px.",
                what=what,
                width=image.width,
                height=image.height,
                least=SHORT_SIDE_PX,
            )
        if getattr(image, "is_animated", False):
            image.seek(0)
        if not isinstance(source, Image.Image):
            # Decode a large JPEG at a fraction of its size.
            image.draft(None, (LONG_SIDE_PX, LONG_SIDE_PX))
        image.load()
    except PictureError:
        raise
    except Image.DecompressionBombError:
        raise _too_large(what, Text("enormous")) from None
    except Exception as error:  # decoders raise nearly anything on broken files
        raise PictureError(
            "The {what} could not be read: it is damaged or not a picture. Save it again as PNG "
            "or JPEG.",
            what=what,
        ) from error
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # ignore broken metadata of a readable picture
        return image.copy()


def _opened(source: PictureSource, what: str | Text) -> Image.Image:
    if isinstance(source, Image.Image):
        return source
    if isinstance(source, np.ndarray):
        return _from_array(source, what)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return Image.open(io.BytesIO(bytes(source)))
    if not isinstance(source, (str, Path)):
        raise PictureError(
            "The {what} is a {type}: use a path or a picture.",
            what=what,
            type=type(source).__name__,
        )
    path = Path(source)
    if not path.is_file():
        raise PictureError("The {what} {path} is not a file: check its path.", what=what, path=path)
    # Read the whole file: PIL's lazy loading could fail later.
    return Image.open(io.BytesIO(path.read_bytes()))


def _from_array(array: np.ndarray, what: str | Text) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise PictureError(
            "The {what} is an array of shape {shape}: it must be (H, W), (H, W, 3) or (H, W, 4).",
            what=what,
            shape=array.shape,
        )
    if array.dtype == np.uint16:
        array = (array / 257).round()
    elif array.dtype == bool or np.issubdtype(array.dtype, np.floating):
        array = (np.nan_to_num(array.astype(np.float32)) * 255).round()
    return Image.fromarray(np.ascontiguousarray(array.clip(0, 255).astype(np.uint8)))


def _eight_bit(image: Image.Image) -> Image.Image:
    """Convert any mode of PIL to RGB or RGBA; 16 and 32 bits are scaled, not clipped."""
    if image.mode.startswith("I") or image.mode == "F":
        levels = np.nan_to_num(np.asarray(image, dtype=np.float64))
        low, high = float(levels.min()), float(levels.max())
        if image.mode.startswith("I;16") or (image.mode == "I" and 255 < high <= 65535):
            low, high = 0.0, 65535.0
        elif low >= 0 and high <= 1:
            low, high = 0.0, 1.0
        elif low >= 0 and high <= 255:
            low, high = 0.0, 255.0
        scaled = (levels - low) / max(high - low, 1e-12) * 255
        return Image.fromarray(scaled.clip(0, 255).round().astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        if image.mode in ("La", "RGBa"):
            image = image.convert("LA" if image.mode == "La" else "RGBA")
        return image.convert("RGBA")
    return image.convert("RGB") if image.mode != "RGB" else image.copy()


def _too_large(what: str | Text, size: Text) -> PictureError:
    return PictureError(
        "The {what} is {size}: at most {most} megapixels, please scale it down.",
        what=what,
        size=size,
        most=MAX_MEGAPIXELS,
    )
