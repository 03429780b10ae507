"""`sinr learn`, and the verbs that take its bases."""

import json

import pytest
from PIL import Image


def test_from_a_base(sinr, fails, tmp_path, photo, monkeypatch):
    pytest.importorskip("torch")
    from sinr_codec import learning

    monkeypatch.setattr(learning, "_CALIBRATION", 64)
    folder, base, file = tmp_path / "photos", tmp_path / "base.sinr", tmp_path / "a.sinr"
    folder.mkdir()
    for angle in (0, 90, 180):
        Image.open(photo).rotate(angle).save(folder / f"{angle}.png")
    shape = ["--width", "8", "--depth", "1", "--latents", "4", "--patch", "8x8"]
    budget = ["--steps", "4", "--tasks", "4", "--evaluate-every", "2", "--log", tmp_path / "log"]
    result = sinr("learn", folder, "-o", base, *shape, *budget, "--held-out", photo, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["signals"], report["steps"], report["bytes"]) == (3, 4, base.stat().st_size)
    assert [json.loads(line)["step"] for line in (tmp_path / "log").read_text().splitlines()] == [2, 4]
    result = sinr("encode", photo, "-o", file, "--method", "coinpp", "--base", base)
    assert result.exit_code == 3, result.output  # after four steps, the base is of little use
    assert "learn the base for longer" in result.stderr
    assert sinr("verify", file, "--against", photo, "--base", base).exit_code == 0
    assert report["digest"] in sinr("info", file).stdout
    assert "levels 63" in sinr("info", file, "--base", base).stdout
    assert report["digest"] in sinr("info", base).stdout
    assert sinr("decode", file, "-o", tmp_path / "b.png", "--scale", "2", "--base", base).exit_code == 0
    assert Image.open(tmp_path / "b.png").size == (48, 32)
    fails(sinr("decode", file, "-o", tmp_path / "c.png"), file, f"needs the base {report['digest']}")
    fails(sinr("encode", photo, "--method", "coinpp"), "expected a base")
    assert sinr("learn", folder, "-o", base, "--patch", "8x").exit_code == 2
