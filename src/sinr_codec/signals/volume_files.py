"""Reading and writing volumes: NIfTI, NumPy, zarr and TIFF stacks, and pictures of slices."""

import contextlib
import gzip
import io
import math
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from sinr_codec.errors import InputError, MalformedError, listed
from sinr_codec.files import atomic_folder, atomic_write
from sinr_codec.signals import hdf5, nifti, volume_tiff, volume_zarr
from sinr_codec.signals.lossless import inflate_within
from sinr_codec.signals.sources import existing, translated
from sinr_codec.signals.volume_arrays import Found, fill, most_metadata, room
from sinr_codec.signals.volume_slices import slices
from sinr_codec.types import Array, PathLike

FORMATS: Final = (".npy", ".npz", ".nii", ".nii.gz", ".zarr", ".zarr.zip", ".tif", ".zarr", ".zarr.zip")
"""Formats of sources by id in the header; the source's format is the default output format. The last two have metadata
of `volume_zarr.EXTENDED`."""
_EXTENDED: Final = 7
_DAMAGED: Final = "not a readable volume ({reason})"


# -- reading ---------------------------------------------------------------------------------------------------


def read(source: Any) -> tuple[Found, str]:
    """The content of a file, an array, a nibabel image or a zarr array, and its name for messages.

    Raises
    ------
    InputError : no such file, damaged, a shape that is not that of a volume, or another dtype
    MissingExtraError : the format's library is missing
    """
    if isinstance(source, str | os.PathLike):
        return _read(existing(source, "a volume")), os.fspath(source)
    name = "array" if isinstance(source, np.ndarray) else type(source).__name__
    if isinstance(source, np.ndarray):
        return Found(source), name
    with translated(name, _DAMAGED):
        if hasattr(source, "dataobj"):
            return nifti.read_image(source, name), name
        if hasattr(source, "attrs") and hasattr(source, "store"):
            return volume_zarr.read_array(source, name, ".zarr"), name
    raise InputError(f"{name}: expected a file, an array, a nibabel image or a zarr array")


def _read(path: Path) -> Found:
    name = path.name.lower()
    with translated(path, _DAMAGED):
        if path.is_dir() or name.endswith(".zip"):
            return volume_zarr.read(path)
        if name.endswith(".npy"):
            return Found(np.load(path, mmap_mode="r", allow_pickle=False))
        if name.endswith(".npz"):
            return _read_npz(path)
        if name.endswith(volume_tiff.SUFFIXES):
            return volume_tiff.read(path)
        if name.endswith(".mnc"):
            hdf5.check(path, "volume")
        return nifti.read_image(nifti.library("nibabel").load(path), str(path), path)


def _read_npz(path: Path) -> Found:
    with np.load(path, allow_pickle=False) as arrays:
        names = arrays.files
        key = names[0] if len(names) == 1 else "volume"
        if key not in names:
            raise InputError(f'{path}: expected one array or one named "volume", found {listed(names)}')
    with zipfile.ZipFile(path) as archive, archive.open(f"{key}.npy") as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        array = room(shape, dtype, "F" if fortran else "C", str(path))
        fill(array, file)
    return Found(array, ".npz")


# -- metadata --------------------------------------------------------------------------------------------------


def unpacked(side: bytes) -> bytes:
    """Decompress `VolumeSpec.side`, in bounded memory."""
    if not side:
        return b""
    metadata = inflate_within(side, most_metadata(len(side)), "volume side")
    if not metadata:
        raise MalformedError("volume side: expected at least one byte, unpacked")
    return metadata


# -- writing ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Form:
    """Shape, format and metadata of a volume's source, for the files written from it.

    Attributes
    ----------
    sizes
        Voxels along each axis.
    channels
        Length of the channel axis; 0 without one.
    format
        One of `FORMATS`.
    metadata
        As in `Found`.
    """

    sizes: tuple[int, ...]
    channels: int
    format: str
    metadata: bytes = field(default=b"", repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the source as an array."""
        return (*self.sizes, self.channels) if self.channels else self.sizes

    @property
    def spacing(self) -> tuple[float, ...]:
        """Voxel size along each axis in the unit of the NIfTI header; 1 if unknown."""
        if self.is_zarr:
            found = list(volume_zarr.spacing(self.metadata, len(self.sizes)))
        elif not self.is_nifti:
            return (1.0,) * len(self.sizes)
        else:
            found = list(nifti.NiftiFields.of(self.metadata).spacing[: len(self.sizes)])
        found = [float(abs(x)) for x in found]
        return tuple(x if 0 < x < math.inf else 1.0 for x in found)

    @property
    def scaling(self) -> tuple[float, float]:
        """NIfTI's slope and intercept, from stored samples to units of the data; (1, 0) without one."""
        if not self.is_nifti:
            return 1.0, 0.0
        found = nifti.NiftiFields.of(self.metadata)
        return found.slope, found.inter

    def check(self, dtype: str) -> None:
        """Raise `MalformedError` for metadata of another format, shape or dtype."""
        if self.is_nifti:
            found = nifti.NiftiFields.of(self.metadata)
            shape = found.shape[: len(self.shape)]
            if shape != self.shape or any(n != 1 for n in found.shape[len(self.shape) :]):
                raise MalformedError(f"volume: the NIfTI header is of shape {found.shape}, expected {self.shape}")
            if found.dtype != dtype:
                raise MalformedError(f"volume: the NIfTI header is of {found.dtype}, expected {dtype}")
        elif self.is_zarr:
            volume_zarr.parsed(self.metadata, self.shape)
        elif self.metadata:
            raise MalformedError(f"volume from {self.format}: expected no side section")

    @property
    def is_nifti(self) -> bool:
        """Whether the metadata is a NIfTI header."""
        return self.format.startswith(".nii")

    @property
    def is_zarr(self) -> bool:
        """Whether the metadata is that of a zarr array."""
        return self.format.startswith(".zarr")

    @property
    def number(self) -> int:
        """Id of the format in the header."""
        extended = self.is_zarr and volume_zarr.extended(self.metadata)
        return FORMATS.index(self.format, _EXTENDED if extended else 0)

    def save(self, decoded: Array, path: PathLike) -> None:
        """Write a rendering as .nii, .nii.gz, .npy, .npz, .zarr (a folder), .zarr.zip, .tif, or .png (three slices).

        A NIfTI file has the source's header, with shape, voxel sizes and affine adjusted to the rendering.

        Raises
        ------
        InputError : another extension, a format without the dtype, or a NIfTI file from an array that is not a
            rendering
        MissingExtraError : the format's library is missing
        """
        name = Path(path).name.lower()
        array, window = np.asarray(decoded), getattr(decoded, "window", None)
        if window is not None and not name.endswith(".png"):
            raise InputError(f"{path}: a window is for pictures; expected a name that ends in .png")
        if name.endswith(".zarr"):
            with atomic_folder(path, "zarr folder") as folder:
                self._write_zarr(decoded, str(folder), path)
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
                    self._write_zarr(decoded, store, path)
            elif name.endswith((".tif", ".tiff")):
                with translated(path, "TIFF does not hold this volume ({reason}); expected .npy", untouched=(OSError,)):
                    volume_tiff.write(array, temporary, len(self.sizes), self.channels)
            elif name.endswith(".png"):
                slices(array, self, window).save(temporary, "PNG")
            else:
                raise InputError(f"{path}: expected an extension among x and .png")

    def nifti(self, decoded: Array) -> Any:
        """A rendering as a nibabel image, with the source's scaling and an affine for the rendering."""
        nibabel = nifti.library("nibabel")
        header = self._nifti_header(decoded, "array")
        kind = nibabel.Nifti2Image if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Image
        file = io.BytesIO()
        nifti.write_to(file, header, decoded)
        with nifti.silent():
            return kind.from_bytes(file.getvalue())

    def _write_nifti(self, decoded: Array, temporary: Path, path: Any, packed: bool) -> None:
        header = self._nifti_header(decoded, path)
        with temporary.open("wb") as file:
            if not packed:
                nifti.write_to(file, header, decoded)
                return
            # No name and no time, so that the same rendering gives the same bytes.
            with gzip.GzipFile("", "wb", fileobj=file, compresslevel=6, mtime=0) as stream:
                nifti.write_to(stream, header, decoded)

    def _nifti_header(self, decoded: Array, name: Any) -> Any:
        """The source's NIfTI header, or a plain one, adjusted to the rendering."""
        nibabel = nifti.library("nibabel")
        placement = self._placement(decoded, name)
        with translated(name, "NIfTI does not hold this volume ({reason}); expected .npy"):
            if self.is_nifti:
                header = nifti.read_header(io.BytesIO(self.metadata))
            else:
                header = nibabel.Nifti1Header()
                header.set_data_dtype(decoded.dtype)
                header["scl_slope"], header["scl_inter"] = 1, 0
                header.set_sform(np.eye(4), "aligned")
            # Trailing axes of length 1, which the array lacks.
            header.set_data_shape((*decoded.shape, *header.get_data_shape()[decoded.ndim :]))
            if any(place != (1.0, 0.0) for place in placement):
                nifti.move(header, placement)
        header["vox_offset"] = 0  # set again when the header is written
        return header

    def _placement(self, decoded: Array, name: Any) -> Sequence[tuple[float, float]]:
        """(step, offset) of a rendering along each axis, in the source's voxels."""
        found = getattr(decoded, "placement", None)
        if found is None and decoded.shape != self.shape:
            raise InputError(f"{name}: expected a rendering of the file or an array of shape {self.shape}")
        return ((1.0, 0.0),) * len(self.sizes) if found is None else found

    def _write_zarr(self, decoded: Array, store: Any, path: Any) -> None:
        metadata = self.metadata if self.is_zarr else b""
        placement = self._placement(decoded, path) if metadata else ()
        with translated(path, "zarr does not hold this volume ({reason}); expected .npy", untouched=(OSError,)):
            volume_zarr.write(np.asarray(decoded), store, metadata, self.shape, placement)
