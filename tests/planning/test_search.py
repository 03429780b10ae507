"""The best atom, against products in float64; pursuits with it are tested with `omp`."""

import numpy as np
import pytest

from sinr_codec.planning.search import Search, at_unit, gather


def best_of(atoms: np.ndarray, residuals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    wide = atoms.astype(np.float64)
    norms = np.linalg.norm(wide, axis=1)
    correlations = np.abs(residuals @ wide.T) / np.where(norms > 0, norms, np.inf)
    return correlations.argmax(axis=1), correlations.max(axis=1)


@pytest.mark.parametrize("dtype", [np.int8, np.float32, np.float64])
@pytest.mark.parametrize(("k2", "k1", "m"), [(1, 3, 2), (5, 4, 1), (700, 33, 9), (5000, 64, 20)])
def test_the_best_atom_is_that_of_exact_products(dtype, k2, k1, m):
    rng = np.random.default_rng(k2)
    atoms = (20 * rng.normal(size=(k2, k1))).astype(dtype)
    atoms[k2 // 2] = 0 if k2 > 1 else 1  # a zero atom is never the best
    residuals = rng.normal(size=(m, k1))
    found, correlation, _ = Search(atoms, m).best(residuals)
    wanted, largest = best_of(atoms, residuals)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_allclose(correlation, largest, rtol=1e-12)


def test_of_equal_atoms_the_first_is_the_best():
    atoms = np.repeat(np.random.default_rng(0).normal(size=(40, 8)), 3, axis=0)
    residuals = atoms[::7].copy()
    found, _, _ = Search(atoms, len(residuals)).best(residuals)
    assert (found % 3 == 0).all()
    np.testing.assert_array_equal(found // 3, np.arange(0, 120, 7) // 3)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_norms_neither_overflow_nor_vanish(scale):
    atoms = scale * np.random.default_rng(1).normal(size=(300, 12))
    residuals = np.random.default_rng(2).normal(size=(4, 12))
    np.testing.assert_array_equal(Search(atoms, 4).best(residuals)[0], best_of(atoms / scale, residuals)[0])


def test_rows_are_gathered_with_zeros_for_none():
    atoms = np.arange(12, dtype=np.int8).reshape(4, 3)
    assert gather(atoms, np.array([[2, -1]])).tolist() == [[[6, 7, 8], [0, 0, 0]]]
    unit = at_unit(np.array([[3.0, 4.0]]))
    assert unit.dtype == np.float32
    assert unit.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)]]
