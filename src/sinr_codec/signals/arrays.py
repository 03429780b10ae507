"""NumPy files, whose headers are checked before any data is read or allocated."""

import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import InputError
from sinr_codec.signals.sources import translated

Header = tuple[tuple[int, ...], np.dtype[Any]]


def npy_header(path: Path) -> Header:
    """Shape and dtype of a `.npy` file; `InputError` where it is damaged."""
    with translated(path, "not a readable .npy file of numbers"), path.open("rb") as file:
        return _header(file)


def npz_headers(path: Path, most_bytes: int) -> dict[str, Header]:
    """Shape and dtype of each array of a `.npz` file, in order, without unpacking any data.

    Raises
    ------
    InputError : damaged, not of plain arrays, or more than `most_bytes` in total
    """
    headers: dict[str, Header] = {}
    with translated(path, "not a readable .npz file of plain arrays"), zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as member:
                headers[name.removesuffix(".npy")] = _header(member)
    total = sum(math.prod(shape) * dtype.itemsize for shape, dtype in headers.values())
    if total > most_bytes:
        raise InputError(f"{path}: its arrays take {total:,} bytes; expected at most {most_bytes:,}")
    return headers


def read_npy(path: Path) -> NDArray[Any]:
    """The array of a `.npy` file; `InputError`, before any allocation, where it declares more than the file holds."""
    return np.array(map_npy(path))


def map_npy(path: Path) -> NDArray[Any]:
    """As `read_npy`, but memory-mapped and read-only."""
    npy_header(path)
    with translated(path, "damaged .npy file: it ends before what its header declares"):
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def _header(file: IO[bytes]) -> Header:
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    # Version 3 differs from 2 in the encoding of field names, which plain arrays do not have.
    shape, _, dtype = (read or np.lib.format.read_array_header_2_0)(file)
    if dtype.hasobject:
        raise ValueError("Python objects")
    return shape, dtype
