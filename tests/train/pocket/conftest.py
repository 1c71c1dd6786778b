"""A small sticker world on disk, and untrained networks, for all trainers.

A few sprites, a random trunk and a random lexicon replace what is downloaded.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from small_world import DIM, SCENES, TRAIN_SCENES, few_sprites, random_lexicon, run_command

from lambda_eclipse.clip import Clip
from lambda_eclipse.pocket.movq import PocketMOVQ
from lambda_eclipse.pocket.tower import GridTower
from train.loop.export import save_clip, save_module
from train.pocket import (
    appearance,
    clip,
    clip_batches,
    clip_config,
    codec,
    embeddings,
    layout,
    matte,
    pretrained,
    trunk,
    unet,
)
from train.pocket.prior import training
from train.pocket.prior.examples import Examples
from train.world import arrays as arrays_module
from train.world import scenes
from train.world.arrays import Arrays, pixels
from train.world.split import load_split
from train.world.sprites import Sprite, load


@cache
def random_trunk() -> dict[str, torch.Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return GridTower().trunk.state_dict()


def load_random(network: torch.nn.Module, package: str, file: str, folder: Path) -> None:
    """Random weights, always the same ones, in place of published ones."""
    network.load_state_dict(random_trunk())
    network.requires_grad_(False).eval()


class SlowTrunk(trunk.OnnxTrunk):
    """The trunk without onnxruntime."""

    def __init__(self, tower: GridTower, folder: Path, threads: int) -> None:
        self.trunk = trunk.Trunk(tower).eval()

    @torch.no_grad()
    def __call__(self, pictures: np.ndarray) -> trunk.Features:
        grid, logits = self.trunk(torch.from_numpy(np.array(pictures)))
        return grid.numpy(), logits.numpy()


@pytest.fixture(scope="package", autouse=True)
def small_world() -> Iterator[None]:
    """Few sprites, no downloads, narrow networks, one thread."""
    chosen, (_, pictures), held = few_sprites(), load(), load_split().sprites

    @cache
    def pools(side: str) -> dict[str, tuple[Sprite, ...]]:
        return scenes._by_kind([s for s in chosen if (s.name in held) == (side == "held")])

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenes, "_pools", pools)
        patch.setattr(arrays_module, "load", lambda: (chosen, pictures))
        patch.setattr(arrays_module, "EVALUATION_SCENES", SCENES)
        for trainer in (matte, layout, codec, unet, training):
            patch.setattr(trainer, "EVALUATED", 32)
        patch.setattr(pretrained, "load_published", load_random)
        for module in (trunk, embeddings, layout):
            patch.setattr(module, "OnnxTrunk", SlowTrunk)
        patch.setattr(clip, "load_lexicon", random_lexicon)
        patch.setattr(clip, "WORDS", 6)
        sizes = {"EMBED_DIM": DIM, "TEXT_LAYERS": 1, "TEXT_HEADS": 2, "MERGES": 400}
        for name, value in sizes.items():
            patch.setattr(clip_config, name, value)
        patch.setattr(clip_batches, "DRAWINGS", 12)
        patch.setattr(clip_batches, "STAND_INS", 6)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="package")
def arrays(small_world: None, tmp_path_factory: pytest.TempPathFactory) -> Arrays:
    """Scenes, views, trunk features and appearance, written by the commands."""
    folder = tmp_path_factory.mktemp("arrays")
    run_command(arrays_module.main, "core", out=folder, train=TRAIN_SCENES)
    run_command(trunk.main, arrays=folder, threads=1)
    for trainer in (matte, layout, codec):
        run = folder / trainer.__name__
        run_command(trainer.main, arrays=folder, run=run, steps=1, batch=16, threads=1)
    run_command(appearance.main, arrays=folder, threads=1)
    return Arrays(folder)


@pytest.fixture(scope="package")
def stack(arrays: Arrays, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained CLIP and a PCA autoencoder, exported: `clip`, `decoder/movq`."""
    root = tmp_path_factory.mktemp("stack")
    clip_config.write_merges(root / "clip" / "merges.txt.gz")
    torch.manual_seed(1)
    network = Clip.from_config(clip_config.configuration(), root / "clip")
    pretrained.load_trunk(network.model.visual.trunk, root)
    appearance.load_fixed(network.model.visual.trunk, arrays.folder)
    save_clip(network, clip_config.configuration(), root / "clip")
    movq = PocketMOVQ()
    movq.start_from_pca(pixels(arrays.pictures("train")))
    save_module(movq, root / "decoder" / "movq")
    return root


@pytest.fixture(scope="package")
def embedded(arrays: Arrays, stack: Path) -> Arrays:
    """The arrays with their embeddings and latents."""
    movq = stack / "decoder" / "movq"
    run_command(embeddings.main, arrays=arrays.folder, clip=stack / "clip", movq=movq, threads=1)
    return Arrays(arrays.folder)


@pytest.fixture
def examples(embedded: Arrays, stack: Path) -> Examples:
    """The prior's examples."""
    return Examples(embedded, Clip.from_folder(stack / "clip"))
