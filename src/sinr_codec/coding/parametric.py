"""Integers range-coded under one parametric distribution.

A stream is a header with the parameters, [a length], coded buckets, and low bits where a bucket holds more than one
integer. docs/format.md has the layout.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import repeat
from math import log, log2
from typing import Final

import numpy as np
import numpy.typing as npt

from sinr_codec.coding.model import MAX_SYMBOLS, SCALES, SHAPES, UNIFORM, frequencies
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
from sinr_codec.coding.varint import Reader, write_varint, write_zigzag
from sinr_codec.errors import MalformedError
from sinr_codec.types import Ints

__all__ = ["Model", "decode", "encode", "fit", "skip"]

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
_CHUNK: Final = 1 << 16  # symbols coded at a time; bounds the memory of the Python integers
_EXPLICIT: Final = 255  # instead of a radius code: lo and width follow


@dataclass(frozen=True)
class Model:
    """A distribution of integers: support lo..lo + width - 1, in buckets of 2**shift equally likely integers."""

    shape: int
    scale: int
    lo: int
    width: int
    centre: int  # inside the support
    radius_code: int | None = None  # of a support symmetric about the centre, which takes one byte

    @property
    def shift(self) -> int:
        """Low bits of an integer within its bucket."""
        return max(0, (self.width - 1).bit_length() - MAX_SYMBOLS.bit_length() + 1)

    @property
    def size(self) -> int:
        """Buckets, at most MAX_SYMBOLS."""
        return ((self.width - 1) >> self.shift) + 1

    @property
    def centre_bucket(self) -> int:
        """The bucket that holds the centre."""
        return (self.centre - self.lo) >> self.shift

    def frequencies(self) -> Ints:
        """Frequency of each bucket."""
        return frequencies(self.shape, self.scale, self.size, self.centre_bucket)

    def header(self) -> bytes:
        """The bytes from which `read` restores the model; the coder's id holds the shape."""
        support = write_zigzag(self.lo) + write_varint(self.width - 1)
        if self.shape == UNIFORM:
            return support
        if self.radius_code is None:
            centre = b"" if self.centre == self._default_centre() else write_varint(self.centre - self.lo)
            support = bytes([_EXPLICIT]) + support
        else:
            centre = b"" if self.centre == 0 else write_zigzag(self.centre)
            support = bytes([self.radius_code])
        return bytes([bool(centre) << 7 | self.scale]) + support + centre

    def _default_centre(self) -> int:
        return min(max(0, self.lo), self.lo + self.width - 1)

    @classmethod
    def read(cls, reader: Reader, shape: int) -> "Model":
        """The model at the start of a stream. Raises `MalformedError` for a support beyond 64-bit integers."""
        if shape == UNIFORM:
            lo, width = reader.zigzag(), reader.varint() + 1
            model = cls(shape, 0, lo, width, lo)
        else:
            scale = reader.byte()
            has_centre, scale = scale >> 7, scale & SCALES - 1
            code = reader.byte()
            if code == _EXPLICIT:
                lo, width = reader.zigzag(), reader.varint() + 1
                model = cls(shape, scale, lo, width, 0)
                centre = lo + reader.varint(width - 1) if has_centre else model._default_centre()
                model = replace(model, centre=centre)
            else:
                centre = reader.zigzag() if has_centre else 0
                model = cls(shape, scale, centre - _radius(code), 2 * _radius(code) + 1, centre, code)
        if model.lo < INT64_MIN or model.lo + model.width - 1 > INT64_MAX:
            raise MalformedError(f"{reader.name}: a support reaches beyond 64-bit integers")
        return model


def _radius(code: int) -> int:
    """0..15 as they are, then eight values an octave (9/8 steps) up to 14 * 2**30."""
    return code if code < 16 else (8 + (code & 7)) << (code >> 3) - 1


def _radius_code(radius: int) -> int:
    """The least code whose radius is at least `radius`; may exceed 254."""
    if radius < 16:
        return radius
    shift = radius.bit_length() - 4
    mantissa = -(-radius >> shift)  # 8..16: rounded up
    return ((shift + 1) << 3) + mantissa - 8


def fit(values: Ints) -> tuple[Model, float]:
    """The model with the shortest code for non-constant values, and that length in bits."""
    least, greatest = int(values.min()), int(values.max())
    uniform = Model(UNIFORM, 0, least, greatest - least + 1, least)
    best = uniform, _stream_bits(uniform, *_histogram(values, uniform))
    for support in _supports(values, least, greatest):
        histogram = _histogram(values, support)
        best = min(best, _best_shape(support, *histogram), key=lambda candidate: candidate[1])
    return best


def _supports(values: Ints, least: int, greatest: int) -> Iterator[Model]:
    """Models without shape and scale: centred at zero and, where that may pay, at the mean or one-sided."""
    mean = float(values.mean())
    centres = {0}
    # A wrong centre costs about n/(2 ln 2) * (mean/deviation)**2 bits, storing the right one a byte or more.
    if 0.72 * values.size * mean * mean > 8 * float(values.var()):
        centres.add(min(max(round(mean), least), greatest))
    for centre in sorted(centres, key=abs):
        below, above = centre - least, greatest - centre
        code = _radius_code(max(below, above))
        radius = _radius(code) if code < _EXPLICIT else 0
        fits = code < _EXPLICIT and centre - radius >= INT64_MIN and centre + radius <= INT64_MAX
        if fits:
            yield Model(0, 0, centre - radius, 2 * radius + 1, centre, code)
        if not fits or min(below, above) < 0.5 * max(below, above):
            yield Model(0, 0, least, greatest - least + 1, min(max(centre, least), greatest))


def _histogram(values: Ints, model: Model) -> tuple[Ints, int]:
    """Counts of the buckets of a model's support, from the first that occurs, and its number."""
    buckets = _offsets(values, model.lo) >> np.uint64(model.shift)
    first = int(buckets.min())
    return np.bincount((buckets - np.uint64(first)).astype(np.int64)), first


def _best_shape(support: Model, counts: Ints, first: int) -> tuple[Model, float]:
    """Shape and scale of the shortest code, downhill: the length has a single minimum along each."""
    distance = np.abs(first + np.arange(len(counts), dtype=np.float64) - support.centre_bucket)
    total = float(counts.sum())
    size, centre = support.size, support.centre_bucket
    header = len(support.header())  # whatever its shape and scale

    def priced(shape: int, scale: int) -> tuple[tuple[int, int], float]:
        bits = _bits_under(frequencies(shape, scale, size, centre), header, support.shift, counts, first)
        return (shape, scale), bits

    def best_scale(shape: int) -> tuple[tuple[int, int], float]:
        # Maximum likelihood on an endless support: half-width**p = p * ln 2 * mean(distance**p).
        exponent = SHAPES[shape]
        moment = float(counts @ distance**exponent) / total
        guess = 8 * (log2(max(exponent * log(2) * moment, 1e-9)) / exponent + 4)
        start = min(max(round(guess), 0), SCALES - 1)
        return _descend(lambda scale: priced(shape, scale), start, SCALES)

    (shape, scale), bits = _descend(best_scale, SHAPES.index(2.0), len(SHAPES))
    return replace(support, shape=shape, scale=scale), bits


def _descend(
    price: Callable[[int], tuple[tuple[int, int], float]], start: int, count: int
) -> tuple[tuple[int, int], float]:
    """The cheapest of `count` neighbours in a row, found by walking down from `start`."""
    best = price(start)
    for direction in (-1, 1):
        moved = False
        at = start + direction
        while 0 <= at < count:
            other = price(at)
            if other[1] >= best[1]:
                break
            best, moved = other, True
            at += direction
        if moved:
            break
    return best


def _stream_bits(model: Model, counts: Ints, first: int) -> float:
    """Length of a range-coded stream whose buckets first, first + 1, ... occur `counts` times."""
    return _bits_under(model.frequencies(), len(model.header()), model.shift, counts, first)


def _bits_under(table: Ints, header_bytes: int, shift: int, counts: Ints, first: int) -> float:
    """The same, by the frequencies of the model, the bytes of its header and its low bits."""
    n = int(counts.sum())
    payload = TOTAL_BITS * n - float(counts @ np.log2(table[first : first + len(counts)]))
    return 8 * (header_bytes + body_bytes(payload + shift * n, n))


def encode(values: Ints, model: Model) -> bytes:
    """Header, [length], coded buckets and low bits of values (n,) within the support of a model."""
    if least := least_bytes(values.size):
        # Nearly constant data may cost less than the format allows: flatten the model until it does not.
        histogram = _histogram(values, model)
        while model.scale < SCALES - 1 and _stream_bits(model, *histogram) / 8 < least + 16:
            model = replace(model, scale=model.scale + 1)
    offsets = _offsets(values, model.lo)
    starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(model.frequencies())])
    coded = range_encode(_symbols((offsets >> np.uint64(model.shift)).astype(np.int64), starts))
    coded += _pack_bits(offsets, model.shift)
    return model.header() + write_body(coded, values.size)


def _symbols(buckets: Ints, starts: Ints) -> Iterator[Symbol]:
    for at in range(0, len(buckets), _CHUNK):
        chunk = buckets[at : at + _CHUNK]
        low = starts[chunk]
        yield from zip(low.tolist(), (starts[chunk + 1] - low).tolist(), repeat(TOTAL))


def decode(reader: Reader, shape: int, count: int) -> Ints:
    """Inverse of `encode` for the shape of its model: int64 (count,)."""
    return _decode(reader, Model.read(reader, shape), count)


def skip(reader: Reader, shape: int, count: int) -> None:
    """Move past a stream, without decoding a long one."""
    model = Model.read(reader, shape)
    if not skip_body(reader, count):
        _decode(reader, model, count)


def _decode(reader: Reader, model: Model, count: int) -> Ints:
    body = open_body(reader, count)
    cumulative = [0, *np.cumsum(model.frequencies()).tolist()]
    decoder = RangeDecoder(body, most=3 * count + 8)
    out = np.empty(count, dtype=np.uint64)
    for at in range(0, count, _CHUNK):
        stop = min(at + _CHUNK, count)
        out[at:stop] = decoder.symbols(cumulative, stop - at)
    decoder.finish()
    if model.shift:
        out <<= np.uint64(model.shift)
        out |= _unpack_bits(body, count, model.shift)
    if count and int(out.max()) >= model.width:
        raise MalformedError(f"{reader.name}: a decoded integer is outside its declared support")
    close_body(reader, body)
    out += np.uint64(model.lo % 2**64)
    return out.view(np.int64)


def _offsets(values: Ints, lo: int) -> npt.NDArray[np.uint64]:
    """Values - lo, exact for the whole of int64."""
    return values.view(np.uint64) - np.uint64(lo % 2**64)


def _pack_bits(offsets: npt.NDArray[np.uint64], width: int) -> bytes:
    """The `width` low bits of each offset, highest first, one after the other, zeros up to a whole byte."""
    if not width:
        return b""
    places = np.arange(width - 1, -1, -1, dtype=np.uint64)
    return b"".join(
        np.packbits((offsets[at : at + _CHUNK, None] >> places & np.uint64(1)).astype(np.uint8)).tobytes()
        for at in range(0, len(offsets), _CHUNK)
    )


def _unpack_bits(reader: Reader, count: int, width: int) -> npt.NDArray[np.uint64]:
    packed = np.frombuffer(reader.take(-(-count * width // 8)), dtype=np.uint8)
    if len(packed) and packed[-1] & (1 << -count * width % 8) - 1:
        raise MalformedError(f"{reader.name}: padding bits are not zero")
    out = np.empty(count, dtype=np.uint64)
    weights = np.uint64(1) << np.arange(width - 1, -1, -1, dtype=np.uint64)
    for at in range(0, count, _CHUNK):  # a chunk begins at a whole byte
        stop = min(at + _CHUNK, count)
        bits = np.unpackbits(packed[at * width // 8 :], count=(stop - at) * width).reshape(-1, width)
        out[at:stop] = bits @ weights
    return out
