"""`sinr batch` from outside: what it prints, and how it ends."""

import json

import pytest
from PIL import Image
from typer.testing import CliRunner

from sinr_codec.cli.main import app

pytest.importorskip("torch")
QUICK = ["--preset", "fast", "--width", "8", "--depth", "1", "--seconds", "1e-6"]


def sinr(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_batch_and_the_same_again(tmp_path):
    Image.linear_gradient("L").resize((24, 16)).save(tmp_path / "a.png")
    (tmp_path / "bad.png").write_text("hello")
    out = tmp_path / "out"
    result = sinr("batch", f"{tmp_path}/*.png", "--out", out, *QUICK, "--psnr", "90")
    assert result.exit_code == 1
    *progress, last = result.stderr.splitlines()
    assert progress[:2] == ["look for what is done ...", "encode ..."]
    assert last == f"sinr: error: {tmp_path}/bad.png: expected a picture that Pillow opens"
    size = (out / "a.sinr").stat().st_size
    assert "done      1, 0 skipped, 1 failed" in result.stdout
    assert f"{size:,} bytes of {(tmp_path / 'a.png').stat().st_size:,}" in result.stdout
    assert "1 missed the target" in result.stdout

    (tmp_path / "bad.png").unlink()
    result = sinr("batch", f"{tmp_path}/*.png", "--out", out, *QUICK, "--psnr", "90", "--json", "--quiet")
    assert result.exit_code == 3
    assert result.stderr == ""
    report = json.loads(result.stdout)
    assert (report["out"], report["done"], report["skipped"], report["failed"]) == (str(out), 0, 1, 0)
    assert report["bytes_out"] == report["entries"][0]["output_bytes"] == size


def test_errors_are_one_line(tmp_path):
    (tmp_path / "file").touch()
    result = sinr("batch", tmp_path / "a.png", "--out", tmp_path / "file")
    assert result.exit_code == 1
    assert result.stderr == f"sinr: error: {tmp_path}/file: is a file; expected a folder for the outputs\n"
    result = sinr("batch", tmp_path / "*.png", "--out", tmp_path / "out", "-q")
    assert result.exit_code == 1
    assert result.stderr == f"sinr: error: {tmp_path}/*.png: no such file\n"
