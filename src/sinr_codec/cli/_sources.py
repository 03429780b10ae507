"""Sources and outputs of the verbs: files, URLs, standard input and output."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import typer

from sinr_codec.errors import InputError

if TYPE_CHECKING:
    from sinr_codec.streams import Output

STANDARD: Final = "-"
"""Standard input as a source, and standard output as an output."""
_PATIENCE: Final = 60  # seconds without a byte from a server


@contextmanager
def source_of(text: str) -> Iterator[Path | BinaryIO]:
    """What an argument names: a path, standard input for "-", or what a URL gives."""
    if text in (STANDARD, "/dev/stdin"):
        yield sys.stdin.buffer
    elif re.match(r"https?://", text):
        from urllib.request import urlopen

        try:
            stream = urlopen(text, timeout=_PATIENCE)
        except OSError as error:
            raise InputError(f"{text}: cannot be read ({error})") from error
        with stream:
            stream.name = text
            yield stream
    elif "://" in text and not Path(text).exists():
        from sinr_codec.batch.places import fetched

        with fetched(text) as path:
            yield path
    else:
        yield Path(text)


def output_of(ctx: typer.Context, out: Path) -> "Output":
    """What `--out` names: a path, or standard output, which then gets the bytes alone; messages go to stderr."""
    if str(out) not in (STANDARD, "/dev/stdout"):
        return out
    stream = sys.stdout.buffer
    ctx.with_resource(redirect_stdout(sys.stderr))
    return stream


def name_beside(source: str, suffix: str, *, replacing: bool) -> Path:
    """The name of an output beside a source: with `suffix` instead of its own, or behind it.

    Of standard input it is standard output, and of a URL it is in the current folder.
    """
    if source in (STANDARD, "/dev/stdin"):
        return Path(STANDARD)
    path = Path(source.partition("?")[0].rpartition("/")[2]) if "://" in source else Path(source)
    if not replacing:
        return path.with_name(path.name + suffix)
    from sinr_codec.files import without_suffix

    out = without_suffix(path if path.name else path.resolve()).with_suffix(suffix)
    if out.is_file() and (others := _of_the_same_stem(path)):
        raise InputError(f"{out}: exists already, and may be that of {others[0].name}; name the output with --out")
    return out


def _of_the_same_stem(path: Path) -> list[Path]:
    """Other sources in a folder whose outputs would have the same name."""
    from sinr_codec.files import without_suffix

    folder = path.resolve().parent
    stem = without_suffix(path).name
    return sorted(
        other
        for other in folder.iterdir()
        if other.name not in (path.name, f"{stem}.sinr") and without_suffix(other).name == stem and _is_source(other)
    )


def _is_source(path: Path) -> bool:
    from sinr_codec.signals import registry

    try:
        registry.kind_of(path)
    except InputError as error:
        return "holds a network" in str(error)
    return True
