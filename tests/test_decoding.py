"""A decoder: what it shows of itself, and that it goes to other processes."""

import base64
import html
import io
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sinr_codec
from sinr_codec import decoding
from sinr_codec.container import read, write
from sinr_codec.errors import InputError, MissingExtraError, SinrError, TruncatedError

CONFORMANCE = Path(__file__).parent / "conformance"
FILES = [CONFORMANCE / "blocks.sinr", *sorted((CONFORMANCE / "signals").glob("*.sinr"))]


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_one_line_says_what_it_is(file):
    decoder = decoding.open(file)
    line = repr(decoder)
    assert len(line) < 120
    assert f"{file.stat().st_size:,} bytes" in line
    assert f"{decoder.header.quality / 100:.2f} dB" in line


def test_a_notebook_shows_a_picture():
    decoder = decoding.open(CONFORMANCE / "blocks.sinr")
    assert repr(decoder) == "<Decoder of a picture 9 x 13 x 3 RGB, 492 bytes, 32.45 dB>"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(decoder._repr_png_()))), decoder.render())


def test_what_takes_long_is_shown_smaller(monkeypatch):
    decoder = decoding.open(CONFORMANCE / "blocks.sinr")
    monkeypatch.setattr(decoding, "_SHOWN", decoder.network.work * decoder.spec.samples // 4)
    assert Image.open(io.BytesIO(decoder._repr_png_())).size == (6, 4)
    monkeypatch.setattr(decoding, "_SHOWN", 1)
    assert decoding.open(CONFORMANCE / "signals/audio.sinr")._repr_png_() is None


@pytest.mark.parametrize(
    "name", ["blocks", "progressive", "signals/audio", "signals/dataset", "pyramids/rgb", "exact/wire"]
)
def test_a_notebook_has_the_viewer_with_the_same_file(name, monkeypatch):
    path = CONFORMANCE / f"{name}.sinr"
    decoder = decoding.open(path)
    page = html.unescape(re.search('srcdoc="([^"]*)"', decoder._repr_html_())[1])
    data = re.search(f'id="sinr-file" data-name="{path.name}">([^<]*)<', page)[1]
    assert base64.b64decode(data) == path.read_bytes()
    monkeypatch.setattr(decoding, "_FRAMED", 100)
    assert decoder._repr_html_() is None


def test_a_file_whose_end_is_missing_has_no_viewer():
    blob = (CONFORMANCE / "progressive.sinr").read_bytes()[:-3]
    assert decoding.open(blob, progressive=True)._repr_html_() is None


@pytest.mark.parametrize("name", ["blocks", "signals/audio", "signals/dataset", "signals/shape"])
def test_it_goes_to_other_processes(name):
    decoder = decoding.open(CONFORMANCE / f"{name}.sinr")
    again = pickle.loads(pickle.dumps(decoder))
    coords = np.random.default_rng(0).uniform(-1, 1, (9, decoder.network.in_features))
    np.testing.assert_array_equal(again(coords), decoder(coords))
    assert again.spec.to_header() == decoder.spec.to_header()
    assert repr(again) == repr(decoder)


def test_a_beginning_of_an_ordinary_file():
    data = (CONFORMANCE / "blocks.sinr").read_bytes()
    with pytest.raises(TruncatedError, match="was not written with progressive"):
        decoding.open(data[:-40], progressive=True)
    header, sections = read(data)
    assert write(header, sections) == data


def test_errors_are_those_of_python_too(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file") as caught:
        sinr_codec.open(tmp_path / "none.sinr")
    assert isinstance(caught.value, InputError)
    with pytest.raises(FileNotFoundError, match="no such file"):
        sinr_codec.encode(tmp_path / "none.png")
    with pytest.raises(ValueError, match="scale"):
        sinr_codec.decode(CONFORMANCE / "blocks.sinr", scale=-1)
    assert issubclass(MissingExtraError, ImportError)
    assert issubclass(MissingExtraError, SinrError)


def test_names_of_the_package():
    names = dir(sinr_codec)
    assert {"encode", "decode", "open", "__version__"} <= set(names)
    assert not {"Any", "TYPE_CHECKING", "Final"} & set(names)
