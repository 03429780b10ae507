"""Quality against s, and the s that a quality needs."""

import pytest

from sinr_codec.bench import sparsity


def test_the_s_that_is_needed() -> None:
    entries = [{"s": s, "loss": loss} for s, loss in ((10, 8.0), (20, 2.0), (30, 0.5), (31, 0.6))]
    assert sparsity.needed(entries, 2.0) == 20
    assert sparsity.needed(entries, 1.25) == pytest.approx(25)
    assert sparsity.needed(entries, 0.1) is None


def test_the_regression_leaves_tiny_networks_out() -> None:
    rows = {
        64: [(0.2, 12, 2.0), (0.4, 25, 0.5)],
        128: [(0.2, 25, 2.0), (0.4, 51, 0.5)],
        1024: [(0.4, 409, 0.5)],
    }
    points = [
        {
            "width": 32 if k1 == 1024 else k1,
            "rows": [
                {"kind": "gaussian", "seed": 0, "k2": 8192, "k1": k1, "share": share, "s": s}
                | {"loss": loss, "hidden_loss": loss / 4, "snr": 1.0}
                for share, s, loss in sweep
            ],
        }
        for k1, sweep in rows.items()
    ]
    found = {r["loss"]: r for r in sparsity.regressions(points) if r["coded"] == "all"}
    hidden = {r["loss"]: r for r in sparsity.regressions(points) if r["coded"] == "hidden"}
    assert found[0.3]["slope"] is None
    assert hidden[0.3]["slope"] == pytest.approx((64 * (12 + 13 * 0.2 / 0.375) + 128 * 39) / (64**2 + 128**2), abs=0.02)
    assert found[1.0]["share"]["64"] == pytest.approx((12 + 13 * 2 / 3) / 64, abs=1e-3)
    assert found[1.0]["slope"] == pytest.approx(0.33, abs=0.02)
    assert found[0.1]["slope"] is None
    assert found[1.0]["share"]["32"] == pytest.approx(409 / 1024, abs=1e-3)
