"""Files of published packages, fetched by name: art and 3D objects from npm and Debian."""

import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path


def npm_files(package: str, prefix: str) -> Iterator[tuple[str, bytes]]:
    """Paths and contents of the files of an npm package ("name@1.2.3") whose paths start so.

    RuntimeError when npm is missing, fails, or the package has no such file.
    """
    with tempfile.TemporaryDirectory() as folder:
        _run(["npm", "pack", "--silent", package], Path(folder), package)
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            yield from _members(archive, f"package/{prefix}", package)


def debian_files(package: str, prefix: str) -> Iterator[tuple[str, bytes]]:
    """As `npm_files`, of a Debian package; paths start at the root, without a slash.

    RuntimeError also where apt-get and dpkg-deb are missing, that is, outside Debian.
    """
    with tempfile.TemporaryDirectory() as folder:
        _run(["apt-get", "download", "--quiet", package], Path(folder), package)
        [deb] = Path(folder).glob("*.deb")
        tar = Path(folder) / "files.tar"
        with tar.open("wb") as out:
            subprocess.run(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=out, check=True)
        with tarfile.open(tar) as archive:
            yield from _members(archive, f"./{prefix}", package)


def _run(command: list[str], folder: Path, package: str) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    except FileNotFoundError:
        raise RuntimeError(f"{command[0]} is missing: install it to fetch {package}.") from None
    if done.returncode:
        raise RuntimeError(f"{command[0]} could not fetch {package}: {done.stderr.strip()}")


def _members(archive: tarfile.TarFile, prefix: str, package: str) -> Iterator[tuple[str, bytes]]:
    root = prefix[: prefix.index("/") + 1]
    found = [m for m in archive.getmembers() if m.isfile() and m.name.startswith(prefix)]
    if not found:
        raise RuntimeError(
            f"{package} has no file {prefix.removeprefix(root)}: its layout changed."
        )
    for member in found:
        file = archive.extractfile(member)
        assert file is not None  # it is a file
        yield member.name.removeprefix(root), file.read()
