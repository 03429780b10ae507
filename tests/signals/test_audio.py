"""Sounds: reading, blocks and their seams, other rates, writing, headers."""

import math
import struct
import tracemalloc
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from sinr_codec.errors import InputError, LimitError, MalformedError, UnknownIdError
from sinr_codec.signals import audio, registry
from sinr_codec.signals.audio import AudioSignal, AudioSpec, Sound
from sinr_codec.signals.base import Fields

soundfile = pytest.importorskip("soundfile")

TONES = ((220.0, 0.3, 0.0), (1700.0, 0.2, 1.0), (3100.0, 0.1, 2.0))


def wave(seconds, tones=TONES):
    """Tones at any moments, float64."""
    return sum(level * np.sin(2 * np.pi * hertz * np.asarray(seconds) + phase) for hertz, level, phase in tones)


def sound(rate=8000, frames=12_000, channels=1):
    mono = wave(np.arange(frames) / rate).astype(np.float32)
    return Sound(mono if channels == 1 else np.stack([mono * (-0.5) ** c for c in range(channels)], 1), rate)


def perfect(spec, tones=TONES, offsets=None):
    """Fields that know the tones, from the geometry of the format: coordinates to seconds."""

    def apply(block, coords):
        start = block * spec.frames // spec.parts - spec.fade
        extent = math.ceil(spec.frames / spec.parts) + 2 * spec.fade
        position = ((coords[:, 0].astype(np.float64) + 1) * extent - 1) / 2 + start
        values = wave(position / spec.rate, tones) + (0 if offsets is None else offsets[block])
        return np.stack([values * (-0.5) ** c / spec.gains[block] for c in range(spec.channels)], 1)

    return Fields([partial(apply, block) for block in range(spec.parts)])


# -- reading and writing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_a_wav_keeps_its_sample_width(tmp_path, subtype, channels):
    source = sound(channels=channels)
    soundfile.write(tmp_path / "a.wav", source.samples, source.rate, subtype=subtype)
    signal = AudioSignal.load(tmp_path / "a.wav")
    assert signal.spec.subtype == subtype
    assert signal.spec.channels == channels
    width = {"PCM_U8": 1, "PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}[subtype]
    assert signal.source_bytes == 12_000 * channels * width
    samples = signal.array[:, 0] if channels == 1 else signal.array
    signal.spec.save(Sound(samples, source.rate), tmp_path / "b.wav")
    assert soundfile.info(tmp_path / "b.wav").subtype == subtype
    first, second = (soundfile.read(tmp_path / name, dtype="float64")[0] for name in ("a.wav", "b.wav"))
    np.testing.assert_array_equal(first, second)
    assert first.shape == ((12_000,) if channels == 1 else (12_000, channels))


@pytest.mark.parametrize(
    ("name", "subtype"), [("a.flac", "PCM_24"), ("a.ogg", "VORBIS"), ("a.mp3", "MPEG_LAYER_III"), ("a.aiff", "PCM_32")]
)
def test_other_formats_get_what_they_can_hold(tmp_path, name, subtype):
    kind = {"a.mp3": "MP3", "a.ogg": "OGG"}.get(name, "WAV")
    if kind not in soundfile.available_formats():
        pytest.skip(f"this libsndfile lacks {kind}")
    floats = sound(rate=16_000).samples
    spec = AudioSignal.load(((floats * 2**31).astype(np.int32), 16_000)).spec
    spec.save(Sound((floats * 2**31).astype(np.int32), 16_000), tmp_path / name)
    assert soundfile.info(tmp_path / name).subtype == subtype
    again = AudioSignal.load(tmp_path / name)
    lossy = subtype in ("VORBIS", "MPEG_LAYER_III")
    assert again.spec.subtype == ("PCM_16" if lossy else subtype)
    assert bool(again.notes) == lossy
    spectra = [np.abs(np.fft.rfft(x[:12_000])) for x in (again.array[:, 0].astype(float), floats)]
    assert np.corrcoef(*spectra)[0, 1] > 0.98  # an MP3 begins with some padding


def test_arrays_of_every_type_keep_their_amplitudes():
    floats = sound().samples
    for dtype, scale, offset in (
        ("int8", 2**7, 0),
        ("uint8", 2**7, 128),
        ("int16", 2**15, 0),
        ("int32", 2**31, 0),
        ("float32", 1, 0),
        ("float64", 1, 0),
    ):
        samples = (floats * scale + offset).astype(dtype)
        signal = AudioSignal.load((samples, 8000))
        (part,) = signal.parts
        _, values = part.batch(np.arange(len(part)))
        np.testing.assert_allclose(
            values[:, 0] * signal.spec.gains[0], floats, atol=1.01 / scale if scale > 1 else 1e-6
        )
        assert np.abs(values).max() == pytest.approx(1, abs=1e-6)


def test_a_rendering_can_be_encoded_again_and_saved_as_an_array(tmp_path):
    signal = AudioSignal.load(sound(channels=2))
    decoded = signal.spec.render(perfect(signal.spec))
    assert AudioSignal.load(decoded).spec.channels == 2
    signal.spec.save(decoded, tmp_path / "a.npy")
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), decoded.samples)
    assert signal.spec.summary(decoded) == "1.50 s at 8,000 Hz, stereo, FLOAT"
    assert signal.spec.describe()["shape"] == [12_000, 2]


def test_a_picture_of_a_sound(tmp_path):
    spec = AudioSignal.load(sound()).spec
    spec.save(sound(), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 1000


@pytest.mark.parametrize("source", [np.zeros(500, np.int16), np.zeros((40_000, 2), np.float32)])
def test_silence_is_no_special_case(source):
    signal = AudioSignal.load((source, 8000), block=1.0)
    fields = Fields([lambda coords: np.full((len(coords), signal.spec.channels), 0.7)] * signal.spec.parts)
    decoded = signal.spec.render(fields)
    np.testing.assert_array_equal(decoded.samples, source)
    assert signal.quality(partial(signal.spec.render, fields)).db == math.inf
    for part in signal.parts:
        assert not part.batch(np.arange(5))[1].any()
        assert part.objective(None, 0)(fields.parts[0], 64) == 0
        assert part.decibels(0.1) == math.inf


def test_what_is_no_sound_is_refused(tmp_path):
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no sound at all")
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 8000)
    np.save(tmp_path / "a.npy", np.zeros(9))
    whole = tmp_path / "whole.flac"
    soundfile.write(whole, sound().samples, 8000)
    (tmp_path / "cut.flac").write_bytes(whole.read_bytes()[:60])
    tone = sound().samples
    for source, words in (
        (tmp_path / "missing.wav", "none"),
        (tmp_path, "folder"),
        (tmp_path / "empty.wav", "libsndfile"),
        (tmp_path / "text.wav", "libsndfile"),
        (tmp_path / "cut.flac", "."),
        (tmp_path / "none.wav", "no samples"),
        (tmp_path / "a.npy", "rate"),
        (tone, "rate"),
        ((tone, 0), "rate"),
        ((tone, 8000.5), "rate"),
        ((tone, math.nan), "rate"),
        ((tone, "fast"), "rate"),
        ((np.zeros((2, 800)), 8000), "transpose"),
        ((np.zeros(0), 8000), "non-empty"),
        ((np.zeros((2, 2, 2)), 8000), "non-empty"),
        ((np.zeros(9, complex), 8000), "complex"),
        ((np.array([0.0, np.nan] * 99), 8000), "finite"),
        ((np.array([0.0, -np.inf] * 99), 8000), "finite"),
        ((np.array([0.0, 1e39] * 99), 8000), "finite"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            AudioSignal.load(source)
        assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="block"):
        AudioSignal.load((tone, 8000), block=0)


def test_what_cannot_be_written_is_refused(tmp_path):
    spec = AudioSignal.load(sound(channels=9)).spec
    with pytest.raises(InputError, match="expected a name"):
        spec.save(sound(channels=9), tmp_path / "a.txt")
    with pytest.raises(InputError, match="9 channel"):
        spec.save(sound(channels=9), tmp_path / "a.flac")
    assert not list(tmp_path.iterdir())


# -- blocks and seams ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frames", [12_000, 11_999, 4001])
def test_blocks_cover_every_sample_and_cross_fade(frames):
    signal = AudioSignal.load(sound(frames=frames, channels=2), block=0.25)
    spec = signal.spec
    assert spec.parts == round(frames / 2000)
    assert spec.fade == 80
    decoded = spec.render(perfect(spec))
    np.testing.assert_allclose(decoded.samples, signal.array, atol=3e-5)
    for part in signal.parts:
        coords, values = part.batch(np.arange(len(part)))
        assert -1 < coords.min() < coords.max() < 1
        np.testing.assert_allclose(perfect(spec).parts[part.block](coords), values, atol=1e-4)
    assert sum(map(len, signal.parts)) == frames + 2 * spec.fade * (spec.parts - 1)


def test_a_step_between_blocks_becomes_a_fade():
    """Networks that are off by a constant meet without a jump: a click would be one sample wide."""
    signal = AudioSignal.load(sound(), block=0.5)
    spec = signal.spec
    smooth = spec.render(perfect(spec)).samples
    error = spec.render(perfect(spec, offsets=[0.1, -0.1, 0.1])).samples - smooth
    assert error[0] == pytest.approx(0.1, abs=1e-4)
    assert np.abs(np.diff(error)).max() < 0.2 * np.pi / (4 * spec.fade) * 1.05
    seam = spec.edge(1)
    assert abs(error[seam - 1 : seam + 1].sum()) < 1e-3
    np.testing.assert_allclose(error[spec.fade : seam - spec.fade], 0.1, atol=1e-4)


def test_quality_tells_the_error_at_seams():
    signal = AudioSignal.load(sound(), block=0.5)
    spec = signal.spec
    fields = perfect(spec)
    noise = np.random.default_rng(0).normal(0, 0.01, spec.frames)

    def noisy(extra):
        decoded = spec.render(fields)
        level = np.ones(spec.frames)
        for block in range(1, spec.parts):
            level[spec.edge(block) - spec.fade : spec.edge(block) + spec.fade] = extra
        return Sound((decoded.samples + noise * level).astype(np.float32), spec.rate)

    even = signal.quality(lambda: noisy(1.0))
    assert even.db == pytest.approx(10 * np.log10(4 / 1e-4), abs=0.2)
    assert even.figures["snr_db"] == pytest.approx(10 * np.log10(np.mean(signal.array**2) / 1e-4), abs=0.2)
    assert signal.psnr_at(even.figures["snr_db"]) == pytest.approx(even.db)
    assert even.leading() == [("SNR", f"{even.figures['snr_db']:.2f} dB")]
    assert even.brief("PSNR") == f"SNR {even.figures['snr_db']:.2f} dB"
    assert ("max error", f"{even.figures['max_error']:.5g} of full scale") in even.further()
    assert abs(even.figures["seam_db"]) < 1.5
    assert signal.quality(lambda: noisy(10.0)).figures["seam_db"] == pytest.approx(
        even.figures["seam_db"] + 20, abs=0.1
    )
    assert "seam_db" not in AudioSignal.load(sound()).quality(lambda: sound()).figures


def test_silence_has_no_snr_to_reach():
    with pytest.raises(InputError, match="snr: the sound is silent"):
        AudioSignal.load((np.zeros(100, np.int16), 8000)).psnr_at(20)


def test_quality_wants_the_same_sound():
    signal = AudioSignal.load(sound())
    assert signal.quality(lambda: sound()).db == math.inf
    for other in (sound(frames=11_000), sound(rate=8001), sound(channels=2)):
        with pytest.raises(InputError, match="decoded sound"):
            signal.quality(lambda other=other: other)


def test_the_objective_is_the_error_of_rounded_samples():
    samples = (sound().samples * 100).astype(np.int8)  # coarse, so that rounding shows
    signal = AudioSignal.load((samples, 8000), block=0.5)
    fields = perfect(signal.spec)
    whole = signal.quality(partial(signal.spec.render, fields))
    errors = [part.objective(None, 0)(apply, 999) for part, apply in zip(signal.parts, fields.parts)]
    assert -10 * np.log10(np.mean(errors)) == pytest.approx(whole.db, abs=0.1)
    some = signal.parts[0].objective(1000, 3)
    assert some(fields.parts[0], 64) == pytest.approx(errors[0], rel=0.3)
    assert some(fields.parts[0], 64) == pytest.approx(some(fields.parts[0], 1000))


# -- rates and seconds -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 44_100])
def test_higher_rates_give_the_same_wave(rate):
    spec = AudioSignal.load(sound(channels=2), block=0.5).spec
    decoded = spec.render(perfect(spec), rate=rate)
    assert decoded.rate == rate
    assert decoded.samples.shape == (round(1.5 * rate), 2)
    np.testing.assert_allclose(decoded.samples[:, 0], wave(np.arange(len(decoded.samples)) / rate), atol=2e-4)


@pytest.mark.parametrize("rate", [7800, 4000, 3000, 1000])
def test_lower_rates_fold_nothing(rate):
    spec = AudioSignal.load(sound(), block=0.5).spec
    decoded = spec.render(perfect(spec), rate=rate).samples
    assert len(decoded) == round(1.5 * rate)
    kept = wave(np.arange(len(decoded)) / rate, [tone for tone in TONES if tone[0] < rate / 2])
    inner = slice(rate // 8, -rate // 8)  # away from the ends, where the filter sees silence
    np.testing.assert_allclose(decoded[inner], kept[inner], atol=2e-3)


@pytest.mark.parametrize("rate", [8000, 12_000, 3000])
def test_seconds_are_cut_from_the_whole_and_other_blocks_left_alone(rate):
    spec = AudioSignal.load(sound(), block=0.25).spec
    fields = perfect(spec)
    whole = spec.render(fields, rate=rate).samples

    class Counting(list):
        taken: set

        def __getitem__(self, number):
            self.taken.add(number)
            return super().__getitem__(number)

    parts = Counting(fields.parts)
    parts.taken = set()
    piece = spec.render(Fields(parts), rate=rate, start=0.55, stop=0.7).samples
    np.testing.assert_allclose(piece, whole[round(0.55 * rate) : round(0.7 * rate)], atol=1e-6)
    assert parts.taken == {2}
    tail = spec.render(fields, rate=rate, start=1.4).samples
    np.testing.assert_allclose(tail, whole[round(1.4 * rate) :], atol=1e-6)


def test_tiles_and_threads_change_nothing():
    spec = AudioSignal.load(sound(), block=0.25).spec
    fields = perfect(spec)
    once = spec.render(Fields(fields.parts, tile=10**6, threads=1)).samples
    np.testing.assert_array_equal(spec.render(Fields(fields.parts, tile=77, threads=3)).samples, once)


def test_lower_rates_of_many_channels_take_little_memory():
    channels = 1024
    spec = AudioSpec(8000, 80_000, channels, 3, (1.0,), 0)
    fields = Fields([lambda coords: np.zeros((len(coords), channels), np.float32)], threads=1)
    tracemalloc.start()
    try:
        assert spec.render(fields, rate=125).samples.shape == (1250, channels)
        # the samples before decimation are 328 MB
        assert tracemalloc.get_traced_memory()[1] < 200e6
    finally:
        tracemalloc.stop()


def test_small_tiles_before_decimation_change_nothing(monkeypatch):
    spec = AudioSignal.load(sound(channels=2), block=0.5).spec
    whole = spec.render(perfect(spec), rate=3000).samples
    monkeypatch.setattr(audio, "_MOST_OVERSAMPLED", 1000)
    np.testing.assert_allclose(spec.render(perfect(spec), rate=3000).samples, whole, atol=1e-6)


def test_impossible_renderings_are_refused():
    spec = AudioSignal.load(sound()).spec
    fields = perfect(spec)
    for options in (
        {"rate": 0},
        {"rate": 1},
        {"rate": 8000.5},
        {"start": -1},
        {"start": 1.5},
        {"start": 1, "stop": 1},
        {"stop": 1.6},
        {"stop": math.nan},
        {"start": "0"},
    ):
        with pytest.raises(InputError, match="expected"):
            spec.render(fields, **options)
    with pytest.raises(LimitError):
        spec.render(Fields(fields.parts, max_samples=11_999))
    with pytest.raises(LimitError):
        spec.render(Fields(fields.parts, max_samples=1 << 30), rate=2**31 - 1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_a_damaged_network_gives_samples_all_the_same(value, dtype):
    spec = AudioSignal.load(((sound().samples * 30_000).astype(dtype), 8000)).spec
    for rate in (8000, 4000):
        decoded = spec.render(Fields([lambda coords: np.full((len(coords), 1), value)]), rate=rate)
        assert decoded.samples.dtype == dtype
        assert np.isfinite(decoded.samples).all()


# -- headers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [sound(), sound(channels=3), Sound((sound().samples * 99).astype(np.int8), 7)])
def test_the_header_comes_back(source):
    spec = AudioSignal.load(source, block=0.5).spec
    header = spec.to_header()
    assert AudioSpec.from_header(header) == spec
    assert AudioSpec.parts_in(header) == spec.parts


def test_headers_that_no_writer_wrote_are_refused():
    good = AudioSignal.load(sound(), block=0.5).spec.to_header()
    bad = [
        *([*good[:i], value, *good[i + 1 :]] for i in range(1, 7) for value in (None, True, -1, 2**60, "x", 1.5, [])),
        good[:6],
        [*good, 0],
        None,
        [2, *good[1:]],
        [*good[:4], 99, *good[5:]],
        [*good[:5], 2001, good[6]],
        [*good[:5], 1, [0.5]],
        [*good[:6], [0.5, 1, 0.5]],
        [*good[:6], [0.5, math.nan, 0.5]],
        [*good[:6], [0.5, -0.5, 0.5]],
        [*good[:6], [0.5, 1e300, 0.5]],
        [*good[:4], 0, good[5], [0.5, 1.5, 0.5]],
        [1, 8000, 2, 1, 0, 0, [0.5] * 3],
    ]
    for header in bad:
        with pytest.raises((MalformedError, UnknownIdError)):
            AudioSpec.from_header(header)
    with pytest.raises(MalformedError):
        AudioSpec.from_header(good, b"x")
    assert AudioSpec.from_header(good).parts == 3


# -- real sounds -----------------------------------------------------------------------------------------------


def test_speech_in_ogg(data_file):
    signal = AudioSignal.load(data_file("audio/librosa_librispeech_198-209-0000.hq.ogg"))
    assert (signal.spec.rate, signal.spec.channels, signal.spec.subtype) == (16_000, 1, "PCM_16")
    assert signal.notes
    assert signal.spec.parts > 1


def test_a_real_clip_from_end_to_end(data_file, tmp_path):
    """Two blocks of a piano, fitted, coded, and drawn at another rate."""
    codec = pytest.importorskip("sinr_codec.codec")
    pytest.importorskip("torch")
    samples, rate = soundfile.read(data_file("audio/gt_bach.wav"), start=44_100, frames=8820, dtype="float32")
    report = codec.encode((samples, rate), tmp_path / "a.sinr", width=12, preset="fast", block=0.1)
    assert report.parts == 2
    assert report.quality > 30
    assert report.quality == pytest.approx(report.fit_quality, abs=0.3)
    assert abs(report.figures["seam_db"]) < 6
    decoded = codec.decode(tmp_path / "a.sinr")
    assert decoded.samples.dtype == np.float32
    error = np.mean((decoded.samples - samples) ** 2)
    assert 10 * np.log10(4 / error) == pytest.approx(report.quality, abs=0.05)
    assert len(codec.decode(tmp_path / "a.sinr", rate=22_050, start=0.1).samples) == 2205


# -- files of other programs -----------------------------------------------------------------------------------

TAGS = {"title": "A title", "artist": "Künstler", "comment": "kept, too"}


def tagged(path, channels=6, **options):
    options = {"subtype": "PCM_24", "format": "WAVEX"} | options
    with soundfile.SoundFile(path, "w", 48_000, channels, **options) as file:
        for name, text in TAGS.items():
            setattr(file, name, text)
        file.write(np.random.default_rng(0).uniform(-0.5, 0.5, (800, channels)))
    return path


def resaved(source, path, **options):
    signal = AudioSignal.load(source, **options)
    samples = signal.array[:, 0] if signal.spec.channels == 1 else signal.array
    signal.spec.save(Sound(samples, signal.spec.rate), path, metadata=signal.metadata)
    return soundfile.SoundFile(path)


def mask(path):
    """Format tag and channel mask of a WAV file."""
    data = path.read_bytes()
    at = data.index(b"fmt ") + 8
    return int.from_bytes(data[at : at + 2], "little"), int.from_bytes(data[at + 20 : at + 24], "little")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.wav", {}),
        ("a.wav", {"format": "WAV", "channels": 2}),
        ("a.flac", {"format": "FLAC", "channels": 2}),
        ("a.ogg", {"format": "OGG", "subtype": "VORBIS", "channels": 1}),
        ("a.aiff", {"format": "AIFF", "channels": 2}),
        ("a.caf", {"format": "CAF", "channels": 2}),
        ("a.rf64", {"format": "RF64", "channels": 2}),
    ],
)
def test_tags_are_kept_in_all_formats_that_hold_them(tmp_path, name, options):
    source = tagged(tmp_path / name, **options)
    with soundfile.SoundFile(source) as before, resaved(source, tmp_path / f"b{name}") as after:
        assert after.copy_metadata() == before.copy_metadata()
        assert after.title == "A title"
        assert after.format == before.format
    with resaved(source, tmp_path / f"c{name}", metadata=False) as bare:
        assert bare.title == ""
    with resaved(source, tmp_path / "d.au", block=0.1) as lesser:  # a format without tags
        assert lesser.frames == 800


def test_places_of_channels_are_kept(tmp_path):
    source = tagged(tmp_path / "a.wav")
    extensible = 0xFFFE, 0x3F
    assert mask(source) == extensible
    assert AudioSignal.load(source).metadata["channels"] == ["L", "R", "C", "LFE", "BL", "BR"]
    with resaved(source, tmp_path / "b.wav") as after:
        assert (after.format, after.subtype, after.channels) == ("WAVEX", "PCM_24", 6)
    assert mask(tmp_path / "b.wav") == extensible
    data = bytearray(source.read_bytes())
    at = data.index(b"fmt ") + 28
    data[at : at + 4] = (0x60F).to_bytes(4, "little")  # side speakers instead of those at the back
    (tmp_path / "side.wav").write_bytes(data)
    assert AudioSignal.load(tmp_path / "side.wav").metadata["channels"][4:] == ["SL", "SR"]
    resaved(tmp_path / "side.wav", tmp_path / "c.wav").close()
    assert mask(tmp_path / "c.wav") == (0xFFFE, 0x60F)
    resaved(tagged(tmp_path / "plain.wav", 2, format="WAV"), tmp_path / "d.wav").close()
    assert mask(tmp_path / "d.wav")[0] == 1


@pytest.mark.parametrize("metadata", [{}, {"channels": ["FL"]}, {"channels": 3, "tags": []}, {"tags": {"title": 7}}])
def test_metadata_of_other_types_are_left_out(tmp_path, metadata):
    spec = AudioSignal.load(sound(channels=2)).spec
    spec.save(sound(channels=2), tmp_path / "a.wav", metadata=metadata)
    with soundfile.SoundFile(tmp_path / "a.wav") as file:
        assert (file.format, file.copy_metadata()) == ("WAV", {})


@pytest.mark.parametrize(
    "name", ["a.caf", "a.w64", "a.rf64", "a.aifc", "a.snd", "a.au", "a.voc", "a.sph", "a.paf", "a.sf", "a.iff", "a.pvf"]
)
def test_whatever_libsndfile_reads_and_writes_goes_in_and_out(tmp_path, name):
    samples = np.random.default_rng(0).integers(-(2**14), 2**14, 800).astype(np.int16)
    AudioSignal.load((samples, 8000)).spec.save(Sound(samples, 8000), tmp_path / name)
    assert registry.kind_of(tmp_path / name).name == "audio"
    read, rate = soundfile.read(tmp_path / name, dtype="int16")
    signal = AudioSignal.load(tmp_path / name)
    assert (signal.spec.rate, rate) == (8000, 8000)
    np.testing.assert_array_equal(signal.array[:, 0], read)


def test_what_libsndfile_does_not_read_is_told(tmp_path):
    (tmp_path / "a.m4a").write_bytes(b"\0\0\0\x20ftypM4A \0\0\0\0M4A mp42isom" + bytes(99))
    assert registry.kind_of(tmp_path / "a.m4a").name == "audio"
    with pytest.raises(InputError, match=r"a\.m4a: libsndfile does not read \.m4a files .*convert it to \.wav"):
        AudioSignal.load(tmp_path / "a.m4a")


@pytest.mark.parametrize(
    ("name", "rate", "channels"),
    [
        ("a.ogg", 700_000, 1),
        ("a.ogg", 200_001, 2),
        ("a.ogg", 44_100, 256),
        ("a.opus", 44_100, 1),
        ("a.mp3", 96_000, 1),
        ("a.flac", 700_000, 1),
        ("a.flac", 65_536, 1),
        ("a.flac", 44_100, 9),
        ("a.svx", 96_000, 1),
        ("a.wve", 44_100, 1),
        ("a.xi", 8000, 1),
        ("a.aiff", 2**31 - 1, 1),
    ],
)
def test_rates_and_channels_that_a_format_does_not_hold_are_refused(tmp_path, name, rate, channels):
    samples = np.zeros((400, channels), np.int16)
    with pytest.raises(InputError, match=rf"{name}: .* does not take {channels} channel.* at {rate} Hz; expected .wav"):
        audio.AudioSpec(rate, 400, channels, 0, (0.0,)).save(Sound(samples, rate), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("kind", ["wav", "aiff", "npy"])
def test_a_full_disk_is_told(tmp_path, kind):
    (tmp_path / f"a.{kind}").symlink_to("/dev/full")
    samples = np.random.default_rng(0).integers(-9999, 9999, 1 << 17).astype(np.int16)
    with pytest.raises(InputError, match=rf"a\.{kind}: cannot be written"):
        AudioSignal.load((samples, 8000)).spec.save(Sound(samples, 8000), tmp_path / f"a.{kind}")


@pytest.mark.parametrize(
    ("name", "options"), [("a.ogg", {}), ("a.opus", {"format": "OGG", "subtype": "OPUS"}), ("a.mp3", {})]
)
def test_what_lossy_codecs_decode_to_is_clipped_at_full_scale(tmp_path, name, options):
    soundfile.write(tmp_path / name, np.sign(np.sin(np.arange(8000) * 0.35)), 8000, **options)
    wanted, _ = soundfile.read(tmp_path / name)
    assert np.abs(wanted).max() > 1.05
    got = AudioSignal.load(tmp_path / name).array[:, 0] / 2.0**15
    np.testing.assert_allclose(got, np.clip(wanted, -1, 1), atol=2**-15)


@pytest.mark.parametrize(
    ("subtype", "kept"),
    [("ALAC_16", "PCM_16"), ("ALAC_20", "PCM_24"), ("ALAC_24", "PCM_24"), ("ALAC_32", "PCM_32")],
)
def test_lossless_codecs_keep_all_bits(tmp_path, subtype, kept):
    soundfile.write(tmp_path / "a.caf", np.random.default_rng(0).uniform(-0.9, 0.9, 800), 8000, subtype)
    signal = AudioSignal.load(tmp_path / "a.caf")
    assert (signal.spec.subtype, signal.notes) == (kept, ())
    signal.spec.save(Sound(signal.array[:, 0], 8000), tmp_path / "a.wav")
    with soundfile.SoundFile(tmp_path / "a.caf") as before, soundfile.SoundFile(tmp_path / "a.wav") as after:
        np.testing.assert_array_equal(after.read(800, "int32"), before.read(800, "int32"))


def test_chunks_that_are_not_kept_are_named(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(9), 8000)
    assert AudioSignal.load(tmp_path / "a.wav").notes == ()
    cue = b"cue " + struct.pack("<4I4s3I", 28, 1, 1, 5, b"data", 0, 0, 5)
    broadcast = b"bext" + struct.pack("<I", 602) + bytes(602)
    data = (tmp_path / "a.wav").read_bytes() + cue + broadcast
    (tmp_path / "b.wav").write_bytes(data[:4] + struct.pack("<I", len(data) - 8) + data[8:])
    assert AudioSignal.load(tmp_path / "b.wav").notes == ("chunks of the file that are not stored: bext, cue",)


def test_tags_in_the_alphabet_of_windows_are_read(tmp_path):
    with soundfile.SoundFile(tmp_path / "a.wav", "w", 8000, 1) as file:
        file.title = "Xyz"
        file.write(np.zeros(9))
    data = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "b.wav").write_bytes(data.replace(b"Xyz", "Füß".encode("cp1252")))
    assert AudioSignal.load(tmp_path / "b.wav").metadata == {"tags": {"title": "Füß"}}
