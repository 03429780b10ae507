"""Volumes: NIfTI, NumPy, zarr and TIFF stacks with three or four axes, with or without channels.

Samples are the stored ones: a scaling in a NIfTI header is kept but not applied, so that the decoded file has the
source's dtype and readers scale both alike. A NIfTI header is kept with its extensions; the attributes of a zarr array
are kept with its chunk sizes.

The last of four axes holds channels if it has at most 4 entries; otherwise, as the time of functional MRI, it is a
fourth coordinate. The last of five axes holds channels.

Large volumes are cut into blocks (`Cut`), each with its own network.
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

from sinr_codec.errors import InputError, MalformedError, UnknownIdError, quoted
from sinr_codec.fields import Sine
from sinr_codec.signals import cut as cuts
from sinr_codec.signals import formats, lattice, volume_tiff
from sinr_codec.signals.base import Fields, Part, Quality
from sinr_codec.signals.claims import archive, array_header, folder, has_suffix, is_zarr, is_zarr_group, made_by
from sinr_codec.signals.cut import Blocking, Cut
from sinr_codec.signals.grammar import RegionLike, ScaleLike, SizeLike
from sinr_codec.signals.grids import MAX_SIDE, GridSignal, GridSpec, id_of
from sinr_codec.signals.kinds import Kind
from sinr_codec.signals.levels import Levels, known_dtype
from sinr_codec.signals.recipe import Recipe, octaves
from sinr_codec.signals.thinning import Thinned, busy
from sinr_codec.signals.volume_arrays import MAX_CHANNELS, Found, axes_of_shape, check_count
from sinr_codec.signals.volume_files import FORMATS, Form, read, unpacked
from sinr_codec.signals.volume_slices import checked_window, slices
from sinr_codec.types import Array, PathLike

VOLUME: Final = 2
VOLUME_IN_BLOCKS: Final = 8
"""Signal ids of volumes: in one piece, and in blocks."""
_SLAB: Final = 1 << 22  # voxels rendered at once to measure the quality


class Volume(np.ndarray[Any, np.dtype[Any]]):
    """A rendering: an array with the positions of its samples in the source.

    Attributes
    ----------
    placement
        For each axis except channels, (step, offset): sample i lies at the source's voxel
        ``step * i + offset``; None for views and results of further computation.
    window
        The values that are black and white in a picture of it; None for those that show most.
    """

    placement: tuple[tuple[float, float], ...] | None
    window: tuple[float, float] | None

    def __array_finalize__(self, source: Any) -> None:
        self.placement = None
        self.window = None


@dataclass(frozen=True)
class VolumeSpec(GridSpec):
    """Shape, sample type and metadata of a volume: all that a decoder needs besides the networks.

    Attributes
    ----------
    sizes
        Voxels along each axis; three or four axes.
    channels
        Length of the channel axis; 0 without one.
    levels
        Sample type and actual range.
    format
        One of `FORMATS`.
    metadata
        NIfTI: the header and its extensions, as in a `.nii` file; zarr: JSON text; else empty.
    cut
        Division into blocks; None for one piece.
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
        """Peak value for the PSNR: the actual range."""
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
        """Kind, shape, dtype, range, format, voxel size, and the blocks by axis if any."""
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
        header = [list(self.sizes), self.channels, self._form.number, self.levels.to_header()]
        if self.cut is None:
            return [VOLUME, *header]
        return [VOLUME_IN_BLOCKS, *header, list(self.cut.counts), self.cut.fade]

    @classmethod
    def from_header(cls, header: Any, side: bytes = b"") -> "VolumeSpec":
        """Inverse of `to_header` and `side`.

        Raises
        ------
        MalformedError, UnknownIdError : anything that they cannot have written
        """
        if id_of(header) == VOLUME_IN_BLOCKS:
            if len(header) != 7 or type(header[5]) is not list:
                raise MalformedError("volume header: expected id, sizes, channels, format, levels, blocks and fade")
            spec = cls.from_header([VOLUME, *header[1:5]], side)
            if len(header[5]) != len(spec.sizes):
                raise MalformedError(f"volume blocks: expected a number for each axis, found {quoted(header[5])}")
            return spec.with_cut(Cut.from_header(spec.sizes, header[5], header[6]))
        if header[0] != VOLUME:
            raise UnknownIdError(f"signal id {header[0]}: expected that of a volume, {VOLUME}")
        if len(header) != 5:
            raise MalformedError("volume header: expected a list of id, sizes, channels, format and levels")
        _, sizes, channels, number, levels = header
        if type(sizes) is not list or len(sizes) not in (3, 4):
            raise MalformedError(f"volume sizes: expected three or four, found {quoted(sizes)}")
        if not all(type(n) is int and 1 <= n <= MAX_SIDE for n in sizes):
            raise MalformedError(f"volume sizes: expected 1 to {MAX_SIDE} each, found {quoted(sizes)}")
        if type(channels) is not int or not 0 <= channels <= MAX_CHANNELS:
            raise MalformedError(f"volume channels: expected 0 to {MAX_CHANNELS}, found {quoted(channels)}")
        if type(number) is not int or number < 0:
            raise MalformedError(f"volume format: expected a number, found {quoted(number)}")
        if number >= len(FORMATS):
            raise UnknownIdError(f"volume format {number}: not known to this version")
        spec = cls(tuple(sizes), channels, Levels.from_header(levels), FORMATS[number], unpacked(side))
        spec._form.check(spec.levels.dtype)
        if spec._form.number != number:
            raise MalformedError(f"volume format {number}: does not go with the metadata")
        return spec

    @classmethod
    def parts_in(cls, header: Any) -> int:
        """Number of networks that a header declares, without its side section."""
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
        window: Sequence[float] | None = None,
    ) -> Volume:
        """Evaluate the networks on a grid of voxels: the cost of a slice or a box is proportional to its voxels.

        Parameters
        ----------
        fields
            The networks, coords (axis 0, axis 1, ...) -> values (channels); blocks outside the region are not decoded.
        scale
            Factor on the source's size, one for all axes or one each. With a region the result is that part of the
            whole at this scale.
        size
            Voxels of the result along each axis. It shows the whole, or the region where there is one.
        region
            Part of the volume: (start, stop) in source voxels for each axis. Axes that are left out at the end are
            whole.
        window
            Values that a `.png` shows as black and white, LOW,HIGH in units of the data, as -160,240 for soft tissue in
            a CT.

        Returns
        -------
        (d, h, w) in the source's dtype, with a fourth axis and channels if the source has them

        Raises
        ------
        InputError : a scale, size or region without any voxel, or a window that is none
        LimitError : more values than `fields.max_samples`, before anything is allocated
        """
        shown = None if window is None else checked_window(window)
        spans = self.window(fields, scale, size, region)
        out = self.evaluate(fields, spans)
        volume = out.reshape(self._array_shape(out.shape[:-1])).view(Volume)
        volume.placement, volume.window = tuple(map(_placement, spans)), shown
        return volume

    # -- files ---------------------------------------------------------------------------------------------

    @property
    def _form(self) -> Form:
        return Form(self.sizes, self.channels, self.format, self.metadata)

    @property
    def spacing(self) -> tuple[float, ...]:
        """Voxel size along each axis in the unit of the NIfTI header; 1 if unknown."""
        return self._form.spacing

    @property
    def slope(self) -> float:
        """Units of the data for one unit of the stored samples: NIfTI's slope, without its sign."""
        return abs(self._form.scaling[0])

    def save(self, decoded: Array, path: PathLike) -> None:
        """Write a rendering as .nii, .nii.gz, .npy, .npz, .zarr (a folder), .zarr.zip, .tif, or .png (three slices).

        A NIfTI file has the source's header, with shape, voxel sizes and affine adjusted to the rendering.

        Raises
        ------
        InputError : another extension, a format without the dtype, or a NIfTI file from an array that is not a
            rendering
        MissingExtraError : the format's library is missing
        """
        self._form.save(decoded, path)

    def nifti(self, decoded: Array) -> Any:
        """A rendering as a nibabel image, with the source's scaling and an affine for the rendering."""
        return self._form.nifti(decoded)

    def slices(self, array: Array, window: Sequence[float] | None = None) -> Any:
        """The middle slices along each axis, side by side, as a Pillow image (`volume_slices.slices`)."""
        return slices(array, self._form, window)


def _placement(span: lattice.Span) -> tuple[float, float]:
    """(step, offset) in source voxels of a span's samples, whose centres `Grid.axis` gives."""
    step = (span.stop - span.start) / span.count
    return step, (span.first + 0.5) * step + span.start - 0.5


class VolumeSignal(GridSignal[VolumeSpec]):
    """A volume as samples of a field; memory-mapped if the format allows it."""

    BLOCKS = Blocking(least=16, fade=2, noun="voxels", largest=1 << 21, side=112)

    def __init__(
        self,
        array: Array,
        spec: VolumeSpec,
        notes: tuple[str, ...] = (),
        axes: Sequence[NDArray[np.float32]] | None = None,
    ) -> None:
        super().__init__(array, spec, notes, axes)
        # Samples are indexed in the order of memory or disk, so that batches read sequentially.
        self.order = "C" if array.strides[0] >= array.strides[len(spec.sizes) - 1] else "F"

    @classmethod
    def load(cls, source: Any, like: VolumeSpec | None = None, *, block: float | None = None) -> "VolumeSignal":
        """Read a volume from a file, an array, a nibabel image or a zarr array.

        Files are .nii, .nii.gz and other formats of nibabel, .npy, .npz (with one array, or one named "volume"), zarr
        folders and .zarr.zip, and TIFF stacks. Plain .npy and .nii files are memory-mapped; others are unpacked to
        memory, or above `IN_MEMORY` bytes to a temporary file.

        Parameters
        ----------
        source
            The source.
        like
            A description whose shape and dtype the volume must have, and whose division into blocks is used.
        block
            Voxels a side of the blocks, at least 16. 0 keeps the volume in one piece, as None does here; `encode` cuts
            large volumes by itself where nothing is given.

        Raises
        ------
        InputError : no such file, damaged, empty, samples that are not finite, a shape or dtype that is not that of a
            volume, or more than `MAX_SAMPLES` values (checked before reading)
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
        sizes, channels = axes_of_shape(array.shape, name, found.channels)
        check_count(array.shape, name)
        known_dtype(array.dtype, name)
        try:
            levels = Levels.of(array if array.flags.c_contiguous else array.T, name)
        except InputError as error:
            remedy = "fill them (numpy.nan_to_num), or encode a dataset, which keeps its gaps"
            raise InputError(f"{error}; {remedy}") from error
        return cls(array, VolumeSpec(sizes, channels, levels, found.format, found.metadata), found.notes)

    def errors(self, predicted: Any, values: Any) -> Any:
        """Mean squared error of each voxel on the scale of [-1, 1], after clipping.

        Decoding clips to the range of the samples, so where a sample is at an end of the range, the network may exceed
        it: in the empty space around a head, any value at or below zero will do.
        """
        error = predicted - values
        lost = ((values <= -1) & (error < 0)) | ((values >= 1) & (error > 0))
        return ((error * ~lost) ** 2).mean(-1)

    def _trained(self) -> Part:
        """The volume without most of the empty space around a body, which contributes little to training."""
        kept = self._kept
        return self if kept is None else Thinned(self, kept)

    @cached_property
    def _kept(self) -> NDArray[np.integer[Any]] | None:
        return busy(self.array, self.spec.channels > 0, self.order)

    def quality(self, render: Callable[..., Array]) -> Quality:
        """PSNR in dB relative to the range of the data; largest and mean error in its units, NIfTI's slope included.

        Slabs are rendered and compared one by one, which bounds memory. For blocks, also "seam_db" (`cut.Seams`).
        """
        sizes = self.spec.sizes
        axis = 0 if self.order == "C" else len(sizes) - 1
        thick = max(1, _SLAB * sizes[axis] // self.spec.samples)
        total, sums, worst = 0.0, 0.0, 0.0
        seams = None if self.spec.cut is None else cuts.Seams(self.spec.cut)
        for start in range(0, sizes[axis], thick):
            slab = (start, min(start + thick, sizes[axis]))
            decoded = render(region=[slab if a == axis else (0, n) for a, n in enumerate(sizes)])
            wanted = self.array[(slice(None),) * axis + (slice(*slab),)]
            off = np.abs(np.asarray(decoded, np.float64) - wanted)
            total += float(np.sum(np.square(off)))
            sums += float(np.sum(off))
            worst = max(worst, float(off.max()))
            if seams is not None:
                seams.add(np.square(off).reshape(*off.shape[: len(sizes)], -1).sum(-1), axis, slab)
        db = 10 * math.log10(self.peak**2 * self.array.size / total) if total else math.inf
        slope = self.spec.slope
        errors = {"max_error": slope * worst, "mean_error": slope * sums / self.array.size}
        figures = {"psnr_db": db} | errors | ({} if seams is None else seams.figures())
        return Quality(db, figures, headline=tuple(errors))


def recognises(source: Any) -> bool:
    """Whether a source is a nibabel or zarr object, a zarr folder, an array, a pair of files or a stack of pages."""
    if made_by(source, "nibabel") or made_by(source, "zarr"):
        return True
    if (path := folder(source)) is not None:
        return is_zarr(path) and not is_zarr_group(path)
    if has_suffix(source, ".zarr"):
        return True
    if has_suffix(source, *volume_tiff.SUFFIXES):
        return volume_tiff.is_stack(Path(source))
    if (header := array_header(source)) is None:
        return bool(archive(source))
    shape, _ = header
    return (len(shape) == 3 and shape[2] > 4) or len(shape) == 4


# On an MRI template at width 180, without an encoding, omega0 = 30 is 0.6 dB above 20 and 2 dB above 45; three layers
# are 1.2 dB above five. At a learning rate of 1e-3, long fits end worse than short ones: 35.0 dB after 800 steps on an
# MRI, 33.9 dB after 3,000. At 5e-4 it is 35.3 dB after 800. Importance sampling gains 0.1 to 0.6 dB on a CT.
# At the rate, the edges of organs are there in a soft-tissue window of a CT of 1.4 million voxels: the error between
# -160 and 240 HU is 48 HU at 0.08 bits a voxel, 38 at 0.3 and 33 at 0.6. The widest network that is chosen by itself
# (`presets.MAX_WIDTH`) has the bytes of this rate for some two million voxels; larger volumes are cut.
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
        rate=0.6,
        rated_bits=5.0,
        db=42.0,
        fit={
            "": {"batch": 8192, "lr": 5e-4, "sampling": "error"},
            "balanced": {"steps": 1500},
            "best": {"steps": 5000},
            "paper": {"steps": 1500},
        },
    ),
    suffixes=(
        ".nii",
        ".nii.gz",
        ".nii.bz2",
        ".nii.zst",
        ".zarr.zip",
        ".mgz",
        ".mgh",
        ".img",
        ".hdr",
        ".img.gz",
        ".hdr.gz",
        ".mnc",
        ".mnc.gz",
        ".brik",
        ".head",
        ".par",
        ".rec",
    ),
    recognises=recognises,
    writes=formats.checked(
        {
            ".npy .npz .png": (),
            ".nii .nii.gz": (formats.Library("nibabel", "volume"),),
            ".zarr .zarr.zip": (formats.Library("zarr", "volume"),),
            ".tif .tiff": (formats.Library("tifffile", "volume"),),
        }
    ),
)
