"""What a file of a shape records, and decoded shapes: meshes, voxels and views of them."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import InputError, MalformedError, UnknownIdError, quoted
from sinr_codec.files import atomic_write
from sinr_codec.signals import mesh as meshes
from sinr_codec.signals.base import Fields
from sinr_codec.signals.cut import Cut
from sinr_codec.signals.grammar import RegionLike, ScaleLike, SizeLike
from sinr_codec.signals.grids import GridSpec, id_of
from sinr_codec.signals.mesh import Mesh
from sinr_codec.signals.mesh_files import write_mesh
from sinr_codec.signals.shape_files import MAX_SIDE, triple
from sinr_codec.types import Array, PathLike

SHAPE: Final = 5
SHAPE_IN_BLOCKS: Final = 10
"""Signal ids of shapes: in one piece, and in blocks."""
VARIANTS: Final = ("occupancy", "sdf", "coloured")
BAND: Final = 1.5
"""Voxels from the surface at which the level of an occupancy reaches 1."""
MAX_BAND: Final = 1 << 17


@dataclass(frozen=True)
class Shape:
    """A decoded shape: samples of its level on a grid of voxels.

    Attributes
    ----------
    level
        float32 (X, Y, Z) in [-1, 1], positive inside.
    origin, spacing
        The outer corner of voxel (0, 0, 0) and the sides of a voxel, in the units of the source.
    band
        Distance at level 1, in the units of the source; 0 where the level is not a distance.
    colours
        uint8 (X, Y, Z, 3), RGB, defined near the surface; or None.
    """

    level: NDArray[np.float32]
    origin: tuple[float, float, float]
    spacing: tuple[float, float, float]
    band: float = 0.0
    colours: Array | None = None

    @property
    def solid(self) -> NDArray[np.bool_]:
        """Whether each voxel's centre is inside, bool (X, Y, Z)."""
        return self.level > 0

    @property
    def distance(self) -> NDArray[np.float32]:
        """Signed distance to the surface in the units of the source, negative inside, truncated at the band."""
        return self.level * np.float32(-self.band)

    def mesh(self) -> Mesh:
        """The surface, by marching cubes; closed at the boundary of the grid."""
        surface = meshes.marching_cubes(self.level, self.origin, self.spacing)
        if self.colours is None:
            return surface
        interpolate = meshes.require("scipy.ndimage", "colours of a mesh").map_coordinates
        place = ((surface.vertices - self.origin) / self.spacing - 0.5).T
        channels = [interpolate(self.colours[..., c], place, order=1, mode="nearest") for c in range(3)]
        return Mesh(surface.vertices, surface.faces, np.stack(channels, axis=1))

    def array(self, variant: str = "occupancy") -> Array:
        """The array for a variant: bool, float32 distances, or RGBA (uint8, (X, Y, Z, 4)) with alpha 255 inside."""
        if variant == "sdf":
            return self.distance
        if self.colours is None:
            return self.solid
        return np.concatenate([self.colours, 255 * self.solid[..., None].astype(np.uint8)], axis=3)


@dataclass(frozen=True)
class ShapeSpec(GridSpec):
    """Grid and variant of a shape: all that a decoder needs besides the networks.

    Attributes
    ----------
    shape
        Voxels (X, Y, Z) of the source.
    variant
        "occupancy", "sdf" or "coloured".
    band
        Distance from the surface, in voxels, at which the level reaches 1; 0 for a step.
    origin, voxel
        The outer corner of voxel (0, 0, 0) and the side of a voxel in the units of the source: the centre of voxel
        (i, j, k) lies at origin + voxel * (i + 1/2, j + 1/2, k + 1/2).
    mesh
        Whether the source was a mesh instead of a volume.
    cut
        Division into blocks; None for one piece.
    """

    shape: tuple[int, int, int]
    variant: str = "occupancy"
    band: float = BAND
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    voxel: float = 1.0
    mesh: bool = False
    cut: Cut | None = None

    KIND: ClassVar[str] = "shape"
    UNIT: ClassVar[str] = "voxel"
    MEASURE: ClassVar[str] = "IoU"

    @property
    def sizes(self) -> tuple[int, ...]:
        """Voxels of the source along each axis."""
        return self.shape

    @property
    def out_features(self) -> int:
        """The level, and three colour channels if any."""
        return 4 if self.variant == "coloured" else 1

    def part(self, sizes: tuple[int, ...]) -> "ShapeSpec":
        """See `GridSpec.part`."""
        return self.with_cut(None, shape=sizes)

    @property
    def suffix(self) -> str:
        """A mesh format for a mesh, `.npy` for a volume."""
        return ".ply" if self.mesh else ".npy"

    def describe(self) -> dict[str, Any]:
        """Kind, grid, variant, and the blocks by axis if any."""
        about = {
            "type": self.KIND,
            "shape": list(self.shape),
            "dtype": {"sdf": "float32", "coloured": "uint8"}.get(self.variant, "bool"),
            "variant": self.variant,
            "band_voxels": self.band,
            "origin": list(self.origin),
            "voxel": self.voxel,
            "source": "mesh" if self.mesh else "volume",
        }
        return self.described(about)

    def summary(self, decoded: Shape) -> str:
        """Size of a rendering, and its share inside."""
        inside = np.count_nonzero(decoded.level > 0) / decoded.level.size
        return f"{' x '.join(map(str, decoded.level.shape))} voxels, {100 * inside:.1f} % inside, {self.variant}"

    def to_header(self) -> list[Any]:
        """[5, variant, from a mesh, X, Y, Z, band, voxel, origin x, y, z]; in blocks [10, the same, x, y, z, fade]."""
        numbers = map(float, (self.band, self.voxel, *self.origin))
        header = [VARIANTS.index(self.variant), int(self.mesh), *self.shape, *numbers]
        return [SHAPE, *header] if self.cut is None else [SHAPE_IN_BLOCKS, *header, *self.cut.counts, self.cut.fade]

    @classmethod
    def from_header(cls, header: Any, side: bytes = b"") -> "ShapeSpec":
        """Inverse of `to_header`.

        Raises
        ------
        MalformedError, UnknownIdError : anything that `to_header` cannot have written
        """
        if id_of(header) == SHAPE_IN_BLOCKS:
            if len(header) != 15:
                raise MalformedError("shape header: expected eleven entries, blocks along three axes and their fade")
            spec = cls.from_header([SHAPE, *header[1:11]], side)
            return spec.with_cut(Cut.from_header(spec.sizes, header[11:14], header[14]))
        if len(header) != 11 or header[0] != SHAPE:
            raise MalformedError("shape header: expected id, variant, source, three sizes and five numbers")
        if side:
            raise MalformedError("shape: expected no side section")
        number, mesh, *shape = header[1:6]
        if type(number) is not int or not 0 <= number < len(VARIANTS):
            raise UnknownIdError(f"shape variant {quoted(number)}: not known to this version")
        if type(mesh) is not int or mesh not in (0, 1):
            raise MalformedError(f"shape source: expected 0 (volume) or 1 (mesh), found {quoted(mesh)}")
        if not all(type(n) is int and 1 <= n <= MAX_SIDE for n in shape):
            raise MalformedError(f"shape: expected three sizes from 1 to {MAX_SIDE}, found {quoted(shape)}")
        if not all(type(x) is float and math.isfinite(x) for x in header[6:]):
            raise MalformedError(f"shape: expected five finite numbers, found {quoted(header[6:])}")
        band, voxel, *origin = header[6:]
        variant = VARIANTS[number]
        if not (0 < band <= MAX_BAND or (band == 0 and variant == "occupancy")):
            raise MalformedError(f"shape band: expected voxels above 0 to {MAX_BAND}, found {band}")
        if not voxel > 0:
            raise MalformedError(f"shape voxel: expected a side above 0, found {voxel}")
        x, y, z = shape
        return cls((x, y, z), variant, band, (origin[0], origin[1], origin[2]), voxel, bool(mesh))

    def centres(self, index: Array) -> Array:
        """Centres of voxels, float64 (n, 3), by their indices (n,) in C order."""
        return np.asarray(self.origin) + self.voxel * (np.stack(np.unravel_index(index, self.shape), 1) + 0.5)

    def render(
        self,
        fields: Fields,
        *,
        resolution: int | None = None,
        scale: ScaleLike | None = None,
        size: SizeLike | None = None,
        region: RegionLike | None = None,
    ) -> Shape:
        """Evaluate the networks on a grid of voxels, in memory bounded by the result plus a few tiles.

        Parameters
        ----------
        fields
            The networks, coords (x, y, z) -> level, or level, red, green and blue; blocks outside the region are not
            decoded.
        resolution
            Voxels along the longest side of the whole, instead of `scale`.
        scale
            Factor on the source's size, one or (x, y, z). With a region the result is that part of the whole at this
            scale.
        size
            Voxels (x, y, z) of the result. It shows the whole, or the region where there is one.
        region
            Part of the shape: (start, stop) in voxels of the source for each of x, y and z.

        Raises
        ------
        InputError : a scale, size or region without any voxel
        LimitError : more values than `fields.max_samples`, before anything is allocated
        """
        if resolution is not None:
            if scale is not None or size is not None:
                raise InputError("resolution, scale and size: expected one of them")
            if not (isinstance(resolution, int | np.integer) and resolution >= 1):
                raise InputError(f"resolution: expected an integer of at least 1, got {quoted(resolution)}")
            scale = int(resolution) / max(self.shape)
        spans = self.window(fields, scale, size, region)
        out = self.evaluate(fields, spans)
        steps = [(s.stop - s.start) / s.count for s in spans]
        corner = [s.start + s.first * step for s, step in zip(spans, steps)]
        return Shape(
            level=out[..., 0].astype(np.float32, copy=False),
            origin=triple(o + self.voxel * c for o, c in zip(self.origin, corner)),
            spacing=triple(self.voxel * step for step in steps),
            band=self.band * self.voxel,
            colours=_bytes(out[..., 1:]) if self.variant == "coloured" else None,
        )

    @property
    def _dtype(self) -> Any:
        # Half precision for four values a voxel: it is finest near 0, at the surface.
        return np.float16 if self.variant == "coloured" else np.float32

    def _finish(self, values: Array) -> Array:
        return clipped(values)

    def _clip(self, values: Array) -> Array:
        return clipped(values)

    def save(self, decoded: Shape, path: PathLike, **view: Any) -> None:
        """Write a decoded shape; the extension selects the format.

        The formats are a mesh (.ply, .obj, .stl, .off, .glb), voxels (.npy: bool, signed distances, or RGBA), or a
        shaded view (.png, with the options of `mesh.shaded`).

        Raises
        ------
        InputError : another extension, or a mesh or view of an empty shape
        MissingExtraError : a library of the extra `mesh` is not installed
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix == ".npy":
            with atomic_write(path) as temporary:
                np.save(temporary, decoded.array(self.variant), allow_pickle=False)
            return
        surface = decoded.mesh()
        if not len(surface.faces):
            raise InputError(f"{path}: the decoded shape is empty, there is no surface to write; expected .npy")
        if suffix != ".png":
            write_mesh(surface, path)
            return
        picture = meshes.shaded(surface, **view)
        with atomic_write(path) as temporary:
            picture.save(temporary, "PNG")


def clipped(values: Array) -> Array:
    """Values clipped to [-1, 1]; NaN, from a damaged network, counts as outside."""
    return np.fmin(np.fmax(values, -1), 1)


def _bytes(values: Array) -> Array:
    """Colours in [-1, 1] as uint8, converted in slabs."""
    out = np.empty(values.shape, np.uint8)
    for i in range(len(values)):
        out[i] = np.rint((values[i].astype(np.float32) + 1) * 127.5)
    return out
