import math

import numpy as np
import pytest

from sinr_codec.coding.trellis import NEXT_STATE, SQUARED_ERROR, follows_trellis, parities, quantise


def test_the_trellis_gains_a_decibel() -> None:
    x = np.random.default_rng(1).normal(size=(100, 200)) * 50
    levels = quantise(x)
    assert follows_trellis(levels)
    error = float(np.mean((x - levels) ** 2))
    assert error == pytest.approx(SQUARED_ERROR, rel=0.02)
    assert 10 * math.log10((2**2 / 12) / error) > 1.0


def test_the_best_path_is_found() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        x = rng.normal(size=(1, 5)) * 3
        weights = rng.uniform(0.5, 2, (1, 5))
        paths = np.stack(np.meshgrid(*[np.arange(-12, 13, dtype=np.int64)] * 2, indexing="ij"), -1).reshape(-1, 2)
        paths = paths[follows(paths)]
        found = quantise(x[:, :2], weights=weights[:, :2])
        costs = (weights[:, :2] * (x[:, :2] - paths) ** 2).sum(1)
        assert float((weights[:, :2] * (x[:, :2] - found) ** 2).sum()) == pytest.approx(float(costs.min()))


def follows(paths: np.ndarray) -> np.ndarray:
    return (parities(paths) == (paths & 1)).all(1)


def test_states_choose_the_parity_of_levels() -> None:
    """By the machine itself, a level at a time."""
    levels = quantise(np.random.default_rng(3).normal(size=(5, 40)) * 20)
    for row in levels.tolist():
        state = 0
        for level in row:
            assert level % 2 == state % 2
            state = NEXT_STATE[state][level >> 1 & 1]
    assert follows_trellis(levels)
    assert not follows_trellis(levels + 1)


def test_a_price_for_bits_moves_levels_towards_zero() -> None:
    x = np.random.default_rng(4).normal(size=(20, 60)) * 2
    free, priced = quantise(x), quantise(x, variance=4.0)
    assert follows_trellis(priced)
    assert np.abs(priced).sum() < np.abs(free).sum()
    assert np.mean((x - free) ** 2) < np.mean((x - priced) ** 2)
