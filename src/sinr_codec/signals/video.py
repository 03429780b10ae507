"""Videos: whatever FFmpeg reads (MP4, Matroska, WebM, ...), folders of PNG frames, and arrays of 8-bit frames.

A clip is a function of time, row and column. There is no motion model: this is here so that a clip can be held by one
network and drawn at any frame rate and size, not to replace a video codec. Large clips are cut into blocks (`Cut`) of
pixels and frames, each with a network of its own.
"""

import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sinr_codec.errors import InputError, MalformedError, MissingExtraError, UnknownIdError
from sinr_codec.files import atomic_write
from sinr_codec.signals import cut as cuts
from sinr_codec.signals import lattice
from sinr_codec.signals.arrays import npy_header, npz_headers
from sinr_codec.signals.base import Fields, Quality, SampledPart
from sinr_codec.signals.cut import Cut
from sinr_codec.signals.grid import Grid
from sinr_codec.signals.levels import Levels, max_error, psnr
from sinr_codec.types import Array, PathLike

VIDEO, VIDEO_IN_BLOCKS = 4, 9
"""The ids of videos among the signals a file can hold: of those in one piece, and of those cut into blocks."""
LARGEST = 1 << 25
"""Pixels of all frames above which `VideoSignal.in_blocks` cuts a clip."""
BLOCK = 256
"""About how many pixels a side, and how many frames, a block has then."""
FADE = 4
"""Pixels and frames on either side of a seam over which blocks are blended."""
LEAST_BLOCK = 16
"""Pixels and frames of the smallest blocks that may be asked for."""
MAX_BYTES = 1 << 30
"""Raw frames that are read; they are held in memory."""
DEFAULT_FPS = Fraction(25)
"""Of arrays and folders, which do not tell."""
BEST_PSNR = 100.0
"""What a frame without error counts in the mean, in dB."""
_MAX_SIDE = 2**31 - 1
_GRID = Grid()  # centres of samples, each axis on [-1, 1]

Region = Sequence[tuple[int, int]]
Rate = int | float | Fraction


class Clip(NamedTuple):
    """Frames and their rate; a plain (frames, fps) serves as well as a source.

    Attributes
    ----------
    frames
        uint8 (T, H, W, 3) in RGB, or (T, H, W) in grey.
    fps
        Frames a second.
    """

    frames: Array
    fps: Fraction

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the frames."""
        return self.frames.shape


@dataclass(frozen=True)
class VideoSpec:
    """Size and frame rate of a clip: what a decoder needs besides the network.

    Attributes
    ----------
    frames, height, width
        The source's size.
    channels
        3 for RGB, 1 for grey.
    fps
        Frames a second.
    cut
        How it is cut into blocks; None in one piece.
    """

    KIND: ClassVar[str] = "video"
    UNIT: ClassVar[str] = "pixel"
    MEASURE: ClassVar[str] = "PSNR"

    frames: int
    height: int
    width: int
    channels: int
    fps: Fraction
    cut: Cut | None = None

    # -- description ---------------------------------------------------------------------------------------

    @property
    def in_features(self) -> int:
        """Time, row and column."""
        return 3

    @property
    def axes(self) -> tuple[int, ...]:
        """Samples along each coordinate of a network."""
        return self.sizes if self.cut is None else self.cut.extents

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Frames, rows and columns."""
        return self.frames, self.height, self.width

    @property
    def out_features(self) -> int:
        """Values a pixel."""
        return self.channels

    @property
    def parts(self) -> int:
        """A network for each block, or one."""
        return 1 if self.cut is None else self.cut.parts

    @property
    def samples(self) -> int:
        """Pixels of all frames."""
        return self.frames * self.height * self.width

    @property
    def values(self) -> int:
        """Samples of a full decoding."""
        return self.samples * self.channels

    @property
    def side(self) -> bytes:
        """A clip has no side section."""
        return b""

    @property
    def suffix(self) -> str:
        """What players play."""
        return ".mp4"

    @property
    def levels(self) -> Levels:
        """How samples map to values in [-1, 1]."""
        return Levels("uint8", 0.0, 255.0)

    def describe(self) -> dict[str, Any]:
        """Kind, shape, dtype and frame rate, and the blocks by axis where there are any."""
        shape = [*self.sizes] + [3] * (self.channels == 3)
        about = {"type": self.KIND, "shape": shape, "dtype": "uint8", "fps": round(float(self.fps), 3)}
        return about if self.cut is None else about | self.cut.describe()

    def summary(self, decoded: Clip) -> str:
        """Number, size and rate of the frames."""
        count, height, width = decoded.frames.shape[:3]
        colours = "RGB" if self.channels == 3 else "grey"
        return (
            f"{count} frame{'s' * (count != 1)} of {width} x {height} pixels at {float(decoded.fps):g} fps, {colours}"
        )

    def to_header(self) -> list[Any]:
        """[4, frames, height, width, channels, fps numerator, denominator]; of blocks [9, ..., their numbers, fade]."""
        header: list[Any] = [*self.sizes, self.channels, self.fps.numerator, self.fps.denominator]
        return [VIDEO, *header] if self.cut is None else [VIDEO_IN_BLOCKS, *header, *self.cut.counts, self.cut.fade]

    @classmethod
    def from_header(cls, header: Any, side: bytes = b"") -> "VideoSpec":
        """Inverse of `to_header`.

        Raises
        ------
        MalformedError, UnknownIdError : for anything that `to_header` cannot have written
        """
        if side:
            raise MalformedError("video: expected no side section")
        if type(header) is list and len(header) == 11 and header[0] == VIDEO_IN_BLOCKS:
            spec = cls.from_header([VIDEO, *header[1:7]])
            return replace(spec, cut=Cut.from_header(spec.sizes, header[7:10], header[10]))
        if type(header) is not list or len(header) != 7 or not all(type(value) is int for value in header):
            raise MalformedError("video header: expected seven integers: id, frames, height, width, channels and rate")
        if header[0] != VIDEO:
            raise UnknownIdError(f"signal id {header[0]}: not known to this version")
        frames, height, width, channels, numerator, denominator = header[1:]
        sides = {"frames": frames, "height": height, "width": width, "rate": numerator, "rate's divisor": denominator}
        for name, value in sides.items():
            if not 1 <= value <= _MAX_SIDE:
                raise MalformedError(f"video {name}: expected 1 to {_MAX_SIDE}, found {value}")
        if channels not in (1, 3):
            raise MalformedError(f"video channels: expected 1 or 3, found {channels}")
        if math.gcd(numerator, denominator) != 1:
            raise MalformedError(f"video rate: expected a reduced fraction, found {numerator}/{denominator}")
        return cls(frames, height, width, channels, Fraction(numerator, denominator))

    @staticmethod
    def parts_in(header: Any) -> int:
        """Number of networks that a header declares."""
        return VideoSpec.from_header(header).parts

    # -- rendering -----------------------------------------------------------------------------------------

    def render(
        self,
        fields: Fields,
        *,
        scale: float | None = None,
        size: tuple[int, int] | None = None,
        region: Region | None = None,
        fps: Rate | None = None,
    ) -> Clip:
        """Evaluate the network at the pixels of frames, in memory bounded by the result plus a few tiles.

        Parameters
        ----------
        fields
            The networks, coords (t, y, x) -> values (channels); of blocks those outside the region are not decoded.
        scale
            Factor on height and width.
        size
            (h, w) of the result, which shows the whole frame, or the region where there is one.
        region
            ((first, stop), (top, bottom), (left, right)) in source frames and pixels.
        fps
            Frames a second of the result, which lasts as long; default: the source's.

        Raises
        ------
        InputError : a scale, size, region or rate that makes no clip
        LimitError : more values than `fields.max_samples`, before anything is allocated
        """
        rate = self.fps if fps is None else _fraction(fps, "fps")
        faster = float(rate / self.fps)
        sizes = self.sizes
        if size is not None:
            if scale is not None:
                raise InputError("scale and size: expected one of them, not both")
            if not isinstance(size, Sequence) or len(size) != 2:
                raise InputError(f"size {size!r}: expected (height, width), two integers of at least 1")
            # The spans of the region, where there is one, tell how many frames it has at this rate.
            time = lattice.window(sizes, scale=(faster, 1.0, 1.0), region=region, noun="frame or pixel")[0]
            spans = lattice.window(sizes, size=(len(time), *size), region=region, noun="frame or pixel")
            spans = (time, *spans[1:])
        else:
            factor = 1.0 if scale is None else scale
            spans = lattice.window(sizes, scale=(faster, factor, factor), region=region, noun="frame or pixel")
        if self.cut is not None:
            out = cuts.render(fields, self.cut, spans, self.channels, self.levels.to_samples, np.uint8, "pixel")
        else:
            axes = [
                _GRID.axis(s.size, s.size, s.count, start=s.start, stop=s.stop, first=s.first, last=s.last)
                for s in spans
            ]
            out = lattice.render(fields, axes, self.channels, self.levels.to_samples, np.uint8, noun="pixel")
        return Clip(out if self.channels == 3 else out[..., 0], rate)

    # -- files ---------------------------------------------------------------------------------------------

    def save(self, decoded: Clip, path: PathLike) -> None:
        """Write a rendering in the form that the name tells.

        .mp4, .mkv, .mov, .m4v, .avi and .webm are encoded anew, with some loss; .npy and .npz (with fps) hold the
        frames as they are, and so does a folder of PNG files, for a name without extension, or with a number in it
        such as frame_%04d.png. Any other .png is a contact sheet of up to nine frames.

        Raises
        ------
        InputError : an unknown extension, or a format that does not take these frames
        MissingExtraError : PyAV is not installed, and a video is to be written
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


_NUMBER = r"%0?\d*d"
_CONTAINERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".avi": "avi",
    ".webm": "webm",
}
_SHEET = 9


def _save_frames(frames: Array, pattern: Path) -> None:
    """Write PNG files numbered from 0; the folder is made where there is none."""
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
    av = _pyav(path)
    height, width = clip.frames.shape[1:3]
    # 4:2:0 is what all players play, but H.264 has it for even sizes only.
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
                f"{path}: {codec} does not take {width} x {height} pixels at {float(clip.fps):g} fps ({_line(error)})"
            ) from error


def _encodes(av: Any, name: str) -> bool:
    try:
        av.Codec(name, "w")
    except ValueError:  # PyAV's UnknownCodecError
        return False
    return True


# -- reading ---------------------------------------------------------------------------------------------------


class VideoSignal(SampledPart):
    """A clip as samples of a field: coordinates of the pixels of its frames, and values in [-1, 1].

    Attributes
    ----------
    array
        The source's samples, uint8 (T, H, W, C).
    spec
        What a file records.
    notes
        One-line remarks on what reading left out.
    """

    def __init__(
        self,
        array: Array,
        spec: VideoSpec,
        notes: tuple[str, ...] = (),
        axes: Sequence[NDArray[np.float32]] | None = None,
    ) -> None:
        self.array = array
        self.spec = spec
        self.notes = notes
        self.levels, self.peak = spec.levels, 255.0
        self._axes = [_GRID.axis(n, n, n) for n in spec.sizes] if axes is None else axes

    @classmethod
    def load(
        cls,
        source: Any,
        like: VideoSpec | None = None,
        *,
        frames: tuple[int, int] | None = None,
        fps: Rate | None = None,
        block: float | None = None,
    ) -> "VideoSignal":
        """Read a clip.

        Parameters
        ----------
        source
            A video that FFmpeg reads, a `.npy` or `.npz` file, a folder of PNG frames in the order of the numbers in
            their names, an array uint8 (T, H, W), (T, H, W, 1) or (T, H, W, 3), or (array, fps).
        like
            Gives the frame rate where neither the source nor `fps` does; the clip is cut as it is.
        frames
            (first, stop): which frames to take; default: all.
        fps
            Frames a second, where the source does not tell or tells otherwise.
        block
            Cut into blocks of about so many pixels a side, and as many frames, at least `LEAST_BLOCK`; 0 or None: in
            one piece.

        Raises
        ------
        InputError : no such file, no clip, damaged, empty, of another type or shape, or more than `MAX_BYTES`
        MissingExtraError : PyAV is not installed, and a video is to be read
        """
        first, stop = _range(frames)
        cuts.check_block(block, LEAST_BLOCK, "pixels")
        notes: tuple[str, ...] = ()
        name, rate = "clip", None
        if isinstance(source, tuple) and len(source) == 2:
            source, rate = source[0], _fraction(source[1], "fps")
        if isinstance(source, np.ndarray):
            array = _checked(source, name)[first:stop]
        elif isinstance(source, str | os.PathLike):
            path = Path(source)
            name = str(path)
            if path.is_dir():
                array = _read_folder(path, first, stop)
            elif not path.exists():
                raise InputError(f"{path}: no such file")
            elif path.suffix.lower() in (".npy", ".npz"):
                array, rate = _read_arrays(path)
                array = array[first:stop]
            else:
                array, rate, notes = _read_video(path, first, stop)
        else:
            raise InputError(f"clip: expected a file, a folder of PNG frames or an array, got {type(source).__name__}")
        if len(array) == 0:
            raise InputError(
                f"{name}: expected at least one frame, found none" + " in that range" * (frames is not None)
            )
        if array.nbytes > MAX_BYTES:
            raise _too_long(name, array[0].nbytes)
        if fps is not None:
            rate = _fraction(fps, "fps")
        rate = rate or (like.fps if like is not None else DEFAULT_FPS)
        count, height, width, channels = array.shape
        signal = cls(np.ascontiguousarray(array), VideoSpec(count, height, width, channels, rate), notes)
        if like is not None and like.cut is not None and like.cut.sizes == signal.spec.sizes:
            return signal._with(like.cut)
        return signal._with(Cut.into(signal.spec.sizes, int(block), FADE)) if block else signal

    @property
    def in_features(self) -> int:
        """Time, row and column."""
        return 3

    @property
    def out_features(self) -> int:
        """Values a pixel."""
        return self.spec.channels

    @property
    def source_bytes(self) -> int:
        """Bytes of the raw frames."""
        return self.array.nbytes

    @property
    def parts(self) -> Sequence["VideoSignal"]:
        """What each network stands for: the blocks, each with what it fades over, or the whole clip."""
        cut = self.spec.cut
        return [self] if cut is None else [self._block(cut, part) for part in range(cut.parts)]

    def _block(self, cut: Cut, part: int) -> "VideoSignal":
        array = self.array[cut.area(part)]
        frames, height, width = array.shape[:3]
        spec = replace(self.spec, frames=frames, height=height, width=width, cut=None)
        return VideoSignal(array, spec, axes=cut.axes(part))

    def in_blocks(self) -> "VideoSignal":
        """The clip as it is best encoded: in blocks where it has more than `LARGEST` pixels."""
        if len(self) <= LARGEST or self.spec.cut is not None:
            return self
        return self._with(Cut.into(self.spec.sizes, BLOCK, FADE))

    def _with(self, cut: Cut) -> "VideoSignal":
        return VideoSignal(self.array, replace(self.spec, cut=cut if cut.parts > 1 else None), self.notes)

    def __len__(self) -> int:
        return self.spec.samples

    def batch(self, index: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Pixels by number, frame by frame in reading order: coords float32 (n, 3), values float32 (n, channels)."""
        places = np.unravel_index(index, self.array.shape[:3])
        coords = np.stack([axis[place] for axis, place in zip(self._axes, places)], axis=1)
        return coords, self.levels.to_values(self.array[places])

    def quality(self, render: Callable[..., Clip]) -> Quality:
        """Mean PSNR of the frames, that of the worst one, and the largest error; of blocks "seam_db" (`cut.Seams`).

        Raises
        ------
        InputError : the decoded clip has another size
        """
        decoded = render().frames
        if decoded.size != self.array.size or decoded.shape[:3] != self.array.shape[:3]:
            raise InputError(f"decoded clip: expected shape {self.array.shape}, found {decoded.shape}")
        decoded = decoded.reshape(self.array.shape)
        each = [min(psnr(a, b, 255.0), BEST_PSNR) for a, b in zip(self.array, decoded)]
        mean = sum(each) / len(each)
        figures = {"psnr_db": mean, "worst_frame_db": min(each), "max_error": max_error(self.array, decoded)}
        if self.spec.cut is None:
            return Quality(mean, figures)
        seams = cuts.Seams(self.spec.cut)
        for number, (a, b) in enumerate(zip(self.array, decoded)):
            seams.add(np.square(a.astype(np.float64) - b).sum(-1)[None], 0, (number, number + 1))
        return Quality(mean, figures | seams.figures())


def _range(frames: Any) -> tuple[int, int | None]:
    if frames is None:
        return 0, None
    if (
        not isinstance(frames, Sequence)
        or len(frames) != 2
        or not all(isinstance(v, int) for v in frames)
        or not 0 <= frames[0] < frames[1]
    ):
        raise InputError(f"frames {frames!r}: expected (first, stop), integers with 0 <= first < stop")
    return frames[0], frames[1]


def _fraction(rate: Any, name: str) -> Fraction:
    """A frame rate as a fraction that the header holds; 29.97 and the like come out as they are meant."""
    if not isinstance(rate, int | float | Fraction | np.number) or not 1e-3 <= rate <= 1e6:
        raise InputError(f"{name} {rate!r}: expected frames a second, from 0.001 to 1,000,000")
    exact = rate if isinstance(rate, Fraction) else Fraction(float(rate))
    ntsc = Fraction(round(exact * 1001), 1001)
    meant = ntsc.numerator % 1000 == 0 and abs(ntsc / exact - 1) < 2e-5
    return ntsc if meant else exact.limit_denominator(2000)


def _checked(array: Array, name: str) -> Array:
    """Frames (T, H, W, C) of an array source."""
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
    """Stack frames of one size, refusing to fill more memory than is allowed."""
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
    """A key by which frame_10 follows frame_9."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]


def _read_picture(path: Path) -> Array:
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("L" if picture.mode in ("L", "1") else "RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: damaged picture: {_line(error)}") from error


def _read_arrays(path: Path) -> tuple[Array, Fraction | None]:
    """Frames, and the rate where a file of arrays has one by the name of "fps"."""
    if path.suffix.lower() == ".npz":
        npz_headers(path, MAX_BYTES)
    else:
        npy_header(path)
    try:
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return _checked(loaded, str(path)), None
            with loaded:
                rest = [name for name in loaded.files if name != "fps"]
                name = "frames" if "frames" in rest else rest[0] if len(rest) == 1 else None
                if name is None:
                    raise InputError(f"{path}: expected an array called frames, found {', '.join(rest) or 'none'}")
                rate = float(loaded["fps"]) if "fps" in loaded.files else None
                return _checked(loaded[name], str(path)), None if rate is None else _fraction(rate, f"{path}: fps")
    except PermissionError as error:
        raise InputError(f"{path}: permission denied") from error
    except InputError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise what they like on damage
        raise InputError(f"{path}: not a readable file of plain arrays: {_line(error)}") from error


def _read_video(path: Path, first: int, stop: int | None) -> tuple[Array, Fraction | None, tuple[str, ...]]:
    av = _pyav(path)
    notes = []
    try:
        # Playlists name other files: nothing but this one is opened.
        with av.open(str(path), options={"protocol_whitelist": "file"}) as container:
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
    except InputError:
        raise
    except Exception as error:  # FFmpegError, and of damaged metadata UnicodeDecodeError, AttributeError, ...
        raise InputError(f"{path}: expected a video that FFmpeg reads ({_line(error)})") from error
    return array, _fraction(rate, f"{path}: fps") if rate else None, tuple(notes)


def _decoded(container: Any, stream: Any) -> Iterator[Array]:
    for frame in container.decode(stream):
        yield frame.to_ndarray(format="gray" if frame.format.name.startswith("gray") else "rgb24")


def _pyav(path: Path) -> Any:
    try:
        import av
    except ImportError as error:
        raise MissingExtraError(f"{path}: needs PyAV: pip install 'sinr-codec[video]'") from error
    return av


def _line(error: BaseException) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split()) or type(error).__name__
