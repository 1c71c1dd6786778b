"""Subject masks: photograph → the subject alone, centred on white (Sec. 3.2).

The paper cuts each subject out, crops it and resizes it with its aspect kept, because CLIP
sees 224×224 px only. The mask comes, in this order, from a painted mask, from a useful alpha
channel, from a plain ground, or from rembg's U²-Net-p, whose weights are shipped: nothing is
ever downloaded.
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

U2NET_HOME = Path(__file__).resolve().parent.parent / "assets" / "u2net"

Method = Literal["alpha", "plain", "rembg", "painted", "whole"]

# Fractions of the picture's area: less subject than this is noise, more leaves no ground.
MIN_AREA = 0.002
MAX_AREA = 0.995
# A ground is plain where this much of the border is within so many grey levels of one colour.
PLAIN_SHARE = 0.98
PLAIN_LEVELS = 10
# Islands of a mask smaller than this share of the largest one are dropped.
ISLAND_SHARE = 0.08
SOLID = 128

_session_lock = threading.Lock()


@dataclass(frozen=True)
class Prepared:
    """A subject as the model sees it, and how it came about.

    picture: RGB, size_px × size_px, on white; what the image encoder gets
    cutout:  RGBA, size_px × size_px, the same framing on a transparent ground
    mask:    L, size of the original; 255 = subject
    overlay: RGB, size of the original; the ground dimmed, for showing the mask
    method:  where the mask came from; "whole" = no subject found, all of it is used
    """

    picture: Image.Image
    cutout: Image.Image
    mask: Image.Image
    overlay: Image.Image
    method: Method


def prepare_subject(
    image: Image.Image,
    mask: Image.Image | None = None,
    size_px: int = 224,
    margin: float = 0.08,
) -> Prepared:
    """Cut the subject out and centre it in a white square, its aspect kept.

    `image`: RGB or RGBA as from `open_picture`. `mask`: a painted mask of any size (bright, or
    opaque where it has an alpha channel, is subject). `margin`: white on each side as a
    fraction of the subject's longer side, in [0, 1]. With an empty mask the whole picture is
    used and `method` says so.
    """
    if not 0 <= margin <= 1 or size_px < 1:
        raise ValueError(f"margin {margin} must be in [0, 1], size_px {size_px} at least 1")
    found, method = _find_mask(image, mask)
    if "A" in image.getbands():
        found = ImageChops.darker(found, image.getchannel("A"))
    if not _is_subject(found, at_most=1.0):
        found, method = Image.new("L", image.size, 255), "whole"
    if method == "whole":
        # The ground stays: opaque, so that transparent parts are white there as well.
        subject, box = flatten(image).convert("RGBA"), (0, 0, *image.size)
        margin = 0.0
    else:
        subject = image.convert("RGB")
        subject.putalpha(found)
        box = _bounds(found)
    cutout = _square(subject, box, size_px, margin)
    return Prepared(flatten(cutout), cutout, found, _overlay(image, found), method)


def _find_mask(image: Image.Image, painted: Image.Image | None) -> tuple[Image.Image, Method]:
    if painted is not None:
        return _as_mask(painted, image.size), "painted"
    if "A" in image.getbands():
        alpha = image.getchannel("A")
        if _is_subject(alpha, at_most=0.98):
            return alpha, "alpha"
    ground = _plain_ground(flatten(image))
    if ground is not None:
        mask = Image.fromarray(np.where(ground, 0, 255).astype(np.uint8))
        if _is_subject(mask, at_most=MAX_AREA):
            return mask, "plain"
        if not _is_subject(mask, at_most=1.0):
            return mask, "whole"  # one colour all over: there is nothing to look for
    return _rembg_mask(flatten(image)), "rembg"


def _as_mask(painted: Image.Image, size: tuple[int, int]) -> Image.Image:
    """A painted mask as L: of a layer with transparency its opacity, else its brightness."""
    if "A" in painted.getbands() and painted.getchannel("A").getextrema()[0] < 255:
        mask = painted.getchannel("A")
    else:
        mask = painted.convert("L")
    return mask if mask.size == size else mask.resize(size, Image.Resampling.BILINEAR)


def _is_subject(mask: Image.Image, at_most: float) -> bool:
    """Whether the solid part of a mask is a sensible share of the picture."""
    return MIN_AREA <= float((np.asarray(mask) >= SOLID).mean()) <= at_most


def _plain_ground(rgb: Image.Image) -> np.ndarray | None:
    """(H, W) bool, the plain ground joined to the border; None where the border is not plain."""
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
    ground = np.isin(parts, touching)
    # Specks of noise in the ground are no subject.
    subject = _without_islands(np.where(ground, 0, 255).astype(np.uint8))
    return subject < SOLID


def _rembg_mask(rgb: Image.Image) -> Image.Image:
    """Soft mask by U²-Net-p, without stray islands."""
    with _session_lock:
        [mask] = _rembg_session().predict(rgb)
    return Image.fromarray(_without_islands(np.asarray(mask.convert("L"))))


@functools.cache
def _rembg_session() -> Any:
    """The rembg session, made on first use: importing rembg is slow and rarely needed."""
    weights = U2NET_HOME / "u2netp.onnx"
    if not weights.is_file():
        raise FileNotFoundError(f"{weights} is missing: restore it from the repository.")
    # rembg would download what it does not find here.
    os.environ["U2NET_HOME"] = str(U2NET_HOME)
    # pymatting compiles for more than a minute at import otherwise; we never use its matting.
    os.environ["NUMBA_DISABLE_JIT"] = "1"
    try:
        from rembg import new_session
    except SystemExit as error:  # rembg exits the process without onnxruntime
        raise ImportError('rembg needs onnxruntime: pip install "rembg[cpu]"') from error
    return new_session("u2netp", providers=["CPUExecutionProvider"])


def _without_islands(mask: np.ndarray) -> np.ndarray:
    """(H, W) uint8 mask with small separate parts set to 0."""
    _, parts, stats, _ = cv2.connectedComponentsWithStats((mask >= SOLID).astype(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]  # part 0 is the ground
    if len(areas) == 0:
        return mask
    small = 1 + np.flatnonzero(areas < ISLAND_SHARE * areas.max())
    dropped = cv2.dilate(np.isin(parts, small).astype(np.uint8), np.ones((5, 5), np.uint8))
    keep = np.isin(parts, 1 + np.flatnonzero(areas >= ISLAND_SHARE * areas.max()))
    return np.where((dropped > 0) & ~keep, 0, mask).astype(np.uint8)


def _bounds(mask: Image.Image) -> tuple[int, int, int, int]:
    """left, top, right, bottom of the solid part."""
    return Image.fromarray(np.asarray(mask) >= SOLID).getbbox()


def _square(
    subject: Image.Image, box: tuple[int, int, int, int], size_px: int, margin: float
) -> Image.Image:
    """RGBA, size_px × size_px: the box centred with its aspect kept, transparent around it."""
    left, top, right, bottom = box
    side = max(right - left, bottom - top) * (1 + 2 * margin)
    x, y = (left + right - side) / 2, (top + bottom - side) / 2
    # A crop may reach beyond the picture, PIL fills with transparent black there; it takes whole
    # pixels only, so the resize picks the exact square out of it.
    x0, y0 = math.floor(x), math.floor(y)
    crop = subject.crop((x0, y0, math.ceil(x + side), math.ceil(y + side)))
    exact = (x - x0, y - y0, x - x0 + side, y - y0 + side)
    return crop.resize((size_px, size_px), Image.Resampling.LANCZOS, box=exact)


def _overlay(image: Image.Image, mask: Image.Image) -> Image.Image:
    rgb = flatten(image)
    dimmed = Image.blend(rgb.convert("L").convert("RGB"), Image.new("RGB", rgb.size, "white"), 0.7)
    return Image.composite(rgb, dimmed, mask)
