"""The pocket prior's training."""

import random
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_world import DIM, check_task, run_command

from lambda_eclipse.prior import Prior, PriorConfig
from train.pocket.prior import training
from train.pocket.prior.__main__ import main
from train.pocket.prior.examples import Examples, crowded
from train.pocket.prior.subject_loss import subject_loss


def test_it_learns_and_its_export_predicts_alike(
    examples: Examples, stack: Path, tmp_path: Path
) -> None:
    settings = replace(training.SETTINGS, steps=8, batch=16, rate=1e-4, warmup=1, ema_decay=0.9)
    finished = check_task(partial(training.task, examples), settings, tmp_path / "run")
    result = training.evaluate(finished, examples)
    assert {name.rsplit("_", 1)[1] for name in result} == {"held", "seen"}
    assert all(-1 <= value <= 1 for value in result.values())

    options = {"steps": 8, "batch": 16, "threads": 1, "export": tmp_path / "prior"}
    arrays, clip = examples.arrays.folder, stack / "clip"
    run_command(main, arrays=arrays, clip=clip, run=tmp_path / "run", **options)
    loaded = Prior.from_folder(tmp_path / "prior")
    batch = examples.collate([examples.draw(i, random.Random(i)) for i in range(4)])
    noise = torch.randn(batch.target.shape)
    with torch.no_grad():
        ours, theirs = (training.predict(prior, batch, noise) for prior in (loaded, finished))
    assert F.cosine_similarity(ours, theirs).min() > 0.999  # fp16 on disk


def test_batches_of_similar_captions_leave_no_scene_out() -> None:
    lengths, scenes = [n % 37 for n in range(300)], list(range(300))
    drawn: list[int] = []
    for step in range(400):
        index = training.draw_similar(random.Random(step), scenes, lengths, 20)
        assert len(index) == len(set(index)) == 20
        drawn += index
    counts = np.bincount(drawn, minlength=300)
    assert counts.min() > 0 and counts.max() < 4 * counts.mean()
    few = training.draw_similar(random.Random(1), scenes[:20], lengths, 20)
    assert few == sorted(range(20), key=lengths.__getitem__)


def test_crowded_scenes_are_drawn_more_often(examples: Examples) -> None:
    scenes = training.Scenes(examples, replace(training.SETTINGS, batch=16))
    drawn = [i for step in range(300) for i in scenes.draw(step)[0]]
    many = sum(map(crowded, scenes.rows))
    share = training.CROWDED * many / (len(scenes.rows) + (training.CROWDED - 1) * many)
    assert np.mean([crowded(scenes.rows[i]) for i in drawn]) == pytest.approx(share, rel=0.15)


def test_tokens_learn_their_subjects_number() -> None:
    torch.manual_seed(0)
    prior = Prior(PriorConfig(2, 16, 3, DIM))
    text = torch.randn(8, 5, DIM)
    numbers = torch.randint(1, 5, (8, 7)) * (torch.arange(7) < 5)
    numbers[:, 0] = 0
    text += torch.randn(5, DIM)[numbers[:, :5]]  # as the neighbouring words do
    noise, mask = torch.randn(8, DIM), torch.ones(8, 5, dtype=torch.bool)
    optimizer, losses = torch.optim.Adam(prior.parameters(), 3e-3), []
    for _ in range(30):
        _, states = prior.forward_with_states(noise, noise, text, mask, noise)
        losses.append(subject_loss(states, numbers))
        losses[-1].backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < 0.5 * losses[0]
    assert subject_loss(states, torch.zeros_like(numbers)) == 0
