"""Pinhole cameras with lens distortion, their poses, and the rays of their pixels.

Poses are camera-to-world matrices in the convention of Blender, NeRF, instant-ngp and nerfstudio: a camera looks along
its -z axis, with x to the right and y up. Pixel (column u, row v) has its centre at (u + 0.5, v + 0.5).
"""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import InputError, MissingFileError, quoted
from sinr_codec.signals.sources import translated
from sinr_codec.types import Array

_NEWTON_STEPS: Final = 10
LENS: Final = (
    *("camera_model", "is_fisheye", "latlong", "ftheta_p0", "distortion_params"),
    *("x_fov", "y_fov", "camera_angle_x", "camera_angle_y", "fl_x", "fl_y", "cx", "cy", "w", "h"),
    *("k1", "k2", "k3", "k4", "k5", "k6", "p1", "p2"),
)
"""Entries of a `transforms.json` that describe a camera."""
_MODELS: Final = (
    *("", "pinhole", "simple_pinhole", "perspective", "simple_radial", "radial", "opencv", "full_opencv"),
)
_OTHER_LENSES: Final = ("is_fisheye", "latlong", "ftheta_p0")  # entries of instant-ngp
_DISTORTION: Final = ("k1", "k2", "k3", "k4", "p1", "p2")  # the order of nerfstudio's distortion_params


@dataclass(frozen=True)
class Camera:
    """Intrinsics in pixels: focal lengths, principal point, and distortion as in OpenCV (Brown-Conrady).

    Attributes
    ----------
    width, height
        Pixels.
    fx, fy, cx, cy
        Focal lengths and principal point.
    k1, k2, p1, p2
        Radial and tangential distortion: with x right and y down in the plane at depth 1 and r^2 = x^2 + y^2,
        x' = x (1 + k1 r^2 + k2 r^4) + 2 p1 x y + p2 (r^2 + 2 x^2) and y' likewise with p1 and p2 exchanged.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0

    def __post_init__(self) -> None:
        if not (type(self.width) is int and type(self.height) is int and min(self.width, self.height) >= 1):
            raise InputError(f"camera: expected at least one pixel, got {quoted(self.width)} x {quoted(self.height)}")
        if not all(math.isfinite(v) and abs(v) < 1e9 for v in (*self.intrinsics, *self.distortion)):
            raise InputError("camera: expected finite intrinsics and distortion")
        if min(self.fx, self.fy) <= 0:
            raise InputError(f"camera: expected focal lengths above 0, got {self.fx:g} and {self.fy:g}")

    @property
    def intrinsics(self) -> tuple[float, float, float, float]:
        """(fx, fy, cx, cy)."""
        return self.fx, self.fy, self.cx, self.cy

    @property
    def distortion(self) -> tuple[float, float, float, float]:
        """(k1, k2, p1, p2)."""
        return self.k1, self.k2, self.p1, self.p2

    def resized(self, width: int, height: int) -> "Camera":
        """The same view at another resolution."""
        x, y = width / self.width, height / self.height
        return replace(self, width=width, height=height, fx=self.fx * x, fy=self.fy * y, cx=self.cx * x, cy=self.cy * y)

    def distort(self, points: Array) -> Array:
        """Distorted points (..., 2) of the plane at depth 1, x right and y down."""
        x, y = points[..., 0], points[..., 1]
        r2 = x * x + y * y
        radial = 1 + r2 * (self.k1 + r2 * self.k2)
        return np.stack(
            [
                x * radial + 2 * self.p1 * x * y + self.p2 * (r2 + 2 * x * x),
                y * radial + 2 * self.p2 * x * y + self.p1 * (r2 + 2 * y * y),
            ],
            axis=-1,
        )

    def undistort(self, points: Array) -> Array:
        """Inverse of `distort` by Newton's method.

        Raises
        ------
        InputError
            The distortion is not invertible within the picture.
        """
        wanted = np.asarray(points, np.float64)
        if not any(self.distortion):
            return wanted
        found = wanted.copy()
        for _ in range(_NEWTON_STEPS):
            x, y = found[..., 0], found[..., 1]
            r2 = x * x + y * y
            radial, slope = 1 + r2 * (self.k1 + r2 * self.k2), self.k1 + 2 * self.k2 * r2
            # the Jacobian, which is symmetric
            xx = radial + 2 * x * x * slope + 2 * self.p1 * y + 6 * self.p2 * x
            yy = radial + 2 * y * y * slope + 2 * self.p2 * x + 6 * self.p1 * y
            xy = 2 * x * y * slope + 2 * self.p1 * x + 2 * self.p2 * y
            error = self.distort(found) - wanted
            with np.errstate(all="ignore"):
                determinant = xx * yy - xy * xy
                step_x = (yy * error[..., 0] - xy * error[..., 1]) / determinant
                step_y = (xx * error[..., 1] - xy * error[..., 0]) / determinant
                found = found - np.stack([step_x, step_y], axis=-1)
        with np.errstate(all="ignore"):
            missed = np.abs(self.distort(found) - wanted).max(initial=0.0)
        if not missed < 1e-4:
            raise InputError("camera: the lens distortion cannot be undone within the picture; undistort the pictures")
        return found

    def directions(self, first: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Unit view directions in camera coordinates of the pixels in rows first to stop - 1, (rows, width, 3)."""
        rows = np.arange(first, self.height if stop is None else stop)
        v, u = np.meshgrid(rows + 0.5, np.arange(self.width) + 0.5, indexing="ij")
        plane = self.undistort(np.stack([(u - self.cx) / self.fx, (v - self.cy) / self.fy], axis=-1))
        rays = np.stack([plane[..., 0], -plane[..., 1], -np.ones_like(u)], axis=-1)
        return (rays / np.linalg.norm(rays, axis=-1, keepdims=True)).astype(np.float32)

    def project(self, points: Array, pose: Array) -> tuple[Array, Array]:
        """Pixels (u, v), (n, 2), and depths (n,), positive in front of the camera, of world points (n, 3)."""
        local = (points - pose[:3, 3]) @ pose[:3, :3]
        depth = -local[:, 2]
        with np.errstate(all="ignore"):
            plane = self.distort(np.stack([local[:, 0] / depth, -local[:, 1] / depth], axis=-1))
        return plane * (self.fx, self.fy) + (self.cx, self.cy), depth

    # -- files

    @classmethod
    def from_table(cls, table: Mapping[str, Any], size: tuple[int, int] | None, name: str) -> "Camera":
        """The camera of a `transforms.json`, for pictures of `size` (width, height), or None where that is unknown.

        Blender writes `camera_angle_x`; instant-ngp and nerfstudio write `fl_x`, `fl_y`, `cx`, `cy`, `w`, `h` and the
        distortion, or `x_fov` and `distortion_params`. If pictures are smaller than `w` x `h` by a common factor, the
        intrinsics are scaled.

        Raises
        ------
        InputError : no focal length, a lens of another model, or invalid numbers
        """
        model = str(table.get("camera_model") or "").lower()
        if model not in _MODELS or any(table.get(key) not in (None, False) for key in _OTHER_LENSES):
            raise InputError(
                f"{name}: a fisheye, panoramic or unknown lens{' ' + quoted(model) if model not in _MODELS else ''}; "
                "expected a pinhole camera: undistort the pictures"
            )
        table = _with_distortion(table, name)
        for key in ("k3", "k4", "k5", "k6"):
            if _number(table, key, name, 0.0):
                raise InputError(f"{name}: distortion {key} is not supported, only k1, k2, p1 and p2: undistort first")
        width, height = (_number(table, key, name, 0.0) for key in ("w", "h"))
        if size is None and not (width and height):
            raise InputError(f"{name}: expected the size of the pictures, w and h")
        full = (round(width), round(height)) if width and height else size
        assert full is not None
        fx, fy = _focal(table, "x", full[0], name), _focal(table, "y", full[1], name)
        fy = fy or fx
        fx = fx or fy
        if fx is None or fy is None:
            raise InputError(f"{name}: expected a focal length, fl_x or camera_angle_x")
        lens = {key: _number(table, key, name, 0.0) for key in ("k1", "k2", "p1", "p2")}
        cx, cy = _number(table, "cx", name, full[0] / 2), _number(table, "cy", name, full[1] / 2)
        camera = cls(full[0], full[1], fx, fy, cx, cy, **lens)
        if size is not None and size != full:
            if abs(size[0] * full[1] - size[1] * full[0]) > max(full):
                found, declared = ("{} x {}".format(*pair) for pair in (size, full))
                raise InputError(f"{name}: expected pictures of {declared} pixels as declared, found {found}")
            camera = camera.resized(*size)
        return camera


def _number(table: Mapping[str, Any], key: str, name: str, default: Any) -> Any:
    value = table.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InputError(f"{name}: expected a number for {key}, found {quoted(value)}")
    return float(value)


def _with_distortion(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """The table with the coefficients of nerfstudio's `distortion_params`, if any, under names of their own."""
    listed = table.get("distortion_params")
    if listed is None:
        return table
    if not isinstance(listed, list) or len(listed) != len(_DISTORTION):
        raise InputError(f"{name}: expected {len(_DISTORTION)} numbers for distortion_params, found {quoted(listed)}")
    return {**table, **dict(zip(_DISTORTION, listed))}


def _focal(table: Mapping[str, Any], axis: str, pixels: int, name: str) -> float | None:
    """The focal length along an axis: `fl_x`, `camera_angle_x` in radians, or instant-ngp's `x_fov` in degrees."""
    if (focal := _number(table, f"fl_{axis}", name, None)) is not None and focal:
        return float(focal)
    for key, unit, half in ((f"camera_angle_{axis}", 1.0, "pi"), (f"{axis}_fov", math.pi / 180, "180")):
        angle = _number(table, key, name, None)
        if angle is None:
            continue
        if not 0 < angle * unit < math.pi:
            raise InputError(f"{name}: expected {key} between 0 and {half}, found {angle:g}")
        return 0.5 * pixels / math.tan(0.5 * angle * unit)
    return None


# -- poses -----------------------------------------------------------------------------------------------------


def check_poses(poses: Any, name: str) -> NDArray[np.float32]:
    """Camera-to-world matrices (n, 4, 4) from one or several (4, 4) or (3, 4) matrices.

    Raises
    ------
    InputError : another shape, NaN or infinity, or axes that do not form a rotation
    """
    try:
        array = np.asarray(poses, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: expected matrices of numbers ({error})") from error
    if array.ndim == 2:
        array = array[None]
    if array.ndim != 3 or array.shape[1:] not in ((4, 4), (3, 4)) or not len(array):
        raise InputError(f"{name}: expected camera-to-world matrices (n, 4, 4) or (n, 3, 4), found {array.shape}")
    array = array[:, :3]
    if not np.isfinite(array).all() or np.abs(array).max() > 1e9:
        raise InputError(f"{name}: expected finite matrices, found NaN, infinity or a number beyond 1e9")
    axes = array[:, :, :3]
    if np.abs(axes.transpose(0, 2, 1) @ axes - np.eye(3)).max() > 1e-2 or (np.linalg.det(axes) < 0).any():
        raise InputError(f"{name}: expected rotations in the first three columns of the camera-to-world matrices")
    bottom = np.broadcast_to([[[0.0, 0.0, 0.0, 1.0]]], (len(array), 1, 4))
    return np.concatenate([array, bottom], axis=1).astype(np.float32)


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; `InputError` for anything else."""
    with translated(path, "expected JSON ({reason})"):
        table = json.loads(path.read_bytes())  # UTF-8, -16 or -32, with a byte-order mark or without
    if not isinstance(table, dict):
        raise InputError(f"{path}: expected a JSON object with frames")
    return table


def frames_of(table: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The frames of a `transforms.json`, each with a `transform_matrix`; `InputError` if there are none."""
    frames = table.get("frames")
    if not isinstance(frames, list) or not frames or not all(isinstance(f, dict) for f in frames):
        raise InputError(f"{name}: expected a list of frames")
    for number, frame in enumerate(frames):
        if "transform_matrix" not in frame:
            raise InputError(f"{name}: frame {number} has no transform_matrix")
    return frames


def read_poses(source: Any) -> NDArray[np.float32]:
    """Poses to render: matrices, a `.npy` file of them, or a JSON file.

    A JSON file has frames with a `transform_matrix` each, the `camera_path` of nerfstudio's viewer, or matrices.
    """
    if not isinstance(source, str | os.PathLike):
        return check_poses(source, "pose")
    path = Path(source)
    if not path.is_file():
        raise MissingFileError(f"{path}: no such file; expected camera poses")
    if path.suffix.lower() == ".npy":
        with translated(path, "expected an array of poses ({reason})"):
            return check_poses(np.load(path, allow_pickle=False), str(path))
    with translated(path, "expected JSON ({reason})"):
        table = json.loads(path.read_bytes())
    if isinstance(table, dict) and "camera_path" in table:
        return check_poses(_path_of_viewer(table["camera_path"], str(path)), str(path))
    if isinstance(table, dict):
        table = [frame["transform_matrix"] for frame in frames_of(table, str(path))]
    return check_poses(table, str(path))


def _path_of_viewer(cameras: Any, name: str) -> list[Any]:
    """Matrices (4, 4) from a list of cameras with 16 numbers or four rows each under `camera_to_world`."""
    expected = InputError(f"{name}: expected a camera_path of cameras with a camera_to_world of 16 numbers each")
    if not isinstance(cameras, list) or not all(isinstance(camera, dict) for camera in cameras):
        raise expected
    found = [camera.get("camera_to_world") for camera in cameras]
    if not all(isinstance(matrix, list) and len(matrix) in (4, 16) for matrix in found):
        raise expected
    return [matrix if len(matrix) == 4 else [matrix[i : i + 4] for i in range(0, 16, 4)] for matrix in found]


def look_at(position: Array, target: Array, up: Array) -> NDArray[np.float32]:
    """The pose (4, 4) of a camera at `position` that looks at `target`, with `up` upwards in the picture."""
    back = np.asarray(position, np.float64) - target
    back /= np.linalg.norm(back)
    right = np.cross(up, back)
    right /= np.linalg.norm(right)
    pose = np.eye(4, dtype=np.float32)
    pose[:3, :4] = np.stack([right, np.cross(back, right), back, position], axis=1)
    return pose


def focus(poses: Array) -> NDArray[np.float64]:
    """The least-squares intersection of all optical axes; the mean position where they are parallel.

    It solves sum (I - d d^T) x = sum (I - d d^T) o for positions o and unit axes d.
    """
    axes, origins = poses[:, :3, 2].astype(np.float64), poses[:, :3, 3].astype(np.float64)
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    total = across.sum(0)
    if np.linalg.cond(total) > 1e6:
        return np.asarray(origins.mean(0))
    return np.asarray(np.linalg.solve(total, (across @ origins[:, :, None]).sum(0))[:, 0])


@dataclass(frozen=True)
class Orbit:
    """Cameras evenly spaced on a circle that look at its axis: the default views of a scene.

    Attributes
    ----------
    target
        Point that the cameras look at.
    up
        Axis of the circle, a unit vector.
    start
        Position of the first camera.
    """

    target: tuple[float, float, float]
    up: tuple[float, float, float]
    start: tuple[float, float, float]

    @classmethod
    def of(cls, poses: Array, target: Array) -> Self:
        """The orbit at the mean height and distance of cameras, starting in the direction of the first.

        Up is the world axis nearest to the cameras' mean up direction. Numbers are rounded to binary32, which is short
        in a file.
        """
        mean = poses[:, :3, 1].mean(0)
        axis = int(np.abs(mean).argmax())
        up = np.zeros(3)
        up[axis] = math.copysign(1.0, float(mean[axis]))
        offsets = poses[:, :3, 3] - target
        heights = offsets @ up
        distance, height = float(np.linalg.norm(offsets, axis=1).mean()), float(heights.mean())
        flat = offsets[0] - heights[0] * up
        if np.linalg.norm(flat) < 1e-3 * distance:
            flat = np.roll(up, 1)
        across = math.sqrt(max(distance**2 - height**2, (0.1 * distance) ** 2))
        start = target + height * up + across * flat / np.linalg.norm(flat)
        rounded = (tuple(float(np.float32(v)) for v in vector) for vector in (target, up, start))
        return cls(*rounded)  # type: ignore[arg-type]

    def poses(self, count: int) -> NDArray[np.float32]:
        """`count` poses, (count, 4, 4)."""
        target, up, start = (np.asarray(v, np.float64) for v in (self.target, self.up, self.start))
        offset = start - target
        along = (offset @ up) * up
        flat = offset - along
        side = np.cross(up, flat)
        turns = 2 * np.pi * np.arange(count) / count
        return np.stack([look_at(target + along + np.cos(t) * flat + np.sin(t) * side, target, up) for t in turns])
