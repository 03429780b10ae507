"""Integer weights of several small tensors in one range-coded stream, with about two bytes for each tensor's model.

A tensor holds integers k << e with an exponent e of its own. The k follow a generalised Gaussian about 0, whose support
follows from its shape and scale; integers beyond it are escapes. docs/format.md, section 6.11, has the layout.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Final

import numpy as np

from sinr_codec.coding.model import MAX_SYMBOLS, SCALES, SHAPES, frequencies, power_of_two
from sinr_codec.coding.rangecoder import (
    TOTAL,
    TOTAL_BITS,
    RangeDecoder,
    Symbol,
    body_bytes,
    close_body,
    open_body,
    range_encode,
    write_body,
)
from sinr_codec.coding.varint import Reader
from sinr_codec.errors import InputError, MalformedError
from sinr_codec.types import Array, Floats, Ints

__all__ = ["bytes_of", "decode_weights", "encode_weights"]

_SUPPORTS: Final = (64, 12, 6, 4, 3)
"""Half-widths in the support of each shape: beyond it are weights of about 2^-8 (the first shape) or 2^-12."""
_KINDS: Final = len(SHAPES) + 1  # 0: all are zeros
_STEPS: Final = SCALES // 2  # scales of quarter octaves
_EXPONENTS: Final = 16
_LENGTHS: Final = 64  # of an escape in bits
_LIMIT: Final = 1 << 31
_PIECE: Final = 16  # bits of an escape at once
_NEAR: Final = MAX_SYMBOLS  # magnitudes whose costs are kept
_LAST: Final = np.array(_NEAR - 1)


@dataclass(frozen=True)
class _Model:
    """The distribution of a tensor's integers: a shape, a scale in quarter octaves, and the exponent of their unit."""

    shape: int
    step: int
    exponent: int

    @property
    def radius(self) -> int:
        """The largest magnitude that is no escape."""
        return _radius(self.shape, self.step)

    @property
    def cumulative(self) -> list[int]:
        """Limits of the symbols: -radius .. radius, and an escape in the place of radius + 1."""
        return [0, *np.cumsum(_frequencies(self.shape, self.step)).tolist()]

    def header(self) -> list[Symbol]:
        """The symbols from which `read` restores the model."""
        return [(1 + self.shape, 1, _KINDS), (self.step, 1, _STEPS), (self.exponent, 1, _EXPONENTS)]


@cache
def _radius(shape: int, step: int) -> int:
    half_width = power_of_two(2 * step - 32, 3, 16)
    return min(MAX_SYMBOLS // 2 - 1, max(1, _SUPPORTS[shape] * half_width >> 16))


def _frequencies(shape: int, step: int) -> Ints:
    radius = _radius(shape, step)
    return frequencies(shape, 2 * step, 2 * radius + 2, radius)


@cache
def _costs() -> Floats:
    """Bits of the magnitudes 0 .. _NEAR - 1 under each shape and step, (shapes * steps, _NEAR)."""
    costs = np.empty((len(SHAPES) * _STEPS, _NEAR))
    for row, (shape, step) in zip(costs, product(range(len(SHAPES)), range(_STEPS))):
        radius = _radius(shape, step)
        bits = TOTAL_BITS - np.log2(_frequencies(shape, step)[radius:])
        row[: radius + 1] = bits[:-1]
        row[radius + 1 :] = bits[-1] + _escape_bits(np.arange(radius + 1, _NEAR), radius)
    return costs


def _escape_bits(magnitudes: Ints, radius: int) -> Floats:
    """Bits that follow an escape, for magnitudes above the radius."""
    return np.log2(_LENGTHS) + np.floor(np.log2(2.0 * (magnitudes - radius) - 0.5))


def encode_weights(tensors: Sequence[Array]) -> bytes:
    """The stream of tensors of integers, of magnitudes below 2^31.

    Raises
    ------
    InputError
        Other values.
    """
    symbols: list[Symbol] = []
    for tensor in tensors:
        model, values = _fitted(tensor)[:2]
        symbols += [(0, 1, _KINDS)] if model is None else [*model.header(), *_symbols(model, values)]
    return write_body(range_encode(symbols), sum(tensor.size for tensor in tensors))


def bytes_of(tensors: Sequence[Array]) -> float:
    """Expected length of the stream of `encode_weights`; nothing is coded."""
    return body_bytes(sum(_fitted(tensor)[2] for tensor in tensors), sum(tensor.size for tensor in tensors))


def decode_weights(reader: Reader, counts: Sequence[int]) -> list[Ints]:
    """Inverse of `encode_weights`: int64 (count,) for each tensor.

    Raises TruncatedError, MalformedError or LimitError.
    """
    count = sum(counts)
    body = open_body(reader, count)
    decoder = RangeDecoder(body, most=8 * (count + len(counts)) + 8)
    tensors = [_decoded(decoder, each, reader.name) for each in counts]
    decoder.finish()
    close_body(reader, body)
    return tensors


def _fitted(tensor: Array) -> tuple[_Model | None, Ints, float]:
    """The model that codes a tensor in the fewest bits, its integers in their unit, and these bits."""
    values = np.asarray(tensor).reshape(-1).astype(np.int64)
    if values.size and not -_LIMIT < int(values.min()) <= int(values.max()) < _LIMIT:
        raise InputError("weights: expected integers of magnitudes below 2^31")
    if not values.any():
        return None, values, float(np.log2(_KINDS))
    union = int(np.bitwise_or.reduce(values))
    exponent = min((union & -union).bit_length() - 1, _EXPONENTS - 1)
    values >>= exponent
    magnitudes, counts = np.unique(np.abs(values), return_counts=True)
    # Beyond the table, escapes cost the same but for what the radius takes off.
    far = counts[magnitudes >= _NEAR] @ (_escape_bits(magnitudes[magnitudes >= _NEAR], 0) - _escape_bits(_LAST, 0))
    bits = _costs()[:, np.minimum(magnitudes, _NEAR - 1)] @ counts + far
    best = int(bits.argmin())
    header = float(np.log2(_KINDS * _STEPS * _EXPONENTS))
    return _Model(best // _STEPS, best % _STEPS, exponent), values, float(bits[best]) + header


def _symbols(model: _Model, values: Ints) -> Iterator[Symbol]:
    radius, cumulative = model.radius, model.cumulative
    beyond = np.abs(values) > radius
    for index in np.where(beyond, 2 * radius + 1, values + radius).tolist():
        yield cumulative[index], cumulative[index + 1] - cumulative[index], TOTAL
    for value in values[beyond].tolist():
        rest = 2 * (abs(value) - radius - 1) + (value < 0) + 1
        length = rest.bit_length() - 1
        yield length, 1, _LENGTHS
        for at in range(0, length, _PIECE):
            size = min(_PIECE, length - at)
            yield rest >> at & (1 << size) - 1, 1, 1 << size


def _decoded(decoder: RangeDecoder, count: int, name: str) -> Ints:
    kind = decoder.uniform(_KINDS)
    if not kind:
        return np.zeros(count, np.int64)
    model = _Model(kind - 1, decoder.uniform(_STEPS), decoder.uniform(_EXPONENTS))
    radius = model.radius
    values = np.array(decoder.symbols(model.cumulative, count), np.int64) - radius
    for place in np.flatnonzero(values > radius).tolist():
        length = decoder.uniform(_LENGTHS)
        if length >= 33:
            raise MalformedError(f"{name}: a weight is not below 2^31")
        rest = 1 << length
        for at in range(0, length, _PIECE):
            rest |= decoder.uniform(1 << min(_PIECE, length - at)) << at
        magnitude = (rest - 1 >> 1) + radius + 1
        values[place] = -magnitude if rest - 1 & 1 else magnitude
    values <<= model.exponent
    if count and int(np.abs(values).max()) >= _LIMIT:
        raise MalformedError(f"{name}: a weight is not below 2^31")
    return values
