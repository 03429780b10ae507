"""Frequencies of integers with a Laplace distribution, from exact integer arithmetic.

The distribution of a row has the scale b = 2**(sigma/8), -40 <= sigma <= 40, and its mean lies (f - 8)/16 above
an integer, 0 <= f <= 15. Rows are numbered 16 (sigma + 40) + f. The probability of an integer is the mass within 1/2
of it (docs/format.md, 6.10).
"""

from functools import cache
from itertools import pairwise
from typing import Final

import numpy as np

from sinr_codec.coding.model import power_of_two
from sinr_codec.coding.rans import TOTAL, TOTAL_BITS
from sinr_codec.types import Array, Floats, Ints

__all__ = [
    "ESCAPE",
    "FRACTIONS",
    "LARGEST_RADIUS",
    "ROWS",
    "SIGMA",
    "Tables",
    "frequencies",
    "radii",
    "radius",
    "tables",
]

SIGMA: Final = 40
"""The largest sigma; the least is -SIGMA."""
FRACTIONS: Final = 16
ROWS: Final = (2 * SIGMA + 1) * FRACTIONS
LARGEST_RADIUS: Final = 127
ESCAPE: Final = 0
"""The symbol of all integers outside the radius R; the integer d is symbol d + R + 1."""

_ONE: Final = 1 << 30  # probability 1
_EXP_BITS: Final = 64


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


@cache
def _tails(sigma: int) -> tuple[int, ...]:
    """exp(-n/(16 b)) in units of 2**-30 for n = 0, 1, ...: each is the one before times `_sixteenth`, rounded down."""
    ratio, value = _sixteenth(sigma), _ONE
    values: list[int] = []
    count = FRACTIONS * (LARGEST_RADIUS + 2)
    while value and len(values) < count:
        values.append(value)
        value = value * ratio >> 30
    return (*values, *[0] * (count - len(values)))


@cache
def radius(sigma: int) -> int:
    """R: the least of 1..127 beyond which a distribution about an integer has a mass of less than 2**-15."""
    tails = _tails(sigma)
    return next(
        (r for r in range(1, LARGEST_RADIUS) if tails[FRACTIONS * r + FRACTIONS // 2] < _ONE >> 15), LARGEST_RADIUS
    )


@cache
def frequencies(row: int) -> tuple[int, ...]:
    """Frequencies of the 2 R + 2 symbols of a row, each >= 1, of sum 2**14."""
    sigma, fraction = row // FRACTIONS - SIGMA, row % FRACTIONS
    tails, reach = _tails(sigma), radius(sigma)

    left = tails[fraction::FRACTIONS][: reach + 1]
    right = tails[FRACTIONS - fraction :: FRACTIONS][: reach + 1]
    edges = [*left[::-1], *(2 * _ONE - tail for tail in right)]  # twice the mass below the limits of the integers
    found = [1] + [max(1, (b - a + (1 << 16)) >> 17) for a, b in pairwise(edges)]
    found[reach + 1] += TOTAL - sum(found)
    return tuple(found)


@cache
def radii() -> Ints:
    """R of each row, (ROWS,)."""
    return np.repeat([radius(s) for s in range(-SIGMA, SIGMA + 1)], FRACTIONS)


class Tables:
    """All rows as arrays (ROWS, 256): int32 `frequencies` and `starts`, 0 where a row ends; `costs` in bits."""

    def __init__(self) -> None:
        self.frequencies: Array = np.zeros((ROWS, 2 * LARGEST_RADIUS + 2), np.int32)
        for row in range(ROWS):
            of_row = frequencies(row)
            self.frequencies[row, : len(of_row)] = of_row
        self.starts: Array = np.cumsum(self.frequencies, axis=1, dtype=np.int32) - self.frequencies
        self.costs: Floats = TOTAL_BITS - np.log2(np.maximum(self.frequencies, 1))


@cache
def tables() -> Tables:
    """The one instance of `Tables`."""
    return Tables()
