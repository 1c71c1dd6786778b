"""The autoencoder's training."""

from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small_world import check_task, run_command

from lambda_eclipse.pocket.movq import PocketMOVQ
from lambda_eclipse.weights import WeightsError
from train.loop.export import MODULE_WEIGHTS, save_module
from train.loop.task import Settings
from train.pocket import movq


def test_it_learns_and_its_export_loads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    every = movq.pictures

    @cache
    def few(seed: int, first: int, count: int, side: str, breadth: bool = False) -> torch.Tensor:
        return every(seed, first, min(count, 24), side, breadth)

    monkeypatch.setattr(movq, "pictures", few)
    settings = Settings(steps=8, batch=4, rate=3e-4, warmup=1, ema_decay=0.998)
    finished = check_task(lambda s: movq.task(s, breadth=False), settings, tmp_path / "run")
    result = movq.task(settings, breadth=False).evaluate(finished)
    assert result.keys() == {"psnr_held", "psnr_seen"}
    assert all(15 < value < 60 for value in result.values())

    options = {"steps": 8, "batch": 4, "threads": 1, "export": tmp_path / "movq"}
    run_command(movq.main, "core", run=tmp_path / "run", **options)
    written = load_file(tmp_path / "movq" / MODULE_WEIGHTS)
    assert {tensor.dtype for tensor in written.values()} == {torch.float16}
    loaded = PocketMOVQ.from_pretrained(tmp_path / "movq", torch_dtype=torch.float32).eval()
    picture = few(0, 0, 1, "train")
    assert (loaded.encode(picture) - finished.encode(picture)).abs().max() < 0.05


def test_weights_beyond_half_precision_are_not_exported(tmp_path: Path) -> None:
    model = PocketMOVQ()
    with torch.no_grad():
        model.encode_in.bias[0] = 1e6
    with pytest.raises(WeightsError, match="encode_in.bias"):
        save_module(model, tmp_path)
    assert not (tmp_path / MODULE_WEIGHTS).exists()
