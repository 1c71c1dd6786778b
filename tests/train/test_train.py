"""Every trainer at toy size: its loss goes down, it resumes bit for bit, its export loads.

A handful of sprites, a random trunk and a random teacher stand in for what is downloaded.
"""

import copy
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import nn
from trainings import check_training

from lambda_eclipse.clip import Clip
from lambda_eclipse.decoder import Decoder
from lambda_eclipse.interleave import swap
from lambda_eclipse.pocket.embedding import APPEARANCE, LAYOUT, SIZE_PX, crop, places, unpack
from lambda_eclipse.pocket.hint import Hint
from lambda_eclipse.pocket.movq import PocketMOVQ
from lambda_eclipse.pocket.tower import CHANNELS, GRID, SEMANTIC, GridTower, on_white
from lambda_eclipse.pocket.unet import PocketUNet
from lambda_eclipse.prior import Prior, PriorConfig
from lambda_eclipse.weights import WeightsError
from train.loop import loop
from train.loop.export import MODULE_WEIGHTS, save_clip, save_module
from train.loop.loop import Run, generator, train
from train.pocket import appearance, clip, clip_data, embeddings, layout, matte, perceptual, trunk
from train.pocket import codec as subjects
from train.pocket import movq as autoencoder
from train.pocket import unet as decoder
from train.pocket.prior import __main__ as prior
from train.pocket.prior import counting as prior_counting
from train.pocket.prior import examples as prior_examples
from train.pocket.prior import readers as prior_readers
from train.pocket.prior import start as prior_start
from train.pocket.prior import training as prior_stickers
from train.pocket.teacher import Lexicon
from train.prior.presets import PRESETS
from train.world import arrays as shards
from train.world import scenes, sprites
from train.world.looks import LOOKS, sprite_view
from train.world.render import render
from train.world.scenes import sample_scene
from train.world.split import load_split
from train.world.sprites import Sprite

DIM = SEMANTIC + LAYOUT + APPEARANCE  # embedding width
TRAIN_SCENES, SCENES = 70, 256  # the trainers evaluate on 256
TRAINED = "cat dog robot clown apple car ball guitar castle tower hat glasses".split()
SIDES = ("train", "held", "seen")


# The small world


def few_sprites() -> tuple[Sprite, ...]:
    """One drawing of each trained noun, a second of some, and held-out ones of most kinds."""
    held = load_split().sprites
    everyone, _ = sprites.load()
    allowed = [s for s in everyone if s.name not in held]
    chosen = [next(s for s in allowed if s.noun == noun) for noun in TRAINED]
    second = [[s for s in allowed if s.noun == noun][1] for noun in ("cat", "car")]
    hidden = {(s.kind, s.noun): s for s in everyone if s.name in held}
    per_kind: dict[str, list[Sprite]] = {}
    for (kind, _), sprite in hidden.items():
        per_kind.setdefault(kind, []).append(sprite)
    return (*chosen, *second, *(s for found in per_kind.values() for s in found[:2]))


def toy_lexicon(folder: Path) -> Lexicon:
    """Words with random vectors in the place of the sentence encoder's."""
    names = tuple(f"class {i}" for i in range(1000))
    words = (*dict.fromkeys(s.noun for s in few_sprites()), *names)
    vectors = torch.randn(len(words), 384, generator=generator(5, 0))
    nouns = tuple(TRAINED[i] if i < len(TRAINED) else None for i in range(1000))
    return Lexicon(words, F.normalize(vectors, dim=-1), names, nouns)


@cache
def toy_trunk() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return GridTower().trunk.state_dict()


def load_toy_trunk(tower: GridTower, folder: Path) -> None:
    """Random weights, always the same, in the place of ImageNet's."""
    tower.trunk.load_state_dict(toy_trunk())
    tower.trunk.requires_grad_(False).eval()


class SlowFeatures:
    """FastFeatures without onnxruntime."""

    def __init__(self, tower: GridTower, folder: Path, threads: int) -> None:
        self.features = trunk.Features(tower).eval()

    def __call__(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        with torch.no_grad():
            grid, logits = self.features(torch.from_numpy(np.array(pictures)))
        return grid.numpy(), logits.numpy()


def command(main: Callable[[], None], *flags: str, **options: object) -> None:
    """Runs a trainer's command line."""
    line = [main.__module__, *(f"--{flag}" for flag in flags)]
    for name, value in options.items():
        line += ["--" + name.replace("_", "-"), *str(value).split()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", line)
        main()


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", autouse=True)
def small_world(one_thread: None) -> Iterator[None]:
    """Few sprites everywhere, nothing downloaded, narrow networks."""
    chosen, (_, pictures) = few_sprites(), sprites.load()
    held = load_split().sprites

    @cache
    def pools(side: str) -> dict[str, tuple[Sprite, ...]]:
        mine = [s for s in chosen if (s.name in held) == (side == "held")]
        return {kind: tuple(s for s in mine if s.kind == kind) for kind in scenes._ANY}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenes, "_pools", pools)
        patch.setattr(shards, "load", lambda: (chosen, pictures))
        for module in (trunk, clip, layout, perceptual):
            patch.setattr(module, "load_trunk", load_toy_trunk)
        for module in (trunk, embeddings, layout):
            patch.setattr(module, "FastFeatures", SlowFeatures)
        patch.setattr(clip, "load_lexicon", toy_lexicon)
        patch.setattr(shards, "EVALUATION_SCENES", SCENES)
        for name, value in {
            "EMBED_DIM": DIM, "TEXT_LAYERS": 1, "TEXT_HEADS": 2, "MERGES": 400,
            "WORDS": 6,
        }.items():  # fmt: skip
            patch.setattr(clip, name, value)
        patch.setattr(clip_data, "DRAWINGS", 12)
        patch.setattr(clip_data, "ANCHORS", 6)
        yield


@pytest.fixture(scope="module")
def shard_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes, views and their trunk features, written by the commands."""
    folder = tmp_path_factory.mktemp("shards")
    command(shards.main, "core", out=folder, train=TRAIN_SCENES)
    command(trunk.main, shards=folder, threads=1)
    for trainer in (matte, layout, subjects):
        run = folder / trainer.__name__
        command(trainer.main, shards=folder, run=run, steps=1, batch=16, threads=1)
    command(appearance.main, shards=folder, threads=1)
    return folder


@pytest.fixture(scope="module")
def random_stack(shard_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained CLIP and a PCA autoencoder, exported."""
    root = tmp_path_factory.mktemp("stack")
    clip.write_merges(root / "clip" / "merges.txt.gz")
    torch.manual_seed(1)
    network = Clip.from_config(clip.configuration(), root / "clip")
    tower = network.model.visual.trunk
    load_toy_trunk(tower, root)
    state = torch.load(shard_folder / "appearance.pt", weights_only=True)
    tower.load_state_dict(tower.state_dict() | state)
    save_clip(network, clip.configuration(), root / "clip")
    movq = PocketMOVQ()
    movq.start_from_pca(shards.pixels(np.load(shard_folder / "train-scenes.npy")))
    save_module(movq, root / "decoder" / "movq")
    return root


@pytest.fixture(scope="module")
def embedded(shard_folder: Path, random_stack: Path) -> Path:
    """The shards with their embeddings and latents."""
    movq = random_stack / "decoder" / "movq"
    command(embeddings.main, shards=shard_folder, clip=random_stack / "clip", movq=movq, threads=1)
    return shard_folder


# Loss and resumption


def quick(build: Callable[[Path], Run], folder: Path) -> Run:
    """A run without evaluations that learns from its first step on."""
    run = build(folder)
    run.warmup, run.evaluate = 1, lambda weights: {}
    return run


@torch.no_grad()
def loss_of(run: Run) -> float:
    run.model.train()
    found = [run.compute_loss(step) for step in range(3)]
    losses = [parts if isinstance(parts, dict) else next(parts) for parts in found]
    return sum(parts["loss"].item() for parts in losses)


def check_run(build: Callable[[Path], Run], folder: Path, stop_after: int) -> Run:
    """The loss goes down, and a run cut after `stop_after` steps ends as the whole one."""
    whole = quick(build, folder / "whole")
    before = loss_of(whole)
    finished = train(whole)
    assert loss_of(whole) < before
    train(quick(build, folder / "cut"), stop_after)
    resumed = quick(build, folder / "cut")
    again = train(resumed)
    for one, two in ((finished, again), (whole.model, resumed.model)):
        ours, theirs = one.state_dict(), two.state_dict()
        assert ours.keys() == theirs.keys()
        assert not [name for name in ours if not torch.equal(ours[name], theirs[name])]
    return whole


def test_the_autoencoder_learns_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = autoencoder.pictures

    @cache
    def some(seed: int, first: int, count: int, side: str, breadth: bool = False) -> torch.Tensor:
        return every(seed, first, min(count, 24), side, breadth)

    monkeypatch.setattr(autoencoder, "pictures", some)
    build = partial(autoencoder.build, steps=8, batch=4, rate=3e-4, seed=0, breadth=False)
    run = check_run(build, tmp_path, stop_after=3)
    result = build(tmp_path / "new").evaluate(run.model.eval())
    assert result.keys() == {"psnr_held", "psnr_seen"}
    assert all(15 < value < 60 for value in result.values())

    command(
        autoencoder.main, "core", run=tmp_path / "whole", steps=8, batch=4, threads=1,
        export=tmp_path / "movq",
    )  # fmt: skip
    written = load_file(tmp_path / "movq" / MODULE_WEIGHTS)
    assert {tensor.dtype for tensor in written.values()} == {torch.float16}
    loaded = PocketMOVQ.from_pretrained(tmp_path / "movq", torch_dtype=torch.float32).eval()
    picture = some(0, 0, 1, "train")
    error = loaded.encode(picture) - run.ema.encode(picture)
    assert error.abs().max() < 0.05


def test_the_matte_learns_and_resumes(shard_folder: Path, tmp_path: Path) -> None:
    build = partial(matte.build, shard_folder, steps=8, batch=8, rate=2e-3, seed=0)
    run = check_run(build, tmp_path, stop_after=3)
    result = build(tmp_path / "new").evaluate(run.model.eval())
    assert result.keys() == {"psnr_held", "psnr_untouched"}
    cuts = matte.Cuts(shard_folder)
    scenes, cut = cuts.get("train", np.arange(8))
    ground = torch.from_numpy(cuts.mattes["train"][:8] == 0)[:, None].expand_as(scenes)
    subject = torch.from_numpy(cuts.mattes["train"][:8] == 255)[:, None].expand_as(scenes)
    assert ground.any() and (cut[ground] == 1).all()
    assert subject.any() and torch.allclose(cut[subject], scenes[subject], atol=1e-6)
    pictures, truth = cuts.batch(0, 0, 16)
    assert torch.equal(pictures[-4:], truth[-4:])  # subjects alone and edge maps stay whole


def test_the_layout_learns_and_resumes(shard_folder: Path, tmp_path: Path) -> None:
    build = partial(layout.build, shard_folder, steps=8, batch=16, rate=2e-3, seed=0)
    run = check_run(build, tmp_path, stop_after=3)
    result = build(tmp_path / "new").evaluate(run.model.eval())
    assert result.keys() == {
        f"{what}_{name}_held" for what in ("count", "px") for name in ("scenes", "edges")
    }
    pictures = layout.Pictures(shard_folder, 1)
    _, cut, count, spots = pictures.batch(0, 0, 16)
    assert cut.shape == (16, 3, SIZE_PX, SIZE_PX) and spots.shape == (16, 4, 3)
    assert (count[-2:] == 1).all()  # subjects alone
    assert torch.equal(spots[-1, 0], torch.tensor(layout.VIEW))


def test_rows_say_where_the_subjects_stand(shard_folder: Path) -> None:
    """Most of what is not ground lies inside the frames around the spots."""
    rows = shards.read_rows(shard_folder, "train")
    mattes = np.load(shard_folder / "train-mattes.npy")
    free = 0
    for index, row in enumerate(rows):
        inside = np.zeros((SIZE_PX, SIZE_PX), bool)
        for x, y, size in row.spots:
            x0, y0, x1, y1 = (
                max(0, round(v)) for v in (x - size / 2, y - size / 2, x + size / 2, y + size / 2)
            )
            inside[y0 : y1 + 1, x0 : x1 + 1] = True
        matte_inside = mattes[index][inside].sum() / mattes[index].sum()
        assert matte_inside > 0.9, row
        canonical = sample_scene(0, index, "train").relation.spots
        moved = (row.spots[0][0], row.spots[0][1]) != (canonical[0].x, canonical[0].y)
        assert moved == (index % shards.FREE_EVERY == 0)
        free += moved
    assert free


def test_the_code_of_subjects_learns_and_resumes(shard_folder: Path, tmp_path: Path) -> None:
    build = partial(subjects.build, shard_folder, steps=6, batch=8, rate=1e-4, seed=0)
    run = check_run(build, tmp_path, stop_after=2)
    result = build(tmp_path / "new").evaluate(run.model.eval())
    assert result["psnr_whole_held"] > result["psnr_half_held"] > 5
    assert result["looks_whole_held"] < result["looks_half_held"]


def test_subjects_are_encoded_as_the_shards_hold_them(shard_folder: Path) -> None:
    tower = GridTower().eval()
    state = torch.load(shard_folder / "appearance.pt", weights_only=True)
    tower.load_state_dict(tower.state_dict() | state)
    kept = clip.Shards(shard_folder)
    index = np.arange(4)
    grid, _, stored = kept.features("held", index)
    with torch.no_grad():
        pictures = shards.pixels(kept.pictures("held", index))
        known = shards.known_layout([kept.rows["held"][i] for i in index])
        found = tower.appearance(pictures, grid, known)
        assert (found - stored).abs().max() < 0.02
        # by hand, the first subject of the first picture
        cut = on_white(pictures, tower.matte(pictures))
        shares, spots = unpack(found[:1, :LAYOUT])
        code = tower.subjects(crop(cut[:1], spots[:, 0]))[0]
    share = APPEARANCE // (int(shares.argmax()) + 1)
    assert torch.allclose(found[0, LAYOUT : LAYOUT + share], code[:share], atol=1e-3)


def test_the_clip_learns_and_resumes(shard_folder: Path, tmp_path: Path) -> None:
    merges = tmp_path / "merges.txt.gz"
    build = partial(clip.build, shard_folder, merges=merges, steps=6, batch=12, rate=1e-3, seed=0)
    run = check_run(build, tmp_path, stop_after=2)
    tower = run.model.tower
    assert all(torch.equal(v, toy_trunk()[k]) for k, v in tower.trunk.state_dict().items())

    export = tmp_path / "clip"
    command(
        clip.main, shards=shard_folder, run=tmp_path / "whole", steps=6, batch=12, threads=1,
        export=export,
    )  # fmt: skip
    written = load_file(export / "open_clip_model.safetensors")
    assert torch.float32 not in {tensor.dtype for tensor in written.values()}
    loaded = Clip.from_folder(export)
    # What the trainers computed from the shards is what the application computes from pictures.
    index = np.arange(3)
    kept = clip.Shards(shard_folder)
    expected = run.ema.tower.embed(*kept.features("held", index))
    given = loaded.image([Image.fromarray(p) for p in kept.pictures("held", index)])
    said = slice(SEMANTIC)  # where subjects stand is known there, and found here
    assert F.cosine_similarity(given[:, said], expected[:, said]).min() > 0.999
    captions = [kept.rows["held"][i].caption for i in index]
    difference = loaded.text(captions).pooled - run.ema.clip.text(captions).pooled
    assert difference.abs().max() < 0.05

    again = build(tmp_path / "again", start_from=export, text_only=True).model
    ours, theirs = again.clip.model.state_dict(), loaded.model.state_dict()
    assert all(torch.allclose(ours[name], theirs[name], rtol=2e-3, atol=2e-3) for name in ours)
    assert not any(p.requires_grad for p in again.tower.parameters())
    assert any(p.requires_grad for p in again.clip.model.transformer.parameters())


def test_the_clip_is_measured_on_held_out_scenes(shard_folder: Path, tmp_path: Path) -> None:
    run = clip.build(shard_folder, tmp_path, tmp_path / "merges.txt.gz", 1, 8, 1e-3, 0)
    result = run.evaluate(run.model.eval())
    assert result.keys() == {
        "caption_r1_held", "caption_r1_seen", "instance_r1_held",
    }  # fmt: skip
    assert all(np.isfinite(value) and value <= 1 for value in result.values())
    assert run.evaluate(run.model) == result


def test_the_decoder_learns_and_resumes(embedded: Path, random_stack: Path, tmp_path: Path) -> None:
    movq = random_stack / "decoder" / "movq"
    options = dict(steps=6, batch=16, rate=1e-3, seed=0, widths=(32, 32, 32), movq=movq)
    build = partial(decoder.build, embedded, **options)
    run = check_run(build, tmp_path, stop_after=4)
    result = build(tmp_path / "new").evaluate(run.model.eval())
    parts = ("velocity", "looks", "close", "outlines", "ground_r2")
    assert result.keys() == {f"{what}_{side}" for what in parts for side in ("held", "seen")}
    assert all(map(np.isfinite, result.values()))

    export = random_stack / "decoder"
    command(
        decoder.main, shards=embedded, run=tmp_path / "whole", steps=6, batch=16,
        widths="32 32 32", threads=1, export=export, movq=movq,
    )  # fmt: skip
    written = load_file(export / "unet" / MODULE_WEIGHTS)
    assert {tensor.dtype for tensor in written.values()} == {torch.float16}
    painter = Decoder.from_folder(export)
    embeds = torch.from_numpy(np.load(embedded / "held-embed.npy")[:2]).float()
    null = torch.from_numpy(np.load(embedded / "null-embed.npy")).float()
    painted = painter.paint(embeds, null, seeds=(0, 1), steps=2, guidance=2.0, batch_size=2)
    assert [picture.size for picture in painted] == [(128, 128)] * 2

    again = build(tmp_path / "again", start_from=export).model.state_dict()
    assert all(torch.allclose(again[name].half(), written[name], atol=2e-2) for name in written)


def test_looks_differ_more_by_noise_than_by_light(embedded: Path, tmp_path: Path) -> None:
    distance = perceptual.Perceptual(tmp_path)
    truth = shards.pixels(np.load(embedded / "held-scenes.npy")[:4])
    noisy = truth + 0.3 * torch.randn(truth.shape, generator=generator(0, 0))
    assert distance(truth, truth).abs().max() < 1e-6
    assert (distance(noisy, truth) > distance(truth + 0.02, truth)).all()


def test_the_decoder_learns_looks_and_outlines(
    embedded: Path, random_stack: Path, tmp_path: Path
) -> None:
    movq = random_stack / "decoder" / "movq"
    options = dict(steps=30, batch=16, rate=2e-3, seed=0, widths=(32, 32, 32), movq=movq)
    run = quick(partial(decoder.build, embedded, **options), tmp_path / "run")
    before = run.compute_loss(0)
    train(run)
    after = run.compute_loss(0)
    assert all(after[part] < before[part] for part in ("outlines", "velocity"))
    assert before["looks"] > 0 and before["close"] > 0
    drawn = torch.load(embedded / "subjects.pt", weights_only=True)
    learned = run.model.hint.subjects.state_dict()
    assert not torch.equal(learned["code.weight"], drawn["decoder.code.weight"])


def test_subjects_are_looked_at_one_by_one(embedded: Path) -> None:
    pairs, index = decoder.Pairs(embedded), np.arange(40)
    rows = shards.read_rows(embedded, "train")[:40]
    for chance in (0.0, 0.999):
        spots = pairs.spot("train", index, torch.full((40,), chance))
        assert torch.equal(spots, torch.tensor([row.spots[-int(chance > 0)] for row in rows]))


def test_the_hint_draws_subjects_on_white_and_grounds(embedded: Path) -> None:
    pairs = decoder.Pairs(embedded)
    embeds, grounds = pairs.grounds("train", 64)
    assert len(embeds) == len(grounds) == 64
    hint = Hint(12, 16)
    patches = nn.Conv2d(3, 12, 8, stride=8)
    hint.start(embeds, grounds, patches, strength=1e-3)
    with torch.no_grad():
        spread = (grounds - grounds.mean(0)).square().mean()
        ground = hint.draw_ground(embeds)
        assert (ground - grounds).square().mean() < 0.9 * spread
        # What is seen draws subjects alone, what is said the ground alone.
        other = embeds.clone()
        other[:, :SEMANTIC] += 1
        assert torch.equal(hint.draw_subjects(other), hint.draw_subjects(embeds))
        assert not torch.equal(hint.draw_ground(other), ground)
        # Where an outline is full the subject's patches stand, else the ground.
        for logit, expected in ((20.0, patches(hint.draw_subjects(embeds))), (-20.0, ground)):
            nn.init.zeros_(hint.outline.out.weight)
            nn.init.constant_(hint.outline.out.bias, logit)
            told, outline = hint(embeds)
            assert torch.allclose(told[:, -12:], expected, atol=1e-4)
            assert torch.equal(told[:, -24:-12], ground)
            assert told.shape == (64, hint.channels, 16, 16) and outline.shape == (64, 1, 128, 128)


def test_a_hint_at_hand_is_used(embedded: Path) -> None:
    widths = (32, 32, 32)
    unet = PocketUNet(block_out_channels=widths, cross_attention_dim=32, encoder_hid_dim=DIM)
    embeds = torch.from_numpy(np.load(embedded / "held-embed.npy")[:2]).float()
    noisy, times = torch.randn(2, 12, 16, 16, generator=generator(0, 0)), torch.tensor([999, 400])
    with torch.no_grad():
        hint, _ = unet.hint(embeds)
        given = {"image_embeds": embeds}
        one = unet(noisy, times, None, added_cond_kwargs=given).sample
        two = unet(noisy, times, None, added_cond_kwargs=given | {"hint": hint}).sample
        assert torch.equal(one, two)
        other = unet(noisy, times, None, added_cond_kwargs=given | {"hint": hint + 1}).sample
        assert not torch.allclose(one, other)


def test_the_prior_learns_and_resumes(embedded: Path, random_stack: Path, tmp_path: Path) -> None:
    clip_folder = random_stack / "clip"
    preset = replace(PRESETS["pocket"], steps=8, batch=16, rate=1e-4)
    build = partial(prior.build, embedded, clip_folder, preset)
    task, averaged = check_training(build, preset, tmp_path, stop_after=5)
    result = build().evaluate(task.model.eval())
    assert {name.rsplit("_", 1)[1] for name in result} == {"held", "seen"}
    assert all(-1 <= value <= 1 for value in result.values())

    command(
        prior.main, shards=embedded, clip=clip_folder, run=tmp_path / "whole", steps=8, batch=16,
        threads=1, export=tmp_path / "prior",
    )  # fmt: skip
    loaded = Prior.from_folder(tmp_path / "prior")
    text = Clip.from_folder(clip_folder).text(["a cat wearing a hat", "a dog"])
    noise = torch.randn(2, DIM, generator=generator(0, 0))
    control = torch.from_numpy(np.load(embedded / "null-embed.npy")).float().expand(2, -1)
    with torch.no_grad():
        ours, theirs = (prior_stickers.predict(p, text, control, noise) for p in (loaded, averaged))
    assert F.cosine_similarity(ours, theirs).min() > 0.999  # fp16 on disk


# What they are trained on


def test_shards_hold_the_scenes_that_their_rows_describe(shard_folder: Path) -> None:
    chosen, _ = shards.load()
    for side, seed, count in (("train", 0, TRAIN_SCENES), ("held", 1, SCENES), ("seen", 1, SCENES)):
        rows = shards.read_rows(shard_folder, side)
        pictures = np.load(shard_folder / f"{side}-scenes.npy", mmap_mode="r")
        assert len(rows) == len(pictures) == count
        for index in range(0, count, 17):
            free = side == "train" and index % shards.FREE_EVERY == 0
            scene, row = sample_scene(seed, index, side, free=free), rows[index]
            assert np.array_equal(pictures[index], np.asarray(render(scene)))
            assert (row.caption, row.nouns) == (scene.caption, scene.nouns)
            assert (row.place, row.relation) == (scene.place.name, scene.relation.name)
            assert tuple(chosen[s] for s, _ in row.subjects) == scene.sprites
            assert tuple(look for _, look in row.subjects) == scene.looks


def test_views_are_found_where_the_index_says(shard_folder: Path) -> None:
    chosen, _ = shards.load()
    views = clip.Shards(shard_folder).views
    assert len(views) == len(chosen) * LOOKS * shards.VIEWS
    for number, look, view in ((0, 0, 0), (3, 5, 1), (len(chosen) - 1, 2, 1)):
        expected = np.asarray(sprite_view(chosen[number].name, look, f"{look}-{view}"))
        assert np.array_equal(views[clip.view_index(number, look, view)], expected)


def test_writing_shards_again_keeps_what_is_there(shard_folder: Path) -> None:
    before = {p.name: p.stat().st_mtime_ns for p in shard_folder.iterdir() if p.is_file()}
    command(shards.main, "core", out=shard_folder, train=TRAIN_SCENES)
    after = {p.name: p.stat().st_mtime_ns for p in shard_folder.iterdir() if p.is_file()}
    assert before == after
    assert not list(shard_folder.glob("*.part"))


def test_features_go_on_where_they_were_killed(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 255, (150, 2, 2, 3), np.uint8)
    done: list[int] = []

    def fast(batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if len(done) == 1:
            done.append(0)
            raise KeyboardInterrupt
        done.append(len(batch))
        value = batch.mean((1, 2, 3))[:, None]
        return np.broadcast_to(value[..., None], (len(batch), GRID**2, CHANNELS)), value

    with pytest.raises(KeyboardInterrupt):
        trunk.extract(fast, tmp_path, "some", pictures)
    trunk.extract(fast, tmp_path, "some", pictures)
    trunk.extract(fast, tmp_path, "some", pictures)
    assert done == [64, 0, 64, 22]
    logits = np.load(tmp_path / "some-logits.npy")
    assert np.allclose(logits[:, 0], pictures.mean((1, 2, 3)), rtol=1e-3)


def test_embeddings_are_of_the_shards_pictures(embedded: Path, random_stack: Path) -> None:
    network = Clip.from_folder(random_stack / "clip")
    movq = PocketMOVQ.from_pretrained(random_stack / "decoder" / "movq").float()
    kept = clip.Shards(embedded)

    def stored(name: str) -> torch.Tensor:
        return torch.from_numpy(np.load(embedded / f"{name}.npy")).float()

    pictures = kept.pictures("held", np.array([0, 4, 8]))
    given = network.image([Image.fromarray(p) for p in pictures])
    said = slice(SEMANTIC)  # where subjects stand is known there, and found here
    wanted = stored("held-embed")[[0, 4, 8]]
    assert F.cosine_similarity(given[:, said], wanted[:, said]).min() > 0.999
    with torch.no_grad():
        latents = movq.encode(shards.pixels(pictures))
    assert (latents - stored("held-latents")[[0, 4, 8]]).abs().max() < 0.02
    edges = network.image([Image.fromarray(p) for p in embeddings.edges(pictures)])
    assert F.cosine_similarity(edges, stored("held-edges-embed")[:3]).min() > 0.999
    assert torch.allclose(network.null_image(), stored("null-embed"), rtol=2e-3, atol=5e-3)
    for name in (*SIDES, "views"):
        count = len(kept.views) if name == "views" else len(kept.rows[name])
        assert len(stored(f"{name}-embed")) == count
        assert name == "views" or len(stored(f"{name}-latents")) == count
    for name in SIDES:  # one for every scene that the prior may ask for
        last = range(0, len(kept.rows[name]), shards.FREE_EVERY)[-1]
        assert len(stored(f"{name}-edges-embed")) == last // shards.FREE_EVERY + 1


def test_no_trainer_is_given_a_held_out_sprite(shard_folder: Path) -> None:
    chosen, _ = shards.load()
    held = load_split().sprites
    assert any(sprite.name in held for sprite in chosen)
    per_sprite = LOOKS * shards.VIEWS
    kept = clip.Shards(shard_folder)
    assert kept.sprites == chosen
    drawn = {chosen[i // per_sprite].name for i in shards.train_views(kept.held)}
    assert drawn == {sprite.name for sprite in chosen} - held
    for row in shards.read_rows(shard_folder, "train"):
        assert not {chosen[number].name for number, _ in row.subjects} & held
    batches = clip.Batches(kept, toy_lexicon(Path()), GridTower(), 0, 8)

    class Remembers:
        """The grids of the views, noting which are read."""

        def __init__(self) -> None:
            self.seen: list[np.ndarray] = []

        def __getitem__(self, index: np.ndarray) -> np.ndarray:
            self.seen.append(index)
            return grids[index]

    grids, reads = kept.grid["views"], Remembers()
    kept.grid["views"] = reads
    for step in range(30):
        nouns, views = batches.drawings(random.Random(step))
        shown = [chosen[i // per_sprite] for i in views]
        assert not {sprite.name for sprite in shown} & held
        assert [sprite.noun for sprite in shown] == nouns
        batches.anchors(random.Random(step), step)
    assert not {chosen[i // per_sprite].name for i in np.concatenate(reads.seen)} & held


def test_an_epoch_shows_every_scene_once(shard_folder: Path) -> None:
    batches = clip.Batches(clip.Shards(shard_folder), toy_lexicon(Path()), GridTower(), 0, 10)
    epochs = [
        np.concatenate([batches.scenes(step) for step in range(first, first + TRAIN_SCENES // 10)])
        for first in (0, TRAIN_SCENES // 10)
    ]
    for epoch in epochs:
        assert sorted(epoch) == list(range(TRAIN_SCENES))
    assert not np.array_equal(*epochs)


def test_some_conditions_are_dropped(embedded: Path) -> None:
    pairs = decoder.Pairs(embedded)
    dropped = 0
    for step in range(40):
        embeds, index = decoder.draw_batch(pairs, 0, step, 16)
        assert embeds.shape == (16, DIM) and len(set(index)) == 16
        assert 0 <= index.min() and index.max() < TRAIN_SCENES
        dropped += int((embeds == pairs.null).all(1).sum())
    assert dropped / 640 == pytest.approx(decoder.DROP, abs=0.05)
    one, two = (decoder.draw_batch(pairs, 0, step, 16) for step in (3, 3))
    assert torch.equal(one[0], two[0]) and np.array_equal(one[1], two[1])
    assert not np.array_equal(one[1], decoder.draw_batch(pairs, 0, 4, 16)[1])


def test_the_decoder_may_be_given_the_priors_predictions(
    embedded: Path, random_stack: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "shards"
    folder.mkdir()
    for path in embedded.iterdir():
        (folder / path.name).symlink_to(path)
    with pytest.raises(ValueError, match="train.pocket.prior --predict"):
        decoder.draw_batch(decoder.Pairs(folder), 0, 0, 16, predicted_share=0.5)
    command(
        prior.main, shards=folder, clip=random_stack / "clip", run=tmp_path / "run", steps=1,
        batch=8, threads=1, predict=40,
    )  # fmt: skip
    pairs = decoder.Pairs(folder)
    assert pairs.predicted is not None and pairs.predicted.shape == (40, DIM)
    used = 0
    for step in range(20):
        embeds, index = decoder.draw_batch(pairs, 0, step, 16, predicted_share=0.5)
        true, same = decoder.draw_batch(pairs, 0, step, 16)
        used += int((embeds != true).any(1).sum())
        # The target stays the true picture.
        assert np.array_equal(index, same)
    # Half of the scenes, of which 40 in 70 have one, less those dropped.
    expected = 20 * 16 * 0.5 * 40 / TRAIN_SCENES * (1 - decoder.DROP)
    assert used == pytest.approx(expected, rel=0.35)


def test_the_prior_starts_near_linear_functions_of_words_and_subjects(
    embedded: Path, random_stack: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # measured on what it is fitted on
    for module, name, value in (
        (prior_readers, "RIDGE", 10.0), (prior_readers, "FULL", 1), (prior_start, "RIDGE", 10.0),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    examples = prior_examples.Examples(embedded, Clip.from_folder(random_stack / "clip"))
    sample = examples.sample(TRAIN_SCENES, batch=16)
    assert sum(len(part.scenes) for part in sample) == TRAIN_SCENES
    for part in sample:
        assert ((part.swapped > 0) <= part.text.mask).all()
    torch.manual_seed(0)
    model = Prior(PriorConfig(20, DIM // 20, 3, DIM))
    prior_start.start(model, sample)
    torch.manual_seed(0)
    untrained = Prior(PriorConfig(20, DIM // 20, 3, DIM))

    def error(network: Prior) -> float:
        total = 0.0
        for part in sample:
            noise = torch.randn(part.control.shape, generator=generator(0, 0))
            with torch.no_grad():
                predicted = prior_stickers.predict(network, part.text, part.control, noise)
            total += float((predicted - part.scenes).square().sum())
        return total

    scenes_embeds = torch.cat([part.scenes for part in sample])
    mean = float((scenes_embeds - scenes_embeds.mean(0)).square().sum())
    assert error(model) < 0.7 * mean < 0.7 * error(untrained)
    with pytest.raises(ValueError, match="wide inside"):
        prior_start.start(Prior(PriorConfig(2, 8, 1, DIM)), sample)
    with pytest.raises(ValueError, match="3 blocks of 20 heads"):
        prior_start.start(Prior(PriorConfig(20, DIM // 20, 2, DIM)), sample)


def test_batches_of_similar_captions_leave_no_scene_out() -> None:
    lengths, scenes = [n % 37 for n in range(300)], list(range(300))
    drawn: list[int] = []
    for step in range(400):
        index = prior_stickers.draw_alike(random.Random(step), scenes, lengths, 20)
        assert len(index) == len(set(index)) == 20
        drawn += index
    counts = np.bincount(drawn, minlength=300)
    assert counts.min() > 0 and counts.max() < 4 * counts.mean()
    assert prior_stickers.draw_alike(random.Random(1), scenes[:20], lengths, 20) == sorted(
        range(20), key=lengths.__getitem__
    )


def test_scenes_of_many_are_drawn_more_often(embedded: Path, random_stack: Path) -> None:
    source = prior_stickers.Stickers(embedded, random_stack / "clip", 16, 0)
    many = {i for i, row in enumerate(source.examples.rows["train"]) if len(row.nouns) > 2}
    drawn: list[int] = []
    for step in range(300):
        drawn += prior_stickers.draw_alike(
            random.Random(step), source._scenes, source._lengths, source.size
        )
    times = len(many) * prior_stickers.CROWDED
    share = times / (times + len(source._lengths) - len(many))
    assert np.mean([i in many for i in drawn]) == pytest.approx(share, rel=0.15)


def test_subjects_are_swapped_in_at_their_own_words(embedded: Path, random_stack: Path) -> None:
    network = Clip.from_folder(random_stack / "clip")
    examples = prior_examples.Examples(embedded, network)
    rows = examples.rows["train"]
    index = [i for i, row in enumerate(rows) if len(row.nouns) == 2][:4]
    plain, _, none = examples.interleaved("train", index, [[] for _ in index], random.Random(0))
    assert torch.equal(plain.states, network.text([rows[i].caption for i in index]).states)
    both, told, numbers = examples.interleaved(
        "train", index, [[0, 1]] * len(index), random.Random(0)
    )
    rng = random.Random(0)
    for row, i in enumerate(index):
        spans = network.tokenizer.assign(rows[i].caption, rows[i].nouns)
        views = [clip.view_index(*s, rng.randrange(shards.VIEWS)) for s in rows[i].subjects]
        own = examples.views[views].float()
        assert torch.equal(told[row], own)
        for k, (begin, end) in enumerate(spans):
            assert (numbers[row, begin:end] == k + 1).all()
        assert (numbers[row] > 0).sum() == sum(end - begin for begin, end in spans)
        expected = swap(plain.states[row : row + 1], [spans], [own])
        assert torch.equal(both.states[row : row + 1], expected)
    assert torch.equal(both.pooled, plain.pooled) and not none.any()
    control = examples.control("train", [0, 4], [False, True])
    assert torch.equal(control[0], examples.null[0])
    assert torch.equal(control[1], examples.edges["train"][1].float())


def test_disguised_subjects_keep_their_pictures(embedded: Path, random_stack: Path) -> None:
    network = Clip.from_folder(random_stack / "clip")
    examples = prior_examples.Examples(embedded, network)
    rows = examples.rows["train"]
    for row in rows:
        caption, words = prior_examples.disguised(row, examples.nouns, random.Random(1))
        assert len(words) == len(row.nouns)
        network.tokenizer.assign(caption, words)  # each word is there, once for each subject
        assert caption != row.caption or words == list(row.nouns)
    index = [i for i, row in enumerate(rows) if len(row.nouns) == 1][:3]
    shown = [[0]] * len(index)
    named, _, _ = examples.interleaved("train", index, shown, random.Random(0))
    unnamed, _, _ = examples.interleaved("train", index, shown, random.Random(0), 1.0)
    assert not torch.equal(named.pooled, unnamed.pooled)
    told = [prior_examples.disguised(rows[i], examples.nouns, random.Random(5))[0] for i in index]
    assert told == [
        prior_examples.disguised(rows[i], examples.nouns, random.Random(5))[0] for i in index
    ]
    words, _, _ = examples.interleaved("train", index, [[]] * len(index), random.Random(0), 1.0)
    assert torch.equal(words.pooled, named.pooled)  # words that stand for themselves stay


def all_seen_as_one(embedded: Path, random_stack: Path) -> prior_examples.Examples:
    """Examples whose views are all seen as one subject."""
    examples = prior_examples.Examples(embedded, Clip.from_folder(random_stack / "clip"))
    examples.views[:, SEMANTIC : prior_examples.NUMBERS] = 0
    examples.views[:, SEMANTIC] = 1
    return examples


def test_what_stands_free_is_asked_for_as_its_view_has_it(
    embedded: Path, random_stack: Path
) -> None:
    examples, first = all_seen_as_one(embedded, random_stack), prior_examples.NUMBERS
    rows = examples.rows["train"]
    index = [i for i, row in enumerate(rows) if row.relation == "and"][:4]
    views = [[int(clip.view_index(*s, 1)) for s in rows[i].subjects] for i in index]
    picture = examples.embeds["train"][index].float()
    for shown in ([0, 1], [1], []):
        own = [examples.views[[row[k] for k in shown]].float() for row in views]
        target = examples.target("train", index, [shown] * len(index), own)
        assert torch.equal(target[:, :first], picture[:, :first])
        for k, slot in enumerate(places(2)):
            of = [row[k] if k in shown else row[k] - 1 for row in views]
            code = examples.views[of, first : first + len(slot)].float()
            assert torch.equal(target[:, first + slot], code)
    examples.views[:, SEMANTIC + 1] = 2  # as two
    own = [examples.views[row].float() for row in views]
    target = examples.target("train", index, [[0, 1]] * len(index), own)
    assert torch.equal(target, picture)
    assert torch.equal(examples.mix(own[0][0], random.Random(0)), own[0][0])


def test_at_less_than_full_strength_a_code_between_is_asked_for(
    embedded: Path, random_stack: Path
) -> None:
    examples, first = all_seen_as_one(embedded, random_stack), prior_examples.NUMBERS
    rows, strong = examples.rows["train"], [[0.25, 1.0]]

    def strange(row: shards.Row) -> bool:  # whose noun stands for another drawing
        named = examples.named.get(examples.sprites[row.subjects[0][0]].noun)
        return row.relation == "and" and named not in (None, row.subjects[0][0])

    index = [next(i for i, row in enumerate(rows) if strange(row))]
    row, told = rows[index[0]], ("train", index, [[0, 1]])
    text, pictures, _ = examples.interleaved(*told, random.Random(0), 1.0, strong)
    target = examples.target(*told, pictures, strong)
    assert torch.equal(pictures[0], examples.interleaved(*told, random.Random(0))[1][0])
    full = examples.target(*told, pictures)
    words, _, _ = examples.interleaved("train", index, [[]], random.Random(0))
    spans = [examples.clip.tokenizer.assign(row.caption, row.nouns)]
    assert torch.equal(text.states, swap(words.states, spans, pictures, strong))

    named = examples.named[examples.sprites[row.subjects[0][0]].noun]
    one, other = places(2)
    word = examples.first_view(named, 0)[first : first + len(one)]
    assert torch.equal(target[0, first + one], torch.lerp(word, full[0, first + one], 0.25))
    assert not torch.equal(target[0, first + one], full[0, first + one])
    assert torch.equal(target[0, first + other], full[0, first + other])

    rng = random.Random(0)
    drawn = [s for row in rows[:200] for s in examples.strengths(row, range(len(row.nouns)), rng)]
    weak = [strength for strength in drawn if strength < 1]
    assert 0.05 < len(weak) / len(drawn) < 0.3 and min(weak) < 0.25 and max(weak) > 0.75


def test_mixed_codes_are_asked_for_as_they_are_shown(embedded: Path, random_stack: Path) -> None:
    examples, first = all_seen_as_one(embedded, random_stack), prior_examples.NUMBERS
    rows = examples.rows["train"]
    index = [i for i, row in enumerate(rows) if row.relation in ("and", "wearing")][:40]
    told = ("train", index, [[0, 1]] * len(index))
    _, plain, _ = examples.interleaved(*told, random.Random(0))
    _, pictures, _ = examples.interleaved(*told, random.Random(0), mixed_share=1.0)
    target, mixed = examples.target(*told, pictures), []
    for i, asked, before, after in zip(index, target, plain, pictures, strict=True):
        assert torch.equal(before[:, :first], after[:, :first])
        for k, (slot, free) in enumerate(
            zip(places(2), prior_examples.stand_free(rows[i]), strict=True)
        ):
            assert torch.equal(before[k], after[k]) != free
            mixed.append(free)
            if free:
                assert torch.equal(asked[first + slot], after[k, first : first + len(slot)])
    assert any(mixed) and not all(mixed)
    spread = (torch.stack(pictures)[:, :, first:] - examples.mean_code).square().mean()
    usual = (torch.stack(plain)[:, :, first:] - examples.mean_code).square().mean()
    assert spread == pytest.approx(float(usual), rel=0.5)


def test_tokens_learn_whose_they_are() -> None:
    torch.manual_seed(0)
    prior = Prior(PriorConfig(2, 16, 3, DIM))
    counting = prior_counting.Counting(prior)
    text = torch.randn(8, 5, DIM)
    numbers = torch.randint(1, 5, (8, 7)) * (torch.arange(7) < 5)
    numbers[:, 0] = 0
    text += torch.randn(5, DIM)[numbers[:, :5]]  # what the words around say
    noise, mask = torch.randn(8, DIM), torch.ones(8, 5, dtype=torch.bool)
    optimizer, losses = torch.optim.Adam(prior.parameters(), 3e-3), []
    for _ in range(30):
        prior(noise, noise, text, mask, noise)
        losses.append(counting.loss(numbers))
        losses[-1].backward()
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < 0.5 * losses[0]
    prior(noise, noise, text, mask, noise)
    assert counting.loss(torch.zeros_like(numbers)) == 0
    with torch.no_grad():
        copy.deepcopy(prior)(noise, noise, text, mask, noise)  # as the loop keeps an average
        prior(noise, noise, text, mask, noise)
        assert counting.loss(numbers) > 0 and not counting.seen


def test_who_stands_free_of_whom() -> None:
    def free(*spots: tuple[float, float, float]) -> list[bool]:
        row = shards.Row("", "", "", (), (), spots)
        return prior_examples.stand_free(row)

    assert free((64, 64, 60)) == [True]
    assert free((33, 80, 62), (95, 80, 62)) == [True, True]
    assert free((64, 79, 80), (64, 30, 48)) == [False, False]
    assert free((64, 54, 94), (34, 98, 20)) == [True, False]
    assert free((20, 20, 20), (64, 64, 40), (90, 90, 44)) == [True, False, False]


def test_equal_captions_are_no_negatives() -> None:
    eye = F.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), dim=-1)
    scale = torch.tensor(50.0)
    labels = ["a cat", "a cat", "a dog"]
    apart = clip.contrast(eye, eye, scale, torch.eye(3, dtype=torch.bool))
    together = clip.contrast(eye, eye, scale, clip.same(labels, labels))
    assert together.item() == pytest.approx(0, abs=1e-5)
    assert apart.item() == pytest.approx(2 * np.log(2) / 3, rel=1e-4)
    expected = F.cross_entropy(scale * eye @ eye.T, torch.arange(3))
    assert apart.item() == pytest.approx(expected.item(), rel=1e-4)


# Export


def test_an_export_of_another_network_is_refused(random_stack: Path, tmp_path: Path) -> None:
    folder = tmp_path / "clip"
    clip.write_merges(folder / "merges.txt.gz")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clip, "TEXT_LAYERS", 2)
        deeper = clip.configuration()
    save_clip(Clip.from_folder(random_stack / "clip"), deeper, folder)
    with pytest.raises(WeightsError, match="does not fit its configuration"):
        Clip.from_folder(folder)


def test_weights_too_large_for_half_precision_are_not_exported(tmp_path: Path) -> None:
    movq = PocketMOVQ()
    with torch.no_grad():
        movq.encode_in.bias[0] = 1e6
    with pytest.raises(WeightsError, match="encode_in.bias"):
        save_module(movq, tmp_path)
    assert not (tmp_path / MODULE_WEIGHTS).exists()


def test_the_merges_are_the_most_frequent_and_written_the_same_twice(tmp_path: Path) -> None:
    for name in ("a.gz", "b.gz"):
        clip.write_merges(tmp_path / name)
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    network = Clip.from_config(clip.configuration() | {"tokenizer": {"merges": "a.gz"}}, tmp_path)
    assert network.tokenizer.vocab_size == 512 + clip.MERGES + 2


def test_the_loop_is_shared() -> None:
    assert all(module.train is loop.train for module in (autoencoder, clip, decoder, prior))
