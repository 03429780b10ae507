"""Pages that show a file in a browser, with the decoder in them: they need no server and no network.

`page.html` is built from js/viewer by ``make page``; docs/guide/viewer.md tells what it shows.
"""

import html
from base64 import b64encode
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Final

from sinr_codec.container import DEFAULT_LIMITS, Limits, write
from sinr_codec.sections import Source, load_source
from sinr_codec.streams import name_of

PLACE: Final = "<!-- sinr-file -->"
"""Where the page has its file."""


def page_of(source: Source, *, base: Source | None = None, limits: Limits = DEFAULT_LIMITS) -> str:
    """A page in HTML that shows a file; header and checksums are checked, and nothing is decoded.

    Parameters
    ----------
    source
        A `.sinr` file of any kind, its bytes, or an open binary file.
    base
        The base, if the file needs one.
    limits
        Resource limits of this reader.

    Raises
    ------
    FormatError : a file that breaks the format or exceeds the limits
    InputError : no such file
    """
    blobs = [write(*load_source(each, limits), limits) for each in (source, base) if each is not None]
    return page_with(Path(name_of(source)).name, *blobs)


def page_with(name: str, blob: bytes, base: bytes | None = None) -> str:
    """The page of a file's bytes, under a name."""
    parts = [_embedded("sinr-file", name, blob)] + ([] if base is None else [_embedded("sinr-base", "base", base)])
    return page().replace(PLACE, "\n".join(parts))


def frame_with(name: str, blob: bytes, base: bytes | None = None) -> str:
    """An element with the page of a file's bytes, for a notebook."""
    content = html.escape(page_with(name, blob, base))
    return f'<iframe srcdoc="{content}" title="{html.escape(name)}" style="width:100%;height:32em;border:0"></iframe>'


def _embedded(name: str, file: str, blob: bytes) -> str:
    data = f'type="application/octet-stream;base64" id="{name}" data-name="{html.escape(file)}"'
    return f"<script {data}>{b64encode(blob).decode()}</script>"


@cache
def page() -> str:
    """The viewer without a file."""
    return (files(__package__) / "page.html").read_text("utf-8")
