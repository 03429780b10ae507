"""Gridded data from and to files: xarray in memory, as the CF conventions store it, and pictures of it."""

import contextlib
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import InputError, MalformedError, MissingExtraError, quoted
from sinr_codec.files import atomic_folder
from sinr_codec.signals import zarrs
from sinr_codec.signals.base import MAX_SAMPLES
from sinr_codec.signals.dataset_globe import NAMES
from sinr_codec.signals.dataset_side import TEXT, Content, Variable, marks, unsigned
from sinr_codec.signals.levels import DTYPES, Levels
from sinr_codec.signals.sources import existing, library, translated
from sinr_codec.types import Array

SMALL: Final = 256
"""A variable with less than 1/SMALL of the values of the largest one is stored exactly."""
_HUGE: Final = 1e15
_MOST_BYTES: Final = 8 * MAX_SAMPLES
_MOST_RATIO: Final = 1000  # of what an uncompressed file declares to its own size: more is damage


def import_xarray() -> Any:
    """The library, imported when a dataset is met."""
    return library("xarray", "science", "datasets")


def opened(xr: Any, source: Any, notes: list[str]) -> Any:
    """A source in memory, as the CF conventions store it."""
    if isinstance(source, xr.DataArray):
        if source.name is None:
            notes.append("the array has no name and is stored as 'data'")
        source = source.to_dataset(name=source.name or "data")
    if isinstance(source, xr.Dataset):
        return _encoded(xr, source)
    if not isinstance(source, str | os.PathLike):
        raise InputError(f"dataset: expected a file, xarray.Dataset or xarray.DataArray, got {type(source).__name__}")
    path = existing(source, "a netCDF file")
    kind = "a Zarr group" if path.is_dir() else "a netCDF file"
    engine = {"engine": "zarr"} if path.is_dir() else {}
    with translated(path, f"expected {kind} that xarray opens ({{reason}})"), _backend(path):
        # xarray reads some variables when it opens a file.
        _check_declared(path)
        with xr.open_dataset(path, decode_cf=False, cache=False, **engine) as opened:
            return opened.load()


def _check_declared(path: Path) -> None:
    """Refuse a file that declares more than there can be, before anything is allocated for it."""
    if path.is_dir():
        import zarr

        zarrs.check(path)
        group = zarr.open_group(path, mode="r")
        declared = sum(_bytes(array) for _, array in group.arrays())
    else:
        import netCDF4

        with netCDF4.Dataset(path) as file:
            declared = sum(_bytes(v) for v in file.variables.values())
            if file.data_model.startswith("NETCDF3") and declared > _MOST_RATIO * path.stat().st_size:
                raise InputError(f"{path}: declares {declared:,} bytes, which the file cannot hold; it is damaged")
    if declared > _MOST_BYTES:
        raise InputError(f"{path}: declares {declared:,} bytes; expected at most {_MOST_BYTES:,}: take a part of it")


def _bytes(variable: Any) -> int:
    """What a variable of a file takes in memory, in Python's integers; texts as references."""
    return math.prod(map(int, variable.shape)) * (getattr(variable.dtype, "itemsize", 0) or 8)


def _encoded(xr: Any, dataset: Any) -> Any:
    """A dataset in memory as it would be stored."""
    with translated("dataset", "cannot be stored by the CF conventions ({reason})"):
        variables, attrs = xr.conventions.encode_dataset_coordinates(dataset.compute())
        variables, attrs = xr.conventions.cf_encoder(variables, attrs)
    raw = xr.Dataset({name: (v.dims, v.data, v.attrs) for name, v in variables.items()}, attrs=attrs)
    raw.encoding["unlimited_dims"] = dataset.encoding.get("unlimited_dims", ())
    return raw


def assembled(xr: Any, content: Content, arrays: Mapping[str, Array], decode: bool) -> Any:
    """A dataset of stored arrays; with `decode`, as xarray shows it when it opens a file."""
    # Attributes may say what cannot be: units, calendars, packing, names.
    hint = "; take the stored numbers with decode_cf=False" if decode else ""
    with translated("dataset", f"its description makes no dataset ({{reason}}){hint}", MalformedError):
        variables = {v.name: (v.dims, arrays[v.name], v.attrs) for v in content.variables if v.name in arrays}
        dataset = xr.Dataset(variables, attrs=content.attrs)
        if decode:
            dataset = xr.decode_cf(dataset).load()
    dataset.encoding["unlimited_dims"] = {d for d in content.unlimited if d in dataset.dims}
    return dataset


def encoded_times(values: Array, attrs: Mapping[str, Any]) -> NDArray[np.float64]:
    """Dates in the units of a stored time coordinate."""
    xr = import_xarray()
    with translated("times", "expected dates of the file's calendar ({reason})"):
        encoding = {"units": attrs["units"], "calendar": attrs.get("calendar", "standard"), "dtype": np.float64}
        flat = xr.Variable("point", values.reshape(-1), encoding=encoding)
        numbers = xr.conventions.encode_cf_variable(flat).values
        return numbers.astype(np.float64).reshape(values.shape)


def restricted(raw: Any, names: Sequence[str], source: str) -> Any:
    """The data variables asked for, and what they refer to."""
    if unknown := [n for n in names if n not in raw.variables]:
        names = ", ".join(map(str, raw.variables))
        raise InputError(f"{source}: no variable {quoted(unknown[0])}; expected some of {names}")
    refers = _references(raw)
    dims = {d for n in names for d in raw[n].dims}
    keep = [n for n, v in raw.variables.items() if n in names or (n in {*refers, *raw.dims} and set(v.dims) <= dims)]
    keep += [n for n, v in raw.variables.items() if n not in keep and n in refers and dims & set(v.dims)]
    return raw[[n for n in raw.variables if n in keep]]


def _references(raw: Any) -> set[str]:
    """Names that attributes of the CF conventions mention: coordinates, bounds, grid mappings."""
    names: set[str] = set()
    for attrs in (raw.attrs, *(v.attrs for v in raw.variables.values())):
        for key in ("coordinates", "bounds", "climatology", "grid_mapping"):
            names |= set(re.findall(r"[^\s:]+", str(attrs.get(key, ""))))
    return names


def plain(variable: Any, name: str) -> Array:
    """A variable's elements in native byte order; texts as objects."""
    array = np.asarray(variable.data)
    if array.dtype.kind == "S" and array.dtype.itemsize:
        return array
    if array.dtype.kind in "OUT" and all(isinstance(item, str) for item in array.reshape(-1)):
        return array.astype(object)
    if array.dtype.newbyteorder("=").name not in DTYPES:
        raise InputError(f"{name}: elements of type {array.dtype} cannot be stored; leave the variable out")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def choose(raw: Any, stored: Mapping[str, Array], source: str, notes: list[str]) -> list[str]:
    """Names of the variables that the network represents."""
    refers = _references(raw)
    likely = {}
    for name, array in stored.items():
        attrs = raw[name].attrs
        numbers = array.dtype.kind == "f" or (
            array.dtype.kind in "iu"
            and bool({"scale_factor", "add_offset", "units"} & set(attrs))
            and not {"flag_values", "flag_masks", "flag_meanings"} & set(attrs)
            and attrs.get("dtype") != "bool"
        )
        times = " since " in str(attrs.get("units", "")) or str(attrs.get("dtype", "")).startswith("timedelta")
        places = any(attrs.get("standard_name") == w or name.lower() in NAMES[w] for w in NAMES)
        if numbers and array.ndim and not (times or places or name in raw.dims or name in refers):
            missing = _is_missing(array, attrs)
            if array.size > 1 and (missing is None or not missing.all()):
                likely[name] = array.size
    if not likely:
        raise InputError(
            f"{source}: found no variable to represent; expected numbers on a grid: floats, or integers with `units`, "
            "`scale_factor` or `add_offset`"
        )
    largest = max(likely.values())
    chosen = [name for name, size in likely.items() if SMALL * size >= largest]
    exact = [n for n in stored if n not in chosen and n not in refers and n not in raw.dims and stored[n].size > 1]
    if exact:
        notes.append(f"stored exactly, not by the network: {', '.join(exact)}")
    return chosen


def _is_missing(array: Array, attrs: Mapping[str, Any]) -> NDArray[np.bool_] | None:
    """Where a stored variable has no value, or None where it has all."""
    missing = np.isnan(array) if array.dtype.kind == "f" else np.zeros(array.shape, bool)
    for mark in marks(attrs):
        if not np.isnan(mark):
            missing |= array == mark
    return missing if missing.any() else None


def described(
    raw: Any, stored: Mapping[str, Array], chosen: Sequence[str], source: str, notes: list[str]
) -> tuple[Content, dict[str, tuple[tuple[str, ...], NDArray[np.bool_]]]]:
    """What the side section has to hold, and the masks by field, over the dimensions along which they change."""
    variables: list[Variable] = []
    masks = {}
    for name, array in stored.items():
        dims, attrs = tuple(map(str, raw[name].dims)), dict(raw[name].attrs)
        if name not in chosen:
            dtype = TEXT if array.dtype.kind == "O" else array.dtype.name
            dtype = f"S{array.dtype.itemsize}" if array.dtype.kind == "S" else dtype
            variables.append(Variable(name, dims, dtype, attrs, data=array))
            continue
        if array.dtype.kind not in "iuf" or not dims:
            raise InputError(f"{source}: {name}: expected numbers on a grid, found {array.dtype}")
        missing = _is_missing(array, attrs)
        known = array if missing is None else array[~missing]
        levels = Levels.of(known.view(unsigned(array.dtype.name, attrs)), f"{source}: {name}")
        if max(abs(levels.low), abs(levels.high)) >= _HUGE:
            notes.append(
                f"{name}: holds values up to {max(abs(levels.low), abs(levels.high)):.3g}; if these mark missing "
                "cells, name them in the attribute _FillValue"
            )
        variables.append(Variable(name, dims, array.dtype.name, attrs, levels))
        if missing is not None:
            if not variables[-1].has_fill:
                raise InputError(f"{source}: {name}: expected a _FillValue that {array.dtype} holds, for missing cells")
            masks[name] = _reduced(missing, dims)
    content = Content(
        {str(d): int(n) for d, n in raw.sizes.items()},
        dict(raw.attrs),
        tuple(variables),
        tuple(str(d) for d in raw.sizes if d in set(raw.encoding.get("unlimited_dims", ()))),
    )
    return content, masks


def _reduced(mask: NDArray[np.bool_], dims: tuple[str, ...]) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
    """A mask without the dimensions along which it does not change."""
    kept = list(dims)
    for d in dims:
        axis = kept.index(d)
        first = mask.take(0, axis)
        if mask.ndim > 1 and (mask == np.expand_dims(first, axis)).all():
            mask = np.asarray(first)
            kept.remove(d)
    return tuple(kept), mask


@contextlib.contextmanager
def _backend(path: Any) -> Iterator[None]:
    """Name the extra where the library that xarray needs for a file is missing."""
    try:
        yield
    except ImportError as error:
        raise MissingExtraError(f"{path}: needs netCDF4 or zarr: pip install 'sinr-codec[science]'") from error


@contextlib.contextmanager
def writing(path: Any) -> Iterator[None]:
    """Turn what a backend raises into one line."""
    failure = "the dataset cannot be written in this format ({reason})"
    with translated(path, failure, untouched=(OSError,)), _backend(path):
        yield


def save_zarr(decoded: Any, path: Path) -> None:
    """Write a Zarr group beside its place, and rename it when it is whole."""
    with atomic_folder(path, "Zarr group") as temporary, writing(path):
        decoded.to_zarr(temporary, mode="w")


# From dark to light in even steps, violet over blue and green to yellow.
_COLOURS: Final = np.array(
    [(42, 20, 84), (54, 67, 138), (36, 113, 145), (36, 158, 129), (122, 198, 84), (250, 231, 70)]
)
_GREY: Final = 190
_LABEL: Final = 14


def maps(decoded: Any, names: Sequence[str]) -> Any:
    """A picture of the first slice of each variable, one above the other; cells without a value are grey."""
    from PIL import Image, ImageDraw

    panels = []
    for name in names:
        array = decoded[name]
        if array.dtype.kind not in "iuf":
            continue
        plane = np.atleast_2d(array.values[(0,) * (array.ndim - 2)]).astype(np.float64)
        rows = decoded.get(array.dims[-2]) if array.ndim > 1 else None
        if rows is not None and rows.ndim == 1 and rows.dtype.kind in "iuf" and rows[-1] > rows[0]:
            plane = plane[::-1]
        panels.append((name, plane, str(array.attrs.get("units", ""))))
    if not panels:
        raise InputError("picture: expected a variable of numbers to draw")
    width = max(plane.shape[1] for _, plane, _ in panels)
    height = sum(plane.shape[0] + _LABEL for _, plane, _ in panels)
    picture = Image.new("RGB", (width, height), "white")
    draw, top = ImageDraw.Draw(picture), 0
    for name, plane, units in panels:
        known = np.isfinite(plane)
        low, high = (float(plane[known].min()), float(plane[known].max())) if known.any() else (0.0, 0.0)
        unit = np.where(known, (plane - low) / ((high - low) or 1.0), 0.0) * (len(_COLOURS) - 1)
        steps = np.arange(len(_COLOURS))
        colours = np.stack([np.interp(unit, steps, _COLOURS[:, c]) for c in range(3)], -1)
        colours[~known] = _GREY
        draw.text((2, top + 1), f"{name}: {low:.4g} to {high:.4g} {units}", fill="black")
        picture.paste(Image.fromarray(np.rint(colours).astype(np.uint8)), (0, top + _LABEL))
        top += plane.shape[0] + _LABEL
    return picture
