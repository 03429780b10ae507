import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sinr_codec.coding.quantize import (
    MAX_STEP,
    MIN_STEP,
    dequantize,
    minmax,
    round_step,
    step_code,
    step_value,
    symmetric,
)
from sinr_codec.errors import InputError


@pytest.mark.parametrize(
    ("step", "code"), [(1.0, 34816), (2.0, 35072), (0.375, 34432), (MIN_STEP, 0), (MAX_STEP, 65535)]
)
def test_step_known_answers(step: float, code: int) -> None:
    assert step_code(step) == code
    assert step_value(code) == step


def test_every_step_code_is_kept_and_rises() -> None:
    values = [step_value(code) for code in range(1 << 16)]
    assert all(a < b for a, b in pairwise(values))
    assert [step_code(value) for value in values] == list(range(1 << 16))


@given(st.floats(MIN_STEP, MAX_STEP))
def test_a_step_is_at_most_a_five_hundredth_away(step: float) -> None:
    assert abs(round_step(step) / step - 1) <= 1 / 512


def test_steps_out_of_range_are_clamped_and_nonsense_is_refused() -> None:
    assert round_step(1e-300) == MIN_STEP
    assert round_step(math.inf) == MAX_STEP
    for step in (0.0, -1.0, math.nan):
        with pytest.raises(InputError):
            step_code(step)
    with pytest.raises(InputError):
        step_value(1 << 16)


@given(arrays(np.float64, 7, elements=st.floats(-1e6, 1e6)), st.floats(1e-3, 1e3))
def test_symmetric_error_is_at_most_half_a_step(x: np.ndarray, step: float) -> None:
    assert np.abs(dequantize(symmetric(x, step), step) - x).max() <= step / 2 * (1 + 1e-9)


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e300])
def test_symmetric_refuses_what_does_not_fit(value: float) -> None:
    with pytest.raises(InputError):
        symmetric([1.0, value], 1e-3)


@given(arrays(np.float32, 9, elements=st.floats(-1e3, 1e3, width=32)), st.integers(1, 24))
def test_minmax_uses_the_range_and_errs_by_half_a_step(x: np.ndarray, bits: int) -> None:
    q, step, offset = minmax(x, bits)
    assert q.min() >= 0
    assert q.max() < 2**bits
    assert (np.float32(step), np.float32(offset)) == (step, offset)
    # Rounding step and offset to float32 moves the last level by a little more than half a step at most.
    slack = 1e-6 * (np.abs(x).max() + np.ptp(x)) + 1e-30
    assert np.abs(dequantize(q, step, offset) - x).max() <= step / 2 + slack


def test_minmax_of_constants_and_nothing() -> None:
    q, step, offset = minmax(np.full(4, 2.5), 16)
    assert (q.tolist(), step, offset) == ([0] * 4, 0.0, 2.5)
    assert dequantize(q, step, offset).tolist() == [2.5] * 4
    assert minmax(np.zeros((0, 3)), 8)[0].shape == (0, 3)


def test_minmax_refuses() -> None:
    with pytest.raises(InputError, match="bits"):
        minmax([1.0], 0)
    with pytest.raises(InputError, match="finite"):
        minmax([1.0, math.nan], 8)
    with pytest.raises(InputError, match="finite"):
        minmax([-1e300, 1e300], 8)
