"""The invisible watermark: a word of 32 bits in the brightness and colour of 8 × 8 px blocks.

A block holds one bit. Haar's low band of a block is 4 × 4; the largest singular value of its DCT is
rounded to a quarter or to three quarters of a step (quantization index modulation after a discrete
wavelet transform), in Y, U and V alike. Bits are laid down as by the "fast mode" of the package
blind-watermark 0.4.4, which reads them, too. It is no dependency: it asks for the OpenCV that needs
the libraries of a desktop. The word lies eight times in a tile of 16 × 16 blocks, and tiles repeat,
so that a reader finds the tile after cropping by trying all offsets.

Letters: H, W a picture's sides in px; h, w = H // 8, W // 8 blocks.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

WORD = b"LE-1"  # λ-ECLIPSE, first version of the watermark
BLOCK_PX = 8
TILE = 16  # blocks along a side
# Of the singular value. White has 8 × 255 = 2040, at the upper end of its step: both bits of a
# white block are darker than white, so none is clipped.
STEP = 2040 / 84.95
# Scores of unmarked pictures stay below 5. By Hoeffding's bound chance reaches 7 less than once in
# 900 000 pictures, all 3 × 64 × 256 trials taken together.
FOUND = 7.0
CERTAIN = 13.0  # no other offset can fit better
SCALES = (1.0, 2.0, 0.5)  # as it is; halved before; doubled before
WINDOW_PX = 256  # of the middle: enough tiles, however large the picture

# OpenCV's YUV of floats, which blind-watermark uses.
_Y = np.array([0.299, 0.587, 0.114])
YUV = np.stack([_Y, 0.492 * (np.array([0, 0, 1]) - _Y), 0.877 * (np.array([1, 0, 0]) - _Y)])
RGB = np.linalg.inv(YUV)
OFFSET = np.array([0.0, 0.5, 0.5])
TRUST = np.array([2.0, 1.0, 1.0])  # JPEG keeps Y better than colours
DCT = np.array(
    [
        [
            math.sqrt((1 if row == 0 else 2) / 4) * math.cos(math.pi * (2 * column + 1) * row / 8)
            for column in range(4)
        ]
        for row in range(4)
    ]
)


@dataclass(frozen=True)
class Reading:
    """What a search found.

    bits: of the word's 32, how many are as they should be. score: standard deviations above
    chance, at most 16; FOUND and more is a watermark. scale: by which the picture was resized to
    read it. offset_px: (x, y), of the first whole block.
    """

    bits: int
    score: float
    scale: float
    offset_px: tuple[int, int]

    @property
    def found(self) -> bool:
        """Whether there is a watermark."""
        return self.score >= FOUND


def add(image: Image.Image) -> Image.Image:
    """The picture with the watermark: RGB, or RGBA with its alpha. The same bits every time.

    Strips under 8 px at the right and lower edge stay as they are. A picture that is one flat,
    fully saturated red or blue cannot hold it.
    """
    alpha = image.getchannel("A") if image.mode in ("RGBA", "LA") else None
    pixels = np.array(image.convert("RGB"))  # (H, W, 3)
    height, width = (side // BLOCK_PX for side in pixels.shape[:2])
    if height and width:
        inside = pixels[: BLOCK_PX * height, : BLOCK_PX * width]
        u, s, v = np.linalg.svd(_spectra(inside))  # (3, h, w, 4, 4) and (3, h, w, 4)
        rows, columns = np.arange(height) % TILE, np.arange(width) % TILE
        bits = _pattern()[rows[:, None], columns]  # (h, w)
        wanted = (s[..., 0] // STEP + 0.25 + 0.5 * bits) * STEP
        change = (wanted - s[..., 0])[..., None, None] * u[..., :1] * v[..., :1, :]
        low = np.einsum("ki,chwkl,lj->chwij", DCT, change, DCT)  # (3, h, w, 4, 4)
        low = low.swapaxes(2, 3).reshape(3, 4 * height, 4 * width)
        yuv = low.repeat(2, 1).repeat(2, 2) / 2  # (3, 8h, 8w): Haar's low band alone
        rgb = inside + np.einsum("rc,chw->hwr", RGB, yuv)
        inside[:] = rgb.round().clip(0, 255).astype(np.uint8)
    marked = Image.fromarray(pixels)
    if alpha is not None:
        marked.putalpha(alpha)
    return marked


def find(image: Image.Image) -> Reading:
    """Search for the watermark: as it is, halved or doubled, after any cropping. Takes a second."""
    best = Reading(0, 0.0, 1.0, (0, 0))
    for scale in SCALES:
        pixels = _window(image.convert("RGB"), scale)
        for y, x in itertools.product(range(BLOCK_PX), repeat=2):
            score, bits = _match(pixels[y:, x:])
            if score > best.score:
                best = Reading(bits, score, scale, (x, y))
            if best.score >= CERTAIN:
                return best
        if best.found:
            break
    return best


@cache
def _pattern() -> np.ndarray:
    """(16, 16) bits of a tile: the word eight times, whitened."""
    return np.unpackbits(np.frombuffer(WORD, np.uint8))[_places()] ^ _noise()


def _places() -> np.ndarray:
    """(16, 16): which bit of the word a block holds; each bit in eight rows and eight columns."""
    rows, columns = np.ogrid[:TILE, :TILE]
    return (16 * rows + 5 * (rows // 2) + columns) % 32


def _noise() -> np.ndarray:
    digest = hashlib.sha256(b"lambda-eclipse watermark").digest()
    return np.unpackbits(np.frombuffer(digest, np.uint8)).reshape(TILE, TILE)


def _spectra(pixels: np.ndarray) -> np.ndarray:
    """(8h, 8w, 3) RGB to (3, h, w, 4, 4): DCT of Haar's low band of each block, in Y, U and V."""
    height, width = (side // BLOCK_PX for side in pixels.shape[:2])
    cells = pixels.reshape(4 * height, 2, 4 * width, 2, 3).astype(np.float64).mean((1, 3))
    low = 2 * (np.einsum("cr,hwr->chw", YUV, cells) + OFFSET[:, None, None])
    blocks = low.reshape(3, height, 4, width, 4).swapaxes(2, 3)  # (3, h, w, 4, 4)
    return np.einsum("ik,chwkl,jl->chwij", DCT, blocks, DCT)


def _match(pixels: np.ndarray) -> tuple[float, int]:
    """The best score of any shift of the tile, and the right bits there; (0, 0) without a block."""
    height, width = (side // BLOCK_PX for side in pixels.shape[:2])
    if not height or not width:
        return 0.0, 0
    values = np.linalg.svd(
        _spectra(pixels[: BLOCK_PX * height, : BLOCK_PX * width]), compute_uv=False
    )[..., 0]  # (3, h, w)
    votes = np.einsum("c,chw->hw", TRUST, -np.sin(2 * np.pi * values / STEP))  # (h, w)
    sums = np.zeros((TILE, TILE))
    np.add.at(sums, (np.arange(height)[:, None] % TILE, np.arange(width) % TILE), votes)
    spectrum = np.fft.fft2(sums) * np.fft.fft2(2.0 * _pattern() - 1).conj()
    scores = np.fft.ifft2(spectrum).real / max(1.0, float(np.linalg.norm(sums)))
    row, column = np.unravel_index(scores.argmax(), scores.shape)
    aligned = np.roll(sums, (-int(row), -int(column)), (0, 1)) * np.where(_noise(), -1, 1)
    read = np.bincount(_places().ravel(), aligned.ravel()) > 0
    right = read == np.unpackbits(np.frombuffer(WORD, np.uint8))
    return float(scores.max()), int(right.sum())


def _window(image: Image.Image, scale: float) -> np.ndarray:
    """(H, W, 3): the middle of the picture at that scale."""
    side = round(WINDOW_PX / scale)
    left, top = (max(0, (length - side) // 2) for length in image.size)
    part = image.crop((left, top, min(image.width, left + side), min(image.height, top + side)))
    size = tuple(max(1, round(length * scale)) for length in part.size)
    how = Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.BOX
    return np.asarray(part if scale == 1 else part.resize((size[0], size[1]), how))
