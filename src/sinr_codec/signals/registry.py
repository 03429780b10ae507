"""Which kind of signal a file or an object is, and which class reads it.

Modules are imported when their kind is met: the libraries of one are no concern of the others.
"""

import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from sinr_codec.errors import InputError, MalformedError, UnknownIdError
from sinr_codec.signals import arrays
from sinr_codec.signals.base import Signal, Spec


@dataclass(frozen=True)
class Kind:
    """A kind of signal: its id in a file, the module, and the names of its two classes there.

    `in_blocks` is the id of those that are cut into blocks, where they have one of their own.
    """

    id: int
    module: str
    signal: str
    spec: str
    suffixes: tuple[str, ...] = ()
    in_blocks: int | None = None


KINDS: dict[str, Kind] = {
    "image": Kind(0, "image", "ImageSignal", "ImageSpec", in_blocks=7),
    "audio": Kind(
        1,
        "audio",
        "AudioSignal",
        "AudioSpec",
        (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".au"),
    ),
    "volume": Kind(2, "volume", "VolumeSignal", "VolumeSpec", (".nii", ".nii.gz", ".zarr", ".zarr.zip"), in_blocks=8),
    "dataset": Kind(3, "dataset", "DatasetSignal", "DatasetSpec", (".nc", ".nc4", ".netcdf", ".cdf")),
    "video": Kind(
        4,
        "video",
        "VideoSignal",
        "VideoSpec",
        (".mp4", ".mkv", ".mov", ".webm", ".avi", ".m4v", ".mpg", ".mpeg"),
        in_blocks=9,
    ),
    "shape": Kind(5, "shape", "ShapeSignal", "ShapeSpec", (".ply", ".obj", ".stl", ".off", ".glb", ".gltf", ".mat")),
    "radiance": Kind(6, "radiance", "RadianceSignal", "RadianceSpec", (".json",)),
}
"""Kinds by name. A file name tells most; arrays and folders are told by what is in them, and the rest are pictures."""

MOST_BYTES = 1 << 33
"""Bytes that the arrays of a `.npz` file may take."""
_NETWORKS = (".pth", ".pt", ".ckpt", ".safetensors")


def load(source: Any, kind: str | None = None, like: Spec | None = None, **options: Any) -> Signal:
    """Read a signal of whatever kind it is.

    Parameters
    ----------
    source
        A path, an array, or an object of the library its users use (`PIL.Image`, `xarray.Dataset`, ...).
    kind
        One of `KINDS`, where the source does not tell or tells otherwise.
    like
        The `Spec` of a file to compare with: its kind and conventions are taken.
    options
        Options of the kind's own `load`, such as the resolution of a shape.

    Raises
    ------
    InputError : no such file, no such kind, or one that cannot be read
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if not path.exists():
            raise InputError(f"{path}: no such file")
        if path.is_file() and path.stat().st_size == 0:
            raise InputError(f"{path}: expected {_article(kind_of_name(path))}, found an empty file")
    if like is not None and isinstance(source, str | os.PathLike):
        other = next((n for n, k in KINDS.items() if str(source).lower().endswith(k.suffixes or ("\0",))), like.KIND)
        if other != like.KIND:
            raise InputError(f"{source}: is {_article(other)}, but the file holds {_article(like.KIND)}")
    name = like.KIND if like is not None else kind or kind_of(source)
    check_kind(name)
    signal: Signal = signal_class(name).load(source, like, **options)
    return signal


def check_kind(name: str) -> None:
    """Raise `InputError` unless there is such a kind."""
    if name not in KINDS:
        raise InputError(f"kind: expected one of {', '.join(KINDS)}, got {name!r}")


def spec_from_header(header: Any, side: bytes = b"") -> Spec:
    """The description that a file's header and side section hold.

    Raises
    ------
    UnknownIdError, MalformedError, LimitError : for what no writer can have written
    """
    spec: Spec = _spec_class(header).from_header(header, side)
    return spec


def parts_in_header(header: Any) -> int:
    """Number of networks that a header declares: one, unless the kind has blocks and tells."""
    count: int = getattr(_spec_class(header), "parts_in", lambda _: 1)(header)
    return count


def signal_class(name: str) -> Any:
    """The class of a kind that reads sources."""
    return getattr(import_module(f"sinr_codec.signals.{KINDS[name].module}"), KINDS[name].signal)


def _spec_class(header: Any) -> Any:
    if type(header) is not list or not header or type(header[0]) is not int:
        raise MalformedError("signal header: expected a list that starts with the signal's id")
    for kind in KINDS.values():
        if header[0] in (kind.id, kind.in_blocks):
            return getattr(import_module(f"sinr_codec.signals.{kind.module}"), kind.spec)
    raise UnknownIdError(f"signal id {header[0]}: not known to this version")


def _article(name: str) -> str:
    words = {"image": "a picture", "audio": "a sound", "radiance": "a scene"}
    return words.get(name, f"a {name}")


# -- which kind ------------------------------------------------------------------------------------------------


def kind_of(source: Any) -> str:
    """The kind of a path or an object, by name, type, shape and content."""
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        return _kind_of_folder(path) if path.is_dir() else kind_of_name(path)
    if isinstance(source, np.ndarray):
        return kind_of_array(source.shape, source.dtype)
    if isinstance(source, tuple) and len(source) == 2 and isinstance(source[0], np.ndarray):
        if isinstance(source[1], np.ndarray) and source[1].ndim == 2:
            return "shape"  # vertices and faces
        return "audio" if source[0].ndim < 3 else "video"
    # By the name of the type: the libraries are not imported to ask.
    library = {base.__module__.partition(".")[0] for base in type(source).__mro__}
    for name, kind in (("xarray", "dataset"), ("nibabel", "volume"), ("zarr", "volume"), ("trimesh", "shape")):
        if name in library:
            return kind
    if "PIL" not in library:
        raise InputError(f"source: expected a path, an array or an object of a known library, got {source!r:.40}")
    return "image"


def kind_of_name(path: Path) -> str:
    """The kind of a file by its name, and of NumPy and TIFF files by what their header says."""
    name = path.name.lower()
    if name.endswith(_NETWORKS):
        raise InputError(f"{path}: holds a network; use compress")
    if name.endswith(".sinr"):
        raise InputError(f"{path}: is a .sinr file already; expected a signal")
    for kind, entry in KINDS.items():
        if name.endswith(entry.suffixes or ("\0",)):
            return kind
    if name.endswith(".npy"):
        return kind_of_array(*arrays.npy_header(path)) if path.exists() else "image"
    if name.endswith(".npz"):
        return _kind_of_npz(path) if path.exists() else "image"
    if name.endswith((".tif", ".tiff")):
        return _kind_of_tiff(path)
    return "image"


def kind_of_array(shape: tuple[int, ...], dtype: np.dtype[Any]) -> str:
    """The kind of a bare array: (H, W[, 1..4]) a picture, (T, H, W, 3) of bytes a video, other grids volumes.

    Of (D, H, W) with a last axis of at most 4 it cannot be known: it is taken for a picture.
    """
    if len(shape) == 3 and shape[2] > 4:
        return "shape" if dtype.kind == "b" else "volume"
    if len(shape) == 4:
        return "video" if dtype == np.uint8 and shape[3] == 3 else "volume"
    return "image"


def _kind_of_npz(path: Path) -> str:
    headers = arrays.npz_headers(path, MOST_BYTES)
    if {"images", "poses"} <= headers.keys():
        return "radiance"
    if len(headers) == 1:
        return kind_of_array(*next(iter(headers.values())))
    return "video" if "frames" in headers else "volume"


def _kind_of_tiff(path: Path) -> str:
    """A stack of single-channel pages is a volume, everything else a picture."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            pages, mode = getattr(picture, "n_frames", 1), picture.mode
    except Exception:  # damaged, or of a kind that Pillow does not know
        return "image"
    return "volume" if pages > 1 and mode in ("L", "1", "F", "I", "I;16", "I;16B") else "image"


def _kind_of_folder(path: Path) -> str:
    if any(path.glob("transforms*.json")):
        return "radiance"
    if path.suffix.lower() == ".zarr" or any((path / name).exists() for name in ("zarr.json", ".zarray", ".zgroup")):
        return "dataset" if _is_zarr_group(path) else "volume"
    if any(path.glob("*.png")):
        return "video"
    raise InputError(f"{path}: expected a folder with transforms*.json (a scene), .zarr data or PNG frames")


def _is_zarr_group(path: Path) -> bool:
    import json

    if (path / ".zgroup").exists():
        return True
    try:
        return bool(json.loads((path / "zarr.json").read_text()).get("node_type") == "group")
    except (OSError, ValueError):
        return False
