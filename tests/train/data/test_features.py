"""Features: exactly what CLIP makes of the examples, once, of one CLIP, and checked when read."""

import dataclasses
import json
import re
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import small_features
import torch
from small_features import EDGES_PX
from small_stack import DIM, write_clip

from lambda_eclipse.clip import Clip
from lambda_eclipse.mentions import assign
from lambda_eclipse.pipeline import Studio
from lambda_eclipse.request import Request
from lambda_eclipse.stacks import STACKS
from lambda_eclipse.tokens import Tokenizer
from train.data import features
from train.data.engines import run_local, run_ray
from train.data.feature_shards import NAMES, FeatureShards, key_of
from train.data.interleaved_shards import InterleavedShards
from train.data.tars import ShardError


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two interleaved shards, a CLIP and their features; not to be changed."""
    root = tmp_path_factory.mktemp("world")
    small_features.write_features(root, count=6, per_shard=4)
    return root


def copy_of(world: Path, folder: Path) -> Path:
    """The features, to be spoilt."""
    folder.mkdir()
    for path in (world / "features").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_features_are_what_clip_makes_of_the_examples(world: Path) -> None:
    shards, clip = FeatureShards(world / "features"), Clip.from_folder(world / "clip")
    assert (shards.examples, shards.clip.dimension) == (6, DIM)
    assert shards.counts == {"train": [3, 2], "validation": [1, 0]}
    examples = list(InterleavedShards(world / "interleaved"))
    # Edges as a request has them: training and painting show the prior equal maps.
    studio = Studio(SimpleNamespace(stack=STACKS["kandinsky"]))
    places = [
        ("train", 0, 0),
        ("train", 0, 1),
        ("train", 0, 2),
        ("validation", 0, 0),
        ("train", 1, 0),
        ("train", 1, 1),
    ]
    tokens = 0
    for example, place in zip(examples, places, strict=True):
        found = shards.read(*place)
        text = clip.text([example.caption])
        edges = studio.edges(Request("", canny=example.image()))
        with torch.no_grad():
            images = clip.image([example.image(), edges, *example.cutouts()])
        expected = {
            "states": text.states[0],  # as long as the caption: nothing is padded
            "pooled": text.pooled[0],
            "target": images[0],
            "canny": images[1],
            "subjects": images[2:],
        }
        for name, value in expected.items():
            assert found[name].dtype == np.float16 and found[name].shape == value.shape, name
            assert np.allclose(found[name], value.numpy(), atol=5e-3), name
        spans = assign(clip.tokenizer, example.caption, [noun.text for noun in example.nouns])
        assert [tuple(span) for span in found["spans"]] == spans
        assert found["key"].tolist() == [key_of(example.caption)]
        tokens += len(found["states"])
    assert shards.tokens == tokens
    assert torch.allclose(shards.null, clip.null_image()[0], atol=1e-6)
    assert shards.clip.inverse_temperature == pytest.approx(float(clip.model.logit_scale.exp()))


def test_a_noun_is_found_where_it_stands() -> None:
    tokenizer = Tokenizer()
    twice = small_features.example(0, "dogs and a dog, that hat", ("dog", "dog", "hat"))
    assert [noun.start for noun in twice.nouns] == [0, 11, 21]
    # the first "dog" is only the beginning of "dogs": no word of its own
    assert features.spans_of(tokenizer, twice) is None
    second = dataclasses.replace(twice, subjects=twice.subjects[1:])
    assert features.spans_of(tokenizer, second) == [(4, 5), (7, 8)]
    late = small_features.example(0, "very " * 80 + "small dog", ("dog",))
    assert features.spans_of(tokenizer, late) is None


def test_what_is_there_is_kept_and_what_is_missing_made_again(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = copy_of(world, tmp_path / "features")
    before = contents(out)
    (out / "features-000001.json").unlink()  # as a run leaves it that is killed while writing
    (out / ".features-000001.tar.part").write_bytes(b"half")
    written = []
    write = features.write_step
    monkeypatch.setattr(
        features, "write_step", lambda chunk, out: written.append(chunk.number) or write(chunk, out)
    )
    for expected in ([1], []):
        features.run(
            world / "interleaved", world / "clip", out, "cpu", 4, run_local, edges_px=EDGES_PX
        )
        assert written == expected
        assert contents(out) == before
        written.clear()


def test_examples_whose_noun_clip_does_not_read_are_counted(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    late = small_features.example(1, "very " * 80 + "small dog", ("dog",))
    small_features.write_interleaved(tmp_path / "in", [[small_features.example(0), late]])
    found = features.run(
        tmp_path / "in", world / "clip", tmp_path / "out", "cpu", 4, run_local, edges_px=EDGES_PX
    )
    assert found.examples == 1
    assert f"1 examples dropped: {features.NO_SPAN}" in capsys.readouterr().err


def test_the_command_says_how_large_they_are(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    line = [
        "--shards",
        str(world / "interleaved"),
        "--stack",
        "kandinsky",
        "--clip",
        str(world / "clip"),
    ]
    features.main([*line, "--out", str(tmp_path / "out"), "--batch", "4", "--device", "cpu"])
    printed = capsys.readouterr().out
    assert "5 training and 1 validation examples in 2 shards" in printed and "kB each" in printed
    assert contents(tmp_path / "out") == contents(world / "features")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda out, root: root / "nowhere", "nowhere.*holds no open_clip_config.json"),
        (lambda out, root: write_clip(root / "other"), "begun with other settings.*clip is"),
    ],
)
def test_another_clip_is_refused(world: Path, tmp_path: Path, change, message, capsys) -> None:
    out = copy_of(world, tmp_path / "features")
    clip = change(out, tmp_path)
    if clip.exists():  # the same sizes, other weights
        weights = clip / "open_clip_model.safetensors"
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
    line = [
        "--shards",
        str(world / "interleaved"),
        "--stack",
        "kandinsky",
        "--clip",
        str(clip),
        "--out",
        str(out),
    ]
    with pytest.raises(SystemExit) as stopped:
        features.main([*line, "--device", "cpu"])
    assert stopped.value.code == 2
    assert re.search(message, capsys.readouterr().err.replace("\n", " "))


def edit(path: Path, **changed: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "manifest.json").unlink(), "manifest.json is missing"),
        (lambda f: (f / "manifest.json").write_text("{"), "manifest.json is damaged"),
        (lambda f: edit(f / "manifest.json", clip={}), "manifest.json is damaged"),
        (lambda f: edit(f / "manifest.json", format="features-0"), "format “features-0”"),
        (lambda f: (f / "features-000000.tar").unlink(), "features-000000.tar is missing"),
        (
            lambda f: (f / "features-000000.tar").write_bytes(b"short"),
            "features-000000.tar has 5 bytes.*delete it",
        ),
    ],
)
def test_shards_that_are_not_as_the_manifest_says(
    world: Path, tmp_path: Path, spoil, message: str
) -> None:
    out = copy_of(world, tmp_path / "features")
    spoil(out)
    with pytest.raises(ShardError, match=message):
        FeatureShards(out).read("train", 0, 0)


def test_a_changed_byte_is_noticed(world: Path, tmp_path: Path) -> None:
    out = copy_of(world, tmp_path / "features")
    path = out / "features-000001.tar"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    shards = FeatureShards(out)
    assert set(NAMES) == shards.read("train", 0, 0).keys()  # the other one is fine
    with pytest.raises(ShardError, match="features-000001.tar does not match its checksum"):
        shards.read("train", 1, 0)


def test_ray_writes_what_one_machine_writes(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray", reason='Ray is optional: pip install "ray[data]"')
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # sums depend on the number of threads
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    try:
        engine = partial(run_ray, workers=2)
        features.run(
            world / "interleaved",
            world / "clip",
            tmp_path / "out",
            "cpu",
            4,
            engine,
            edges_px=EDGES_PX,
        )
    finally:
        ray.shutdown()
    assert contents(tmp_path / "out") == contents(world / "features")
