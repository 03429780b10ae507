"""What a source shows of itself before it is read: names, folders, headers of arrays, types of objects."""

import os
from pathlib import Path
from typing import Any, Final

import numpy as np

from sinr_codec.signals import arrays

MOST_BYTES: Final = 1 << 33
"""Bytes that the arrays of a `.npz` file may take."""

ArrayHeader = tuple[tuple[int, ...], np.dtype[Any]]
"""Shape and dtype of an array."""


def has_suffix(source: Any, *suffixes: str) -> bool:
    """Whether a path, which need not exist, ends in one of these, in whatever case."""
    return bool(suffixes) and is_path(source) and os.fspath(source).lower().endswith(suffixes)


def is_path(source: Any) -> bool:
    """Whether a source is a path."""
    return isinstance(source, str | os.PathLike)


def folder(source: Any) -> Path | None:
    """The path of a source that is a folder."""
    return path if is_path(source) and (path := Path(source)).is_dir() else None


def array_header(source: Any) -> ArrayHeader | None:
    """Shape and dtype of an array, of a `.npy` file, or of the only array of a `.npz` file."""
    if isinstance(source, np.ndarray):
        return source.shape, source.dtype
    if has_suffix(source, ".npy") and Path(source).exists():
        return arrays.npy_header(Path(source))
    headers = archive(source)
    return next(iter(headers.values())) if len(headers) == 1 else None


def archive(source: Any) -> dict[str, ArrayHeader]:
    """Shapes and dtypes of the arrays of a `.npz` file by name; none of anything else.

    Raises
    ------
    InputError : a damaged file, or one of more than `MOST_BYTES`
    """
    if not (has_suffix(source, ".npz") and Path(source).exists()):
        return {}
    return arrays.npz_headers(Path(source), MOST_BYTES)


def is_pair_of_array(source: Any) -> bool:
    """Whether a source is an array and something beside it, such as a rate."""
    return isinstance(source, tuple) and len(source) == 2 and isinstance(source[0], np.ndarray)


def made_by(source: Any, library: str) -> bool:
    """Whether an object is of a class of a library, which is not imported to ask."""
    return any(base.__module__.partition(".")[0] == library for base in type(source).__mro__)


def is_picture(path: Path) -> bool:
    """Whether Pillow reads the format of a file."""
    from PIL import Image, ImageFile

    try:
        with Image.open(path) as picture:
            return not isinstance(picture, ImageFile.StubImageFile)  # a format that Pillow only knows by name
    except Exception:  # no picture, or a damaged one
        return False


def is_zarr_group(path: Path) -> bool:
    """Whether a folder of zarr data holds a group of arrays rather than one, or one at several resolutions."""
    attributes = _json(path / ".zattrs")
    if not (path / ".zgroup").exists():
        document = _json(path / "zarr.json")
        if document.get("node_type") != "group":
            return False
        attributes = document.get("attributes", {})
    inner = attributes.get("ome", attributes)
    return not {"multiscales", "bioformats2raw.layout"} & set(inner)


def _json(path: Path) -> dict[str, Any]:
    """The map in a JSON file; an empty one where there is none."""
    import json

    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def is_zarr(path: Path) -> bool:
    """Whether a folder is zarr data, by its name or its metadata."""
    return path.suffix.lower() == ".zarr" or any((path / name).exists() for name in ("zarr.json", ".zarray", ".zgroup"))
