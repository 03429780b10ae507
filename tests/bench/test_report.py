"""What a report says of points that are made up."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from sinr_codec.bench import sparsity, weights
from sinr_codec.bench.plots import _apart
from sinr_codec.bench.published import CURVES, PAPER
from sinr_codec.bench.rates import bd_psnr, bd_rate, rate_at, rising
from sinr_codec.bench.report import (
    comparable,
    compressai,
    delta_table,
    page,
    points_csv,
    quality_table,
    report,
    rows_csv,
    summarise,
    whole_set,
)


def point(method: str, size: int, signal: str, db: float, protocol: str = "own", **more: object) -> dict[str, object]:
    base = {
        "experiment": "c1",
        "kind": "image",
        "signal": signal,
        "configuration": f"3x{size}",
        "method": method,
        "title": method.upper(),
        "protocol": protocol,
        "training": "sine",
        "weights": size * size,
        "params": size * size,
        "samples": 1000,
        "bytes": size * size,
        "bpp": size * size / 125,
        "published_bytes": None,
        "measure": "PSNR",
        "db": db,
        "fit_db": db + 0.5,
        "figures": {},
        "seconds": {"fit": 1.0, "code": 0.1},
        "fit": "key",
        "steps": 10,
        "scale": "1",
        "file": f"files/{method}",
        "source": "x.png",
    }
    return base | more


POINTS = [
    point(method, size, signal, 20 + np.log2(size) + gain + tone, protocol)
    for method, gain, protocol in (("minmax", 0.0, "paper"), ("direct", 1.0, "own"))
    for size in (8, 16, 32, 64)
    for signal, tone in (("a", -1.0), ("b", 1.0))
]


def test_means_ratios_and_losses() -> None:
    rows = {(row.method, row.configuration): row for row in summarise(POINTS)}
    assert rows["direct", "3x16"].db == pytest.approx(25.0)
    assert rows["direct", "3x16"].loss == pytest.approx(0.5)
    assert rows["direct", "3x16"].ratio == 1.0
    assert rows["direct", "3x16"].signals == 2
    assert rows["direct", "3x16"].published_bpp is None


def test_tables() -> None:
    rows = summarise(POINTS)
    text = page("c1", POINTS, rows)
    assert "| paper | MINMAX | 3x16 | 2 | 256 | 256 | 2.048 | - | 24.00 | 0.50 | 1.000 |" in text
    assert "SINR (SINR's paper) | paper | - | - | - | 1.7" in text
    assert text == page("c1", list(reversed(POINTS)), summarise(list(reversed(POINTS))))
    lines = points_csv(POINTS).splitlines()
    assert len(lines) == 1 + len(POINTS)
    assert len({line.count(",") for line in lines}) == 1
    assert len(rows_csv(rows).splitlines()) == 1 + 8
    assert "DIRECT" in delta_table(rows, True)
    assert "VTM" in quality_table(rows)


def test_published_curves_are_compared_with_the_whole_set_alone() -> None:
    whole = [point("minmax", size, f"kodim{n:02}", 20 + size, "paper") for size in (8, 16) for n in range(1, 25)]
    assert whole_set(whole)
    assert not whole_set(whole[1:24])
    assert not whole_set([p | {"scale": "1/2"} for p in whole])
    assert "cannot be compared" in page("c1", POINTS, summarise(POINTS))
    assert "cannot be compared" not in page("c1", whole, summarise(whole))
    rows = summarise(POINTS)
    assert "published JPEG" in delta_table(rows, True)
    assert "published JPEG" not in delta_table(rows, False)


def test_classical_codecs_are_averaged_over_what_they_have() -> None:
    codecs = [
        point("webp", 8, "a", 30.0, "classical"),
        point("jpeg", 8, "a", 28.0, "classical"),
        point("jpeg", 8, "b", 32.0, "classical"),
    ]
    rows = {row.method: row for row in summarise(codecs)}
    assert (rows["webp"].signals, rows["webp"].db) == (1, 30.0)
    assert (rows["jpeg"].signals, rows["jpeg"].db) == (2, 30.0)
    assert [row.method for row in comparable(list(rows.values()))] == ["jpeg"]


def test_the_schema_of_compressai() -> None:
    schema = compressai("c1", summarise(POINTS))["direct"]
    assert set(schema) == {"name", "description", "results"}
    assert schema["results"]["bpp"] == sorted(schema["results"]["bpp"])
    assert len(schema["results"]["psnr-rgb"]) == 4


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


def test_published_curves_rise_and_the_papers_statements_stand() -> None:
    for curve in CURVES:
        assert rising(curve.points) == list(curve.points), curve.name
    stated = {"SINR": 1.7, "INRIC": 2.0, "COIN": 3.7, "COIN++": 1.5, "COIN++ + SINR": 1.0}
    assert {name: bpp for name, bpp, _ in PAPER} == stated
    coin = next(c for c in CURVES if c.name.startswith("COIN (")).points
    assert rate_at(coin, 30.0) == pytest.approx(0.99, abs=0.01)
    inric = next(c for c in CURVES if c.name.startswith("INRIC, 8")).points
    assert rate_at(inric, 30.0) == pytest.approx(0.481, abs=0.1)


def test_labels_keep_apart_and_in_order() -> None:
    crowded = [1.0, 0.5, 0.51, 0.52, 3.0]
    placed = _apart(crowded, 1.1)
    assert all(after >= 1.1 * before * (1 - 1e-9) for before, after in pairwise(placed))
    assert placed[-1] == pytest.approx(3.0)  # what has room stays
    assert np.mean(np.log(placed[:3])) == pytest.approx(np.mean(np.log([0.5, 0.51, 0.52])))
    assert _apart([], 1.1) == []


def test_results_hold_every_point(tmp_path: Path) -> None:
    for p in POINTS:
        path = tmp_path / "points/c1" / str(p["signal"]) / str(p["configuration"]) / f"{p['method']}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(p))
    (tmp_path / "run.json").write_text(
        json.dumps({"experiments": {"c1": {"command": "sinr bench c1", "commit": "abc"}}})
    )
    written = report(tmp_path, tmp_path / "results")
    assert all(path.exists() for path in written)
    kept = json.loads((tmp_path / "results/c1.json").read_text())
    assert kept["commit"] == "abc"
    assert len(kept["points"]) == len(POINTS)
    assert kept["columns"][:3] == ["signal", "configuration", "method"]


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


def test_a_normal_sample_passes_and_others_do_not() -> None:
    rng = np.random.default_rng(1)
    normal = weights.describe(rng.normal(3.0, 0.1, 4096))
    assert normal["normal_p"] > weights.LEVEL
    assert normal["anderson"] < 1.035
    assert abs(normal["gap"]) < 0.02
    laplace = weights.describe(rng.laplace(0.0, 0.1, 4096))
    assert laplace["normal_p"] < 1e-6
    assert laplace["anderson"] > 5
    assert laplace["kurtosis"] > 2
    assert laplace["gap"] == pytest.approx(0.1044, abs=0.03)  # log2 sqrt(2 pi e) - log2(2 e / sqrt 2)
    uniform = weights.describe(rng.uniform(-1, 1, 4096))
    assert uniform["gap"] == pytest.approx(np.log2(np.sqrt(2 * np.pi * np.e)) - np.log2(np.sqrt(12)), abs=0.03)
    assert sum(uniform["histogram"]) == 4096
