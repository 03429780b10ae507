"""Latitude and longitude of gridded data: which variables they are, and points of the sphere from them."""

import copy
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import MalformedError
from sinr_codec.signals.dataset_side import Content, Variable
from sinr_codec.types import Array

Grids = Mapping[str, Array]
"""Positions by dimension, in samples of the source, fractions included; the arrays broadcast together."""

_PLACES: Final = r"(_?(rho|psi|vert(ex|ices)?|cell|edge|node|face|center|corner|grid|bn?ds|bounds)|_[a-z])?\d?"
_UNITS: Final = {
    "latitude": re.compile(r"degrees?_?(north|N)$", re.IGNORECASE),
    "longitude": re.compile(r"degrees?_?(east|E)$", re.IGNORECASE),
}
_NAMES: Final = {
    "latitude": re.compile(rf"(nav_?|geo|grid_?|[xtuvcg])?lat(itude)?s?{_PLACES}|gphi[tuvf]", re.IGNORECASE),
    "longitude": re.compile(rf"(nav_?|geo|grid_?|[xtuvcg])?lon(g|gitude)?s?{_PLACES}|glam[tuvf]", re.IGNORECASE),
}
"""Usual names, for files without the attributes of the CF conventions."""
_AXES: Final = {"latitude": {"Y", "Lat"}, "longitude": {"X", "Lon"}}  # in `axis` and `_CoordinateAxisType`
_TURNS: Final = 1e6  # of longitudes: more is damage, and would overflow
_AT_ONCE: Final = 1 << 20  # points whose ends are sought at once


def likeness(name: str, attrs: Mapping[str, Any], what: str) -> int:
    """How surely a variable is "latitude" or "longitude", from 0 (it is not) to 3.

    3 is for its `standard_name`, 2 for its `units`, 1 for its name, `long_name` or axis.
    """
    if "standard_name" in attrs:
        return 3 if attrs["standard_name"] == what else 0
    units = str(attrs.get("units", ""))
    if _UNITS[what].match(units):
        return 2
    angle = units.lower().startswith(("deg", "rad")) and not any(other.match(units) for other in _UNITS.values())
    axes = {attrs.get("axis") if angle else None, attrs.get("_CoordinateAxisType")}
    said = _NAMES[what].fullmatch(name) or str(attrs.get("long_name", "")).lower() == what or axes & _AXES[what]
    return int(bool(said) and (angle or not units))


def is_place(name: str, attrs: Mapping[str, Any]) -> bool:
    """Whether a variable is latitude or longitude."""
    return any(likeness(name, attrs, what) for what in _NAMES)


def is_earth(content: Content, lat: str, lon: str, steady: Sequence[str]) -> bool:
    """Whether two variables can place the fields on the globe: one axis each, or both over the same dimensions.

    Dimensions along which neither changes do not count. The elements are not looked at.
    """
    pair = [content.find(lat), content.find(lon)]
    if any(v is None or v.read is None or not v.is_number for v in pair):
        return False
    whole = [v.dims for v in pair if v is not None]
    a, b = (_without(dims, steady) for dims in whole)
    alike = len(a) == len(b) == 1 or (a == b and len(set(a)) == len(a))
    return bool(a and b) and alike and {*steady} <= {*whole[0]} & {*whole[1]} and {*a, *b} <= field_dims(content)


def field_dims(content: Content) -> set[str]:
    """Dimensions that any field has."""
    return {d for v in content.variables if v.levels is not None for d in v.dims}


def _without(dims: Sequence[str], others: Collection[str]) -> tuple[str, ...]:
    return tuple(d for d in dims if d not in others)


def _degrees(variable: Variable) -> NDArray[np.float64]:
    """Latitudes or longitudes in degrees, of the variable's shape."""
    values = variable.physical(variable.data)
    with np.errstate(over="ignore"):
        return np.degrees(values) if variable.units.startswith("rad") else values


def _are_degrees(lat: Array, lon: Array) -> bool:
    """Whether these can be latitudes and longitudes."""
    return bool((np.abs(lat) <= 90.5).all() and (np.abs(lon) <= _TURNS * 360).all())


def find_earth(content: Content) -> tuple[tuple[str, str], tuple[str, ...]] | None:
    """Names of latitude and longitude, and the dimensions along which neither changes.

    Of several pairs, such as those of a staggered grid, it is the surest one, and then that of most values of fields.
    Positions that change with time are left out: the sphere would stand for the axis of time, too.
    """
    found = {what: [v for v in content.variables if likeness(v.name, v.attrs, what)] for what in _NAMES}

    def rank(pair: tuple[Variable, Variable]) -> tuple[int, int]:
        sure = sum(likeness(v.name, v.attrs, what) for v, what in zip(pair, _NAMES))
        dims = {d for v in pair for d in v.dims}
        fields = (v for v in content.variables if v.levels is not None and dims <= {*v.dims})
        return sure, sum(math.prod(content.shape(v.dims)) for v in fields)

    pairs = [(a, b) for a in found["latitude"] for b in found["longitude"]]
    pairs = [(a, b) for a, b in pairs if is_earth(content, a.name, b.name, ())]
    for a, b in sorted(pairs, key=rank, reverse=True):
        lat, lon = a.data, b.data
        steady = _steady(a.dims, lat, lon) if a.dims == b.dims else ()
        rest = {*_without(a.dims, steady), *b.dims} - {*steady}
        if _are_degrees(_degrees(a), _degrees(b)) and not (a.dims == b.dims and rest & _times(content, len(rest) > 1)):
            return (a.name, b.name), steady
    return None


def _steady(dims: Sequence[str], *arrays: Array) -> tuple[str, ...]:
    """Dimensions along which none of some arrays changes; none where that is all of them."""
    steady = [d for i, d in enumerate(dims) if all((a == a.take([0], i)).all() for a in arrays)]
    return tuple(steady) if len(steady) < len(dims) else ()


def _times(content: Content, auxiliary: bool) -> set[str]:
    """Dimensions with times as coordinates; those whose times have another name, too, where `auxiliary` says so."""
    times = {d for d in content.dims if d.lower() == "time"}
    for v in content.variables:
        said = " since " in v.units or v.attrs.get("standard_name") == "time" or v.attrs.get("axis") == "T"
        if said and len(v.dims) == 1 and (auxiliary or v.dims[0] == v.name):
            times |= {*v.dims}
    return times


def follows_grid(variable: Variable) -> bool:
    """Whether a field is the component of a vector along the grid, such as the eastward wind.

    At a pole, its value depends on the meridian along which one comes: on the sphere it is no continuous function.
    Winds of ERA-Interim fit 0.9 to 1.8 dB better over latitude and longitude as axes; geopotential fits equally well
    over both, sea-surface temperature 0.7 dB better on the sphere.
    """
    name = str(variable.attrs.get("standard_name", ""))
    if name:
        return re.search(r"(^|_)(eastward|northward|x|y)_", name) is not None
    return re.fullmatch(r"[uv](a|as|o|10|100|10m|wnd|wind|curr|vel)?", variable.name.lower()) is not None


class Globe:
    """Points of the unit sphere from positions on a grid, moved and scaled to fill [-1, 1].

    Of a global grid they are the unit vectors, nearly. A region is a small cap, over which unit vectors hardly
    change: without the scaling, the network would see next to nothing of it.
    """

    def __init__(self, lat: Variable, lon: Variable, steady: Collection[str] = ()) -> None:
        self.dims = (_without(lat.dims, steady), _without(lon.dims, steady))
        #: One axis each, so that positions between samples have a meaning.
        self.separable = self.dims[0] != self.dims[1]
        first = [tuple(0 if d in steady else slice(None) for d in v.dims) for v in (lat, lon)]
        self.lat, self.lon = _degrees(lat)[first[0]], _degrees(lon)[first[1]]
        if not _are_degrees(self.lat, self.lon):
            raise MalformedError("dataset: latitudes or longitudes are not those of places")
        if self.separable:
            self.lon = np.unwrap(self.lon, period=360)
        self._area = tuple(tuple(slice(None) for _ in dims) for dims in self.dims)

    @cached_property
    def _domain(self) -> tuple[NDArray[np.float64], float]:
        """Middle and half the size of the box of all points."""
        lat, lon = (angles[area] for angles, area in zip((self.lat, self.lon), self._area))
        if self.separable:
            # The least and greatest products are among those of least and greatest factors.
            across, up = (_ends_of(lambda a, of=of: of(np.radians(a)), lat) for of in (np.cos, np.sin))
            sides = (_ends_of(lambda b, of=of: of(np.radians(b)), lon) for of in (np.cos, np.sin))
            ends = np.stack([*(_ends(np.multiply.outer(across, side).ravel()) for side in sides), up], -1)
        else:
            ends = _ends_of(_unit, lat, lon)
        return ends.mean(0), float((ends[1] - ends[0]).max() / 2) or 1.0

    def of_area(self, area: Mapping[str, slice]) -> "Globe":
        """The same with the points of a part of the grid, a slice by dimension, moved and scaled to fill [-1, 1]."""
        other = copy.copy(self)
        other.__dict__.pop("_domain", None)
        other._area = tuple(tuple(area[d] for d in dims) for dims in self.dims)
        return other

    @property
    def cyclic(self) -> bool:
        """Whether the first meridian follows after the last one."""
        if not self.separable or len(self.lon) < 3:
            return False
        step = (self.lon[-1] - self.lon[0]) / (len(self.lon) - 1)
        return bool(step and abs(abs(step) * len(self.lon) - 360) < 0.01 * abs(step))

    def at(self, grids: Grids) -> NDArray[np.float64]:
        """Coordinates (..., 3) at positions; an axis that is absent leaves its share at 0."""
        lat_dims, lon_dims = self.dims
        if not self.separable:
            if not set(lat_dims) <= set(grids):
                return np.zeros(3)
            index = tuple(np.asarray(grids[d], dtype=np.int64) for d in lat_dims)
            return self.points(self.lat[index], self.lon[index])
        has_lat, has_lon = lat_dims[0] in grids, lon_dims[0] in grids
        lat = between(self.lat, grids[lat_dims[0]]) if has_lat else np.zeros(())
        lon = between(self.lon, grids[lon_dims[0]]) if has_lon else np.zeros(())
        return self.points(lat, lon) * [has_lon, has_lon, has_lat]

    def points(self, lat: Array, lon: Array) -> NDArray[np.float64]:
        """Coordinates (..., 3) at latitudes and longitudes in degrees."""
        middle, radius = self._domain
        moved: NDArray[np.float64] = (_unit(lat, lon) - middle) / radius
        return moved


def _unit(lat: Array, lon: Array) -> NDArray[np.float64]:
    a, b = np.radians(lat), np.radians(lon)
    return np.stack(np.broadcast_arrays(np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)), -1)


def _ends(array: Array) -> Array:
    """Least and greatest along all axes but the last: (2, n), or (2,) of a vector."""
    flat = array.reshape(-1, array.shape[-1]) if array.ndim > 1 else array
    return np.stack([flat.min(0), flat.max(0)])


def _ends_of(function: Callable[..., Array], *angles: Array) -> Array:
    """Least and greatest of a function of angles, which may take many times their memory: in parts."""
    flat = [np.ascontiguousarray(a).reshape(-1) for a in angles]
    starts = range(0, len(flat[0]), _AT_ONCE)
    return _ends(np.concatenate([_ends(function(*(a[i : i + _AT_ONCE] for a in flat))) for i in starts]))


def between(samples: Array, positions: Array) -> NDArray[np.float64]:
    """Linear interpolation at positions in samples, and beyond the last one by the last step."""
    step = samples[-1] - samples[-2] if len(samples) > 1 else 0.0
    longer = np.append(samples, samples[-1] + step).astype(np.float64)
    return np.interp(positions, np.arange(len(longer)), longer)
