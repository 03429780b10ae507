import numpy as np
import pytest

from sinr_codec.errors import InputError
from sinr_codec.fields import MLP, Sine
from sinr_codec.fit import FitConfig, fit, fit_many
from sinr_codec.signals.image import ImageSignal

CONFIG = FitConfig(optimizer="adam", steps=60, batch=128, compile=False)
FIELD = MLP(2, 3, 16, 1, Sine(20.0))


def picture(seed):
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:24, 0:20] / 20
    waves = [np.sin(rng.uniform(1, 8) * x + rng.uniform(1, 8) * y) for _ in range(3)]
    return ImageSignal.load((127 + 100 * np.stack(waves, -1)).astype(np.uint8)).parts[0]


def test_a_batch_gives_what_single_fits_give():
    parts = [picture(0), picture(1), picture(2)]
    together = fit_many(FIELD, parts, CONFIG)
    for part, result in zip(parts, together):
        alone = fit(FIELD, part, CONFIG)
        assert result.loss == pytest.approx(alone.loss, rel=0.02)
        assert result.steps == 60
        for name, w in alone.params.items():
            np.testing.assert_allclose(result.params[name], w, atol=5e-3)
    assert together[0].loss != together[1].loss


def test_l1_and_a_constant_rate_work_in_a_batch_too():
    plain = FitConfig(optimizer="adam", steps=60, batch=128, schedule="constant")
    shrunk = FitConfig(optimizer="adam", steps=60, batch=128, schedule="constant", l1=1e-2)
    sums = [sum(np.abs(w).sum() for w in fit_many(FIELD, [picture(0)], c)[0].params.values()) for c in (plain, shrunk)]
    assert sums[1] < 0.9 * sums[0]


def test_what_cannot_be_a_batch():
    assert fit_many(FIELD, [], CONFIG) == []
    with pytest.raises(InputError, match="equal length"):
        fit_many(FIELD, [picture(0), ImageSignal.load(np.zeros((4, 4, 3), np.uint8)).parts[0]], CONFIG)
    with pytest.raises(InputError, match="adam"):
        fit_many(FIELD, [picture(0)], FitConfig(steps=10))


def test_one_that_diverges_is_fitted_again_by_itself():
    results = fit_many(FIELD, [picture(0)], FitConfig(optimizer="adam", lr=1e4, steps=120, batch=128))
    assert results[0].restarts > 0
    assert np.isfinite(results[0].loss)
