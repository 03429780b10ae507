"""A range coder in integers: a 48-bit window that moves by sixteen bits, with carries resolved at the end.

After G. N. N. Martin, "Range encoding: an algorithm for removing redundancy from a digitised message" (1979).
A symbol is a slice [start, start + freq) of [0, total) with total <= 2**20. Models are defined elsewhere.

A stream is self-delimiting: encoder and decoder derive its length from the final range, so no length is stored and the
bytes that follow do not matter. A long stream states its length all the same, so that a reader can skip it. The
functions named `..._body` handle that, and bound the symbols that a byte can make a reader decode.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from sinr_codec.coding.varint import Reader, write_varint
from sinr_codec.errors import LimitError, MalformedError, TruncatedError

__all__ = [
    "TOTAL",
    "TOTAL_BITS",
    "RangeDecoder",
    "Symbol",
    "body_bytes",
    "check_symbols",
    "close_body",
    "least_bytes",
    "open_body",
    "range_encode",
    "skip_body",
    "write_body",
]

Symbol = tuple[int, int, int]
"""(start, freq, total)"""

TOTAL_BITS: Final = 20
TOTAL: Final = 1 << TOTAL_BITS  # sum of the frequencies of every modelled symbol

_WINDOW: Final = 1 << 48
_LOW_MASK: Final = (1 << 32) - 1
_RENORM: Final = 1 << 32  # the range never stays below this, so a slice of a 2**20 total keeps 12 bits of precision


def _tail_bytes(range_: int) -> int:
    """Bytes that identify the final range whatever follows them: 1, 2 or 3."""
    return 1 if range_ >= 1 << 41 else 2 if range_ >= 1 << 33 else 3


def range_encode(symbols: Iterable[Symbol]) -> bytes:
    """Bytes of a sequence of symbols, each (start, freq, total) with freq >= 1."""
    low, range_ = 0, _WINDOW
    words: list[int] = []  # 16 bits each, plus a carry in bit 16 that belongs to the word before
    for start, freq, total in symbols:
        unit = range_ // total
        low += start * unit
        range_ = freq * unit
        while range_ < _RENORM:
            words.append(low >> 32)
            low = (low & _LOW_MASK) << 16
            range_ <<= 16
    tail = _tail_bytes(range_)
    granule = 48 - 8 * tail
    # The least multiple of 2**granule at or above low: from there to the next multiple all is in the range.
    low = -(-low >> granule) << granule
    words.append(low >> 32)
    for i in range(len(words) - 1, 0, -1):
        words[i - 1] += words[i] >> 16
        words[i] &= 0xFFFF
    head = np.array(words, dtype=">u2").tobytes()
    rest = (low & _LOW_MASK).to_bytes(4, "big")
    return (head + rest)[: 2 * len(words) - 2 + tail]


class RangeDecoder:
    """Decodes what `range_encode` wrote, starting at the reader's position.

    `most` is the largest number of bytes that the stream can have; it only limits how much of the reader is
    looked at. `finish` moves the reader behind the stream. Every method raises TruncatedError when the stream
    runs past the end of the reader, MalformedError when it can not have been written by `range_encode`.
    """

    def __init__(self, reader: Reader, most: int) -> None:
        self._reader = reader
        view = bytes(reader.peek(most))
        # Six bytes of read-ahead may lie past the end and do not matter; reading beyond these is an error.
        self._words: list[int] = np.frombuffer(view + bytes(6 + len(view) % 2), dtype=">u2").tolist()
        self._code = self._words[0] << 32 | self._words[1] << 16 | self._words[2]
        self._range = _WINDOW
        self._at = 3

    def _check(self, code: int, range_: int, at: int) -> None:
        if code >= range_:
            raise MalformedError(f"{self._reader.name}: a range-coded stream leaves its model")
        if at >= len(self._words):
            raise TruncatedError(f"{self._reader.name}: a range-coded stream runs past the end")

    def _renormalise(self) -> None:
        while self._range < _RENORM:
            self._check(self._code, self._range, self._at)
            self._code = self._code << 16 | self._words[self._at]
            self._at += 1
            self._range <<= 16

    def symbol(self, cumulative: Sequence[int]) -> int:
        """Index of the next symbol; `cumulative` has one entry more than there are symbols: 0 ... TOTAL."""
        unit = self._range >> TOTAL_BITS
        index = bisect_right(cumulative, self._code // unit, 1, len(cumulative) - 1) - 1
        start = cumulative[index]
        self._code -= start * unit
        self._range = (cumulative[index + 1] - start) * unit
        self._renormalise()
        return index

    def uniform(self, total: int) -> int:
        """The next of `total` <= TOTAL equally likely numbers 0 <= n < total."""
        unit = self._range // total
        value = min(self._code // unit, total - 1)
        self._code -= value * unit
        self._range = unit
        self._renormalise()
        return value

    def bit(self, zeros: int, total: int) -> bool:
        """The next bit, which is 0 in `zeros` of `total` <= TOTAL cases, 0 < zeros < total."""
        unit = self._range // total
        edge = zeros * unit
        one = self._code >= edge
        if one:
            self._code -= edge
            self._range = (total - zeros) * unit
        else:
            self._range = edge
        if self._range < _RENORM:
            self._renormalise()
        return one

    def symbols(self, cumulative: Sequence[int], count: int) -> list[int]:
        """`count` symbols of one model: `symbol` in a loop, inlined because decoding spends its time here."""
        code, range_, at, words = self._code, self._range, self._at, self._words
        starts = list(cumulative[:-1])
        freqs = np.diff(cumulative).tolist()
        end = len(words)
        out: list[int] = []
        append = out.append
        for _ in range(count):
            unit = range_ >> TOTAL_BITS
            index = bisect_right(starts, code // unit) - 1
            append(index)
            code -= starts[index] * unit
            range_ = freqs[index] * unit
            while range_ < _RENORM:
                if code >= range_ or at >= end:
                    self._check(code, range_, at)
                code = code << 16 | words[at]
                at += 1
                range_ <<= 16
        self._code, self._range, self._at = code, range_, at
        return out

    def finish(self) -> None:
        """Move the reader past the stream."""
        self._check(self._code, self._range, 0)
        self._reader.take(2 * (self._at - 3) + _tail_bytes(self._range))


# Bodies: coded symbols, with their length where there are many

SELF_ENDING: Final = 4096  # a body of more symbols than this begins with its length
_SYMBOLS_PER_BYTE: Final = 1024  # bounds the time that a byte of a file can cost
_FREE_BYTES: Final = 4  # something always stands before a body: up to 4,096 symbols may cost next to nothing


def least_bytes(count: int) -> int:
    """The fewest bytes in which `count` symbols may be coded (constants have their own coder)."""
    return max(0, -(-count // _SYMBOLS_PER_BYTE) - _FREE_BYTES)


def check_symbols(reader: Reader, count: int, available: int) -> None:
    """Raise `LimitError` where `available` bytes are too few for `count` symbols."""
    if available < least_bytes(count):
        least = least_bytes(count)
        raise LimitError(f"{reader.name}: {count} symbols in {available} bytes, expected at least {least}")


def write_body(coded: bytes, count: int) -> bytes:
    """The body of `count` symbols: their coded form, with its length where there are many."""
    return write_varint(len(coded)) + coded if count > SELF_ENDING else coded


def body_bytes(bits: float, count: int) -> float:
    """Expected size of a body, from the ideal number of bits."""
    size = bits / 8 + 0.64  # what the end of a stream costs, averaged over the final range
    return size + len(write_varint(int(size))) if count > SELF_ENDING else size


def open_body(reader: Reader, count: int) -> Reader:
    """A reader over a body of `count` symbols: a part of `reader`, or `reader` itself for a self-delimiting body."""
    body = Reader(reader.take(reader.varint()), reader.name) if count > SELF_ENDING else reader
    check_symbols(reader, count, body.remaining)
    return body


def close_body(reader: Reader, body: Reader) -> None:
    """Raise `MalformedError` where a body of declared length has not been read to its end."""
    if body is not reader:
        body.end()


def skip_body(reader: Reader, count: int) -> bool:
    """Move past a body if it states its length; otherwise return False, having read nothing."""
    if count <= SELF_ENDING:
        return False
    reader.take(reader.varint())
    return True
