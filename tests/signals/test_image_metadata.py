"""Metadata of pictures: what Pillow reads in a source, and in what is decoded."""

import io
import struct

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, PngImagePlugin, TiffImagePlugin

import sinr_codec.integrations.pillow  # noqa: F401
from sinr_codec import decoding, inspecting
from sinr_codec.coding.tensor import Raw, encode_tensor
from sinr_codec.container import FIELD, Header, write
from sinr_codec.encoding.files import overhead
from sinr_codec.encoding.job import job_for
from sinr_codec.encoding.request import Request
from sinr_codec.errors import FormatError
from sinr_codec.fields import MLP
from sinr_codec.signals import exif
from sinr_codec.signals.image import ImageSignal
from sinr_codec.signals.metadata import MOST_BYTES, entry, metadata_in, packed, packed_within

ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" dc:title="Blue"/></x:xmpmeta>'
FIELD_OF_WAVES = MLP(2, 3, 4, 1)


def sinr_file(signal, metadata=None):
    """A file of random waves with a signal's description and metadata."""
    params = FIELD_OF_WAVES.init(np.random.default_rng(0))
    data = packed(signal.metadata) if metadata is None else metadata
    header = Header(FIELD, FIELD_OF_WAVES.to_header(), signal.spec.to_header(), extra=entry(data))
    return write(header, [b"".join(encode_tensor(array, Raw()) for array in params.values())])


def picture(width=12, height=8):
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.dstack([x * 20, y * 30, x + y]).astype(np.uint8))


def camera_data(orientation=6):
    data = Image.Exif()
    data[ExifTags.Base.Make] = "Camera & Söhne"
    data[ExifTags.Base.Orientation] = orientation
    inner = data.get_ifd(ExifTags.IFD.Exif)
    inner[ExifTags.Base.DateTimeOriginal] = "2020:01:02 03:04:05"
    inner[ExifTags.Base.ExposureTime] = TiffImagePlugin.IFDRational(1, 250)
    inner[ExifTags.Base.MakerNote] = b"\7" * 3000
    inner[ExifTags.Base.ExifImageWidth] = 12
    place = data.get_ifd(ExifTags.IFD.GPSInfo)
    place[ExifTags.GPS.GPSLatitudeRef] = "N"
    place[ExifTags.GPS.GPSLatitude] = (51.0, 3.0, 21.5)
    return data.tobytes()


def tags(image):
    """All tags of a picture's EXIF data by directory."""
    data = image.getexif()
    groups = {
        0: {tag: value for tag, value in data.items() if not exif.is_structure(tag) and tag not in (34665, 34853)}
    }
    return groups | {group: dict(data.get_ifd(group)) for group in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)}


def stored(folder, name, **options):
    picture().save(folder / name, **options)
    with Image.open(folder / name) as source:
        source.load()
        return source, ImageSignal.load(folder / name)


def decoded(folder, signal, name, **options):
    (folder / "a.sinr").write_bytes(sinr_file(signal))
    decoding.decode(folder / "a.sinr", folder / name, **options)
    with Image.open(folder / name) as result:
        result.load()
        return result


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "avif", "tif"])
def test_profile_and_camera_data_come_back_in_every_format(tmp_path, suffix):
    source, signal = stored(
        tmp_path, "a.jpg", icc_profile=ICC, exif=camera_data(), xmp=XMP, dpi=(300, 300), comment=b"hi"
    )
    assert signal.spec.shape == (12, 8, 3)  # upright
    assert any("maker note (3,000 bytes)" in note for note in signal.notes)
    result = decoded(tmp_path, signal, f"b.{suffix}")
    assert result.info["icc_profile"] == ICC
    found, make = tags(result), tags(source)[0][ExifTags.Base.Make]
    assert found[0][ExifTags.Base.Make] == make
    inner, place = found[ExifTags.IFD.Exif], found[ExifTags.IFD.GPSInfo]
    assert inner[ExifTags.Base.DateTimeOriginal] == "2020:01:02 03:04:05"
    assert float(inner[ExifTags.Base.ExposureTime]) == 1 / 250
    assert ExifTags.Base.MakerNote not in inner
    assert ExifTags.Base.ExifImageWidth not in inner
    assert [float(x) for x in place[ExifTags.GPS.GPSLatitude]] == [51.0, 3.0, 21.5]
    assert result.getexif().get(ExifTags.Base.Orientation, 1) == 1
    xmp = result.info["xmp"]
    assert b"Blue" in xmp
    assert b"Orientation" not in xmp
    if suffix in ("png", "jpg", "tif"):
        assert [round(float(x)) for x in result.info["dpi"]] == [300, 300]
    if suffix == "jpg":
        assert result.info["comment"] == b"hi"


def test_texts_of_a_png_file(tmp_path):
    chunks = PngImagePlugin.PngInfo()
    texts = {"Title": "Café", "Comment": "日本語", "psnr": "none"}
    for key, text in texts.items():
        chunks.add_text(key, text)
    source, signal = stored(tmp_path, "a.png", pnginfo=chunks, dpi=(150, 75))
    assert Image.open(io.BytesIO(sinr_file(signal))).text == source.text
    result = decoded(tmp_path, signal, "b.png")
    assert result.text == source.text
    assert result.info["dpi"] == source.info["dpi"]
    assert decoded(tmp_path, signal, "b.jpg").info["comment"].decode() == "日本語"
    assert decoded(tmp_path, signal, "b.gif").info["comment"].decode() == "日本語"


def test_colours_of_a_png_file_without_a_profile(tmp_path):
    chunks = PngImagePlugin.PngInfo()
    primaries = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
    chunks.add(b"gAMA", struct.pack(">L", 100_000))
    chunks.add(b"cHRM", struct.pack(">8L", *primaries))
    chunks.add(b"sRGB", b"\0")
    source, signal = stored(tmp_path, "a.png", pnginfo=chunks)
    assert source.info["gamma"] == 1.0
    result = decoded(tmp_path, signal, "b.png")
    for name in ("gamma", "chromaticity", "srgb"):
        assert result.info[name] == source.info[name]


def test_tags_of_a_tiff_file(tmp_path):
    place = {33550: (0.5, 0.5, 0.0), 33922: (0.0, 0.0, 0.0, 7.0, 50.0, 0.0), 42113: "-9999"}
    told = {270: "a field", 305: "my program", 306: "2020:01:02 03:04:05"} | place
    source, signal = stored(tmp_path, "a.tif", tiffinfo=told, dpi=(600, 600), icc_profile=ICC)
    result = decoded(tmp_path, signal, "b.tif")
    for tag in told:
        assert result.tag_v2[tag] == source.tag_v2[tag]
    assert result.info["dpi"] == source.info["dpi"]
    part = decoded(tmp_path, signal, "c.tif", region=(2, 2, 6, 6))
    assert part.tag_v2[270] == "a field"
    assert not set(place) & set(part.tag_v2)  # they would be wrong


def test_plug_in_and_decoded_images_have_the_metadata(tmp_path):
    _, signal = stored(tmp_path, "a.jpg", icc_profile=ICC, exif=camera_data(1), dpi=(300, 300), comment=b"hi")
    data = sinr_file(signal)
    for image in (Image.open(io.BytesIO(data)), decoding.open(data).image()):
        assert image.info["icc_profile"] == ICC
        assert image.info["dpi"] == (300, 300)
        assert image.info["comment"] == b"hi"
        assert image.getexif()[ExifTags.Base.Make]
        image.save(tmp_path / "again.png")  # by Pillow alone
        assert Image.open(tmp_path / "again.png").info["icc_profile"] == ICC
    assert ImageSignal.load(Image.open(io.BytesIO(data))).metadata == signal.metadata


def test_info_names_the_metadata(tmp_path):
    _, signal = stored(tmp_path, "a.png", icc_profile=ICC)
    data = sinr_file(signal)
    about = inspecting.info(data)
    assert about["metadata"] == {"icc_profile": len(ICC)}
    assert about["metadata_bytes"] == len(packed(signal.metadata))
    bare = inspecting.info(sinr_file(signal, b""))
    assert "metadata" not in bare
    assert 0 < about["header_bytes"] - bare["header_bytes"] < 20
    extra = overhead(signal.spec, FIELD_OF_WAVES, [], 0, packed(signal.metadata))
    assert extra - overhead(signal.spec, FIELD_OF_WAVES, [], 0) == len(data) - len(sinr_file(signal, b""))


def test_metadata_can_be_left_out(tmp_path):
    stored(tmp_path, "a.png", icc_profile=ICC)
    assert ImageSignal.load(tmp_path / "a.png", metadata=False, block=8).metadata == {}
    assert ImageSignal.load(tmp_path / "a.png", block=8).metadata == {"icc_profile": ICC}


@pytest.mark.parametrize("damage", [b"x", packed({"dpi": [1, 2]})[:-1], packed({"a": b"0" * (MOST_BYTES + 1)})])
def test_damaged_metadata_do_not_concern_the_pixels(tmp_path, damage):
    signal = ImageSignal.load(picture())
    data = sinr_file(signal, damage)
    np.testing.assert_array_equal(decoding.decode(data, tmp_path / "a.png"), decoding.decode(sinr_file(signal)))
    Image.open(io.BytesIO(data)).load()
    assert decoding.open(data).metadata == {}
    assert inspecting.info(data)["metadata"] is None
    with pytest.raises(FormatError):
        inspecting.verify(data)


def test_items_of_other_types_are_ignored(tmp_path):
    odd = {
        "gamma": "x",
        "srgb": 9,
        "chromaticity": [1],
        "exif": "text",
        "icc_profile": 7,
        "dpi": [0, -1],
        "text": {"a": 1, "b": "x"},
        "xmp": [],
        "new": {},
    }
    data = sinr_file(ImageSignal.load(picture()), packed(odd))
    for suffix in ("png", "jpg", "tif", "webp"):
        decoding.decode(data, tmp_path / f"a.{suffix}")
    image = Image.open(io.BytesIO(data))
    assert {key: image.info[key] for key in image.info if key != "psnr"} == {"b": "x"}


class Silent:
    def start(self, *_): ...

    update = start


def test_metadata_take_a_quarter_of_a_file_at_most(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, 5000, np.uint8).tobytes()
    stored(tmp_path, "a.jpg", icc_profile=ICC, comment=noise)
    job = job_for(tmp_path / "a.jpg", Request(), None, {}, Silent())
    assert job.metadata == packed({"icc_profile": ICC})
    assert job.notes == ("metadata are left out, too large for this file: comment (5,000 bytes)",)
    small = job_for(tmp_path / "a.jpg", Request(size=1000), None, {}, Silent())
    assert small.metadata == b""
    assert "icc_profile (588 bytes)" in small.notes[0]
    large = job_for(tmp_path / "a.jpg", Request(size=30_000), None, {}, Silent())
    assert len(large.metadata) > 5000
    assert not large.notes


def test_large_items_are_not_even_compressed():
    kept, left_out = packed_within({"text": {"a": "b" * 10_000_000}, "dpi": [300, 300]}, 4096)
    assert kept == packed({"dpi": [300, 300]})
    assert left_out == ("text",)
    assert metadata_in(entry(kept)) == {"dpi": [300, 300]}


def block(*entries, order="<", after=0):
    """EXIF data of one directory: (tag, type, count, value or offset), and bytes behind it."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "LH", 8, len(entries))
    for tag, kind, count, value in entries:
        head += struct.pack(order + "HHL", tag, kind, count) + value
    return head + struct.pack(order + "L", after)


ODD = {
    "rational with a sign": block((0x112, 3, 1, b"\6\0\0\0"), (0x11A, 10, 1, struct.pack("<L", 38)))
    + struct.pack("<ll", -1, 0),
    "negative short": block((0x112, 3, 1, b"\6\0\0\0"), (0x103, 8, 1, b"\xff\xff\0\0")),
    "text for a number": block((0x112, 3, 1, b"\6\0\0\0"), (0x128, 2, 3, b"ab\0\0")),
    "cut": block((0x112, 3, 1, b"\6\0\0\0"), (0x10F, 2, 99, struct.pack("<L", 50))),
    "loop": block((0x112, 3, 1, b"\6\0\0\0"), (0x8769, 4, 1, struct.pack("<L", 8))),
    "second prefix": b"Exif\0\0" + block((0x112, 3, 1, b"\6\0\0\0")),
}


@pytest.mark.parametrize("what", ODD)
def test_odd_data_do_not_keep_a_picture_from_being_turned(tmp_path, what):
    picture().save(tmp_path / "odd.jpg", exif=b"Exif\0\0" + ODD[what])
    for source in (tmp_path / "odd.jpg", Image.open(tmp_path / "odd.jpg")):
        signal = ImageSignal.load(source)
        assert signal.spec.shape == (12, 8, 3)
    for suffix in ("jpg", "png", "tif", "webp"):
        decoded(tmp_path, signal, f"b.{suffix}")


def test_rubbish_is_left_out():
    assert exif.cleaned(b"Exif\0\0rubbish") == (b"", ("damaged data",))
    assert exif.cleaned(b"") == (b"", ())
    for order in "<>":
        data = block((0x10F, 2, 4, b"abc\0"), order=order)
        assert exif.cleaned(data) == (data, ())
        thumbnail = block((0x10F, 2, 4, b"abc\0"), order=order, after=26) + struct.pack(order + "H", 0)
        assert exif.cleaned(thumbnail) == (data, ("the thumbnail",))
