"""Fits of pyramids: quality by steps, targets, resuming, and inputs that are not photographs."""

from dataclasses import replace

import numpy as np
import pytest

from sinr_codec.errors import InputError
from sinr_codec.fields.pyramid import Pyramid
from sinr_codec.fit.config import FitConfig
from sinr_codec.fit.pyramid import fit_pyramid, section_bits
from sinr_codec.fit.samples import grid_values
from sinr_codec.signals.grid import Grid
from sinr_codec.signals.image import ImageSignal


def picture(rows=48, columns=64, seed=0):
    """Smooth colours with an edge and some noise, uint8 (rows, columns, 3)."""
    y, x = np.mgrid[:rows, :columns] / 32
    planes = [np.sin(2 * x + k) * np.cos(y - k) + (x + k / 2 > y + 0.5) for k in range(3)]
    noise = np.random.default_rng(seed).normal(0, 0.03, (rows, columns, 3))
    return np.clip(90 + 60 * (np.stack(planes, -1) + noise), 0, 255).astype(np.uint8)


def fitted(array, config=None, **sizes):
    signal = ImageSignal.load(array)
    field = Pyramid.for_grid(signal.spec.sizes, signal.spec.out_features, **({"width": 8, "hidden": 8} | sizes))
    return signal, field, fit_pyramid(field, signal.parts[0], config or FitConfig(steps=120, weight=1e-3))


def psnr(result):
    return -10 * np.log10(result.loss / 4)


@pytest.fixture(scope="module")
def usual():
    return fitted(picture())


def test_quality_and_size_after_few_steps(usual):
    _, field, result = usual
    assert psnr(result) > 27
    assert section_bits(field, result.params) < 8 * 1100
    field.check(result.params)


def test_the_same_seed_gives_the_same_integers(usual):
    _, _, again = fitted(picture())
    for name, array in usual[2].params.items():
        np.testing.assert_array_equal(again.params[name], array)


def test_a_larger_weight_gives_fewer_bits(usual):
    _, field, coarse = fitted(picture(), FitConfig(steps=120, weight=1e-2))
    assert section_bits(field, coarse.params) < section_bits(field, usual[2].params)
    assert psnr(coarse) < psnr(usual[2])


def test_a_number_of_bits_is_met():
    signal, field, result = fitted(picture(64, 96), FitConfig(steps=300, bits=1.5))
    taken = section_bits(field, result.params) / len(signal)
    assert 0.95 * 1.5 < taken <= 1.5


def test_a_quality_is_met():
    _, _, result = fitted(picture(), FitConfig(steps=300, quality=26.0))
    assert 26.0 <= psnr(result) < 26.7  # a part of the training changes so small a picture by some tenths


@pytest.mark.parametrize(
    "array",
    [
        np.full((24, 40, 3), 251, np.uint8),
        np.kron(np.random.default_rng(0).integers(235, 256, (4, 6, 3)), np.ones((8, 8, 1))).astype(np.uint8),
        np.repeat(np.tile([0, 255], (32, 16))[..., None], 3, 2).astype(np.uint8),
        picture(1, 70),
        picture(1, 1),
        picture(33, 31)[..., 0],
    ],
    ids=["flat", "bright", "stripes", "row", "pixel", "gray"],
)
def test_no_picture_collapses(array):
    _, field, result = fitted(array)
    mean = 4 * np.mean((array - array.mean((0, 1), keepdims=True)) ** 2) / 255**2
    assert result.loss <= max(mean / 10**0.5, 1e-4)
    assert section_bits(field, result.params) < 8 * 2500


def test_a_fit_goes_on_from_its_checkpoint(tmp_path, usual):
    """Interrupted once before and once after the rounding of latents, it ends with the same integers."""
    config = FitConfig(steps=120, weight=1e-3, checkpoint=tmp_path / "state")
    for stop in (40, 115, None):

        def listen(step, total, loss, stop=stop):
            if stop is not None and step >= stop:
                raise KeyboardInterrupt

        signal, field = usual[0], usual[1]
        result = fit_pyramid(field, signal.parts[0], config, progress=listen)
        assert result.interrupted == (stop is not None)
    for name, array in usual[2].params.items():
        np.testing.assert_array_equal(result.params[name], array)
    assert not (tmp_path / "state").exists()


def test_samples_off_the_grid_are_refused():
    signal = ImageSignal.load(picture())
    signal = ImageSignal(signal.array, replace(signal.spec, grid=Grid(corners=True)))
    with pytest.raises(InputError, match="centres of a grid"):
        grid_values(signal.parts[0], signal.spec.sizes)


def test_blocks_at_the_edges_continue_beyond_them():
    signal = ImageSignal.load(picture(64, 64), block=32)
    values = grid_values(signal.parts[0], signal.spec.axes)
    assert values.shape == (*signal.spec.axes, 3)
    fade = signal.spec.cut.fade
    np.testing.assert_array_equal(values[:fade], np.broadcast_to(values[fade], (fade, *values.shape[1:])))


def test_other_devices_are_refused():
    with pytest.raises(InputError, match="device"):
        fitted(picture(8, 8), replace(FitConfig(steps=120), device="cuda"))
