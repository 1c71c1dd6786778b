"""The prior's trainer on feature shards: it resumes bit for bit, on one process or two."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import small_features
import torch
import torch.multiprocessing
from repository import FIXTURES
from safetensors.torch import load_file, save_file
from small_stack import DIM, write_decoder
from trainings import same_weights

from lambda_eclipse.pipeline import Studio
from lambda_eclipse.pocket.embedding import APPEARANCE, LAYOUT
from lambda_eclipse.pocket.tower import SEMANTIC
from lambda_eclipse.prior import CONFIG_NAME, WEIGHTS_NAME, Prior, PriorConfig
from lambda_eclipse.request import Request, Sampling
from train.data.feature_shards import FeatureShards
from train.loop import ranks
from train.loop.loop import backward, train
from train.loop.task import Losses
from train.prior import __main__ as prior
from train.prior import published
from train.prior import task as prior_task
from train.prior.batches import order
from train.prior.presets import PRESETS
from train.prior.task import build_features, from_scratch

POCKET_DIM = SEMANTIC + LAYOUT + APPEARANCE
DEBUG = PRESETS["debug"]
TIMES = ("ms_per_sample", "hours")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Feature shards of a small CLIP; not to be changed."""
    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("world")
    small_features.write_features(root)
    return root


@pytest.fixture(scope="module")
def features(world: Path) -> FeatureShards:
    return FeatureShards(world / "features")


def curve(run: Path) -> list[dict]:
    """The log without its times."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in TIMES} for line in lines]


def gradients_of(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


def command(world: Path, run: Path, *more: object) -> None:
    """The command line, at the smallest size."""
    line = ["--features", world / "features", "--preset", "debug", "--run", run]
    line += ["--threads", 1, "--workers", 0, "--device", "cpu", *more]
    prior.main([str(word) for word in line])


def refused(world: Path, run: Path, capsys: pytest.CaptureFixture, *more: object) -> str:
    """What the command says when it stops with exit code 2."""
    with pytest.raises(SystemExit) as stopped:
        command(world, run, *more)
    assert stopped.value.code == 2
    return capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize("killed", [(1,), (6,), (4, 11)])
def test_a_killed_run_goes_on_bit_for_bit(
    features: FeatureShards, tmp_path: Path, killed: tuple[int, ...]
) -> None:
    """Killed at a step between checkpoints, or at one, with what was done since lost."""
    whole, resumed = (build_features(features, DEBUG) for _ in range(2))
    train(whole, DEBUG, tmp_path / "whole")
    for at in killed:
        task = build_features(features, DEBUG)

        def dies(step: int, at: int = at, loss=task.loss) -> Losses | Iterator[Losses]:
            if step == at:
                raise KeyboardInterrupt
            return loss(step)

        with pytest.raises(KeyboardInterrupt):
            train(replace(task, loss=dies), DEBUG, tmp_path / "cut")
    train(resumed, DEBUG, tmp_path / "cut")
    assert same_weights(whole.model, resumed.model)
    assert curve(tmp_path / "cut") == curve(tmp_path / "whole")
    steps = [line["step"] for line in curve(tmp_path / "cut") if "loss" in line]
    assert steps == list(range(1, DEBUG.steps + 1))


def test_the_loss_goes_down_and_all_is_logged(features: FeatureShards, tmp_path: Path) -> None:
    preset = replace(DEBUG, steps=60, report_every=20, rate=3e-3)
    train(build_features(features, preset), preset, tmp_path)
    losses = [line["projection"] for line in curve(tmp_path) if "loss" in line]
    assert losses[-1] < 0.8 * losses[0]
    measured = [line for line in curve(tmp_path) if "cosine_pictures" in line]
    assert len(measured) == preset.evaluations
    assert measured[-1]["cosine_pictures"] > measured[0]["cosine_pictures"]


def test_order_shows_each_example_once_and_anew_in_each_epoch() -> None:
    counts = [3, 0, 5, 4]
    everyone = {(s, n) for s, count in enumerate(counts) for n in range(count)}
    first, second = (order(counts, 7, epoch) for epoch in (0, 1))
    for rows in (first, second):
        assert len(rows) == 12 and {tuple(row) for row in rows.tolist()} == everyone
    assert first.tolist() == order(counts, 7, 0).tolist() != second.tolist()
    far = order([10] * 100, 0, 0)[:, 0]
    assert len(set(far[:320].tolist())) == 32  # windows of shards, so that a disk reads in order


def test_parts_and_loaders_change_nothing_but_rounding(features: FeatureShards) -> None:
    gradients = []
    for options in ({}, {"parts": 3}, {"workers": 1}):
        task = build_features(features, DEBUG, **options)
        losses = {name: value.item() for name, value in backward(task, 0).items()}
        gradients.append((losses, gradients_of(task.model)))
    (whole, expected), (parted, added), (loaded, same) = gradients
    assert loaded == whole and all(torch.equal(same[n], expected[n]) for n in expected)
    assert parted == pytest.approx(whole, rel=1e-5)
    for name, gradient in expected.items():
        torch.testing.assert_close(added[name], gradient, atol=1e-6, rtol=1e-4)


# Two processes


def half_a_batch(rank: int, folder: str, port: int, out: str) -> None:
    """One of two processes: a step of half the batch each, its gradients kept by the first."""
    os.environ |= {
        "RANK": str(rank),
        "WORLD_SIZE": "2",
        "LOCAL_RANK": str(rank),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    torch.set_num_threads(1)
    device = ranks.start(torch.device("cpu"))
    preset = replace(DEBUG, batch=DEBUG.batch // 2, steps=4)
    task = build_features(FeatureShards(Path(folder)), preset, device=device, parts=2)
    losses = {name: ranks.mean(value).item() for name, value in backward(task, 0).items()}
    if rank == 0:
        torch.save({"losses": losses, "gradients": gradients_of(task.model)}, Path(out) / "two.pt")
    gathers(rank, Path(out))
    train(task, preset, Path(out) / "run")
    ranks.stop()


def gathers(rank: int, out: Path) -> None:
    """Gradients of a loss of gathered rows, which another process's loss depends on as well."""
    from train.prior.loss import gather

    rows = torch.arange(6.0).view(2, 3).add(rank * 6).requires_grad_()
    everyone = gather(rows)
    ((rank + 1) * everyone.square()).sum().backward()
    torch.save((everyone.detach(), rows.grad), out / f"gather{rank}.pt")


def test_two_processes_are_one_with_the_whole_batch(
    world: Path, features: FeatureShards, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.spawn(half_a_batch, (str(features.folder), port, str(tmp_path)), nprocs=2)
    two = torch.load(tmp_path / "two.pt", weights_only=True)
    settings = replace(DEBUG, steps=4)
    task = build_features(features, settings)
    losses = {name: value.item() for name, value in backward(task, 0).items()}
    assert two["losses"] == pytest.approx(losses, rel=1e-5)
    gradients = gradients_of(task.model)
    assert gradients.keys() == two["gradients"].keys() and len(gradients) > 20
    for name, gradient in gradients.items():
        torch.testing.assert_close(two["gradients"][name], gradient, atol=1e-6, rtol=1e-4, msg=name)
    # Through the gather: each process's rows have the gradients of both processes' losses.
    for rank in (0, 1):
        everyone, gradient = torch.load(tmp_path / f"gather{rank}.pt", weights_only=True)
        assert everyone.flatten().tolist() == list(range(12))
        own = torch.arange(6.0).view(2, 3) + rank * 6
        torch.testing.assert_close(gradient, (1 + 2) * 2 * own)
    # And the whole run: the same curve as that of one process, up to rounding.
    train(task, settings, tmp_path / "one")
    for ours, theirs in zip(curve(tmp_path / "one"), curve(tmp_path / "run"), strict=True):
        assert theirs == pytest.approx(ours, rel=1e-3, abs=1e-4)
    # A run of two processes does not go on in one.
    options = ["--steps", 4, "--batch", 4, "--parts", 2]
    message = refused(world, tmp_path / "run", capsys, *options)
    assert "processes is 1, was 2" in message and "another --run" in message


# What stops a run


def test_a_full_disk_leaves_the_last_checkpoint(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(build_features(FeatureShards(world / "features"), DEBUG), DEBUG, tmp_path, stop_after=5)
    kept = (tmp_path / "checkpoint.pt").read_bytes()
    save = torch.save
    with monkeypatch.context() as full:
        full.setattr(torch, "save", lambda content, file: save(content, Path("/dev/full")))
        message = refused(world, tmp_path, capsys)
    assert "No space left" in message or "could not be written" in message
    assert "Make room" in message and "step 8" in message
    assert (tmp_path / "checkpoint.pt").read_bytes() == kept
    command(world, tmp_path)  # there is room again
    assert curve(tmp_path)[-1]["step"] == DEBUG.steps


def test_a_loss_that_is_no_number_leaves_the_last_checkpoint(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = prior_task.prior_loss
    calls = []

    def broken(*args):
        calls.append(1)
        losses = healthy(*args)
        return losses if len(calls) < 7 else {**losses, "loss": losses["loss"] * float("nan")}

    monkeypatch.setattr(prior_task, "prior_loss", broken)
    message = refused(world, tmp_path, capsys)
    assert "step 6 is not finite" in message and "of step 4, is intact" in message
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert state["step"] == 4
    assert all(torch.isfinite(tensor).all() for tensor in state["model"].values())


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--rate", "0.01"), "rate is 0.01, was 0.001"),
        (("--batch", "4"), "batch is 4, was 8"),
        (("--seed", "3"), "seed is 3, was 0"),
        (("--preset", "pocket", "--steps", "12"), "layers is 3, was 2"),
    ],
)
def test_a_run_goes_on_as_it_was_begun(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture, more, message: str
) -> None:
    train(build_features(FeatureShards(world / "features"), DEBUG), DEBUG, tmp_path, stop_after=1)
    found = refused(world, tmp_path, capsys, *more)
    assert message in found and f"--from {tmp_path}" in found


def test_a_damaged_checkpoint_is_named(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"no checkpoint")
    assert "checkpoint.pt is damaged" in refused(world, tmp_path, capsys)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_shard_stops_the_run(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture, workers: int
) -> None:
    shutil.copytree(world / "features", tmp_path / "features")
    path = tmp_path / "features" / "features-000001.tar"
    path.write_bytes(path.read_bytes()[:-600] + bytes(600 - 1) + b"x")
    message = refused(tmp_path, tmp_path / "run", capsys, "--workers", workers)
    assert "features-000001.tar does not match its checksum" in message
    assert "Traceback" not in message


def test_features_of_another_clip_are_refused(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    command(world, tmp_path / "run", "--steps", 2)
    exported = tmp_path / "run" / "prior"
    shutil.copytree(world / "features", tmp_path / "features")
    manifest = tmp_path / "features" / "manifest.json"
    content = json.loads(manifest.read_text())
    content["clip"]["sha256"] = "0" * 64
    manifest.write_text(json.dumps(content))
    message = refused(tmp_path, tmp_path / "new", capsys, "--from", exported)
    assert "another CLIP" in message and "SHA-256 000000000000…" in message
    message = refused(tmp_path, tmp_path / "run", capsys, "--steps", 2)
    assert "CLIP's SHA-256 is" in message
    published.save(Prior(PriorConfig(2, 8, 2, 24)), tmp_path / "narrow", None)
    message = refused(world, tmp_path / "new", capsys, "--from", tmp_path / "narrow")
    assert f"embeddings are {DIM} wide, not 24" in message


def test_precision_that_a_device_only_pretends_to_have(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from train.loop import precision

    (tmp_path / "cpuinfo").write_text("flags : sse avx2 avx512f\n")
    (tmp_path / "newer").write_text("flags : sse avx512_bf16\n")
    cpu = torch.device("cpu")
    assert not precision.has_bfloat16(cpu, tmp_path / "cpuinfo")
    assert precision.has_bfloat16(cpu, tmp_path / "newer") == (os.name == "posix")
    monkeypatch.setattr(precision, "has_bfloat16", lambda device: False)
    assert precision.check("auto", "cpu") == "float32"
    message = refused(world, tmp_path / "run", capsys, "--precision", "bfloat16")
    assert "has no instructions for it" in message
    assert "--device" in refused(world, tmp_path / "run", capsys, "--device", "toaster")


# Starts and results


def test_it_starts_from_runs_and_exports(world: Path, tmp_path: Path) -> None:
    command(world, tmp_path / "run")
    checkpoint = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    averaged = published.load(tmp_path / "run")
    for name, tensor in averaged.state_dict().items():
        assert torch.equal(tensor, checkpoint["ema"][name])
    exported = published.load(tmp_path / "run" / "prior")
    assert exported.config == averaged.config
    command(world, tmp_path / "next", "--from", tmp_path / "run" / "prior", "--steps", 2)


def test_it_starts_from_eclipse(tmp_path: Path) -> None:
    """ECLIPSE's layout has no edge map, and a position less; all else is kept."""
    torch.manual_seed(0)
    ours = Prior(PriorConfig(2, 8, 2, 24))
    with torch.no_grad():
        ours.positional_embedding.normal_()
    state = {n: t for n, t in ours.state_dict().items() if not n.startswith("embedding_control")}
    positions = state["positional_embedding"]
    state["positional_embedding"] = torch.cat([positions[:, :77], positions[:, 78:]], 1)
    save_file(state, tmp_path / WEIGHTS_NAME)
    config = {
        "_class_name": "PriorTransformer",
        "num_attention_heads": 2,
        "attention_head_dim": 8,
        "num_layers": 2,
        "embedding_dim": 24,
        "num_embeddings": 77,
        "additional_embeddings": 3,
        "added_emb_type": "prd",
        "encoder_hid_proj_type": "linear",
    }
    (tmp_path / CONFIG_NAME).write_text(json.dumps(config))
    found = published.load(tmp_path)
    assert found.config == ours.config and found.training
    kept = found.state_dict()
    for name, tensor in state.items():
        if name != "positional_embedding":
            assert torch.equal(kept[name], tensor), name
    rows = kept["positional_embedding"]
    assert torch.equal(rows[:, :77], positions[:, :77])
    assert torch.equal(rows[:, 78:], positions[:, 78:])
    assert torch.equal(rows[:, 77], positions[:, 78])


def test_a_diffusion_prior_is_refused(tmp_path: Path) -> None:
    """Kandinsky's own prior has time steps: four positions after the text, but others."""
    torch.manual_seed(0)
    Prior(PriorConfig(2, 8, 2, 24)).save(tmp_path)
    state = load_file(tmp_path / WEIGHTS_NAME)
    state = {n: t for n, t in state.items() if not n.startswith("embedding_control")}
    state["time_embedding.linear_1.weight"] = torch.zeros(16, 16)
    save_file(state, tmp_path / WEIGHTS_NAME)
    with pytest.raises(ValueError, match="lacks embedding_control.*unknown time_embedding"):
        published.load(tmp_path)


def test_the_app_paints_with_what_was_trained(world: Path, tmp_path: Path) -> None:
    command(world, tmp_path / "run", "--steps", 3)
    folder = tmp_path / "run" / "prior"
    # the published layout: the same files, keys and names
    assert {CONFIG_NAME, WEIGHTS_NAME} <= {path.name for path in folder.iterdir()}
    layout = json.loads((FIXTURES / "reference_prior_layout.json").read_text())
    config = json.loads((folder / CONFIG_NAME).read_text())
    assert layout["config"].keys() <= config.keys()
    names = load_file(folder / WEIGHTS_NAME).keys()
    assert names == {
        n
        for n in layout["tensors"]
        if not n.startswith(tuple(f"transformer_blocks.{i}." for i in range(DEBUG.layers, 10)))
    }
    sources = {
        "clip": str(world / "clip"),
        "prior": str(folder),
        "decoder": str(write_decoder(tmp_path / "decoder")),
    }
    studio = Studio.open("kandinsky", "cpu", sources=sources)
    assert studio.models.prior.config.num_layers == DEBUG.layers
    [picture] = studio.generate(Request("a cat", sampling=Sampling(1)))
    assert picture.image.mode == "RGB"


def test_the_plan_trains_nothing(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    command(world, tmp_path / "run", "--dry-run")
    printed = capsys.readouterr().out
    assert not (tmp_path / "run").exists()
    parts = (
        "trained parameters|18 training and 6 validation|12 of 8 examples|96 examples, 5.3 times"
    )
    for part in (*parts.split("|"), "GFLOP an example", "GiB", "hours", "A100"):
        assert part in printed, part


def test_the_papers_preset_is_the_papers() -> None:
    paper = PRESETS["paper"]
    assert (paper.batch, paper.steps, paper.rate) == (512, 100_000, 5e-5)
    assert (paper.contrast_weight, paper.canny_drop, paper.subject_drop) == (0.2, 0.01, 0.0)
    with torch.device("meta"):
        made = from_scratch(paper, 1280)
        small = from_scratch(PRESETS["pocket"], POCKET_DIM)
    # One reading of Eq. 1's norm, the mean: the pocket's λ is the paper's beside a sum.
    assert PRESETS["pocket"].contrast_weight * POCKET_DIM == pytest.approx(paper.contrast_weight)
    assert small.config.num_attention_heads * small.config.attention_head_dim == POCKET_DIM
    assert sum(p.numel() for p in made.parameters()) == 34_849_536


def test_tensorboard_has_the_same_curve(world: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="pip install -r requirements-train.txt")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    command(world, tmp_path / "run", "--tensorboard")
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    found = [(event.step, event.value) for event in events.Scalars("loss")]
    expected = [(line["step"], line["loss"]) for line in curve(tmp_path / "run") if "loss" in line]
    assert [step for step, _ in found] == [step for step, _ in expected]
    assert [v for _, v in found] == pytest.approx([v for _, v in expected], abs=1e-4)
