"""Reading and writing volumes: NIfTI, NumPy, zarr and TIFF stacks, and pictures of slices."""

import contextlib
import gzip
import io
import json
import math
import os
import tempfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from sinr_codec.errors import InputError, MalformedError
from sinr_codec.files import atomic_folder, atomic_write
from sinr_codec.signals import nifti, zarrs
from sinr_codec.signals.base import MAX_SAMPLES
from sinr_codec.signals.levels import known_dtype
from sinr_codec.signals.lossless import inflate_within
from sinr_codec.signals.sources import errors_raised, existing, translated
from sinr_codec.types import Array, PathLike

FORMATS: Final = (".npy", ".npz", ".nii", ".nii.gz", ".zarr", ".zarr.zip", ".tif")
"""Formats of sources by id in the header; the source's format is the default output format."""
IN_MEMORY: Final = 1 << 30
"""Bytes of samples above which a source that cannot be memory-mapped is unpacked to a temporary file."""
MAX_CHANNELS: Final = 64
_FEW: Final = 4
_MAX_METADATA: Final = 1 << 24
_DAMAGED: Final = "not a readable volume ({reason})"
_GAP: Final = 4  # pixels between the slices of a picture


# -- reading ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """The result of reading a source."""

    array: Array
    format: str = ".npy"
    metadata: bytes = b""
    notes: tuple[str, ...] = ()


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
            return _from_nibabel(source, name), name
        if hasattr(source, "attrs") and hasattr(source, "chunks"):
            return _from_zarr(source, name, ".zarr"), name
    raise InputError(f"{name}: expected a file, an array, a nibabel image or a zarr array")


def axes_of_shape(shape: tuple[int, ...], name: str) -> tuple[tuple[int, ...], int]:
    """Sizes and channels of an array; `InputError` if it is not a volume."""
    if not 3 <= len(shape) <= 5 or 0 in shape:
        raise InputError(f"{name}: expected a volume of 3 to 5 axes, none of them empty, found shape {shape}")
    channels = shape[-1] if len(shape) == 5 or (len(shape) == 4 and shape[-1] <= _FEW) else 0
    if channels > MAX_CHANNELS:
        raise InputError(f"{name}: expected at most {MAX_CHANNELS} channels on the fifth axis, found {channels}")
    return (shape[:-1] if channels else shape), channels


def check_count(shape: tuple[int, ...], name: str) -> None:
    """Raise `InputError` for an array with more than `MAX_SAMPLES` values."""
    if math.prod(shape) > MAX_SAMPLES:
        raise InputError(
            f"{name}: {' x '.join(map(str, shape))} are more than {MAX_SAMPLES:,} values; expected a smaller volume: "
            "crop it, or encode its halves"
        )


def _room(shape: tuple[int, ...], dtype: Any, order: Any, name: str) -> Array:
    """An empty array in memory, or in a temporary file if it is large."""
    axes_of_shape(shape, name)
    check_count(shape, name)
    dtype = np.dtype(known_dtype(np.dtype(dtype), name)).newbyteorder(np.dtype(dtype).byteorder)
    if math.prod(shape) * dtype.itemsize <= IN_MEMORY:
        return np.empty(shape, dtype, order)
    # The file has no name any more, so that it is deleted with the array.
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype, "w+", shape=shape, order=order)


def _read(path: Path) -> Found:
    name = path.name.lower()
    with translated(path, _DAMAGED):
        if path.is_dir() or name.endswith(".zip"):
            return _read_zarr(path)
        if name.endswith(".npy"):
            return Found(np.load(path, mmap_mode="r", allow_pickle=False))
        if name.endswith(".npz"):
            return _read_npz(path)
        if name.endswith((".tif", ".tiff")):
            return _read_tiff(path)
        return _from_nibabel(nifti.library("nibabel").load(path), str(path), path)


def _read_npz(path: Path) -> Found:
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
    return Found(array, ".npz")


def _fill(array: Array, file: Any) -> None:
    """Read the samples of an array in memory order, a few megabytes at a time."""
    flat = (array if array.flags.c_contiguous else array.T).reshape(-1).view(np.uint8)
    for start in range(0, flat.size, 1 << 24):
        part = flat[start : start + (1 << 24)]
        data = file.read(part.size)
        if len(data) != part.size:
            raise InputError(f"the file ends after {start + len(data):,} of {flat.size:,} bytes of samples")
        part[:] = np.frombuffer(data, np.uint8)


def _read_tiff(path: Path) -> Found:
    with errors_raised("tifffile"), nifti.library("tifffile").TiffFile(path) as file:
        if not file.series:
            raise InputError("expected a stack of pages, found none")
        series = file.series[0]
        array = _room(series.shape, series.dtype, "C", str(path))
        series.asarray(out=array)
        notes = [f"only the first of {len(file.series)} series is stored"] if len(file.series) > 1 else []
        if file.is_imagej or file.is_ome:
            notes.append("the metadata of ImageJ or OME is not stored")
    return Found(array, ".tif", notes=tuple(notes))


def _read_zarr(path: Path) -> Found:
    zarr = nifti.library("zarr")
    zarrs.check(path)
    if path.is_dir():
        return _from_zarr(zarr.open(path, mode="r"), str(path), ".zarr")
    with contextlib.closing(zarr.storage.ZipStore(path, mode="r")) as store:
        return _from_zarr(zarr.open(store, mode="r"), str(path), ".zarr.zip")


def _from_zarr(source: Any, name: str, origin: str) -> Found:
    if not hasattr(source, "chunks"):
        raise InputError("expected a zarr array, found a group; name one of its arrays, or encode a dataset")
    zarrs.check_array(source.metadata.to_dict(), name)
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
    return Found(array, origin, _checked_metadata(_json(kept)), notes=tuple(notes))


def _from_nibabel(image: Any, name: str, path: Path | None = None) -> Found:
    """Stored samples and header of a nibabel image; `path` if it is an unmodified file."""
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
        # From the file itself: nibabel removes the scaling from a loaded header.
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
        check_count(shape, name)
        array = np.asanyarray(proxy.get_unscaled()).reshape(shape, order="F")
    return Found(array, _nifti_format(path), _checked_metadata(nifti.header_bytes(header)), notes)


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without trailing axes of length 1 after the third."""
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape


def _nifti_format(path: Path | None) -> str:
    return ".nii" if path is not None and path.suffix.lower() == ".nii" else ".nii.gz"


# -- metadata --------------------------------------------------------------------------------------------------


def _json(value: Any) -> bytes:
    """Canonical JSON; `ValueError` for NaN and infinity, which JSON lacks."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def _is_json(value: Any) -> bool:
    try:
        _json(value)
    except ValueError:
        return False
    return True


def zarr_metadata(metadata: bytes, axes: int) -> dict[str, Any]:
    """Attributes, chunks and dimension names; `MalformedError` for anything `_from_zarr` cannot have written."""
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


def unpacked(side: bytes) -> bytes:
    """Decompress `VolumeSpec.side`, in bounded memory."""
    if not side:
        return b""
    metadata = inflate_within(side, _MAX_METADATA, "volume side")
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
        if not self.is_nifti:
            return (1.0,) * len(self.sizes)
        found = [float(abs(x)) for x in nifti.NiftiFields.of(self.metadata).spacing[: len(self.sizes)]]
        return tuple(x if 0 < x < math.inf else 1.0 for x in found)

    @property
    def slope(self) -> float:
        """Units of the data for one unit of the stored samples: NIfTI's slope, without its sign."""
        return abs(nifti.NiftiFields.of(self.metadata).slope) if self.is_nifti else 1.0

    def check(self, dtype: str) -> None:
        """Raise `MalformedError` for metadata of another format, shape or dtype."""
        if self.is_nifti:
            found = nifti.NiftiFields.of(self.metadata)
            shape = found.shape[: len(self.shape)]
            if shape != self.shape or any(n != 1 for n in found.shape[len(self.shape) :]):
                raise MalformedError(f"volume: the NIfTI header is of shape {found.shape}, expected {self.shape}")
            if found.dtype != dtype:
                raise MalformedError(f"volume: the NIfTI header is of {found.dtype}, expected {dtype}")
        elif self.format.startswith(".zarr"):
            zarr_metadata(self.metadata, len(self.shape))
        elif self.metadata:
            raise MalformedError(f"volume from {self.format}: expected no side section")

    @property
    def is_nifti(self) -> bool:
        """Whether the metadata is a NIfTI header."""
        return self.format.startswith(".nii")

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
        array = np.asarray(decoded)
        if name.endswith(".zarr"):
            with atomic_folder(path, "zarr folder") as folder:
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
                slices(array, self).save(temporary, "PNG")
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
            # No name and no time, so that the same rendering gives the same bytes.
            with gzip.GzipFile("", "wb", fileobj=file, compresslevel=6, mtime=0) as stream:
                nifti.write_to(stream, header, decoded)

    def _nifti_header(self, decoded: Array, name: Any) -> Any:
        """The source's NIfTI header, or a plain one, adjusted to the rendering."""
        nibabel = nifti.library("nibabel")
        placement = getattr(decoded, "placement", None)
        if placement is None:
            if decoded.shape != self.shape:
                raise InputError(f"{name}: expected a rendering of the file or an array of shape {self.shape}")
            placement = ((1.0, 0.0),) * len(self.sizes)
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

    def _write_zarr(self, array: Array, store: Any) -> None:
        zarr = nifti.library("zarr")
        kept = zarr_metadata(self.metadata, array.ndim) if self.format.startswith(".zarr") else {}
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


def slices(array: Array, form: Form) -> Any:
    """The middle slices along each axis, side by side, as a Pillow image; the only slice of a flat volume.

    Grey levels span the 0.5th to the 99.5th percentile of the slices. Voxels have their true aspect ratio if the source
    records it. The later axis of a NIfTI slice points upwards.
    """
    from PIL import Image

    array, spacing = np.asarray(array), form.spacing
    if form.channels:
        array = array[..., :3] if form.channels in (3, 4) else array[..., 0]
    axes = list(range(len(form.sizes)))
    if len(axes) == 4:
        # Time is the last axis of NIfTI, and the first of a NumPy array.
        time = axes.pop(3 if form.is_nifti else 0)
        array = array.take(array.shape[time] // 2, axis=time)
        spacing = tuple(spacing[axis] for axis in axes)
    flat = [axis for axis in range(3) if array.shape[axis] == 1]
    planes = []
    for axis in flat[:1] or range(3):
        plane = array.take(array.shape[axis] // 2, axis=axis)
        rows, columns = (spacing[a] for a in range(3) if a != axis)
        if form.is_nifti:
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


def _pixels(count: int, stretch: float) -> int:
    """Pixels of an axis in a picture, bounded against wrong voxel sizes in a header."""
    return max(count, min(round(count * stretch), 1 << 12))
