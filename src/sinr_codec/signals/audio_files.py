"""Reading and writing sounds: files by libsndfile, and arrays with a sample rate."""

import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from sinr_codec.errors import InputError, MissingExtraError, quoted
from sinr_codec.files import atomic_write
from sinr_codec.signals.base import MAX_SAMPLES
from sinr_codec.signals.sources import library, reason, translated
from sinr_codec.types import Array

MAX_CHANNELS: Final = 1024  # limit of libsndfile
MAX_RATE: Final = 2**31 - 1


@dataclass(frozen=True)
class SampleFormat:
    """A sample format: its name in libsndfile, NumPy dtype, and bits for integers.

    Integers are left-justified in their dtype, as libsndfile reads them.
    """

    subtype: str
    dtype: str
    bits: int = 0


# In the order of their ids in the header.
FORMATS: Final = (
    SampleFormat("PCM_16", "int16", 16),
    SampleFormat("PCM_24", "int32", 24),
    SampleFormat("PCM_32", "int32", 32),
    SampleFormat("FLOAT", "float32"),
    SampleFormat("DOUBLE", "float64"),
    SampleFormat("PCM_U8", "int16", 8),
    SampleFormat("PCM_S8", "int16", 8),
)
_OF_DTYPE: Final = {
    "int16": "PCM_16",
    "int32": "PCM_32",
    "float32": "FLOAT",
    "float64": "DOUBLE",
    "uint8": "PCM_U8",
    "int8": "PCM_S8",
}


class Sound(NamedTuple):
    """Samples and their rate; as a source, a plain (array, rate) is the same.

    Attributes
    ----------
    samples
        (n,) for one channel, else (n, channels): left-justified integers (24-bit samples in the upper bits of an
        int32), or floats with full scale at 1.
    rate
        Samples a second.
    """

    samples: Array
    rate: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the samples."""
        return self.samples.shape


# -- values ----------------------------------------------------------------------------------------------------


def full_scale(dtype: str) -> float:
    """Full scale of left-justified samples: that of the integer dtype."""
    return 2.0 ** (8 * np.dtype(dtype).itemsize - 1)


def amplitudes(samples: Array) -> Array:
    """Samples relative to full scale, float64."""
    wide = samples.astype(np.float64)
    return wide if samples.dtype.kind == "f" else wide / full_scale(samples.dtype.name)


# -- reading ---------------------------------------------------------------------------------------------------


def checked(array: Any, rate: Any) -> tuple[Array, int, int]:
    """Samples (n, channels), rate and format id of an array."""
    if not isinstance(array, np.ndarray) or array.ndim not in (1, 2) or array.size == 0:
        raise InputError(f"sound: expected a non-empty array (n,) or (n, channels), found {_what(array)}")
    if not isinstance(rate, int | float | np.integer | np.floating) or not 1 <= rate <= MAX_RATE or rate % 1:
        raise InputError(f"rate {quoted(rate)}: expected samples a second, an integer of at least 1")
    array = array.reshape(len(array), -1)
    if array.shape[1] > min(len(array), MAX_CHANNELS):
        raise InputError(f"sound: expected (n, channels), found shape {array.shape}; transpose it")
    dtype = array.dtype.newbyteorder("=").name
    if dtype not in _OF_DTYPE:
        raise InputError(f"sound: expected samples of {', '.join(_OF_DTYPE)}, found {array.dtype}")
    number = _number(_OF_DTYPE[dtype])
    if dtype == "uint8":
        array = (array.astype(np.int16) - 128) << 8
    elif dtype == "int8":
        array = array.astype(np.int16) << 8
    return np.ascontiguousarray(array, FORMATS[number].dtype), int(rate), number


def _what(value: Any) -> str:
    return f"shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__


def _number(subtype: str) -> int:
    return next((i for i, form in enumerate(FORMATS) if form.subtype == subtype), 0)


def read(path: Path) -> tuple[Array, int, int, tuple[str, ...]]:
    """Samples (n, channels), rate, format id and remarks for a file."""
    if not path.is_file():
        raise InputError(f"{path}: expected a sound file, found {'a folder' if path.is_dir() else 'none'}")
    if path.suffix.lower() in (".npy", ".npz"):
        raise InputError(f"{path}: an array has no rate; pass (array, rate) in Python, or a .wav file")
    soundfile = library("soundfile", "audio", path)
    with translated(path, "expected a sound that libsndfile reads ({reason})"), soundfile.SoundFile(path) as file:
        if file.frames * file.channels > MAX_SAMPLES:
            raise InputError(f"{path}: {file.frames:,} x {file.channels} samples are more than {MAX_SAMPLES:,}; cut it")
        number = _number(file.subtype)
        # In pieces: a damaged header may declare more samples than the file has.
        pieces = list(_pieces(file, FORMATS[number].dtype))
        rate, subtype = file.samplerate, file.subtype
    if not pieces:
        raise InputError(f"{path}: expected a sound, found no samples")
    notes = () if FORMATS[number].subtype == subtype else (f"decoded from {subtype}; samples are kept with 16 bits",)
    return np.concatenate(pieces), rate, number, notes


def _pieces(file: Any, dtype: str) -> Iterator[Array]:
    while len(piece := file.read(1 << 20, dtype=dtype, always_2d=True)):
        yield piece


# -- writing ---------------------------------------------------------------------------------------------------


def check_format(path: Path) -> tuple[str, Any]:
    """The format of an output as libsndfile calls it, and the library; None for .wav where it is not installed.

    Raises
    ------
    InputError : an unknown extension
    MissingExtraError : soundfile is not installed, and the format is not .wav
    """
    suffix = path.suffix.lower()
    try:
        soundfile = library("soundfile", "audio", path)
    except MissingExtraError as error:
        if suffix == ".wav":
            return "WAV", None
        raise MissingExtraError(f"{error}; or write .wav, or the array, as .npy") from error
    kind = {".oga": "OGG", ".opus": "OGG", ".aif": "AIFF"}.get(suffix, suffix[1:].upper())
    if kind not in soundfile.available_formats() or kind == "RAW":
        raise InputError(f"{path}: expected a name that ends in .wav, .flac, .ogg, .mp3, .npy or .png")
    return kind, soundfile


def _write_wave(decoded: Sound, channels: int, path: Path, subtype: str) -> None:
    """Write a sound as PCM by the standard library, which has no floats: those become 24 bits, as in FLAC."""
    size = {"PCM_U8": 1, "PCM_S8": 1, "PCM_16": 2, "PCM_32": 4}.get(subtype, 3)
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, size, decoded.rate, 0, "NONE", ""))
        for i in range(0, len(decoded.samples), 1 << 16):
            values = amplitudes(decoded.samples[i : i + (1 << 16)]) * 2.0 ** (8 * size - 1)
            most = 2 ** (8 * size - 1) - 1
            integers = np.clip(np.rint(values), -most - 1, most).astype("<i4")
            if size == 1:
                integers += 128  # eight bits have no sign
            file.writeframesraw(integers.view(np.uint8).reshape(*integers.shape, 4)[..., :size].tobytes())


def write(decoded: Sound, path: Path, subtype: str) -> None:
    """Write a sound; the extension selects the file format, with sample format `subtype` where that is supported.

    Raises
    ------
    InputError : an unknown extension, or a format without support for the number of channels or the rate
    MissingExtraError : soundfile is not installed
    """
    channels = 1 if decoded.samples.ndim == 1 else decoded.samples.shape[1]
    kind, soundfile = check_format(path)
    if soundfile is None:
        with atomic_write(path) as temporary:
            _write_wave(decoded, channels, temporary, subtype)
        return
    wanted = [subtype, *(("PCM_U8", "PCM_S8", "PCM_16") if "8" in subtype else ("PCM_24", "PCM_16"))]
    if path.suffix.lower() == ".opus":
        wanted = ["OPUS"]
    default = soundfile.default_subtype(kind)
    subtype = next((name for name in wanted if soundfile.check_format(kind, name)), default)
    with atomic_write(path) as temporary:
        try:
            with soundfile.SoundFile(temporary, "w", decoded.rate, channels, subtype=subtype, format=kind) as file:
                # In pieces: some encoders of libsndfile copy their whole input to the stack.
                for i in range(0, len(decoded.samples), 1 << 16):
                    file.write(decoded.samples[i : i + (1 << 16)])
        except soundfile.LibsndfileError as error:
            raise InputError(
                f"{path}: {kind} does not take {channels} channel(s) at {decoded.rate} Hz; expected .wav "
                f"({reason(error)})"
            ) from error
