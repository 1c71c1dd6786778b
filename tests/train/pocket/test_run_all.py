"""One command trains it all: in order, going on after a failure, nothing shipped before the end."""

import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from lambda_eclipse.manifest import verify
from train.loop import loop, options
from train.pocket import run_all as everything


def run(monkeypatch: pytest.MonkeyPatch, *line: object) -> None:
    monkeypatch.setattr("sys.argv", ["train.pocket.run_all", *map(str, line)])
    everything.main()


def test_every_command_knows_its_options(tmp_path: Path) -> None:
    shared = Path(loop.__file__).read_text() + Path(options.__file__).read_text()
    for module, *arguments in everything.steps(tmp_path).values():
        spec = find_spec(module)
        if spec is not None and spec.submodule_search_locations:
            spec = find_spec(f"{module}.__main__")
        assert spec is not None and spec.origin is not None, module
        source = Path(spec.origin).read_text()
        for option in (a for a in arguments if a.startswith("--")):
            assert f'"{option}"' in source or f'"{option}"' in shared, (module, option)


def test_it_goes_on_where_it_stopped_and_ships_at_the_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    runs, out, called = tmp_path / "runs", tmp_path / "out", []
    broken = ["train.pocket.clip"]

    def fake(command: list[str]) -> subprocess.CompletedProcess:
        called.append(command[2])
        if command[2] in broken:
            return subprocess.CompletedProcess(command, 1)
        if "--export" in command:
            folder = Path(command[command.index("--export") + 1])
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "weights.safetensors").write_bytes(command[2].encode())
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(everything.subprocess, "run", fake)
    run(monkeypatch, "--runs", runs, "--out", out, "--dry-run")
    assert not called and not runs.exists()
    with pytest.raises(SystemExit, match="clip failed"):
        run(monkeypatch, "--runs", runs, "--out", out)
    assert called[-1] == "train.pocket.clip" and not out.exists()
    before = len(called)
    broken.clear()
    run(monkeypatch, "--runs", runs, "--out", out)
    assert called[before] == "train.pocket.clip"
    assert len(called) == len(everything.steps(runs)) + 1  # the broken step twice
    assert (out / "prior" / "weights.safetensors").read_bytes() == b"train.pocket.prior"
    verify(out / "manifest.json", out / "prior")
    assert "hours in all" in capsys.readouterr().out
