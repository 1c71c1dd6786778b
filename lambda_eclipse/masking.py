"""Subject masks: photograph → the subject alone, centred on white (Sec. 3.2).

The paper cuts each subject out, crops it and resizes it with its aspect kept, because CLIP
sees 224×224 px only. Sources of the mask, in this order: a painted mask, an alpha channel that
leaves some of the picture out, a plain background, or U²-Net-p by rembg. Its weights are shipped;
nothing is downloaded.
"""

from __future__ import annotations

import functools
import math
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from PIL import Image, ImageChops

from lambda_eclipse.images import flatten
from lambda_eclipse.weights import missing_file

U2NET_HOME = Path(__file__).resolve().parent.parent / "assets" / "u2net"

Method = Literal["alpha", "plain", "rembg", "painted", "whole"]
Box = tuple[int, int, int, int]  # left, top, right, bottom in px

# Fractions of the picture's area: a smaller mask is noise, a larger one leaves no background.
MIN_AREA = 0.002
MAX_AREA = 0.995
# The background is plain if this share of the border is within so many levels of one colour.
PLAIN_SHARE = 0.98
PLAIN_LEVELS = 10
# Islands of a mask smaller than this share of the largest one are dropped.
ISLAND_SHARE = 0.08
SOLID = 128
_session_lock = threading.Lock()


@dataclass(frozen=True)
class Prepared:
    """A cut-out subject.

    picture: RGB, size_px × size_px, on white; the image encoder's input
    cutout:  RGBA, size_px × size_px, the same framing on transparent
    mask:    L, size of the original; 255 = subject
    overlay: RGB, size of the original; the background dimmed, to show the mask
    method:  source of the mask; "whole" = no subject found, the whole picture is used
    """

    picture: Image.Image
    cutout: Image.Image
    mask: Image.Image
    overlay: Image.Image
    method: Method


def prepare_subject(
    image: Image.Image,
    painted: Image.Image | None = None,
    size_px: int = 224,
    *,
    margin: float,
) -> Prepared:
    """Cut the subject out and centre it in a white square, its aspect kept.

    image: RGB or RGBA as from `open_picture`. painted: a mask of any size, drawn by hand; the
    subject is bright, or opaque in a mask with transparency. margin: white on each side as a
    fraction of the subject's longer side, in [0, 1]; the stack's (`Stack.margin`). With an empty
    mask the whole picture is used and `method` is "whole".
    """
    if not 0 <= margin <= 1 or size_px < 1:
        raise ValueError(f"margin {margin} must be in [0, 1], size_px {size_px} at least 1")
    mask, method = best_mask(image, painted)
    if method == "whole":
        # Keep the background, opaque: transparent parts become white in the cut-out, too.
        subject, box, margin = flatten(image).convert("RGBA"), (0, 0, *image.size), 0.0
    else:
        subject = image.convert("RGB")
        subject.putalpha(mask)
        box = bounds(mask)
    cutout = _square(subject, box, size_px, margin)
    return Prepared(flatten(cutout), cutout, mask, overlay(image, mask), method)


def best_mask(image: Image.Image, painted: Image.Image | None) -> tuple[Image.Image, Method]:
    """The automatic choice of a mask; the whole picture ("whole") if no subject is found."""
    mask, method = _find_mask(image, painted)
    mask = visible_part(mask, image)
    if not is_subject(mask, at_most=1.0):
        return Image.new("L", image.size, 255), "whole"
    return mask, method


def _find_mask(image: Image.Image, painted: Image.Image | None) -> tuple[Image.Image, Method]:
    if painted is not None:
        return _as_mask(painted, image.size), "painted"
    if "A" in image.getbands():
        alpha = image.getchannel("A")
        if is_subject(alpha, at_most=0.98):
            return alpha, "alpha"
    mask = plain_mask(flatten(image))
    if mask is not None:
        if is_subject(mask, at_most=MAX_AREA):
            return mask, "plain"
        if not is_subject(mask, at_most=1.0):
            return mask, "whole"  # a picture of one colour
    return rembg_mask(flatten(image)), "rembg"


def visible_part(mask: Image.Image, image: Image.Image) -> Image.Image:
    """The mask without the transparent parts of the picture."""
    if "A" not in image.getbands():
        return mask
    return ImageChops.darker(mask, image.getchannel("A"))


def _as_mask(painted: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A painted mask as L: its opacity if it has transparent parts, else its brightness."""
    if "A" in painted.getbands() and painted.getchannel("A").getextrema() != (255, 255):
        mask = painted.getchannel("A")
    else:
        mask = painted.convert("L")
    return mask if mask.size == size else mask.resize(size, Image.Resampling.BILINEAR)


def is_subject(mask: Image.Image, at_most: float) -> bool:
    """Whether the solid share of a mask is at least MIN_AREA and at most `at_most`."""
    return MIN_AREA <= float((np.asarray(mask) >= SOLID).mean()) <= at_most


def plain_mask(rgb: Image.Image) -> Image.Image | None:
    """Everything but the plain background connected to the border; None for another border."""
    array = np.asarray(rgb).astype(np.int16)  # (H, W, 3)
    ring = max(2, min(rgb.size) // 64)
    inside = np.zeros(array.shape[:2], dtype=bool)
    inside[ring:-ring, ring:-ring] = True
    colour = np.median(array[~inside], axis=0)
    near = np.abs(array - colour).max(axis=2) <= PLAIN_LEVELS  # (H, W)
    if near[~inside].mean() < PLAIN_SHARE:
        return None
    _, parts = cv2.connectedComponents(near.astype(np.uint8), connectivity=4)
    touching = np.unique(parts[~inside & near])
    background = np.isin(parts, touching)
    # Drop specks of noise in the background.
    return Image.fromarray(without_islands(np.where(background, 0, 255).astype(np.uint8)))


def rembg_mask(rgb: Image.Image) -> Image.Image:
    """Soft mask by U²-Net-p, without small islands."""
    with _session_lock:
        [mask] = _rembg_session().predict(rgb)
    return Image.fromarray(without_islands(np.asarray(mask.convert("L"))))


@functools.cache
def _rembg_session() -> Any:
    """The rembg session, made on first use: importing rembg is slow and rarely needed."""
    weights = U2NET_HOME / "u2netp.onnx"
    if not weights.is_file():
        raise missing_file(weights)
    # rembg would download missing weights.
    os.environ["U2NET_HOME"] = str(U2NET_HOME)
    # pymatting, which is not used, would compile for more than a minute at import.
    os.environ["NUMBA_DISABLE_JIT"] = "1"
    try:
        from rembg import new_session
    except SystemExit as error:  # raised by rembg without onnxruntime
        raise ImportError('rembg needs onnxruntime: pip install "rembg[cpu]"') from error
    return new_session("u2netp", providers=["CPUExecutionProvider"])


def without_islands(mask: np.ndarray) -> np.ndarray:
    """(H, W) uint8 mask with small separate parts set to 0."""
    _, parts, stats, _ = cv2.connectedComponentsWithStats((mask >= SOLID).astype(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]  # part 0 is the background
    if len(areas) == 0:
        return mask
    small = 1 + np.flatnonzero(areas < ISLAND_SHARE * areas.max())
    dropped = cv2.dilate(np.isin(parts, small).astype(np.uint8), np.ones((5, 5), np.uint8))
    keep = np.isin(parts, 1 + np.flatnonzero(areas >= ISLAND_SHARE * areas.max()))
    return np.where((dropped > 0) & ~keep, 0, mask).astype(np.uint8)


def bounds(mask: Image.Image) -> Box:
    """Left, top, right, bottom of the solid part of a mask that has one."""
    box = Image.fromarray(np.asarray(mask) >= SOLID).getbbox()
    assert box is not None
    return box


def _square(subject: Image.Image, box: Box, size_px: int, margin: float) -> Image.Image:
    """RGBA, size_px × size_px: the box centred with its aspect kept, transparent around it."""
    left, top, right, bottom = box
    side = max(right - left, bottom - top) * (1 + 2 * margin)
    x, y = (left + right - side) / 2, (top + bottom - side) / 2
    # Outside of the picture PIL's crop fills with transparent black. It takes whole pixels only,
    # so the resize cuts the exact square.
    x0, y0 = math.floor(x), math.floor(y)
    crop = subject.crop((x0, y0, math.ceil(x + side), math.ceil(y + side)))
    exact = (x - x0, y - y0, x - x0 + side, y - y0 + side)
    return crop.resize((size_px, size_px), Image.Resampling.LANCZOS, box=exact)


def overlay(image: Image.Image, mask: Image.Image) -> Image.Image:
    """The picture, RGB, with the background dimmed, to show a mask."""
    rgb = flatten(image)
    dimmed = Image.blend(rgb.convert("L").convert("RGB"), Image.new("RGB", rgb.size, "white"), 0.7)
    return Image.composite(rgb, dimmed, mask)
