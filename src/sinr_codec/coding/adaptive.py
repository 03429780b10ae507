"""Integers on a grid whose spread differs from row to row: a parametric model whose scale follows them.

Neurons differ in how large their weights are, and those of a neuron stand in a row. The magnitudes so far in the row
and in the column of a place, and one that the stream begins with, tell the scale of a generalised Gaussian. The
integers may be levels of a trellis, of which each place takes only the even or only the odd ones.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from sinr_codec.coding.model import SCALES, SHAPES, frequencies_at, power_of_two
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
from sinr_codec.coding.trellis import NEXT_STATE, parities
from sinr_codec.coding.varint import Reader, write_varint
from sinr_codec.errors import MalformedError

__all__ = ["adaptive_bits", "adaptive_body", "decode_adaptive", "follows", "skip_adaptive"]

Ints = npt.NDArray[np.int64]

_MAX_RADIUS = 2046  # the largest magnitude that a stream may have
_FRACTION = 4  # bits after the point of a mean magnitude
_START, _ROW, _COLUMN = 8, 2, 1  # how much the first magnitude weighs, and each one in the row and in the column
_SCALE_OF = [power_of_two(i, 3, 0) for i in range(8 * (11 + _FRACTION) + 1)]
"""Means, in units of the fraction, from which on the scale is an eighth of an octave wider."""
_MIDDLE = 8  # the stored width that stands for a half-width equal to the mean magnitude


@dataclass(frozen=True)
class _Model:
    """What a stream says before its symbols.

    `width` is how many eighths of an octave the half-width of the distribution is above the mean magnitude, plus
    `_MIDDLE`; `start` a mean magnitude in sixteenths; `radius` is even, and no level is further from zero.
    """

    shape: int
    width: int
    trellis: bool
    start: int
    radius: int
    row: int
    tables: dict[tuple[int, int], Ints] = field(default_factory=dict, compare=False, repr=False)

    def header(self) -> bytes:
        first = self.shape | self.trellis << 3 | self.width << 4
        return bytes([first]) + write_varint(self.start) + write_varint(self.radius // 2) + write_varint(self.row)

    @classmethod
    def read(cls, reader: Reader, count: int) -> "_Model":
        first = reader.byte()
        shape, trellis, width = first & 7, bool(first >> 3 & 1), first >> 4
        if shape >= len(SHAPES):
            raise MalformedError(f"{reader.name}: unknown distribution {shape}")
        start = reader.varint(_MAX_RADIUS << _FRACTION)
        radius = 2 * reader.varint(_MAX_RADIUS // 2)
        row = reader.varint(max(count, 1))
        if row < 1:
            raise MalformedError(f"{reader.name}: rows without numbers")
        return cls(shape, width, trellis, start, radius, row)

    def levels(self, odd: int) -> Ints:
        """Levels in the order of their symbols: all of them, or in a trellis the even or the odd ones."""
        if not self.trellis:
            return np.arange(-self.radius, self.radius + 1)
        return np.arange(-self.radius - odd, self.radius + odd + 1, 2)

    def frequencies(self, mean: int, odd: int) -> Ints:
        """Of the symbols where the mean magnitude has this index in `_SCALE_OF`."""
        scale = min(max(mean + self.width - _MIDDLE, 0), SCALES - 1)
        if (scale, odd) not in self.tables:
            self.tables[scale, odd] = frequencies_at(self.shape, scale, np.abs(self.levels(odd)))
        return self.tables[scale, odd]


def _index(mean: int) -> int:
    return max(bisect_right(_SCALE_OF, mean) - 1, 0)


def _contexts(levels: Ints, row: int, start: int) -> Ints:
    """Index of the mean magnitude around each place, int64 (n,)."""
    rows = -(-levels.size // row)
    sizes = np.zeros(rows * row, np.int64)
    sizes[: levels.size] = np.abs(levels)
    grid = sizes.reshape(rows, row)
    in_row = np.cumsum(grid, 1) - grid
    in_column = np.cumsum(grid, 0) - grid
    weight = _START + _ROW * np.arange(row)[None] + _COLUMN * np.arange(rows)[:, None]
    mean = (_START * start + ((_ROW * in_row + _COLUMN * in_column) << _FRACTION)) // weight
    found = np.searchsorted(np.array(_SCALE_OF), mean.reshape(-1)[: levels.size], side="right") - 1
    return np.maximum(found, 0)


def _parities(levels: Ints, row: int) -> Ints:
    """Bit 0 of the trellis' state at each place; a last row that is short is filled with zeros."""
    rows = -(-levels.size // row)
    grid = np.zeros(rows * row, np.int64)
    grid[: levels.size] = levels
    return parities(grid.reshape(rows, row)).reshape(-1)[: levels.size]


def _fit(levels: Ints, row: int, trellis: bool) -> tuple[_Model, float, Ints, Ints] | None:
    """Model of the shortest code, its bits, and the means and parities; None where the coder does not apply."""
    if levels.size == 0 or int(np.abs(levels).max()) > _MAX_RADIUS:
        return None
    odd = _parities(levels, row) if trellis else np.zeros(levels.size, np.int64)
    if trellis and (odd != levels & 1).any():
        return None
    radius = 2 * (int(np.abs(levels).max()) + 1 >> 1)
    start = min(round(float(np.abs(levels).mean()) * (1 << _FRACTION)), _MAX_RADIUS << _FRACTION)
    blank = _Model(0, 0, trellis, start, radius, row)
    means = _contexts(levels, row, start)
    symbols = _symbols(blank, levels, odd)
    # How often each symbol comes with each mean: all that the length depends on.
    contexts, place = np.unique(means << 1 | odd, return_inverse=True)
    counts = np.zeros((len(contexts), len(blank.levels(1))), np.int64)
    np.add.at(counts, (place, symbols), 1)

    def price(shape: int, width: int) -> tuple[float, _Model]:
        model = replace(blank, shape=shape, width=width, tables={})
        bits = 0.0
        for context, row_counts in zip(contexts.tolist(), counts):
            frequencies = model.frequencies(context >> 1, context & 1)
            bits += float(row_counts[: len(frequencies)] @ (TOTAL_BITS - np.log2(frequencies)))
        return bits, model

    best: tuple[float, _Model] | None = None
    for shape in range(1, len(SHAPES)):
        width, found = _MIDDLE + 2, None
        for step in (2, 1):
            while True:
                near = [w for w in (width - step, width, width + step) if 0 <= w < 16]
                priced = min((price(shape, w) for w in near), key=lambda one: one[0])
                moved = found is not None and priced[0] >= found[0]
                found = priced if found is None or priced[0] < found[0] else found
                width = found[1].width
                if moved:
                    break
        assert found is not None
        if best is not None and found[0] >= best[0]:
            break
        best = found
    assert best is not None
    return best[1], best[0], means, odd


def adaptive_bits(levels: Ints, row: int, trellis: bool = False) -> float | None:
    """Length of `adaptive_body` in bits, up to some bytes, without coding; None where the coder does not apply."""
    fitted = _fit(levels, row, trellis)
    return None if fitted is None else 8 * (len(fitted[0].header()) + body_bytes(fitted[1], levels.size))


def adaptive_body(levels: Ints, row: int, trellis: bool = False) -> bytes | None:
    """Header, [length], coded symbols of levels (n,) in rows; None where the coder or the format does not allow it."""
    fitted = _fit(levels, row, trellis)
    if fitted is None:
        return None
    model, _, means, odd = fitted
    coded = range_encode(_slices(model, means, odd, _symbols(model, levels, odd)))
    if len(coded) < least_bytes(levels.size):
        return None
    return model.header() + write_body(coded, levels.size)


def _slices(model: _Model, means: Ints, odd: Ints, symbols: Ints) -> Iterator[Symbol]:
    tables: dict[tuple[int, int], list[int]] = {}
    for mean, parity, symbol in zip(means.tolist(), odd.tolist(), symbols.tolist()):
        if (mean, parity) not in tables:
            tables[mean, parity] = [0, *np.cumsum(model.frequencies(mean, parity)).tolist()]
        low, high = tables[mean, parity][symbol : symbol + 2]
        yield low, high - low, TOTAL


def _symbols(model: _Model, levels: Ints, odd: Ints) -> Ints:
    return (levels + model.radius + odd) >> 1 if model.trellis else levels + model.radius


def decode_adaptive(reader: Reader, count: int) -> Ints:
    """Inverse of `adaptive_body`: int64 (count,)."""
    return _decode(reader, count, _Model.read(reader, count))


def _decode(reader: Reader, count: int, model: _Model) -> Ints:
    body = open_body(reader, count)
    decoder = RangeDecoder(body, most=3 * count + 8)
    tables: dict[int, tuple[list[int], list[int]]] = {}
    values = [0] * count
    columns = [0] * min(model.row, count)
    for at_row, first in enumerate(range(0, count, model.row)):
        in_row, state = 0, 0
        weight = _START + _COLUMN * at_row
        for at in range(min(model.row, count - first)):
            mean = (_START * model.start + (_ROW * in_row + _COLUMN * columns[at] << _FRACTION)) // weight
            odd = state & 1
            key = _index(mean) << 1 | odd
            if key not in tables:
                cumulative = [0, *np.cumsum(model.frequencies(key >> 1, odd)).tolist()]
                tables[key] = cumulative, model.levels(odd).tolist()
            cumulative, levels = tables[key]
            level = levels[decoder.symbol(cumulative)]
            if model.trellis:
                state = NEXT_STATE[state][level >> 1 & 1]
            values[first + at] = level
            size = abs(level)
            in_row += size
            columns[at] += size
            weight += _ROW
    decoder.finish()
    close_body(reader, body)
    return np.array(values, dtype=np.int64)


def follows(reader: Reader) -> bool:
    """Whether the stream at a reader's position is of levels of a trellis."""
    return any(first >> 3 & 1 for first in reader.peek(1))


def skip_adaptive(reader: Reader, count: int) -> None:
    """Move behind a stream, without decoding it where it is long."""
    model = _Model.read(reader, count)
    if not skip_body(reader, count):
        _decode(reader, count, model)
