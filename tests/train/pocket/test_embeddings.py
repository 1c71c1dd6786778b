"""Trunk features, embeddings and latents are those of the arrays' pictures."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from lambda_eclipse.clip import Clip
from lambda_eclipse.pocket.movq import PocketMOVQ
from lambda_eclipse.pocket.tower import CHANNELS, GRID, SEMANTIC
from train.pocket import trunk
from train.pocket.embeddings import check_appearance, edge_maps
from train.world.arrays import FREE_EVERY, SIDES, Arrays, pixels


def test_features_resume_after_a_kill(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (150, 2, 2, 3), np.uint8)
    done: list[int] = []

    def features(batch: np.ndarray) -> trunk.Features:
        if len(done) == 1:
            done.append(0)
            raise KeyboardInterrupt
        done.append(len(batch))
        value = batch.mean((1, 2, 3))[:, None]
        return np.broadcast_to(value[..., None], (len(batch), GRID**2, CHANNELS)), value

    with pytest.raises(KeyboardInterrupt):
        trunk.extract(features, tmp_path, "some", pictures)
    trunk.extract(features, tmp_path, "some", pictures)
    trunk.extract(features, tmp_path, "some", pictures)
    assert done == [64, 0, 64, 22]
    logits = np.load(tmp_path / "some-logits.npy")
    assert np.allclose(logits[:, 0], pictures.mean((1, 2, 3)), rtol=1e-3)


def test_embeddings_are_of_the_pictures(embedded: Arrays, stack: Path) -> None:
    clip, index = Clip.from_folder(stack / "clip"), np.array([0, 4, 8])
    movq = PocketMOVQ.from_pretrained(stack / "decoder" / "movq").float()

    def stored(name: str) -> torch.Tensor:
        return embedded.tensor(name).float()

    pictures = embedded.pictures("held")[index]
    computed = clip.image([Image.fromarray(p) for p in pictures])[:, :SEMANTIC]
    expected = stored("held-embed")[index][:, :SEMANTIC]
    assert F.cosine_similarity(computed, expected).min() > 0.999
    with torch.no_grad():
        latents = movq.encode(pixels(pictures))
    assert (latents - stored("held-latents")[index]).abs().max() < 0.02
    edges = clip.image([Image.fromarray(p) for p in edge_maps(pictures)])
    assert F.cosine_similarity(edges, stored("held-edges-embed")[:3]).min() > 0.999
    assert torch.allclose(clip.null_image(), stored("null-embed"), rtol=2e-3, atol=5e-3)
    assert len(stored("views-embed")) == len(embedded.pictures("views"))
    for side in SIDES:
        count = len(embedded.rows(side))
        assert len(stored(f"{side}-embed")) == len(stored(f"{side}-latents")) == count
        last = range(0, count, FREE_EVERY)[-1]  # the last scene with an edge map
        assert len(stored(f"{side}-edges-embed")) == last // FREE_EVERY + 1


def test_a_clip_of_other_arrays_is_refused(arrays: Arrays, stack: Path, tmp_path: Path) -> None:
    state = torch.load(arrays.folder / "appearance.pt", weights_only=True)
    name = next(iter(state))
    torch.save(state | {name: state[name] + 1}, tmp_path / "appearance.pt")
    tower = Clip.from_folder(stack / "clip").model.visual.trunk
    with pytest.raises(ValueError, match=name):
        check_appearance(tower, tmp_path)
