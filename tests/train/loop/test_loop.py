"""The training loop: an interrupted run ends as the uninterrupted one, bit for bit."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from train.loop import loop
from train.loop.loop import Run, generator, learning_rate_factor, resume, train

STEPS, BATCH = 12, 8


class Small(nn.Module):
    """Two layers with buffers between them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(6, 16), nn.BatchNorm1d(16), nn.SiLU(), nn.Linear(16, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def build(folder: Path, ema_decay: float | None = 0.9, seed: int = 0) -> Run:
    torch.manual_seed(seed)
    model, teacher = Small(), nn.Linear(6, 3)

    def compute_loss(step: int) -> dict[str, Tensor]:
        inputs = torch.randn(BATCH, 6, generator=generator(seed, step))  # (B, 6)
        error = (model(inputs) - teacher(inputs)).square().mean()
        return {"loss": error, "error": error}

    def evaluate(weights: nn.Module) -> dict[str, float]:
        assert not weights.training
        with torch.no_grad():
            return {"held": float(weights(torch.ones(1, 6)).sum())}

    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    return Run(
        folder, model, optimizer, STEPS, BATCH, compute_loss, evaluate,
        warmup=3, ema_decay=ema_decay, report_every=4, evaluations=3, save_every=100,
    )  # fmt: skip


def same_weights(one: nn.Module, two: nn.Module) -> bool:
    ours, theirs = one.state_dict(), two.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


def same_state(one: object, two: object) -> bool:
    """Whether nested containers hold the same tensors and values."""
    if isinstance(one, Tensor):
        return isinstance(two, Tensor) and torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same_state(one[k], two[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(same_state, one, two))
    return one == two


def log(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("ema_decay", [None, 0.9])
@pytest.mark.parametrize("cuts", [(5,), (1, 4, 4), (11,)])
def test_a_resumed_run_is_the_uninterrupted_one(
    tmp_path: Path, ema_decay: float | None, cuts: tuple[int, ...]
) -> None:
    whole = build(tmp_path / "whole", ema_decay)
    finished = train(whole)
    for steps in cuts:
        train(build(tmp_path / "cut", ema_decay), stop_after=steps)
        torch.randn(17)  # nothing may hang on the global random state
    resumed = build(tmp_path / "cut", ema_decay)
    again = train(resumed)
    assert same_weights(finished, again)
    assert same_weights(whole.model, resumed.model)
    assert same_state(whole.optimizer.state_dict(), resumed.optimizer.state_dict())
    evaluations = [[line for line in log(tmp_path / n) if "held" in line] for n in ("whole", "cut")]
    assert evaluations[0] == evaluations[1]
    assert [line["step"] for line in evaluations[0]] == [4, 8, STEPS]


def test_training_changes_the_model_and_its_loss_goes_down(tmp_path: Path) -> None:
    run = build(tmp_path)
    before = run.compute_loss(0)["loss"].item()
    train(run)
    assert run.compute_loss(0)["loss"].item() < before


def test_what_is_returned_is_the_average_if_there_is_one(tmp_path: Path) -> None:
    averaged, plain = build(tmp_path / "a"), build(tmp_path / "b", ema_decay=None)
    mean, last = train(averaged), train(plain)
    assert mean is averaged.ema and last is plain.model
    assert same_weights(averaged.model, last)  # averaging does not touch the training
    assert not same_weights(mean, last)
    assert not mean.training and not any(p.requires_grad for p in mean.parameters())
    for name, buffer in mean.named_buffers():  # statistics are the model's own
        assert torch.equal(buffer, dict(averaged.model.named_buffers())[name])


def test_a_finished_run_is_only_loaded(tmp_path: Path) -> None:
    finished = train(build(tmp_path))
    lines = log(tmp_path)
    run = build(tmp_path)
    run.compute_loss = lambda step: pytest.fail("a finished run trained on")
    assert same_weights(train(run), finished)
    assert log(tmp_path) == lines


def test_a_half_written_checkpoint_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished = train(build(tmp_path / "whole"))
    train(build(tmp_path / "cut"), stop_after=5)
    kept = (tmp_path / "cut" / "checkpoint.pt").read_bytes()

    def killed(state: dict, path: Path) -> None:
        path.write_bytes(kept[: len(kept) // 2])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop.torch, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            train(build(tmp_path / "cut"), stop_after=3)
    assert (tmp_path / "cut" / "checkpoint.pt").read_bytes() == kept
    assert (tmp_path / "cut" / "checkpoint.pt.part").exists()
    again = build(tmp_path / "cut")
    assert same_weights(train(again), finished)
    assert not (tmp_path / "cut" / "checkpoint.pt.part").exists()


def test_checkpoints_are_written_on_the_way(tmp_path: Path) -> None:
    run = build(tmp_path)
    run.save_every = 4
    healthy = run.compute_loss

    def dies_at_ten(step: int) -> dict[str, Tensor]:
        if step == 10:
            raise KeyboardInterrupt
        return healthy(step)

    run.compute_loss = dies_at_ten
    with pytest.raises(KeyboardInterrupt):
        train(run)
    fresh = build(tmp_path)
    fresh.ema = Small()
    assert resume(fresh)[0] == 8


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_gradients_that_are_not_finite_stop_the_run(tmp_path: Path, value: float) -> None:
    train(build(tmp_path), stop_after=6)
    kept = (tmp_path / "checkpoint.pt").read_bytes()
    run = build(tmp_path)
    healthy = run.compute_loss

    def broken(step: int) -> dict[str, Tensor]:
        parts = healthy(step)
        return {**parts, "loss": parts["loss"] * (value if step == 8 else 1.0)}

    run.compute_loss = broken
    with pytest.raises(FloatingPointError, match="step 8"):
        train(run)
    assert all(torch.isfinite(p).all() for p in run.model.parameters())
    assert (tmp_path / "checkpoint.pt").read_bytes() == kept


def test_gradients_are_clipped(tmp_path: Path) -> None:
    run = build(tmp_path)
    healthy = run.compute_loss
    run.compute_loss = lambda step: {"loss": 1e6 * healthy(step)["loss"]}
    train(run, stop_after=1)
    norms = [p.grad.norm() for p in run.model.parameters() if p.grad is not None]
    assert float(torch.stack(norms).norm()) == pytest.approx(run.max_norm, rel=1e-4)


def test_the_learning_rate_warms_up_and_falls() -> None:
    factors = [learning_rate_factor(step, 100, 10) for step in range(100)]
    assert factors[0] == pytest.approx(0.1) and factors[9] == factors[10] == 1
    assert factors[:10] == sorted(factors[:10])
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert 0.02 < factors[-1] < 0.03
    assert learning_rate_factor(100, 100, 10) == pytest.approx(0.02)
    assert learning_rate_factor(0, 100, 0) == 1


def test_the_rate_of_a_step_does_not_depend_on_where_the_run_was_cut(tmp_path: Path) -> None:
    def rates(cuts: tuple[int, ...], folder: Path) -> list[float]:
        seen: list[float] = []

        def watched() -> Run:
            run = build(folder)
            healthy = run.compute_loss

            def compute_loss(step: int) -> dict[str, Tensor]:
                seen.append(run.optimizer.param_groups[0]["lr"])
                return healthy(step)

            run.compute_loss = compute_loss
            return run

        for stop_after in cuts:
            train(watched(), stop_after)
        return seen

    expected = [1e-2 * learning_rate_factor(step, STEPS, 3) for step in range(STEPS)]
    assert rates((STEPS,), tmp_path / "whole") == pytest.approx(expected)
    assert rates((2, 5, 5), tmp_path / "cut") == pytest.approx(expected)


def test_every_step_and_stream_has_its_own_random_numbers() -> None:
    drawn = {
        tuple(torch.randn(2, generator=generator(seed, step, stream)).tolist())
        for seed in range(3) for step in range(20) for stream in range(3)
    }  # fmt: skip
    assert len(drawn) == 180
    one, two = (torch.randn(4, generator=generator(1, 2, 3)) for _ in range(2))
    assert torch.equal(one, two)


def test_reports_count_the_training_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: clock.now))

    def timed() -> Run:
        run = build(tmp_path)
        healthy, judge = run.compute_loss, run.evaluate

        def two_seconds(step: int) -> dict[str, Tensor]:
            clock.now += 2.0
            return healthy(step)

        def a_minute(weights: nn.Module) -> dict[str, float]:
            clock.now += 60.0
            return judge(weights)

        run.compute_loss, run.evaluate = two_seconds, a_minute
        return run

    train(timed(), stop_after=7)
    train(timed())
    reports = [line for line in log(tmp_path) if "ms_per_sample" in line]
    # every fourth step, and where a call ended
    assert [line["step"] for line in reports] == [4, 7, 8, 12]
    assert all(line["ms_per_sample"] == pytest.approx(2000 / BATCH) for line in reports)
    assert all({"loss", "error", "hours"} <= line.keys() for line in reports)
    hours = [line["hours"] for line in reports]
    assert hours == sorted(hours)
