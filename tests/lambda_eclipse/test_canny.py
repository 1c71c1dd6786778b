"""Edge maps show the edges that the picture has, at the size asked for."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from lambda_eclipse.canny import edge_map


def disc(size=(200, 200)) -> Image.Image:
    image = Image.new("RGB", size, "white")
    cx, cy = size[0] // 2, size[1] // 2
    ImageDraw.Draw(image).ellipse((cx - 50, cy - 50, cx + 50, cy + 50), fill="black")
    return image


def test_edges_of_a_disc_lie_on_its_circle():
    edges = edge_map(disc(), size_px=200)
    assert edges.mode == "RGB" and edges.size == (200, 200)
    array = np.asarray(edges)
    assert set(np.unique(array)) == {0, 255}
    y, x = np.nonzero(array[..., 0])
    radius = np.hypot(x - 100, y - 100)
    assert len(x) > 200 and np.abs(radius - 50).max() < 3


def test_a_small_picture_keeps_its_size_and_its_edges():
    """Enlarged, its gradients would fall below the thresholds."""
    soft = Image.new("RGB", (90, 60), (60, 60, 60))
    soft.paste((190, 190, 190), (45, 0, 90, 60))
    edges = edge_map(soft, size_px=1024)
    assert edges.size == (60, 60) and np.asarray(edges).any()
    assert edges.tobytes() == edge_map(soft, size_px=60).tobytes()
    enlarged = soft.resize((1536, 1024), Image.Resampling.LANCZOS)
    assert not np.asarray(edge_map(enlarged, size_px=1024)).any()


def test_a_plain_picture_has_none():
    assert np.asarray(edge_map(Image.new("RGB", (50, 70), "red"), size_px=64)).max() == 0


def test_the_central_square_is_taken():
    left_bar = disc((600, 200))
    ImageDraw.Draw(left_bar).rectangle((0, 0, 60, 200), fill="black")
    assert (
        edge_map(left_bar, size_px=128).tobytes()
        == edge_map(disc((600, 200)), size_px=128).tobytes()
    )


def test_thresholds():
    faint = Image.new("RGB", (64, 64), (120, 120, 120))
    faint.paste((150, 150, 150), (0, 0, 32, 64))
    assert np.asarray(edge_map(faint, 20, 60, size_px=64)).any()
    assert not np.asarray(edge_map(faint, 300, 400, size_px=64)).any()
    for low, high in ((200, 100), (-1, 5), (10, 5000)):
        with pytest.raises(ValueError, match="thresholds"):
            edge_map(faint, low, high, size_px=64)


def test_transparency_is_white():
    cutout = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    assert not np.asarray(edge_map(cutout, size_px=64)).any()
