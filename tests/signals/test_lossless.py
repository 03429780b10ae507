"""What is stored exactly comes back bit by bit, in bounded memory."""

import brotli
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinr_codec.coding.varint import Reader, write_varint
from sinr_codec.errors import FormatError, InputError, LimitError, MalformedError
from sinr_codec.signals import lossless
from sinr_codec.signals.lossless import Mask, inflate_within, pack, read_array, unpack, write_array, write_mask


def test_bombs_are_refused_before_they_grow():
    with pytest.raises(MalformedError):
        unpack(write_varint(10) + brotli.compress(bytes(1 << 26), quality=1), "bomb")
    stream = brotli.compress(bytes(100))
    assert inflate_within(stream, 100, "bomb") == bytes(100)
    for damaged, most in ((stream, 99), (stream[:-2], 100), (stream + b"x", 100), (b"", 100), (b"no stream", 100)):
        with pytest.raises(FormatError):
            inflate_within(damaged, most, "bomb")
    with pytest.raises(LimitError, match="declares 1,000 bytes; this reader accepts 999"):
        unpack(pack(bytes(1000)), "bomb", 999)


@given(st.binary(max_size=300))
def test_bytes_come_back(data):
    assert unpack(pack(data), "side") == data


def test_more_bytes_than_a_reader_takes_are_not_written(monkeypatch):
    monkeypatch.setattr(lossless, "MOST_BYTES", 10)
    assert unpack(pack(bytes(10)), "side") == bytes(10)
    with pytest.raises(InputError, match="11 bytes are to be stored exactly"):
        pack(bytes(11))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["float32", "float64", "int16", "uint8", "bool", "int64", "S3"]),
    st.lists(st.integers(0, 4), min_size=0, max_size=3),
    st.integers(0, 99),
)
def test_arrays_come_back_bit_by_bit(dtype, shape, seed):
    raw = np.random.default_rng(seed).bytes(8 * int(np.prod(shape, dtype=int)))
    count = int(np.prod(shape, dtype=int))
    itemsize = np.dtype(dtype).itemsize
    array = np.frombuffer(raw[: count * itemsize], "u1" if dtype == "bool" else dtype).reshape(shape)
    array = array % 2 == 1 if dtype == "bool" else array
    reader = Reader(write_array(array), "array")
    back = read_array(reader, np.dtype(dtype), shape)
    reader.end()
    assert back.dtype == array.dtype
    assert back.tobytes() == array.tobytes()


def test_even_coordinates_cost_next_to_nothing():
    for axis in (np.linspace(-90, 90, 721), np.arange(1440, dtype=np.float32) / 4, np.arange(9000) * 6):
        assert len(brotli.compress(write_array(axis))) < 0.12 * axis.nbytes


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=3), st.integers(0, 9), st.integers(0, 99))
def test_masks_come_back(shape, tenths, seed):
    mask = np.random.default_rng(seed).random(shape) < tenths / 10
    reader = Reader(write_mask(mask), "mask")
    stored = Mask(reader, shape)
    reader.end()
    np.testing.assert_array_equal(stored.unpack(), mask)


@pytest.mark.parametrize("data", [b"", b"\x02", b"\x00", b"\x01\x01\x00\x00\x00\x00", b"\x01\x01\x64\x00\x00\x00"])
def test_masks_that_are_refused(data):
    with pytest.raises(FormatError):
        Mask(Reader(data, "mask"), (3, 4))
