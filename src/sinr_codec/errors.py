"""Everything this package refuses is refused with a `SinrError`.

Every message is one line that names the file or the argument and says what was expected.
"""


class SinrError(Exception):
    """Base of all errors that a caller or a file can cause."""


class InputError(SinrError):
    """An argument, a signal or a checkpoint that cannot be used as asked."""


class MissingExtraError(SinrError):
    """A library is missing; the message names the extra that brings it."""


class FormatError(SinrError):
    """A `.sinr` file that breaks the format. The children say how."""


class NotSinrError(FormatError):
    """The magic bytes are not those of a `.sinr` file."""


class VersionError(FormatError):
    """The file was written in a format version that this reader does not know."""


class TruncatedError(FormatError):
    """The file ends before what its header declares."""


class ChecksumError(FormatError):
    """A CRC-32 does not match: the bytes were changed after writing."""


class MalformedError(FormatError):
    """The bytes break an invariant of the format: lengths, types, ranges or trailing bytes."""


class LimitError(FormatError):
    """The file declares more than this reader is willing to allocate or compute."""


class UnknownIdError(FormatError):
    """The file uses a field, signal or coder id that this reader does not know."""
