"""Pictures in and out: whatever a person uploads becomes an upright 8-bit RGB or RGBA picture.

The ranges used everywhere are defined here: PIL pictures are 8-bit, tensors are float32,
RGB, (B, 3, H, W), [0, 1].
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

if TYPE_CHECKING:
    import torch

LONG_SIDE_PX = 2048
SHORT_SIDE_PX = 16
MAX_MEGAPIXELS = 100

PictureSource = str | Path | bytes | Image.Image | np.ndarray


class PictureError(ValueError):
    """A picture that cannot be used; the message names it and says what to do."""


def open_picture(source: PictureSource, what: str = "picture") -> Image.Image:
    """Open, turn upright and bound a picture.

    `source`: a path, the bytes of a file, a PIL picture, or an array of shape (H, W),
    (H, W, 1), (H, W, 3) or (H, W, 4): uint8, uint16, bool, or floats in [0, 1].
    Of an animation the first frame is taken. `what` names the picture in messages.

    Returns a new RGB picture, or RGBA where some of it is transparent; the long side is at
    most 2048 px. Raises PictureError for what is not a picture, is corrupt, has a side under
    16 px, more than 100 megapixels, or nothing visible.
    """
    with warnings.catch_warnings():
        # PIL warns from 89 megapixels on, though the bound below is the one that holds, and of
        # metadata that it then skips.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        warnings.simplefilter("ignore", UserWarning)
        image = _decoded(source, what)
    image = _eight_bit(image)
    if image.mode == "RGBA":
        lowest, highest = image.getchannel("A").getextrema()
        if highest == 0:
            raise PictureError(f"The {what} is fully transparent: choose one with something on it.")
        if lowest == 255:
            image = image.convert("RGB")
    if max(image.size) > LONG_SIDE_PX:
        image.thumbnail((LONG_SIDE_PX, LONG_SIDE_PX), Image.Resampling.LANCZOS)
    image.info = {}  # no EXIF (places, names) or profiles travel on into saved pictures
    return image


def flatten(image: Image.Image) -> Image.Image:
    """RGB on white: transparent parts become the white ground that the encoder was shown."""
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


def contact_sheet(
    images: Sequence[Image.Image],
    columns: int,
    labels: Sequence[str] | None = None,
    gap_px: int = 4,
) -> Image.Image:
    """Pictures of any sizes side by side on white, row by row, each with its label beneath.

    Every cell is as large as the largest picture; smaller ones are centred in theirs.
    Raises ValueError without pictures, for `columns` under 1, or unmatched labels.
    """
    if not images or columns < 1:
        raise ValueError("a contact sheet needs at least one picture and one column")
    if labels is not None and len(labels) != len(images):
        raise ValueError(f"{len(labels)} labels for {len(images)} pictures")
    font = ImageFont.load_default()
    label_px = 16 if labels is not None else 0
    cell_w = max(image.width for image in images)
    cell_h = max(image.height for image in images)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    width = columns * (cell_w + gap_px) + gap_px
    height = rows * (cell_h + label_px + gap_px) + gap_px
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    for i, image in enumerate(images):
        left = gap_px + (i % columns) * (cell_w + gap_px)
        top = gap_px + (i // columns) * (cell_h + label_px + gap_px)
        offset = ((cell_w - image.width) // 2, (cell_h - image.height) // 2)
        sheet.paste(flatten(image), (left + offset[0], top + offset[1]))
        if labels is not None:
            text = _fitting(labels[i], font, cell_w)
            draw.text((left, top + cell_h + 1), text, fill="black", font=font)
    return sheet


def _fitting(text: str, font: ImageFont.ImageFont, width_px: int) -> str:
    """`text`, shortened with dots until the font draws it within `width_px`."""
    if font.getlength(text) <= width_px:
        return text
    while text and font.getlength(text + "...") > width_px:
        text = text[:-1]
    return text + "..."


def _decoded(source: PictureSource, what: str) -> Image.Image:
    """The first frame of `source`, upright and fully read; a new picture in any mode."""
    try:
        image = _opened(source, what)
        if image.width * image.height > MAX_MEGAPIXELS * 1_000_000:
            raise PictureError(_too_large(what, image.size))
        if min(image.size) < SHORT_SIDE_PX:
            raise PictureError(
                f"The {what} is {image.width}×{image.height} px: "
                f"both sides must be at least {SHORT_SIDE_PX} px."
            )
        if getattr(image, "is_animated", False):
            image.seek(0)
        if not isinstance(source, Image.Image):
            # A JPEG can be decoded at a fraction of its size: a huge photo stays cheap.
            image.draft(None, (LONG_SIDE_PX, LONG_SIDE_PX))
        image.load()
    except PictureError:
        raise
    except Image.DecompressionBombError:
        raise PictureError(_too_large(what, None)) from None
    except Exception as error:  # decoders raise nearly anything on broken files
        raise PictureError(
            f"The {what} could not be read: it is damaged or not a picture. "
            "Save it again as PNG or JPEG."
        ) from error
    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # broken metadata must not lose a readable picture
        return image.copy()


def _opened(source: PictureSource, what: str) -> Image.Image:
    if isinstance(source, Image.Image):
        return source
    if isinstance(source, np.ndarray):
        return _from_array(source, what)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return Image.open(io.BytesIO(bytes(source)))
    if not isinstance(source, (str, Path)):
        raise PictureError(f"The {what} is a {type(source).__name__}: give a path or a picture.")
    path = Path(source)
    if not path.is_file():
        raise PictureError(f"The {what} {path} is not a file: check its path.")
    # Read whole: the file is closed at once, and PIL's lazy loading cannot fail later.
    return Image.open(io.BytesIO(path.read_bytes()))


def _from_array(array: np.ndarray, what: str) -> Image.Image:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise PictureError(f"The {what} is an array of shape {array.shape}: give (H, W, 3).")
    if array.dtype == np.uint16:
        array = (array / 257).round()
    elif array.dtype == bool or np.issubdtype(array.dtype, np.floating):
        array = (np.nan_to_num(array.astype(np.float32)) * 255).round()
    return Image.fromarray(np.ascontiguousarray(array.clip(0, 255).astype(np.uint8)))


def _eight_bit(image: Image.Image) -> Image.Image:
    """Any mode of PIL to RGB or RGBA; one of 16 or 32 bits is scaled, not cut off."""
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


def _too_large(what: str, size: tuple[int, int] | None) -> str:
    shown = f"{size[0]}×{size[1]} px" if size else "enormous"
    return f"The {what} is {shown}: at most {MAX_MEGAPIXELS} megapixels, please scale it down."
