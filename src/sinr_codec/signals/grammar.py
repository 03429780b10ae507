"""One grammar for the region and the size of a rendering, as text and as Python values.

* `region`: "2:8,0:64" or ((2, 8), (0, 64)), a range of samples for each axis, in the array's order; omitted trailing
  axes are whole. For pictures also "0,0,256,128" or (0, 0, 256, 128): left, top, right and bottom, in pixels.
* `scale`: "2" or 2, a factor on the source's size along all axes; "1x1x2" or (1, 1, 2), one for each axis.
* `size`: "128x256" or (128, 256), samples of the result along each axis.

Where axes have names, a region or a scale may go by these: "time=2:8,lat=0:64" or {"time": (2, 8), "lat": (0, 64)}.

`parse` accepts both forms and parsed values, independently of any signal. The other methods check values against the
axes of a signal. All raise `InputError` with the value and the expected form in one line.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, Final, NamedTuple, Self

from sinr_codec.errors import InputError, listed, quoted

_MOST: Final = 2**31  # largest factor
_REGION: Final = "START:STOP for each axis, such as 0:32,0:64, or of a picture L,T,R,B, such as 0,0,256,128"
_SCALE: Final = "a number above 0, such as 2, or one an axis, such as 1x1x2"
_SIZE: Final = "HxW, such as 1024x1536, or a size for each axis"


class Range(NamedTuple):
    """Samples of an axis from `start` up to, but not including, `stop`."""

    start: int
    stop: int

    @staticmethod
    def metavar() -> str:
        """The syntax, for help texts."""
        return "A:B"

    @classmethod
    def parse(cls, value: Any, name: str = "range") -> "Range":
        """A range from "START:STOP" or (start, stop)."""
        ends = value.split(":") if isinstance(value, str) else value
        if isinstance(ends, Sequence) and len(ends) == 2:
            numbers = [_integer(end) for end in ends]
            if None not in numbers:
                return cls(*(number for number in numbers if number is not None))
        raise InputError(f"{name} {quoted(value)}: expected START:STOP, such as 0:32")

    def within(self, size: int, noun: str, name: str = "region") -> "Range":
        """The range itself, after a check that it is not empty and within an axis of `size` samples."""
        if not 0 <= self.start < self.stop <= size:
            raise InputError(f"{name} {self}: expected 0 <= start < stop <= {size}, in {noun}s of the source")
        return self

    def __str__(self) -> str:
        return f"{self.start}:{self.stop}"


@dataclass(frozen=True)
class Region:
    """A part of a signal.

    Attributes
    ----------
    ranges
        A range for each axis, in the array's order; for a picture, rows and columns.
    names
        Names of these axes; empty where the order identifies them.
    corners
        Whether the region was given as left, top, right and bottom.
    """

    ranges: tuple[Range, ...]
    names: tuple[str, ...] = ()
    corners: bool = False

    @staticmethod
    def metavar() -> str:
        """The syntax, for help texts."""
        return "L,T,R,B|A:B,..."

    @classmethod
    def parse(cls, value: Any) -> Self:
        """A region from text, a sequence or a mapping."""
        if isinstance(value, cls):
            return value
        items, names = _items(value, ",")
        if items and not names and len(items) == 4 and all(_integer(item) is not None for item in items):
            left, top, right, bottom = (int(item) for item in items)
            return cls((Range(top, bottom), Range(left, right)), corners=True)
        try:
            ranges = tuple(Range.parse(item) for item in items)
        except InputError:
            ranges = ()
        empty = isinstance(value, Sequence) and not isinstance(value, str) and not len(value)  # all axes are whole
        if not ranges and not empty:
            raise InputError(f"region {quoted(value)}: expected {_REGION}")
        return cls(ranges, names)

    def within(self, sizes: Sequence[int], noun: str) -> tuple[Range, ...]:
        """A range for each axis of a grid; `noun` names its samples in messages."""
        if self.names:
            raise InputError(f"region {self}: no names of axes here; expected START:STOP for each of {len(sizes)} axes")
        if len(self.ranges) > len(sizes) or (self.corners and len(sizes) != 2):
            raise InputError(f"region {self}: expected START:STOP for each of {len(sizes)} axes, in {noun}s")
        if self.corners:
            (top, bottom), (left, right) = self.ranges
            height, width = sizes
            if not (0 <= left < right <= width and 0 <= top < bottom <= height):
                raise InputError(f"region {self}: expected left < right <= {width} and top < bottom <= {height}")
        whole = (Range(0, n) for n in sizes[len(self.ranges) :])
        return (*(part.within(n, noun) for part, n in zip(self.ranges, sizes)), *whole)

    def by_name(self, names: Sequence[str]) -> dict[str, Range]:
        """Ranges by axis name; a region without names follows the order of `names`."""
        if self.corners or (not self.names and len(self.ranges) > len(names)):
            raise InputError(f"region {self}: expected START:STOP for each of {listed(names)}")
        return dict(zip(_known(self.names or names, names), self.ranges))

    def __str__(self) -> str:
        if self.corners:
            (top, bottom), (left, right) = self.ranges
            return f"{left},{top},{right},{bottom}"
        return ",".join(_named(self.names, self.ranges))


@dataclass(frozen=True)
class Scale:
    """Factors on the size of a signal.

    Attributes
    ----------
    factors
        One for all axes or one for each.
    names
        Names of these axes; empty where the order identifies them.
    """

    factors: tuple[float, ...]
    names: tuple[str, ...] = ()

    @staticmethod
    def metavar() -> str:
        """The syntax, for help texts."""
        return "S"

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Factors from text, a number, a sequence or a mapping."""
        if isinstance(value, cls):
            return value
        items, names = _items([value] if isinstance(value, Real) else value, "x")
        factors = [_number(item) for item in items]
        if not factors or None in factors:
            raise InputError(f"scale {quoted(value)}: expected {_SCALE}")
        return cls(tuple(factor for factor in factors if factor is not None), names)

    def _check(self) -> None:
        if not all(0 < factor < _MOST for factor in self.factors):
            raise InputError(f"scale {self}: expected {_SCALE}")

    def along(self, axes: int) -> tuple[float, ...]:
        """A factor for each of `axes` axes."""
        self._check()
        if not self.names and len(self.factors) in (1, axes):
            return self.factors if len(self.factors) == axes else self.factors * axes
        raise InputError(f"scale {self}: expected a number, or one for each of {axes} axes")

    def by_name(self, names: Sequence[str], usual: Sequence[str]) -> dict[str, float]:
        """Factors by axis name; a single number applies to the `usual` axes."""
        self._check()
        if self.names:
            return dict(zip(_known(self.names, names), self.factors))
        if len(self.factors) == 1:
            return dict.fromkeys(usual, self.factors[0])
        return dict(zip(names, self.along(len(names))))

    def __str__(self) -> str:
        return ("," if self.names else "x").join(_named(self.names, [f"{factor:g}" for factor in self.factors]))


class Size(tuple[int, ...]):
    """Samples of a result along each axis."""

    @staticmethod
    def metavar() -> str:
        """The syntax, for help texts."""
        return "HxW"

    @classmethod
    def parse(cls, value: Any) -> Self:
        """A size from "HxW" or a sequence."""
        items, names = _items(value, "x")
        counts = [_integer(item) for item in items]
        few = len(counts) < (2 if isinstance(value, str) else 1)
        if names or few or not all(count is not None and count >= 1 for count in counts):
            raise InputError(f"size {quoted(value)}: expected {_SIZE}")
        return cls(count for count in counts if count is not None)

    def along(self, axes: int, what: str = "an axis") -> tuple[int, ...]:
        """A number of samples for each of `axes` axes."""
        if len(self) != axes:
            raise InputError(f"size {self}: expected {axes} integers of at least 1, one {what}")
        return tuple(self)

    def __str__(self) -> str:
        return "x".join(map(str, self))


RegionLike = Region | str | Sequence[int] | Sequence[tuple[int, int]] | Mapping[str, tuple[int, int]]
ScaleLike = Scale | str | float | Sequence[float] | Mapping[str, float]
SizeLike = Size | str | Sequence[int]
RangeLike = Range | str | tuple[int, int]
"""Argument type of options: a parsed value, or anything that parses."""


def _items(value: Any, separator: str) -> tuple[list[Any], tuple[str, ...]]:
    """The items of a text, a sequence or a mapping, and their names if any; no items for other types."""
    if isinstance(value, str):
        named = [re.fullmatch(r"\s*([^=\s][^=]*?)\s*=(.*)", item) for item in value.split(",")]
        if all(named):
            return [match[2] for match in named if match], tuple(match[1] for match in named if match)
        return value.lower().split(separator), ()
    if isinstance(value, Mapping):
        return list(value.values()), tuple(map(str, value))
    return (list(value), ()) if isinstance(value, Sequence) else ([], ())


def _integer(value: Any) -> int | None:
    """The value of an integer, NumPy integer or string of decimal digits; None for anything else."""
    if isinstance(value, str):
        return int(value) if value.strip().isdecimal() else None
    return int(value) if isinstance(value, Integral) else None


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return float(value) if isinstance(value, Real) else None


def _known(wanted: Sequence[str], names: Sequence[str]) -> Sequence[str]:
    """The wanted names, after a check that all are known."""
    if unknown := [name for name in wanted if name not in names]:
        raise InputError(f"dimension {quoted(unknown[0])}: expected one of {listed(names)}")
    return wanted


def _named(names: Sequence[str], values: Sequence[Any]) -> list[str]:
    return [f"{name}={value}" for name, value in zip(names, values)] if names else [str(value) for value in values]
