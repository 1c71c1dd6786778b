"""Safetensors files read without mapping: the library's numbers, from one file and from shards."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from lambda_eclipse.tensor_files import Joined, Transposed, entries
from lambda_eclipse.weights import WeightsError

TYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8]


def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    found = {str(dtype): (9 * torch.randn(3, 5)).to(dtype) for dtype in TYPES}
    return found | {"scalar": torch.tensor(7.0), "empty": torch.zeros(0, 4), "odd": torch.ones(3)}


def same(path: Path, expected: dict[str, torch.Tensor]) -> None:
    found = entries(path)
    assert found.keys() == expected.keys()
    for name, entry in found.items():
        tensor = entry.read()
        assert tensor.dtype == expected[name].dtype and tensor.shape == entry.shape
        assert torch.equal(tensor, expected[name]), name
        assert tensor.data_ptr() % 64 == 0, "aligned, wherever it lies in the file"


def test_numbers_are_those_of_the_library(tmp_path):
    save_file(tensors(), tmp_path / "a.safetensors", {"format": "pt"})
    same(tmp_path / "a.safetensors", load_file(tmp_path / "a.safetensors"))


def test_shards(tmp_path):
    whole = tensors()
    names = sorted(whole)
    weight_map = {}
    for i, part in enumerate((names[:4], names[4:]), start=1):
        file = f"a-0000{i}-of-00002.safetensors"
        save_file({name: whole[name] for name in part}, tmp_path / file)
        weight_map |= dict.fromkeys(part, file)
    index = tmp_path / "a.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    same(tmp_path / "a.safetensors", whole)
    (tmp_path / "a-00002-of-00002.safetensors").unlink()
    with pytest.raises(WeightsError, match="a-00002-of-00002.safetensors is missing"):
        entries(tmp_path / "a.safetensors")
    index.write_text("[]")
    with pytest.raises(WeightsError, match="no index"):
        entries(tmp_path / "a.safetensors")


def test_joined_and_transposed(tmp_path):
    a, b = torch.randn(2, 3), torch.randn(4, 3)
    save_file({"a": a, "b": b}, tmp_path / "a.safetensors")
    found = entries(tmp_path / "a.safetensors")
    joined, turned = Joined([found["a"], found["b"]]), Transposed(found["a"])
    assert joined.shape == (6, 3) and torch.equal(joined.read(), torch.cat([a, b]))
    assert turned.shape == (3, 2) and torch.equal(turned.read(), a.t())


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data + b"x",
        lambda data: data[:6],
        lambda data: b"\xff" * 8 + data[8:],
        lambda data: data.replace(b"[0,", b"[4,"),
        lambda data: data.replace(b"F32", b"F33"),
        lambda data: b"version https://git-lfs.github.com/spec/v1",
    ],
)
def test_damaged_files_are_named(tmp_path, damage):
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.ones(2, 3)}, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(WeightsError, match=r"a.safetensors is not a readable.*download it again"):
        entries(path)
