"""Reading scenes: pictures with camera poses in the formats of Blender, instant-ngp and nerfstudio, and NumPy files."""

from __future__ import annotations

import math
import os
import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import InputError, quoted
from sinr_codec.signals.arrays import npz_headers
from sinr_codec.signals.cameras import LENS, Camera, check_poses, frames_of, read_json
from sinr_codec.signals.sources import in_8_bits, picture, translated
from sinr_codec.types import Array

HOLD_OUT: Final = 8
"""In a scene without test views, one in `HOLD_OUT` views is held out."""
MOST_TESTS: Final = 25
"""Most test views for the quality; more are subsampled evenly."""
_MOST_BYTES: Final = 1 << 33  # limit for all pictures of a scene
PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
MOST_PIXELS: Final = 1 << 31
"""Limit for the numbers of all pictures of a source, and for the pixels of the view in a header."""
MOST_RENDERED: Final = 1 << 25
"""Limit for the pixels of one view."""
_ARRAYS: Final = ("images", "poses", "focal", "test_images", "test_poses")


@dataclass(frozen=True)
class Views:
    """Pictures of a scene by one camera.

    Attributes
    ----------
    pictures
        uint8 (n, h, w, 3 or 4); the fourth channel is the opacity.
    poses
        Camera-to-world, float32 (n, 4, 4).
    """

    pictures: NDArray[np.uint8]
    poses: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.poses)

    def take(self, index: Any) -> Views:
        """A selection of the views."""
        return Views(self.pictures[index], self.poses[index])

    def over(self, background: Sequence[int]) -> NDArray[np.uint8]:
        """RGB (n, h, w, 3), composited over a background."""
        if self.pictures.shape[3] == 3:
            return self.pictures
        return np.stack([_over(picture, background) for picture in self.pictures])


def _over(picture: Array, background: Sequence[int]) -> NDArray[np.uint8]:
    alpha = picture[..., 3:].astype(np.float32) / 255
    return np.rint(picture[..., :3] * alpha + np.asarray(background, np.float32) * (1 - alpha)).astype(np.uint8)


class Scene(NamedTuple):
    """A scene that was read: its camera, views to train and to test on, and remarks."""

    camera: Camera
    views: Views
    tests: Views
    notes: tuple[str, ...]


def read_scene(path: Path, outside: bool = False) -> Scene:
    """Read a scene; with `outside`, pictures may lie outside of its folder.

    Raises
    ------
    InputError : damaged, of several cameras, without pictures, or of too many
    """
    if path.suffix.lower() == ".npz":
        return _read_npz(path)
    train = path / "transforms_train.json" if path.is_dir() else path
    if not train.exists() and path.is_dir():
        train = path / "transforms.json"
    if not train.is_file():
        raise InputError(f"{path}: expected transforms_train.json or transforms.json in it")
    notes: list[str] = []
    table = read_json(train)
    frames, tests = _frames_in(table, train, outside, notes), None
    first = _read_picture(frames[0].path)
    if not train.name.startswith("transforms_train"):
        frames, tests = _split(table, frames, notes)
    else:
        others = (train.with_name(train.name.replace("train", split)) for split in ("test", "val"))
        tests = next(filter(None, (_tests_in(other, outside, notes) for other in others if other.is_file())), None)
    if tests is None:
        kept, chosen = _held_out(len(frames), str(path), notes)
        frames, tests = [frames[i] for i in kept], [frames[i] for i in chosen]
    tests = [tests[i] for i in _few(len(tests), notes)]
    camera = _one_camera([*frames, *tests], (first.shape[1], first.shape[0]))
    _check_count(len(frames) + len(tests), first.shape, str(path))
    views, held_out = (_read_pictures(each, first.shape) for each in (frames, tests))
    if views.pictures.shape[3] != held_out.pictures.shape[3]:
        views, held_out = (Views(_opaque(each.pictures), each.poses) for each in (views, held_out))
    return Scene(camera, views, held_out, tuple(dict.fromkeys(notes)))


class _Frame(NamedTuple):
    """A picture that a `transforms.json` names."""

    source: Path
    name: str
    path: Path
    pose: NDArray[np.float32]
    lens: dict[str, Any]
    """The frame's own entries over those of all frames."""


def _tests_in(source: Path, outside: bool, notes: list[str]) -> list[_Frame]:
    """The frames of a file of test views; none if it lists none, or all of their pictures are missing."""
    table = read_json(source)
    return [] if table.get("frames") == [] else _frames_in(table, source, outside, notes, needed=False)


def _frames_in(
    table: dict[str, Any], source: Path, outside: bool, notes: list[str], needed: bool = True
) -> list[_Frame]:
    """The frames of a `transforms.json` whose pictures exist; with `needed`, an error if there are none."""
    entries = frames_of(table, str(source))
    if any("mask_path" in entry for entry in entries):
        notes.append("masks are not used; transparent pixels are what tells a background")
    if table.get("rolling_shutter") or any("transform_matrix_end" in entry for entry in entries):
        notes.append("the motion of the camera during an exposure is not used")
    poses = check_poses([entry["transform_matrix"] for entry in entries], str(source))
    common = {key: value for key, value in table.items() if key != "frames"}
    found, missing = [], []
    for entry, pose in zip(entries, poses):
        name = entry.get("file_path")
        if not isinstance(name, str) or not name or "\0" in name:
            raise InputError(f"{source}: expected a file_path in every frame, found {quoted(name)}")
        path = _picture_path(source, name, outside)
        if path is None:
            missing.append(name)
        else:
            found.append(_Frame(source, name, path, pose, {**common, **entry}))
    if needed and not found:
        raise InputError(f"{source.parent / missing[0]}: no such picture, which {source.name} names")
    if missing:
        notes.append(f"missing pictures were left out: {len(missing)} of {len(entries)}, such as {missing[0]:.60}")
    return found


def _picture_path(source: Path, name: str, outside: bool) -> Path | None:
    """The path of a picture, if it exists."""
    for spelt in (name, name.replace("\\", "/")):  # as Windows spells it
        path = source.parent / spelt
        # Blender's exporter omits the extension.
        endings = (ending for each in PICTURES for ending in (each, each.upper()))
        for candidate in (path, *(path.with_name(path.name + ending) for ending in endings)):
            if not candidate.is_file():
                continue
            if not outside and not Path(os.path.abspath(candidate)).is_relative_to(os.path.abspath(source.parent)):
                raise InputError(
                    f"{source}: names {quoted(name)}, outside of its folder; --outside (outside=True) reads it"
                )
            return candidate
    return None


def _split(table: dict[str, Any], frames: list[_Frame], notes: list[str]) -> tuple[list[_Frame], list[_Frame] | None]:
    """Frames to train and to test on, where a `transforms.json` of nerfstudio names them."""
    names = {key: _names(table, f"{key}_filenames", frames[0].source) for key in ("train", "test", "val")}
    chosen = names["test"] or names["val"]
    tests = [frame for frame in frames if posixpath.normpath(frame.name) in chosen]
    if not tests:
        return frames, None
    others = [frame for frame in frames if posixpath.normpath(frame.name) not in chosen]
    kept = [frame for frame in others if posixpath.normpath(frame.name) in names["train"]] if names["train"] else others
    if not kept:
        raise InputError(f"{frames[0].source}: expected views to train on beside those to test on")
    if len(kept) < len(others):
        notes.append(f"pictures in neither split were left out: {len(others) - len(kept)}")
    return kept, tests


def _names(table: dict[str, Any], key: str, source: Path) -> set[str]:
    names = table.get(key) or []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{source}: expected a list of names for {key}")
    return {posixpath.normpath(name) for name in names}


def _held_out(count: int, name: str, notes: list[str]) -> tuple[Array, Array]:
    """Indices of views to train and to test on, where the source does not tell."""
    if count < 2:
        raise InputError(f"{name}: expected at least two views")
    notes.append(f"every {HOLD_OUT}th view is held out to measure the quality on")
    held = np.arange(count) % HOLD_OUT == 0
    return np.flatnonzero(~held), np.flatnonzero(held)


def _few(count: int, notes: list[str]) -> Array:
    """Indices of the views to test on, out of `count`."""
    if count <= MOST_TESTS:
        return np.arange(count)
    notes.append(f"quality is measured on {MOST_TESTS} of the {count} test views")
    return np.arange(MOST_TESTS) * count // MOST_TESTS


def _one_camera(frames: Sequence[_Frame], size: tuple[int, int]) -> Camera:
    """The camera of all frames.

    A frame may have entries of its own, and lacks what the file says for all: both count.
    """
    known: dict[str, Camera] = {}  # frames repeat few descriptions
    cameras = []
    for frame in frames:
        lens = {key: value for key, value in frame.lens.items() if key in LENS}
        key = repr(sorted(lens.items()))
        if key not in known:
            known[key] = Camera.from_table(lens, size, str(frame.source))
        cameras.append(known[key])
    first = np.array([*cameras[0].intrinsics, *cameras[0].distortion])
    for frame, camera in zip(frames, cameras):
        if not np.allclose([*camera.intrinsics, *camera.distortion], first, rtol=1e-6, atol=1e-9):
            raise InputError(
                f"{frame.source}: expected one camera for all frames, found others for {frames[0].name:.60} and "
                f"{frame.name:.60}; undistort the pictures to one camera"
            )
    return cameras[0]


def _check_count(count: int, shape: Sequence[int], name: str) -> None:
    """`InputError` for pictures (h, w, c) that are too large, or too many of them, before they are read."""
    height, width = shape[:2]
    if height * width > MOST_RENDERED:
        raise InputError(
            f"{name}: pictures of {width} x {height} are too large; expected at most {MOST_RENDERED:,} pixels"
        )
    if count * math.prod(shape) > MOST_PIXELS:
        raise InputError(f"{name}: {count} pictures of {width} x {height} are too many; expected fewer or smaller ones")


def _read_pictures(frames: Sequence[_Frame], shape: tuple[int, ...]) -> Views:
    """The pictures of frames, of the size of `shape`, (h, w, c); opaque those without transparency beside others."""
    pictures = np.empty((len(frames), *shape), np.uint8)
    for number, frame in enumerate(frames):
        picture = _read_picture(frame.path)
        if picture.shape[:2] != shape[:2]:
            found, wanted = (f"{s[1]} x {s[0]}" for s in (picture.shape, shape))
            raise InputError(f"{frame.path}: expected {wanted} pixels as in the first picture, found {found}")
        if picture.shape[2] > pictures.shape[3]:
            pictures = _opaque(pictures)
        pictures[number] = picture if picture.shape[2] == pictures.shape[3] else _opaque(picture)
    return Views(pictures, np.stack([frame.pose for frame in frames]))


def _opaque(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pictures (..., 4), with an opacity of 255 for those that have none."""
    if pictures.shape[-1] == 4:
        return pictures
    return np.concatenate([pictures, np.full_like(pictures[..., :1], 255)], axis=-1)


def _read_picture(path: Path) -> NDArray[np.uint8]:
    with picture(path) as opened:
        shown, _ = in_8_bits(opened, path)
        return np.asarray(shown.convert("RGBA" if shown.has_transparency_data else "RGB"))


def _read_npz(path: Path) -> Scene:
    headers = npz_headers(path, _MOST_BYTES)
    images = [headers[name][0] for name in ("images", "test_images") if name in headers]
    if images and all(len(shape) == 4 for shape in images):
        _check_count(sum(shape[0] for shape in images), images[0][1:], str(path))
    failure = "expected an .npz file of plain arrays ({reason})"
    with translated(path, failure), np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in _ARRAYS if name in file}
    if missing := [name for name in ("images", "poses", "focal") if name not in arrays]:
        raise InputError(f"{path}: expected arrays images, poses and focal; {missing[0]} is missing")
    focal = arrays["focal"]
    if focal.size != 1 or focal.dtype.kind not in "fiu":
        raise InputError(f"{path}: expected one number for focal, found {focal.dtype} of shape {focal.shape}")
    views = _views_of(arrays["images"], arrays["poses"], f"{path}: images")
    height, width = views.pictures.shape[1:3]
    camera = Camera(width, height, float(focal.item()), float(focal.item()), width / 2, height / 2)
    if ("test_images" in arrays) != ("test_poses" in arrays):
        raise InputError(f"{path}: expected test_images and test_poses together")
    notes: list[str] = []
    if "test_images" in arrays:
        tests = _views_of(arrays["test_images"], arrays["test_poses"], f"{path}: test_images")
        if tests.pictures.shape[1:] != views.pictures.shape[1:]:
            raise InputError(f"{path}: expected test_images of the size and channels of images")
    else:
        kept, held = _held_out(len(views), str(path), notes)
        views, tests = views.take(kept), views.take(held)
    return Scene(camera, views, tests.take(_few(len(tests), notes)), tuple(notes))


def _views_of(pictures: Array, poses: Array, name: str) -> Views:
    if pictures.ndim != 4 or pictures.shape[3] not in (3, 4) or 0 in pictures.shape:
        raise InputError(f"{name}: expected a non-empty (n, h, w, 3 or 4), found shape {pictures.shape}")
    checked = check_poses(poses, f"{name}' poses")
    if len(checked) != len(pictures):
        raise InputError(f"{name}: expected a pose for each, found {len(pictures)} and {len(checked)}")
    if pictures.dtype.kind == "f":
        samples = np.empty(pictures.shape, np.uint8)
        for picture, rounded in zip(pictures, samples):
            if not np.isfinite(picture).all() or picture.min() < -1e-3 or picture.max() > 1.001:
                raise InputError(f"{name}: expected floats from 0 to 1, found others, NaN or infinity")
            rounded[...] = np.rint(np.clip(picture, 0, 1) * 255)
        return Views(samples, checked)
    if pictures.dtype != np.uint8:
        raise InputError(f"{name}: expected uint8, or floats from 0 to 1, found {pictures.dtype}")
    return Views(pictures, checked)
