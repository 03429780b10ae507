"""Triangle meshes: occupancy, distances, marching cubes, shaded views.

Occupancy comes from the generalised winding number (Jacobson et al. 2013,
evaluated hierarchically as in Barill et al. 2018, by libigl): a point is inside if the magnitude is above 1/2. It is
also defined for open, inverted and self-intersecting surfaces.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from PIL import Image

from sinr_codec.errors import InputError, LimitError, quoted
from sinr_codec.signals.sources import library
from sinr_codec.types import Array

MOST_VERTICES: Final = 1 << 24
"""Vertices of a surface from a grid. A statue of 1,024 voxels has a third of them; noise on 256 has more."""

# Points in one call of libigl: each call rebuilds the tree, and each point takes some 100 bytes.
_QUERIES: Final = 1 << 21
_SURFACE_SAMPLES: Final = 100_000


def require(module: str, doing: str) -> Any:
    """Import a library of the extra `mesh`; `MissingExtraError` if it is not installed."""
    names = {"igl": "libigl", "skimage.measure": "scikit-image"}
    return library(module, "mesh", doing, names.get(module))


@dataclass(frozen=True)
class Mesh:
    """Triangles.

    Attributes
    ----------
    vertices
        float64 (v, 3).
    faces
        int64 (f, 3), vertex indices; counter-clockwise seen from outside.
    colours
        uint8 (v, 3), RGB, or None.
    """

    vertices: Array
    faces: Array
    colours: Array | None = None

    @property
    def diagonal(self) -> float:
        """Length of the diagonal of the bounding box."""
        return float(np.linalg.norm(np.ptp(self.vertices, axis=0)))

    def flawed_edges(self) -> tuple[int, int]:
        """Number of edges without exactly two faces, and of those whose two faces disagree on the outside.

        Coincident vertices count as one.
        """
        _, same = np.unique(self.vertices, axis=0, return_inverse=True)
        corners = same.reshape(-1)[self.faces]
        directed = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]], corners[:, [2, 0]]])
        _, edge, counts = np.unique(np.sort(directed, axis=1), axis=0, return_inverse=True, return_counts=True)
        # Faces that agree pass an edge in opposite directions.
        balance = np.bincount(edge.reshape(-1), np.sign(directed[:, 1] - directed[:, 0]), len(counts))
        return int((counts != 2).sum()), int(((counts == 2) & (balance != 0)).sum())

    def rounding(self) -> float:
        """The error of coordinates in single precision, as a share of the median edge."""
        ends = self.vertices[self.faces[:, :2]]
        edge = float(np.median(np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1))) if len(ends) else 0.0
        error = float(np.abs(self.vertices).max(initial=0.0)) * 2.0**-24
        return error / edge if edge > 0 else 0.0


# -- inside, outside and distances -----------------------------------------------------------------------------


def occupancy(mesh: Mesh, origin: Sequence[float], voxel: float, shape: Sequence[int]) -> tuple[Array, bool]:
    """Whether the centres of cubic voxels are inside, bool of `shape`; computed in slabs of bounded memory.

    A point is inside if the winding number's magnitude is above 1/2. The second result tells whether winding numbers
    of both signs are, as where a solid is turned inside out beside others.

    Parameters
    ----------
    mesh
        May be open or inverted.
    origin, voxel, shape
        The outer corner of voxel (0, 0, 0) and the side of a voxel, in the mesh's units; voxels along each axis.
    """
    igl = require("igl", "voxelising a mesh")
    # libigl computes in single precision: coordinates are relative to the grid, in units of about a voxel.
    unit = 2.0 ** math.frexp(voxel)[1]
    vertices = (mesh.vertices - np.asarray(origin, np.float64)) / unit
    axes = [voxel / unit * (np.arange(n) + 0.5) for n in shape]
    inside = np.empty(tuple(shape), bool)
    signs = np.zeros(2, bool)
    step = max(1, _QUERIES // (shape[1] * shape[2]))
    for i in range(0, shape[0], step):
        centres = np.stack(np.meshgrid(axes[0][i : i + step], *axes[1:], indexing="ij"), -1).reshape(-1, 3)
        winding = igl.fast_winding_number(vertices, mesh.faces, centres)
        inside[i : i + step] = (np.abs(winding) > 0.5).reshape(-1, *inside.shape[1:])
        signs |= winding.min() < -0.5, winding.max() > 0.5
    return inside, bool(signs.all())


def nearest(mesh: Mesh, points: Array) -> tuple[Array, Array, Array]:
    """Distances (n,), face indices (n,) and nearest points (n, 3) on the surface, for points (n, 3)."""
    igl = require("igl", "distances to a mesh")
    found = [
        igl.point_mesh_squared_distance(np.ascontiguousarray(points[i : i + _QUERIES]), mesh.vertices, mesh.faces)
        for i in range(0, len(points), _QUERIES)
    ]
    squared, faces, closest = (np.concatenate(part) for part in zip(*found))
    return np.sqrt(squared), faces, closest


def colours_at(mesh: Mesh, faces: Array, points: Array) -> Array:
    """RGB uint8 (n, 3) at points (n, 3) on the faces (n,), interpolated between the vertices."""
    assert mesh.colours is not None
    corners = mesh.vertices[mesh.faces[faces]]
    u, v, w = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], points - corners[:, 0]
    uu, uv, vv = (u * u).sum(1), (u * v).sum(1), (v * v).sum(1)
    wu, wv = (w * u).sum(1), (w * v).sum(1)
    area = np.maximum(uu * vv - uv * uv, 1e-300)  # for a degenerate face, any corner will do
    b, c = (vv * wu - uv * wv) / area, (uu * wv - uv * wu) / area
    weights = np.clip(np.stack([1 - b - c, b, c], 1), 0, 1)
    weights /= weights.sum(1, keepdims=True)
    rgb = np.einsum("nk,nkc->nc", weights, mesh.colours[mesh.faces[faces]].astype(np.float64))
    return np.rint(rgb).astype(np.uint8)


def surface_samples(mesh: Mesh, count: int, seed: int = 0) -> Array:
    """Points (count, 3) distributed uniformly over the surface; deterministic for a seed."""
    corners = mesh.vertices[mesh.faces]
    u, v = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    area = np.cumsum(np.linalg.norm(np.cross(u, v), axis=1))
    rng = np.random.default_rng(seed)
    # Stratified: one point in each of `count` equal parts of the area.
    wanted = (np.arange(count) + rng.random(count)) / count * area[-1]
    face = np.minimum(np.searchsorted(area, wanted, side="right"), len(area) - 1)
    r, s = np.sqrt(rng.random((count, 1))), rng.random((count, 1))
    return corners[face, 0] + r * ((1 - s) * u[face] + s * v[face])


def chamfer(a: Mesh, b: Mesh, samples: int = _SURFACE_SAMPLES) -> float:
    """Symmetric Chamfer distance between two surfaces.

    It is the average, in the units of the meshes, of the mean distance (not squared) from points on `a` to the surface
    `b`, and of that from `b` to `a`. Distances are from points to surfaces, so that it is 0 for equal surfaces.
    """
    there = nearest(b, surface_samples(a, samples))[0].mean()
    back = nearest(a, surface_samples(b, samples))[0].mean()
    return float((there + back) / 2)


# -- from a grid -----------------------------------------------------------------------------------------------


def marching_cubes(level: Array, origin: Sequence[float], spacing: Sequence[float]) -> Mesh:
    """The zero level set of a grid of samples, by Lewiner's marching cubes (scikit-image).

    Parameters
    ----------
    level
        float32 (X, Y, Z) at the centres of the voxels, positive inside. The space outside the grid counts as outside,
        so that the surface is closed.
    origin, spacing
        The outer corner of voxel (0, 0, 0) and the sides of a voxel.

    Returns
    -------
    A mesh, without faces if nothing is inside.

    Raises
    ------
    LimitError : more than `MOST_VERTICES`, before they are made
    """
    measure = require("skimage.measure", "marching cubes")
    padded = np.pad(level, 1, constant_values=np.float32(-1))
    inside = padded > 0
    # There is a vertex on each line between neighbours that the surface separates.
    count = sum(int(np.count_nonzero(np.diff(inside, axis=axis))) for axis in range(3))
    if count > MOST_VERTICES:
        raise LimitError(
            f"a surface of {count:,} points: above {MOST_VERTICES:,}; decode a region, fewer voxels, or voxels (.npy)"
        )
    if not count:
        return Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64))
    vertices, faces, _, _ = measure.marching_cubes(padded, 0.0)
    vertices = np.asarray(origin) + (vertices.astype(np.float64) - 0.5) * np.asarray(spacing)
    # scikit-image orients faces clockwise for a level that is higher inside.
    return Mesh(vertices, faces[:, ::-1].astype(np.int64))


# -- a view ----------------------------------------------------------------------------------------------------


def shaded(
    mesh: Mesh,
    size: int = 768,
    *,
    azimuth: float = 30.0,
    elevation: float = 15.0,
    up: str | None = None,
    supersample: int = 2,
) -> Image.Image:
    """Render a mesh offscreen: orthographic, smooth shading, light at the viewer's left shoulder, white ground.

    Parameters
    ----------
    mesh
        The mesh; drawn in its colours, if any.
    size
        Pixels along the longer side of the picture; the aspect ratio follows the shape.
    azimuth, elevation
        Direction of the viewer in degrees: around the shape, and above it.
    up
        "x", "y" or "z". Default: z or y, whichever the shape is longer along.
    supersample
        Samples a pixel along each axis.
    """
    if up is not None and up not in ("x", "y", "z"):
        raise InputError(f"up: expected x, y or z, got {quoted(up)}")
    if not 16 <= size <= 8192:
        raise InputError(f"size: expected 16 to 8192 pixels, got {quoted(size)}")
    turn = _view(mesh, azimuth, elevation, up)
    points = mesh.vertices @ turn.T  # right, up, towards the viewer
    low, high = points.min(0), points.max(0)
    margin = 0.04 * (high - low)[:2].max() or 1.0
    scale = size * supersample / ((high - low)[:2].max() + 2 * margin)
    width, height = (max(1, int(np.ceil((extent + 2 * margin) * scale))) for extent in (high - low)[:2])
    points = (points - low + [margin, margin, 0]) * scale
    face, depth = _rasterise(points, mesh.faces, width, height)
    picture = _shade(mesh, face, turn, depth / max(width, height))
    image = Image.fromarray(picture[::-1])
    return image.resize((max(1, width // supersample), max(1, height // supersample)), Image.Resampling.BOX)


def _view(mesh: Mesh, azimuth: float, elevation: float, up: str | None) -> Array:
    """Rotation matrix, with the directions right, up and towards the viewer as rows."""
    extent = np.ptp(mesh.vertices, axis=0)
    axis = "xyz".index(up) if up else (2 if extent[2] > extent[1] else 1)
    vertical = np.eye(3)[axis]
    front = np.eye(3)[2 if axis == 1 else 1] * (1 if axis == 1 else -1)
    right = np.cross(vertical, front)
    a, e = np.radians([azimuth, elevation])
    viewer = np.cos(e) * (np.cos(a) * front + np.sin(a) * right) + np.sin(e) * vertical
    across = np.cross(vertical, viewer)
    across /= np.linalg.norm(across)
    return np.stack([across, np.cross(viewer, across), viewer])


def _rasterise(points: Array, faces: Array, width: int, height: int) -> tuple[Array, Array]:
    """The nearest face (-1 for none) and its depth at each pixel, (height, width) each.

    Faces are splatted as grids of points finer than a pixel, without a loop over faces. The triangles of marching cubes
    are so small that this is no more work than exact rasterisation.
    """
    corners = points[faces]
    edges = np.linalg.norm((corners - np.roll(corners, 1, axis=1))[..., :2], axis=2).max(1)
    steps = np.ceil(1.5 * edges).astype(np.int64) + 1
    low, high = points[:, 2].min(), points[:, 2].max()
    nearest = np.zeros(width * height, np.uint64)
    for n in np.unique(steps):
        i, j = np.mgrid[0 : n + 1, 0 : n + 1]
        keep = i + j <= n
        weights = np.stack([n - i[keep] - j[keep], i[keep], j[keep]], 1) / n
        chosen = np.flatnonzero(steps == n)
        most = max(1, (1 << 21) // len(weights))
        for start in range(0, len(chosen), most):
            some = chosen[start : start + most]
            x, y, z = corners[some].transpose(2, 0, 1) @ weights.T  # (faces, points) each
            pixel = np.clip(y.astype(np.int64), 0, height - 1) * width + np.clip(x.astype(np.int64), 0, width - 1)
            near = ((z - low) / ((high - low) or 1.0) * 0x7FFFFFFE + 1).astype(np.uint64)
            key = (near << np.uint64(32)) | some.astype(np.uint64)[:, None]
            np.maximum.at(nearest, pixel.ravel(), key.ravel())
    face = (nearest & np.uint64(0xFFFFFFFF)).astype(np.int64)
    face[nearest == 0] = -1
    depth = (nearest >> np.uint64(32)).astype(np.float64) / 0x7FFFFFFF * (high - low)
    return face.reshape(height, width), depth.reshape(height, width)


def _shade(mesh: Mesh, face: Array, turn: Array, depth: Array) -> Array:
    """RGB uint8 (height, width, 3)."""
    corners = mesh.vertices[mesh.faces]
    flat = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    smooth = np.stack([_sum_at(mesh.faces, flat[:, c], len(mesh.vertices)) for c in range(3)], 1)
    normals = smooth[mesh.faces].sum(1) @ turn.T
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-300
    normals *= np.where(normals[:, 2:] < 0, -1, 1)  # the visible side is the front, also of inverted meshes
    light = np.array([-0.4, 0.5, 0.77])
    diffuse = np.maximum(normals @ light, 0)
    head = normals[:, 2]
    bright = 0.18 + 0.52 * diffuse + 0.25 * head + 0.12 * np.maximum(2 * diffuse * head - light[2], 0) ** 8
    base = np.array([222.0, 214.0, 203.0])
    if mesh.colours is not None:
        base = mesh.colours[mesh.faces].mean(1)
    colours = bright[:, None] * base
    seen = face >= 0
    picture = np.full((*face.shape, 3), 255.0)
    picture[seen] = colours[face[seen]] * _hollows(depth, seen)[seen][:, None]
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def _sum_at(index: Array, values: Array, count: int) -> Array:
    """For each vertex, the sum of values over its faces."""
    return np.bincount(index.ravel(), np.repeat(values, 3), count)


def _hollows(depth: Array, seen: Array) -> Array:
    """Depth darkening (Luft et al. 2006): a factor below 1 where the surface lies behind its surroundings.

    It shows hollows and occlusion.
    """
    running_mean: Callable[..., Array] = require("scipy.ndimage", "a shaded view").uniform_filter
    side = 2 * (max(depth.shape) // 90) + 1

    def blurred(values: Array) -> Array:
        values = values.astype(np.float32)
        for _ in range(3):  # nearly a Gaussian with a sigma of half the side
            values = running_mean(values, side, mode="constant")
        return values

    around = blurred(np.where(seen, depth, 0)) / np.maximum(blurred(seen), 1e-6)
    return 1 - np.clip((around - depth) * 9, 0, 0.6)
