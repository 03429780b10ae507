"""What a dataset is besides the values of its fields, and the side section that holds it."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Final

import cbor2
import numpy as np
from numpy.typing import NDArray

from sinr_codec.coding.varint import Reader, write_varint
from sinr_codec.container.format import loads
from sinr_codec.errors import InputError, LimitError, MalformedError
from sinr_codec.signals.levels import DTYPES, Levels
from sinr_codec.signals.lossless import Mask, Packed, array_bytes, pack, read_array, write_array, write_mask
from sinr_codec.types import Array

TEXT: Final = "text"
"""The dtype of variables of texts."""
MOST_SIZE: Final = 1 << 40
"""Largest size of a dimension, and most elements of a variable."""
_MOST_META: Final = 1 << 22
_MOST_ITEMS: Final = 1 << 19  # in the metadata
_MOST_VARIABLES: Final = 1 << 14
_MOST_DIMS: Final = 32
_MOST_AXES: Final = 8
_VARINT: Final = 10  # bytes of the longest one
_NUMBERS: Final = {"_FillValue", "missing_value", "scale_factor", "add_offset"}  # attributes that are computed with


Hole = tuple[Any, tuple[str, ...], NDArray[np.bool_]]
"""Cells of a field that hold a number instead of a value: the number, None for what the attributes declare; and where
they are, over those dimensions along which that changes."""


@dataclass(frozen=True, eq=False)
class Gap:
    """Cells of a field that hold a number instead of a value.

    Attributes
    ----------
    number
        As the source stores it: a fill value, NaN or infinity.
    dims
        Dimensions along which the cells change.
    read
        The cells, unpacked when they are asked for.
    """

    number: Any
    dims: tuple[str, ...]
    read: Callable[[], Mask]

    @property
    def mask(self) -> Mask:
        """Where the cells are, over `dims`."""
        return self.read()


@dataclass(frozen=True)
class EnumType:
    """A type of integers with names, as netCDF has it: its name, and the integers by name."""

    name: str
    members: dict[str, int]


@dataclass(frozen=True, eq=False)
class Variable:
    """One variable as it is stored.

    Attributes
    ----------
    name, dims, dtype, attrs
        As in the source; `dtype` is NumPy's name, or "S" and a length, or "text".
    levels
        Of a field: the stored numbers that map to -1 and +1 (unsigned where the attribute `_Unsigned` says so).
    gaps
        Of a field: the cells without a value.
    read
        Of any other variable: its elements, unpacked when they are asked for.
    enum
        Of integers with names: their type.
    """

    name: str
    dims: tuple[str, ...]
    dtype: str
    attrs: dict[str, Any]
    levels: Levels | None = None
    gaps: tuple[Gap, ...] = ()
    read: Callable[[], Array] | None = None
    enum: EnumType | None = None

    @property
    def data(self) -> Array:
        """The elements of a variable that is no field."""
        assert self.read is not None
        return self.read()

    @property
    def is_number(self) -> bool:
        """Whether the elements are integers or floats."""
        return self.dtype in DTYPES and self.dtype != "bool"

    @property
    def declared(self) -> Any:
        """What the attributes declare to stand for a missing value, as the dtype holds it; None where it cannot.

        That is the first number of `_FillValue`, else of `missing_value`, else NaN.
        """
        found = marks(self.attrs)
        return as_stored(found[0] if found else math.nan, np.dtype(self.dtype))

    @property
    def units(self) -> str:
        """Units of the physical numbers, as the attribute `units` says; empty where it does not."""
        units = self.attrs.get("units")
        return units if isinstance(units, str) else ""

    @property
    def scale(self) -> tuple[float, float]:
        """(factor, offset) from stored numbers to physical ones."""
        return _number(self.attrs, "scale_factor", 1.0), _number(self.attrs, "add_offset", 0.0)

    def physical(self, stored: Array) -> NDArray[np.float64]:
        """Stored numbers, unpacked."""
        factor, offset = self.scale
        with np.errstate(over="ignore", invalid="ignore"):
            return stored.astype(np.float64) * factor + offset


@dataclass(frozen=True, eq=False)
class Content:
    """A dataset but for the values of its fields.

    Attributes
    ----------
    dims
        Sizes by name.
    attrs, variables
        Global attributes; variables in the source's order.
    unlimited
        Names of the dimensions that may grow.
    earth
        Names of the variables with latitude and longitude, where the fields have both.
    sphere
        Whether those become points of the unit sphere, or their dimensions axes like others.
    steady
        Dimensions of latitude and longitude along which neither changes.
    unused
        Of dimensions that no variable has: size, and whether it may grow.
    unpacked
        Bytes of the side section, unpacked.
    """

    dims: dict[str, int]
    attrs: dict[str, Any]
    variables: tuple[Variable, ...]
    unlimited: tuple[str, ...] = ()
    earth: tuple[str, str] | None = None
    sphere: bool = True
    steady: tuple[str, ...] = ()
    unused: dict[str, tuple[int, bool]] = field(default_factory=dict)
    unpacked: int = 0

    def shape(self, dims: Sequence[str]) -> tuple[int, ...]:
        """Sizes of some dimensions."""
        return tuple(self.dims[d] for d in dims)

    @cached_property
    def by_name(self) -> dict[str, Variable]:
        """The variables by name."""
        return {v.name: v for v in self.variables}

    def find(self, name: str) -> Variable | None:
        """The variable of a name, if there is one."""
        return self.by_name.get(name)

    def named(self, name: str) -> Variable:
        """The variable of a name that is there."""
        return self.by_name[name]


def as_stored(number: Any, dtype: np.dtype[Any]) -> Any:
    """A number of an attribute as cells of a dtype hold it; None where they cannot.

    Floats are rounded to the dtype, as by a program that writes the attribute in double precision and the cells not.
    """
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return np.asarray(number).astype(dtype)[()]
    if not float(number).is_integer():
        return None
    info, whole = np.iinfo(dtype), int(number)  # Python's integers compare exactly
    return dtype.type(whole) if info.min <= whole <= info.max else None


def marks(attrs: Mapping[str, Any]) -> list[Any]:
    """The numbers that the attributes declare to stand for missing values."""
    return [mark for name in ("_FillValue", "missing_value") for mark in _numbers(attrs.get(name))]


def valid_range(attrs: Mapping[str, Any], dtype: np.dtype[Any]) -> tuple[float, float]:
    """Least and greatest stored number that the attributes declare to be valid; infinite where they do not.

    Attributes of another kind than the dtype may be about unpacked numbers, and do not count.
    """
    ends = []
    for name, number, missing in (("valid_min", 0, -math.inf), ("valid_max", 1, math.inf)):
        both, alone = _numbers(attrs.get("valid_range")), _numbers(attrs.get(name))
        found = both[number : number + 1] if both.size == 2 else alone[:1]
        same = found.size and (found.dtype.kind == "f") == (dtype.kind == "f")
        # Rounded as the cells are, so that a cell at the end is within.
        end = as_stored(found[0], dtype) if same else None
        ends.append(missing if end is None or not np.isfinite(end) else float(end))
    return ends[0], ends[1]


def _number(attrs: Mapping[str, Any], name: str, default: float) -> float:
    value = _numbers(attrs.get(name))
    return float(value[0]) if value.size else default


def _numbers(value: Any) -> Array:
    """The numbers of an attribute, which is one or a list of them; none where it is something else."""
    array = np.asarray(value if _is_flat(value) else None).reshape(-1)
    return array if array.dtype.kind in "iuf" else np.empty(0)


def _is_flat(value: Any) -> bool:
    """Whether an attribute is a single thing, or a list of such."""
    if isinstance(value, list | tuple):
        return not any(isinstance(item, list | tuple | Mapping) or np.ndim(item) for item in value)
    return not isinstance(value, Mapping) and np.ndim(value) <= 1


def write_side(content: Content, holes: Mapping[str, Sequence[Hole]]) -> bytes:
    """Metadata in CBOR, then the arrays of variables in their order and the masks, all packed together."""
    number = {name: i for i, name in enumerate(content.dims)}
    variables: list[Any] = []
    arrays: list[bytes] = []
    masks: dict[tuple[tuple[str, ...], bytes], int] = {}
    gaps: list[Any] = []
    for v in content.variables:
        if len(v.dims) > _MOST_DIMS:
            raise InputError(f"{v.name}: expected at most {_MOST_DIMS} dimensions, found {len(v.dims)}")
        record: list[Any] = [v.name, [number[d] for d in v.dims], v.dtype, _to_cbor(v.attrs, v.name)]
        if v.levels is not None:
            declared = -1
            for held, dims, array in holes.get(v.name, ()):
                mask = masks.setdefault((dims, write_mask(array)), len(masks))
                if held is None:
                    declared = mask
                else:
                    gaps.append([len(variables), _to_cbor(held, v.name), mask])
            record += [v.levels.to_header(), declared]
        elif v.dtype == TEXT:
            record.append([str(text) for text in np.asarray(v.data).reshape(-1)])
        else:
            arrays.append(write_array(np.asarray(v.data)))
        variables.append(record)
    more = {
        "gaps": gaps,
        "enums": [[i, v.enum.name, v.enum.members] for i, v in enumerate(content.variables) if v.enum is not None],
        "steady": [number[d] for d in content.steady],
        "unused": [[name, *about] for name, about in content.unused.items()],
    }
    meta = [
        [[name, size] for name, size in content.dims.items()],
        _to_cbor(content.attrs, "the dataset"),
        [number[d] for d in content.unlimited],
        [*(content.earth or ()), *([content.sphere] if content.earth else [])],
        [[number[d] for d in dims] for dims, _ in masks],
        variables,
        *([{key: entries for key, entries in more.items() if entries}] if any(more.values()) else []),
    ]
    if len(variables) > _MOST_VARIABLES:
        raise InputError(f"{len(variables):,} variables; expected at most {_MOST_VARIABLES:,}: choose some (variables)")
    coded = cbor2.dumps(meta)
    if len(coded) > _MOST_META:
        raise InputError(f"attributes and texts take {len(coded):,} bytes; expected at most {_MOST_META:,}")
    try:
        loads(coded, _MOST_ITEMS)
    except MalformedError as error:
        raise InputError("attributes: lists and maps in each other are nested too deep; expected flat ones") from error
    except LimitError as error:
        raise InputError(f"attributes and texts: expected at most {_MOST_ITEMS:,}; leave variables out") from error
    return pack(write_varint(len(coded)) + coded + b"".join(arrays) + b"".join(blob for _, blob in masks))


def read_side(side: bytes) -> Content:
    """Inverse of `write_side`; arrays and masks are unpacked, and may turn out to be damaged, when they are used."""
    packed = Packed(side, "dataset side")
    head = Reader(packed.beginning(_VARINT), packed.name)
    size = head.varint()
    if size > _MOST_META:
        raise LimitError(f"dataset side: {size:,} bytes of metadata; this reader accepts {_MOST_META:,}")
    start = head.position + size
    coded = Reader(packed.beginning(start)[head.position :], packed.name).take(size)
    return _Metadata(loads(bytes(coded), _MOST_ITEMS), _Body(packed, start)).content()


class _Body:
    """The arrays and masks behind the metadata of a side section, unpacked when they are first used."""

    def __init__(self, packed: Packed, start: int) -> None:
        self._packed, self._end, self.size = packed, start, packed.size
        self._masks: list[tuple[int, ...]] = []

    def add_array(self, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Callable[[], Array]:
        """The elements of the next array."""
        start, self._end = self._end, self._end + array_bytes(dtype, shape)
        # Checked here, because a dataset of many arrays may declare more than there can be.
        expect(self._end <= self._packed.size)
        return lambda: read_array(Reader(memoryview(self._data)[start:], self._packed.name), dtype, shape)

    def add_mask(self, shape: tuple[int, ...]) -> Callable[[], Mask]:
        """The next mask; all arrays are before all masks."""
        number = len(self._masks)
        self._masks.append(shape)
        return lambda: self._read_masks[number]

    def check(self) -> None:
        """Raise `MalformedError` where the declared length is not that of the arrays, and there are no masks."""
        expect(bool(self._masks) or self._end == self._packed.size)

    @cached_property
    def _data(self) -> bytes:
        return self._packed.unpack()

    @cached_property
    def _read_masks(self) -> list[Mask]:
        reader = Reader(memoryview(self._data)[self._end :], self._packed.name)
        masks = [Mask(reader, shape) for shape in self._masks]
        reader.end()
        return masks


class _Metadata:
    """The metadata of a side section, and what it says of the bytes behind it."""

    def __init__(self, meta: Any, body: _Body) -> None:
        expect(type(meta) is list and 6 <= len(meta) <= 7)
        expect(all(type(part) is (dict if i in (1, 6) else list) for i, part in enumerate(meta)))
        self._body = body
        self._sizes, self._attrs, self._unlimited, self._earth, self._mask_dims, self._records = meta[:6]
        self._more: dict[Any, Any] = meta[6] if len(meta) > 6 else {}
        if len(self._records) > _MOST_VARIABLES:
            raise LimitError(f"dataset side: {len(self._records):,} variables; this reader accepts {_MOST_VARIABLES:,}")
        self._dims: dict[str, int] = {}
        for entry in self._sizes:
            expect(type(entry) is list and len(entry) == 2)
            expect(_is_dimension(entry[0], entry[1], least=1) and entry[0] not in self._dims)
            self._dims[entry[0]] = entry[1]
        self._names = list(self._dims)

    def content(self) -> Content:
        """What it describes."""
        enums = {number: _enum(*rest) for number, *rest in self._entries("enums", 3)}
        variables = [self._variable(record, enums.get(i)) for i, record in enumerate(self._records)]
        expect(len({v.name for v, _ in variables}) == len(variables))
        masks = [(dims, self._body.add_mask(self._shape(dims))) for dims in map(self._named, self._mask_dims)]
        expect(all(dims for dims, _ in masks))
        self._body.check()
        gaps: dict[int, list[Gap]] = {}

        def add(number: int, held: Any, mask: Any) -> None:
            expect(type(mask) is int and 0 <= mask < len(masks) and held is not None)
            expect(set(masks[mask][0]) <= set(variables[number][0].dims))
            gaps.setdefault(number, []).append(Gap(held, *masks[mask]))

        for number, (v, mask) in enumerate(variables):
            if mask >= 0:
                add(number, v.declared, mask)
        for number, held, mask in self._entries("gaps", 3):
            v, held = variables[number][0], _from_cbor(held)
            expect(v.levels is not None and isinstance(held, np.generic) and held.dtype.name == v.dtype)
            add(number, held, mask)
        complete = tuple(replace(v, gaps=tuple(gaps.get(i, ()))) for i, (v, _) in enumerate(variables))
        expect(any(v.levels is not None for v in complete))
        expect({d for v in complete for d in v.dims} == set(self._dims))
        earth = self._earth
        expect(not earth or (len(earth) == 3 and type(earth[0]) is type(earth[1]) is str and type(earth[2]) is bool))
        return Content(
            self._dims,
            _attributes(self._attrs),
            complete,
            self._named(self._unlimited),
            (earth[0], earth[1]) if earth else None,
            earth[2] if earth else True,
            self._named(self._more.get("steady", [])),
            self._unused(),
            self._body.size,
        )

    def _shape(self, dims: Sequence[str]) -> tuple[int, ...]:
        return tuple(self._dims[d] for d in dims)

    def _named(self, numbers: Any, *, repeated: bool = False) -> tuple[str, ...]:
        """Names of dimensions by their numbers, of which there are no more than NumPy knows."""
        expect(type(numbers) is list and all(type(i) is int and 0 <= i < len(self._names) for i in numbers))
        dims = tuple(self._names[i] for i in numbers)
        expect(len(dims) <= _MOST_DIMS and math.prod(self._shape(dims)) <= MOST_SIZE)
        expect(repeated or len(set(dims)) == len(dims))
        return dims

    def _variable(self, record: Any, enum: EnumType | None) -> tuple[Variable, int]:
        """A variable, and the number of the mask of its declared fill value or -1."""
        expect(type(record) is list and 4 <= len(record) <= 6 and type(record[0]) is type(record[2]) is str)
        name, dtype, attrs = record[0], record[2], _attributes(record[3])
        dims = self._named(record[1], repeated=len(record) < 6)
        shape = self._shape(dims)
        if len(record) == 6:
            levels, mask = Levels.from_header(record[4]), record[5]
            expect(type(mask) is int and mask >= -1 and dtype in DTYPES and dtype != "bool" and len(dims) > 0)
            expect(levels.dtype in (dtype, unsigned(dtype, attrs)))
            return Variable(name, dims, dtype, attrs, levels, enum=enum), mask
        if len(record) == 5:
            texts = record[4]
            expect(dtype == TEXT and type(texts) is list and len(texts) == math.prod(shape))
            expect(all(type(text) is str for text in texts))
            return Variable(name, dims, dtype, attrs, read=partial(_texts, texts, shape)), -1
        expect(dtype in DTYPES or re.fullmatch(r"S[1-9][0-9]{0,4}", dtype) is not None)
        read = self._body.add_array(np.dtype(dtype), shape)
        return Variable(name, dims, dtype, attrs, read=read, enum=enum), -1

    def _entries(self, key: str, length: int) -> list[Any]:
        """The entries about variables of a part that old files lack; each begins with the number of a variable."""
        entries = self._more.get(key, [])
        expect(type(entries) is list and all(type(entry) is list and len(entry) == length for entry in entries))
        expect(all(type(entry[0]) is int and 0 <= entry[0] < len(self._records) for entry in entries))
        return entries

    def _unused(self) -> dict[str, tuple[int, bool]]:
        """Dimensions that no variable has."""
        unused: dict[str, tuple[int, bool]] = {}
        entries = self._more.get("unused", [])
        expect(type(entries) is list)
        for entry in entries:
            expect(type(entry) is list and len(entry) == 3 and type(entry[2]) is bool)
            expect(_is_dimension(entry[0], entry[1], least=0) and entry[0] not in {*self._dims, *unused})
            unused[entry[0]] = entry[1], entry[2]
        return unused


def _is_dimension(name: Any, size: Any, least: int) -> bool:
    return type(name) is str and type(size) is int and least <= size <= MOST_SIZE


def _enum(name: Any, members: Any) -> EnumType:
    expect(type(name) is str and type(members) is dict)
    expect(all(type(key) is str and type(value) is int for key, value in members.items()))
    return EnumType(name, members)


def _texts(texts: list[str], shape: tuple[int, ...]) -> Array:
    return np.array(texts, dtype=object).reshape(shape)


def expect(holds: bool) -> None:
    """Raise `MalformedError` where a side section breaks a rule."""
    if not holds:
        raise MalformedError("dataset side: breaks the form that a writer gives it")


def _attributes(value: Any) -> dict[str, Any]:
    expect(type(value) is dict and all(type(key) is str for key in value))
    attrs = {key: _from_cbor(item) for key, item in value.items()}
    expect(all(_is_flat(attrs[name]) for name in _NUMBERS & attrs.keys()))
    return attrs


def _to_cbor(value: Any, name: str) -> Any:
    """An attribute as plain CBOR; NumPy numbers become {0: [dtype, bytes]} or {0: [dtype, bytes, shape]}."""
    if isinstance(value, float) and not math.isfinite(value):
        value = np.float64(value)
    if isinstance(value, np.generic | np.ndarray) and value.dtype.kind in "US":
        value = value.tolist()
    if isinstance(value, np.generic | np.ndarray) and value.dtype.newbyteorder("=").name in DTYPES:
        array = np.asarray(value)
        if array.ndim > _MOST_AXES:
            raise InputError(f"{name}: expected an array of at most {_MOST_AXES} axes, found {array.ndim}")
        raw = array.astype(array.dtype.newbyteorder("<")).tobytes()
        shape = [list(array.shape)] if isinstance(value, np.ndarray) else []
        return {0: [DTYPES.index(array.dtype.newbyteorder("=").name), raw, *shape]}
    if value is None or isinstance(value, str | bytes | bool | float):
        return value
    if isinstance(value, int) and -(2**63) <= value < 2**64:
        return value
    if isinstance(value, list | tuple):
        return [_to_cbor(item, name) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        if nested := [key for key in _NUMBERS & value.keys() if not _is_flat(value[key])]:
            raise InputError(f"{name}, attribute {nested[0]}: expected a number or a flat list of numbers")
        return {str(key): _to_cbor(item, f"{name}, attribute {key}") for key, item in value.items()}
    raise InputError(f"{name}: expected text, numbers and lists of them, found {type(value).__name__}; remove it")


def _from_cbor(value: Any) -> Any:
    if type(value) is list:
        return [_from_cbor(item) for item in value]
    if type(value) is not dict:
        return value
    if 0 not in value:
        return _attributes(value)
    entry = value[0]
    expect(len(value) == 1 and type(entry) is list and 2 <= len(entry) <= 3 and type(entry[1]) is bytes)
    expect(type(entry[0]) is int and 0 <= entry[0] < len(DTYPES))
    dtype, shape = np.dtype(DTYPES[entry[0]]), entry[2] if len(entry) == 3 else []
    expect(type(shape) is list and all(type(n) is int and n >= 0 for n in shape) and len(shape) <= _MOST_AXES)
    expect(math.prod(max(n, 1) for n in shape) <= MOST_SIZE)
    expect(len(entry[1]) == math.prod(shape) * dtype.itemsize)
    array = np.frombuffer(entry[1], dtype.newbyteorder("<")).astype(dtype).reshape(shape)
    return array if len(entry) == 3 else array[()]


def unsigned(dtype: str, attrs: Mapping[str, Any]) -> str:
    """The dtype that the numbers stand for, by the attribute `_Unsigned` of netCDF's classic packing."""
    said = attrs.get("_Unsigned") in ("true", "True")
    return "u" + dtype if said and dtype in ("int8", "int16", "int32", "int64") else dtype
