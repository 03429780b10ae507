"""Published curves and statements."""

import pytest

from sinr_codec.bench.published import CURVES, PAPER
from sinr_codec.bench.rates import rate_at, rising


def test_published_curves_rise_and_the_papers_statements_stand() -> None:
    for curve in CURVES:
        assert rising(curve.points) == list(curve.points), curve.name
    stated = {"SINR": 1.7, "INRIC": 2.0, "COIN": 3.7, "COIN++": 1.5, "COIN++ + SINR": 1.0}
    assert {name: bpp for name, bpp, _ in PAPER} == stated
    coin = next(c for c in CURVES if c.name.startswith("COIN (")).points
    assert rate_at(coin, 30.0) == pytest.approx(0.99, abs=0.01)
    inric = next(c for c in CURVES if c.name.startswith("INRIC, 8")).points
    assert rate_at(inric, 30.0) == pytest.approx(0.481, abs=0.1)
