"""Volumes: NIfTI, NumPy, zarr and TIFF stacks, of three axes or four, with or without channels.

Samples are the stored ones: a scaling in a NIfTI header is kept there and not applied, so that the decoded file has
the source's dtype and every reader scales it alike. A NIfTI header travels with its extensions, the attributes of a
zarr array with its chunks.

An array of four axes whose last has at most 4 entries is three axes with channels; a longer last axis, such as the
time of functional MRI, is a fourth coordinate. Of five axes the last holds channels.

Large volumes are cut into blocks (`Cut`), each with a network of its own.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Final

import brotli
import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import InputError, MalformedError, UnknownIdError
from sinr_codec.fields import Sine
from sinr_codec.signals import cut as cuts
from sinr_codec.signals import lattice
from sinr_codec.signals.base import Fields, Part, Quality
from sinr_codec.signals.claims import archive, array_header, folder, has_suffix, is_zarr, is_zarr_group, made_by
from sinr_codec.signals.cut import Blocking, Cut
from sinr_codec.signals.grammar import RegionLike, ScaleLike, SizeLike
from sinr_codec.signals.grids import MAX_SIDE, GridSignal, GridSpec, id_of
from sinr_codec.signals.kinds import Kind
from sinr_codec.signals.levels import Levels, known_dtype
from sinr_codec.signals.recipe import Recipe, octaves
from sinr_codec.signals.thinning import Thinned, busy
from sinr_codec.signals.volume_files import (
    FORMATS,
    MAX_CHANNELS,
    Form,
    Found,
    axes_of_shape,
    check_count,
    read,
    slices,
    unpacked,
)
from sinr_codec.types import Array, PathLike

VOLUME: Final = 2
VOLUME_IN_BLOCKS: Final = 8
"""The ids of volumes among the signals a file can hold: of those in one piece, and of those cut into blocks."""
_SLAB: Final = 1 << 22  # voxels rendered at once to measure the quality


class Volume(NDArray[Any]):
    """A rendering: an array that knows where its samples lie in the source.

    Attributes
    ----------
    placement
        For each axis but the channels': (step, offset), so that sample i lies at the source's voxel
        ``step * i + offset``; None for a view or result of further computation.
    """

    placement: tuple[tuple[float, float], ...] | None

    def __array_finalize__(self, source: Any) -> None:
        self.placement = None


@dataclass(frozen=True)
class VolumeSpec(GridSpec):
    """Shape, sample type and metadata of a volume: what a decoder needs besides the network.

    Attributes
    ----------
    sizes
        Voxels along each axis; three or four axes.
    channels
        Length of the channel axis, 0 where there is none.
    levels
        Sample type and the range that occurs.
    format
        One of `FORMATS`.
    metadata
        NIfTI: the header and its extensions as they stand in a `.nii` file; zarr: JSON text; else empty.
    cut
        How it is cut into blocks; None in one piece.
    """

    sizes: tuple[int, ...]
    channels: int
    levels: Levels
    format: str = ".npy"
    metadata: bytes = field(default=b"", repr=False)
    cut: Cut | None = None

    KIND: ClassVar[str] = "volume"
    UNIT: ClassVar[str] = "voxel"

    # -- description ---------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the source as an array."""
        return self._array_shape(self.sizes)

    def _array_shape(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        return (*sizes, self.channels) if self.channels else sizes

    @property
    def out_features(self) -> int:
        """Values a voxel."""
        return self.channels or 1

    @property
    def peak(self) -> float:
        """Peak of the PSNR: the range that occurs."""
        return self.levels.span

    @property
    def suffix(self) -> str:
        """The source's format."""
        return self.format

    @cached_property
    def side(self) -> bytes:
        """The metadata, compressed by Brotli."""
        return brotli.compress(self.metadata) if self.metadata else b""

    def describe(self) -> dict[str, Any]:
        """Kind, shape, dtype, range, format, the extent of a voxel, and the blocks by axis where there are any."""
        about: dict[str, Any] = {
            "type": self.KIND,
            "shape": list(self.shape),
            "dtype": self.levels.dtype,
            "channels": self.channels,
            "range": self.levels.to_header()[1:],
            "format": self.format,
            "spacing": list(self.spacing),
        }
        return self.described(about)

    def summary(self, decoded: Array) -> str:
        """Size and sample type of a rendering."""
        axes = " x ".join(map(str, decoded.shape[: len(self.sizes)]))
        channels = f", {self.channels} channels" if self.channels else ""
        return f"{axes} voxels{channels}, {decoded.dtype}"

    def to_header(self) -> list[Any]:
        """[2, sizes, channels, format, levels]; in blocks [8, the same, blocks by axis, fade]."""
        header = [list(self.sizes), self.channels, FORMATS.index(self.format), self.levels.to_header()]
        if self.cut is None:
            return [VOLUME, *header]
        return [VOLUME_IN_BLOCKS, *header, list(self.cut.counts), self.cut.fade]

    @classmethod
    def from_header(cls, header: Any, side: bytes = b"") -> "VolumeSpec":
        """Inverse of `to_header` and `side`.

        Raises
        ------
        MalformedError, UnknownIdError : for anything that they cannot have written
        """
        if id_of(header) == VOLUME_IN_BLOCKS:
            if len(header) != 7 or type(header[5]) is not list:
                raise MalformedError("volume header: expected id, sizes, channels, format, levels, blocks and fade")
            spec = cls.from_header([VOLUME, *header[1:5]], side)
            if len(header[5]) != len(spec.sizes):
                raise MalformedError(f"volume blocks: expected a number for each axis, found {header[5]!r}")
            return spec.with_cut(Cut.from_header(spec.sizes, header[5], header[6]))
        if header[0] != VOLUME:
            raise UnknownIdError(f"signal id {header[0]}: expected that of a volume, {VOLUME}")
        if len(header) != 5:
            raise MalformedError("volume header: expected a list of id, sizes, channels, format and levels")
        _, sizes, channels, number, levels = header
        if type(sizes) is not list or len(sizes) not in (3, 4):
            raise MalformedError(f"volume sizes: expected three or four, found {sizes!r}")
        if not all(type(n) is int and 1 <= n <= MAX_SIDE for n in sizes):
            raise MalformedError(f"volume sizes: expected 1 to {MAX_SIDE} each, found {sizes!r}")
        if type(channels) is not int or not 0 <= channels <= MAX_CHANNELS:
            raise MalformedError(f"volume channels: expected 0 to {MAX_CHANNELS}, found {channels!r}")
        if type(number) is not int or number < 0:
            raise MalformedError(f"volume format: expected a number, found {number!r}")
        if number >= len(FORMATS):
            raise UnknownIdError(f"volume format {number}: not known to this version")
        spec = cls(tuple(sizes), channels, Levels.from_header(levels), FORMATS[number], unpacked(side))
        spec._form.check(spec.levels.dtype)
        return spec

    @classmethod
    def parts_in(cls, header: Any) -> int:
        """Number of networks that a header declares; what its side section holds is not looked at."""
        if type(header) is list and header[:1] == [VOLUME_IN_BLOCKS]:
            plain = [*header[:3], FORMATS.index(".npy"), *header[4:]]
            return cls.from_header(plain).parts
        return 1

    # -- rendering -----------------------------------------------------------------------------------------

    def render(
        self,
        fields: Fields,
        *,
        scale: ScaleLike | None = None,
        size: SizeLike | None = None,
        region: RegionLike | None = None,
    ) -> Volume:
        """Evaluate the field on a grid of voxels: a slice or a box costs as much as its own voxels.

        Parameters
        ----------
        fields
            The networks, coords (axis 0, axis 1, ...) -> values (channels); of blocks those outside the region are not
            decoded.
        scale
            Factor on the source's size, one for all axes or one each. With a region the result is that part of the
            whole at this scale.
        size
            Voxels of the result along each axis. It shows the whole, or the region where there is one.
        region
            Part of the volume: (start, stop) in source voxels for each axis. Axes that are left out at the end are
            whole.

        Returns
        -------
        (d, h, w), with a fourth axis and channels as the source has them, in the source's dtype

        Raises
        ------
        InputError : a scale, size or region that makes no volume
        LimitError : more values than `fields.max_samples`, before anything is allocated
        """
        spans = self.window(fields, scale, size, region)
        out = self.evaluate(fields, spans)
        volume = out.reshape(self._array_shape(out.shape[:-1])).view(Volume)
        volume.placement = tuple(map(_placement, spans))
        return volume

    # -- files ---------------------------------------------------------------------------------------------

    @property
    def _form(self) -> Form:
        return Form(self.sizes, self.channels, self.format, self.metadata)

    @property
    def spacing(self) -> tuple[float, ...]:
        """Extent of a voxel along each axis in the unit of the NIfTI header; 1 where nothing is known."""
        return self._form.spacing

    def save(self, decoded: Array, path: PathLike) -> None:
        """Write a rendering: .nii, .nii.gz, .npy, .npz, .zarr (a folder), .zarr.zip, .tif, or .png, three slices.

        A NIfTI file has the source's header, its shape, voxel sizes and affine adjusted to the rendering.

        Raises
        ------
        InputError : another extension, a format that lacks the dtype, or a NIfTI file of an array that is no
            rendering
        MissingExtraError : the format's library is missing
        """
        self._form.save(decoded, path)

    def nifti(self, decoded: Array) -> Any:
        """A rendering as a nibabel image, with the source's scaling and an affine for the rendering."""
        return self._form.nifti(decoded)

    def slices(self, array: Array) -> Any:
        """The middle slices across each axis, side by side, as a Pillow image (`volume_files.slices`)."""
        return slices(array, self._form)


def _placement(span: lattice.Span) -> tuple[float, float]:
    """(step, offset) in source voxels of the samples of a span, whose centres `Grid.axis` gives."""
    step = (span.stop - span.start) / span.count
    return step, (span.first + 0.5) * step + span.start - 0.5


class VolumeSignal(GridSignal[VolumeSpec]):
    """A volume in its own shape as samples of a field; a memory map where the format allows one."""

    BLOCKS = Blocking(least=16, fade=2, noun="voxels", largest=1 << 24, side=128)

    def __init__(
        self,
        array: Array,
        spec: VolumeSpec,
        notes: tuple[str, ...] = (),
        axes: Sequence[NDArray[np.float32]] | None = None,
    ) -> None:
        super().__init__(array, spec, notes, axes)
        # Samples are numbered as they lie in memory or on disk, so that batches read forwards.
        self.order = "C" if array.strides[0] >= array.strides[len(spec.sizes) - 1] else "F"

    @classmethod
    def load(cls, source: Any, like: VolumeSpec | None = None, *, block: float | None = None) -> "VolumeSignal":
        """Read a volume from a file, an array, a nibabel image or a zarr array.

        Files are .nii, .nii.gz and whatever else nibabel opens, .npy, .npz (of one array, or with one named
        "volume"), zarr folders and .zarr.zip, and TIFF stacks. Plain .npy and .nii files are mapped, not read;
        others are unpacked to memory, or beyond `IN_MEMORY` bytes to a temporary file.

        Parameters
        ----------
        source
            What to read.
        like
            Its shape and dtype are those that the volume must have; it is cut as that is.
        block
            Voxels a side of the blocks, at least 16. 0 keeps the volume in one piece, as None does here; `encode` cuts
            large volumes by itself where nothing is given.

        Raises
        ------
        InputError : no such file, damaged, empty, NaN or infinity among the samples, or a shape or dtype that is none
            of a volume; a volume of more values than `MAX_SAMPLES`, before it is read
        MissingExtraError : the format's library is missing
        """
        cls.BLOCKS.check(block)
        found, name = read(source)
        signal = cls._build(found, name)
        if like is not None and (like.shape, like.levels.dtype) != (signal.spec.shape, signal.levels.dtype):
            raise InputError(
                f"{name}: expected a volume of shape {like.shape} and samples of {like.levels.dtype}, "
                f"found {signal.spec.shape} of {signal.levels.dtype}"
            )
        return signal.cut_like(like, block)

    @classmethod
    def _build(cls, found: Found, name: str) -> "VolumeSignal":
        array = found.array
        sizes, channels = axes_of_shape(array.shape, name)
        check_count(array.shape, name)
        known_dtype(array.dtype, name)
        try:
            levels = Levels.of(array if array.flags.c_contiguous else array.T, name)
        except InputError as error:
            remedy = "fill them (numpy.nan_to_num), or encode a dataset, which keeps its gaps"
            raise InputError(f"{error}; {remedy}") from error
        return cls(array, VolumeSpec(sizes, channels, levels, found.format, found.metadata), found.notes)

    def errors(self, predicted: Any, values: Any) -> Any:
        """Mean squared error of each voxel in the units of [-1, 1] of what clipping leaves.

        Decoding clips to the range of the samples, so a network may go beyond it where a sample lies on its end: the
        empty space around a head need not be held at zero, only below.
        """
        error = predicted - values
        lost = ((values <= -1) & (error < 0)) | ((values >= 1) & (error > 0))
        return ((error * ~lost) ** 2).mean(-1)

    def _trained(self) -> Part:
        """The volume but for most of the empty space around a body, which counts little in training."""
        kept = self._kept
        return self if kept is None else Thinned(self, kept)

    @cached_property
    def _kept(self) -> NDArray[np.integer[Any]] | None:
        return busy(self.array, self.spec.channels > 0, self.order)

    def quality(self, render: Callable[..., Array]) -> Quality:
        """PSNR in dB over the range of the data, and the largest error in units of the stored samples.

        Rendered and compared slab by slab, in memory bounded by a slab. Of blocks there is "seam_db" (`cut.Seams`).
        """
        sizes = self.spec.sizes
        axis = 0 if self.order == "C" else len(sizes) - 1
        thick = max(1, _SLAB * sizes[axis] // self.spec.samples)
        total, worst = 0.0, 0.0
        seams = None if self.spec.cut is None else cuts.Seams(self.spec.cut)
        for start in range(0, sizes[axis], thick):
            slab = (start, min(start + thick, sizes[axis]))
            decoded = render(region=[slab if a == axis else (0, n) for a, n in enumerate(sizes)])
            wanted = self.array[(slice(None),) * axis + (slice(*slab),)]
            off = np.abs(np.asarray(decoded, np.float64) - wanted)
            total += float(np.sum(np.square(off)))
            worst = max(worst, float(off.max()))
            if seams is not None:
                seams.add(np.square(off).reshape(*off.shape[: len(sizes)], -1).sum(-1), axis, slab)
        db = 10 * math.log10(self.peak**2 * self.array.size / total) if total else math.inf
        figures = {"psnr_db": db, "max_error": worst}
        return Quality(db, figures if seams is None else figures | seams.figures())


def recognises(source: Any) -> bool:
    """Whether a source is an object of nibabel or zarr, a zarr array in a folder, an array, or grey pages."""
    if made_by(source, "nibabel") or made_by(source, "zarr"):
        return True
    if (path := folder(source)) is not None:
        return is_zarr(path) and not is_zarr_group(path)
    if has_suffix(source, ".zarr"):
        return True
    if has_suffix(source, ".tif", ".tiff"):
        return _is_stack(Path(source))
    if (header := array_header(source)) is None:
        return bool(archive(source))
    shape, _ = header
    return (len(shape) == 3 and shape[2] > 4) or len(shape) == 4


def _is_stack(path: Path) -> bool:
    """Whether a TIFF file has several single-channel pages."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            pages, mode = getattr(picture, "n_frames", 1), picture.mode
    except Exception:  # damaged, or of a format that Pillow does not know
        return False
    return pages > 1 and mode in ("L", "1", "F", "I", "I;16", "I;16B")


# An MRI template at width 180, without an encoding: omega0 30 is 0.6 dB above 20 and 2 dB above 45, three layers
# 1.2 dB above five. At a rate of 1e-3 long fits end worse than short ones: 35.0 dB after 800 steps on an MRI, 33.9
# after 3,000. At 5e-4 it is 35.3 after 800. Importance sampling gains 0.1 to 0.6 dB on a CT.
KIND: Final = Kind(
    "volume",
    "a volume",
    (VOLUME, VOLUME_IN_BLOCKS),
    VolumeSignal,
    VolumeSpec,
    Recipe(
        Sine(30.0),
        octaves,
        published=Sine(30.0),
        rate=0.08,
        rated_bits=5.0,
        db=36.5,
        fit={
            "": {"batch": 8192, "lr": 5e-4, "sampling": "error"},
            "balanced": {"steps": 1500},
            "best": {"steps": 5000},
            "paper": {"steps": 1500},
        },
    ),
    suffixes=(".nii", ".nii.gz", ".zarr.zip"),
    recognises=recognises,
)
