"""The usual codec of each field, to compare with: real bytes, really decoded, searched for the best setting.

A `Codec` is bound to one source; its settings are in order of the size of what they give. Two searches answer what a
comparison asks: the best quality in at most so many bytes, and the fewest bytes for a quality. Several codecs may
share a name (the axes of a volume in another order, a sound at another rate): the best of them counts for the name.
Where there is a choice it is made in favour of the usual codec.
"""

import io
import itertools
import math
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np

from sinr_codec.types import Array

Quality = Callable[[Any], float]

LOSSLESS: Final = 200.0
"""dB that stand for no error at all."""


@dataclass(frozen=True)
class Codec:
    """A codec bound to a source.

    Attributes
    ----------
    name, variant
        What tables call it, and what tells it from others of that name.
    settings
        From those of the smallest file to those of the largest; the order may be wrong by a few steps.
    encode, decode
        ``encode(setting)`` gives the bytes, ``decode(bytes)`` what the quality is measured on.
    """

    name: str
    variant: str
    settings: Sequence[Any]
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]


@dataclass(frozen=True)
class Point:
    """A setting that was tried: bytes, quality in dB, and seconds to encode and decode."""

    codec: str
    setting: str
    bytes: int
    db: float
    seconds: float


@dataclass
class Search:
    """The trials of one codec; each setting is encoded once."""

    codec: Codec
    quality: Quality
    _blobs: dict[int, tuple[bytes, float]] = field(default_factory=dict)
    _points: dict[int, Point] = field(default_factory=dict)

    def at_bytes(self, limit: int) -> Point | None:
        """The best quality in at most `limit` bytes."""
        near = self._near(self._first(lambda i: self._size(i) > limit))
        tried = {*self._points, *(i for i in near if self._size(i) <= limit)}
        return max((p for p in map(self._point, tried) if p.bytes <= limit), key=_quality, default=None)

    def at_quality(self, db: float) -> Point | None:
        """The fewest bytes with at least `db`."""
        near = self._near(self._first(lambda i: self._point(i).db >= db))
        return min((p for p in map(self._point, {*self._points, *near}) if p.db >= db), key=_bytes, default=None)

    def blob(self, point: Point) -> bytes:
        """The file of a point that this search gave."""
        return next(self._blobs[i][0] for i, tried in self._points.items() if tried is point)

    def _first(self, holds: Callable[[int], bool]) -> int:
        """Number of the first setting for which it holds, as if they were in order."""
        low, high = 0, len(self.codec.settings)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if holds(middle) else (middle + 1, high)
        return low

    def _near(self, edge: int) -> range:
        return range(max(edge - 3, 0), min(edge + 3, len(self.codec.settings)))

    def _size(self, i: int) -> int:
        if i not in self._blobs:
            start = time.perf_counter()
            self._blobs[i] = self.codec.encode(self.codec.settings[i]), time.perf_counter() - start
        return len(self._blobs[i][0])

    def _point(self, i: int) -> Point:
        if i not in self._points:
            size, (blob, seconds) = self._size(i), self._blobs[i]
            start = time.perf_counter()
            decoded = self.codec.decode(blob)
            seconds += time.perf_counter() - start
            setting = " ".join(filter(None, (self.codec.variant, _short(self.codec.settings[i]))))
            self._points[i] = Point(self.codec.name, setting, size, min(self.quality(decoded), LOSSLESS), seconds)
        return self._points[i]


@dataclass(frozen=True)
class Rival:
    """What one name reaches: the best point in so many bytes, and the smallest of at least so many dB."""

    at_bytes: Point | None
    at_quality: Point | None


def compare(codecs: Iterable[Codec], quality: Quality, size: int, db: float) -> dict[str, Rival]:
    """What every codec reaches at `size` bytes and at `db`, by name; the best of those that share one."""
    found: dict[str, Rival] = {}
    for codec in codecs:
        search = Search(codec, quality)
        best = found.get(codec.name, Rival(None, None))
        here = [p for p in (search.at_bytes(size), best.at_bytes) if p]
        there = [p for p in (search.at_quality(db), best.at_quality) if p]
        found[codec.name] = Rival(max(here, key=_quality, default=None), min(there, key=_bytes, default=None))
    return found


def _quality(point: Point) -> float:
    return point.db


def _bytes(point: Point) -> int:
    return point.bytes


def _short(setting: Any) -> str:
    return f"{setting:.4g}" if isinstance(setting, float) else str(setting)


# -- sounds: FLAC, MP3, Opus ------------------------------------------------------------------------------------

_MP3_RATES: Final = (48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
_OPUS_RATES: Final = (48000, 24000, 16000, 12000, 8000)
_MAX_DELAY: Final = 4096
_LEVELS: Final = tuple(float(x) for x in np.linspace(0.99, 0, 34))


def sound_codecs(samples: Array, rate: int) -> list[Codec]:
    """FLAC, MP3 and Opus of a sound, float64 (n, channels) in [-1, 1].

    FLAC is lossless for as many bits a sample as the source has, and is tried with fewer.
    MP3 and Opus are tried at several rates, since few bytes go further at a low one: the sound is resampled without
    loss of what the rate holds (Fourier), and back. The decoded sound is shifted to where it fits the source best,
    and has its length: an MP3 of a low bit rate begins with the delay of its encoder.
    """

    def lossy(name: str, form: str, subtype: str, work: int, variant: str, **options: Any) -> Codec:
        count = round(len(samples) * work / rate)
        resampled = samples if work == rate else _resample(samples, count)

        def encode(level: float) -> bytes:
            return _write_sound(resampled, work, form, subtype, compression_level=level, **options)

        def decode(blob: bytes) -> Array:
            found, played = _read_sound(blob)
            if played != work:  # Opus plays at 48 kHz
                found = _resample(found, round(len(found) * work / played))
            found = align(resampled, found)
            return found if work == rate else _resample(found, len(samples))

        return Codec(name, variant, _LEVELS, encode, decode)

    def flac(bits: int) -> bytes:
        # Bits that no sample uses cost FLAC nothing.
        full = 2.0 ** (bits - 1)
        rounded = np.clip(np.rint(samples * full), -full, full - 1) / full
        subtype = "PCM_S8" if bits <= 8 else "PCM_16" if bits <= 16 else "PCM_24"
        return _write_sound(rounded, rate, "FLAC", subtype, compression_level=1.0)

    codecs = [Codec("FLAC", "bits", range(2, 25), flac, lambda blob: _read_sound(blob)[0])]
    codecs += [
        lossy("MP3", "MP3", "MPEG_LAYER_III", work, f"{work} Hz {mode.lower()}", bitrate_mode=mode)
        for work in _rates(rate, _MP3_RATES)
        for mode in ("VARIABLE", "CONSTANT")
    ]
    codecs += [lossy("Opus", "OGG", "OPUS", work, f"{work} Hz") for work in _rates(rate, _OPUS_RATES)]
    return codecs


def align(source: Array, decoded: Array) -> Array:
    """`decoded` (m, channels) shifted to fit `source` (n, channels) best, with n samples; silence where it has none."""
    from scipy.signal import correlate

    match = correlate(decoded[:, 0], source[:, 0], "full", "fft")
    zero = len(source) - 1
    first = max(zero - _MAX_DELAY, 0)
    shift = int(np.argmax(match[first : zero + _MAX_DELAY + 1])) + first - zero
    shifted = decoded[shift:] if shift >= 0 else np.pad(decoded, ((-shift, 0), (0, 0)))
    aligned = np.zeros_like(source)
    count = min(len(source), len(shifted))
    aligned[:count] = shifted[:count]
    return aligned


def _rates(rate: int, known: Sequence[int]) -> list[int]:
    """The source's rate, or the next that the codec knows, and 16 and 8 kHz where they are less."""
    native = min((r for r in known if r >= rate), default=max(known))
    return [native, *(r for r in (16000, 8000) if r < native)]


def _resample(samples: Array, count: int) -> Array:
    from scipy.signal import resample

    return np.asarray(resample(samples, count, axis=0))


def _write_sound(samples: Array, rate: int, form: str, subtype: str, **options: Any) -> bytes:
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=form, subtype=subtype, **options)
    return file.getvalue()


def _read_sound(blob: bytes) -> tuple[Array, int]:
    import soundfile

    return soundfile.read(io.BytesIO(blob), always_2d=True)


# -- volumes and fields: zfp, SZ3 --------------------------------------------------------------------------------

_TOLERANCES: Final = tuple(float(x) for x in np.geomspace(64, 1e-6, 500))  # over the range of an array
_BOUNDS: Final = tuple(float(x) for x in np.geomspace(1, 1e-6, 400))


def field_codecs(arrays: Mapping[str, Array], extra: bytes = b"") -> Iterator[Codec]:
    """Codecs zfp and SZ3 of arrays of one shape, coded one by one with one tolerance over the range of each.

    What decodes is rounded and clipped as the source is. Volumes are tried with their axes in every order, which
    moves SZ3 by 3 dB; arrays of more axes as they are, with all but the last two joined, and as one tall picture.

    Parameters
    ----------
    arrays
        Of up to 4 axes, without gaps.
    extra
        Bytes that belong to the arrays, such as a mask of gaps, counted with them.
    """
    shape = next(iter(arrays.values())).shape
    if any(a.shape != shape for a in arrays.values()):
        raise ValueError("arrays: expected one shape")
    for layout in _layouts(shape):
        lay, coders = layout.forward, _coders()
        wide = {name: lay(a.astype(np.float32)) for name, a in arrays.items()}
        spans = {name: float(np.ptp(a)) or 1.0 for name, a in wide.items()}

        def encode(setting: Any, coder: Callable[..., bytes], wide: Any = wide, spans: Any = spans) -> bytes:
            return _pack([coder(a, setting, spans[name]) for name, a in wide.items()]) + extra

        def decode(blob: bytes, decoder: Callable[..., Array], layout: _Layout = layout) -> dict[str, Array]:
            blobs = _unpack(blob[: len(blob) - len(extra)])
            return {
                name: _as_stored(layout.back(decoder(b, layout.shape)), a)
                for (name, a), b in zip(arrays.items(), blobs)
            }

        for name, mode, settings, coder, decoder in coders:
            variant = f"{mode}, {layout.name}"
            yield Codec(name, variant, settings, partial(encode, coder=coder), partial(decode, decoder=decoder))


@dataclass(frozen=True)
class _Layout:
    """An order of the axes, and a shape to which they are joined then."""

    name: str
    order: tuple[int, ...]
    source: tuple[int, ...]
    shape: tuple[int, ...]

    def forward(self, array: Array) -> Array:
        return np.ascontiguousarray(array.transpose(self.order)).reshape(self.shape)

    def back(self, array: Array) -> Array:
        moved = array.reshape([self.source[axis] for axis in self.order])
        return moved.transpose(np.argsort(self.order))


def _layouts(shape: tuple[int, ...]) -> list[_Layout]:
    if len(shape) == 3 and min(shape) >= 32:
        return [
            _Layout("axes " + "".join(map(str, order)), order, shape, tuple(shape[i] for i in order))
            for order in itertools.permutations(range(3))
        ]
    joined = [shape, (math.prod(shape[:-2]), *shape[-2:]), (math.prod(shape[:-1]), shape[-1])]
    order = tuple(range(len(shape)))
    return [_Layout("x".join(map(str, s)), order, shape, s) for s in dict.fromkeys(joined) if len(s) <= 4]


def _coders() -> list[tuple[str, str, Sequence[Any], Callable[..., bytes], Callable[..., Array]]]:
    import imagecodecs

    def zfp_accuracy(array: Array, tolerance: float, span: float) -> bytes:
        # zfp rounds its tolerance down to a power of two. A factor on the samples makes it one.
        power = 2.0 ** math.floor(math.log2(tolerance * span))
        factor = np.float32(power / (tolerance * span))
        return struct.pack("<f", factor) + imagecodecs.zfp_encode(array * factor, level=power, mode="a")  # type: ignore[arg-type]

    def zfp_precision(array: Array, planes: int, _: float) -> bytes:
        return struct.pack("<f", 1) + imagecodecs.zfp_encode(array, level=planes, mode="p")

    def zfp_decode(blob: bytes, _: tuple[int, ...]) -> Array:
        return np.asarray(imagecodecs.zfp_decode(blob[4:])) / np.float32(struct.unpack("<f", blob[:4])[0])

    def sz3(array: Array, bound: float, span: float) -> bytes:
        return bytes(imagecodecs.sz3_encode(array, mode="abs", abs=bound * span))

    def sz3_decode(blob: bytes, shape: tuple[int, ...]) -> Array:
        return np.asarray(imagecodecs.sz3_decode(blob, shape, np.float32))

    return [
        ("zfp", "accuracy", _TOLERANCES, zfp_accuracy, zfp_decode),
        ("zfp", "precision", range(2, 33), zfp_precision, zfp_decode),
        ("SZ3", "absolute", _BOUNDS, sz3, sz3_decode),
    ]


def _as_stored(decoded: Array, source: Array) -> Array:
    if source.dtype.kind in "iu":
        decoded = np.rint(decoded.astype(np.float64))
    return np.clip(decoded, source.min(), source.max()).astype(source.dtype)


def _pack(blobs: Sequence[bytes]) -> bytes:
    """Blobs in a row, with the lengths of all but the last before them."""
    return struct.pack(f"<B{len(blobs) - 1}I", len(blobs), *map(len, blobs[:-1])) + b"".join(blobs)


def _unpack(data: bytes) -> list[bytes]:
    count = data[0]
    start = 1 + 4 * (count - 1)
    ends = start + np.cumsum([0, *struct.unpack_from(f"<{count - 1}I", data, 1)])
    return [data[a:b] for a, b in zip(ends, [*ends[1:], len(data)])]


# -- video: H.264 ------------------------------------------------------------------------------------------------


def video_codecs(frames: Array, fps: float) -> list[Codec]:
    """H.264 (x264, preset veryslow) of frames uint8 (T, H, W, 3), with colours at full and at half resolution.

    The bytes are those of the bare stream, without a container.
    """

    def encode(crf: float, pixels: str) -> bytes:
        return encode_h264(frames, fps, crf, pixels)

    settings = tuple(float(x) for x in np.arange(51, -0.5, -0.5))
    formats = [p for p in ("yuv444p", "yuv420p") if p == "yuv444p" or not (frames.shape[1] % 2 or frames.shape[2] % 2)]
    return [Codec("H.264", pixels, settings, partial(encode, pixels=pixels), decode_h264) for pixels in formats]


def encode_h264(frames: Array, fps: float, crf: float, pixels: str = "yuv444p") -> bytes:
    """Frames uint8 (T, H, W, 3) as an H.264 stream; a lower `crf` is better and larger."""
    from fractions import Fraction

    import av

    file = io.BytesIO()
    with av.open(file, "w", format="h264") as container:
        rate = Fraction(fps).limit_denominator(1001)
        stream = container.add_stream("libx264", rate=rate, options={"crf": f"{crf:g}", "preset": "veryslow"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pixels
        stream.thread_count = 1
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def decode_h264(blob: bytes) -> Array:
    """Frames uint8 (T, H, W, 3) of an H.264 stream."""
    import av

    with av.open(io.BytesIO(blob), format="h264") as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


# -- pictures: JPEG, WebP, AVIF, JPEG XL -------------------------------------------------------------------------


def picture_codecs(array: Array, avif_speed: int = 4) -> list[Codec]:
    """JPEG, JPEG 2000, WebP, AVIF (Pillow) and JPEG XL (imagecodecs) of a picture, uint8 (H, W) or (H, W, 3)."""
    import imagecodecs
    from PIL import Image

    picture = Image.fromarray(array)

    def encode(quality: int, form: str, **options: Any) -> bytes:
        file = io.BytesIO()
        picture.save(file, form, quality=quality, **options)
        return file.getvalue()

    def decode(blob: bytes) -> Array:
        return np.asarray(Image.open(io.BytesIO(blob)).convert(picture.mode))

    def jpeg2000(ratio: float) -> bytes:
        file = io.BytesIO()
        picture.save(file, "JPEG2000", quality_layers=[ratio], irreversible=True, mct=1)
        return file.getvalue()

    def jpegxl(distance: float) -> bytes:
        return bytes(imagecodecs.jpegxl_encode(array, distance=distance, effort=7))

    whole = range(101)
    jpeg = partial(encode, form="JPEG", optimize=True, progressive=True)
    avif = partial(encode, form="AVIF", speed=avif_speed)
    return [
        Codec("JPEG", "4:4:4", whole[1:], partial(jpeg, subsampling="4:4:4"), decode),
        Codec("JPEG", "4:2:0", whole[1:], partial(jpeg, subsampling="4:2:0"), decode),
        Codec("JPEG 2000", "ratio", tuple(float(x) for x in np.geomspace(400, 1.5, 80)), jpeg2000, decode),
        Codec("WebP", "", whole, partial(encode, form="WEBP", method=6), decode),
        Codec("AVIF", "4:4:4", whole, partial(avif, subsampling="4:4:4"), decode),
        Codec("AVIF", "4:2:0", whole, partial(avif, subsampling="4:2:0"), decode),
        Codec(
            "JPEG XL",
            "distance",
            tuple(float(x) for x in np.geomspace(15, 0.05, 60)),
            jpegxl,
            lambda blob: np.asarray(imagecodecs.jpegxl_decode(blob)).reshape(array.shape),
        ),
    ]


# -- meshes: Draco -----------------------------------------------------------------------------------------------


def mesh_codecs(vertices: Array, faces: Array, keep: Sequence[float] = (1.0, 0.3, 0.1, 0.03)) -> list[Codec]:
    """Draco of a mesh, float64 (v, 3) and int64 (f, 3): as it is, and simplified (quadric edge collapse) before.

    What decodes is (vertices, faces). `keep` are the shares of the faces that are kept.
    """

    def encode(bits: int, points: Array, triangles: Array) -> bytes:
        import DracoPy

        return DracoPy.encode(points, triangles, quantization_bits=bits, compression_level=10, preserve_order=False)

    def decode(blob: bytes) -> tuple[Array, Array]:
        import DracoPy

        mesh = DracoPy.decode(blob)
        return np.asarray(mesh.points, np.float64), np.asarray(mesh.faces, np.int64)

    codecs = []
    for share in keep:
        points, triangles = (vertices, faces) if share == 1 else simplify(vertices, faces, round(share * len(faces)))
        bound = partial(encode, points=points.astype(np.float32), triangles=triangles.astype(np.uint32))
        codecs.append(Codec("Draco", f"{len(triangles)} faces, bits", range(7, 17), bound, decode))
    return codecs


def simplify(vertices: Array, faces: Array, wanted: int) -> tuple[Array, Array]:
    """The mesh with about so many faces, by quadric edge collapse (libigl)."""
    import igl

    found = igl.qslim(np.ascontiguousarray(vertices, np.float64), np.ascontiguousarray(faces, np.int64), wanted)
    arrays = [x for x in found if isinstance(x, np.ndarray)]
    return arrays[0], arrays[1]


# -- networks: min-max and Brotli --------------------------------------------------------------------------------


def network_codecs(state: Mapping[str, Array]) -> list[Codec]:
    """Every tensor min-max quantised to 4..16 bits, then Brotli over all: what the SINR paper codes for everybody.

    Tensors of other dtypes than floats go through Brotli as they are.
    """
    import brotli

    from sinr_codec.coding.quantize import dequantize, minmax

    lossy = {name: w for name, w in state.items() if w.dtype.kind == "f"}
    exact = b"".join(w.tobytes() for name, w in state.items() if name not in lossy)
    ends = np.cumsum([w.size for w in lossy.values()])

    def encode(bits: int) -> bytes:
        words, ranges = [], []
        for w in lossy.values():
            numbers, step, offset = minmax(w, bits)
            words.append(numbers.astype("<u2" if bits > 8 else "u1").tobytes())
            ranges.append(struct.pack("<ff", step, offset))
        return struct.pack("<B", bits) + b"".join(ranges) + brotli.compress(b"".join(words) + exact, quality=11)

    def decode(blob: bytes) -> dict[str, Array]:
        word = np.dtype("<u2" if blob[0] > 8 else "u1")
        unpacked = brotli.decompress(blob[1 + 8 * len(lossy) :])
        numbers = np.frombuffer(unpacked, word, int(ends[-1])).astype(np.int64)
        decoded = dict(state)
        for i, (name, q) in enumerate(zip(lossy, np.split(numbers, ends[:-1]))):
            step, offset = struct.unpack_from("<ff", blob, 1 + 8 * i)
            decoded[name] = dequantize(q, step, offset).reshape(state[name].shape).astype(state[name].dtype)
        return decoded

    return [Codec("min-max + Brotli", "bits", range(4, 17), encode, decode)]
