"""Loops over symbols, compiled by numba where that is installed and pays: the same integers as without it."""

import sys
from collections.abc import Callable
from functools import cache
from typing import Any, Final

from sinr_codec.types import Array

__all__ = ["MALFORMED", "TRUNCATED", "decode_symbol", "decode_symbols", "loop", "pays"]

TRUNCATED: Final = 1
MALFORMED: Final = 2

_START: Final = 0.6  # seconds that numba takes to start, with a margin


def pays(seconds: float) -> bool:
    """Whether to compile a loop that saves so much: where numba is imported already, or saves more than it takes."""
    return "numba" in sys.modules or seconds > _START


@cache
def loop(function: Callable[..., Any]) -> Any:
    """A function, compiled; None without numba. The machine code is kept on disk where a folder can be written."""
    try:
        import numba
    except ImportError:  # also of a numba that does not know this version of NumPy
        return None
    numba.extending.register_jitable(decode_symbol)
    try:
        return numba.njit(cache=True)(function)
    except RuntimeError:  # no such folder
        return numba.njit(function)


def decode_symbol(
    row: int, starts: Array, frequencies: Array, radii: Array, words: Array, state: int, at: int
) -> tuple[int, int, int, int]:
    """The next integer of a stream relative to the centre of its row in `laplace.Tables`.

    Returns 0, TRUNCATED or MALFORMED; the integer; the state of the decoder; and the number of words that it has read.
    """
    slot = state & 16383
    symbol = 128  # the centre
    while slot < starts[row, symbol]:
        symbol -= 1
    while slot >= starts[row, symbol] + frequencies[row, symbol]:
        symbol += 1
    state = frequencies[row, symbol] * (state >> 14) + slot - starts[row, symbol]
    if state < 65536:
        if at == len(words):
            return TRUNCATED, 0, state, at
        state = state << 16 | words[at]
        at += 1
    distance = symbol - 128
    if symbol == 0:
        distance, shift, byte = 0, 0, 128
        while byte >= 128:
            if shift == 35:
                return MALFORMED, 0, state, at
            slot = state & 16383
            byte = slot >> 6
            state = 64 * (state >> 14) + (slot & 63)
            if state < 65536:
                if at == len(words):
                    return TRUNCATED, 0, state, at
                state = state << 16 | words[at]
                at += 1
            distance |= (byte & 127) << shift
            shift += 7
        if byte == 0 and shift > 7:
            return MALFORMED, 0, state, at
        negative = distance & 1
        distance = (distance >> 1) + radii[row] + 1
        if negative:
            distance = -distance
    return 0, distance, state, at


def decode_symbols(
    rows: Array, centres: Array, starts: Array, frequencies: Array, radii: Array,
    words: Array, state: int, at: int, most: float, found: Array,
) -> tuple[int, int, int]:  # fmt: skip
    """Decode the integers of rows about centres, int32 and int64 (n,), into `found`, int64 (n,).

    Integers from -`most` to `most` - 1 are allowed.

    Returns 0, TRUNCATED or MALFORMED; the state of the decoder; and the number of words that it has read.
    """
    for i in range(len(rows)):
        status, distance, state, at = decode_symbol(rows[i], starts, frequencies, radii, words, state, at)
        value = centres[i] + distance
        if status == 0 and not -most <= value < most:
            status = MALFORMED
        if status:
            return status, state, at
        found[i] = value
    return 0, state, at
