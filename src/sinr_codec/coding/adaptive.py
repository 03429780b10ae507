"""Integers on a grid under a generalised Gaussian whose scale adapts to rows and columns.

The weights of a neuron form a row, and neurons differ in the size of their weights. The scale at each place follows
from a mean magnitude: of the integers already coded in its row and its column, and of an initial value in the header.
The integers may be levels of a trellis, where each place has only even or only odd levels. Their units may differ by
known exponents (`scales`): at an exponent of e quarter octaves magnitudes are 2^(e/4) times smaller, and places whose
magnitudes all round to zero do not count in the means.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

import numpy as np

from sinr_codec.coding.model import SCALES, SHAPES, power_of_two, spaced_frequencies
from sinr_codec.coding.rangecoder import (
    TOTAL,
    TOTAL_BITS,
    RangeDecoder,
    Symbol,
    body_bytes,
    close_body,
    least_bytes,
    open_body,
    range_encode,
    skip_body,
    write_body,
)
from sinr_codec.coding.scales import PER_OCTAVE
from sinr_codec.coding.trellis import NEXT_STATE, parities
from sinr_codec.coding.varint import Reader, write_varint
from sinr_codec.errors import MalformedError
from sinr_codec.types import Floats, Ints

_N = TypeVar("_N", int, Ints)

__all__ = ["Fit", "decode", "fit", "follows_trellis", "skip"]

_MAX_RADIUS: Final = 2046  # the largest magnitude that a stream may have
_MAX_SCALED: Final = 8190  # the same where units differ
_FRACTION: Final = 4  # bits after the point of a mean magnitude
_START: Final = 8  # weight of the first magnitude
_ROW: Final = 2  # and of each one in the row
_COLUMN: Final = 1  # and in the column
_SCALE_OF: Final = [power_of_two(i, 3, 0) for i in range(8 * (13 + _FRACTION) + 1)]
"""Lower bounds of the scales, an eighth of an octave apart, as mean magnitudes in units of the fraction."""
_MIDDLE: Final = 8  # the stored width that stands for a half-width equal to the mean magnitude
_UNIT: Final = 6  # bits after the point of a unit
_UNITS: Final = np.array([power_of_two(e, 2, _UNIT) for e in range(PER_OCTAVE * (13 + 2) + 1)])
"""By quarter octaves, up to the coarsest unit that counts."""
_TELLING: Final = 16  # index in `_SCALE_OF` of a mean magnitude of 1/4, the least that counts
_OCTAVES: Final = 15  # from here on the largest level is the same


@dataclass(frozen=True)
class _Model:
    """The parameters in the header of a stream.

    `width` is the half-width of the distribution over the mean magnitude in eighths of an octave, plus `_MIDDLE`.
    `start` is the initial mean magnitude in sixteenths. `radius` is the largest magnitude in the finest unit, rounded
    up to an even number.
    """

    shape: int
    width: int
    trellis: bool
    start: int
    radius: int
    row: int
    scaled: bool = False
    costs: dict[tuple[int, int, int], Floats] = field(default_factory=dict, compare=False, repr=False)

    def header(self) -> bytes:
        first = self.shape | self.trellis << 3 | self.width << 4
        return bytes([first]) + write_varint(self.start) + write_varint(self.radius // 2) + write_varint(self.row)

    @classmethod
    def read(cls, reader: Reader, count: int, scaled: bool) -> "_Model":
        first = reader.byte()
        shape, trellis, width = first & 7, bool(first >> 3 & 1), first >> 4
        if shape >= len(SHAPES):
            raise MalformedError(f"{reader.name}: unknown distribution {shape}")
        most = _MAX_SCALED if scaled else _MAX_RADIUS
        start = reader.varint(most << _FRACTION)
        radius = 2 * reader.varint(most // 2)
        row = reader.varint(max(count, 1))
        if row < 1:
            raise MalformedError(f"{reader.name}: rows without numbers")
        return cls(shape, width, trellis, start, radius, row, scaled)

    def levels(self, octave: int, odd: int) -> Ints:
        """Levels in the order of their symbols: all, or in a trellis only even or only odd ones."""
        radius = int(_radius_at(self.radius, octave))
        if not self.trellis:
            return np.arange(-radius, radius + 1)
        return np.arange(-radius - odd, radius + odd + 1, 2)

    def frequencies(self, mean: int, octave: int, odd: int) -> Ints:
        """Frequencies of the symbols where the mean magnitude has this index in `_SCALE_OF`."""
        radius = int(_radius_at(self.radius, octave))
        if not self.trellis:
            return spaced_frequencies(self.shape, self._scale(mean), 2 * radius + 1, 1)
        return spaced_frequencies(self.shape, self._scale(mean), radius + 1 + odd, 2)

    def bits(self, mean: int, octave: int, odd: int) -> Floats:
        """Cost of each symbol in bits, under `frequencies`."""
        key = self._scale(mean), octave, odd
        if key not in self.costs:
            self.costs[key] = TOTAL_BITS - np.log2(self.frequencies(mean, octave, odd))
        return self.costs[key]

    def _scale(self, mean: int) -> int:
        scale = mean + self.width - _MIDDLE
        if self.scaled:
            scale += _widening(scale - 8 * self.trellis)
        return min(max(scale, 0), SCALES - 1)


def _widening(scale: int) -> int:
    """Eighths of an octave to add to a half-width of about one level or less, to allow for the rounding to levels.

    The probabilities of 0 and 1 after rounding are those of a density that is up to twice as wide as the weights'. The
    straight line is close to the exact widening for a Gaussian (`SCALES`: 32 is a half-width of 1).
    """
    return min(max(5 * (32 - scale) + 10 >> 4, 0), 8)


def _radius_at(radius: int, octave: int | Ints) -> Ints:
    """The largest magnitude in a unit `octave` octaves above the finest: even, at least 2."""
    return np.where(octave == 0, radius, 2 * ((radius >> octave + 1) + 1))


def _index(mean: int) -> int:
    return max(bisect_right(_SCALE_OF, mean) - 1, 0)


def _units(exponents: Ints | None, count: int, start: int) -> Ints:
    """The unit of each place in fractions of the finest, 0 for places that do not count; int64 (n,)."""
    if exponents is None:
        return np.full(count, 1 << _UNIT)
    telling = PER_OCTAVE * (_index(start) - _TELLING) // 8
    return np.where(exponents <= telling, _UNITS[np.minimum(exponents, len(_UNITS) - 1)], 0)


def _contexts(levels: Ints, row: int, start: int, exponents: Ints | None) -> Ints:
    """Index of the mean magnitude around each place, in its own unit, int64 (n,)."""

    def before(x: Ints) -> Ints:
        """Weighted sum over the places before each one in its row and in its column."""
        grid = np.zeros((-(-x.size // row), row), np.int64)
        grid.reshape(-1)[: x.size] = x
        sums = _ROW * (np.cumsum(grid, 1) - grid) + _COLUMN * (np.cumsum(grid, 0) - grid)
        return np.asarray(sums.reshape(-1)[: x.size])

    units = _units(exponents, levels.size, start)
    sums = (_START * start << _UNIT) + (before(np.abs(levels) * units) << _FRACTION)
    mean = sums // (_START + before((units > 0).astype(np.int64)) << _UNIT)
    found = np.maximum(np.searchsorted(np.array(_SCALE_OF), mean, side="right") - 1, 0)
    return np.asarray(found if exponents is None else found - 8 * exponents // PER_OCTAVE)


def _parities(levels: Ints, row: int) -> Ints:
    """Bit 0 of the trellis' state at each place; a last row that is short is filled with zeros."""
    rows = -(-levels.size // row)
    grid = np.zeros(rows * row, np.int64)
    grid[: levels.size] = levels
    return parities(grid.reshape(rows, row)).reshape(-1)[: levels.size]


@dataclass(frozen=True)
class _Places:
    """What a decoder knows about each place before it decodes the level, int64 (n,); a key stands for all of it."""

    mean: Ints
    octave: Ints
    odd: Ints

    @property
    def keys(self) -> Ints:
        return _key(self.mean, self.octave, self.odd)


def _key(mean: _N, octave: _N, odd: _N) -> _N:
    return (mean << 4 | octave) << 1 | odd


def _of_key(key: int) -> tuple[int, int, int]:
    """(mean, octave, odd)"""
    return key >> 5, key >> 1 & _OCTAVES, key & 1


def _octaves(exponents: Ints | None, count: int) -> Ints:
    return np.zeros(count, np.int64) if exponents is None else np.minimum(exponents // PER_OCTAVE, _OCTAVES)


def fit(levels: Ints, row: int, trellis: bool = False, exponents: Ints | None = None) -> "Fit | None":
    """The model of the shortest code of levels (n,) in rows; None where the coder does not apply.

    `exponents` (n,) are those of their units, in quarter octaves from 0 on; the decoder has to know them.
    """
    if levels.size == 0:
        return None
    odd = _parities(levels, row) if trellis else np.zeros(levels.size, np.int64)
    if trellis and (odd != levels & 1).any():
        return None
    most = _MAX_RADIUS if exponents is None else _MAX_SCALED
    octave, even = _octaves(exponents, levels.size), np.abs(levels) + 1 >> 1
    radius = int(np.where(octave == 0, 2 * even, np.maximum(even - 1, 0) << octave + 1).max())
    if radius > most:
        return None
    times = np.ones(1) if exponents is None else 2.0 ** (-exponents / PER_OCTAVE)
    start = float(np.abs(levels).mean() / times.mean())  # most likely, were the magnitudes Poisson's
    start = min(round(start * (1 << _FRACTION)), most << _FRACTION)
    blank = _Model(0, 0, trellis, start, radius, row, exponents is not None)
    places = _Places(_contexts(levels, row, start, exponents), octave, odd)
    # The length of the stream depends only on how often each symbol occurs with each key.
    keys = places.keys
    order = np.argsort(keys, kind="stable")
    kinds, firsts = np.unique(keys[order], return_index=True)
    symbols = np.split(_symbols(blank, levels, places)[order], firsts[1:])
    counts = [(_of_key(key), np.bincount(some).astype(float)) for key, some in zip(kinds.tolist(), symbols)]
    best = _best_width(blank, 1, counts)
    for shape in range(2, len(SHAPES)):
        other = _best_width(blank, shape, counts)
        if other[0] >= best[0]:
            break
        best = other
    return Fit(levels, places, best[1], best[0])


def _best_width(blank: _Model, shape: int, counts: list[tuple[tuple[int, int, int], Floats]]) -> tuple[float, _Model]:
    """The shortest code with a shape, as (bits, model): downhill over widths, in steps of two and then of one."""
    # All widths share the costs, which depend on the resulting scales alone.
    like = replace(blank, shape=shape, costs={})
    prices: dict[int, float] = {}

    def price(width: int) -> float:
        if width not in prices:
            model = replace(like, width=width)
            prices[width] = sum(float(times @ model.bits(*place)[: len(times)]) for place, times in counts)
        return prices[width]

    width = _MIDDLE + 2
    for step in (2, 1):
        while True:
            near = min((w for w in (width, width - step, width + step) if 0 <= w < 16), key=price)
            if near == width:
                break
            width = near
    return price(width), replace(like, width=width)


@dataclass(frozen=True)
class Fit:
    """Levels with the model that codes them."""

    levels: Ints
    places: _Places
    model: _Model
    payload: float  # bits of all symbols

    @property
    def bits(self) -> float:
        """Length of the stream, up to some bytes, without coding it."""
        return 8 * (len(self.model.header()) + body_bytes(self.payload, self.levels.size))

    def encode(self) -> bytes | None:
        """Header, [length], coded symbols; None where the format does not allow so few bytes."""
        symbols = _symbols(self.model, self.levels, self.places)
        coded = range_encode(_slices(self.model, self.places.keys, symbols))
        if len(coded) < least_bytes(self.levels.size):
            return None
        return self.model.header() + write_body(coded, self.levels.size)


def _slices(model: _Model, keys: Ints, symbols: Ints) -> Iterator[Symbol]:
    tables: dict[int, list[int]] = {}
    for key, symbol in zip(keys.tolist(), symbols.tolist()):
        if key not in tables:
            tables[key] = [0, *np.cumsum(model.frequencies(*_of_key(key))).tolist()]
        low, high = tables[key][symbol : symbol + 2]
        yield low, high - low, TOTAL


def _symbols(model: _Model, levels: Ints, places: _Places) -> Ints:
    radius = _radius_at(model.radius, places.octave)
    return np.asarray((levels + radius + places.odd) >> 1 if model.trellis else levels + radius)


def decode(reader: Reader, count: int, exponents: Ints | None = None) -> Ints:
    """Inverse of `Fit.encode`: int64 (count,)."""
    return _decode(reader, count, _Model.read(reader, count, exponents is not None), exponents)


def _decode(reader: Reader, count: int, model: _Model, exponents: Ints | None) -> Ints:
    body = open_body(reader, count)
    decoder = RangeDecoder(body, most=3 * count + 8)
    tables: dict[int, tuple[list[int], list[int]]] = {}
    values = [0] * count
    units = _units(exponents, count, model.start).tolist()
    finer = [0] * count if exponents is None else (8 * exponents // PER_OCTAVE).tolist()
    octaves = _octaves(exponents, count).tolist()
    columns = [0] * min(model.row, count)
    above = [_START] * len(columns)
    for first in range(0, count, model.row):
        in_row, before, state = 0, 0, 0
        for at in range(min(model.row, count - first)):
            sums = (_START * model.start << _UNIT) + (_ROW * in_row + _COLUMN * columns[at] << _FRACTION)
            mean = sums // (before + above[at] << _UNIT)
            key = _key(_index(mean) - finer[first + at], octaves[first + at], state & 1)
            if key not in tables:
                cumulative = [0, *np.cumsum(model.frequencies(*_of_key(key))).tolist()]
                tables[key] = cumulative, model.levels(*_of_key(key)[1:]).tolist()
            cumulative, levels = tables[key]
            level = levels[decoder.symbol(cumulative)]
            if model.trellis:
                state = NEXT_STATE[state][level >> 1 & 1]
            values[first + at] = level
            if unit := units[first + at]:
                size = abs(level) * unit
                in_row += size
                columns[at] += size
                before += _ROW
                above[at] += _COLUMN
    decoder.finish()
    close_body(reader, body)
    return np.array(values, dtype=np.int64)


def follows_trellis(reader: Reader) -> bool:
    """Whether the stream at a reader's position, which stays, holds levels of a trellis."""
    return any(first >> 3 & 1 for first in reader.peek(1))


def skip(reader: Reader, count: int, exponents: Ints | None = None) -> None:
    """Move behind a stream, without decoding it where it is long."""
    model = _Model.read(reader, count, exponents is not None)
    if not skip_body(reader, count):
        _decode(reader, count, model, exponents)
