"""One parameter tensor and its record in a file: transform, quantiser and coder together.

A record ends itself and says neither shape nor dtype: those follow from the field or from the manifest of
the file. Complex tensors are coded as real ones with a last axis of two. docs/format.md has the layout.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from sinr_codec.coding.adaptive import follows
from sinr_codec.coding.dictionary import KINDS, fits
from sinr_codec.coding.dtypes import check_dtype, from_bits, from_floats, is_float, largest, real, real_shape, to_bits
from sinr_codec.coding.entropy import (
    ADAPTIVE,
    coder_name,
    decode_ints,
    decode_stream,
    encode_ints,
    encode_stream,
    encode_words,
    ideal_bits,
    skip_stream,
)
from sinr_codec.coding.planes import PlaneReader, base_of, levels_of
from sinr_codec.coding.quantize import MAX_STEP_CODE, dequantize, minmax, round_step, step_code, step_value, symmetric
from sinr_codec.coding.scales import MAX_EXPONENT, PER_OCTAVE, Scales, factors_of, matrix_of
from sinr_codec.coding.sets import MAX_POSITIONS, decode_sets, encode_sets, set_bits, skip_sets
from sinr_codec.coding.sparse import MAX_SENT, SENT, Layout, SparseCode, fill_unused, reconstruct
from sinr_codec.coding.trellis import follows_trellis, quantise
from sinr_codec.coding.varint import UINT64_MAX, Reader, write_varint
from sinr_codec.errors import InputError, LimitError, MalformedError, UnknownIdError
from sinr_codec.types import Array, Floats, Ints

__all__ = [
    "Coding",
    "Direct",
    "Raw",
    "Sparse",
    "coarse_record",
    "decode_tensor",
    "describe_tensor",
    "direct_cost",
    "encode_tensor",
    "is_lossy",
    "row_of",
    "sparse_cost",
    "sparse_in_limits",
]

_KINDS = KINDS | {SENT: 15}
"""Ids of the dictionaries: those made from a seed, and the one that stands in the record."""


@dataclass(frozen=True)
class Raw:
    """Lossless: the elements as integers, by value or by their bits."""


@dataclass(frozen=True)
class Direct:
    """Scalar quantisation of the weights themselves: multiples of `step`, or min-max with `bits`.

    `paper` goes with bits and stores them as the paper does: Brotli over little-endian words. `row` goes with a step:
    the tensor, flattened, is a grid with rows of that length, whose neighbours are worth a look (`context`). So does
    `trellis`: the multiples are those nearest to the weights that follow a trellis along the rows (`row_of`). And
    `scales`: the step is that of the finest weights.
    """

    step: float | None = None
    bits: int | None = None
    paper: bool = False
    row: int | None = None
    trellis: bool = False
    scales: Scales | None = None

    def __post_init__(self) -> None:
        _check_quantiser(self.step, self.bits, self.paper)
        if (self.trellis or self.scales is not None) and self.step is None:
            raise InputError("trellis, scales: expected a step")
        if self.row is not None and not (self.step is not None and self.row >= 1):
            raise InputError(f"row: expected a positive length, with a step, got {self.row}")


@dataclass(frozen=True)
class Sparse:
    """The SINR transform: s of k2 atoms for each vector, their values quantised as in `Direct`.

    `paper` goes with bits, keeps the order of selection, and stores values and indices as words under Brotli.
    Otherwise the indices of a vector are a set, coded in log2 C(k2, s) bits.

    A dictionary of kind "sent" is not seeded: it is part of the record, and the `code` of the tensor brings it.
    """

    kind: str
    seed: int
    k2: int
    s: int
    layout: Layout
    step: float | None = None
    bits: int | None = None
    paper: bool = False

    def __post_init__(self) -> None:
        _check_quantiser(self.step, self.bits, self.paper)
        if self.kind not in _KINDS:
            raise InputError(f"kind: unknown dictionary {self.kind!r}, expected one of {', '.join(_KINDS)}")
        if not (1 <= self.s <= self.k2 <= MAX_POSITIONS and 0 <= self.seed <= UINT64_MAX):
            raise InputError(
                f"sparse coding: expected 1 <= s <= k2 <= {MAX_POSITIONS} and a 64-bit seed, "
                f"got s = {self.s}, k2 = {self.k2}, seed = {self.seed}"
            )


Coding = Raw | Direct | Sparse

_RAW, _DIRECT_STEP, _DIRECT_MINMAX, _SPARSE_STEP, _SPARSE_MINMAX, _DIRECT_SCALED = range(6)  # transform ids
_NAMES = ("raw", "direct", "direct min-max", "sparse", "sparse min-max", "direct scaled")
_SETS, _ORDERED = 0, 1  # ids of the two ways to code the indices of a sparse record

_MAX_STEPS = 2**53  # of a weight from zero: exact in float64
_MAX_SPARSE_STEPS = 2**31  # of a coefficient: sums over all atoms stay below the bound of `reconstruct`
_MAX_NUMBERS = 2**32  # in a tensor; a second line of defence behind the limits of the container
_MAX_PRODUCTS = 2**32  # multiplications that a sparse tensor may cost: a minute; 2,000 x 2,000 weights need as many
_MAX_ATOM_ENTRIES = 2**28
_MAX_TABLE_ENTRIES = 2**22  # of a dictionary that is part of a record
_LEAST_ROW = 16  # numbers; a trellis begins anew in every row


def is_lossy(array: Array) -> bool:
    """Whether `Direct` and `Sparse` apply: floating point or complex, not empty, every element finite.

    `encode_tensor` stores any other tensor as `Raw`, whatever it is asked for.
    """
    array = np.asarray(array)
    return is_float(array.dtype) and array.size > 0 and bool(np.isfinite(array).all())


def row_of(shape: tuple[int, ...]) -> int:
    """Length of the rows of a real tensor: of its last axis, or all of it where those are short."""
    return shape[-1] if len(shape) > 1 and shape[-1] >= _LEAST_ROW else max(1, math.prod(shape))


def sparse_in_limits(shape: tuple[int, ...], layout: Layout, k2: int, s: int) -> bool:
    """Whether a sparse record of a real tensor stays within what a reader computes for one record."""
    k1, n = layout.dims(shape)
    return s * n * k1 <= _MAX_PRODUCTS and k1 * min(k2, s * n) <= _MAX_ATOM_ENTRIES


def encode_tensor(array: Array, coding: Coding, code: SparseCode | None = None) -> bytes:
    """The record of one tensor.

    Parameters
    ----------
    array
        Any shape; bool, integers, float16/32/64, bfloat16, complex64/128. What a lossy coding cannot hold (see
        `is_lossy`; also values 2**53 steps from zero) is stored raw.
    coding
        A step is rounded to the nearest that a file can hold (`quantize.round_step`).
    code
        The tensor's atoms and their values, where `coding` is sparse.

    Raises
    ------
    InputError
        A dtype without numbers of at most eight bytes; a sparse `coding` without its `code`.
    LimitError
        A sparse coding that costs more than a reader would compute.
    """
    array = np.asarray(array)
    check_dtype(array.dtype)
    if not isinstance(coding, Raw) and is_lossy(array):
        try:
            if isinstance(coding, Direct):
                return _encode_direct(real(array), coding)
            return _encode_sparse(real(array), coding, code)
        except _OutOfRange:
            pass
    return _encode_raw(array)


def coarse_record(record: bytes, shape: tuple[int, ...], dtype: npt.DTypeLike, planes: int) -> tuple[bytes, Ints]:
    """A record without so many of the last bits of its levels, and all levels, flat: a step is as much wider.

    Other records than those of `Direct` with a step stay as they are, and so do their levels, of which there are none.
    """
    kind = np.dtype(dtype)
    reader = Reader(record, "tensor")
    head = _Head.read(reader, shape, kind)
    if head.transform not in (_DIRECT_STEP, _DIRECT_SCALED):
        return record, np.empty(0, np.int64)
    if (code := step_code(head.step) + (planes << 8)) > MAX_STEP_CODE:
        return _encode_raw(decode_tensor(record, shape, dtype)), np.empty(0, np.int64)
    levels = decode_stream(reader, head.coder, head.count, head.exponents)
    stream = encode_stream(base_of(levels, planes), row_of(real_shape(shape, kind)), exponents=head.exponents)
    return _record(head.transform, stream, code.to_bytes(2, "little") + _scale_streams(head.scales)), levels


def decode_tensor(
    data: bytes | Reader,
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    planes: Sequence[PlaneReader] = (),
    of: int = 0,
) -> Array:
    """The tensor of a record, of exactly this shape and dtype; the same bits on every platform.

    Lossy tensors are computed in float64 and rounded once. Bytes must hold one record and nothing else, a
    Reader may go on behind it. Memory stays within a small multiple of the declared shape, and is taken only
    when the bytes can hold such a tensor; whoever calls bounds the shape.

    The levels of `Direct` with a step may lack their last bits, `of` in number (`coarse_record`). `planes` brings back
    as many of them as there are.

    Raises
    ------
    TruncatedError, MalformedError, UnknownIdError, LimitError
        The record is damaged, from a newer version, or beyond what a reader computes.
    InputError
        A dtype that no record can have.
    """
    kind = np.dtype(dtype)
    reader = data if isinstance(data, Reader) else Reader(data, "tensor")
    head = _Head.read(reader, shape, kind)
    q = decode_stream(reader, head.coder, head.count, head.exponents)
    if head.transform not in (_DIRECT_STEP, _DIRECT_SCALED):
        planes, of = (), 0
    if head.transform == _RAW:
        array = from_bits(q, kind, reader.name)
    else:
        limit = _MAX_STEPS >> of if head.atoms is None else _MAX_SPARSE_STEPS
        if q.size and not -limit <= int(q.min()) <= int(q.max()) <= limit:
            raise MalformedError(f"{reader.name}: a quantised value is beyond {limit} steps")
        if head.atoms is None:
            for plane in planes:
                q = plane.finer(q)
            step = head.step / (1 << of)
            to_middle = ((1 << of - len(planes)) - 1) / 2
            offset = head.offset + step * to_middle
            array = _restore(levels_of(q, of, len(planes)), step, offset, kind, head.exponents)
        else:
            indices, table = head.atoms.read_indices(reader), head.atoms.read_table(reader)
            array = from_floats(head.atoms.weights(indices, q, head.step, head.offset, table), kind)
    if reader is not data:
        reader.end()
    return array.reshape(shape)


def describe_tensor(data: bytes | Reader, shape: tuple[int, ...], dtype: npt.DTypeLike) -> dict[str, Any]:
    """How a record codes its tensor, for reports; long streams are skipped and not decoded.

    Keys: transform, coder, bytes, bits_per_weight (a complex number is two weights), and where they apply
    step, octaves (of the scales), offset, dictionary, seed, k2, s, axis, indices, dictionary_bytes. Raises what
    `decode_tensor` raises.
    """
    kind = np.dtype(dtype)
    reader = data if isinstance(data, Reader) else Reader(data, "tensor")
    start = reader.position
    head = _Head.read(reader, shape, kind)
    trellis = head.coder == ADAPTIVE and follows(reader)
    skip_stream(reader, head.coder, head.count, head.exponents)
    name = f"{_NAMES[head.transform]}{' trellis' * trellis}"
    about: dict[str, Any] = {"transform": name, "coder": coder_name(head.coder)}
    if head.transform != _RAW:
        about["step"] = head.step
    if head.exponents is not None:
        about["octaves"] = float(np.ptp(head.exponents)) / PER_OCTAVE if head.count else 0.0
    if head.transform in (_DIRECT_MINMAX, _SPARSE_MINMAX):
        about["offset"] = head.offset
    if head.atoms is not None:
        head.atoms.skip_indices(reader)
        about |= head.atoms.describe()
        if head.atoms.kind == SENT:
            at = reader.position
            skip_stream(reader, reader.byte(), head.atoms.k1 * head.atoms.k2)
            about["dictionary_bytes"] = reader.position - at
    if reader is not data:
        reader.end()
    about["bytes"] = reader.position - start
    about["bits_per_weight"] = 8 * about["bytes"] / max(1, math.prod(real_shape(shape, kind)))
    return about


def direct_cost(w: Array, step: float, trellis: bool = False, scales: Scales | None = None) -> tuple[float, float]:
    """(bytes, squared error) of `Direct(step=step, trellis=trellis, scales=scales)` for a tensor, without coding it.

    `encode_tensor` comes within 1 % or two bytes of that size, or below it. With scales, the error is of the weights
    in their units.
    """
    w = np.asarray(w)
    try:
        q = _direct_steps(real(w), step, trellis, scales) if is_lossy(w) else None
    except _OutOfRange:
        q = None
    if q is None:
        return float(len(_encode_raw(w))), 0.0
    shape = real_shape(w.shape, w.dtype)
    exponents = None if scales is None else scales.exponents(shape)
    bits = 24 + 8 * len(_scale_streams(scales)) + ideal_bits(q, row_of(shape), trellis, exponents)
    decoded = _restore(q, round_step(step), 0.0, w.dtype, exponents)
    return bits / 8, _squared_error(w, decoded, exponents)


def sparse_cost(code: SparseCode, w: Array, step: float | None = None, bits: int | None = None) -> tuple[float, float]:
    """(bytes, squared error) of `Sparse` with this code of a tensor and a step or bits, without coding it."""
    w = np.asarray(w)
    _check_quantiser(step, bits, False)
    try:
        q, step, offset, quantiser = _quantise(code.values, step, bits)
    except _OutOfRange:
        return float(len(_encode_raw(w))), 0.0
    indices = fill_unused(code.indices, code.k2)
    atoms = _Atoms.of(code, len(code.indices), real_shape(w.shape, w.dtype), _SETS)
    decoded = from_floats(atoms.weights(indices, q.T.reshape(-1), step, offset, code.table), w.dtype)
    bits_of_streams = ideal_bits(q) + set_bits(atoms.s, atoms.n, code.k2)
    bits_of_streams += 0.0 if code.table is None else ideal_bits(code.table)
    return 1 + len(quantiser) + len(atoms.write()) + bits_of_streams / 8, _squared_error(w, decoded)


# Records


@dataclass(frozen=True)
class _Atoms:
    """The dictionary of a sparse record and what follows from the shape (of a real tensor)."""

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
    def of(cls, code: "SparseCode | Sparse", s: int, shape: tuple[int, ...], coder: int) -> "_Atoms":
        return cls(code.kind, code.seed, code.k2, s, code.layout, coder, shape, *code.layout.dims(shape))

    @classmethod
    def read(cls, reader: Reader, shape: tuple[int, ...]) -> "_Atoms":
        byte = reader.byte()
        kinds = {number: name for name, number in _KINDS.items()}
        kind, axis, coder = byte & 15, byte >> 4 & 3, byte >> 6
        if kind not in kinds or axis > 2 or coder > _ORDERED:
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
        axis = 2 if self.layout.axis is None else self.layout.axis
        byte = _KINDS[self.kind] | axis << 4 | self.coder << 6
        return bytes([byte]) + write_varint(self.seed) + write_varint(self.k2) + write_varint(self.s)

    def check_limits(self, name: str) -> None:
        if not sparse_in_limits(self.shape, self.layout, self.k2, self.s):
            raise LimitError(
                f"{name}: {self.s} of {self.k2} atoms for {self.n} vectors of length {self.k1}, "
                f"expected at most {_MAX_PRODUCTS} products and {_MAX_ATOM_ENTRIES} entries"
            )
        if self.kind == SENT and self.k1 * self.k2 > _MAX_TABLE_ENTRIES:
            raise LimitError(f"{name}: {self.k1} x {self.k2}, expected at most {_MAX_TABLE_ENTRIES} entries")

    @property
    def dense(self) -> bool:
        """Whether all vectors have all atoms of a dictionary in the record, so that no indices are stored."""
        return self.kind == SENT and self.s == self.k2 and self.coder == _SETS

    def read_indices(self, reader: Reader) -> Ints:
        """(s, n), inside the dictionary."""
        if self.dense:
            return np.broadcast_to(np.arange(self.s)[:, None], (self.s, self.n))
        if self.coder == _SETS:
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

    def skip_indices(self, reader: Reader) -> None:
        if self.dense:
            return
        if self.coder == _SETS:
            skip_sets(reader, self.s, self.n, self.k2)
        else:
            skip_stream(reader, reader.byte(), self.s * self.n)

    def weights(self, indices: Ints, q: Ints, step: float, offset: float, table: Ints | None) -> Floats:
        """Flat float64 weights from indices (s, n) and the coefficients vector by vector (n * s,)."""
        values = q.reshape(self.n, self.s).T
        return reconstruct(
            self.kind, self.seed, self.k2, self.layout, self.shape, indices, values, step, offset, table
        ).reshape(-1)

    def describe(self) -> dict[str, Any]:
        about = {"dictionary": self.kind, "seed": self.seed, "k2": self.k2, "s": self.s}
        return about | {"axis": self.layout.axis, "indices": ("sets", "ordered")[self.coder]}


@dataclass(frozen=True)
class _Head:
    """What stands before the streams of a record."""

    transform: int
    coder: int  # of the first stream
    count: int  # of its integers
    step: float = 0.0
    offset: float = 0.0
    atoms: _Atoms | None = None
    scales: Scales | None = None
    shape: tuple[int, ...] = ()  # as real numbers

    @cached_property
    def exponents(self) -> Ints | None:
        """Of the units of the integers, where there are scales."""
        return None if self.scales is None else self.scales.exponents(self.shape)

    @classmethod
    def read(cls, reader: Reader, shape: tuple[int, ...], dtype: np.dtype[Any]) -> "_Head":
        check_dtype(dtype)
        transform, coder = divmod(reader.byte(), 16)
        if transform > _DIRECT_SCALED:
            raise UnknownIdError(f"{reader.name}: transform id {transform} is unknown to this version")
        numbers = real_shape(shape, dtype)
        count = math.prod(numbers)
        if count > _MAX_NUMBERS:
            raise LimitError(f"{reader.name}: {count} numbers, expected at most {_MAX_NUMBERS}")
        if transform == _RAW:
            return cls(transform, coder, count)
        if not is_float(dtype):
            raise MalformedError(f"{reader.name}: a lossy transform for {dtype}")
        if transform in (_DIRECT_STEP, _SPARSE_STEP, _DIRECT_SCALED):
            step, offset = step_value(int.from_bytes(reader.take(2), "little")), 0.0
        else:
            step, offset = struct.unpack("<ff", reader.take(8))
            if not (math.isfinite(step) and step >= 0 and math.isfinite(offset)):
                raise MalformedError(f"{reader.name}: expected finite step and offset, got {step}, {offset}")
        if transform in (_DIRECT_STEP, _DIRECT_MINMAX):
            return cls(transform, coder, count, step, offset)
        if transform == _DIRECT_SCALED:
            scales = _read_scales(reader, numbers)
            return cls(transform, coder, count, step, offset, scales=scales, shape=numbers)
        atoms = _Atoms.read(reader, numbers)
        return cls(transform, coder, atoms.s * atoms.n, step, offset, atoms)


def _record(transform: int, stream: tuple[int, bytes], before: bytes = b"", after: bytes = b"") -> bytes:
    coder, body = stream
    return bytes([transform << 4 | coder]) + before + body + after


def _encode_raw(array: Array) -> bytes:
    return _record(_RAW, encode_stream(to_bits(array)))


def _encode_direct(w: Array, coding: Direct) -> bytes:
    if coding.step is not None:
        quantiser = step_code(coding.step).to_bytes(2, "little") + _scale_streams(coding.scales)
        q = _direct_steps(w, coding.step, coding.trellis, coding.scales)
        row = row_of(w.shape) if coding.row is None else min(coding.row, q.size)
        exponents = None if coding.scales is None else coding.scales.exponents(w.shape)
        neighbours = coding.row is not None
        stream = encode_stream(q, row, neighbours=neighbours, trellis=coding.trellis, exponents=exponents)
        return _record(_DIRECT_STEP if coding.scales is None else _DIRECT_SCALED, stream, quantiser)
    q, _, _, quantiser = _quantise(w.astype(np.float64), None, coding.bits)
    return _record(_DIRECT_MINMAX, _encode_values(q, coding), quantiser)


def _scale_streams(scales: Scales | None) -> bytes:
    """Exponents of rows and of columns; of none a single zero."""
    if scales is None:
        return b""
    return b"".join(encode_ints(np.array(each or (0,))) for each in (scales.rows, scales.columns))


def _read_scales(reader: Reader, shape: tuple[int, ...]) -> Scales:
    parts = []
    for count in matrix_of(shape):
        exponents = decode_ints(reader, count)
        if exponents.size and not 0 <= int(exponents.min()) <= int(exponents.max()) <= MAX_EXPONENT:
            raise MalformedError(f"{reader.name}: a scale is beyond {MAX_EXPONENT} quarter octaves")
        parts.append(tuple(exponents.tolist()))
    return Scales(*parts)


def _encode_sparse(w: Array, coding: Sparse, code: SparseCode | None) -> bytes:
    kind, seed, k2, s, layout = coding.kind, coding.seed, coding.k2, coding.s, coding.layout
    atoms = _Atoms.of(coding, s, w.shape, _ORDERED if coding.paper else _SETS)
    if s > atoms.k1:
        raise InputError(f"s: {s} atoms, expected at most the {atoms.k1} numbers of a vector")
    atoms.check_limits("sparse coding")
    if code is None:
        raise InputError("code: a sparse coding comes with the code of the tensor, expected one")
    if (code.kind, code.seed, code.k2, len(code.indices), code.layout) != (kind, seed, k2, s, layout):
        raise InputError("code: it is not the sparse code that the coding asks for")
    table = _encode_table(code.table, atoms)
    indices, values = fill_unused(code.indices, k2), code.values
    if coding.paper:
        coder, body = encode_words(indices.T, 2)
        coded = bytes([coder]) + body
    else:
        order = np.argsort(indices, axis=0)
        indices, values = np.take_along_axis(indices, order, 0), np.take_along_axis(values, order, 0)
        coded = b"" if atoms.dense else encode_sets(indices, k2)
    q, _, _, quantiser = _quantise(values, coding.step, coding.bits)
    transform = _SPARSE_MINMAX if coding.step is None else _SPARSE_STEP
    return _record(transform, _encode_values(q.T, coding), quantiser + atoms.write(), coded + table)


def _encode_table(table: Ints | None, atoms: _Atoms) -> bytes:
    if (table is None) != (atoms.kind != SENT):
        raise InputError("code: a dictionary of kind sent, and no other, comes with a table")
    if table is None:
        return b""
    if table.shape != (atoms.k1, atoms.k2):
        raise InputError(f"code: a table {table.shape}, expected {(atoms.k1, atoms.k2)}")
    if table.size and np.abs(table).max() > MAX_SENT:
        raise InputError(f"code: an entry of the table is beyond {MAX_SENT}")
    coder, body = encode_stream(table.T)
    return bytes([coder]) + body


def _encode_values(q: Ints, coding: Direct | Sparse) -> tuple[int, bytes]:
    if coding.paper and coding.bits is not None:
        return encode_words(q, -(-coding.bits // 8))
    return encode_stream(q)


# Quantisers, within the limits of the format


class _OutOfRange(Exception):
    """A quantiser cannot represent these values; the tensor is stored raw."""


def _check_quantiser(step: float | None, bits: int | None, paper: bool) -> None:
    if (step is None) == (bits is None) or (paper and bits is None):
        raise InputError("coding: expected either a step or bits, and bits with paper")
    if step is not None and not (step > 0 and math.isfinite(step)):
        raise InputError(f"step: expected a positive number, got {step}")
    if bits is not None and not 1 <= bits <= 31:
        raise InputError(f"bits: expected 1..31, got {bits}")


def _steps(values: Array, step: float, limit: int) -> Ints:
    try:
        q = symmetric(values, step)
    except InputError:
        raise _OutOfRange from None
    if q.size and np.abs(q).max() > limit:
        raise _OutOfRange
    return q


def _direct_steps(w: Array, step: float, trellis: bool = False, scales: Scales | None = None) -> Ints:
    """Weights in steps that a file can hold, none so large that it would leave the dtype."""
    step = round_step(step)
    wide = w.astype(np.float64)
    units = np.ones(()) if scales is None else scales.factors(w.shape)
    wide /= units
    most = np.minimum(_MAX_STEPS, largest(w.dtype) / step / units).astype(np.int64)
    levels = np.clip(_steps(wide, step, _MAX_STEPS), -most, most)
    if not trellis:
        return levels
    row = row_of(w.shape)
    if follows_trellis(levels.reshape(-1, row)):
        return levels
    power = float(np.mean((wide * units) ** 2)) / step**2 / units**2
    followed = quantise(wide.reshape(-1, row) / step, np.reshape(power, (-1, row) if power.ndim else ()))
    followed = followed.reshape(w.shape)
    return followed if (np.abs(followed) <= most).all() else levels


def _quantise(values: Floats, step: float | None, bits: int | None) -> tuple[Ints, float, float, bytes]:
    """(q, step, offset, the bytes that say so) of coefficients, or of weights with min-max."""
    if step is not None:
        code = step_code(step)
        step = step_value(code)
        return _steps(values, step, _MAX_SPARSE_STEPS), step, 0.0, code.to_bytes(2, "little")
    try:
        q, step, offset = minmax(values, bits or 0)
    except InputError:
        raise _OutOfRange from None
    return q, step, offset, struct.pack("<ff", step, offset)


_BLOCK = 1 << 18  # numbers dequantised at a time, to spare memory


def _restore(q: Ints, step: float, offset: float, dtype: np.dtype[Any], exponents: Ints | None = None) -> Array:
    """Flat tensor of direct quantised values."""
    q = q.reshape(-1)
    out = np.empty(q.size // 2 if dtype.kind == "c" else q.size, dtype=dtype)
    items = _BLOCK // 2 if dtype.kind == "c" else _BLOCK
    for block, first in enumerate(range(0, len(out), items)):
        here = slice(block * _BLOCK, (block + 1) * _BLOCK)
        values = dequantize(q[here], step, offset)
        if exponents is not None:
            values *= factors_of(exponents[here])
        out[first : first + items] = from_floats(values, dtype)
    return out


def _squared_error(w: Array, decoded: Array, exponents: Ints | None = None) -> float:
    difference = (real(decoded).astype(np.float64) - real(w.reshape(-1)).astype(np.float64)).reshape(-1)
    if exponents is not None:
        difference /= factors_of(exponents)
    return float(difference @ difference)
