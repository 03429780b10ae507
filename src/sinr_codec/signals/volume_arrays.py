"""Arrays of volumes: their axes and channels, and room for their samples in memory or in a temporary file."""

import math
import os
import shutil
import tempfile
from dataclasses import dataclass
from typing import Any, Final

import brotli
import numpy as np

from sinr_codec.errors import InputError
from sinr_codec.signals.base import MAX_SAMPLES
from sinr_codec.signals.levels import known_dtype
from sinr_codec.types import Array

IN_MEMORY: Final = 1 << 30
"""Bytes of samples above which a source that cannot be memory-mapped is unpacked to a temporary file."""
MAX_CHANNELS: Final = 64
_FEW: Final = 4
MAX_METADATA: Final = 1 << 24
_FREE_METADATA: Final = 1 << 20
_METADATA_A_BYTE: Final = 1 << 8


@dataclass(frozen=True)
class Found:
    """The result of reading a source.

    Attributes
    ----------
    array
        The samples; the last axis holds the channels, if any.
    format
        One of `volume_files.FORMATS`.
    metadata
        The content of the side section.
    notes
        One-line remarks.
    channels
        Length of the channel axis, 0 without one; None where the shape tells (`axes_of_shape`).
    """

    array: Array
    format: str = ".npy"
    metadata: bytes = b""
    notes: tuple[str, ...] = ()
    channels: int | None = None


def axes_of_shape(shape: tuple[int, ...], name: str, channels: int | None = None) -> tuple[tuple[int, ...], int]:
    """Sizes and channels of an array, whose last axis has `channels`, where they are known.

    Raises
    ------
    InputError : the array is not a volume
    """
    if not 3 <= len(shape) <= 5 or 0 in shape:
        raise InputError(f"{name}: expected a volume of 3 to 5 axes, none of them empty, found shape {shape}")
    if channels is None:
        channels = shape[-1] if len(shape) == 5 or (len(shape) == 4 and shape[-1] <= _FEW) else 0
    if channels > MAX_CHANNELS:
        raise InputError(f"{name}: expected at most {MAX_CHANNELS} channels on the last axis, found {channels}")
    if not 3 <= len(shape) - bool(channels) <= 4:
        raise InputError(f"{name}: expected three or four axes besides the channels, found shape {shape}")
    return (shape[:-1] if channels else shape), channels


def check_count(shape: tuple[int, ...], name: str) -> None:
    """Raise `InputError` for an array with more than `MAX_SAMPLES` values."""
    if math.prod(shape) > MAX_SAMPLES:
        raise InputError(
            f"{name}: {' x '.join(map(str, shape))} are more than {MAX_SAMPLES:,} values; expected a smaller volume: "
            "crop it, or encode its halves"
        )


def room(shape: tuple[int, ...], dtype: Any, order: Any, name: str, moved: bool = False) -> Array:
    """An empty array in memory, or in a temporary file if it is large; `moved` if its axes are put in order later."""
    if not moved:
        axes_of_shape(shape, name)
    check_count(shape, name)
    dtype = np.dtype(known_dtype(np.dtype(dtype), name)).newbyteorder(np.dtype(dtype).byteorder)
    if math.prod(shape) * dtype.itemsize <= IN_MEMORY:
        return np.empty(shape, dtype, order)
    # The file has no name any more, so that it is deleted with the array.
    with tempfile.TemporaryFile() as file:
        _allocate(file, math.prod(shape) * dtype.itemsize, name)
        return np.memmap(file, dtype, "w+", shape=shape, order=order)


def _allocate(file: Any, size: int, name: str) -> None:
    """Reserve the bytes of a file: a page of a mapped file that finds the disk full ends the process."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
            fits = True
        else:
            fits = shutil.disk_usage(tempfile.gettempdir()).free > size
    except OSError:
        fits = False
    if not fits:
        raise InputError(
            f"{name}: needs {size:,} bytes in the temporary folder {tempfile.gettempdir()}, which lacks the room; name "
            "another one by TMPDIR"
        )


def fill(array: Array, file: Any) -> None:
    """Read the samples of an array in memory order, a few megabytes at a time."""
    flat = (array if array.flags.c_contiguous else array.T).reshape(-1).view(np.uint8)
    for start in range(0, flat.size, 1 << 24):
        part = flat[start : start + (1 << 24)]
        data = file.read(part.size)
        if len(data) != part.size:
            raise InputError(f"the file ends after {start + len(data):,} of {flat.size:,} bytes of samples")
        part[:] = np.frombuffer(data, np.uint8)


def checked_metadata(metadata: bytes) -> bytes:
    """The metadata; `InputError` if it is longer than a file holds."""
    if len(metadata) > _FREE_METADATA and len(metadata) > (most := most_metadata(len(brotli.compress(metadata)))):
        raise InputError(f"expected at most {most:,} bytes of metadata, found {len(metadata):,}")
    return metadata


def most_metadata(packed: int) -> int:
    """Bytes that a side section of `packed` bytes may unpack to: JSON takes 30 times as many when it is read."""
    return min(MAX_METADATA, _FREE_METADATA + _METADATA_A_BYTE * packed)
