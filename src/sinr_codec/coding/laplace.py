"""Frequencies of integers with a Laplace distribution, from exact integer arithmetic.

The distribution of a row has the scale b = 2**(sigma/8), -40 <= sigma <= 40, and its mean lies (f - 8)/16 above
an integer, 0 <= f <= 15. Rows are numbered 16 (sigma + 40) + f. The probability of an integer is the mass within 1/2
of it (docs/format.md, 6.10). `Symbols` and `decoded` are integers under such distributions, in a stream of `rans`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from typing import Any, Final

import numpy as np

from sinr_codec.coding import compiled, rans
from sinr_codec.coding.model import power_of_two
from sinr_codec.coding.rans import TOTAL, TOTAL_BITS
from sinr_codec.coding.varint import write_varint
from sinr_codec.types import Array, Floats, Ints

__all__ = [
    "ESCAPE",
    "FRACTIONS",
    "LARGEST_RADIUS",
    "ROWS",
    "SIGMA",
    "ZERO",
    "Symbols",
    "Tables",
    "decoded",
    "fast_loop",
    "tables",
]

SIGMA: Final = 40
"""The largest sigma; the least is -SIGMA."""
FRACTIONS: Final = 16
ROWS: Final = (2 * SIGMA + 1) * FRACTIONS
LARGEST_RADIUS: Final = 127
ESCAPE: Final = 0
"""The symbol of all integers outside the radius R."""
ZERO: Final = 128
"""The symbol of 0; the integer d is symbol d + ZERO."""

_ONE: Final = 1 << 30  # probability 1
_EXP_BITS: Final = 64
_SYMBOL: Final = 0.7e-6  # seconds that numba saves for a symbol


def _sixteenth(sigma: int) -> int:
    """exp(-1/(16 b)) in units of 2**-30, rounded down: a Taylor series with 64 fractional bits."""
    z = power_of_two(-sigma - 32, 3, _EXP_BITS)  # 1/(16 b)
    total = term = 1 << _EXP_BITS
    n = 0
    while term:
        n += 1
        term = term * z // (n << _EXP_BITS)
        total += -term if n & 1 else term
    return total >> _EXP_BITS - 30


def _tails() -> Ints:
    """exp(-n/(16 b)) in units of 2**-30, (n, sigma): each is the one before times `_sixteenth`, rounded down."""
    ratios = np.array([_sixteenth(sigma) for sigma in range(-SIGMA, SIGMA + 1)])
    tails = np.full((FRACTIONS * (LARGEST_RADIUS + 1) + 1, len(ratios)), _ONE)
    for before, after in pairwise(tails):
        np.multiply(before, ratios, out=after)
        after >>= 30
    return tails


class Tables:
    """The distributions of all rows, as arrays of integers of 32 bits.

    `frequencies` and `starts` are (ROWS, 256): of sum 2**14, at least 1 for an escape and for the integers within the
    radius, 0 for others. `radii` (ROWS,) are R: the least of 1..127 beyond which a distribution about an integer has a
    mass of less than 2**-15.
    """

    def __init__(self) -> None:
        tails = _tails()
        far = tails[FRACTIONS + FRACTIONS // 2 :: FRACTIONS][: LARGEST_RADIUS - 1]
        radii = 1 + (far >= _ONE >> 15).sum(0)
        below = np.concatenate([tails[:0:-1], 2 * _ONE - tails]).T  # twice the mass below each sixteenth
        distances = np.abs(np.arange(256) - ZERO)
        inside = distances <= radii[:, None]
        inside[:, ESCAPE] = True
        found = np.empty((len(radii), FRACTIONS, 256), np.int32)
        for fraction in range(FRACTIONS):
            edges = below[:, FRACTIONS - fraction :: FRACTIONS]
            found[:, fraction, 1:] = np.maximum(1, np.diff(edges) + (1 << 16) >> 17)
        found[..., ESCAPE] = 1
        found *= inside[:, None]
        found[..., ZERO] += TOTAL - found.sum(2, dtype=np.int32)
        self.frequencies: Array = found.reshape(ROWS, 256)
        self.starts: Array = np.cumsum(self.frequencies, axis=1, dtype=np.int32) - self.frequencies
        self.radii: Array = np.repeat(radii, FRACTIONS).astype(np.int32)

    @cached_property
    def costs(self) -> Floats:
        """Bits of each symbol, (ROWS, 256)."""
        return TOTAL_BITS - np.log2(np.maximum(self.frequencies, 1))


@cache
def tables() -> Tables:
    """The one instance of `Tables`."""
    return Tables()


@dataclass(frozen=True)
class Symbols:
    """Integers of 32 bits as symbols of their rows.

    Attributes
    ----------
    rows, numbers
        Row and symbol of each integer, (n,).
    where, beyond
        Which symbols are escapes, and what follows each of them: 2 (|d| - R - 1) + (d < 0), for a distance d.
    """

    rows: Ints
    numbers: Ints
    where: Ints
    beyond: Ints

    @classmethod
    def of(cls, rows: Ints, origins: Ints, values: Ints) -> Symbols:
        """The symbols of `values` in these rows; `origins` are the integers of symbol 0."""
        numbers = values - origins
        distance = numbers - ZERO
        where = np.flatnonzero(np.abs(distance) > tables().radii[rows])
        numbers[where] = ESCAPE
        beyond = np.abs(distance[where]) - tables().radii[rows[where]] - 1
        return cls(rows, numbers, where, 2 * beyond + (distance[where] < 0))

    @property
    def bits(self) -> Floats:
        """Ideal code length of each integer."""
        cost = tables().costs[self.rows, self.numbers]
        cost[self.where] += [8 * -(-max(e.bit_length(), 1) // 7) for e in self.beyond.tolist()]
        return cost

    @property
    def intervals(self) -> tuple[Ints, Ints]:
        """Starts and frequencies for `rans.encode`; an escape is followed by the bytes of a LEB128 integer."""
        start, count = tables().starts[self.rows, self.numbers], tables().frequencies[self.rows, self.numbers]
        pieces = [(i, byte) for i, e in zip(self.where.tolist(), self.beyond.tolist()) for byte in write_varint(e)]
        if pieces:
            at, plain = np.array(pieces).T
            start = np.insert(start, at + 1, plain * rans.BYTE)
            count = np.insert(count, at + 1, rans.BYTE)
        return start, count


def fast_loop(symbols: int) -> Any:
    """The loop for `decoded`, compiled, where it pays for so many symbols and can be had; else None."""
    return compiled.loop(compiled.decode_symbols) if compiled.pays(symbols * _SYMBOL) else None


def decoded(decoder: rans.Decoder, rows: Array, origins: Array, loop: Any = None, most: float = 1 << 31) -> Floats:
    """The next integers of a stream, float64 (n,); `rows` and `origins` may be integers in float64.

    `loop` is that of `fast_loop`. Integers have 32 bits, unless `most` is more and the caller checks them.

    Raises
    ------
    TruncatedError, MalformedError
        A stream that ends early, or that no encoder writes.
    """
    if loop is not None:
        t, found = tables(), np.empty(len(rows), np.int64)
        centres = origins.astype(np.int64) + ZERO
        status, decoder.state, decoder.at = loop(
            rows.astype(np.int32), centres, t.starts, t.frequencies, t.radii,
            decoder.words, decoder.state, decoder.at, most, found,
        )  # fmt: skip
        if status:
            raise decoder.error(status)
        return found.astype(np.float64)
    symbols, escapes = decoder.symbols(rows.astype(np.int32).tolist(), _TABLES)
    numbers = np.frombuffer(symbols, np.uint8)
    values: Floats = numbers.astype(np.float64) + origins
    if escapes:
        where = np.flatnonzero(numbers == ESCAPE)
        beyond = np.array(escapes)
        distance = (beyond >> 1) + tables().radii[rows[where].astype(np.intp)] + 1
        values[where] += ZERO + np.where(beyond & 1, -distance, distance)
        if np.abs(values + 0.5).max() > most:
            raise decoder.malformed()
    return values


class _Tables(dict[int, rans.Table]):
    """Tables of the decoder by row, made when they are first needed."""

    def __missing__(self, row: int) -> rans.Table:
        radius = int(tables().radii[row])
        symbols = [ESCAPE, *range(ZERO - radius, ZERO + radius + 1)]
        starts, frequencies = tables().starts[row, symbols].tolist(), tables().frequencies[row, symbols].tolist()
        self[row] = starts[radius + 1], frequencies[radius + 1], ZERO, starts, frequencies, ZERO - radius - 1
        return self[row]


_TABLES: Final = _Tables()
