"""Volumes in TIFF files: stacks of pages, with the axes that tifffile finds in the metadata of many programs."""

import math
from pathlib import Path
from typing import Any, Final

import numpy as np

from sinr_codec.errors import InputError, MissingExtraError
from sinr_codec.signals.nifti import library
from sinr_codec.signals.sources import errors_raised
from sinr_codec.signals.volume_arrays import Found, room
from sinr_codec.types import Array

SUFFIXES: Final = (".tif", ".tiff", ".btf", ".tf2", ".tf8", ".lsm", ".stk")
"""Extensions of files that are read: TIFF, BigTIFF, and those of the microscopes of Zeiss and MetaMorph."""
_CHANNELS: Final = "CS"  # letters of tifffile for channels and the samples of a pixel
_NAMED: Final = "TZ"  # and for times and slices
_NO_UNIT: Final = 1
_COMPRESSION: Final = 259
_FAX: Final = (2, 3, 4)  # values of that tag: those of CCITT


def read(path: Path) -> Found:
    """The first series of a TIFF file, with its channels last.

    Raises
    ------
    InputError : no pages, or fewer than three or more than four axes besides channels
    """
    with errors_raised("tifffile"), library("tifffile").TiffFile(path) as file:
        if not file.series:
            raise InputError("expected a stack of pages, found none")
        series = file.series[0]
        array = room(series.shape, series.dtype, "C", str(path), True)
        series.asarray(out=array)
        notes = [f"only the first of {len(file.series)} series is stored"] if len(file.series) > 1 else []
        if file.is_imagej or file.is_ome:
            notes.append("the metadata of ImageJ or OME is not stored")
        elif (unit := file.pages.first.tags.get("ResolutionUnit")) is not None and unit.value != _NO_UNIT:
            notes.append("the resolution is not stored")
        array, channels = _channels_last(array, series.axes)
    return Found(array, ".tif", notes=tuple(notes), channels=channels)


def _channels_last(array: Array, axes: str) -> tuple[Array, int | None]:
    """An array with its channels last, and their number; None where the axes do not tell."""
    coordinates = [i for i, letter in enumerate(axes) if letter not in _CHANNELS]
    channels = [i for i, letter in enumerate(axes) if letter in _CHANNELS]
    if not 3 <= len(coordinates) <= 4:
        if channels and len(coordinates) > 4:
            raise InputError(f"expected up to four axes besides the channels, found {axes}")
        return array, None
    if not channels:
        return array, None if set(axes) & {*"QI"} else 0
    moved = array.transpose(*coordinates, *channels)
    return moved.reshape(*moved.shape[: len(coordinates)], -1), math.prod(array.shape[i] for i in channels)


def is_stack(path: Path) -> bool:
    """Whether a TIFF file is a stack: several grey pages, or slices or times by the metadata of its program.

    Pages of a fax are a document.
    """
    try:
        tifffile = library("tifffile")
    except MissingExtraError:
        return _is_stack_for_pillow(path)
    try:
        with errors_raised("tifffile"), tifffile.TiffFile(path) as file:
            series = file.series[0]
            if file.pages.first.compression in _FAX:
                return False
            coloured = "S" in series.axes or file.pages.first.photometric == tifffile.PHOTOMETRIC.PALETTE
            return len(series.shape) - coloured > 2 and (not coloured or bool({*series.axes} & {*_NAMED}))
    except Exception:  # damaged, or a format that the library does not support
        return False


def _is_stack_for_pillow(path: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(path) as picture:
            size, mode = picture.size, picture.mode
            fax = getattr(picture, "tag_v2", {}).get(_COMPRESSION) in _FAX
            if getattr(picture, "n_frames", 1) == 1 or fax or mode not in ("L", "1", "F", "I", "I;16", "I;16B"):
                return False
            picture.seek(1)
            return picture.size == size  # a smaller one is a thumbnail
    except Exception:  # damaged, or a format that Pillow does not support
        return False


def write(array: Array, path: Path, coordinates: int, channels: int) -> None:
    """Write a stack; channels that are no colours become pages, as ImageJ and OME have them."""
    letters = "TZYX"[-coordinates:]
    if channels in (3, 4) and array.dtype in (np.uint8, np.uint16):
        options: dict[str, Any] = {"photometric": "rgb", "metadata": {"axes": f"{letters}S"}}
    elif channels:
        array = np.moveaxis(array, -1, -3)
        options = {"photometric": "minisblack", "metadata": {"axes": f"{letters[:-2]}C{letters[-2:]}"}}
    else:
        options = {"photometric": "minisblack", "metadata": {"axes": letters}}
    library("tifffile").imwrite(path, array, **options)
