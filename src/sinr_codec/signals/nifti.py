"""NIfTI headers: kept unchanged, and adjusted to the position and resolution of a rendering."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from sinr_codec.errors import MalformedError
from sinr_codec.signals import sources
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
                slope = float(np.frombuffer(data, byte_order + scaling[0], 1, scaling[1])[0])
                scaled = math.isfinite(slope) and slope != 0
                return cls(tuple(shape[:axes]), _DTYPES[number], tuple(spacing.tolist()), slope if scaled else 1.0)
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


def read_header(file: Any) -> Any:
    """The header at the start of a file, scaling included, with its extensions."""
    nibabel = library("nibabel")
    start = file.read(4)
    file.seek(0)
    second = 540 in (int.from_bytes(start, "little"), int.from_bytes(start, "big"))
    single = (nibabel.Nifti1Header, nibabel.Nifti2Header)[second]
    return single.from_fileobj(file)


def header_bytes(header: Any) -> bytes:
    """The content of a header and its extensions, as in a `.nii` file."""
    nibabel = library("nibabel")
    if not header.is_single:
        single = nibabel.Nifti2Header if isinstance(header, nibabel.Nifti2Header) else nibabel.Nifti1Header
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
    affines = [(header.get_sform(coded=True), header.set_sform), (header.get_qform(coded=True), header.set_qform)]
    change = np.diag([*steps[:3], 1.0])
    change[:3, 3] = offsets[:3]
    if len(steps) > 3:
        header["toffset"] += offsets[3] * header["pixdim"][4]
    header["pixdim"][1 : 1 + len(steps)] *= steps
    for (affine, code), put in affines:
        if affine is not None:
            put(affine @ change, int(code))
