"""Uniform quantisers: min-max with b bits (the paper's, section 4.1, b = 16) and symmetric with a step.

Both give integers; a value is `step * q + offset` in float64. The numbers that a file stores for them are
exact: a float32 each for min-max, a 16-bit `Step` for the symmetric one.
"""

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from sinr_codec.errors import InputError
from sinr_codec.types import Array, Floats, Ints

__all__ = [
    "MAX_STEP",
    "MAX_STEP_CODE",
    "MIN_STEP",
    "dequantize",
    "minmax",
    "round_step",
    "step_code",
    "step_value",
    "symmetric",
]


_EXPONENT_BIAS: Final = 136  # of (1 + m/256) * 2**(e - 136); 8 exponent bits e, 8 mantissa bits m
MAX_STEP_CODE: Final = 0xFFFF
MIN_STEP: Final = 2.0**-_EXPONENT_BIAS
MAX_STEP: Final = (511 / 256) * 2.0 ** (255 - _EXPONENT_BIAS)

_MAX_INTEGER: Final = 2.0**62  # a larger quotient means that the step cannot be meant for these values


def step_value(code: int) -> float:
    """The step of a 16-bit code 256*e + m: (1 + m/256) * 2**(e - 136), which is exact in float64."""
    if not 0 <= code <= MAX_STEP_CODE:
        raise InputError(f"step code: expected 0..65535, got {code}")
    return math.ldexp(256 + (code & 0xFF), (code >> 8) - _EXPONENT_BIAS - 8)


def step_code(step: float) -> int:
    """The code of the step nearest to `step` > 0, at most 0.2 % away; clamped to MIN_STEP..MAX_STEP."""
    if not step > 0:
        raise InputError(f"step: expected a positive number, got {step}")
    fraction, exponent = math.frexp(min(max(step, MIN_STEP), MAX_STEP))
    # step = fraction * 2**exponent, 256 <= 512 * fraction < 512; rounding up to 512 carries over
    return min(((exponent - 1 + _EXPONENT_BIAS) << 8) + round(fraction * 512) - 256, MAX_STEP_CODE)


def round_step(step: float) -> float:
    """The nearest step that a file can store."""
    return step_value(step_code(step))


def symmetric(x: npt.ArrayLike, step: float) -> Ints:
    """Nearest multiples of `step`, halves to even: int64 of the shape of x.

    Raises InputError for values that are not finite or further than 2**62 steps from zero.
    """
    with np.errstate(over="ignore"):
        ratio = np.asarray(x, dtype=np.float64) / step
    return _to_int(np.rint(ratio))


def minmax(x: npt.ArrayLike, bits: int) -> tuple[Ints, float, float]:
    """The paper's quantiser: 2**bits levels from the least to the greatest value, 1 <= bits <= 32.

    Returns (q in 0..2**bits - 1, step, offset) with step and offset exact in float32. Constant and empty
    tensors give step 0. Raises InputError for values that are not finite in float32.
    """
    if not 1 <= bits <= 32:
        raise InputError(f"bits: expected 1..32, got {bits}")
    values = np.asarray(x, dtype=np.float64)
    if values.size == 0:
        return np.zeros(values.shape, np.int64), 0.0, 0.0
    levels = 2**bits - 1
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        offset = float(np.float32(values.min()))
        step = float(np.float32((values.max() - values.min()) / levels))
    if not (math.isfinite(offset) and math.isfinite(step)):
        raise InputError("min-max quantiser: expected values that are finite in float32")
    if step == 0.0:
        return np.zeros(values.shape, np.int64), 0.0, offset
    return _to_int(np.clip(np.rint((values - offset) / step), 0, levels)), step, offset


def dequantize(q: Array, step: float, offset: float = 0.0) -> Floats:
    """Values step * q + offset in float64, each operation rounded once."""
    values = q.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        values *= step
        if offset:
            values += offset
    return values


def _to_int(rounded: Floats) -> Ints:
    if rounded.size and not np.abs(rounded).max() <= _MAX_INTEGER:
        raise InputError("quantiser: expected finite values of at most 2**62 steps")
    return rounded.astype(np.int64)
