"""The filters of Appendix B, with the paper's numbers and how each loose statement was read.

Bounds are inclusive on the side that the paper keeps. Boxes are (left, top, right, bottom) in
whole px of the picture, rounded outwards and clipped to it; masks are bool (H, W) of the picture.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from lambda_eclipse.paper import (
    BOX_ASPECT_RANGE,
    MAX_BOXES,
    MAX_IDENTICAL_OBJECTS,
    MAX_SUBJECTS,
    MAX_WHITE_SHARE,
    MIN_BOX_LOGIT,
    MIN_MASK_SHARE,
)
from train.data.caption_pipeline.options import Ratio
from train.data.caption_pipeline.report import BoxCause, Cause

Box = tuple[int, int, int, int]

# From this 8-bit level on, in all three channels, a pixel is white (the paper names no level):
# JPEG leaves a white ground a few levels short of 255.
WHITE_LEVEL = 250


@dataclass(frozen=True)
class Detection:
    """A box that was found for a phrase.

    phrase: what was looked for. name: the noun's name, by which objects are identical. score: of
    the box, in [0, 1].
    """

    phrase: str
    name: str
    box: Box
    score: float


def whole_box(corners: Sequence[float], width: int, height: int) -> Box:
    """A box in whole px of a picture of that size: rounded outwards, clipped."""
    left, top, right, bottom = corners
    return (
        min(max(math.floor(left), 0), width),
        min(max(math.floor(top), 0), height),
        min(max(math.ceil(right), 0), width),
        min(max(math.ceil(bottom), 0), height),
    )


def too_many_alike(names: Iterable[str]) -> bool:
    """ "Captions with multiple instances of identical objects were filtered", at most 6.

    Read as: a picture goes when one noun (its singular) is named more than six times in the
    caption, or found in more than six boxes; it is asked of both.
    """
    return max(Counter(names).values(), default=0) > MAX_IDENTICAL_OBJECTS


def count_cause(detections: Sequence[Detection]) -> Cause | None:
    """ "We retained images with 1 to 8 detected bounding boxes, discarding the rest."

    Read as: all boxes above Grounding DINO's two thresholds count, of all nouns together, before
    any of the filters below and without suppressing overlaps, of which the paper says nothing.
    """
    if not detections:
        return Cause.NO_BOXES
    if len(detections) > MAX_BOXES:
        return Cause.MANY_BOXES
    return Cause.IDENTICAL if too_many_alike(d.name for d in detections) else None


def ratio_fits(box: Box, width: int, height: int, ratio: Ratio) -> bool:
    """ "Bounding boxes with a width-height ratio ranging from 0.08 to 0.7" are kept.

    Read as ("sides", the default): width and height, each as a share of the picture's, are both in
    that range, which drops specks and what fills the picture. Read to the letter ("aspect"), the
    box's width divided by its height: then every square or landscape box would go, cars, beds and
    lying dogs, and a range up to 0.7 could not be meant for the paper's own subjects.
    `width`, `height`: of the picture, px.
    """
    low, high = BOX_ASPECT_RANGE
    w, h = box[2] - box[0], box[3] - box[1]
    if w <= 0 or h <= 0:
        return False
    ratios = (w / h,) if ratio == "aspect" else (w / width, h / height)
    return all(low <= one <= high for one in ratios)


def box_cause(detection: Detection, width: int, height: int, ratio: Ratio) -> BoxCause | None:
    """Why a box goes before its mask is looked for.

    "Logit scores of at least 0.3": the box's score as Grounding DINO gives it, the sigmoid of its
    best token's logit, the same number that the thresholds of 0.2 are compared with.
    """
    if not ratio_fits(detection.box, width, height, ratio):
        return BoxCause.RATIO
    return BoxCause.LOGIT if detection.score < MIN_BOX_LOGIT else None


def mask_share(mask: np.ndarray, box: Box) -> float:
    """The mask's share of its box, in [0, 1]; what of it reaches beyond the box does not count."""
    left, top, right, bottom = box
    return float(mask[top:bottom, left:right].mean())


def mask_cause(share: float) -> BoxCause | None:
    """ "Masks constituting less than 40% of the bounding box area were discarded." """
    return BoxCause.MASK if share < MIN_MASK_SHARE else None


def white_share(picture: np.ndarray, masks: Sequence[np.ndarray]) -> float:
    """Share of a picture, (H, W, 3) uint8, that is white and belongs to no subject, in [0, 1]."""
    white = (picture >= WHITE_LEVEL).all(axis=2)
    for mask in masks:
        white &= ~mask
    return float(white.mean())


def white_cause(share: float) -> Cause | None:
    """ "A background (white portion) exceeding 10% of the total area" excludes a picture.

    Read as: white pixels outside all subjects' masks, over all pixels of the picture, so that
    cut-out goods on white go and a white dog on grass stays. It cannot mean the cut-out subjects:
    those may be white for 60 % of their box by the rule on masks.
    """
    return Cause.WHITE if share > MAX_WHITE_SHARE else None


def bind(phrases: Sequence[str], detections: Sequence[Detection]) -> dict[int, int]:
    """Noun → detection, by their numbers: each noun gets one box, each box goes to one noun.

    `phrases`: what was looked for, of each noun of the caption. Of several boxes of a phrase the
    noun gets the one of the best score; where the caption has that phrase again, its second noun
    gets the second best. Nouns without a box stay words.
    """
    ranked = defaultdict(list)
    for i in sorted(range(len(detections)), key=lambda i: -detections[i].score):
        ranked[detections[i].phrase].append(i)
    return {n: ranked[phrase].pop(0) for n, phrase in enumerate(phrases) if ranked[phrase]}


def subjects_cause(count: int) -> Cause | None:
    """ "1-4 subjects per image, excluding those with more": nouns that got a picture count."""
    if count == 0:
        return Cause.NO_SUBJECTS
    return Cause.MANY_SUBJECTS if count > MAX_SUBJECTS else None
