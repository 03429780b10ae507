"""Bounds on the memory and the work that a reader spends on a file it does not trust."""

from dataclasses import dataclass, fields, replace
from typing import Final, Self

from sinr_codec.errors import InputError, LimitError, quoted

# What a file may take without being asked for more: an amount that any file may take, more for every byte of it, and a
# bound. The largest real signals (pictures of 200 megapixels, a year of daily climate grids, networks of 100 million
# parameters) take a tenth of that, or less.
_ANY_BYTES: Final = 2**27
_BYTES_A_BYTE: Final = 2**20
_MOST_BYTES: Final = 2**34
_ANY_WORK: Final = 2**36
_WORK_A_BYTE: Final = 2**32
_MOST_WORK: Final = 2**50
_SUFFIXES: Final = {"k": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


@dataclass(frozen=True)
class Limits:
    """Upper bounds of a reader. Each is checked before the memory that it bounds is allocated.

    They belong to the reader, not to the format: a server may lower them, a user raise them.
    """

    max_file_bytes: int = 2**30
    """Size of the whole file."""
    max_header_bytes: int = 2**20
    """Size of the CBOR header."""
    max_sections: int = 2**16
    """Number of sections."""
    max_tensors: int = 2**16
    """Number of tensors in a state dict."""
    max_params: int = 2**30
    """Weights of all networks of a file together."""
    max_samples: int = 2**33
    """Values (positions times channels) of a decoded signal."""
    max_bytes: int | None = None
    """Memory for what is decoded, intermediate arrays included.

    Unless given, 2**27 bytes, and 2**20 more for each byte of the file, at most 2**34."""
    max_work: int | None = None
    """Multiply-adds of a rendering (of one view of a scene), and of decoding all weights.

    Unless given, 2**36, some seconds on one core, and 2**32 more for each byte of the file, at most 2**50."""

    def of_file(self, size: int) -> Self:
        """The limits for a file of `size` bytes, in which all are numbers."""
        most_bytes = min(_ANY_BYTES + _BYTES_A_BYTE * size, _MOST_BYTES)
        most_work = min(_ANY_WORK + _WORK_A_BYTE * size, _MOST_WORK)
        return replace(
            self,
            max_bytes=most_bytes if self.max_bytes is None else self.max_bytes,
            max_work=most_work if self.max_work is None else self.max_work,
        )

    def bound(self, name: str) -> int:
        """The limit called `name`, of the smallest file where it depends on the file's size."""
        value: int = getattr(self.of_file(0), name)
        return value

    def check(self, name: str, value: int, what: str = "the file declares") -> None:
        """Raise `LimitError` when `value` is above the limit called `name`, for example "max_params"."""
        bound = self.bound(name)
        if value > bound:
            raise LimitError(f"{what} {_count(value)} for {name}; this reader accepts {bound:,}; {remedy(name)}")

    @classmethod
    def parse(cls, *entries: str) -> Self:
        """Limits from texts such as "max_bytes=16G" or "max_work=2**50"; others have their defaults.

        Raises
        ------
        InputError : an unknown name, or no positive integer
        """
        names = [each.name for each in fields(cls)]
        given: dict[str, int] = {}
        for entry in entries:
            name, _, text = entry.partition("=")
            name = name.strip().replace("-", "_")
            if name not in names:
                raise InputError(f"limit {quoted(entry)}: expected NAME=VALUE with one of {', '.join(names)}")
            given[name] = _parsed(entry, text.strip())
        return cls(**given)


def remedy(name: str) -> str:
    """What a user can do who trusts a file that the limit called `name` refuses."""
    return f"for a file that you trust, raise it (--limit {name}=VALUE, Limits({name}=VALUE))"


def _count(value: int) -> str:
    return f"{value:,}" if value < 10**18 else "over 10^18"


def _parsed(entry: str, text: str) -> int:
    base, power, exponent = text.partition("**")
    if power and base.isdecimal() and exponent.isdecimal() and len(exponent) < 3:
        return int(base) ** int(exponent)
    digits, factor = (text[:-1], _SUFFIXES[text[-1]]) if text[-1:] in _SUFFIXES else (text, 1)
    if not digits.isdecimal() or len(digits) > 18:
        raise InputError(f"limit {quoted(entry)}: expected a positive integer, such as 1000000, 4G or 2**40")
    return int(digits) * factor


DEFAULT_LIMITS: Final = Limits()
OWN_LIMITS: Final = Limits(max_bytes=_MOST_BYTES, max_work=_MOST_WORK)
"""For files that this process wrote, whatever their size."""
