"""`sinr bench`: a run, its report, and what is refused."""

import json
from pathlib import Path

import pytest
from PIL import Image


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in (1, 2):
        Image.linear_gradient("L").rotate(30 * number).resize((40, 28)).convert("RGB").save(
            folder / f"kodim0{number}.png"
        )
    return folder


def test_an_experiment_and_its_report(sinr, fails, names, pictures, tmp_path):
    out, results = tmp_path / "out", tmp_path / "results"
    options = ["--data", pictures, "--out", out, "--methods", "coin,minmax", "--configurations", "2x32", "--steps", "5"]
    result = sinr("bench", "c1", *options, "--quiet")
    assert result.exit_code == 0, result.output
    assert "16-bit min-max + Brotli" in result.stdout
    assert str(out / "report/c1.md") in result.stdout
    again = sinr("bench", "report", "--out", out, "--results", results, "--json", "--quiet")
    assert all(Path(path).exists() for path in json.loads(again.stdout)["files"])
    assert names(results) == ["c1.json", "c1.png"]
    assert json.loads((results / "c1.json").read_text())["settings"]["steps"] == 5
    fails(sinr("bench", "c1", *options), out, "--resume")
    assert sinr("bench", "c1", *options, "--resume", "--quiet").exit_code == 0


def test_what_bench_refuses(sinr, fails, pictures, tmp_path):
    out = ["--out", tmp_path / "out"]
    fails(sinr("bench", "c9", *out, "--data", pictures), "c1")
    fails(sinr("bench", "c1", *out, "--data", tmp_path / "nothing"), tmp_path / "nothing", "--data")
    fails(sinr("bench", "c1", *out, "--data", pictures, "--images", "7-9"), pictures)
    fails(sinr("bench", "c1", *out, "--data", pictures, "--images", "x"), "1-4")
    fails(sinr("bench", "c1", *out, "--data", pictures, "--scale", "2"), "1/4")
    fails(sinr("bench", "c1", *out, "--data", pictures, "--methods", "jpeg9"), "jpeg9")
    fails(sinr("bench", "report", *out), tmp_path / "out")
    fails(sinr("bench", "c1", "--out", pictures / "kodim01.png", "--data", pictures), pictures / "kodim01.png")
    assert not (tmp_path / "out").exists()
