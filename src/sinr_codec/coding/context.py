"""Integers on a grid, each coded in the context of its neighbours, with adaptive probabilities.

The decoded magnitudes around a place select the model of its bits: zero flag, sign, and magnitude in unary, as CABAC
codes transform coefficients (Marpe, Schwarz, Wiegand 2003). The only parameter of a stream is the length of its rows,
so short streams lose little.
"""

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from sinr_codec.coding.rangecoder import (
    RangeDecoder,
    Symbol,
    close_body,
    least_bytes,
    open_body,
    range_encode,
    skip_body,
    write_body,
)
from sinr_codec.coding.varint import Reader, write_varint
from sinr_codec.errors import MalformedError
from sinr_codec.types import Ints

__all__ = ["decode", "encode", "skip"]

Model = list[int]
"""Counts of the zeros and ones of a bit, which start at one each."""

_STEP: Final = 2  # added to the count of a bit that occurs
_FULL: Final = 256  # sum of the counts above which both are halved
_THRESHOLDS: Final = (0, 1, 2, 3, 5, 8, 12, 18)  # of the weighted sum of the magnitudes around a place
_CONTEXT: Final = tuple(sum(near > t for t in _THRESHOLDS) for near in range(_THRESHOLDS[-1] + 2))
_LAST: Final = len(_CONTEXT) - 1
_UNARY: Final = 15  # from this magnitude on, the rest follows in an Elias gamma code
_LONGEST: Final = 61  # bits of that rest
_MOST_BYTES: Final = 40  # of an integer: 16 bits of models at 8 bits each, and 123 plain ones


def encode(values: Ints, row: int) -> bytes | None:
    """Row length, [length], coded bits of values (n,) in rows; None where the format does not allow it."""
    if values.size and (int(values.max()) >= 1 << _LONGEST or int(values.min()) <= -(1 << _LONGEST)):
        return None
    coded = range_encode(_symbols(values.tolist(), row))
    if len(coded) < least_bytes(values.size):
        return None
    return write_varint(row) + write_body(coded, values.size)


def decode(reader: Reader, count: int) -> Ints:
    """Inverse of `encode`: int64 (count,)."""
    return _decode(reader, count, _row(reader, count))


def _decode(reader: Reader, count: int, row: int) -> Ints:
    body = open_body(reader, count)
    decoder = RangeDecoder(body, most=_MOST_BYTES * count + 8)
    values = [0] * count

    def bit(model: Model, _: bool) -> bool:
        got = decoder.bit(model[0], model[0] + model[1])
        _count(model, got)
        return got

    def plain(_: bool) -> bool:
        return decoder.bit(1, 2)

    _walk(values, row, bit, plain, reader.name)
    decoder.finish()
    close_body(reader, body)
    return np.array(values, dtype=np.int64)


def skip(reader: Reader, count: int) -> None:
    """Move past a stream, without decoding a long one."""
    row = _row(reader, count)
    if not skip_body(reader, count):
        _decode(reader, count, row)


def _row(reader: Reader, count: int) -> int:
    row = reader.varint(max(count, 1))
    if row < 1:
        raise MalformedError(f"{reader.name}: rows without numbers")
    return row


def _symbols(values: list[int], row: int) -> Iterator[Symbol]:
    """The symbols for the range coder."""
    symbols: list[Symbol] = []

    def bit(model: Model, wanted: bool) -> bool:
        zeros, ones = model
        symbols.append((zeros, ones, zeros + ones) if wanted else (0, zeros, zeros + ones))
        _count(model, wanted)
        return wanted

    def plain(wanted: bool) -> bool:
        symbols.append((int(wanted), 1, 2))
        return wanted

    _walk(values, row, bit, plain, "")
    return iter(symbols)


def _count(model: Model, got: bool) -> None:
    model[got] += _STEP
    if model[0] + model[1] > _FULL:
        model[0], model[1] = (model[0] + 1) >> 1, (model[1] + 1) >> 1


def _walk(
    values: list[int], row: int, bit: Callable[[Model, bool], bool], plain: Callable[[bool], bool], name: str
) -> None:
    """Code the bits of all values in order. When decoding, `bit` and `plain` return them, and `values` is filled."""
    zero = [[1, 1] for _ in range(len(_THRESHOLDS) + 1)]
    more = [[[1, 1] for _ in range(5)] for _ in range(_UNARY)]
    negative = [[1, 1] for _ in range(9)]
    blank = [0] * (row + 3)  # two places before a row and one behind it
    above2, above, signs_above = blank, blank, blank
    for first in range(0, len(values), row):
        here, signs = blank[:], blank[:]
        for at in range(2, min(row, len(values) - first) + 2):
            near = 2 * (here[at - 1] + above[at]) + here[at - 2] + above2[at] + above[at - 1] + above[at + 1]
            context = _CONTEXT[near] if near < _LAST else _CONTEXT[_LAST]
            value = values[first + at - 2]
            size = abs(value)
            if not bit(zero[context], size > 0):
                continue
            least = 1
            while least < _UNARY and bit(more[least][context + 1 >> 1], size > least):
                least += 1
            size = least if least < _UNARY else _UNARY + _gamma(size - _UNARY, plain, name)
            sign = 3 * signs[at - 1] + signs_above[at]
            minus = bit(negative[sign], value < 0)
            here[at], signs[at] = size, 1 + minus
            values[first + at - 2] = -size if minus else size
        above2, above, signs_above = above, here, signs


def _gamma(value: int, plain: Callable[[bool], bool], name: str) -> int:
    """Elias gamma code of value + 1: a one for each bit below the highest, a zero, and those bits."""
    value += 1
    length = 0
    while plain(value >> length + 1 > 0):
        length += 1
        if length > _LONGEST - 1:
            raise MalformedError(f"{name}: a decoded integer does not fit 62 bits")
    result = 1
    for place in range(length - 1, -1, -1):
        result = 2 * result + plain(bool(value >> place & 1))
    return result - 1
