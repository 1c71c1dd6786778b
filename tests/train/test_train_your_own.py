"""The documented path on two cores, in a smaller setting: pictures, features, a prior, the app."""

import json
from importlib import import_module
from pathlib import Path

import pytest
from repository import ROOT
from torch.distributed.run import get_args_parser

from lambda_eclipse.__main__ import main as paint
from train.data import features
from train.prior import __main__ as prior
from train.world import interleaved as stickers

TRAINING = ROOT / "docs" / "train.md"


def test_from_pictures_to_a_prior_in_the_app(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    shards, vectors, run = (tmp_path / name for name in ("shards", "features", "run"))
    monkeypatch.setattr(
        "sys.argv", ["train.world.interleaved", "--out", str(shards), "--count", "12"]
    )
    stickers.main()
    line = ["--shards", shards, "--stack", "pocket", "--out", vectors, "--device", "cpu"]
    features.main([str(word) for word in line])
    assert "10 training and 2 validation examples" in capsys.readouterr().out
    line = ["--features", vectors, "--preset", "pocket", "--steps", 2, "--batch", 4, "--run", run]
    line += ["--from", ROOT / "assets/pocket/prior", "--device", "cpu", "--workers", 0]
    prior.main([str(word) for word in line])
    painted = ["--stack", "pocket", "--device", "cpu", "--prior", str(run / "prior")]
    out = ["--seed", "1", "--out", str(tmp_path / "pictures")]
    assert paint(["generate", "--prompt", "a cat on the beach", *painted, *out]) == 0
    assert (tmp_path / "pictures" / "1.png").is_file()
    losses = [json.loads(text) for text in (run / "log.jsonl").read_text().splitlines()]
    assert losses[-1]["step"] == 2


def test_the_documented_commands_have_these_options(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    text = TRAINING.read_text()
    part = text[text.index("## Train a prior on your pictures") :]
    part = part.replace("\\\n", " ").replace("-m -- ", "-m ")
    lines = [line for line in part.splitlines() if "-m train." in line]
    assert len(lines) >= 6
    for line in lines:
        words = line.replace("`", "").split()
        name = words[words.index("-m") + 1]
        module = import_module(name)
        if hasattr(module, "__path__"):
            module = import_module(f"{name}.__main__")
        monkeypatch.setattr("sys.argv", [name, "--help"])
        with pytest.raises(SystemExit) as stopped:
            module.main()
        assert stopped.value.code == 0
        told = capsys.readouterr().out
        for option in (word for word in words[words.index("-m") + 2 :] if word.startswith("--")):
            assert option in told, (name, option)


def test_torchrun_takes_the_documented_line() -> None:
    text = TRAINING.read_text()
    [line] = [line for line in text.splitlines() if line.startswith(".venv/bin/torchrun")]
    given = get_args_parser().parse_args(line.split()[1:])
    assert given.module and given.nproc_per_node == "2"
    assert "train.prior" in (given.training_script, given.training_script_args[0])
    assert "--run" in given.training_script_args
