"""Rates and qualities between the points of curves."""

import pytest

from sinr_codec.bench.rates import bd_psnr, bd_rate, rate_at, rising


def test_rates_at_equal_quality() -> None:
    curve = [(0.1, 20.0), (0.2, 22.0), (0.4, 24.0), (0.3, 21.0)]
    assert rising(curve) == [(0.1, 20.0), (0.2, 22.0), (0.4, 24.0)]
    assert rate_at(curve, 23.0) == pytest.approx(0.2 * 2**0.5)
    assert rate_at(curve, 25.0) is None
    assert rate_at(curve, 19.9) is None
    half = [(rate / 2, db) for rate, db in curve]
    assert bd_rate(curve, half) == pytest.approx(-50, abs=0.1)
    assert bd_psnr(curve, half) == pytest.approx(2.0, abs=0.1)
    assert bd_rate(curve, [(1.0, 50.0), (2.0, 51.0), (3.0, 52.0)]) is None
    assert bd_rate(curve, curve[:2]) is None
