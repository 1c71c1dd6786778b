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
CandidateMethod = Method | Literal["grabcut"]
Box = tuple[int, int, int, int]  # left, top, right, bottom in px

# Fractions of the picture's area: less subject than this is noise, more leaves no ground.
MIN_AREA = 0.002
MAX_AREA = 0.995
# A ground is plain where this much of the border is within so many grey levels of one colour.
PLAIN_SHARE = 0.98
PLAIN_LEVELS = 10
# Islands of a mask smaller than this share of the largest one are dropped.
ISLAND_SHARE = 0.08
SOLID = 128
# Masks that overlap by more than this (intersection over union) look the same to a person.
SAME_OVERLAP = 0.97
# GrabCut (Rother et al. 2004) works on a copy of this long side, with this many rounds.
GRABCUT_SIDE_PX = 512
GRABCUT_ROUNDS = 5
GRABCUT_SEED = 0
MIN_COLOURS = 5  # it describes subject and ground by so many colours each
# The box it gets by itself: the first mask's bounds with this margin of the picture's sides, or
# the central part of a picture where that leaves too little ground to learn from.
BOX_MARGIN = 0.02
BOX_CENTRE = 0.8
MAX_BOX_AREA = 0.97

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


@dataclass(frozen=True)
class Candidate:
    """One way of cutting a subject out, for a person to choose from.

    mask: L, size of the original; 255 = subject. overlay: RGB, as in `Prepared`. method: where
    the mask came from; "grabcut" = from the colours inside and outside of a box
    """

    mask: Image.Image
    overlay: Image.Image
    method: CandidateMethod


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
    found, method = _best_mask(image, mask)
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


def candidates(image: Image.Image, box: Box | None = None) -> list[Candidate]:
    """Up to four masks of one picture, no two alike, the one `prepare_subject` takes first.

    After it come, as far as they find a subject, the cut from a plain ground, rembg's, GrabCut's
    in `box`, and all of the picture unless its alpha channel came first. `image`: RGB or RGBA as
    from `open_picture`. `box`: left, top, right, bottom in px, around all of the subject and with
    ground outside; by default the bounds of the first mask and a margin, or the central part. Equal
    arguments give equal masks. ValueError for a box that is empty, reaches beyond the picture or
    fills it.
    """
    if box is not None:
        _check_box(box, image.size)
    rgb = flatten(image)
    first, method = _best_mask(image, None)
    found: list[tuple[Image.Image, CandidateMethod]] = [(first, method)]
    plain = _plain_mask(rgb)
    if plain is not None:
        found.append((plain, "plain"))
    if plain is None or _is_subject(plain, at_most=1.0):
        by_rembg = first if method == "rembg" else _rembg_mask(rgb)
        found += [(by_rembg, "rembg"), (_grabcut_mask(rgb, box or _box_of(first)), "grabcut")]
    elif box is not None:  # one colour all over, but someone sees something there
        found.append((_grabcut_mask(rgb, box), "grabcut"))
    if method != "alpha":
        found.append((Image.new("L", image.size, 255), "whole"))

    kept: list[tuple[Image.Image, CandidateMethod]] = []
    for mask, method in found:
        mask = mask if method == "whole" else _visible(mask, image)
        if _is_subject(mask, at_most=1.0) and not any(_alike(mask, other) for other, _ in kept):
            kept.append((mask, method))
    return [Candidate(mask, _overlay(image, mask), method) for mask, method in kept]


def _best_mask(image: Image.Image, painted: Image.Image | None) -> tuple[Image.Image, Method]:
    """The mask to take without asking; all of the picture ("whole") where nothing is found."""
    found, method = _find_mask(image, painted)
    found = _visible(found, image)
    if not _is_subject(found, at_most=1.0):
        return Image.new("L", image.size, 255), "whole"
    return found, method


def _find_mask(image: Image.Image, painted: Image.Image | None) -> tuple[Image.Image, Method]:
    if painted is not None:
        return _as_mask(painted, image.size), "painted"
    if "A" in image.getbands():
        alpha = image.getchannel("A")
        if _is_subject(alpha, at_most=0.98):
            return alpha, "alpha"
    mask = _plain_mask(flatten(image))
    if mask is not None:
        if _is_subject(mask, at_most=MAX_AREA):
            return mask, "plain"
        if not _is_subject(mask, at_most=1.0):
            return mask, "whole"  # one colour all over: there is nothing to look for
    return _rembg_mask(flatten(image)), "rembg"


def _visible(mask: Image.Image, image: Image.Image) -> Image.Image:
    """The mask without what is transparent in the picture."""
    if "A" not in image.getbands():
        return mask
    return ImageChops.darker(mask, image.getchannel("A"))


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


def _alike(a: Image.Image, b: Image.Image) -> bool:
    """Whether the solid parts of two masks, neither of them empty, are nearly the same."""
    first, second = np.asarray(a) >= SOLID, np.asarray(b) >= SOLID
    return float((first & second).sum() / (first | second).sum()) > SAME_OVERLAP


def _plain_mask(rgb: Image.Image) -> Image.Image | None:
    """All but the plain ground joined to the border; None where the border is not plain."""
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
    return Image.fromarray(_without_islands(np.where(ground, 0, 255).astype(np.uint8)))


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


def _grabcut_mask(rgb: Image.Image, box: Box) -> Image.Image:
    """What differs within the box from the colours outside; empty where either has too few px."""
    scale = min(1.0, GRABCUT_SIDE_PX / max(rgb.size))
    width, height = (max(1, round(side * scale)) for side in rgb.size)
    array = np.asarray(rgb.resize((width, height), Image.Resampling.BOX))  # (height, width, 3)
    left, top, right, bottom = (round(side * scale) for side in box)
    labels = np.full((height, width), cv2.GC_BGD, np.uint8)
    labels[top:bottom, left:right] = cv2.GC_PR_FGD
    if np.bincount(labels.ravel(), minlength=4)[[cv2.GC_BGD, cv2.GC_PR_FGD]].min() < MIN_COLOURS:
        return Image.new("L", rgb.size)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(GRABCUT_SEED)  # its first guess at the colours is drawn at random
    cv2.grabCut(array, labels, None, *models, GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK)
    subject = np.where(labels == cv2.GC_PR_FGD, 255, 0).astype(np.uint8)
    mask = Image.fromarray(_without_islands(subject))
    return mask.resize(rgb.size, Image.Resampling.BILINEAR)


def _box_of(mask: Image.Image) -> Box:
    """The bounds of a mask and a margin; the central part where that leaves too little ground."""
    width, height = mask.size
    left, top, right, bottom = _bounds(mask)
    dx, dy = math.ceil(BOX_MARGIN * width), math.ceil(BOX_MARGIN * height)
    left, top = max(left - dx, 0), max(top - dy, 0)
    right, bottom = min(right + dx, width), min(bottom + dy, height)
    if (right - left) * (bottom - top) <= MAX_BOX_AREA * width * height:
        return left, top, right, bottom
    dx, dy = (round((1 - BOX_CENTRE) / 2 * side) for side in mask.size)
    return dx, dy, width - dx, height - dy


def _check_box(box: Box, size: tuple[int, int]) -> None:
    left, top, right, bottom = box
    if not (0 <= left < right <= size[0] and 0 <= top < bottom <= size[1]):
        raise ValueError(
            f"The box {tuple(box)} is empty or reaches beyond the picture of {size[0]}×{size[1]} "
            f"px: give left, top, right, bottom within it."
        )
    if tuple(box) == (0, 0, *size):
        raise ValueError("The box fills the picture: leave some ground around the subject.")


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


def _bounds(mask: Image.Image) -> Box:
    """left, top, right, bottom of the solid part."""
    return Image.fromarray(np.asarray(mask) >= SOLID).getbbox()


def _square(subject: Image.Image, box: Box, size_px: int, margin: float) -> Image.Image:
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
