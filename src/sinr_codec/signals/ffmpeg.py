"""Video files, read and written by FFmpeg through PyAV: upright 8-bit frames, evenly spaced in time."""

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import InputError
from sinr_codec.files import atomic_write
from sinr_codec.signals.metadata import Metadata
from sinr_codec.signals.sources import library, reason, translated
from sinr_codec.types import Array

_NAMES: Final = (
    "mp4 m4v mov qt mkv mk3d webm avi divx mpg mpeg mpe m1v m2v mpv vob ts mts m2ts m2t mxf gxf 3gp 3g2 mj2 wmv asf "
    "flv f4v ogv ogm y4m nut ivf obu dv rm rmvb wtv amv mjpeg mjpg h261 h263 h264 264 avc h265 265 hevc h266 266 vvc "
    "av1 vc1 bik flc fli nsv nuv mlv"
)
READS: Final = tuple(f".{name}" for name in _NAMES.split())
"""Extensions of videos. FFmpeg goes by the content: other names are read, too."""
WRITES: Final = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".avi": "avi",
    ".webm": "webm",
}
"""Containers by extension."""

TRANSPARENT: Final = "its transparency is not stored"

_TEXTS: Final = (
    "title artist album album_artist author composer performer publisher show genre date creation_time location "
    "description synopsis comment copyright"
)
TAGS: Final = tuple(_TEXTS.split())
"""Names of the texts of a container that are kept; others are of the program that wrote it."""

_LISTS: Final = ("hls", "concat", "dash", "imf")  # formats that refer to other files
_DELAYS: Final = ("gif", "apng")  # formats that say how long the last frame is shown
_HDR: Final = (16, 18)  # transfer characteristics PQ and HLG
_RATES: Final = tuple(Fraction(n, d) for n in (24, 25, 30, 50, 60, 120) for d in (1, Fraction(1001, 1000)))
_SAME: Final = Fraction(1, 500)  # relative difference of rates that are the same but for rounded times
_HD: Final = 720  # rows above which players take untagged video for BT.709
_BT709: Final = 1
_BT601: Final = 6


class Footage(NamedTuple):
    """A clip that was read.

    Attributes
    ----------
    frames
        uint8 (T, H, W, C).
    fps
        Frames a second, if known.
    notes
        One-line remarks.
    metadata
        Width and height of a pixel, "pixels", where they differ, and texts by name, "tags".
    """

    frames: Array
    fps: Fraction | None = None
    notes: tuple[str, ...] = ()
    metadata: Metadata = MappingProxyType({})


class Moment(NamedTuple):
    """Time of a frame in seconds, if known, and its duration; and whether its rows are shown as columns."""

    time: Fraction | None
    duration: Fraction
    across: bool = False


# -- reading ---------------------------------------------------------------------------------------------------


def read(
    path: Path, first: int, stop: int | None, collected: Callable[[Iterator[Array]], Array], even: bool
) -> Footage:
    """Frames first to stop - 1 of a file.

    Parameters
    ----------
    path, first, stop
        The file, and a range of its frames.
    collected
        Function that stacks frames in bounded memory.
    even
        Whether frames of varying durations are repeated or left out, so that all last equally long.

    Raises
    ------
    InputError : not a video, damaged, or what `collected` raises
    MissingExtraError : PyAV is not installed
    """
    av = library("av", "video", path, "PyAV")
    # Playlists refer to other files and URLs, none of which is opened.
    options = {"protocol_whitelist": "file"}
    failure = "expected a video that FFmpeg reads ({reason})"
    with translated(path, failure), av.open(str(path), options=options) as container:
        if container.format.name in _LISTS:
            raise InputError(f"{path}: expected a video, found a list of others")
        stream = container.streams.best("video")  # not a cover
        if stream is None:
            raise InputError(f"{path}: expected a video, found no pictures in it")
        stream.thread_type = "AUTO"
        notes = _omitted(container, stream)
        moments: list[Moment] = []
        frames = islice(container.decode(stream), first, stop)
        array = collected(_upright(frame, moments, notes) for frame in frames)
        stated = map(_exact, (stream.average_rate, stream.guessed_rate, stream.base_rate))
        rates = [rate for rate in stated if rate]
        rate, shown = rates[0] if rates else None, None
        if even and len(array):
            rate, shown = evenly(moments, rates, container.format.name in _DELAYS)
        metadata = _metadata_of(container, stream, bool(moments) and moments[0].across)
    if shown is not None:
        array = collected(array[i] for i in shown)
        notes.append(repeated(rate))
    return Footage(array, rate, tuple(dict.fromkeys(notes)), metadata)


def _metadata_of(container: Any, stream: Any, across: bool) -> dict[str, Any]:
    """Sides of a pixel that is not square, and the texts of a container; with `across`, rows are shown as columns."""
    found: dict[str, Any] = {}
    aspect = _exact(stream.sample_aspect_ratio)
    if aspect and aspect != 1:
        sides = [aspect.numerator, aspect.denominator]
        found["pixels"] = sides[::-1] if across else sides
    texts = {name.lower(): text for name, text in {**stream.metadata, **container.metadata}.items()}
    if tags := {name: texts[name] for name in TAGS if texts.get(name)}:
        found["tags"] = tags
    return found


def repeated(rate: Fraction | None) -> str:
    """The remark on frames that `evenly` repeats or leaves out."""
    return f"frames of varying durations are repeated or left out, for {float(rate or 0):g} frames a second"


def _exact(ratio: Any) -> Fraction:
    """A ratio of PyAV, which has had several types for it; 0 for an unknown one."""
    return Fraction(ratio.numerator, ratio.denominator) if ratio else Fraction(0)


def _omitted(container: Any, stream: Any) -> list[str]:
    """Remarks on what is not stored, as far as the container tells."""
    notes = []
    if container.streams.audio:
        notes.append("its sound is not stored")
    if len(container.streams.video) > 1:
        notes.append("only the first of its video streams is stored")
    if container.streams.subtitles:
        notes.append("its subtitles are not stored")
    layout = stream.codec_context.format
    if layout is not None and any(component.bits > 8 for component in layout.components):
        notes.append("its samples are stored with 8 bits")
    if stream.metadata.get("alpha_mode") == "1":
        notes.append(TRANSPARENT)
    return notes


def _upright(frame: Any, moments: list[Moment], notes: list[str]) -> Array:
    """Samples of a frame as it is displayed, (H, W) or (H, W, 3); its moment and remarks are added to the lists."""
    if frame.interlaced_frame:
        notes.append("its fields are stored in pairs, as frames")
    if frame.color_trc in _HDR:
        notes.append("its high dynamic range is stored in 8 bits as it is, without tone mapping")
    if frame.format.name.startswith("gray"):
        array = frame.to_ndarray(format="gray")
    elif any(component.is_alpha for component in frame.format.components):
        array = frame.to_ndarray(format="rgba")
        if (array[..., 3] < 255).any():
            notes.append(TRANSPARENT)
        array = array[..., :3]
    else:
        array = frame.to_ndarray(format="rgb24")
    across = False
    if (matrix := _display_matrix(frame)) is not None:
        array, across = _turned(array, matrix)
    base = _exact(frame.time_base)
    moments.append(Moment(frame.pts * base if base and frame.pts is not None else None, frame.duration * base, across))
    return array


def _display_matrix(frame: Any) -> Array | None:
    """The display matrix of a frame, (3, 3); None if it has none."""
    try:
        matrix = frame.side_data.get("DISPLAYMATRIX")
    except (
        ValueError
    ):  # PyAV does not know other data of the frame, such as EXIF, but knows its rotation (no mirror image)
        cosine, sine = (round(part(math.radians(frame.rotation))) for part in (math.cos, math.sin))
        return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    return None if matrix is None else np.frombuffer(bytes(matrix), np.int32)[:9].reshape(3, 3)


def _turned(array: Array, matrix: Array) -> tuple[Array, bool]:
    """A picture (H, W, ...) under a display matrix, in the nearest of the eight right-angled positions.

    The matrix, (3, 3), takes row vectors (x, y, 1), x right and y down, to others in the same directions. The
    second result tells whether rows become columns.
    """
    (a, b), (c, d) = matrix[:2, :2].tolist()
    across = abs(b) + abs(c) > abs(a) + abs(d)
    array, x, y = (np.swapaxes(array, 0, 1), c, b) if across else (array, a, d)
    return array[:: -1 if y < 0 else 1, :: -1 if x < 0 else 1], across


def evenly(
    moments: Sequence[Moment], stated: Sequence[Fraction], delays: bool
) -> tuple[Fraction | None, NDArray[np.int64] | None]:
    """The frame rate, and the frame that each tick of its clock shows; None where that is one after the other.

    Rates that the file states come before usual ones, and these before that of the intervals. As with FFmpeg's filter
    `fps`, a frame belongs to the tick that is nearest to its time. With `delays`, the last frame is shown for its
    duration.
    """
    times = [moment.time for moment in moments if moment.time is not None]
    intervals = sorted(later - earlier for earlier, later in pairwise(times))
    if len(times) < len(moments) or not intervals or intervals[0] <= 0:
        return stated[0] if stated else None, None  # there are no times, or senseless ones
    median = intervals[(len(intervals) - 1) // 2]
    common = [interval for interval in intervals if median / 2 <= interval <= median * 3 / 2]
    mean = len(common) / sum(common, Fraction(0))  # times may be rounded to milliseconds
    usual = sorted((rate for rate in _RATES if abs(rate / mean - 1) < _SAME), key=lambda rate: abs(rate - mean))
    rates = [*stated, *usual, mean]
    hold = moments[-1].duration if delays else Fraction(0)
    for most in (Fraction(1, 4), Fraction(1, 2)):
        for rate in rates:
            off = max(abs((time - times[0]) * rate - i) for i, time in enumerate(times))
            if off < most and hold * rate < Fraction(3, 2):
                return rate, None
    rate = next(rate for rate in rates if abs(rate / mean - 1) < _SAME)
    ticks = [round((time - times[0]) * rate) for time in times]
    ticks.append(ticks[-1] + max(1, round(hold * rate)))
    return rate, np.repeat(np.arange(len(times)), np.diff(ticks))


# -- writing ---------------------------------------------------------------------------------------------------


def write(frames: Array, fps: Fraction, path: Path, metadata: Metadata) -> None:
    """Write frames, uint8 (T, H, W, 3) or (T, H, W), as H.264, or VP9 in WebM, with colours at half the resolution.

    H.264 has only even sizes at that: others get a row or column more, a copy of the last. The file states its matrix,
    BT.709 for HD and BT.601 for smaller pictures, which is what players assume, too. Of the metadata, what the
    container holds is written.

    Raises
    ------
    InputError : this FFmpeg has no such encoder, or the encoder does not take such frames
    MissingExtraError : PyAV is not installed
    """
    av = library("av", "video", path, "PyAV")
    suffix = path.suffix.lower()
    names = ("libvpx-vp9",) if suffix == ".webm" else ("libx264", "mpeg4")
    codec = next((name for name in names if _encodes(av, name)), None)
    if codec is None:
        raise InputError(f"{path}: this FFmpeg lacks {' and '.join(names)}; expected a folder for PNG frames, or .npz")
    height, width = frames.shape[1:3]
    bottom, right = (height % 2, width % 2) if codec == "libx264" else (0, 0)
    matrix = _BT709 if height >= _HD else _BT601
    layout = {
        "format": "yuv420p",
        "src_color_range": "JPEG",
        "dst_color_range": "MPEG",
        "dst_colorspace": "ITU709" if matrix == _BT709 else "ITU601",
    }
    with atomic_write(path) as temporary:
        try:
            with av.open(str(temporary), "w", format=WRITES[suffix]) as container:
                stream = container.add_stream(codec, rate=fps)
                stream.width, stream.height, stream.pix_fmt = width + right, height + bottom, "yuv420p"
                context = stream.codec_context
                context.colorspace, context.color_range = matrix, 1
                context.color_primaries = context.color_trc = _BT709  # those of sRGB, or nearly
                if aspect := _aspect(metadata):
                    context.sample_aspect_ratio = aspect
                container.metadata.update(_texts(metadata))
                if codec == "mpeg4":
                    context.qmax = 3
                else:
                    stream.options = {"crf": "12", "b": "0"} if codec == "libvpx-vp9" else {"crf": "12"}
                for pixels in frames:
                    shown = np.broadcast_to(pixels[..., None], (*pixels.shape, 3)) if pixels.ndim == 2 else pixels
                    shown = np.pad(shown, ((0, bottom), (0, right), (0, 0)), "edge")
                    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(shown), format="rgb24")
                    container.mux(stream.encode(frame.reformat(**layout)))
                container.mux(stream.encode())
        except av.FFmpegError as error:
            raise InputError(
                f"{path}: {codec} does not take {width} x {height} pixels at {float(fps):g} fps ({reason(error)})"
            ) from error


def _aspect(metadata: Metadata) -> Fraction | None:
    """Width of a pixel over its height, where the metadata tell."""
    match metadata.get("pixels"):
        case [int(width), int(height)] if 0 < width < 1 << 16 and 0 < height < 1 << 16:
            return Fraction(width, height)
    return None


def _texts(metadata: Metadata) -> dict[str, str]:
    tags = metadata.get("tags")
    known = tags.items() if isinstance(tags, dict) else ()
    return {name: text for name, text in known if name in TAGS and isinstance(text, str) and "\0" not in text}


def _encodes(av: Any, name: str) -> bool:
    try:
        av.Codec(name, "w")
    except ValueError:  # PyAV's UnknownCodecError
        return False
    return True
