"""`sinr encode` and `sinr verify`: files, reports and refusals."""

import json
import os
import signal
import subprocess
import sys

import pytest
from PIL import Image

from sinr_codec import codec


def test_encode_and_verify(sinr, names, tmp_path, photo):
    pytest.importorskip("torch")
    untouched = photo.read_bytes()
    out = tmp_path / "photo.sinr"
    result = sinr("encode", photo, "--preset", "fast", "--width", "8", "--depth", "1")
    assert result.exit_code == 0, result.output
    assert f"{out.stat().st_size:,} bytes" in result.stdout
    assert "fast, image, sine 1x8" in result.stdout
    assert "fit ..." in result.stderr
    assert photo.read_bytes() == untouched
    assert names(tmp_path) == ["photo.png", "photo.sinr"]
    assert "ok" in sinr("verify", out, "--against", photo).stdout
    other = tmp_path / "other.png"
    Image.effect_noise((24, 16), 90).save(other)
    result = sinr("verify", out, "--against", other)
    assert result.exit_code == 1
    assert "FAILED" in result.stdout
    assert json.loads(sinr("verify", out, "--against", other, "--json").stdout)["ok"] is False


def test_encode_json_and_quiet(sinr, tmp_path, photo):
    pytest.importorskip("torch")
    arguments = ["--width", "8", "--depth", "1", "--size", "5000", "--json", "-q"]
    result = sinr("encode", photo, "--preset", "fast", *arguments)
    report = json.loads(result.stdout)
    assert report["target"] == "5,000 bytes"
    assert report["target_met"] is True
    assert report["path"] == str(tmp_path / "photo.sinr")
    assert result.stderr == ""


@pytest.mark.parametrize("damage", ["text", "cut", "empty"])
def test_encode_refuses_what_is_no_picture(sinr, fails, names, tmp_path, photo, damage):
    pictures = {"text": b"hello", "cut": photo.read_bytes()[:60], "empty": b""}
    bad = tmp_path / "bad.png"
    bad.write_bytes(pictures[damage])
    fails(sinr("encode", bad), "bad.png")
    assert names(tmp_path) == ["bad.png", "photo.png"]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals differ")
def test_ctrl_c_keeps_what_was_fitted(tmp_path):
    pytest.importorskip("torch")
    Image.linear_gradient("L").save(tmp_path / "a.png")
    code = "from sinr_codec.cli.main import main; main()"
    command = [sys.executable, "-c", code, "encode", "a.png", "--seconds", "600", "--width", "16"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    without_compiler = os.environ | {"PATH": ""}  # which takes longer than the rest
    process = subprocess.Popen(command, cwd=tmp_path, env=without_compiler, **pipes)
    assert process.stderr.readline() == "read ...\n"
    assert process.stderr.readline() == "load PyTorch ...\n"
    assert process.stderr.readline() == "fit ...\n"
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate()
    assert process.returncode == 0
    assert "interrupted" in output
    assert codec.verify(tmp_path / "a.sinr", tmp_path / "a.png").ok


def test_a_picture_by_another_method(sinr, fails, photo, tmp_path):
    out = tmp_path / "coin.sinr"
    options = ["--preset", "fast", "--width", "8", "--depth", "1", "--json", "--quiet"]
    report = json.loads(sinr("encode", photo, "-o", out, "--method", "coin", *options).stdout)
    assert report["bytes"] == out.stat().st_size
    assert "sine (omega0 30)" in sinr("info", out).stdout
    assert sinr("verify", out, "--against", photo).exit_code == 0
    fails(sinr("encode", photo, "-o", tmp_path / "x.sinr", "--method", "jpeg"), "coin", "inric")
