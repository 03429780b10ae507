"""Pictures: anything Pillow opens, and NumPy arrays of 1 to 4 channels.

A picture becomes values in [-1, 1] (its dtype's range, or for 16-bit, 32-bit and float samples the range that
occurs) over a `Grid`. `ImageSpec` is what a file records and all that a decoder needs.
"""

import contextlib
import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from sinr_codec.errors import InputError, LimitError, MalformedError, UnknownIdError
from sinr_codec.files import atomic_write
from sinr_codec.signals.grid import Grid
from sinr_codec.signals.tiles import map_tiles

Array = NDArray[Any]
Apply = Callable[[NDArray[np.float32]], Array]
Region = tuple[int, int, int, int]
Source = str | os.PathLike[str] | Image.Image | Array

MAX_SAMPLES = 2**30
"""Values (pixels x channels) that a renderer fills unless it is told otherwise."""
TILE = 2048
"""Pixels evaluated at once: a few MB of activations at common widths, which stay in the cache."""
_MAX_SIDE = 2**31 - 1
IMAGE = 0
"""The id of pictures among the signals a file can hold."""

# Pillow's modes by their number in the header: name, dtype, channels. A picture with a palette is a signal of
# its colours (P: RGB, with transparency RGBA); the palette is made anew on decoding.
_MODES: dict[int, tuple[str, str, int]] = {
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
    12: ("LAB", "uint8", 3),
    13: ("HSV", "uint8", 3),
}
# Arrays that are none of these: 64 + 8 * dtype + channels, or + 0 for an array without a channel axis.
_ARRAY, _PLANE = "array", "plane"
_DTYPES = ("uint8", "bool", "uint16", "int32", "float32", "float64")
_RANGED = ("uint16", "int32", "float32", "float64")
_READ_AS = {"La": "LA", "RGBa": "RGBA", "RGBX": "RGB", "PA": "RGBA"}
_PEAK = {"uint8": 255.0, "bool": 1.0, "uint16": 65535.0}


@dataclass(frozen=True)
class ImageSpec:
    """Shape, sample type and conventions of a picture: what a decoder needs besides the field.

    Attributes
    ----------
    height, width, channels
        The source's size in pixels and its values a pixel, 1..4.
    dtype
        NumPy name of the sample type.
    mode
        Pillow's mode, or "plane" (H, W) and "array" (H, W, C) for arrays that no mode describes.
    low, high
        The sample values that map to -1 and +1.
    colours
        Number of colours of the source's palette, 0 where it had none.
    grid
        Where the pixels lie in the field's domain.
    """

    height: int
    width: int
    channels: int
    dtype: str
    mode: str
    low: float = 0.0
    high: float = 255.0
    colours: int = 0
    grid: Grid = field(default_factory=Grid)

    # -- description ---------------------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the source as an array: (H, W), or (H, W, C) where it has a channel axis."""
        return self.array_shape(self.height, self.width)

    @property
    def in_features(self) -> int:
        """A pixel has two coordinates."""
        return 2

    @property
    def out_features(self) -> int:
        """Values a pixel."""
        return self.channels

    @property
    def peak(self) -> float:
        """Peak of the PSNR: the dtype's range, or for 32-bit and float samples the range that occurs."""
        return _PEAK.get(self.dtype, self.high - self.low or 1.0)

    def array_shape(self, height: int, width: int) -> tuple[int, ...]:
        """Shape of a rendering of that many pixels."""
        flat = self.channels == 1 and self.mode != _ARRAY
        return (height, width) if flat else (height, width, self.channels)

    def psnr_of_mse(self, mse: float) -> float:
        """PSNR in dB that a mean squared error on values in [-1, 1] stands for, before rounding."""
        span = self.high - self.low
        if mse <= 0 or span == 0:
            return math.inf
        return 10 * math.log10((2 * self.peak / span) ** 2 / mse)

    @property
    def pillow_mode(self) -> str | None:
        """Mode of the decoded picture, or None for an array that none of Pillow's modes describes."""
        return None if self.mode in (_ARRAY, _PLANE) else self.mode

    @property
    def suffix(self) -> str:
        """File name extension of the simplest format that holds this mode without loss."""
        if self.mode in ("RGB", "L", "RGBA", "LA", "1", "P", "I;16"):
            return ".png"
        return ".npy" if self.pillow_mode in (None, "HSV") else ".tif"

    def to_header(self) -> list[Any]:
        """[0, height, width, mode, grid] + [low, high] of ranged samples or + [colours] of a palette."""
        if self.pillow_mode is None:
            mode = 64 + 8 * _DTYPES.index(self.dtype) + (self.channels if self.mode == _ARRAY else 0)
        else:
            mode = next(k for k, v in _MODES.items() if v == (self.mode, self.dtype, self.channels))
        header: list[Any] = [IMAGE, self.height, self.width, mode, self.grid.to_header()]
        if self.dtype in _RANGED:
            integers = not self.dtype.startswith("float")
            header += [int(self.low), int(self.high)] if integers else [float(self.low), float(self.high)]
        elif self.mode == "P":
            header.append(self.colours)
        return header

    @classmethod
    def from_header(cls, header: Any) -> "ImageSpec":
        """Inverse of `to_header`.

        Raises
        ------
        MalformedError, UnknownIdError : for anything that `to_header` cannot have written
        """
        if type(header) is not list or not header or type(header[0]) is not int:
            raise MalformedError("signal header: expected a list that starts with the signal's id")
        if header[0] != IMAGE:
            raise UnknownIdError(f"signal id {header[0]}: not known to this version")
        if len(header) < 5:
            raise MalformedError("image header: expected a list of id, height, width, mode and grid")
        height, width, number = header[1:4]
        for name, value in (("height", height), ("width", width)):
            if type(value) is not int or not 1 <= value <= _MAX_SIDE:
                raise MalformedError(f"image {name}: expected 1 to {_MAX_SIDE}, found {value!r}")
        mode, dtype, channels = _mode_of(number)
        spec = cls(height, width, channels, dtype, mode, grid=Grid.from_header(header[4]))
        rest = header[5:]
        if dtype in _RANGED:
            low, high = _range_of(rest, dtype)
            return replace(spec, low=low, high=high)
        if mode == "P":
            if len(rest) != 1 or type(rest[0]) is not int or not 1 <= rest[0] <= 256:
                raise MalformedError(f"image palette: expected its size from 1 to 256, found {rest!r}")
            return replace(spec, colours=rest[0])
        if rest:
            raise MalformedError(f"image header: {len(rest)} unexpected trailing values")
        return replace(spec, high=1.0) if dtype == "bool" else spec

    # -- values --------------------------------------------------------------------------------------------

    def to_values(self, samples: Array) -> NDArray[np.float32]:
        """Samples of the source's dtype mapped linearly from [low, high] to float32 in [-1, 1]."""
        span = self.high - self.low
        if span == 0:
            return np.zeros(samples.shape, np.float32)
        wide = samples.astype(self._work) - self.low
        return (wide * (2 / span) - 1).astype(np.float32)

    def to_samples(self, values: Array) -> Array:
        """Inverse of `to_values`: clipped to [low, high] (NaN becomes `high`), rounded half to even."""
        # fmin and fmax drop a NaN, which a damaged network may put out, where clip would keep it.
        unit = np.fmax(np.fmin(values, 1), -1).astype(self._work, copy=False)
        samples = (unit + 1) * ((self.high - self.low) / 2) + self.low
        if self.dtype == "bool":
            return samples > 0.5
        if not self.dtype.startswith("float"):
            samples = np.rint(samples)
        return np.clip(samples, self.low, self.high).astype(self.dtype)

    @property
    def _work(self) -> type[np.floating[Any]]:
        """Eight bits fit float32; the range of other samples may not."""
        return np.float32 if self.dtype in ("uint8", "bool") else np.float64

    # -- rendering -----------------------------------------------------------------------------------------

    def render(
        self,
        apply: Apply,
        *,
        scale: float | None = None,
        size: tuple[int, int] | None = None,
        region: Region | None = None,
        threads: int | None = None,
        tile: int = TILE,
        max_samples: int = MAX_SAMPLES,
    ) -> Array:
        """Evaluate a field on a grid of pixels, in memory bounded by the result plus a few tiles.

        Parameters
        ----------
        apply
            The field, coords float32 (n, 2) -> values (n, channels); called from several threads at once.
        scale
            Factor on the source's size; with a region the result is that part of the whole at this scale.
        size
            (h, w) of the result, which shows the whole picture, or the region where there is one.
        region
            (left, top, right, bottom) in source pixels, as in Pillow's `crop`.
        threads
            Tiles computed at once; default: the cores this process may use.
        tile
            Pixels a call of `apply`.
        max_samples
            Largest number of values (pixels x channels) to fill.

        Returns
        -------
        (h, w) or (h, w, C) in the source's dtype

        Raises
        ------
        InputError : a scale, size or region that makes no picture
        LimitError : more values than `max_samples`, before anything is allocated
        """
        window = self._window(scale, size, region, max_samples)
        h, w = window.shape
        out = np.empty((h, w, self.channels), self.dtype)
        for top, left, block in self._tiles(apply, window, threads, tile):
            out[top : top + block.shape[0], left : left + block.shape[1]] = block
        return out.reshape(self.array_shape(h, w))

    def _window(
        self, scale: float | None, size: tuple[int, int] | None, region: Region | None, limit: int
    ) -> "_Window":
        """Which samples of which axes a rendering needs; checked before anything is allocated."""
        if region is not None and not _integers(region, 4):
            raise InputError(f"region {region!r}: expected (left, top, right, bottom), four integers")
        left, top, right, bottom = (0, 0, self.width, self.height) if region is None else region
        if not (0 <= left < right <= self.width and 0 <= top < bottom <= self.height):
            raise InputError(
                f"region {left},{top},{right},{bottom}: expected left < right <= {self.width} "
                f"and top < bottom <= {self.height}"
            )
        if scale is not None and size is not None:
            raise InputError("scale and size: expected one of them, not both")
        ranges = ((self.height, top, bottom), (self.width, left, right))
        if size is not None:
            if not (_integers(size, 2) and min(size) >= 1):
                raise InputError(f"size {size!r}: expected (height, width), two integers of at least 1")
            spans = [_Span(n, count, start, stop, 0, count) for count, (n, start, stop) in zip(size, ranges)]
        else:
            factor = 1.0 if scale is None else scale
            if not (isinstance(factor, int | float) and 0 < factor < 2**31):
                raise InputError(f"scale {factor!r}: expected a number above 0")
            spans = [_scaled(n, start, stop, factor) for n, start, stop in ranges]
        window = _Window(spans[0], spans[1])
        h, w = window.shape
        if h * w * self.channels > limit:
            raise LimitError(
                f"a picture of {h}x{w} pixels, {self.channels} values each: above the limit of {limit} values"
            )
        return window

    def _tiles(
        self, apply: Apply, window: "_Window", threads: int | None, tile: int
    ) -> Iterator[tuple[int, int, Array]]:
        """(top, left, samples) of tiles in reading order: some whole rows each, or part of one long row."""
        longest = max(self.height, self.width)
        rows, columns = (
            self.grid.axis(s.size, longest, s.count, start=s.start, stop=s.stop, first=s.first, last=s.last)
            for s in (window.rows, window.columns)
        )
        w = min(len(columns), tile)
        h = max(1, tile // w)

        def compute(corner: tuple[int, int]) -> tuple[int, int, Array]:
            top, left = corner
            coords = self.grid.points(rows[top : top + h, None], columns[None, left : left + w])
            # A damaged network may overflow; the samples are clipped below.
            with np.errstate(all="ignore"):
                values = np.asarray(apply(coords.reshape(-1, 2)))
            if values.shape != (coords.shape[0] * coords.shape[1], self.channels):
                raise MalformedError(f"field: expected {self.channels} values a pixel, found {values.shape}")
            return top, left, self.to_samples(values).reshape(*coords.shape[:2], self.channels)

        corners = ((top, left) for top in range(0, len(rows), h) for left in range(0, len(columns), w))
        yield from map_tiles(compute, corners, threads)

    # -- files and Pillow images ---------------------------------------------------------------------------

    def image(self, array: Array) -> Image.Image:
        """A Pillow image in the source's mode from a rendering (h, w) or (h, w, C) in the source's dtype."""
        h, w = array.shape[:2]
        if self.pillow_mode is None:
            kind = f"{self.channels}-channel {self.dtype}"
            raise InputError(f"{kind} array: Pillow has no mode for it; expected an output named *.npy")
        if self.mode == "P":
            picture = Image.fromarray(array)
            method = Image.Quantize.MEDIANCUT if self.channels == 3 else Image.Quantize.FASTOCTREE
            return picture.quantize(self.colours, method, dither=Image.Dither.NONE)
        if self.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
            return Image.frombytes(self.mode, (w, h), np.ascontiguousarray(array).tobytes())
        return Image.fromarray(array)

    def save(self, array: Array, path: str | os.PathLike[str], **options: Any) -> None:
        """Write a rendering in the source's mode; the extension names the format, *.npy keeps the array.

        Raises `InputError` where the format is unknown or cannot hold the mode.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix == ".npy":
            with atomic_write(path) as temporary:
                np.save(temporary, array, allow_pickle=False)
            return
        Image.init()
        name = Image.EXTENSION.get(suffix)
        if name is None or name not in Image.SAVE:
            raise InputError(f"{path}: expected an extension of a format that Pillow writes, such as .png")
        picture = self.image(array)
        if name == "JPEG":
            options = {"quality": 95, "subsampling": 0} | options
        with atomic_write(path) as temporary:
            try:
                picture.save(temporary, name, **options)
            except (OSError, ValueError, KeyError) as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise
                raise InputError(
                    f"{path}: {name} does not hold a picture of mode {self.mode}; expected {self.suffix}"
                ) from error


@dataclass(frozen=True)
class _Span:
    """Samples first..last-1 of the `count` that cover source pixels [start, stop) of an axis of `size`."""

    size: int
    count: int
    start: int
    stop: int
    first: int
    last: int


@dataclass(frozen=True)
class _Window:
    rows: _Span
    columns: _Span

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.last - self.rows.first, self.columns.last - self.columns.first


def _scaled(size: int, start: int, stop: int, scale: float) -> _Span:
    count = max(1, round(size * scale))
    first = min(round(start * count / size), count - 1)
    return _Span(size, count, 0, size, first, max(round(stop * count / size), first + 1))


def _integers(values: Any, count: int) -> bool:
    """Whether these are so many integers, NumPy's included."""
    return (
        isinstance(values, Sequence) and len(values) == count and all(isinstance(v, int | np.integer) for v in values)
    )


def _mode_of(number: Any) -> tuple[str, str, int]:
    if type(number) is int and number in _MODES:
        return _MODES[number]
    if type(number) is int and 64 <= number < 64 + 8 * len(_DTYPES) and number % 8 < 5:
        channels = number % 8
        return _ARRAY if channels else _PLANE, _DTYPES[(number - 64) // 8], channels or 1
    raise UnknownIdError(f"image mode {number!r}: not known to this version")


def _range_of(values: list[Any], dtype: str) -> tuple[float, float]:
    """The recorded range of ranged samples, validated: two numbers of the dtype, in order, finite."""
    if dtype.startswith("float"):
        bound = float(np.finfo(dtype).max)
        fits = len(values) == 2 and all(type(v) is float and abs(v) <= bound for v in values)
    else:
        bounds = np.iinfo(dtype)
        fits = len(values) == 2 and all(type(v) is int and bounds.min <= v <= bounds.max for v in values)
    if not fits or not values[0] <= values[1] or not math.isfinite(values[1] - values[0]):
        raise MalformedError(f"image value range: expected two ordered {dtype} numbers, found {values!r}")
    return float(values[0]), float(values[1])


class ImageSignal:
    """A picture as samples of a field: coordinates of its pixels and values in [-1, 1].

    Attributes
    ----------
    array
        The source's samples, (H, W, C).
    spec
        What a decoder needs.
    notes
        One-line remarks on what reading left out, such as further frames.
    """

    def __init__(self, array: Array, spec: ImageSpec, notes: tuple[str, ...] = ()) -> None:
        self.array = array
        self.spec = spec
        self.notes = notes
        longest = max(spec.height, spec.width)
        self._rows = spec.grid.axis(spec.height, longest, spec.height)
        self._columns = spec.grid.axis(spec.width, longest, spec.width)

    @classmethod
    def load(cls, source: Source, grid: Grid | None = None) -> "ImageSignal":
        """Read a picture from a file that Pillow opens, a `.npy` file, a Pillow image or an array.

        EXIF orientation is applied; of an animation the first frame is taken; colours of a palette become RGB
        or RGBA. Arrays are (H, W) or (H, W, C), C in 1..4, of uint8, bool, uint16, int32, float32 or float64.

        Raises
        ------
        InputError : no such file, not a picture, damaged, empty, or an array of another shape or type
        """
        grid = grid or Grid()
        if isinstance(source, np.ndarray):
            return cls._from_array(source, grid, "array")
        if isinstance(source, Image.Image):
            return cls._from_picture(source, grid, "image")
        path = Path(source)
        if path.is_dir():
            raise InputError(f"{path}: expected a picture, found a directory")
        if not path.exists():
            raise InputError(f"{path}: no such file")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: expected a picture, found an empty file")
        if path.suffix.lower() == ".npy":
            return cls._from_array(_read_npy(path), grid, str(path))
        with _reading(path), Image.open(path) as picture:
            picture.load()
            return cls._from_picture(picture, grid, str(path))

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
            mode = next((m for m, d, c in _MODES.values() if (d, c) == (dtype, channels)), mode)
        return cls._build(array.reshape(*array.shape[:2], channels), mode, 0, grid, name, ())

    @classmethod
    def _from_picture(cls, picture: Image.Image, grid: Grid, name: str) -> "ImageSignal":
        notes = _remarks(picture)
        if 0 in picture.size:
            raise InputError(f"{name}: expected at least one pixel, found {picture.width}x{picture.height}")
        picture = ImageOps.exif_transpose(picture)
        mode, colours = _READ_AS.get(picture.mode, picture.mode), 0
        if picture.mode.startswith("I;16"):
            mode = "I;16"
        elif picture.mode == "P":
            colours = len(picture.getcolors(256) or ()) or 256
            picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
        elif picture.mode in ("L", "RGB") and picture.has_transparency_data:
            mode = {"L": "LA", "RGB": "RGBA"}[picture.mode]
        if mode not in {m for m, _, _ in _MODES.values()}:
            raise InputError(f"{name}: expected one of Pillow's modes that can be stored, found {mode}")
        if mode not in ("P", "I;16") and mode != picture.mode:
            picture = picture.convert(mode)
        array = np.asarray(picture)
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
        return cls._build(array.reshape(*array.shape[:2], -1), mode, colours, grid, name, notes)

    @classmethod
    def _build(
        cls, array: Array, mode: str, colours: int, grid: Grid, name: str, notes: tuple[str, ...]
    ) -> "ImageSignal":
        height, width, channels = array.shape
        dtype = array.dtype.name
        low, high = 0.0, 1.0 if dtype == "bool" else 255.0
        if dtype in _RANGED:
            low, high = float(array.min()), float(array.max())
            # The least and greatest values are NaN or infinite where any value is.
            if not math.isfinite(low) or not math.isfinite(high) or not math.isfinite(high - low):
                raise InputError(f"{name}: expected finite values in a finite range, found NaN or infinity")
        return cls(array, ImageSpec(height, width, channels, dtype, mode, low, high, colours, grid), notes)

    @property
    def in_features(self) -> int:
        """A pixel has two coordinates."""
        return 2

    @property
    def out_features(self) -> int:
        """Values a pixel."""
        return self.spec.channels

    def __len__(self) -> int:
        return self.spec.height * self.spec.width

    def batch(self, index: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Pixels by number in reading order, int64 (n,): coords float32 (n, 2), values float32 (n, C)."""
        row, column = np.divmod(index, self.spec.width)
        coords = self.spec.grid.points(self._rows[row], self._columns[column])
        return coords, self.spec.to_values(self.array[row, column])

    def loss(self, predicted: Any, values: Any) -> Any:
        """Mean squared error in the units of [-1, 1], on NumPy arrays or torch tensors."""
        return ((predicted - values) ** 2).mean()

    def to_header(self) -> list[Any]:
        """See `ImageSpec.to_header`."""
        return self.spec.to_header()

    def quality(self, decoded: Array) -> float:
        """PSNR in dB of a decoded picture; `InputError` where its shape is not the source's."""
        if decoded.size != self.array.size or decoded.shape[:2] != self.array.shape[:2]:
            raise InputError(f"decoded picture: expected shape {self.spec.shape}, found {decoded.shape}")
        return psnr(self.array, decoded.reshape(self.array.shape), self.spec.peak)


def psnr(a: Array, b: Array, peak: float) -> float:
    """PSNR in dB over all samples of two arrays of one shape, float64; infinite where they are equal."""
    if a.shape != b.shape:
        raise InputError(f"psnr: expected arrays of one shape, found {a.shape} and {b.shape}")
    total = 0.0
    for x, y in zip(_chunks(a), _chunks(b)):
        total += float(np.sum(np.square(x.astype(np.float64) - y.astype(np.float64))))
    if total == 0:
        return math.inf
    return 10 * math.log10(peak * peak * a.size / total)


def _chunks(array: Array, size: int = 1 << 20) -> Iterator[Array]:
    flat = array.reshape(-1)
    return (flat[i : i + size] for i in range(0, flat.size, size))


def _remarks(picture: Image.Image) -> tuple[str, ...]:
    """What Pillow or this codec leaves out of a picture."""
    notes = []
    frames = getattr(picture, "n_frames", 1)
    if frames > 1:
        notes.append(f"only the first of {frames} frames is stored")
    if picture.info.get("icc_profile"):
        notes.append("the colour profile is not stored")
    return tuple(notes)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn whatever Pillow raises on a file that is no picture, or a damaged one, into one line."""
    try:
        with warnings.catch_warnings():
            # Of damaged metadata, and of 100 megapixels, which are no attack: Pillow still refuses twice that.
            warnings.simplefilter("ignore")
            yield
    except (InputError, MemoryError):
        raise
    except Image.DecompressionBombError as error:
        raise InputError(f"{path}: refused as a decompression bomb: {_line(error)}") from error
    except Image.UnidentifiedImageError as error:
        raise InputError(f"{path}: expected a picture that Pillow opens") from error
    except PermissionError as error:
        raise InputError(f"{path}: permission denied") from error
    except Exception as error:  # plug-ins raise SyntaxError, struct.error, EOFError and others
        raise InputError(f"{path}: damaged picture: {_line(error)}") from error


def _line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _read_npy(path: Path) -> Array:
    try:
        array = np.load(path, allow_pickle=False)
    except PermissionError as error:
        raise InputError(f"{path}: permission denied") from error
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: damaged array file: {_line(error)}") from error
    if not isinstance(array, np.ndarray):
        raise InputError(f"{path}: expected a single array")
    return array
