"""Integers to bytes and back: the smallest of a constant, Brotli and range coders with parametric models or contexts.

A stream of integers has a coder id of four bits and whatever that coder writes. `encode_ints` puts the id in
a byte of its own; `tensor` packs it beside its transform. docs/format.md has the layouts.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import repeat
from math import log, log2

import brotli
import numpy as np
import numpy.typing as npt

from sinr_codec.coding.adaptive import adaptive_bits, adaptive_body, decode_adaptive, skip_adaptive
from sinr_codec.coding.context import context_body, decode_context, skip_context
from sinr_codec.coding.model import MAX_SYMBOLS, SCALES, SHAPES, UNIFORM, frequencies
from sinr_codec.coding.rangecoder import (
    TOTAL,
    TOTAL_BITS,
    RangeDecoder,
    Symbol,
    body_bytes,
    check_symbols,
    close_body,
    least_bytes,
    open_body,
    range_encode,
    skip_body,
    write_body,
)
from sinr_codec.coding.varint import Reader, write_varint, write_zigzag
from sinr_codec.errors import InputError, MalformedError, TruncatedError, UnknownIdError
from sinr_codec.types import Ints

__all__ = [
    "ADAPTIVE",
    "BROTLI",
    "CONSTANT",
    "CONTEXT",
    "RANGE",
    "coder_name",
    "decode_ints",
    "decode_stream",
    "encode_ints",
    "encode_stream",
    "encode_words",
    "ideal_bits",
    "skip_stream",
]


CONSTANT, BROTLI, CONTEXT, ADAPTIVE, RANGE = 0, 1, 2, 3, 8  # coder ids; a range coder of shape index i is RANGE + i

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1
_CHUNK = 1 << 16  # symbols coded at a time; bounds the memory of the Python integers


def encode_ints(q: npt.NDArray[np.integer]) -> bytes:
    """Bytes of the integers of q in C order (any shape, within int64), by the coder that needs the fewest."""
    coder, body = encode_stream(q)
    return bytes([coder]) + body


def decode_ints(data: bytes | Reader, count: int) -> Ints:
    """Inverse of `encode_ints`: int64 of shape (count,). Bytes must hold nothing else; a Reader may go on."""
    reader = data if isinstance(data, Reader) else Reader(data, "integers")
    q = decode_stream(reader, reader.byte(), count)
    if reader is not data:
        reader.end()
    return q


def encode_stream(
    q: npt.NDArray[np.integer],
    row: int | None = None,
    *,
    neighbours: bool = False,
    trellis: bool = False,
    exponents: Ints | None = None,
) -> tuple[int, bytes]:
    """(coder id, body) of the integers of q in C order, by the coder that needs the fewest bytes.

    Where they stand in rows, of whatever length, one is tried whose scale follows the rows, and knows a trellis, and
    the `exponents` of units (`adaptive`); where `neighbours` are alike, the coder with contexts, which is slow.
    """
    values = _int64(q)
    coder, body = _without_rows(values)
    if row is None or coder == CONSTANT:
        return coder, body
    bits = adaptive_bits(values, row, trellis, exponents)
    if bits is not None and bits < 8 * len(body):
        other = adaptive_body(values, row, trellis, exponents)
        if other is not None and len(other) < len(body):
            coder, body = ADAPTIVE, other
    if neighbours:
        other = context_body(values, row)
        if other is not None and len(other) < len(body):
            coder, body = CONTEXT, other
    return coder, body


def _without_rows(values: Ints) -> tuple[int, bytes]:
    if values.size == 0 or (values == values[0]).all():
        return CONSTANT, write_zigzag(int(values[0]) if values.size else 0)
    model, bits = _fit(values)
    width, signed = _narrowest(values)
    # A fast Brotli tells roughly what the slow one would give: try that only where it can win.
    if 8 * len(brotli.compress(_planes(values, width).tobytes(), quality=5)) < 1.1 * bits:
        body = _brotli_body(values, width, signed, interleaved=False)
        if body and 8 * len(body) < bits:
            return BROTLI, body
    return RANGE + model.shape, _range_body(values, model)


def decode_stream(reader: Reader, coder: int, count: int, exponents: Ints | None = None) -> Ints:
    """Inverse of `encode_stream`, of `encode_words` too: read-only or fresh int64 of shape (count,).

    Raises UnknownIdError, TruncatedError, MalformedError or LimitError. Memory is bounded by about 40 bytes a
    symbol, and taken only where the bytes can hold `count` symbols.
    """
    if coder == CONSTANT:
        return np.broadcast_to(np.int64(reader.zigzag()), (count,))  # costs no memory, whatever the count
    if coder == BROTLI:
        return _decode_brotli(reader, count)
    if coder == CONTEXT:
        return decode_context(reader, count)
    if coder == ADAPTIVE:
        return decode_adaptive(reader, count, exponents)
    return _decode_body(reader, _Model.read(reader, coder), count)


def skip_stream(reader: Reader, coder: int, count: int, exponents: Ints | None = None) -> None:
    """Move the reader behind a stream, without decoding it where it is long."""
    if coder == CONSTANT:
        reader.zigzag()
    elif coder == BROTLI:
        reader.byte()
        reader.take(reader.varint(reader.remaining))
    elif coder == CONTEXT:
        skip_context(reader, count)
    elif coder == ADAPTIVE:
        skip_adaptive(reader, count, exponents)
    else:
        model = _Model.read(reader, coder)
        if not skip_body(reader, count):
            _decode_body(reader, model, count)


def coder_name(coder: int) -> str:
    """A coder id in words, for reports."""
    if coder in (CONSTANT, BROTLI, CONTEXT, ADAPTIVE):
        return ("constant", "brotli", "range/context", "range/adaptive")[coder]
    shape = coder - RANGE
    return "range/uniform" if shape == UNIFORM else f"range/gg{SHAPES[shape]:g}"


def ideal_bits(
    q: npt.NDArray[np.integer], row: int | None = None, trellis: bool = False, exponents: Ints | None = None
) -> float:
    """Bits that `encode_stream` spends when it takes a range coder, parameters included, without coding."""
    values = _int64(q)
    if values.size == 0 or (values == values[0]).all():
        return 8.0 * len(write_zigzag(int(values[0]) if values.size else 0))
    bits = _fit(values)[1]
    adaptive = None if row is None else adaptive_bits(values, row, trellis, exponents)
    return bits if adaptive is None else min(bits, adaptive)


# The parametric model of a range-coded stream


@dataclass(frozen=True)
class _Model:
    """Which frequencies a stream's integers have: lo..lo + width - 1 in buckets of 2**shift equal ones."""

    shape: int
    scale: int
    lo: int
    width: int
    centre: int  # inside the support
    radius_code: int | None = None  # the support is symmetric about the centre and written in one byte

    @property
    def shift(self) -> int:
        return max(0, (self.width - 1).bit_length() - MAX_SYMBOLS.bit_length() + 1)

    @property
    def size(self) -> int:
        """Buckets, at most MAX_SYMBOLS."""
        return ((self.width - 1) >> self.shift) + 1

    @property
    def centre_bucket(self) -> int:
        return (self.centre - self.lo) >> self.shift

    def frequencies(self) -> Ints:
        return frequencies(self.shape, self.scale, self.size, self.centre_bucket)

    def header(self) -> bytes:
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
    def read(cls, reader: Reader, coder: int) -> "_Model":
        shape = coder - RANGE
        if shape == UNIFORM:
            lo, width = reader.zigzag(), reader.varint() + 1
            model = cls(shape, 0, lo, width, lo)
        elif 0 <= shape < len(SHAPES):
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
        else:
            raise UnknownIdError(f"{reader.name}: coder id {coder} is unknown to this version")
        if model.lo < _INT64_MIN or model.lo + model.width - 1 > _INT64_MAX:
            raise MalformedError(f"{reader.name}: a support reaches beyond 64-bit integers")
        return model


_EXPLICIT = 255  # instead of a radius code: lo and width follow


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


def _fit(values: Ints) -> tuple[_Model, float]:
    """The model with the shortest code for non-constant values, and that length in bits."""
    least, greatest = int(values.min()), int(values.max())
    uniform = _Model(UNIFORM, 0, least, greatest - least + 1, least)
    best = uniform, _stream_bits(uniform, *_histogram(values, uniform))
    for support in _supports(values, least, greatest):
        histogram = _histogram(values, support)
        best = min(best, _best_shape(support, *histogram), key=lambda candidate: candidate[1])
    return best


def _supports(values: Ints, least: int, greatest: int) -> Iterator[_Model]:
    """Models with shape and scale open: centred at zero and, where that may pay, at the mean or one-sided."""
    mean = float(values.mean())
    centres = {0}
    # A wrong centre costs about n/(2 ln 2) * (mean/deviation)**2 bits, naming the right one a byte or more.
    if 0.72 * values.size * mean * mean > 8 * float(values.var()):
        centres.add(min(max(round(mean), least), greatest))
    for centre in sorted(centres, key=abs):
        below, above = centre - least, greatest - centre
        code = _radius_code(max(below, above))
        radius = _radius(code) if code < _EXPLICIT else 0
        fits = code < _EXPLICIT and centre - radius >= _INT64_MIN and centre + radius <= _INT64_MAX
        if fits:
            yield _Model(0, 0, centre - radius, 2 * radius + 1, centre, code)
        if not fits or min(below, above) < 0.5 * max(below, above):
            yield _Model(0, 0, least, greatest - least + 1, min(max(centre, least), greatest))


def _histogram(values: Ints, model: _Model) -> tuple[Ints, int]:
    """Counts of the buckets of a model's support, and the first bucket that they start with."""
    buckets = _offsets(values, model.lo) >> np.uint64(model.shift)
    first = int(buckets.min())
    return np.bincount((buckets - np.uint64(first)).astype(np.int64)), first


def _best_shape(support: _Model, counts: Ints, first: int) -> tuple[_Model, float]:
    """Shape and scale with the shortest code: downhill along both, the length has one valley in each."""
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


def _stream_bits(model: _Model, counts: Ints, first: int) -> float:
    """Length of a range-coded stream whose buckets first, first + 1, ... occur `counts` times."""
    return _bits_under(model.frequencies(), len(model.header()), model.shift, counts, first)


def _bits_under(table: Ints, header_bytes: int, shift: int, counts: Ints, first: int) -> float:
    """The same, by the frequencies of the model, the bytes of its header and its low bits."""
    n = int(counts.sum())
    payload = TOTAL_BITS * n - float(counts @ np.log2(table[first : first + len(counts)]))
    return 8 * (header_bytes + body_bytes(payload + shift * n, n))


# Range-coded streams: header, [length], coded buckets, low bits


def _range_body(values: Ints, model: _Model) -> bytes:
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


def _decode_body(reader: Reader, model: _Model, count: int) -> Ints:
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


# Brotli streams: parameters, length, data

_SIGNED, _INTERLEAVED = 8, 16  # bits of the parameter byte; the lowest three are bytes an integer, less one
_SLOW_BROTLI = 1 << 21  # bytes up to which the best and slowest quality is used


def encode_words(q: npt.NDArray[np.integer], width: int) -> tuple[int, bytes]:
    """The paper's accounting: Brotli over unsigned little-endian words of `width` bytes, as they come.

    Falls back to `encode_stream` where Brotli would say more symbols a byte than the format allows.
    """
    values = _int64(q)
    if values.size and not 0 <= int(values.min()) <= int(values.max()) < 1 << 8 * width:
        raise InputError(f"words: expected integers in 0..2**{8 * width} - 1")
    body = _brotli_body(values, width, signed=False, interleaved=True)
    return (BROTLI, body) if body else encode_stream(values)


def _narrowest(values: Ints) -> tuple[int, bool]:
    """(bytes an integer, signed) of the narrowest form that holds all values."""
    least, greatest = int(values.min()), int(values.max())
    bits = max(greatest.bit_length(), (~least).bit_length() if least < 0 else 0) + (least < 0)
    return max(1, -(-bits // 8)), least < 0


def _planes(values: Ints, width: int) -> npt.NDArray[np.uint8]:
    """(width, n) bytes of two's complement integers, lowest first."""
    return values.astype("<i8").view(np.uint8).reshape(-1, 8).T[:width]


def _brotli_body(values: Ints, width: int, signed: bool, interleaved: bool) -> bytes | None:
    """Parameters, length and data; None where a byte would say more symbols than the format allows."""
    planes = _planes(values, width)
    raw = (planes.T if interleaved else planes).tobytes()
    data = brotli.compress(raw, quality=11 if len(raw) <= _SLOW_BROTLI else 9)
    if len(data) < least_bytes(values.size):
        return None
    return bytes([width - 1 | signed * _SIGNED | interleaved * _INTERLEAVED]) + write_varint(len(data)) + data


def _decode_brotli(reader: Reader, count: int) -> Ints:
    parameters = reader.byte()
    if parameters >= 2 * _INTERLEAVED:
        raise MalformedError(f"{reader.name}: unknown parameters of a Brotli stream: {parameters:#04x}")
    width = (parameters & 7) + 1
    data = reader.take(reader.varint())
    check_symbols(reader, count, len(data))
    raw = np.frombuffer(_decompress(reader, data, count * width), dtype=np.uint8)
    planes = raw.reshape(count, width).T if parameters & _INTERLEAVED else raw.reshape(width, count)
    out = np.zeros((count, 8), dtype=np.uint8)
    out[:, :width] = planes.T
    if parameters & _SIGNED:
        out[:, width:] = 255 * (out[:, width - 1 : width] >> 7)
    q = out.view("<i8")[:, 0].astype(np.int64)
    if width == 8 and not parameters & _SIGNED and count and int(q.min()) < 0:
        raise MalformedError(f"{reader.name}: a decoded integer does not fit 64 bits with a sign")
    return q


def _decompress(reader: Reader, data: memoryview, size: int) -> bytes:
    """Exactly `size` bytes out of a whole Brotli stream; never holds much more than that."""
    decompressor = brotli.Decompressor()
    out = bytearray()
    try:
        out += decompressor.process(bytes(data), output_buffer_limit=size + 1)
        while not decompressor.is_finished() and len(out) <= size:
            more = decompressor.process(b"", output_buffer_limit=size + 1 - len(out))
            if not more and decompressor.can_accept_more_data():
                raise TruncatedError(f"{reader.name}: a Brotli stream ends early")
            out += more
    except brotli.error:
        raise MalformedError(f"{reader.name}: a Brotli stream is damaged") from None
    if len(out) != size:
        raise MalformedError(f"{reader.name}: a Brotli stream holds {len(out)} bytes, expected {size}")
    return bytes(out)


def _int64(q: npt.NDArray[np.integer]) -> Ints:
    """The integers of q in C order as a contiguous int64 vector."""
    values = np.asarray(q)
    if values.dtype.kind not in "iub":
        raise InputError(f"integers: expected an integer array, got {values.dtype}")
    if values.dtype == np.uint64 and values.size and int(values.max()) > _INT64_MAX:
        raise InputError("integers: expected values below 2**63")
    return np.ascontiguousarray(values.reshape(-1), dtype=np.int64)
