"""Whole files or a message that says which is not, and what to do."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from lambda_eclipse.manifest import verify, write_manifest
from lambda_eclipse.state_dicts import load_module, read_safetensors
from lambda_eclipse.weights import WeightsError, read_json, save_fp16

STATE = {"a.weight": torch.randn(3, 2), "count": torch.tensor(7)}
LAYOUT = {"a.weight": (3, 2), "count": ()}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save_file(STATE, path)
    return path


def test_reading_is_exact(file: Path) -> None:
    state = read_safetensors(file, LAYOUT)
    assert all(torch.equal(state[name], STATE[name]) for name in STATE)
    half = read_safetensors(file, LAYOUT, dtype=torch.float16)
    assert half["a.weight"].dtype == torch.float16 and half["count"].dtype == torch.int64


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({**LAYOUT, "b": (1,)}, "lacks b"),
        ({"count": ()}, r"unknown a\.weight"),
        ({**LAYOUT, "a.weight": (2, 3)}, r"a\.weight \[3, 2\] instead of \[2, 3\]"),
        ({**LAYOUT, **{f"b{i}": () for i in range(5)}}, "b0, b1, b2 and 2 more"),
    ],
)
def test_another_layout_is_refused(
    file: Path, layout: dict[str, tuple[int, ...]], message: str
) -> None:
    with pytest.raises(WeightsError, match=f"does not match its configuration.*{message}"):
        read_safetensors(file, layout)


def test_damaged_and_missing_files_are_named(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-4])
    with pytest.raises(
        WeightsError, match=r"model.safetensors is not a readable.*download it again"
    ):
        read_safetensors(file, LAYOUT)
    file.write_text("version https://git-lfs.github.com/spec/v1")
    with pytest.raises(WeightsError, match=r"model.safetensors is not a readable"):
        read_safetensors(file, LAYOUT)
    file.unlink()
    with pytest.raises(WeightsError, match=r"model.safetensors is missing"):
        read_safetensors(file, LAYOUT)


def test_json_that_is_none_is_named(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    for text, message in [(None, "missing"), ("{", "is not JSON"), ("[]", "no JSON object")]:
        if text is not None:
            path.write_text(text)
        with pytest.raises(WeightsError, match=message):
            read_json(path)


def test_a_module_on_the_meta_device_is_filled(tmp_path: Path) -> None:
    source = nn.Linear(4, 3)
    save_fp16(source.state_dict(), tmp_path / "linear.safetensors")
    with torch.device("meta"):
        module = nn.Linear(4, 3)
    load_module(module, tmp_path / "linear.safetensors", dtype=torch.float32)
    assert torch.equal(module.weight, source.weight.half().float())
    assert module.weight.requires_grad and module.weight.dtype == torch.float32


def test_saving_is_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "model.safetensors"
    shared = torch.randn(4)
    save_fp16({"a": shared, "b": shared[1:], "n": torch.arange(3)}, path)
    state = load_file(path)
    assert state["a"].dtype == torch.float16 and state["n"].dtype == torch.int64
    assert torch.equal(state["b"], shared[1:].half())
    before = path.read_bytes()
    with pytest.raises(WeightsError, match="huge has values beyond the range of float16"):
        save_fp16({"huge": torch.tensor([1e6])}, path)
    with pytest.raises(Exception, match="complex"):
        save_fp16({"odd": torch.zeros(1, dtype=torch.complex128)}, path)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_manifest_finds_what_changed(tmp_path: Path) -> None:
    for name in ("clip/model.bin", "prior/model.bin"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_bytes(name.encode())
    manifest = write_manifest(tmp_path)
    content = json.loads(manifest.read_text())
    assert set(content["files"]) == {"clip/model.bin", "prior/model.bin"}
    assert content["files"]["clip/model.bin"]["bytes"] == 14
    verify(manifest, tmp_path)
    verify(content, tmp_path)

    (tmp_path / "prior/model.bin").write_bytes(b"prior/model.bim")
    verify(manifest, tmp_path / "clip")  # only what lies below the folder
    with pytest.raises(WeightsError, match=r"prior/model.bin does not match its checksum"):
        verify(manifest, tmp_path)
    (tmp_path / "prior/model.bin").write_bytes(b"short")
    with pytest.raises(WeightsError, match="5 bytes instead of 15"):
        verify(manifest, tmp_path / "prior")
    (tmp_path / "prior/model.bin").unlink()
    with pytest.raises(WeightsError, match=r"prior/model.bin is missing"):
        verify(manifest, tmp_path)
