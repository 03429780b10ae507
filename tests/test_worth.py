"""Files that are no better than the mean of their signal, by the arithmetic of each field."""

import math

import numpy as np
import pytest

from sinr_codec.encoding.worth import least_worth
from sinr_codec.signals.audio import AudioSignal
from sinr_codec.signals.image import ImageSignal
from sinr_codec.signals.shape import ShapeSignal
from sinr_codec.signals.volume import VolumeSignal


def least(signal):
    return least_worth(signal, -math.inf, 0)


def faint(spread):
    return np.uint8(np.round(128 + np.random.default_rng(0).normal(0, spread, (40, 30))))


def test_a_picture_must_be_5_db_above_its_mean():
    array = faint(30)
    mean = 10 * math.log10(255**2 / np.mean((array - array.mean()) ** 2))
    signal = ImageSignal.load(array)
    assert least(signal) == pytest.approx(mean + 5, abs=0.01)
    assert least_worth(signal, mean + 5.1, 0) is None
    assert least_worth(signal, mean + 4.9, 0) is not None


@pytest.mark.parametrize("spread", [0, 0.3, 2])
def test_a_picture_that_is_nearly_constant_needs_40_db(spread):
    signal = ImageSignal.load(faint(spread))
    assert least(signal) == pytest.approx(40, abs=0.1)
    assert least_worth(signal, math.inf, 0) is None
    assert least_worth(signal, 30.5, 0, asked=30.0) is None
    assert least_worth(signal, 29.5, 0, asked=30.0) == 30


@pytest.mark.parametrize("gain", [1.0, 0.001])
def test_a_sound_needs_an_snr_of_5_db_however_quiet_it_is(gain):
    wave = (gain * np.sin(np.linspace(0, 300, 20000))).astype(np.float32)
    signal = AudioSignal.load((wave, 8000), block=0.5)
    assert least(signal) == pytest.approx(signal.psnr_at(5), abs=0.1)


def test_a_volume_in_blocks_is_judged_by_the_mean_of_each():
    steps = np.repeat([0.0, 8.0], 20)[:, None, None] + np.random.default_rng(0).normal(0, 1, (40, 16, 16))
    signal = VolumeSignal.load(steps.astype(np.float32), block=20)
    assert signal.spec.parts == 2
    whole = 10 * math.log10(np.ptp(steps) ** 2 / np.var(steps))
    assert whole + 6 < least(signal) < 10 * math.log10(np.ptp(steps) ** 2) + 5


def test_a_shape_needs_an_iou_above_two_thirds():
    solid = np.zeros((24, 24, 24), bool)
    solid[6:16, 5:18, 8:20] = True
    signal = ShapeSignal.load(solid)
    assert least_worth(signal, -10 * math.log10(1 - 0.5), 0) is not None
    assert least_worth(signal, -10 * math.log10(1 - 0.9), 0) is None


def test_missing_values_are_no_part_of_the_mean():
    xr = pytest.importorskip("xarray")
    from sinr_codec.signals.dataset import DatasetSignal

    sea = np.random.default_rng(0).random((20, 30)).astype(np.float32)
    sea[:, :20] = np.nan
    known = sea[:, 20:]
    spread = np.mean((known - known.mean()) ** 2) / np.ptp(known) ** 2
    signal = DatasetSignal.load(xr.DataArray(sea, dims=("y", "x"), name="sst"))
    assert least(signal) == pytest.approx(-10 * math.log10(spread) + 5, abs=0.05)


def test_kinds_of_other_packages_need_nothing_new():
    from sinr_spectra import Spectrum, SpectrumSignal

    y = np.random.default_rng(0).random(500)
    signal = SpectrumSignal.load(Spectrum(np.arange(500.0), y))
    assert least(signal) == pytest.approx(10 * math.log10(np.ptp(y) ** 2 / np.var(y)) + 5, abs=0.01)
