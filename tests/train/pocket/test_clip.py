"""The CLIP's training."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from small_world import check_task, run_command

from lambda_eclipse.clip import Clip
from lambda_eclipse.pocket.tower import SEMANTIC, GridTower
from lambda_eclipse.weights import WeightsError
from train.loop.export import save_clip
from train.loop.task import Settings
from train.pocket import clip, clip_config, pretrained
from train.world.arrays import Arrays


def test_it_learns_and_its_export_embeds_pictures_alike(arrays: Arrays, tmp_path: Path) -> None:
    make = partial(clip.task, arrays, merges=tmp_path / "merges.txt.gz")
    settings = Settings(steps=6, batch=12, rate=1e-3, warmup=1, ema_decay=0.9)
    finished = check_task(make, settings, tmp_path / "run")
    trunk, fresh = finished.tower.trunk.state_dict(), GridTower()
    pretrained.load_trunk(fresh, tmp_path)
    assert all(torch.equal(trunk[name], v) for name, v in fresh.trunk.state_dict().items())
    result = clip.evaluate(finished, arrays)
    assert result.keys() == {"caption_r1_held", "caption_r1_seen", "instance_r1_held"}
    assert all(0 <= value <= 1 for value in result.values())

    options = {"steps": 6, "batch": 12, "threads": 1, "export": tmp_path / "clip"}
    run_command(clip.main, arrays=arrays.folder, run=tmp_path / "run", **options)
    written = load_file(tmp_path / "clip" / "open_clip_model.safetensors")
    assert torch.float32 not in {tensor.dtype for tensor in written.values()}
    loaded, index = Clip.from_folder(tmp_path / "clip"), np.arange(3)
    expected = finished.tower.embed(*arrays.features("held", index))
    embedded = loaded.image([Image.fromarray(p) for p in arrays.pictures("held")[index]])
    # The layout is known there, and detected here.
    semantic = F.cosine_similarity(embedded[:, :SEMANTIC], expected[:, :SEMANTIC])
    assert semantic.min() > 0.999
    captions = [arrays.rows("held")[i].caption for i in index]
    difference = loaded.text(captions).pooled - finished.clip.text(captions).pooled
    assert difference.abs().max() < 0.05

    again = make(settings, start_from=tmp_path / "clip", text_only=True).model
    ours, theirs = again.clip.model.state_dict(), loaded.model.state_dict()
    assert all(torch.allclose(ours[name], theirs[name], rtol=2e-3, atol=2e-3) for name in ours)
    assert not any(p.requires_grad for p in again.tower.parameters())
    assert any(p.requires_grad for p in again.clip.model.transformer.parameters())


def test_equal_captions_are_no_negatives() -> None:
    rows = F.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), dim=-1)
    scale = torch.tensor(50.0)
    apart = clip.contrast(rows, rows, scale, torch.eye(3, dtype=torch.bool))
    together = clip.contrast(rows, rows, scale, clip.same(["a cat", "a cat", "a dog"]))
    assert together.item() == pytest.approx(0, abs=1e-5)
    assert apart.item() == pytest.approx(2 * np.log(2) / 3, rel=1e-4)
    expected = F.cross_entropy(scale * rows @ rows.T, torch.arange(3))
    assert apart.item() == pytest.approx(expected.item(), rel=1e-4)


def test_an_export_of_another_network_is_refused(
    stack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "clip"
    clip_config.write_merges(folder / "merges.txt.gz")
    monkeypatch.setattr(clip_config, "TEXT_LAYERS", 2)
    save_clip(Clip.from_folder(stack / "clip"), clip_config.configuration(), folder)
    with pytest.raises(WeightsError, match="does not match its configuration"):
        Clip.from_folder(folder)


def test_the_merges_are_the_most_frequent_and_reproducible(tmp_path: Path) -> None:
    for name in ("a.gz", "b.gz"):
        clip_config.write_merges(tmp_path / name)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    configuration = clip_config.configuration() | {"tokenizer": {"merges": "a.gz"}}
    network = Clip.from_config(configuration, tmp_path)
    assert network.tokenizer.vocab_size == 512 + clip_config.MERGES + 2
