"""Uploads of every kind give an upright 8-bit picture or a clear error."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from lambda_eclipse import images
from lambda_eclipse.images import (
    PictureError,
    flatten,
    open_picture,
    to_pil,
    to_tensor,
)


def gradient(width=48, height=32) -> np.ndarray:
    """(H, W, 3) uint8, every pixel different enough to notice turns and flips."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 5 % 256, y * 7 % 256, (x + y) % 256], axis=-1).astype(np.uint8)


def encoded(image: Image.Image, kind="PNG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def test_path_bytes_picture_and_array_agree(tmp_path):
    array = gradient()
    data = encoded(Image.fromarray(array))
    path = tmp_path / "a picture.png"
    path.write_bytes(data)
    for source in (path, str(path), data, Image.fromarray(array), array):
        image = open_picture(source)
        assert image.mode == "RGB"
        np.testing.assert_array_equal(np.asarray(image), array)


def test_source_is_not_changed():
    source = Image.fromarray(gradient()).convert("P")
    before = source.tobytes(), source.mode
    open_picture(source)
    assert (source.tobytes(), source.mode) == before


def test_exif_orientation_is_applied_and_metadata_dropped():
    picture = Image.fromarray(gradient())
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate 270° counter-clockwise to show
    exif[0x010E] = "my living room"
    image = open_picture(encoded(picture, exif=exif))
    assert image.size == (32, 48)
    np.testing.assert_array_equal(np.asarray(image), np.rot90(gradient(), -1))
    assert not image.getexif() and b"living" not in encoded(image)


def test_broken_exif_keeps_the_picture():
    data = encoded(
        Image.fromarray(gradient()), "JPEG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xffjunk"
    )
    assert open_picture(data).size == (48, 32)


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk(kind):
    picture = Image.new("CMYK", (40, 40), (0, 255, 255, 0))
    red, green, blue = open_picture(encoded(picture, kind)).getpixel((20, 20))
    assert red > 200 and green < 60 and blue < 60


def test_sixteen_bit_grey_is_scaled_not_cut_off():
    levels = np.linspace(0, 65535, 32 * 32).reshape(32, 32).astype(np.uint16)
    for source in (
        encoded(Image.fromarray(levels)),
        levels,
        Image.fromarray(levels.astype(np.int32)),
    ):
        grey = np.asarray(open_picture(source))[..., 0].astype(int)
        assert np.abs(grey - levels / 257).max() <= 1


def test_sixteen_bit_colour_png():
    """PIL cannot write one, so it is put together by hand."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    row = b"\x00" + struct.pack(">HHH", 65535, 0, 32768) * 20
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 20, 20, 16, 2, 0, 0, 0))
    data += chunk(b"IDAT", zlib.compress(row * 20)) + chunk(b"IEND", b"")
    assert open_picture(data).getpixel((3, 3)) == (255, 0, 128)


@pytest.mark.parametrize("top", [1.0, 200.0, 5000.0])
def test_float_pictures(top):
    levels = np.linspace(0, top, 400, dtype=np.float32).reshape(20, 20)
    grey = np.asarray(open_picture(encoded(Image.fromarray(levels), "TIFF")))
    assert grey.min() == 0 and grey.max() >= 199


def test_float_array_and_not_a_number():
    array = np.full((20, 20, 3), 0.5, dtype=np.float64)
    array[0, 0] = np.nan
    image = open_picture(array)
    assert image.getpixel((0, 0)) == (0, 0, 0) and image.getpixel((1, 1)) == (128, 128, 128)


def test_palette_with_and_without_transparency():
    plain = Image.fromarray(gradient()).convert("P")
    assert open_picture(encoded(plain)).mode == "RGB"
    holed = Image.new("P", (30, 30), 0)
    holed.putpalette([255, 0, 0, 0, 255, 0])
    holed.paste(1, (10, 10, 20, 20))
    image = open_picture(encoded(holed, transparency=0))
    assert image.mode == "RGBA"
    assert image.getpixel((15, 15)) == (0, 255, 0, 255) and image.getpixel((1, 1))[3] == 0
    assert flatten(image).getpixel((1, 1)) == (255, 255, 255)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "La", "PA", "RGBa", "YCbCr", "LAB", "HSV", "RGBX"]
)
def test_every_mode_of_pil(mode):
    base = Image.new("RGBA", (24, 24), (200, 100, 50, 128))
    if mode in ("LAB", "HSV", "YCbCr", "RGBX", "1", "L"):
        picture = Image.new(
            mode, (24, 24), 1 if mode in "1L" else (90, 128, 128, 0)[: len(mode[:3])]
        )
    else:
        picture = base.convert("LA").convert(mode) if mode in ("La", "PA") else base.convert(mode)
    assert open_picture(picture).mode in ("RGB", "RGBA")


def test_opaque_alpha_is_dropped_and_invisible_is_an_error():
    assert open_picture(Image.new("RGBA", (20, 20), (1, 2, 3, 255))).mode == "RGB"
    with pytest.raises(PictureError, match="fully transparent"):
        open_picture(Image.new("RGBA", (20, 20), (1, 2, 3, 0)), "hat")


def test_animation_gives_its_first_frame():
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "lime", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert open_picture(data).getpixel((5, 5)) == (255, 0, 0)
    playing = Image.open(io.BytesIO(data))
    playing.seek(2)
    assert open_picture(playing).getpixel((5, 5)) == (255, 0, 0)


def test_large_pictures_are_bounded():
    image = open_picture(Image.new("RGB", (5000, 1000), "red"))
    assert image.size == (2048, 410)
    image = open_picture(encoded(Image.new("L", (6000, 4500)), "JPEG"))
    assert max(image.size) == 2048


def test_huge_and_tiny_are_errors(monkeypatch):
    with pytest.raises(PictureError, match="100 megapixels"):
        open_picture(Image.new("1", (10_001, 10_000)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)  # a bomb: PIL itself refuses to open it
    with pytest.raises(PictureError, match="megapixels"):
        open_picture(encoded(Image.new("1", (100, 100))))
    for size in ((15, 100), (100, 15), (1, 1)):
        with pytest.raises(PictureError, match="at least 16 px"):
            open_picture(Image.new("RGB", size), "hat")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_truncated_files(kind):
    data = encoded(
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 90, 3), np.uint8)), kind
    )
    for part in (len(data) // 2, 30, 5):
        with pytest.raises(PictureError, match="hat"):
            open_picture(data[:part], "hat")


def test_not_a_picture(tmp_path):
    text = tmp_path / "letter.png"
    text.write_text("Dear Sir or Madam")
    for source in (text, b"", b"<svg/>", b"\x89PNG\r\n\x1a\n" + b"\x00" * 99, np.zeros((9, 9, 2))):
        with pytest.raises(PictureError):
            open_picture(source)
    for source in (tmp_path, tmp_path / "none.png", "https://example.org/a.png"):
        with pytest.raises(PictureError, match="not a file"):
            open_picture(source)
    with pytest.raises(PictureError, match="NoneType"):
        open_picture(None)


def test_flatten_blends_with_white():
    half = Image.new("RGBA", (16, 16), (0, 0, 0, 128))
    assert flatten(half).getpixel((0, 0)) == (127, 127, 127)
    assert flatten(Image.new("L", (16, 16), 9)).mode == "RGB"


def test_tensors_and_back():
    pictures = [Image.fromarray(gradient()), Image.fromarray(gradient()[::-1])]
    tensor = to_tensor(pictures)
    assert tensor.shape == (2, 3, 32, 48) and tensor.dtype == torch.float32
    assert 0 <= tensor.min() and tensor.max() <= 1
    for before, after in zip(pictures, to_pil(tensor), strict=True):
        np.testing.assert_array_equal(np.asarray(before), np.asarray(after))
    assert to_pil(torch.tensor([-1.0, 0.5, 2.0]).view(1, 3, 1, 1))[0].getpixel((0, 0)) == (
        0,
        128,
        255,
    )
    with pytest.raises(ValueError, match="one size"):
        to_tensor([pictures[0], pictures[1].rotate(90, expand=True)])
    with pytest.raises(ValueError, match="expected"):
        to_pil(torch.zeros(3, 4, 4))


def test_importing_is_light():
    """torch is loaded with the first tensor, not with the module."""
    assert "torch" not in vars(images)
