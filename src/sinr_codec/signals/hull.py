"""The bounding box and the visual hull of a scene, from the transparent parts of its pictures."""

from __future__ import annotations

import math
from typing import Any, Final

import brotli
import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import InputError, LimitError, MalformedError, quoted
from sinr_codec.signals.cameras import Camera, focus
from sinr_codec.signals.radiance_files import Views
from sinr_codec.types import Array

HULL: Final = 32
"""Cells of the stored hull along every axis: 0.7 KB for the lego scene, against 3.1 KB with 64 cells."""
# Half side of a scene's initial box, in radii of the ball that all cameras see. With transparent pictures the box is
# cut to the hull, so it must not extend to regions that few cameras see.
_MASKED_SCENE: Final = 1.1
_OPEN_SCENE: Final = 1.5


def hull_from(cells: Any, side: bytes) -> NDArray[np.bool_] | None:
    """The hull from a header's cells and a side section; `MalformedError` for data that no writer can have written."""
    if cells == 0 and type(cells) is int:
        if side:
            raise MalformedError("scene header: a side section that nothing declares")
        return None
    if type(cells) is not int or cells != HULL:
        raise MalformedError(f"scene header: expected a hull of {HULL} cells a side, found {quoted(cells)}")
    if len(side) > HULL**3:
        raise LimitError("scene hull: more bytes than it has cells")
    try:
        decoder, packed = brotli.Decompressor(), b""
        packed = decoder.process(side, output_buffer_limit=HULL**3 // 8 + 1)
    except brotli.error as error:
        raise MalformedError("scene hull: damaged") from error
    if len(packed) != HULL**3 // 8 or not decoder.is_finished():
        raise MalformedError("scene hull: expected a bit for every cell")
    return np.unpackbits(np.frombuffer(packed, np.uint8)).astype(bool).reshape(HULL, HULL, HULL)


def upsampled(hull: NDArray[np.bool_] | None, cells: int) -> NDArray[np.bool_]:
    """The hull on a grid with `cells` cells a side; a cell is inside if its centre is."""
    if hull is None:
        return np.ones((cells, cells, cells), bool)
    index = (2 * np.arange(cells) + 1) * len(hull) // (2 * cells)
    return hull[np.ix_(index, index, index)]


def carve(camera: Camera, views: Views, low: Array, high: Array, cells: int) -> NDArray[np.bool_]:
    """Cells of a box that may be occupied: bool (cells, cells, cells).

    This is a conservative visual hull (Laurentini 1994): a cell is removed if its whole surroundings are transparent in
    some view, or if it lies in no view.
    """
    axes = [a + (np.arange(cells) + 0.5) / cells * (b - a) for a, b in zip(low, high)]
    points = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    reach = np.linalg.norm((np.asarray(high) - low) / cells) / 2
    alive, shown = np.arange(len(points)), np.zeros(len(points), bool)
    height, width = camera.height, camera.width
    for picture, pose in zip(views.pictures, views.poses):
        pixels, depth = camera.project(points[alive], pose.astype(np.float64))
        with np.errstate(all="ignore"):
            # lens distortion varies by less than a pixel over so small a part of the picture
            radius = 1 + reach * max(camera.fx, camera.fy) / (depth - reach)
            sees = (depth > 2 * reach) & (pixels > 0).all(1) & (pixels < (width, height)).all(1)
        u, v, r = pixels[sees, 0], pixels[sees, 1], radius[sees]
        sums = np.pad(np.cumsum(np.cumsum(picture[..., 3] > 0, 0, dtype=np.int64), 1), ((1, 0), (1, 0)))
        left, right = (np.clip(x, 0, width).astype(np.int64) for x in (np.floor(u - r), np.ceil(u + r)))
        top, bottom = (np.clip(y, 0, height).astype(np.int64) for y in (np.floor(v - r), np.ceil(v + r)))
        covered = sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left]
        shown[alive] |= sees
        sees[sees] = covered == 0
        alive = alive[~sees]
    hull = np.zeros(len(points), bool)
    hull[alive] = shown[alive]
    return hull.reshape(cells, cells, cells)


def box_of(camera: Camera, views: Views, name: str) -> tuple[Array, Array, bool]:
    """Corners of the scene's box, and whether they come from transparent pixels."""
    target = focus(views.poses)
    reach = min(camera.cx / camera.fx, camera.cy / camera.fy, 1.0)
    distances = np.linalg.norm(views.poses[:, :3, 3] - target, axis=1)
    clear = views.pictures.shape[3] == 4 and bool((views.pictures[..., 3] == 0).any())
    half = (_MASKED_SCENE if clear else _OPEN_SCENE) * float(np.median(distances)) * reach / math.hypot(1, reach)
    if not half > 0:
        raise InputError(f"{name}: the cameras all stand in one place; name the box of the scene")
    low, high = target - half, target + half
    if not clear:
        return low, high, False
    hull = carve(camera, views, low, high, 2 * HULL)
    if not hull.any():
        raise InputError(f"{name}: the pictures' transparent parts leave no place for an object; check poses and focal")
    filled = np.argwhere(hull)
    sides = (high - low) / (2 * HULL)
    return low + filled.min(0) * sides, low + (filled.max(0) + 1) * sides, True


def rounded(low: Array, high: Array) -> tuple[Any, Any]:
    """Corners rounded outwards to binary32, the precision of ray marching; `InputError` where that is too coarse."""
    down = np.nextafter(low.astype(np.float32), np.float32(-np.inf))
    up = np.nextafter(high.astype(np.float32), np.float32(np.inf))
    if (high - low).min() < 1e-4 * np.abs([low, high]).max():
        raise InputError("scene: it lies too far from its origin for its size; move the cameras towards the origin")
    return tuple(float(v) for v in down), tuple(float(v) for v in up)


def behind(views: Views) -> tuple[int, int, int]:
    """The background of opaque pictures: the median colour at their edges."""
    pictures = views.pictures
    edges = [pictures[:, 0], pictures[:, -1], pictures[:, :, 0], pictures[:, :, -1]]
    red, green, blue = (int(v) for v in np.median(np.concatenate(edges, axis=1).reshape(-1, 3), axis=0))
    return red, green, blue
