"""The exceptions of this package, all derived from `SinrError`.

Every message is one line that names the file or the argument and the expected value.
"""

import reprlib
from collections.abc import Iterable
from itertools import accumulate
from typing import Final

_QUOTED: Final = 60
_LISTED: Final = 120
_short = reprlib.Repr()  # takes no longer for a long value than for a short one
_short.maxstring = _short.maxother = _short.maxlong = _QUOTED
_short.maxlist = _short.maxtuple = _short.maxdict = _QUOTED // 2


class SinrError(Exception):
    """Base of all errors that a caller or a file can cause."""


class InputError(SinrError, ValueError):
    """An argument, a signal or a checkpoint that cannot be used as asked."""


class MissingFileError(InputError, FileNotFoundError):
    """A path at which there is nothing."""


class QualityError(SinrError):
    """A file that `strict` refuses to write: it misses its target, or is no better than the signal's mean.

    `report` is the report on it, with its bytes.
    """

    def __init__(self, message: str, report: object = None) -> None:
        super().__init__(message)
        self.report = report


class QualityWarning(UserWarning):
    """A file was made that is hardly better than the signal's mean."""


class MissingExtraError(SinrError, ImportError):
    """A library is missing; the message names the extra that installs it."""


class FormatError(SinrError):
    """A `.sinr` file that breaks the format; subclasses tell how."""


class NotSinrError(FormatError):
    """The magic bytes are not those of a `.sinr` file."""


class VersionError(FormatError):
    """The file was written in a format version that this reader does not know."""


class TruncatedError(FormatError):
    """The file is shorter than its header declares."""


class ChecksumError(FormatError):
    """A CRC-32 does not match: the bytes were changed after writing."""


class MalformedError(FormatError):
    """The bytes break an invariant of the format: lengths, types, ranges or trailing bytes."""


class LimitError(FormatError):
    """The file declares more than this reader is willing to allocate or compute."""


class UnknownIdError(FormatError):
    """The file uses a field, signal or coder id that this reader does not know."""


def quoted(value: object) -> str:
    """A value as Python writes it, for messages: one line of at most 60 characters, without control characters.

    The middle of a longer text is left out.
    """
    try:
        text = repr(value[:_QUOTED]) if isinstance(value, bytes) else _short.repr(value)
    except ValueError:  # an integer of too many digits
        text = f"an integer of {value.bit_length()} bits" if isinstance(value, int) else type(value).__name__
    text = printable(text)
    return text if len(text) <= _QUOTED else f"{text[: _QUOTED - 3]}..."


def listed(names: Iterable[object]) -> str:
    """Names for messages, "a, b and 7 more": printable, in some 120 characters; "none" where there are none."""
    texts = [printable(str(name)[:_LISTED]) for name in names]
    kept = [text for text, length in zip(texts, accumulate(len(text) + 2 for text in texts)) if length <= _LISTED]
    kept = kept or [text[:_QUOTED] for text in texts[:1]]
    more = f" and {len(texts) - len(kept):,} more" if len(texts) > len(kept) else ""
    return (", ".join(kept) or "none") + more


def printable(text: str) -> str:
    """A text as one line: spaces for line breaks, escapes for characters that are not printable, bidi ones included."""
    line = " ".join(text.split())
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in line)


def explain(error: BaseException) -> str | None:
    """An error's message for the user, in one line; None for errors not caused by the user, a file or the system."""
    if isinstance(error, SinrError):
        text = str(error)
    elif isinstance(error, OSError):
        text = f"{error.filename}: {error.strerror}" if error.filename else str(error)
    elif isinstance(error, MemoryError) or _out_of_memory_in_torch(error):
        text = "not enough memory; free some, or ask for less at a time (a region, a smaller size)"
    else:
        return None
    return printable(text)


def _out_of_memory_in_torch(error: BaseException) -> bool:
    """Whether an error is PyTorch's for exhausted memory, on a GPU or on the CPU."""
    on_cpu = isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    return type(error).__name__ == "OutOfMemoryError" or on_cpu
