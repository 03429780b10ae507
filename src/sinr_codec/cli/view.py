"""`sinr view`: a page that shows a file."""

from pathlib import Path
from typing import Annotated

import typer

from sinr_codec.cli import _common
from sinr_codec.cli._common import BaseOption, LimitOption
from sinr_codec.cli._sources import STANDARD, name_beside, output_of, source_of


def view(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="FILE", help="A .sinr file; a URL; - is standard input.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="The page; - is standard output.",
            show_default="FILE with .html behind it, as in photo.sinr.html",
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    base: BaseOption = None,
    limit: LimitOption = None,
) -> None:
    """Write a page that shows a file in any browser.

    The page has the file and a decoder in it. It needs no server and no network.

    Example:
      sinr view photo.sinr --open
      sinr view brain.sinr -o brain.html
    """
    from sinr_codec.errors import InputError
    from sinr_codec.files import check_output, write_bytes
    from sinr_codec.view import page_of

    limits = _common.limits_of(limit)
    out = name_beside(source, ".html", replacing=False) if out is None else out
    if show and str(out) == STANDARD:
        raise InputError("--open: needs a file to open; name one with --out")
    output = output_of(ctx, out)
    check_output(output, source)
    with source_of(source) as file:
        page = page_of(file, base=base, limits=limits).encode()
    write_bytes(output, page)
    _common.show(str(out), [("page", f"{len(page):,} bytes, with the file and its decoder")], [])
    if show:
        import webbrowser

        webbrowser.open(Path(out).resolve().as_uri())
