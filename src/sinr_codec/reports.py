"""Reports as tables: in print, and in notebooks."""

import html
from collections.abc import Iterable

from sinr_codec.errors import printable

Row = tuple[str, str]


class Report:
    """Base class of the results of verbs: `print` shows a table, and so does a notebook.

    Remarks in `notes`, if there are any, come below it.
    """

    @property
    def title(self) -> str:
        """What the report is on."""
        raise NotImplementedError

    def rows(self) -> Iterable[Row]:
        """Names and values of the table."""
        raise NotImplementedError

    def __str__(self) -> str:
        return as_text(self.title, self.rows(), getattr(self, "notes", ()))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.title}: {', '.join(text for _, text in self.rows())}>"

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th><td style='text-align:left'>{html.escape(text)}"
            "</td></tr>"
            for name, text in self.rows()
        )
        notes = "".join(f"<div>note: {html.escape(note)}</div>" for note in getattr(self, "notes", ()))
        return f"<div><b>{html.escape(self.title)}</b></div><table>{cells}</table>{notes}"


def as_text(title: str, rows: Iterable[Row], notes: Iterable[str] = ()) -> str:
    """A compact table, and the notes below it, without control characters."""
    rows = list(rows)
    longest = max([9, *(len(name) for name, _ in rows)])
    lines = [printable(title), *(f"  {name:<{longest}} {printable(text)}" for name, text in rows)]
    return "\n".join([*lines, *(f"  note: {printable(note)}" for note in notes)])
