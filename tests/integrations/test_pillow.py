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


def test_save_hands_its_options_on(tmp_path, monkeypatch):
    seen = {}

    @functools.wraps(codec.encode)
    def encode(source, **options):
        seen.update(options, size=source.size)
        return type("Report", (), {"blob": sinr_file(RGB)})

    monkeypatch.setattr(codec, "encode", encode)
    Image.new("RGB", (14, 9)).save(tmp_path / "a.sinr", preset="fast", bpp=0.5, quality=80)
    assert seen == {"preset": "fast", "bpp": 0.5, "size": (14, 9)}
    with Image.open(tmp_path / "a.sinr") as picture:
        assert picture.size == (14, 9)


def test_save_for_real(tmp_path):
    pytest.importorskip("torch")
    source = Image.linear_gradient("L").resize((24, 16))
    source.save(tmp_path / "a.sinr", preset="fast", width=8)
    with Image.open(tmp_path / "a.sinr") as picture:
        assert (picture.mode, picture.size) == ("L", (24, 16))
        assert ImageSignal.load(source).quality(lambda: np.asarray(picture)).db >= picture.info["psnr"]
