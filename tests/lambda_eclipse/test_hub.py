"""Downloads by huggingface_hub's own client, from a hub on this machine."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import huggingface_hub
import pytest
from fake_hub import FakeHub, serving
from repository import ROOT
from small_stack import write_stack

from lambda_eclipse import downloads, hub, locations, stacks
from lambda_eclipse.downloads import Progress
from lambda_eclipse.hub import RemoteFile
from lambda_eclipse.messages import Stopped
from lambda_eclipse.stacks import PARTS, STACKS
from lambda_eclipse.weights import WeightsError

ROW = STACKS["kandinsky"]
REPOS = {part: getattr(ROW, part) for part in PARTS}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("hub")
    return {REPOS[part]: Path(path) for part, path in write_stack(root).items()}


@pytest.fixture
def served(folders, tmp_path, monkeypatch):
    """A hub with the stack's repositories, and an empty cache."""
    for path in folders.values():
        (path / "pytorch_model.bin").write_bytes(b"a pickle")
    with serving(dict(folders)) as running:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", running.url)
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(hub, "PINS", dict(running.commits))
        yield running


def test_only_what_is_read_is_downloaded_and_once(served, folders):
    said = []
    places = locations.folders(ROW, report=said.append)
    asked = {name for name, _ in served.asked}
    assert "open_clip_model.safetensors" in asked and not any("bin" in name for name in asked)
    for part in PARTS:
        for path in places[part].folder.rglob("*.*"):
            original = folders[REPOS[part]] / path.relative_to(places[part].folder)
            assert path.read_bytes() == original.read_bytes()
    assert "downloading unet/diffusion_pytorch_model.safetensors: " in "\n".join(map(str, said))
    served.asked.clear()
    served.listed = 0
    assert locations.folders(ROW).keys() == places.keys()
    assert not served.asked and not served.listed, "nothing is asked of the hub again"


def test_other_programs_find_it_in_the_cache(served):
    place = locations.folders(ROW)["prior"]
    found = huggingface_hub.try_to_load_from_cache(REPOS["prior"], "config.json")
    assert Path(str(found)) == place.folder / "config.json"


def test_main_of_other_programs_is_left_alone(served):
    ref = hub.cache_of(REPOS["prior"]) / "refs" / "main"
    ref.parent.mkdir(parents=True)
    ref.write_text("d" * 40)
    assert locations.folders(ROW)["prior"].folder.name == hub.PINS[REPOS["prior"]]
    assert ref.read_text() == "d" * 40


def test_a_stopped_download_goes_on(served, folders):
    name = "diffusion_pytorch_model.safetensors"
    [snapshot] = [hub.find(REPOS["prior"], lambda names: (name,))]

    def stop(text):
        raise Stopped("enough")

    part = downloads._part(snapshot, snapshot.files[0])
    part.parent.mkdir(parents=True)
    content = (folders[REPOS["prior"]] / name).read_bytes()
    part.write_bytes(content[:1234])
    with pytest.raises(Stopped):
        downloads.fetch([snapshot], stop)
    assert part.stat().st_size >= 1234
    downloads.fetch([snapshot], lambda text: None)
    assert served.asked[-1] == (name, 1234)
    assert (snapshot.folder / name).read_bytes() == content
    assert not part.exists()


def test_what_arrived_broken_is_not_kept(served):
    name = "diffusion_pytorch_model.safetensors"
    snapshot = hub.find(REPOS["prior"], lambda names: (name,))
    part = downloads._part(snapshot, snapshot.files[0])
    part.parent.mkdir(parents=True)
    part.write_bytes(b"?" * 1234)
    with pytest.raises(WeightsError, match=r"safetensors of .* does not match its checksum"):
        downloads.fetch([snapshot], lambda text: None)
    assert not part.exists() and not (snapshot.folder / name).exists()


def test_space_is_checked_before(served, monkeypatch):
    full = shutil.disk_usage("/")._replace(free=10**8)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(WeightsError, match=r"needs 0\.5\d GB in .*0\.10 GB are free.*HF_HOME"):
        locations.folders(ROW)
    assert not served.asked


def test_pinned_or_newest(served, monkeypatch):
    repo = REPOS["prior"]
    old = locations.place(ROW, "prior").folder
    downloads.fetch([hub.find(repo, lambda names: ("config.json",))], lambda text: None)
    served.commits[repo] = "f" * 40  # somebody published another commit
    assert locations.place(ROW, "prior", newest=True).folder.name == "f" * 40
    assert old.name == hub.PINS[repo]
    gone = hub.find(repo, lambda names: ("config.json",))
    assert gone.commit == "f" * 40, "a pin that the hub no longer has gives way to the newest"


def test_in_half_precision_the_smaller_source_comes_first(served, folders, monkeypatch):
    with pytest.raises(WeightsError, match="no repository kandinsky"):
        hub.find(str(ROW.half_clip), lambda names: None)
    assert stacks.sources_of(ROW, "clip", half=True) == (ROW.half_clip, ROW.clip)
    assert stacks.sources_of(ROW, "clip") == (ROW.clip, ROW.half_clip)
    assert stacks.sources_of(ROW, "clip", {"clip": "/mine"}, True) == ("/mine",)
    place = locations.place(ROW, "clip", half=True)
    assert place.source == ROW.clip, "the hub has no other"
    served.repos[str(ROW.half_clip)] = folders[ROW.clip]
    served.commits[str(ROW.half_clip)] = "e" * 40
    assert locations.place(ROW, "clip", half=True).source == ROW.half_clip
    locations.folders(ROW)
    assert locations.place(ROW, "clip", half=True).source == ROW.clip, "it is here already"


def test_errors_name_a_way_out(served, monkeypatch):
    with pytest.raises(WeightsError, match=r"no layout that can be read \(safetensors only\)"):
        hub.find(REPOS["prior"], lambda names: None)
    with pytest.raises(WeightsError, match="LAMBDA_ECLIPSE_KANDINSKY_CLIP"):
        locations.place(replace(ROW, clip="owner/none", half_clip=None), "clip")
    with pytest.raises(WeightsError, match="neither an existing folder"):
        locations.place(replace(ROW, prior="/nowhere/at/all"), "prior")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE forbids"):
        locations.place(ROW, "prior")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WeightsError, match=r"Could not download .* from http://127.0.0.1:9"):
        locations.place(ROW, "prior")


@pytest.mark.slow
def test_the_clients_variables_work(served: FakeHub, tmp_path):
    """HF_ENDPOINT, HF_HOME and HF_HUB_OFFLINE in a process of its own."""
    code = (
        "import json; from lambda_eclipse import locations, stacks; "
        "found = locations.folders(stacks.STACKS['kandinsky']); "
        "print(json.dumps({part: str(place.folder) for part, place in found.items()}))"
    )

    def run(**variables: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), **variables}
        command = [sys.executable, "-c", code]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)

    first = run(HF_ENDPOINT=served.url)
    assert first.returncode == 0, first.stderr
    assert all(str(tmp_path / "home") in path for path in json.loads(first.stdout).values())
    again = run(HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_OFFLINE="1")
    assert again.returncode == 0 and again.stdout == first.stdout
    shutil.rmtree(tmp_path / "home")
    assert "HF_HUB_OFFLINE forbids" in run(HF_HUB_OFFLINE="1").stderr


def test_progress_says_file_bytes_speed_and_time_left(tmp_path):
    now, said = [0.0], []
    progress = Progress(10_000_000_000, said.append, lambda: now[0])
    part = tmp_path / "part"
    part.write_bytes(b"x" * 1000)
    progress.begin(RemoteFile("unet.safetensors", 1, "b", None), part)
    for _ in range(10):
        now[0] += 1.0
        progress.update(50_000_000)
    assert str(said[0]) == "downloading unet.safetensors: 0.00 of 10.00 GB"
    assert str(said[-1]) == (
        "downloading unet.safetensors: 0.50 of 10.00 GB · 50.0 MB/s · 3:10 left"
    )
    count = len(said)
    for _ in range(100):
        now[0] += 0.001
        progress.update(1)
    assert len(said) == count, "not at every packet"
