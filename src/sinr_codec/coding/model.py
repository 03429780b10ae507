"""Probability models for the range coder, from a few small integers by integer arithmetic alone.

The same parameters give the same frequencies on every platform: powers of two come from integer roots,
logarithms from repeated squaring, and every frequency is an integer of at least one in a sum of 2**20.
docs/format.md states each formula.
"""

from functools import cache, lru_cache
from math import isqrt
from typing import Final

import numpy as np

from sinr_codec.coding.rangecoder import TOTAL
from sinr_codec.types import Ints

__all__ = [
    "MAX_POSITIONS",
    "MAX_SYMBOLS",
    "SCALES",
    "SHAPES",
    "UNIFORM",
    "frequencies",
    "hypergeometric",
    "power_of_two",
    "spaced_frequencies",
]


SHAPES: Final = (0.5, 1.0, 1.5, 2.0, 3.0)  # exponents of the generalised Gaussian, by shape index
UNIFORM: Final = 7  # the shape index of equal frequencies
SCALES: Final = 128  # scale indices g: the half-width (where a weight has halved) is 2**(g/8 - 4) symbols
MAX_SYMBOLS: Final = 1 << 12  # a larger support is coded as a modelled high part and plain low bits
MAX_POSITIONS: Final = 1 << 16  # of `hypergeometric`
_KEPT_SIZE: Final = 256  # symbols of the largest tables that are kept: 16 MB of them


def power_of_two(numerator: int, log_denominator: int, bits: int) -> int:
    """floor(2**(bits + numerator / 2**log_denominator)): nested integer square roots are exact."""
    value = 1 << (bits << log_denominator) + numerator
    for _ in range(log_denominator):
        value = isqrt(value)
    return value


_Q: Final = 16  # fractional bits of distances and exponents
_FAR: Final = 64 << _Q  # beyond 64 half-widths every shape of exponent 1 or more has weight 0


@cache
def _exp2() -> Ints:
    """floor(2**(30 - k/256)), (256,)."""
    return np.array([power_of_two(-k, 8, 30) for k in range(256)], dtype=np.int64)


@cache
def _half_width(scale: int) -> int:
    """floor(2**(16 + scale/8 - 4))."""
    return power_of_two(scale - 32, 3, 16)


def _isqrt(x: Ints) -> Ints:
    """floor(sqrt(x)), exact for 0 <= x < 2**50: there the float64 root cannot round up to an integer."""
    return np.sqrt(x.astype(np.float64)).astype(np.int64)


def _from_exponents(exponents: Ints, mode: int) -> Ints:
    """Frequencies in proportion to 2**-(exponents / 2**16), each at least 1, the remainder to symbol `mode`."""
    exponents = np.minimum(exponents - exponents.min(), 32 << _Q)  # the least is 0 but among odd levels
    weights = _exp2()[(exponents >> 8) & 0xFF] >> (exponents >> _Q)
    freqs = 1 + weights * (TOTAL - len(weights)) // int(weights.sum())
    freqs[mode] += TOTAL - int(freqs.sum())
    return freqs


def frequencies(shape: int, scale: int, size: int, centre: int) -> Ints:
    """Generalised Gaussian over symbols i = 0..size-1: 2**-((|i - centre| / half-width) ** SHAPES[shape]).

    int64 (size,), read-only, sum TOTAL; for size <= MAX_SYMBOLS, 0 <= scale < SCALES and 0 <= centre < size. The shape
    UNIFORM ignores scale and centre.
    """
    if shape == UNIFORM:
        return _uniform_frequencies(size)
    return _spaced(shape, scale, size, centre, 1)


def spaced_frequencies(shape: int, scale: int, size: int, spacing: int) -> Ints:
    """Generalised Gaussian over symbols that are `spacing` (1 or 2) apart, symmetric about 0.

    int64 (size,), read-only, sum TOTAL; `size` is odd where `spacing` is 1.
    """
    return _spaced(shape, scale, size, spacing * (size - 1) // 2, spacing)


def _spaced(shape: int, scale: int, size: int, centre: int, spacing: int) -> Ints:
    make = _kept if size <= _KEPT_SIZE else _kept.__wrapped__
    return make(shape, scale, size, centre, spacing)


@lru_cache(maxsize=1 << 13)
def _kept(shape: int, scale: int, size: int, centre: int, spacing: int) -> Ints:
    """`_spaced`, cached: planning needs the same small tables thousands of times."""
    found = _frequencies_at(shape, scale, np.abs(spacing * np.arange(size, dtype=np.int64) - centre))
    found.flags.writeable = False
    return found


def _frequencies_at(shape: int, scale: int, distance: Ints) -> Ints:
    """Frequencies of symbols at these distances (n,) from the centre; the first nearest one takes the remainder."""
    mode = int(distance.argmin())
    distance = (distance << 2 * _Q) // _half_width(scale)
    exponent = SHAPES[shape]
    if exponent == 0.5:
        return _from_exponents(_isqrt(distance << _Q), mode)
    distance = np.minimum(distance, _FAR)
    if exponent == 1.5:
        distance = distance * _isqrt(distance << _Q) >> _Q
    elif exponent == 2.0:
        distance = distance * distance >> _Q
    elif exponent == 3.0:
        distance = (distance * distance >> _Q) * distance >> _Q
    return _from_exponents(distance, mode)


def _uniform_frequencies(size: int) -> Ints:
    """Equal frequencies over 1 <= size <= TOTAL symbols, the remainder to symbol 0."""
    freqs = np.full(size, TOTAL // size, dtype=np.int64)
    freqs[0] += TOTAL % size
    return freqs


@cache
def _log2_factorials() -> Ints:
    """log2(n!) for n = 0..65,536 in units of 2**-24: sums of logarithms that are rounded down bit by bit."""
    n = np.arange(1, MAX_POSITIONS + 1, dtype=np.uint64)
    whole = np.zeros(MAX_POSITIONS, dtype=np.uint64)
    for bit in range(MAX_POSITIONS.bit_length()):
        whole[(1 << bit) - 1 :] = bit  # floor(log2(n))
    mantissa = n << (np.uint64(31) - whole)  # n scaled to 2**31 .. 2**32 - 1
    fraction = np.zeros(MAX_POSITIONS, dtype=np.uint64)
    for _ in range(24):
        mantissa = mantissa * mantissa >> np.uint64(31)
        above = mantissa >> np.uint64(32)  # 1 where the square reached 2
        mantissa >>= above
        fraction = fraction << np.uint64(1) | above
    logarithms = (whole << np.uint64(24) | fraction).astype(np.int64)
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(logarithms)])


def hypergeometric(positions: int, drawn: int) -> tuple[int, Ints]:
    """Distribution of the number of `drawn` places, of all `positions`, in the first half of positions // 2 places.

    Returns (least possible count, frequencies of the counts from there on), proportional to
    C(half, count) * C(positions - half, drawn - count); for drawn <= positions <= MAX_POSITIONS.
    """
    half = positions // 2
    other = positions - half
    least, greatest = max(0, drawn - other), min(drawn, half)
    count = np.arange(least, greatest + 1)
    logs = _log2_factorials()
    inverse_weights = logs[count] + logs[half - count] + logs[drawn - count] + logs[other - drawn + count]
    mode = int(inverse_weights.argmin())
    return least, _from_exponents((inverse_weights - inverse_weights[mode]) >> 8, mode)
