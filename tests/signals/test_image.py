import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from sinr_codec.errors import FormatError, InputError, LimitError, MalformedError, UnknownIdError
from sinr_codec.fields import MLP, RotatedOctaves
from sinr_codec.presets import PRESETS
from sinr_codec.signals import registry
from sinr_codec.signals.base import MAX_SAMPLES, TILE, Fields
from sinr_codec.signals.cut import Cut
from sinr_codec.signals.grid import Grid
from sinr_codec.signals.image import ImageSignal, ImageSpec
from sinr_codec.signals.levels import psnr

MODES = [
    "1",
    "L",
    "LA",
    "P",
    "PA",
    "RGB",
    "RGBA",
    "RGBX",
    "RGBa",
    "La",
    "CMYK",
    "YCbCr",
    "LAB",
    "HSV",
    "I",
    "F",
    "I;16",
]


def test_octaves_turn_unless_edges_lie_along_the_axes():
    recipe = registry.kind_named("image").recipe
    y, x = np.mgrid[:40, :60]
    wall, slope = ((y // 10 + x // 15) % 2 * 200).astype(np.uint8), ((y + x) // 5 % 2 * 200).astype(np.uint8)
    assert ImageSignal.load(wall).alignment > 0.5
    assert ImageSignal.load(slope).alignment < -0.5
    assert ImageSignal.load(np.full((9, 9), 3, np.uint8)).alignment == 0
    assert ImageSignal.load(np.full((2, 1), 1e300)).alignment == 0
    assert ImageSignal.load(wall).suited(recipe) == recipe
    turning = ImageSignal.load(slope).suited(recipe).network(ImageSignal.load(slope).spec, 8)
    assert turning.encoding == RotatedOctaves((7, 8))
    # a network that the preset names stays
    paper = recipe.under(PRESETS["paper"])
    assert ImageSignal.load(slope).suited(paper) == paper


def gradient(height=12, width=17, channels=3):
    y, x = np.mgrid[0:height, 0:width]
    planes = [255 * y / max(height - 1, 1), 255 * x / max(width - 1, 1), 255 * (x + y) / (height + width)]
    return np.stack([*planes, 255 - planes[0]][:channels], -1).astype(np.uint8)


def picture(mode):
    base = Image.fromarray(gradient(channels=3))
    if mode in ("La", "RGBa"):
        return base.convert(mode.upper()).convert(mode)
    if mode == "LAB":
        return Image.frombytes("LAB", base.size, base.tobytes())
    if mode == "I;16":
        return Image.fromarray(np.asarray(base.convert("L")).astype(np.uint16) * 257)
    if mode == "I":
        return Image.fromarray(np.asarray(base.convert("L")).astype(np.int32) * 70_000 - 9_000_000)
    if mode == "PA":
        return Image.merge("LA", [base.convert("L")] * 2).convert("PA")
    return base.convert(mode)


def exact(signal):
    """A field that knows every pixel of the signal."""
    coords, values = signal.batch(np.arange(len(signal)))
    table = {point.tobytes(): value for point, value in zip(coords, values)}
    return lambda points: np.stack([table[point.tobytes()] for point in points])


def render(spec, apply, *, tile=TILE, threads=None, max_samples=MAX_SAMPLES, **options):
    return spec.render(Fields([apply], tile, max_samples, threads), **options)


# -- reading and giving back -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_comes_back(mode):
    source = picture(mode)
    signal = ImageSignal.load(source)
    spec = ImageSpec.from_header(signal.spec.to_header())
    assert spec == signal.spec
    array = render(spec, exact(signal), tile=50)
    assert array.dtype == spec.dtype
    assert array.shape == spec.shape
    assert signal.quality(lambda: array).db > 140
    restored = spec.image(array)
    assert restored.mode == {"La": "LA", "RGBa": "RGBA", "RGBX": "RGB", "PA": "RGBA", "P": "RGB"}.get(mode, mode)
    if mode in ("1", "L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "I;16"):
        assert restored.tobytes() == source.tobytes()


@pytest.mark.parametrize("dtype", ["uint8", "bool", "uint16", "int32", "float32", "float64"])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 2), (5, 7, 3), (5, 7, 4), (1, 9), (9, 1), (1, 1)])
def test_every_array_comes_back(dtype, shape):
    array = (np.random.default_rng(0).random(shape) * 250).astype(dtype)
    signal = ImageSignal.load(array)
    spec = ImageSpec.from_header(signal.spec.to_header())
    assert spec == signal.spec
    decoded = render(spec, exact(signal))
    assert decoded.dtype == array.dtype
    assert decoded.shape == array.shape
    np.testing.assert_allclose(decoded.astype(float), array.astype(float), atol=1e-4)


def test_all_bytes_survive_the_value_range():
    spec = ImageSpec(16, 16, 1, "uint8", "L")
    samples = np.arange(256, dtype=np.uint8)
    values = spec.levels.to_values(samples)
    assert values.dtype == np.float32
    assert (values[0], values[-1]) == (-1, 1)
    np.testing.assert_array_equal(spec.levels.to_samples(values), samples)


def test_16_bit_values_survive():
    array = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    signal = ImageSignal.load(array)
    values = signal.batch(np.arange(len(signal)))[1]
    np.testing.assert_array_equal(signal.levels.to_samples(values).reshape(array.shape), array)


def test_other_byte_orders_and_strides():
    array = gradient().astype(">u2")[::2, ::-1]
    signal = ImageSignal.load(array)
    assert signal.spec.dtype == "uint16"
    np.testing.assert_array_equal(signal.array, array)


def test_palettes_are_their_colours():
    source = picture("RGB").quantize(5)
    signal = ImageSignal.load(source)
    assert signal.spec.to_header()[-1] == 5
    restored = signal.spec.image(signal.array)
    np.testing.assert_array_equal(np.asarray(restored), np.asarray(source.convert("RGB")))


def test_transparent_colour_becomes_alpha():
    source = picture("L")
    source.info["transparency"] = 0
    assert ImageSignal.load(source).spec.mode == "LA"


def test_exif_orientation_is_applied(tmp_path):
    source = Image.fromarray(gradient(8, 20))
    exif = source.getexif()
    exif[0x0112] = 6  # rotated by 90 degrees
    source.save(tmp_path / "a.png", exif=exif)
    signal = ImageSignal.load(tmp_path / "a.png")
    assert signal.spec.shape == (20, 8, 3)
    np.testing.assert_array_equal(signal.array, np.rot90(gradient(8, 20), -1))


def test_animation_gives_its_first_frame_and_a_note(tmp_path):
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "green", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    signal = ImageSignal.load(tmp_path / "a.gif")
    assert signal.notes == ("only the first of 3 frames is stored",)
    assert signal.array[0, 0, :3].tolist() == [255, 0, 0]


def test_npy_file(tmp_path):
    np.save(tmp_path / "a.npy", gradient())
    np.testing.assert_array_equal(ImageSignal.load(tmp_path / "a.npy").array, gradient())


# -- input that is refused ---------------------------------------------------------------------------------


def png_bytes(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)).save(tmp_path / "ok.png")
    return (tmp_path / "ok.png").read_bytes()


@pytest.mark.parametrize("keep", [1, 8, 20, 100, 1000, -30])
def test_truncated_file_is_one_line_with_its_name(tmp_path, keep):
    path = tmp_path / "cut.png"
    path.write_bytes(png_bytes(tmp_path)[:keep])
    with pytest.raises(InputError, match=r"cut\.png") as caught:
        ImageSignal.load(path)
    assert "\n" not in str(caught.value)


def read_or_error(path):
    try:
        ImageSignal.load(path)
    except InputError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.gif", "a.jpg", "a.bmp", "a.webp"])
def test_damaged_files_give_a_picture_or_an_input_error(tmp_path, name):
    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(0, 256, (20, 20, 3)).astype(np.uint8)).save(tmp_path / name)
    original = np.frombuffer((tmp_path / name).read_bytes(), np.uint8)
    path = tmp_path / ("damaged-" + name)
    for _ in range(40):
        data = original.copy()
        data[rng.integers(0, len(data), 6)] = rng.integers(0, 256, 6)
        path.write_bytes(data.tobytes())
        line = read_or_error(path)
        assert line is None or (str(path) in line and "\n" not in line)


def test_empty_missing_folder_and_text(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY\x01\x00rubbish")
    for name in ("empty.png", "text.png", "missing.png", "bad.npy", ""):
        with pytest.raises(InputError, match=str(tmp_path)):
            ImageSignal.load(tmp_path / name)


def test_decompression_bomb(tmp_path, monkeypatch):
    png_bytes(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(InputError, match=r"ok\.png.*bomb"):
        ImageSignal.load(tmp_path / "ok.png")


def test_pickled_arrays_are_not_loaded(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"a\.npy"):
        ImageSignal.load(tmp_path / "a.npy")


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 4, 5), np.uint8),
        np.zeros((3, 4, 0), np.uint8),
        np.zeros((0, 4), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((2, 2), np.int64),
        np.zeros((2, 2), np.complex64),
        np.array([[np.nan, 0]], np.float32),
        np.array([[np.inf, 0]], np.float32),
        np.array([[-1.7e308, 1.7e308]]),
    ],
)
def test_arrays_that_are_refused(array):
    with pytest.raises(InputError, match="array: expected"):
        ImageSignal.load(array)


# -- the header --------------------------------------------------------------------------------------------


def test_header_of_a_common_picture_is_small():
    cbor2 = pytest.importorskip("cbor2")
    assert len(cbor2.dumps(ImageSpec(512, 768, 3, "uint8", "RGB").to_header())) <= 12


@pytest.mark.parametrize(
    "header",
    [
        None,
        [],
        [0, 4, 4, 0],
        [0, 0, 4, 0, 0],
        [0, 4, -1, 0, 0],
        [0, 4, 2**31, 0, 0],
        [0, 4, True, 0, 0],
        [0, 4.0, 4, 0, 0],
        [0, 4, 4, 0, 9],
        [0, 4, 4, 0, 0, 0],
        [0, 4, 4, 5, 0],
        [0, 4, 4, 5, 0, 0],
        [0, 4, 4, 5, 0, 257],
        [0, 4, 4, 7, 0],
        [0, 4, 4, 7, 0, 0],
        [0, 4, 4, 7, 0, 5, 4],
        [0, 4, 4, 7, 0, 0, 65536],
        [0, 4, 4, 7, 0, 0.0, 1.0],
        [0, 4, 4, 9, 0, 0, 1],
        [0, 4, 4, 9, 0, math.nan, 1.0],
        [0, 4, 4, 9, 0, 0.0, math.inf],
        [0, 4, 4, 9, 0, 0.0, 1e39],
        [7, 4, 4, 0, 2, 2],
        [7, 4, 4, 0, 1, 1, 0],
        [7, 4, 4, 0, 0, 2, 0],
        [7, 4, 4, 0, 5, 2, 0],
        [7, 4, 4, 0, 2, True, 0],
        [7, 4, 4, 0, 2, 2, -1],
        [7, 4, 4, 0, 2, 2, 2],
        [7, 4, 4, 0, 2, 2, 1.0],
        [7, 4, 4, 0, 2, 2, 1, 0],
        [7, 4, 4, 9, 2, 2, 1],
    ],
)
def test_malformed_headers(header):
    with pytest.raises(MalformedError, match=r"image|signal|range|blocks"):
        ImageSpec.from_header(header)


@pytest.mark.parametrize("mode", [18, 63, -1, 69, 64 + 48, None, "RGB", 256 + 18, 512])
def test_unknown_modes(mode):
    with pytest.raises(UnknownIdError, match="image mode"):
        ImageSpec.from_header([0, 4, 4, mode, 0])


def test_a_signal_of_another_kind_is_unknown():
    with pytest.raises(UnknownIdError, match="signal id 1"):
        ImageSpec.from_header([1, 4, 4, 0, 0])


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=6),
    max_leaves=8,
)


@given(json_like | st.lists(st.integers(-1, 130) | st.floats(), min_size=4, max_size=9))
def test_any_header_is_read_or_refused(header):
    try:
        spec = ImageSpec.from_header(header)
    except FormatError:
        return
    assert ImageSpec.from_header(spec.to_header()) == spec


# -- samples and quality -----------------------------------------------------------------------------------


def test_batch_follows_the_pixels():
    signal = ImageSignal.load(gradient(5, 7))
    index = np.array([0, 8, 34])
    coords, values = signal.batch(index)
    assert coords.dtype == values.dtype == np.float32
    np.testing.assert_allclose(coords[1], [2 * 1.5 / 5 - 1, 2 * 1.5 / 7 - 1], rtol=1e-6)
    np.testing.assert_array_equal(signal.levels.to_samples(values[2]), gradient(5, 7)[4, 6])


def test_loss_on_both_libraries():
    torch = pytest.importorskip("torch")
    signal = ImageSignal.load(gradient())
    _, values = signal.batch(np.arange(20))
    other = values + 0.1
    assert signal.loss(other, values) == pytest.approx(0.01, rel=1e-3)
    assert float(signal.loss(torch.tensor(other), torch.tensor(values))) == pytest.approx(0.01, rel=1e-3)


@given(st.integers(1, 60))
def test_psnr_of_a_constant_error(error):
    a = np.full((4, 5), 100, np.uint8)
    assert psnr(a, a + np.uint8(error), 255) == pytest.approx(20 * math.log10(255 / error))


def test_psnr_of_equal_arrays_is_infinite():
    assert psnr(gradient(), gradient(), 255) == math.inf


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_decibels_predict_the_quality(dtype):
    rng = np.random.default_rng(0)
    array = (rng.random((60, 60)) * 255).astype(dtype)
    signal = ImageSignal.load(array)
    values = signal.batch(np.arange(len(signal)))[1]
    off = np.clip(values + rng.normal(0, 0.05, values.shape), -1, 1)
    predicted = signal.decibels(float(np.mean((off - values) ** 2)))
    assert signal.quality(lambda: signal.levels.to_samples(off).reshape(array.shape)).db == pytest.approx(
        predicted, abs=0.05
    )


def test_quality_refuses_another_shape():
    with pytest.raises(InputError, match="shape"):
        ImageSignal.load(gradient(4, 6)).quality(lambda: gradient(6, 4))


def test_constant_float_picture():
    signal = ImageSignal.load(np.full((3, 3), 2.5, np.float32))
    np.testing.assert_array_equal(
        render(signal.spec, lambda c: np.zeros((len(c), 1), np.float32)), signal.array[..., 0]
    )


# -- rendering ---------------------------------------------------------------------------------------------

FIELD = MLP(2, 3, 16, 1)
WAVES = FIELD.decoder(FIELD.init(np.random.default_rng(3)))
SPEC = ImageSpec(20, 33, 3, "uint8", "RGB")


def close(a, b):
    assert a.shape == b.shape
    assert np.abs(a.astype(int) - b.astype(int)).max(initial=0) <= 1


@settings(max_examples=25, deadline=None)
@given(
    scale=st.floats(0.05, 4),
    grid=st.integers(0, 7),
    tile=st.integers(1, 700),
    threads=st.integers(1, 3),
    data=st.data(),
)
def test_a_region_is_part_of_the_whole(scale, grid, tile, threads, data):
    spec = ImageSpec(20, 33, 3, "uint8", "RGB", grid=Grid.from_header(grid))
    left, top = data.draw(st.integers(0, 32)), data.draw(st.integers(0, 19))
    right, bottom = data.draw(st.integers(left + 1, 33)), data.draw(st.integers(top + 1, 20))
    whole = render(spec, WAVES, scale=scale)
    part = render(spec, WAVES, scale=scale, region=(left, top, right, bottom), tile=tile, threads=threads)
    h, w = whole.shape[:2]
    y, x = min(round(top * h / 20), h - 1), min(round(left * w / 33), w - 1)
    close(part, whole[y : y + part.shape[0], x : x + part.shape[1]])
    assert abs(part.shape[0] - (bottom - top) * h / 20) <= 1
    assert abs(part.shape[1] - (right - left) * w / 33) <= 1


@pytest.mark.parametrize("tile", [1, 7, 33, 100, 10_000])
@pytest.mark.parametrize("threads", [1, 3])
def test_tiles_do_not_show(tile, threads):
    close(render(SPEC, WAVES, scale=1.5, tile=tile, threads=threads), render(SPEC, WAVES, scale=1.5, threads=1))


@pytest.mark.parametrize("tile", [5, 49, 60, 100_000])
def test_any_tile_makes_the_same_picture(tile):
    close(render(SPEC, WAVES, scale=1.5, tile=tile), render(SPEC, WAVES, scale=1.5))


def test_regions_tile_the_picture():
    whole = render(SPEC, WAVES, scale=1.7)
    columns = [render(SPEC, WAVES, scale=1.7, region=(a, 0, b, 20)) for a, b in ((0, 9), (9, 10), (10, 33))]
    close(np.concatenate(columns, axis=1), whole)


def test_size_of_the_whole_equals_scale():
    close(render(SPEC, WAVES, size=(40, 66)), render(SPEC, WAVES, scale=2))


def test_size_of_a_region_is_the_size_of_the_result():
    part = render(SPEC, WAVES, size=(10, 20), region=(5, 5, 15, 10))
    close(part, render(SPEC, WAVES, scale=2, region=(5, 5, 15, 10)))


def test_one_pixel_high_and_wide():
    for h, w in ((1, 9), (9, 1), (1, 1)):
        spec = ImageSpec(h, w, 3, "uint8", "RGB")
        assert render(spec, WAVES, scale=3).shape == (3 * h, 3 * w, 3)
        assert render(spec, WAVES, scale=0.01).shape == (1, 1, 3)


@pytest.mark.parametrize(
    "options",
    [
        {"scale": 0},
        {"scale": -1},
        {"scale": math.nan},
        {"scale": math.inf},
        {"size": (0, 4)},
        {"scale": 1, "size": (4, 4)},
        {"region": (0, 0, 34, 20)},
        {"region": (5, 5, 5, 9)},
        {"region": (-1, 0, 5, 5)},
        {"region": (9, 0, 5, 5)},
    ],
)
def test_renderings_that_make_no_picture(options):
    with pytest.raises(InputError, match=r"scale|size|region"):
        render(SPEC, WAVES, **options)


@pytest.mark.parametrize("options", [{"scale": 1e6}, {"size": (10**9, 10**9)}, {"size": (1, 2**32)}])
def test_absurd_sizes_are_refused_before_allocation(options):
    tracemalloc.start()
    with pytest.raises(LimitError, match="limit"):
        render(SPEC, WAVES, **options)
    with pytest.raises(LimitError, match="limit"):
        render(ImageSpec(2**31 - 1, 2**31 - 1, 3, "uint8", "RGB"), WAVES)
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_memory_is_the_result_and_a_few_tiles():
    spec = ImageSpec(1000, 1000, 1, "uint8", "L")

    def wide(coords):
        return np.repeat(coords, 64, axis=1).sum(axis=1, keepdims=True)

    tracemalloc.start()
    array = render(spec, wide, scale=2, threads=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert array.nbytes == 4e6
    # 2048 pixels x 128 columns x 4 bytes are 1 MB a tile; all activations would be 2 GB.
    assert peak < array.nbytes + 12e6


def test_a_part_of_a_huge_rendering_is_cheap():
    spec = ImageSpec(1_000_000, 1_000_000, 3, "uint8", "RGB")
    tracemalloc.start()
    assert render(spec, WAVES, scale=100, region=(5000, 7000, 5001, 7001)).shape == (100, 100, 3)
    assert tracemalloc.get_traced_memory()[1] < 30e6
    tracemalloc.stop()


def test_wild_values_are_clipped():
    wild = np.array([[np.nan, np.inf, -np.inf], [1e30, -7, 0]], np.float32)
    spec = ImageSpec(1, 2, 3, "uint8", "RGB")
    assert render(spec, lambda _: wild).tolist() == [[[255, 255, 0], [255, 0, 128]]]


def test_a_field_of_another_width_is_refused():
    with pytest.raises(MalformedError, match="field"):
        render(SPEC, lambda coords: np.zeros((len(coords), 2), np.float32))


# -- files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_the_suffix_holds_the_mode(tmp_path, mode):
    signal = ImageSignal.load(picture(mode))
    array = signal.array.reshape(signal.spec.shape)
    path = tmp_path / f"a{signal.spec.suffix}"
    signal.spec.save(array, path)
    if path.suffix == ".npy":
        np.testing.assert_array_equal(np.load(path), array)
    else:
        with Image.open(path) as written:
            assert written.mode == signal.spec.pillow_mode
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    ("mode", "name"), [("RGBA", "a.jpg"), ("F", "a.png"), ("RGB", "a.xyz"), ("RGB", "a"), ("HSV", "a.tif")]
)
def test_a_format_that_does_not_fit_leaves_no_file(tmp_path, mode, name):
    signal = ImageSignal.load(picture(mode))
    with pytest.raises(InputError, match="expected"):
        signal.spec.save(signal.array.reshape(signal.spec.shape), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_arrays_without_a_mode_go_to_npy(tmp_path):
    signal = ImageSignal.load(np.zeros((3, 4, 3), np.uint16))
    assert signal.spec.suffix == ".npy"
    with pytest.raises(InputError, match=r"\.npy"):
        signal.spec.save(signal.array, tmp_path / "a.png")


# -- blocks ------------------------------------------------------------------------------------------------


def in_blocks(height=40, width=56, block=16):
    return ImageSignal.load(gradient(height, width), block=block)


def constant(value):
    return lambda coords: np.full((len(coords), 3), value, np.float32)


def test_blocks_are_recorded_and_read_back():
    spec = in_blocks().spec
    assert spec.to_header() == [7, 40, 56, 0, 2, 4, 4]
    assert ImageSpec.from_header(spec.to_header()) == spec
    assert (spec.parts, ImageSpec.parts_in(spec.to_header()), spec.samples) == (8, 8, 40 * 56)
    assert spec.describe()["blocks"] == [2, 4]


def test_each_block_has_its_pixels_and_those_that_it_fades_over():
    signal = in_blocks()
    parts = signal.parts
    assert [part.array.shape[:2] for part in parts[:4]] == [(24, 18), (24, 22), (24, 22), (24, 18)]
    np.testing.assert_array_equal(parts[5].array, signal.array[16:40, 10:32])
    coords, values = parts[5].batch(np.arange(24 * 22))
    # The domain of every block is as large; one at the border of the picture has none of its fade there.
    np.testing.assert_allclose(coords[[0, -1]], [[-27 / 28, -21 / 22], [19 / 28, 21 / 22]], rtol=1e-6)
    np.testing.assert_array_equal(parts[5].levels.to_samples(values).reshape(24, 22, 3), parts[5].array)


@pytest.mark.parametrize(("height", "width", "block"), [(40, 56, 16), (41, 57, 8), (9, 300, 13), (17, 17, 16)])
def test_what_every_block_knows_of_its_pixels_is_the_picture(height, width, block):
    signal = in_blocks(height, width, block)
    fields = Fields([exact(part) for part in signal.parts], tile=50)
    np.testing.assert_array_equal(signal.spec.render(fields), signal.array)
    np.testing.assert_array_equal(signal.spec.render(fields, region=(3, 2, 17, 9)), signal.array[2:9, 3:17])


def test_one_block_is_one_piece():
    for signal in (in_blocks(block=200), in_blocks(block=0), ImageSignal.load(gradient(40, 56))):
        assert signal.spec.cut is None
        assert signal.parts == [signal]


@pytest.mark.parametrize("block", [-1, 7, 16.5, math.nan, math.inf, 2**31, "16"])
def test_sizes_of_blocks_that_are_refused(block):
    with pytest.raises(InputError, match="block"):
        ImageSignal.load(gradient(), block=block)


def test_large_pictures_are_cut_when_asked(monkeypatch):
    monkeypatch.setattr(ImageSignal, "BLOCKS", replace(ImageSignal.BLOCKS, largest=40 * 56, side=16))
    assert ImageSignal.load(gradient(40, 56)).in_blocks().spec.cut is None
    assert ImageSignal.load(gradient(40, 57)).in_blocks().spec == in_blocks(40, 57).spec
    assert in_blocks(40, 57, 20).in_blocks().spec.cut.counts == (2, 3)


def test_a_source_is_compared_as_it_was_cut():
    spec = in_blocks().spec
    assert ImageSignal.load(gradient(40, 56), like=spec).spec == spec
    assert ImageSignal.load(gradient(40, 55), like=spec).spec.cut is None


@pytest.mark.parametrize("scale", [0.4, 1, 2, 3.7])
def test_blocks_blend_in_a_straight_line(scale):
    """Between a dark and a light block the picture rises over the pixels of the fades, at every scale."""
    spec = ImageSpec(8, 40, 3, "uint8", "RGB", cut=Cut((8, 40), (1, 2), 4))
    picture = spec.render(Fields([constant(-1), constant(1)]), scale=scale)
    x = (np.arange(picture.shape[1]) + 0.5) * 40 / picture.shape[1]
    close(picture[0, :, 0], np.rint(np.clip((x - 16) / 8, 0, 1) * 255))
    assert np.ptp(picture, axis=0).max() == 0


@settings(max_examples=25, deadline=None)
@given(scale=st.floats(0.05, 4), block=st.integers(8, 20), tile=st.integers(1, 700), data=st.data())
def test_a_region_of_blocks_is_part_of_the_whole(scale, block, tile, data):
    spec = ImageSignal.load(gradient(20, 33), block=block).spec
    rng = np.random.default_rng(1)
    parts = [FIELD.decoder(FIELD.init(rng)) for _ in range(spec.parts)]
    left, top = data.draw(st.integers(0, 32)), data.draw(st.integers(0, 19))
    right, bottom = data.draw(st.integers(left + 1, 33)), data.draw(st.integers(top + 1, 20))
    whole = spec.render(Fields(parts), scale=scale)
    part = spec.render(Fields(parts, tile, threads=2), scale=scale, region=(left, top, right, bottom))
    h, w = whole.shape[:2]
    y, x = min(round(top * h / 20), h - 1), min(round(left * w / 33), w - 1)
    close(part, whole[y : y + part.shape[0], x : x + part.shape[1]])


def test_only_the_blocks_of_a_region_are_taken():
    spec, taken = in_blocks().spec, set()

    class Parts(list):
        def __getitem__(self, number):
            taken.add(number)
            return constant(0)

    spec.render(Fields(Parts()), region=(0, 0, 9, 15))
    assert taken == {0}
    spec.render(Fields(Parts()), region=(18, 10, 24, 20), scale=2)
    assert taken == {0, 1, 5}


def test_a_wild_block_spoils_no_more_than_its_own_pixels():
    spec = ImageSpec(8, 40, 3, "uint8", "RGB", cut=Cut((8, 40), (1, 2), 4))
    picture = spec.render(Fields([constant(math.nan), constant(-1)]))
    assert picture[0, 24:, 0].tolist() == [0] * 16
    assert picture[0, :16, 0].tolist() == [255] * 16
    with pytest.raises(LimitError, match="pixels"):
        spec.render(Fields([constant(0)] * 2, max_samples=900))


def test_quality_tells_of_seams():
    signal = in_blocks()
    decoded = signal.array.copy()
    decoded[::2] ^= 1
    assert signal.quality(lambda: decoded).figures["seam_db"] == pytest.approx(0, abs=0.01)
    decoded[:, 10:18] ^= 2
    assert signal.quality(lambda: decoded).figures["seam_db"] > 3
    assert signal.quality(lambda: signal.array).figures == {}


def test_rendering_blocks_takes_little_beside_the_picture():
    spec = ImageSpec(1000, 1000, 3, "uint8", "RGB", cut=Cut((1000, 1000), (4, 4), 4))
    fields = Fields([FIELD.decoder(FIELD.init(np.random.default_rng(seed))) for seed in range(16)], threads=1)
    tracemalloc.start()
    array = spec.render(fields)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < array.nbytes + 3e6


def test_an_array_on_the_disk_stays_there(tmp_path):
    np.save(tmp_path / "a.npy", gradient(200, 300))
    tracemalloc.start()
    signal = ImageSignal.load(tmp_path / "a.npy", block=64)
    assert len(signal.parts) == 15
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()
    np.testing.assert_array_equal(signal.parts[-1].array, signal.array[signal.spec.cut.area(14)])


@pytest.mark.parametrize("mode", MODES)
def test_a_picture_is_read_in_strips(mode, monkeypatch):
    whole = ImageSignal.load(picture(mode)).array
    monkeypatch.setattr("sinr_codec.signals.image_files._STRIP", 40)
    np.testing.assert_array_equal(ImageSignal.load(picture(mode)).array, whole)
