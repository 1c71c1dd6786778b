"""The order of the modules, and what each may bring in, read from the source."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = "lambda_eclipse"

LAYERS: list[set[str]] = [
    {"paper", "images", "nouns", "pngtext", "onednn"},
    {
        "masking",
        "canny",
        "tokens",
        "interleave",
        "clip",
        "prior",
        "decoder",
        "interpolate",
        "paths",
        "atlas",
        "weights",
        "tower",
        "movq",
        "linear",
        "slots",
        "subject_codec",
        "hint",
        "unet",
    },
    {"stacks", "checksums"},
    {"pipeline", "card", "recipe", "reproduction", "finetune"},
    {"insight"},
    {"ui", "__main__"},
    {"app"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

# Slow or optional libraries, and the modules that may bring them in.
OWNERS = {
    "open_clip": {"clip", "tokens"},
    "timm": {"tower"},
    "diffusers": {"decoder", "movq", "unet"},
    "huggingface_hub": {"weights"},
    "peft": {"finetune"},
    "rembg": {"masking"},
    "onnxruntime": {"decoder", "masking"},
    "gradio": {"ui", "app"},
}


def module_of(path: Path) -> str:
    """A file's name in the layers; all files of the page are one module."""
    if path.name == "app.py" and path.parent == ROOT:
        return "app"
    return path.relative_to(ROOT / PACKAGE).parts[0].removesuffix(".py")


def sources() -> list[Path]:
    files = sorted((ROOT / PACKAGE).rglob("*.py"))
    app = ROOT / "app.py"
    return [f for f in files if f != ROOT / PACKAGE / "__init__.py"] + [app] * app.exists()


def imports(path: Path, tree: ast.AST) -> set[str]:
    """Dotted names that a file imports anywhere, functions included."""
    names = set()
    inside = (ROOT / PACKAGE) in path.parents
    package = list(path.relative_to(ROOT).parts[:-1]) if inside else []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            # "from lambda_eclipse import prior" imports lambda_eclipse.prior
            is_package = start == PACKAGE
            names |= {f"{start}.{a.name}" for a in node.names} if is_package else {start}
    return names


def inner(path: Path) -> set[str]:
    """Modules of this package that a file imports."""
    found = set()
    for name in imports(path, ast.parse(path.read_text(encoding="utf-8"))):
        parts = name.split(".")
        if parts[0] == PACKAGE and len(parts) > 1 and parts[1] in RANK:
            found.add(parts[1])
    return found - {module_of(path)}


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path: Path) -> None:
    name = module_of(path)
    assert name in RANK, f"give {name} a place in LAYERS"
    above = {other for other in inner(path) if RANK[other] > RANK[name]}
    assert not above, f"{name} imports {above} from above it"


def test_imports_have_no_cycles() -> None:
    graph: dict[str, set[str]] = {}
    for path in sources():
        graph.setdefault(module_of(path), set()).update(inner(path))
    assert list(TopologicalSorter(graph).static_order())


def test_paper_imports_nothing() -> None:
    path = ROOT / PACKAGE / "paper.py"
    assert not imports(path, ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_package_does_not_know_its_training(path: Path) -> None:
    names = imports(path, ast.parse(path.read_text(encoding="utf-8")))
    assert not {n for n in names if n.split(".")[0] in ("train", "tests")}


@pytest.mark.parametrize("path", sources(), ids=lambda p: str(p.relative_to(ROOT)))
def test_libraries_stay_with_their_owners(path: Path) -> None:
    names = imports(path, ast.parse(path.read_text(encoding="utf-8")))
    for library in {n.split(".")[0] for n in names} & OWNERS.keys():
        assert module_of(path) in OWNERS[library], f"{module_of(path)} imports {library}"


def test_the_page_knows_no_model() -> None:
    models = {"clip", "prior", "decoder", "tower", "movq", "unet"}
    for path in sources():
        if module_of(path) == "ui":
            names = imports(path, ast.parse(path.read_text(encoding="utf-8")))
            assert not inner(path) & models, path
            assert "torch" not in {n.split(".")[0] for n in names}, path


def test_importing_the_core_brings_in_no_heavy_library() -> None:
    core = ["tokens", "interleave", "clip", "prior", "weights", "interpolate"]
    present = [f"{PACKAGE}.{name}" for name in core]
    code = (
        f"import sys, importlib; [importlib.import_module(m) for m in {present}]; "
        f"print(sorted({set(OWNERS)} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
