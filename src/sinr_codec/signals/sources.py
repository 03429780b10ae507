"""The door for files: what libraries raise and log on damaged ones, in one line that names the file."""

import contextlib
import logging
import os
import secrets
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from sinr_codec.errors import InputError, MissingExtraError, SinrError


@contextlib.contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn whatever a library raises on a damaged file into one line that names it."""
    try:
        yield
    except MissingExtraError as error:
        raise MissingExtraError(f"{name}: {error}") from error
    except InputError as error:
        raise error if str(error).startswith(name) else InputError(f"{name}: {error}") from error
    except (SinrError, MemoryError):
        raise
    except PermissionError as error:
        raise InputError(f"{name}: permission denied") from error
    except Exception as error:  # gzip, zlib, struct, zarr and nibabel raise what they like on damage
        raise InputError(f"{name}: not a readable volume ({line(error)})") from error


class _Raise(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Raise instead of telling, in the thread that asked for it."""
        if threading.get_ident() == self._thread:
            raise InputError(f"damaged ({record.getMessage()})")


@contextlib.contextmanager
def errors_raised(library: str) -> Iterator[None]:
    """Raise what a library only logs: of a damaged stack, tifffile would return the pages that it finds."""
    logger, handler = logging.getLogger(library), _Raise()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def line(error: BaseException) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`; it becomes `path` when the block ends well."""
    if path.exists():
        raise InputError(f"{path}: exists; expected a new name for a zarr folder")
    if not path.resolve().parent.is_dir():
        raise InputError(f"{path}: the folder {path.resolve().parent} does not exist")
    temporary = path.with_name(f".{path.stem[:64]}.{secrets.token_hex(4)}.partial{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
