"""One parameter tensor and its record in a file: a transform, a quantiser and a coder.

A record is self-delimiting and states neither shape nor dtype, which follow from the field or from the manifest of the
file. Complex tensors are coded as real ones with a last axis of two. docs/format.md has the layout.
"""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from sinr_codec.coding.atoms import KIND_IDS, ORDERED, SETS, Atoms
from sinr_codec.coding.coders import coder_of
from sinr_codec.coding.dtypes import check_dtype, from_bits, from_floats, is_float, largest, real, real_shape, to_bits
from sinr_codec.coding.entropy import (
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
from sinr_codec.coding.rangecoder import SELF_ENDING
from sinr_codec.coding.scales import MAX_EXPONENT, PER_OCTAVE, Scales, exponents_of, factors_of, matrix_of
from sinr_codec.coding.sets import MAX_POSITIONS, encode_sets, set_bits
from sinr_codec.coding.sparse import SENT, Layout, SparseCode, fill_unused
from sinr_codec.coding.trellis import follows_trellis, quantise
from sinr_codec.coding.varint import UINT64_MAX, Reader
from sinr_codec.errors import InputError, LimitError, MalformedError, UnknownIdError, quoted
from sinr_codec.types import Array, Floats, Ints, JsonObject

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
]


@dataclass(frozen=True)
class Raw:
    """Lossless: the elements as integers, by value or by their bits."""


@dataclass(frozen=True)
class Direct:
    """Scalar quantisation of the weights themselves: multiples of `step`, or min-max with `bits`.

    Attributes
    ----------
    step, bits
        One of them: the step, or the bits of the min-max quantiser, 1 to 31.
    paper
        With `bits`: Brotli over little-endian words, as in the paper.
    row
        With `step`: the flattened tensor is a grid with rows of this length whose neighbours have similar magnitudes
        (`context`).
    trellis
        With `step`: levels follow a trellis along the rows (`row_of`).
    scales
        With `step`: units by row and column; `step` is that of the finest weights.
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

    With `paper`, which requires `bits`, indices keep the order of selection, and values and indices are words under
    Brotli. Otherwise the indices of a vector are a set, coded in log2 C(k2, s) bits.

    A dictionary of kind "sent" has no seed: it is part of the record, and comes with the sparse code of the tensor.
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
        if self.kind not in KIND_IDS:
            raise InputError(f"kind: unknown dictionary {quoted(self.kind)}, expected one of {', '.join(KIND_IDS)}")
        if not (1 <= self.s <= self.k2 <= MAX_POSITIONS and 0 <= self.seed <= UINT64_MAX):
            raise InputError(
                f"sparse coding: expected 1 <= s <= k2 <= {MAX_POSITIONS} and a 64-bit seed, "
                f"got s = {self.s}, k2 = {self.k2}, seed = {self.seed}"
            )


Coding = Raw | Direct | Sparse

_MAX_STEPS: Final = 2**53  # of a weight from zero: exact in float64
_MAX_SPARSE_STEPS: Final = 2**31  # of a coefficient: sums over all atoms stay below the bound of `reconstruct`
_MAX_NUMBERS: Final = 2**32  # in a tensor; a second line of defence behind the limits of the container
_LEAST_ROW: Final = 16  # numbers; a trellis begins anew in every row


def is_lossy(array: Array) -> bool:
    """Whether `Direct` and `Sparse` apply: floating point or complex, not empty, every element finite.

    `encode_tensor` stores any other tensor as `Raw`, whatever its coding.
    """
    array = np.asarray(array)
    return is_float(array.dtype) and array.size > 0 and bool(np.isfinite(array).all())


def row_of(shape: tuple[int, ...]) -> int:
    """Length of the rows of a real tensor: its last axis, or its size where that axis is short."""
    return shape[-1] if len(shape) > 1 and shape[-1] >= _LEAST_ROW else max(1, math.prod(shape))


def encode_tensor(array: Array, coding: Coding, code: SparseCode | None = None) -> bytes:
    """The record of one tensor.

    Parameters
    ----------
    array
        Any shape; bool, integers, float16/32/64, bfloat16, complex64/128. A tensor that a lossy coding cannot represent
        (see `is_lossy`; also values 2**53 steps from zero) is stored raw.
    coding
        A step is rounded to the nearest 16-bit step (`quantize.round_step`).
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
    """A record without the last `planes` bits of its levels, and the full levels, flat.

    The step of the record grows by 2**planes. Records of other codings than `Direct` with a step stay unchanged and
    have no levels.
    """
    kind = np.dtype(dtype)
    reader = Reader(record, "tensor")
    head = _Head.read(reader, shape, kind)
    if not head.transform.in_planes:
        return record, np.empty(0, np.int64)
    if (code := step_code(head.step) + (planes << 8)) > MAX_STEP_CODE:
        return _encode_raw(decode_tensor(record, shape, dtype)), np.empty(0, np.int64)
    levels = decode_stream(reader, head.coder, head.count, head.exponents)
    stream = encode_stream(base_of(levels, planes), row_of(real_shape(shape, kind)), exponents=head.exponents)
    return _record(head.transform, stream, code.to_bytes(2, "little") + _unit_streams(head.units)), levels


def decode_tensor(
    data: bytes | Reader,
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    planes: Sequence[PlaneReader] = (),
    of: int = 0,
) -> Array:
    """The tensor of a record, of exactly this shape and dtype; the same bits on every platform.

    Lossy tensors are computed in float64 and rounded once. Bytes must hold one record and nothing else; a Reader may
    continue after it. Memory stays within a small multiple of the declared shape and is allocated only when the bytes
    can hold such a tensor. The caller bounds the shape.

    The levels of `Direct` with a step may lack their last `of` bits (`coarse_record`); `planes` restores the first of
    these.

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
    if not head.transform.in_planes:
        planes, of = (), 0
    if head.transform.quantiser is None:
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
            reader.spend(head.atoms.work)
            indices, table = head.atoms.read_indices(reader), head.atoms.read_table(reader)
            array = from_floats(head.atoms.weights(indices, q, head.step, head.offset, table), kind)
    if reader is not data:
        reader.end()
    return array.reshape(shape)


def describe_tensor(data: bytes | Reader, shape: tuple[int, ...], dtype: npt.DTypeLike) -> JsonObject:
    """The coding of a record, for reports; long streams are skipped, not decoded.

    Keys: transform, coder, bytes, bits_per_weight (a complex number is two weights), and where they apply
    step, octaves (of the scales), offset, dictionary, seed, k2, s, axis, indices, dictionary_bytes. Raises what
    `decode_tensor` raises.
    """
    kind = np.dtype(dtype)
    reader = data if isinstance(data, Reader) else Reader(data, "tensor")
    start = reader.position
    head = _Head.read(reader, shape, kind)
    coder = coder_of(reader, head.coder)
    name = f"{head.transform.name}{' trellis' * coder.follows_trellis(reader)}"
    coder.skip(reader, head.count, head.known_exponents)
    about: JsonObject = {"transform": name, "coder": coder.name}
    if head.transform.quantiser is not None:
        about["step"] = head.step
    if head.units is not None:
        about["octaves"] = sum(float(np.ptp(each)) for each in head.units) / PER_OCTAVE if head.count else 0.0
    if head.transform.quantiser is _MinMax:
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

    The record takes that size within 1 % or two bytes, or less. With scales, the error is that of the weights in their
    units.
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
    """(bytes, squared error) of `Sparse` with a code of a tensor and a step or bits, without coding it."""
    w = np.asarray(w)
    _check_quantiser(step, bits, False)
    try:
        q, step, offset, quantiser = _quantise(code.values, step, bits)
    except _OutOfRange:
        return float(len(_encode_raw(w))), 0.0
    indices = fill_unused(code.indices, code.k2)
    atoms = Atoms.of(code, len(code.indices), real_shape(w.shape, w.dtype), SETS)
    decoded = from_floats(atoms.weights(indices, q.T.reshape(-1), step, offset, code.table), w.dtype)
    bits_of_streams = ideal_bits(q) + set_bits(atoms.s, atoms.n, code.k2)
    bits_of_streams += 0.0 if code.table is None else ideal_bits(code.table)
    return 1 + len(quantiser) + len(atoms.write()) + bits_of_streams / 8, _squared_error(w, decoded)


# Records


class _Step:
    """A step of 16 bits; values are its multiples."""

    @staticmethod
    def read(reader: Reader) -> tuple[float, float]:
        """(step, offset)"""
        return step_value(int.from_bytes(reader.take(2), "little")), 0.0

    @staticmethod
    def write(step: float, offset: float = 0.0) -> bytes:
        return step_code(step).to_bytes(2, "little")


class _MinMax:
    """A step and an offset in float32."""

    @staticmethod
    def read(reader: Reader) -> tuple[float, float]:
        """(step, offset)"""
        step, offset = struct.unpack("<ff", reader.take(8))
        if not (math.isfinite(step) and step >= 0 and math.isfinite(offset)):
            raise MalformedError(f"{reader.name}: expected finite step and offset, got {step}, {offset}")
        return step, offset

    @staticmethod
    def write(step: float, offset: float) -> bytes:
        return struct.pack("<ff", step, offset)


@dataclass(frozen=True)
class _Transform:
    """How the integers of a record become the numbers of a tensor."""

    id: int
    name: str
    quantiser: type[_Step | _MinMax] | None = None  # none: elements by value or by their bits
    sparse: bool = False  # coefficients of atoms, which follow
    scaled: bool = False  # in units that differ, which follow

    @property
    def in_planes(self) -> bool:
        """Whether the integers are levels that may lack their last bits."""
        return self.quantiser is _Step and not self.sparse


_RAW: Final = _Transform(0, "raw")
_TRANSFORMS: Final = {
    transform.id: transform
    for transform in (
        _RAW,
        _Transform(1, "direct", _Step),
        _Transform(2, "direct min-max", _MinMax),
        _Transform(3, "sparse", _Step, sparse=True),
        _Transform(4, "sparse min-max", _MinMax, sparse=True),
        _Transform(5, "direct scaled", _Step, scaled=True),
    )
}


def _transform_for(coding: Direct | Sparse) -> _Transform:
    quantiser = _MinMax if coding.step is None else _Step
    sparse, scaled = isinstance(coding, Sparse), isinstance(coding, Direct) and coding.scales is not None
    return next(t for t in _TRANSFORMS.values() if (t.quantiser, t.sparse, t.scaled) == (quantiser, sparse, scaled))


@dataclass(frozen=True)
class _Head:
    """The parameters before the streams of a record."""

    transform: _Transform
    coder: int  # of the first stream
    count: int  # of its integers
    step: float = 0.0
    offset: float = 0.0
    atoms: Atoms | None = None
    units: tuple[Ints, Ints] | None = None  # exponents of rows and of columns, where the transform is scaled
    shape: tuple[int, ...] = ()  # as real numbers

    @cached_property
    def exponents(self) -> Ints | None:
        """Exponents of the units of the integers; None without scales."""
        return None if self.units is None else exponents_of(*self.units, self.shape)

    @property
    def known_exponents(self) -> Ints | None:
        """Exponents for skipping the stream: of a long one only whether there are any."""
        return self.exponents if self.units is None or self.count <= SELF_ENDING else np.empty(0, np.int64)

    @classmethod
    def read(cls, reader: Reader, shape: tuple[int, ...], dtype: np.dtype) -> "_Head":
        check_dtype(dtype)
        number, coder = divmod(reader.byte(), 16)
        if number not in _TRANSFORMS:
            raise UnknownIdError(f"{reader.name}: transform id {number} is unknown to this version")
        transform = _TRANSFORMS[number]
        numbers = real_shape(shape, dtype)
        count = math.prod(numbers)
        if count > _MAX_NUMBERS:
            raise LimitError(f"{reader.name}: {count} numbers, expected at most {_MAX_NUMBERS}")
        if transform.quantiser is None:
            return cls(transform, coder, count)
        if not is_float(dtype):
            raise MalformedError(f"{reader.name}: a lossy transform for {dtype}")
        step, offset = transform.quantiser.read(reader)
        units = _read_scales(reader, numbers) if transform.scaled else None
        atoms = Atoms.read(reader, numbers) if transform.sparse else None
        return cls(transform, coder, atoms.s * atoms.n if atoms else count, step, offset, atoms, units, numbers)


def _record(transform: _Transform, stream: tuple[int, bytes], before: bytes = b"", after: bytes = b"") -> bytes:
    coder, body = stream
    return bytes([transform.id << 4 | coder]) + before + body + after


def _encode_raw(array: Array) -> bytes:
    return _record(_RAW, encode_stream(to_bits(array)))


def _encode_direct(w: Array, coding: Direct) -> bytes:
    if coding.step is not None:
        quantiser = _Step.write(coding.step) + _scale_streams(coding.scales)
        q = _direct_steps(w, coding.step, coding.trellis, coding.scales)
        row = row_of(w.shape) if coding.row is None else min(coding.row, q.size)
        exponents = None if coding.scales is None else coding.scales.exponents(w.shape)
        neighbours = coding.row is not None
        stream = encode_stream(q, row, neighbours=neighbours, trellis=coding.trellis, exponents=exponents)
        return _record(_transform_for(coding), stream, quantiser)
    q, _, _, quantiser = _quantise(w.astype(np.float64), None, coding.bits)
    return _record(_transform_for(coding), _encode_values(q, coding), quantiser)


def _scale_streams(scales: Scales | None) -> bytes:
    """Streams of the exponents of rows and of columns; a single zero where all are 0."""
    return _unit_streams(None if scales is None else (np.array(scales.rows or (0,)), np.array(scales.columns or (0,))))


def _unit_streams(units: tuple[Ints, Ints] | None) -> bytes:
    return b"".join(map(encode_ints, units or ()))


def _read_scales(reader: Reader, shape: tuple[int, ...]) -> tuple[Ints, Ints]:
    """Exponents of rows and of columns; equal ones take no memory, however many there are."""
    parts = []
    for count in matrix_of(shape):
        exponents = decode_ints(reader, count)
        if exponents.size and not 0 <= int(exponents.min()) <= int(exponents.max()) <= MAX_EXPONENT:
            raise MalformedError(f"{reader.name}: a scale is beyond {MAX_EXPONENT} quarter octaves")
        parts.append(exponents)
    return parts[0], parts[1]


def _encode_sparse(w: Array, coding: Sparse, code: SparseCode | None) -> bytes:
    kind, seed, k2, s, layout = coding.kind, coding.seed, coding.k2, coding.s, coding.layout
    atoms = Atoms.of(coding, s, w.shape, ORDERED if coding.paper else SETS)
    if s > atoms.k1:
        raise InputError(f"s: {s} atoms, expected at most the {atoms.k1} numbers of a vector")
    atoms.check_limits("sparse coding")
    if code is None:
        raise InputError("code: a sparse coding comes with the code of the tensor, expected one")
    if (code.kind, code.seed, code.k2, len(code.indices), code.layout) != (kind, seed, k2, s, layout):
        raise InputError("code: it is not the sparse code that the coding asks for")
    table = atoms.write_table(code.table)
    indices, values = fill_unused(code.indices, k2), code.values
    if coding.paper:
        coder, body = encode_words(indices.T, 2)
        coded = bytes([coder]) + body
    else:
        order = np.argsort(indices, axis=0)
        indices, values = np.take_along_axis(indices, order, 0), np.take_along_axis(values, order, 0)
        coded = b"" if atoms.dense else encode_sets(indices, k2)
    q, _, _, quantiser = _quantise(values, coding.step, coding.bits)
    return _record(_transform_for(coding), _encode_values(q.T, coding), quantiser + atoms.write(), coded + table)


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
    """Levels of weights for a 16-bit step, clipped so that no decoded value overflows the dtype."""
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
    """(q, step, offset, bytes of the quantiser) of coefficients, or of weights with min-max."""
    if step is not None:
        step = round_step(step)
        return _steps(values, step, _MAX_SPARSE_STEPS), step, 0.0, _Step.write(step)
    try:
        q, step, offset = minmax(values, bits or 0)
    except InputError:
        raise _OutOfRange from None
    return q, step, offset, _MinMax.write(step, offset)


_BLOCK: Final = 1 << 18  # numbers dequantised at a time, which bounds memory


def _restore(q: Ints, step: float, offset: float, dtype: np.dtype, exponents: Ints | None = None) -> Array:
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
