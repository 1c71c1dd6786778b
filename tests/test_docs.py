"""The documentation mentions nothing that is absent: links, paths, modules, commands, rooms."""

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest
from repository import ROOT

from tests.test_imports import RANKS

PAGES = ["README.md", "CONTRIBUTING.md", "CREDITS.md"] + [
    path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").glob("*.md"))
]
LINK = re.compile(r"\]\(([^)\s]+)\)")
PATH = re.compile(r"(?<![\w/.-])(?:lambda_eclipse|train|tests|assets|docs)/[\w/.-]*[\w/]")
MODULE = re.compile(r"(?<![\w/.-])((?:lambda_eclipse|train)(?:\.(?!md|py)[A-Za-z_]\w*)+)")
COMMAND = re.compile(r"(?:python|torchrun[^`\n]*) -m (?:-- )?([a-z_][\w.]*)")


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """Link targets within a page, made from its headings as GitHub does."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


@pytest.mark.parametrize("page", PAGES)
def test_links_have_targets(page: str) -> None:
    for link in LINK.findall(text(page)):
        if "://" not in link:
            path, _, anchor = link.partition("#")
            target = (ROOT / page).parent / path if path else ROOT / page
            assert target.exists(), link
            assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES)
def test_paths_exist(page: str) -> None:
    missing = {path for path in PATH.findall(text(page)) if not (ROOT / path).exists()}
    assert not missing


@pytest.mark.parametrize("page", PAGES)
def test_dotted_names_exist(page: str) -> None:
    for name in MODULE.findall(text(page)):
        if not importable(name):
            module, _, attribute = name.rpartition(".")
            spec = importlib.util.find_spec(module)
            assert spec is not None and spec.origin is not None, name
            source = Path(spec.origin).read_text(encoding="utf-8")
            assert re.search(rf"^(?:def|class) {attribute}\b", source, re.MULTILINE), name


@pytest.mark.parametrize("page", PAGES)
def test_commands_can_run(page: str) -> None:
    for name in COMMAND.findall(text(page)):
        assert importable(name), name
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert not spec.submodule_search_locations or importable(f"{name}.__main__"), name


def test_the_tree_in_the_readme_is_complete() -> None:
    block = re.findall(r"```text\n(.*?)```", text("README.md"), re.DOTALL)[0]
    listed, parent = set(), ""
    for line in block.splitlines():
        name = line.split()[0]
        parent = parent if line.startswith(" ") else name
        listed.add(parent + name if line.startswith(" ") else name)
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git checkout")
    files = {Path(name) for name in done.stdout.splitlines() if (ROOT / name).exists()}
    rooms = {
        "/".join(file.parts[:depth]) + "/" for file in files for depth in range(1, len(file.parts))
    }
    expected = {room for room in rooms if not room.startswith(".") and room.count("/") == 1}
    for package in ("lambda_eclipse/", "train/"):
        expected |= {room for room in rooms if room.startswith(package) and room.count("/") == 2}
        modules = (file.as_posix() for file in files if f"{file.parent}/" == package)
        expected |= {name for name in modules if name.endswith(".py") and "__init__" not in name}
    assert listed == expected | {"app.py"}


def test_figures_in_the_readme_are_those_of_the_results() -> None:
    """Held-out and known figures of a row, with the command's part."""
    figures = re.findall(r"\| ([^|]+ \| [^|]* \| `\w+`) \|$", text("README.md"), re.MULTILINE)
    assert len(figures) == 8
    for row in figures:
        assert row in text("docs/results.md")


def test_the_table_of_rooms_is_the_order_of_imports() -> None:
    rows = re.findall(r"^\| \d+ \| (.+?) \|", text("docs/architecture.md"), re.MULTILINE)
    assert [set(re.findall(r"`(.+?)`", row)) for row in rows] == RANKS
