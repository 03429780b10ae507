"""Signed distances on a voxel grid, near the surface of a solid."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from sinr_codec.signals import mesh as meshes
from sinr_codec.types import Array

_REACH: Final = 3  # distances between voxel centres are exact up to this many voxels


def near_surface(solid: NDArray[np.bool_], band: float) -> tuple[Array, Array]:
    """Voxels within a band around the surface: indices int64 (n,), signed distances float32 (n,) in voxels.

    The surface is assumed half a voxel before the nearest centre on the other side. The space outside the grid is
    outside. The band is at least `_REACH` - 1/2 wide; for that width, squared distances come from minima along the
    axes, with one byte a voxel and in a few seconds at 512^3.
    """
    padded = np.pad(solid, 1)
    if band <= _REACH - 0.5:
        squared = _squared_distances(padded) + _squared_distances(~padded)
        reached = squared <= _REACH * _REACH
    else:
        ndimage = meshes.require("scipy.ndimage", "signed distances")
        transform = ndimage.distance_transform_edt
        squared = (transform(padded).astype(np.float32) + transform(~padded).astype(np.float32)) ** 2
        reached = squared <= (band + 1.5) ** 2  # one more than the band: the error of these distances is almost 1
    inner = (slice(1, -1),) * 3
    index = np.flatnonzero(reached[inner])
    distance = np.sqrt(squared[inner][reached[inner]].astype(np.float32)) - np.float32(0.5)
    return index, np.where(solid.reshape(-1)[index], distance, -distance)


def _squared_distances(side: NDArray[np.bool_]) -> Array:
    """Squared distances, uint8, to the nearest voxel not in `side`; exact up to the square of `_REACH`."""
    far = np.uint8(4 * _REACH * _REACH)
    squared = np.where(side, far, np.uint8(0))
    for axis in range(3):
        squared = _minima(squared, axis, far)
    return squared


def _minima(squared: Array, axis: int, far: np.uint8) -> Array:
    """One axis of a distance transform: min over k of squared[i + k] + k^2, for |k| <= `_REACH`."""
    source = np.moveaxis(squared, axis, 0)
    out = squared.copy()
    result = np.moveaxis(out, axis, 0)
    for k in range(1, min(_REACH, len(source) - 1) + 1):
        cost = np.uint8(k * k)
        np.minimum(result[k:], source[:-k] + cost, out=result[k:])
        np.minimum(result[:-k], source[k:] + cost, out=result[:-k])
    return np.minimum(out, far, out=out)
