"""Integer weights of several tensors in one stream: exactness, cost, damage."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinr_codec.coding.rangecoder import range_encode
from sinr_codec.coding.varint import Reader
from sinr_codec.coding.weights import bytes_of, decode_weights, encode_weights
from sinr_codec.errors import FormatError, InputError, LimitError, MalformedError, TruncatedError

INTEGERS = st.one_of(st.integers(-20, 20), st.integers(-(2**31) + 1, 2**31 - 1))


def laplace(rng, spread, count):
    return np.rint(rng.laplace(0, spread, count)).astype(np.int32)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.lists(INTEGERS, max_size=12), st.integers(0, 18)), max_size=4))
def test_what_is_decoded_is_what_was_coded(tensors):
    arrays = [np.array([v - v % (1 << e if v > 0 else -(1 << e)) for v in values], np.int64) for values, e in tensors]
    reader = Reader(encode_weights(arrays))
    decoded = decode_weights(reader, [len(values) for values, _ in tensors])
    reader.end()
    assert [array.tolist() for array in decoded] == [array.tolist() for array in arrays]


@pytest.mark.parametrize("spread", [0.3, 2.0, 30.0])
def test_cost_is_near_the_entropy(spread):
    """About two bytes for the model of each tensor, and two for the end of the stream."""
    rng = np.random.default_rng(0)
    tensors = [laplace(rng, spread, count) << shift for shift, count in enumerate((20, 90, 400, 1500))]
    ideal = 0.0
    for shift, tensor in enumerate(tensors):
        k = np.abs(tensor >> shift)
        tails = [np.exp(-np.maximum(k + side, 0) / spread) / 2 for side in (-0.5, 0.5)]
        ideal -= np.log2(np.where(k == 0, 1 - 2 * tails[1], tails[0] - tails[1])).sum() / 8
    size = len(encode_weights(tensors))
    assert size < 1.01 * ideal + 2 * len(tensors) + 2
    assert abs(bytes_of(tensors) - size) < 3


def test_the_example_of_the_format():
    text = (Path(__file__).parents[2] / "docs/format.md").read_text()
    data = bytes.fromhex(re.search(r"fifteen times 0 and -3200 are the bytes `([0-9a-f ]+)`", text)[1])
    tensors = [[12, -4, 0, 8], [0, 0], [32, *[0] * 15, -3200]]
    assert encode_weights([np.array(tensor) for tensor in tensors]) == data
    assert [array.tolist() for array in decode_weights(Reader(data), [4, 2, 17])] == tensors


def test_zeros_cost_next_to_nothing():
    assert len(encode_weights([np.zeros(count, np.int32) for count in (5, 300, 40)])) <= 2


def test_a_long_stream_states_its_length():
    tensor = laplace(np.random.default_rng(0), 5, 5000)
    data = encode_weights([tensor])
    reader = Reader(data + b"behind")
    np.testing.assert_array_equal(decode_weights(reader, [5000])[0], tensor)
    assert bytes(reader.take(6)) == b"behind"
    with pytest.raises(LimitError):
        decode_weights(Reader(b"\x01\x00"), [1 << 20])


def test_values_of_more_bits_are_refused():
    with pytest.raises(InputError, match="below 2"):
        encode_weights([np.array([-(2**31)])])


def test_decoded_values_of_more_bits_are_refused():
    header = [(2, 1, 6), (0, 1, 64)]
    escape = (2**20 - 1, 1, 2**20)
    for exponent, length in ((0, 40), (15, 20)):
        symbols = [*header, (exponent, 1, 16), escape, (length, 1, 64), (0, 1, 2**16), (0, 1, 2**4)]
        with pytest.raises(MalformedError, match="not below"):
            decode_weights(Reader(range_encode(symbols)), [1])


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=40), st.lists(st.integers(0, 60), min_size=1, max_size=3))
def test_any_bytes_give_weights_or_an_error(data, counts):
    try:
        decoded = decode_weights(Reader(data), counts)
    except FormatError:
        return
    assert [len(array) for array in decoded] == counts
    assert all(np.abs(array).max(initial=0) < 2**31 for array in decoded)


def test_a_stream_that_ends_early():
    data = encode_weights([laplace(np.random.default_rng(0), 9, 100)])
    with pytest.raises(TruncatedError):
        decode_weights(Reader(data[:30]), [100])
