"""Files of published packages, with package managers that need no network."""

import io
import subprocess
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from train.world import sources
from train.world.packages import debian_files, npm_files

FILES = {"package/art/a.txt": b"a", "package/art/b.txt": b"b", "package/README.md": b"?"}


def packed(files: dict[str, bytes]) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as archive:
        for name, content in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return whole.getvalue()


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Package managers that fetch `FILES`, or fail for a package named "missing"."""

    def run(command: list[str], cwd: Path | None = None, **options: object) -> SimpleNamespace:
        if command[0] == "dpkg-deb":
            out = options["stdout"]
            out.write(packed({f"./{name}": content for name, content in FILES.items()}))  # type: ignore[attr-defined]
        elif command[-1] != "missing":
            assert cwd is not None
            suffix = ".tgz" if command[0] == "npm" else ".deb"
            (cwd / f"it{suffix}").write_bytes(packed(FILES))
        return SimpleNamespace(returncode=command[-1] == "missing", stderr="404 Not Found")

    monkeypatch.setattr(subprocess, "run", run)


def test_files_of_both_kinds_of_package(registry: None) -> None:
    assert dict(npm_files("art@1.0.0", "art/")) == {"art/a.txt": b"a", "art/b.txt": b"b"}
    assert dict(npm_files("art@1.0.0", "README.md")) == {"README.md": b"?"}
    assert dict(debian_files("art", "package/art/a")) == {"package/art/a.txt": b"a"}


def test_failures_name_the_package_and_the_cause(
    registry: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RuntimeError, match="npm could not fetch missing: 404 Not Found"):
        list(npm_files("missing", "art/"))
    with pytest.raises(RuntimeError, match="art has no file sprites/"):
        list(npm_files("art", "sprites/"))

    def absent(*_: object, **__: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", absent)
    with pytest.raises(RuntimeError, match="apt-get is missing: install it to fetch art"):
        list(debian_files("art", "art/"))


def test_sources_are_fetched_once_and_whole(tmp_path: Path) -> None:
    def broken() -> list[tuple[str, bytes]]:
        raise RuntimeError("offline")

    with pytest.raises(RuntimeError):
        sources.fetch(tmp_path / "emoji", broken)
    assert not list(tmp_path.iterdir())
    assert sources.fetch(tmp_path / "emoji", lambda: [("assets/1.webp", b"1")]) == 1
    assert sources.fetch(tmp_path / "emoji", broken) == 1
    assert (tmp_path / "emoji" / "1.webp").read_bytes() == b"1"


def test_environments_are_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"hdri/a.exr.js": b"export default 'data:;base64,AAEC'", "hdri/index.js": b""}
    monkeypatch.setattr(sources, "npm_files", lambda *_: files.items())
    assert dict(sources.environments()) == {"hdri/a.exr": bytes((0, 1, 2))}
    files["hdri/b.exr.js"] = b""
    with pytest.raises(RuntimeError, match="b.exr.js"):
        dict(sources.environments())
