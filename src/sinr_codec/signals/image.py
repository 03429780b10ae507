"""Pictures: all formats of Pillow, and NumPy arrays with 1 to 4 channels.

A picture becomes values in [-1, 1] over a `Grid`, scaled from the range of its dtype, or for 16-bit, 32-bit and float
samples from their actual range. `ImageSpec` is the description in the file and all that a decoder needs. Large pictures
are cut into blocks (`Cut`), each with its own network.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Final

import numpy as np
from PIL import Image

from sinr_codec.errors import InputError, MalformedError, UnknownIdError, quoted
from sinr_codec.fields import Sine
from sinr_codec.files import atomic_write
from sinr_codec.signals import alpha, arrays, image_files, image_metadata, sources
from sinr_codec.signals import cut as cuts
from sinr_codec.signals.alpha import Exact
from sinr_codec.signals.base import Fields, Quality
from sinr_codec.signals.claims import array_header, made_by
from sinr_codec.signals.cut import Blocking, Cut
from sinr_codec.signals.grammar import RegionLike, ScaleLike, SizeLike
from sinr_codec.signals.grid import CENTRES, Grid
from sinr_codec.signals.grids import GridSignal, GridSpec, check_sides, id_of
from sinr_codec.signals.kinds import Kind
from sinr_codec.signals.levels import Levels, checked_range, chunks, psnr
from sinr_codec.signals.metadata import Metadata
from sinr_codec.signals.recipe import Recipe, octaves, rotated_octaves
from sinr_codec.types import Array, PathLike

PictureLike = PathLike | Image.Image | Array

IMAGE: Final = 0
IMAGE_IN_BLOCKS: Final = 7
"""Signal ids of pictures: in one piece, and in blocks."""
_SIGNED_LAB: Final = "LAB;signed"  # of files that hold a and b as bytes in two's complement
# Modes by their id in the header: name, dtype, channels; those of Pillow, and three with 16 bits. A picture with a
# palette is coded, and decoded, as its colours (P: RGB, with transparency RGBA).
_MODES: Final[dict[int, tuple[str, str, int]]] = {
    0: ("RGB", "uint8", 3),
    1: ("L", "uint8", 1),
    2: ("RGBA", "uint8", 4),
    3: ("LA", "uint8", 2),
    4: ("1", "bool", 1),
    5: ("P", "uint8", 3),
    6: ("P", "uint8", 4),
    7: ("I;16", "uint16", 1),
    8: ("I", "int32", 1),
    9: ("F", "float32", 1),
    10: ("CMYK", "uint8", 4),
    11: ("YCbCr", "uint8", 3),
    12: ("LAB;signed", "uint8", 3),
    13: ("HSV", "uint8", 3),
    14: ("LAB", "uint8", 3),
    15: ("RGB;16", "uint16", 3),
    16: ("RGBA;16", "uint16", 4),
    17: ("LA;16", "uint16", 2),
}
_EXACT_BIT: Final = 256  # of a mode: the last entry of the header tells which channels need no network
# Other arrays: 64 + 8 * dtype + channels, or + 0 for an array without a channel axis.
_ARRAY: Final = "array"
_PLANE: Final = "plane"
_DTYPES: Final = ("uint8", "bool", "uint16", "int32", "float32", "float64")
_LOOKED_AT: Final = 1 << 22  # most pixels for the directions of a picture's edges
_BANDS: Final = 16
_RANGED: Final = ("uint16", "int32", "float32", "float64")
_WITH_ALPHA: Final = ("RGBA", "LA", "RGBA;16", "LA;16")


@dataclass(frozen=True)
class ImageSpec(GridSpec):
    """Shape, sample type and conventions of a picture: all that a decoder needs besides the networks.

    Attributes
    ----------
    height, width, channels
        The source's size in pixels, and its values a pixel, 1..4.
    dtype
        NumPy name of the sample type.
    mode
        Pillow's mode, or "RGB;16", "RGBA;16" and "LA;16" for 16 bits a sample, which Pillow has in "I;16" alone, or
        "plane" (H, W) and "array" (H, W, C) for arrays that no mode describes. LAB has its neutral colours at 128.
    low, high
        The sample values that map to -1 and +1.
    colours
        Number of colours in the source's palette; 0 for no palette. The samples are colours all the same.
    grid
        Positions of the pixels in the field's domain; the default for a picture in blocks.
    cut
        Division into blocks; None for one piece.
    exact
        For each channel its value if it is constant, its two values if it is an alpha channel with no others, or None;
        empty where nothing is known.
    """

    height: int
    width: int
    channels: int
    dtype: str
    mode: str
    low: float = 0.0
    high: float = 255.0
    colours: int = 0
    grid: Grid = CENTRES
    cut: Cut | None = None
    exact: tuple[Exact, ...] = ()

    KIND: ClassVar[str] = "image"
    UNIT: ClassVar[str] = "pixel"

    # -- description ---------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the source as an array: (H, W), or (H, W, C) where it has a channel axis."""
        return self.array_shape(self.height, self.width)

    @property
    def sizes(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.height, self.width

    @property
    def out_features(self) -> int:
        """Values a pixel."""
        return self.channels

    @property
    def levels(self) -> Levels:
        """Map between samples and values in [-1, 1]."""
        return Levels(self.dtype, self.low, self.high)

    def part(self, sizes: tuple[int, ...]) -> "ImageSpec":
        """See `GridSpec.part`."""
        return self.with_cut(None, height=sizes[0], width=sizes[1])

    def array_shape(self, height: int, width: int) -> tuple[int, ...]:
        """Shape of a rendering with this height and width."""
        flat = self.channels == 1 and self.mode != _ARRAY
        return (height, width) if flat else (height, width, self.channels)

    @property
    def pillow_mode(self) -> str | None:
        """Mode of the decoded picture in Pillow, which has 8 bits for several channels; None for arrays."""
        if self.mode == "P":
            return "RGBA" if self.channels == 4 else "RGB"
        names = {_ARRAY: None, _PLANE: None, _SIGNED_LAB: "LAB", **image_files.WIDE}
        return names.get(self.mode, self.mode)

    @property
    def has_alpha(self) -> bool:
        """Whether the last channel tells how much of the others is seen."""
        return self.mode in _WITH_ALPHA or (self.mode == "P" and self.channels == 4)

    @property
    def suffix(self) -> str:
        """Extension of the simplest lossless format for this mode."""
        if self.pillow_mode in ("RGB", "L", "RGBA", "LA", "1", "I;16"):
            return ".png"
        return ".npy" if self.pillow_mode in (None, "HSV") else ".tif"

    def describe(self) -> dict[str, Any]:
        """Kind, shape, dtype and mode; for a picture in blocks, also the blocks by axis."""
        return self.described({"type": self.KIND, "shape": list(self.shape), "dtype": self.dtype, "mode": self.mode})

    def summary(self, decoded: Array) -> str:
        """Size and mode of a rendering."""
        height, width = decoded.shape[:2]
        return f"{width} x {height} pixels, {self.mode}"

    def to_header(self) -> list[Any]:
        """[0, height, width, mode, grid] + [low, high] for samples with a range, or + [colours] for a palette.

        With channels that are known exactly, the mode has a bit more, and a list of them follows. In blocks,
        [7, height, width, mode, rows, columns, fade] + the same.
        """
        if self.mode in (_ARRAY, _PLANE):
            mode = 64 + 8 * _DTYPES.index(self.dtype) + (self.channels if self.mode == _ARRAY else 0)
        else:
            mode = next(k for k, v in _MODES.items() if v == (self.mode, self.dtype, self.channels))
        mode |= _EXACT_BIT if self.exact else 0
        header: list[Any] = [IMAGE, self.height, self.width, mode, self.grid.to_header()]
        if self.cut is not None:
            header = [IMAGE_IN_BLOCKS, self.height, self.width, mode, *self.cut.counts, self.cut.fade]
        if self.dtype in _RANGED:
            integers = not self.dtype.startswith("float")
            header += [int(self.low), int(self.high)] if integers else [float(self.low), float(self.high)]
        elif self.mode == "P":
            header.append(self.colours)
        if self.exact:
            header.append([list(known) if isinstance(known, tuple) else known for known in self.exact])
        return header

    @classmethod
    def from_header(cls, header: Any, side: bytes = b"") -> "ImageSpec":
        """Inverse of `to_header`.

        Raises
        ------
        MalformedError, UnknownIdError : anything that `to_header` cannot have written
        """
        number = id_of(header)
        if side:
            raise MalformedError("image: expected no side section")
        if number == IMAGE_IN_BLOCKS:
            if len(header) < 7:
                raise MalformedError("image header: expected id, height, width, mode, rows, columns and fade of blocks")
            # The rest is as for one piece, on the default grid.
            spec = cls.from_header([IMAGE, *header[1:4], CENTRES.to_header(), *header[7:]])
            return spec.with_cut(Cut.from_header(spec.sizes, header[4:6], header[6]))
        if number != IMAGE:
            raise UnknownIdError(f"signal id {number}: not known to this version")
        if len(header) < 5:
            raise MalformedError("image header: expected a list of id, height, width, mode and grid")
        height, width = header[1:3]
        check_sides({"height": height, "width": width}, "image")
        known = type(header[3]) is int and bool(header[3] & _EXACT_BIT)
        mode, dtype, channels = _mode_of(header[3] - _EXACT_BIT if known else header[3])
        rest = header[5:]
        exact = _exact_of(rest.pop() if rest else None, dtype, channels) if known else ()
        spec = cls(height, width, channels, dtype, mode, grid=Grid.from_header(header[4]), exact=exact)
        if dtype in _RANGED:
            low, high = checked_range(rest, dtype)
            return replace(spec, low=low, high=high)
        if mode == "P":
            if len(rest) != 1 or type(rest[0]) is not int or not 1 <= rest[0] <= 256:
                raise MalformedError(f"image palette: expected its size from 1 to 256, found {quoted(rest)}")
            return replace(spec, colours=rest[0])
        if rest:
            raise MalformedError(f"image header: {len(rest)} unexpected trailing values")
        return replace(spec, high=1.0) if dtype == "bool" else spec

    # -- rendering -----------------------------------------------------------------------------------------

    def render(
        self,
        fields: Fields,
        *,
        scale: ScaleLike | None = None,
        size: SizeLike | None = None,
        region: RegionLike | None = None,
    ) -> Array:
        """Evaluate the networks on a grid of pixels, in memory bounded by the result plus a few tiles.

        Parameters
        ----------
        fields
            The networks, coords (y, x) -> values (channels); blocks outside the region are not decoded.
        scale
            Factor on the source's size, one or (down, across). With a region the result is that part of the whole at
            this scale.
        size
            Height and width of the result. It shows the whole picture, or the region where there is one.
        region
            Part of the picture: (left, top, right, bottom) in source pixels, as in Pillow's `crop`, or ((top, bottom),
            (left, right)).

        Returns
        -------
        (h, w) or (h, w, C) in the source's dtype

        Raises
        ------
        InputError : a scale, size or region without any pixel
        LimitError : more values than `fields.max_samples`, before anything is allocated
        """
        out = self.evaluate(fields, self.window(fields, scale, size, region))
        return out.reshape(self.array_shape(*out.shape[:2]))

    def _finish(self, values: Array) -> Array:
        """See `GridSpec._finish`."""
        return alpha.applied(self.levels.to_samples(values), self.exact)

    # -- files and Pillow images ---------------------------------------------------------------------------

    def image(self, array: Array, metadata: Metadata = MappingProxyType({})) -> Image.Image:
        """A Pillow image from a rendering (h, w) or (h, w, C) in the source's dtype, in `pillow_mode`.

        Of 16 bits in several channels it has the upper eight. Its `info` has the metadata.
        """
        if self.pillow_mode is None:
            kind = f"{self.channels}-channel {self.dtype}"
            raise InputError(f"{kind} array: Pillow has no mode for it; expected an output named *.npy")
        picture = image_files.image(array, self._colours)
        picture.info.update(image_metadata.info_of(metadata))
        return picture

    @property
    def _colours(self) -> str:
        """The mode of the samples, whose colours are not numbers of a palette."""
        return self.mode if self.mode in (*image_files.WIDE, _SIGNED_LAB) else self.pillow_mode or self.mode

    def save(
        self, decoded: Array, path: PathLike, *, metadata: Metadata = MappingProxyType({}), **options: Any
    ) -> None:
        """Write a rendering in the source's mode; the extension selects the format, *.npy the array.

        Of the metadata, what the format holds is written. PNG, TIFF and WebP keep the samples. Warns of a format that
        does not. Raises `InputError` if the format is unknown or does not support the mode.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix == ".npy":
            with atomic_write(path) as temporary:
                np.save(temporary, decoded, allow_pickle=False)
            return
        if self.pillow_mode is None:
            raise InputError(f"{path}: Pillow has no mode for {self.channels}-channel {self.dtype}; expected *.npy")
        whole = decoded.shape[:2] == self.sizes
        image_files.save(decoded, self._colours, path, self.suffix, metadata, whole, options)


def _mode_of(number: Any) -> tuple[str, str, int]:
    if type(number) is int and number in _MODES:
        return _MODES[number]
    if type(number) is int and 64 <= number < 64 + 8 * len(_DTYPES) and number % 8 < 5:
        channels = number % 8
        return _ARRAY if channels else _PLANE, _DTYPES[(number - 64) // 8], channels or 1
    raise UnknownIdError(f"image mode {quoted(number)}: not known to this version")


def _exact_of(value: Any, dtype: str, channels: int) -> tuple[Exact, ...]:
    """The channels that are known exactly, from a header."""
    most = {"uint8": 255, "uint16": 65535}.get(dtype, -1)

    def known(each: Any) -> Exact:
        pair = each if type(each) is list else [each]
        if each is not None and not (len(pair) <= 2 and all(type(v) is int and 0 <= v <= most for v in pair)):
            raise MalformedError(f"image channel: expected samples of {dtype}, found {quoted(each)}")
        if type(each) is list and not (len(each) == 2 and each[0] < each[1]):
            raise MalformedError(f"image channel: expected two different samples, found {quoted(each)}")
        return tuple(each) if type(each) is list else each

    if type(value) is not list or len(value) != channels or value == [None] * channels:
        raise MalformedError(f"image channels: expected what is known of {channels}, found {quoted(value)}")
    return tuple(map(known, value))


class ImageSignal(GridSignal[ImageSpec]):
    """A picture, (H, W, C), as samples of a field."""

    BLOCKS = Blocking(least=8, fade=4, noun="pixels", largest=1_000_000, side=512)
    """At equal bytes and time, blocks of 512 are 2.5 dB ahead of one network at 3 megapixels. At 1.2 megapixels the two
    are level in 100 s; at 1 megapixel the blocks are 1.2 dB ahead after equal steps. Blocks of 256 are 0.2 dB ahead
    after equal steps, in twice the time; blocks of 128 are 1.3 dB behind."""

    @classmethod
    def load(
        cls,
        source: PictureLike,
        like: ImageSpec | None = None,
        *,
        block: float | None = None,
        metadata: bool = True,
    ) -> "ImageSignal":
        """Read a picture from a file in a format of Pillow, a `.npy` file, a Pillow image or an array.

        EXIF orientation is applied. Only the first frame of an animation is read. Palette colours become RGB or RGBA.
        Colours of pixels with alpha 0 become smooth, and do not count for the quality.
        Arrays are (H, W) or (H, W, C), C in 1..4, of uint8, bool, uint16, int32, float32 or float64; `.npy` files are
        memory-mapped.

        Parameters
        ----------
        source
            The source.
        like
            A description whose grid and division into blocks are used.
        block
            Pixels a side of the blocks, at least 8. 0 keeps the picture in one piece, as None does here; `encode` cuts
            large pictures by itself where nothing is given.
        metadata
            Keep colour profile, EXIF, XMP, resolution, texts and comment.

        Raises
        ------
        InputError : no such file, not a picture, damaged, empty, or an array of another shape or dtype
        """
        cls.BLOCKS.check(block)
        signal = cls._read(source, CENTRES if like is None else like.grid)
        if like is not None:
            signal = signal._as(like)
        if not metadata:
            signal.metadata = {}
        return signal.cut_like(like, block)

    @classmethod
    def _read(cls, source: PictureLike, grid: Grid) -> "ImageSignal":
        if isinstance(source, np.ndarray):
            return cls._from_array(source, grid, "array")
        if isinstance(source, Image.Image):
            return cls._from_samples(image_files.of_image(source), grid, "image")
        path = sources.existing(source, "a picture", folders=False)
        if path.suffix.lower() == ".npy":
            return cls._from_array(arrays.map_npy(path), grid, str(path))
        return cls._from_samples(image_files.read(path), grid, str(path))

    @classmethod
    def _from_array(cls, array: Array, grid: Grid, name: str) -> "ImageSignal":
        if array.ndim not in (2, 3) or (array.ndim == 3 and not 1 <= array.shape[2] <= 4) or 0 in array.shape:
            raise InputError(f"{name}: expected a non-empty (H, W) or (H, W, 1..4), found shape {array.shape}")
        dtype = array.dtype.newbyteorder("=").name
        if dtype not in _DTYPES:
            raise InputError(f"{name}: expected samples of {', '.join(_DTYPES)}, found {array.dtype}")
        array = np.ascontiguousarray(array, dtype=dtype)
        channels = 1 if array.ndim == 2 else array.shape[2]
        mode = _PLANE if array.ndim == 2 else _ARRAY
        if array.ndim == 2 or channels > 1:
            known = (m for m, d, c in _MODES.values() if (d, c) == (dtype, channels) and m not in image_files.WIDE)
            mode = next(known, mode)
        samples = image_files.Samples(array.reshape(*array.shape[:2], channels), mode, is_picture=False)
        return cls._from_samples(samples, grid, name)

    @classmethod
    def _from_samples(cls, read: image_files.Samples, grid: Grid, name: str) -> "ImageSignal":
        bands, found = read.array.shape[2], read.array.dtype
        if bands > 4:
            raise InputError(f"{name}: expected at most four bands, found {bands}; give some of them, or --as volume")
        if found.name not in _DTYPES:
            raise InputError(f"{name}: expected samples of {', '.join(_DTYPES)}, found {found}; convert them")
        if read.mode not in {mode for mode, _, _ in _MODES.values()} | {_ARRAY, _PLANE}:
            raise InputError(f"{name}: expected one of Pillow's modes that can be stored, found {read.mode}")
        array, mode = read.array, read.mode
        height, width, channels = array.shape
        dtype = array.dtype.name
        if dtype.startswith("float") and not all(np.isfinite(part).all() for (part,) in chunks(array)):
            raise InputError(
                f"{name}: expected finite values, found NaN or infinity; fill them, or give a dataset (NetCDF, "
                "xarray), whose missing values are kept"
            )
        spec = ImageSpec(height, width, channels, dtype, mode, 0, 0, read.colours, grid)
        if spec.has_alpha and read.is_picture:
            array = alpha.with_smooth_hidden(array)
        levels = Levels.of(array, name, dtype_range=True)
        exact = alpha.exact_channels(array, spec.has_alpha) if dtype in ("uint8", "uint16") else ()
        signal = cls(array, replace(spec, low=levels.low, high=levels.high, exact=exact), read.notes)
        signal.metadata = read.metadata
        return signal

    def _as(self, like: ImageSpec) -> "ImageSignal":
        """The signal with the samples that a file has of it, where an older version read others."""
        array, spec = self.array, self.spec
        if like.mode == _SIGNED_LAB and spec.mode == "LAB":
            array = array ^ np.array([0, 128, 128], np.uint8)
        if spec.mode in image_files.WIDE and like.dtype == "uint8":
            array = (array >> 8).astype(np.uint8)
        if spec.has_alpha and like.channels == 1:
            array = array[..., :1] > 127 if like.mode == "1" else array[..., :1]
        if array is self.array:
            return self
        changed = type(self)(array, replace(like, cut=None, height=array.shape[0], width=array.shape[1]), self.notes)
        changed.metadata = self.metadata
        return changed

    def suited(self, recipe: Recipe) -> Recipe:
        """The recipe with octaves that turn, unless the picture's edges lie along its axes, as those of buildings do.

        Where they do not, octaves along the axes leave a weave in flat areas, and turning gains 0.2 dB at equal size;
        where they do, it loses 0.5 dB (results/octaves.json).
        """
        if recipe.encoding is not octaves or self.alignment > 0:
            return recipe
        return replace(recipe, encoding=rotated_octaves)

    @property
    def alignment(self) -> float:
        """1 where all gradients lie along the axes, -1 where all are diagonal: the mean of cos 4t over their angles t,
        weighed by their energy; 0 without gradients. Of a large picture, bands of rows are looked at.
        """
        height, width = self.spec.sizes
        rows = max(3, _LOOKED_AT // width // _BANDS)
        starts = range(0, max(height - rows, 0) + 1, max(rows, (height - rows) // _BANDS))
        along = energy = 0.0
        for start in starts:
            grey = self.levels.to_values(self.array[start : start + rows, :, :3]).mean(-1, dtype=np.float64)
            y, x = grey[2:, 1:-1] - grey[:-2, 1:-1], grey[1:-1, 2:] - grey[1:-1, :-2]
            squares = x * x + y * y
            along += float((squares - 8 * x * x * y * y / np.maximum(squares, np.finfo(float).tiny)).sum())
            energy += float(squares.sum())
        return along / energy if energy else 0.0

    def to_samples(self, values: Array) -> Array:
        """See `SampledPart.to_samples`."""
        return self.spec._finish(values)

    def quality(self, render: Callable[..., Array]) -> Quality:
        """PSNR in dB of the decoded picture; `InputError` if its shape or dtype differs from the source's.

        Colours of pixels with alpha 0 count as equal. For blocks, also "seam_db" (`cut.Seams`).
        """
        decoded = render()
        if decoded.size != self.array.size or decoded.shape[:2] != self.array.shape[:2]:
            raise InputError(f"decoded picture: expected shape {self.spec.shape}, found {decoded.shape}")
        if decoded.dtype != self.array.dtype:
            raise InputError(f"against: expected samples of {decoded.dtype}, found {self.array.dtype}")
        decoded = decoded.reshape(self.array.shape)
        if self.spec.has_alpha and (unseen := alpha.hidden(self.array)).any():
            decoded = decoded.copy()
            decoded[unseen, :-1] = self.array[unseen, :-1]
        db = psnr(self.array, decoded, self.peak)
        return Quality(db, {} if self.spec.cut is None else self._seam_figures(self.spec.cut, decoded))

    def _seam_figures(self, cut: Cut, decoded: Array) -> dict[str, float]:
        seams = cuts.Seams(cut)
        for strip in image_files.strips(self.array.shape):
            error = np.square(self.array[strip].astype(np.float64) - decoded[strip]).sum(axis=-1)
            seams.add(error, 0, (strip.start, strip.stop))
        return seams.figures()


def writes(path: PathLike) -> None:
    """Refuse an output that is neither of a format of Pillow nor an array."""
    if Path(path).suffix.lower() != ".npy":
        image_files.format_of(Path(path))


def recognises(source: Any) -> bool:
    """Whether a source is a Pillow image, or an array (H, W) or (H, W, C) with at most four channels."""
    if (header := array_header(source)) is None:
        return made_by(source, "PIL")
    shape, _ = header
    return not (len(shape) == 3 and shape[2] > 4) and len(shape) != 4


# SIRENs without the encoding are 2 to 4 dB behind at equal bytes; they fit 0.1 to 0.6 dB better with omega0 = 45 than
# with 30. Importance sampling gains 0.1 to 0.6 dB after some hundred steps on two pictures. Qualities at given rates
# are guesses, not measurements: pictures differ by a factor of three and more.
KIND: Final = Kind(
    "image",
    "a picture",
    (IMAGE, IMAGE_IN_BLOCKS),
    ImageSignal,
    ImageSpec,
    Recipe(
        Sine(20.0),
        octaves,
        published=Sine(45.0),
        rate=0.3,
        rated_bits=5.2,
        qualities=((24.0, 0.07), (26.0, 0.14), (28.0, 0.27), (30.0, 0.5), (32.0, 0.9), (34.0, 1.6), (36.0, 2.6)),
        method="pyramid",
        fit={"": {"sampling": "error"}},
    ),
    suffixes=(
        ".png",
        ".apng",
        ".jpg",
        ".jpeg",
        ".jfif",
        ".jpe",
        ".webp",
        ".gif",
        ".bmp",
        ".dib",
        ".avif",
        ".jp2",
        ".j2k",
        ".j2c",
        ".jpc",
        ".jpf",
        ".jpx",
        ".tif",
        ".tiff",
        ".mpo",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".pfm",
        ".pcx",
        ".psd",
        ".qoi",
        ".tga",
        ".ico",
        ".icns",
        ".dds",
        ".sgi",
        ".bw",
        ".rgb",
        ".rgba",
        ".msp",
        ".xbm",
        ".xpm",
        ".fits",
    ),
    recognises=recognises,
    writes=writes,
)
