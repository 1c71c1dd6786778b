"""The text for a bug report: whole whatever is wrong, and without names and passwords."""

import re
from pathlib import Path

import pytest

from lambda_eclipse import doctor, stacks
from lambda_eclipse.__main__ import main


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """An empty cache."""
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


def test_it_says_what_there_is(nowhere, capsys):
    assert main(["doctor", "--no-pictures"]) == 0
    said = capsys.readouterr().out
    for title in ("packages", "devices and memory", "disk", "settings"):
        assert f"\n{title}\n  " in said
    for stack in stacks.STACKS:
        assert f"\nstack {stack}\n" in said
    assert re.search(r"torch \d+\.\d+", said) and re.search(r"memory: [\d.]+ of [\d.]+ GB", said)
    assert said.count("checksums right") == 3
    assert "clip: laion/CLIP-ViT-bigG-14-laion2B-39B-b160k is not here" in said
    assert re.search(r"on this CPU a picture of 50 steps takes about \d+ min", said)
    assert "failed" not in said


@pytest.mark.slow
def test_it_paints(nowhere):
    lines = list(doctor.report())
    [line] = [line for line in lines if "px on" in line]
    assert re.search(r"128 × 128 px on cpu, loaded in .* s, pixels [0-9a-f]{16}", line)
    assert "  picture: none, weights are missing" in lines


def test_damage_is_told_and_the_rest_follows(nowhere, monkeypatch, tmp_path):
    monkeypatch.setenv("LAMBDA_ECLIPSE_POCKET_PRIOR", str(tmp_path / "none"))
    monkeypatch.setattr(doctor, "_devices", lambda: iter([1 / 0]) if False else _broken())
    said = "\n".join(doctor.report(pictures=False))
    assert "failed: ZeroDivisionError" in said
    assert "prior: " in said and "neither an existing folder" in said
    assert "weights are missing" in said and "stack kandinsky" in said


def _broken():
    yield "before"
    yield str(1 / 0)


def test_names_and_passwords_are_left_out(monkeypatch):
    line = f"HTTPS_PROXY=http://me:secret@proxy:3128 in {Path.home()}/cache"
    assert doctor.tidy(line) == "HTTPS_PROXY=http://proxy:3128 in ~/cache"
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert "hf_secret" not in "\n".join(doctor._settings())
