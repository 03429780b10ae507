"""Shapes: solids as occupancy fields, plain or coloured, and as signed distances (section 4.4 of the paper).

Meshes are voxelised by winding number; binary volumes are used directly. The field's value, the *level*, is positive
inside and negative outside; 0 is occupancy 1/2. Within a *band* of voxels around the surface, the level is the signed
distance, scaled to [-1, 1]. Beyond the band it is unconstrained above 1 inside and below -1 outside. With a narrow
band, the level is an occupancy whose step is a ramp. Networks fit it several times faster than a step: the surface is
the same, and sharp edges take no capacity. With a wide band, it is a truncated signed distance field.
"""

import lzma
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import InputError, quoted
from sinr_codec.fields import Gaussian, Sine
from sinr_codec.signals import formats, lattice
from sinr_codec.signals import mesh as meshes
from sinr_codec.signals.base import Apply, MeanOfErrors, Part, Quality
from sinr_codec.signals.claims import array_header, is_pair_of_array, made_by
from sinr_codec.signals.cut import Blocking, Cut
from sinr_codec.signals.grid import CENTRES
from sinr_codec.signals.grids import Parts
from sinr_codec.signals.kinds import Kind
from sinr_codec.signals.mesh import Mesh
from sinr_codec.signals.mesh_files import WRITES, read_mesh
from sinr_codec.signals.recipe import Recipe
from sinr_codec.signals.shape_files import Placement, volume_of, voxels_of
from sinr_codec.signals.shape_spec import BAND, MAX_BAND, SHAPE, SHAPE_IN_BLOCKS, VARIANTS, Shape, ShapeSpec, clipped
from sinr_codec.signals.voxels import near_surface
from sinr_codec.tiles import map_tiles
from sinr_codec.types import Array

RESOLUTION: Final = 256
"""Default voxels along the longest side, margin included."""
SDF_RESOLUTION: Final = 128
"""The same for signed distances, which are smooth."""
SDF_BAND: Final = 1 / 8
"""Truncation of signed distances, as a share of the longest side."""

_WIDTH: Final = 128  # of the paper's network
_LEAST_WIDTH: Final = 16
_NARROW: Final = 0.44  # neurons for each voxel along a side of a small grid, whose file is as large as under xz

_NEAR: Final = 1.25  # distance from the surface, in voxels, that counts as near it in sampling
_SHARE: Final = 0.8  # share of a step's samples that lie near the surface
_FULL: Final = 32767  # the level 1 as an integer
_ABSENT: Final = 2.0  # value of an undefined colour, far from the surface

_Shell = tuple[Array, Array, Array, Array | None, Array | None]


@dataclass(frozen=True)
class _Block:
    """Data of a block from the whole shape: coordinates, its part of the shell, and an even share of the volume."""

    axes: Sequence[Array]
    shell: _Shell
    volume: float


# -- shapes to encode ------------------------------------------------------------------------------------------


class ShapeSignal(MeanOfErrors):
    """A solid on a grid of voxels, as samples of a field.

    Attributes
    ----------
    solid
        Whether each voxel is inside, bool (X, Y, Z).
    spec
        Description for the file.
    mesh
        The source's triangles, or None for a volume.
    notes
        One-line remarks from reading.
    """

    BLOCKS: ClassVar[Blocking] = Blocking(least=16, fade=2, noun="voxels")
    """Never by itself: for a gyroid of 96^3 voxels in 16,000 bytes, one network has an IoU of 0.90 after 1,600 steps,
    and eight blocks have 0.46 after 200 steps each."""

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
        """The whole shape, or its blocks, cross-fades included."""
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
        # Errors of volume are relative to an even share of the solid, so that those of the parts add up.
        block = _Block(cut.axes(number), shell, np.count_nonzero(self.solid) / cut.parts)
        return ShapeSignal(solid, self.spec.part(solid.shape), self.mesh, sampling=self._sampling, block=block)

    @cached_property
    def _volume(self) -> float:
        """The volume that losses are relative to, in voxels."""
        return float(np.count_nonzero(self.solid)) if self._block is None else self._block.volume

    @property
    def source_bytes(self) -> int:
        """A bit a voxel, and three bytes for each colour near the surface; or a float32 for each distance."""
        if self.spec.variant == "sdf":
            return 4 * self.solid.size
        bits = (self.solid.size + 7) // 8
        return bits + 3 * len(self._near) if self.spec.variant == "coloured" else bits

    @cached_property
    def lossless_bytes(self) -> int:
        """Bytes of the voxels without loss: a bit each, compressed as by xz."""
        return len(lzma.compress(np.packbits(self.solid).tobytes()))

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
            axes): bool, or numbers, where values above half of the largest are inside.
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
        InputError : unreadable, empty or damaged, no voxel inside, or an option out of range
        MissingExtraError : a library of the extra `mesh` is not installed
        """
        if variant is not None and variant not in VARIANTS:
            raise InputError(f"variant: expected one of {', '.join(VARIANTS)}, got {quoted(variant)}")
        cls.BLOCKS.check(block)
        if sampling not in ("surface", "uniform"):
            raise InputError(f"sampling: expected surface or uniform, got {quoted(sampling)}")
        if like is not None:
            variant, band = like.variant, like.band
        variant = variant or "occupancy"
        if band is not None and not (isinstance(band, int | float) and 0 <= band <= MAX_BAND):
            raise InputError(f"band: expected 0 to {MAX_BAND} voxels, got {quoted(band)}")
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
            mesh = read_mesh(source)
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
        """IoU at occupancy 1/2 over all voxels, as -10 log10(1 - IoU) dB, and further figures.

        "iou"; for meshes "chamfer", the distance between the surfaces (`mesh.chamfer`) over the diagonal of the
        source's bounding box; for signed distances "distance_error", the mean error in voxels; for colours
        "rgb_psnr_db", over the voxels near the surface; for occupancy "lossless_bytes".
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
        if self.spec.variant == "occupancy":
            figures["lossless_bytes"] = float(self.lossless_bytes)
        units = {"chamfer": "of the diagonal", "distance_error": "voxels", "lossless_bytes": "bytes"}
        return Quality(-10 * math.log10(1 - iou) if iou < 1 else math.inf, figures, units, ("iou",))

    # -- samples

    @cached_property
    def _shell(self) -> "_Shell":
        """Voxels in the band: indices, approximate and exact signed distances in voxels, nearest faces and points."""
        if self._block is not None:
            return self._block.shell
        index, distance = near_surface(self.solid, self.spec.band)
        if self.mesh is None:
            return index, distance, distance, None, None
        exact, faces, closest = meshes.nearest(self.mesh, self.spec.centres(index))
        exact = (exact / self.spec.voxel).astype(np.float32)
        # At open surfaces, and at faces inside the solid, the boundary differs from the faces.
        trusted = np.abs(exact - np.abs(distance)) <= 1
        return index, distance, np.where(trusted, np.copysign(exact, distance), distance), faces, closest

    @cached_property
    def _near(self) -> Array:
        """Indices of the voxels near the surface, in ascending order."""
        index, rough, *_ = self._shell
        return index[np.abs(rough) <= _NEAR]

    @cached_property
    def _colours(self) -> Array:
        """RGB uint8 of the voxels near the surface, from the nearest point of the mesh."""
        _, rough, _, faces, closest = self._shell
        assert self.mesh is not None
        assert faces is not None
        assert closest is not None
        near = np.abs(rough) <= _NEAR
        return meshes.colours_at(self.mesh, faces[near], closest[near])

    @cached_property
    def _target(self) -> Array:
        """The level of every voxel times 32767 (int16) or 127 (int8), never 0: positive inside.

        Small integers, because memory limits the size of grids.
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
        """Number of sample indices for voxels near the surface; the indices after them are for all voxels."""
        uniform = self._sampling == "uniform" or not len(self._near)
        return 0 if uniform else round(self.solid.size * _SHARE / (1 - _SHARE))

    def __len__(self) -> int:
        return self._drawn_near + self.solid.size

    def batch(self, index: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `Part.batch`; the first indices are for voxels near the surface, several for each, the rest for all."""
        index = np.asarray(index)
        voxels = index - self._drawn_near
        if self._drawn_near:
            row = index * len(self._near) // self._drawn_near
            voxels = np.where(voxels < 0, self._near[np.minimum(row, len(self._near) - 1)], voxels)
        return self._samples(voxels)

    def _samples(self, voxels: Array) -> tuple[Array, Array]:
        """Coords float32 (n, 3) and values float32 (n, b) of voxels by their indices in C order."""
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
        """Mean squared error of each voxel, 0 for undefined colours and for levels correctly beyond the ramp."""
        errors = (predicted - values) ** 2
        if self.spec.band:
            free = (abs(values) >= 1) & (predicted * values > 1) | (values > 1)
            errors = errors * ~free
        return errors.mean(-1)

    def decibels(self, loss: float) -> float:
        """-10 log10(1 - IoU) for a loss, within some dB: errors near the surface move it."""
        if loss <= 0:
            return math.inf
        error = 0.55 * math.sqrt(loss / (_SHARE if self._drawn_near else 1)) * len(self._near)
        return -10 * math.log10(min(error * self._slope / self._volume, 1)) if error else math.inf

    @property
    def _slope(self) -> float:
        """Voxels that change sides for each voxel near the surface with an error of 1; a ratio of widths."""
        return max(1, self.spec.band / _NEAR) / 2

    def objective(self, samples: int | None, seed: int) -> Callable[[Apply, int], float]:
        """A smooth 1 - IoU: the volume between the surfaces, from errors of the level near the surface.

        A ramp of slope 1 / band moves by band times its error. The volume that changes sides is thus proportional to
        the sum of absolute errors near the surface. Farther away, voxels on the wrong side count.
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
                level = clipped(got[:, 0])
                off = np.abs(level - values[:, 0]) if close else level * values[:, 0] <= 0
                total = weights[close] * float(off.sum())
                if close and values.shape[1] > 1:
                    # Colours add their mean absolute error.
                    total += float(np.abs(clipped(got[:, 1:]) - values[:, 1:]).mean(1).sum()) * weights[close]
                return total

            return sum(map_tiles(of, kept))

        return error


def intersection_over_union(level: Array, solid: Array) -> float:
    """IoU of the voxels with a positive level and the solid voxels, (X, Y, Z) each, computed in slabs."""
    both, either = 0, 0
    for a, b in zip(level, solid):
        inside = a > 0
        both += int(np.count_nonzero(inside & b))
        either += int(np.count_nonzero(inside | b))
    return both / either if either else 1.0


def _width(spec: ShapeSpec) -> int:
    """The default width of a network.

    The voxels of a surface grow with the square of the resolution, and so do the bytes of lossless coding and those of
    weights whose width grows with it. On small grids the width keeps the file below lossless coding. From the default
    resolution on, and for colours and distances at any, it is that of the paper.
    """
    side = max(spec.shape)
    small = _NARROW * math.prod(spec.shape) ** (1 / 3)
    share = 1.0 if spec.variant != "occupancy" else float(np.clip(2 * side / RESOLUTION - 1, 0, 1))
    return max(_LEAST_WIDTH, round(share * _WIDTH + (1 - share) * small))


def recognises(source: Any) -> bool:
    """Whether a source is a trimesh mesh, a pair of vertices and faces, or a bool array (X, Y, Z)."""
    if is_pair_of_array(source):
        return isinstance(source[1], np.ndarray) and source[1].ndim == 2
    header = array_header(source)
    if header is None:
        return made_by(source, "trimesh")
    shape, dtype = header
    return len(shape) == 3 and shape[2] > 4 and dtype.kind == "b"


# The paper's network. Most samples of a batch lie near the surface, so small batches suffice, and importance sampling
# costs 0.1 dB.
KIND: Final = Kind(
    "shape",
    "a shape",
    (SHAPE, SHAPE_IN_BLOCKS),
    ShapeSignal,
    ShapeSpec,
    Recipe(
        lambda spec: Sine(30.0) if spec.variant == "sdf" else Gaussian(7.0),
        width=_width,
        published_width=_WIDTH,
        rate=0.1,
        db=19.0,
        fit={"": {"lr": 4e-3, "batch": 8192}, "balanced": {"steps": 2000}, "best": {"steps": 8000}},
    ),
    suffixes=(".ply", ".obj", ".stl", ".off", ".glb", ".gltf", ".mat"),
    recognises=recognises,
    writes=formats.checked({".npy": (), ".png": formats.SHADED, " ".join(WRITES): formats.MESHES}),
)
