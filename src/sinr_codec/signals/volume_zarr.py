"""Volumes in zarr arrays, and in the image pyramids of OME-Zarr, whose first level is the volume.

The metadata that a file keeps is a JSON map of the array's attributes, chunks and names of dimensions. A file with
anything further (`EXTENDED`) has a format of its own in the header: arrays of zarr version 2, fill values, shards, and
the axes of OME-Zarr.
"""

import contextlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from sinr_codec.errors import InputError, MalformedError
from sinr_codec.signals import zarrs
from sinr_codec.signals.sources import library as imported
from sinr_codec.signals.volume_arrays import Found, checked_metadata, room
from sinr_codec.types import Array

_PLAIN: Final = {"attributes", "chunks", "dimension_names"}
EXTENDED: Final = {"zarr_format", "fill_value", "shards", "ome"}
"""Keys of the metadata that plain arrays of zarr version 3 do not have."""
_OME: Final = {"version", "axes", "dropped", "scale", "translation", "attributes"}
_NOT_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_LEVEL: Final = "0"  # name of the array in the groups that are written


def _zarr() -> Any:
    return imported("zarr", "volume", "volumes of this format")


# -- reading ---------------------------------------------------------------------------------------------------


def read(path: Path) -> Found:
    """The array of a folder or a `.zarr.zip` file, or the first level of the OME-Zarr image in it.

    Raises
    ------
    InputError : a group of other arrays, or an image without three axes besides its channels
    """
    zarr = _zarr()
    zarrs.check(path)
    if path.is_dir():
        return read_array(zarr.open(path, mode="r"), str(path), ".zarr")
    with contextlib.closing(zarr.storage.ZipStore(path, mode="r")) as store:
        return read_array(zarr.open(store, mode="r"), str(path), ".zarr.zip")


def read_array(source: Any, name: str, origin: str) -> Found:
    """The content of a `zarr.Array`, or of a `zarr.Group` that is an OME-Zarr image."""
    notes: list[str] = []
    pyramid = None
    if not hasattr(source, "chunks"):
        pyramid, source = _first_level(source, notes)
    zarrs.check_array(source.metadata.to_dict(), name)
    kept: dict[str, Any] = {
        "attributes": _json_only(dict(source.attrs), notes),
        "chunks": list(source.chunks),
    }
    if (names := getattr(source.metadata, "dimension_names", None)) is not None:
        kept["dimension_names"] = list(names)
    if source.metadata.zarr_format == 2:
        kept["zarr_format"] = 2
    if (fill := _number(source.fill_value)) is not None:
        kept["fill_value"] = fill
    if source.shards is not None:
        kept["shards"] = list(source.shards)
    order = None
    if pyramid is not None:
        kept["ome"] = pyramid
        order = _Order.of(pyramid["axes"], source.shape)
        pyramid["dropped"] = list(order.dropped)
        if len(order.coordinates) < 3:
            raise InputError(f"{name}: expected three axes besides the channels, found {_names(pyramid['axes'])}")
    array = room(source.shape, source.dtype, "C", name, order is not None)
    for start in range(0, source.shape[0], source.chunks[0]):
        array[start : start + source.chunks[0]] = source[start : start + source.chunks[0]]
    channels = None
    if order is not None:
        array, channels = order.taken(array), order.channels(source.shape)
    return Found(array, origin, checked_metadata(_json(kept)), tuple(notes), channels)


def _first_level(group: Any, notes: list[str]) -> tuple[dict[str, Any], Any]:
    """Axes and scale of an OME-Zarr image, and its array of full resolution."""
    attributes = dict(group.attrs)
    inner = attributes.get("ome", attributes)
    if "multiscales" not in inner and "bioformats2raw.layout" in inner and "0" in group:
        notes.append("only the first image of the file is stored")
        group = group["0"]
        attributes = dict(group.attrs)
        inner = attributes.get("ome", attributes)
    if not inner.get("multiscales"):
        raise InputError("expected a zarr array, found a group; name one of its arrays, or encode a dataset")
    if len(inner["multiscales"][0]["datasets"]) > 1:
        notes.append("of the image's resolutions only the first is stored")
    image = inner["multiscales"][0]
    level = image["datasets"][0]
    array = group[level["path"]]
    axes = [dict(axis) if isinstance(axis, dict) else {"name": str(axis)} for axis in image.get("axes", [])]
    if len(axes) != array.ndim:  # as before version 0.3
        axes = [{"name": name} for name in "tczyx"[-array.ndim :]]
    scale, translation = np.ones(array.ndim), np.zeros(array.ndim)
    for transformations in (level, image):
        for each in transformations.get("coordinateTransformations", []):
            if each.get("type") == "scale" and "scale" in each:
                scale, translation = scale * each["scale"], translation * each["scale"]
            elif each.get("type") == "translation" and "translation" in each:
                translation = translation + each["translation"]
    rest = {key: value for key, value in attributes.items() if key not in ("multiscales", "ome")}
    if "ome" in attributes:
        rest |= {key: value for key, value in inner.items() if key not in ("multiscales", "version")}
    pyramid = {
        "version": str(inner.get("version", image.get("version", "0.4"))),
        "axes": [{key: str(axis[key]) for key in ("name", "type", "unit") if key in axis} for axis in axes],
        "dropped": [],
        "scale": list(map(float, scale)),
        "translation": list(map(float, translation)),
        "attributes": _json_only(rest, notes),
    }
    return pyramid, array


@dataclass(frozen=True)
class _Order:
    """Which axes of an OME-Zarr array are coordinates, which one holds channels, and which have length 1 and go."""

    coordinates: tuple[int, ...]
    channel: int | None
    dropped: tuple[int, ...]

    @classmethod
    def of(cls, axes: Sequence[Any], shape: Sequence[int]) -> "_Order":
        """The order for a source: channels last; without channels or times of which there is one."""
        kinds = [_kind(axis) for axis in axes]
        dropped = tuple(i for i, kind in enumerate(kinds) if kind != "space" and shape[i] == 1)
        return cls.without(axes, dropped)

    @classmethod
    def without(cls, axes: Sequence[Any], dropped: Sequence[int]) -> "_Order":
        """The order without some axes."""
        channel = next((i for i, a in enumerate(axes) if _kind(a) == "channel" and i not in dropped), None)
        coordinates = tuple(i for i in range(len(axes)) if i not in dropped and i != channel)
        return cls(coordinates, channel, tuple(dropped))

    def channels(self, shape: Sequence[int]) -> int:
        """Length of the channel axis; 0 without one."""
        return 0 if self.channel is None else shape[self.channel]

    def taken(self, array: Array) -> Array:
        """A view of a source's array with its coordinates first and its channels last."""
        last = () if self.channel is None else (self.channel,)
        moved = array.transpose(*self.dropped, *self.coordinates, *last)
        return moved[(0,) * len(self.dropped)]

    def given_back(self, array: Array) -> Array:
        """Inverse of `taken`."""
        last = () if self.channel is None else (self.channel,)
        order = (*self.dropped, *self.coordinates, *last)
        return array[(None,) * len(self.dropped)].transpose(np.argsort(order))


def _kind(axis: Any) -> str:
    """Space, time or channel, by an axis's type or its usual name."""
    return str(axis.get("type") or {"t": "time", "c": "channel"}.get(axis["name"].lower(), "space"))


def _names(axes: Sequence[Any]) -> str:
    return ", ".join(axis["name"][:20] for axis in axes[:8])


# -- metadata --------------------------------------------------------------------------------------------------


def _json(value: Any) -> bytes:
    """Canonical JSON; `ValueError` for NaN and infinity, which JSON lacks."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()


def _json_only(attributes: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """Attributes without those that JSON does not hold."""
    kept = {}
    for key, value in attributes.items():
        with contextlib.suppress(ValueError):
            kept[key] = json.loads(_json(value))
    if left_out := [key for key in attributes if key not in kept]:
        notes.append(f"not stored, because JSON has no NaN and no infinity: {', '.join(left_out)}")
    return kept


def _number(fill: Any) -> Any:
    """A fill value for JSON; None for zero, which is the default."""
    if fill is None or not np.isscalar(fill) or np.asarray(fill).dtype.kind not in "iuf" or fill == 0:
        return None
    value = np.asarray(fill).item()
    if math.isfinite(value):
        return value
    return next(text for text, number in _NOT_FINITE.items() if str(number) == str(value))


def extended(metadata: bytes) -> bool:
    """Whether there is more in the metadata of a zarr array than what plain arrays of version 3 have."""
    return bool(EXTENDED & json.loads(metadata).keys())


def parsed(metadata: bytes, shape: Sequence[int]) -> dict[str, Any]:
    """The metadata of an array of a shape; `MalformedError` for anything `read_array` cannot have written."""
    try:
        kept = json.loads(metadata)
        fits = type(kept) is dict and _json(kept) == metadata and _fits(kept, len(shape))
    except (ValueError, RecursionError):
        fits = False
    if not fits:
        raise MalformedError("volume: expected the attributes, chunks and names of a zarr array in the side section")
    result: dict[str, Any] = kept
    return result


def _fits(kept: dict[str, Any], axes: int) -> bool:
    ome = kept.get("ome")
    if ome is not None:
        if not _fits_ome(ome):
            return False
        axes += len(ome["dropped"])
        if len(ome["axes"]) != axes:
            return False
    chunks, shards = kept.get("chunks", []), kept.get("shards", [1] * axes)
    names = kept.get("dimension_names", [None] * axes)
    fill = kept.get("fill_value", 1)
    return (
        kept.keys() <= _PLAIN | EXTENDED
        and type(kept.get("attributes")) is dict
        and _are(chunks, int, axes)
        and min(chunks) >= 1
        and _are(shards, int, axes)
        and min(shards) >= 1
        and _are(names, (str, type(None)), axes)
        and kept.get("zarr_format", 2) == 2
        and (type(fill) in (int, float) or (type(fill) is str and fill in _NOT_FINITE))
    )


def _fits_ome(ome: Any) -> bool:
    if type(ome) is not dict or ome.keys() != _OME or type(ome["axes"]) is not list:
        return False
    axes = len(ome["axes"])
    return (
        type(ome["version"]) is str
        and type(ome["attributes"]) is dict
        and all(type(a) is dict and "name" in a and all(type(v) is str for v in a.values()) for a in ome["axes"])
        and type(ome["dropped"]) is list
        and all(type(i) is int and 0 <= i < axes for i in ome["dropped"])
        and len({*ome["dropped"]}) == len(ome["dropped"])
        and _are(ome["scale"], float, axes)
        and _are(ome["translation"], float, axes)
    )


def _are(values: Any, kind: Any, count: int) -> bool:
    """Whether values are a list of so many of a type."""
    return type(values) is list and len(values) == count and all(type(v) in np.atleast_1d(kind) for v in values)


def spacing(metadata: bytes, axes: int) -> tuple[float, ...]:
    """Voxel size along each coordinate; 1 where the source is no OME-Zarr image."""
    ome = json.loads(metadata).get("ome")
    if ome is None:
        return (1.0,) * axes
    order = _Order.without(ome["axes"], ome["dropped"])
    return tuple(ome["scale"][i] for i in order.coordinates)


# -- writing ---------------------------------------------------------------------------------------------------


def write(array: Array, store: Any, metadata: bytes, shape: Sequence[int], placement: Sequence[Any]) -> None:
    """Write an array into a store, as the source was: its version, chunks, names and attributes, or its OME-Zarr image.

    Parameters
    ----------
    array
        The samples, coordinates first.
    store
        A path of a new folder, or a store of the library.
    metadata
        As in `Found`; empty for a source that was no zarr array.
    shape
        Shape of the source, whose shards are kept.
    placement
        (step, offset) of each coordinate in the source's voxels, for scale and translation of an OME-Zarr image.
    """
    zarr = _zarr()
    kept = parsed(metadata, shape) if metadata else {}
    version, ome = kept.get("zarr_format", 3), kept.get("ome")
    whole = array.shape == tuple(shape)
    target, name = store, None
    if ome is not None:
        order = _Order.without(ome["axes"], ome["dropped"])
        target, name = zarr.open_group(store, mode="w", zarr_format=version), _LEVEL
        target.attrs.update(_image(ome, order, placement))
        array = order.given_back(array)
    chunks = kept.get("chunks") or [min(n, 64) for n in array.shape]
    fill = kept.get("fill_value", 0)
    options = {
        "shape": array.shape,
        "dtype": array.dtype,
        "chunks": tuple(chunks if "shards" in kept and whole else map(min, chunks, array.shape)),
        "shards": tuple(kept["shards"]) if "shards" in kept and whole else None,
        "fill_value": _NOT_FINITE.get(fill, fill) if isinstance(fill, str) else fill,
        "attributes": kept.get("attributes", {}),
        "dimension_names": kept.get("dimension_names") if version == 3 else None,
    }
    if version == 2 and ome is not None:
        options["chunk_key_encoding"] = {"name": "v2", "separator": "/"}  # as OME-Zarr 0.2 to 0.4 want it
    if name is None:
        written = zarr.create_array(target, zarr_format=version, **options)
    else:
        written = target.create_array(name, **options)
    written[...] = array


def _image(ome: dict[str, Any], order: _Order, placement: Sequence[Any]) -> dict[str, Any]:
    """Attributes of the group of an OME-Zarr image of one level."""
    scale, translation = list(ome["scale"]), list(ome["translation"])
    for axis, (step, offset) in zip(order.coordinates, placement):
        translation[axis] += scale[axis] * offset
        scale[axis] *= step
    transformations = [{"type": "scale", "scale": scale}, {"type": "translation", "translation": translation}]
    image = {"axes": ome["axes"], "datasets": [{"path": _LEVEL, "coordinateTransformations": transformations}]}
    if ome["version"] in ("0.1", "0.2", "0.3", "0.4"):
        return ome["attributes"] | {"multiscales": [{"version": ome["version"], **image}]}
    return {"ome": ome["attributes"] | {"version": ome["version"], "multiscales": [image]}}
