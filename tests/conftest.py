"""What tests of several rooms share."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def data_file() -> Callable[[str], Path]:
    """Find a file of other people's data, such as data_file("checkpoints/siren.pth"), or skip the test.

    The environment variable SINR_TEST_DATA names the folder; without it, ../shared/data beside the repository.
    """
    named = os.environ.get("SINR_TEST_DATA")
    folder = Path(named) if named else ROOT.parent / "shared/data"

    def find(name: str) -> Path:
        path = folder / name
        if not path.exists():
            pytest.skip(f"needs {name} in the folder that SINR_TEST_DATA names")
        return path

    return find
