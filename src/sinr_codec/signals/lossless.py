"""Lossless coding of arrays, masks and plain data beside the networks of a file, safe for untrusted input."""

import math
from collections.abc import Sequence
from typing import Any, Final

import brotli
import numpy as np
from numpy.typing import NDArray

from sinr_codec.coding.inflate import inflate
from sinr_codec.coding.varint import Reader, write_varint
from sinr_codec.errors import InputError, LimitError, MalformedError
from sinr_codec.types import Array

MOST_BYTES: Final = 1 << 28
"""Limit of the unpacked size, in bytes."""
_SLOW_BYTES: Final = 1 << 20  # above this, the slowest setting takes seconds a megabyte
_ORDERS: Final = 3
_BITS: Final = 0
_GAPS: Final = 1


def pack(data: bytes) -> bytes:
    """Length and Brotli stream of data.

    Raises
    ------
    InputError : more than `MOST_BYTES`
    """
    if len(data) > MOST_BYTES:
        raise InputError(f"{len(data):,} bytes are to be stored exactly; expected at most {MOST_BYTES:,}")
    return write_varint(len(data)) + brotli.compress(data, quality=11 if len(data) <= _SLOW_BYTES else 6)


class Packed:
    """Data that `pack` wrote, unpacked as far as they are asked for.

    Attributes
    ----------
    size
        Declared length in bytes, which bounds the memory.
    name
        What messages call the data.

    Raises
    ------
    LimitError, MalformedError, TruncatedError : a length above `most`, or no length
    """

    def __init__(self, data: bytes, name: str, most: int = MOST_BYTES) -> None:
        reader = Reader(data, name)
        self.name, self.size = name, reader.varint()
        if self.size > most:
            raise LimitError(f"{name}: declares {self.size:,} bytes; this reader accepts {most:,}")
        self._stream = bytes(reader.take(reader.remaining))

    def beginning(self, length: int) -> bytes:
        """The first bytes, or all where there are fewer."""
        return inflate(self._stream, length, self.name)[: min(length, self.size)]

    def unpack(self) -> bytes:
        """All bytes.

        Raises
        ------
        MalformedError, TruncatedError : damaged, truncated, or of another length than declared
        """
        out = inflate_within(self._stream, self.size, self.name)
        if len(out) != self.size:
            raise MalformedError(f"{self.name}: a Brotli stream holds {len(out)} bytes, expected {self.size}")
        return out


def unpack(data: bytes, name: str, most: int = MOST_BYTES) -> bytes:
    """Inverse of `pack`; memory is bounded by the declared length, which `most` bounds.

    Raises
    ------
    LimitError, MalformedError, TruncatedError : too long, damaged, or truncated
    """
    return Packed(data, name, most).unpack()


def inflate_within(data: bytes, most: int, name: str) -> bytes:
    """Decompress a whole Brotli stream to at most `most` bytes, which also bound the memory.

    Raises
    ------
    MalformedError, TruncatedError : damaged or too long, or truncated
    """
    out = inflate(data, most, name)
    if len(out) > most:
        raise MalformedError(f"{name}: a Brotli stream holds more than {most:,} bytes")
    return out


# -- arrays ----------------------------------------------------------------------------------------------------


def write_array(array: Array) -> bytes:
    """Serialise an array for compression: an order of differences, then byte planes, lowest byte first.

    Differences are taken between the elements' bit patterns as integers, so they are lossless; evenly spaced
    coordinates become nearly constant. Fixed-length strings (kind S) are stored unchanged.
    """
    flat = np.ascontiguousarray(array).reshape(-1)
    if array.dtype.kind == "S":
        return flat.tobytes()
    words = flat.astype(array.dtype.newbyteorder("<"), copy=False).view(f"<u{array.dtype.itemsize}")
    forms = []
    for order in range(_ORDERS):
        forms.append(bytes([order]) + words.view(np.uint8).reshape(len(words), words.itemsize).T.tobytes())
        words = np.diff(words, prepend=words.dtype.type(0))
    return min(forms, key=lambda form: len(brotli.compress(form, quality=5)))


def array_bytes(dtype: np.dtype[Any], shape: Sequence[int]) -> int:
    """Bytes that `write_array` makes of an array."""
    return math.prod(shape) * dtype.itemsize + (dtype.kind != "S")


def read_array(reader: Reader, dtype: np.dtype[Any], shape: Sequence[int]) -> Array:
    """Inverse of `write_array`, in native byte order; allocates nothing for missing bytes."""
    count = math.prod(shape)
    if dtype.kind == "S":
        return np.frombuffer(reader.take(count * dtype.itemsize), dtype).reshape(shape).copy()
    order = reader.byte()
    if order >= _ORDERS:
        raise MalformedError(f"{reader.name}: expected an order of differences below {_ORDERS}, found {order}")
    planes = np.frombuffer(reader.take(count * dtype.itemsize), np.uint8).reshape(dtype.itemsize, count)
    words = np.ascontiguousarray(planes.T).view(f"<u{dtype.itemsize}").reshape(-1)
    for _ in range(order):
        words = np.cumsum(words, dtype=words.dtype)
    if dtype.kind == "b" and words.size and words.max() > 1:
        raise MalformedError(f"{reader.name}: a truth value is neither 0 nor 1")
    array: Array = words.view(dtype.newbyteorder("<")).astype(dtype).reshape(shape)
    return array


# -- masks -----------------------------------------------------------------------------------------------------


def write_mask(mask: NDArray[np.bool_]) -> bytes:
    """Serialise a mask for compression, in the smaller of two forms.

    Bits: packed, first position in the highest bit. Gaps: each row is compared with the row above, and the distances
    between differing positions are stored as 32-bit integers, in byte planes.
    """
    bits = bytes([_BITS]) + np.packbits(mask).tobytes()
    rows = mask.reshape(-1, mask.shape[-1])
    changes = rows.copy()
    changes[1:] ^= rows[:-1]
    gaps = np.diff(np.flatnonzero(changes), prepend=-1)
    if mask.size >= 1 << 32:
        return bits
    planes = gaps.astype("<u4").view(np.uint8).reshape(-1, 4).T.tobytes()
    return min(bits, bytes([_GAPS]) + write_varint(len(gaps)) + planes, key=lambda form: len(brotli.compress(form)))


class Mask:
    """A stored mask: checked on reading but unpacked on demand, because a few bytes may stand for a large mask."""

    def __init__(self, reader: Reader, shape: Sequence[int]) -> None:
        self.shape = tuple(shape)
        self.size = math.prod(shape)
        self._form = reader.byte()
        if self._form == _BITS:
            self._data = np.frombuffer(reader.take(-(-self.size // 8)), np.uint8)
        elif self._form == _GAPS:
            count = reader.varint()
            planes = np.frombuffer(reader.take(4 * count), np.uint8).reshape(4, count)
            self._data = np.ascontiguousarray(planes.T).view("<u4").reshape(-1)
            if (self._data < 1).any() or int(self._data.sum(dtype=np.uint64)) > self.size:
                raise MalformedError(f"{reader.name}: the gaps of a mask leave its {self.size} positions")
        else:
            raise MalformedError(f"{reader.name}: unknown form of a mask: {self._form}")

    def unpack(self) -> NDArray[np.bool_]:
        """The mask, which takes `size` bytes."""
        if self._form == _BITS:
            return np.unpackbits(self._data, count=self.size).view(bool).reshape(self.shape)
        return self.at([np.arange(n) for n in self.shape])

    def at(self, axes: Sequence[Array]) -> NDArray[np.bool_]:
        """The mask at all combinations of positions along its axes, in memory of that size and of the stored form."""
        shape = tuple(map(len, axes))
        if self._form == _BITS:
            places = np.ravel_multi_index(np.ix_(*axes), self.shape)
            return (self._data[places >> 3] >> (7 - (places & 7)).astype(np.uint8) & 1).view(bool)
        across = np.ix_(*axes[:-1]) if len(axes) > 1 else (np.zeros(1, np.int64),)
        above = np.ravel_multi_index(across, self.shape[:-1] or (1,)).reshape(-1)
        rows, to_rows = np.unique(above, return_inverse=True)
        columns, to_columns = np.unique(axes[-1], return_inverse=True)
        # A cell is true where the number of changes down to it is odd: each counts from the next row that is wanted.
        changed, column = np.divmod(np.cumsum(self._data, dtype=np.int64) - 1, self.shape[-1])
        row, nearest = np.searchsorted(rows, changed), np.searchsorted(columns, column)
        known = (row < len(rows)) & (nearest < len(columns))
        row, nearest, column = row[known], nearest[known], column[known]
        known = columns[nearest] == column
        odd = np.zeros((len(rows), len(columns)), np.uint8)
        np.add.at(odd, (row[known], nearest[known]), 1)  # modulo 256, which keeps the last bit
        state = np.bitwise_xor.accumulate(odd & 1, axis=0).view(bool)
        return state[np.ix_(to_rows, to_columns)].reshape(shape)
