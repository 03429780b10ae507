"""Latitude and longitude of gridded data: which variables they are, and points of the sphere from them."""

import copy
import re
from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sinr_codec.signals.dataset_side import Content, Variable
from sinr_codec.types import Array

Grids = Mapping[str, Array]
"""Positions by dimension, in samples of the source, fractions included; the arrays broadcast together."""

NAMES: Final = {
    "latitude": ("latitude", "lat", "nav_lat", "xlat", "clat"),
    "longitude": ("longitude", "lon", "nav_lon", "xlong", "clon"),
}
"""Usual names, in lower case, for files without the attributes of the CF conventions."""
_UNITS: Final = {"latitude": re.compile(r"degrees?_?(north|N)$"), "longitude": re.compile(r"degrees?_?(east|E)$")}


def is_earth(content: Content, lat: str, lon: str) -> bool:
    """Whether two variables place the fields on the globe: one axis each, or both over the same dimensions."""
    pair = [content.find(lat), content.find(lon)]
    if any(v is None or v.data is None or v.data.dtype.kind not in "iuf" or not v.dims for v in pair):
        return False
    a, b = (v.dims for v in pair if v is not None)
    if not (len(a) == len(b) == 1 or a == b) or not {*a, *b} <= field_dims(content):
        return False
    degrees = [_degrees(v) for v in pair if v is not None]
    return all(np.isfinite(d).all() for d in degrees) and bool((np.abs(degrees[0]) <= 90.5).all())


def field_dims(content: Content) -> set[str]:
    """Dimensions that any field has."""
    return {d for v in content.variables if v.levels is not None for d in v.dims}


def _degrees(variable: Variable) -> NDArray[np.float64]:
    """Latitudes or longitudes in degrees, of the variable's shape."""
    assert variable.data is not None
    values = variable.physical(variable.data)
    return np.degrees(values) if str(variable.attrs.get("units", "")).startswith("rad") else values


def find_earth(content: Content) -> tuple[str, str] | None:
    """Names of latitude and longitude by the CF conventions or by usual names."""

    def likeness(v: Variable, what: str) -> int:
        if "standard_name" in v.attrs:
            return 3 if v.attrs["standard_name"] == what else 0
        return 2 if _UNITS[what].match(str(v.attrs.get("units", ""))) else int(v.name.lower() in NAMES[what])

    def candidates(what: str) -> list[str]:
        found = sorted(content.variables, key=lambda v: -likeness(v, what))
        return [v.name for v in found if likeness(v, what)]

    pairs = [(a, b) for a in candidates("latitude") for b in candidates("longitude")]
    return next((pair for pair in pairs if is_earth(content, *pair)), None)


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

    def __init__(self, lat: Variable, lon: Variable) -> None:
        self.dims = (lat.dims, lon.dims)
        #: One axis each, so that positions between samples have a meaning.
        self.separable = lat.dims != lon.dims
        self.lat, self.lon = _degrees(lat), _degrees(lon)
        if self.separable:
            self.lon = np.unwrap(self.lon, period=360)
        self._fill(self.lat, self.lon)

    def _fill(self, lat: Array, lon: Array) -> None:
        """Move and scale the points of some latitudes and longitudes into [-1, 1]."""
        if self.separable:
            # The least and greatest products are among those of least and greatest factors.
            across, (x, y, _) = np.cos(np.radians(lat)), np.moveaxis(_unit(0 * lon, lon), -1, 0)
            products = [np.multiply.outer(_ends(across), _ends(side)).ravel() for side in (x, y)]
            ends = np.stack([*(_ends(p) for p in products), _ends(np.sin(np.radians(lat)))], -1)
        else:
            ends = _ends(_unit(lat, lon))
        self.middle, self.radius = ends.mean(0), float((ends[1] - ends[0]).max() / 2) or 1.0

    def of_area(self, area: Mapping[str, slice]) -> "Globe":
        """The same with the points of a part of the grid, a slice by dimension, moved and scaled to fill [-1, 1]."""
        other = copy.copy(self)
        lat, lon = (tuple(area[d] for d in dims) for dims in self.dims)
        other._fill(self.lat[lat], self.lon[lon])
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
        moved: NDArray[np.float64] = (_unit(lat, lon) - self.middle) / self.radius
        return moved


def _unit(lat: Array, lon: Array) -> NDArray[np.float64]:
    a, b = np.radians(lat), np.radians(lon)
    return np.stack(np.broadcast_arrays(np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)), -1)


def _ends(array: Array) -> Array:
    """Least and greatest along all axes but the last: (2, n), or (2,) of a vector."""
    flat = array.reshape(-1, array.shape[-1]) if array.ndim > 1 else array
    return np.stack([flat.min(0), flat.max(0)])


def between(samples: Array, positions: Array) -> NDArray[np.float64]:
    """Linear interpolation at positions in samples, and beyond the last one by the last step."""
    step = samples[-1] - samples[-2] if len(samples) > 1 else 0.0
    longer = np.append(samples, samples[-1] + step).astype(np.float64)
    return np.interp(positions, np.arange(len(longer)), longer)
