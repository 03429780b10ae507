"""Reading scenes: pictures with camera poses in the formats of Blender, instant-ngp and nerfstudio, and NumPy files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import InputError, quoted
from sinr_codec.signals.arrays import npz_headers
from sinr_codec.signals.cameras import Camera, check_poses, frames_of, read_json
from sinr_codec.signals.sources import picture, translated
from sinr_codec.types import Array

MOST_TESTS: Final = 25
"""Most test views for the quality; more are subsampled evenly."""
_MOST_BYTES: Final = 1 << 33  # limit for all pictures of a scene
PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
MOST_PIXELS: Final = 1 << 31  # limit for all pictures of a source, and for the view in a header
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


def read_scene(path: Path) -> tuple[Camera, Views, Views | None, tuple[str, ...]]:
    """Camera, training views, test views if the source has any, and remarks."""
    if path.suffix.lower() == ".npz":
        return _read_npz(path)
    train = path / "transforms_train.json" if path.is_dir() else path
    if not train.exists() and path.is_dir():
        train = path / "transforms.json"
    if not train.is_file():
        raise InputError(f"{path}: expected transforms_train.json or transforms.json in it")
    camera, views, notes = _read_transforms(train)
    if not train.name.startswith("transforms_train"):
        return camera, views, None, notes
    for split in ("test", "val"):
        held = train.with_name(train.name.replace("train", split))
        if held.is_file():
            other, tests, more = _read_transforms(held, MOST_TESTS)
            if other != camera:
                raise InputError(f"{held}: expected the camera of {train.name}")
            return camera, views, tests, (*notes, *more)
    return camera, views, None, notes


def _read_transforms(path: Path, most: int | None = None) -> tuple[Camera, Views, tuple[str, ...]]:
    table = read_json(path)
    frames, notes = frames_of(table, str(path)), []
    if most is not None and len(frames) > most:
        notes.append(f"quality is measured on {most} of the {len(frames)} views of {path.name}")
        frames = [frames[i * len(frames) // most] for i in range(most)]
    if any("mask_path" in frame for frame in frames):
        notes.append("masks are not used; transparent pixels are what tells a background")
    for key in ("fl_x", "fl_y", "cx", "cy", "w", "h", "k1", "k2", "p1", "p2", "camera_model"):
        if len({repr(frame[key]) for frame in frames if key in frame}) > 1:
            raise InputError(f"{path}: expected one camera for all frames, found several values of {key}")
    poses = check_poses([frame["transform_matrix"] for frame in frames], str(path))
    first = _read_picture(_picture_path(path, frames[0]))
    size = first.shape[:2]
    channels = first.shape[2]
    if len(frames) * first.size > MOST_PIXELS:
        raise InputError(f"{path}: {len(frames)} pictures of {size[1]} x {size[0]} are too many; expected smaller ones")
    pictures = np.empty((len(frames), *first.shape), np.uint8)
    for number, frame in enumerate(frames):
        file = _picture_path(path, frame)
        picture = first if number == 0 else _read_picture(file)
        if picture.shape[:2] != size:
            found, wanted = (f"{s[1]} x {s[0]}" for s in (picture.shape, size))
            raise InputError(f"{file}: expected {wanted} pixels as in the first picture, found {found}")
        if picture.shape[2] != channels:
            raise InputError(f"{file}: expected all pictures of a scene with, or all without transparency")
        pictures[number] = picture
    camera = Camera.from_table({**table, **frames[0]}, (size[1], size[0]), str(path))
    return camera, Views(pictures, poses), tuple(notes)


def _picture_path(transforms: Path, frame: dict[str, Any]) -> Path:
    name = frame.get("file_path")
    if not isinstance(name, str) or not name or "\0" in name:
        raise InputError(f"{transforms}: expected a file_path in every frame, found {quoted(name)}")
    path = transforms.parent / name
    # Blender's exporter omits the extension.
    for candidate in (path, *(path.with_name(path.name + end) for end in PICTURES)):
        if candidate.is_file():
            return candidate
    raise InputError(f"{path}: no such picture, which {transforms.name} names")


def _read_picture(path: Path) -> NDArray[np.uint8]:
    with picture(path) as opened:
        clear = opened.mode in ("RGBA", "LA", "PA") or opened.has_transparency_data
        return np.asarray(opened.convert("RGBA" if clear else "RGB"))


def _read_npz(path: Path) -> tuple[Camera, Views, Views | None, tuple[str, ...]]:
    npz_headers(path, _MOST_BYTES)
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
    if "test_images" not in arrays:
        return camera, views, None, ()
    tests = _views_of(arrays["test_images"], arrays["test_poses"], f"{path}: test_images")
    if tests.pictures.shape[1:] != views.pictures.shape[1:]:
        raise InputError(f"{path}: expected test_images of the size of images")
    if len(tests) <= MOST_TESTS:
        return camera, views, tests, ()
    note = f"quality is measured on {MOST_TESTS} of the {len(tests)} test views"
    return camera, views, tests.take(np.arange(MOST_TESTS) * len(tests) // MOST_TESTS), (note,)


def _views_of(pictures: Array, poses: Array, name: str) -> Views:
    if pictures.ndim != 4 or pictures.shape[3] not in (3, 4) or 0 in pictures.shape:
        raise InputError(f"{name}: expected a non-empty (n, h, w, 3 or 4), found shape {pictures.shape}")
    if pictures.dtype.kind == "f":
        if not np.isfinite(pictures).all() or pictures.min() < -1e-3 or pictures.max() > 1.001:
            raise InputError(f"{name}: expected floats from 0 to 1, found others, NaN or infinity")
        pictures = np.rint(np.clip(pictures, 0, 1) * 255).astype(np.uint8)
    elif pictures.dtype != np.uint8:
        raise InputError(f"{name}: expected uint8, or floats from 0 to 1, found {pictures.dtype}")
    checked = check_poses(poses, f"{name}' poses")
    if len(checked) != len(pictures):
        raise InputError(f"{name}: expected a pose for each, found {len(pictures)} and {len(checked)}")
    return Views(pictures, checked)
