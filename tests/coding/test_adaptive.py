"""The coder whose scale follows rows, and the trellis whose levels it knows."""

import contextlib
import math
from fractions import Fraction
from functools import cache
from math import isqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinr_codec.coding import adaptive
from sinr_codec.coding.coders import ADAPTIVE, CODERS
from sinr_codec.coding.entropy import decode_stream, encode_stream, skip_stream
from sinr_codec.coding.tensor import Direct, decode_tensor, describe_tensor, direct_cost, encode_tensor, row_of
from sinr_codec.coding.trellis import follows_trellis, parities, quantise
from sinr_codec.coding.varint import Reader, write_varint
from sinr_codec.errors import InputError, MalformedError, SinrError, TruncatedError


def in_rows(rows: int, row: int, seed: int = 0) -> np.ndarray:
    """Integers whose spread differs from row to row, as weights do."""
    rng = np.random.default_rng(seed)
    return np.rint(rng.normal(size=(rows, row)) * np.exp(rng.normal(size=(rows, 1)) + 2)).astype(np.int64)


def encoded(levels: np.ndarray, row: int, trellis: bool = False, exponents: np.ndarray | None = None) -> bytes | None:
    fit = adaptive.fit(levels, row, trellis, exponents)
    return None if fit is None else fit.encode()


def plain_decoder(data: bytes, count: int, exponents: list[int] | None = None) -> list[int]:
    """Coder 3 as docs/format.md describes it, in plain Python."""
    numbers, at = [], 1
    for _ in range(3):
        value, shift = 0, 0
        while True:
            value |= (data[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if data[at - 1] < 128:
                break
        numbers.append(value)
    (start, _, row), first, radius = numbers, data[0], 2 * numbers[1]
    padded = data[at:] + bytes(8)
    code, spread, at = int.from_bytes(padded[:6], "big"), 1 << 48, 6
    following = [[0, 1], [2, 3], [5, 4], [7, 6], [1, 0], [3, 2], [4, 5], [6, 7]]
    values: list[int] = []
    state = 0
    for number in range(count):
        i, j = divmod(number, row)
        state = state if j else 0
        before, higher = range(i * row, number), range(j, number, row)
        trellis, most = first >> 3 & 1, radius
        if exponents is None:
            in_row, above = (sum(abs(values[n]) for n in places) for places in (before, higher))
            mean = (8 * start + 16 * (2 * in_row + above)) // (8 + 2 * j + i)
            scale = index_of(mean, 120) + (first >> 4) - 8
        else:
            e, limit = exponents[number], (index_of(start, 136) - 16) // 2
            octave = min(e // 4, 15)
            most = radius if octave == 0 else 2 * (radius // 2 ** (octave + 1) + 1)
            counting = [[n for n in places if exponents[n] <= limit] for places in (before, higher)]
            in_row, above = (
                sum(abs(values[n]) * power_of_two(Fraction(exponents[n], 4), 6) for n in places) for places in counting
            )
            mean = (512 * start + 16 * (2 * in_row + above)) // (64 * (8 + 2 * len(counting[0]) + len(counting[1])))
            scale = index_of(mean, 136) - 2 * e + (first >> 4) - 8
            scale += min(max((5 * (32 - scale + 8 * trellis) + 10) // 16, 0), 8)
        scale = min(max(scale, 0), 127)
        if trellis:
            odd = state & 1
            symbols = list(range(-most - odd, most + odd + 1, 2))
        else:
            symbols = list(range(-most, most + 1))
        freqs = frequencies_of([abs(k) for k in symbols], first & 7, scale)
        unit = spread >> 20
        slot, low, chosen = code // unit, 0, 0
        while low + freqs[chosen] <= slot:
            low, chosen = low + freqs[chosen], chosen + 1
        code, spread = code - low * unit, freqs[chosen] * unit
        while spread < 1 << 32:
            code, spread, at = (
                code << 16 | int.from_bytes((padded + bytes(4))[at : at + 2], "big"),
                spread << 16,
                at + 2,
            )
        values.append(symbols[chosen])
        state = following[state][symbols[chosen] >> 1 & 1]
    return values


def index_of(mean: int, most: int) -> int:
    return max((k for k in range(most + 1) if power_of_two(Fraction(k, 8), 0) <= mean), default=0)


def frequencies_of(distances: list[int], shape: int, scale: int) -> list[int]:
    half_width = power_of_two(Fraction(scale, 8) - 4, 16)
    exponents = []
    for distance in distances:
        u = (distance << 32) // half_width
        v = min(u, 64 << 16)
        exponents.append([isqrt(u << 16), v, v * isqrt(v << 16) >> 16, v * v >> 16, (v * v >> 16) * v >> 16][shape])
    exponents = [min(e - min(exponents), 32 << 16) for e in exponents]
    weights = [power_of_two(Fraction(-((e >> 8) & 255), 256), 30) >> (e >> 16) for e in exponents]
    freqs = [1 + w * ((1 << 20) - len(weights)) // sum(weights) for w in weights]
    freqs[distances.index(min(distances))] += (1 << 20) - sum(freqs)
    return freqs


@cache
def power_of_two(x: Fraction, bits: int) -> int:
    """floor(2**(bits + x)), x in 1/256 steps."""
    value = 1 << int((bits + x) * 256)
    for _ in range(8):
        value = isqrt(value)
    return value


@pytest.mark.parametrize("trellis", [False, True])
@pytest.mark.parametrize("spread", [0.3, 2, 40])
def test_the_description_decodes_it(trellis: bool, spread: float) -> None:
    x = np.random.default_rng(5).laplace(0, spread, (5, 13))
    q = (quantise(x) if trellis else np.rint(x).astype(np.int64)).reshape(-1)
    body = encoded(q, 13, trellis)
    assert body is not None
    assert plain_decoder(body, q.size) == q.tolist()


@pytest.mark.parametrize("trellis", [False, True])
@pytest.mark.parametrize("spread", [0.2, 2, 40, 300])
def test_the_description_decodes_it_where_units_differ(trellis: bool, spread: float) -> None:
    rng = np.random.default_rng(6)
    exponents = rng.integers(0, 14, (5, 1)) + rng.integers(0, 9, 13)
    x = rng.laplace(0, spread, (5, 13)) / 2 ** (exponents / 4)
    q = (quantise(x) if trellis else np.rint(x).astype(np.int64)).reshape(-1)
    body = encoded(q, 13, trellis, exponents.reshape(-1))
    assert body is not None
    assert plain_decoder(body, q.size, exponents.reshape(-1).tolist()) == q.tolist()


def test_the_example_of_the_description() -> None:
    body = bytes.fromhex("b9 4c 06 04 77 58 06 38")
    assert adaptive.decode(Reader(body), 8).tolist() == [0, -4, 4, 2, 8, -8, 0, -12]
    assert plain_decoder(body, 8) == [0, -4, 4, 2, 8, -8, 0, -12]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(-40, 40), min_size=1, max_size=90), st.integers(1, 90), st.booleans(), st.data())
def test_what_is_coded_is_decoded(q: list[int], row: int, trellis: bool, data: st.DataObject) -> None:
    row = min(row, len(q))
    units = data.draw(st.none() | st.lists(st.integers(0, 254), min_size=len(q), max_size=len(q)))
    exponents = None if units is None else np.array(units)
    values = np.array(q, np.int64)
    if trellis:
        rows = -(-len(q) // row)
        values = quantise(np.resize(values, (rows, row)).astype(float)).reshape(-1)[: len(q)]
    body = encoded(values, row, trellis, exponents)
    fit = adaptive.fit(values, row, trellis, exponents)
    if body is None:
        # Only where a level of a coarse unit stands for one of a fine one that is too large.
        assert exponents is not None
        assert fit is None
        assert np.max(np.abs(values) * 2.0 ** (exponents // 4)) > 2046
        return
    assert fit is not None
    assert abs(8 * len(body) - fit.bits) < 24
    reader = Reader(body + b"more")
    np.testing.assert_array_equal(adaptive.decode(reader, len(q), exponents), values)
    assert reader.remaining == 4
    reader = Reader(body + b"more")
    adaptive.skip(reader, len(q), exponents)
    assert reader.remaining == 4


def test_rows_of_different_spread_take_fewer_bytes() -> None:
    q = in_rows(64, 64)
    plain, (coder, body) = encode_stream(q)[1], encode_stream(q, 64)
    assert coder == ADAPTIVE
    assert CODERS[coder].name == "range/adaptive"
    assert len(body) < 0.95 * len(plain)
    np.testing.assert_array_equal(decode_stream(Reader(body), coder, q.size), q.reshape(-1))
    reader = Reader(body)
    skip_stream(reader, coder, q.size)
    assert reader.remaining == 0
    assert encode_stream(in_rows(1, 9), 9) == encode_stream(in_rows(1, 9))  # where it does not pay it is not taken
    assert encoded(np.array([5000, 1]), 2) is None
    assert encoded(np.zeros(0, np.int64), 1) is None


def test_known_units_cost_nothing() -> None:
    rng = np.random.default_rng(3)
    exponents = rng.integers(0, 40, (96, 1)) + np.zeros(96, np.int64)
    units = 2 ** (exponents / 4)
    for step in (0.01, 0.1):
        q = np.rint(rng.normal(size=(96, 96)) / (step * units)).astype(np.int64).reshape(-1)
        fit = adaptive.fit(q, 96, exponents=exponents.reshape(-1))
        assert fit is not None
        assert fit.bits < 1.03 * sum(96 * gaussian_bits(step * unit) for unit in units[:, 0])


def gaussian_bits(step: float) -> float:
    """Entropy of a standard Gaussian in steps."""
    edges = (np.arange(-math.ceil(8 / step), math.ceil(8 / step) + 2) - 0.5) * step
    p = np.diff([0.5 * math.erfc(-x / math.sqrt(2)) for x in edges])
    return float(-np.sum(p[p > 0] * np.log2(p[p > 0])))


def test_levels_that_do_not_follow_the_trellis_are_not_coded_as_if_they_did() -> None:
    assert encoded(np.array([1, 2, 3, 4]), 4, trellis=True) is None
    assert not follows_trellis(np.array([[1, 0, 0]]))  # rows begin among the even ones
    assert follows_trellis(np.array([[0, 0, 0], [2, 1, 4]])) == bool(
        (parities(np.array([[2, 1, 4]])) == [0, 1, 0]).all()
    )


@pytest.mark.parametrize("bits", [1, 2, 4, 6])
def test_distance_to_the_rate_distortion_bound(bits: int) -> None:
    """Issue of the smallest file: at most 0.12 bit a weight on Gaussian tensors."""
    w = np.random.default_rng(bits).normal(size=(256, 256)).astype(np.float32)
    step = 0.5 * math.sqrt(2 * math.pi * math.e) * 2.0**-bits
    record = encode_tensor(w, Direct(step=step, trellis=True))
    decoded = decode_tensor(record, w.shape, w.dtype)
    bound = 0.5 * math.log2(1 / float(np.mean((decoded - w) ** 2)))
    assert 0 < 8 * len(record) / w.size - bound < 0.12 + 0.01 * (bits == 1)
    assert describe_tensor(record, w.shape, w.dtype)["coder"] == "range/adaptive"
    size, error = direct_cost(w, step, trellis=True)
    assert size == pytest.approx(len(record), rel=0.01)
    assert error == pytest.approx(float(np.sum((decoded - w) ** 2)), rel=1e-4)


def test_tensors_on_the_grid_stay_as_they_are() -> None:
    w = np.random.default_rng(3).normal(size=(20, 32))
    coding = Direct(step=0.125, trellis=True)
    once = decode_tensor(encode_tensor(w, coding), w.shape, w.dtype)
    np.testing.assert_array_equal(decode_tensor(encode_tensor(once, coding), w.shape, w.dtype), once)


def test_rows_of_tensors() -> None:
    assert row_of((30, 40)) == 40
    assert row_of((3, 30, 40)) == 40
    assert row_of((30, 2)) == 60
    assert row_of((7,)) == 7
    assert row_of(()) == 1


def test_a_trellis_wants_a_step() -> None:
    with pytest.raises(InputError, match="expected a step"):
        Direct(bits=4, trellis=True)


def test_damage_is_found() -> None:
    q = in_rows(20, 30)
    body = encoded(q.reshape(-1), 30)
    assert body is not None
    with pytest.raises(MalformedError, match="unknown distribution"):
        adaptive.decode(Reader(b"\x07" + body[1:]), q.size)
    with pytest.raises(MalformedError, match="rows without"):
        adaptive.decode(Reader(bytes([2]) + write_varint(1) + write_varint(1) + write_varint(0)), q.size)
    short = encoded(q.reshape(-1)[:30], 30)
    assert short is not None
    with pytest.raises(SinrError):
        adaptive.decode(Reader(short), 10**6)
    with pytest.raises(TruncatedError):
        adaptive.decode(Reader(body[: len(body) // 2]), q.size)
    rng = np.random.default_rng(4)
    for _ in range(100):
        bad = bytearray(body)
        bad[rng.integers(len(bad))] ^= 1 << rng.integers(8)
        with contextlib.suppress(SinrError):
            assert adaptive.decode(Reader(bytes(bad)), q.size).shape == (q.size,)
