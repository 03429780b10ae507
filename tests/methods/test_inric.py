import numpy as np
import pytest

from sinr_codec.methods import inric


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_best_step_is_the_best_of_all_ranges(bits):
    w = np.random.default_rng(0).laplace(size=500).astype(np.float32)
    top = 2 ** (bits - 1) - 1

    def error(step):
        return np.sum((np.clip(np.rint(w / step), -top, top) * step - w.astype(np.float64)) ** 2)

    best = error(inric.best_step(w, bits))
    assert best <= 1.001 * min(error(np.abs(w).max() * share / top) for share in np.linspace(0.3, 1, 36))
    if bits == 4:
        assert best < 0.95 * error(np.abs(w).max() / top)  # clipping pays


def test_zeros_have_a_step():
    assert inric.best_step(np.zeros(3, np.float32), 8) > 0


def test_learned_levels_are_those_next_to_the_weights(task):
    steps = {name: inric.best_step(w, 6) for name, w in task.params.items()}
    rounded = inric.learn_rounding(task, steps, 6)
    for name, w in task.params.items():
        levels = rounded[name] / steps[name]
        np.testing.assert_allclose(levels, np.rint(levels), atol=1e-3)
        inside = np.abs(w) < 31 * steps[name]
        assert np.abs(rounded[name] - w)[inside].max() < 1.001 * steps[name]


def test_a_fit_from_a_base_takes_fewer_steps():
    assert inric.fewer(500) == 100
    assert inric.fewer(1) == 1
