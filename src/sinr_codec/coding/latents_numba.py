"""The decoding of a level of latents in one loop, compiled by numba where that is installed and pays."""

import sys
from functools import cache
from typing import Any, Final

import numpy as np

from sinr_codec.types import Array

__all__ = ["MALFORMED", "TRUNCATED", "decode_level", "kernel", "pays"]

TRUNCATED: Final = 1
MALFORMED: Final = 2

_FRONT: Final = 22e-6  # seconds that numba saves for a front, and for a latent
_LATENT: Final = 0.13e-6
_START: Final = 0.6  # seconds that it takes to start, with a margin


def pays(fronts: int, latents: int) -> bool:
    """Whether to decode so much with numba: where it is imported already, or saves more than its start takes.

    Either way the integers are the same.
    """
    return "numba" in sys.modules or fronts * _FRONT + latents * _LATENT > _START


@cache
def kernel() -> Any:
    """`decode_level`, compiled; None without numba. The machine code is kept on disk where a folder can be written."""
    try:
        import numba
    except ImportError:  # also of a numba that does not know this version of NumPy
        return None
    try:
        return numba.njit(cache=True)(decode_level)
    except RuntimeError:  # no such folder
        return numba.njit(decode_level)


def decode_level(
    inputs: Array, base: Array, steps: Array, from_parent: Array, above: Array,
    first: Array, second: Array, third: Array, second_bias: Array, third_bias: Array,
    starts: Array, frequencies: Array, radii: Array,
    words: Array, state: int, at: int, found: Array,
) -> tuple[int, int, int]:  # fmt: skip
    """Decode the latents of a level, one after the other in coding order, into `found`.

    `first` is that of `ContextModel`, transposed and without the inputs from the coarser level; the other arguments are
    those of `ContextModel` and `latents._Level`, as int32. Returns 0, TRUNCATED or MALFORMED; the state of the
    decoder; and the number of words that it has read.
    """
    width = len(second)
    outer = np.empty(width + 2, np.int32)
    hidden = np.empty(width, np.int32)
    for i in range(len(base)):
        place = base[i]
        outer[:] = from_parent[above[i], : width + 2]
        for j in range(len(steps)):
            seen = inputs[place + steps[j]]
            if seen:  # most are zero
                for r in range(width + 2):
                    outer[r] += first[j, r] * seen
        for j in range(width):
            value = min(max(outer[j], -32768), 32767)
            hidden[j] = max(value, value >> 3)
        mu, s = third_bias[0], third_bias[1]
        for r in range(width):
            total = second_bias[r]
            for j in range(width):
                total = np.int32(total + second[r, j] * hidden[j])  # 32 bits make it twice as fast
            value = min(max(total >> 8, -32768), 32767)
            value = min(max(value, value >> 3) + hidden[r], 32767)
            mu += third[0, r] * value
            s += third[1, r] * value
        mean = ((mu >> 8) + outer[width] + 8) >> 4
        centre = (mean + 8) >> 4
        sigma = min(max(((s >> 8) + outer[width + 1] + 16) >> 5, -40), 40)
        row = 16 * (sigma + 40) + mean - 16 * centre + 8

        slot = state & 16383
        symbol = 128  # the centre
        while slot < starts[row, symbol]:
            symbol -= 1
        while slot >= starts[row, symbol] + frequencies[row, symbol]:
            symbol += 1
        state = frequencies[row, symbol] * (state >> 14) + slot - starts[row, symbol]
        if state < 65536:
            if at == len(words):
                return TRUNCATED, state, at
            state = state << 16 | words[at]
            at += 1
        distance = symbol - 128
        if symbol == 0:
            distance, shift, byte = 0, 0, 128
            while byte >= 128:
                if shift == 35:
                    return MALFORMED, state, at
                slot = state & 16383
                byte = slot >> 6
                state = 64 * (state >> 14) + (slot & 63)
                if state < 65536:
                    if at == len(words):
                        return TRUNCATED, state, at
                    state = state << 16 | words[at]
                    at += 1
                distance |= (byte & 127) << shift
                shift += 7
            if byte == 0 and shift > 7:
                return MALFORMED, state, at
            negative = distance & 1
            distance = (distance >> 1) + radii[row] + 1
            if negative:
                distance = -distance
        value = centre + distance
        if not -2147483648 <= value <= 2147483647:
            return MALFORMED, state, at
        found[i] = value
        inputs[place] = min(max(value, -255), 255)
    return 0, state, at
