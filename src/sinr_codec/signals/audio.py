"""Sounds: all formats of libsndfile (WAV, FLAC, Ogg, MP3, ...), and arrays with a sample rate.

A sound is a function of time with one value for each channel. Long sounds are cut into blocks, each with its own
network. Neighbouring blocks overlap and are cross-faded, so that seams are inaudible. Amplitudes are relative to full
scale: 16-bit samples are divided by 2^15, float samples are used unchanged.
"""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import InputError, LimitError, MalformedError, UnknownIdError, quoted
from sinr_codec.fields import Sine
from sinr_codec.files import atomic_write
from sinr_codec.signals.audio_files import (
    FORMATS,
    MAX_CHANNELS,
    MAX_RATE,
    Sound,
    amplitudes,
    check_format,
    checked,
    full_scale,
    read,
    write,
)
from sinr_codec.signals.base import Fields, Quality, SampledPart
from sinr_codec.signals.claims import is_pair_of_array
from sinr_codec.signals.cut import Cut
from sinr_codec.signals.kinds import Kind
from sinr_codec.signals.lattice import evaluated
from sinr_codec.signals.levels import chunks
from sinr_codec.signals.metadata import Metadata
from sinr_codec.signals.recipe import Recipe
from sinr_codec.signals.spectrogram import spectrogram
from sinr_codec.tiles import map_tiles
from sinr_codec.types import Array, PathLike

AUDIO: Final = 1
"""Signal id of sounds."""
BLOCK_SAMPLES: Final = 40_000
"""Approximate length of a block, in samples. On music, with as many weights a sample and as much time, blocks of 22,000
or 44,000 samples fit 1 dB better than blocks of 88,000; blocks of 176,000 fit 4 dB worse."""
OVERLAP_SECONDS: Final = 0.02
"""Length of a cross-fade."""
_MAX_FRAMES: Final = 2**48
_MAX_GAIN: Final = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class AudioSpec:
    """Rate, length, sample format and blocks of a sound: all that a decoder needs besides the networks.

    Block k owns the samples from k * frames // blocks up to the first sample of block k + 1. It is cross-faded over
    `fade` samples on either side of each seam.

    Attributes
    ----------
    rate
        Samples a second.
    frames, channels
        Samples in each channel, and number of channels.
    format
        Index into `audio_files.FORMATS`.
    gains
        For each block, the amplitude that the values +-1 stand for, relative to full scale; 0 for silence.
    fade
        Half the length of a cross-fade, in samples; 0 with one block.
    """

    KIND: ClassVar[str] = "audio"
    UNIT: ClassVar[str] = "sample"
    MEASURE: ClassVar[str] = "PSNR"

    rate: int
    frames: int
    channels: int
    format: int
    gains: tuple[float, ...]
    fade: int = 0

    # -- description ---------------------------------------------------------------------------------------

    @property
    def in_features(self) -> int:
        """1, the time."""
        return 1

    @property
    def out_features(self) -> int:
        """Number of channels."""
        return self.channels

    @property
    def parts(self) -> int:
        """Number of blocks."""
        return len(self.gains)

    @property
    def samples(self) -> int:
        """Samples in each channel."""
        return self.frames

    @property
    def values(self) -> int:
        """Samples in all channels."""
        return self.frames * self.channels

    @property
    def side(self) -> bytes:
        """A sound has no side section."""
        return b""

    @property
    def suffix(self) -> str:
        """WAV holds every sample format."""
        return ".wav"

    @property
    def subtype(self) -> str:
        """Name of the sample format in libsndfile, such as "PCM_16"."""
        return FORMATS[self.format].subtype

    @property
    def dtype(self) -> str:
        """NumPy dtype of decoded samples."""
        return FORMATS[self.format].dtype

    @property
    def blocks(self) -> Cut:
        """The samples of each block, and their weights in the cross-fades."""
        return _Crossfaded((self.frames,), (self.parts,), self.fade)

    @property
    def block_frames(self) -> int:
        """Samples that the domain [-1, 1] of a network spans, cross-fades included."""
        return self.blocks.extents[0]

    @property
    def peak(self) -> float:
        """Peak value for the PSNR, from peak to peak: 2, or the range of float samples that exceed full scale."""
        return 2 * max(1.0, *self.gains)

    def edge(self, block: int) -> int:
        """First sample that a block owns; `frames` for the block after the last."""
        return self.blocks.edge(0, block)

    def describe(self) -> dict[str, Any]:
        """Kind, shape, rate, sample format, seconds and blocks."""
        shape = [self.frames] if self.channels == 1 else [self.frames, self.channels]
        return {
            "type": self.KIND,
            "shape": shape,
            "dtype": self.dtype,
            "rate": self.rate,
            "channels": self.channels,
            "format": self.subtype,
            "seconds": round(self.frames / self.rate, 3),
            "blocks": self.parts,
        }

    def summary(self, decoded: Sound) -> str:
        """Duration, rate, channels and sample format."""
        seconds = len(decoded.samples) / decoded.rate
        channels = {1: "mono", 2: "stereo"}.get(self.channels, f"{self.channels} channels")
        return f"{seconds:.2f} s at {decoded.rate:,} Hz, {channels}, {self.subtype}"

    def to_header(self) -> list[Any]:
        """[1, rate, frames, channels, format, fade, gains]."""
        return [AUDIO, self.rate, self.frames, self.channels, self.format, self.fade, list(self.gains)]

    @classmethod
    def from_header(cls, header: Any, side: bytes = b"") -> "AudioSpec":
        """Inverse of `to_header`.

        Raises
        ------
        MalformedError, UnknownIdError : anything that `to_header` cannot have written
        """
        if side:
            raise MalformedError("audio: expected no side section")
        if type(header) is not list or len(header) != 7 or type(header[0]) is not int:
            raise MalformedError("audio header: expected a list of id, rate, frames, channels, format, fade and gains")
        if header[0] != AUDIO:
            raise UnknownIdError(f"signal id {header[0]}: not known to this version")
        _, rate, frames, channels, number, fade, gains = header
        limits = {"rate": (rate, MAX_RATE), "frames": (frames, _MAX_FRAMES), "channels": (channels, MAX_CHANNELS)}
        for name, (value, most) in limits.items():
            if type(value) is not int or not 1 <= value <= most:
                raise MalformedError(f"audio {name}: expected 1 to {most}, found {quoted(value)}")
        if type(number) is not int or not 0 <= number < len(FORMATS):
            raise UnknownIdError(f"audio format {quoted(number)}: not known to this version")
        if type(gains) is not list or not 1 <= len(gains) <= frames:
            raise MalformedError("audio gains: expected a list of one number a block, and no more blocks than samples")
        most_gain = 1.0 if FORMATS[number].bits else _MAX_GAIN
        if not all(type(gain) is float and 0 <= gain <= most_gain for gain in gains):
            raise MalformedError(f"audio gains: expected floats from 0 to {most_gain:g}")
        most_fade = Cut((frames,), (len(gains),), 0).most_fade
        if type(fade) is not int or not 0 <= fade <= most_fade:
            raise MalformedError(f"audio fade: expected 0 to {most_fade}, found {quoted(fade)}")
        return cls(rate, frames, channels, number, tuple(gains), fade)

    @staticmethod
    def parts_in(header: Any) -> int:
        """Number of networks that a header declares."""
        return AudioSpec.from_header(header).parts

    # -- values --------------------------------------------------------------------------------------------

    def quantized(self, amplitudes: Array) -> Array:
        """Amplitudes rounded and clipped to the sample format; relative to full scale, float64."""
        amplitudes = amplitudes.astype(np.float64)
        bits = FORMATS[self.format].bits
        if not bits:
            limit = float(np.finfo(self.dtype).max)
            return np.clip(amplitudes, -limit, limit).astype(self.dtype).astype(np.float64)
        scale = 2.0 ** (bits - 1)
        return np.clip(np.rint(amplitudes * scale), -scale, scale - 1) / scale

    def to_samples(self, amplitudes: Array) -> Array:
        """Samples of the source's dtype from amplitudes relative to full scale."""
        exact = self.quantized(amplitudes)
        if not FORMATS[self.format].bits:
            return exact.astype(self.dtype)
        return (exact * full_scale(self.dtype)).astype(self.dtype)

    def amplitudes(self, block: int, values: Array) -> Array:
        """Amplitudes, relative to full scale, from a network's values; NaN becomes 0, clipped at twice the gain.

        Between samples a waveform may exceed the largest sample. More than twice that is a sign of damage.
        """
        return np.clip(np.where(np.isnan(values), 0, values), -2, 2) * self.gains[block]

    # -- rendering -----------------------------------------------------------------------------------------

    def render(
        self,
        fields: Fields,
        *,
        rate: int | None = None,
        start: float | None = None,
        stop: float | None = None,
    ) -> Sound:
        """Evaluate the networks at sample times, in memory bounded by the result plus a few tiles.

        Renderings at all rates begin with the source's sample 0. For a lower rate, the sound is evaluated at the least
        multiple of that rate that is not below the source's, then low-pass filtered and decimated.

        Parameters
        ----------
        fields
            One network a block; blocks outside the requested seconds are not decoded.
        rate
            Samples a second of the result. Default: the source's.
        start
            First second. Default: the beginning.
        stop
            Second to stop before. Default: the end.

        Raises
        ------
        InputError : seconds outside the sound, or a rate that is not an integer or is far below the source's
        LimitError : more values than `fields.max_samples`, before anything is allocated
        """
        rate = self.rate if rate is None else rate
        if not isinstance(rate, int | np.integer) or not 1 <= rate <= MAX_RATE:
            raise InputError(f"rate {quoted(rate)}: expected samples a second, an integer of at least 1")
        rate = int(rate)
        first, last = self._range(rate, start, stop)
        if (last - first) * self.channels > fields.max_samples:
            raise LimitError(
                f"a rendering of {last - first:,} samples, {self.channels} channels: "
                f"above the limit of {fields.max_samples:,} values"
            )
        factor = -(-self.rate // rate)
        if factor > _MAX_FACTOR:
            raise InputError(
                f"rate {rate}: expected at least {-(-self.rate // _MAX_FACTOR)}, 1/{_MAX_FACTOR} of the source's"
            )
        out = np.empty((last - first, self.channels), self.dtype)
        size = fields.tile
        if factor > 1:
            size = max(_MIN_DECIMATED, _OVERSAMPLED_TILE // factor)
            size = max(1, min(size, _MOST_OVERSAMPLED // (self.channels * factor)))

        def compute(begin: int) -> tuple[int, Array]:
            end = min(begin + size, last)
            if factor == 1:
                wave = self._evaluate(fields, begin, end, rate)
            else:
                wave = self._decimated(fields, begin, end, rate, factor)
            return begin - first, self.to_samples(wave)

        for i, samples in map_tiles(compute, range(first, last, size), fields.threads):
            out[i : i + len(samples)] = samples
        return Sound(out[:, 0] if self.channels == 1 else out, rate)

    def _range(self, rate: int, start: float | None, stop: float | None) -> tuple[int, int]:
        """Start and stop of a rendering, in samples at a rate."""
        seconds = self.frames / self.rate
        begin, end = 0.0 if start is None else start, seconds if stop is None else stop
        # The duration is printed with three decimals, so the rounded value must be accepted.
        if not all(isinstance(v, int | float) for v in (begin, end)) or not 0 <= begin < end <= seconds + 0.0005:
            raise InputError(f"start {begin}, stop {end}: expected 0 <= start < stop <= {seconds:.3f} seconds")
        count = max(1, round(self.frames * rate / self.rate))
        first = min(round(begin * rate), count - 1)
        return first, count if stop is None else max(first + 1, min(round(end * rate), count))

    def _evaluate(self, fields: Fields, first: int, last: int, rate: int) -> Array:
        """Amplitudes of samples first to last - 1 at a rate, float32 (n, channels); 0 outside the sound."""
        out, cut = np.zeros((last - first, self.channels), np.float32), self.blocks
        # Centre of each sample on the source's axis, where sample i spans [i, i + 1).
        middle = np.arange(first, last, dtype=np.float64) * (self.rate / rate) + 0.5
        inside = (middle > 0) & (middle < self.frames + 0.5)
        blocks = np.clip((middle[[0, -1]] + [-self.fade, self.fade]) * self.parts // self.frames, 0, self.parts - 1)
        for block in range(max(int(blocks[0]) - 1, 0), min(int(blocks[1]) + 2, self.parts)):
            weight = cut.share(0, block, middle) * inside
            used = np.flatnonzero(weight)
            for i in range(0, len(used), fields.tile):
                index = used[i : i + fields.tile]
                coords = cut.coords(0, block, middle[index])[:, None]
                values = self.amplitudes(block, evaluated(fields.parts[block], coords, self.channels))
                out[index] += weight[index, None] * values
        return out

    def _decimated(self, fields: Fields, first: int, last: int, rate: int, factor: int) -> Array:
        """Like `_evaluate`, by oversampling with a factor and a low-pass filter."""
        kernel = _low_pass(factor)
        reach = len(kernel) // 2
        fine = self._evaluate(fields, first * factor - reach, (last - 1) * factor + reach + 1, rate * factor)
        windows = np.lib.stride_tricks.sliding_window_view(fine, len(kernel), axis=0)[::factor]
        return np.asarray(windows @ kernel)

    # -- files ---------------------------------------------------------------------------------------------

    def save(self, decoded: Sound, path: PathLike, *, metadata: Metadata = MappingProxyType({})) -> None:
        """Write a rendering: a sound in any format of libsndfile, samples as .npy, or a spectrogram as .png.

        In a format without the source's sample type, samples have 24 bits, or the format's default. Of the metadata,
        what the format holds is written.

        Raises
        ------
        InputError : an unknown extension, or a format without support for the number of channels or the rate
        """
        suffix = Path(path).suffix.lower()
        if suffix == ".npy":
            with atomic_write(path) as temporary:
                np.save(temporary, decoded.samples, allow_pickle=False)
        elif suffix == ".png":
            picture = spectrogram(decoded)
            with atomic_write(path) as temporary:
                picture.save(temporary, "PNG")
        else:
            write(decoded, Path(path), self.subtype, metadata)


_MIN_DECIMATED: Final = 64
_OVERSAMPLED_TILE: Final = 1 << 16  # samples computed at once, before and after decimation
_MOST_OVERSAMPLED: Final = 1 << 24  # the same over all channels
_MAX_FACTOR: Final = 4096  # decimation factor; the filter's length grows with it
_CROSSINGS: Final = 32  # zero crossings on each side of the low-pass filter
_CUTOFF: Final = 0.92  # as a share of the Nyquist frequency
_KAISER: Final = 8.0  # 80 dB attenuation in the stop band


def _low_pass(factor: int) -> NDArray[np.float32]:
    """Windowed-sinc filter for decimation, normalised to a sum of 1."""
    n = np.arange(-_CROSSINGS * factor, _CROSSINGS * factor + 1)
    kernel = np.sinc(n * (_CUTOFF / factor)) * np.kaiser(len(n), _KAISER)
    return (kernel / kernel.sum()).astype(np.float32)


class _Crossfaded(Cut):
    """Blocks of a sound with raised-cosine cross-fades."""

    def rise(self, distance: Array) -> Array:
        """See `Cut.rise`."""
        if self.fade == 0:
            return super().rise(distance)
        return 0.5 + 0.5 * np.sin(np.clip(distance / self.fade, -1, 1) * (np.pi / 2))


# -- reading ---------------------------------------------------------------------------------------------------


class AudioSignal:
    """A sound to encode.

    Attributes
    ----------
    array
        The source's samples, (n, channels).
    spec
        Description for the file.
    notes
        One-line remarks.
    metadata
        "channels", the places of the channels (`audio_files.PLACES`), and "tags", texts by name, where a file tells.
    """

    def __init__(
        self,
        array: Array,
        spec: AudioSpec,
        notes: tuple[str, ...] = (),
        metadata: Metadata = MappingProxyType({}),
    ) -> None:
        self.array = array
        self.spec = spec
        self.notes = notes
        self.metadata = metadata

    @classmethod
    def load(
        cls, source: Any, like: AudioSpec | None = None, *, block: float | None = None, metadata: bool = True
    ) -> "AudioSignal":
        """Read a sound from a file that libsndfile opens, or from (array, rate).

        Arrays are (n,) or (n, channels) of int16, int32, float32, float64, uint8 (128 is silence) or int8. Lossy
        formats are read with 16 bits.

        Parameters
        ----------
        source
            A path, or an array and its samples a second.
        like
            Accepted as for every kind; not used for a sound.
        block
            Seconds that one network represents, at least 0.05. Default: some 40,000 samples.
        metadata
            Keep the tags of a file, and which channel is which loudspeaker's.

        Raises
        ------
        InputError : no such file, not a sound, damaged, empty, not finite, or an array of another shape or dtype
        MissingExtraError : the source is a file, and soundfile is not installed
        """
        if block is not None and not (isinstance(block, int | float) and 0.05 <= block < math.inf):
            raise InputError(f"block {quoted(block)}: expected seconds, at least 0.05")
        if isinstance(source, str | os.PathLike):
            name = str(source)
            array, rate, number, notes, found = read(Path(source))
        elif isinstance(source, tuple) and len(source) == 2:
            name = "sound"
            array, rate, number = checked(*source)
            notes, found = (), {}
        else:
            raise InputError("sound: expected a file or (array, rate), the array (n,) or (n, channels)")
        frames, channels = array.shape
        wanted = frames / (BLOCK_SAMPLES if block is None else block * rate)
        blocks = min(max(1, round(wanted)), frames)
        fade = 0 if blocks == 1 else min(round(OVERLAP_SECONDS * rate / 2), frames // blocks // 2)
        spec = AudioSpec(rate, frames, channels, number, (0.0,) * blocks, fade)
        gains = tuple(_gain(array[spec.blocks.area(i)]) for i in range(blocks))
        if not all(math.isfinite(gain) for gain in gains):
            raise InputError(f"{name}: expected finite samples, found NaN, infinity or more than float32 holds")
        spec = AudioSpec(rate, frames, channels, number, gains, fade)
        return cls(array, spec, notes, found if metadata else {})

    @property
    def source_bytes(self) -> int:
        """Size of the samples in the source's sample format, in bytes."""
        form = FORMATS[self.spec.format]
        return self.array.size * (form.bits // 8 or np.dtype(form.dtype).itemsize)

    @property
    def parts(self) -> Sequence["AudioBlock"]:
        """The blocks, cross-fades included."""
        return [AudioBlock(self.spec, i, self.array[self.spec.blocks.area(i)]) for i in range(self.spec.parts)]

    def psnr_at(self, snr: float) -> float:
        """The PSNR in dB at an SNR in dB; `InputError` for silence, which has no SNR."""
        power = sum(float(np.square(amplitudes(part)).sum()) for (part,) in chunks(self.array))
        if not power:
            raise InputError("snr: the sound is silent; leave it out")
        return snr + _ratio(self.spec.peak**2 * self.array.size, power)

    def quality(self, render: Callable[..., Sound]) -> Quality:
        """SNR, PSNR (peak to peak), largest error relative to full scale, and the error near seams.

        "seam_db" is the mean squared error within cross-fades relative to that outside, in dB; 0 where seams are no
        worse.

        Raises
        ------
        InputError : the decoded sound has another length, rate or number of channels
        """
        decoded = render()
        samples = decoded.samples.reshape(len(decoded.samples), -1)
        if samples.shape != self.array.shape or decoded.rate != self.spec.rate:
            raise InputError(
                f"decoded sound: expected {self.array.shape[0]} x {self.array.shape[1]} samples at "
                f"{self.spec.rate} Hz, found {samples.shape[0]} x {samples.shape[1]} at {decoded.rate} Hz"
            )
        error, power, largest = np.zeros(2), 0.0, 0.0
        seams = self.spec.blocks.near_seams(0)
        for i in range(0, len(samples), 1 << 18):
            span = slice(i, i + (1 << 18))
            wanted = amplitudes(self.array[span])
            squares = np.square(wanted - amplitudes(samples[span]))
            near = seams[span]
            error += squares[near].sum(), squares[~near].sum()
            power += float(np.square(wanted).sum())
            largest = max(largest, math.sqrt(squares.max()))
        total = float(error.sum())
        psnr = _ratio(self.spec.peak**2 * samples.size, total)
        figures = {"psnr_db": psnr, "snr_db": _ratio(power, total), "max_error": largest}
        if self.spec.fade:
            count = 2 * self.spec.fade * (self.spec.parts - 1)
            figures["seam_db"] = _ratio(error[0] * (len(samples) - count), error[1] * count)
        return Quality(psnr, figures, {"max_error": "of full scale"}, ("snr_db",))


class AudioBlock(SampledPart):
    """The samples of one network: those of its block and of the cross-fades."""

    def __init__(self, spec: AudioSpec, block: int, array: Array) -> None:
        self.spec = spec
        self.block = block
        self.array = array
        self.peak = spec.peak
        self._first = spec.blocks.area(block)[0].start

    @property
    def in_features(self) -> int:
        """1, the time."""
        return 1

    @property
    def out_features(self) -> int:
        """Number of channels."""
        return self.spec.channels

    def __len__(self) -> int:
        return len(self.array)

    def batch(self, index: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Samples by index, int64 (n,): coords float32 (n, 1), values float32 (n, channels)."""
        coords = self.spec.blocks.coords(0, self.block, self._first + index + 0.5)[:, None]
        gain = self.spec.gains[self.block] or 1.0
        return coords, (amplitudes(self.array[index]) / gain).astype(np.float32)

    def to_samples(self, values: Array) -> Array:
        """Amplitudes relative to full scale, rounded to the sample format."""
        return self.spec.quantized(self.spec.amplitudes(self.block, values))

    def decibels(self, loss: float) -> float:
        """PSNR in dB for a mean squared error of values in [-1, 1], before rounding."""
        return _ratio(self.peak**2, loss * self.spec.gains[self.block] ** 2)


def _gain(samples: Array) -> float:
    """Largest amplitude, rounded up to a float32; not finite where a sample is not, or on overflow."""
    # Separately for both signs: the absolute value of the least integer overflows its dtype.
    ends = np.array([samples.min(), samples.max()])
    with np.errstate(over="ignore"):
        peak = float(np.abs(amplitudes(ends)).max())
        gain = np.float32(peak)
        return float(gain if gain >= peak or not math.isfinite(peak) else np.nextafter(gain, np.float32(math.inf)))


def _ratio(signal: float, error: float) -> float:
    """Signal-to-noise ratio in dB; inf without an error, -inf without a signal."""
    if error == 0:
        return math.inf
    return 10 * math.log10(signal / error) if signal > 0 else -math.inf


def writes(path: PathLike) -> None:
    """Refuse an output that is neither a sound nor an array nor a spectrogram; see `audio_files.check_format`."""
    if Path(path).suffix.lower() not in (".npy", ".png"):
        check_format(Path(path))


def recognises(source: Any) -> bool:
    """Whether a source is a pair of an array, (n,) or (n, channels), and its sample rate."""
    return is_pair_of_array(source) and source[0].ndim < 3


def _sine(spec: AudioSpec) -> Sine:
    """First layer with frequencies in proportion to the length of a block: up to 3% of the Nyquist frequency.

    A third of that costs 2 to 7 dB; twice that costs some 5 dB, or the fit fails. omega0 = 30 or 70 costs 0.5 to 1 dB.
    """
    return Sine(50.0, float(np.clip(round(0.05 * spec.block_frames), 30, 100_000)))


# Steps are for one block, a second of music. In the same time, batches of 2,048 fit 0.6 dB worse, and some fits with
# batches of 1,024 fail. Importance sampling gains 0.1 to 0.6 dB on speech.
KIND: Final = Kind(
    "audio",
    "a sound",
    (AUDIO,),
    AudioSignal,
    AudioSpec,
    Recipe(
        _sine,
        rate=1.5,
        bits=8.3,
        db=48.0,
        fit={
            "": {"batch": 4096, "lr": 1e-3, "sampling": "error"},
            "fast": {"steps": 300},
            "balanced": {"steps": 1000},
            "best": {"steps": 5000},
            "paper": {"steps": 1000},
        },
    ),
    suffixes=(
        ".wav",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".aiff",
        ".aif",
        ".aifc",
        ".au",
        ".snd",
        ".caf",
        ".w64",
        ".rf64",
        ".voc",
        ".sf",
        ".ircam",
        ".paf",
        ".svx",
        ".nist",
        ".sph",
        ".wve",
        ".avr",
        ".xi",
        ".iff",
        ".8svx",
        ".pvf",
        ".m4a",
        ".aac",
        ".wma",
    ),
    recognises=recognises,
    writes=writes,
    whole={"block": 1e9},
)
