"""Imports run one way: from a room to rooms of a lower rank, and never in a circle.

A room is a folder. What composes a whole tree (`ENTRIES`) stands above all rooms of that tree.
"""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest
from repository import ROOT

# Rooms from the ground up; the rooms of one row do not import each other.
RANKS: list[set[str]] = [
    {"lambda_eclipse"},
    {"lambda_eclipse/pocket", "lambda_eclipse/explore", "lambda_eclipse/mark"},
    {"lambda_eclipse/keep"},
    {"lambda_eclipse/insight"},
    {"lambda_eclipse/ui/i18n"},
    {"lambda_eclipse/ui/browser"},
    {"lambda_eclipse/ui"},
    {"lambda_eclipse/ui/widgets"},
    {"lambda_eclipse/ui/subjects", "lambda_eclipse/ui/results"},
    {"lambda_eclipse/ui/compose"},
    {"lambda_eclipse/ui/explore", "lambda_eclipse/ui/teach"},
    {"lambda_eclipse/ui/keep"},
    {"train/loop", "train/world/blender"},
    {"train/data"},
    {"train/data/caption_pipeline"},
    {"train/world", "train/prior"},
    {"train"},
    {"train/pocket"},
    {"train/pocket/prior"},
    {"train/measure"},
]
ENTRIES = {"app.py", "lambda_eclipse/__main__.py", "lambda_eclipse/ui/page.py"}
# The tables that name stacks and their networks.
TABLES = {"lambda_eclipse/stacks.py", "lambda_eclipse/networks.py"}
RANK = {room: rank for rank, rooms in enumerate(RANKS) for room in rooms}

# Slow or optional libraries, and the only modules that may import them.
OWNERS = {
    "open_clip": {
        "lambda_eclipse/clip.py",
        "lambda_eclipse/clip_model.py",
        "lambda_eclipse/tokens.py",
    },
    "timm": {"lambda_eclipse/pocket/tower.py"},
    "diffusers": {
        "lambda_eclipse/decoder.py",
        "lambda_eclipse/networks.py",
        "lambda_eclipse/pocket/movq.py",
        "lambda_eclipse/pocket/unet.py",
        "lambda_eclipse/samplers.py",
    },
    "huggingface_hub": {"lambda_eclipse/downloads.py", "lambda_eclipse/hub.py"},
    "transformers": {"lambda_eclipse/clip_pair.py"},
    "peft": {"lambda_eclipse/finetune.py"},
    "rembg": {"lambda_eclipse/masking.py"},
    "onnxruntime": {"lambda_eclipse/masking.py"},
    "c2pa": {"lambda_eclipse/mark/credentials.py"},
    "cryptography": {"lambda_eclipse/mark/keys.py"},
}


def sources(*folders: str) -> list[str]:
    """Paths of all modules below the folders, relative to the repository."""
    return sorted(
        str(path.relative_to(ROOT).as_posix())
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if path.name != "__init__.py"
    )


METHOD = [*sources("lambda_eclipse"), "app.py"]
ALL = [*METHOD, *sources("train")]


def imports(path: str, typing: bool = True) -> set[str]:
    """Dotted names that a module imports anywhere; those under TYPE_CHECKING if `typing`."""
    names = set()
    nodes = [ast.parse((ROOT / path).read_text(encoding="utf-8"))]
    for node in nodes:
        if not typing and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: import by full names"
            names |= {node.module or ""} | {f"{node.module}.{a.name}" for a in node.names}
        nodes += ast.iter_child_nodes(node)
    return names


def modules(path: str) -> set[str]:
    """Paths of the repository's modules that a module imports."""
    found = {name.replace(".", "/") + ".py" for name in imports(path)}
    return {name for name in found if (ROOT / name).is_file()} - {path}


def room(path: str) -> str:
    return Path(path).parent.as_posix()


@pytest.mark.parametrize("path", ALL)
def test_imports_run_one_way(path: str) -> None:
    if path in ENTRIES:
        return
    assert room(path) in RANK, f"give {room(path)} a rank"
    for other in modules(path):
        assert other not in ENTRIES, f"{path} imports {other}, which stands above it"
        if room(other) != room(path):
            assert RANK[room(other)] < RANK[room(path)], f"{path} imports {other} from above it"


def test_imports_have_no_circles() -> None:
    assert list(TopologicalSorter({path: modules(path) for path in ALL}).static_order())


def test_every_rank_has_a_room() -> None:
    rooms = {room(path) for path in ALL}
    assert set(RANK) <= rooms | {"."}
    assert all(not lower & upper for lower, upper in pairwise(RANKS))


def test_paper_imports_nothing() -> None:
    assert not imports("lambda_eclipse/paper.py")


@pytest.mark.parametrize("path", METHOD)
def test_the_package_does_not_know_its_training(path: str) -> None:
    assert not {n for n in imports(path) if n.split(".")[0] in ("train", "tests")}


@pytest.mark.parametrize("path", METHOD)
def test_libraries_stay_with_their_owners(path: str) -> None:
    names = {name.split(".")[0] for name in imports(path)}
    for library in names & OWNERS.keys():
        assert path in OWNERS[library], f"{path} imports {library}"
    if "gradio" in names:
        assert path.startswith("lambda_eclipse/ui/"), f"{path} imports gradio"


@pytest.mark.parametrize("path", sources("lambda_eclipse"))
def test_generic_modules_do_not_know_the_pocket_stack(path: str) -> None:
    if not path.startswith("lambda_eclipse/pocket/"):
        assert not {n for n in imports(path) if n.startswith("lambda_eclipse.pocket")}
        if path not in TABLES:
            assert "pocket" not in (ROOT / path).read_text(encoding="utf-8").lower()


def test_the_page_knows_no_model() -> None:
    models = {f"lambda_eclipse.{name}" for name in ("clip", "prior", "decoder")}
    for path in sources("lambda_eclipse/ui"):
        names = imports(path, typing=False)
        assert not names & models, path
        assert "torch" not in {n.split(".")[0] for n in names}, path


def test_importing_the_core_brings_in_no_heavy_library() -> None:
    core = ["tokens", "interleave", "clip", "prior", "weights", "interpolate"]
    present = [f"lambda_eclipse.{name}" for name in core]
    code = (
        f"import sys, importlib; [importlib.import_module(m) for m in {present}]; "
        f"print(sorted({ {*OWNERS, 'gradio'} } & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
