"""The training loop: an interrupted run ends as the uninterrupted one, bit for bit."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn
from trainings import loss_of, same_weights

from train.loop import checkpoints, progress
from train.loop.loop import begin, train
from train.loop.task import Losses, Settings, Task, generator

SETTINGS = Settings(
    steps=12,
    batch=8,
    rate=1e-2,
    betas=(0.9, 0.999),
    weight_decay=0.01,
    warmup=3,
    ema_decay=0.9,
    report_every=4,
    evaluations=3,
    save_every=100,
)
STEPS = SETTINGS.steps


class Small(nn.Module):
    """Two layers with buffers between them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(6, 16), nn.BatchNorm1d(16), nn.SiLU(), nn.Linear(16, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def build() -> Task:
    torch.manual_seed(SETTINGS.seed)
    model, teacher = Small(), nn.Linear(6, 3)

    def loss(step: int) -> Losses:
        inputs = torch.randn(SETTINGS.batch, 6, generator=generator(SETTINGS.seed, step))  # (B, 6)
        error = (model(inputs) - teacher(inputs)).square().mean()
        return {"loss": error, "error": error}

    def evaluate(weights: nn.Module) -> dict[str, float]:
        assert not weights.training
        with torch.no_grad():
            return {"held": float(weights(torch.ones(1, 6)).sum())}

    return Task(model, loss, evaluate)


def spied(task: Task, before: Callable[[int], object]) -> Task:
    """The task, with a call before each loss."""

    def loss(step: int) -> Losses:
        before(step)
        return task.loss(step)

    return replace(task, loss=loss)


def log(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def optimizer_state(folder: Path) -> dict:
    return checkpoints.read(folder / "checkpoint.pt")["optimizer"]


@pytest.mark.parametrize("ema_decay", [None, 0.9])
@pytest.mark.parametrize("cuts", [(5,), (1, 4, 4), (11,)])
def test_a_resumed_run_is_the_uninterrupted_one(
    tmp_path: Path, ema_decay: float | None, cuts: tuple[int, ...]
) -> None:
    settings = replace(SETTINGS, ema_decay=ema_decay)
    whole, resumed = build(), build()
    result = train(whole, settings, tmp_path / "whole")
    for steps in cuts:
        train(build(), settings, tmp_path / "cut", stop_after=steps)
        torch.randn(17)  # the global random state must not matter
    again = train(resumed, settings, tmp_path / "cut")
    assert same_weights(result, again)
    assert same_weights(whole.model, resumed.model)
    one, two = (optimizer_state(tmp_path / name) for name in ("whole", "cut"))
    assert one["param_groups"] == two["param_groups"]
    for number, moments in one["state"].items():
        assert all(torch.equal(moments[name], two["state"][number][name]) for name in moments)
    evaluations = [[line for line in log(tmp_path / n) if "held" in line] for n in ("whole", "cut")]
    assert evaluations[0] == evaluations[1]
    assert [line["step"] for line in evaluations[0]] == [4, 8, STEPS]


def test_training_lowers_the_loss(tmp_path: Path) -> None:
    task = build()
    before = loss_of(task)
    train(task, SETTINGS, tmp_path)
    assert loss_of(task) < before


def test_the_average_is_returned_if_there_is_one(tmp_path: Path) -> None:
    averaged, plain = build(), build()
    mean = train(averaged, SETTINGS, tmp_path / "a")
    last = train(plain, replace(SETTINGS, ema_decay=None), tmp_path / "b")
    assert last is plain.model
    assert same_weights(averaged.model, last)  # averaging does not change the training
    assert not same_weights(mean, last)
    assert not mean.training and not any(p.requires_grad for p in mean.parameters())
    for name, buffer in mean.named_buffers():  # statistics are the model's own
        assert torch.equal(buffer, dict(averaged.model.named_buffers())[name])


def test_a_finished_run_is_only_loaded(tmp_path: Path) -> None:
    result = train(build(), SETTINGS, tmp_path)
    lines = log(tmp_path)
    task = spied(build(), lambda step: pytest.fail("a finished run trained on"))
    assert same_weights(train(task, SETTINGS, tmp_path), result)
    assert log(tmp_path) == lines


def test_a_half_written_checkpoint_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = train(build(), SETTINGS, tmp_path / "whole")
    train(build(), SETTINGS, tmp_path / "cut", stop_after=5)
    kept = (tmp_path / "cut" / "checkpoint.pt").read_bytes()
    # A process killed by force leaves its temporary file.
    leftover = tmp_path / "cut" / ".checkpoint.pt.killed"
    leftover.write_bytes(kept[: len(kept) // 2])

    def killed(content: dict, file: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            train(build(), SETTINGS, tmp_path / "cut", stop_after=3)
    assert (tmp_path / "cut" / "checkpoint.pt").read_bytes() == kept
    assert same_weights(train(build(), SETTINGS, tmp_path / "cut"), result)
    assert not leftover.exists()


def test_checkpoints_are_written_on_the_way(tmp_path: Path) -> None:
    def dies_at_ten(step: int) -> None:
        if step == 10:
            raise KeyboardInterrupt

    settings = replace(SETTINGS, save_every=4)
    with pytest.raises(KeyboardInterrupt):
        train(spied(build(), dies_at_ten), settings, tmp_path)
    state = begin(build(), settings)
    checkpoints.resume(state, tmp_path, {})
    assert state.step == state.saved == 8


def test_kept_weights_are_those_of_each_evaluation(tmp_path: Path) -> None:
    result = train(build(), SETTINGS, tmp_path, keep=True)
    assert sorted(path.name for path in tmp_path.glob("weights-*")) == [
        "weights-12.pt",
        "weights-4.pt",
        "weights-8.pt",
    ]
    last = Small()
    last.load_state_dict(torch.load(tmp_path / "weights-12.pt", weights_only=True))
    assert same_weights(last, result)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_gradients_that_are_not_finite_stop_the_run(tmp_path: Path, value: float) -> None:
    train(build(), SETTINGS, tmp_path, stop_after=6)
    kept = (tmp_path / "checkpoint.pt").read_bytes()
    task = build()

    def loss(step: int) -> Losses:
        losses = task.loss(step)
        return {**losses, "loss": losses["loss"] * (value if step == 8 else 1.0)}

    with pytest.raises(FloatingPointError, match="step 8"):
        train(replace(task, loss=loss), SETTINGS, tmp_path)
    assert all(torch.isfinite(p).all() for p in task.model.parameters())
    assert (tmp_path / "checkpoint.pt").read_bytes() == kept


def test_gradients_are_clipped(tmp_path: Path) -> None:
    task = build()
    steep = replace(task, loss=lambda step: {"loss": 1e6 * task.loss(step)["loss"]})
    train(steep, SETTINGS, tmp_path, stop_after=1)
    norms = [p.grad.norm() for p in task.model.parameters() if p.grad is not None]
    assert float(torch.stack(norms).norm()) == pytest.approx(SETTINGS.max_norm, rel=1e-4)


def test_the_learning_rate_warms_up_and_falls() -> None:
    settings = replace(SETTINGS, steps=100, warmup=10)
    factors = [settings.rate_factor(step) for step in range(100)]
    assert factors[0] == pytest.approx(0.1) and factors[9] == factors[10] == 1
    assert factors[:10] == sorted(factors[:10])
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert 0.02 < factors[-1] < 0.03
    assert settings.rate_factor(100) == pytest.approx(0.02)
    assert replace(settings, warmup=0).rate_factor(0) == 1


def test_the_rate_of_a_step_does_not_depend_on_interruptions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates: list[float] = []
    step = torch.optim.AdamW.step

    def recorded(optimizer: torch.optim.AdamW, *arguments: object) -> object:
        rates.append(optimizer.param_groups[0]["lr"])
        return step(optimizer, *arguments)

    monkeypatch.setattr(torch.optim.AdamW, "step", recorded)
    expected = [SETTINGS.rate * SETTINGS.rate_factor(step) for step in range(STEPS)]
    for folder, cuts in (("whole", (STEPS,)), ("cut", (2, 5, 5))):
        rates.clear()
        for stop_after in cuts:
            train(build(), SETTINGS, tmp_path / folder, stop_after)
        assert rates == pytest.approx(expected)


def test_every_step_and_stream_has_its_own_random_numbers() -> None:
    drawn = {
        tuple(torch.randn(2, generator=generator(seed, step, stream)).tolist())
        for seed in range(3)
        for step in range(20)
        for stream in range(3)
    }
    assert len(drawn) == 180
    one, two = (torch.randn(4, generator=generator(1, 2, 3)) for _ in range(2))
    assert torch.equal(one, two)


def test_reports_count_the_training_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(perf_counter=lambda: clock.now))

    def wait(seconds: float) -> None:
        clock.now += seconds

    def timed() -> Task:
        task = spied(build(), lambda step: wait(2))

        def a_minute(weights: nn.Module) -> dict[str, float]:
            wait(60)
            return task.evaluate(weights)

        return replace(task, evaluate=a_minute)

    train(timed(), SETTINGS, tmp_path, stop_after=7)
    train(timed(), SETTINGS, tmp_path)
    reports = [line for line in log(tmp_path) if "ms_per_sample" in line]
    # Every fourth step, and where a call ended.
    assert [line["step"] for line in reports] == [4, 7, 8, 12]
    assert all(line["ms_per_sample"] == pytest.approx(2000 / SETTINGS.batch) for line in reports)
    assert all({"loss", "error", "hours"} <= line.keys() for line in reports)
    hours = [line["hours"] for line in reports]
    assert hours == sorted(hours)
