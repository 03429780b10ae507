"""Variable-length integers (LEB128, canonical) and a bounded reader over bytes.

Every parser of this package reads through `Reader`, so that a short or a wrong file ends in a typed
error and nothing is allocated for bytes that are not there.
"""

from typing import Final

from sinr_codec.errors import InputError, LimitError, MalformedError, TruncatedError

__all__ = ["MOST_MEMORY", "MOST_WORK", "UINT64_MAX", "Reader", "unzigzag", "write_varint", "write_zigzag", "zigzag"]

UINT64_MAX: Final = 2**64 - 1
MOST_WORK: Final = 2**62
"""More than any reader does."""
MOST_MEMORY: Final = 2**62
"""More than any reader has."""


def write_varint(n: int) -> bytes:
    """LEB128 of 0 <= n < 2**64: seven bits a byte, lowest first, the top bit set on all but the last.

    Raises InputError outside that range.
    """
    if not 0 <= n <= UINT64_MAX:
        raise InputError(f"varint: expected an integer in 0..2**64-1, got {n}")
    out = bytearray()
    while n > 0x7F:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def zigzag(n: int) -> int:
    """Signed to unsigned: 0, -1, 1, -2, 2 ... become 0, 1, 2, 3, 4 ..."""
    return 2 * n if n >= 0 else -2 * n - 1


def unzigzag(n: int) -> int:
    """Inverse of `zigzag`."""
    return n >> 1 if n & 1 == 0 else -(n >> 1) - 1


def write_zigzag(n: int) -> bytes:
    """LEB128 of the zigzag form of -2**63 <= n < 2**63."""
    return write_varint(zigzag(n))


class Reader:
    """Reads bytes in order and refuses to go past their end.

    `name` says what is being read and begins every error message. `work` is how many multiply-adds what was read may
    cost to decode, and `memory` how many bytes it may take meanwhile.
    """

    def __init__(
        self,
        data: bytes | bytearray | memoryview,
        name: str = "data",
        work: int = MOST_WORK,
        memory: int = MOST_MEMORY,
    ) -> None:
        self._data = memoryview(data).cast("B")
        self._at = 0
        self._work = work
        self._memory = memory
        self.name = name

    def spend(self, work: int) -> None:
        """Count multiply-adds that are about to be done; LimitError where they are more than are left."""
        if work > self._work:
            raise LimitError(
                f"{self.name}: decoding takes more work than this reader does (max_work); "
                "for a file that you trust, raise it (--limit max_work=VALUE, Limits(max_work=VALUE))"
            )
        self._work -= work

    def check_memory(self, needed: int) -> None:
        """Raise `LimitError` where decoding needs more bytes than it may take."""
        if needed > self._memory:
            raise LimitError(
                f"{self.name}: decoding takes {needed:,} bytes of memory, this reader accepts {self._memory:,}; "
                "for a file that you trust, raise it (--limit max_bytes=VALUE, Limits(max_bytes=VALUE))"
            )

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return self._at

    @property
    def remaining(self) -> int:
        """Bytes left to read."""
        return len(self._data) - self._at

    def byte(self) -> int:
        """The next byte; TruncatedError at the end."""
        return self.take(1)[0]

    def take(self, n: int) -> memoryview:
        """The next n bytes, not copied; TruncatedError when fewer are left."""
        view = self.peek(n)
        if len(view) < n:
            raise TruncatedError(
                f"{self.name}: expected {n} more bytes at offset {self._at}, only {self.remaining} are left"
            )
        self._at += n
        return view

    def peek(self, n: int) -> memoryview:
        """Up to n of the next bytes without reading them."""
        return self._data[self._at : self._at + n]

    def varint(self, limit: int = UINT64_MAX) -> int:
        """A canonical LEB128 integer of at most `limit`.

        Raises MalformedError for a form that is not the shortest, above 64 bits, or above `limit`.
        """
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift >= 70:
                raise MalformedError(f"{self.name}: a varint at offset {self._at} is longer than ten bytes")
        if (byte == 0 and shift > 7) or value > UINT64_MAX:
            raise MalformedError(f"{self.name}: the varint before offset {self._at} is not canonical")
        if value > limit:
            raise MalformedError(f"{self.name}: expected a number of at most {limit}, got {value}")
        return value

    def zigzag(self) -> int:
        """A signed integer as written by `write_zigzag`."""
        return unzigzag(self.varint())

    def end(self) -> None:
        """Raise `MalformedError` unless everything has been read."""
        if self.remaining:
            raise MalformedError(f"{self.name}: {self.remaining} bytes are left over after its end")
