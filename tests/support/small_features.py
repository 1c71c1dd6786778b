"""A few interleaved examples, and their features by a small random CLIP."""

import hashlib
import re
from pathlib import Path

import numpy as np
from PIL import Image
from small_stack import write_clip

from lambda_eclipse.stacks import STACKS
from train.data import features
from train.data.engines import run_local
from train.data.feature_shards import FeatureShards
from train.data.interleaved_shards import (
    Example,
    Noun,
    Subject,
    encode,
    finished,
    write_manifest,
    write_shard,
)

EDGES_PX = STACKS["kandinsky"].edges_px
CAPTIONS = (
    ("a dog", ("dog",)),
    ("a dog and a dog in the snow", ("dog", "dog")),
    ("two Teddy bears, a “café” and that hat", ("Teddy bears", "hat")),
    ("a cat wearing a hat on the beach", ("cat", "hat")),
    ("an amphora with a candle in front of a castle and a rainbow", ("amphora", "candle")),
)


def picture(number: int, size: int) -> Image.Image:
    """Noise of its own for each number."""
    drawn = np.random.default_rng(number).integers(0, 256, (size, size, 3), np.uint8)
    return Image.fromarray(drawn)


def example(number: int, caption: str | None = None, nouns: tuple[str, ...] = ()) -> Example:
    """Example of a number, with its own pictures; every fourth is for validation."""
    if caption is None:
        caption, nouns = CAPTIONS[number % len(CAPTIONS)]
    found, at = [], 0
    for noun in nouns:
        at = next(re.compile(rf"\b{noun}").finditer(caption, at)).start()
        found.append(Noun(noun, noun.lower(), at, at + len(noun)))
        at += len(noun)
    content = encode(picture(number, 40), "png")
    subjects = [
        Subject(k, encode(picture(1000 * k + number, 32), "png")) for k in range(len(nouns))
    ]
    return Example(
        caption,
        tuple(found),
        tuple(subjects),
        content,
        "png",
        "validation" if number % 4 == 3 else "train",
        f"{number}.png",
        hashlib.sha256(content).hexdigest(),
    )


def write_interleaved(folder: Path, shards: list[list[Example]]) -> Path:
    """A finished folder of interleaved shards."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, examples in enumerate(shards):
        write_shard(folder, number, examples, {})
    write_manifest(folder, finished(folder))
    return folder


def write_features(root: Path, count: int = 24, per_shard: int = 8) -> FeatureShards:
    """Features of `count` examples in root/features, by the CLIP in root/clip."""
    rows = [example(number) for number in range(count)]
    shards = [rows[first : first + per_shard] for first in range(0, count, per_shard)]
    write_interleaved(root / "interleaved", shards)
    clip = root / "clip"
    if not clip.exists():
        write_clip(clip)
    return features.run(
        root / "interleaved", clip, root / "features", "cpu", 4, run_local, edges_px=EDGES_PX
    )
