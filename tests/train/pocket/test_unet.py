"""The U-Net's training."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_world import DIM, check_task, losses, run_command
from torch import nn

from lambda_eclipse.decoder import Decoder
from lambda_eclipse.pocket.hint import Hint
from lambda_eclipse.pocket.tower import SEMANTIC
from lambda_eclipse.pocket.unet import PocketUNet
from train.loop.export import MODULE_WEIGHTS
from train.loop.loop import train
from train.loop.task import Settings, generator
from train.pocket import unet
from train.pocket.unet_data import Pairs
from train.world.arrays import Arrays

WIDTHS = (32, 32, 32)


def test_it_learns_and_its_export_paints(embedded: Arrays, stack: Path, tmp_path: Path) -> None:
    movq = stack / "decoder" / "movq"
    make = partial(unet.task, embedded, movq=movq, widths=WIDTHS)
    settings = Settings(steps=6, batch=16, rate=1e-3, warmup=1, ema_decay=0.9)
    finished = check_task(make, settings, tmp_path / "run")
    result = make(settings).evaluate(finished)
    names = ("velocity", "looks", "close", "outlines", "ground_r2")
    assert result.keys() == {f"{name}_{side}" for name in names for side in ("held", "seen")}
    assert all(map(np.isfinite, result.values()))

    export = stack / "decoder"
    options = {"steps": 6, "batch": 16, "widths": "32 32 32", "threads": 1, "export": export}
    run_command(unet.main, arrays=embedded.folder, run=tmp_path / "run", movq=movq, **options)
    written = load_file(export / "unet" / MODULE_WEIGHTS)
    assert {tensor.dtype for tensor in written.values()} == {torch.float16}
    embeds, null = (embedded.tensor(name).float() for name in ("held-embed", "null-embed"))
    painter = Decoder.from_folder(export)
    painted = painter.paint(embeds[:2], null, seeds=(0, 1), steps=2, guidance=2.0, batch_size=2)
    assert [picture.size for picture in painted] == [(128, 128)] * 2

    again = make(settings, start_from=export).model.state_dict()
    assert all(torch.allclose(again[name].half(), written[name], atol=2e-2) for name in written)


def test_every_loss_is_learned(embedded: Arrays, stack: Path, tmp_path: Path) -> None:
    settings = Settings(steps=30, batch=16, rate=2e-3, warmup=1, evaluations=1)
    task = unet.task(embedded, settings, stack / "decoder" / "movq", WIDTHS)
    before = losses(task)
    train(task, settings, tmp_path)
    after = losses(task)
    assert all(after[name] < before[name] for name in ("outlines", "velocity"))
    assert before["looks"] > 0 and before["close"] > 0
    codec = torch.load(embedded.folder / "codec.pt", weights_only=True)
    learned = task.model.hint.subjects.state_dict()
    assert not torch.equal(learned["code.weight"], codec["decoder.code.weight"])


def test_close_ups_choose_any_subject(embedded: Arrays) -> None:
    pairs, index = Pairs(embedded), np.arange(40)
    rows = embedded.rows("train")[:40]
    for chance, which in ((0.0, 0), (0.999, -1)):
        spots = pairs.spots("train", index, torch.full((40,), chance))
        assert torch.equal(spots, torch.tensor([row.spots[which] for row in rows]))


def test_times_are_stratified_and_often_the_last() -> None:
    times = unet.draw_times(1000, generator(0, 0))
    assert (times == unet.LAST_TIME).float().mean() == pytest.approx(unet.PURE_NOISE, abs=0.01)
    assert times.min() >= 0 and len(times.unique()) > 200


@torch.no_grad()
def test_the_hint_puts_subjects_before_the_ground(embedded: Arrays) -> None:
    embeds, grounds = Pairs(embedded).grounds("train", 64)
    assert len(embeds) == len(grounds) == 64
    hint, patches = Hint(12, 16), nn.Conv2d(3, 12, 8, stride=8)
    hint.start(embeds, grounds, patches, strength=1e-3)
    ground, variance = hint.draw_ground(embeds), (grounds - grounds.mean(0)).square().mean()
    assert (ground - grounds).square().mean() < 0.9 * variance
    # Appearance draws the subjects, the semantic numbers draw the ground.
    other = embeds.clone()
    other[:, :SEMANTIC] += 1
    assert torch.equal(hint.draw_subjects(other), hint.draw_subjects(embeds))
    assert not torch.equal(hint.draw_ground(other), ground)
    # A full outline shows the subject's patches, an empty one the ground.
    for logit, expected in ((20.0, patches(hint.draw_subjects(embeds))), (-20.0, ground)):
        nn.init.zeros_(hint.outline.out.weight)
        nn.init.constant_(hint.outline.out.bias, logit)
        drawn, outline = hint(embeds)
        assert torch.allclose(drawn[:, -12:], expected, atol=1e-4)
        assert torch.equal(drawn[:, -24:-12], ground)
        assert drawn.shape == (64, hint.channels, 16, 16) and outline.shape == (64, 1, 128, 128)


@torch.no_grad()
def test_a_computed_hint_is_reused(embedded: Arrays) -> None:
    model = PocketUNet(block_out_channels=WIDTHS, cross_attention_dim=32, encoder_hid_dim=DIM)
    embeds = embedded.tensor("held-embed")[:2].float()
    noisy, times = torch.randn(2, 12, 16, 16, generator=generator(0, 0)), torch.tensor([999, 400])
    hint, _ = model.hint(embeds)

    def velocity(**conditions: torch.Tensor) -> torch.Tensor:
        given = {"image_embeds": embeds, **conditions}
        return model(noisy, times, None, added_cond_kwargs=given).sample

    assert torch.equal(velocity(), velocity(hint=hint))
    assert not torch.allclose(velocity(), velocity(hint=hint + 1))
