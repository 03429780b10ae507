"""Units that differ by row and column."""

import numpy as np
import pytest

from sinr_codec.coding.scales import Scales, factors_of, scales_for


def test_units_are_quarters_of_octaves_and_exact():
    exponents = np.arange(255)
    units = factors_of(exponents)
    np.testing.assert_allclose(units, 2 ** (exponents / 4), rtol=2e-3)
    mantissas = np.frexp(units)[0] * 512
    assert (mantissas == np.rint(mantissas)).all()


def test_rows_and_columns_add_up():
    scales = Scales((0, 8), (0, 4, 12))
    np.testing.assert_array_equal(scales.exponents((2, 3)), [0, 4, 12, 8, 12, 20])
    np.testing.assert_array_equal(scales.factors((2, 3)), [[1, 2, 8], [4, 8, 32]])
    np.testing.assert_array_equal(Scales((), (4,)).factors(()), 2)


@pytest.mark.parametrize(("rows", "columns"), [(True, False), (False, True), (True, True)])
def test_steps_follow_what_is_felt(rows, columns):
    rng = np.random.default_rng(0)
    r = 2.0 ** rng.integers(-2, 3, 30) if rows else np.ones(30)
    c = 4.0 ** rng.integers(-1, 2, 20) if columns else np.ones(20)
    felt = 1e-7 * r[:, None] * c * rng.chisquare(40, (30, 20)) / 40
    units = scales_for(felt, rows, columns).factors((30, 20))
    wanted = 1 / np.sqrt(r[:, None] * c)
    ratio = np.log2(units / wanted)
    assert np.ptp(ratio) < 1  # a quarter for rounding either, and the noise
    # An error of a step then costs about the same wherever it is.
    assert np.std(np.log2(felt * units**2)) < 0.5 < np.std(np.log2(felt))


def test_what_is_never_felt_gets_a_step_that_is_wide_and_no_more():
    felt = np.ones((6, 5))
    felt[2], felt[:, 1] = 0, 0
    scales = scales_for(felt)
    assert scales.rows[2] == max(scales.rows) > min(scales.rows)
    assert scales.columns[1] == max(scales.columns) > min(scales.columns)
    assert scales_for(np.ones((6, 5))) == scales_for(np.zeros((6, 5))) == Scales()
