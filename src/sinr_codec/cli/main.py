"""The command `sinr`."""

import inspect
import signal
import sys
from collections.abc import Callable
from typing import Annotated, Final, NoReturn

import typer

from sinr_codec import __version__
from sinr_codec.cli import batch, bench, compress, decode, decompress, encode, info, learn, methods, verify, view
from sinr_codec.cli._common import Verb, Verbs
from sinr_codec.cli._kinds import DecodeCommand, EncodeCommand

app = typer.Typer(
    cls=Verbs,
    # Plain help: rich would cost a tenth of a second at every start.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _help(function: Callable[..., None]) -> str:
    """The docstring, with a mark that prevents wrapping of its example."""
    return inspect.cleandoc(function.__doc__ or "").replace("Example:", "\b\nExample:")


_CLASSES: Final = {"encode": EncodeCommand, "batch": EncodeCommand, "verify": EncodeCommand, "decode": DecodeCommand}
"""Verbs with the options of kinds of signal."""

for _verb in (
    encode.encode,
    batch.batch,
    learn.learn,
    methods.methods,
    decode.decode,
    compress.compress,
    decompress.decompress,
    info.info,
    verify.verify,
    view.view,
    bench.bench,
):
    app.command(help=_help(_verb), cls=_CLASSES.get(_verb.__name__, Verb))(_verb)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"sinr {__version__}")
        raise typer.Exit


def sinr(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Pictures as small neural networks, and small neural networks as smaller files.

    Example:
      sinr encode photo.png -o photo.sinr
      sinr decode photo.sinr -o large.png --scale 2
    """


app.callback(help=_help(sinr))(sinr)


def main() -> None:
    """Run the command line; the entry point of the `sinr` script."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)
    app()


def _end(number: int, _: object) -> NoReturn:
    """End the program as an error would, so that temporary files are removed; a second signal ends it at once."""
    signal.signal(number, signal.SIG_DFL)
    sys.exit(128 + number)
