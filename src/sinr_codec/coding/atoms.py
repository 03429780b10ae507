"""The dictionary of a sparse record, and the indices of the atoms of each vector."""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from sinr_codec.coding.dictionary import KINDS, fits
from sinr_codec.coding.entropy import decode_ints, encode_ints, skip_stream
from sinr_codec.coding.sets import MAX_POSITIONS, decode_sets, skip_sets
from sinr_codec.coding.sparse import MAX_SENT, SENT, Layout, reconstruct
from sinr_codec.coding.varint import Reader, write_varint
from sinr_codec.errors import InputError, LimitError, MalformedError, UnknownIdError
from sinr_codec.types import Floats, Ints, JsonObject

__all__ = ["KIND_IDS", "ORDERED", "SETS", "Atoms", "sparse_in_limits"]

KIND_IDS: Final = KINDS | {SENT: 15}
"""Ids of the dictionaries: those made from a seed, and the one that stands in the record."""

SETS: Final = 0
ORDERED: Final = 1
"""Ids of the two ways to code the indices of a record: as sets, or in the order of selection."""

_MAX_PRODUCTS: Final = 2**32  # multiplications for a sparse tensor: a minute, and enough for 2,000 x 2,000 weights
_MAX_ATOM_ENTRIES: Final = 2**28
# What a product with an entry of an atom, and making an entry, count in a reader's budget of multiply-adds. A file that
# an encoder wrote has thousands of products a byte, but billions of multiply-adds of a rendering.
_PRODUCT: Final = 1 << 10
_ENTRY: Final = 1 << 12
_MAX_TABLE_ENTRIES: Final = 2**22  # of a dictionary that is part of a record


def sparse_in_limits(shape: tuple[int, ...], layout: Layout, k2: int, s: int) -> bool:
    """Whether a sparse record of a real tensor stays within the work that a reader does for one record."""
    k1, n = layout.dims(shape)
    return s * n * k1 <= _MAX_PRODUCTS and k1 * min(k2, s * n) <= _MAX_ATOM_ENTRIES


class _Coded(Protocol):
    """A sparse code or coding: the dictionary and the layout of a tensor."""

    @property
    def kind(self) -> str: ...

    @property
    def seed(self) -> int: ...

    @property
    def k2(self) -> int: ...

    @property
    def layout(self) -> Layout: ...


@dataclass(frozen=True)
class Atoms:
    """The dictionary of a sparse record and its dimensions for the shape of a real tensor."""

    kind: str
    seed: int
    k2: int
    s: int
    layout: Layout
    coder: int  # of the indices
    shape: tuple[int, ...]
    k1: int
    n: int

    @classmethod
    def of(cls, code: "_Coded", s: int, shape: tuple[int, ...], coder: int) -> "Atoms":
        """The atoms of a sparse code or coding with `s` atoms a vector, for a real tensor of a shape."""
        return cls(code.kind, code.seed, code.k2, s, code.layout, coder, shape, *code.layout.dims(shape))

    @classmethod
    def read(cls, reader: Reader, shape: tuple[int, ...]) -> "Atoms":
        """Inverse of `write`.

        Raises
        ------
        TruncatedError, MalformedError, UnknownIdError, LimitError
            Damaged, from a newer version, or beyond the limits of a reader.
        """
        byte = reader.byte()
        kinds = {number: name for name, number in KIND_IDS.items()}
        kind, axis, coder = byte & 15, byte >> 4 & 3, byte >> 6
        if kind not in kinds or axis > 2 or coder > ORDERED:
            raise UnknownIdError(f"{reader.name}: unknown dictionary, layout or index coder in {byte:#04x}")
        if axis != 2 and not shape:
            raise MalformedError(f"{reader.name}: a tensor without dimensions has no rows or columns")
        seed, k2, s = reader.varint(), reader.varint(MAX_POSITIONS), reader.varint(MAX_POSITIONS)
        layout = Layout(None if axis == 2 else axis)
        k1, n = layout.dims(shape)
        if not 1 <= s <= min(k1, k2):
            raise MalformedError(f"{reader.name}: {s} of {k2} atoms for vectors of length {k1}")
        if kinds[kind] == SENT and seed:
            raise MalformedError(f"{reader.name}: a seed for a dictionary that has none")
        if not fits(kinds[kind], seed, k1, k2):
            raise MalformedError(f"{reader.name}: no grid of {seed} columns has {k1} places and {k2} atoms")
        atoms = cls(kinds[kind], seed, k2, s, layout, coder, shape, k1, n)
        atoms.check_limits(reader.name)
        return atoms

    def write(self) -> bytes:
        """Kind, layout, seed, k2 and s."""
        axis = 2 if self.layout.axis is None else self.layout.axis
        byte = KIND_IDS[self.kind] | axis << 4 | self.coder << 6
        return bytes([byte]) + write_varint(self.seed) + write_varint(self.k2) + write_varint(self.s)

    def check_limits(self, name: str) -> None:
        """Raise `LimitError` about `name` for a record beyond the limits of a reader."""
        if not sparse_in_limits(self.shape, self.layout, self.k2, self.s):
            raise LimitError(
                f"{name}: {self.s} of {self.k2} atoms for {self.n} vectors of length {self.k1}, "
                f"expected at most {_MAX_PRODUCTS} products and {_MAX_ATOM_ENTRIES} entries"
            )
        if self.kind == SENT and self.k1 * self.k2 > _MAX_TABLE_ENTRIES:
            raise LimitError(f"{name}: {self.k1} x {self.k2}, expected at most {_MAX_TABLE_ENTRIES} entries")

    @property
    def work(self) -> int:
        """What making the atoms and adding them up counts in a reader's budget of multiply-adds."""
        return _PRODUCT * self.s * self.n * self.k1 + _ENTRY * self.k1 * min(self.k2, self.s * self.n)

    @property
    def dense(self) -> bool:
        """Whether every vector has all atoms of a dictionary in the record, so that no indices are stored."""
        return self.kind == SENT and self.s == self.k2 and self.coder == SETS

    def read_indices(self, reader: Reader) -> Ints:
        """(s, n), inside the dictionary."""
        if self.dense:
            return np.broadcast_to(np.arange(self.s)[:, None], (self.s, self.n))
        if self.coder == SETS:
            return decode_sets(reader, self.s, self.n, self.k2)
        indices = decode_ints(reader, self.s * self.n)
        if indices.size and not 0 <= int(indices.min()) <= int(indices.max()) < self.k2:
            raise MalformedError(f"{reader.name}: an index is outside a dictionary of {self.k2} atoms")
        return indices.reshape(self.n, self.s).T

    def read_table(self, reader: Reader) -> Ints | None:
        """(k1, k2), where the dictionary is part of the record."""
        if self.kind != SENT:
            return None
        entries = decode_ints(reader, self.k1 * self.k2)
        if entries.size and not -MAX_SENT <= int(entries.min()) <= int(entries.max()) <= MAX_SENT:
            raise MalformedError(f"{reader.name}: an entry of the dictionary is beyond {MAX_SENT}")
        return entries.reshape(self.k2, self.k1).T

    def write_table(self, table: Ints | None) -> bytes:
        """Inverse of `read_table`."""
        if (table is None) != (self.kind != SENT):
            raise InputError("code: a dictionary of kind sent, and no other, comes with a table")
        if table is None:
            return b""
        if table.shape != (self.k1, self.k2):
            raise InputError(f"code: a table {table.shape}, expected {(self.k1, self.k2)}")
        if table.size and np.abs(table).max() > MAX_SENT:
            raise InputError(f"code: an entry of the table is beyond {MAX_SENT}")
        return encode_ints(table.T)

    def skip_indices(self, reader: Reader) -> None:
        """Move the reader past the indices, without decoding many of them."""
        if self.dense:
            return
        if self.coder == SETS:
            skip_sets(reader, self.s, self.n, self.k2)
        else:
            skip_stream(reader, reader.byte(), self.s * self.n)

    def weights(self, indices: Ints, q: Ints, step: float, offset: float, table: Ints | None) -> Floats:
        """Flat float64 weights from indices (s, n) and quantised coefficients, vector by vector (n * s,)."""
        values = q.reshape(self.n, self.s).T
        return reconstruct(
            self.kind, self.seed, self.k2, self.layout, self.shape, indices, values, step, offset, table
        ).reshape(-1)

    def describe(self) -> JsonObject:
        """For reports: dictionary, seed, k2, s, axis, indices."""
        about = {"dictionary": self.kind, "seed": self.seed, "k2": self.k2, "s": self.s}
        return about | {"axis": self.layout.axis, "indices": ("sets", "ordered")[self.coder]}
