"""Volumes: NIfTI, NumPy, zarr and TIFF stacks, of three axes or four, with or without channels.

Samples are the stored ones: a scaling in a NIfTI header is kept there and not applied, so that the decoded file has
the source's dtype and every reader scales it alike. A NIfTI header travels with its extensions, the attributes of a
zarr array with its chunks.

An array of four axes whose last has at most 4 entries is three axes with channels; a longer last axis, such as the
time of functional MRI, is a fourth coordinate. Of five axes the last holds channels.

Large volumes are cut into blocks (`Cut`), each with a network of its own.
"""

import contextlib
import gzip
import io
import json
import logging
import math
import os
import secrets
import shutil
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import brotli
import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import InputError, MalformedError, MissingExtraError, SinrError, UnknownIdError
from sinr_codec.files import atomic_write
from sinr_codec.signals import cut as cuts
from sinr_codec.signals import lattice, nifti
from sinr_codec.signals.base import MAX_SAMPLES, Fields, Quality, SampledPart
from sinr_codec.signals.cut import Cut
from sinr_codec.signals.grid import Grid
from sinr_codec.signals.levels import Levels, known_dtype
from sinr_codec.signals.lossless import inflate
from sinr_codec.types import Array, PathLike

VOLUME, VOLUME_IN_BLOCKS = 2, 8
"""The ids of volumes among the signals a file can hold: of those in one piece, and of those cut into blocks."""
FORMATS = (".npy", ".npz", ".nii", ".nii.gz", ".zarr", ".zarr.zip", ".tif")
"""What a volume was read from, by number in the header: the format it is decoded to by itself."""
LARGEST = 1 << 24
"""Voxels above which `VolumeSignal.in_blocks` cuts a volume."""
BLOCK = 128
"""About how many voxels a side a block has then."""
FADE = 2
"""Voxels on either side of a seam over which blocks are blended."""
LEAST_BLOCK = 16
"""Voxels a side of the smallest blocks that may be asked for."""
IN_MEMORY = 1 << 30
"""Bytes of samples beyond which a source that cannot be mapped is unpacked to a temporary file, not to memory."""

_GRID = Grid()
_MAX_SIDE = 2**31 - 1
_MAX_CHANNELS = 64
_FEW = 4
_MAX_METADATA = 1 << 24
_SLAB = 1 << 22  # voxels rendered at once to measure the quality
_REACH = 3  # voxels around a body that count as much as the body
_THIN = 8  # one in so many voxels of empty space is trained on
_THIN_BELOW = 0.75  # share of the voxels that thinning must not leave, or there is none
_THIN_UP_TO = 1 << 27  # voxels: with flags and numbers, 5 bytes each
_GAP = 4  # pixels between the slices of a picture


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
class VolumeSpec:
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
    MEASURE: ClassVar[str] = "PSNR"

    # -- description ---------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the source as an array."""
        return self._array_shape(self.sizes)

    def _array_shape(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        return (*sizes, self.channels) if self.channels else sizes

    @property
    def in_features(self) -> int:
        """A coordinate an axis."""
        return len(self.sizes)

    @property
    def axes(self) -> tuple[int, ...]:
        """Samples along each coordinate of a network."""
        return self.sizes if self.cut is None else self.cut.extents

    @property
    def out_features(self) -> int:
        """Values a voxel."""
        return self.channels or 1

    @property
    def parts(self) -> int:
        """A network for each block, or one."""
        return 1 if self.cut is None else self.cut.parts

    @property
    def samples(self) -> int:
        """Number of voxels."""
        return math.prod(self.sizes)

    @property
    def values(self) -> int:
        """Samples of a full decoding."""
        return self.samples * self.out_features

    @property
    def suffix(self) -> str:
        """The source's format."""
        return self.format

    @cached_property
    def side(self) -> bytes:
        """The metadata, compressed by Brotli."""
        return brotli.compress(self.metadata) if self.metadata else b""

    @property
    def spacing(self) -> tuple[float, ...]:
        """Extent of a voxel along each axis in the unit of the NIfTI header; 1 where nothing is known."""
        if not self._nifti:
            return (1.0,) * len(self.sizes)
        found = [float(abs(x)) for x in nifti.NiftiFields.of(self.metadata).spacing[: len(self.sizes)]]
        return tuple(x if 0 < x < math.inf else 1.0 for x in found)

    @property
    def _nifti(self) -> bool:
        return self.format.startswith(".nii")

    def describe(self) -> dict[str, Any]:
        """Kind, shape, dtype, range, format, the extent of a voxel, and the blocks by axis where there are any."""
        about = {
            "type": self.KIND,
            "shape": list(self.shape),
            "dtype": self.levels.dtype,
            "channels": self.channels,
            "range": self.levels.to_header()[1:],
            "format": self.format,
            "spacing": list(self.spacing),
        }
        return about if self.cut is None else about | self.cut.describe()

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
        if type(header) is not list or not header or type(header[0]) is not int:
            raise MalformedError("signal header: expected a list that starts with the signal's id")
        if header[0] == VOLUME_IN_BLOCKS:
            if len(header) != 7 or type(header[5]) is not list:
                raise MalformedError("volume header: expected id, sizes, channels, format, levels, blocks and fade")
            spec = cls.from_header([VOLUME, *header[1:5]], side)
            if len(header[5]) != len(spec.sizes):
                raise MalformedError(f"volume blocks: expected a number for each axis, found {header[5]!r}")
            return replace(spec, cut=Cut.from_header(spec.sizes, header[5], header[6]))
        if header[0] != VOLUME:
            raise UnknownIdError(f"signal id {header[0]}: expected that of a volume, {VOLUME}")
        if len(header) != 5:
            raise MalformedError("volume header: expected a list of id, sizes, channels, format and levels")
        _, sizes, channels, number, levels = header
        if type(sizes) is not list or len(sizes) not in (3, 4):
            raise MalformedError(f"volume sizes: expected three or four, found {sizes!r}")
        if not all(type(n) is int and 1 <= n <= _MAX_SIDE for n in sizes):
            raise MalformedError(f"volume sizes: expected 1 to {_MAX_SIDE} each, found {sizes!r}")
        if type(channels) is not int or not 0 <= channels <= _MAX_CHANNELS:
            raise MalformedError(f"volume channels: expected 0 to {_MAX_CHANNELS}, found {channels!r}")
        if type(number) is not int or number < 0:
            raise MalformedError(f"volume format: expected a number, found {number!r}")
        if number >= len(FORMATS):
            raise UnknownIdError(f"volume format {number}: not known to this version")
        spec = cls(tuple(sizes), channels, Levels.from_header(levels), FORMATS[number], _unpacked(side))
        if spec._nifti:
            spec._check_nifti()
        elif spec.format.startswith(".zarr"):
            _zarr_metadata(spec.metadata, len(spec.shape))
        elif side:
            raise MalformedError(f"volume from {spec.format}: expected no side section")
        return spec

    @staticmethod
    def parts_in(header: Any) -> int:
        """Number of networks that a header declares; what its side section holds is not looked at."""
        if type(header) is list and header[:1] == [VOLUME_IN_BLOCKS]:
            plain = [*header[:3], FORMATS.index(".npy"), *header[4:]]
            return VolumeSpec.from_header(plain).parts
        return 1

    def _check_nifti(self) -> None:
        found = nifti.NiftiFields.of(self.metadata)
        shape = found.shape[: len(self.shape)]
        if shape != self.shape or any(n != 1 for n in found.shape[len(self.shape) :]):
            raise MalformedError(f"volume: the NIfTI header is of shape {found.shape}, expected {self.shape}")
        if found.dtype != self.levels.dtype:
            raise MalformedError(f"volume: the NIfTI header is of {found.dtype}, expected {self.levels.dtype}")

    # -- rendering -----------------------------------------------------------------------------------------

    def render(
        self,
        fields: Fields,
        *,
        scale: float | Sequence[float] | None = None,
        size: Sequence[int] | None = None,
        region: lattice.Region | None = None,
    ) -> Volume:
        """Evaluate the field on a grid of voxels: a slice or a box costs as much as its own voxels.

        Parameters
        ----------
        fields
            The networks, coords (axis 0, axis 1, ...) -> values (channels); of blocks those outside the region are not
            decoded.
        scale
            Factor on the source's size, one for all axes or one each; with a region the result is that part of the
            whole at this scale.
        size
            Voxels of the result by axis; it shows the whole, or the region where there is one.
        region
            (start, stop) in source voxels by axis; axes that are left out at the end are whole.

        Returns
        -------
        (d, h, w), with a fourth axis and channels as the source has them, in the source's dtype

        Raises
        ------
        InputError : a scale, size or region that makes no volume
        LimitError : more values than `fields.max_samples`, before anything is allocated
        """
        if isinstance(region, Sequence) and len(region) < len(self.sizes):
            region = (*region, *((0, n) for n in self.sizes[len(region) :]))
        most = fields.max_samples // self.out_features
        spans = lattice.window(self.sizes, scale=scale, size=size, region=region, most=most, noun="voxel")
        values, finish, dtype = self.out_features, self.levels.to_samples, self.levels.dtype
        if self.cut is not None:
            out = cuts.render(fields, self.cut, spans, values, finish, dtype, "voxel")
        else:
            out = lattice.render(fields, lattice.axes_of(_GRID, spans), values, finish, dtype, noun="voxel")
        volume = out.reshape(self._array_shape(out.shape[:-1])).view(Volume)
        volume.placement = tuple(map(_placement, spans))
        return volume

    # -- files ---------------------------------------------------------------------------------------------

    def save(self, decoded: Array, path: PathLike) -> None:
        """Write a rendering: .nii, .nii.gz, .npy, .npz, .zarr (a folder), .zarr.zip, .tif, or .png, three slices.

        A NIfTI file has the source's header, its shape, voxel sizes and affine adjusted to the rendering.

        Raises
        ------
        InputError : another extension, a format that lacks the dtype, or a NIfTI file of an array that is no
            rendering
        MissingExtraError : the format's library is missing
        """
        name = Path(path).name.lower()
        array = np.asarray(decoded)
        if name.endswith(".zarr"):
            with _new_folder(Path(path)) as folder:
                self._write_zarr(array, str(folder))
            return
        with atomic_write(path) as temporary:
            if name.endswith(".npy"):
                with temporary.open("wb") as file:
                    np.save(file, array, allow_pickle=False)
            elif name.endswith(".npz"):
                with temporary.open("wb") as file:
                    np.savez_compressed(file, allow_pickle=False, volume=array)
            elif name.endswith((".nii", ".nii.gz")):
                self._write_nifti(decoded, temporary, path, packed=name.endswith(".gz"))
            elif name.endswith(".zarr.zip"):
                with contextlib.closing(nifti.library("zarr").storage.ZipStore(temporary, mode="w")) as store:
                    self._write_zarr(array, store)
            elif name.endswith((".tif", ".tiff")):
                colours = self.channels in (3, 4) and array.dtype in (np.uint8, np.uint16)
                photometric = "rgb" if colours else "minisblack"
                nifti.library("tifffile").imwrite(temporary, array, photometric=photometric)
            elif name.endswith(".png"):
                self.slices(array).save(temporary, "PNG")
            else:
                raise InputError(f"{path}: expected an extension among {', '.join(FORMATS)} and .png")

    def nifti(self, decoded: Array) -> Any:
        """A rendering as a nibabel image, with the source's scaling and an affine for the rendering."""
        nibabel = nifti.library("nibabel")
        header = self._nifti_header(decoded, "array")
        kind = nibabel.Nifti2Image if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Image
        file = io.BytesIO()
        nifti.write_to(file, header, decoded)
        return kind.from_bytes(file.getvalue())

    def _write_nifti(self, decoded: Array, temporary: Path, path: Any, packed: bool) -> None:
        header = self._nifti_header(decoded, path)
        with temporary.open("wb") as file:
            if not packed:
                nifti.write_to(file, header, decoded)
                return
            # No name and no time: the same rendering gives the same bytes.
            with gzip.GzipFile("", "wb", fileobj=file, compresslevel=6, mtime=0) as stream:
                nifti.write_to(stream, header, decoded)

    def _nifti_header(self, decoded: Array, name: Any) -> Any:
        """The source's NIfTI header, or a plain one, moved to where the rendering lies."""
        nibabel = nifti.library("nibabel")
        placement = getattr(decoded, "placement", None)
        if placement is None:
            if decoded.shape != self.shape:
                raise InputError(f"{name}: expected a rendering of the file or an array of shape {self.shape}")
            placement = ((1.0, 0.0),) * len(self.sizes)
        try:
            if self._nifti:
                header = nifti.read_header(io.BytesIO(self.metadata))
            else:
                header = nibabel.Nifti1Header()
                header.set_data_dtype(decoded.dtype)
                header["scl_slope"], header["scl_inter"] = 1, 0
                header.set_sform(np.eye(4), "aligned")
            # Trailing axes of one entry, which the array does not have.
            header.set_data_shape((*decoded.shape, *header.get_data_shape()[decoded.ndim :]))
            if any(place != (1.0, 0.0) for place in placement):
                nifti.move(header, placement)
        except SinrError:
            raise
        except Exception as error:  # nibabel raises errors of its own, struct's and NumPy's
            raise InputError(f"{name}: NIfTI does not hold this volume ({_line(error)}); expected .npy") from error
        header["vox_offset"] = 0  # set anew as the header is written
        return header

    def _write_zarr(self, array: Array, store: Any) -> None:
        zarr = nifti.library("zarr")
        kept = _zarr_metadata(self.metadata, array.ndim) if self.format.startswith(".zarr") else {}
        chunks = kept.get("chunks") or [min(n, 64) for n in array.shape]
        target = zarr.create_array(
            store,
            shape=array.shape,
            dtype=array.dtype,
            chunks=tuple(min(c, n) for c, n in zip(chunks, array.shape)),
            dimension_names=kept.get("dimension_names"),
            attributes=kept.get("attributes", {}),
        )
        target[...] = array

    def slices(self, array: Array) -> Any:
        """The middle slices across each axis side by side as a Pillow image, or the one slice of a flat volume.

        Grey runs from the 0.5th to the 99.5th percentile of what is shown. Voxels have their true aspect where the
        source tells it; the later of the two axes of a NIfTI slice points upwards.
        """
        from PIL import Image

        array, spacing = np.asarray(array), self.spacing
        if self.channels:
            array = array[..., :3] if self.channels in (3, 4) else array[..., 0]
        axes = list(range(len(self.sizes)))
        if len(axes) == 4:
            # NIfTI has the time last, an array of NumPy first.
            time = axes.pop(3 if self._nifti else 0)
            array = array.take(array.shape[time] // 2, axis=time)
            spacing = tuple(spacing[axis] for axis in axes)
        flat = [axis for axis in range(3) if array.shape[axis] == 1]
        planes = []
        for axis in flat[:1] or range(3):
            plane = array.take(array.shape[axis] // 2, axis=axis)
            rows, columns = (spacing[a] for a in range(3) if a != axis)
            if self._nifti:
                plane, rows, columns = plane.swapaxes(0, 1)[::-1], columns, rows
            planes.append((plane, rows, columns))
        low, high = np.percentile(np.concatenate([p[0].ravel() for p in planes]).astype(np.float64), (0.5, 99.5))
        least = min(min(rows, columns) for _, rows, columns in planes)
        pictures = []
        for plane, rows, columns in planes:
            grey = np.clip((plane.astype(np.float64) - low) / (high - low or 1.0), 0, 1)
            picture = Image.fromarray(np.rint(255 * grey).astype(np.uint8))
            size = (_pixels(plane.shape[1], columns / least), _pixels(plane.shape[0], rows / least))
            pictures.append(picture if size == picture.size else picture.resize(size, Image.Resampling.BILINEAR))
        width = sum(picture.width + _GAP for picture in pictures) - _GAP
        sheet = Image.new(pictures[0].mode, (width, max(picture.height for picture in pictures)))
        left = 0
        for picture in pictures:
            sheet.paste(picture, (left, (sheet.height - picture.height) // 2))
            left += picture.width + _GAP
        return sheet


def _placement(span: lattice.Span) -> tuple[float, float]:
    """(step, offset) in source voxels of the samples of a span, whose centres `Grid.axis` gives."""
    step = (span.stop - span.start) / span.count
    return step, (span.first + 0.5) * step + span.start - 0.5


def _pixels(count: int, stretch: float) -> int:
    """Pixels of an axis on a picture; a header that lies about its voxels makes no endless picture."""
    return max(count, min(round(count * stretch), 1 << 12))


class VolumeSignal(SampledPart):
    """A volume as samples of a field: coordinates of its voxels and values in [-1, 1].

    Attributes
    ----------
    array
        The source's samples in its shape; a memory map where the format allows one.
    spec
        What a decoder needs.
    notes
        One-line remarks on what reading left out.
    """

    def __init__(
        self,
        array: Array,
        spec: VolumeSpec,
        notes: tuple[str, ...] = (),
        axes: Sequence[NDArray[np.float32]] | None = None,
    ) -> None:
        self.array = array
        self.spec = spec
        self.notes = notes
        self.levels, self.peak = spec.levels, spec.levels.span
        self._axes = lattice.axes_of(_GRID, lattice.window(spec.sizes)) if axes is None else axes
        # Samples are numbered as they lie in memory or on disk, so that batches read forwards.
        self._order: Any = "C" if array.strides[0] >= array.strides[len(spec.sizes) - 1] else "F"

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
            Cut into blocks of about so many voxels a side, at least `LEAST_BLOCK`; 0 or None: in one piece.

        Raises
        ------
        InputError : no such file, damaged, empty, NaN or infinity among the samples, or a shape or dtype that is none
            of a volume; a volume of more values than `MAX_SAMPLES`, before it is read
        MissingExtraError : the format's library is missing
        """
        cuts.check_block(block, LEAST_BLOCK, "voxels")
        source, name = _named(source)
        if isinstance(source, np.ndarray):
            found = _Found(source)
        elif isinstance(source, Path):
            found = _read(source)
        elif hasattr(source, "dataobj"):
            with _reading(name):
                found = _from_nibabel(source, name)
        elif hasattr(source, "attrs") and hasattr(source, "chunks"):
            with _reading(name):
                found = _from_zarr(source, name, ".zarr")
        else:
            raise InputError(f"{name}: expected a file, an array, a nibabel image or a zarr array")
        signal = cls._build(found, name)
        if like is not None and (like.shape, like.levels.dtype) != (signal.spec.shape, signal.levels.dtype):
            raise InputError(
                f"{name}: expected a volume of shape {like.shape} and samples of {like.levels.dtype}, "
                f"found {signal.spec.shape} of {signal.levels.dtype}"
            )
        if like is not None:
            return signal if like.cut is None else signal._with(like.cut)
        return signal._with(Cut.into(signal.spec.sizes, int(block), FADE)) if block else signal

    def in_blocks(self) -> "VolumeSignal":
        """The volume as it is best encoded: in blocks where it has more than `LARGEST` voxels."""
        if len(self) <= LARGEST or self.spec.cut is not None:
            return self
        return self._with(Cut.into(self.spec.sizes, BLOCK, FADE))

    def _with(self, cut: Cut) -> "VolumeSignal":
        return VolumeSignal(self.array, replace(self.spec, cut=cut if cut.parts > 1 else None), self.notes)

    @classmethod
    def _build(cls, found: "_Found", name: str) -> "VolumeSignal":
        array = found.array
        sizes, channels = _axes_of_shape(array.shape, name)
        _check_count(array.shape, name)
        known_dtype(array.dtype, name)
        try:
            levels = Levels.of(array if array.flags.c_contiguous else array.T, name)
        except InputError as error:
            remedy = "fill them (numpy.nan_to_num), or encode a dataset, which keeps its gaps"
            raise InputError(f"{error}; {remedy}") from error
        return cls(array, VolumeSpec(sizes, channels, levels, found.format, found.metadata), found.notes)

    @property
    def in_features(self) -> int:
        """A coordinate an axis."""
        return self.spec.in_features

    @property
    def out_features(self) -> int:
        """Values a voxel."""
        return self.spec.out_features

    def __len__(self) -> int:
        return self.spec.samples

    def batch(self, index: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Voxels by number in the order of the array's memory, int64 (n,): coords float32 (n, a), values (n, b)."""
        place = np.unravel_index(index, self.spec.sizes, order=self._order)
        coords = np.stack([axis[i] for axis, i in zip(self._axes, place)], axis=-1)
        return coords, self.levels.to_values(np.asarray(self.array[place])).reshape(len(index), -1)

    def errors(self, predicted: Any, values: Any) -> Any:
        """Mean squared error of each voxel in the units of [-1, 1] of what clipping leaves.

        Decoding clips to the range of the samples, so a network may go beyond it where a sample lies on its end: the
        empty space around a head need not be held at zero, only below.
        """
        error = predicted - values
        lost = ((values <= -1) & (error < 0)) | ((values >= 1) & (error > 0))
        return ((error * ~lost) ** 2).mean(-1)

    @cached_property
    def parts(self) -> "Sequence[VolumeSignal | _Thinned]":
        """What each network stands for: the blocks, each with the voxels that it fades over, or the whole volume.

        In training the empty space around a body counts little.
        """
        return [self._thinned()] if self.spec.cut is None else _Blocks(self, self.spec.cut)

    def _thinned(self) -> "VolumeSignal | _Thinned":
        kept = _busy(self.array, self.spec.channels > 0, self._order)
        return self if kept is None else _Thinned(self, kept)

    @property
    def source_bytes(self) -> int:
        """Bytes of the samples."""
        return self.array.nbytes

    def quality(self, render: Callable[..., Array]) -> Quality:
        """PSNR in dB over the range of the data, and the largest error in units of the stored samples.

        Rendered and compared slab by slab, in memory bounded by a slab. Of blocks there is "seam_db" (`cut.Seams`).
        """
        sizes = self.spec.sizes
        axis = 0 if self._order == "C" else len(sizes) - 1
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


class _Blocks(Sequence[Any]):
    """The parts of a volume in blocks, each made when it is asked for: what is kept of one takes megabytes."""

    def __init__(self, volume: VolumeSignal, cut: Cut) -> None:
        self._volume, self._cut = volume, cut

    def __len__(self) -> int:
        return self._cut.parts

    def __getitem__(self, part: Any) -> Any:
        if isinstance(part, slice):
            return [self[number] for number in range(*part.indices(len(self)))]
        if not -len(self) <= part < len(self):
            raise IndexError(part)
        cut, volume = self._cut, self._volume
        array = volume.array[cut.area(part % len(self))]
        spec = replace(volume.spec, sizes=array.shape[: len(cut.sizes)], cut=None)
        return VolumeSignal(array, spec, axes=cut.axes(part % len(self)))._thinned()


class _Thinned(SampledPart):
    """The voxels of a volume but for most of its empty space, to train on.

    Three quarters of a head's volume are empty. A network that is trained on one in `_THIN` of these voxels leaves
    them empty all the same, and sees the others three times as often: on an MRI template the same steps gave
    35.2 dB instead of 32.4.
    """

    def __init__(self, volume: VolumeSignal, kept: NDArray[np.integer[Any]]) -> None:
        self._volume = volume
        self._kept = kept

    @property
    def in_features(self) -> int:
        """As of the volume."""
        return self._volume.in_features

    @property
    def out_features(self) -> int:
        """As of the volume."""
        return self._volume.out_features

    def __len__(self) -> int:
        return len(self._kept)

    def batch(self, index: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Some of the volume's samples, renumbered."""
        return self._volume.batch(self._kept[index].astype(np.int64))

    def errors(self, predicted: Any, values: Any) -> Any:
        """As of the volume."""
        return self._volume.errors(predicted, values)

    def decibels(self, loss: float) -> float:
        """As if the space left out were right."""
        return self._volume.decibels(loss * len(self) / len(self._volume))

    def objective(self, samples: int | None, seed: int) -> Callable[[Any, int], float]:
        """Of all voxels: this is what a file is judged by."""
        return self._volume.objective(samples, seed)


def _busy(array: Array, channels: bool, order: Any) -> NDArray[np.integer[Any]] | None:
    """Numbers of the voxels to train on, in an order of memory; None where that would be most.

    Left out are voxels that lie at one end of the range with everything around them, `_REACH` voxels to all sides,
    but for one in `_THIN`.
    """
    count = math.prod(array.shape[:-1] if channels else array.shape)
    if count > _THIN_UP_TO:
        return None
    others = [array != end for end in (array.min(), array.max())]
    below, above = (_spread(other.any(axis=-1) if channels else other) for other in others)
    flags = (below & above).ravel(order)
    flags[::_THIN] = True
    kept = np.flatnonzero(flags)
    return kept.astype(np.int32) if len(kept) < _THIN_BELOW * count else None


def _spread(flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Set what lies within `_REACH` of something set, along every axis at once."""
    for axis in range(flags.ndim):
        lines = np.moveaxis(flags, axis, 0)
        spread = lines.copy()
        for step in range(1, min(_REACH, len(lines) - 1) + 1):
            spread[step:] |= lines[:-step]
            spread[:-step] |= lines[step:]
        flags = np.moveaxis(spread, 0, axis)
    return flags


# -- sources ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Found:
    """What reading gave."""

    array: Array
    format: str = ".npy"
    metadata: bytes = b""
    notes: tuple[str, ...] = ()


def _named(source: Any) -> tuple[Any, str]:
    if isinstance(source, str | os.PathLike):
        return Path(source), os.fspath(source)
    return source, "array" if isinstance(source, np.ndarray) else type(source).__name__


def _axes_of_shape(shape: tuple[int, ...], name: str) -> tuple[tuple[int, ...], int]:
    """Sizes and channels of an array; `InputError` for what is no volume."""
    if not 3 <= len(shape) <= 5 or 0 in shape:
        raise InputError(f"{name}: expected a volume of 3 to 5 axes, none of them empty, found shape {shape}")
    channels = shape[-1] if len(shape) == 5 or (len(shape) == 4 and shape[-1] <= _FEW) else 0
    if channels > _MAX_CHANNELS:
        raise InputError(f"{name}: expected at most {_MAX_CHANNELS} channels on the fifth axis, found {channels}")
    return (shape[:-1] if channels else shape), channels


def _check_count(shape: tuple[int, ...], name: str) -> None:
    if math.prod(shape) > MAX_SAMPLES:
        raise InputError(
            f"{name}: {' x '.join(map(str, shape))} are more than {MAX_SAMPLES:,} values; expected a smaller volume: "
            "crop it, or encode its halves"
        )


def _room(shape: tuple[int, ...], dtype: Any, order: Any, name: str) -> Array:
    """An empty array in memory, or in a temporary file where it would be large."""
    _axes_of_shape(shape, name)
    _check_count(shape, name)
    dtype = np.dtype(known_dtype(np.dtype(dtype), name)).newbyteorder(np.dtype(dtype).byteorder)
    if math.prod(shape) * dtype.itemsize <= IN_MEMORY:
        return np.empty(shape, dtype, order)
    # The file has no name any more: it goes with the array.
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype, "w+", shape=shape, order=order)


def _read(path: Path) -> _Found:
    if not path.exists():
        raise InputError(f"{path}: no such file")
    if path.is_file() and path.stat().st_size == 0:
        raise InputError(f"{path}: expected a volume, found an empty file")
    name = path.name.lower()
    with _reading(str(path)):
        if path.is_dir() or name.endswith(".zip"):
            return _read_zarr(path)
        if name.endswith(".npy"):
            return _Found(np.load(path, mmap_mode="r", allow_pickle=False))
        if name.endswith(".npz"):
            return _read_npz(path)
        if name.endswith((".tif", ".tiff")):
            return _read_tiff(path)
        return _from_nibabel(nifti.library("nibabel").load(path), str(path), path)


def _read_npz(path: Path) -> _Found:
    with np.load(path, allow_pickle=False) as arrays:
        names = arrays.files
        key = names[0] if len(names) == 1 else "volume"
        if key not in names:
            raise InputError(f'{path}: expected one array or one named "volume", found {", ".join(names) or "none"}')
    with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        array = _room(shape, dtype, "F" if fortran else "C", str(path))
        _fill(array, file)
    return _Found(array, ".npz")


def _fill(array: Array, file: Any) -> None:
    """Read the samples of an array as they lie in memory, a few megabytes at a time."""
    flat = (array if array.flags.c_contiguous else array.T).reshape(-1).view(np.uint8)
    for start in range(0, flat.size, 1 << 24):
        part = flat[start : start + (1 << 24)]
        data = file.read(part.size)
        if len(data) != part.size:
            raise InputError(f"the file ends after {start + len(data):,} of {flat.size:,} bytes of samples")
        part[:] = np.frombuffer(data, np.uint8)


def _read_tiff(path: Path) -> _Found:
    with _errors_raised("tifffile"), nifti.library("tifffile").TiffFile(path) as file:
        if not file.series:
            raise InputError("expected a stack of pages, found none")
        series = file.series[0]
        array = _room(series.shape, series.dtype, "C", str(path))
        series.asarray(out=array)
        notes = [f"only the first of {len(file.series)} series is stored"] if len(file.series) > 1 else []
        if file.is_imagej or file.is_ome:
            notes.append("the metadata of ImageJ or OME is not stored")
    return _Found(array, ".tif", notes=tuple(notes))


def _read_zarr(path: Path) -> _Found:
    zarr = nifti.library("zarr")
    if path.is_dir():
        return _from_zarr(zarr.open(path, mode="r"), str(path), ".zarr")
    with contextlib.closing(zarr.storage.ZipStore(path, mode="r")) as store:
        return _from_zarr(zarr.open(store, mode="r"), str(path), ".zarr.zip")


def _from_zarr(source: Any, name: str, origin: str) -> _Found:
    if not hasattr(source, "chunks"):
        raise InputError("expected a zarr array, found a group; name one of its arrays, or encode a dataset")
    array = _room(source.shape, source.dtype, "C", name)
    thick = source.chunks[0]
    for start in range(0, source.shape[0], thick):
        array[start : start + thick] = source[start : start + thick]
    attributes = dict(source.attrs)
    left_out = [key for key, value in attributes.items() if not _is_json(value)]
    notes = [f"not stored, because JSON has no NaN and no infinity: {', '.join(left_out)}"] if left_out else []
    kept: dict[str, Any] = {
        "attributes": {key: value for key, value in attributes.items() if key not in left_out},
        "chunks": list(source.chunks),
    }
    names = getattr(source.metadata, "dimension_names", None)
    if names is not None:
        kept["dimension_names"] = list(names)
    return _Found(array, origin, _checked_metadata(_json(kept)), notes=tuple(notes))


def _json(value: Any) -> bytes:
    """JSON in its one form here; `ValueError` for NaN and infinity, which it does not have."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def _is_json(value: Any) -> bool:
    try:
        _json(value)
    except ValueError:
        return False
    return True


def _zarr_metadata(metadata: bytes, axes: int) -> dict[str, Any]:
    """Attributes, chunks and dimension names; `MalformedError` for what `_from_zarr` cannot have written."""
    try:
        kept = json.loads(metadata)
        fits = type(kept) is dict and _json(kept) == metadata
    except (ValueError, RecursionError):
        fits = False
    if fits:
        chunks, names = kept.get("chunks"), kept.get("dimension_names", [None] * axes)
        fits = (
            kept.keys() | {"dimension_names"} == {"attributes", "chunks", "dimension_names"}
            and type(kept["attributes"]) is dict
            and type(chunks) is list
            and len(chunks) == axes
            and all(type(c) is int and c >= 1 for c in chunks)
            and type(names) is list
            and len(names) == axes
            and all(n is None or type(n) is str for n in names)
        )
    if not fits:
        raise MalformedError("volume: expected the attributes, chunks and names of a zarr array in the side section")
    result: dict[str, Any] = kept
    return result


def _checked_metadata(metadata: bytes) -> bytes:
    if len(metadata) > _MAX_METADATA:
        raise InputError(f"expected at most {_MAX_METADATA:,} bytes of metadata, found {len(metadata):,}")
    return metadata


def _unpacked(side: bytes) -> bytes:
    """Inverse of the compression of `VolumeSpec.side`, in bounded memory."""
    if not side:
        return b""
    metadata = inflate(side, _MAX_METADATA, "volume side")
    if not metadata:
        raise MalformedError("volume side: expected at least one byte, unpacked")
    return metadata


def _from_nibabel(image: Any, name: str, path: Path | None = None) -> _Found:
    """Stored samples and header of a nibabel image; `path` where it is a file that was not touched since."""
    nibabel = nifti.library("nibabel")
    native = isinstance(image, nibabel.Nifti1Image)
    notes: tuple[str, ...] = ()
    if not native:
        notes = (f"of the header of {type(image).__name__} only what NIfTI has is stored",)
        image, path = nibabel.Nifti1Image.from_image(image), None
    proxy = image.dataobj if nibabel.is_proxy(image.dataobj) else None
    if not image.header.is_single:
        path = None
    if path is not None:
        # From the file itself: nibabel takes the scaling out of a loaded header.
        with nibabel.openers.ImageOpener(path) as file:
            header = nifti.read_header(file)
    else:
        header = image.header.copy()
        header["scl_slope"], header["scl_inter"] = (1, 0) if proxy is None else (proxy.slope, proxy.inter)
    shape = _squeezed(image.shape)
    if proxy is None:
        array = np.asanyarray(image.dataobj).reshape(shape)
        header.set_data_dtype(array.dtype)
        header.set_data_shape(shape)
    elif path is not None and path.suffix.lower() != ".nii":
        array = _room(shape, proxy.dtype, "F", name)
        with nibabel.openers.ImageOpener(path) as file:
            file.seek(proxy.offset)
            _fill(array, file)
    else:
        _check_count(shape, name)
        array = np.asanyarray(proxy.get_unscaled()).reshape(shape, order="F")
    return _Found(array, _nifti_format(path), _checked_metadata(nifti.header_bytes(header)), notes)


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Without axes of length 1 beyond the third, as many as stand at the end."""
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _nifti_format(path: Path | None) -> str:
    return ".nii" if path is not None and path.suffix.lower() == ".nii" else ".nii.gz"


# -- errors ----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _reading(name: str) -> Iterator[None]:
    """Turn whatever a library raises on a damaged file into one line that names it."""
    try:
        yield
    except MissingExtraError as error:
        raise MissingExtraError(f"{name}: {error}") from error
    except InputError as error:
        raise error if str(error).startswith(name) else InputError(f"{name}: {error}") from error
    except (SinrError, MemoryError):
        raise
    except PermissionError as error:
        raise InputError(f"{name}: permission denied") from error
    except Exception as error:  # gzip, zlib, struct, zarr and nibabel raise what they like on damage
        raise InputError(f"{name}: not a readable volume ({_line(error)})") from error


class _Raise(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        """Raise instead of telling, in the thread that asked for it."""
        if threading.get_ident() == self._thread:
            raise InputError(f"damaged ({record.getMessage()})")


@contextlib.contextmanager
def _errors_raised(library: str) -> Iterator[None]:
    """Raise what a library only logs: of a damaged stack, tifffile would return the pages that it finds."""
    logger, handler = logging.getLogger(library), _Raise()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


@contextlib.contextmanager
def _new_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`; it becomes `path` when the block ends well."""
    if path.exists():
        raise InputError(f"{path}: exists; expected a new name for a zarr folder")
    if not path.resolve().parent.is_dir():
        raise InputError(f"{path}: the folder {path.resolve().parent} does not exist")
    temporary = path.with_name(f".{path.stem[:64]}.{secrets.token_hex(4)}.partial{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
