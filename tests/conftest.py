"""What tests of several rooms share."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

# Examples may take as long as a busy machine needs.
settings.register_profile("any speed", deadline=None)
settings.load_profile("any speed")


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


class Clock:
    """Moves on by a thousandth of a second whenever it is read, and by whatever a test adds to `now`."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 1e-3
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of fits whose budget is in seconds: as fast on every machine."""
    run = pytest.importorskip("sinr_codec.fit.run")
    clock = Clock()
    monkeypatch.setattr(run, "perf_counter", clock)
    return clock
