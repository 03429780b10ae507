"""Markdown tables and files of reports."""

import math
from pathlib import Path

from sinr_codec.bench.tables import number, table, write_text


def test_words_stand_left_and_numbers_right() -> None:
    lines = table(["method", "network", "bytes"], [["SINR", "3x64", "1,234"], ["COIN", "3x64", "-"]]).splitlines()
    assert lines == [
        "| method | network | bytes |",
        "| --- | --- | ---: |",
        "| SINR | 3x64 | 1,234 |",
        "| COIN | 3x64 | - |",
    ]


def test_what_is_no_number_is_a_dash() -> None:
    assert [number(value, ".2f") for value in (None, math.nan, math.inf, 1.005, -2)] == ["-", "-", "-", "1.00", "-2.00"]


def test_a_file_comes_with_its_folder_and_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "report" / "c1.md"
    for text in ("one", "two"):
        assert write_text(path, text) == path
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]
