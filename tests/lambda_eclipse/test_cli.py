"""The command line: files, one line of JSON each; errors on one line with exit code 2."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageDraw
from repository import ROOT
from small_stack import write_stack

from lambda_eclipse import pipeline
from lambda_eclipse.__main__ import main
from lambda_eclipse.mark.keys import signing_key


@pytest.fixture(scope="module")
def variables(tmp_path_factory) -> dict[str, str]:
    sources = write_stack(tmp_path_factory.mktemp("hub"))
    return {f"LAMBDA_ECLIPSE_KANDINSKY_{part.upper()}": path for part, path in sources.items()}


@pytest.fixture
def stack(variables, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def no_models(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("models were read for a request that cannot work")

    monkeypatch.setattr(pipeline.Studio, "open", refuse)


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """An empty working folder but for four pictures."""
    for name, colour in (("cat", "orange"), ("cat2", "gray"), ("hat", "navy"), ("hat2", "red")):
        image = Image.new("RGB", (64, 64), "white")
        ImageDraw.Draw(image).ellipse((10, 10, 50, 50), fill=colour)
        image.save(tmp_path / f"{name}.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMMON = "--stack kandinsky --device cpu --steps 1".split()
PROMPT = "--prompt=a cat wearing a hat"
GENERATE = ["generate", *COMMON, PROMPT, "--subject", "cat=cat.png", "--subject", "hat=hat.png"]
GRID = ["grid", *COMMON, PROMPT, "--a", "cat=cat.png,cat2.png", "--b", "hat=hat.png,hat2.png"]


def test_generate(stack, here, capsys):
    out = "--seed 5 --count 3 --canny cat2.png --guidance 2 --out results/new".split()
    assert main(GENERATE + out) == 0
    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.out.splitlines()]
    assert [line["seed"] for line in lines] == [5, 6, 7]
    assert captured.err == ""
    for line in lines:
        assert set(line) == {"path", "seed", "seconds"} and line["seconds"] > 0
        assert Image.open(line["path"]).size == (64, 64)
    assert sorted(p.name for p in (here / "results/new").iterdir()) == ["5.png", "6.png", "7.png"]


DOGS = ["generate", *COMMON, "--prompt", "a hot dog stand next to a dog", "--out", "o"]


def test_a_mention_is_chosen_where_it_is_open(stack, here, capsys, monkeypatch):
    (here / "a#2=b.png").write_bytes((here / "cat.png").read_bytes())
    asked = []
    monkeypatch.setattr(
        pipeline.Studio, "generate", lambda self, request, on_step: asked.append(request) or []
    )
    for named in ("dog#2=cat.png", "dog#all=a#2=b.png", "dog # 1=cat.png", "hot dog=a#2=b.png"):
        assert main([*DOGS, "--subject", named]) == 0, capsys.readouterr().err
    subjects = [request.subjects[0] for request in asked]
    assert [(one.noun, one.occurrence) for one in subjects] == [
        ("dog", 1),
        ("dog", "all"),
        ("dog", 0),
        ("hot dog", None),
    ]
    asked.clear()
    assert main([*DOGS, "--subject", "dog=cat.png", "--subject", "hot dog=hat.png"]) == 0


def test_the_same_seed_paints_the_same_picture(stack, here, capsys):
    for out in ("one", "two"):
        assert main([*GENERATE, "--seed", "5", "--out", out]) == 0
    one, two = (Image.open(here / name / "5.png").tobytes() for name in ("one", "two"))
    assert one == two


def test_a_seed_is_drawn_and_told(stack, here, capsys):
    assert main([*GENERATE, "--out", "."]) == 0
    line = json.loads(capsys.readouterr().out)
    assert (here / f"{line['seed']}.png").is_file()


def test_grid(stack, here, capsys):
    assert main([*GRID, *"--size 3 --mode lerp --seed 4 --out deep/square.png".split()]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["path"] == str(Path("deep/square.png")) and line["seed"] == 4
    sheet = Image.open(here / line["path"])
    assert min(sheet.size) >= 3 * 64
    assert [p.name for p in (here / "deep").iterdir()] == ["square.png"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([], "COMMAND"),
        (["paint"], "paint"),
        (["generate", "--prompt", "a cat"], "--out"),
        ([*GENERATE, "--out", "o", "--seed", "x"], "--seed"),
        ([*GENERATE, "--out", "o", "--seed", "-1"], "seed is -1"),
        ([*GENERATE, "--out", "o", "--seed", "99999999999"], "seed"),
        ([*GENERATE, "--out", "o", "--count", "99"], "between 1 and 16"),
        ([*GENERATE, "--out", "o", "--guidance", "nan"], "guidance"),
        ([*GENERATE, "--out", "o", "--subject", "hat"], "NOUN=PATH"),
        ([*GENERATE, "--out", "o", "--subject", "=x.png"], "NOUN=PATH"),
        ([*GENERATE, "--out", "o", "--subject", "hat=none.png"], "none.png"),
        ([*GENERATE, "--out", "o", "--canny", "none.png"], "edge picture none.png"),
        ([*GENERATE, *["--subject", "hat=hat.png"] * 3, "--out", "o"], "5 subjects"),
        (["generate", "--prompt", " ", "--out", "o"], "prompt is empty"),
        ([*GENERATE, "--out", "cat.png"], "is a file"),
        (
            [*DOGS, "--subject", "dog=cat.png"],
            'dog#1 for "a hot [dog] stand next to", dog#2 for "next to a [dog]"; or dog#all',
        ),
        ([*DOGS, "--subject", "dog#3=cat.png"], "no occurrence number 3"),
        ([*DOGS, "--subject", "dog#0=cat.png"], "dog#1"),
        ([*DOGS, "--subject", "bird=cat.png"], "bird"),
        ([*GRID, "--out", "o.png", "--prompt", "a cat, a cat and a hat"], "cat#2"),
        ([*GRID, "--out", "o.png", "--size", "1"], "--size 1"),
        ([*GRID, "--out", "o.png", "--mode", "other"], "--mode"),
        ([*GRID, "--out", "square.jpg"], ".png"),
        ([*GRID, "--out", "o.png", "--a", "cat=cat.png"], "NOUN=PATH,PATH"),
        ([*GRID, "--out", "o.png", "--b", "hat=hat.png,none.png"], "none.png"),
    ],
)
def test_errors_before_any_model_is_read(no_models, here, capsys, arguments, message):
    before = sorted(here.rglob("*"))
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1 and message in captured.err
    assert "Traceback" not in captured.err
    assert sorted(here.rglob("*")) == before


@pytest.mark.parametrize(
    "arguments, message",
    [
        ([*GENERATE, "--subject", "dog=cat.png", "--out", "o"], "dog"),
        ([*GENERATE, "--out", "o", "--stack", "other"], 'no stack "other"'),
        ([*GENERATE, "--out", "o", "--device", "tpu"], 'no device "tpu"'),
        ([*GRID, "--out", "o.png", "--prompt", "a cat"], "hat"),
    ],
)
def test_errors_of_the_models(stack, here, capsys, arguments, message):
    before = sorted(here.rglob("*"))
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and message in captured.err
    assert sorted(here.rglob("*")) == before


def test_weights_that_are_not_there(stack, here, capsys, monkeypatch):
    monkeypatch.setenv("LAMBDA_ECLIPSE_KANDINSKY_PRIOR", str(here / "nowhere"))
    assert main([*GENERATE, "--out", "o"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "LAMBDA_ECLIPSE_KANDINSKY_PRIOR" in error


def test_nothing_half_written_on_a_full_disk(stack, here, capsys, monkeypatch):
    signing_key()  # it is written only once
    original, saved = Path.write_bytes, []

    def write(path, data):
        saved.append(1)
        if len(saved) == 2:
            original(path, b"half")
            raise OSError("no space left on device")
        return original(path, data)

    monkeypatch.setattr(Path, "write_bytes", write)
    assert main([*GENERATE, "--count", "3", "--out", "o"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "error: no space left on device\n" and captured.out == ""
    assert list((here / "o").iterdir()) == []


def test_interrupted(stack, here, capsys, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline.Studio, "generate", interrupt)
    assert main([*GENERATE, "--out", "o"]) == 130
    assert capsys.readouterr().err == "stopped\n" and not (here / "o").exists()


@pytest.mark.parametrize("command", [[], ["generate"], ["grid"]])
def test_help(command, capsys):
    with pytest.raises(SystemExit) as exit_:
        main([*command, "--help"])
    shown = capsys.readouterr().out
    assert exit_.value.code == 0 and "usage: python -m lambda_eclipse" in shown
    for word in {
        "generate": ["NOUN=PATH", "NOUN#2", "NOUN#all", "--canny", "example:"],
        "grid": ["--mode", "Fig. 7"],
    }.get("".join(command), ["generate", "grid"]):
        assert word in shown


def run(arguments: list[str], **options) -> subprocess.CompletedProcess:
    root = ROOT
    return subprocess.run(
        [sys.executable, "-m", "lambda_eclipse", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(root), **options},
    )


def test_as_a_program(variables, here):
    done = run([*GENERATE, "--seed", "1", "--out", "o"], **variables)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["seed"] == 1
    failed = run([*GENERATE, "--subject", "dog=cat.png", "--out", "o"], **variables)
    assert failed.returncode == 2 and failed.stdout == "" and failed.stderr.count("\n") == 1
