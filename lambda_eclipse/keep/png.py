"""Text chunks of PNGs, the form of recipes and cards, and checked reading of them.

Files are untrusted: check everything, raise RecipeError for anything wrong.

Letters: D embedding width.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, PngImagePlugin, UnidentifiedImageError
from torch import Tensor

from lambda_eclipse.messages import StudioError, Text

# Of recipes and cards; one more whenever older programs would misread them. A recipe of what they
# know already is written as the first.
FORMAT, FIRST_FORMAT = 2, 1
MAX_TEXT = PngImagePlugin.MAX_TEXT_CHUNK  # characters; ours are 1/10 of that at most
MAX_DIM = 16384
MAX_SIDE_PX = 2048


class RecipeError(StudioError):
    """A recipe or card that cannot be used."""


class NoRecipeError(RecipeError):
    """A file without any recipe or card: an ordinary picture, or no picture at all."""


class NewerRecipeError(RecipeError):
    """A recipe or card of a later format than this program knows."""


def png_bytes(image: Image.Image, **options: Any) -> bytes:
    """The pixels as a PNG file, with no metadata but that in `options`."""
    clean = image.copy()
    clean.info = {}  # drop all metadata of the picture
    out = io.BytesIO()
    clean.save(out, "PNG", **options)
    return out.getvalue()


def add_text(info: PngImagePlugin.PngInfo, keyword: str, text: str) -> None:
    """Add a chunk that `text_in` finds. Raises RecipeError for one that readers refuse."""
    if len(text) > MAX_TEXT:
        raise RecipeError(
            "{count} characters are too many for a PNG: shorten the prompt.", count=len(text)
        )
    info.add_text(keyword, text, zip=True)


def text_in(source: str | Path | bytes, keyword: str, what: Text) -> str:
    """The text chunk of a PNG with this keyword, before its pixels, where `add_text` puts it."""
    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            text = image.info.get(keyword) if image.format == "PNG" else None
    except FileNotFoundError:
        raise RecipeError("{path} is not a file: check its path.", path=source) from None
    except UnidentifiedImageError:
        raise NoRecipeError(
            "This file is no picture, or a damaged one: give a PNG with a {what} in it.", what=what
        ) from None
    except Exception as error:  # PIL raises nearly anything on broken and hostile files
        raise RecipeError(
            "This file is damaged or absurdly large ({error}): give a PNG as it was saved.",
            error=short(error),
        ) from error
    if text is None:
        raise NoRecipeError(
            "There is no {what} in this picture: it was saved without, or by a program that drops "
            "it. Give a PNG as it was saved.",
            what=what,
        )
    return str(text)


@contextmanager
def reading(what: Text) -> Iterator[None]:
    """Turn every error that damaged content raises into a RecipeError."""
    try:
        yield
    except NewerRecipeError:
        raise
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise RecipeError(
            "The {what} in this picture is damaged ({error}): use a PNG as it was saved.",
            what=what,
            error=short(error),
        ) from error


def content_of(text: str, what: Text) -> dict[str, Any]:
    """The JSON object of a format that is known here."""
    if len(text) > MAX_TEXT:
        raise ValueError(f"{len(text)} characters")
    content: dict[str, Any] = json.loads(text)
    version = field(content, "format", int)
    if version > FORMAT:
        raise NewerRecipeError(
            "This {what} is of format {format}, made by a newer version of this program: update "
            "it, it reads formats up to {known}.",
            what=what,
            format=short(version),
            known=FORMAT,
        )
    if version < FIRST_FORMAT:
        raise ValueError(f'"format" is {version}')
    return content


def field(content: Any, name: str, kind: type | tuple[type, ...]) -> Any:
    """An entry of a JSON object, of that type; a bool is not a number."""
    value = content.get(name) if isinstance(content, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f'"{name}" is {short(repr(value))}')
    return value


def string(content: Any, name: str) -> str:
    """A str entry of a JSON object."""
    value: str = field(content, name, str)
    value.encode()  # reject lone surrogates, which can be neither printed nor tokenized
    return value


def number(content: Any, name: str) -> float:
    """A number of a JSON object."""
    return float(field(content, name, (int, float)))


def floats_text(values: Tensor) -> str:
    """(D,) as base64 of little-endian float32."""
    return base64.b64encode(values.numpy().astype("<f4").tobytes()).decode()


def floats(text: str) -> Tensor:
    """(D,) float32, finite, of 1..MAX_DIM numbers; ValueError otherwise."""
    values = np.frombuffer(base64_bytes(text), "<f4").astype(np.float32)
    if not 1 <= len(values) <= MAX_DIM or not np.isfinite(values).all():
        raise ValueError(f"an embedding is not 1 to {MAX_DIM} finite numbers")
    return torch.from_numpy(values)


def edges_text(edges: Image.Image) -> str:
    """An edge map, black and white, as base64 of a PNG of one bit per pixel."""
    bits = edges.convert("L").convert("1", dither=Image.Dither.NONE)
    return base64.b64encode(png_bytes(bits, optimize=True)).decode()


def edges_of(text: str) -> Image.Image:
    """RGB edge map, square; ValueError for anything else."""
    data = base64_bytes(text)
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            if image.mode == "1" and image.width == image.height <= MAX_SIDE_PX:
                return image.convert("RGB")
    except Exception as error:  # as in `text_in`
        raise ValueError("the edge map can't be read") from error
    raise ValueError(f"the edge map is no square of 1 to {MAX_SIDE_PX} px in black and white")


def base64_bytes(text: str) -> bytes:
    """Decode base64; raises ValueError for anything else."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("base64 is cut off or garbled") from error


def short(value: object) -> str:
    """The first 120 letters of a value, for messages: files may contain anything."""
    text = str(value).rstrip(".")
    return text if len(text) <= 120 else text[:120] + "…"
