"""Common parts of the verbs: options, one-line errors, progress and output."""

import json
import logging
import math
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from sinr_codec.errors import InputError, explain, printable, quoted
from sinr_codec.progress import Progress, displayed
from sinr_codec.reports import as_text

if TYPE_CHECKING:
    from sinr_codec.container import Limits
    from sinr_codec.fields import AnyActivation

T = TypeVar("T")


class Preset(StrEnum):
    """Presets by name."""

    FAST = "fast"
    BALANCED = "balanced"
    BEST = "best"
    PAPER = "paper"


PresetOption = Annotated[Preset, typer.Option(help="Encoding effort for a small file; paper: SINR as published.")]
SeedOption = Annotated[int, typer.Option(min=0, help="Random seed.")]
BaseOption = Annotated[Path | None, typer.Option(metavar="FILE", help="The base, if FILE needs one.")]
LimitOption = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        metavar="NAME=VALUE",
        help="Limit of the reader, such as max_bytes=16G or max_work=2**50, for a file you trust; may be repeated.",
        show_default=False,
    ),
]
DeviceOption = Annotated[str, typer.Option(help="PyTorch device for fits: cpu, cuda, ...")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]


# -- values of options -------------------------------------------------------------------------------------


def parse_activation(text: str) -> "AnyActivation":
    """A `fields` activation from "NAME" or "NAME:NUMBER,...", such as "sine:30" or "wire:20,30"."""
    from sinr_codec.fields.activations import activation_from_text

    return _parsed(activation_from_text, text)


def _parsed(parse: Callable[[str], T], text: str) -> T:
    """Parse text; invalid text is a usage error."""
    try:
        return parse(text)
    except InputError as error:
        raise typer.BadParameter(str(error)) from error


def limits_of(entries: list[str] | None) -> "Limits":
    """The limits of a reader from values of --limit; invalid ones are a usage error."""
    from sinr_codec.container import Limits

    return _parsed(lambda _: Limits.parse(*entries or ()), "")


# -- options of encoding -------------------------------------------------------------------------------------

MethodOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Code by a method, such as coin, inric or sinr, instead of planning.")
]
FieldOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="pyramid or mlp; a picture is a pyramid unless a network is described."),
]
FromBaseOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Base from `sinr learn`, for coinpp and inric-meta.")
]
KindOption = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="KIND",
        help="image, audio, volume, dataset, video, shape, radiance or a kind of an added package, or an extension "
        "such as .stl, if INPUT does not tell.",
    ),
]
BppOption = Annotated[float | None, typer.Option(help="Target rate in bits a pixel (sample, voxel, ...).")]
SizeOption = Annotated[int | None, typer.Option(help="Target file size in bytes.")]
PsnrOption = Annotated[float | None, typer.Option(help="Target quality in dB.")]
SnrOption = Annotated[float | None, typer.Option(help="Target SNR of a sound in dB.")]
MaxErrorOption = Annotated[
    str | None,
    typer.Option(metavar="ERROR", help="Bound on the error of every sample: in units of the data, or % of the range."),
]
LosslessOption = Annotated[bool, typer.Option("--lossless", help="No error at all, for integers.")]
WidthOption = Annotated[int | None, typer.Option(help="Neurons a layer, instead of a target.")]
DepthOption = Annotated[int | None, typer.Option(help="Hidden layers.")]
ActivationOption = Annotated[
    Any,
    typer.Option(parser=parse_activation, metavar="NAME", help="sine, gaussian, wire or relu; sine:30 sets omega0."),
]
SecondsOption = Annotated[
    float | None, typer.Option(help="Duration of the fit in seconds; startup and coding are extra.")
]
ProgressiveOption = Annotated[
    bool, typer.Option("--progressive", help="Order the file so that its beginning can be decoded, at lower quality.")
]
StrictOption = Annotated[
    bool,
    typer.Option("--strict", help="Write no file that misses its target or is hardly better than the signal's mean."),
]
MaxDropOption = Annotated[float | None, typer.Option(help="dB that coding may lose, unless a rate determines it.")]


# -- options together ----------------------------------------------------------------------------------------


def given(**options: Any) -> dict[str, Any]:
    """The options that were given; others have the defaults of the kind of signal."""
    return {name: value for name, value in options.items() if value is not None}


def exclusive(**options: object) -> None:
    """Raise a usage error for more than one of several options."""
    given = ["--" + name.replace("_", "-") for name, value in options.items() if value is not None]
    if len(given) > 1:
        raise typer.BadParameter(f"expected only one of {' and '.join(given)}")


# -- errors ------------------------------------------------------------------------------------------------


class Verb(TyperCommand):
    """A verb that logs what it does on request, and says where further arguments belong."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        flag, about = ["--verbose", "-v"], "Log each step on stderr."
        self.params.append(TyperOption(param_decls=flag, is_flag=True, expose_value=False, callback=_log, help=about))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse a command line."""
        ctx.allow_extra_args = True
        left: list[str] = super().parse_args(ctx, args)
        if ctx.args:
            hint = _EXTRA.get(self.name or "")
            ctx.fail(f"Got unexpected extra argument {quoted(ctx.args[0])}" + (f"; {hint}" if hint else ""))
        return left


def _log(_: object, __: object, wanted: bool) -> None:
    if wanted:
        logging.basicConfig(format="%(asctime)s %(name)s: %(message)s", datefmt="%H:%M:%S")
        logging.getLogger("sinr_codec").setLevel(logging.DEBUG)


_EXTRA: Final = {
    "encode": "for many inputs: sinr batch INPUTS --out FOLDER; for the output: -o FILE",
    **dict.fromkeys(("decode", "compress", "decompress"), "for the output: -o FILE"),
    "verify": "for the original: --against INPUT",
}
"""Where an argument too many belongs, by verb."""


class Verbs(TyperGroup):
    """Verbs whose errors are one line with exit code 1; usage errors have typer's exit code 2."""

    def invoke(self, ctx: Any) -> Any:
        """Run a verb."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # The reader of the pipe has exited, as `| head` does, so no message is possible.
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115
            raise typer.Exit(1) from None
        except KeyboardInterrupt as stop:
            _fail(str(stop) or "interrupted; nothing was written", code=130)
        except Exception as error:
            if (line := explain(error)) is None:
                raise
            _fail(line)


def _fail(message: str, code: int = 1) -> None:
    show_error(message)
    raise typer.Exit(code)


def end(shortfall: str | None, interrupted: bool = False, out: object = None) -> None:
    """Exit with 130 after Ctrl-C, and with 3 where a written file is not what was asked for."""
    if interrupted:
        typer.echo(f"sinr: stopped by Ctrl-C; {out} holds what was there", err=True)
        raise typer.Exit(130)
    if shortfall is not None:
        typer.echo(f"sinr: warning: {' '.join(shortfall.split())}", err=True)
        raise typer.Exit(3)


def show_error(message: str) -> None:
    """Print an error as one line on stderr."""
    typer.echo(f"sinr: error: {printable(message)}", err=True)


# -- progress ----------------------------------------------------------------------------------------------


def progress(quiet: bool = False) -> AbstractContextManager[Progress]:
    """A progress bar if stderr is a terminal, otherwise occasional lines; nothing if `quiet`."""
    return displayed(not quiet)


# -- printing ----------------------------------------------------------------------------------------------


def show(title: str, rows: Iterable[tuple[str, str]], notes: Iterable[str] = ()) -> None:
    """Print a compact table, then the notes."""
    typer.echo(as_text(title, rows, notes))


def say(text: str, before: str = "") -> None:
    """Print one line, whatever characters the texts and names of a file have."""
    typer.echo(before + printable(text))


def show_report(
    report: object, as_json: bool, title: str, rows: Iterable[tuple[str, str]], notes: Iterable[str] = ()
) -> None:
    """Print a report as JSON or as a compact table."""
    if as_json:
        show_json(report)
    else:
        show(title, rows, notes)


def show_json(value: object) -> None:
    """Print a value or a report as JSON, with null for infinity and NaN."""
    typer.echo(json.dumps(_plain(value), indent=2, allow_nan=False))


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        # `repr=False` marks the file's bytes, which are omitted.
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value) if f.repr}
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
