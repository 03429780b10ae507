"""Videos: all formats of FFmpeg (MP4, Matroska, WebM, ...), folders of PNG frames, and arrays of 8-bit frames.

A clip is a function of time, row and column. There is no motion model: the purpose is to represent a clip by one
network and render it at any frame rate and size, not to replace a video codec. Large clips are cut into blocks (`Cut`)
of pixels and frames, each with its own network.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from types import MappingProxyType
from typing import Any, ClassVar, Final

import numpy as np

from sinr_codec.errors import InputError, MalformedError, UnknownIdError
from sinr_codec.fields import Sine
from sinr_codec.signals import cut as cuts
from sinr_codec.signals import ffmpeg, formats, lattice
from sinr_codec.signals.base import Fields, Quality
from sinr_codec.signals.claims import archive, array_header, folder, is_pair_of_array, is_zarr
from sinr_codec.signals.cut import Blocking, Cut
from sinr_codec.signals.ffmpeg import READS
from sinr_codec.signals.grammar import Range, RangeLike, RegionLike, Scale, ScaleLike, Size, SizeLike
from sinr_codec.signals.grids import GridSignal, GridSpec, check_sides
from sinr_codec.signals.kinds import Kind
from sinr_codec.signals.levels import Levels, max_error, psnr
from sinr_codec.signals.metadata import Metadata
from sinr_codec.signals.recipe import Recipe, octaves
from sinr_codec.signals.video_files import Clip, Rate, fraction, no_frames, read, save
from sinr_codec.types import PathLike

VIDEO: Final = 4
VIDEO_IN_BLOCKS: Final = 9
"""Signal ids of videos: in one piece, and in blocks."""
DEFAULT_FPS: Final = Fraction(25)
"""Frame rate of arrays and folders, which do not record it."""
BEST_PSNR: Final = 100.0
"""PSNR in dB assigned to a frame without error, for the mean."""


@dataclass(frozen=True)
class VideoSpec(GridSpec):
    """Size and frame rate of a clip: all that a decoder needs besides the networks.

    Attributes
    ----------
    frames, height, width
        The source's size.
    channels
        3 for RGB, 1 for grey.
    fps
        Frames a second.
    cut
        Division into blocks; None for one piece.
    """

    KIND: ClassVar[str] = "video"
    UNIT: ClassVar[str] = "pixel"

    frames: int
    height: int
    width: int
    channels: int
    fps: Fraction
    cut: Cut | None = None

    # -- description ---------------------------------------------------------------------------------------

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Frames, rows and columns."""
        return self.frames, self.height, self.width

    @property
    def out_features(self) -> int:
        """Values a pixel."""
        return self.channels

    @property
    def suffix(self) -> str:
        """The format that most players support."""
        return ".mp4"

    @property
    def levels(self) -> Levels:
        """Map between samples and values in [-1, 1]."""
        return Levels("uint8", 0.0, 255.0)

    def part(self, sizes: tuple[int, ...]) -> "VideoSpec":
        """See `GridSpec.part`."""
        frames, height, width = sizes
        return self.with_cut(None, frames=frames, height=height, width=width)

    def describe(self) -> dict[str, Any]:
        """Kind, shape, dtype and frame rate, and the blocks by axis if any."""
        shape = [*self.sizes] + [3] * (self.channels == 3)
        return self.described({"type": self.KIND, "shape": shape, "dtype": "uint8", "fps": round(float(self.fps), 3)})

    def summary(self, decoded: Clip) -> str:
        """Number, size and rate of the frames."""
        count, height, width = decoded.frames.shape[:3]
        colours = "RGB" if self.channels == 3 else "grey"
        return (
            f"{count} frame{'s' * (count != 1)} of {width} x {height} pixels at {float(decoded.fps):g} fps, {colours}"
        )

    def to_header(self) -> list[Any]:
        """[4, frames, height, width, channels, fps numerator, denominator]; blocks: [9, ..., by axis, fade]."""
        header: list[Any] = [*self.sizes, self.channels, self.fps.numerator, self.fps.denominator]
        return [VIDEO, *header] if self.cut is None else [VIDEO_IN_BLOCKS, *header, *self.cut.counts, self.cut.fade]

    @classmethod
    def from_header(cls, header: Any, side: bytes = b"") -> "VideoSpec":
        """Inverse of `to_header`.

        Raises
        ------
        MalformedError, UnknownIdError : anything that `to_header` cannot have written
        """
        if side:
            raise MalformedError("video: expected no side section")
        if type(header) is list and len(header) == 11 and header[0] == VIDEO_IN_BLOCKS:
            spec = cls.from_header([VIDEO, *header[1:7]])
            return spec.with_cut(Cut.from_header(spec.sizes, header[7:10], header[10]))
        if type(header) is not list or len(header) != 7 or not all(type(value) is int for value in header):
            raise MalformedError("video header: expected seven integers: id, frames, height, width, channels and rate")
        if header[0] != VIDEO:
            raise UnknownIdError(f"signal id {header[0]}: not known to this version")
        frames, height, width, channels, numerator, denominator = header[1:]
        sides = {"frames": frames, "height": height, "width": width, "rate": numerator, "rate's divisor": denominator}
        check_sides(sides, "video")
        if channels not in (1, 3):
            raise MalformedError(f"video channels: expected 1 or 3, found {channels}")
        if math.gcd(numerator, denominator) != 1:
            raise MalformedError(f"video rate: expected a reduced fraction, found {numerator}/{denominator}")
        return cls(frames, height, width, channels, Fraction(numerator, denominator))

    # -- rendering -----------------------------------------------------------------------------------------

    def render(
        self,
        fields: Fields,
        *,
        scale: ScaleLike | None = None,
        size: SizeLike | None = None,
        region: RegionLike | None = None,
        fps: Rate | None = None,
    ) -> Clip:
        """Evaluate the networks at the pixels of frames, in memory bounded by the result plus a few tiles.

        Parameters
        ----------
        fields
            The networks, coords (t, y, x) -> values (channels); blocks outside the region are not decoded.
        scale
            Factor on height and width, one or two.
        size
            Height and width of the result. It shows the whole frame, or the region where there is one.
        region
            Part of the clip: ((first, stop), (top, bottom), (left, right)) in source frames and pixels.
        fps
            Frames a second of the result, which lasts as long. Default: the source's.

        Raises
        ------
        InputError : a scale, size, region or rate without any frame or pixel
        LimitError : more values than `fields.max_samples`, before anything is allocated
        """
        rate = self.fps if fps is None else fraction(fps, "fps")
        faster = float(rate / self.fps)
        most = fields.max_samples // self.channels
        window = partial(lattice.window, self.sizes, region=region, most=most, noun="pixel")
        if size is None:
            spans = window(scale=(faster, *Scale.parse(1.0 if scale is None else scale).along(2)))
        elif scale is not None:
            raise InputError("scale and size: expected one of them, not both")
        else:
            # The spans of the region, if any, give its number of frames at this rate.
            time = window(scale=(faster, 1.0, 1.0), most=None)[0]
            spans = (time, *window(size=(len(time), *Size.parse(size).along(2, "for height and width")))[1:])
        out = self.evaluate(fields, spans)
        return Clip(out if self.channels == 3 else out[..., 0], rate)

    # -- files ---------------------------------------------------------------------------------------------

    def save(self, decoded: Clip, path: PathLike, *, metadata: Metadata = MappingProxyType({})) -> None:
        """Write a rendering; the name selects the format (`video_files.save`).

        Video files get the tags of the source and, if the proportions are those of the source, its form of pixels.
        """
        height, width = decoded.frames.shape[1:3]
        if abs(height * self.width - width * self.height) > max(self.height, self.width):
            metadata = {name: item for name, item in metadata.items() if name != "pixels"}
        save(decoded, path, metadata)


# -- reading ---------------------------------------------------------------------------------------------------


class VideoSignal(GridSignal[VideoSpec]):
    """A clip, uint8 (T, H, W, C), as samples of a field."""

    BLOCKS = Blocking(least=16, fade=4, noun="pixels", largest=1 << 25, side=256)

    @classmethod
    def load(
        cls,
        source: Any,
        like: VideoSpec | None = None,
        *,
        frames: RangeLike | None = None,
        fps: Rate | None = None,
        block: float | None = None,
        metadata: bool = True,
    ) -> "VideoSignal":
        """Read a clip.

        Parameters
        ----------
        source
            A video that FFmpeg reads, a `.npy` or `.npz` file, a folder of PNG frames in the order of the numbers in
            their names, an array uint8 (T, H, W), (T, H, W, 1) or (T, H, W, 3), or (array, fps).
        like
            A description whose division into blocks is used, and whose frame rate is the default.
        frames
            Range of frames to take, (first, stop). Default: all.
        fps
            Frames a second, where the source does not tell them or is wrong.
        block
            Pixels a side and frames of the blocks, at least 16. 0 keeps the clip in one piece, as None does here;
            `encode` cuts large clips by itself where nothing is given.
        metadata
            Keep the tags of a file, and the form of pixels that are not square.

        Raises
        ------
        InputError : no such file, not a clip, damaged, empty, of another dtype or shape, or more than `MAX_BYTES`
        MissingExtraError : the source is a video file, and PyAV is not installed
        """
        first, stop = _range(frames)
        cls.BLOCKS.check(block)
        found = read(source, first, stop, even=fps is None)
        if like is not None and len(found.frames) != like.frames:
            found = read(source, first, stop, even=False)  # `fps` was named when the file was made
        rate = found.fps if fps is None else fraction(fps, "fps")
        rate = rate or (like.fps if like is not None else DEFAULT_FPS)
        count, height, width, channels = found.frames.shape
        signal = cls(found.frames, VideoSpec(count, height, width, channels, rate), found.notes)
        signal.metadata = found.metadata if metadata else {}
        return signal.cut_like(like, block)

    def quality(self, render: Callable[..., Clip]) -> Quality:
        """Mean PSNR of the frames, that of the worst, and the largest error; for blocks, also "seam_db" (`cut.Seams`).

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
        if self.spec.cut is not None:
            seams = cuts.Seams(self.spec.cut)
            for number, (a, b) in enumerate(zip(self.array, decoded)):
                seams.add(np.square(a.astype(np.float64) - b).sum(-1)[None], 0, (number, number + 1))
            figures |= seams.figures()
        return Quality(mean, figures, {"max_error": "levels"})

    def largest_error(self, render: Callable[..., Any]) -> float:
        """See `GridSignal.largest_error`; renderings are clips."""
        return super().largest_error(lambda region: render(region=region).frames)


def _range(frames: RangeLike | None) -> tuple[int, int | None]:
    if frames is None:
        return 0, None
    first, stop = Range.parse(frames, "frames")
    if not 0 <= first < stop:
        raise InputError(f"frames {first}:{stop}: expected (first, stop), integers with 0 <= first < stop")
    return first, stop


def recognises(source: Any) -> bool:
    """Whether a source is a folder of numbered PNG frames, or a uint8 array (T, H, W, 3), alone or with its rate."""
    if (path := folder(source)) is not None:
        return not is_zarr(path) and no_frames(path) is None
    if is_pair_of_array(source):
        return source[0].ndim >= 3
    if (header := array_header(source)) is None:
        return "frames" in archive(source)
    shape, dtype = header
    return len(shape) == 4 and shape[3] == 3 and dtype == np.uint8


# A SIREN is 5 dB behind at equal bytes. The range of the time axis matters little. Importance sampling costs 0.1 dB.
# The best pyramid of three axes that was tried is 1.4 dB behind, after 900 steps, 3 minutes of one core, on 32 frames.
KIND: Final = Kind(
    "video",
    "a video",
    (VIDEO, VIDEO_IN_BLOCKS),
    VideoSignal,
    VideoSpec,
    Recipe(Sine(30.0), octaves, published=Sine(30.0), rate=0.2, bits=5.6, rated_bits=5.0, db=32.0),
    suffixes=READS,
    recognises=recognises,
    writes=formats.checked({".npy .npz .png": (), "": (), " ".join(ffmpeg.WRITES): formats.VIDEOS}),
)
