"""Reading solids: meshes on a voxel grid, and binary volumes from NumPy and MATLAB files."""

import math
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import InputError, quoted
from sinr_codec.signals import arrays
from sinr_codec.signals import mesh as meshes
from sinr_codec.signals.mesh import Mesh
from sinr_codec.signals.sources import existing, translated
from sinr_codec.types import Array

MAX_SIDE: Final = 1 << 16
"""Most voxels along an axis."""
_MARGIN: Final = 1  # voxels around the bounding box of a mesh, on every side
_FLAT: Final = 1e-9  # extent of a plane across, as a share of that along it
_RESOLUTIONS: Final = range(8, 2049)


@dataclass(frozen=True)
class Placement:
    """A grid of cubic voxels in the units of a source.

    Attributes
    ----------
    shape
        Voxels (X, Y, Z).
    origin, voxel
        The outer corner of voxel (0, 0, 0) and the side of a voxel.
    """

    shape: tuple[int, int, int]
    origin: tuple[float, float, float]
    voxel: float


def voxels_of(
    mesh: Mesh, name: str, resolution: int, like: Placement | None, notes: list[str]
) -> tuple[NDArray[np.bool_], Placement]:
    """A mesh, voxelised on its own grid or on that of `like`."""
    grid = like
    if grid is None:
        if not isinstance(resolution, int | np.integer) or resolution not in _RESOLUTIONS:
            low, high = _RESOLUTIONS[0], _RESOLUTIONS[-1]
            raise InputError(f"resolution: expected an integer from {low} to {high}, got {quoted(resolution)}")
        grid = _placed(mesh, int(resolution), name)
    unmatched, turned = mesh.flawed_edges()
    if unmatched:
        notes.append("the surface is not closed; the winding number decides what is inside")
    solid, opposed = meshes.occupancy(mesh, grid.origin, grid.voxel, grid.shape)
    if turned or opposed:
        notes.append("faces disagree on the outside of the surface; parts that are turned inside out cancel others")
    if not solid.any():
        raise InputError(
            f"{name}: nothing is inside of {' x '.join(map(str, grid.shape))} voxels; "
            + ("expected a closed surface" if unmatched else "its walls are thinner than a voxel: raise the resolution")
        )
    return solid, grid


def _placed(mesh: Mesh, resolution: int, name: str) -> Placement:
    """The grid around a mesh, with numbers that take few bytes."""
    used = mesh.vertices[np.unique(mesh.faces)]
    low, extent = used.min(0), np.ptp(used, axis=0)
    if not extent.max() > 0:
        raise InputError(f"{name}: the mesh is a single point; expected one with an extent")
    if np.linalg.matrix_rank(used - used.mean(0), rtol=_FLAT) < 3:
        raise InputError(f"{name}: the mesh is flat, without an inside; expected a solid")
    voxel = float(np.float32(extent.max() / (resolution - 2 * _MARGIN)))
    if not 0 < voxel < math.inf:
        raise InputError(f"{name}: an extent of {extent.max():g} is out of range; scale the mesh")
    x, y, z = (max(1, math.ceil(side / voxel - 1e-4)) + 2 * _MARGIN for side in extent)
    corner = low + extent / 2 - np.array([x, y, z]) * voxel / 2
    rounded = corner.astype(np.float32).astype(np.float64)
    if np.abs(rounded - corner).max() < 1e-2 * voxel:  # otherwise the mesh lies far from the origin
        corner = rounded
    return Placement((x, y, z), triple(corner), voxel)


def volume_of(
    source: Any, name: str, crop: bool, like: Placement | None, notes: list[str]
) -> tuple[NDArray[np.bool_], Placement]:
    """A binary volume; cropped to its bounding box, or to the region of `like`."""
    array = source if isinstance(source, np.ndarray) else _read_volume(Path(source))
    if array.ndim != 3 or 0 in array.shape or max(array.shape) > MAX_SIDE:
        raise InputError(f"{name}: expected a volume (X, Y, Z) of sides up to {MAX_SIDE}, found shape {array.shape}")
    if array.dtype.kind not in "buif":
        raise InputError(f"{name}: expected a volume of zeros and ones, found dtype {array.dtype}")
    if array.dtype.kind == "b":
        solid = np.ascontiguousarray(array)
    else:
        most, least = float(array.max()), float(array.min())
        if not (math.isfinite(most) and math.isfinite(least) and least >= 0):
            raise InputError(f"{name}: expected a volume of zeros and ones, found values from {least:g} to {most:g}")
        solid = np.ascontiguousarray(array > most / 2)
        if not (np.array_equal(array, solid) or np.array_equal(array, solid * most)):
            notes.append(f"values between 0 and {most:g}: those above half of that were taken for inside")
    if not solid.any():
        raise InputError(f"{name}: nothing is inside; expected a volume with ones in it")
    start = [0, 0, 0]
    shape = list(solid.shape)
    if like is not None and like.shape != solid.shape:
        start, shape = [round(o / like.voxel) for o in like.origin], list(like.shape)
        if any(a < 0 or a + n > m for a, n, m in zip(start, shape, solid.shape)):
            raise InputError(f"{name}: expected a volume of {like.shape} voxels, found {solid.shape}")
    elif crop:
        boxes = [np.flatnonzero(solid.any(tuple({0, 1, 2} - {axis}))) for axis in range(3)]
        start, shape = [int(b[0]) for b in boxes], [int(b[-1] - b[0] + 1) for b in boxes]
    x, y, z = (slice(a, a + n) for a, n in zip(start, shape))
    solid = np.ascontiguousarray(solid[x, y, z])
    return solid, Placement(solid.shape, triple(start), 1.0)


def triple(numbers: Any) -> tuple[float, float, float]:
    """Three numbers as a tuple of floats."""
    x, y, z = map(float, numbers)
    return x, y, z


def _read_volume(path: Path) -> Array:
    """The array of a `.npy` file, or the volume of a MATLAB file; `InputError` for other files."""
    existing(path, "a volume")
    with translated(path, "damaged array file: {reason}"):
        return arrays.read_npy(path) if path.suffix.lower() == ".npy" else _read_mat(path)


_MAT_READER: Final = """
import sys
import numpy as np
from scipy.io import loadmat
source, target = sys.argv[1:]
try:
    found = loadmat(source)
except NotImplementedError:
    sys.exit("a MATLAB 7.3 file; save it with -v7, or as .npy")
except Exception as error:
    sys.exit("damaged MATLAB file: " + " ".join(str(error).split()))
volumes = {key: value for key, value in found.items() if isinstance(value, np.ndarray) and value.ndim == 3}
chosen = found["hypercube"] if "hypercube" in found else next(iter(volumes.values())) if len(volumes) == 1 else None
if not isinstance(chosen, np.ndarray) or chosen.dtype.hasobject:
    names = listed(volumes)
    sys.exit(f"expected an array named hypercube, or a single one of three axes; found {names}")
np.save(target, chosen, allow_pickle=False)
"""


def _read_mat(path: Path) -> Array:
    """The volume of a MATLAB file, read in a separate process: a damaged file can crash the reader."""
    meshes.require("scipy.io", "MATLAB files")
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "volume.npy"
        command = [sys.executable, "-c", _MAT_READER, str(path), str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 or not target.exists():
            reason = done.stderr.strip().splitlines()[-1] if done.returncode == 1 and done.stderr.strip() else ""
            raise InputError(f"{path}: {reason or 'damaged MATLAB file'}")
        return arrays.read_npy(target)
