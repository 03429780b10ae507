"""Integers to bytes and back, by the coder that needs the fewest bytes.

A stream has a coder id of four bits and the bytes of that coder (`coders`). `encode_ints` puts the id into a byte of
its own; `tensor` packs it beside its transform. docs/format.md has the layouts.
"""

import math

import numpy as np
import numpy.typing as npt

from sinr_codec.coding import words
from sinr_codec.coding.coders import BROTLI, CODERS, CONSTANT, Stream, coder_of
from sinr_codec.coding.varint import Reader
from sinr_codec.errors import InputError
from sinr_codec.types import Ints

__all__ = [
    "decode_ints",
    "decode_stream",
    "encode_ints",
    "encode_stream",
    "encode_words",
    "ideal_bits",
    "skip_stream",
]


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

    Parameters are those of `coders.Stream`.
    """
    stream = Stream(_int64(q), row, neighbours, trellis, exponents)
    found: tuple[int, bytes] | None = None
    for coder in [CODERS[CONSTANT]] if stream.constant else CODERS.values():
        body = coder.encode(stream, math.inf if found is None else len(found[1]))
        if body is not None and (found is None or len(body) < len(found[1])):
            found = coder.id, body
    assert found is not None  # a parametric model codes any integers
    return found


def decode_stream(reader: Reader, coder: int, count: int, exponents: Ints | None = None) -> Ints:
    """Inverse of `encode_stream`, of `encode_words` too: read-only or fresh int64 of shape (count,).

    Raises UnknownIdError, TruncatedError, MalformedError or LimitError. Memory is bounded by about 40 bytes a
    symbol, and taken only where the bytes can hold `count` symbols.
    """
    return coder_of(reader, coder).decode(reader, count, exponents)


def skip_stream(reader: Reader, coder: int, count: int, exponents: Ints | None = None) -> None:
    """Move the reader past a stream, without decoding a long one."""
    coder_of(reader, coder).skip(reader, count, exponents)


def ideal_bits(
    q: npt.NDArray[np.integer], row: int | None = None, trellis: bool = False, exponents: Ints | None = None
) -> float:
    """Bits of the stream, parameters included, if `encode_stream` chooses a range coder; nothing is coded."""
    return Stream(_int64(q), row, trellis=trellis, exponents=exponents).bits


def encode_words(q: npt.NDArray[np.integer], width: int) -> tuple[int, bytes]:
    """The paper's accounting: Brotli over unsigned little-endian words of `width` bytes, in order.

    Falls back to `encode_stream` where Brotli would code more symbols a byte than the format allows.
    """
    values = _int64(q)
    if values.size and not 0 <= int(values.min()) <= int(values.max()) < 1 << 8 * width:
        raise InputError(f"words: expected integers in 0..2**{8 * width} - 1")
    body = words.encode(values, width, signed=False, interleaved=True)
    return (BROTLI, body) if body else encode_stream(values)


def _int64(q: npt.NDArray[np.integer]) -> Ints:
    """The integers of q in C order as a contiguous int64 vector."""
    values = np.asarray(q)
    if values.dtype.kind not in "iub":
        raise InputError(f"integers: expected an integer array, got {values.dtype}")
    if values.dtype == np.uint64 and values.size and int(values.max()) >= 2**63:
        raise InputError("integers: expected values below 2**63")
    return np.ascontiguousarray(values.reshape(-1), dtype=np.int64)
