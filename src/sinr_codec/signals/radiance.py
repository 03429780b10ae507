"""Scenes: photographs with camera poses, as a radiance field rendered along rays."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import brotli
import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray
from PIL import Image

from sinr_codec.errors import InputError, LimitError, MalformedError, quoted
from sinr_codec.fields import Octaves, ReLU
from sinr_codec.fields.radiance import Radiance, RadianceGrid
from sinr_codec.files import atomic_write
from sinr_codec.signals import ffmpeg, formats
from sinr_codec.signals.base import Apply, Fields, MeanOfErrors, Quality
from sinr_codec.signals.cameras import Camera, Orbit, read_poses
from sinr_codec.signals.claims import archive, folder
from sinr_codec.signals.grammar import Scale, ScaleLike, Size, SizeLike
from sinr_codec.signals.hull import HULL, behind, box_of, carve, hull_from, rounded, upsampled
from sinr_codec.signals.kinds import Kind
from sinr_codec.signals.levels import psnr
from sinr_codec.signals.mesh import Mesh, marching_cubes, shaded
from sinr_codec.signals.mesh_files import WRITES, write_mesh
from sinr_codec.signals.radiance_files import MOST_PIXELS, MOST_RENDERED, PICTURES, Views, read_scene
from sinr_codec.signals.rays import Box, Cells, RayField, colour, densities_of, make_cells, shade, walk
from sinr_codec.signals.recipe import Recipe
from sinr_codec.signals.sources import existing
from sinr_codec.tiles import map_tiles
from sinr_codec.types import Array, PathLike

Corners = Sequence[Sequence[float]]

WHITE: Final = (255, 255, 255)
FINE: Final = 1
"""Fine samples in a coarse step."""

_MOST_STEPS: Final = 1024
_MOST_FINE: Final = 8
_MOST_CELLS: Final = 256
_CELL_BYTES: Final = 48  # of a cell of the coarse pass while the cells are made
_RAYS: Final = 1024  # most rays rendered at once
_RAY_NUMBERS: Final = 1 << 19  # most points of these rays, for which some arrays are allocated
_BAND: Final = 1 << 18  # most pixels of a view whose directions are computed at once
_OBJECTIVE_RAYS: Final = 8192
_FPS: Final = 20  # frame rate of an animation


@dataclass(frozen=True)
class RadianceSpec:
    """Description of a scene: all that a decoder needs besides the network.

    Attributes
    ----------
    camera
        Camera of the source's pictures; the default for rendering.
    views
        Number of training pictures.
    box
        The represented region of the world, and the sampling of rays through it.
    background
        Background colour, RGB in 0..255.
    orbit
        Default views.
    hull
        Cells of the box that may be occupied, bool (s, s, s) with s = `HULL`; None for all.
    """

    camera: Camera
    views: int
    box: Box
    background: tuple[int, int, int]
    orbit: Orbit
    hull: NDArray[np.bool_] | None = field(default=None, repr=False)

    ID: ClassVar[int] = 6
    KIND: ClassVar[str] = "radiance"
    UNIT: ClassVar[str] = "pixel"
    MEASURE: ClassVar[str] = "PSNR"
    in_features: ClassVar[int] = Radiance.in_features
    out_features: ClassVar[int] = Radiance.out_features
    parts: ClassVar[int] = 1
    suffix: ClassVar[str] = ".png"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RadianceSpec) and self.to_header() == other.to_header() and self.side == other.side

    def __hash__(self) -> int:
        return hash((self.camera, self.views, self.box, self.side))

    @property
    def samples(self) -> int:
        """Number of pixels in the training views."""
        return self.views * self.camera.width * self.camera.height

    @property
    def values(self) -> int:
        """Number of values in one view."""
        return 3 * self.camera.width * self.camera.height

    @property
    def side(self) -> bytes:
        """The hull, one bit a cell in C order, most significant first, Brotli-compressed; empty without a hull."""
        if self.hull is None:
            return b""
        return bytes(brotli.compress(np.packbits(self.hull).tobytes(), quality=11))

    def describe(self) -> dict[str, Any]:
        """Description ready for JSON."""
        camera = self.camera
        return {
            "type": self.KIND,
            "shape": [camera.height, camera.width, 3],
            "dtype": "uint8",
            "views": self.views,
            "focal": [round(camera.fx, 3), round(camera.fy, 3)],
            "distortion": list(camera.distortion),
            "box": [list(self.box.low), list(self.box.high)],
            "steps": [self.box.steps, self.box.fine],
            "background": list(self.background),
        }

    # -- the header of a file

    def to_header(self) -> list[Any]:
        """See docs/format.md: ``[6, camera, views, box, background, orbit, hull cells]``."""
        camera, box, orbit = self.camera, self.box, self.orbit
        lens = [camera.width, camera.height, *camera.intrinsics]
        if any(camera.distortion):
            lens += camera.distortion
        walked = [*box.low, *box.high, box.near, box.steps, box.fine, box.cells]
        seen = [*orbit.target, *orbit.up, *orbit.start]
        return [self.ID, lens, self.views, walked, list(self.background), seen, HULL if self.hull is not None else 0]

    @classmethod
    def from_header(cls, header: Any, side: bytes = b"") -> Self:
        """Inverse of `to_header` and `side`.

        Raises
        ------
        MalformedError
            The values break the form or a range.
        LimitError
            More pixels or steps than a reader is willing to compute.
        """
        if type(header) is not list or len(header) != 7 or header[0] != cls.ID:
            raise MalformedError("scene header: expected a list of the id and six entries")
        _, lens, views, walked, background, seen, cells = header
        if type(lens) is not list or len(lens) not in (6, 10) or not _integers(lens[:2]) or not _floats(lens[2:]):
            raise MalformedError("scene header: expected a camera of two sizes and four or eight floats")
        if len(lens) == 10 and not any(lens[6:]):
            raise MalformedError("scene header: a distortion of zeros is left out, not written")
        if lens[0] * lens[1] > MOST_PIXELS or max(lens[:2]) > 1 << 16:
            raise LimitError(f"scene header: views of {lens[0]} x {lens[1]} pixels are too large")
        if type(views) is not int or not 1 <= views <= 1 << 24:
            raise MalformedError(f"scene header: expected a number of views, found {quoted(views)}")
        try:
            camera = Camera(*lens)
        except InputError as error:
            raise MalformedError(f"scene header: {error}") from error
        if (
            type(background) is not list
            or len(background) != 3
            or not all(type(v) is int and 0 <= v <= 255 for v in background)
        ):
            raise MalformedError("scene header: expected a background of three integers from 0 to 255")
        return cls(camera, views, _box_from(walked), tuple(background), _orbit_from(seen), hull_from(cells, side))

    # -- rendering

    def render(
        self,
        fields: Fields,
        *,
        pose: Any = None,
        orbit: int | None = None,
        size: SizeLike | None = None,
        scale: ScaleLike | None = None,
        mesh: bool = False,
        resolution: int | None = None,
    ) -> Any:
        """Views of the scene, or its surface.

        Parameters
        ----------
        fields
            The network.
        pose
            Cameras to render, as a JSON file or as camera-to-world matrices (4, 4) or (n, 4, 4). `cameras.read_poses`
            describes the file.
        orbit
            Number of views around the scene. Without a pose and an orbit, one view.
        size
            Height and width of the views. The field of view stays.
        scale
            Factor on the source's height and width. The field of view stays.
        mesh
            Make the surface with its colours instead of views.
        resolution
            Cells along the longest side for the surface. Default: twice those of the coarse pass.

        Returns
        -------
        uint8 (n, h, w, 3), or a `mesh.Mesh`

        Raises
        ------
        InputError : options that are mutually exclusive or out of range
        LimitError : more values than `fields.max_samples`
        """
        if mesh:
            if not all(v is None for v in (pose, orbit, size, scale)):
                raise InputError("mesh: expected no pose, orbit, size or scale beside it")
            return self._surface(fields, resolution)
        if resolution is not None:
            raise InputError("resolution: of a scene it belongs to mesh; expected size or scale for views")
        if pose is not None and orbit is not None:
            raise InputError("pose and orbit: expected one of them, not both")
        if orbit is not None and not (isinstance(orbit, int) and 1 <= orbit <= 10_000):
            raise InputError(f"orbit: expected a number of views from 1 to 10000, got {quoted(orbit)}")
        poses = self.orbit.poses(orbit or 1) if pose is None else read_poses(pose)
        camera = self._camera(size, scale)
        count = len(poses) * camera.height * camera.width * 3
        if count > fields.max_samples:
            raise LimitError(f"{len(poses)} views of {camera.width} x {camera.height}: above {fields.max_samples:,}")
        if camera.height * camera.width > MOST_RENDERED:
            raise LimitError(f"a view of {camera.width} x {camera.height}: above {MOST_RENDERED:,} pixels")
        cells = self.box.cells**3
        if cells > fields.max_samples:
            raise LimitError(f"a grid of {self.box.cells}^3 cells: above {fields.max_samples:,}")
        fields.check_bytes(_CELL_BYTES * cells, f"a grid of {self.box.cells}^3 cells")
        points = camera.height * camera.width * self.box.steps * self.box.fine
        fields.check_positions(points + cells, "a view")
        return self._views(fields, camera, poses)

    def _camera(self, size: SizeLike | None, scale: ScaleLike | None) -> Camera:
        if size is not None and scale is not None:
            raise InputError("scale and size: expected one of them, not both")
        if scale is not None:
            factors = zip((self.camera.height, self.camera.width), Scale.parse(scale).along(2))
            size = tuple(max(1, round(n * factor)) for n, factor in factors)
        if size is None:
            return self.camera
        height, width = Size.parse(size).along(2, "for height and width")
        if max(height, width) > 1 << 16:
            raise InputError(f"size {height}x{width}: expected at most {1 << 16} pixels a side")
        return self.camera.resized(width, height)

    def _views(self, fields: Fields, camera: Camera, poses: Array) -> NDArray[np.uint8]:
        apply, box = fields.parts[0], self.box
        cells = self.cells(apply, fields.tile, fields.threads)
        result = np.empty((len(poses), camera.height, camera.width, 3), np.uint8)
        rays = max(1, min(_RAYS, _RAY_NUMBERS // (box.steps * box.fine)))
        band = max(1, _BAND // camera.width)
        for top in range(0, camera.height, band):
            local = camera.directions(top, min(top + band, camera.height)).reshape(-1, 3)

            def compute(tile: tuple[int, int], local: Array = local) -> Array:
                view, first = tile
                directions, origins = _turned(local[first : first + rays], poses[view])
                return _to_bytes(render_rays(apply, box, cells, origins, directions, self.background, fields.tile))

            tiles = [(view, first) for view in range(len(poses)) for first in range(0, len(local), rays)]
            for (view, first), colours in zip(tiles, map_tiles(compute, tiles, fields.threads)):
                result[view].reshape(-1, 3)[top * camera.width + first :][: len(colours)] = colours
        return result

    def inside(self) -> NDArray[np.bool_]:
        """The hull on the grid of the coarse pass, bool (cells, cells, cells)."""
        return upsampled(self.hull, self.box.cells)

    def cells(self, apply: Apply, tile: int, threads: int | None = None) -> Cells:
        """The grid of the coarse pass for a decoded network."""
        inside = self.inside()
        found = densities_of(apply, self.box, inside, tile, lambda f, work: map_tiles(f, work, threads))
        return make_cells(array_namespace(found), self.box, found, inside)

    def _surface(self, fields: Fields, resolution: int | None) -> Mesh:
        box = self.box
        count = 2 * box.cells if resolution is None else resolution
        if not (isinstance(count, int) and 8 <= count <= 1024):
            raise InputError(f"resolution: expected a number of cells from 8 to 1024, got {quoted(resolution)}")
        if count**3 > fields.max_samples:
            raise LimitError(f"a grid of {count}^3 cells: above {fields.max_samples:,}")
        fields.check_bytes(_CELL_BYTES * count**3, f"a grid of {count}^3 cells")
        fields.check_positions(count**3, f"a grid of {count}^3 cells")
        inside = upsampled(self.hull, count)
        apply = fields.parts[0]
        found = densities_of(apply, box, inside, fields.tile, lambda f, work: map_tiles(f, work, fields.threads))
        spacing = (np.asarray(box.high) - box.low) / count
        # Half of the light is absorbed within a cell of the coarse pass.
        level = found * np.float32(box.optical_step) - np.float32(math.log(2))
        mesh = marching_cubes(level, box.low, spacing.tolist())
        if not len(mesh.faces):
            raise InputError("mesh: nothing in the scene is dense enough for a surface")
        return replace(mesh, colours=self._colours(apply, mesh, fields.tile))

    def _up(self) -> str:
        return "xyz"[int(np.abs(self.orbit.up).argmax())]

    def _colours(self, apply: Apply, mesh: Mesh, tile: int) -> NDArray[np.uint8]:
        """Colours of the vertices, viewed along their normals from outside."""
        low, high = np.asarray(self.box.low), np.asarray(self.box.high)
        positions = ((mesh.vertices - low) / (high - low) * 2 - 1).astype(np.float32)
        views = -vertex_normals(mesh)
        coords = np.concatenate([positions, views], axis=1).astype(np.float32)
        values = [apply(coords[i : i + tile])[:, :3] for i in range(0, len(coords), tile)]
        return _to_bytes(colour(np, np.concatenate(values)))

    # -- files

    def save(self, decoded: Any, path: PathLike) -> None:
        """Write views or a surface in the format of the extension.

        Views: a picture (several views on a contact sheet), an animation (`.gif`, `.mp4` and other videos), `.npy`, or
        a folder of PNG files for a name without extension. A surface: `.ply`, `.obj`, `.glb`, `.stl` or `.off`, or a
        picture of it.

        Raises
        ------
        InputError : another extension, or a path that cannot be written
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if isinstance(decoded, Mesh):
            if suffix in PICTURES:
                _save_picture(shaded(decoded, up=self._up()), path)
            else:
                write_mesh(decoded, path)
            return
        views = np.asarray(decoded)
        if suffix in PICTURES:
            _save_picture(Image.fromarray(_sheet(views)), path)
        elif suffix == ".gif":
            frames = [Image.fromarray(view) for view in views]
            with atomic_write(path) as temporary:
                frames[0].save(temporary, "GIF", save_all=True, append_images=frames[1:], duration=1000 // _FPS, loop=0)
        elif suffix in WRITES:
            raise InputError(f"{path}: views are no surface; ask for a mesh, or name a picture, .gif, .mp4 or a folder")
        else:
            from sinr_codec.signals.video import Clip, VideoSpec

            count, height, width, channels = views.shape
            rate = Fraction(_FPS)
            VideoSpec(count, height, width, channels, rate).save(Clip(views, rate), path)

    def summary(self, decoded: Any) -> str:
        """The decoded views or surface in one line."""
        if isinstance(decoded, Mesh):
            return f"surface of {len(decoded.vertices):,} vertices, {len(decoded.faces):,} faces"
        count, height, width = decoded.shape[:3]
        return f"{count} view{'s' if count > 1 else ''} of {width} x {height} pixels, RGB"


def render_rays(
    apply: Apply, box: Box, cells: Cells, origins: Array, directions: Array, background: Sequence[int], tile: int
) -> NDArray[np.float32]:
    """Colours (n, 3) in [0, 1] of rays by a decoded network, evaluated at most `tile` points at a time."""
    xp = array_namespace(origins)
    steps = walk(xp, box, cells, origins, directions)
    shown = np.asarray(background, np.float32) / np.float32(255)

    def network(coords: Array) -> Array:
        if not len(coords):
            return np.zeros((0, 4), np.float32)
        return np.concatenate([apply(coords[i : i + tile]) for i in range(0, len(coords), tile)])

    with np.errstate(all="ignore"):
        colours: NDArray[np.float32] = shade(xp, box, steps, network, directions, shown)
    return colours


def vertex_normals(mesh: Mesh) -> Array:
    """Outward unit normals (v, 3) at the vertices: area-weighted means of the face normals."""
    corners = mesh.vertices[mesh.faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(mesh.vertices)
    for corner in range(3):
        np.add.at(normals, mesh.faces[:, corner], across)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return normals / np.where(lengths > 0, lengths, 1)


def _turned(local: Array, pose: Array) -> tuple[Array, Array]:
    """World directions and origins of rays given in camera coordinates, float32 (n, 3)."""
    directions = np.ascontiguousarray(local @ pose[:3, :3].T)
    return directions, np.broadcast_to(pose[:3, 3], directions.shape)


def _to_bytes(colours: Array) -> NDArray[np.uint8]:
    # unlike clip, fmin and fmax replace a NaN, which a damaged network may produce
    return np.rint(np.fmax(np.fmin(colours, 1), 0) * 255).astype(np.uint8)


def _sheet(views: Array) -> Array:
    """A contact sheet of several views, about as wide as high."""
    count, height, width = views.shape[:3]
    columns = min(count, max(1, round(math.sqrt(count * height / width))))
    rows = -(-count // columns)
    sheet = np.full((rows * columns, height, width, 3), 255, np.uint8)
    sheet[:count] = views
    tiled = sheet.reshape(rows, columns, height, width, 3).transpose(0, 2, 1, 3, 4)
    return tiled.reshape(rows * height, columns * width, 3)


def _save_picture(picture: Image.Image, path: Path) -> None:
    with atomic_write(path) as temporary:
        picture.save(temporary)


# -- reading a header ------------------------------------------------------------------------------------------


def _integers(values: Sequence[Any]) -> bool:
    return all(type(v) is int and 1 <= v < 1 << 32 for v in values)


def _floats(values: Any, count: int | None = None) -> bool:
    return (
        type(values) is list
        and (count is None or len(values) == count)
        and all(type(v) is float and math.isfinite(v) and abs(v) < 1e9 for v in values)
    )


def _box_from(values: Any) -> Box:
    if type(values) is not list or len(values) != 10 or not _floats(values[:7]) or not _integers(values[7:]):
        raise MalformedError("scene header: expected a box of seven floats and three integers")
    low, high, near, (steps, fine, cells) = tuple(values[:3]), tuple(values[3:6]), values[6], values[7:]
    # Ray marching is in binary32, where the box must not degenerate either.
    sides = np.subtract(np.array(high, np.float32), np.array(low, np.float32))
    if not all(a < b for a, b in zip(low, high)) or not (sides > np.finfo(np.float32).tiny).all() or near < 0:
        raise MalformedError(f"scene header: expected a box with room inside, found {low} to {high}")
    if steps > _MOST_STEPS or fine > _MOST_FINE or cells > _MOST_CELLS:
        raise LimitError(f"scene header: {steps} x {fine} steps through {cells}^3 cells are too many")
    return Box(low, high, near, steps, fine, cells)


def _orbit_from(values: Any) -> Orbit:
    if not _floats(values, 9):
        raise MalformedError("scene header: expected an orbit of nine floats")
    orbit = Orbit(*(tuple(values[i : i + 3]) for i in (0, 3, 6)))
    across = np.cross(np.subtract(orbit.start, orbit.target), orbit.up)
    if not np.linalg.norm(across) > 1e-6:
        raise MalformedError("scene header: expected an orbit around its axis, found one on it")
    return orbit


# -- the signal ------------------------------------------------------------------------------------------------


class RadianceSignal(MeanOfErrors):
    """A scene as training rays: origins and directions, and their colours.

    Attributes
    ----------
    spec
        Description for the file.
    views, tests
        Training views and test views, which have no picture in common.
    notes
        One-line remarks.
    """

    in_features, out_features = 6, 3

    def __init__(self, spec: RadianceSpec, views: Views, tests: Views, notes: tuple[str, ...] = ()) -> None:
        self.spec, self.views, self.tests, self.notes = spec, views, tests, notes
        self._directions = spec.camera.directions().reshape(-1, 3)
        self._pixels = views.pictures.reshape(-1, views.pictures.shape[3])
        self._cells: Cells | None = None

    @classmethod
    def load(
        cls,
        source: Any,
        like: RadianceSpec | None = None,
        *,
        box: Corners | None = None,
        background: Sequence[int] | None = None,
        outside: bool = False,
    ) -> Self:
        """Read a scene.

        Parameters
        ----------
        source
            A folder with `transforms_train.json` (Blender, and `transforms_test.json` or `transforms_val.json` to test
            on) or `transforms.json` (instant-ngp, nerfstudio), one of these files, or an `.npz` file with the arrays
            images, poses, focal and perhaps test_images and test_poses.
        like
            The `Spec` of a file to compare with: its background is taken.
        box
            Corners ((x, y, z), (x, y, z)) of what is to be represented. Default: the visual hull of pictures with
            transparent parts; of others a cube about the point that the cameras look at.
        background
            Colour behind the scene, RGB in 0..255. Default: white where pictures have transparent parts, else the
            median of their edges.
        outside
            Read pictures outside of the scene's folder, too, if it names such ones.

        Raises
        ------
        InputError : a source that cannot be read, or settings out of range
        """
        if not isinstance(source, str | os.PathLike):
            raise InputError(f"scene: expected a folder, a .json or an .npz file, got {type(source).__name__}")
        path = existing(source, "a scene")
        camera, views, tests, notes = read_scene(path, outside)
        if box is None:
            low, high, hulled = box_of(camera, views, str(path))
            if not hulled:
                notes = (*notes, "the scene is taken to be a cube about the point that the cameras look at; see box")
        else:
            low, high, hulled = *_checked_box(box), False
        corners = rounded(low, high)
        hull = carve(camera, views, *corners, HULL) if hulled else None
        if background is None:
            background = like.background if like else WHITE if views.pictures.shape[3] == 4 else behind(views)
        spec = RadianceSpec(
            camera,
            len(views),
            _walked(camera, corners, views.poses, hulled),
            _checked_background(background),
            Orbit.of(views.poses, (np.asarray(corners[0]) + corners[1]) / 2),
            hull,
        )
        return cls(spec, views, tests, notes)

    @property
    def parts(self) -> Sequence[RadianceSignal]:
        """The scene as its only part."""
        return [self]

    @property
    def source_bytes(self) -> int:
        """Size of the training pictures, in bytes."""
        return self.views.pictures.size

    def __len__(self) -> int:
        return self.spec.samples

    def batch(self, index: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Pixels by index, view by view: rays (n, 6), origin and unit direction; colours (n, 3)."""
        view, pixel = np.divmod(index, len(self._directions))
        poses = self.views.poses[view]
        directions = np.einsum("nij,nj->ni", poses[:, :3, :3], self._directions[pixel])
        rays = np.concatenate([poses[:, :3, 3], directions], axis=1)
        colours: NDArray[np.float32] = self._pixels[index].astype(np.float32) / np.float32(255)
        if colours.shape[1] == 4:
            behind = np.asarray(self.spec.background, np.float32) / np.float32(255)
            colours = colours[:, :3] * colours[:, 3:] + behind * (1 - colours[:, 3:])
        return rays, colours

    def errors(self, predicted: Any, values: Any) -> Any:
        """Mean squared error of each ray's colour in [0, 1]; NumPy arrays or torch tensors."""
        return ((predicted - values) ** 2).mean(-1)

    def decibels(self, loss: float) -> float:
        """PSNR in dB for a mean squared error."""
        return math.inf if loss <= 0 else -10 * math.log10(loss)

    def trainable(self, network: Radiance | RadianceGrid) -> RayField:
        """The network as a function of rays, for fits."""
        self._cells = None
        background = tuple(v / 255 for v in self.spec.background)
        return RayField(network, self.spec.box, self.spec.inside(), background)  # type: ignore[arg-type]

    def objective(self, samples: int | None, seed: int) -> Callable[[Apply, int], float]:
        """Mean squared error of training rays, on the occupancy grid of the first network evaluated after a fit.

        That is the uncoded network; any accurate coding has the same empty space.
        """
        count = min(len(self), _OBJECTIVE_RAYS if samples is None else min(samples, _OBJECTIVE_RAYS))
        rays, wanted = self.batch(np.sort(np.random.default_rng(seed).choice(len(self), count, replace=False)))
        spec = self.spec

        def error(apply: Apply, tile: int) -> float:
            if self._cells is None:
                self._cells = spec.cells(apply, tile)
            cells = self._cells

            def squares(first: int) -> float:
                part = slice(first, first + _RAYS)
                origins, directions = rays[part, :3], rays[part, 3:]
                found = render_rays(apply, spec.box, cells, origins, directions, spec.background, tile)
                return float(np.sum((_to_bytes(found) / 255.0 - wanted[part]) ** 2))

            return sum(map_tiles(squares, range(0, count, _RAYS))) / (3 * count)

        return error

    def quality(self, render: Callable[..., Any]) -> Quality:
        """Mean PSNR of the held-out views, in dB."""
        found = render(pose=self.tests.poses)
        wanted = self.tests.over(self.spec.background)
        if found.shape != wanted.shape:
            raise InputError(f"decoded views: expected shape {wanted.shape}, found {found.shape}")
        each = [psnr(a, b, 255.0) for a, b in zip(wanted, found)]
        mean = float(np.mean(each))
        return Quality(mean, {"psnr_db": mean, "worst_view_db": min(each), "views": float(len(each))})


def _walked(camera: Camera, corners: tuple[Any, Any], poses: Array, hulled: bool) -> Box:
    """Ray sampling in a box: steps as fine as the pictures resolve, and cells of about that length."""
    low, high = np.asarray(corners[0]), np.asarray(corners[1])
    cells = 64 if max(camera.width, camera.height) <= 200 else 128
    steps = math.ceil(float(np.linalg.norm(high - low)) / float((high - low).max()) * cells)
    outside = np.maximum(np.maximum(low - poses[:, :3, 3], poses[:, :3, 3] - high), 0)
    nearest = float(np.linalg.norm(outside, axis=1).min())
    # Half of the distance from the box to the nearest camera; a hundredth of the box's size if a camera is inside.
    near = max(nearest / 2, 0.01 * float((high - low).max()))
    return Box(*corners, float(np.float32(near)), steps, FINE, cells)


def _checked_box(box: Corners) -> tuple[Array, Array]:
    try:
        low, high = np.asarray(box, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"box: expected two corners of three numbers, got {quoted(box)}") from error
    if low.shape != (3,) or not np.isfinite([low, high]).all() or not (low < high).all():
        raise InputError(f"box: expected two corners of three numbers, the lower first, got {quoted(box)}")
    if np.abs([low, high]).max() > 60_000:
        raise InputError("box: expected corners within 60000 of the origin; scale the poses")
    return low, high


def _checked_background(colour: Sequence[int]) -> tuple[int, int, int]:
    values = tuple(colour)
    if len(values) != 3 or not all(isinstance(v, int | np.integer) and 0 <= v <= 255 for v in values):
        raise InputError(f"background: expected three integers from 0 to 255, got {quoted(colour)}")
    return tuple(int(v) for v in values)  # type: ignore[return-value]


def recognises(source: Any) -> bool:
    """Whether a source is a folder with `transforms*.json`, or an `.npz` file with images and poses."""
    path = folder(source)
    return archive(source).keys() >= {"images", "poses"} if path is None else any(path.glob("transforms*.json"))


def _network(_in: int, _out: int, width: int, depth: int, activation: Any, encoding: Any) -> Radiance:
    """The network of a scene; its numbers of coordinates and values are fixed."""
    return Radiance(width, depth, activation, encoding)


# The number of points changes from step to step, so compilation is of no use.
KIND: Final = Kind(
    "radiance",
    "a scene",
    (RadianceSpec.ID,),
    RadianceSignal,
    RadianceSpec,
    Recipe(
        ReLU(),
        Octaves(6),
        width=64,
        rate=0.12,
        db=30.0,
        fit={
            "": {"batch": 1024, "lr": 8e-3, "compile": False},
            "fast": {"steps": 1500},
            "balanced": {"steps": 6000},
            "best": {"steps": 30_000},
            "paper": {"steps": 6000},
        },
        build=_network,
    ),
    suffixes=(".json",),
    recognises=recognises,
    writes=formats.checked(
        {
            " ".join((*PICTURES, ".gif", ".npy", ".npz")): (),
            "": (),
            " ".join(ffmpeg.WRITES): formats.VIDEOS,
            " ".join(WRITES): formats.MESHES,
        }
    ),
)
