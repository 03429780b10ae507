"""Bases: learning them, files that need them, and what a receiver must hold."""

import dataclasses

import numpy as np
import pytest

from sinr_codec import codec, container, learning
from sinr_codec.bases import make_base, read_base
from sinr_codec.coding.varint import Reader
from sinr_codec.errors import FormatError, InputError, MalformedError, UnknownIdError
from sinr_codec.fields import MLP, Difference, Modulated, Modulations, Sine
from sinr_codec.fields.latents import LatentModel
from sinr_codec.fields.modulated import LATENTS
from sinr_codec.foreign.decompress import decompress
from sinr_codec.learning import learn
from sinr_codec.methods import METHODS, Task, inric
from sinr_codec.signals.image import ImageSignal

pytest.importorskip("torch")

RNG = np.random.default_rng(7)


def picture(seed, size=(36, 44)):
    y, x = np.meshgrid(np.linspace(-1, 1, size[0]), np.linspace(-1, 1, size[1]), indexing="ij")
    rng = np.random.default_rng(seed)
    waves = [np.sin(rng.uniform(1, 5) * x + rng.uniform(1, 5) * y + rng.uniform(0, 6)) for _ in range(3)]
    return np.round(127.5 + 100 * np.stack(waves, -1)).astype(np.uint8)


LEARN = {
    "width": 24,
    "depth": 1,
    "activation": Sine(10.0),
    "lr": 5e-3,
    "inner_rate": 0.1,
    "steps": 150,
    "tasks": 8,
}


@pytest.fixture(autouse=True, scope="module")
def few():
    """Histograms of few tasks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learning, "_CALIBRATION", 128)
        yield


@pytest.fixture(scope="module")
def latents(tmp_path_factory):
    """A base for pictures in patches of 16 x 16."""
    path = tmp_path_factory.mktemp("bases") / "latents.sinr"
    return learn([picture(i) for i in range(4)], path, latents=12, patch=(16, 16), held_out=[picture(9)], **LEARN)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A base from which all parameters differ."""
    path = tmp_path_factory.mktemp("bases") / "start.sinr"
    return learn([picture(i) for i in range(4)], path, method="inric-meta", **LEARN | {"tasks": 2})


# -- files of bases ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fixture", ["latents", "start"])
def test_a_base_is_read_as_it_was_written(fixture, request):
    report = request.getfixturevalue(fixture)
    base = read_base(report.path)
    assert base.digest.hex() == report.digest == codec.info(report.path)["base"]
    assert base.to_bytes() == report.path.read_bytes()
    assert report.bytes == report.path.stat().st_size > report.receiver_bytes == len(base.decoding)
    for name, value in report.base.params.items():
        np.testing.assert_array_equal(base.params[name], value)
    for name, rates in report.base.rates.items():
        np.testing.assert_allclose(base.rates[name], rates, rtol=0.05)
        assert rates.shape[0] == 3
    assert read_base(base.decoding).digest == base.digest  # without the rates it is the same base
    assert read_base(base.decoding).rates is None


def test_learning_goes_on_from_its_checkpoint(tmp_path):
    sources, options = [picture(0), picture(1)], LEARN | {"latents": 4, "patch": (16, 16), "steps": 6}
    whole = learn(sources, tmp_path / "a.sinr", **options)
    learn(sources, tmp_path / "b.sinr", checkpoint=tmp_path / "state", **options | {"steps": 6})
    again = learn(sources, tmp_path / "b.sinr", checkpoint=tmp_path / "state", **options)
    assert again.steps == 6  # what is done is done
    assert (tmp_path / "a.sinr").read_bytes() == (tmp_path / "b.sinr").read_bytes()
    assert whole.digest == again.digest


def test_learning_lowers_the_loss(latents):
    assert latents.curve[-1]["psnr"] > 14
    assert latents.curve[-1]["step"] == 150


def test_latents_are_counted_anew(latents):
    options = LEARN | {"latents": 12, "patch": (16, 16), "steps": 0, "start": latents.path}
    coarse = learn([picture(i) for i in range(4)], levels=8, sigmas=3.0, **options).base
    assert coarse.model.counts.shape == (12, 8)
    assert coarse.digest != latents.base.digest
    for name, value in latents.base.params.items():
        np.testing.assert_array_equal(coarse.params[name], value)
    assert codec.encode(picture(9), method="coinpp", base=coarse).bytes < 110


@pytest.mark.parametrize("count", [6, 12, 16])
def test_a_base_to_begin_with(count, latents):
    sources, options = [picture(i) for i in range(4)], LEARN | {"patch": (16, 16), "steps": 1, "lr": 1e-9}
    fresh = learn(sources, latents=count, held_out=[picture(9)], **options)
    begun = learn(sources, latents=count, held_out=[picture(9)], start=latents.path, **options)
    assert begun.field.latents == count
    assert begun.curve[-1]["psnr"] > fresh.curve[-1]["psnr"] + 2
    if count == 12:
        assert begun.curve[-1]["psnr"] == pytest.approx(latents.curve[-1]["psnr"], abs=0.3)
    with pytest.raises(InputError, match="start: is a base of"):
        learn(sources, latents=count, start=latents.path, **options | {"width": 9})


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"method": "sinr"}, "method: expected one of coinpp, inric-meta"),
        ({"patch": (64, 64)}, "patch: expected one that fits"),
        ({"levels": 1}, "levels"),
        ({"sources": []}, "at least one"),
        ({"device": "nowhere"}, "device"),
    ],
)
def test_learning_refuses(change, text):
    options = {"sources": [picture(0)], "latents": 4, "patch": (16, 16)} | LEARN | change
    with pytest.raises(InputError, match=text):
        learn(**options)


def test_a_damaged_base_is_refused(latents):
    blob = bytearray(latents.path.read_bytes())
    blob[len(blob) // 2] ^= 1
    with pytest.raises(FormatError):
        read_base(bytes(blob))
    with pytest.raises(InputError, match="holds no base"):
        read_base(codec.encode(picture(9), method="coinpp", base=latents.path).blob)


def test_a_base_is_no_signal(latents):
    with pytest.raises(InputError, match="holds a base"):
        codec.decode(latents.path)
    with pytest.raises(InputError, match="holds a base"):
        decompress(latents.path)
    assert codec.verify(latents.path).lines[-1].startswith(f"decoded: base {latents.digest}")
    with pytest.raises(InputError, match="stands for no signal"):
        codec.verify(latents.path, picture(0))


# -- files that need one -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fixture", "method"), [("latents", "coinpp"), ("start", "inric-meta")])
def test_a_picture_there_and_back(fixture, method, request, tmp_path):
    base = request.getfixturevalue(fixture)
    report = codec.encode(picture(9), tmp_path / "a.sinr", method=method, base=base.path, preset="fast", max_drop=0.5)
    whole = codec.decode(report.path, base=base.path)
    assert (whole.shape, whole.dtype) == ((36, 44, 3), np.uint8)
    assert report.quality > 13
    assert report.bytes == report.path.stat().st_size == sum(report.sections.values())
    assert codec.verify(report.path, picture(9), base=base.path).ok
    # a region is the same pixels, up to the last bit of a product of another size
    part = codec.decode(report.path, base=base.path, region=(10, 5, 40, 30))
    assert np.abs(part.astype(int) - whole[5:30, 10:40]).max() <= 1
    large = codec.decode(report.path, base=base.path, size=(108, 132))  # the middle of three is the pixel itself
    assert np.abs(large[1::3, 1::3].astype(int) - whole).max() <= 1
    assert codec.decode(report.path, base=base.path, scale=0.5).shape == (18, 22, 3)
    opened = codec.open(report.path, base=read_base(base.path))
    values = opened(np.zeros((3, 2)))
    assert values.shape == (3, 3)
    assert np.isfinite(values).all()
    info = codec.info(report.path, base=base.path)
    assert info["base"] == base.digest
    assert sum(tensor["bytes"] for tensor in info["tensors"]) + info["header_bytes"] == report.bytes


@pytest.mark.parametrize(("fixture", "method"), [("latents", "coinpp"), ("start", "inric-meta")])
def test_a_missing_or_another_base_is_one_line_that_names_it(fixture, method, request):
    base = request.getfixturevalue(fixture)
    other = request.getfixturevalue("start" if fixture == "latents" else "latents")
    blob = codec.encode(picture(9), method=method, base=base.path, preset="fast", max_drop=3).blob
    for read in (codec.open, codec.decode, codec.verify):
        with pytest.raises(InputError, match=f"needs the base {base.digest}; name its file") as error:
            read(blob)
        assert "\n" not in str(error.value)
        with pytest.raises(InputError, match=f"needs the base {base.digest}, but the one given is {other.digest}"):
            read(blob, base=other.path)
    with pytest.raises(InputError, match=f"beside the base {base.digest}"):
        decompress(blob)
    info = codec.info(blob)
    assert info["base"] == base.digest
    assert info["signal"]["shape"] == [36, 44, 3]


def test_a_base_that_is_not_needed_is_no_harm(latents):
    blob = codec.encode(picture(9), method="coin", preset="fast", width=8).blob
    np.testing.assert_array_equal(codec.decode(blob, base=latents.path), codec.decode(blob))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"method": "coinpp"}, "expected a base"),
        ({"method": "coinpp", "width": 9}, "width: follows from the base"),
        ({"method": "coinpp", "bpp": 1.0}, "bpp: follows from the base"),
        ({"method": "inric-meta"}, "was learned for coinpp"),
        ({"method": "coin"}, "only the methods coinpp, "),
        ({}, "only the methods coinpp, "),
    ],
)
def test_encoding_refuses(options, text, latents):
    with pytest.raises(InputError, match=text):
        codec.encode(picture(9), base=None if "expected a base" in text else latents.path, **options)


def test_a_signal_of_other_values_is_refused(latents):
    with pytest.raises(InputError, match="for 2 coordinates and 3 values, but the signal has 2 and 1"):
        codec.encode(picture(9)[:, :, 0], method="coinpp", base=latents.path)


def test_a_base_without_rates_only_decodes(latents):
    blob = codec.encode(picture(9), method="coinpp", base=latents.path).blob
    bare = read_base(latents.base.decoding)
    np.testing.assert_array_equal(codec.decode(blob, base=bare), codec.decode(blob, base=latents.path))
    with pytest.raises(InputError, match="has no rates"):
        codec.encode(picture(9), method="coinpp", base=bare)


def test_headers_that_no_encoder_writes(latents, start):
    base, other = latents.base, start.base
    blob = codec.encode(picture(9), method="coinpp", base=base).blob
    header, sections = container.read(blob)

    def reading(kept=base, **changes):
        return codec.open(container.write(dataclasses.replace(header, **changes), sections), base=kept)

    reading()
    for field in ([4, 36], [4, 36, 0], [4, 36, 1 << 21], [4, 36, "x"], [4], [0, 2, 3, 4, 1, [0, 30]], "x"):
        with pytest.raises(MalformedError):
            reading(field=field)
    with pytest.raises(UnknownIdError, match="field id 4"):
        reading(base=None)
    with pytest.raises(MalformedError, match="network of the base"):
        reading(other, base=other.digest)
    with pytest.raises(FormatError):
        reading(field=[4, 1 << 20, 1 << 20])  # more latents than a reader accepts


# -- latents -----------------------------------------------------------------------------------------------------


def model_of(counts, mean=0.0, reach=3.0):
    d = len(counts)
    return LatentModel(np.full(d, mean, np.float32), np.full(d, reach, np.float32), np.asarray(counts, np.int64))


def test_levels_reach_from_the_mean():
    model = model_of(np.zeros((1, 31)), mean=2.0, reach=1.5)
    values = np.array([[2.0], [3.5], [0.5], [9.0], [-9.0], [2.05], [2.2]], np.float32)
    symbols = model.quantised(values)[:, 0]
    assert symbols.tolist() == [15, 30, 0, 30, 0, 15, 17]
    np.testing.assert_allclose(model.dequantised(symbols[:, None])[:, 0], [2, 3.5, 0.5, 3.5, 0.5, 2, 2.2], atol=1e-6)


@pytest.mark.parametrize("patches", [1, 7, 6000])
@pytest.mark.parametrize("levels", [2, 32, 1024])
def test_latents_there_and_back(patches, levels):
    counts = np.round(1000 * np.exp(-0.5 * np.linspace(-3, 3, levels) ** 2)).astype(np.int64)
    model = model_of(np.stack([counts, np.zeros(levels, np.int64), np.eye(levels, dtype=np.int64)[0] * 10**6]))
    latents = RNG.standard_normal((patches, 3)).astype(np.float32)
    section = model.encode(latents)
    decoded = model.decode(section, patches)
    np.testing.assert_array_equal(decoded, model.dequantised(model.quantised(latents)))
    assert len(section) >= 1
    if patches > 1000:
        with pytest.raises(FormatError):
            model.decode(section[: len(section) // 2], patches)
    with pytest.raises(FormatError):
        model.decode(section + b"\1", patches)


def test_the_histogram_pays():
    values = RNG.standard_normal((4000, 4)).astype(np.float32)
    flat = model_of(np.ones((4, 32)))
    symbols = flat.quantised(values)
    counted = model_of([np.bincount(column, minlength=32) for column in symbols.T])
    share = np.bincount(symbols.ravel(), minlength=32) / symbols.size
    entropy = -np.sum(share[share > 0] * np.log2(share[share > 0]))
    assert len(flat.encode(values)) == pytest.approx(4 * 4000 * 5 / 8, rel=0.01)
    assert len(counted.encode(values)) == pytest.approx(4 * 4000 * entropy / 8, rel=0.02)


def test_what_hardly_costs_anything_is_filled_up():
    model = model_of(np.eye(4, dtype=np.int64)[[2]] * 2**31)
    latents = np.full((1 << 17, 1), 1.0, np.float32)  # all of them the level that alone was seen
    section = model.encode(latents)
    np.testing.assert_array_equal(model.decode(section, len(latents)), model.dequantised(model.quantised(latents)))
    with pytest.raises(FormatError):
        model.decode(section[:-1] + b"\1", len(latents))


def test_a_model_is_read_as_it_was_written():
    model = model_of(RNG.integers(0, 1000, (5, 32)), mean=-0.25, reach=3.5)
    reader = Reader(model.to_bytes())
    back = LatentModel.from_reader(reader, 5)
    reader.end()
    for name in ("mean", "reach", "counts"):
        np.testing.assert_array_equal(getattr(back, name), getattr(model, name))
    for bad in (
        dataclasses.replace(model, reach=np.zeros(5, np.float32)),
        dataclasses.replace(model, mean=np.full(5, np.nan, np.float32)),
        dataclasses.replace(model, counts=model.counts - 2000),
    ):
        with pytest.raises(MalformedError):
            LatentModel.from_reader(Reader(bad.to_bytes()), 5)


# -- fields ------------------------------------------------------------------------------------------------------


def test_a_sample_has_the_latents_of_its_patch():
    network = Modulated(MLP(2, 3, 8, 1, Sine(5.0)), 4)
    shared = network.init(np.random.default_rng(1))
    field = Modulations(network, shared, (20, 30), (8, 16))
    assert field.counts == (3, 2)
    assert field.shapes() == {LATENTS: (6, 4)}
    latents = RNG.standard_normal((6, 4)).astype(np.float32)
    y, x = np.meshgrid((2 * np.arange(20) + 1) / 20 - 1, (2 * np.arange(30) + 1) / 30 - 1, indexing="ij")
    coords = np.stack([y, x], -1).reshape(-1, 2).astype(np.float32)
    values = field.decoder({LATENTS: latents})(coords).reshape(20, 30, 3)
    for i in range(3):
        for j in range(2):
            inside = values[8 * i : 8 * i + 8, 16 * j : 16 * j + 16]
            v, u = np.meshgrid((2 * np.arange(8) + 1) / 8 - 1, (2 * np.arange(16) + 1) / 16 - 1, indexing="ij")
            local = np.stack([v, u], -1)[: inside.shape[0], : inside.shape[1]].astype(np.float32)
            alone = network.function(np)({**shared, LATENTS: latents[2 * i + j]}, local.reshape(-1, 2))
            np.testing.assert_allclose(inside.reshape(-1, 3), alone, atol=1e-5)


def test_without_patches_all_samples_have_the_same():
    network = Modulated(MLP(3, 1, 8, 1, Sine(5.0)), 4)
    shared = network.init(np.random.default_rng(1))
    latents, coords = RNG.standard_normal((1, 4)).astype(np.float32), RNG.uniform(-1, 1, (9, 3)).astype(np.float32)
    values = Modulations(network, shared).decoder({LATENTS: latents})(coords)
    np.testing.assert_allclose(
        values, network.function(np)({**shared, LATENTS: np.repeat(latents, 9, 0)}, coords), atol=1e-6
    )


def test_no_difference_is_the_base():
    mlp = MLP(2, 3, 8, 1, Sine(5.0))
    shared = mlp.init(np.random.default_rng(1))
    field = Difference(mlp, shared)
    coords = RNG.uniform(-1, 1, (9, 2)).astype(np.float32)
    zero = field.init(np.random.default_rng(0))
    np.testing.assert_array_equal(field.decoder(zero)(coords), mlp.decoder(shared)(coords))
    moved = {name: value + np.float32(0.25) for name, value in zero.items()}
    whole = {name: value + np.float32(0.25) for name, value in shared.items()}
    np.testing.assert_array_equal(field.decoder(moved)(coords), mlp.decoder(whole)(coords))


def test_rounded_parameters_are_near_the_learned_ones():
    network = Modulated(MLP(2, 3, 32, 1, Sine(5.0)), 4)
    params = network.init(np.random.default_rng(1))
    base = make_base(network, params)
    for name, value in params.items():
        error = np.sqrt(np.mean((base.params[name] - value) ** 2) / np.mean(value**2))
        assert 0 < error < 2.0**-7


# -- other signals -----------------------------------------------------------------------------------------------


def test_sounds_in_patches_of_200_samples():
    t = np.arange(4000) / 8000

    def sound(seed, channels):
        rng = np.random.default_rng(seed)
        waves = [
            0.5 * np.sin(2 * np.pi * rng.uniform(60, 200) * t + rng.uniform(0, 6)) * np.exp(-2 * t)
            for _ in range(channels)
        ]
        samples = np.round(32767 * np.stack(waves, -1)).astype(np.int16)
        return (samples[:, 0] if channels == 1 else samples), 8000

    for channels in (1, 2):
        options = LEARN | {"activation": Sine(20.0), "steps": 400, "tasks": 16}
        base = learn([sound(i, channels) for i in range(4)], latents=16, **options).base
        assert base.patch == (200,)
        report = codec.encode(sound(9, channels), method="coinpp", base=base)
        back = codec.decode(report.blob, base=base)
        assert back.samples.shape == sound(9, channels)[0].shape
        assert report.quality > 10 * np.log10(4 / np.mean((sound(9, channels)[0] / 32768) ** 2)) + 2  # than silence
        part = codec.decode(report.blob, base=base, start=0.1, stop=0.2)
        assert np.abs(part.samples.astype(int) - back.samples[800:1600]).max() <= 1
        assert codec.decode(report.blob, base=base, rate=16000).samples.shape[0] == 8000


def test_volumes_in_patches():
    def volume(seed):
        rng = np.random.default_rng(seed)
        axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in (20, 18, 24)), indexing="ij")
        phase = sum(rng.uniform(0.5, 2) * axis for axis in axes)
        return np.round(127.5 + 100 * np.sin(phase + rng.uniform(0, 6))).astype(np.uint8)

    options = LEARN | {"tasks": 2}
    base = learn([volume(i) for i in range(3)], latents=12, kind="volume", **options).base
    assert base.patch == (16, 16, 16)
    report = codec.encode(volume(9), method="coinpp", base=base, kind="volume")
    back = codec.decode(report.blob, base=base)
    assert back.shape == (20, 18, 24)
    flat = np.full_like(volume(9), volume(9).mean())
    assert report.quality > 10 * np.log10(255**2 / np.mean((volume(9).astype(float) - flat) ** 2)) + 2
    part = codec.decode(report.blob, base=base, region=((3, 9), (0, 18), (15, 24)))
    assert np.abs(part.astype(int) - back[3:9, :, 15:24]).max() <= 1


def test_fields_on_the_sphere_without_patches():
    xr = pytest.importorskip("xarray")

    def globe(seed):
        rng = np.random.default_rng(seed)
        lat, lon = np.linspace(90, -90, 19), np.arange(0, 360, 10.0)
        theta, phi = np.meshgrid(np.deg2rad(lat), np.deg2rad(lon), indexing="ij")
        values = sum(
            rng.normal() * f for f in (np.sin(theta), np.cos(theta) * np.cos(phi), np.cos(theta) * np.sin(phi) * 2)
        )
        t = 280 + 10 * np.tanh(values)
        return xr.Dataset(
            {"t": (("latitude", "longitude"), t.astype(np.float32))},
            {
                "latitude": ("latitude", lat, {"units": "degrees_north"}),
                "longitude": ("longitude", lon, {"units": "degrees_east"}),
            },
        )

    base = learn([globe(i) for i in range(6)], latents=6, **LEARN | {"activation": Sine(5.0), "tasks": 2}).base
    assert base.patch == ()
    assert base.field.in_features == 3
    report = codec.encode(globe(9), method="coinpp", base=base)
    back = codec.decode(report.blob, base=base)
    assert back["t"].shape == (19, 36)
    assert report.quality > 12
    with pytest.raises(InputError, match="no grid"):
        learn([globe(0)], latents=6, patch=(4, 4, 4), **LEARN)


# -- SINR on what files hold of their own ----------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.training.name == "coinpp"])
def test_latents_by_any_method_there_and_back(name, latents):
    report = codec.encode(picture(9), method=name, base=latents.path)
    array = codec.decode(report.blob, base=latents.path)
    error = array.astype(float) - picture(9)
    assert -10 * np.log10(np.mean(error**2) / 255**2) == pytest.approx(report.psnr, abs=1e-6)
    assert report.psnr > report.fit_psnr - 1
    (tensor,) = codec.info(report.blob, base=latents.path)["tensors"]
    assert tensor["name"] == LATENTS
    assert tensor["bytes"] == report.sections[LATENTS]


@pytest.mark.parametrize("name", ["coinpp-sinr-planned", "coinpp-dct-planned", "coinpp-sinr", "coinpp-dct"])
def test_latents_of_a_whole_picture_are_too_few_for_a_sparse_code(name):
    base = learn([picture(i) for i in range(4)], latents=12, **LEARN | {"patch": (), "steps": 8}).base
    report = codec.encode(picture(9), method=name, base=base)
    (tensor,) = codec.info(report.blob, base=base)["tensors"]
    assert tensor["shape"] == [1, 12]
    assert "s" not in tensor
    assert report.psnr > report.fit_psnr - 1


def test_few_steps_of_learning_count_few_latents():
    sources, options = [picture(i) for i in range(2)], LEARN | {"latents": 4, "patch": (16, 16)}
    few, more = (learn(sources, **options | {"steps": steps}).base for steps in (2, 20))
    assert few.model.counts.sum(1).tolist() == [2 * LEARN["tasks"]] * 4
    assert more.model.counts.sum(1).tolist() == [learning._CALIBRATION] * 4


def test_sparse_latents_are_d_vectors_of_m(latents):
    report = codec.encode(picture(9), method="coinpp-sinr", base=latents.path)
    about = codec.info(report.blob, base=latents.path)["tensors"][0]
    m, d = about["shape"]
    assert (about["axis"], about["s"], about["k2"]) == (0, m // 3, 65_536)
    assert d == latents.base.field.latents


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.training.name == "inric-meta"])
def test_differences_by_any_method_there_and_back(name, start):
    report = codec.encode(picture(9), method=name, base=start.path, preset="fast")
    error = codec.decode(report.blob, base=start.path).astype(float) - picture(9)
    assert -10 * np.log10(np.mean(error**2) / 255**2) == pytest.approx(report.psnr, abs=1e-6)


def test_learned_rounding_sees_the_whole_network(start):
    """Rounding that lowers the error of the outputs must know the base: what it gives is no worse than the nearest."""
    signal = ImageSignal.load(picture(9))
    part, base = signal.parts[0], start.base
    task = Task(Difference(base.field, base.params), inric.start_of(base, part, "cpu"), part, effort=0.5)
    coded = inric.Inric(3)(task)
    assert coded.figures["adaround_db"] > coded.figures["nearest_db"]
