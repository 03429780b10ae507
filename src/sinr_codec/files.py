"""Atomic writing of files and folders."""

import contextlib
import io
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sinr_codec.errors import InputError
from sinr_codec.streams import Output, check_stream, copy, is_name
from sinr_codec.types import PathLike

_TRIES: Final = 40  # to remove a folder
_PAUSE: Final = 0.05  # seconds between them


@contextlib.contextmanager
def atomic_write(path: PathLike) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which is renamed to `path` when the block succeeds.

    The temporary file exists (empty) when the block starts. It has the suffix of `path`, for writers that select a
    format by it. Any exception, Ctrl-C included, removes it and leaves an existing `path` unchanged. An existing target
    keeps its permissions, and a symbolic link remains one. A target that is not a regular file (`/dev/null`, a pipe) is
    written directly, because renaming would replace the device itself.

    Raises
    ------
    InputError
        The folder is missing, the target is a folder, or the system refuses to write.

    Examples
    --------
    >>> with atomic_write("weights.bin") as temporary:      # doctest: +SKIP
    ...     temporary.write_bytes(blob)
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise InputError(f"{path}: is a folder that exists already; expected a new name")
    if not target.parent.is_dir():
        raise InputError(f"{path}: the folder {target.parent} does not exist")
    special = target.exists() and not target.is_file()
    # Truncated, because a long name with these additions could exceed the system's limit.
    marker = f".{target.stem[:64]}.{secrets.token_hex(4)}.partial{target.suffix[:32]}"
    # By its own name, whose suffix some writers look at.
    temporary = Path(path) if special else target.with_name(marker)
    try:
        if not special:
            temporary.open("xb").close()
        yield temporary
        if not special:
            if target.exists():
                shutil.copymode(target, temporary)
            os.replace(temporary, target)
    except OSError as error:
        if error.filename not in (None, str(temporary), str(target)):
            raise  # from another file
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        if not special:
            temporary.unlink(missing_ok=True)


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
    temporary = folder / f".{path.stem[:64]}.{secrets.token_hex(4)}.partial{path.suffix}"
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        _remove(temporary)


def _remove(folder: Path) -> None:
    """Remove a folder, also where a library's threads go on writing into it for a moment after they have failed."""
    for _ in range(_TRIES):
        if not folder.exists():
            return
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(_PAUSE)


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
    temporary = folder / f".{secrets.token_hex(4)}.partial"
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror or error})") from error
    try:
        temporary.mkdir()
        yield temporary
        for path in sorted(temporary.iterdir()):
            os.replace(path, folder / path.name)
        made = False
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()


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
