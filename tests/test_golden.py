"""The same request gives the same pictures, bit for bit, on each way to the studio."""

from pathlib import Path

import pytest

from tests.golden import by_command, by_endpoint, by_python


@pytest.mark.slow
def test_command_python_and_endpoint_give_the_same_pictures(tmp_path: Path) -> None:
    command, python, endpoint = by_command(tmp_path), by_python(), by_endpoint()
    for index in range(2):
        picture = command[f"generate {index}"]
        assert picture == python[f"two {index}"] == endpoint[f"generate {index}"]
    assert python["at"] == endpoint["at"]
