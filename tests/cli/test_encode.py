"""`sinr encode` and `sinr verify`: files, reports and refusals."""

import json
import os
import signal
import subprocess
import sys
from contextlib import nullcontext

import pytest
from PIL import Image

from sinr_codec import codec
from sinr_codec.cli import _common
from sinr_codec.progress import Lines


def test_encode_and_verify(sinr, names, tmp_path, photo):
    pytest.importorskip("torch")
    untouched = photo.read_bytes()
    out = tmp_path / "photo.sinr"
    result = sinr("encode", photo, "--preset", "fast", "--width", "8", "--depth", "1")
    assert result.exit_code == 0, result.output
    assert f"{out.stat().st_size:,} bytes" in result.stdout
    assert "fast, image, sine 1x8" in result.stdout
    told = result.stderr.splitlines()
    assert told[:2] == [
        "read ...",
        f"{photo}: picture 24 x 16 pixels, L -> about 225 bytes (4.69 bits a pixel), sine 1x8, fast, 500 steps",
    ]
    assert "fit ..." in told
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
    assert process.stderr.readline().startswith("a.png: picture 256 x 256 pixels, L -> about ")
    assert process.stderr.readline() == "load PyTorch ...\n"
    assert process.stderr.readline() == "fit ...\n"
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate()
    assert process.returncode == 130
    assert errors.startswith("stopping, and writing what is there; Ctrl-C again gives up\n")
    assert errors.endswith("sinr: stopped by Ctrl-C; a.sinr holds what was there\n")
    assert "the fit was interrupted after" in output
    assert codec.verify(tmp_path / "a.sinr", tmp_path / "a.png").ok


class Stopping(Lines):
    """Presses Ctrl-C as soon as a fit has made some steps."""

    def update(self, done, text=""):
        if self._label == "fit" and done >= 40:
            raise KeyboardInterrupt


def test_exit_codes(sinr, fails, names, tmp_path, photo, monkeypatch):
    pytest.importorskip("torch")
    out, options = tmp_path / "out.sinr", ["--preset", "fast", "--width", "8", "--depth", "1"]
    noise = tmp_path / "noise.png"
    Image.effect_noise((24, 16), 90).save(noise)
    cone = tmp_path / "cone.png"
    Image.radial_gradient("L").resize((24, 16)).save(cone)
    few = [*options, "--seconds", "1e-6"]
    fails(sinr("encode", noise, "-o", out, *few, "--strict"), f"{out}: not written: hardly better")
    assert not out.exists()
    result = sinr("encode", noise, "-o", out, *few)
    assert result.exit_code == 3
    assert result.stderr.splitlines()[-1].startswith("sinr: warning: hardly better than the signal's mean: ")
    assert out.exists()
    out.unlink()

    fails(sinr("encode", cone, "-o", out, *options, "--psnr", "99", "--strict"), "the target of 99 dB was missed")
    assert not out.exists()
    with monkeypatch.context() as patch:
        patch.setattr(_common, "progress", lambda quiet: nullcontext(Stopping()))
        result = sinr("encode", cone, "-o", out, *options, "--psnr", "99")
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == f"sinr: stopped by Ctrl-C; {out} holds what was there"
    assert codec.verify(out, cone).ok


@pytest.mark.parametrize(("name", "noun"), [("out.jpg", "a picture"), ("a.WAV", "a sound"), ("a.pth", "a network")])
def test_no_sinr_file_gets_the_name_of_another_format(sinr, fails, names, tmp_path, photo, name, noun):
    fails(sinr("encode", photo, "-o", tmp_path / name), f"{name}: is the name of {noun}, but this writes a .sinr file")
    assert names(tmp_path) == ["photo.png"]


def test_methods_are_listed(sinr):
    lines = sinr("methods").stdout.splitlines()
    assert lines[0].split()[0] == "coin"
    assert json.loads(sinr("methods", "--json").stdout).keys() == {line.split()[0] for line in lines}


def test_a_picture_by_another_method(sinr, fails, photo, tmp_path):
    out = tmp_path / "coin.sinr"
    options = ["--preset", "fast", "--width", "8", "--depth", "1", "--json", "--quiet"]
    report = json.loads(sinr("encode", photo, "-o", out, "--method", "coin", *options).stdout)
    assert report["bytes"] == out.stat().st_size
    assert "sine (omega0 30)" in sinr("info", out).stdout
    assert sinr("verify", out, "--against", photo).exit_code == 0
    fails(sinr("encode", photo, "-o", tmp_path / "x.sinr", "--method", "jpeg"), "coin", "inric")


def test_another_source_of_the_same_name_is_not_replaced(sinr, fails, tmp_path, names):
    tiny = ("--preset", "fast", "--width", 4, "--depth", 1, "--seconds", 0.01, "-q")
    picture = Image.linear_gradient("L").resize((12, 8))
    for name in ("a.png", "a.jpg"):
        picture.save(tmp_path / name)
    for name in ("IMG.001", "IMG.002"):
        picture.save(tmp_path / name, "PNG")
    (tmp_path / "a.txt").write_text("notes")
    assert sinr("encode", tmp_path / "a.png", *tiny).exit_code in (0, 3)
    fails(
        sinr("encode", tmp_path / "a.jpg", *tiny), "a.sinr: exists already, and may be that of a.png; name the output"
    )
    assert sinr("encode", tmp_path / "a.jpg", *tiny, "-o", tmp_path / "a.sinr").exit_code in (0, 3)
    assert sinr("encode", tmp_path / "IMG.001", *tiny).exit_code in (0, 3)
    fails(sinr("encode", tmp_path / "IMG.002", *tiny), "IMG.sinr: exists already, and may be that of IMG.001")
    picture.save(tmp_path / "b.png")
    for _ in range(2):
        assert sinr("encode", tmp_path / "b.png", *tiny).exit_code in (0, 3)
