import functools
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

import sinr_codec.integrations.pillow  # noqa: F401
from sinr_codec import codec
from sinr_codec.coding.tensor import Raw, encode_tensor
from sinr_codec.container import FIELD, STATE, Header, TensorEntry, write
from sinr_codec.errors import QualityError
from sinr_codec.fields import MLP
from sinr_codec.signals.image import ImageSignal, ImageSpec


def sinr_file(spec, seed=0):
    """A file of random waves that is not fitted to anything."""
    field = MLP(2, spec.channels, 12, 1)
    params = field.init(np.random.default_rng(seed))
    section = b"".join(encode_tensor(array, Raw()) for array in params.values())
    return write(Header(FIELD, field.to_header(), spec.to_header(), quality=3012), [section])


RGB = ImageSpec(9, 14, 3, "uint8", "RGB")


def test_open_knows_the_picture_before_its_pixels(monkeypatch):
    data = sinr_file(RGB)
    rendered = []
    render = ImageSpec.render
    monkeypatch.setattr(ImageSpec, "render", lambda *a, **k: rendered.append(1) or render(*a, **k))
    picture = Image.open(io.BytesIO(data))
    assert (picture.format, picture.mode, picture.size) == ("SINR", "RGB", (14, 9))
    assert picture.info["psnr"] == 30.12
    assert picture.get_format_mimetype() == "image/x-sinr"
    assert not rendered
    np.testing.assert_array_equal(np.asarray(picture), codec.decode(data))
    picture.load()
    assert len(rendered) == 2  # ours and codec.decode's


def test_a_picture_in_blocks():
    path = Path(__file__).parents[1] / "conformance/blocks.sinr"
    with Image.open(path) as picture:
        np.testing.assert_array_equal(np.asarray(picture), codec.decode(path))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P", "I;16", "I", "F", "CMYK", "YCbCr"])
def test_modes(mode):
    spec = ImageSignal.load(Image.new("I", (5, 4)) if mode == "I;16" else Image.new(mode, (5, 4))).spec
    if mode == "I;16":
        spec = ImageSpec(4, 5, 1, "uint16", mode, 0, 65535)
    picture = Image.open(io.BytesIO(sinr_file(spec)))
    decoded = "RGB" if mode == "P" else mode
    assert picture.mode == decoded
    picture.load()
    assert picture.mode == decoded
    assert picture.copy().size == (5, 4)


def test_operations_load_by_themselves(tmp_path):
    path = tmp_path / "a.sinr"
    path.write_bytes(sinr_file(RGB))
    with Image.open(path) as picture:
        picture.resize((4, 4)).save(tmp_path / "a.png")
        assert picture.getpixel((3, 3)) == tuple(codec.decode(path)[3, 3])


def test_a_foreign_file_is_left_to_the_others():
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(b"neither this nor that" * 9))
    other = io.BytesIO()
    Image.new("L", (3, 3)).save(other, "PNG")
    assert Image.open(other).format == "PNG"


@pytest.mark.parametrize("keep", [9, 20, -1])
def test_a_truncated_file(keep):
    with pytest.raises(OSError, match=r"damaged \.sinr"):
        Image.open(io.BytesIO(sinr_file(RGB)[:keep]))


def test_a_flipped_bit():
    data = bytearray(sinr_file(RGB))
    data[-20] ^= 1
    with pytest.raises(OSError, match="checksum"):
        Image.open(io.BytesIO(bytes(data)))


def test_weights_that_do_not_decode():
    header = Header(FIELD, MLP(2, 3, 12, 1).to_header(), RGB.to_header())
    picture = Image.open(io.BytesIO(write(header, [b"rubbish"])))
    with pytest.raises(OSError, match=r"damaged \.sinr"):
        picture.load()


def test_a_network_is_no_picture():
    array = np.zeros(3, np.float32)
    data = write(Header(STATE, tensors=[TensorEntry("a", array.shape, array.dtype)]), [encode_tensor(array, Raw())])
    with pytest.raises(OSError, match="network"):
        Image.open(io.BytesIO(data))


def test_an_array_without_a_mode():
    with pytest.raises(OSError, match="no mode"):
        Image.open(io.BytesIO(sinr_file(ImageSpec(4, 5, 3, "uint16", "array", 0, 65535))))


class Encoded:
    """Stands for the report of an encoding, and keeps what was asked for."""

    def __init__(self, monkeypatch, collapsed=False, notes=()):
        self.blob, self.collapsed, self.notes, self.seen = sinr_file(RGB), collapsed, notes, {}

        @functools.wraps(codec.encode)
        def encode(source, **options):
            self.seen = options | {"size": source.size, "icc_profile": source.info.get("icc_profile")}
            return self

        monkeypatch.setattr(codec, "encode", encode)


def test_save_hands_its_options_on(tmp_path, monkeypatch):
    encoded = Encoded(monkeypatch)
    source = Image.new("RGB", (14, 9))
    with pytest.warns(UserWarning, match="quality: not an option of .sinr files"):
        source.save(tmp_path / "a.sinr", preset="fast", bpp=0.5, block=8, icc_profile=b"profile", quality=80)
    assert encoded.seen == {"preset": "fast", "bpp": 0.5, "block": 8, "size": (14, 9), "icc_profile": b"profile"}
    assert "icc_profile" not in source.info
    with Image.open(tmp_path / "a.sinr") as picture:
        assert picture.size == (14, 9)


def test_remarks_on_a_file_are_warnings(tmp_path, monkeypatch):
    Encoded(monkeypatch, notes=("only the first of 3 frames is stored",))
    with pytest.warns(UserWarning, match="only the first of 3 frames"):
        Image.new("RGB", (14, 9)).save(tmp_path / "a.sinr")


def test_a_collapsed_fit_leaves_no_file(tmp_path, monkeypatch):
    Encoded(monkeypatch, collapsed=True, notes=("the fit is no better than the signal's mean",))
    with pytest.raises(QualityError, match="no better than"):
        Image.new("RGB", (14, 9)).save(tmp_path / "a.sinr")
    assert not list(tmp_path.iterdir())


def test_a_thumbnail_computes_only_what_it_needs(tmp_path, monkeypatch):
    spec = ImageSpec(900, 1400, 3, "uint8", "RGB")
    (tmp_path / "a.sinr").write_bytes(sinr_file(spec))
    sizes = []
    render = ImageSpec.render

    @functools.wraps(render)
    def counted(*args, **options):
        sizes.append(options["size"])
        return render(*args, **options)

    monkeypatch.setattr(ImageSpec, "render", counted)
    with Image.open(tmp_path / "a.sinr") as picture:
        picture.thumbnail((28, 28))
    assert picture.size == (28, 18)
    assert sizes == [(56, 88)]
    assert picture.draft(None, (10, 10)) is None  # the pixels are there
    with Image.open(tmp_path / "a.sinr") as picture:
        assert picture.draft(None, (2000, 10)) is None
        assert picture.draft("L", (140, 10)) == ("RGB", (0, 0, 140, 90))
        assert np.asarray(picture).shape == (90, 140, 3)


def test_files_are_closed_when_the_pixels_are_there(tmp_path):
    (tmp_path / "a.sinr").write_bytes(sinr_file(RGB))
    pictures = [Image.open(tmp_path / "a.sinr") for _ in range(3)]
    files = [picture.fp for picture in pictures]
    for picture in pictures:
        picture.load()
    assert all(file.closed for file in files)
    stream = io.BytesIO(sinr_file(RGB))
    Image.open(stream).load()
    assert not stream.closed  # it belongs to the caller


def test_save_for_real(tmp_path):
    pytest.importorskip("torch")
    source = Image.linear_gradient("L").resize((24, 16))
    source.save(tmp_path / "a.sinr", preset="fast", width=8)
    with Image.open(tmp_path / "a.sinr") as picture:
        assert (picture.mode, picture.size) == ("L", (24, 16))
        assert ImageSignal.load(source).quality(lambda: np.asarray(picture)).db >= picture.info["psnr"]
