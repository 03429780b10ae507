"""What is stored of pictures, and what is written of them, compared with what Pillow and tifffile read."""

import struct
import sys
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from sinr_codec.errors import InputError, MalformedError
from sinr_codec.signals import sources
from sinr_codec.signals.base import Fields
from sinr_codec.signals.image import ImageSignal, ImageSpec
from sinr_codec.signals.registry import kind_of, load

tifffile = pytest.importorskip("tifffile")
Y, X = np.mgrid[:12, :16]
COLOURS = np.dstack([X * 15, Y * 20, X + 3 * Y]).astype(np.uint8)
DEEP = np.dstack([X * 8 + Y, 3000 + X * Y, 65535 - 7 * X]).astype(np.uint16)


def exact(signal):
    """What is decoded from a network that knows every pixel."""
    coords, values = signal.batch(np.arange(len(signal)))
    table = {point.tobytes(): value for point, value in zip(coords, values)}
    return signal.spec.render(Fields([lambda points: np.stack([table[point.tobytes()] for point in points])]))


def through(tmp_path, source, name, **options):
    """The signal of a source, and what Pillow reads in the file that is written of it."""
    signal = ImageSignal.load(source)
    spec = ImageSpec.from_header(signal.spec.to_header())
    assert spec == signal.spec
    spec.save(exact(signal), tmp_path / name, **options)
    with Image.open(tmp_path / name) as written:
        written.load()
        return signal, written


def png(path, array, colour, depth=16, extra=b""):
    def chunk(name, data):
        return struct.pack(">L", len(data)) + name + data + struct.pack(">L", zlib.crc32(name + data))

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    head = struct.pack(">LLBBBBB", array.shape[1], array.shape[0], depth, colour, 0, 0, 0)
    data = chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return path


def read_png16(path):
    """Samples of a PNG file of 16 bits, by a reader that is no part of this project."""
    return pytest.importorskip("imagecodecs").png_decode(path.read_bytes())


# -- LAB -----------------------------------------------------------------------------------------------------


def test_neutral_colours_of_lab_lie_in_the_middle(tmp_path):
    rng = np.random.default_rng(0)
    ab = rng.integers(-1, 2, (12, 16, 2))
    source = Image.frombytes("LAB", (16, 12), np.dstack([X * 15, ab & 255]).astype(np.uint8).tobytes())
    source.save(tmp_path / "lab.tif")
    signal, written = through(tmp_path, tmp_path / "lab.tif", "b.tif")
    assert np.abs(signal.batch(np.arange(len(signal)))[1][:, 1:]).max() < 0.02
    assert written.mode == "LAB"
    assert written.tobytes() == source.tobytes()
    profiles = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    to_rgb = ImageCms.buildTransform(*profiles, "LAB", "RGB")
    assert ImageCms.applyTransform(written, to_rgb).tobytes() == ImageCms.applyTransform(source, to_rgb).tobytes()


def test_files_with_signed_lab_are_compared_as_they_are():
    source = Image.frombytes("LAB", (16, 12), COLOURS.tobytes())
    old = ImageSpec.from_header([0, 12, 16, 12, 0])
    signal = ImageSignal.load(source, like=old)
    assert signal.quality(lambda: np.asarray(source)).db == np.inf
    assert old.image(np.asarray(source)).tobytes() == source.tobytes()


# -- palettes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_palettes_with_alpha_are_written_as_they_are_measured(tmp_path, suffix):
    small = Image.fromarray(COLOURS).quantize(16)
    small.save(tmp_path / "alpha.png", transparency=bytes(range(0, 256, 17)))
    wanted = np.asarray(Image.open(tmp_path / "alpha.png").convert("RGBA"))
    signal, written = through(tmp_path, tmp_path / "alpha.png", f"b.{suffix}")
    got = np.asarray(written.convert("RGBA"))
    seen = wanted[..., 3] > 0
    np.testing.assert_array_equal(got[seen], wanted[seen])
    np.testing.assert_array_equal(got[..., 3], wanted[..., 3])
    assert signal.quality(lambda: got).db == np.inf


# -- 16 bits -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("channels", "colour"), [(3, 2), (4, 6), (2, 4)])
def test_16_bits_of_png_files(tmp_path, channels, colour):
    array = np.dstack([DEEP, 60000 - 100 * X])[..., :channels].astype(np.uint16)
    signal, _ = through(tmp_path, png(tmp_path / "a.png", array, colour), "b.png")
    np.testing.assert_array_equal(read_png16(tmp_path / "b.png"), array)
    np.testing.assert_array_equal(np.round(np.asarray(signal.spec.image(array))), array >> 8)
    tiff = tmp_path / "b.tif"
    signal.spec.save(array, tiff)
    np.testing.assert_array_equal(tifffile.imread(tiff), array)
    np.testing.assert_array_equal(ImageSignal.load(tiff).array, array)


@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"compression": "zlib"}, {"planarconfig": "separate"}])
def test_16_bits_of_tiff_files(tmp_path, options):
    array = np.moveaxis(DEEP, 2, 0) if options.get("planarconfig") else DEEP
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", **options)
    signal = load(tmp_path / "a.tif")
    assert signal.spec.mode == "RGB;16"
    np.testing.assert_array_equal(signal.array, DEEP)


def test_metadata_stand_in_png_files_of_16_bits(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    told = {"icc_profile": profile, "dpi": [300.0, 150.0], "text": {"Title": "deep"}, "exif": b"II*\0\x08\0\0\0\0\0"}
    spec = ImageSignal.load(png(tmp_path / "a.png", DEEP, 2)).spec
    for suffix in ("png", "tif"):
        spec.save(DEEP, tmp_path / f"b.{suffix}", metadata=told)
        with Image.open(tmp_path / f"b.{suffix}") as written:
            assert written.info["icc_profile"] == profile
            assert [round(float(dots)) for dots in written.info["dpi"]] == [300, 150]
            assert suffix == "tif" or written.text == {"Title": "deep"}


def test_images_of_16_bits_that_pillow_has_opened_are_noted(tmp_path):
    png(tmp_path / "a.png", DEEP, 2)
    with Image.open(tmp_path / "a.png") as image:
        assert "16 bits" in ImageSignal.load(image).notes[0]
        assert "16 bits" in ImageSignal.load(image).notes[0]  # its pixels are there now
    tifffile.imwrite(tmp_path / "a.tif", DEEP, photometric="rgb")
    with Image.open(tmp_path / "a.tif") as image:
        assert "16 bits" in ImageSignal.load(image).notes[0]


def test_16_bits_are_refused_where_8_fit(tmp_path):
    signal = ImageSignal.load(png(tmp_path / "a.png", DEEP, 2))
    for name in ("b.jpg", "b.webp", "b.gif"):
        with pytest.raises(InputError, match=r"expected \.png"):
            signal.spec.save(DEEP, tmp_path / name)


def test_16_bit_files_of_older_versions_are_compared_in_8_bits(tmp_path):
    png(tmp_path / "a.png", DEEP, 2)
    old = ImageSpec(12, 16, 3, "uint8", "RGB")
    signal = ImageSignal.load(tmp_path / "a.png", like=old)
    assert signal.quality(lambda: np.asarray(Image.open(tmp_path / "a.png"))).db == np.inf


def test_samples_that_lose_bits_are_noted(tmp_path):
    (tmp_path / "a.ppm").write_bytes(b"P6 16 12 65535\n" + DEEP.astype(">u2").tobytes())
    assert any("16 bits" in note for note in load(tmp_path / "a.ppm").notes)


@pytest.mark.parametrize("suffix", ["webp", "gif", "jpg", "bmp"])
def test_16_bit_gray_is_not_clipped(tmp_path, suffix):
    Image.fromarray((X * 4000).astype(np.uint16)).save(tmp_path / "gray16.png")
    with pytest.raises(InputError, match=r"expected \.png"):
        through(tmp_path, tmp_path / "gray16.png", f"b.{suffix}")
    assert not (tmp_path / f"b.{suffix}").exists()


# -- transparency --------------------------------------------------------------------------------------------


def test_transparent_colours_of_1_and_16_bits(tmp_path):
    Image.fromarray(X > 7).save(tmp_path / "bit.png", transparency=1)
    signal, written = through(tmp_path, tmp_path / "bit.png", "b.png")
    np.testing.assert_array_equal(np.asarray(written)[..., 1], np.where(X > 7, 0, 255))
    gray = (X * 100).astype(np.uint16)
    Image.fromarray(gray).save(tmp_path / "bits.png", transparency=700)
    signal = ImageSignal.load(tmp_path / "bits.png")
    assert signal.spec.mode == "LA;16"
    np.testing.assert_array_equal(signal.array[..., 1], np.where(gray == 700, 0, 65535))
    np.testing.assert_array_equal(signal.array[gray != 700, 0], gray[gray != 700])
    png(
        tmp_path / "deep.png",
        DEEP,
        2,
        extra=b"\0\0\0\6tRNS"
        + (body := DEEP[3, 5].astype(">u2").tobytes())
        + struct.pack(">L", zlib.crc32(b"tRNS" + body)),
    )
    alpha = ImageSignal.load(tmp_path / "deep.png").array[..., 3]
    assert alpha[3, 5] == 0
    assert (alpha == 0).sum() == 1


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_alpha_of_two_values_stays_so(mode):
    alpha = np.where(X + Y < 14, 255, 0).astype(np.uint8)
    source = Image.fromarray(np.dstack([COLOURS, alpha]))
    if mode == "LA":
        source = source.convert("LA")
    elif mode == "P":
        source = Image.fromarray(np.where(alpha > 0, X, 0).astype(np.uint8), "P")
        source.putpalette(list(range(48)))
        source.info["transparency"] = 0
        alpha = np.asarray(source.convert("RGBA"))[..., 3]
    signal = ImageSignal.load(source)
    spec = ImageSpec.from_header(signal.spec.to_header())
    noise = np.random.default_rng(0).normal(0, 0.3, (len(signal), signal.out_features))
    values = signal.batch(np.arange(len(signal)))[1] + noise
    decoded = spec._finish(values)[:, -1].reshape(alpha.shape)
    assert set(np.unique(decoded)) == {0, 255}
    assert (decoded == alpha).mean() > 0.99


@pytest.mark.parametrize("channel", [0, 3])
def test_constant_channels_are_exact(channel):
    array = np.dstack([COLOURS, 254 - COLOURS[..., :1]])
    array[..., channel] = 77
    signal = ImageSignal.load(Image.fromarray(array))
    spec = ImageSpec.from_header(signal.spec.to_header())
    rubbish = np.random.default_rng(0).normal(0, 1, (12, 16, 4)).astype(np.float32)
    assert (spec._finish(rubbish)[..., channel] == 77).all()
    deep = spec.with_cut(None, dtype="uint16", mode="RGBA;16", high=65535.0)
    assert ImageSpec.from_header(deep.to_header()) == deep


@pytest.mark.parametrize(
    "known",
    [
        None,
        [],
        [None] * 4,
        [1, 2, 3],
        [256, None, None, None],
        [[1, 1], None, None, None],
        [[2, 1], None, None, None],
        [[1, 2, 3], None, None, None],
        ["a", None, None, None],
        [True, None, None, None],
    ],
)
def test_malformed_lists_of_known_channels(known):
    header = [0, 4, 4, 256 + 2, 0, known]
    with pytest.raises(MalformedError, match="channel"):
        ImageSpec.from_header(header if known is not None else header[:-1])


def test_hidden_colours_are_smooth_and_do_not_count():
    rng = np.random.default_rng(0)
    alpha = np.where((X - 8) ** 2 + (Y - 6) ** 2 < 20, 255, 0).astype(np.uint8)
    flat = np.full((12, 16, 3), 90, np.uint8) + (X + Y).astype(np.uint8)[..., None]
    rubbish = np.where(alpha[..., None] > 0, flat, rng.integers(0, 256, (12, 16, 3), np.uint8))
    source = Image.fromarray(np.dstack([rubbish, alpha]))
    before = source.tobytes()
    signal = ImageSignal.load(source)
    assert source.tobytes() == before
    colours = signal.array[..., :3].astype(int)
    np.testing.assert_array_equal(colours[alpha > 0], rubbish[alpha > 0])
    assert np.abs(np.diff(colours, axis=0)).max() < 8
    assert np.abs(np.diff(colours, axis=1)).max() < 8
    decoded = signal.array.copy()
    decoded[alpha == 0, :3] = 0
    assert signal.quality(lambda: decoded).db == np.inf
    decoded[6, 8, 0] ^= 1
    assert signal.quality(lambda: decoded).db < 100


# -- writers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F", "P", "PA", "La", "RGBa"]
)
@pytest.mark.parametrize(
    "suffix", ["png", "tif", "webp", "jpg", "gif", "avif", "bmp", "ppm", "tga", "jp2", "ico", "pcx", "sgi", "pdf"]
)
def test_what_is_written_is_what_is_measured_or_is_refused_or_warned_of(tmp_path, mode, suffix):
    base = Image.fromarray(np.dstack([COLOURS, 255 - COLOURS[..., 0]]))
    alpha = mode in ("LA", "RGBA", "PA", "La", "RGBa")
    base = base if alpha else base.convert("RGB")
    source = base.convert("LA").convert(mode) if mode in ("La", "PA") else base.convert(mode)
    signal = ImageSignal.load(source)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            signal.spec.save(signal.array.reshape(signal.spec.shape), tmp_path / f"a.{suffix}")
        except InputError:
            assert not (tmp_path / f"a.{suffix}").exists()
            return
    if suffix == "pdf":
        return
    wanted = signal.spec.image(signal.array.reshape(signal.spec.shape))
    with Image.open(tmp_path / f"a.{suffix}") as found:
        assert found.size == wanted.size
        if mode in ("I", "F"):
            assert found.mode == mode
        elif alpha:
            wanted, found = wanted.convert("RGBA"), found.convert("RGBA")
        else:
            wanted, found = wanted.convert("RGB"), found.convert("RGB")
        error = np.square(np.asarray(wanted).astype(float) - np.asarray(found)).mean()
    assert error < 255**2 / 1e4 or any("keeps the decoded picture" in str(each.message) for each in said)


def test_a_gif_of_many_colours_is_warned_of(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    with pytest.warns(UserWarning, match=r"GIF keeps the decoded picture at \d+\.\d dB only"):
        ImageSignal.load(Image.fromarray(noise)).spec.save(noise, tmp_path / "a.gif")


def test_a_gif_keeps_transparency_and_255_colours(tmp_path):
    y, x = np.mgrid[:15, :17]
    array = np.dstack([x * 15, y * 17, x + y, np.where(x + y > 16, 255, 0)]).astype(np.uint8)
    array[array[..., 3] == 0] = (9, 9, 9, 0)
    ImageSignal.load(array).spec.save(array, tmp_path / "a.gif")
    found = np.asarray(Image.open(tmp_path / "a.gif").convert("RGBA"))
    np.testing.assert_array_equal(found[..., 3], array[..., 3])
    seen = array[..., 3] > 0
    np.testing.assert_array_equal(found[seen], array[seen])
    noise = np.random.default_rng(0).integers(100, 160, (40, 40, 4), np.uint8)
    noise[..., 3] = 255
    with pytest.warns(UserWarning, match="GIF keeps"):
        ImageSignal.load(noise).spec.save(noise, tmp_path / "b.gif")
    found = np.asarray(Image.open(tmp_path / "b.gif").convert("RGB")).astype(int)
    assert len(np.unique(found.reshape(-1, 3), axis=0)) > 200


def test_forms_that_no_mode_has_are_refused_with_a_remedy(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", np.zeros((12, 16, 5), np.uint16), photometric="minisblack", planarconfig="contig"
    )
    with pytest.raises(InputError, match="four bands, found 5"):
        load(tmp_path / "a.tif", "image")
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((12, 16), np.float16))
    with pytest.raises(InputError, match="found float16; convert"):
        load(tmp_path / "b.tif")


# -- odd files -----------------------------------------------------------------------------------------------


def test_bands_pages_and_layers_are_noted(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", np.dstack([COLOURS, 9 * X.astype(np.uint8)]), photometric="rgb", extrasamples=[0]
    )
    assert load(tmp_path / "a.tif").notes == ("only 3 of 4 bands are stored; an array (.npy) keeps four",)
    page = Image.fromarray((X * 4).astype(np.uint8))
    page.save(tmp_path / "thumb.tif", save_all=True, append_images=[page.resize((8, 6))])
    signal = load(tmp_path / "thumb.tif")
    assert signal.spec.KIND == "image"
    assert signal.notes == ("only the first of 2 pages is stored",)
    np.testing.assert_array_equal(signal.array[..., 0], np.asarray(page))


@pytest.mark.parametrize("has_tifffile", [True, False])
def test_pages_of_a_fax_and_overviews_are_no_stack(tmp_path, monkeypatch, has_tifffile):
    if not has_tifffile:
        monkeypatch.setitem(sys.modules, "tifffile", None)
    page, gray = Image.fromarray(X > Y), Image.fromarray((X * 4).astype(np.uint8))
    page.save(tmp_path / "fax.tif", save_all=True, append_images=[page, page], compression="group4")
    gray.save(tmp_path / "map.tif", save_all=True, append_images=[gray.resize((8, 6)), gray.resize((4, 3))])
    gray.save(tmp_path / "stack.tif", save_all=True, append_images=[gray, gray])
    kinds = [kind_of(tmp_path / name).name for name in ("fax.tif", "map.tif", "stack.tif")]
    assert kinds == ["image", "image", "volume"]


def test_unsigned_samples_of_32_bits(tmp_path):
    wide = (X * 250_000_000).astype(np.uint32)
    tifffile.imwrite(tmp_path / "a.tif", wide)
    signal = load(tmp_path / "a.tif")
    np.testing.assert_array_equal(signal.array[..., 0], wide)
    assert "float64" in signal.notes[0]
    tifffile.imwrite(tmp_path / "b.tif", wide // 4)
    assert load(tmp_path / "b.tif").spec.mode == "I"


def test_floats_of_tiff_files(tmp_path):
    for array in (X / 7, np.dstack([X, Y, X]).astype(np.float32)):
        tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb" if array.ndim == 3 else "minisblack")
        signal = load(tmp_path / "a.tif")
        np.testing.assert_array_equal(signal.array.reshape(array.shape), array)
        assert signal.spec.dtype == array.dtype


def test_missing_data_of_float_pictures(tmp_path):
    array = np.sin(X / 3).astype(np.float32)
    array[2:5, 3:7] = -9999
    tifffile.imwrite(tmp_path / "far.tif", array)
    assert "12 samples are -9999, far from all others" in load(tmp_path / "far.tif").notes[0]
    tifffile.imwrite(tmp_path / "declared.tif", array, extratags=[(42113, "s", 0, "-9999", True)])
    with pytest.raises(InputError, match=r"12 of 192 samples are -9999.*dataset"):
        load(tmp_path / "declared.tif")
    array[2:5, 3:7] = np.nan
    tifffile.imwrite(tmp_path / "nan.tif", array)
    with pytest.raises(InputError, match="fill them, or give a dataset"):
        load(tmp_path / "nan.tif")


@pytest.mark.parametrize("suffix", [".eps", ".png"])
def test_no_program_is_started_to_draw_a_picture(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_, **__: pytest.fail("Ghostscript was started"))
    Image.fromarray(COLOURS).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").rename(tmp_path / f"b{suffix}")
    with pytest.raises(InputError, match=r"found a drawing|that Pillow opens"):
        load(tmp_path / f"b{suffix}", "image")


def test_pictures_of_200_megapixels(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MOST_PIXELS", 1 << 28)
    Image.new("1", (13400, 13400), 1).save(tmp_path / "phone.png")
    with sources.picture(tmp_path / "phone.png") as picture:
        assert picture.size == (13400, 13400)
    assert Image.MAX_IMAGE_PIXELS == 1024 * 1024 * 1024 // 4 // 3
    monkeypatch.setattr(sources, "MOST_PIXELS", 1 << 27)
    with pytest.raises(InputError, match=r"decompression bomb.*\.npy"), sources.picture(tmp_path / "phone.png"):
        pass
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # what a user of Pillow asks for holds
    with pytest.raises(InputError, match="decompression bomb"), sources.picture(tmp_path / "phone.png"):
        pass


# -- TIFF files beyond Pillow --------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", [{"compression": "zlib"}, {"compression": "zlib", "tile": (16, 16)}])
def test_compressed_planes_of_16_bits_keep_their_lower_half(tmp_path, layout):
    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(DEEP, 2, 0), photometric="rgb", planarconfig="separate", **layout)
    np.testing.assert_array_equal(load(tmp_path / "a.tif", "image").array, DEEP)


@pytest.mark.parametrize(
    ("photometric", "bands", "extra", "mode"),
    [
        ("cielab", 3, (), "array"),
        ("separated", 4, (), "array"),
        ("minisblack", 4, (0, 0, 0), "array"),
        ("minisblack", 2, (0,), "array"),
        ("minisblack", 2, (2,), "LA;16"),
        ("rgb", 4, (2,), "RGBA;16"),
        ("rgb", 3, (), "RGB;16"),
    ],
)
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_bands_of_16_bits_are_what_the_file_says(tmp_path, photometric, bands, extra, mode, planar):
    array = np.dstack([DEEP[..., 1], DEEP])[..., -bands:] + np.uint16(9)
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.moveaxis(array, 2, 0) if planar == "separate" else array,
        photometric=photometric,
        planarconfig=planar,
        extrasamples=extra,
        metadata=None,
    )
    signal = load(tmp_path / "a.tif", "image")
    if (photometric, planar) == ("separated", "contig"):
        assert "16 bits are read as 8" in signal.notes[0]
        return
    assert signal.spec.mode == mode
    np.testing.assert_array_equal(signal.array, array)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("bands", [2, 4])
def test_planes_with_premultiplied_alpha(tmp_path, bits, bands):
    top = 2**bits - 1
    alpha = np.where(X < 4, top // 3, top)
    colours = [c * (top // 255) // 4 for c in np.moveaxis(COLOURS.astype(int), 2, 0)][: bands - 1]
    array = np.stack([*(c * alpha // top for c in colours), alpha]).astype(f"u{bits // 8}")
    tifffile.imwrite(
        tmp_path / "a.tif",
        array,
        photometric="rgb" if bands == 4 else "minisblack",
        planarconfig="separate",
        extrasamples=[1],
        metadata=None,
    )
    signal = load(tmp_path / "a.tif", "image")
    assert signal.spec.has_alpha
    np.testing.assert_allclose(signal.array[..., :-1].astype(int), np.stack(colours, 2), atol=4)
    np.testing.assert_array_equal(signal.array[..., -1], alpha)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_planes_are_turned_upright(tmp_path, orientation):
    turned = ("planes", "pixels")
    for name in turned:
        tifffile.imwrite(
            tmp_path / f"{name}.tif",
            np.moveaxis(DEEP, 2, 0) if name == "planes" else DEEP,
            photometric="rgb",
            planarconfig="separate" if name == "planes" else "contig",
            extratags=[(274, "H", 1, orientation, True)],
        )
    planes, pixels = (load(tmp_path / f"{name}.tif", "image").array for name in turned)
    np.testing.assert_array_equal(planes, pixels)


def test_samples_of_other_sizes(tmp_path):
    narrow = (X + 16 * Y).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", narrow, byteorder=">")
    assert load(tmp_path / "a.tif").notes == ()
    tifffile.imwrite(tmp_path / "b.tif", narrow.astype(np.uint32), byteorder=">")
    np.testing.assert_array_equal(load(tmp_path / "b.tif").array[..., 0], narrow)
    tifffile.imwrite(tmp_path / "c.tif", narrow, photometric="miniswhite")
    assert "negative" in load(tmp_path / "c.tif").notes[0]
    colours = np.arange(3 * 65536).astype(np.uint16).reshape(3, -1)
    tifffile.imwrite(tmp_path / "d.tif", narrow, photometric="palette", colormap=colours)
    np.testing.assert_array_equal(load(tmp_path / "d.tif").array, np.moveaxis(colours[:, narrow], 0, 2))


@pytest.mark.parametrize("dtype", ["<i2", "<f4", "<f8"])
def test_missing_heights_are_refused(tmp_path, dtype):
    heights = (X * 20).astype(dtype)
    heights[2:5, 3:7] = -32768
    tifffile.imwrite(tmp_path / "a.tif", heights)
    assert "12 samples are -32768, far from all others" in load(tmp_path / "a.tif").notes[-1]
    tifffile.imwrite(tmp_path / "b.tif", heights, extratags=[(42113, "s", 0, "-32768", True)])
    with pytest.raises(InputError, match=r"12 of 192 samples are -32768.*dataset"):
        load(tmp_path / "b.tif")


@pytest.mark.parametrize("suffix", ["mpo", "pdf"])
def test_documents_have_the_quality_of_jpeg_files(tmp_path, suffix):
    signal = ImageSignal.load(COLOURS)
    for name in (f"a.{suffix}", "a.jpg"):
        signal.spec.save(COLOURS, tmp_path / name, metadata={"dpi": [300.0, 300.0]})
    jpeg, found = (tmp_path / "a.jpg").read_bytes(), (tmp_path / f"a.{suffix}").read_bytes()
    tables = jpeg[jpeg.index(b"\xff\xdb") : jpeg.index(b"\xff\xc4")]  # of quantisation, and the sampling of colours
    assert tables in found
