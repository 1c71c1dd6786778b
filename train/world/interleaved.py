"""Sticker world as interleaved shards (`train.data.interleaved_shards`).

    python -m train.world.interleaved --out SHARDS [--count 10000] [--side split]

Pictures are PNG, 128 px. Boxes, scores and mask shares are null: nothing was measured. `sha256` is
that of the PNG. Scenes of the sides "held" and "seen" are for validation. Side "split": every fifth
scene is of the side "held", the others of "train", the paper's 80:20 (Sec. 3.2).
"""

import argparse
import hashlib
import re
from pathlib import Path

from lambda_eclipse import paper
from train.data.caption_pipeline.report import Report
from train.data.caption_pipeline.statistics import counts, gather, table, write
from train.data.interleaved_shards import (
    FORMAT,
    Example,
    Noun,
    Subject,
    encode,
    finished,
    read_done,
    write_manifest,
    write_shard,
)
from train.data.resumable import check_settings
from train.world.render import render, subject_view
from train.world.scenes import sample_scene

PER_SHARD = 1000
SPLIT = "split"
EVERY = round(1 / paper.VALIDATION_SHARE)


def example(seed: int, index: int, side: str, breadth: bool = False) -> Example:
    """Scene `index` of a seed and side, as in `sample_scene`, as an example."""
    if side == SPLIT:
        side = "train" if (index + 1) % EVERY else "held"
    scene = sample_scene(seed, index, side, breadth)
    picture = encode(render(scene), "png")
    nouns: list[Noun] = []
    for text, sprite in zip(scene.nouns, scene.sprites, strict=True):
        # A caption names its subjects in order, as whole words.
        start = nouns[-1].end if nouns else 0
        found = re.compile(rf"\b{re.escape(text)}\b").search(scene.caption, start)
        if found is None:
            raise ValueError(f"“{scene.caption}” lacks “{text}” after position {start}.")
        nouns.append(Noun(text, sprite.noun, *found.span()))
    subjects = [
        Subject(i, encode(subject_view(scene, i), "png")) for i in range(len(scene.sprites))
    ]
    return Example(
        scene.caption,
        tuple(nouns),
        tuple(subjects),
        picture,
        "png",
        "train" if side == "train" else "validation",
        scene.seed,
        hashlib.sha256(picture).hexdigest(),
    )


def write_side(out: Path, seed: int, count: int, side: str, breadth: bool = False) -> None:
    """Write the shards of the first `count` scenes that are missing, manifest and statistics."""
    settings = {"seed": seed, "count": count, "side": side, "breadth": breadth}
    out.mkdir(parents=True, exist_ok=True)
    check_settings(out, {"format": FORMAT, "world": "stickers", **settings})
    for number, start in enumerate(range(0, count, PER_SHARD)):
        if read_done(out, number) is None:
            stop = min(start + PER_SHARD, count)
            examples = [example(seed, i, side, breadth) for i in range(start, stop)]
            report = Report(seen=len(examples)).to_json()
            write_shard(out, number, examples, {**report, **counts(examples)})
    dones = finished(out)
    write_manifest(out, dones)
    write(out, gather(dones))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description="Write sticker world as interleaved shards. The same command resumes.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the shards")
    parser.add_argument("--count", type=int, default=10_000, help="scenes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--side", choices=(SPLIT, "train", "held", "seen"), default=SPLIT)
    parser.add_argument("--breadth", action="store_true", help="subjects beyond the concepts")
    given = parser.parse_args()
    try:
        write_side(given.out, given.seed, given.count, given.side, given.breadth)
    except ValueError as error:
        parser.error(str(error))
    print(table(gather(finished(given.out))), end="")


if __name__ == "__main__":
    main()
