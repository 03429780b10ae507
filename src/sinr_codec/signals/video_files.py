"""Reading and writing clips: video files, folders of PNG frames, NumPy arrays, contact sheets."""

import math
import os
import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from sinr_codec.errors import InputError, listed, quoted
from sinr_codec.files import atomic_files, atomic_write
from sinr_codec.signals import ffmpeg
from sinr_codec.signals.arrays import npy_header, npz_headers
from sinr_codec.signals.ffmpeg import Footage
from sinr_codec.signals.metadata import Metadata
from sinr_codec.signals.sources import existing, in_8_bits, picture, translated
from sinr_codec.types import Array, PathLike

Rate = int | float | Fraction
_NUMBER: Final = r"%0?\d*d"
_SHEET: Final = 9
_EXIF: Final = 0x8769  # the part of EXIF with the times
_TAKEN: Final = 0x9003  # DateTimeOriginal
_SLOWEST: Final = Fraction(1, 1000)  # frames a second
MAX_BYTES: Final = 1 << 30
"""Most bytes of raw frames to read, as they are held in memory."""


class Clip(NamedTuple):
    """Frames and their rate; as a source, a plain (frames, fps) is the same.

    Attributes
    ----------
    frames
        uint8 (T, H, W, 3) for RGB, or (T, H, W) for grey.
    fps
        Frames a second.
    """

    frames: Array
    fps: Fraction

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the frames."""
        return self.frames.shape


# -- reading ---------------------------------------------------------------------------------------------------


def read(source: Any, first: int, stop: int | None, even: bool = True) -> Footage:
    """Frames first to stop - 1 of a source.

    With `even`, frames of varying durations are repeated or left out, so that all last equally long.

    Raises
    ------
    InputError : no such file, not a clip, damaged, no frame in the range, of another dtype or shape, or more than
        `MAX_BYTES`
    MissingExtraError : the source is a video file, and PyAV is not installed
    """
    name, rate = "clip", None
    if isinstance(source, tuple) and len(source) == 2:
        source, rate = source[0], fraction(source[1], "fps")
    if isinstance(source, np.ndarray):
        found = Footage(_checked(source, name)[first:stop], rate)
    elif isinstance(source, str | os.PathLike):
        path = existing(source, "a video")
        name = str(path)
        if path.is_dir():
            found = _read_folder(path, first, stop)
        elif path.suffix.lower() in (".npy", ".npz"):
            array, rate = _read_arrays(path)
            found = Footage(array[first:stop], rate)
        elif path.suffix.lower() == ".webp":
            found = _read_webp(path, first, stop, even)
        else:
            found = ffmpeg.read(path, first, stop, partial(_collected, name), even)
    else:
        raise InputError(f"clip: expected a file, a folder of PNG frames or an array, got {type(source).__name__}")
    if len(found.frames) == 0:
        raise InputError(f"{name}: expected at least one frame, found none" + " in that range" * (stop is not None))
    if found.frames.nbytes > MAX_BYTES:
        raise _too_long(name, found.frames[0].nbytes)
    rate = found.fps and fraction(found.fps, f"{name}: fps")
    return found._replace(frames=np.ascontiguousarray(found.frames), fps=rate)


def fraction(rate: Any, name: str) -> Fraction:
    """A frame rate as a fraction that fits the header; 29.97 and the like become the fractions they stand for."""
    known = isinstance(rate, int | float | Fraction | np.integer | np.floating)
    value = (rate if isinstance(rate, Fraction) else float(rate)) if known else math.nan
    if not _SLOWEST <= value <= 10**6:
        raise InputError(f"{name} {quoted(rate)}: expected frames a second, from 0.001 to 1,000,000")
    exact = Fraction(value)
    ntsc = Fraction(round(exact * 1001), 1001)
    meant = ntsc.numerator % 1000 == 0 and abs(ntsc / exact - 1) < 2e-5
    return ntsc if meant else exact.limit_denominator(2000)


def _checked(array: Array, name: str) -> Array:
    """Frames (T, H, W, C) from an array."""
    if array.dtype != np.uint8:
        raise InputError(f"{name}: expected frames of uint8, found {array.dtype}")
    if array.ndim not in (3, 4) or 0 in array.shape or (array.ndim == 4 and array.shape[3] not in (1, 3)):
        raise InputError(f"{name}: expected non-empty (T, H, W) or (T, H, W, 1 or 3), found shape {array.shape}")
    return array if array.ndim == 4 else array[..., None]


def _too_long(name: str, frame_bytes: int) -> InputError:
    most = MAX_BYTES // frame_bytes
    return InputError(
        f"{name}: more than {MAX_BYTES >> 20} MiB of raw frames; cut it, or take frames=(0, {most}) in Python"
    )


def _collected(name: str, frames: Iterable[Array]) -> Array:
    """Stack frames (H, W) or (H, W, 3) of one size, up to the memory limit; all in colours if one is."""
    kept: list[Array] = []
    for frame in frames:
        if kept and frame.shape[:2] != kept[0].shape[:2]:
            (height, width), (rows, columns) = kept[0].shape[:2], frame.shape[:2]
            raise InputError(f"{name}: expected frames of one size, found {width} x {height} and {columns} x {rows}")
        if (len(kept) + 1) * frame.nbytes > MAX_BYTES:
            raise _too_long(name, frame.nbytes)
        kept.append(frame)
    if not kept:
        return np.empty((0, 1, 1, 3), np.uint8)
    if len({frame.ndim for frame in kept}) > 1:  # optimised PNG files are grey where a frame has no colours
        kept = [frame if frame.ndim == 3 else np.repeat(frame[..., None], 3, axis=2) for frame in kept]
    array = np.stack(kept)
    return array if array.ndim == 4 else array[..., None]


def _read_folder(path: Path, first: int, stop: int | None) -> Footage:
    names = pictures_in(path) or pictures_in(path, ".jpg", ".jpeg")
    if not names:
        raise InputError(f"{path}: expected a folder of PNG or JPEG frames, found none in it")
    notes: list[str] = []
    array = _collected(str(path), (_read_picture(name, notes) for name in names[first:stop]))
    return Footage(array, notes=tuple(dict.fromkeys(notes)))


def no_frames(path: Path) -> str | None:
    """Why the PNG files of a folder are pictures of their own rather than the frames of a clip; None for frames.

    Frames are of one size, and their names differ in one number, which rises evenly. Photographs may be so, too: their
    EXIF times tell them, which programs that make frames do not write.
    """
    names = pictures_in(path)
    if len(names) < 2:
        return f"it holds {'one PNG file' if names else 'no PNG files'}"
    parts = [re.split(r"(\d+)", name.stem) for name in names]
    varied = [column for column in zip(*parts) if len(set(column)) > 1]
    if len({len(part) for part in parts}) > 1 or len(varied) != 1 or not all(text.isdecimal() for text in varied[0]):
        return f"the names of its pictures do not differ by one number alone ({names[0].name}, {names[1].name})"
    numbers = [int(text) for text in varied[0]]
    steps = {later - earlier for earlier, later in pairwise(numbers)}
    if len(steps) > 1:
        return (
            f"the numbers of its pictures do not rise evenly ({numbers[0]} to {numbers[-1]}, {len(numbers)} pictures)"
        )
    size, taken = _seen(names[0])
    for name in names[1:]:
        other, later = _seen(name)
        if size != other:
            return f"its pictures differ in size ({names[0].name}, {name.name})"
        if taken != later:
            return f"its pictures are photographs, taken at different times ({taken}, {later})"
    return None


def _seen(path: Path) -> tuple[tuple[int, int], Any]:
    """Size of a picture, and the time at which a camera took it, if its head tells; no pixels are read."""
    with translated(path, "damaged picture: {reason}"), Image.open(path) as opened:
        taken = opened.getexif().get_ifd(_EXIF).get(_TAKEN) if "exif" in opened.info else None
        return opened.size, taken


def pictures_in(path: Path, *suffixes: str) -> list[Path]:
    """The files of a folder with some suffixes, PNG by default, in the order of the numbers in their names.

    Hidden files are left out (macOS puts one beside each file on disks of other systems), and pipes, which would be
    waited for.
    """
    suffixes = suffixes or (".png",)
    with translated(path, "cannot be read ({reason})"):
        shown = (name for name in path.iterdir() if name.suffix.lower() in suffixes and name.is_file())
        return sorted((name for name in shown if not name.name.startswith(".")), key=_natural)


def _natural(path: Path) -> list[Any]:
    """A sort key that puts frame_10 after frame_9."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", path.name)]


def _read_picture(path: Path, notes: list[str]) -> Array:
    """Samples of a picture, upright, uint8 (H, W) or (H, W, 3); remarks are added to the notes."""
    with picture(path) as opened:
        shown, deep = in_8_bits(opened, path)
        shown = ImageOps.exif_transpose(shown)
        if deep:
            notes.append("its samples are stored with 8 bits")
        if shown.has_transparency_data and np.asarray(shown.convert("RGBA"))[..., 3].min() < 255:
            notes.append(ffmpeg.TRANSPARENT)
        return np.asarray(shown.convert("L" if shown.mode in ("L", "LA", "1") else "RGB"))


def _read_webp(path: Path, first: int, stop: int | None, even: bool) -> Footage:
    """Frames of an animated WebP picture, which FFmpeg does not read."""
    notes: list[str] = []
    moments: list[ffmpeg.Moment] = []

    def frames(opened: Image.Image) -> Iterator[Array]:
        time, count = Fraction(0), getattr(opened, "n_frames", 1)
        for number in range(first, min(stop or count, count)):
            opened.seek(number)
            pixels = np.asarray(opened.convert("RGBA"))
            if pixels[..., 3].min() < 255:
                notes.append(ffmpeg.TRANSPARENT)
            duration = Fraction(round(opened.info.get("duration", 0)), 1000)
            moments.append(ffmpeg.Moment(time, duration))
            time += duration
            yield pixels[..., :3]

    with picture(path) as opened:
        array = _collected(str(path), frames(opened))
    rate, shown = ffmpeg.evenly(moments, (), True) if even else (None, None)
    if shown is not None:
        array = _collected(str(path), (array[i] for i in shown))
        notes.append(ffmpeg.repeated(rate))
    return Footage(array, rate, tuple(dict.fromkeys(notes)))


def _read_arrays(path: Path) -> tuple[Array, Fraction | None]:
    """Frames, and the rate if a `.npz` file has an array "fps"."""
    if path.suffix.lower() == ".npz":
        npz_headers(path, MAX_BYTES)
    else:
        npy_header(path)
    with translated(path, "not a readable file of plain arrays: {reason}"), open(path, "rb") as file:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return _checked(loaded, str(path)), None
        with loaded:
            rest = [name for name in loaded.files if name != "fps"]
            name = "frames" if "frames" in rest else rest[0] if len(rest) == 1 else None
            if name is None:
                raise InputError(f"{path}: expected an array called frames, found {listed(rest)}")
            rate = float(loaded["fps"]) if "fps" in loaded.files else None
            return _checked(loaded[name], str(path)), None if rate is None else fraction(rate, f"{path}: fps")


# -- writing ---------------------------------------------------------------------------------------------------


def save(decoded: Clip, path: PathLike, metadata: Metadata = MappingProxyType({})) -> None:
    """Write a rendering; the name selects the format.

    .mp4, .mkv, .mov, .m4v, .avi and .webm are lossy encodings. .npy and .npz (with fps) keep the exact frames, as do
    PNG files: in a folder for a name without extension, or for a pattern such as frame_%04d.png. Any other .png is a
    contact sheet of up to nine frames.

    Raises
    ------
    InputError : an unknown extension, or a format that does not support these frames
    MissingExtraError : the output is a video file, and PyAV is not installed
    """
    name = os.fspath(path)
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".npy":
        with atomic_write(path) as temporary:
            np.save(temporary, decoded.frames, allow_pickle=False)
    elif suffix == ".npz":
        with atomic_write(path) as temporary:
            np.savez_compressed(temporary, frames=decoded.frames, fps=np.float64(decoded.fps))
    elif not suffix or name.endswith(("/", os.sep)):
        _save_frames(decoded.frames, path / "frame_%05d.png")
    elif suffix == ".png" and re.search(_NUMBER, path.name):
        _save_frames(decoded.frames, path)
    elif suffix == ".png":
        _save_picture(_sheet(decoded.frames), path)
    elif suffix in ffmpeg.WRITES:
        ffmpeg.write(decoded.frames, decoded.fps, path, metadata)
    else:
        raise InputError(f"{path}: expected .mp4, .mkv, .webm, .npy, .npz, .png, or a folder for PNG frames")


def _save_frames(frames: Array, pattern: Path) -> None:
    """Write PNG files numbered from 0, all or none, in a folder that is created if needed."""
    with atomic_files(pattern.parent) as folder:
        for i, frame in enumerate(frames):
            name = re.sub(_NUMBER, lambda match: match[0] % i, pattern.name)  # noqa: B023
            Image.fromarray(frame).save(folder / name, "PNG")


def _save_picture(frame: Array, path: Path) -> None:
    with atomic_write(path) as temporary:
        Image.fromarray(frame).save(temporary, "PNG")


def _sheet(frames: Array) -> Array:
    """Up to nine frames, evenly spaced in time, in rows side by side."""
    count = min(len(frames), _SHEET)
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    height, width = frames.shape[1:3]
    sheet = np.full((rows * height, columns * width, *frames.shape[3:]), 255, np.uint8)
    for i in range(count):
        row, column = divmod(i, columns)
        frame = frames[(2 * i + 1) * len(frames) // (2 * count)]
        sheet[row * height : (row + 1) * height, column * width : (column + 1) * width] = frame
    return sheet
