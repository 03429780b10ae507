"""What a dataset is besides the values of its fields, and the side section that holds it."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import cbor2
import numpy as np
from numpy.typing import NDArray

from sinr_codec.coding.varint import Reader, write_varint
from sinr_codec.container.format import loads
from sinr_codec.errors import InputError, LimitError, MalformedError
from sinr_codec.signals.levels import DTYPES, Levels
from sinr_codec.signals.lossless import Mask, pack, read_array, unpack, write_array, write_mask
from sinr_codec.types import Array

TEXT: Final = "text"
"""The dtype of variables of texts."""
MOST_SIZE: Final = 1 << 40
"""Largest size of a dimension, and most elements of a variable."""
_MOST_META: Final = 1 << 22
_MOST_DIMS: Final = 32
_MOST_AXES: Final = 8
_NUMBERS: Final = {"_FillValue", "missing_value", "scale_factor", "add_offset"}  # attributes that are computed with


@dataclass(frozen=True, eq=False)
class Variable:
    """One variable as it is stored.

    Attributes
    ----------
    name, dims, dtype, attrs
        As in the source; `dtype` is NumPy's name, or "S" and a length, or "text".
    levels
        Of a field: the stored numbers that map to -1 and +1 (unsigned where the attribute `_Unsigned` says so).
    mask, mask_dims
        Of a field with missing values: true where one is, over those dimensions along which it changes.
    data
        Of any other variable: its elements.
    """

    name: str
    dims: tuple[str, ...]
    dtype: str
    attrs: dict[str, Any]
    levels: Levels | None = None
    mask: Mask | None = None
    mask_dims: tuple[str, ...] = ()
    data: Array | None = None

    @property
    def fill(self) -> Any:
        """What stands for a missing value: `_FillValue`, else `missing_value`, else NaN."""
        found = marks(self.attrs)
        return found[0] if found else math.nan

    @property
    def has_fill(self) -> bool:
        """Whether the dtype can hold `fill`."""
        if np.dtype(self.dtype).kind == "f":
            return True
        info, fill = np.iinfo(self.dtype), self.fill
        # As Python's integers, which compare exactly.
        return float(fill).is_integer() and info.min <= int(fill) <= info.max

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
    """

    dims: dict[str, int]
    attrs: dict[str, Any]
    variables: tuple[Variable, ...]
    unlimited: tuple[str, ...] = ()
    earth: tuple[str, str] | None = None
    sphere: bool = True

    def shape(self, dims: Sequence[str]) -> tuple[int, ...]:
        """Sizes of some dimensions."""
        return tuple(self.dims[d] for d in dims)

    def find(self, name: str) -> Variable | None:
        """The variable of a name, if there is one."""
        return next((v for v in self.variables if v.name == name), None)

    def named(self, name: str) -> Variable:
        """The variable of a name that is there."""
        return next(v for v in self.variables if v.name == name)


def marks(attrs: Mapping[str, Any]) -> list[Any]:
    """The numbers that the attributes declare to stand for missing values."""
    return [mark for name in ("_FillValue", "missing_value") for mark in _numbers(attrs.get(name))]


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


def write_side(content: Content, masks: Mapping[str, tuple[tuple[str, ...], NDArray[np.bool_]]]) -> bytes:
    """Metadata in CBOR, then the arrays of variables in their order and the masks, all packed together."""
    number = {name: i for i, name in enumerate(content.dims)}
    variables: list[Any] = []
    arrays: list[bytes] = []
    stored: dict[tuple[tuple[str, ...], bytes], int] = {}
    for v in content.variables:
        if len(v.dims) > _MOST_DIMS:
            raise InputError(f"{v.name}: expected at most {_MOST_DIMS} dimensions, found {len(v.dims)}")
        record: list[Any] = [v.name, [number[d] for d in v.dims], v.dtype, _to_cbor(v.attrs, v.name)]
        if v.levels is not None:
            mask = -1
            if v.name in masks:
                dims, array = masks[v.name]
                mask = stored.setdefault((dims, write_mask(array)), len(stored))
            record += [v.levels.to_header(), mask]
        elif v.dtype == TEXT:
            record.append([str(text) for text in np.asarray(v.data).reshape(-1)])
        else:
            arrays.append(write_array(np.asarray(v.data)))
        variables.append(record)
    meta = [
        [[name, size] for name, size in content.dims.items()],
        _to_cbor(content.attrs, "the dataset"),
        [number[d] for d in content.unlimited],
        [*(content.earth or ()), *([content.sphere] if content.earth else [])],
        [[number[d] for d in dims] for dims, _ in stored],
        variables,
    ]
    coded = cbor2.dumps(meta)
    if len(coded) > _MOST_META:
        raise InputError(f"attributes and texts take {len(coded):,} bytes; expected at most {_MOST_META:,}")
    try:
        loads(coded)
    except MalformedError as error:
        raise InputError("attributes: lists and maps in each other are nested too deep; expected flat ones") from error
    return pack(write_varint(len(coded)) + coded + b"".join(arrays) + b"".join(blob for _, blob in stored))


def read_side(side: bytes) -> Content:
    """Inverse of `write_side`."""
    reader = Reader(unpack(side, "dataset side"), "dataset side")
    length = reader.varint()
    if length > _MOST_META:
        raise LimitError(f"dataset side: {length:,} bytes of metadata; this reader accepts {_MOST_META:,}")
    coded = reader.take(length)
    meta = loads(bytes(coded))
    expect(type(meta) is list and len(meta) == 6 and all(type(part) is list for i, part in enumerate(meta) if i != 1))
    sizes, attrs, unlimited, earth, mask_dims, records = meta
    dims: dict[str, int] = {}
    for entry in sizes:
        expect(type(entry) is list and len(entry) == 2 and type(entry[0]) is str and type(entry[1]) is int)
        expect(entry[0] not in dims and 1 <= entry[1] <= MOST_SIZE)
        dims[entry[0]] = entry[1]
    names = list(dims)

    def named(numbers: Any) -> tuple[str, ...]:
        expect(type(numbers) is list and all(type(i) is int and 0 <= i < len(names) for i in numbers))
        expect(len(numbers) <= _MOST_DIMS)  # NumPy knows no more than 64
        expect(len(set(numbers)) == len(numbers) and math.prod(dims[names[i]] for i in numbers) <= MOST_SIZE)
        return tuple(names[i] for i in numbers)

    variables = [_read_variable(record, named, dims, reader) for record in records]
    expect(len({v.name for v, _ in variables}) == len(variables))
    masks = []
    for numbers in mask_dims:
        over = named(numbers)
        expect(len(over) > 0)
        masks.append((over, Mask(reader, tuple(dims[d] for d in over))))
    reader.end()
    complete = []
    for v, mask in variables:
        if mask >= 0:
            expect(mask < len(masks) and set(masks[mask][0]) <= set(v.dims) and v.has_fill)
            v = replace(v, mask_dims=masks[mask][0], mask=masks[mask][1])
        complete.append(v)
    expect(any(v.levels is not None for v in complete))
    expect({d for v in complete for d in v.dims} == set(dims))
    expect(not earth or (len(earth) == 3 and type(earth[0]) is type(earth[1]) is str and type(earth[2]) is bool))
    return Content(
        dims,
        _attributes(attrs),
        tuple(complete),
        named(unlimited),
        (earth[0], earth[1]) if earth else None,
        earth[2] if earth else True,
    )


def _read_variable(
    record: Any, named: Callable[[Any], tuple[str, ...]], dims: Mapping[str, int], reader: Reader
) -> tuple[Variable, int]:
    """A variable, and the number of its mask or -1."""
    expect(type(record) is list and 4 <= len(record) <= 6 and type(record[0]) is type(record[2]) is str)
    name, over, dtype, attrs = record[0], named(record[1]), record[2], _attributes(record[3])
    shape = tuple(dims[d] for d in over)
    if len(record) == 6:
        levels, mask = Levels.from_header(record[4]), record[5]
        expect(type(mask) is int and mask >= -1 and dtype in DTYPES and dtype != "bool" and len(over) > 0)
        expect(levels.dtype in (dtype, unsigned(dtype, attrs)))
        return Variable(name, over, dtype, attrs, levels), mask
    if len(record) == 5:
        texts = record[4]
        expect(dtype == TEXT and type(texts) is list and len(texts) == math.prod(shape))
        expect(all(type(text) is str for text in texts))
        return Variable(name, over, dtype, attrs, data=np.array(texts, dtype=object).reshape(shape)), -1
    expect(dtype in DTYPES or re.fullmatch(r"S[1-9][0-9]{0,4}", dtype) is not None)
    return Variable(name, over, dtype, attrs, data=read_array(reader, np.dtype(dtype), shape)), -1


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
    return "u" + dtype if attrs.get("_Unsigned") == "true" and dtype in ("int8", "int16", "int32", "int64") else dtype
