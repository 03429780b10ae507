"""The public functions from outside, on a small picture and small networks."""

import dataclasses
import math
import re
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

import sinr_codec
from sinr_codec import codec, decoding, presets
from sinr_codec.coding.tensor import Direct, Raw, encode_tensor
from sinr_codec.container import FIELD, Header, Limits, read, read_header, write
from sinr_codec.encoding import fitting, targets
from sinr_codec.encoding.job import MAX_DROP
from sinr_codec.errors import (
    FormatError,
    InputError,
    LimitError,
    QualityError,
    QualityWarning,
    TruncatedError,
    UnknownIdError,
)
from sinr_codec.evaluators import cost_of
from sinr_codec.fields import MLP, HashGrid, Sine
from sinr_codec.methods import shacira
from sinr_codec.progress import NullProgress
from sinr_codec.signals import image
from sinr_codec.signals.image import ImageSignal, ImageSpec

HEIGHT, WIDTH = 16, 24
PIXELS = HEIGHT * WIDTH
SPEC = ImageSpec(HEIGHT, WIDTH, 3, "uint8", "RGB")
FAST = {"depth": 1, "preset": "fast"}
TINY = FAST | {"width": 8}
PLAIN = TINY | {"method": "coin"}  # nothing is planned


def picture():
    """A smooth RGB picture (16, 24, 3)."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] / WIDTH
    planes = [np.sin(5 * x) * y, np.cos(4 * (x + y)), np.exp(-9 * ((x - 0.4) ** 2 + (y - 0.3) ** 2))]
    return np.uint8(np.round(120 + 110 * np.stack(planes, -1)))


PICTURE = picture()


def psnr(a, b):
    return -10 * math.log10(np.mean((a.astype(float) - b) ** 2) / 255**2)


def waves(spec=SPEC, field=None, seed=0, quality=None):
    """A file of random waves that is not fitted to anything."""
    field = field or MLP(2, spec.channels, 12, 1)
    section = b"".join(encode_tensor(array, Raw()) for array in field.init(np.random.default_rng(seed)).values())
    return write(Header(FIELD, field.to_header(), spec.to_header(), quality=quality), [section])


WAVES = waves()


def refused(error, function, *arguments, **options):
    """The function raises this error, and its message is one line."""
    with pytest.raises(error) as caught:
        function(*arguments, **options)
    assert str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(autouse=True, scope="module")
def quick():
    """Fits that reach 20 dB and more on the picture in 40 steps."""
    with pytest.MonkeyPatch.context() as patch:
        for name, preset in presets.PRESETS.items():
            fit = preset.fit | {"steps": 40, "optimizer": "adam", "lr": 0.02}
            small = dataclasses.replace(preset, fit=fit, dictionaries=preset.dictionaries and (64,))
            patch.setitem(presets.PRESETS, name, small)
        recipe = dataclasses.replace(image.KIND.recipe, activation=Sine(15.0))
        patch.setattr(image, "KIND", dataclasses.replace(image.KIND, recipe=recipe))
        yield


# -- encode ------------------------------------------------------------------------------------------------


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def check(report):
    """What a report says is true of its file."""
    assert report.bytes == len(report.blob) == sum(report.sections.values())
    assert report.bpp == 8 * report.bytes / PIXELS
    assert report.psnr == pytest.approx(psnr(PICTURE, sinr_codec.decode(report.blob)), abs=1e-6)
    assert {name for name in report.sections if "plane" not in name} == {"header", *report.field.shapes()}
    assert codec.info(report.blob)["quality_db"] == math.floor(100 * report.psnr) / 100
    assert codec.verify(report.blob, PICTURE).ok
    assert not report.interrupted
    missed = [note for note in report.notes if "missed" in note]
    assert len(missed) == (report.target_met is False)
    return report


@pytest.mark.usefixtures("torch")
class TestEncode:
    @pytest.mark.parametrize("preset", list(presets.PRESETS))
    def test_without_a_target(self, preset, tmp_path):
        report = check(codec.encode(PICTURE, tmp_path / "a.sinr", preset=preset, depth=1))
        assert (report.target, report.target_met, report.preset) == (None, None, preset)
        assert report.path == tmp_path / "a.sinr"
        assert report.path.read_bytes() == report.blob
        assert report.fit_psnr > psnr(PICTURE, PICTURE.mean(axis=(0, 1))) + 3  # better than one colour
        if preset == "fast":
            assert report.fit_psnr - report.psnr <= MAX_DROP + 0.02
        elif preset != "paper":  # trained for the bytes that the smallest network may take
            most = presets.LEAST_PARAMS * image.KIND.recipe.rated_bits / 8
            assert 0.8 * most < report.bytes <= most

    def test_a_loss_that_is_named_rules_instead_of_the_rate(self):
        report = check(codec.encode(PICTURE, depth=1, max_drop=0.05))
        assert report.fit_psnr - report.psnr <= 0.05 + 0.02

    def test_width_and_depth(self):
        field = check(codec.encode(PICTURE, width=9, depth=2, activation=Sine(20.0), preset="fast")).field
        assert field == MLP(2, 3, 9, 2, Sine(20.0))

    @pytest.mark.parametrize("source", [Image.fromarray(PICTURE), PICTURE[:, :, 0], PICTURE[:, :, :2] > 128])
    def test_sources(self, source):
        back = codec.decode(codec.encode(source, **PLAIN).blob)
        assert (back.shape, back.dtype) == (np.asarray(source).shape, np.asarray(source).dtype)

    def test_files_are_exact_where_the_field_can_be(self, monkeypatch):
        report = codec.encode(PICTURE, **TINY)
        exact, fast = codec.open(report.blob), codec.open(report.blob, fast=True)
        assert exact.exact
        assert not fast.exact
        assert psnr(PICTURE, exact.render()) == pytest.approx(psnr(PICTURE, fast.render()), abs=0.01)
        assert np.abs(exact.render().astype(int) - fast.render()).max() <= 1
        monkeypatch.setattr(MLP, "is_exact", lambda *_: False)
        again = codec.open(codec.encode(PICTURE, **TINY).blob)
        assert not again.exact
        np.testing.assert_array_equal(again.render(), fast.render())

    def test_bpp(self):
        report = check(codec.encode(PICTURE, bpp=20.0, **FAST))
        assert (report.target, report.target_met) == ("20 bpp", True)
        assert report.bpp <= 20
        assert report.bytes > 0.5 * 20 * PIXELS / 8  # what was granted is used
        report = check(codec.encode(PICTURE, bpp=1.0, **FAST))
        assert (report.target, report.target_met) == ("1 bpp", False)
        assert report.bpp > 1

    def test_a_rate_that_is_trained_for(self, monkeypatch):
        monkeypatch.setitem(shacira.GRID.fit["fast"], "steps", 80)
        reports = [check(codec.encode(PICTURE, size=size, preset="fast", method="shacira")) for size in (700, 1200)]
        assert all(report.target_met for report in reports)
        assert isinstance(reports[0].field, HashGrid)
        report = check(codec.encode(PICTURE, psnr=21, preset="fast", method="shacira"))
        assert report.psnr >= 21
        refused(InputError, codec.encode, PICTURE, size=200, preset="fast", method="shacira")
        refused(InputError, codec.encode, PICTURE, preset="fast", method="shacira", activation=Sine(20.0))

    def test_size(self):
        report = check(codec.encode(PICTURE, size=700, **FAST))
        assert (report.target, report.target_met) == ("700 bytes", True)
        assert 350 < report.bytes <= 700
        report = check(codec.encode(PICTURE, size=50, **FAST))
        assert (report.target, report.target_met) == ("50 bytes", False)
        assert report.bytes > 50
        assert f"{report.bytes:,} bytes" in report.notes[-1]

    @pytest.mark.parametrize("size", [200, 260, 320])
    def test_a_size_is_kept_to_the_byte(self, size):
        report = check(codec.encode(PICTURE, size=size, width=12, **FAST))
        assert report.target_met == (report.bytes <= size)
        assert report.target_met or report.psnr < report.fit_psnr

    @pytest.mark.parametrize("network", [{}, {"width": 12}])
    def test_psnr_met(self, network):
        report = check(codec.encode(PICTURE, psnr=21, **FAST, **network))
        assert (report.target, report.target_met) == ("21 dB", True)
        assert report.psnr >= 21

    def test_a_search_for_a_quality_goes_on_from_what_it_has(self, monkeypatch):
        """A short fit, whole ones that begin from the last, and one that is coded."""
        fits, coded = [], []
        fit, code = targets.fit, targets.code

        def fitted(job, network, max_bytes=None, start=None, share=1.0):
            result = fit(job, network, max_bytes, start, share)
            fits.append((start, share, result))
            return result

        monkeypatch.setattr(targets, "fit", fitted)
        monkeypatch.setattr(targets, "code", lambda job, one, *more: coded.append(one) or code(job, one, *more))
        report = check(codec.encode(PICTURE, psnr=24, **FAST))
        assert report.target_met
        shares = [share for _, share, _ in fits]
        assert shares[0] == targets._SHORT
        assert 1.0 in shares
        for (_, _, before), (start, share, result) in pairwise(fits):
            assert start is before
            assert result.steps == before.steps + math.ceil(share * 40)
        assert all(result.quality >= 24 for result in coded)
        assert coded[-1].network == report.field

    def test_a_fit_without_an_error_keeps_the_quality_asked_for(self, clock):
        """All that it has above that may be lost, which is not everything."""
        flat = np.full((16, 24, 3), (200, 30, 90), np.uint8)
        report = codec.encode(flat, psnr=30, seconds=2.0, **TINY)
        assert report.fit_psnr == math.inf
        assert report.target_met
        assert report.psnr >= 30

    def test_a_search_tries_the_next_width_where_it_comes_back(self, monkeypatch):
        """A width whose fit is too poor is not fitted again."""
        widths = []
        fit = targets.fit

        def poorer(job, network, *each, **more):
            widths.append(network.width)
            return dataclasses.replace(fit(job, network, *each, **more), quality=23.9)

        monkeypatch.setattr(targets, "fit", poorer)
        monkeypatch.setattr(targets, "_HEADROOM", (0.0, 0.0))
        codec.encode(PICTURE, psnr=24, **FAST)
        assert len(widths) > 2
        assert widths[-1] > widths[-2]

    def test_what_a_fit_has_too_much_is_spent(self):
        fine, coarse = (codec.encode(PICTURE, psnr=wanted, width=12, **FAST) for wanted in (24, 18))
        assert coarse.psnr >= 18
        assert coarse.bytes < fine.bytes

    @pytest.mark.parametrize("wanted", [90, 5000])
    def test_psnr_missed(self, monkeypatch, wanted):
        for module in (presets, targets):
            monkeypatch.setattr(module, "MAX_WIDTH", 12)
        report = check(codec.encode(PICTURE, psnr=wanted, **FAST))
        assert (report.target, report.target_met) == (f"{wanted} dB", False)
        assert f"{report.psnr:.2f} dB" in report.notes[-1]
        assert any("no width above 12" in note for note in report.notes)
        report = check(codec.encode(PICTURE, psnr=wanted, **TINY))
        assert report.target_met is False
        assert report.field.width == 8

    def test_max_drop(self):
        careful, careless = (codec.encode(PICTURE, width=16, max_drop=drop, **FAST) for drop in (0.05, 2.0))
        for report, drop in ((careful, 0.05), (careless, 2.0)):
            assert report.fit_psnr - psnr(PICTURE, codec.decode(report.blob)) <= drop + 0.02
        assert careless.bytes < careful.bytes

    def test_the_seed_decides(self):
        one, two, other = (codec.encode(PICTURE, seed=seed, width=8, depth=1) for seed in (5, 5, 6))
        assert one.blob == two.blob
        assert one.blob != other.blob
        codec.encode(PICTURE, seed=2**63 - 1, **TINY)

    def test_progressive(self, tmp_path):
        """The beginning of a file decodes; the more of it, the better. The whole keeps what it was asked for."""
        report = check(codec.encode(PICTURE, size=700, progressive=True, **FAST))
        assert report.bytes <= 700
        assert [name for name in report.sections if "plane" in name] == ["plane 1", "plane 2", "plane 3"]
        assert codec.info(report.blob)["plane_bytes"] == [report.sections[f"plane {i}"] for i in (1, 2, 3)]
        header = read_header(report.blob)
        enough = header.header_bytes + header.section_lengths[0] + 4
        found = {}
        for end in range(enough, report.bytes, 20):
            path = tmp_path / "part.sinr"
            path.write_bytes(report.blob[:end])
            found[codec.open(path, progressive=True).planes] = psnr(PICTURE, codec.decode(path, progressive=True))
        assert list(found) == [(0, 3), (1, 3), (2, 3)]
        assert found[0, 3] < found[1, 3] < found[2, 3] < report.psnr + 0.1
        assert found[0, 3] > 10
        refused(TruncatedError, codec.decode, report.blob[:-1])
        refused(TruncatedError, codec.decode, report.blob[: enough - 1], progressive=True)
        np.testing.assert_array_equal(codec.decode(report.blob, progressive=True), codec.decode(report.blob))

    def test_seconds(self, clock):
        class Fits(NullProgress):
            def start(self, label, total):
                self.label = label

            def update(self, done, text=""):
                if self.label == "fit":
                    self.steps = done

        listener, steps = Fits(), []
        for seconds in (0.4, 0.8):
            check(codec.encode(PICTURE, seconds=seconds, progress=listener, **TINY))
            steps.append(listener.steps)
        assert 1.8 < steps[1] / steps[0] < 2.2

    def test_a_search_numbers_its_fits_and_says_the_plan_first(self, capsys):
        codec.encode(PICTURE, psnr=26, progress=True, **FAST)
        told = capsys.readouterr().err.splitlines()
        assert told[:2] == ["read ...", told[1]]
        assert re.fullmatch(r"the data: picture 24 x 16 pixels, RGB -> 26 dB, sine 1x\d+, fast, 40 steps", told[1])
        fits = [line for line in told if line.startswith("fit ") and line.endswith(" ...")]
        assert [line.partition(" for 26 dB, sine 1x")[0] for line in fits] == [
            f"fit {number}" for number in range(1, len(fits) + 1)
        ]

    def test_a_report_is_a_table(self, tmp_path):
        report = codec.encode(PICTURE, tmp_path / "<a>.sinr", **PLAIN)
        assert repr(report) == f"<EncodeReport {report.path}: {report.bytes:,} bytes, PSNR {report.psnr:.2f} dB>"
        title, *rows = str(report).splitlines()
        assert title == str(report.path)
        assert f"  PSNR      {report.psnr:.2f} dB ({report.fit_psnr:.2f} dB before coding)" in rows
        assert "&lt;a&gt;.sinr</b>" in report._repr_html_()
        assert f"{report.bytes:,} bytes" in report._repr_html_()

    def test_what_is_hardly_better_than_the_mean_is_told_or_refused(self, tmp_path):
        noise = np.random.default_rng(0).integers(0, 256, PICTURE.shape, np.uint8)
        out = tmp_path / "noise.sinr"
        line = refused(QualityError, codec.encode, noise, out, strict=True, **PLAIN)
        assert line.startswith(f"{out}: not written: hardly better than the signal's mean: ")
        assert not out.exists()
        with pytest.warns(QualityWarning, match=r"noise\.sinr: hardly better than the signal's mean"):
            report = codec.encode(noise, out, **PLAIN)
        assert report.collapsed
        assert report.shortfall == report.notes[0]
        assert report.shortfall in line
        assert out.stat().st_size == report.bytes

    def test_a_missed_target_is_written_unless_strict(self, tmp_path):
        out = tmp_path / "a.sinr"
        report = codec.encode(PICTURE, out, psnr=60, **TINY)
        assert (report.target_met, report.collapsed) == (False, False)
        assert report.shortfall == report.notes[-1]
        out.unlink()
        with pytest.raises(QualityError, match="the target of 60 dB was missed") as refusal:
            codec.encode(PICTURE, out, psnr=60, strict=True, **TINY)
        assert refusal.value.report.blob == report.blob
        assert not out.exists()

    def test_constants_are_exact_and_no_collapse(self):
        flat = np.full((8, 8, 3), 77, np.uint8)
        report = codec.encode(flat, strict=True, **PLAIN)
        assert not report.collapsed

    def test_a_fit_that_is_stopped_is_written_and_goes_on(self, tmp_path):
        """The checkpoint stays until a fit to the end is written."""

        class Stop(NullProgress):
            def __init__(self, label, done):
                self.at, self.label = (label, done), ""

            def start(self, label, total):
                self.label = label

            def update(self, done, text=""):
                if self.label == self.at[0] and done >= self.at[1]:
                    raise KeyboardInterrupt

        options = {"checkpoint": tmp_path / "state"} | TINY
        whole = codec.encode(PICTURE, **TINY)
        stopped = codec.encode(PICTURE, tmp_path / "a.sinr", progress=Stop("fit", 20), **options)
        assert stopped.interrupted
        assert codec.verify(tmp_path / "a.sinr", PICTURE).ok
        with pytest.raises(KeyboardInterrupt):
            codec.encode(PICTURE, tmp_path / "a.sinr", progress=Stop("code", 0), **options)
        assert (tmp_path / "state").exists()
        assert codec.encode(PICTURE, tmp_path / "a.sinr", **options).blob == whole.blob
        assert not (tmp_path / "state").exists()

    def test_what_is_no_sinr_file_is_not_overwritten(self, tmp_path):
        recording = tmp_path / "recording.wav"
        recording.write_bytes(b"RIFF and more")
        with pytest.raises(InputError, match=r"recording\.wav: exists and is no \.sinr file"):
            codec.encode(PICTURE, recording, **PLAIN)
        assert recording.read_bytes() == b"RIFF and more"
        for _ in range(2):
            codec.encode(PICTURE, tmp_path / "a.sinr", **PLAIN)

    def test_progress(self):
        class Listener:
            def __init__(self):
                self.labels, self.updates = [], 0

            def start(self, label, total):
                self.labels.append(label)

            def update(self, done, text=""):
                self.updates += 1

        listener = Listener()
        codec.encode(PICTURE, progress=listener, **TINY)
        assert listener.labels == ["read", "load PyTorch", "fit", "code", "check"]
        assert listener.updates > 2


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"preset": "huge"}, "preset"),
        ({"bpp": 1.0, "size": 100}, "target"),
        ({"size": 100, "psnr": 30.0}, "target"),
        ({"bpp": math.nan}, "bpp"),
        ({"bpp": math.inf}, "bpp"),
        ({"bpp": 0}, "bpp"),
        ({"size": -5}, "size"),
        ({"size": "3y3"}, "size"),
        ({"size": (3,)}, "size"),
        ({"psnr": -1.0}, "psnr"),
        ({"seconds": 0}, "seconds"),
        ({"max_drop": 0}, "max_drop"),
        ({"max_drop": math.nan}, "max_drop"),
        ({"seed": -1}, "seed"),
        ({"seed": 2**70}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"width": 0}, "width"),
        ({"depth": -1}, "hidden_layers"),
        ({"width": 2.5}, "width"),
        ({"device": "foo"}, "device"),
        ({"device": "cuda:99"}, "device"),
    ],
)
def test_encode_refuses(torch, options, word, tmp_path):
    assert word in refused(InputError, codec.encode, PICTURE, tmp_path / "a.sinr", **(TINY | options))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("source", [np.zeros((0, 4, 3), np.uint8), np.zeros(5), "none.png"])
def test_encode_refuses_what_is_no_picture(torch, source):
    refused(InputError, codec.encode, source, **TINY)


# -- decode ------------------------------------------------------------------------------------------------


class TestOpen:
    field = codec.open(WAVES)

    def test_pixels_by_coordinates(self):
        y, x = ((2 * np.arange(n) + 1) / n - 1 for n in (HEIGHT, WIDTH))
        values = self.field(np.stack(np.meshgrid(y, x, indexing="ij"), -1))
        assert values.shape == (HEIGHT, WIDTH, 3)
        samples = np.clip(np.round((values.astype(float) + 1) * 127.5), 0, 255)
        assert np.abs(samples - codec.decode(WAVES)).max() <= 1  # rounding of 1e-6 may cross a half
        assert self.field.shape == (HEIGHT, WIDTH, 3)

    @pytest.mark.parametrize(
        ("coords", "shape"),
        [
            ([0.5, -0.5], (3,)),
            ([[0.5, -0.5], [0, 0]], (2, 3)),
            ([(1, 1)], (1, 3)),
            (np.zeros((0, 2)), (0, 3)),
            (np.zeros((4, 0, 2), np.float64), (4, 0, 3)),
            (np.zeros((2, 5, 2), np.int64), (2, 5, 3)),
            (np.zeros((5000, 2)), (5000, 3)),
        ],
    )
    def test_shapes(self, coords, shape):
        values = self.field(coords)
        assert values.dtype == np.float32
        assert values.shape == shape

    @pytest.mark.parametrize("coords", [np.zeros((4, 3)), [0.5], 0.5, [], np.zeros((2, 0))])
    def test_wrong_coordinates(self, coords):
        refused(InputError, self.field, coords)

    def test_image(self):
        image = self.field.image(scale=0.5)
        assert (image.mode, image.size) == ("RGB", (12, 8))


class TestDecode:
    def test_scale_size_and_region(self, tmp_path):
        whole = codec.decode(WAVES)
        assert (whole.shape, whole.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)
        assert codec.decode(WAVES, scale=2).shape == (32, 48, 3)
        assert codec.decode(WAVES, size=(5, 70)).shape == (5, 70, 3)
        assert np.array_equal(codec.decode(WAVES, scale=1), whole)
        assert np.array_equal(codec.decode(WAVES, size=(HEIGHT, WIDTH)), whole)
        part = codec.decode(WAVES, region=(2, 3, 12, 9)).astype(int)
        assert np.abs(part - whole[3:9, 2:12]).max() <= 1
        large = codec.decode(WAVES, scale=3).astype(int)
        assert np.abs(codec.decode(WAVES, scale=3, region=(2, 3, 12, 9)) - large[9:27, 6:36]).max() <= 1
        # At a factor of 3 every third pixel's centre is a pixel of the source.
        assert np.abs(large[1::3, 1::3] - whole).max() <= 1
        codec.decode(WAVES, tmp_path / "a.png", scale=2)
        assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), codec.decode(WAVES, scale=2))

    @pytest.mark.parametrize(
        ("options", "word"),
        [
            ({"size": (3,)}, "size"),
            ({"size": "3y3"}, "size"),
            ({"size": (3, 0)}, "size"),
            ({"size": (3.5, 4)}, "size"),
            ({"size": 3}, "size"),
            ({"scale": 0}, "scale"),
            ({"scale": -1}, "scale"),
            ({"scale": math.nan}, "scale"),
            ({"scale": math.inf}, "scale"),
            ({"scale": "x2"}, "scale"),
            ({"scale": 2, "size": (3, 3)}, "size"),
            ({"region": (0, 0, WIDTH + 1, 3)}, "region"),
            ({"region": (5, 5, 5, 9)}, "region"),
            ({"region": (0, 0, 4)}, "region"),
            ({"region": (-1, 0, 4, 4)}, "region"),
        ],
    )
    def test_refuses(self, options, word):
        assert word in refused(InputError, codec.decode, WAVES, **options)

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_data_in_memory(self, kind):
        data = kind(WAVES)
        assert np.array_equal(codec.decode(data), codec.decode(WAVES))
        assert codec.info(data) == codec.info(WAVES)
        assert list(sinr_codec.decompress(data)) == list(MLP(2, 3, 12, 1).shapes())
        assert codec.verify(data).ok
        assert "the data" in refused(FormatError, codec.open, kind(WAVES[:-1]))

    def test_a_file(self, tmp_path):
        path = tmp_path / "a.sinr"
        path.write_bytes(WAVES)
        assert np.array_equal(codec.decode(path), codec.decode(str(path)))
        assert "none.sinr" in refused(InputError, codec.decode, tmp_path / "none.sinr")


class TestHostile:
    def test_unknown_field(self):
        data = write(Header(FIELD, [99, 1], SPEC.to_header()), [b""])
        for function in (codec.open, codec.info, sinr_codec.decompress, codec.verify):
            refused(UnknownIdError, function, data)

    def test_unknown_signal(self):
        header, sections = read(WAVES)
        data = write(dataclasses.replace(header, signal=[99, 1, 2]), sections)
        for function in (codec.open, codec.info):
            refused(UnknownIdError, function, data)

    def test_field_and_signal_must_agree(self):
        data = waves(field=MLP(2, 1, 4, 1))
        for function in (codec.open, codec.verify):
            refused(FormatError, function, data)

    def test_max_samples(self):
        samples = 3 * PIXELS
        assert codec.decode(WAVES, limits=Limits(max_samples=samples)).size == samples
        for limits, options in (
            (Limits(max_samples=300), {"scale": 4}),
            (Limits(max_samples=300), {}),
            (Limits(max_samples=samples), {"scale": 4}),
            (Limits(max_samples=samples), {"size": (17, 24)}),
            (Limits(max_samples=samples), {"scale": 40, "region": (0, 0, 2, 2)}),
        ):
            refused(LimitError, codec.decode, WAVES, limits=limits, **options)
        decoder = codec.open(WAVES, limits=Limits(max_samples=samples))
        assert decoder.render(scale=2, region=(0, 0, 12, 8)).size == samples
        refused(LimitError, decoder.render, scale=2)

    def test_max_params(self):
        count = MLP(2, 3, 12, 1).num_params
        codec.open(WAVES, limits=Limits(max_params=count))
        for function in (codec.open, codec.info, sinr_codec.decompress):
            refused(LimitError, function, WAVES, limits=Limits(max_params=count - 1))

    def test_max_work(self):
        count = cost_of(MLP(2, 3, 12, 1))
        limits = Limits(max_work=count * PIXELS)
        assert codec.decode(WAVES, limits=limits).shape == (HEIGHT, WIDTH, 3)
        assert codec.decode(WAVES, limits=limits, scale=2, region=(0, 0, 12, 8)).shape == (HEIGHT, WIDTH, 3)
        refused(LimitError, codec.decode, WAVES, limits=limits, scale=2)
        refused(LimitError, codec.decode, WAVES, limits=Limits(max_work=count * PIXELS - 1))

    def test_hours_of_work_in_a_few_bytes(self):
        field, spec = MLP(2, 1, 1024, 2), ImageSpec(2**14, 2**14, 1, "uint8", "L")
        zeros = [np.zeros(shape, np.float32) for shape in field.shapes().values()]
        section = b"".join(encode_tensor(array, Direct(bits=8)) for array in zeros)
        data = write(Header(FIELD, field.to_header(), spec.to_header()), [section])
        assert len(data) < 200
        for function in (codec.decode, codec.verify):
            refused(LimitError, function, data)
        assert codec.info(data)["parameters"] == field.num_params
        assert codec.decode(data, region=(0, 0, 5, 4)).shape == (4, 5)


class TestVerify:
    def test_ok_and_below(self):
        decoded = codec.decode(WAVES)
        noisy = np.clip(decoded + np.random.default_rng(0).integers(-3, 4, decoded.shape), 0, 255).astype(np.uint8)
        quality = psnr(decoded, noisy)
        data = waves(quality=math.floor(100 * quality))
        report = codec.verify(data, noisy)
        assert report.ok
        assert report.measured == pytest.approx(quality)
        assert report.recorded == math.floor(100 * quality) / 100
        assert codec.verify(data).measured is None
        report = codec.verify(waves(quality=math.floor(100 * quality) + 5), noisy)
        assert not report.ok
        assert "BELOW" in report.lines[-1]

    def test_another_kind_of_picture_is_refused(self):
        decoded = codec.decode(WAVES)
        for other in (decoded[:-1], decoded[:, :, 0], decoded.astype(np.float32), decoded.astype(np.uint16)):
            refused(InputError, codec.verify, WAVES, other)


# -- signals of several networks ---------------------------------------------------------------------------


RATE = 4000
BLOCKS = TINY | {"block": 0.1}


@pytest.fixture(scope="module")
def sound():
    t = np.arange(1200) / RATE
    return (0.5 * np.sin(2 * np.pi * 110 * t)).astype(np.float32), RATE


@pytest.fixture(scope="module")
def three(sound, tmp_path_factory):
    pytest.importorskip("torch")
    return codec.encode(sound, tmp_path_factory.mktemp("three") / "a.sinr", **BLOCKS)


@pytest.mark.usefixtures("torch")
class TestParts:
    """A sound in three blocks: three networks, one file."""

    def test_every_part_has_its_section(self, sound, three):
        assert (three.kind, three.unit, three.parts) == ("audio", "sample", 3)
        assert three.bytes == sum(three.sections.values()) == three.path.stat().st_size
        assert {name.partition(".")[0] for name in three.sections} == {"header", "0", "1", "2"}
        info = codec.info(three.blob)
        assert (info["networks"], info["parameters"]) == (3, 3 * three.field.num_params)
        weights = sinr_codec.decompress(three.blob)
        assert set(weights) == {f"{part}.{name}" for part in range(3) for name in three.field.shapes()}
        check = codec.verify(three.blob, sound)
        assert check.ok
        assert check.measured == pytest.approx(three.quality, abs=1e-6)

    def test_points_are_asked_of_one_part(self, three):
        decoder = codec.open(three.blob)
        values = [decoder(np.zeros((1, 1)), part=part) for part in range(3)]
        assert len({value.item() for value in values}) == 3
        with pytest.raises(InputError, match="part: expected 0 to 2"):
            decoder(np.zeros((1, 1)), part=3)

    def test_a_size_is_for_all_parts(self, sound):
        report = codec.encode(sound, size=600, block=0.1, depth=1, preset="fast")
        assert report.target_met
        assert 300 < report.bytes <= 600

    def test_progressive(self, sound):
        """Planes of all networks, one plane after the other; networks may differ in how many there are."""
        blob = codec.encode(sound, progressive=True, **BLOCKS).blob
        lengths = read_header(blob).section_lengths
        assert len(lengths) == 3 * 4
        whole = codec.open(blob)
        part = codec.open(blob[: -lengths[-1] - 4], progressive=True)
        same = [np.array_equal(whole(np.zeros((9, 1)), part=n), part(np.zeros((9, 1)), part=n)) for n in range(3)]
        assert same == [True, True, False]
        assert part.planes == (2, 3)

    def test_an_option_of_another_kind_is_refused(self, sound, three):
        with pytest.raises(
            InputError, match=r"scale: not an option of a file of kind audio; expected rate, start, stop"
        ):
            sinr_codec.decode(three.blob, scale=2)
        with pytest.raises(InputError, match="resolution: not an option of audio input"):
            codec.encode(sound, resolution=3)
        with pytest.raises(InputError, match="image: the file holds a signal of kind audio"):
            codec.open(three.blob).image()


PIECES = FAST | {"width": 8, "block": 12}


@pytest.fixture(scope="module")
def report():
    return codec.encode(PICTURE, **PIECES)


@pytest.mark.usefixtures("torch")
class TestBlocks:
    """A picture in two blocks, or its upper half in three."""

    HALF = PICTURE[: HEIGHT // 2]
    THREE = TINY | {"block": 8, "method": "coin-fp32"}  # all bits of the weights that were fitted

    def test_a_picture_in_blocks(self, report):
        check = codec.verify(report.blob, PICTURE)
        assert (report.parts, report.unit, codec.info(report.blob)["networks"]) == (2, "pixel", 2)
        assert check.ok
        assert check.measured == pytest.approx(report.psnr, abs=1e-6)
        assert report.figures["seam_db"] == check.figures["seam_db"]
        assert report.psnr > psnr(PICTURE, PICTURE.mean(axis=(0, 1))) + 3

    def test_damage_is_told_where_it_is_met(self, report, tmp_path):
        header, sections = read(report.blob)
        path = tmp_path / "a.sinr"
        path.write_bytes(write(header, [sections[0], b"\xff" + sections[1][1:]]))
        decoder = codec.open(path)
        region = (0, 0, 8, 16)
        assert np.array_equal(decoder.render(region=region), codec.decode(report.blob, region=region))
        for function in (codec.decode, codec.verify, decoder.render):
            line = refused(FormatError, function, *([] if function == decoder.render else [path]))
            assert line.startswith(f"{path}: network 2 of 2: ")

    def test_decoded_networks_are_few(self, report, monkeypatch):
        monkeypatch.setattr(decoding, "_KEPT", 1)
        decoder = codec.open(report.blob)
        assert np.array_equal(decoder.render(), codec.decode(report.blob))
        assert len(decoder.fields.parts._params) == len(decoder.fields.parts._applies) == 1

    @pytest.mark.parametrize("threads", [1, 3])
    def test_fits_of_blocks_go_on_after_an_interrupt(self, tmp_path, threads, monkeypatch):
        monkeypatch.setattr(fitting, "threads_for", lambda job: min(threads, len(job.signal.parts)))

        class Listener:
            def __init__(self, stop_at=None):
                self.labels, self.steps, self.stop_at = [], 0, stop_at

            def start(self, label, total):
                self.labels.append(label)

            def update(self, done, text=""):
                self.steps += self.labels[-1].startswith("fit")
                if self.labels[-1] == self.stop_at and done >= (30 if threads == 1 else 2.1):
                    raise KeyboardInterrupt

        options = {"checkpoint": tmp_path / "state", **self.THREE}
        whole, again = Listener(), Listener()
        expected = codec.encode(self.HALF, progress=whole, **options)
        assert not list(tmp_path.iterdir())
        stop_at = "fit 2/3" if threads == 1 else "fit 3 blocks"
        line = refused(KeyboardInterrupt, codec.encode, self.HALF, progress=Listener(stop_at), **options)
        told = re.fullmatch(r"interrupted in part (\d) of 3: nothing was written; the same command goes on", line)
        assert told is not None
        if threads == 1:
            assert told[1] == "2"
            assert len(list(tmp_path.iterdir())) == 2
        assert codec.encode(self.HALF, progress=again, **options).blob == expected.blob
        assert again.steps < 0.6 * whole.steps
        assert not list(tmp_path.iterdir())

    def test_blocks_that_are_fitted_side_by_side_are_the_same(self, monkeypatch):
        import torch

        before = torch.get_num_threads()
        files = []
        for threads in (1, 3):
            monkeypatch.setattr(fitting, "threads_for", lambda job, threads=threads: threads)
            files.append(codec.encode(self.HALF, **self.THREE).blob)
        assert files[0] == files[1]
        assert torch.get_num_threads() == before

    def test_a_ctrl_c_ends_all_fits_of_blocks(self):
        code = """
import signal
import numpy as np
from sinr_codec import codec
from sinr_codec.encoding import fitting
fitting.threads_for = lambda job: 2
class Listener:
    told = False
    def start(self, label, total):
        self.label = label
    def update(self, done, text=""):
        if self.label == "fit 6 blocks" and done > 1 and not self.told:
            self.told = True
            signal.raise_signal(signal.SIGINT)
try:
    picture = np.zeros((16, 24, 3), np.uint8) + np.arange(24, dtype=np.uint8)[:, None]
    codec.encode(picture, block=8, width=8, depth=1, preset="fast", progress=Listener())
except KeyboardInterrupt as stop:
    print(stop)
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600)
        assert done.stdout.endswith("of 6: nothing was written; with a checkpoint it would go on\n"), done.stdout

    def test_a_size_is_for_all_blocks(self):
        report = codec.encode(PICTURE, size=700, block=12, **FAST)
        assert report.target_met
        assert 400 < report.bytes <= 700

    def test_large_pictures_are_cut_unless_the_network_is_named(self, monkeypatch):
        monkeypatch.setattr(ImageSignal, "BLOCKS", dataclasses.replace(ImageSignal.BLOCKS, largest=PIXELS - 1, side=12))
        assert codec.encode(PICTURE, bpp=12, **FAST).parts == 2
        assert codec.encode(PICTURE, bpp=12, block=0, **FAST).parts == 1
        assert codec.encode(PICTURE, **TINY).parts == 1
        assert codec.encode(PICTURE, method="coin", bpp=12, **FAST).parts == 1

    def test_methods(self):
        assert codec.encode(PICTURE, method="coin", **PIECES).parts == 2
        line = refused(InputError, codec.encode, PICTURE, method="shacira", block=12, preset="fast")
        assert line == "block: method shacira takes a picture in one piece; leave it out"


# -- methods


def test_methods_train_and_code_as_their_authors_did(tmp_path):
    """A method's own network, whatever the preset's is, and no planner behind it."""
    report = sinr_codec.encode(PICTURE, tmp_path / "a.sinr", method="inric-pe", **TINY)
    about = codec.info(tmp_path / "a.sinr")
    assert "sine (omega0 30)" in about["field"]
    assert about["parameters"] == 66 * 8 + 8 + 8 * 8 + 8 + 3 * 8 + 3
    assert report.psnr == pytest.approx(psnr(sinr_codec.decode(tmp_path / "a.sinr"), PICTURE))
    refused(InputError, sinr_codec.encode, PICTURE, method="jpeg", **TINY)


def test_a_method_that_removes_neurons_writes_a_narrower_network():
    report = sinr_codec.encode(PICTURE, method="prune-rows-25-direct", **TINY)
    assert "6 sine" in codec.info(report.blob)["field"]
