"""`sinr methods`: list the methods that `--method` takes."""

import typer

from sinr_codec.cli import _common
from sinr_codec.cli._common import JsonOption


def methods(as_json: JsonOption = False) -> None:
    """List the methods that --method takes.

    Example:
      sinr methods --json
      sinr encode photo.png --method coin
    """
    from sinr_codec.methods import METHODS

    if as_json:
        _common.show_json({name: method.title for name, method in METHODS.items()})
        return
    longest = max(map(len, METHODS))
    for name, method in METHODS.items():
        typer.echo(f"{name:<{longest}}  {method.title}")
