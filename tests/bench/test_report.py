"""What a report says of points that are made up."""

import json
from pathlib import Path

import numpy as np
import pytest

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
