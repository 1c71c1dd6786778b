"""The trainings of the tower's fixed networks (matte, layout, codec), and what they write."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from small_world import check_task

from lambda_eclipse.pocket.embedding import APPEARANCE, LAYOUT, SIZE_PX, crop, unpack
from lambda_eclipse.pocket.tower import GridTower, on_white
from train.loop.task import Settings
from train.pocket import appearance, codec, layout, matte
from train.pocket.perceptual import Perceptual
from train.world.arrays import Arrays, pixels, true_layout


def test_the_matte_learns(arrays: Arrays, tmp_path: Path) -> None:
    settings = Settings(steps=8, batch=8, rate=2e-3, warmup=1, ema_decay=0.9)
    finished = check_task(partial(matte.task, arrays), settings, tmp_path)
    assert matte.evaluate(finished, arrays).keys() == {"psnr_held", "psnr_untouched"}


def test_composites_keep_the_foreground_on_white(arrays: Arrays) -> None:
    scenes, cut = matte.composite(arrays, "train", np.arange(8))
    mattes = torch.from_numpy(arrays["train-mattes"][:8])[:, None].expand_as(scenes)
    assert (mattes == 0).any() and (cut[mattes == 0] == 1).all()
    foreground = mattes == 255
    assert foreground.any()
    assert torch.allclose(cut[foreground], scenes[foreground], atol=1e-6)
    pictures, truth = matte.draw_batch(arrays, 0, 0, 16)
    assert torch.equal(pictures[-4:], truth[-4:])  # isolated subjects and edge maps stay whole


def test_the_layout_learns(arrays: Arrays, tmp_path: Path) -> None:
    settings = Settings(steps=8, batch=16, rate=2e-3, warmup=1, ema_decay=0.9)
    finished = check_task(partial(layout.task, arrays), settings, tmp_path)
    inputs = layout.Inputs(arrays, 1)
    names = {f"{metric}_{kind}_held" for metric in ("count", "px") for kind in ("scenes", "edges")}
    assert layout.evaluate(finished, inputs).keys() == names
    _, cut, count, spots = inputs.batch(0, 0, 16)
    assert cut.shape == (16, 3, SIZE_PX, SIZE_PX) and spots.shape == (16, 4, 3)
    assert (count[-2:] == 1).all()  # isolated subjects
    assert torch.equal(spots[-1, 0], torch.tensor(layout.VIEW))


def test_the_codec_learns(arrays: Arrays, tmp_path: Path) -> None:
    settings = Settings(steps=6, batch=8, rate=1e-4, warmup=1, ema_decay=0.9)
    finished = check_task(partial(codec.task, arrays), settings, tmp_path)
    distance = Perceptual(arrays.folder / "cache")
    result = codec.evaluate(finished, codec.Frames(arrays), distance)
    assert result["psnr_whole_held"] > result["psnr_half_held"] > 5
    assert result["looks_whole_held"] < result["looks_half_held"]


def test_noise_is_farther_than_brightness_to_the_perceptual_distance(
    arrays: Arrays, tmp_path: Path
) -> None:
    distance, truth = Perceptual(tmp_path), pixels(arrays.pictures("held")[:4])
    noisy = truth + 0.3 * torch.randn(truth.shape, generator=torch.Generator().manual_seed(0))
    assert distance(truth, truth).abs().max() < 1e-6
    assert (distance(noisy, truth) > distance(truth + 0.02, truth)).all()


@torch.no_grad()
def test_the_tower_encodes_subjects_as_the_arrays_do(arrays: Arrays) -> None:
    tower, index = GridTower().eval(), np.arange(4)
    appearance.load_fixed(tower, arrays.folder)
    grid, _, stored = arrays.features("held", index)
    pictures = pixels(arrays.pictures("held")[index])
    computed = tower.appearance(pictures, grid, true_layout(arrays.rows("held")[:4]))
    assert (computed - stored).abs().max() < 0.02
    # By hand, the first subject of the first picture.
    cut = on_white(pictures, tower.matte(pictures))
    shares, spots = unpack(computed[:1, :LAYOUT])
    code = tower.subjects(crop(cut[:1], spots[:, 0]))[0]
    share = APPEARANCE // (int(shares.argmax()) + 1)
    assert torch.allclose(computed[0, LAYOUT : LAYOUT + share], code[:share], atol=1e-3)


def test_a_missing_network_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run train.pocket.matte"):
        appearance.fixed_state(tmp_path)
