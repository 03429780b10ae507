"""Sources and outputs that are no files with a name: open binary files, pipes and other special files.

Libraries read and write files, most of them by their names. So a source is copied to a temporary file first, and an
output is written to one and copied at the end.
"""

import contextlib
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, Protocol, TypeGuard, runtime_checkable

from sinr_codec.errors import InputError, SinrError
from sinr_codec.types import PathLike

MOST_BYTES: Final = 1 << 33
"""Bytes of a source that are copied; one that never ends is refused there."""
HEAD: Final = 4096
"""First bytes of a source, by which its format is recognised."""
PREFIX: Final = "sinr-"
"""What the names of temporary folders begin with."""
_CHUNK: Final = 1 << 20
_TEXT: Final = "is open for text; expected a file open for bytes"


@runtime_checkable
class Readable(Protocol):
    """An open binary file."""

    def read(self, size: int, /) -> bytes:
        """At most so many of the next bytes; none at the end."""


@runtime_checkable
class Writable(Protocol):
    """An open binary file for output."""

    def write(self, data: bytes, /) -> Any:
        """Append bytes."""


Output = PathLike | Writable


def is_special(path: object) -> bool:
    """Whether a path is neither an ordinary file nor a folder nor missing: a pipe, a terminal, another device."""
    if not isinstance(path, str | os.PathLike):
        return False
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def is_name(path: object) -> TypeGuard[PathLike]:
    """Whether this is a path, of no special file."""
    return isinstance(path, str | os.PathLike) and not is_special(path)


def is_stream(source: object) -> bool:
    """Whether a source is an open file, or the path of a special one."""
    return is_special(source) or (isinstance(source, Readable) and not isinstance(source, type))


def name_of(stream: object) -> str:
    """What messages call a source or an output."""
    if isinstance(stream, str | os.PathLike):
        return os.fspath(stream)
    name = getattr(stream, "name", None)
    known = {"<stdin>": "standard input", "<stdout>": "standard output"}
    return known.get(name, name) if isinstance(name, str) else "the data"


# -- sources -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def opened(source: object) -> Iterator[Readable]:
    """A stream to read from.

    Raises
    ------
    InputError : a terminal, or another device that has no end; a file that is not open for reading bytes
    """
    name = name_of(source)
    with contextlib.ExitStack() as stack:
        try:
            if isinstance(source, str | os.PathLike):
                if stat.S_ISCHR(os.stat(source).st_mode):
                    raise InputError(f"{name}: is a device; expected a file or a pipe")
                source = stack.enter_context(open(source, "rb"))
            elif callable(terminal := getattr(source, "isatty", None)) and terminal():
                raise InputError(f"{name}: is a terminal; expected a file or a pipe")
            assert isinstance(source, Readable)
            if hasattr(source, "encoding"):
                raise InputError(f"{name}: {_TEXT}, as by open(..., 'rb')")
            yield source
        except (OSError, ValueError) as error:
            if isinstance(error, SinrError):
                raise
            raise InputError(f"{name}: cannot be read ({getattr(error, 'strerror', None) or error})") from error


def read(stream: Readable, size: int, name: str = "the data") -> bytes:
    """The next `size` bytes, fewer only at the end: a pipe gives what is there."""
    parts, left = [], size
    while left and (part := stream.read(min(left, _CHUNK))):
        if not isinstance(part, bytes | bytearray | memoryview):
            raise InputError(f"{name}: {_TEXT}, as by open(..., 'rb')")
        parts.append(bytes(part))
        left -= len(parts[-1])
    return b"".join(parts)


@contextlib.contextmanager
def as_file(source: object, suffix_of: Callable[[bytes], str]) -> Iterator[Path]:
    """The path of a temporary copy of a stream, whose extension is that of its first bytes by `suffix_of`.

    Raises
    ------
    InputError : an empty stream, one of more than `MOST_BYTES`, one that cannot be read, or no room for the copy;
        what the block raises names the stream instead of the copy
    """
    name = name_of(source)
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as folder:
        with opened(source) as stream:
            head = read(stream, HEAD, name)
            if not head:
                raise InputError(f"{name}: expected a signal or a network, found no bytes")
            path = Path(folder) / f"stream{suffix_of(head)}"
            with _room(folder, name), path.open("wb") as file:
                size = file.write(head)
                while part := read(stream, _CHUNK, name):
                    size += file.write(part)
                    if size > MOST_BYTES:
                        raise InputError(f"{name}: has more than {MOST_BYTES:,} bytes; save it as a file")
        with renamed(path, name):
            yield path


@contextlib.contextmanager
def _room(folder: str, name: str) -> Iterator[None]:
    """Say where temporary files are, where the system refuses to write one."""
    try:
        yield
    except OSError as error:
        if isinstance(error, SinrError):
            raise
        where = Path(folder).parent
        raise InputError(f"{name}: no temporary file in {where} ({error.strerror}); TMPDIR names another") from error


@contextlib.contextmanager
def renamed(path: Path, name: str) -> Iterator[None]:
    """Let messages name what a temporary file stands for."""
    try:
        yield
    except SinrError as error:
        if str(path) not in str(error):
            raise
        raise type(error)(str(error).replace(str(path), name)) from error


# -- outputs -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def as_output(out: Output, suffix: str = "") -> Iterator[PathLike]:
    """The path to write for an output: itself, or a temporary file that is copied to a stream when the block succeeds.

    Raises
    ------
    InputError : the stream does not take the bytes, or what was written is a folder
    """
    if is_name(out):
        yield out
        return
    name = name_of(out)
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as folder:
        path = Path(folder) / f"stream{(Path(name).suffix if is_special(out) else '') or suffix}"
        with renamed(path, name):
            yield path
        if path.is_dir():
            raise InputError(f"{name}: a folder does not go into a stream; expected a format of one file")
        with path.open("rb") as file:
            copy(file, out)


def copy(file: Readable, out: Output) -> None:
    """Write a file's bytes to a stream."""
    name = name_of(out)
    try:
        with contextlib.ExitStack() as stack:
            target = out if isinstance(out, Writable) else stack.enter_context(open(out, "wb"))
            while part := file.read(_CHUNK):
                target.write(part)
            getattr(target, "flush", lambda: None)()
    except BrokenPipeError:
        raise  # whoever reads it has left
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{name}: cannot be written ({getattr(error, 'strerror', None) or error})") from error


def check_stream(out: Output) -> None:
    """Refuse a stream that cannot be written, before long work.

    Raises
    ------
    InputError : it is not open for writing, or a terminal, or the system refuses
    """
    name = name_of(out)
    if isinstance(out, str | os.PathLike):
        if not os.access(out, os.W_OK):
            raise InputError(f"{name}: cannot be written (permission denied)")
        return
    if not isinstance(out, Writable):
        raise InputError(f"output: expected a path or a file open for writing, got {out!r:.60}")
    try:
        terminal = callable(ask := getattr(out, "isatty", None)) and ask()
        writable = not callable(ask := getattr(out, "writable", None)) or ask()
    except ValueError as error:  # closed
        raise InputError(f"{name}: cannot be written ({error})") from error
    if hasattr(out, "encoding"):
        raise InputError(f"{name}: {_TEXT}, as by open(..., 'wb')")
    if terminal:
        raise InputError(f"{name}: is a terminal; send it to a file or a pipe")
    if not writable:
        raise InputError(f"{name}: is not open for writing")
