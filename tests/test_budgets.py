"""Files of a few bytes that declare much: what they may cost is bounded before it is spent."""

import tracemalloc

import brotli
import numpy as np
import pytest

from sinr_codec import decoding, inspecting
from sinr_codec.coding.varint import write_varint
from sinr_codec.container import BASE, FIELD, STATE, Header, Limits, TensorEntry, write
from sinr_codec.errors import FormatError, InputError, LimitError
from sinr_codec.fields import MLP, Modulated, Pyramid, Radiance, Sine
from sinr_codec.fields.pyramid_section import PyramidSection
from sinr_codec.foreign.decompress import decompress

ZEROS = bytes([0x00, 0])
"""A raw record of a constant stream: zeros, however many."""
ANY = Limits(**dict.fromkeys(("max_params", "max_samples", "max_file_bytes"), 2**62))


def of_signal(signal, features, *, width=1, layers=0, side=b""):
    """A file of a signal, from its header, whose weights are all zero."""
    field = MLP(*features, width, layers, Sine(30.0))
    sections = [ZEROS * len(field.shapes())] + ([side] if side else [])
    return write(Header(FIELD, field=field.to_header(), signal=signal), sections, ANY)


def of_scene(signal):
    field = Radiance(1, 0)
    return write(Header(FIELD, field=field.to_header(), signal=signal), [ZEROS * len(field.shapes())], ANY)


def of_tensors(*entries, record=ZEROS):
    tensors = [TensorEntry(f"t{n}", shape, np.dtype(dtype)) for n, (shape, dtype) in enumerate(entries)]
    return write(Header(STATE, tensors=tensors), [record * len(tensors)], ANY)


def picture(rows, columns, **network):
    return of_signal([0, rows, columns, 0, 0], (2, 3), **network)


def products(side, s):
    """A record of a square matrix of sparse columns: equal coefficients of equal atoms."""
    atoms = bytes([1 << 6]) + write_varint(0) + write_varint(2 * s) + write_varint(s)
    return bytes([3 << 4, 0, 0x80]) + atoms + bytes([2, 0, 0])


def scene(pixels=8, steps=8, fine=1, cells=8):
    box = [-1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 0.1, steps, fine, cells]
    lens = [pixels, pixels, float(pixels), float(pixels), pixels / 2, pixels / 2]
    return [6, lens, 1, box, [0, 0, 0], [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 0.0], 0]


HOSTILE = {
    "a picture 2^30 wide": picture(1, 2**30),
    "a picture 2^30 high": picture(2**30, 1),
    "a picture of 32,768 x 32,768": picture(2**15, 2**15),
    "a picture of float64": of_signal([0, 2**13, 2**13, 64 + 8 * 5, 0, -1.0, 1.0], (2, 1)),
    "a volume 2^30 deep": of_signal([2, [2**30, 1, 1], 0, 0, [4, -1.0, 1.0]], (3, 1)),
    "a video of 2^30 frames": of_signal([4, 2**30, 1, 1, 1, 25, 1], (3, 1)),
    "a sound of a year": of_signal([1, 48_000, 48_000 * 31_536_000 // 2048, 2, 0, 0, [1.0]], (1, 2)),
    "a shape of 2,000^3": of_signal([5, 0, 0, 2000, 2000, 2000, 4.0, 1.0, 0.0, 0.0, 0.0], (3, 1)),
    "much work for each pixel": picture(2**11, 2**11, width=2**7, layers=2**9),
    "many neurons for each pixel": of_signal([0, 2**15, 2**15, 1, 0], (2, 1), layers=2**10),
    "a scene of large views": of_scene(scene(pixels=2**12)),
    "a scene of many steps": of_scene(scene(pixels=2**10, steps=1024, fine=8)),
    "a scene of many cells": of_scene(scene(cells=256)),
}
NETWORKS = {
    "a tensor of 2^27 numbers": of_tensors(((2**27,), "float32")),
    "a tensor of 2^29 bytes": of_tensors(((2**26,), "float64")),
    "many tensors": of_tensors(*[((2**23,), "float32")] * 32),
    "scales of 2^27 rows": of_tensors(((2**27, 1), "float32"), record=bytes([5 << 4, 0, 0x80, 0, 0, 0, 0, 0])),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_small_file_of_a_large_signal_is_refused_before_anything_is_allocated(name):
    blob = HOSTILE[name]
    assert len(blob) < 5000
    for act in (decoding.decode, inspecting.verify, inspecting.info):
        tracemalloc.start()
        try:
            if act is inspecting.info:
                assert inspecting.info(blob)["bytes"] == len(blob)
            else:
                with pytest.raises(LimitError, match=r"--limit max_(bytes|work)=VALUE") as caught:
                    act(blob)
                assert len(str(caught.value)) < 300
            assert tracemalloc.get_traced_memory()[1] < 100e6
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_small_file_of_a_large_network_is_refused_before_anything_is_allocated(name):
    blob = NETWORKS[name]
    tracemalloc.start()
    try:
        for act in (decompress, inspecting.verify, inspecting.info):
            with pytest.raises(LimitError, match=r"--limit max_bytes=VALUE"):
                act(blob)
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()


def test_records_of_many_products_are_refused_together():
    one = of_tensors(((2048, 2048), "float32"), record=products(2048, 1000))
    assert len(one) < 64
    for blob in (one, of_tensors(*[((1024, 1024), "float32")] * 20, record=products(1024, 500))):
        assert all(tensor["k2"] for tensor in inspecting.info(blob)["tensors"])
        with pytest.raises(LimitError, match=r"more work .*--limit max_work=VALUE"):
            decompress(blob)


def test_few_products_are_not():
    blob = of_tensors(((64, 64), "float32"), record=products(64, 8))
    assert decompress(blob)["t0"].shape == (64, 64)


def test_info_of_a_base_decodes_nothing():
    field = Modulated(MLP(2, 3, 1024, 2, Sine(30.0)), 64)
    records = ZEROS * len(field.shapes())
    blob = write(Header(BASE, field=field.to_header(), base=()), [records + b"no model of latents"], ANY)
    tracemalloc.start()
    try:
        assert inspecting.info(blob)["parameters"] == field.num_params
        assert tracemalloc.get_traced_memory()[1] < 1e6
    finally:
        tracemalloc.stop()
    large = Modulated(MLP(2, 3, 8192, 0, Sine(30.0)), 2**14)
    blob = write(Header(BASE, field=large.to_header(), base=()), [ZEROS * len(large.shapes())], ANY)
    with pytest.raises(LimitError, match="max_bytes"):
        inspecting.info(blob)


def test_a_constant_picture_may_be_large():
    """Its planes of latents are all zero, and a file of 73 bytes is enough."""
    field = Pyramid.for_grid((4096, 4096), 3)
    codec = PyramidSection()
    coded = codec.assemble(field, codec.records(field, field.init(np.random.default_rng(0))))
    blob = write(Header(FIELD, field=field.to_header(), signal=[0, 4096, 4096, 0, 0]), [coded.section], ANY)
    assert len(blob) < 80
    corner = decoding.decode(blob, region=(4000, 4000, 4096, 4096))
    assert corner.shape == (96, 96, 3)
    assert corner.min() == corner.max()
    with pytest.raises(LimitError, match="max_bytes"):
        decoding.open(blob, limits=Limits(max_bytes=2**24))


def test_limits_that_are_raised_let_a_file_pass():
    blob = picture(1, 2**24)
    with pytest.raises(LimitError, match="max_bytes"):
        decoding.decode(blob, limits=Limits(max_bytes=2**20))
    with pytest.raises(LimitError, match="max_work"):
        decoding.decode(blob, limits=Limits(max_work=2**20))
    assert decoding.decode(blob, region=(0, 0, 8, 1), limits=Limits(max_work=2**20)).shape == (1, 8, 3)


def test_more_may_be_taken_by_a_larger_file():
    limits = Limits()
    for size, megapixels in ((20_000, 200), (2_000_000, 2_000)):
        assert limits.of_file(size).bound("max_bytes") >= 3e6 * megapixels
    # A picture of 200 megapixels, a year of daily grids of a quarter degree, a view of 800 x 800, all at low rates.
    pixels, cells, points = 2e8, 365 * 721 * 1440, 800 * 800 * 384
    for positions, params, size in ((pixels, 20_000, 16_000), (cells, 100_000, 80_000), (points, 20_000, 16_000)):
        assert limits.of_file(size).bound("max_work") >= 4 * positions * params
    assert limits.of_file(10**12).bound("max_bytes") == 2**34
    assert limits.of_file(10**12).bound("max_work") == 2**50
    assert Limits(max_work=7, max_bytes=8).of_file(10**6) == Limits(max_work=7, max_bytes=8)


def test_limits_from_text():
    assert Limits.parse("max_bytes=16G", "max-work = 2**50") == Limits(max_bytes=2**34, max_work=2**50)
    assert Limits.parse() == Limits()
    wrong_numbers = ("max_bytes", "max_bytes=", "max_bytes=-1", "max_bytes=1.5", "max_work=2**999", "max_work=9" * 99)
    for wrong in (*wrong_numbers, "bytes=1"):
        with pytest.raises(InputError, match=r"limit .*expected"):
            Limits.parse(wrong)


def test_a_lack_of_memory_is_one_line_with_the_remedy(monkeypatch):
    decoder = decoding.open(picture(8, 8))
    monkeypatch.setattr(type(decoder.spec), "render", lambda *_: np.empty(2**62, np.uint8))
    with pytest.raises(LimitError, match="not enough memory; ask for a part"):
        decoder.render()


def test_metadata_of_a_volume_unpack_to_a_bounded_number_of_bytes():
    blob = of_signal([2, [4, 4, 4], 0, 4, [4, -1.0, 1.0]], (3, 1), side=brotli.compress(b'{"a":[' + b"[]," * 2**22))
    assert len(blob) < 200
    with pytest.raises(FormatError, match="holds more than"):
        inspecting.info(blob)
