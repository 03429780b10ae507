"""Markdown tables and text files of reports."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from sinr_codec.files import atomic_write


def table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table: the first two columns are words, the others numbers."""
    rule = ["---" if i < 2 else "---:" for i in range(len(heads))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (heads, rule, *lines))


def number(value: float | None, form: str) -> str:
    """A number in a table; a dash for none."""
    return "-" if value is None or not np.isfinite(value) else format(value, form)


def write_text(path: Path, text: str) -> Path:
    """Write a file, whole or not at all, and give its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        temporary.write_text(text)
    return path
