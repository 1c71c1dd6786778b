"""Interleaved shards: captions with pictures of their subjects. Format, writer, checked reader.

A folder of WebDataset shards `interleaved-000000.tar`, … with a `.json` beside each and one
`manifest.json` over all (`tars`). An example is these members of a shard; KEY is ten digits, shard
and index within it:

    KEY.json           the row, see below
    KEY.jpg or .png    the picture, RGB, upright, long side at most 2048 px
    KEY.subject0.png   the picture of subject 0: RGB, square, cut out, centred on white
    KEY.subject1.png   … up to subject 3

The row, UTF-8 JSON:

    format    "interleaved-1"
    caption   the sentence
    nouns     in reading order: {"text", "name", "start", "end"}; caption[start:end] == text
              (characters of Python, not bytes); "name": singular, lower case, by which statistics
              count: "teddy bear" for "Teddy bears"
    subjects  one to four, in the caption's order: {"noun", "box", "score", "mask_share"}; "noun":
              index into nouns, a different one for each subject; "box": left, top, right, bottom in
              px of the picture; "score": of the box, in [0, 1]; "mask_share": the mask's share of
              the box's area, in [0, 1]. The last three are null if nothing was measured
    split     "train" or "validation"
    source    where the picture came from, and "sha256" of its file

`manifest.json`: {"format", "examples", "files": {name: {"sha256", "bytes", "examples"}}}.
"""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from PIL import Image

from lambda_eclipse.paper import MAX_SUBJECTS, VALIDATION_SHARE
from train.data import tars
from train.data.tars import ShardError

FORMAT = "interleaved-1"
KIND = "interleaved"  # shards' names begin with it
JPEG_QUALITY = 95
_PICTURE_TYPES = ("jpg", "png")


@dataclass(frozen=True)
class Noun:
    """A noun of a caption: `caption[start:end] == text`; `name` is its singular, lower case."""

    text: str
    name: str
    start: int
    end: int


@dataclass(frozen=True)
class Subject:
    """A noun with a picture; `cutout` is PNG bytes. The other fields as in the format."""

    noun: int
    cutout: bytes = field(repr=False)
    box: tuple[int, int, int, int] | None = None
    score: float | None = None
    mask_share: float | None = None


@dataclass(frozen=True)
class Example:
    """One interleaved example; `picture` is the bytes of a JPEG or PNG as `type` says."""

    caption: str
    nouns: tuple[Noun, ...]
    subjects: tuple[Subject, ...]
    picture: bytes = field(repr=False)
    type: str
    split: str
    source: str
    sha256: str

    def __post_init__(self) -> None:
        """ValueError for content that no trainer could use."""
        wrong = [n.text for n in self.nouns if self.caption[n.start : n.end] != n.text]
        if wrong:
            raise ValueError(f"“{self.caption}” does not have “{wrong[0]}” at its position.")
        named = [subject.noun for subject in self.subjects]
        if not 1 <= len(named) <= MAX_SUBJECTS:
            raise ValueError(f"{self.source} has {len(named)} subjects: 1 to {MAX_SUBJECTS} fit.")
        if len(set(named)) < len(named) or not set(named) <= set(range(len(self.nouns))):
            raise ValueError(f"{self.source} needs one noun for each subject, not {named}.")
        if self.type not in _PICTURE_TYPES:
            raise ValueError(f"{self.source} is “{self.type}”: pictures are jpg or png.")

    def row(self) -> dict[str, Any]:
        """Content of the JSON member."""
        subjects = [asdict(subject) for subject in self.subjects]
        for subject in subjects:
            del subject["cutout"]
        return {
            "format": FORMAT,
            "caption": self.caption,
            "nouns": [asdict(noun) for noun in self.nouns],
            "subjects": subjects,
            "split": self.split,
            "source": self.source,
            "sha256": self.sha256,
        }

    def image(self) -> Image.Image:
        """The picture, RGB."""
        return Image.open(io.BytesIO(self.picture)).convert("RGB")

    def cutouts(self) -> list[Image.Image]:
        """The subjects on white, RGB, in the order of `subjects`."""
        return [Image.open(io.BytesIO(s.cutout)).convert("RGB") for s in self.subjects]


def split_of(sha256: str) -> str:
    """ "train" or "validation", 80:20 (Appendix B), by the picture's checksum alone.

    So a picture's split depends on neither its name nor the order of a run, and two copies of one
    picture always have the same split.
    """
    return "validation" if int(sha256[:16], 16) / 2**64 < VALIDATION_SHARE else "train"


def encode(image: Image.Image, kind: str) -> bytes:
    """The bytes of an RGB picture as "jpg" (quality 95) or "png"; equal pictures, equal bytes."""
    buffer = io.BytesIO()
    if kind == "jpg":
        image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    else:
        image.save(buffer, "PNG")
    return buffer.getvalue()


def write_shard(
    folder: Path, number: int, examples: Sequence[Example], report: dict[str, Any]
) -> None:
    """Write a shard and its `.json`; `report` is kept in the latter, as in `tars.write_tar`."""
    samples = []
    for example in examples:
        row = json.dumps(example.row(), ensure_ascii=False).encode()
        members = {"json": row, example.type: example.picture}
        for k, subject in enumerate(example.subjects):
            members[f"subject{k}.png"] = subject.cutout
        samples.append(members)
    tars.write_tar(folder, KIND, number, samples, report)


def read_done(folder: Path, number: int) -> dict[str, Any] | None:
    """Content of a finished shard's `.json`; None if the shard is still to be made."""
    return tars.read_done(folder, KIND, number)


def finished(folder: Path) -> list[dict[str, Any]]:
    """Contents of the `.json` of the finished shards, up to the first that is missing."""
    dones = (read_done(folder, number) for number in count())
    return [done for done in takewhile(bool, dones) if done]


def write_manifest(folder: Path, dones: Sequence[dict[str, Any]]) -> Path:
    """Write `manifest.json` from the content of the shards' `.json`, in order."""
    return tars.write_manifest(folder, KIND, FORMAT, dones)


class InterleavedShards:
    """The examples of a folder of shards, in order.

    split: "train", "validation", or None for both. part, parts: read only every `parts`-th shard,
    from shard `part` on, for several readers. Each shard is compared with the manifest before its
    first example is returned. ShardError when manifest or shards are missing, differ, or have
    another format.
    """

    def __init__(
        self, folder: Path, split: str | None = None, part: int = 0, parts: int = 1
    ) -> None:
        if split not in (None, "train", "validation"):
            raise ValueError(f"split “{split}”: take train, validation or None for both.")
        if not 0 <= part < parts:
            raise ValueError(f"part {part} of {parts}: parts count from 0 and there are {parts}.")
        self.files = tars.read_manifest(folder, FORMAT)["files"]
        self.folder, self.split = folder, split
        self.names = list(self.files)[part::parts]

    def __iter__(self) -> Iterator[Example]:
        for name in self.names:
            for example in self.shard(name):
                if self.split in (None, example.split):
                    yield example

    def shard(self, name: str) -> list[Example]:
        """All examples of one shard, checked."""
        from webdataset.tariterators import group_by_keys, tar_file_iterator

        content = tars.open_checked(self.folder, name, self.files[name])
        # webdataset's own messages need the shard's address.
        members = ({**m, "__url__": name} for m in tar_file_iterator(content))
        return [_example(sample, name) for sample in group_by_keys(members)]


def _example(sample: dict[str, Any], name: str) -> Example:
    """An example from the members of its key; ShardError when the row has another format."""
    try:
        row = json.loads(sample["json"])
        if row.pop("format") != FORMAT:
            raise ValueError("another format")
        kind = next(kind for kind in _PICTURE_TYPES if kind in sample)
        subjects = []
        for k, subject in enumerate(row.pop("subjects")):
            box = subject.pop("box")
            cutout = sample[f"subject{k}.png"]
            subjects.append(Subject(cutout=cutout, box=box and tuple(box), **subject))
        nouns = tuple(Noun(**noun) for noun in row.pop("nouns"))
        return Example(
            nouns=nouns, subjects=tuple(subjects), picture=sample[kind], type=kind, **row
        )
    except (KeyError, ValueError, TypeError, StopIteration) as error:
        raise ShardError(
            f"{name}: example {sample['__key__']} is not of format {FORMAT} ({error}): write the "
            f"shards anew."
        ) from error
