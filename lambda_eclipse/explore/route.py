"""Paths through the square of Fig. 7, and their finished frames as files.

A path is a list of points (x, y) in [0, 1]²: x to the right, y downwards, as `Studio.at` takes
them. Letters: n points or frames, H, W a picture's sides in px.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image

from lambda_eclipse.explore.contact_sheet import contact_sheet
from lambda_eclipse.images import flatten
from lambda_eclipse.messages import StudioError

Point = tuple[float, float]
T = TypeVar("T")

EDGES: dict[str, tuple[Point, Point]] = {
    "top": ((0.0, 0.0), (1.0, 0.0)),
    "bottom": ((0.0, 1.0), (1.0, 1.0)),
    "left": ((0.0, 0.0), (0.0, 1.0)),
    "right": ((1.0, 0.0), (1.0, 1.0)),
    "diagonal": ((0.0, 0.0), (1.0, 1.0)),
    "antidiagonal": ((1.0, 0.0), (0.0, 1.0)),
}
# A shorter line, as a share of the square's side, is a click.
MIN_LENGTH = 1e-6
FPS = 8.0
FPS_RANGE = (1, 50)  # browsers slow GIFs of more frames per second down to 10
# H.264 plays everywhere, but few builds of OpenCV can write it. All its wheels write VP9, which
# browsers play in MP4 files; they do not play MPEG-4 Part 2 ("mp4v").
CODECS = ("avc1", "vp09")


@dataclass(frozen=True)
class Frame:
    """A finished picture of a path, its point (x, y) in [0, 1]² and the seed of its noise."""

    image: Image.Image
    point: Point
    seed: int


def along(name: str, n: int) -> list[Point]:
    """n points at equal distances on a named edge or diagonal of the square, both ends included.

    "top" and "bottom" go right, "left" and "right" go down, "diagonal" from the top left and
    "antidiagonal" from the top right corner. StudioError for other names and n under 2.
    """
    if name not in EDGES:
        raise StudioError(
            'There is no path "{name}": use {names}.', name=name, names=", ".join(EDGES)
        )
    return resample(EDGES[name], n)


def resample(line: Sequence[Point], n: int) -> list[Point]:
    """n points at equal distances along a free-hand line of points (x, y), both ends included.

    Ignores repeated points. Raises StudioError for a point outside of [0, 1]², a line without
    length, and n under 2.
    """
    if n < 2:
        raise StudioError("A path has {count} frames: use at least 2.", count=n)
    for number, point in enumerate(line, 1):
        if len(point) != 2 or not all(0 <= float(value) <= 1 for value in point):
            raise StudioError(
                "Point {number} of the line is {point}: x and y must be between 0 and 1.",
                number=number,
                point=tuple(point),
            )
    corners = np.asarray(line, dtype=np.float64).reshape(-1, 2)  # (points, 2)
    steps = np.hypot(*np.diff(corners, axis=0).T)  # (points - 1,)
    moved = np.concatenate([np.ones(min(len(corners), 1), bool), steps > 0])
    corners = corners[moved]
    reached = np.concatenate([[0.0], np.cumsum(steps[steps > 0])])  # length up to each corner
    if reached[-1] < MIN_LENGTH:
        raise StudioError("The line has no length: draw one from a place to another.")
    wanted = np.linspace(0, reached[-1], n)
    x, y = (np.interp(wanted, reached, corners[:, axis]).clip(0, 1) for axis in (0, 1))
    return list(zip(x.tolist(), y.tolist(), strict=True))


def there_and_back(items: Sequence[T]) -> list[T]:
    """Points or frames forth and back, 2n - 2 of them, for a seamless loop.

    Neither end comes twice in a row.
    """
    return [*items, *items[-2:0:-1]]


def frame_names(n: int) -> list[str]:
    """File names in the order of the path: "frame-001.png", …; as many digits as n needs."""
    digits = max(3, len(str(n)))
    return [f"frame-{number:0{digits}}.png" for number in range(1, n + 1)]


def to_json(frames: Sequence[Frame], mode: str) -> str:
    """The path as JSON: interpolation `mode`, and file name, x, y and seed of each frame."""
    named = zip(frame_names(len(frames)), frames, strict=True)
    rows = [
        {"file": name, "x": frame.point[0], "y": frame.point[1], "seed": frame.seed}
        for name, frame in named
    ]
    return json.dumps({"mode": mode, "frames": rows}, indent=1) + "\n"


def to_zip(frames: Sequence[Frame], mode: str, files: Sequence[bytes]) -> bytes:
    """A zip of the frames' PNG `files`, numbered, and path.json, which is `to_json`.

    StudioError without frames.
    """
    _check(frames)
    named = dict(zip(frame_names(len(frames)), files, strict=True))
    return zipped({**named, "path.json": to_json(frames, mode).encode()})


def to_sheet(frames: Sequence[Frame], columns: int) -> Image.Image:
    """All frames in rows on one RGB picture, each with its point beneath.

    StudioError without frames and for `columns` under 1.
    """
    labels = [f"({x:.2f}, {y:.2f})" for x, y in (frame.point for frame in frames)]
    return contact_sheet([frame.image for frame in frames], columns, labels)


def to_gif(frames: Sequence[Frame], fps: float = FPS) -> bytes:
    """An animated GIF that repeats forever; `fps` frames per second, 1..50.

    GIF keeps time in hundredths of a second. StudioError without frames, for frames of different
    sizes, and for other speeds.
    """
    _check(frames, fps)
    first, *others = [flatten(frame.image) for frame in frames]
    out = io.BytesIO()
    first.save(
        out, "GIF", save_all=True, append_images=others, duration=10 * round(100 / fps), loop=0
    )
    return out.getvalue()


def to_mp4(frames: Sequence[Frame], fps: float = FPS) -> bytes:
    """An MP4 video that browsers play: H.264 where OpenCV may write it, else VP9.

    `fps`: frames per second, 1..50. Odd sides are made even by repeating the last row or column,
    because video stores colours for 2 × 2 px. StudioError as in `to_gif`, and where this build of
    OpenCV writes neither.
    """
    _check(frames, fps)
    pictures = [np.asarray(flatten(frame.image)) for frame in frames]  # (H, W, 3) each
    height, width = pictures[0].shape[:2]
    pad = ((0, height % 2), (0, width % 2), (0, 0))
    pictures = [np.pad(picture, pad, mode="edge") for picture in pictures]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "path.mp4"
        for codec in CODECS:
            if _write_video(path, codec, pictures, fps):
                return path.read_bytes()
    raise StudioError("This build of OpenCV writes no video for browsers: export a GIF instead.")


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Named files as a zip; equal files give equal bytes, so no time is stored."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            # No compression: PNG is compressed, and the rest is small.
            archive.writestr(zipfile.ZipInfo(name), content)
    return out.getvalue()


def _write_video(path: Path, codec: str, pictures: Sequence[np.ndarray], fps: float) -> bool:
    """Write RGB pictures (H, W, 3) and count them; False if any is missing.

    Some encoders, mostly in hardware, open without an error and then drop frames.
    """
    # Silence OpenCV and FFmpeg: a missing codec is not an error.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    import cv2  # slow to import

    height, width = pictures[0].shape[:2]
    logging = cv2.utils.logging
    level = logging.getLogLevel()
    logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        fourcc = cv2.VideoWriter.fourcc(*codec)
        writer = cv2.VideoWriter(str(path), fourcc, fps, (width, height))
        if not writer.isOpened():
            return False
        for picture in pictures:
            writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        writer.release()
        reader = cv2.VideoCapture(str(path))
        count = 0
        while reader.grab():
            count += 1
        reader.release()
        return count == len(pictures)
    finally:
        logging.setLogLevel(level)


def _check(frames: Sequence[Frame], fps: float = FPS) -> None:
    if not frames:
        raise StudioError("There are no frames yet: paint the path first.")
    sizes = {frame.image.size for frame in frames}
    if len(sizes) > 1:
        raise StudioError(
            "Frames are of different sizes, {sizes} px: paint them again.", sizes=sorted(sizes)
        )
    if not FPS_RANGE[0] <= fps <= FPS_RANGE[1]:
        raise StudioError(
            "{fps} frames per second: use {low} to {high}.",
            fps=fps,
            low=FPS_RANGE[0],
            high=FPS_RANGE[1],
        )
