"""Alternative masks of a picture, for a person to choose from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from PIL import Image

from lambda_eclipse.images import PictureError, flatten
from lambda_eclipse.masking import (
    SOLID,
    Method,
    best_mask,
    bounds,
    is_subject,
    overlay,
    plain_mask,
    rembg_mask,
    visible_part,
    without_islands,
)

CandidateMethod = Method | Literal["grabcut"]
Box = tuple[int, int, int, int]  # left, top, right, bottom in px

# Masks with a larger overlap (intersection over union) look the same to a person.
SAME_OVERLAP = 0.97
# GrabCut (Rother et al. 2004): long side of the copy it works on, and rounds.
GRABCUT_SIDE_PX = 512
GRABCUT_ROUNDS = 5
GRABCUT_SEED = 0
MIN_COLOURS = 5  # clusters that GrabCut describes subject and background by
# Default box: the first mask's bounds with this margin of the picture's sides, or the central
# part of the picture if that leaves too little background.
BOX_MARGIN = 0.02
BOX_CENTRE = 0.8
MAX_BOX_AREA = 0.97


@dataclass(frozen=True)
class Candidate:
    """One mask.

    mask: L, size of the original; 255 = subject. overlay: RGB, as in `masking.Prepared`.
    method: source of the mask; "grabcut" = colours inside and outside of a box
    """

    mask: Image.Image
    overlay: Image.Image
    method: CandidateMethod


def candidates(image: Image.Image, box: Box | None = None) -> list[Candidate]:
    """Up to four different masks of one picture; the first is the choice of `prepare_subject`.

    The others, if they contain a subject: everything but a plain background, rembg's, GrabCut's
    in `box`, and the whole picture unless the first is its alpha channel. image: RGB or RGBA as
    from `open_picture`. box: left, top, right, bottom in px, around the whole subject and some
    background; default: bounds of the first mask and a margin, or the central part. Equal
    arguments give equal masks. Raises PictureError for a box that is empty, reaches beyond the
    picture or fills it.
    """
    if box is not None:
        _check_box(box, image.size)
    rgb = flatten(image)
    first, method = best_mask(image, None)
    masks: list[tuple[Image.Image, CandidateMethod]] = [(first, method)]
    plain = plain_mask(rgb)
    if plain is not None:
        masks.append((plain, "plain"))
    if plain is None or is_subject(plain, at_most=1.0):
        by_rembg = first if method == "rembg" else rembg_mask(rgb)
        masks += [(by_rembg, "rembg"), (_grabcut_mask(rgb, box or _box_of(first)), "grabcut")]
    elif box is not None:  # a picture of one colour, but a person marked a subject in it
        masks.append((_grabcut_mask(rgb, box), "grabcut"))
    if method != "alpha":
        masks.append((Image.new("L", image.size, 255), "whole"))

    kept: list[tuple[Image.Image, CandidateMethod]] = []
    for mask, source in masks:
        mask = mask if source == "whole" else visible_part(mask, image)
        if is_subject(mask, at_most=1.0) and not any(_same(mask, other) for other, _ in kept):
            kept.append((mask, source))
    return [Candidate(mask, overlay(image, mask), source) for mask, source in kept]


def _same(a: Image.Image, b: Image.Image) -> bool:
    """Whether the solid parts of two masks, neither of them empty, are nearly equal."""
    first, second = np.asarray(a) >= SOLID, np.asarray(b) >= SOLID
    return float((first & second).sum() / (first | second).sum()) > SAME_OVERLAP


def _grabcut_mask(rgb: Image.Image, box: Box) -> Image.Image:
    """Foreground in the box by GrabCut; empty if inside or outside has too few pixels."""
    scale = min(1.0, GRABCUT_SIDE_PX / max(rgb.size))
    width, height = (max(1, round(side * scale)) for side in rgb.size)
    array = np.asarray(rgb.resize((width, height), Image.Resampling.BOX))  # (height, width, 3)
    left, top, right, bottom = (round(side * scale) for side in box)
    labels = np.full((height, width), cv2.GC_BGD, np.uint8)
    labels[top:bottom, left:right] = cv2.GC_PR_FGD
    if np.bincount(labels.ravel(), minlength=4)[[cv2.GC_BGD, cv2.GC_PR_FGD]].min() < MIN_COLOURS:
        return Image.new("L", rgb.size)
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))  # colour models
    cv2.setRNGSeed(GRABCUT_SEED)  # its first colour clusters are random
    whole = (0, 0, 0, 0)  # ignored with a mask
    mode = cv2.GC_INIT_WITH_MASK
    cv2.grabCut(array, labels, whole, background, foreground, GRABCUT_ROUNDS, mode)
    subject = np.where(labels == cv2.GC_PR_FGD, 255, 0).astype(np.uint8)
    mask = Image.fromarray(without_islands(subject))
    return mask.resize(rgb.size, Image.Resampling.BILINEAR)


def _box_of(mask: Image.Image) -> Box:
    """The bounds of a mask and a margin; the central part if that leaves too little background."""
    width, height = mask.size
    left, top, right, bottom = bounds(mask)
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
        raise PictureError(
            "The box {box} is empty or reaches beyond the picture of {width}×{height} px: draw it "
            "inside the picture.",
            box=tuple(box),
            width=size[0],
            height=size[1],
        )
    if tuple(box) == (0, 0, *size):
        raise PictureError("The box fills the picture: leave background around the subject.")
