"""The door for files: one line for whatever goes wrong, and nothing swallowed that is not about the file."""

import logging
import struct
import threading
import warnings

import numpy as np
import pytest
from PIL import Image

from sinr_codec.errors import InputError, MalformedError, MissingExtraError
from sinr_codec.signals.sources import errors_raised, existing, library, picture, reason, translated


@pytest.mark.parametrize(
    ("raised", "kind", "message"),
    [
        (struct.error("unpack requires\n  4 bytes"), InputError, "a.bin: damaged (unpack requires 4 bytes)"),
        (EOFError(), InputError, "a.bin: damaged (EOFError)"),
        (OSError(5, "Input/output error", "a.bin"), InputError, "a.bin: damaged (Input/output error)"),
        (PermissionError(13, "Permission denied"), InputError, "a.bin: permission denied"),
        (InputError("expected three axes"), InputError, "a.bin: expected three axes"),
        (InputError("a.bin: expected three axes"), InputError, "a.bin: expected three axes"),
        (MissingExtraError("needs av"), MissingExtraError, "a.bin: needs av"),
    ],
)
def test_errors_become_one_line_with_the_name(raised, kind, message):
    with pytest.raises(kind) as caught, translated("a.bin", "damaged ({reason})"):
        raise raised
    assert str(caught.value) == message


@pytest.mark.parametrize("raised", [MemoryError(), MalformedError("x"), KeyboardInterrupt(), KeyError("mine")])
def test_errors_that_are_not_about_the_file_pass(raised):
    with pytest.raises(type(raised)) as caught, translated("a.bin", "damaged", untouched=(KeyError,)):
        raise raised
    assert caught.value is raised


def test_another_error_may_be_asked_for():
    with (
        pytest.raises(MalformedError, match=r"^header: none: no number$"),
        translated("header", "none: {reason}", MalformedError),
    ):
        raise ValueError("no number")


def test_warnings_of_libraries_are_dropped_and_others_stay():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with translated("a.bin", "damaged"):
            warnings.warn("odd metadata", stacklevel=1)
        warnings.warn("of ours", stacklevel=1)
    assert [str(each.message) for each in caught] == ["of ours"]


def test_a_reason_is_short():
    assert len(reason(ValueError("word " * 1000))) == 200


def test_what_is_there(tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "full").write_bytes(b"1")
    assert existing(str(tmp_path / "full"), "a sound") == tmp_path / "full"
    assert existing(tmp_path, "a scene") == tmp_path
    for path, folders, message in (
        ("none", True, "none: no such file"),
        ("empty", True, "expected a sound, found an empty file"),
        ("", False, "expected a sound, found a directory"),
    ):
        with pytest.raises(InputError, match=message):
            existing(tmp_path / path, "a sound", folders=folders)


def test_libraries():
    assert library("json", "audio", "sounds") is __import__("json")
    with pytest.raises(MissingExtraError, match=r"^sounds: needs nowhere: pip install 'sinr-codec\[audio\]'$"):
        library("nowhere.at.all", "audio", "sounds")
    with pytest.raises(MissingExtraError, match=r"^a\.mp4: needs PyNone: "):
        library("nowhere", "video", "a.mp4", "PyNone")


def test_pictures(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 60), np.uint8)).save(tmp_path / "a.png")
    with picture(tmp_path / "a.png") as opened:
        assert opened.size == (60, 50)
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:200])
    (tmp_path / "text.png").write_text("no picture")
    for name, message in (("cut", "damaged picture: "), ("text", "expected a picture that Pillow opens")):
        with pytest.raises(InputError, match=rf"{name}\.png: {message}"), picture(tmp_path / f"{name}.png"):
            pass


def test_a_picture_of_too_many_pixels(tmp_path, monkeypatch):
    Image.new("L", (40, 40)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 400)
    with pytest.raises(InputError, match=r"a\.png: refused as a decompression bomb"), picture(tmp_path / "a.png"):
        pass


def test_what_a_library_logs_is_raised_in_its_thread_alone():
    logger = logging.getLogger("a.library")
    with errors_raised("a.library"):
        logger.warning("odd")
        other = threading.Thread(target=logger.error, args=("elsewhere",))
        other.start()
        other.join()
        with pytest.raises(InputError, match=r"damaged \(a page is missing\)"):
            logger.error("a page is %s", "missing")
    logger.error("after it")
