"""Contact sheets: layout, labels, wrong arguments."""

import pytest
from PIL import Image

from lambda_eclipse.explore.contact_sheet import contact_sheet


def test_contact_sheet():
    cells = [Image.new("RGB", (20, 20), colour) for colour in ("red", "lime", "blue")]
    sheet = contact_sheet(cells, columns=2, labels=["a", "a very long label", "čaj 茶"], gap_px=4)
    assert sheet.size == (4 + 2 * 24, 4 + 2 * 40)
    assert sheet.getpixel((14, 14)) == (255, 0, 0) and sheet.getpixel((38, 14)) == (0, 255, 0)
    assert sheet.getpixel((14, 54)) == (0, 0, 255) and sheet.getpixel((38, 54)) == (255, 255, 255)
    assert contact_sheet(cells, columns=9).size == (4 + 3 * 24, 28)
    for bad in ({"images": [], "columns": 1}, {"images": cells, "columns": 0}):
        with pytest.raises(ValueError):
            contact_sheet(**bad)
    with pytest.raises(ValueError, match="labels"):
        contact_sheet(cells, 2, ["only one"])
