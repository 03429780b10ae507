"""Integers in the context of their neighbours, against a decoder of docs/format.md in plain arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinr_codec.coding import context
from sinr_codec.coding.coders import CODERS, CONTEXT
from sinr_codec.coding.entropy import decode_ints, decode_stream, encode_stream, skip_stream
from sinr_codec.coding.rangecoder import range_encode
from sinr_codec.coding.tensor import Direct, decode_tensor, describe_tensor, encode_tensor
from sinr_codec.coding.varint import Reader, write_varint
from sinr_codec.errors import FormatError, InputError, LimitError, MalformedError

SMALL = st.integers(-3, 3)
ANY = st.integers(-(2**61) + 1, 2**61 - 1)


def plain_decoder(data: bytes, count: int, row: int) -> list[int]:
    """The integers of a range-coded stream, by exact fractions: no window, no carries, no shared code."""
    code, low, width = Fraction(int.from_bytes(data + bytes(8), "big"), 256 ** (len(data) + 8)), 0, 1 << 48
    code *= 1 << 48

    def slot(zeros: int, total: int) -> int:
        nonlocal low, width, code
        unit = width // total
        got = code >= low + zeros * unit
        low, width = (low + zeros * unit, (total - zeros) * unit) if got else (low, zeros * unit)
        while width < 1 << 32:
            code, low, width = code * 65536, low * 65536, width * 65536
        return int(got)

    counts: dict = {}

    def bit(*key) -> int:
        model = counts.setdefault(key, [1, 1])
        got = slot(model[0], sum(model))
        model[got] += 2
        if sum(model) > 256:
            counts[key] = [(n + 1) // 2 for n in model]
        return got

    values: list[int] = []

    def at(rows_up: int, left: int) -> int:
        x = len(values) % row
        number = len(values) - rows_up * row - left
        return values[number] if 0 <= x - left < row and number >= 0 else 0

    while len(values) < count:
        near = 2 * abs(at(0, 1)) + 2 * abs(at(1, 0))
        near += abs(at(0, 2)) + abs(at(2, 0)) + abs(at(1, 1)) + abs(at(1, -1))
        context = sum(near > t for t in (0, 1, 2, 3, 5, 8, 12, 18))
        size = bit("zero", context)
        if size:
            while size < 15 and bit("more", size, (context + 1) // 2):
                size += 1
            if size == 15:
                length = 0
                while slot(1, 2):
                    length += 1
                rest = 1
                for _ in range(length):
                    rest = 2 * rest + slot(1, 2)
                size += rest - 1
            sign = [(v > 0) + 2 * (v < 0) for v in (at(0, 1), at(1, 0))]
            size = -size if bit("sign", *sign) else size
        values.append(size)
    return values


def grid(rows: int, row: int, seed: int = 0) -> np.ndarray:
    """Integers whose size varies slowly."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:rows, :row]
    return np.rint(rng.laplace(0, 3 * np.exp(-((y - rows / 2) ** 2 + (x - row / 2) ** 2) / (row * 4)))).astype(np.int64)


@settings(deadline=None)
@given(st.lists(SMALL | ANY, min_size=1, max_size=120), st.integers(1, 130))
def test_round_trip(q: list[int], row: int) -> None:
    values = np.array(q, np.int64)
    body = context.encode(values, min(row, len(q)))
    assert body is not None
    for read in (lambda reader: decode_stream(reader, CONTEXT, len(q)), lambda reader: None):
        reader = Reader(body + b"more")
        found = read(reader)
        if found is None:
            skip_stream(reader, CONTEXT, len(q))
        else:
            np.testing.assert_array_equal(found, values)
        assert reader.remaining == 4


@settings(deadline=None, max_examples=40)
@given(st.lists(SMALL | st.integers(-500, 500), min_size=1, max_size=60), st.integers(1, 70))
def test_the_description_decodes_it(q: list[int], row: int) -> None:
    row = min(row, len(q))
    body = context.encode(np.array(q, np.int64), row)
    assert body is not None
    assert body[: len(write_varint(row))] == write_varint(row)
    assert plain_decoder(body[len(write_varint(row)) :], len(q), row) == q


def test_long_streams_and_what_contexts_save() -> None:
    q = grid(70, 100)
    without, (coder, body) = encode_stream(q), encode_stream(q, 100, neighbours=True)
    assert coder == CONTEXT
    assert len(body) < 0.9 * len(without[1])
    assert CODERS[coder].name == "range/context"
    np.testing.assert_array_equal(decode_stream(Reader(body), coder, q.size), q.reshape(-1))
    noise = np.random.default_rng(0).integers(-100, 100, (70, 100))
    assert encode_stream(noise, 100, neighbours=True) == encode_stream(noise)  # nothing to be gained
    assert encode_stream(np.zeros((9, 9), np.int64), 9, neighbours=True) == encode_stream(np.zeros((9, 9), np.int64))


def test_a_tensor_in_rows() -> None:
    w = grid(30, 40).astype(np.float32).reshape(-1, 1)
    record = encode_tensor(w, Direct(step=1.0, row=40))
    assert len(record) < len(encode_tensor(w, Direct(step=1.0)))
    np.testing.assert_array_equal(decode_tensor(record, w.shape, w.dtype), w)
    assert describe_tensor(record, w.shape, w.dtype)["coder"] == "range/context"
    for wrong in ({"bits": 4, "row": 3}, {"step": 1.0, "row": 0}):
        with pytest.raises(InputError, match="row"):
            Direct(**wrong)  # type: ignore[arg-type]


def test_what_cannot_be_coded() -> None:
    assert context.encode(np.array([2**61]), 1) is None
    sparse = np.zeros(1 << 20, np.int64)
    sparse[5] = 1
    body = context.encode(sparse, 1 << 10)
    if body is not None:  # within the bound of the format
        np.testing.assert_array_equal(decode_stream(Reader(body), CONTEXT, sparse.size), sparse)


def test_damage_is_refused() -> None:
    data = bytes([CONTEXT]) + (context.encode(grid(6, 8).reshape(-1), 8) or b"")
    for end in range(len(data)):
        with pytest.raises(FormatError):
            decode_ints(data[:end], 48)
    with pytest.raises(MalformedError):
        decode_ints(bytes([CONTEXT, 0]) + data[2:], 48)
    with pytest.raises(FormatError):
        decode_ints(bytes([CONTEXT, 49]) + data[2:], 48)
    with pytest.raises(MalformedError, match="62 bits"):
        decode_stream(Reader(bytes([1]) + range_encode([(1, 1, 2)] * 90), "x"), CONTEXT, 1)
    with pytest.raises(LimitError):
        decode_ints(bytes([CONTEXT, 1]) + write_varint(3) + bytes(3), 10**6)


def test_the_example_of_the_format():
    assert decode_ints(bytes.fromhex("02 04 61 eb ff f7 f8 1b"), 11).tolist() == [0, 1, 0, 0, 3, 17, -1, 0, 1, -2, 0]
