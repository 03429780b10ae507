"""`sinr verify`: is a file whole, and as good as it says?"""

from pathlib import Path
from typing import Annotated

import typer

from sinr_codec.cli import _common
from sinr_codec.cli._common import BaseOption, JsonOption
from sinr_codec.cli._kinds import options_given


def verify(
    ctx: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A .sinr file.")],
    against: Annotated[
        Path | None, typer.Option(metavar="INPUT", help="What was encoded or compressed: measure the quality.")
    ] = None,
    base: BaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a file, and its quality.

    Checks every checksum and decodes everything; with --against, measures the quality too. Exits with 1 where
    the file is damaged, or the quality is below what the file records.

    Example:
      sinr verify photo.sinr --against photo.png
    """
    from sinr_codec.inspecting import verify

    report = verify(source, against, base=base, **options_given(ctx))
    if as_json:
        _common.show_json(report)
    else:
        _common.show(f"{source}: {'ok' if report.ok else 'FAILED'}", [])
        for line in report.lines:
            typer.echo(f"  {line}")
    if not report.ok:
        raise typer.Exit(1)
