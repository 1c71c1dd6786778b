"""Edge maps: the optional spatial control of the prior (Sec. 3.2 and 4, "Canny edge")."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image, ImageOps

from lambda_eclipse.images import PictureError, flatten
from lambda_eclipse.request import CANNY_HIGH, CANNY_LOW, MAX_CANNY


def edge_map(
    image: Image.Image,
    low: float = CANNY_LOW,
    high: float = CANNY_HIGH,
    *,
    size_px: int,
) -> Image.Image:
    """Canny edges of a picture: RGB, square, at most size_px a side, white lines on black.

    The picture is cropped to its central square first, as the encoder does, and reduced to size_px,
    which is the stack's (`Stack.edges_px`): other sizes find other edges. A smaller picture keeps
    its own size, because enlarging flattens gradients below the thresholds. low, high: hysteresis
    thresholds on the gradient of 8-bit grey levels, 0 <= low <= high <= 1000.
    Raises PictureError for thresholds out of order or range.
    """
    if not 0 <= low <= high <= MAX_CANNY:
        raise PictureError(
            "Canny thresholds {low} and {high}: the low one must be at least 0 and not above the "
            "high one, which may be {most} at most.",
            low=low,
            high=high,
            most=MAX_CANNY,
        )
    side = min(size_px, *image.size)
    square = ImageOps.fit(flatten(image), (side, side), Image.Resampling.LANCZOS)
    edges = cv2.Canny(np.asarray(square.convert("L")), low, high)
    return Image.fromarray(np.asarray(edges)).convert("RGB")
