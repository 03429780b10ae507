import brotli
import numpy as np
import pytest

from sinr_codec.coding import words
from sinr_codec.coding.varint import Reader, write_varint
from sinr_codec.errors import LimitError, MalformedError, TruncatedError


@pytest.mark.parametrize(
    ("values", "form"),
    [
        ([0, 255], (1, False)),
        ([-128, 127], (1, True)),
        ([0, 256], (2, False)),
        ([-129, 0], (2, True)),
        ([2**40, 1], (6, False)),
        ([-(2**63), 2**63 - 1], (8, True)),
    ],
)
@pytest.mark.parametrize("interleaved", [False, True])
def test_the_narrowest_words_hold_all_values(values, form, interleaved):
    q = np.tile(np.array(values, np.int64), 30)
    assert words.narrowest(q) == form
    body = words.encode(q, *form, interleaved)
    reader = Reader(body + b"more")
    np.testing.assert_array_equal(words.decode(reader, q.size), q)
    assert reader.remaining == 4
    reader = Reader(body + b"more")
    words.skip(reader)
    assert reader.remaining == 4


def test_words_are_those_of_brotli():
    q = np.random.default_rng(0).integers(0, 2**16, 500)
    body = words.encode(q, 2, signed=False, interleaved=True)
    reader = Reader(body)
    assert reader.byte() == 1 | 16
    assert brotli.decompress(bytes(reader.take(reader.varint()))) == q.astype("<u2").tobytes()
    # By planes, all low bytes come first.
    reader = Reader(words.encode(q, 2, signed=False, interleaved=False))
    assert reader.byte() == 1
    low = brotli.decompress(bytes(reader.take(reader.varint())))[: q.size]
    assert low == (q & 255).astype(np.uint8).tobytes()


def test_a_fast_brotli_tells_about_the_size():
    q = np.tile(np.random.default_rng(1).integers(-99, 99, 300), 20)
    body = words.encode(q, *words.narrowest(q), interleaved=False)
    assert 0.8 * len(body) < words.rough_size(q) < 1.5 * len(body)


def test_more_symbols_than_a_byte_may_say_are_left_to_other_coders():
    assert words.encode(np.zeros(10**5, np.int64), 1, signed=False, interleaved=False) is None


def test_damage_is_refused():
    data = brotli.compress(bytes(30))
    for body, count, error in (
        (bytes([32]) + write_varint(len(data)) + data, 30, MalformedError),  # unknown parameters
        (bytes([0]) + write_varint(len(data)) + data, 29, MalformedError),
        (bytes([0]) + write_varint(len(data)) + data, 31, MalformedError),
        (bytes([0]) + write_varint(len(data) - 1) + data[:-1], 30, TruncatedError),
        (bytes([0]) + write_varint(len(data)) + data[::-1], 30, MalformedError),
        (bytes([0]) + write_varint(len(data)) + data, 10**9, LimitError),
        (bytes([7]) + write_varint(10), 1, TruncatedError),
    ):
        with pytest.raises(error):
            words.decode(Reader(body), count)
