"""Sets of positions, the supports of sparse codes, in log2 C(positions, s) bits each.

A set is halved again and again: how many of its members lie in the lower half is coded with the probabilities
of a random set (hypergeometric), a single member by its place. By the chain rule that is as short as the
enumerative code of T. M. Cover, "Enumerative source encoding" (1973), and needs no large integers.
"""

from bisect import bisect_left
from collections.abc import Iterator
from math import lgamma, log
from typing import Final

import numpy as np
import numpy.typing as npt

from sinr_codec.coding.model import MAX_POSITIONS, hypergeometric
from sinr_codec.coding.rangecoder import (
    TOTAL,
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
from sinr_codec.coding.varint import Reader
from sinr_codec.errors import InputError
from sinr_codec.types import Ints

__all__ = ["MAX_POSITIONS", "decode_sets", "encode_sets", "set_bits", "skip_sets"]


_MOST_BYTES: Final = 48  # of an index: 17 halvings of at most 20 bits, and 16 bits for its place


def encode_sets(indices: npt.NDArray[np.integer], positions: int) -> bytes:
    """Bytes of n sets of s members: (s, n), every column rising and within 0..positions - 1 <= 65,535.

    Raises InputError for anything else, and for sets so full (s close to `positions`) that a byte says more
    than 1,024 indices.
    """
    sets = np.asarray(indices, dtype=np.int64)
    s = len(sets)
    if not 1 <= positions <= MAX_POSITIONS or s > positions:
        raise InputError(f"sets: expected s <= positions <= {MAX_POSITIONS}, got {s} of {positions}")
    if sets.size and (sets.min() < 0 or sets.max() >= positions or (np.diff(sets, axis=0) <= 0).any()):
        raise InputError(f"sets: expected rising columns within 0..{positions - 1}")
    tables = _Tables()
    columns = sets.T.tolist()
    coded = range_encode(symbol for set_ in columns for symbol in _split(set_, 0, s, 0, positions, tables))
    if len(coded) < least_bytes(sets.size):
        raise InputError(f"sets: {s} of {positions} positions say too little for this coder")
    return write_body(coded, sets.size)


def decode_sets(data: bytes | Reader, s: int, n: int, positions: int) -> Ints:
    """Inverse of `encode_sets`: int64 (s, n), for 0 <= s <= positions <= 65,536.

    Bytes must hold nothing else, a Reader may go on. Raises TruncatedError, MalformedError or LimitError.
    """
    reader = data if isinstance(data, Reader) else Reader(data, "sets")
    body = open_body(reader, s * n)
    decoder = RangeDecoder(body, most=_MOST_BYTES * s * n + 8)
    sets = np.empty((n, s), dtype=np.int64)
    tables = _Tables()
    for column in sets:
        members: list[int] = []
        _join(decoder, s, 0, positions, tables, members)
        column[:] = members
    decoder.finish()
    close_body(reader, body)
    if reader is not data:
        reader.end()
    return sets.T


def skip_sets(reader: Reader, s: int, n: int, positions: int) -> None:
    """Move the reader past the sets, without decoding many of them."""
    if not skip_body(reader, s * n):
        decode_sets(reader, s, n, positions)


def set_bits(s: int, n: int, positions: int) -> float:
    """Bits that `encode_sets` spends on n random sets of s out of `positions`."""
    ideal = n * (lgamma(positions + 1) - lgamma(s + 1) - lgamma(positions - s + 1)) / log(2)
    return 8 * body_bytes(ideal, s * n)


class _Tables:
    """Cumulative frequencies of `hypergeometric` as lists; small ones are cached."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[int, list[int]]] = {}

    def get(self, positions: int, drawn: int) -> tuple[int, list[int]]:
        table = self._known.get((positions, drawn))
        if table is None:
            least, freqs = hypergeometric(positions, drawn)
            table = least, [0, *np.cumsum(freqs).tolist()]
            if drawn <= 128:
                self._known[positions, drawn] = table
        return table


def _split(members: list[int], first: int, stop: int, start: int, positions: int, tables: _Tables) -> Iterator[Symbol]:
    """Symbols of the set members[first:stop] of places start..start + positions - 1."""
    drawn = stop - first
    if drawn in (0, positions):
        return
    if drawn == 1:
        yield members[first] - start, 1, positions
        return
    half = positions // 2
    middle = bisect_left(members, start + half, first, stop)
    least, cumulative = tables.get(positions, drawn)
    symbol = middle - first - least
    yield cumulative[symbol], cumulative[symbol + 1] - cumulative[symbol], TOTAL
    yield from _split(members, first, middle, start, half, tables)
    yield from _split(members, middle, stop, start + half, positions - half, tables)


def _join(decoder: RangeDecoder, drawn: int, start: int, positions: int, tables: _Tables, members: list[int]) -> None:
    """Append to `members` the next set of `drawn` places out of start..start + positions - 1."""
    if drawn in (0, positions):
        members.extend(range(start, start + drawn))
    elif drawn == 1:
        members.append(start + decoder.uniform(positions))
    else:
        half = positions // 2
        least, cumulative = tables.get(positions, drawn)
        lower = least + decoder.symbol(cumulative)
        _join(decoder, lower, start, half, tables, members)
        _join(decoder, drawn - lower, start + half, positions - half, tables, members)
