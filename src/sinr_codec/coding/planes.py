"""Levels without their last bits, and those bits in planes, so that the beginning of a file decodes.

The *base* of a level is the level rounded to a multiple of 2^planes: half of that is added, and the last `planes` bits
are dropped. These follow in planes, from the highest to the lowest. Each bit is coded with adaptive counts in the
context of the bits above it, which matters near zero, where levels are not equally likely.
"""

from typing import Final

import numpy as np

from sinr_codec.coding.rangecoder import RangeDecoder, Symbol, check_symbols, range_encode
from sinr_codec.coding.varint import Reader
from sinr_codec.types import Ints

__all__ = ["MAX_PLANES", "PlaneReader", "base_of", "encode_plane", "levels_of"]


MAX_PLANES: Final = 15
_NEAR: Final = 3  # levels from this distance to zero on share their counts
_MOST: Final = 1 << 10  # total of the counts at which they are halved
_LEAST: Final = 7  # the rarer bit has at least 2**-7, so that no symbol is free


def base_of(levels: Ints, planes: int) -> Ints:
    """Levels rounded to multiples of 2^planes, without their last `planes` bits."""
    return levels + _half(planes) >> planes


def levels_of(above: Ints, planes: int, there: int) -> Ints:
    """The least level of each cell, from the base and the first `there` planes."""
    return (above << planes - there) - _half(planes)


def encode_plane(tensors: list[Ints], planes: int, number: int) -> bytes:
    """Plane `number` of the levels of all tensors, 0 for the highest."""
    symbols: list[Symbol] = []
    for levels in tensors:
        bits = levels.reshape(-1) + _half(planes) >> planes - 1 - number
        counts = _Counts()
        for near, bit in zip(_contexts(bits >> 1, number), (bits & 1).tolist()):
            zeros, total = counts.odds(near)
            symbols.append((zeros, total - zeros, total) if bit else (0, zeros, total))
            counts.add(near, bit)
    return range_encode(symbols) if symbols else b""


class PlaneReader:
    """Reads plane `number`, tensor by tensor."""

    def __init__(self, data: bytes, number: int) -> None:
        self._number = number
        self._reader = Reader(data, "bit plane")
        self._bytes = len(data)
        self._decoder: RangeDecoder | None = None
        self._symbols = 0

    def finer(self, above: Ints) -> Ints:
        """The levels of the next tensor, int64 (n,), with the bits of this plane appended.

        Raises
        ------
        TruncatedError, MalformedError, LimitError
            The plane is damaged, or too short for so many levels.
        """
        if not above.size:
            return above
        self._symbols += above.size
        check_symbols(self._reader, self._symbols, self._bytes)
        decoder = self._decoder = self._decoder or RangeDecoder(self._reader, self._bytes)
        counts = _Counts()
        bits = []
        for near in _contexts(above, self._number):
            bit = decoder.bit(*counts.odds(near))
            counts.add(near, bit)
            bits.append(bit)
        return above << 1 | np.array(bits, np.int64)

    def end(self) -> None:
        """Refuse bytes after the last tensor."""
        if self._decoder is not None:
            self._decoder.finish()
        self._reader.end()


def _half(planes: int) -> int:
    return 1 << planes >> 1


def _contexts(above: Ints, number: int) -> list[int]:
    """Signed distance to zero of the bits above plane `number`, clipped and counted from 0."""
    near: list[int] = (np.clip(above - _half(number), -_NEAR, _NEAR) + _NEAR).tolist()
    return near


class _Counts:
    """Adaptive counts of zeros and of all bits in each context of a tensor."""

    def __init__(self) -> None:
        self._zeros, self._totals = [1] * (2 * _NEAR + 1), [2] * (2 * _NEAR + 1)

    def odds(self, context: int) -> tuple[int, int]:
        """Frequency of a zero, and the total of both."""
        total = self._totals[context] << _LEAST
        least = self._totals[context]
        return min(max(self._zeros[context] << _LEAST, least), total - least), total

    def add(self, context: int, bit: int) -> None:
        self._zeros[context] += 1 - bit
        self._totals[context] += 1
        if self._totals[context] == _MOST:
            self._zeros[context] = max(1, self._zeros[context] >> 1)
            self._totals[context] >>= 1
