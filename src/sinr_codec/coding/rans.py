"""A range variant of asymmetric numeral systems (rANS): one state of 32 bits, words of 16 bits, probabilities of 14.

After J. Duda, "Asymmetric numeral systems: entropy coding combining speed of Huffman coding with compression rate of
arithmetic coding" (2013). One state is faster in plain Python than interleaved states are in NumPy, up to some 40 kB,
and costs three bytes.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Final

import numpy as np

from sinr_codec.coding.compiled import TRUNCATED
from sinr_codec.coding.varint import Reader
from sinr_codec.errors import MalformedError, SinrError, TruncatedError
from sinr_codec.types import Ints

__all__ = ["BYTE", "FIRST_STATE", "SYMBOLS_PER_BYTE", "TOTAL", "TOTAL_BITS", "Decoder", "Table", "encode"]

TOTAL_BITS: Final = 14
TOTAL: Final = 1 << TOTAL_BITS  # sum of the frequencies of every row
FIRST_STATE: Final = 1 << 16  # the least state: of the encoder before all symbols, of the decoder after them
BYTE: Final = TOTAL >> 8
"""Frequency of each value of a byte of an escape."""

SYMBOLS_PER_BYTE: Final = 1 << 15
"""No byte of a stream can code more symbols of frequency <= TOTAL - 3: 60,569 of them halve a state 16 times."""

_LONGEST_ESCAPE: Final = 5  # bytes

Table = tuple[int, int, int, list[int], list[int], int]
"""What a decoder needs of a row: start, frequency and number of its most frequent symbol; starts and frequencies of all
symbols, an escape (0) being the first; and the number of the next one, less 1."""


def encode(starts: Ints, frequencies: Ints) -> bytes:
    """The state (4 bytes), and the words that a decoder reads, for symbols [start, start + frequency) of TOTAL.

    No bytes for no symbols.
    """
    if not starts.size:
        return b""
    state, words = FIRST_STATE, []
    for start, frequency in zip(starts[::-1].tolist(), frequencies[::-1].tolist()):
        if state >= frequency << 32 - TOTAL_BITS:
            words.append(state & 0xFFFF)
            state >>= 16
        quotient, rest = divmod(state, frequency)
        state = (quotient << TOTAL_BITS) + rest + start
    return state.to_bytes(4, "little") + np.array(words[::-1], dtype="<u2").tobytes()


class Decoder:
    """Decodes what `encode` wrote, from the position of a reader on.

    `state` and `at`, the number of words read, are all that changes. Errors are TruncatedError where words are missing,
    and MalformedError.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.state = int.from_bytes(reader.take(4), "little")
        if self.state < FIRST_STATE:
            raise MalformedError(f"{reader.name}: expected a state of at least 2**16, got {self.state}")
        self.words = np.frombuffer(reader.peek(reader.remaining & ~1), dtype="<u2")
        self.at = 0
        self._list: list[int] = []

    def symbols(self, rows: Iterable[int], tables: Mapping[int, Table]) -> tuple[bytes, list[int]]:
        """The symbols of these rows, and what follows each symbol 0 (an escape): a LEB128 integer, byte by byte."""
        words = self._list = self._list or self.words.tolist()
        state, at = self.state, self.at
        found: list[int] = []
        escapes: list[int] = []
        bits, mask, least = TOTAL_BITS, TOTAL - 1, FIRST_STATE
        try:
            for start, most, usual, starts, frequencies, before in map(tables.__getitem__, rows):
                slot = (state & mask) - start
                if 0 <= slot < most:  # most symbols: faster than a search, and than a table of all slots
                    state = most * (state >> bits) + slot
                    if state < least:
                        state = state << 16 | words[at]
                        at += 1
                    found.append(usual)
                    continue
                slot += start
                index = bisect_right(starts, slot) - 1
                state = frequencies[index] * (state >> bits) + slot - starts[index]
                if state < least:
                    state = state << 16 | words[at]
                    at += 1
                if index:
                    found.append(before + index)
                    continue
                found.append(0)
                self.state, self.at = state, at
                escapes.append(self._escape())
                state, at = self.state, self.at
        except IndexError:
            raise self.truncated() from None
        self.state, self.at = state, at
        return bytes(found), escapes

    def _escape(self) -> int:
        value = shift = 0
        while True:
            slot = self.state & TOTAL - 1
            byte = slot // BYTE
            self.state = BYTE * (self.state >> TOTAL_BITS) + slot % BYTE
            if self.state < FIRST_STATE:
                self.state = self.state << 16 | self._list[self.at]
                self.at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift == 7 * _LONGEST_ESCAPE:
                raise self.malformed()
        if byte == 0 and shift > 7:
            raise self.malformed()
        return value

    def truncated(self) -> TruncatedError:
        """The error for a stream that needs more words than there are."""
        return TruncatedError(f"{self._reader.name}: a stream of symbols runs past the end")

    def error(self, status: int) -> SinrError:
        """The error for a status of `compiled`."""
        return self.truncated() if status == TRUNCATED else self.malformed()

    def malformed(self) -> MalformedError:
        """The error for an escape that `encode` never writes."""
        return MalformedError(f"{self._reader.name}: an escape is too long, or an integer does not fit 32 bits")

    def finish(self) -> None:
        """Move the reader behind the stream; MalformedError where it was not written by `encode`."""
        if self.state != FIRST_STATE:
            raise MalformedError(f"{self._reader.name}: expected the last state 2**16, got {self.state}")
        self._reader.take(2 * self.at)
