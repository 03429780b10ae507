"""`sinr verify`: is a file whole, and as good as it says?"""

from pathlib import Path
from typing import Annotated, Any

import typer

from sinr_codec.cli import _common
from sinr_codec.cli._common import BaseOption, JsonOption


def verify(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A .sinr file.")],
    against: Annotated[
        Path | None, typer.Option(metavar="INPUT", help="What was encoded or compressed: measure the quality.")
    ] = None,
    base: BaseOption = None,
    frames: Annotated[
        Any, typer.Option(parser=_common.parse_range, metavar="A:B", help="Of a video: the frames that were encoded.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check a file, and its quality.

    Checks every checksum and decodes everything; with --against, measures the quality too. Exits with 1 where
    the file is damaged, or the quality is below what the file records.

    Example:
      sinr verify photo.sinr --against photo.png
    """
    from sinr_codec import codec

    report = codec.verify(source, against, base=base, **_common.given(frames=frames))
    if as_json:
        _common.show_json(report)
    else:
        _common.show(f"{source}: {'ok' if report.ok else 'FAILED'}", [])
        for line in report.lines:
            typer.echo(f"  {line}")
    if not report.ok:
        raise typer.Exit(1)
