"""Integers at the samples of a grid, coded from coarse to fine, each under a distribution that its neighbours predict.

The grid is interlaced, as pictures of PNG are: a pass halves the spacing of the known samples along one axis, and the
new samples lie between two known ones. All samples of a pass are predicted at once, so that a decoder works on whole
arrays. A prediction is linear in the differences of the neighbours from the mean of the nearest two, with a correction
by a small network, which also predicts the spread. All arithmetic is exact: integers in float64, and quotients of
integers rounded once and then down. docs/format.md, 6.12, defines the stream.

Interpolation between known samples from coarse to fine is that of SZ3 (Zhao et al. 2021), the spread of neighbours as a
context that of CALIC (Wu and Memon 1997).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from math import prod
from typing import Final

import numpy as np

from sinr_codec.coding import laplace, rans
from sinr_codec.coding.entropy import decode_ints, encode_ints
from sinr_codec.coding.laplace import FRACTIONS, SIGMA, Symbols
from sinr_codec.coding.leaky import leaky
from sinr_codec.coding.model import power_of_two
from sinr_codec.coding.varint import Reader, write_varint
from sinr_codec.errors import InputError, LimitError, MalformedError, TruncatedError
from sinr_codec.tiles import map_tiles, one_thread_a_product
from sinr_codec.types import Array, Floats, Ints

__all__ = [
    "LARGEST",
    "SCALES",
    "Inputs",
    "Pass",
    "Predictor",
    "bits_of",
    "decode_grid",
    "encode_grid",
    "passes",
    "taps",
]

LARGEST: Final = (1 << 30) - 1
"""Magnitude of the largest integer."""
SCALES: Final = 3
"""Passes have weights of their own by axis and by spacing: 1, 2, and 4 or more."""

_DIFFERENCE: Final = 1 << 24  # differences are clipped to -_DIFFERENCE .. _DIFFERENCE
_NORMAL: Final = 1 << 12  # the same after division by their mean
_MEAN: Final = 1 << 36
_FEWEST_LOW: Final = 32  # sigma above which low bits are stored as they are
_MOST_LOW: Final = 26
_MOST_SPREAD: Final = 16 * 32  # entries of the table of logarithms
_CHUNK: Final = 1 << 13  # samples that are predicted at once
_BYTES: Final = 24  # memory of an integer while it is decoded
_ANY: Final = 2.0**40  # more than any integer that can be decoded, before its low bits
_AXES: Final = 4
_MOST_WIDTH: Final = 64

Offset = tuple[int, ...]


@cache
def taps(axes: int, axis: int, near: int, far: int) -> list[Offset]:
    """The neighbours of a sample that is new along `axis`, in steps of the known samples along the other axes.

    Offsets along `axis` are odd, in steps of the new spacing: -1, 1, -3, 3, ... up to `far`. Those at -1 and 1 are
    taken with all offsets along the other axes of a squared length of at most `near`. The nearest two come first.
    """
    reach = next(n for n in range(near + 2) if n * n > near) - 1
    sides = [o for o in product(range(-reach, reach + 1), repeat=axes - 1) if sum(v * v for v in o) <= near]
    sides.sort(key=lambda o: (sum(v * v for v in o), o))
    found = [(sign, *side) for side in sides for sign in (-1, 1)]
    found += [(sign * n, *sides[0]) for n in range(3, far + 1, 2) for sign in (-1, 1)]
    return [(*side[:axis], along, *side[axis:]) for along, *side in found]


@dataclass(frozen=True)
class Pass:
    """The samples of a grid that are new when the spacing along an axis is halved.

    Attributes
    ----------
    sizes, axis
        Samples of the grid along each axis, and the axis.
    known
        Spacing of the known samples along each axis; along `axis`, new ones lie at odd multiples of half of it.
    """

    sizes: tuple[int, ...]
    axis: int
    known: tuple[int, ...]

    @property
    def new(self) -> tuple[slice, ...]:
        """The new samples, as a slice of each axis."""
        halves = [k // 2 if a == self.axis else 0 for a, k in enumerate(self.known)]
        return tuple(slice(h, None, k) for h, k in zip(halves, self.known))

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of new samples along each axis."""
        return tuple(len(range(n)[part]) for n, part in zip(self.sizes, self.new))

    @property
    def group(self) -> int:
        """Number of the weights: SCALES for each axis, by spacing."""
        return self.axis * SCALES + min((self.known[self.axis] // 2).bit_length() - 1, SCALES - 1)

    def chunks(self) -> Iterator[tuple[slice, ...]]:
        """The new samples in parts of about `_CHUNK`, as slices of `shape`: cut along the longest axis."""
        longest, shape = int(np.argmax(self.shape)), self.shape
        step = max(1, _CHUNK * shape[longest] // prod(shape))
        for first in range(0, shape[longest], step):
            yield tuple(slice(first, first + step) if a == longest else slice(None) for a in range(len(shape)))

    def padded(self, grid: Array, offsets: Sequence[Offset]) -> Array:
        """The known samples, with the nearest of them in the place of those outside, as far as offsets reach."""
        margins = [(-min(0, *steps), max(0, *steps)) for steps in zip(*map(self._steps, offsets))]
        return np.pad(grid[tuple(slice(None, None, k) for k in self.known)], margins, "edge")

    def neighbours(self, padded: Array, offsets: Sequence[Offset], part: Sequence[slice]) -> Floats:
        """The neighbours (offsets, n) of a part of the new samples, in raster order, from `padded`."""
        steps = [self._steps(offset) for offset in offsets]
        ends = [some.indices(n)[:2] for some, n in zip(part, self.shape)]
        firsts = [first - min(0, *along) for (first, _), along in zip(ends, zip(*steps))]
        lengths = [end - first for first, end in ends]
        out = np.empty((len(offsets), *lengths))
        for row, step in zip(out, steps):
            row[...] = padded[tuple(slice(at + o, at + o + n) for at, o, n in zip(firsts, step, lengths))]
        return out.reshape(len(offsets), -1)

    def _steps(self, offset: Offset) -> list[int]:
        """An offset in known samples: new sample j lies between the known samples j and j + 1."""
        return [(o + 1) // 2 if axis == self.axis else o for axis, o in enumerate(offset)]


def passes(sizes: Sequence[int], halvings: Sequence[int]) -> list[Pass]:
    """The passes of a grid, of which each axis is halved so often, in their order."""
    found = []
    for level in range(max(halvings, default=0), 0, -1):
        known = [1 << min(level, h) for h in halvings]
        for axis, h in enumerate(halvings):
            if h >= level:
                found.append(Pass(tuple(sizes), axis, tuple(known)))
                known[axis] >>= 1
    return [each for each in found if prod(each.shape)]


@dataclass(frozen=True, eq=False)
class Predictor:
    """The network that predicts integers from their neighbours, for a grid of `axes` axes (1..4).

    `near` and `far` choose the `taps`, T of them. With `values` > 1, each value of a sample but the first also sees the
    value before it, at the sample and its neighbours: the inputs are K = T, or 2 T + 1.

    Arrays of integers for the groups of `Pass.group` and W hidden neurons, with fractional bits in brackets: `linear`
    (groups, K) [12], `first` (W, K + 2) [8], `first_bias` (groups, W) [8], `second` (W, W) [8], `second_bias` (W,) [8],
    `third` (2, W) [8], `third_bias` (groups, 2) [8]. InputError where they do not fit each other, or are too large.
    """

    axes: int
    near: int
    far: int
    values: int
    linear: Ints
    first: Ints
    first_bias: Ints
    second: Ints
    second_bias: Ints
    third: Ints
    third_bias: Ints

    def __post_init__(self) -> None:
        if not 1 <= self.axes <= _AXES or not 0 <= self.near <= 8 or self.far not in (1, 3, 5, 7):
            raise InputError("a predictor: expected 1..4 axes, near in 0..8 and far one of 1, 3, 5, 7")
        for name, shape in self.shapes(self.axes, self.near, self.far, self.values, len(self.second)).items():
            values = np.asarray(getattr(self, name))
            if values.shape != shape or values.dtype.kind != "i":
                raise InputError(f"a predictor: expected integers {shape} for {name}, got {values.shape}")
            if values.size and np.abs(values.astype(np.int64)).max() >= 1 << 20:
                raise InputError(f"a predictor: {name} has a weight of more than 20 bits")
            object.__setattr__(self, name, values.astype(np.float64))

    @staticmethod
    def shapes(axes: int, near: int, far: int, values: int, width: int) -> dict[str, tuple[int, ...]]:
        """Shapes of the arrays by name. InputError for a width outside the limits."""
        if not 1 <= width <= _MOST_WIDTH:
            raise InputError(f"a predictor: expected a width of 1..{_MOST_WIDTH}, got {width}")
        count, groups = len(taps(axes, 0, near, far)), axes * SCALES
        inputs = count if values == 1 else 2 * count + 1
        return {
            "linear": (groups, inputs),
            "first": (width, inputs + 2),
            "first_bias": (groups, width),
            "second": (width, width),
            "second_bias": (width,),
            "third": (2, width),
            "third_bias": (groups, 2),
        }

    @property
    def work(self) -> int:
        """Multiply-adds for one integer."""
        return int(self.linear.shape[1] + self.first.size + self.second.size + self.third.size)

    @cached_property
    def _taps(self) -> int:
        return len(taps(self.axes, 0, self.near, self.far))

    @cached_property
    def _networks(self) -> list[_Networks]:
        first, second, third = self.first / 64, self.second / 256, self.third / 256
        bias = np.asarray(self.second_bias + 0.5, np.float64)[:, None]
        return [
            _Networks(first, of_first[:, None], second, bias, third, of_third[:, None])
            for of_first, of_third in zip(self.first_bias, self.third_bias)
        ]

    def view(self, each: Pass, grid: Array, number: int) -> Callable[[tuple[slice, ...]], Inputs]:
        """``f(part)``: what value `number` of a part of a pass is predicted from; `grid` is (values, *sizes)."""
        offsets, count = taps(self.axes, each.axis, self.near, self.far), self.linear.shape[1]
        padded = each.padded(grid[number], offsets)
        if number == 0:
            return lambda part: Inputs.of(each.neighbours(padded, offsets, part), None, count)
        before = each.padded(grid[number - 1], offsets)

        def inputs(part: tuple[slice, ...]) -> Inputs:
            own = grid[number - 1][each.new][part].reshape(1, -1)
            seen = np.concatenate([own, each.neighbours(before, offsets, part)])
            return Inputs.of(each.neighbours(padded, offsets, part), seen, count)

        return inputs

    def predict(self, inputs: Inputs, group: int) -> tuple[Floats, Floats, Ints]:
        """Rows of the tables of `laplace`, the integers of symbol 0, and the numbers of low bits, (n,) each."""
        networks = self._networks[group]
        hidden = networks.first @ inputs.normal
        hidden += networks.first_bias
        scratch = np.empty_like(hidden)
        leaky(hidden, scratch, hidden)
        change = networks.second @ hidden
        change += networks.second_bias
        leaky(change, scratch, change)
        hidden += change
        out = networks.third @ hidden
        out += networks.third_bias
        np.floor(out, out)
        mean = 8 * inputs.middle + np.floor((self.linear[group] @ inputs.differences + 256) / 512)
        mean += np.floor(out[0] * inputs.spread / (32 * self._taps))
        mean = np.clip(mean, -_MEAN, _MEAN)
        sigma = np.clip(np.floor((16 * inputs.logarithms[0] + out[1]) / 32), -SIGMA, _FEWEST_LOW + 8 * _MOST_LOW)
        low = np.maximum(np.ceil((sigma - _FEWEST_LOW) / 8), 0)
        unit = np.ldexp(1.0, low.astype(np.int32))
        centre = np.floor((mean - 8 * (unit - 1)) / unit) + FRACTIONS // 2
        origin = np.floor(centre / FRACTIONS)
        rows = FRACTIONS * (sigma - 8 * low + SIGMA) + centre - FRACTIONS * origin
        return rows, origin - laplace.ZERO, low.astype(np.int64)


@dataclass(frozen=True, eq=False)
class _Networks:
    """The network of a group, scaled by powers of two so that the results of its products are rounded down."""

    first: Floats
    first_bias: Floats
    second: Floats
    second_bias: Floats
    third: Floats
    third_bias: Floats


@dataclass(frozen=True)
class Inputs:
    """What a network sees of the neighbours of n samples.

    Attributes
    ----------
    middle
        Sum m of the nearest two, (n,).
    differences
        Twice each neighbour, less m, (K, n).
    spread
        Sum of the magnitudes of the T differences of the own value, and T, (n,).
    logarithms
        Of `spread` / T and of the first difference, in sixteenths to the base 2, rounded down, (2, n).
    normal
        Inputs of the network (K + 2, n) with six fractional bits: differences in units of spread / T, logarithms.
    """

    middle: Floats
    differences: Floats
    spread: Floats
    logarithms: Floats
    normal: Floats

    @classmethod
    def of(cls, around: Floats, before: Floats | None, count: int) -> Inputs:
        """The inputs from the T neighbours (T, n), and the value before at the sample and its neighbours."""
        own, n = around.shape
        middle = around[0] + around[1]
        differences = np.zeros((count, n))
        for seen, between, out in ((around, middle, differences[:own]), (before, None, differences[own:])):
            if seen is not None:
                np.multiply(seen, 2, out=out)
                out -= seen[1] + seen[2] if between is None else between
                np.clip(out, -_DIFFERENCE, _DIFFERENCE, out=out)
        spread = np.abs(differences[:own]).sum(0) + own
        logarithms = np.stack([_logarithm(spread, own), _logarithm(np.abs(differences[0]) + 1, 1)])
        normal = np.empty((count + 2, n))
        np.multiply(differences, 64 * own, out=normal[:count])
        normal[:count] /= spread
        np.floor(normal[:count], out=normal[:count])
        np.clip(normal[:count], -_NORMAL, _NORMAL, out=normal[:count])
        np.multiply(logarithms, 4, out=normal[count:])
        return cls(middle, differences, spread, logarithms, normal)


@cache
def _thresholds(count: int) -> Floats:
    """floor(count 2**(k/16)) for all k."""
    return np.array([float(power_of_two(k, 4, 64) * count >> 64) for k in range(1, _MOST_SPREAD)])


def _logarithm(values: Floats, count: int) -> Floats:
    """How many of the numbers floor(count 2**(k/16)), k = 1, 2, ..., are at most each value."""
    return np.searchsorted(_thresholds(count), values, "right").astype(np.float64)


# -- the stream ----------------------------------------------------------------------------------------------------


def _checked(grid: Array, halvings: Sequence[int], predictor: Predictor) -> Array:
    if grid.ndim != predictor.axes + 1 or len(halvings) != predictor.axes or len(grid) != predictor.values:
        raise InputError(f"interlaced: expected {predictor.values} values of {predictor.axes} axes, got {grid.shape}")
    if grid.dtype.kind != "i" or (grid.size and max(-int(grid.min()), int(grid.max())) > LARGEST):
        raise InputError(f"interlaced: expected integers of a magnitude of at most {LARGEST}")
    return grid


def _coarsest(halvings: Sequence[int]) -> tuple[slice, ...]:
    return (slice(None), *(slice(None, None, 1 << h) for h in halvings))


def _predictions(each: Pass, grid: Array, number: int, predictor: Predictor) -> tuple[Array, Array, Array]:
    """`Predictor.predict` of all new samples of a pass, in raster order."""
    found: list[Array] = [np.empty(each.shape, dtype) for dtype in (np.int32, np.int64, np.int8)]
    parts, view = list(each.chunks()), predictor.view(each, grid, number)

    def predicted(part: tuple[slice, ...]) -> tuple[Array, ...]:
        return predictor.predict(view(part), each.group)

    for part, some in zip(parts, map_tiles(predicted, parts, None if len(parts) > 1 else 1)):
        for whole, values in zip(found, some):
            whole[part] = values.reshape(whole[part].shape)
    rows, origins, low = (whole.reshape(-1) for whole in found)
    return rows, origins, low


def _coded(grid: Array, halvings: Sequence[int], predictor: Predictor) -> Iterator[tuple[Symbols, Array, Array]]:
    """Symbols, integers and their numbers of low bits, for each value of each pass."""
    with one_thread_a_product:
        for each in passes(grid.shape[1:], halvings):
            for number in range(len(grid)):
                values = grid[number][each.new].reshape(-1).astype(np.int64)
                rows, origins, low = _predictions(each, grid, number, predictor)
                yield Symbols.of(rows, origins, values >> low), values, low


def bits_of(grid: Array, halvings: Sequence[int], predictor: Predictor) -> float:
    """Ideal code length of the stream in bits, but for the coarsest samples. Arguments as for `encode_grid`."""
    coded = _coded(_checked(grid, halvings, predictor), halvings, predictor)
    return sum(float(symbols.bits.sum() + low.sum(dtype=np.int64)) for symbols, _, low in coded)


def encode_grid(grid: Array, halvings: Sequence[int], predictor: Predictor) -> bytes:
    """The stream of integers (values, *sizes), each axis halved as often as `halvings` says.

    Raises
    ------
    InputError
        Another number of axes or values, or an integer above `LARGEST`.
    """
    grid = _checked(grid, halvings, predictor)
    starts, counts, bits = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0, np.uint8)]
    for symbols, values, low in _coded(grid, halvings, predictor):
        start, count = symbols.intervals
        starts.append(start)
        counts.append(count)
        bits += [(values[low > bit] >> bit & 1).astype(np.uint8) for bit in range(int(low.max(initial=0)))]
    plain = np.packbits(np.concatenate(bits), bitorder="little").tobytes()
    top = encode_ints(grid[_coarsest(halvings)])
    return top + write_varint(len(plain)) + plain + rans.encode(np.concatenate(starts), np.concatenate(counts))


def decode_grid(reader: Reader, sizes: Sequence[int], halvings: Sequence[int], predictor: Predictor) -> Array:
    """Inverse of `encode_grid`: int32 (values, *sizes).

    Raises
    ------
    LimitError
        More integers than the bytes can hold, or more memory or work than the reader allows.
    TruncatedError, MalformedError
        A damaged stream.
    """
    count = predictor.values * prod(sizes)
    if count > (reader.remaining + 1) * rans.SYMBOLS_PER_BYTE:
        raise LimitError(f"{reader.name}: {count} integers in {reader.remaining} bytes")
    reader.check_memory(_BYTES * count + 16 * _CHUNK * predictor.linear.shape[1])
    reader.spend(count * predictor.work)
    grid = np.zeros((predictor.values, *sizes), np.int32)
    top = grid[_coarsest(halvings)]
    coarsest = decode_ints(reader, top.size)
    if np.abs(coarsest).max(initial=0) > LARGEST:
        raise _too_large(reader)
    top[...] = coarsest.reshape(top.shape)
    plain = _Bits(reader, reader.varint(reader.remaining))
    every = passes(sizes, halvings)
    decoder, loop = rans.Decoder(reader) if every else None, laplace.fast_loop(count)
    with one_thread_a_product:
        for each in every:
            for number in range(predictor.values):
                assert decoder is not None
                rows, origins, low = _predictions(each, grid, number, predictor)
                values = np.empty(len(rows), np.int64)
                for first in range(0, len(rows), _CHUNK):
                    some = slice(first, first + _CHUNK)
                    values[some] = laplace.decoded(decoder, rows[some], origins[some], loop, _ANY)
                values <<= low
                for bit in range(int(low.max(initial=0))):
                    where = low > bit
                    values[where] |= plain.take(int(where.sum())) << bit
                if np.abs(values).max(initial=0) > LARGEST:
                    raise _too_large(reader)
                grid[number][each.new] = values.reshape(each.shape)
    plain.end()
    if decoder is not None:
        decoder.finish()
    return grid


class _Bits:
    """Bits as they are, the lowest of each byte first."""

    def __init__(self, reader: Reader, count: int) -> None:
        self._name = reader.name
        self._bytes = np.frombuffer(reader.take(count), np.uint8)
        self._at = 0

    def take(self, count: int) -> Ints:
        """The next bits. TruncatedError where there are fewer."""
        first, end = self._at >> 3, self._at + count + 7 >> 3
        if end > len(self._bytes):
            raise TruncatedError(f"{self._name}: fewer low bits than samples have")
        bits = np.unpackbits(self._bytes[first:end], bitorder="little")[self._at & 7 :][:count]
        self._at += count
        return bits.astype(np.int64)

    def end(self) -> None:
        """MalformedError unless all have been taken, and those that fill the last byte are 0."""
        if self._at + 7 >> 3 != len(self._bytes) or (self._at & 7 and self._bytes[-1] >> (self._at & 7)):
            raise MalformedError(f"{self._name}: more low bits than samples have")


def _too_large(reader: Reader) -> MalformedError:
    return MalformedError(f"{reader.name}: an integer has a magnitude above {LARGEST}")
