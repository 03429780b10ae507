"""Training of the network that predicts interlaced samples."""

import numpy as np
import pytest

from sinr_codec.coding.interlaced import bits_of
from sinr_codec.errors import InputError
from sinr_codec.fields import Interlaced
from sinr_codec.fields.interlaced import SAMPLES
from sinr_codec.fit import FitConfig, fit
from sinr_codec.fit.interlaced import fit_interlaced
from sinr_codec.signals import registry

pytestmark = pytest.mark.usefixtures("one_thread")


def volume():
    z, y, x = np.mgrid[:20, :24, :22]
    rng = np.random.default_rng(0)
    return np.rint(200 * np.sin(z / 5) * np.cos(y / 6 - x / 9) + rng.normal(0, 3, z.shape)).astype(np.int16)


@pytest.fixture(scope="module")
def signal():
    return registry.load(volume(), "volume")


@pytest.fixture(scope="module")
def field(signal):
    return Interlaced.for_grid(signal.spec.axes, [signal.levels.step_within(2)], [0.0])


@pytest.fixture(scope="module")
def usual(signal, field):
    return fit(field, signal.parts[0], FitConfig(steps=120))


def test_samples_are_the_nearest_steps(usual, signal, field):
    found = signal.levels.to_samples(field.decoder(usual.params).on_grid(centres(field)))[..., 0]
    assert np.abs(found.astype(int) - volume()).max() == 2
    assert usual.loss == pytest.approx(((found - volume()) ** 2).mean() / (signal.levels.span / 2) ** 2, rel=1e-3)


def centres(field):
    return [((2 * np.arange(n) + 1) / n - 1).astype(np.float32) for n in field.sizes]


def test_training_makes_them_shorter(usual, field):
    trained = bits_of(usual.params[SAMPLES], field.halvings, field.predictor(usual.params))
    blank = field.init(np.random.default_rng(0))
    untrained = bits_of(usual.params[SAMPLES], field.halvings, field.predictor(blank))
    values = usual.params[SAMPLES]
    counts = np.unique(values, return_counts=True)[1]
    entropy = -float(np.sum(counts * np.log2(counts / values.size)))
    assert trained < 0.75 * untrained
    assert trained < 0.6 * entropy


def test_the_same_seed_gives_the_same_network(usual, signal, field):
    again = fit(field, signal.parts[0], FitConfig(steps=120))
    for name, values in usual.params.items():
        np.testing.assert_array_equal(again.params[name], values)


def test_a_fit_goes_on_from_its_checkpoint(tmp_path, usual, signal, field):
    def stop(step, total, loss):
        if step >= 50:
            raise KeyboardInterrupt

    config = FitConfig(steps=120, checkpoint=tmp_path / "fit.safetensors")
    assert fit(field, signal.parts[0], config, progress=stop).interrupted
    resumed = fit(field, signal.parts[0], config)
    assert not resumed.interrupted
    for name, values in usual.params.items():
        np.testing.assert_array_equal(resumed.params[name], values)


def test_too_small_steps_are_refused(signal):
    field = Interlaced.for_grid(signal.spec.axes, [2.0**-35], [-1.0])
    with pytest.raises(InputError, match="max_error: so small"):
        fit_interlaced(field, signal.parts[0], FitConfig(steps=1))


@pytest.mark.parametrize("sizes", [(1, 1, 1), (1, 1, 40)])
def test_small_volumes(sizes):
    array = np.arange(np.prod(sizes), dtype=np.uint8).reshape(sizes)
    signal = registry.load(array, "volume")
    field = Interlaced.for_grid(sizes, [signal.levels.step_within(0)], [-1.0])
    params = fit(field, signal.parts[0], FitConfig(steps=3)).params
    np.testing.assert_array_equal(
        signal.levels.to_samples(field.decoder(params).on_grid(centres(field)))[..., 0], array
    )
