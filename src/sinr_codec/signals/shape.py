"""Shapes: solids as occupancy fields, plain or coloured, and as signed distances (section 4.4 of the paper).

A mesh is voxelised by its winding number, or a volume of zeros and ones is taken as it is. The field's value, the
*level*, is positive inside and negative outside; 0 is occupancy 1/2. Between -1 and +1 it follows the signed distance
from the surface, out to a *band* of voxels, and is free to go on beyond. With a narrow band that is an occupancy
whose step has become a ramp, which networks fit several times faster than a step: the surface stays where it was,
and no capacity goes into sharp edges. With a wide band it is a truncated signed distance field.
"""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import InputError, MalformedError, UnknownIdError
from sinr_codec.fields import Gaussian, Sine
from sinr_codec.files import atomic_write
from sinr_codec.signals import lattice
from sinr_codec.signals import mesh as meshes
from sinr_codec.signals.base import Apply, Fields, MeanOfErrors, Part, Quality
from sinr_codec.signals.claims import array_header, is_pair_of_array, made_by
from sinr_codec.signals.cut import Blocking, Cut
from sinr_codec.signals.grammar import RegionLike, ScaleLike, SizeLike
from sinr_codec.signals.grid import CENTRES
from sinr_codec.signals.grids import GridSpec, Parts, id_of
from sinr_codec.signals.kinds import Kind
from sinr_codec.signals.mesh import Mesh
from sinr_codec.signals.recipe import Recipe
from sinr_codec.signals.shape_files import MAX_SIDE, Placement, triple, volume_of, voxels_of
from sinr_codec.signals.voxels import near_surface
from sinr_codec.tiles import map_tiles
from sinr_codec.types import Array, PathLike

SHAPE: Final = 5
SHAPE_IN_BLOCKS: Final = 10
"""The ids of shapes among the signals a file can hold: of those in one piece, and of those cut into blocks."""
VARIANTS: Final = ("occupancy", "sdf", "coloured")
RESOLUTION: Final = 256
"""Voxels of the longest side, margin included, unless told otherwise."""
SDF_RESOLUTION: Final = 128
"""The same of signed distances, which are smooth."""
BAND: Final = 1.5
"""Voxels from the surface at which the level of an occupancy reaches 1."""
SDF_BAND: Final = 1 / 8
"""Share of the longest side at which a signed distance is truncated."""

_NEAR: Final = 1.25  # voxels from the surface that count as near it when samples are drawn
_SHARE: Final = 0.8  # of the samples of a step that lie near the surface
_FULL: Final = 32767  # the level 1 among whole numbers
_ABSENT: Final = 2.0  # value of a colour where there is none, far from the surface
_MAX_BAND: Final = 1 << 17


# -- what comes out --------------------------------------------------------------------------------------------


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
        Distance that level 1 stands for, in the units of the source; 0 where the level is no distance.
    colours
        uint8 (X, Y, Z, 3), RGB, meaningful near the surface; or None.
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
        """The surface, by marching cubes; closed also where it meets the side of the grid."""
        surface = meshes.marching_cubes(self.level, self.origin, self.spacing)
        if self.colours is None:
            return surface
        interpolate = meshes.require("scipy.ndimage", "colours of a mesh").map_coordinates
        place = ((surface.vertices - self.origin) / self.spacing - 0.5).T
        channels = [interpolate(self.colours[..., c], place, order=1, mode="nearest") for c in range(3)]
        return Mesh(surface.vertices, surface.faces, np.stack(channels, axis=1))

    def array(self, variant: str = "occupancy") -> Array:
        """As an array: solid (bool), distances (float32), or RGBA (uint8, (X, Y, Z, 4)) with alpha 255 inside."""
        if variant == "sdf":
            return self.distance
        if self.colours is None:
            return self.solid
        return np.concatenate([self.colours, 255 * self.solid[..., None].astype(np.uint8)], axis=3)


@dataclass(frozen=True)
class ShapeSpec(GridSpec):
    """Grid and meaning of a shape: what a decoder needs besides the field.

    Attributes
    ----------
    shape
        Voxels (X, Y, Z) of the source.
    variant
        "occupancy", "sdf" or "coloured".
    band
        Distance from the surface, in voxels, at which the level reaches 1; 0 for a bare step.
    origin, voxel
        The outer corner of voxel (0, 0, 0) and the side of a voxel in the units of the source: the centre of voxel
        (i, j, k) lies at origin + voxel * (i + 1/2, j + 1/2, k + 1/2).
    mesh
        Whether the source was a mesh, rather than a volume.
    cut
        How it is cut into blocks; None in one piece.
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
        """Voxels of the source by axis."""
        return self.shape

    @property
    def out_features(self) -> int:
        """The level, and three colours where there are any."""
        return 4 if self.variant == "coloured" else 1

    def part(self, sizes: tuple[int, ...]) -> "ShapeSpec":
        """See `GridSpec.part`."""
        return self.with_cut(None, shape=sizes)

    @property
    def suffix(self) -> str:
        """A mesh gives a mesh, a volume a volume."""
        return ".ply" if self.mesh else ".npy"

    def describe(self) -> dict[str, Any]:
        """Kind, grid, what the values mean, and the blocks by axis where there are any."""
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
        """Size of a rendering, and how much of it is inside."""
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
        MalformedError, UnknownIdError : for anything that `to_header` cannot have written
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
            raise UnknownIdError(f"shape variant {number!r}: not known to this version")
        if type(mesh) is not int or mesh not in (0, 1):
            raise MalformedError(f"shape source: expected 0 (volume) or 1 (mesh), found {mesh!r}")
        if not all(type(n) is int and 1 <= n <= MAX_SIDE for n in shape):
            raise MalformedError(f"shape: expected three sizes from 1 to {MAX_SIDE}, found {shape!r}")
        if not all(type(x) is float and math.isfinite(x) for x in header[6:]):
            raise MalformedError(f"shape: expected five finite numbers, found {header[6:]!r}")
        band, voxel, *origin = header[6:]
        variant = VARIANTS[number]
        if not (0 < band <= _MAX_BAND or (band == 0 and variant == "occupancy")):
            raise MalformedError(f"shape band: expected voxels above 0 to {_MAX_BAND}, found {band}")
        if not voxel > 0:
            raise MalformedError(f"shape voxel: expected a side above 0, found {voxel}")
        x, y, z = shape
        return cls((x, y, z), variant, band, (origin[0], origin[1], origin[2]), voxel, bool(mesh))

    def centres(self, index: Array) -> Array:
        """Positions float64 (n, 3) of the centres of voxels, by their numbers (n,) in C order."""
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
        """Evaluate a field on a grid of voxels, in memory bounded by the result plus a few tiles.

        Parameters
        ----------
        fields
            The networks, coords (x, y, z) -> level, or level, red, green and blue; of blocks those outside the region
            are not decoded.
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
        InputError : a scale, size or region that leaves no voxel
        LimitError : more values than `fields.max_samples`, before anything is allocated
        """
        if resolution is not None:
            if scale is not None or size is not None:
                raise InputError("resolution, scale and size: expected one of them")
            if not (isinstance(resolution, int | np.integer) and resolution >= 1):
                raise InputError(f"resolution: expected an integer of at least 1, got {resolution!r}")
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
        # Of four values a voxel, half precision: its step is finest near 0, where the surface is.
        return np.float16 if self.variant == "coloured" else np.float32

    def _finish(self, values: Array) -> Array:
        return _clipped(values)

    def _clip(self, values: Array) -> Array:
        return _clipped(values)

    def save(self, decoded: Shape, path: PathLike, **view: Any) -> None:
        """Write a decoded shape in the format that the extension names.

        A mesh (.ply, .obj, .stl, .off, .glb), the voxels (.npy: bool, signed distances, or RGBA), or a shaded view
        (.png, with the options of `mesh.shaded`).

        Raises
        ------
        InputError : another extension, or a mesh or view of a shape that is empty
        MissingExtraError : a library of the extra `mesh` is not installed
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix == ".npy":
            with atomic_write(path) as temporary:
                np.save(temporary, decoded.array(self.variant), allow_pickle=False)
            return
        if suffix != ".png" and suffix not in meshes.WRITES:
            raise InputError(f"{path}: expected .npy for voxels, .png for a view, or {', '.join(meshes.WRITES)}")
        surface = decoded.mesh()
        if not len(surface.faces):
            raise InputError(f"{path}: the decoded shape is empty, there is no surface to write; expected .npy")
        if suffix != ".png":
            meshes.write_mesh(surface, path)
            return
        picture = meshes.shaded(surface, **view)
        with atomic_write(path) as temporary:
            picture.save(temporary, "PNG")


def _clipped(values: Array) -> Array:
    """Values in [-1, 1]; what is not a number, from a damaged network, is outside."""
    return np.fmin(np.fmax(values, -1), 1)


def _bytes(values: Array) -> Array:
    """Colours in [-1, 1] as uint8, a slab at a time."""
    out = np.empty(values.shape, np.uint8)
    for i in range(len(values)):
        out[i] = np.rint((values[i].astype(np.float32) + 1) * 127.5)
    return out


_Shell = tuple[Array, Array, Array, Array | None, Array | None]


@dataclass(frozen=True)
class _Block:
    """What a block has from the whole shape: coordinates, its part of the shell, and an even share of the volume."""

    axes: Sequence[Array]
    shell: _Shell
    volume: float


# -- what goes in ----------------------------------------------------------------------------------------------


class ShapeSignal(MeanOfErrors):
    """A solid on a grid of voxels, as samples of a field.

    Attributes
    ----------
    solid
        Whether each voxel is inside, bool (X, Y, Z).
    spec
        What a decoder needs.
    mesh
        The source's triangles, or None for a volume.
    notes
        One-line remarks on what reading found.
    """

    BLOCKS: ClassVar[Blocking] = Blocking(least=16, fade=2, noun="voxels")

    def __init__(
        self,
        solid: NDArray[np.bool_],
        spec: ShapeSpec,
        mesh: Mesh | None = None,
        notes: tuple[str, ...] = (),
        sampling: str = "surface",
        block: "_Block | None" = None,
    ) -> None:
        self.solid, self.spec, self.mesh, self.notes = solid, spec, mesh, notes
        self.in_features, self.out_features = spec.in_features, spec.out_features
        self._sampling, self._block = sampling, block
        self._axes = lattice.axes_of(CENTRES, lattice.window(spec.shape)) if block is None else block.axes

    @property
    def parts(self) -> Sequence[Part]:
        """What each network stands for: the blocks, each with the voxels that it fades over, or the whole shape."""
        cut = self.spec.cut
        return [self] if cut is None else Parts(cut.parts, lambda number: self._part(cut, number))

    def _part(self, cut: Cut, number: int) -> "ShapeSignal":
        area = cut.area(number)
        solid = self.solid[area]
        index, *found = self._shell
        place = np.stack(np.unravel_index(index, self.solid.shape))
        start, stop = np.array([(s.start, s.stop) for s in area]).T[..., None]
        inside = ((place >= start) & (place < stop)).all(0)
        renumbered = np.ravel_multi_index(tuple((place - start)[:, inside]), solid.shape)
        shell = (renumbered, *(None if each is None else each[inside] for each in found))
        # Voxels that change sides count as a share of an even part of the solid, so that parts add up to the whole.
        block = _Block(cut.axes(number), shell, np.count_nonzero(self.solid) / cut.parts)
        return ShapeSignal(solid, self.spec.part(solid.shape), self.mesh, sampling=self._sampling, block=block)

    @cached_property
    def _volume(self) -> float:
        """Voxels inside that a loss is a share of."""
        return float(np.count_nonzero(self.solid)) if self._block is None else self._block.volume

    @property
    def source_bytes(self) -> int:
        """A bit a voxel, and three bytes for the colours of each that is near the surface; a float32 a distance."""
        if self.spec.variant == "sdf":
            return 4 * self.solid.size
        bits = (self.solid.size + 7) // 8
        return bits + 3 * len(self._near) if self.spec.variant == "coloured" else bits

    # -- reading

    @classmethod
    def load(
        cls,
        source: Any,
        like: ShapeSpec | None = None,
        *,
        resolution: int | None = None,
        variant: str | None = None,
        band: float | None = None,
        crop: bool = False,
        sampling: str = "surface",
        block: float | None = None,
    ) -> "ShapeSignal":
        """Read a mesh (.ply, .obj, .stl, .off, .glb; `trimesh.Trimesh`; (vertices, faces)) or a volume.

        Parameters
        ----------
        source
            A volume is an array (X, Y, Z), a .npy file, or a .mat file (key "hypercube", or its only array of three
            axes): bool, or numbers of which those above half of the largest are inside.
        like
            Take grid, variant, band and blocks from this description.
        resolution
            Voxels along the longest side of a mesh, with a margin of one voxel at either end. Default: 256, or 128 for
            signed distances. The other sides have as many as they need; voxels are cubes.
        variant
            "occupancy" (the default), "sdf" (signed distances) or "coloured".
        band
            Voxels from the surface at which the level reaches 1. Default: 1.5, or an eighth of the longest side for
            signed distances. 0 is a bare step, as in the paper.
        crop
            Cut a volume to the bounding box of its inside, as WIRE does. Coordinates stay those of the whole.
        sampling
            Samples to train on, "surface" or "uniform". "surface" takes four of five samples of a step near the
            surface, "uniform" all voxels alike, as in the paper.
        block
            Voxels a side of the blocks, at least 16. 0 and None keep the shape in one piece.

        Raises
        ------
        InputError : unreadable, empty or damaged, nothing inside, or an option out of range
        MissingExtraError : a library of the extra `mesh` is not installed
        """
        if variant is not None and variant not in VARIANTS:
            raise InputError(f"variant: expected one of {', '.join(VARIANTS)}, got {variant!r}")
        cls.BLOCKS.check(block)
        if sampling not in ("surface", "uniform"):
            raise InputError(f"sampling: expected surface or uniform, got {sampling!r}")
        if like is not None:
            variant, band = like.variant, like.band
        variant = variant or "occupancy"
        if band is not None and not (isinstance(band, int | float) and 0 <= band <= _MAX_BAND):
            raise InputError(f"band: expected 0 to {_MAX_BAND} voxels, got {band!r}")
        if band == 0 and variant != "occupancy":
            raise InputError(f"band: {variant} needs one above 0")
        name = str(source) if isinstance(source, str | os.PathLike) else "shape"
        mesh: Mesh | None = None
        notes: list[str] = []
        grid = None if like is None else Placement(like.shape, like.origin, like.voxel)
        if isinstance(source, np.ndarray) or name.lower().endswith((".npy", ".mat")):
            if resolution is not None:
                raise InputError(f"{name}: resolution is for meshes; a volume has its own")
            solid, grid = volume_of(source, name, crop, grid, notes)
        else:
            if crop:
                raise InputError(f"{name}: crop is for volumes; a mesh is voxelised within its bounding box")
            mesh = meshes.read_mesh(source)
            if resolution is None:
                resolution = SDF_RESOLUTION if variant == "sdf" else RESOLUTION
            solid, grid = voxels_of(mesh, name, resolution, grid, notes)
        if variant == "coloured" and (mesh is None or mesh.colours is None):
            raise InputError(f"{name}: has no colours; expected a mesh with vertex colours, or variant occupancy")
        if variant == "occupancy" and mesh is not None and mesh.colours is not None:
            notes.append("the mesh's colours were left out; variant coloured keeps them")
        if band is None:
            band = SDF_BAND * max(solid.shape) if variant == "sdf" else BAND
        spec = ShapeSpec(grid.shape, variant, float(band), grid.origin, grid.voxel, mesh is not None)
        cut = like.cut if like is not None else cls.BLOCKS.cut(spec.sizes, block) if block else None
        return cls(solid, spec.with_cut(cut), mesh, tuple(notes), sampling)

    # -- quality

    def quality(self, render: Callable[..., Any]) -> Quality:
        """IoU at 1/2 over all voxels, as -10 log10(1 - IoU) dB, and further figures.

        "iou"; of meshes "chamfer": the mean distance between the surfaces (`mesh.chamfer`) over the diagonal of the
        source's bounding box; of distances "distance_error": their mean error, in voxels; of colours
        "rgb_psnr_db": over the voxels near the surface.
        """
        decoded: Shape = render()
        if decoded.level.shape != self.solid.shape:
            raise InputError(f"expected a shape of {self.solid.shape} voxels, found {decoded.level.shape}")
        iou = intersection_over_union(decoded.level, self.solid)
        figures = {"iou": iou}
        if self.mesh is not None:
            surface = decoded.mesh()
            if len(surface.faces):
                figures["chamfer"] = meshes.chamfer(self.mesh, surface) / self.mesh.diagonal
        if self.spec.variant == "sdf":
            errors = [np.abs(a - b / np.float32(_FULL)).mean() for a, b in zip(decoded.level, self._target)]
            figures["distance_error"] = float(np.mean(errors)) * self.spec.band
        if self.spec.variant == "coloured" and decoded.colours is not None:
            got = decoded.colours.reshape(-1, 3)[self._near].astype(np.float64)
            mse = float(((got - self._colours) ** 2).mean())
            figures["rgb_psnr_db"] = 10 * math.log10(255**2 / mse) if mse else math.inf
        return Quality(-10 * math.log10(1 - iou) if iou < 1 else math.inf, figures)

    # -- samples

    @cached_property
    def _shell(self) -> "_Shell":
        """Voxels within the band: numbers, rough and true signed distances in voxels; nearest faces and points."""
        if self._block is not None:
            return self._block.shell
        index, distance = near_surface(self.solid, self.spec.band)
        if self.mesh is None:
            return index, distance, distance, None, None
        exact, faces, closest = meshes.nearest(self.mesh, self.spec.centres(index))
        exact = (exact / self.spec.voxel).astype(np.float32)
        # Where a surface is open, and where faces lie inside the solid, the boundary is not where the faces are.
        trusted = np.abs(exact - np.abs(distance)) <= 1
        return index, distance, np.where(trusted, np.copysign(exact, distance), distance), faces, closest

    @cached_property
    def _near(self) -> Array:
        """Numbers of the voxels near the surface, increasing."""
        index, rough, *_ = self._shell
        return index[np.abs(rough) <= _NEAR]

    @cached_property
    def _colours(self) -> Array:
        """RGB uint8 of the voxels near the surface: that of the nearest point of the mesh."""
        _, rough, _, faces, closest = self._shell
        assert self.mesh is not None
        assert faces is not None
        assert closest is not None
        near = np.abs(rough) <= _NEAR
        return meshes.colours_at(self.mesh, faces[near], closest[near])

    @cached_property
    def _target(self) -> Array:
        """The level of every voxel times 32767 (int16) or 127 (int8), never 0: positive inside.

        Whole numbers, because a large grid of them takes all the memory that there is.
        """
        index, _, distance, *_ = self._shell
        full = np.int16(_FULL) if self.spec.variant == "sdf" else np.int8(127)
        target = np.where(self.solid, full, -full)
        if self.spec.band:
            level = np.rint(np.clip(distance / self.spec.band, -1, 1) * full)
            target.reshape(-1)[index] = np.where(level == 0, np.copysign(1, distance), level).astype(full.dtype)
        return target

    @cached_property
    def _drawn_near(self) -> int:
        """How many sample numbers stand for voxels near the surface; those after them stand for all voxels."""
        uniform = self._sampling == "uniform" or not len(self._near)
        return 0 if uniform else round(self.solid.size * _SHARE / (1 - _SHARE))

    def __len__(self) -> int:
        return self._drawn_near + self.solid.size

    def batch(self, index: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `Part.batch`: the first numbers stand for voxels near the surface, many for each, the others for all."""
        index = np.asarray(index)
        voxels = index - self._drawn_near
        if self._drawn_near:
            row = index * len(self._near) // self._drawn_near
            voxels = np.where(voxels < 0, self._near[np.minimum(row, len(self._near) - 1)], voxels)
        return self._samples(voxels)

    def _samples(self, voxels: Array) -> tuple[Array, Array]:
        """Coords float32 (n, 3) and values float32 (n, b) of voxels by their numbers in C order."""
        places = np.unravel_index(voxels, self.solid.shape)
        coords = np.stack([axis[place] for axis, place in zip(self._axes, places)], axis=1)
        target = self._target
        level = target.reshape(-1)[voxels].astype(np.float32) / np.float32(np.iinfo(target.dtype).max)
        if self.spec.variant != "coloured":
            return coords, level[:, None]
        row = np.minimum(np.searchsorted(self._near, voxels), len(self._near) - 1)
        colours = self._colours[row].astype(np.float32) / np.float32(127.5) - 1
        colours[self._near[row] != voxels] = _ABSENT
        return coords, np.concatenate([level[:, None], colours], axis=1)

    def errors(self, predicted: Any, values: Any) -> Any:
        """Mean squared error of each voxel; a ramp may go beyond 1 on the right side, absent colours do not count."""
        errors = (predicted - values) ** 2
        if self.spec.band:
            free = (abs(values) >= 1) & (predicted * values > 1) | (values > 1)
            errors = errors * ~free
        return errors.mean(-1)

    def decibels(self, loss: float) -> float:
        """-10 log10(1 - IoU) that a loss stands for, within some dB: errors near the surface move it."""
        if loss <= 0:
            return math.inf
        error = 0.55 * math.sqrt(loss / (_SHARE if self._drawn_near else 1)) * len(self._near)
        return -10 * math.log10(min(error * self._slope / self._volume, 1)) if error else math.inf

    @property
    def _slope(self) -> float:
        """Voxels that change sides for an error of 1 at each voxel near the surface: the ramp's width over theirs."""
        return max(1, self.spec.band / _NEAR) / 2

    def objective(self, samples: int | None, seed: int) -> Callable[[Apply, int], float]:
        """1 - IoU, smoothly: the volume between the surfaces, by the errors of the level near the surface.

        A ramp of slope 1 / band moves by band times its error, so the volume that changes sides is the sum of the
        absolute errors near the surface, times a constant. Farther away voxels on the wrong side count.
        """
        near, total = self._near, self.solid.size
        if samples is None or samples >= total:
            far = np.setdiff1d(np.arange(total), near, assume_unique=True)
            chosen = near
        else:
            rng = np.random.default_rng(seed)
            chosen = np.sort(rng.choice(near, min(samples * 3 // 4, len(near)), replace=False))
            far = np.unique(rng.integers(0, total, max(samples - len(chosen), 1)))
            far = far[~np.isin(far, near, assume_unique=True)]
        volume = self._volume
        work = [(chosen[i : i + (1 << 14)], True) for i in range(0, len(chosen), 1 << 14)]
        work += [(far[i : i + (1 << 14)], False) for i in range(0, len(far), 1 << 14)]
        weights = {
            True: self._slope * len(near) / max(len(chosen), 1) / volume,
            False: (total - len(near)) / max(len(far), 1) / volume,
        }
        kept = [(*self._samples(voxels), close) for voxels, close in work]

        def error(apply: Apply, tile: int) -> float:
            def of(samples: tuple[Array, Array, bool]) -> float:
                coords, values, close = samples
                starts = range(0, len(coords), tile)
                got = np.concatenate([lattice.evaluated(apply, coords[i : i + tile], values.shape[1]) for i in starts])
                level = _clipped(got[:, 0])
                off = np.abs(level - values[:, 0]) if close else level * values[:, 0] <= 0
                total = weights[close] * float(off.sum())
                if close and values.shape[1] > 1:
                    # Colours count as the mean of what they are off.
                    total += float(np.abs(_clipped(got[:, 1:]) - values[:, 1:]).mean(1).sum()) * weights[close]
                return total

            return sum(map_tiles(of, kept))

        return error


def intersection_over_union(level: Array, solid: Array) -> float:
    """IoU of the voxels with a positive level and those that are solid, (X, Y, Z) each, a slab at a time."""
    both, either = 0, 0
    for a, b in zip(level, solid):
        inside = a > 0
        both += int(np.count_nonzero(inside & b))
        either += int(np.count_nonzero(inside | b))
    return both / either if either else 1.0


def recognises(source: Any) -> bool:
    """Whether a source is a mesh of trimesh, vertices and faces, or an array (X, Y, Z) of bools."""
    if is_pair_of_array(source):
        return isinstance(source[1], np.ndarray) and source[1].ndim == 2
    header = array_header(source)
    if header is None:
        return made_by(source, "trimesh")
    shape, dtype = header
    return len(shape) == 3 and shape[2] > 4 and dtype.kind == "b"


# The paper's network. A batch is small because it holds little but voxels near the surface, and for the same reason
# importance sampling costs 0.1 dB.
KIND: Final = Kind(
    "shape",
    "a shape",
    (SHAPE, SHAPE_IN_BLOCKS),
    ShapeSignal,
    ShapeSpec,
    Recipe(
        lambda spec: Sine(30.0) if spec.variant == "sdf" else Gaussian(7.0),
        width=128,
        rate=0.1,
        db=19.0,
        fit={"": {"lr": 4e-3, "batch": 8192}, "balanced": {"steps": 2000}, "best": {"steps": 8000}},
    ),
    suffixes=(".ply", ".obj", ".stl", ".off", ".glb", ".gltf", ".mat"),
    recognises=recognises,
)
