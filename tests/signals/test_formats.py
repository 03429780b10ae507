"""What cannot be written is refused before anything is rendered, with the library or the extension in one line."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sinr_codec.errors import InputError
from sinr_codec.signals import audio_files, registry
from sinr_codec.signals.audio_files import Sound

SIGNALS = Path(__file__).parents[1] / "conformance/signals"
WITHOUT = """
import sys
for name in sys.argv[1].split():
    sys.modules[name] = None
from sinr_codec.decoding import Decoder, decode
Decoder.render = lambda *_, **__: print("rendered")
try:
    decode(sys.argv[2], sys.argv[3])
except Exception as error:
    print(type(error).__name__, error)
"""


def kinds():
    return [registry.kind_named(name) for name in registry.KINDS]


@pytest.mark.parametrize(
    ("library", "file", "out", "message"),
    [
        ("nibabel", "volume.sinr", "a.nii.gz", "needs nibabel: pip install 'sinr-codec[volume]'; or write the array"),
        ("av", "video.sinr", "a.mp4", "needs PyAV: pip install 'sinr-codec[video]'; or write the array, as .npy"),
        ("soundfile", "audio.sinr", "a.flac", "needs soundfile: pip install 'sinr-codec[audio]'; or write .wav"),
        ("trimesh", "shape.sinr", "a.ply", "needs trimesh: pip install 'sinr-codec[mesh]'; or write the array"),
        ("netCDF4", "dataset.sinr", "a.nc", "needs netCDF4: pip install 'sinr-codec[science]'"),
    ],
)  # fmt: skip
def test_a_missing_writer_is_found_before_the_work(library, file, out, message, tmp_path):
    command = [sys.executable, "-c", WITHOUT, library, str(SIGNALS / file), str(tmp_path / out)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.startswith(f"MissingExtraError {tmp_path / out}: {message}")
    assert "rendered" not in run.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", kinds(), ids=lambda kind: kind.name)
def test_unknown_extensions_are_refused(kind):
    import sinr_codec.integrations.pillow  # noqa: F401  (adds .sinr to Pillow's formats)

    for name in ("a.abc", "a.sinr"):
        with pytest.raises(InputError, match=rf"{name}: expected"):
            kind.writes(name)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("image", "a.png A.JPG a.npy a.tif"),
        ("audio", "a.wav a.flac a.npy a.png a.opus a.aif"),
        ("volume", "a.nii a.NII.GZ a.zarr a.zarr.zip a.tiff a.npz"),
        ("dataset", "a.nc a.zarr a.npz a.png"),
        ("video", "a.mp4 frames frames/ frame_%04d.png a.webm"),
        ("shape", "a.ply a.glb a.npy a.png"),
        ("radiance", "a.png a.gif a.mp4 views a.ply a.npy"),
    ],
)
def test_what_is_written_is_accepted(kind, names):
    for name in names.split():
        registry.kind_named(kind).writes(name)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "PCM_U8", "PCM_S8", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_wave_file_needs_no_library(subtype, channels, tmp_path, monkeypatch):
    form = next(each for each in audio_files.FORMATS if each.subtype == subtype)
    wide = np.sin(np.arange(300 * channels) / 7).reshape(300, channels)
    wide[:3] = [[-1.0], [1.0], [0.0]]
    if form.bits:
        step = 2.0 ** (form.bits - 1)
        whole = np.clip(np.rint(wide * step), -step, step - 1).astype(np.int64)
        samples = (whole << (8 * np.dtype(form.dtype).itemsize - form.bits)).astype(form.dtype)
    else:
        samples = wide.astype(form.dtype)
    sound = Sound(samples[:, 0] if channels == 1 else samples, 8000)
    monkeypatch.setitem(sys.modules, "soundfile", None)
    audio_files.write(sound, tmp_path / "a.wav", subtype)
    found, rate = soundfile.read(tmp_path / "a.wav", always_2d=True)
    assert (soundfile.info(tmp_path / "a.wav").subtype, rate) == (
        {"PCM_S8": "PCM_U8", "FLOAT": "PCM_24", "DOUBLE": "PCM_24"}.get(subtype, subtype),
        8000,
    )
    np.testing.assert_allclose(found, audio_files.amplitudes(samples), atol=0 if form.bits else 2.0**-22)


FULL = """
import sys
from pathlib import Path
from sinr_codec.decoding import decode
from sinr_codec.errors import InputError

out, *work = map(Path, sys.argv[1:])
for file, name in zip(work[::2], work[1::2]):
    try:
        decode(file, out / name)
    except InputError as error:
        print(name, "No" if "cannot be written (File too large)" in str(error) else error, list(out.iterdir()))
"""


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, small_files):
    """libsndfile blames the channels, or says nothing; Pillow writes less of a JPEG file without a word."""
    names = {
        "a.jpg": "../blocks.sinr",
        "a.ogg": "audio.sinr",
        "a.wav": "audio.sinr",
        "a.nc": "dataset.sinr",
        "a.zarr": "dataset.sinr",
        "a.mp4": "video.sinr",
        "frames": "video.sinr",
    }
    work = [str(each) for name, file in names.items() for each in (SIGNALS / file, name)]
    said = small_files(FULL, tmp_path, *work, limit=64)
    assert said.splitlines() == [f"{name} No []" for name in names]
