"""The door for files: what is there, the libraries that read it, and what these raise on damage, in one line."""

import contextlib
import logging
import threading
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sinr_codec.errors import InputError, MissingExtraError, SinrError
from sinr_codec.types import PathLike

if TYPE_CHECKING:
    from PIL import Image

_LONGEST: Final = 200  # characters of what a library says


def existing(source: PathLike, what: str, *, folders: bool = True) -> Path:
    """The path of a source that is there.

    Raises
    ------
    InputError : no such file, an empty one, or a folder where none is expected
    """
    path = Path(source)
    if path.is_dir() and not folders:
        raise InputError(f"{path}: expected {what}, found a directory")
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path}: expected {what}, found an empty file")
    return path


def library(module: str, extra: str, purpose: PathLike, package: str | None = None) -> Any:
    """Import a library of an extra.

    Parameters
    ----------
    module
        What to import.
    extra
        The extra of this package that brings it.
    purpose
        What needs it, for the message: a path, or words.
    package
        Its name for pip, where that is not the module's.

    Raises
    ------
    MissingExtraError : it is not installed, or a system library that it needs is missing
    """
    try:
        return import_module(module)
    except (ImportError, OSError) as error:
        name = package or module.partition(".")[0]
        raise MissingExtraError(f"{purpose}: needs {name}: pip install 'sinr-codec[{extra}]'") from error


@contextlib.contextmanager
def translated(
    name: PathLike,
    failure: str,
    error: type[SinrError] = InputError,
    *,
    untouched: tuple[type[Exception], ...] = (),
) -> Iterator[None]:
    """Turn whatever a library raises into one line that begins with a name; its warnings are dropped.

    Parameters
    ----------
    name
        The file, or another name of the source.
    failure
        What the line says of an error without a meaning of its own; "{reason}" in it stands for the library's words.
    error
        What such an error becomes.
    untouched
        Errors that pass, besides those of this package and of memory.

    Raises
    ------
    InputError, MissingExtraError : as raised inside, with the name in front
    """
    passing: tuple[type[Exception], ...] = (SinrError, MemoryError, *untouched)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except (InputError, MissingExtraError) as known:
        raise known if str(known).startswith(str(name)) else type(known)(f"{name}: {known}") from known
    except passing:
        raise
    except PermissionError as denied:
        raise InputError(f"{name}: permission denied") from denied
    except Exception as other:  # libraries raise what they like on damage: struct.error, EOFError, SyntaxError, ...
        raise error(f"{name}: {failure.format(reason=reason(other))}") from other


def reason(error: BaseException) -> str:
    """What a library's error says, in one line."""
    said = getattr(error, "error_string", None) or getattr(error, "strerror", None) or error
    return (" ".join(str(said).split()) or type(error).__name__)[:_LONGEST]


@contextlib.contextmanager
def picture(path: PathLike) -> Iterator["Image.Image"]:
    """A picture that Pillow opens, its pixels read.

    Raises
    ------
    InputError : no picture, a damaged one, or one so large that Pillow takes it for an attack
    """
    from PIL import Image

    # Pillow warns of damaged metadata, and of 100 megapixels, which are no attack: it refuses twice that.
    with translated(path, "damaged picture: {reason}"):
        try:
            with Image.open(path) as opened:
                opened.load()
                yield opened
        except Image.DecompressionBombError as error:
            raise InputError(f"{path}: refused as a decompression bomb: {reason(error)}") from error
        except Image.UnidentifiedImageError as error:
            raise InputError(f"{path}: expected a picture that Pillow opens") from error


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
