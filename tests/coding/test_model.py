"""Frequencies, from exact arithmetic: they are integers of at least one whose sum is the coder's total."""

from fractions import Fraction
from math import comb, isqrt

import numpy as np
import pytest

from sinr_codec.coding.model import (
    MAX_SYMBOLS,
    SCALES,
    SHAPES,
    UNIFORM,
    frequencies,
    hypergeometric,
    power_of_two,
    spaced_frequencies,
)
from sinr_codec.coding.rangecoder import TOTAL


@pytest.mark.parametrize("shape", [*range(len(SHAPES)), UNIFORM])
@pytest.mark.parametrize(("size", "centre"), [(1, 0), (2, 1), (255, 127), (257, 3), (MAX_SYMBOLS, 2000)])
def test_frequencies_add_up(shape, size, centre):
    for scale in (0, 40, SCALES - 1):
        table = frequencies(shape, scale, size, centre)
        assert table.shape == (size,)
        assert int(table.sum()) == TOTAL
        assert int(table.min()) >= 1


@pytest.mark.parametrize("shape", range(len(SHAPES)))
def test_a_weight_has_halved_at_the_half_width(shape):
    scale = 8 * 8  # 2^(64/8 - 4) = 16 symbols
    table = frequencies(shape, scale, 2001, 1000)
    # 2^-(2^p) at two half-widths, 2^-1 at one; every frequency has one more, so that it is never 0.
    assert (table[1032] - 1) / (table[1016] - 1) == pytest.approx(2.0 ** (1 - 2.0 ** SHAPES[shape]), rel=0.02)
    assert np.array_equal(table, table[::-1])
    assert (np.diff(table[1000:]) <= 0).all()


def test_uniform_frequencies_are_equal_but_for_the_remainder():
    table = frequencies(UNIFORM, 0, 300, 0)
    assert set(table[1:].tolist()) == {TOTAL // 300}
    assert table[0] - table[1] == TOTAL % 300


def test_levels_of_a_trellis_are_two_apart():
    """Every second one of the levels -6..6, and the odd ones."""
    whole = frequencies(3, 60, 13, 6).astype(float)
    even, odd = spaced_frequencies(3, 60, 7, 2).astype(float), spaced_frequencies(3, 60, 6, 2).astype(float)
    assert np.allclose(even / even.sum(), whole[::2] / whole[::2].sum(), atol=2e-5)
    assert np.allclose(odd / odd.sum(), whole[1::2] / whole[1::2].sum(), atol=2e-5)
    assert np.array_equal(spaced_frequencies(3, 60, 13, 1), frequencies(3, 60, 13, 6))


def test_tables_are_not_to_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        frequencies(2, 40, 9, 4)[0] = 1


@pytest.mark.parametrize(("numerator", "log", "bits"), [(0, 3, 5), (7, 3, 20), (-5, 3, 30), (255, 8, 16)])
def test_power_of_two_is_the_floor(numerator, log, bits):
    found, power = power_of_two(numerator, log, bits), 1 << log
    exponent = bits * power + numerator
    assert found**power <= 1 << exponent < (found + 1) ** power
    assert isqrt(1 << 2) == power_of_two(1, 0, 0)


@pytest.mark.parametrize(("positions", "chosen"), [(4, 2), (31, 5), (200, 60), (65536, 3)])
def test_hypergeometric(positions, chosen):
    """How many of the members of a random set lie in the lower half."""
    least, table = hypergeometric(positions, chosen)
    half = positions // 2
    assert least == max(0, chosen - (positions - half))
    assert int(table.sum()) == TOTAL
    whole = comb(positions, chosen)
    for count, frequency in enumerate(table.tolist(), least):
        exact = Fraction(comb(half, count) * comb(positions - half, chosen - count), whole)
        assert frequency / TOTAL == pytest.approx(float(exact), rel=2e-3, abs=2e-4)
