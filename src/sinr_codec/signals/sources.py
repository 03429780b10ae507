"""Access to source files: checks of paths, optional libraries, and their errors in one line."""

import contextlib
import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sinr_codec.errors import InputError, MissingExtraError, MissingFileError, SinrError
from sinr_codec.types import PathLike

if TYPE_CHECKING:
    from PIL import Image

_LONGEST: Final = 200  # most characters of a library's message


def existing(source: PathLike, what: str, *, folders: bool = True) -> Path:
    """The path of an existing source.

    Raises
    ------
    InputError : no such file, an empty one, or a folder where none is expected
    """
    path = Path(source)
    if path.is_dir() and not folders:
        raise InputError(f"{path}: expected {what}, found a directory")
    if not path.exists():
        raise MissingFileError(f"{path}: no such file")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path}: expected {what}, found an empty file")
    return path


def library(module: str, extra: str, purpose: PathLike, package: str | None = None) -> Any:
    """Import a library that an extra installs.

    Parameters
    ----------
    module
        Name of the module.
    extra
        The extra of this package that installs it.
    purpose
        Purpose, for the message: a path, or words.
    package
        Its name for pip, if not the module's.

    Raises
    ------
    MissingExtraError : it is not installed, or a system library it depends on is missing
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
    """Translate a library's exceptions into one line that starts with the source's name; suppress its warnings.

    Parameters
    ----------
    name
        The file, or another name of the source.
    failure
        Message for errors without a more specific one; "{reason}" stands for the library's message.
    error
        Class for such errors.
    untouched
        Exceptions to pass on, besides those of this package and MemoryError.

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
    except FileNotFoundError as lost:  # of a format of several files
        where = lost.filename if lost.filename and os.path.abspath(lost.filename) != os.path.abspath(name) else None
        told = f"needs {where}, which is not there" if where else failure.format(reason=reason(lost))
        raise error(f"{name}: {told}") from lost
    except ModuleNotFoundError as missing:  # that of a library's own extra
        if missing.name is None:
            raise error(f"{name}: {failure.format(reason=reason(missing))}") from missing
        raise MissingExtraError(f"{name}: needs {missing.name}: pip install {missing.name}") from missing
    except Exception as other:  # on damage, libraries raise anything: struct.error, EOFError, SyntaxError, ...
        raise error(f"{name}: {failure.format(reason=reason(other))}") from other


def reason(error: BaseException) -> str:
    """The message of an exception in one line."""
    said = getattr(error, "error_string", None) or getattr(error, "strerror", None) or error
    return (" ".join(str(said).split()) or type(error).__name__)[:_LONGEST]


_DRAWINGS: Final = ("EPS", "WMF")  # Pillow would start other programs, or only the system's, to draw them
MOST_PIXELS: Final = 1 << 28
"""Pixels of a picture in a file, where the user of Pillow has set no limit: 268 megapixels."""
_PIXELS: Final = threading.Lock()


class UnknownPictureError(InputError):
    """A file that Pillow does not know as a picture."""


@contextlib.contextmanager
def picture(path: PathLike, before: "Callable[[Image.Image], None] | None" = None) -> Iterator["Image.Image"]:
    """A picture opened by Pillow, with its pixels loaded; `before` sees it before that.

    Raises
    ------
    InputError : not a picture, damaged, a drawing, or so large that an attack is likely
    """
    from PIL import Image

    # Pillow warns of damaged metadata and above some 100 megapixels; it refuses twice that.
    with translated(path, "damaged picture: {reason}"):
        try:
            with _open(path) as opened:
                if before is not None:
                    before(opened)
                opened.load()
                yield opened
        except Image.DecompressionBombError as error:
            raise InputError(
                f"{path}: refused as a decompression bomb: {reason(error)}; give an array (.npy)"
            ) from error
        except Image.UnidentifiedImageError as error:
            if Path(path).suffix.lower() in (".eps", ".ps", ".pdf", ".wmf", ".emf", ".svg", ".ai"):
                raise InputError(f"{path}: expected a picture of pixels, found a drawing; render it first") from error
            raise UnknownPictureError(f"{path}: expected a picture that Pillow opens") from error


def _open(path: PathLike) -> "Image.Image":
    """A picture of up to `MOST_PIXELS`, or of what the user of Pillow allows."""
    from PIL import Image

    Image.init()
    formats = [name for name in Image.ID if name not in _DRAWINGS]
    default = 1024 * 1024 * 1024 // 4 // 3
    if default != Image.MAX_IMAGE_PIXELS:
        return Image.open(path, formats=formats)
    try:
        return Image.open(path, formats=formats)
    except Image.DecompressionBombError:
        with _PIXELS:  # the limit is one for all threads
            Image.MAX_IMAGE_PIXELS = MOST_PIXELS // 2
            try:
                return Image.open(path, formats=formats)
            finally:
                Image.MAX_IMAGE_PIXELS = default


class _Raise(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Raise instead of logging, in the thread that asked for it."""
        if threading.get_ident() == self._thread:
            raise InputError(f"damaged ({record.getMessage()})")


def in_8_bits(opened: "Image.Image", path: PathLike) -> tuple["Image.Image", bool]:
    """A picture that was read, in 8 bits, and whether it had more.

    Pillow keeps 8 bits of deep colours, but clips deep grey samples where it converts them.

    Raises
    ------
    InputError : samples of 32 bits, whose range nothing tells
    """
    from PIL import Image

    if opened.mode in ("F", "I") and opened.format != "PNG":
        raise InputError(f"{path}: expected samples of 8 or 16 bits, found 32")
    if opened.mode.startswith("I"):
        import numpy as np

        return Image.fromarray(np.rint(np.asarray(opened) / 257).clip(0, 255).astype(np.uint8)), True
    with open(path, "rb") as file:
        head = file.read(25)
    return opened, opened.format == "PNG" and head[24] > 8


@contextlib.contextmanager
def errors_raised(library: str) -> Iterator[None]:
    """Raise errors that a library only logs: for a damaged stack, tifffile would return the pages it finds."""
    logger, handler = logging.getLogger(library), _Raise()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
