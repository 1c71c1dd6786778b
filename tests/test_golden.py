"""The same request gives the same pictures, bit for bit, on each way to the studio."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT


@pytest.mark.slow
def test_command_python_and_endpoint_give_the_same_pictures(tmp_path: Path) -> None:
    # In a process of its own: the number of threads, which other tests set, changes last bits.
    record = tmp_path / "record.json"
    subprocess.run([sys.executable, "-m", "tests.golden", str(record)], cwd=ROOT, check=True)
    ways = json.loads(record.read_text(encoding="utf-8"))
    command, python, endpoint = (ways[name] for name in ("command", "python", "endpoint"))
    for index in range(2):
        picture = command[f"generate {index}"]
        assert picture == python[f"two {index}"] == endpoint[f"generate {index}"]
    assert python["at"] == endpoint["at"]
