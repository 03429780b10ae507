"""The linear map between samples of a dtype and values in [-1, 1]."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import InputError, MalformedError, quoted
from sinr_codec.types import Array

DTYPES: Final = (
    *("uint8", "bool", "uint16", "int32", "float32", "float64"),
    *("int8", "int16", "uint32", "int64", "uint64", "float16"),
)
"""Sample types of signals; a file stores the index."""
_FIXED: Final = {"uint8": (0.0, 255.0), "bool": (0.0, 1.0)}
_MOST_STEPS: Final = 1 << 21
_PEAK: Final = {"uint8": 255.0, "bool": 1.0, "uint16": 65535.0}


@dataclass(frozen=True)
class Levels:
    """Linear map between samples of `dtype` in [low, high] and values in [-1, 1].

    Attributes
    ----------
    dtype
        One of `DTYPES`.
    low, high
        The samples that map to -1 and +1, low <= high.
    """

    dtype: str
    low: float
    high: float

    @classmethod
    def of(cls, array: Array, name: str, dtype_range: bool = False) -> "Levels":
        """Levels for the range of an array's samples, or with `dtype_range` the range of an 8-bit dtype.

        Raises
        ------
        InputError : a dtype not in `DTYPES`, or samples that are not finite
        """
        dtype = known_dtype(array.dtype, name)
        if dtype_range and dtype in _FIXED:
            return cls(dtype, *_FIXED[dtype])
        # In chunks: the array may be a memory map larger than memory.
        ends = [(chunk.min(), chunk.max()) for (chunk,) in chunks(array)]
        low, high = float(min(a for a, _ in ends)), float(max(b for _, b in ends))
        # The minimum or maximum is NaN or infinite if any value is.
        if not math.isfinite(low) or not math.isfinite(high) or not math.isfinite(high - low):
            raise InputError(f"{name}: expected finite values in a finite range, found NaN or infinity")
        if max(abs(low), abs(high)) > 2**53 and not dtype.startswith("float"):
            raise InputError(f"{name}: expected integers up to 2^53; subtract an offset, or convert to float64")
        return cls(dtype, low, high)

    @property
    def span(self) -> float:
        """The actual range, high - low, or 1 for a constant signal; the peak for the PSNR of data."""
        return self.high - self.low or 1.0

    @property
    def dtype_peak(self) -> float:
        """The range of an 8-bit or 16-bit unsigned dtype, else `span`; the peak for the PSNR of pictures."""
        return _PEAK.get(self.dtype, self.span)

    def to_values(self, samples: Array) -> NDArray[np.float32]:
        """Samples mapped to float32 in [-1, 1]; zeros where low = high."""
        span = self.high - self.low
        if span == 0:
            return np.zeros(samples.shape, np.float32)
        wide = samples.astype(self._work) - self.low
        return (wide * (2 / span) - 1).astype(np.float32)

    def to_samples(self, values: Array) -> Array:
        """Inverse of `to_values`: clipped to [low, high] (NaN becomes `high`), integers rounded half to even."""
        # Unlike clip, fmin and fmax replace a NaN, which a damaged network may produce.
        unit = np.fmax(np.fmin(values, 1), -1).astype(self._work, copy=False)
        samples = (unit + 1) * ((self.high - self.low) / 2) + self.low
        if self.dtype == "bool":
            return samples > 0.5
        if not self.dtype.startswith("float"):
            samples = np.rint(samples)
        samples = np.clip(samples, self.low, self.high)
        if self.dtype in ("int64", "uint64"):
            # The limits of 64-bit integers are not float64 numbers: values that round to 2^63 or 2^64 overflow.
            info = np.iinfo(self.dtype)
            samples = np.clip(samples, info.min, np.nextafter(float(info.max), 0))
        return samples.astype(self.dtype)

    @property
    def _work(self) -> type[np.floating[Any]]:
        """Float32 for 8-bit samples; other samples may need more precision."""
        return np.float32 if self.dtype in ("uint8", "int8", "bool") else np.float64

    # -- a bound on the error

    def step_within(self, error: float) -> float:
        """The step of values such that samples rounded to the nearest step differ by at most `error`.

        Integers have steps of an odd number of levels.

        Raises
        ------
        InputError : an error smaller than what values in 32 bits, or the sample type, can resolve
        """
        if not self.dtype.startswith("float"):
            step = 2 * math.floor(error) + 1
            if self.span / step > _MOST_STEPS:
                least = math.ceil(self.span / _MOST_STEPS / 2)
                raise InputError(f"max_error: values of a field have 24 bits; for this range, allow {least:,} or more")
            return (step - 2 * int(self._spare)) * 2 / self.span
        if error <= 2 * self._spare:
            raise InputError(f"max_error: values of a field have 24 bits; allow more than {2 * self._spare:.3g}")
        return (error - self._spare) * 4 / self.span

    def error_within(self, step: float) -> float:
        """The largest error of samples at such steps of values: the inverse of `step_within`."""
        half = step * self.span / 4
        return half + self._spare if self.dtype.startswith("float") else math.floor(half) + self._spare

    @property
    def _spare(self) -> float:
        """What the rounding of values to float32, and of samples to their dtype, adds to an error."""
        if not self.dtype.startswith("float"):
            return float(math.floor(self.span * 2.0**-23))
        largest = max(abs(self.low), abs(self.high))
        return self.span * 2.0**-23 + float(np.spacing(np.array(largest, self.dtype))) / 2

    # -- the header of a file

    def to_header(self) -> list[Any]:
        """[dtype, low, high]: a code, then integers for integer samples and floats for float samples."""
        kind = float if self.dtype.startswith("float") else int
        return [DTYPES.index(self.dtype), kind(self.low), kind(self.high)]

    @classmethod
    def from_header(cls, value: Any) -> "Levels":
        """Inverse of `to_header`; `MalformedError` for anything it cannot have written."""
        if type(value) is not list or len(value) != 3 or type(value[0]) is not int or not 0 <= value[0] < len(DTYPES):
            raise MalformedError(f"levels: expected [dtype, low, high], found {quoted(value)}")
        dtype = DTYPES[value[0]]
        return cls(dtype, *checked_range(value[1:], dtype))


def known_dtype(dtype: np.dtype[Any], name: str) -> str:
    """The dtype's name in native byte order; `InputError` if it is not in `DTYPES`."""
    known = dtype.newbyteorder("=").name
    if dtype.kind == "c":
        raise InputError(f"{name}: expected real samples, found complex ones; encode magnitude and phase by themselves")
    if known not in DTYPES:
        raise InputError(f"{name}: expected samples of {', '.join(DTYPES)}, found {dtype}")
    return known


def checked_range(values: list[Any], dtype: str) -> tuple[float, float]:
    """The recorded range of samples, after validation: two finite numbers of the dtype, in order."""
    if dtype.startswith("float"):
        bound = float(np.finfo(dtype).max)
        fits = len(values) == 2 and all(type(v) is float and abs(v) <= bound for v in values)
    else:
        least, most = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        # For 64-bit dtypes, the range was rounded to float64 before it was written.
        fits = len(values) == 2 and all(type(v) is int and float(least) <= v <= float(most) for v in values)
    if not fits or not values[0] <= values[1] or not math.isfinite(values[1] - values[0]):
        raise MalformedError(f"value range: expected two ordered {dtype} numbers, found {quoted(values)}")
    return float(values[0]), float(values[1])


def psnr(a: Array, b: Array, peak: float) -> float:
    """PSNR in dB over all samples of two arrays of one shape, computed in float64; infinite for equal arrays."""
    if a.shape != b.shape:
        raise InputError(f"psnr: expected arrays of one shape, found {a.shape} and {b.shape}")
    total = sum(float(np.sum(np.square(x.astype(np.float64) - y.astype(np.float64)))) for x, y in chunks(a, b))
    if total == 0:
        return math.inf
    return 10 * math.log10(peak * peak * a.size / total)


def max_error(a: Array, b: Array) -> float:
    """Largest absolute difference of two arrays of one shape, computed in float64."""
    return max(float(np.abs(x.astype(np.float64) - y.astype(np.float64)).max()) for x, y in chunks(a, b))


def chunks(*arrays: Array, size: int = 1 << 20) -> Iterator[tuple[Array, ...]]:
    """Corresponding elements of arrays of one shape, in C order, about `size` at a time.

    These are views where possible, so that a memory map is not loaded at once.
    """
    first = arrays[0]
    if first.size <= size or first.ndim == 0:
        yield tuple(array.reshape(-1) for array in arrays)
    elif all(array.flags.c_contiguous for array in arrays):
        flat = [array.reshape(-1) for array in arrays]
        yield from (tuple(part[i : i + size] for part in flat) for i in range(0, first.size, size))
    else:
        for parts in zip(*arrays):
            yield from chunks(*parts, size=size)
