"""NIfTI and the other formats of nibabel.

A NIfTI header is kept unchanged, and adjusted to the position and resolution of a rendering. Images of other formats
become NIfTI images.
"""

import contextlib
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from sinr_codec.errors import InputError, MalformedError
from sinr_codec.signals import sources
from sinr_codec.signals.volume_arrays import Found, axes_of_shape, check_count, checked_metadata, fill, room
from sinr_codec.types import Array


def library(name: str) -> Any:
    """Import a library for volumes; `MissingExtraError` if it is not installed."""
    return sources.library(name, "volume", "volumes of this format")


@dataclass(frozen=True)
class NiftiFields:
    """Fields of a NIfTI-1 or NIfTI-2 header, read without a library, for reports and for checks of a file."""

    shape: tuple[int, ...]
    dtype: str
    spacing: tuple[float, ...]
    slope: float
    """Of the data against the stored samples; 1 where the header has none."""
    inter: float
    """The data for stored zeros; 0 where the header has no slope."""

    @classmethod
    def of(cls, data: bytes) -> "NiftiFields":
        """Parse a header; `MalformedError` for other data."""
        for byte_order in "<>":
            for size, dim, code, pixdim, scaling in (
                (348, ("i2", 40), 70, ("f4", 76), ("f4", 112)),
                (540, ("i8", 16), 12, ("f8", 104), ("f8", 176)),
            ):
                if len(data) < size + 4 or int(np.frombuffer(data, byte_order + "i4", 1)[0]) != size:
                    continue
                axes, *shape = np.frombuffer(data, byte_order + dim[0], 8, dim[1]).tolist()
                number = int(np.frombuffer(data, byte_order + "i2", 1, code)[0])
                if not 1 <= axes <= 7 or number not in _DTYPES:
                    break
                spacing = np.frombuffer(data, byte_order + pixdim[0], 8, pixdim[1])[1:]
                slope, inter = np.frombuffer(data, byte_order + scaling[0], 2, scaling[1]).tolist()
                if not (math.isfinite(slope) and slope != 0 and math.isfinite(inter)):
                    slope, inter = 1.0, 0.0
                return cls(tuple(shape[:axes]), _DTYPES[number], tuple(spacing.tolist()), slope, inter)
        raise MalformedError("volume: expected a NIfTI header in the side section")


# NIfTI-1 header, nifti1.h of the NIFTI Data Format Working Group: datatype codes.
_DTYPES: Final = {
    2: "uint8",
    4: "int16",
    8: "int32",
    16: "float32",
    64: "float64",
    256: "int8",
    512: "uint16",
    768: "uint32",
    1024: "int64",
    1280: "uint64",
}


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Keep nibabel from logging what is odd about a header.

    Its own suppressor takes the handlers away, after which Python's handler of last resort prints the message.
    """
    logger = library("nibabel").imageglobals.logger
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def read_header(file: Any) -> Any:
    """The header at the start of a file, scaling included, with its extensions; odd values are mended silently."""
    nibabel = library("nibabel")
    start = file.read(4)
    file.seek(0)
    second = 540 in (int.from_bytes(start, "little"), int.from_bytes(start, "big"))
    single = (nibabel.Nifti1Header, nibabel.Nifti2Header)[second]
    with silent():
        return single.from_fileobj(file)


def header_bytes(header: Any) -> bytes:
    """The content of a header and its extensions, as in a `.nii` file."""
    nibabel = library("nibabel")
    if not header.is_single:
        single = nibabel.Nifti2Header if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Header
        with silent():
            header = single.from_header(header)
    header["vox_offset"] = 0
    file = io.BytesIO()
    header.write_to(file)
    return file.getvalue()


def write_to(file: Any, header: Any, decoded: Array) -> None:
    """Write header, extensions and stored samples, without scaling."""
    header.write_to(file)
    file.write(bytes(max(int(header["vox_offset"]) - file.tell(), 0)))
    samples = np.asarray(decoded).T
    dtype = header.get_data_dtype()
    for part in samples:
        file.write(np.ascontiguousarray(part, dtype).tobytes())


def move(header: Any, placement: Sequence[tuple[float, float]]) -> None:
    """Adjust voxel sizes, affines and time offset of a header to a rendering."""
    steps, offsets = zip(*placement)
    with np.errstate(all="ignore"):  # a damaged header may hold any numbers
        _move(header, steps, offsets)


def _move(header: Any, steps: Sequence[float], offsets: Sequence[float]) -> None:
    affines = [(header.get_sform(coded=True), header.set_sform), (header.get_qform(coded=True), header.set_qform)]
    change = np.diag([*steps[:3], 1.0])
    change[:3, 3] = offsets[:3]
    if len(steps) > 3:
        header["toffset"] += offsets[3] * header["pixdim"][4]
    header["pixdim"][1 : 1 + len(steps)] *= steps
    for (affine, code), put in affines:
        if affine is not None:
            put(affine @ change, int(code))


# -- images ----------------------------------------------------------------------------------------------------

_COLOURS: Final = {("R", "G", "B"): ("RGB24", "rgb vector"), ("R", "G", "B", "A"): ("RGBA32", "rgba vector")}


def read_image(image: Any, name: str, path: Path | None = None) -> Found:
    """Stored samples and header of a nibabel image; `path` if it is an unmodified file.

    Samples with one slope and intercept are kept as they are stored, with the scaling in the header. Those of formats
    that scale slices or volumes by themselves are scaled, to float32.

    Raises
    ------
    InputError : no grid of voxels, too many of them, or complex samples
    """
    nibabel = library("nibabel")
    if not isinstance(image, nibabel.spatialimages.SpatialImage):
        raise InputError(f"{name}: is a {type(image).__name__}, expected a grid of voxels")
    notes = []
    if not isinstance(image, nibabel.Nifti1Pair):
        notes.append(f"of the header of {type(image).__name__} only what NIfTI has is stored")
        image, path = nibabel.Nifti1Image.from_image(image), None
    axes_of_shape(_squeezed(image.shape), name)
    check_count(image.shape, name)
    proxy = image.dataobj if nibabel.is_proxy(image.dataobj) else None
    if path is not None and image.header.is_single and image.get_data_dtype().names is None:
        return _read_file(image, proxy, path, name)
    header = image.header.copy()
    array, slope, inter = (np.asanyarray(image.dataobj), 1.0, 0.0) if proxy is None else _unscaled(proxy, notes)
    if array.dtype.names in _COLOURS:
        what, intent = _COLOURS[array.dtype.names]
        notes.append(f"{what} samples become an {intent.upper().replace('VECTOR', 'vector')} of uint8")
        shape = (*array.shape, *(1,) * (4 - array.ndim), len(array.dtype.names))
        array = np.stack([array[field] for field in array.dtype.names], axis=-1).reshape(shape, order="F")
        header.set_intent(intent)
    if array.dtype.kind == "c":
        raise InputError(f"{name}: expected real samples, found complex ones; encode magnitude and phase by themselves")
    if proxy is not None and hasattr(proxy, "minc_file"):
        array = _space_first(array, header, proxy.minc_file._dim_names)
    header.set_data_dtype(array.dtype)
    header.set_data_shape(array.shape)
    array = array.reshape(_squeezed(array.shape), order="F")
    header["scl_slope"], header["scl_inter"] = slope, inter
    suffix = ".nii" if path is not None and path.suffix.lower() == ".nii" else ".nii.gz"
    return Found(array, suffix, checked_metadata(header_bytes(header)), tuple(notes))


def _read_file(image: Any, proxy: Any, path: Path, name: str) -> Found:
    """A NIfTI file as it is: its header with the scaling, which nibabel removes, and its samples, mapped if plain."""
    nibabel = library("nibabel")
    with nibabel.openers.ImageOpener(path) as file:
        header = read_header(file)
        shape, packed = _squeezed(image.shape), path.suffix.lower() != ".nii"
        if packed:
            array = room(shape, proxy.dtype, "F", name)
            file.seek(proxy.offset)
            fill(array, file)
        else:
            array = np.asanyarray(proxy.get_unscaled()).reshape(shape, order="F")
    return Found(array, ".nii.gz" if packed else ".nii", checked_metadata(header_bytes(header)))


def _space_first(array: Array, header: Any, names: Sequence[str]) -> Array:
    """An array of MINC, where time is the first axis, with its axes in the order of NIfTI: those of space first."""
    order = sorted(range(array.ndim), key=lambda axis: not names[axis].endswith("space"))
    zooms = header.get_zooms()
    array = array.transpose(order)
    header.set_data_shape(array.shape)
    header.set_zooms([zooms[axis] for axis in order])
    return array


def _unscaled(proxy: Any, notes: list[str]) -> tuple[Array, float, float]:
    """Stored samples with their slope and intercept; scaled ones where these are not the same for all."""
    from nibabel.arrayproxy import ArrayProxy

    if getattr(type(proxy), "_get_scaled", None) is ArrayProxy._get_scaled:
        return np.asanyarray(proxy.get_unscaled()), proxy.slope, proxy.inter
    scaled = np.asanyarray(proxy)
    stored = np.asanyarray(proxy.get_unscaled()) if hasattr(proxy, "get_unscaled") else scaled
    if stored.dtype.kind in "iu" and stored.dtype == scaled.dtype:
        return stored, 1.0, 0.0
    if stored.dtype.kind in "iu":
        ends = [np.unravel_index(find(stored), stored.shape) for find in (np.argmin, np.argmax)]
        (low, first), (high, last) = ((float(stored[end]), float(scaled[end])) for end in ends)
        slope = float(np.float32((last - first) / (high - low))) if high > low else 0.0
        inter = float(np.float32(first - slope * low))
        if slope and np.allclose(stored * slope + inter, scaled, rtol=0, atol=1e-6 * np.abs([first, last]).max()):
            return stored, slope, inter
    if stored is not scaled:
        notes.append("slices or volumes have scalings of their own; the scaled samples are stored, as float32")
    return scaled.astype(np.float32) if scaled.dtype.kind == "f" else scaled, 1.0, 0.0


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape without trailing axes of length 1 after the third."""
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    return shape
