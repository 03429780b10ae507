"""Atomic writing of files and folders."""

import contextlib
import io
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

from sinr_codec.errors import InputError, SinrError
from sinr_codec.streams import Output, as_output, check_stream, copy, is_name, is_special
from sinr_codec.types import PathLike

_PARTIAL: Final = ".sinr-partial"
"""In the names of unfinished outputs."""
_LEFTOVER: Final = re.compile(r"\..*[0-9a-f]{8}\.sinr-partial(\..*)?")
_OLD: Final = 86400  # seconds without a change after which no run writes any more
_TRIES: Final = 40  # to remove a folder
_PAUSE: Final = 0.05  # seconds between them
_ROOM: Final = 1 << 12  # bytes
_PROBE: Final = f".room{_PARTIAL}"


@contextlib.contextmanager
def atomic_write(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which is renamed to `path` when the block succeeds.

    The temporary file exists (empty) when the block starts. It has the suffix of `path`, for writers that select a
    format by it. Any exception, Ctrl-C included, removes it and leaves an existing `path` unchanged. An existing target
    keeps its permissions, and a symbolic link remains one. A target that is not a regular file (`/dev/null`, a pipe)
    gets the bytes at the end, because renaming would replace the device itself.

    Raises
    ------
    InputError
        The folder is missing, the target is a folder, or the system refuses to write.

    Examples
    --------
    >>> with atomic_write("weights.bin") as temporary:      # doctest: +SKIP
    ...     temporary.write_bytes(blob)
    """
    if is_special(path):
        with as_output(path) as temporary:
            yield Path(temporary)
        return
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise InputError(f"{path}: is a folder that exists already; expected a new name")
    if not target.parent.is_dir():
        raise InputError(f"{path}: the folder {target.parent} does not exist")
    temporary = _beside(target)
    try:
        temporary.open("xb").close()
        with _blaming_a_full_disk(temporary):
            yield temporary
        if target.exists():
            shutil.copymode(target, temporary)
        _flush(temporary)
        os.replace(temporary, target)
    except OSError as error:
        if isinstance(error, SinrError) or error.filename not in (None, str(temporary), str(target)):
            raise  # from another file
        raise _unwritten(path, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _beside(target: Path) -> Path:
    """A new hidden name in the folder of a target; leftovers of runs that were killed are removed.

    It is shortened, because a long name with the additions could exceed the system's limit.
    """
    _sweep(target.parent)
    return target.with_name(f".{target.stem[:64]}.{secrets.token_hex(4)}{_PARTIAL}{target.suffix[:32]}")


@cache
def _sweep(folder: Path) -> None:
    """Remove what runs that were killed have left in a folder, once in a process.

    Younger names may be those of other runs.
    """
    with contextlib.suppress(OSError):
        for path in folder.glob(f".*{_PARTIAL}*"):
            if _LEFTOVER.fullmatch(path.name) and time.time() - path.lstat().st_mtime > _OLD:
                remove = shutil.rmtree if path.is_dir() and not path.is_symlink() else os.unlink
                with contextlib.suppress(OSError):
                    remove(path)


@contextlib.contextmanager
def _blaming_a_full_disk(path: Path) -> Iterator[None]:
    """Raise the system's error where there is no room for more bytes.

    Some libraries report a full disk as a fault of the samples, and others not at all.
    """
    try:
        yield
    except Exception:
        _check_room(path)
        raise
    _check_room(path)


def _check_room(path: Path) -> None:
    """Raise `OSError` if a file, or a new file in a folder, cannot get longer."""
    if not path.exists():
        return
    path = path / _PROBE if path.is_dir() else path
    with path.open("ab") as file:
        size = file.tell()
        file.write(bytes(_ROOM))
        file.flush()
        file.truncate(size)
    if path.name == _PROBE:
        path.unlink()


def _flush(path: Path) -> None:
    """Bring a file to the disk, so that no crash can leave its name with other content."""
    with path.open("rb+") as file, contextlib.suppress(OSError):  # some file systems cannot
        os.fsync(file.fileno())


def _unwritten(path: PathLike, error: OSError) -> InputError:
    return InputError(f"{path}: cannot be written ({error.strerror or error})")


@contextlib.contextmanager
def atomic_folder(path: PathLike, what: str) -> Iterator[Path]:
    """Yield a temporary path for a folder beside `path`, which is renamed to `path` when the block succeeds.

    Raises
    ------
    InputError
        `path` exists, its parent folder is missing, or the system refuses to write.
    """
    path = Path(path)
    if path.exists():
        raise InputError(f"{path}: exists already; expected a new name for a {what}")
    folder = path.resolve().parent
    if not folder.is_dir():
        raise InputError(f"{path}: the folder {folder} does not exist")
    temporary = _beside(folder / path.name)
    try:
        with _blaming_a_full_disk(temporary):
            yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if isinstance(error, SinrError):
            raise
        raise _unwritten(path, error) from error
    finally:
        _remove(temporary)


@contextlib.contextmanager
def atomic_files(folder: PathLike) -> Iterator[Path]:
    """Yield a temporary folder, whose files are moved to `folder` when the block succeeds.

    `folder` is made if needed; other files in it stay.

    Raises
    ------
    InputError
        `folder` cannot be made, or the system refuses to write.
    """
    folder = Path(folder)
    made = not folder.exists()
    temporary = folder / f".{secrets.token_hex(4)}{_PARTIAL}"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror or error})") from error
    try:
        temporary.mkdir()
        with _blaming_a_full_disk(temporary):
            yield temporary
        for path in sorted(temporary.iterdir()):
            os.replace(path, folder / path.name)
        made = False
    except OSError as error:
        if isinstance(error, SinrError):
            raise
        raise _unwritten(folder, error) from error
    finally:
        _remove(temporary)
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _remove(folder: Path) -> None:
    """Remove a folder in which threads of a library may still write."""
    for _ in range(_TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
        time.sleep(_PAUSE)


def check_output(out: Output, source: object = None) -> None:
    """Refuse an output that cannot be written, before long work; `atomic_write` checks again.

    Raises
    ------
    InputError
        `out` is a folder, its folder is missing, it is not writable, or it is the file `source` itself.
    """
    if not is_name(out):
        check_stream(out)
        return
    target, path = Path(out), os.fspath(out)
    if "\0" in path:
        raise InputError(f"{path}: is no name of a file")
    folder = target.resolve().parent
    if target.is_dir():
        raise InputError(f"{path}: is a folder that exists already; expected a new name")
    if not folder.is_dir():
        raise InputError(f"{path}: the folder {folder} does not exist")
    if isinstance(source, str | os.PathLike) and target.exists() and Path(source).exists() and target.samefile(source):
        raise InputError(f"{path}: is the input itself; expected another name for the output")
    if not os.access(target if target.exists() else folder, os.W_OK):
        raise InputError(f"{path}: cannot be written (permission denied)")


def write_bytes(out: Output, data: bytes) -> None:
    """Write `data` to a stream, or to a path through `atomic_write`."""
    if not is_name(out):
        copy(io.BytesIO(data), out)
        return
    with atomic_write(out) as temporary:
        temporary.write_bytes(data)


def without_suffix(path: Path) -> Path:
    """The path without the last extension, and without both of `.nii.gz`."""
    return path.with_suffix("").with_suffix("") if path.name.lower().endswith(".nii.gz") else path.with_suffix("")
