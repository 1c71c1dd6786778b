"""The atlas: which cells come first, which are there already, and how it is saved."""

import io
import zipfile
from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image

from lambda_eclipse import interpolate
from lambda_eclipse.explore import atlas
from lambda_eclipse.explore.atlas import coarse_to_fine, missing, place, point

SIDE = 40
ACROSS, DOWN = ("cat", "dog"), ("hat", "crown")


def finished(size: int) -> dict[atlas.Place, Image.Image]:
    """One flat colour per cell: red grows to the right, green downwards."""
    return {
        place(row, column, size): Image.new("RGB", (SIDE, SIDE), (20 * column, 20 * row, 100))
        for row in range(size)
        for column in range(size)
    }


def test_grids_go_from_coarse_to_fine() -> None:
    for size in range(2, 10):
        cells = list(coarse_to_fine(size))
        assert sorted(cells) == [(row, column) for row in range(size) for column in range(size)]
        last = size - 1
        assert set(cells[:4]) == {(0, 0), (0, last), (last, 0), (last, last)}
    assert list(coarse_to_fine(5)).index((2, 2)) < 9


def test_finished_cells_count_in_finer_grids() -> None:
    three, five = finished(3), finished(5)
    assert place(1, 2, 3) == place(2, 4, 5) == place(4, 8, 9) == (Fraction(1, 2), Fraction(1))
    assert missing(3, three) == []
    assert len(missing(5, three)) == 25 - 9
    assert len(missing(9, five)) == 81 - 25
    assert len(missing(4, three)) == 16 - 4  # thirds and halves share the corners only
    assert missing(5, ()) == list(coarse_to_fine(5))
    assert not {place(*cell, 5) for cell in missing(5, three)} & three.keys()


def test_points_are_those_of_a_grid_bit_for_bit() -> None:
    for size in (2, 3, 4, 7, 9):
        for row, column in coarse_to_fine(size):
            assert point(place(row, column, size)) == (column / (size - 1), row / (size - 1))


def test_x_goes_right_and_y_down() -> None:
    corners = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])  # (x, y) of each
    x, y = point(place(1, 3, 5))
    assert interpolate.bilinear(corners, x, y, "lerp").tolist() == [0.75, 0.25]


def test_sheet_has_cells_in_their_places_and_names_at_the_corners() -> None:
    sheet = atlas.sheet(finished(3), 3, ACROSS, DOWN, label_px=20)
    inside = 3 * SIDE + 4 * atlas.GAP_PX
    assert sheet.size == (inside + 20, inside + 20)
    step = SIDE + atlas.GAP_PX
    for row in range(3):
        for column in range(3):
            middle = (24 + column * step + SIDE // 2, 24 + row * step + SIDE // 2)
            assert sheet.getpixel(middle) == (20 * column, 20 * row, 100)
    black = np.asarray(sheet.convert("L")) < 60
    half = inside // 2
    assert black[:20, 20 : 20 + half].any() and black[:20, -half:].any(), "names above"
    assert black[20 : 20 + half, :20].any() and black[-half:, :20].any(), "names on the left"
    assert not black[:20, :20].any()


def test_sheet_leaves_unfinished_cells_blank_and_foreign_ones_out() -> None:
    cells = finished(3)
    sheet = atlas.sheet(cells, 5, ACROSS, DOWN, label_px=20)
    step = SIDE + atlas.GAP_PX
    assert sheet.getpixel((24 + step + SIDE // 2, 24 + SIDE // 2)) == atlas.BLANK
    assert sheet.getpixel((24 + 2 * step + SIDE // 2, 24 + SIDE // 2)) == (20, 0, 100)
    assert atlas.sheet(finished(2), 2, ACROSS, DOWN).size < sheet.size


def test_long_names_stay_in_their_half() -> None:
    sheet = atlas.sheet(finished(3), 3, ("a teddy bear with a bow", "x"), DOWN, label_px=20)
    black = np.asarray(sheet.convert("L"))[:20] < 100
    assert not black[:, 20 + sheet.width // 2 : -14].any()


def test_zip_names_rows_and_columns() -> None:
    files = {at: repr(image.getpixel((0, 0))).encode() for at, image in finished(3).items()}
    with zipfile.ZipFile(io.BytesIO(atlas.to_zip(files, 3))) as archive:
        assert len(archive.namelist()) == 9
        assert archive.read("row-1_column-3.png") == b"(40, 0, 100)"
    with zipfile.ZipFile(io.BytesIO(atlas.to_zip(files, 5))) as archive:
        assert len(archive.namelist()) == 9
        assert archive.namelist()[1] == "row-1_column-3.png"


def test_nothing_finished_and_impossible_cells_are_refused() -> None:
    for save in (atlas.to_zip, lambda cells, size: atlas.sheet(cells, size, ACROSS, DOWN)):
        with pytest.raises(ValueError, match="paint it first"):
            save({}, 3)
    with pytest.raises(ValueError, match="outside a grid of 3 × 3"):
        place(0, 3, 3)
    with pytest.raises(ValueError, match="use at least 2"):
        list(coarse_to_fine(1))
