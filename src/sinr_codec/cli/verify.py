"""`sinr verify`: check a file and its quality."""

from contextlib import nullcontext
from typing import Annotated

import typer

from sinr_codec.cli import _common
from sinr_codec.cli._common import BaseOption, JsonOption, LimitOption
from sinr_codec.cli._kinds import options_given
from sinr_codec.cli._sources import source_of


def verify(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="FILE", help="A .sinr file; a URL; - is standard input.")],
    against: Annotated[
        str | None, typer.Option(metavar="INPUT", help="Original signal or network, for measuring the quality.")
    ] = None,
    base: BaseOption = None,
    limit: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a file and its quality.

    Checks all checksums and decodes everything; with --against, also measures the quality. Exits with 1 if the file is
    damaged or the quality is below the recorded one.

    Example:
      sinr verify photo.sinr --against photo.png
    """
    from sinr_codec.inspecting import verify

    limits = _common.limits_of(limit)
    with source_of(source) as file, nullcontext() if against is None else source_of(against) as original:
        report = verify(file, original, base=base, limits=limits, **options_given(ctx))
    if as_json:
        _common.show_json(report)
    else:
        _common.show(f"{source}: {'ok' if report.ok else 'FAILED'}", [])
        for line in report.lines:
            typer.echo(f"  {line}")
    if not report.ok:
        raise typer.Exit(1)
