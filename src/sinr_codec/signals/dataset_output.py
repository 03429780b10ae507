"""Datasets to files and to xarray: the stored form written as it is, decoded where xarray can, and pictures of it."""

import contextlib
import json
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from sinr_codec.errors import InputError, MalformedError, quoted
from sinr_codec.files import atomic_folder, atomic_write
from sinr_codec.signals.dataset_files import backend, differ, enum_of
from sinr_codec.signals.dataset_side import Content, EnumType, as_stored
from sinr_codec.signals.sources import library, reason, translated
from sinr_codec.types import Array

_FOREIGN: Final = {"_NCProperties", "_Netcdf4Dimid", "_Netcdf4Coordinates", "_nc3_strict"}  # netCDF's own attributes


def assembled(xr: Any, content: Content, arrays: Mapping[str, Array]) -> Any:
    """A dataset of stored arrays, as xarray opens a file without decoding it."""
    with translated("dataset", "its description makes no dataset ({reason})", MalformedError):
        variables = {v.name: (v.dims, arrays[v.name], v.attrs) for v in content.variables if v.name in arrays}
        dataset = xr.Dataset(variables, attrs=content.attrs)
    for name, v in dataset.variables.items():
        if (enum := content.named(name).enum) is not None:
            v.encoding["dtype"] = np.dtype(v.dtype, metadata={"enum": enum.members, "enum_name": enum.name})
        if v.dtype.kind == "f" and "_FillValue" not in v.attrs:
            v.encoding["_FillValue"] = None  # where there is none, xarray would write NaN
    dataset.encoding["unlimited_dims"] = {d for d in content.unlimited if d in dataset.dims}
    return dataset


def decoded(xr: Any, stored: Any) -> Any:
    """A dataset as xarray shows it when it opens a file.

    Attributes may say what xarray does not know, such as months since a date. Such variables stay as they are stored,
    and a warning names them.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _decode(xr, stored)
        except Exception:  # libraries raise anything; which variable it was shows when each is decoded alone
            result, unknown = _decode_known(xr, stored)
    named = "; ".join(f"{name} ({why})" for name, why in unknown.items())
    warnings.warn(f"as stored, because xarray cannot decode it: {named}", stacklevel=2)
    return result


def _decode(xr: Any, stored: Any) -> Any:
    result = xr.decode_cf(stored.copy()).load()
    for v in result.variables.values():
        if differ(v.encoding.get("_FillValue"), v.encoding.get("missing_value")):
            del v.encoding["missing_value"]  # both are NaN now, and xarray refuses to write two
    result.encoding["unlimited_dims"] = stored.encoding.get("unlimited_dims", set())
    return result


def _decode_known(xr: Any, stored: Any) -> tuple[Any, dict[Any, str]]:
    """A dataset with those variables decoded that can be, and why others cannot be, by name."""
    unknown: dict[Any, str] = {}
    plain = stored.copy()
    for name, v in stored.variables.items():
        try:
            _decode(xr, xr.Dataset({name: v}))
        except Exception as error:
            unknown[name] = reason(error).partition(". ")[0]
            plain.variables[name].attrs.clear()
    try:
        result = _decode(xr, plain)
    except Exception as error:
        return stored, {"all variables": reason(error)}
    for name in unknown:
        result.variables[name].attrs.update(stored.variables[name].attrs)
    return result, unknown


@contextlib.contextmanager
def writing(path: Any) -> Iterator[None]:
    """Turn what a backend raises into one line."""
    failure = "the dataset cannot be written in this format ({reason})"
    with translated(path, failure, untouched=(OSError,)), backend(path):
        yield


# -- netCDF ----------------------------------------------------------------------------------------------------


def save_netcdf(stored: Any, content: Content, path: Any) -> None:
    """Write a stored dataset as netCDF-4, with the variables in their order and the dimensions that none has.

    xarray would change attributes: it adds fill values and coordinates, and makes characters of strings.
    """
    netCDF4 = library("netCDF4", "science", path)
    changed: list[str] = []
    with atomic_write(path) as temporary, writing(path), netCDF4.Dataset(temporary, "w", format="NETCDF4") as file:
        file.set_fill_off()
        growing = stored.encoding.get("unlimited_dims", ())
        for name, size in stored.sizes.items():
            file.createDimension(name, None if name in growing else size)
        for name, (size, grows) in content.unused.items():
            file.createDimension(name, None if grows else size)
        _set_attributes(file, stored.attrs, "the dataset", changed)
        for name in sorted(stored.variables, key=list(content.by_name).index):
            _write_variable(file, name, stored.variables[name], changed)
    if changed:
        warnings.warn(f"{path}: not as in the source, because netCDF lacks it: {', '.join(changed)}", stacklevel=2)


def _write_variable(file: Any, name: str, v: Any, changed: list[str]) -> None:
    """Create and write one variable."""
    array, dims, attrs = np.asarray(v.values), list(v.dims), dict(v.attrs)
    datatype: Any = array.dtype
    if array.dtype.kind in "OU":
        datatype = str
    elif array.dtype.kind == "S":
        if (length := array.dtype.itemsize) > 1:
            dims.append(f"string{length}")
            if dims[-1] not in file.dimensions:
                file.createDimension(dims[-1], length)
            array = array[..., None].view("S1")
        datatype = "S1"
    elif array.dtype.kind == "b":
        datatype, array, attrs = np.dtype("i1"), array.astype("i1"), attrs | {"dtype": "bool"}  # as xarray does
    elif array.dtype == np.float16:
        datatype = np.dtype("f4")
    if (enum := enum_of(v)) is not None:
        if np.isin(array, list(enum.members.values())).all():
            datatype = _enum_type(file, array.dtype, enum)
        else:
            changed.append(f"names of the integers of {name} left out, as some have none")
    fill = _fill_value(attrs.pop("_FillValue", None), datatype, name, changed)
    variable = file.createVariable(name, datatype, dims, fill_value=fill)
    variable.set_auto_maskandscale(False)
    variable.set_auto_chartostring(False)
    _set_attributes(variable, attrs, name, changed)
    variable[...] = array


def _fill_value(value: Any, datatype: Any, name: str, changed: list[str]) -> Any:
    """The attribute `_FillValue`, which netCDF wants in the type of the variable; None where there is none."""
    flat = np.asarray(value).reshape(-1)
    if value is None or (datatype in ("S1", str) and flat.dtype.kind in "US"):
        return value
    dtype = datatype if isinstance(datatype, np.dtype) else getattr(datatype, "dtype", None)  # that of an enum
    if isinstance(dtype, np.dtype) and flat.dtype.kind in "iuf" and flat.size:
        number = as_stored(flat[0], dtype)
        if number is not None:
            return number
    changed.append(f"_FillValue of {name} left out")
    return None


def _enum_type(file: Any, dtype: np.dtype[Any], enum: EnumType) -> Any:
    """The type of integers with names; that of the same name that there is already, if it is the same."""
    known = file.enumtypes.get(enum.name)
    if known is None or known.enum_dict != enum.members:
        name = enum.name if known is None else f"{enum.name}_{len(file.enumtypes)}"
        known = file.createEnumType(dtype, name, enum.members)
    return known


def _set_attributes(holder: Any, attrs: Mapping[str, Any], name: str, changed: list[str]) -> None:
    """Set attributes, and list those that cannot be as they are."""
    for key, value in attrs.items():
        if key in _FOREIGN:
            continue
        try:
            plain = _is_plain(value)
            holder.setncattr(key, value if plain else _as_netcdf(value))
            if not plain:
                changed.append(f"{key} of {name} as text")
        except Exception as error:  # a reserved name, a fill value that the type does not have
            changed.append(f"{key} of {name} left out ({reason(error)})")


def _is_plain(value: Any) -> bool:
    """Whether netCDF has attributes of a type: text, numbers and flat lists of them."""
    if isinstance(value, list | tuple):
        return bool(value) and (
            all(isinstance(each, str) for each in value)
            or all(isinstance(each, int | float | np.number) and not isinstance(each, bool) for each in value)
        )
    array = np.asarray(value)
    return array.dtype.kind in "iufUS" and array.ndim <= 1 and array.dtype != np.float16


def _as_netcdf(value: Any) -> Any:
    """Another value for an attribute that netCDF cannot hold: a number for a truth value, JSON for maps and lists."""
    array = np.asarray(value) if not isinstance(value, Mapping) else np.empty(0, object)
    if array.dtype.kind == "b" and array.ndim < 2 and array.size:
        return array.astype(np.int8)
    if array.dtype == np.float16:
        return array.astype(np.float32)
    return json.dumps(value, ensure_ascii=False, default=lambda each: np.asarray(each).tolist())


# -- others ----------------------------------------------------------------------------------------------------


def save_zarr(stored: Any, path: Path) -> None:
    """Write a stored dataset as a Zarr group beside its place, and rename it when it is whole."""
    zarr = library("zarr", "science", path)
    stored = stored.copy()
    for name, v in stored.variables.items():
        if v.dtype.kind in "OSUT" and v.attrs.pop("_FillValue", None) is not None:
            warnings.warn(f"{path}: _FillValue of {name} left out, as Zarr groups have none for texts", stacklevel=2)
    with atomic_folder(path, "Zarr group") as temporary, writing(path):
        # Through memory: after an error, such as a full disk, zarr's own threads write on while the folder is removed.
        files: dict[str, Any] = {}
        stored.to_zarr(zarr.storage.MemoryStore(files), mode="w")
        for name, data in files.items():
            place = temporary / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data.to_bytes())


def save_npz(dataset: Any, path: Any) -> None:
    """Write the arrays alone; texts and dates of other calendars as fixed-length texts."""
    # Not np.savez: its own parameters would collide with a variable named "file".
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, v in dataset.variables.items():
            if "/" in str(name) or "\\" in str(name):
                raise InputError(
                    f"{path}: the variable {quoted(str(name))} would be in a folder; choose others (variables)"
                )
            array = v.values.astype(str) if v.dtype.kind == "O" else v.values
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


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
