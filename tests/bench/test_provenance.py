"""What stands beside numbers tells where they are from."""

import json
import re
from datetime import date
from importlib.metadata import version
from pathlib import Path

import pytest

from sinr_codec.bench.provenance import commit, provenance, seconds, write_report


def test_a_report_says_by_what_and_on_what_it_was_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["benchmarks/size.py", "--data", "my pictures"])
    write_report(tmp_path / "new" / "size.json", "size", {"bytes": 3})
    found = json.loads((tmp_path / "new" / "size.json").read_text())
    assert (found["name"], found["results"]) == ("size", {"bytes": 3})
    assert found["command"] == "python benchmarks/size.py --data 'my pictures'"
    assert date.fromisoformat(found["date"]) <= date.today()
    assert found["versions"]["numpy"] == version("numpy")
    assert re.search(r", \d+ cores$", found["machine"])
    write_report(None, "nothing", {})


def test_the_command_is_named_without_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/somewhere/bin/sinr", "bench", "c1"])
    assert provenance()["command"] == "sinr bench c1"


def test_the_commit_is_that_of_the_checkout() -> None:
    assert re.fullmatch(r"([0-9a-f]{7,40}\+?)?", commit())


def test_the_last_result_is_given_and_all_calls_are_made() -> None:
    calls: list[int] = []
    best, result = seconds(lambda: calls.append(1) or len(calls), repeat=3)
    assert (result, len(calls)) == (3, 3)
    assert 0 <= best < float("inf")
