"""One input of a batch: its file, or one line that says why there is none."""

import hashlib
import os

import pytest
from PIL import Image

from sinr_codec import __version__, codec
from sinr_codec.batch.work import Encoded, Failed, encode_input, failure

QUICK = {"preset": "fast", "width": 8, "depth": 1, "seconds": 1e-6}


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.linear_gradient("L").resize((24, 16)).save(path)
    return path


def test_an_input_becomes_a_file_with_its_report(photo):
    pytest.importorskip("torch")
    made = encode_input("s3://bucket/photo.png", os.fspath(photo), QUICK, __version__)
    assert isinstance(made, Encoded)
    data = photo.read_bytes()
    assert (made.input_sha256, made.input_bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    check = codec.verify(made.blob, photo)
    assert check.ok
    assert check.measured == pytest.approx(made.quality.db, abs=1e-6)
    assert (made.kind, made.bpp) == ("image", 8 * len(made.blob) / (16 * 24))


def test_a_file_that_nobody_wants_is_a_failure(tmp_path):
    pytest.importorskip("torch")
    path = tmp_path / "noise.png"
    Image.effect_noise((24, 16), 90).save(path)
    made = encode_input("noise.png", os.fspath(path), QUICK, __version__)
    assert isinstance(made, Failed)
    assert made.error.startswith("noise.png: not written: hardly better than the signal's mean: ")


def test_what_cannot_be_read_is_one_line_under_its_address(tmp_path):
    (tmp_path / "bad.png").write_text("no picture")
    address = "s3://bucket/bad.png"
    made = encode_input(address, os.fspath(tmp_path / "bad.png"), QUICK, __version__)
    assert made == Failed(f"{address}: expected a picture that Pillow opens")


def test_a_worker_of_another_version_does_nothing(photo):
    made = encode_input("photo.png", os.fspath(photo), QUICK, "999")
    assert made == Failed(f"photo.png: a worker has sinr-codec {__version__}; install 999 there, as here")


def test_errors_of_libraries_are_one_line_too():
    assert failure(ZeroDivisionError("no\nway"), "a.png").error == "a.png: ZeroDivisionError: no way"
    assert failure(OSError("/tmp/x/a.png is cut"), "s3://a.png", "/tmp/x/a.png").error.count("s3://a.png") == 1
