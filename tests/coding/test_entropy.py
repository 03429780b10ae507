import tracemalloc

import brotli
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinr_codec.coding.coders import BROTLI, CODERS, CONSTANT, RANGE
from sinr_codec.coding.entropy import (
    decode_ints,
    decode_stream,
    encode_ints,
    encode_stream,
    encode_words,
    ideal_bits,
    skip_stream,
)
from sinr_codec.coding.model import UNIFORM
from sinr_codec.coding.varint import Reader, write_varint
from sinr_codec.errors import FormatError, InputError, LimitError, MalformedError, TruncatedError, UnknownIdError

SPARSE_END = [0, 0, 0, 0, 40, 0, 0, 0, -1, 1, 0, 0, 0, 0, 0]
INT64 = st.integers(-(2**63), 2**63 - 1)


def gaussian(n: int, deviation: float = 32.0, mean: float = 0.0) -> np.ndarray:
    return np.rint(np.random.default_rng(n).normal(mean, deviation, n)).astype(np.int64)


def entropy_bytes(q: np.ndarray) -> float:
    """Empirical order-0 entropy of all of q."""
    counts = np.unique(q, return_counts=True)[1]
    return float(counts @ np.log2(q.size / counts)) / 8


@settings(deadline=None)
@given(st.lists(INT64, max_size=40) | st.lists(st.integers(-20, 20), max_size=300) | st.lists(st.integers(100, 9999)))
def test_round_trip(q: list[int]) -> None:
    values = np.array(q, dtype=np.int64)
    data = encode_ints(values)
    np.testing.assert_array_equal(decode_ints(data, len(q)), values)
    reader = Reader(data + b"more")
    np.testing.assert_array_equal(decode_ints(reader, len(q)), values)
    assert reader.remaining == 4
    reader = Reader(data + b"more")
    skip_stream(reader, reader.byte(), len(q))
    assert reader.remaining == 4


@pytest.mark.parametrize("dtype", ["u1", "i1", "<i2", ">i4", "u8", "?"])
def test_every_integer_dtype(dtype: str) -> None:
    values = np.arange(100).reshape(4, 25).astype(dtype)
    np.testing.assert_array_equal(decode_ints(encode_ints(values), 100), values.ravel().astype(np.int64))


def test_refuses_what_is_no_int64() -> None:
    with pytest.raises(InputError, match="integer array"):
        encode_ints(np.ones(3))
    with pytest.raises(InputError, match="below"):
        encode_ints(np.array([2**63], dtype=np.uint64))


@pytest.mark.parametrize(
    ("data", "q"),
    [
        ("000a", [5] * 4),
        ("081e0296dd37", [0, 1, -1, 0, 2, 0, -2, 1]),
        ("0f0f11a285223fc68012a7bb857e", [3, -1, 4, -1, -5, 9, -2, 6, 5, -3, 5, -8, 9, -7, 9, 3, 2, -3, 8, 4]),
        ("0fce0f045001", [1000, 1001, 1003, 999, 1000, 1002]),
        ("0c7278801fef406b0201c08400", [0, 70000, -70000, 123456]),
        ("08021ac1e8cf5afdfae503", [0, 0, 1, 0, 0, 0, -1, 0, 0, 2, 0, 0, -3, 0, 0, 1, *SPARSE_END]),
    ],
)
def test_known_answers(data: str, q: list[int]) -> None:
    assert decode_ints(bytes.fromhex(data), len(q)).tolist() == q


def test_constants_and_nothing_take_a_byte_or_two() -> None:
    assert encode_stream(np.zeros(10**6, np.int64)) == (CONSTANT, b"\x00")
    assert encode_stream(np.full(7, -3)) == (CONSTANT, b"\x05")
    assert encode_ints(np.zeros(0, np.int64)) == b"\x00\x00"
    assert decode_ints(b"\x00\x05", 10**12).strides == (0,)  # no memory, whatever the count


@pytest.mark.parametrize(("n", "overhead"), [(64, 5), (1024, 8), (4096, 12), (65536, 60)])
def test_gaussian_data_costs_its_entropy(n: int, overhead: float) -> None:
    """Against n times the entropy of the distribution itself; the sample's own is smaller for small n."""
    expected = n * np.log2(32 * np.sqrt(2 * np.pi * np.e)) / 8
    sampling = 3 * np.sqrt(n / 2) * np.log2(np.e) / 8  # three deviations of the sample's ideal length
    assert len(encode_ints(gaussian(n))) < expected + overhead + sampling


@pytest.mark.parametrize("draw", ["laplace", "uniform", "standard_t", "logistic"])
def test_other_distributions_cost_little_more_than_their_entropy(draw: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_t(3, 8192) if draw == "standard_t" else getattr(rng, draw)(size=8192)
    q = np.rint(x / x.std() * 24).astype(np.int64)
    assert len(encode_ints(q)) < 1.015 * entropy_bytes(q)


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_minmax_words_with_a_centre_far_from_zero(bits: int) -> None:
    x = np.random.default_rng(bits).normal(size=8192)
    q = np.rint((x - x.min()) / np.ptp(x) * (2**bits - 1)).astype(np.int64)
    ideal = 8192 * (np.log2(q.std()) + 2.047) / 8
    assert len(encode_ints(q)) < 1.005 * ideal


def test_wide_alphabets_are_split() -> None:
    q = gaussian(4096, 1e6)
    assert len(encode_ints(q)) < 1.01 * 4096 * (np.log2(1e6) + 2.047) / 8
    np.testing.assert_array_equal(decode_ints(encode_ints(q), 4096), q)


def test_one_sided_data() -> None:
    q = np.random.default_rng(0).geometric(0.01, 8192).astype(np.int64)
    assert len(encode_ints(q)) < 1.02 * entropy_bytes(q)


def test_repetition_goes_to_brotli() -> None:
    q = np.tile(gaussian(256), 40)
    coder, body = encode_stream(q)
    assert (coder, CODERS[coder].name) == (BROTLI, "brotli")
    assert len(body) < 600
    np.testing.assert_array_equal(decode_stream(Reader(body), coder, q.size), q)


@pytest.mark.parametrize("values", [[-128, 127], [255, 0], [-129, 5], [65535, 1], [-(2**63), 7], [2**40, -1]])
def test_brotli_widths_and_signs(values: list[int]) -> None:
    q = np.tile(np.array(values), 400)
    q[-3:] = values[0]
    coder, body = encode_stream(q)
    assert coder == BROTLI
    np.testing.assert_array_equal(decode_stream(Reader(body), coder, q.size), q)


@pytest.mark.parametrize("n", [1, 5, 64, 4097, 20000])
def test_ideal_bits_is_what_the_range_coder_spends(n: int) -> None:
    for deviation in (0.4, 9, 700):
        q = gaussian(n, deviation)
        size = len(encode_ints(q)) - 1
        assert abs(ideal_bits(q) / 8 - size) <= 1.7 + 0.001 * size or (size < ideal_bits(q) / 8 and n > 4096)


def test_nearly_constant_data_keeps_to_1024_symbols_a_byte() -> None:
    q = np.zeros(200_000, np.int64)
    q[123_456] = 1
    data = encode_ints(q)
    assert q.size / 1024 - 4 <= len(data) < 3 * q.size / 1024
    np.testing.assert_array_equal(decode_ints(data, q.size), q)


def test_words_are_the_papers_accounting() -> None:
    q = np.random.default_rng(0).integers(0, 65536, 3000)
    coder, body = encode_words(q, 2)
    plain = brotli.compress(q.astype("<u2").tobytes(), quality=11)
    assert coder == BROTLI
    assert body[1 + len(write_varint(len(plain))) :] == plain
    np.testing.assert_array_equal(decode_stream(Reader(body), coder, 3000), q)
    with pytest.raises(InputError):
        encode_words(np.array([65536]), 2)
    assert encode_words(np.zeros(10**5, np.int64), 2)[0] == CONSTANT  # too many symbols a byte for Brotli


@pytest.mark.parametrize("coder", [4, 7, 13, 14])
def test_unknown_coders(coder: int) -> None:
    with pytest.raises(UnknownIdError, match=str(coder)):
        decode_ints(bytes([coder]) + bytes(20), 3)


def test_counts_that_the_bytes_cannot_hold_are_refused_before_allocation() -> None:
    body = brotli.compress(bytes(10**6))
    for data in (
        bytes([BROTLI, 0]) + write_varint(len(body)) + body,
        bytes([RANGE + UNIFORM, 0, 1, 20]) + bytes(20),
    ):
        with pytest.raises(LimitError, match="symbols"):
            decode_ints(data, 10**12)


def test_brotli_bombs_are_stopped() -> None:
    body = brotli.compress(bytes(10**8), quality=1)
    data = bytes([BROTLI, 0]) + write_varint(len(body)) + body
    tracemalloc.start()
    try:
        with pytest.raises(MalformedError, match="Brotli"):
            decode_ints(data, 1000)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20  # of the 100 MB that the body stands for
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("data", "count", "error"),
    [
        ("", 3, TruncatedError),
        ("00", 3, TruncatedError),
        ("000a00", 3, MalformedError),  # left over
        ("010005", 3, TruncatedError),
        ("012000", 3, MalformedError),  # unknown Brotli parameters
        ("0100050b00800103ff", 1, MalformedError),
        ("0f0f" + "ff" * 9 + "01" + "00" * 9, 3, MalformedError),  # a support beyond int64
        ("0f0002ffffff", 1, MalformedError),  # code outside the model
        ("0ffe1f801000000001", 2, FormatError),
    ],
)
def test_damage_of_each_kind(data: str, count: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        decode_ints(bytes.fromhex(data), count)


def test_every_truncation_is_seen() -> None:
    for q in (gaussian(300), gaussian(5000), gaussian(50, 1e7), np.tile(gaussian(50), 30), np.full(4, 1000)):
        data = encode_ints(q)
        for cut in range(0, len(data), 1 + len(data) // 300):
            with pytest.raises(FormatError):
                decode_ints(data[:cut], q.size)
        with pytest.raises(MalformedError, match="left over"):
            decode_ints(data + b"\0", q.size)


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 15), st.binary(max_size=60), st.integers(0, 6000))
def test_random_bytes_give_integers_or_a_typed_error(coder: int, data: bytes, count: int) -> None:
    try:
        q = decode_ints(bytes([coder]) + data, count)
    except FormatError:
        return
    assert q.shape == (count,)


def test_encoding_is_deterministic() -> None:
    assert encode_ints(gaussian(5000)) == encode_ints(gaussian(5000))
