"""The rate-distortion curves of benchmarks/rd.py, which is imported by its path."""

import json
import shutil
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sinr_codec.codec import decode

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def program(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return import_module("rd")


def in_this_process(tasks, jobs):
    assert jobs == 1
    return ((task, task.measure()) for task in tasks)


def test_points_are_files_that_are_made_once(program, tmp_path, monkeypatch, capsys):
    pytest.importorskip("imagecodecs")
    pytest.importorskip("bjontegaard")
    pytest.importorskip("matplotlib")
    y, x = np.mgrid[:24, :32]
    picture = np.stack([127 + 90 * np.sin(x / 5 + y / 9 + c) for c in range(3)], -1).astype(np.uint8)
    (data := tmp_path / "data").mkdir()
    Image.fromarray(picture).save(data / "waves.png")
    out, report, plot = tmp_path / "points", tmp_path / "rd.json", tmp_path / "rd.png"
    words = f"rd.py --data {data} --out {out} --presets fast --weights 0.01,0.0001 --steps 20"
    monkeypatch.setattr(program, "measured", in_this_process)
    monkeypatch.setattr("sys.argv", [*words.split(), "--json", str(report), "--plot", str(plot)])
    program.main()
    first = json.loads(report.read_text())["results"]
    for point in first["points"]:
        file = out / "fast" / f"waves-{point['weight']:g}.sinr"
        assert point["bytes"] == file.stat().st_size == point["bpp"] * picture.size / 3 / 8
        error = np.mean((np.asarray(decode(file)).astype(float) - picture) ** 2)
        assert point["db"] == pytest.approx(20 * np.log10(255) - 10 * np.log10(error))
        assert point["encode_seconds"].keys() == {"cpu", "wall"}
    dear, cheap = first["points"]
    assert dear["bytes"] < cheap["bytes"]
    assert dear["db"] < cheap["db"]
    for points in first["usual"][0]["curves"].values():
        assert all(0 < point["bpp"] <= point["rate"] for point in points)
    assert "| Cool-Chic 5.0.1 (published) |" in capsys.readouterr().out
    assert plot.stat().st_size > 1000

    monkeypatch.setattr(program, "reach", None)
    monkeypatch.setattr(program, "picture_codecs", None)
    program.main()
    assert json.loads(report.read_text())["results"] == first
    shutil.rmtree(out)
    program.main()  # from the report
    assert json.loads(report.read_text())["results"] == first
    monkeypatch.setattr("sys.argv", [*words.split()[:-1], "21"])
    with pytest.raises(TypeError, match="not callable"):
        program.main()  # other settings are other points


def test_figures_of_curves(program):
    pytest.importorskip("bjontegaard")
    usual_points = [(0.1, 26.0), (0.2, 29.0), (0.4, 32.0), (0.8, 35.0)]
    rows = [
        {
            "picture": name,
            "curves": {"WebP": [{"rate": bpp, "bpp": factor * bpp, "db": db} for bpp, db in usual_points]},
        }
        for name, factor in (("a", 1), ("b", 2))
    ]
    rows[1]["curves"]["WebP"].pop(0)
    seconds = {"encode_seconds": {"cpu": 2.0, "wall": 1.0}, "decode_seconds": {"cpu": 0.2, "wall": 0.1}}
    ours = [
        {"picture": name, "preset": "fast", "bpp": factor * bpp, "db": db, **seconds}
        for name, factor in (("a", 0.5), ("b", 2.2))
        for bpp, db in usual_points
    ]
    found = program.figures(ours, rows)
    mine, webp = found["fast"], found["WebP"]
    at = 0.2 * 2 ** (1 / 3)  # 30 dB, between 29 and 32
    assert mine["at_30_db"]["bpp"] == pytest.approx({"a": 0.5 * at, "b": 2.2 * at})
    assert mine["at_30_db"]["mean_bpp"] == pytest.approx(1.35 * at)
    assert mine["at_30_db"]["mean_curve_bpp"] == pytest.approx(1.35 * at)
    assert np.allclose(webp["mean_curve"], [(1.5 * bpp, db) for bpp, db in usual_points[1:]])
    rival = mine["against"]["WebP"]
    assert rival["bd_rate"] == pytest.approx({"a": -50, "b": 10}, abs=0.1)
    assert rival["mean_bd_rate"] == pytest.approx(-20, abs=0.1)
    assert (rival["pictures"], rival["behind"]) == (2, 1)
    rows[0]["curves"]["WebP"].insert(0, {"rate": 0.04, "bpp": 0.09, "db": 20.0})  # too low for BD-rates
    assert program.figures(ours, rows)["fast"]["against"]["WebP"] == rival
    assert program.figures(ours, rows)["WebP"]["mean_curve"] == webp["mean_curve"]
    assert mine["against"]["AVIF"]["pictures"] == 0
    assert mine["encode_seconds"]["cpu"] == 2.0
    assert "| fast | 2 | 0.340 | 0.340 | -20.0 | - | 1 of 2 |" in program.in_words(found)
