"""Integers as words of one to eight bytes under Brotli: parameters, length, data."""

from typing import Final

import brotli
import numpy as np
import numpy.typing as npt

from sinr_codec.coding.inflate import inflate
from sinr_codec.coding.rangecoder import check_symbols, least_bytes
from sinr_codec.coding.varint import Reader, write_varint
from sinr_codec.errors import MalformedError
from sinr_codec.types import Ints

__all__ = ["decode", "encode", "narrowest", "rough_size", "skip"]

_SIGNED: Final = 8  # bits of the parameter byte; the lowest three are bytes an integer, less one
_INTERLEAVED: Final = 16
_SLOW_BROTLI: Final = 1 << 21  # bytes up to which the best and slowest quality is used


def narrowest(values: Ints) -> tuple[int, bool]:
    """(bytes an integer, signed) of the narrowest form that holds all values."""
    least, greatest = int(values.min()), int(values.max())
    bits = max(greatest.bit_length(), (~least).bit_length() if least < 0 else 0) + (least < 0)
    return max(1, -(-bits // 8)), least < 0


def rough_size(values: Ints) -> int:
    """Bytes after a fast Brotli compression, an estimate of the best one's."""
    return len(brotli.compress(_planes(values, narrowest(values)[0]).tobytes(), quality=5))


def _planes(values: Ints, width: int) -> npt.NDArray[np.uint8]:
    """(width, n) bytes of two's complement integers, lowest first."""
    return values.astype("<i8").view(np.uint8).reshape(-1, 8).T[:width]


def encode(values: Ints, width: int, signed: bool, interleaved: bool) -> bytes | None:
    """Parameters, length and data; None where Brotli would code more symbols a byte than the format allows."""
    planes = _planes(values, width)
    raw = (planes.T if interleaved else planes).tobytes()
    data = brotli.compress(raw, quality=11 if len(raw) <= _SLOW_BROTLI else 9)
    if len(data) < least_bytes(values.size):
        return None
    return bytes([width - 1 | signed * _SIGNED | interleaved * _INTERLEAVED]) + write_varint(len(data)) + data


def decode(reader: Reader, count: int) -> Ints:
    """Inverse of `encode`: int64 (count,)."""
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


def skip(reader: Reader) -> None:
    """Move past a stream."""
    reader.byte()
    reader.take(reader.varint(reader.remaining))


def _decompress(reader: Reader, data: memoryview, size: int) -> bytes:
    """Exactly `size` bytes from a whole Brotli stream, in memory of about that size."""
    out = inflate(bytes(data), size, reader.name)
    if len(out) != size:
        raise MalformedError(f"{reader.name}: a Brotli stream holds {len(out)} bytes, expected {size}")
    return out
