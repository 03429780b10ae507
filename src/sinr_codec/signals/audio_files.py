"""Reading and writing sounds: files by libsndfile, and arrays with a sample rate."""

import contextlib
import re
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np

from sinr_codec.errors import InputError, MissingExtraError, quoted
from sinr_codec.files import atomic_write
from sinr_codec.signals.base import MAX_SAMPLES
from sinr_codec.signals.metadata import Metadata
from sinr_codec.signals.sources import library, reason, translated
from sinr_codec.types import Array

MAX_CHANNELS: Final = 1024  # limit of libsndfile
MAX_RATE: Final = 2**31 - 1
_MOST_OF_VORBIS: Final = (255, 200_000)  # channels and rate; more crash the encoder
_FORMATS_BY_SUFFIX: Final = {
    ".oga": "OGG",
    ".opus": "OGG",
    ".aif": "AIFF",
    ".aifc": "AIFF",
    ".snd": "AU",
    ".sf": "IRCAM",
    ".iff": "SVX",
    ".8svx": "SVX",
    ".sph": "NIST",
    ".nist": "NIST",
}
_OTHERS: Final = (".m4a", ".m4b", ".aac", ".wma", ".amr", ".ape", ".wv", ".ac3", ".dts", ".mka", ".webm", ".tta")
_UNWRITTEN: Final = ("RAW", "SD2")  # without a header, and with a second file
_DROPPED: Final = ("bext", "cart", "cue", "iXML", "smpl", "inst", "MARK")
"""Chunks of WAV and AIFF files that are no tags: broadcast data, cue points and loops."""
_SYSTEM_ERROR: Final = 2  # of libsndfile


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
_LOSSLESS: Final = {
    "ALAC_16": "PCM_16",
    "ALAC_20": "PCM_24",
    "ALAC_24": "PCM_24",
    "ALAC_32": "PCM_32",
    "DPCM_8": "PCM_S8",
    "DPCM_16": "PCM_16",
}
"""Lossless codecs by their names in libsndfile, and the sample formats that hold their samples."""
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


class SoundFile(NamedTuple):
    """The content of a file: samples (n, channels), rate, format id, remarks, and metadata (`metadata_of`)."""

    samples: Array
    rate: int
    number: int
    notes: tuple[str, ...]
    metadata: dict[str, Any]


def read(path: Path) -> SoundFile:
    """The content of a file.

    Raises
    ------
    InputError : no such file, not a sound, damaged, or too long
    MissingExtraError : soundfile is not installed
    """
    if not path.is_file():
        raise InputError(f"{path}: expected a sound file, found {'a folder' if path.is_dir() else 'none'}")
    if path.suffix.lower() in (".npy", ".npz"):
        raise InputError(f"{path}: an array has no rate; pass (array, rate) in Python, or a .wav file")
    soundfile = library("soundfile", "audio", path)
    failure = "expected a sound that libsndfile reads ({reason})"
    if path.suffix.lower() in _OTHERS:
        failure = f"libsndfile does not read {path.suffix.lower()} files ({{reason}}); convert it to .wav or .flac"
    with translated(path, failure), soundfile.SoundFile(path) as file:
        if file.frames * file.channels > MAX_SAMPLES:
            raise InputError(f"{path}: {file.frames:,} x {file.channels} samples are more than {MAX_SAMPLES:,}; cut it")
        held = _LOSSLESS.get(file.subtype, file.subtype)
        number = _number(held)
        lossy = FORMATS[number].subtype != held
        # In pieces: a damaged header may declare more samples than the file has.
        pieces = list(_pieces(file, FORMATS[number].dtype, lossy))
        rate, subtype, metadata = file.samplerate, file.subtype, _metadata_of(file, soundfile)
        dropped = [chunk for chunk in _DROPPED if re.search(rf"^{chunk} *:", file.extra_info, re.MULTILINE)]
    if not pieces:
        raise InputError(f"{path}: expected a sound, found no samples")
    notes = [f"decoded from {subtype}; samples are kept with 16 bits"] if lossy else []
    if dropped:
        notes.append(f"chunks of the file that are not stored: {', '.join(dropped)}")
    return SoundFile(np.concatenate(pieces), rate, number, tuple(notes), metadata)


def _pieces(file: Any, dtype: str, lossy: bool) -> Iterator[Array]:
    # What lossy codecs decode to may exceed full scale, and libsndfile wraps it around when it makes integers of it.
    while len(piece := file.read(1 << 20, dtype="float32" if lossy else dtype, always_2d=True)):
        yield _clipped(piece, dtype) if lossy else piece


def _clipped(amplitudes: Array, dtype: str) -> Array:
    """Samples of an integer dtype, clipped at full scale."""
    scale = full_scale(dtype)
    return np.clip(np.rint(np.nan_to_num(amplitudes) * scale), -scale, scale - 1).astype(dtype)


# -- metadata --------------------------------------------------------------------------------------------------

PLACES: Final = (
    *("", "M", "L", "R", "C", "FL", "FR", "FC", "BC", "BL", "BR", "LFE", "FLC", "FRC", "SL", "SR"),
    *("TC", "TFL", "TFR", "TFC", "TBL", "TBR", "TBC"),
)
"""Places of channels by their code in libsndfile: front, back, side and top; left, right and centre. LFE is the
subwoofer, FLC and FRC lie between front and centre, and M, L, R and C are those of WAV and AIFF."""
_GET_PLACES: Final = 0x1100  # commands of libsndfile
_SET_PLACES: Final = 0x1101


def _metadata_of(file: Any, soundfile: Any) -> dict[str, Any]:
    """Of an open file, where it tells: the places of the channels, "channels", and texts by name, "tags"."""
    codes = soundfile._ffi.new("int[]", file.channels)
    known = soundfile._snd.sf_command(file._file, _GET_PLACES, codes, soundfile._ffi.sizeof(codes))
    places = [PLACES[code] if 0 < code < len(PLACES) else "" for code in codes] if known else []
    found = {name: soundfile._snd.sf_get_string(file._file, code) for name, code in soundfile._str_types.items()}
    tags = {name: text for name, held in found.items() if held and (text := _text(soundfile._ffi.string(held)))}
    return ({"channels": places} if any(places) else {}) | ({"tags": tags} if tags else {})


def _text(data: bytes) -> str:
    """A tag, which programs on Windows write in their own alphabet."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def _places(metadata: Metadata, channels: int) -> list[int]:
    """Codes of the places of so many channels; none where the metadata do not tell."""
    found = metadata.get("channels")
    if not isinstance(found, list) or len(found) != channels or not any(found):
        return []
    return [PLACES.index(place) if place in PLACES else 0 for place in found]


def _write_metadata(file: Any, soundfile: Any, metadata: Metadata, places: list[int]) -> None:
    """Tags and places of the channels, as far as the format holds them."""
    tags = metadata.get("tags")
    for name, text in tags.items() if isinstance(tags, dict) else ():
        if name in soundfile._str_types and isinstance(text, str):
            with contextlib.suppress(soundfile.SoundFileError):
                setattr(file, name, text)
    if places:
        codes = soundfile._ffi.new("int[]", places)
        soundfile._snd.sf_command(file._file, _SET_PLACES, codes, soundfile._ffi.sizeof(codes))


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
    kind = _FORMATS_BY_SUFFIX.get(suffix, suffix[1:].upper())
    if kind not in soundfile.available_formats() or kind in _UNWRITTEN:
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


def write(decoded: Sound, path: Path, subtype: str, metadata: Metadata = MappingProxyType({})) -> None:
    """Write a sound; the extension selects the file format, with sample format `subtype` where that is supported.

    Of the metadata, what the format holds is written.

    Raises
    ------
    InputError : an unknown extension, a format without support for the number of channels or the rate, or a full disk
    MissingExtraError : soundfile is not installed
    """
    channels = 1 if decoded.samples.ndim == 1 else decoded.samples.shape[1]
    kind, soundfile = check_format(path)
    if soundfile is None:
        with atomic_write(path) as temporary:
            _write_wave(decoded, channels, temporary, subtype)
        return
    suffix, places = path.suffix.lower(), _places(metadata, channels)
    if kind == "WAV" and places:
        kind = "WAVEX"
    wanted = [subtype, *(("PCM_U8", "PCM_S8", "PCM_16") if "8" in subtype else ("PCM_24", "PCM_16"))]
    if suffix == ".opus":
        wanted = ["OPUS"]
    default = soundfile.default_subtype(kind)
    subtype = next((name for name in wanted if soundfile.check_format(kind, name)), default)
    refused = f"{path}: {kind} does not take {channels} channel(s) at {decoded.rate} Hz; expected .wav"
    most_channels, most_rate = _MOST_OF_VORBIS
    if subtype == "VORBIS" and (channels > most_channels or decoded.rate > most_rate):
        raise InputError(f"{refused} (at most {most_channels} channels and {most_rate} Hz)")
    with atomic_write(path) as temporary:
        try:
            with soundfile.SoundFile(temporary, "w", decoded.rate, channels, subtype=subtype, format=kind) as file:
                _write_metadata(file, soundfile, metadata, places)
                # In pieces: some encoders of libsndfile copy their whole input to the stack.
                for i in range(0, len(decoded.samples), 1 << 16):
                    file.write(decoded.samples[i : i + (1 << 16)])
            written = soundfile.info(temporary) if temporary.is_file() else None
        except soundfile.LibsndfileError as error:
            if error.code == _SYSTEM_ERROR:
                raise InputError(f"{path}: cannot be written (the system refuses; is the disk full?)") from error
            raise InputError(f"{refused} ({reason(error)})") from error
        # Some headers hold a few rates only, or 16 bits of it.
        if written is not None and (written.samplerate, written.channels) != (decoded.rate, channels):
            raise InputError(f"{refused} (it would say {written.channels} at {written.samplerate} Hz)")
