"""Planes of last bits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinr_codec.coding.planes import MAX_PLANES, PlaneReader, base_of, encode_plane, levels_of
from sinr_codec.coding.tensor import Direct, Raw, coarse_record, decode_tensor, encode_tensor
from sinr_codec.errors import FormatError, LimitError, MalformedError

LEVELS = st.lists(st.lists(st.integers(-(2**30), 2**30) | st.integers(-9, 9), max_size=40), max_size=3)


@given(LEVELS, st.integers(1, MAX_PLANES))
def test_bits_come_back_plane_by_plane(tensors, planes):
    tensors = [np.array(levels, np.int64) for levels in tensors]
    readers = [PlaneReader(encode_plane(tensors, planes, number), number) for number in range(planes)]
    for levels in tensors:
        bits = base_of(levels, planes)
        for there in range(planes + 1):
            least = levels_of(bits, planes, there)
            assert ((least <= levels) & (levels < least + (1 << planes - there))).all()
            if there < planes:
                bits = readers[there].finer(bits)
    for reader in readers:
        reader.end()


def test_the_example_of_the_format():
    """Section 6.9."""
    levels = np.array([0, 5, -3, 12, -6, 1])
    assert base_of(levels, 2).tolist() == [0, 1, -1, 3, -1, 0]
    assert [encode_plane([levels], 2, number).hex() for number in range(2)] == ["f2", "66"]


def test_what_is_likely_costs_less_than_a_bit():
    levels = np.rint(np.random.default_rng(0).laplace(0, 1.5, 20_000)).astype(np.int64)
    sizes = [8 * len(encode_plane([levels], 3, number)) / levels.size for number in range(3)]
    assert sizes[0] < 0.95
    assert max(sizes) < 1.01


@pytest.mark.parametrize("dtype", ["float32", "float16", "complex64"])
def test_a_tensor_is_the_same_bits_with_all_planes_and_near_with_some(dtype):
    rng = np.random.default_rng(1)
    w = rng.normal(size=(7, 20)).astype(dtype)
    record = encode_tensor(w, Direct(step=0.02))
    coarse, levels = coarse_record(record, w.shape, w.dtype, 3)
    planes = [encode_plane([levels], 3, number) for number in range(3)]
    whole = decode_tensor(record, w.shape, w.dtype)
    for there in range(4):
        readers = [PlaneReader(plane, number) for number, plane in enumerate(planes[:there])]
        found = decode_tensor(coarse, w.shape, w.dtype, readers, 3)
        width = 0.02 * (1 << 3 - there)
        parts = [(found - whole).real, (found - whole).imag]
        assert np.abs(parts).max() <= width / 2 + 1e-3
    np.testing.assert_array_equal(found, whole)


def test_other_records_stay():
    w = np.random.default_rng(2).normal(size=9)
    for coding in (Raw(), Direct(bits=9), Direct(step=2.0**118)):
        record = encode_tensor(w, coding)
        coarse, levels = coarse_record(record, w.shape, w.dtype, 3)
        assert levels.size == 0
        np.testing.assert_array_equal(decode_tensor(coarse, w.shape, w.dtype, (), 3), decode_tensor(record, (9,), "f8"))


def test_damage_is_refused():
    levels = np.arange(5000) % 17
    plane = encode_plane([levels], 2, 0)
    with pytest.raises(FormatError):
        PlaneReader(plane[:-9], 0).finer(base_of(levels, 2))
    reader = PlaneReader(plane + b"\0", 0)
    reader.finer(base_of(levels, 2))
    with pytest.raises(MalformedError, match="left over"):
        reader.end()
    with pytest.raises(LimitError, match="symbols"):
        PlaneReader(b"\0" * 50, 0).finer(np.zeros(1 << 20, np.int64))
    with pytest.raises(MalformedError, match="left over"):
        PlaneReader(b"\0", 0).end()


def test_no_symbol_is_free():
    """A reader bounds symbols by bytes, so even a tensor of equal levels takes what it must."""
    levels = np.zeros(1 << 20, np.int64)
    reader = PlaneReader(encode_plane([levels], 1, 0), 0)
    np.testing.assert_array_equal(levels_of(reader.finer(base_of(levels, 1)), 1, 1), levels)
