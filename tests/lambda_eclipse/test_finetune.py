"""Concept finetuning: what is learned, going on after a stop, and what the result loads into."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw
from small_stack import published, small_movq, small_unet, write_stack

from lambda_eclipse import finetune
from lambda_eclipse.__main__ import main as command_line
from lambda_eclipse.decoder import Decoder
from lambda_eclipse.finetune import Concepts, Lesson
from lambda_eclipse.keep.weight_checksums import checksums_of
from lambda_eclipse.models import load
from lambda_eclipse.pipeline import Studio
from lambda_eclipse.request import Request, Sampling
from lambda_eclipse.stacks import STACKS, Finetuning
from train.finetune import main as finetune_command

HOW = Finetuning(rate=3e-3, batch=2, steps=8, last=0.0, cut_out=False, on_page=False)
VELOCITY = {
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "beta_schedule": "squaredcos_cap_v2",
}


def drawing(seed: int) -> Image.Image:
    image = Image.new("RGB", (90, 64), "white")
    colour = tuple(torch.randint(200, (3,), generator=torch.Generator().manual_seed(seed)).tolist())
    ImageDraw.Draw(image).ellipse((20, 10, 70, 50), fill=colour)
    return image


def decoder(**scheduler: object) -> Decoder:
    return Decoder(small_unet(), small_movq(), published()["scheduler"] | scheduler)


def test_weights_do_not_decay() -> None:
    """As in the published trainer of the decoder."""
    [group] = finetune.begin(decoder(), concepts(), HOW).optimizer.param_groups
    assert group["weight_decay"] == 0


def concepts(count: int = 2) -> Concepts:
    random = torch.Generator().manual_seed(1)
    embeddings = torch.randn(count, 64, generator=random)
    return Concepts((), embeddings, torch.randn(count, 4, 8, 8, generator=random))


def weights(lesson: Lesson) -> dict[str, torch.Tensor]:
    return {name: one.detach().clone() for name, one in lesson.unet.named_parameters()}


def mean_error(lesson: Lesson) -> float:
    with torch.no_grad():
        return sum(float(finetune.error(lesson, step)) for step in range(100, 108)) / 8


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("finetune")
    write_stack(found)
    for concept in ("cat", "hat"):
        (found / concept).mkdir()
        for number in range(2):
            drawing(number + len(concept)).save(found / concept / f"{number}.png")
    return found


@pytest.fixture(autouse=True)
def small(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for part in ("clip", "prior", "decoder"):
        monkeypatch.setenv(f"LAMBDA_ECLIPSE_KANDINSKY_{part.upper()}", str(root / part))
    yield


def run(root: Path, out: Path, *more: str) -> int:
    return finetune_command(
        [
            "--concepts",
            str(root / "cat"),
            str(root / "hat"),
            "--out",
            str(out),
            "--stack",
            "kandinsky",
            "--device",
            "cpu",
            "--batch",
            "2",
            "--rate",
            "1e-3",
            *more,
        ]
    )


# The error


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_the_error_is_of_what_the_scheduler_asks_for(kind: str) -> None:
    one = decoder(**VELOCITY) if kind == "v_prediction" else decoder()
    lesson = finetune.begin(one, concepts(), HOW)
    seen = {}

    def painted(noisy, times, text, added_cond_kwargs, return_dict):
        seen.update(noisy=noisy, times=times, embeds=added_cond_kwargs["image_embeds"])
        return (torch.zeros(len(noisy), 8, 8, 8),)

    lesson.unet.forward = painted
    error = finetune.error(lesson, 3)
    share = lesson.scheduler.alphas_cumprod[seen["times"]].view(-1, 1, 1, 1)
    rows = [int((lesson.concepts.embeddings == e).all(1).nonzero()) for e in seen["embeds"]]
    latents = lesson.concepts.latents[rows]
    noise = (seen["noisy"] - share.sqrt() * latents) / (1 - share).sqrt()
    target = noise if kind == "epsilon" else share.sqrt() * noise - (1 - share).sqrt() * latents
    assert float(error) == pytest.approx(float(target.square().mean()), rel=1e-4)


def test_the_share_of_pure_noise() -> None:
    for last, least, most in ((0.0, 0, 3), (0.7, 40, 70), (1.0, 80, 80)):
        lesson = finetune.begin(decoder(), concepts(), replace(HOW, last=last, batch=80))
        times = []
        lesson.unet.forward = lambda noisy, at, *_, times=times, **__: (
            times.append(at) or torch.zeros(80, 8, 8, 8),
        )
        finetune.error(lesson, 0)
        assert least <= int((times[0] == 999).sum()) <= most


def test_a_scheduler_that_predicts_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="sample.*epsilon"):
        finetune.begin(decoder(prediction_type="sample"), concepts(), HOW)


# Learning


@pytest.mark.parametrize(
    "how",
    [HOW, replace(HOW, checkpointing=True), replace(HOW, lora=4, rate=1e-2)],
    ids=["full", "checkpointing", "lora"],
)
def test_the_error_falls_and_the_shared_decoder_stays(how: Finetuning) -> None:
    if how.lora:
        pytest.importorskip("peft")
    shared = decoder()
    before = {name: one.clone() for name, one in shared.pipeline.unet.state_dict().items()}
    lesson = finetune.begin(shared, concepts(), how)
    first = mean_error(lesson)
    for _ in finetune.learn(lesson, 30):
        pass
    assert mean_error(lesson) < 0.9 * first
    after = shared.pipeline.unet.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    learned = finetune.finished(lesson)
    assert learned.state_dict().keys() == before.keys()
    frozen = [name for name, one in learned.state_dict().items() if torch.equal(one, before[name])]
    if how.lora:
        assert "conv_in.weight" in frozen and not any("to_q.weight" in name for name in frozen)
    else:
        assert "conv_in.weight" not in frozen
    with torch.no_grad():  # the copy paints as the one that learns
        given = (torch.zeros(1, 4, 8, 8), 5, None)
        options = {"added_cond_kwargs": {"image_embeds": torch.ones(1, 64)}, "return_dict": False}
        one, other = learned(*given, **options)[0], lesson.unet(*given, **options)[0]
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    assert finetune.digest(learned) != finetune.digest(shared.pipeline.unet)


def test_checkpointing_changes_no_step() -> None:
    plain, spare = (
        finetune.begin(decoder(), concepts(), replace(HOW, checkpointing=on))
        for on in (False, True)
    )
    assert list(finetune.learn(plain, 3)) == list(finetune.learn(spare, 3))


def test_a_lesson_stops_at_once_and_goes_on_bit_equal() -> None:
    whole, first = (finetune.begin(decoder(), concepts(), HOW) for _ in range(2))
    errors = list(finetune.learn(whole, 6))
    started = finetune.learn(first, 6)
    assert [next(started) for _ in range(2)] == errors[:2]
    started.close()
    assert first.done == 2
    second = finetune.begin(decoder(), concepts(), HOW)
    finetune.restore(second, finetune.state(first))
    assert list(finetune.learn(second, 6)) == errors[2:]
    assert all(torch.equal(one, weights(whole)[name]) for name, one in weights(second).items())


def test_an_error_that_is_not_finite_leaves_the_weights() -> None:
    lesson = finetune.begin(decoder(), concepts(), HOW)
    list(finetune.learn(lesson, 1))
    before = weights(lesson)
    lesson.concepts.latents.fill_(float("nan"))
    with pytest.raises(ValueError, match="step 2 is not finite: use a lower rate than 0.003"):
        list(finetune.learn(lesson, 3))
    assert all(torch.equal(one, before[name]) for name, one in weights(lesson).items())


# The command


def test_the_command_goes_on_bit_equal_and_its_result_is_used(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run(root, tmp_path / "whole", "--steps", "4") == 0
    assert run(root, tmp_path / "parts", "--steps", "2") == 0
    assert run(root, tmp_path / "parts", "--steps", "4") == 0
    names = ("unet", "movq")
    whole, parts, own = (
        [(folder / name / "diffusion_pytorch_model.safetensors").read_bytes() for name in names]
        for folder in (tmp_path / "whole/decoder", tmp_path / "parts/decoder", root / "decoder")
    )
    assert whole == parts and whole[0] != own[0] and whole[1] == own[1]
    log = [json.loads(line) for line in (tmp_path / "parts/log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [2, 4]
    assert "2 concepts, 4 pictures" in capsys.readouterr().out

    sources = {"decoder": str(tmp_path / "whole/decoder")}
    studio = Studio.open("kandinsky", "cpu", sources=sources)
    shipped = Studio(load(STACKS["kandinsky"], "cpu"))
    ask = Request("a cat", seed=3, sampling=Sampling(2))
    assert studio.generate(ask)[0].image.tobytes() != shipped.generate(ask)[0].image.tobytes()
    here, there = checksums_of(studio.models), checksums_of(shipped.models)
    assert [part for part in here if here[part] != there[part]] == ["decoder"]

    arguments = [
        "generate",
        "--prompt",
        "a cat",
        "--stack",
        "kandinsky",
        "--device",
        "cpu",
        "--steps",
        "2",
        "--seed",
        "3",
        "--out",
        str(tmp_path / "out"),
    ]
    assert command_line([*arguments, "--no-mark", "--decoder", sources["decoder"]]) == 0
    painted = Image.open(tmp_path / "out" / "3.png")
    assert painted.tobytes() == studio.generate(ask)[0].image.tobytes()
    assert command_line([*arguments, "--decoder", str(tmp_path / "nowhere")]) == 2


def test_the_command_learns_adapters(root: Path, tmp_path: Path) -> None:
    pytest.importorskip("peft")
    assert run(root, tmp_path, "--steps", "2", "--lora", "2") == 0
    Decoder.from_folder(tmp_path / "decoder")
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["learned"]
    assert kept and all("lora" in name for name in kept)


def test_a_checkpoint_of_something_else_is_refused(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run(root, tmp_path, "--steps", "2") == 0
    kept = hashlib.sha256((tmp_path / "checkpoint.pt").read_bytes()).hexdigest()
    for more, message in (
        (["--rate", "0.5"], "made with other rate"),
        (["--concepts", str(root / "cat")], "made with other pictures"),
        (["--steps", "1"], "has 2 steps already: give more --steps"),
    ):
        assert run(root, tmp_path, "--steps", "3", *more) == 2
        assert message in capsys.readouterr().err
    assert hashlib.sha256((tmp_path / "checkpoint.pt").read_bytes()).hexdigest() == kept
    (tmp_path / "checkpoint.pt").write_bytes(b"half")
    assert run(root, tmp_path, "--steps", "3") == 2
    assert "delete it to start again" in capsys.readouterr().err


def test_bad_concepts_are_named(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "cat.png").write_bytes(b"no picture")
    (tmp_path / "file").write_text("no folder")
    for folder, message in (
        ("nowhere", "is not a folder: give one folder per concept"),
        ("empty", "holds no pictures (.png"),
        ("broken", "cat.png could not be read"),
    ):
        assert run(root, tmp_path / "out", "--concepts", str(tmp_path / folder)) == 2
        assert message in capsys.readouterr().err
    assert run(root, tmp_path / "file") == 2
    assert "is a file: give a folder" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run(root, tmp_path / "out", "--rate", "0")
    assert not (tmp_path / "out").exists()
