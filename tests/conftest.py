"""What tests of several rooms share."""

import os
import subprocess
import sys
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


@pytest.fixture
def small_files() -> Callable[..., str]:
    """Run code in a process that may write no file beyond `limit` bytes, as on a full disk; gives what it prints.

    The limit would hold for the log of the tests as well, so that it needs a process of its own.
    """
    pytest.importorskip("resource", reason="limits of file sizes are those of Unix")

    def run(code: str, *arguments: object, limit: int = 20_000) -> str:
        start = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))\n"
        command = [sys.executable, "-c", start + code, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    return run


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
