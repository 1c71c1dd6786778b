"""Main memory is checked before a stack is read, and each tensor is there once while it is."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from repository import ROOT
from small_stack import write_stack

from lambda_eclipse import memory, stacks
from lambda_eclipse.weights import WeightsError


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("hub")
    return {part: Path(path) for part, path in write_stack(root).items()}


def test_headers_tell_how_much_is_needed(folders):
    from lambda_eclipse.prior import Prior

    prior = Prior.from_folder(folders["prior"])
    whole = sum(tensor.numel() * 4 for tensor in prior.state_dict().values())
    assert memory.weights_bytes(folders["prior"], "prior", torch.float32) == whole
    assert memory.weights_bytes(folders["prior"], "prior", torch.float16) == whole // 2


def test_a_stack_that_does_not_fit_is_refused(folders, monkeypatch):
    row = stacks.STACKS["kandinsky"]
    monkeypatch.setattr(memory, "free_bytes", lambda: 5_000_000_000)
    memory.check(row, folders, torch.float32)  # a small one needs no gigabyte
    monkeypatch.setattr(memory, "weights_bytes", lambda *of: 2_600_000_000)
    with pytest.raises(WeightsError, match=r"needs 8.8 GB of memory, of which 5.0 GB are free"):
        memory.check(row, folders, torch.float32)


def test_a_containers_limit_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "CGROUP", tmp_path)
    free = memory.free_bytes()
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000\n")
    assert memory.free_bytes() == pytest.approx(free, rel=0.5)
    (tmp_path / "memory.max").write_text("5000\n")
    assert memory.free_bytes() == 4000


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no such count")
def test_loading_holds_weights_once():
    """The prior at full size, from single to half precision, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.loading", "prior"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    _, _, size, rise, fits, _ = done.stdout.splitlines()[-1].split("|")
    assert fits.strip() == "yes"
    assert float(rise) < float(size), "weights in half precision, and one tensor in single"
