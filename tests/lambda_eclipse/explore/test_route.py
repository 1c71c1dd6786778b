"""Paths through the square, and their frames as zip, GIF, MP4, sheet and JSON."""

import io
import json
import zipfile
from itertools import pairwise
from math import hypot

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from lambda_eclipse.explore import route as paths
from lambda_eclipse.explore.route import Frame, along, resample, there_and_back

EDGES = sorted(paths.EDGES)


def frames(n: int = 5, size: tuple[int, int] = (64, 48)) -> list[Frame]:
    """A disc that moves from left to right."""
    found = []
    for i, point in enumerate(along("top", n)):
        image = Image.new("RGB", size, (30, 60, 120))
        ImageDraw.Draw(image).ellipse((i * 6, 10, i * 6 + 24, 34), fill=(240, 190, 40))
        found.append(Frame(image, point, seed=7))
    return found


def read_video(data: bytes, folder) -> tuple[list[np.ndarray], float]:
    """The RGB frames (H, W, 3) and the frames per second of a video."""
    path = folder / "video.mp4"
    path.write_bytes(data)
    reader = cv2.VideoCapture(str(path))
    found = []
    while True:
        there, picture = reader.read()
        if not there:
            return found, reader.get(cv2.CAP_PROP_FPS)
        found.append(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))


# The points


@pytest.mark.parametrize("name", EDGES)
def test_edges_are_walked_at_constant_speed_from_end_to_end(name) -> None:
    points = along(name, 5)
    assert (points[0], points[-1]) == paths.EDGES[name]
    lengths = [hypot(bx - ax, by - ay) for (ax, ay), (bx, by) in pairwise(points)]
    assert lengths == pytest.approx([lengths[0]] * 4)


def test_edges_have_exact_quarters() -> None:
    assert along("bottom", 5) == [(0, 1), (0.25, 1), (0.5, 1), (0.75, 1), (1, 1)]
    assert along("antidiagonal", 3) == [(1, 0), (0.5, 0.5), (0, 1)]


def test_a_line_is_resampled_at_equal_lengths() -> None:
    line = [(0, 0), (0.1, 0), (0.2, 0), (1, 0), (1, 1)]  # drawn slowly at its beginning
    assert resample(line, 5) == [
        pytest.approx(p) for p in [(0, 0), (0.5, 0), (1, 0), (1, 0.5), (1, 1)]
    ]


def test_the_ends_of_a_line_are_exact_and_all_points_lie_in_the_square() -> None:
    draw = np.random.default_rng(3)
    for _ in range(20):
        line = [tuple(p) for p in np.clip(draw.uniform(-0.5, 1.5, (17, 2)), 0, 1).tolist()]
        points = resample(line, 33)
        assert len(points) == 33 and points[0] == line[0] and points[-1] == line[-1]
        assert all(0 <= value <= 1 for point in points for value in point)


def test_resting_points_change_nothing() -> None:
    line = [(0.2, 0.3), (0.7, 0.9), (0.1, 1.0)]
    resting = [line[0], line[0], line[1], line[1], line[1], line[2], line[2]]
    assert resample(resting, 9) == resample(line, 9)


def test_a_line_may_return_to_where_it_began() -> None:
    square = [(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]
    assert resample(square, 5) == [pytest.approx(p) for p in square]


@pytest.mark.parametrize(
    "line, message",
    [
        ([], "no length"),
        ([(0.5, 0.5)], "no length"),
        ([(0.5, 0.5)] * 4, "no length"),
        ([(0, 0), (1.2, 0.5)], r"Point 2 .* is \(1.2, 0.5\)"),
        ([(0, -0.01), (1, 1)], "Point 1"),
        ([(0, 0), (float("nan"), 1)], "Point 2"),
        ([(0, 0, 0), (1, 1, 1)], "x and y must be between 0 and 1"),
    ],
)
def test_lines_that_are_no_paths_are_refused(line, message) -> None:
    with pytest.raises(ValueError, match=message):
        resample(line, 4)


def test_other_names_and_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match='no path "spiral": use top'):
        along("spiral", 4)
    with pytest.raises(ValueError, match="use at least 2"):
        along("top", 1)


def test_there_and_back_repeats_no_end() -> None:
    assert there_and_back("abcd") == list("abcdcb")
    assert there_and_back("ab") == list("ab")
    assert there_and_back("a") == ["a"] and there_and_back("") == []


# The files


def test_zip_holds_the_pictures_and_where_they_belong() -> None:
    made = frames()
    files = [bytes([number]) for number in range(len(made))]
    data = paths.to_zip(made, "slerp", files)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        assert names == [*(f"frame-00{i}.png" for i in range(1, 6)), "path.json"]
        assert [archive.read(name) for name in names[:-1]] == files
        path = json.loads(archive.read("path.json"))
    assert path["mode"] == "slerp"
    assert path["frames"][1] == {"file": "frame-002.png", "x": 0.25, "y": 0.0, "seed": 7}
    assert [row["file"] for row in path["frames"]] == names[:-1]
    assert paths.to_zip(frames(), "slerp", files) == data, "the same frames give the same bytes"


def test_names_sort_in_the_order_of_the_path() -> None:
    names = paths.frame_names(1200)
    assert names == sorted(names) and names[0] == "frame-0001.png"


def test_gif_plays_all_frames_forever() -> None:
    made = there_and_back(frames())
    gif = Image.open(io.BytesIO(paths.to_gif(made, fps=5)))
    assert gif.n_frames == 8 and gif.info["loop"] == 0 and gif.size == (64, 48)
    for i, frame in enumerate(made):
        gif.seek(i)
        assert gif.info["duration"] == 200
        shown = np.asarray(gif.convert("RGB")).astype(int)
        assert abs(shown - np.asarray(frame.image)).mean() < 4


def test_mp4_can_be_read_back(tmp_path) -> None:
    made = frames(9)
    pictures, fps = read_video(paths.to_mp4(made, fps=12), tmp_path)
    assert len(pictures) == 9 and fps == pytest.approx(12)
    for picture, frame in zip(pictures, made, strict=True):
        assert abs(picture.astype(int) - np.asarray(frame.image)).mean() < 8


def test_mp4_takes_odd_sides_transparency_and_a_single_frame(tmp_path) -> None:
    image = Image.new("RGBA", (33, 49), (200, 40, 40, 255))
    [picture], _ = read_video(paths.to_mp4([Frame(image, (0, 0), 1)]), tmp_path)
    assert picture.shape == (50, 34, 3)
    assert picture.reshape(-1, 3).mean(axis=0) == pytest.approx((200, 40, 40), abs=8)


def test_mp4_is_a_codec_that_browsers_play() -> None:
    data = paths.to_mp4(frames())
    assert b"avc1" in data or b"vp09" in data
    assert data[4:8] == b"ftyp"


def test_an_encoder_that_fails_is_passed_over(monkeypatch) -> None:
    monkeypatch.setattr(paths, "CODECS", ("none", "vp09"))
    assert b"vp09" in paths.to_mp4(frames())
    monkeypatch.setattr(paths, "CODECS", ("none",))
    with pytest.raises(ValueError, match="export a GIF"):
        paths.to_mp4(frames())


def test_sheet_shows_all_frames() -> None:
    sheet = paths.to_sheet(frames(5), columns=3)
    assert sheet.width == 3 * 64 + 4 * 4 and sheet.height > 2 * 48
    assert sheet.getpixel((6, 6)) == (30, 60, 120)


def zipped(made: list[Frame]) -> bytes:
    return paths.to_zip(made, "lerp", [b""] * len(made))


@pytest.mark.parametrize("export", [paths.to_gif, paths.to_mp4, zipped])
def test_frames_that_make_no_film_are_refused(export) -> None:
    with pytest.raises(ValueError, match="no frames"):
        export([])
    with pytest.raises(ValueError, match="different sizes"):
        export([*frames(2), *frames(2, (32, 32))])


@pytest.mark.parametrize("fps", [0, 51, float("nan")])
def test_speeds_that_nothing_plays_are_refused(fps) -> None:
    for export in (paths.to_gif, paths.to_mp4):
        with pytest.raises(ValueError, match="use 1 to 50"):
            export(frames(), fps)
