"""The shard format: what is written is read again, and what is damaged is named."""

import hashlib
import json
from pathlib import Path

import pytest
from PIL import Image

from train.data.interleaved_shards import (
    Example,
    InterleavedShards,
    Noun,
    ShardError,
    Subject,
    encode,
    read_done,
    split_of,
    write_manifest,
    write_shard,
)
from train.world.interleaved import example as sticker
from train.world.interleaved import write_side


def example(number: int = 0, **changed) -> Example:
    picture = encode(Image.new("RGB", (64, 48), (number, 9, 90)), "jpg")
    cutout = encode(Image.new("RGB", (16, 16), "white"), "png")
    parts = {
        "caption": "a “café” and two Teddy bears",
        "nouns": (Noun("café", "café", 3, 7), Noun("Teddy bears", "teddy bear", 17, 28)),
        "subjects": (Subject(1, cutout, (1, 2, 30, 40), 0.5, 0.75), Subject(0, cutout)),
        "picture": picture,
        "type": "jpg",
        "split": "validation" if number % 3 == 0 else "train",
        "source": f"folder/{number}.jpg",
        "sha256": hashlib.sha256(picture).hexdigest(),
    }
    return Example(**{**parts, **changed})


def write(folder: Path, shards: list[list[Example]]) -> Path:
    folder.mkdir(exist_ok=True)
    for number, examples in enumerate(shards):
        write_shard(folder, number, examples, {})
    write_manifest(folder, [read_done(folder, number) for number in range(len(shards))])
    return folder


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    examples = [example(i) for i in range(7)]
    return write(tmp_path / "shards", [examples[:3], [], examples[3:]])


def test_what_is_written_is_read(shards: Path) -> None:
    assert list(InterleavedShards(shards)) == [example(i) for i in range(7)]
    first = next(iter(InterleavedShards(shards)))
    assert first.image().size == (64, 48)
    assert [cutout.size for cutout in first.cutouts()] == [(16, 16)] * 2
    assert sorted(p.name for p in shards.glob("*.tar")) == [
        "interleaved-000000.tar",
        "interleaved-000002.tar",
    ]


def test_splits_and_parts_are_disjoint_and_whole(shards: Path) -> None:
    numbers = {
        split: [e.source for e in InterleavedShards(shards, split)]
        for split in ("train", "validation")
    }
    assert numbers["validation"] == [f"folder/{i}.jpg" for i in (0, 3, 6)]
    assert numbers["train"] == [f"folder/{i}.jpg" for i in (1, 2, 4, 5)]
    parts = [[e.source for e in InterleavedShards(shards, part=part, parts=2)] for part in (0, 1)]
    assert parts[0] + parts[1] == [f"folder/{i}.jpg" for i in range(7)]
    with pytest.raises(ValueError, match="test"):
        InterleavedShards(shards, "test")
    with pytest.raises(ValueError, match="part 2 of 2"):
        InterleavedShards(shards, part=2, parts=2)


def test_webdataset_reads_it_too(shards: Path) -> None:
    import webdataset

    dataset = webdataset.WebDataset(str(shards / "interleaved-000002.tar"), shardshuffle=False)
    samples = list(dataset.decode("pil"))
    assert [sample["__key__"] for sample in samples] == [f"000002000{i}" for i in range(4)]
    row = samples[0]["json"]
    assert row["format"] == "interleaved-1"
    assert [row["caption"][n["start"] : n["end"]] for n in row["nouns"]] == ["café", "Teddy bears"]
    assert samples[0]["jpg"].size == (64, 48)
    assert samples[0]["subject1.png"].size == (16, 16)


def test_equal_examples_make_equal_bytes(shards: Path, tmp_path: Path) -> None:
    again = write(tmp_path / "again", [[example(i) for i in range(3)]])
    name = "interleaved-000000.tar"
    assert (again / name).read_bytes() == (shards / name).read_bytes()


@pytest.mark.parametrize("damage", ["missing", "cut", "changed"])
def test_damage_is_named_with_its_remedy(shards: Path, damage: str) -> None:
    path = shards / "interleaved-000002.tar"
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(content[:-512])
    else:
        path.write_bytes(content[:700] + bytes([content[700] ^ 1]) + content[701:])
    with pytest.raises(ShardError, match=r"interleaved-000002\.tar.*run the command that wrote it"):
        list(InterleavedShards(shards))
    # … and just that shard is to be made again.
    assert (read_done(shards, 2) is None) == (damage != "changed")
    assert read_done(shards, 0) is not None


def test_manifests_that_are_missing_damaged_or_of_another_format(shards: Path) -> None:
    path = shards / "manifest.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "format": "interleaved-9"}))
    with pytest.raises(ShardError, match="interleaved-9"):
        InterleavedShards(shards)
    path.write_text("{")
    with pytest.raises(ShardError, match="damaged"):
        InterleavedShards(shards)
    path.unlink()
    with pytest.raises(ShardError, match="missing"):
        InterleavedShards(shards)


def test_rows_of_another_format_are_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("train.data.interleaved_shards.Example.row", lambda self: {"x": 1})
    folder = write(tmp_path / "shards", [[example()]])
    with pytest.raises(ShardError, match="interleaved-000000.tar: example 0000000000"):
        list(InterleavedShards(folder))


@pytest.mark.parametrize(
    "changed",
    [
        {"caption": "a cafe"},
        {"subjects": ()},
        {"subjects": (Subject(0, b""),) * 2},
        {"subjects": (Subject(2, b""),)},
        {
            "nouns": (Noun("a", "a", 0, 1),) * 5,
            "subjects": tuple(Subject(i, b"") for i in range(5)),
        },
        {"type": "gif"},
    ],
)
def test_examples_no_trainer_could_use(changed: dict) -> None:
    with pytest.raises(ValueError):
        example(**changed)


def test_the_split_is_of_the_picture_alone_and_80_to_20() -> None:
    sums = [hashlib.sha256(str(i).encode()).hexdigest() for i in range(20_000)]
    sides = [split_of(one) for one in sums]
    assert sides == [split_of(one) for one in sums]
    assert sides.count("validation") / len(sides) == pytest.approx(0.2, abs=0.01)
    # Pinned: a picture that has changed sides spoils every earlier validation.
    assert split_of("3333" + "0" * 60) == "validation"
    assert split_of("3334" + "0" * 60) == "train"


def test_sticker_world_in_the_same_format(tmp_path: Path) -> None:
    write_side(tmp_path, seed=3, count=12, side="train")
    read = list(InterleavedShards(tmp_path, "train"))
    assert read == [sticker(3, i, "train") for i in range(12)]
    assert all(e.image().size == e.cutouts()[0].size == (128, 128) for e in read)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write_side(tmp_path, seed=3, count=12, side="train")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with pytest.raises(ValueError, match="seed is 4, was 3"):
        write_side(tmp_path, seed=4, count=12, side="train")
    assert sticker(0, 0, "held").split == "validation"
    write_side(tmp_path / "both", seed=3, count=10, side="split")
    assert list(InterleavedShards(tmp_path / "both", "train")) == [
        read[i] for i in range(10) if i not in (4, 9)
    ]
    held = list(InterleavedShards(tmp_path / "both", "validation"))
    assert held == [sticker(3, i, "held") for i in (4, 9)]


def test_sticker_nouns_stand_in_their_captions() -> None:
    for i in range(60):  # Example itself refuses a wrong span
        found = sticker(7, i, "train")
        assert [subject.noun for subject in found.subjects] == list(range(len(found.nouns)))
