"""Reading and writing clips: files by FFmpeg, folders of PNG frames, NumPy arrays, contact sheets."""

import math
import os
import re
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from PIL import Image

from sinr_codec.errors import InputError, quoted
from sinr_codec.files import atomic_write
from sinr_codec.signals.arrays import npy_header, npz_headers
from sinr_codec.signals.sources import existing, library, picture, reason, translated
from sinr_codec.types import Array, PathLike

Rate = int | float | Fraction
_NUMBER: Final = r"%0?\d*d"
_CONTAINERS: Final = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".avi": "avi",
    ".webm": "webm",
}
_SHEET: Final = 9
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


def read(source: Any, first: int, stop: int | None) -> tuple[Array, Fraction | None, tuple[str, ...]]:
    """Frames first to stop - 1 of a source, uint8 (T, H, W, C), their rate if recorded, and remarks.

    Raises
    ------
    InputError : no such file, not a clip, damaged, no frame in the range, of another dtype or shape, or more than
        `MAX_BYTES`
    MissingExtraError : the source is a video file, and PyAV is not installed
    """
    notes: tuple[str, ...] = ()
    name, rate = "clip", None
    if isinstance(source, tuple) and len(source) == 2:
        source, rate = source[0], fraction(source[1], "fps")
    if isinstance(source, np.ndarray):
        array = _checked(source, name)[first:stop]
    elif isinstance(source, str | os.PathLike):
        path = existing(source, "a video")
        name = str(path)
        if path.is_dir():
            array = _read_folder(path, first, stop)
        elif path.suffix.lower() in (".npy", ".npz"):
            array, rate = _read_arrays(path)
            array = array[first:stop]
        else:
            array, rate, notes = _read_video(path, first, stop)
    else:
        raise InputError(f"clip: expected a file, a folder of PNG frames or an array, got {type(source).__name__}")
    if len(array) == 0:
        raise InputError(f"{name}: expected at least one frame, found none" + " in that range" * (stop is not None))
    if array.nbytes > MAX_BYTES:
        raise _too_long(name, array[0].nbytes)
    return np.ascontiguousarray(array), rate, notes


def fraction(rate: Any, name: str) -> Fraction:
    """A frame rate as a fraction that fits the header; 29.97 and the like become the fractions they stand for."""
    if not isinstance(rate, int | float | Fraction | np.number) or not 1e-3 <= rate <= 1e6:
        raise InputError(f"{name} {quoted(rate)}: expected frames a second, from 0.001 to 1,000,000")
    exact = rate if isinstance(rate, Fraction) else Fraction(float(rate))
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
    """Stack frames of one size, up to the memory limit."""
    kept: list[Array] = []
    for frame in frames:
        if kept and frame.shape != kept[0].shape:
            raise InputError(f"{name}: expected frames of one size, found {kept[0].shape} and {frame.shape}")
        if (len(kept) + 1) * frame.nbytes > MAX_BYTES:
            raise _too_long(name, frame.nbytes)
        kept.append(frame)
    if not kept:
        return np.empty((0, 1, 1, 3), np.uint8)
    array = np.stack(kept)
    return array if array.ndim == 4 else array[..., None]


def _read_folder(path: Path, first: int, stop: int | None) -> Array:
    names = sorted(path.glob("*.png"), key=_natural)
    if not names:
        raise InputError(f"{path}: expected a folder of PNG frames, found none in it")
    return _collected(str(path), map(_read_picture, names[first:stop]))


def _natural(path: Path) -> list[Any]:
    """A sort key that puts frame_10 after frame_9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]


def _read_picture(path: Path) -> Array:
    with picture(path) as opened:
        return np.asarray(opened.convert("L" if opened.mode in ("L", "1") else "RGB"))


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
                raise InputError(f"{path}: expected an array called frames, found {', '.join(rest) or 'none'}")
            rate = float(loaded["fps"]) if "fps" in loaded.files else None
            return _checked(loaded[name], str(path)), None if rate is None else fraction(rate, f"{path}: fps")


def _read_video(path: Path, first: int, stop: int | None) -> tuple[Array, Fraction | None, tuple[str, ...]]:
    av = library("av", "video", path, "PyAV")
    notes = []
    # Playlists refer to other files and URLs, none of which is opened.
    options = {"protocol_whitelist": "file"}
    failure = "expected a video that FFmpeg reads ({reason})"
    with translated(path, failure), av.open(str(path), options=options) as container:
        if container.format.name in ("hls", "concat"):
            raise InputError(f"{path}: expected a video, found a list of others")
        if not container.streams.video:
            raise InputError(f"{path}: expected a video, found no pictures in it")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        rate = stream.average_rate or stream.guessed_rate
        layout = stream.codec_context.format
        if container.streams.audio:
            notes.append("its sound is not stored")
        if len(container.streams.video) > 1:
            notes.append("only the first of its video streams is stored")
        if layout is not None and any(component.bits > 8 for component in layout.components):
            notes.append("its samples are stored with 8 bits")
        array = _collected(str(path), islice(_decoded(container, stream), first, stop))
    return array, fraction(rate, f"{path}: fps") if rate else None, tuple(notes)


def _decoded(container: Any, stream: Any) -> Iterator[Array]:
    for frame in container.decode(stream):
        yield frame.to_ndarray(format="gray" if frame.format.name.startswith("gray") else "rgb24")


# -- writing ---------------------------------------------------------------------------------------------------


def save(decoded: Clip, path: PathLike) -> None:
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
    elif suffix in _CONTAINERS:
        _save_video(decoded, path)
    else:
        raise InputError(f"{path}: expected .mp4, .mkv, .webm, .npy, .npz, .png, or a folder for PNG frames")


def _save_frames(frames: Array, pattern: Path) -> None:
    """Write PNG files numbered from 0, in a folder that is created if needed."""
    try:
        pattern.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"{pattern.parent}: cannot be made ({error.strerror or error})") from error
    for i, frame in enumerate(frames):
        _save_picture(frame, pattern.with_name(re.sub(_NUMBER, lambda match: match[0] % i, pattern.name)))  # noqa: B023


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


def _save_video(clip: Clip, path: Path) -> None:
    av = library("av", "video", path, "PyAV")
    height, width = clip.frames.shape[1:3]
    # All players support 4:2:0, but H.264 has it for even sizes only.
    even = height % 2 == 0 and width % 2 == 0
    names = ("libvpx-vp9",) if path.suffix.lower() == ".webm" else ("libx264", "mpeg4")
    codec = next((name for name in names if _encodes(av, name)), None)
    if codec is None:
        raise InputError(f"{path}: this FFmpeg lacks {' and '.join(names)}; expected a folder for PNG frames, or .npz")
    with atomic_write(path) as temporary:
        try:
            with av.open(str(temporary), "w", format=_CONTAINERS[path.suffix.lower()]) as container:
                stream = container.add_stream(codec, rate=clip.fps)
                stream.width, stream.height = width, height
                stream.pix_fmt = "yuv420p" if even or codec == "mpeg4" else "yuv444p"
                if codec == "mpeg4":
                    stream.codec_context.qmax = 3
                else:
                    stream.options = {"crf": "12", "b": "0"} if codec == "libvpx-vp9" else {"crf": "12"}
                for pixels in clip.frames:
                    layout = "rgb24" if pixels.ndim == 3 else "gray"
                    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=layout)
                    container.mux(stream.encode(frame))
                container.mux(stream.encode())
        except av.FFmpegError as error:
            raise InputError(
                f"{path}: {codec} does not take {width} x {height} pixels at {float(clip.fps):g} fps ({reason(error)})"
            ) from error


def _encodes(av: Any, name: str) -> bool:
    try:
        av.Codec(name, "w")
    except ValueError:  # PyAV's UnknownCodecError
        return False
    return True
