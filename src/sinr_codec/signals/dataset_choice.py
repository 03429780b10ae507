"""Which variables of a dataset a network represents, and where these have no values."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import InputError
from sinr_codec.signals import dataset_files as files
from sinr_codec.signals.dataset_globe import is_place
from sinr_codec.signals.dataset_side import TEXT, Content, Hole, Variable, as_stored, marks, unsigned, valid_range
from sinr_codec.signals.levels import Levels
from sinr_codec.signals.lossless import MOST_BYTES
from sinr_codec.types import Array

SMALL: Final = 256
"""A variable with less than 1/SMALL of the values of the largest one is stored exactly."""
_HUGE: Final = 1e15
_FEW: Final = 8
_LEFT: Final = "left out"
_EXACT: Final = 2**53  # integers above are not all numbers of double precision
_NEVER_WRITTEN: Final[dict[str, float]] = {
    "float32": 9.969209968386869e36,
    "float64": 9.969209968386869e36,
    "int16": -(2**15) + 1,
    "uint16": 2**16 - 1,
    "int32": -(2**31) + 1,
    "uint32": 2**32 - 1,
    "int64": -(2**63) + 2,
    "uint64": 2**64 - 2,
}
"""What netCDF puts into cells that were never written, by dtype, where no `_FillValue` says otherwise."""
_CODES: Final = re.compile(r"1?|(unit|dimension)less|none|units?|ids?|ind(ex|ices)|codes?|class(es)?|categor.*|flags?")
_CODE_NAMES: Final = re.compile(r"flag|region|area_type|.*_(flag|code|index|type|id)s?")
_MOST_CODES: Final = 256  # as floats
_PACKING: Final = {"scale_factor", "add_offset"}


def stored_in(raw: Any, wanted: Collection[str], source: str, notes: list[str]) -> dict[str, Array]:
    """The elements of all variables that can be stored; the names of others, and why they cannot, go into the notes.

    Raises
    ------
    InputError : one of those that are `wanted` by name cannot be stored
    """
    stored, left = {}, []
    order = [n for n in raw.encoding.get("order", ()) if n in raw.variables]
    for name in dict.fromkeys([*order, *raw.variables]):
        try:
            stored[str(name)] = files.plain(raw.variables[name])
        except InputError as error:
            if name in wanted:
                raise InputError(f"{source}: {name}: {error}, which cannot be stored") from error
            left.append(f"{name} ({error})")
    if left:
        notes.append(f"{_LEFT}, as they cannot be stored: {', '.join(left)}")
    return stored


def choose(raw: Any, stored: Mapping[str, Array], exact: Collection[str], source: str, notes: list[str]) -> list[str]:
    """Names of the variables that the network represents."""
    refers = files.references(raw)
    likely: dict[str, int] = {}
    codes: dict[str, int] = {}
    for name, array in stored.items():
        if name in refers or name in raw.dims or name in exact or not _on_grid(raw[name], array):
            continue
        known = _known(array, holes_in(array, raw[name].attrs))
        if known.size and (array.dtype.kind == "f" or max(-int(known.min()), int(known.max())) <= _EXACT):
            (codes if _are_codes(name, raw[name].attrs, known) else likely)[name] = array.size
    likely = likely or codes
    if not likely:
        raise InputError(
            f"{source}: found no variable to represent; expected numbers on a grid: floats, or integers with `units`, "
            f"`scale_factor` or `add_offset`{''.join(f'; {note}' for note in notes if note.startswith(_LEFT))}"
        )
    largest = max(likely.values())
    chosen = [name for name, size in likely.items() if SMALL * size >= largest]
    rest = [n for n in stored if n not in chosen and n not in refers and n not in raw.dims and stored[n].size > 1]
    if rest:
        notes.append(f"stored exactly, not by the network: {', '.join(rest)}")
    if whole := [n for n in chosen if stored[n].dtype.kind in "iu" and not _PACKING & {*raw[n].attrs}]:
        notes.append(f"integers that the network approximates: {', '.join(whole)}; keep some exact (--exact, exact=)")
    return chosen


def check_exact(stored: Mapping[str, Array], chosen: Collection[str], source: str) -> None:
    """Raise `InputError` where more is to be stored exactly than a side section can hold."""
    sizes = {name: array.nbytes for name, array in stored.items() if name not in chosen}
    if sum(sizes.values()) > MOST_BYTES:
        largest = sorted(sizes, key=lambda name: -sizes[name])[:3]
        raise InputError(
            f"{source}: {sum(sizes.values()):,} bytes are to be stored exactly; expected at most {MOST_BYTES:,}: leave "
            f"variables out (--without, without=), such as {', '.join(largest)}"
        )


def _on_grid(v: Any, array: Array) -> bool:
    """Whether a variable has amounts on a grid: no coordinates, times or flags."""
    attrs, kind = v.attrs, array.dtype.kind
    if kind not in "iuf" or array.size < 2 or len({*v.dims}) < len(v.dims):
        return False
    flags = (
        {"flag_values", "flag_masks", "flag_meanings"} & {*attrs} or files.enum_of(v) or attrs.get("dtype") == "bool"
    )
    if kind != "f" and (flags or not ({"units"} | _PACKING) & {*attrs}):
        return False
    times = " since " in str(attrs.get("units", "")) or str(attrs.get("dtype", "")).startswith("timedelta")
    return not (times or is_place(str(v.name), attrs) or (array.ndim == 1 and "axis" in attrs))


def _are_codes(name: str, attrs: Mapping[str, Any], known: Array) -> bool:
    """Whether integers, or floats like them, are likely names of things, such as regions, rather than amounts."""
    said = "units" in attrs and _CODES.fullmatch(str(attrs["units"]).strip().lower())
    if _PACKING & {*attrs} or not (said or _CODE_NAMES.fullmatch(str(attrs.get("standard_name", name)).lower())):
        return False
    return known.dtype.kind != "f" or (bool((known == np.rint(known)).all()) and len(np.unique(known)) <= _MOST_CODES)


def _marks(array: Array, attrs: Mapping[str, Any]) -> list[Any]:
    """Numbers that may stand for no value: those declared, those of cells never written, NaN and infinity."""
    dtype = array.dtype
    found = [as_stored(mark, dtype) for mark in marks(attrs)]
    if "_FillValue" not in attrs and dtype.name in _NEVER_WRITTEN:
        found.append(dtype.type(_NEVER_WRITTEN[dtype.name]))
    if dtype.kind == "f" and not np.isfinite(array).all():
        found += [dtype.type(number) for number in (np.nan, np.inf, -np.inf)]
    return [mark for mark in found if mark is not None]


def holes_in(array: Array, attrs: Mapping[str, Any]) -> list[tuple[Any, NDArray[np.bool_]]]:
    """Numbers of a stored variable that stand for no value, and the cells that hold them."""
    holes: list[tuple[Any, NDArray[np.bool_]]] = []
    for mark in _marks(array, attrs):
        if not any(_same(mark, other) for other, _ in holes):
            cells = np.isnan(array) if np.isnan(mark) else array == mark
            if cells.any():
                holes.append((mark, cells))
    return holes + [(number, array == number) for number in _special(_known(array, holes), attrs)]


def _special(known: Array, attrs: Mapping[str, Any]) -> list[Any]:
    """A few numbers that are no values, although no attribute names them: huge ones, and those out of the valid range.

    More than a few are values, whatever the attributes say.
    """
    if not known.size or unsigned(known.dtype.name, attrs) != known.dtype.name:
        return []
    low, high = valid_range(attrs, known.dtype)
    if known.dtype.kind == "f" and known.dtype != np.float16:
        low, high = max(low, -_HUGE), min(high, _HUGE)
    if known.min() >= low and known.max() <= high:
        return []
    outside = np.unique(known[(known < low) | (known > high)])
    return list(outside) if len(outside) <= _FEW and ((known >= low) & (known <= high)).any() else []


def _same(mark: Any, other: Any) -> bool:
    return bool(mark == other or (np.isnan(mark) and np.isnan(other)))


def _known(array: Array, holes: Sequence[tuple[Any, NDArray[np.bool_]]]) -> Array:
    """The values of a variable, (n,) where some cells have none."""
    return array[~np.logical_or.reduce([cells for _, cells in holes])] if holes else array


def described(
    raw: Any, stored: Mapping[str, Array], chosen: Sequence[str], source: str, notes: list[str]
) -> tuple[Content, dict[str, list[Hole]]]:
    """What the side section has to hold, and the cells of fields without a value."""
    variables: list[Variable] = []
    holes: dict[str, list[Hole]] = {}
    for name, array in stored.items():
        dims, attrs, enum = tuple(map(str, raw[name].dims)), dict(raw[name].attrs), files.enum_of(raw[name])
        if name in chosen:
            v = Variable(name, dims, array.dtype.name, attrs, enum=enum)
            found = holes_in(array, attrs) if v.is_number and dims else []
            levels = _levels(v, _known(array, found), source, notes)
            variables.append(replace(v, levels=levels))
            declared = [v.declared is not None and _same(mark, v.declared) for mark, _ in found]
            said = [as_stored(mark, array.dtype) for mark in marks(attrs)]
            notes += [
                f"{name}: {np.count_nonzero(cells):,} cells hold {mark:.4g}, and are stored exactly"
                for mark, cells in found
                if not np.isnan(mark) and not any(mark == other for other in said)
            ]
            holes[name] = [(None if d else mark, *_reduced(cells, dims)) for d, (mark, cells) in zip(declared, found)]
        else:
            dtype = {"O": TEXT, "S": f"S{array.dtype.itemsize}"}.get(array.dtype.kind, array.dtype.name)
            variables.append(Variable(name, dims, dtype, attrs, read=partial(np.asarray, array), enum=enum))
    growing = set(raw.encoding.get("unlimited_dims", ()))
    sizes = {str(d): int(n) for d, n in raw.sizes.items()}
    used = {d for v in variables for d in v.dims}
    content = Content(
        {d: n for d, n in sizes.items() if d in used},
        dict(raw.attrs),
        tuple(variables),
        tuple(d for d in sizes if d in growing & used),
        unused=raw.encoding.get("unused", {}) | {d: (n, d in growing) for d, n in sizes.items() if d not in used},
    )
    return content, holes


def _levels(v: Variable, known: Array, source: str, notes: list[str]) -> Levels:
    """How the values of a field map to those of the network."""
    if not v.is_number or not v.dims or not known.size:
        raise InputError(f"{source}: {v.name}: expected numbers on a grid, found {v.dtype}")
    levels = Levels.of(known.view(unsigned(v.dtype, v.attrs)), f"{source}: {v.name}")
    if (largest := max(abs(levels.low), abs(levels.high))) >= _HUGE:
        notes.append(
            f"{v.name}: holds values up to {largest:.3g}; if these mark missing cells, name them in the attribute "
            "_FillValue"
        )
    return levels


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
