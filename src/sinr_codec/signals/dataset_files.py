"""Gridded data from files: read as the CF conventions store it, and looked at before anything is allocated for it."""

import contextlib
import math
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import InputError, MissingExtraError, listed, quoted
from sinr_codec.signals import hdf5, zarrs
from sinr_codec.signals.dataset_side import EnumType
from sinr_codec.signals.levels import DTYPES
from sinr_codec.signals.sources import existing, library, translated
from sinr_codec.types import Array

_MOST_BYTES: Final = 1 << 33
_MOST_RATIO: Final = 1000  # of what an uncompressed file declares to its own size: more is damage
GRIB: Final = (".grib", ".grib2", ".grb", ".grb2", ".gb2")
"""Extensions of a format that is refused with a remedy."""
_DIGITS: Final = "least_significant_digit"
_REFERENCES: Final = ("coordinates", "bounds", "climatology", "grid_mapping")


def import_xarray() -> Any:
    """The library, imported when a dataset is met."""
    return library("xarray", "science", "datasets")


def opened(xr: Any, source: Any, group: str | None, notes: list[str]) -> Any:
    """A source in memory, as the CF conventions store it.

    Its `encoding` has "unlimited_dims" and, of a file, "order", the names of the variables, and "unused": of dimensions
    that no variable has, size and whether it may grow.
    """
    if isinstance(source, xr.DataTree):
        source = _of_tree(source, group, notes)
    elif group is not None and not isinstance(source, str | os.PathLike):
        raise InputError("group: expected a file or a DataTree with groups")
    if isinstance(source, xr.DataArray):
        if source.name is None:
            notes.append("the array has no name and is stored as 'data'")
        source = source.to_dataset(name=source.name or "data")
    if isinstance(source, xr.Dataset):
        return encoded(xr, source, notes)
    if not isinstance(source, str | os.PathLike):
        raise InputError(f"dataset: expected a file, xarray.Dataset or xarray.DataArray, got {type(source).__name__}")
    path = existing(source, "a netCDF file")
    if path.suffix.lower() in GRIB:
        raise InputError(
            f"{path}: GRIB is not read; convert it to netCDF (grib_to_netcdf, cdo -f nc4 copy), or encode the Dataset "
            "that xarray opens with cfgrib"
        )
    kind, engine = ("a Zarr group", "zarr") if path.is_dir() else ("a netCDF file", "netcdf4")
    with translated(path, f"expected {kind} that xarray opens ({{reason}})"), backend(path):
        # xarray reads some variables when it opens a file.
        names, dims = _check_zarr(path, group, notes) if path.is_dir() else _check_netcdf(path, group, notes)
        with xr.open_dataset(path, decode_cf=False, cache=False, engine=engine, group=group) as file:
            raw = file.load()
    for v in raw.variables.values():
        if (digits := v.encoding.get(_DIGITS)) is not None:
            v.attrs[_DIGITS] = digits  # an attribute that xarray takes for a part of the layout
    raw.encoding |= {"order": names, "unused": {d: about for d, about in dims.items() if d not in raw.sizes}}
    return raw


def _of_tree(tree: Any, group: str | None, notes: list[str]) -> Any:
    """The dataset of a node of a DataTree."""
    try:
        node = tree[group] if group is not None else tree
    except KeyError:
        node = None
    if not hasattr(node, "children"):
        raise InputError(f"group: no group {quoted(group)}; expected one of {_listed(_groups_of_tree(tree))}")
    _note_groups(_groups_of_tree(node), bool(node.variables), "the DataTree", notes)
    return node.to_dataset()


def _groups_of_tree(node: Any) -> list[str]:
    return [below.path.strip("/") for below in node.descendants if below.variables]


def _check_netcdf(path: Path, group: str | None, notes: list[str]) -> tuple[list[str], dict[str, tuple[int, bool]]]:
    """Look at the declarations of a netCDF file; names of variables; sizes of dimensions, and whether they grow."""
    import netCDF4

    hdf5.check(path, "science")
    with netCDF4.Dataset(path) as file:
        node = _node(file, group, path, [name for name, _ in _groups(file)])
        _note_groups([name for name, below in _groups(node) if below.variables], bool(node.variables), path, notes)
        declared = sum(_bytes(v) for v in node.variables.values())
        if file.data_model.startswith("NETCDF3") and declared > _MOST_RATIO * path.stat().st_size:
            raise InputError(f"{path}: declares {declared:,} bytes, which the file cannot hold; it is damaged")
        _check_size(declared, path)
        dims = {str(d.name): (int(d.size), bool(d.isunlimited())) for d in node.dimensions.values()}
        return list(node.variables), dims


def _check_zarr(path: Path, group: str | None, notes: list[str]) -> tuple[list[str], dict[str, tuple[int, bool]]]:
    """Look at the declarations of a Zarr group, which has no order, and no dimensions but those of its arrays."""
    import zarr

    zarrs.check(path)
    root = zarr.open_group(path, mode="r")
    below = [(name, member) for name, member in root.members(max_depth=None) if hasattr(member, "arrays")]
    node = _node(root, group, path, [name for name, _ in below])
    arrays = [array for _, array in node.arrays()]
    start = f"{group.strip('/')}/" if group else ""
    inner = [name for name, member in below if name.startswith(start) and next(iter(member.arrays()), None)]
    _note_groups([name for name in inner if f"{name}/" != start], bool(arrays), path, notes)
    _check_size(sum(map(_bytes, arrays)), path)
    return [], {}


def _node(root: Any, group: str | None, path: Path, groups: Sequence[str]) -> Any:
    """The group of a name in a file."""
    if group is None:
        return root
    if group.strip("/") not in groups:
        raise InputError(f"{path}: has no group {quoted(group)}; expected {_listed(groups) or 'no group: it has none'}")
    return root[group.strip("/")]


def _groups(node: Any) -> Iterator[tuple[str, Any]]:
    """The groups below a group of a netCDF file, by their paths."""
    for below in node.groups.values():
        yield below.path.strip("/"), below
        yield from _groups(below)


def _note_groups(groups: Sequence[str], has_variables: bool, source: Any, notes: list[str]) -> None:
    """Say that groups are left out; where there is nothing else, that one of them is to be named."""
    if groups and not has_variables:
        raise InputError(f"{source}: holds its variables in groups; name one (--group, group=): {_listed(groups)}")
    if groups:
        notes.append(f"left out, as a file holds one group: {_listed(groups)}; name another one (--group, group=)")


def _listed(names: Sequence[str], most: int = 12) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _check_size(declared: int, path: Path) -> None:
    if declared > _MOST_BYTES:
        raise InputError(f"{path}: declares {declared:,} bytes; expected at most {_MOST_BYTES:,}: take a part of it")


def _bytes(variable: Any) -> int:
    """What a variable of a file takes in memory, in Python's integers; texts as references."""
    return math.prod(map(int, variable.shape)) * (getattr(variable.dtype, "itemsize", 0) or 8)


def encoded(xr: Any, dataset: Any, notes: list[str]) -> Any:
    """A dataset in memory as xarray would store it, but with NaN as fill value only where it occurs."""
    dataset = dataset.compute()
    for name, v in dataset.variables.items():
        said = v.attrs | v.encoding
        if not {"_FillValue", "missing_value"} & {*said}:
            if v.dtype.kind == "f" and not np.isnan(v.values).any():
                v.encoding["_FillValue"] = None
        elif differ(said.get("_FillValue"), said.get("missing_value")):
            # xarray has made NaN of both, and writes only one of them.
            v.attrs.pop("missing_value", None)
            v.encoding.pop("missing_value", None)
            notes.append(f"{name}: missing_value is left out, as xarray has made one of it and _FillValue")
    with translated("dataset", "cannot be stored by the CF conventions ({reason})"):
        variables, attrs = xr.conventions.encode_dataset_coordinates(dataset)
        variables, attrs = xr.conventions.cf_encoder(variables, attrs)
    raw = xr.Dataset({str(n): (tuple(map(str, v.dims)), v.data, v.attrs) for n, v in variables.items()}, attrs=attrs)
    for name, v in dataset.variables.items():
        if str(name) in raw.variables and "dtype" in v.encoding:
            raw.variables[str(name)].encoding["dtype"] = v.encoding["dtype"]
    raw.encoding["unlimited_dims"] = dataset.encoding.get("unlimited_dims", ())
    return raw


def differ(fill: Any, other: Any) -> bool:
    """Whether two marks of missing values are there and differ."""
    a, b = (np.asarray(mark).reshape(-1) for mark in (fill, other))
    return (
        fill is not None
        and other is not None
        and not np.array_equal(a, b, equal_nan=a.dtype.kind == b.dtype.kind == "f")
    )


def enum_of(variable: Any) -> EnumType | None:
    """The names of a variable's integers, which xarray keeps in the metadata of their dtype."""
    metadata = getattr(variable.encoding.get("dtype"), "metadata", None) or {}
    if not {"enum", "enum_name"} <= metadata.keys():
        return None
    return EnumType(metadata["enum_name"], {str(key): int(value) for key, value in metadata["enum"].items()})


def encoded_times(values: Array, attrs: Mapping[str, Any]) -> NDArray[np.float64]:
    """Dates in the units of a stored time coordinate."""
    xr = import_xarray()
    with translated("times", "expected dates of the file's calendar ({reason})"):
        encoding = {"units": attrs["units"], "calendar": attrs.get("calendar", "standard"), "dtype": np.float64}
        flat = xr.Variable("point", values.reshape(-1), encoding=encoding)
        numbers = xr.conventions.encode_cf_variable(flat).values
        return numbers.astype(np.float64).reshape(values.shape)


def restricted(raw: Any, names: Collection[str], source: str) -> Any:
    """The data variables asked for, and what they refer to."""
    check_names(raw, names, source)
    refers = references(raw)
    dims = {d for n in names for d in raw[n].dims}
    keep = [n for n, v in raw.variables.items() if n in names or (n in {*refers, *raw.dims} and set(v.dims) <= dims)]
    keep += [n for n, v in raw.variables.items() if n not in keep and n in refers and dims & set(v.dims)]
    return raw[[n for n in raw.variables if n in keep]]


def names_in(given: str | Sequence[str] | None, known: Collection[str]) -> list[str]:
    """Names from a text or several; commas separate names, where there is no variable of the whole text."""
    texts = [given] if isinstance(given, str) else list(given or ())
    whole = [name in known or not isinstance(name, str) for name in texts]
    return [each for name, one in zip(texts, whole) for each in ([name] if one else name.replace(" ", "").split(","))]


def check_names(raw: Any, names: Collection[str], source: str) -> None:
    """Raise `InputError` for a name that no variable has."""
    if unknown := [n for n in names if n not in raw.variables]:
        known = listed(raw.variables)
        raise InputError(f"{source}: no variable {quoted(unknown[0])}; expected some of {known}")


def references(raw: Any) -> set[str]:
    """Names that attributes of the CF conventions mention: coordinates, bounds, grid mappings."""
    names: set[str] = set()
    for attrs in (raw.attrs, *(v.attrs for v in raw.variables.values())):
        for key in _REFERENCES:
            names |= set(re.findall(r"[^\s:]+", str(attrs.get(key, ""))))
    return names


def plain(variable: Any) -> Array:
    """A variable's elements in native byte order; texts as objects.

    Raises
    ------
    InputError : elements that cannot be stored, or none
    """
    array = np.asarray(variable.data)
    if not array.size:
        raise InputError(f"no samples along {variable.dims[array.shape.index(0)]}")
    if array.dtype.kind == "S" and array.dtype.itemsize:
        return array
    if array.dtype.kind in "OUT" and all(isinstance(item, str) for item in array.reshape(-1)):
        return array.astype(object)
    if array.dtype.newbyteorder("=").name not in DTYPES:
        said = "lists or objects" if array.dtype.kind == "O" else "records" if array.dtype.names else str(array.dtype)
        raise InputError(f"elements of type {said}")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


@contextlib.contextmanager
def backend(path: Any) -> Iterator[None]:
    """Name the extra where the library that xarray needs for a file is missing."""
    try:
        yield
    except MissingExtraError:
        raise
    except ImportError as error:
        raise MissingExtraError(f"{path}: needs netCDF4 or zarr: pip install 'sinr-codec[science]'") from error
