"""Element types of tensors: lossless conversion to integers, and from float64 with one rounding.

Complex tensors are handled as real ones with a last axis of two: real part, imaginary part.
"""

from typing import Final

import ml_dtypes
import numpy as np

from sinr_codec.errors import InputError, MalformedError
from sinr_codec.types import Array, Floats, Ints

__all__ = ["check_dtype", "from_bits", "from_floats", "is_float", "largest", "real", "real_shape", "to_bits"]

DType = np.dtype

_FLOATS: Final = {np.dtype(t) for t in ("f2", "f4", "f8", "c8", "c16", ml_dtypes.bfloat16)}


def is_float(dtype: DType) -> bool:
    """Whether numbers of this type may be quantised: float16/32/64, bfloat16, complex64/128."""
    return dtype.newbyteorder("=") in _FLOATS


def check_dtype(dtype: DType) -> None:
    """Raise `InputError` for types that are not numbers of at most eight bytes."""
    extension = dtype.kind == "V" and dtype.type is not np.void  # bfloat16, float8 and others of ml_dtypes
    if not (dtype.kind in "biufc" or extension) or _part(dtype).itemsize > 8:
        raise InputError(f"tensor: expected numbers of at most eight bytes, got {dtype}")


def largest(dtype: DType) -> float:
    """The largest finite number of a floating-point or complex type."""
    return float(ml_dtypes.finfo(_part(dtype)).max)


def real_shape(shape: tuple[int, ...], dtype: DType) -> tuple[int, ...]:
    """Shape of a tensor as real numbers."""
    return (*shape, 2) if dtype.kind == "c" else tuple(shape)


def real(array: Array) -> Array:
    """A tensor as real numbers."""
    return np.stack([array.real, array.imag], axis=-1) if array.dtype.kind == "c" else array


def to_bits(array: Array) -> Array:
    """Integers by value, anything else by its bits as unsigned (of eight bytes: signed) integers."""
    numbers = np.ascontiguousarray(real(array))
    numbers = numbers.astype(numbers.dtype.newbyteorder("="), copy=False)
    return numbers.astype(np.int64) if numbers.dtype.kind == "b" else numbers.view(_word(numbers.dtype))


def from_bits(q: Ints, dtype: DType, name: str) -> Array:
    """Inverse of `to_bits`: a flat, fresh array. Raises `MalformedError` about `name` for integers out of range."""
    part = _part(dtype)
    word = _word(part)
    least, greatest = (0, 1) if part.kind == "b" else (int(np.iinfo(word).min), int(np.iinfo(word).max))
    if q.size and not least <= int(q.min()) <= int(q.max()) <= greatest:
        raise MalformedError(f"{name}: an element is outside {dtype}")
    return q.astype(word).view(part).view(dtype.newbyteorder("=")).astype(dtype, copy=False)


def from_floats(values: Floats, dtype: DType) -> Array:
    """float64 numbers, flat (complex: pairs), rounded once to nearest even: a flat array of `dtype`."""
    part = _part(dtype)
    with np.errstate(over="ignore", under="ignore"):
        if dtype == ml_dtypes.bfloat16:
            # ml_dtypes goes through float32 and would round twice; rounding to odd on the way prevents that.
            single = values.astype(np.float32)
            bits = single.view(np.uint32)
            inexact = single != values
            bits -= inexact & (np.abs(single) > np.abs(values))
            bits |= inexact
            values = single.astype(part)
        numbers = values.astype(part, copy=False)
    return numbers.view(dtype.newbyteorder("=")).astype(dtype, copy=False)


def _part(dtype: DType) -> DType:
    """The type of the real numbers in a type, in native byte order."""
    native = dtype.newbyteorder("=")
    return np.dtype(f"f{dtype.itemsize // 2}") if dtype.kind == "c" else native


def _word(part: DType) -> DType:
    """The integer type that represents the numbers of a real type."""
    if part.kind == "i" or part.itemsize == 8:
        return np.dtype(f"i{part.itemsize}")
    return np.dtype(f"u{part.itemsize}")
