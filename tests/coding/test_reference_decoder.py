"""The package against the coders of docs/format.md in plain Python, which share no code with it."""

from fractions import Fraction
from functools import cache
from math import isqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinr_codec.coding import model
from sinr_codec.coding.entropy import encode_ints
from sinr_codec.coding.sets import encode_sets

T = 1 << 20


@cache
def power_of_two(x: Fraction, bits: int) -> int:
    """floor(2**(bits + x)) by nested integer square roots; x in 1/256 steps."""
    value = 1 << int((bits + x) * 256)
    for _ in range(8):
        value = isqrt(value)
    return value


def from_exponents(exponents: list[int], mode: int) -> list[int]:
    weights = []
    for e in exponents:
        e = min(e, 32 << 16)
        weights.append(power_of_two(Fraction(-((e >> 8) & 255), 256), 30) >> (e >> 16))
    freqs = [1 + w * (T - len(weights)) // sum(weights) for w in weights]
    freqs[mode] += T - sum(freqs)
    return freqs


def frequencies(shape: int, scale: int, size: int, centre: int) -> list[int]:
    if shape == 7:
        return [T // size + (T % size if i == 0 else 0) for i in range(size)]
    half_width = power_of_two(Fraction(scale, 8) - 4, 16)
    exponents = []
    for i in range(size):
        u = (abs(i - centre) << 32) // half_width
        v = min(u, 64 << 16)
        exponents.append(
            {
                0: isqrt(u << 16),
                1: v,
                2: v * isqrt(v << 16) >> 16,
                3: v * v >> 16,
                4: (v * v >> 16) * v >> 16,
            }[shape]
        )
    return from_exponents(exponents, centre)


def log2_24(n: int) -> int:
    whole = n.bit_length() - 1
    m, fraction = n << (31 - whole), 0
    for _ in range(24):
        m = m * m >> 31
        fraction *= 2
        if m >> 32:
            m >>= 1
            fraction += 1
    return (whole << 24) + fraction


LOGS = [0]


def hypergeometric(positions: int, chosen: int) -> tuple[int, list[int]]:
    logs = LOGS
    for n in range(len(logs), positions + 1):
        logs.append(logs[-1] + log2_24(n))
    half = positions // 2
    other = positions - half
    counts = range(max(0, chosen - other), min(chosen, half) + 1)
    costs = [logs[j] + logs[half - j] + logs[chosen - j] + logs[other - chosen + j] for j in counts]
    least = min(costs)
    return counts[0], from_exponents([c - least >> 8 for c in costs], costs.index(least))


class Bytes:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, n: int) -> bytes:
        self.at += n
        return self.data[self.at - n : self.at]

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def zigzag(self) -> int:
        z = self.varint()
        return z // 2 if z % 2 == 0 else -(z + 1) // 2


class Coded:
    def __init__(self, source: Bytes) -> None:
        self.source, self.start = source, source.at
        self.range, self.read = 1 << 48, 6
        self.code = int.from_bytes(self._ahead(0, 6), "big")

    def _ahead(self, at: int, n: int) -> bytes:
        return (self.source.data[self.start + at :] + bytes(n))[:n]

    def symbol(self, freqs: list[int]) -> int:
        unit = self.range // T
        slot, index = self.code // unit, 0
        while slot >= freqs[index]:
            slot -= freqs[index]
            index += 1
        self.code -= sum(freqs[:index]) * unit
        self.range = freqs[index] * unit
        self._renormalise()
        return index

    def uniform(self, n: int) -> int:
        unit = self.range // n
        value = self.code // unit
        self.code -= value * unit
        self.range = unit
        self._renormalise()
        return value

    def _renormalise(self) -> None:
        while self.range < 1 << 32:
            self.code = self.code << 16 | int.from_bytes(self._ahead(self.read, 2), "big")
            self.range <<= 16
            self.read += 2

    def finish(self) -> None:
        tail = 1 if self.range >= 1 << 41 else 2 if self.range >= 1 << 33 else 3
        self.source.at = self.start + self.read - 6 + tail


def integers(source: Bytes, coder: int, count: int) -> list[int]:
    if coder == 0:
        return [source.zigzag()] * count
    shape = coder - 8
    if shape == 7:
        lo, width, scale = source.zigzag(), source.varint() + 1, 0
        centre = lo
    else:
        byte, radius = source.take(1)[0], source.take(1)[0]
        scale = byte & 127
        if radius == 255:
            lo, width = source.zigzag(), source.varint() + 1
            centre = lo + source.varint() if byte & 128 else min(max(0, lo), lo + width - 1)
        else:
            centre = source.zigzag() if byte & 128 else 0
            radius = radius if radius < 16 else (8 + radius % 8) << (radius // 8 - 1)
            lo, width = centre - radius, 2 * radius + 1
    shift = max(0, (width - 1).bit_length() - 12)
    freqs = frequencies(shape, scale, ((width - 1) >> shift) + 1, (centre - lo) >> shift)
    if count > 4096:
        source.varint()
    coded = Coded(source)
    high = [coded.symbol(freqs) for _ in range(count)]
    coded.finish()
    size = count * shift
    packed = int.from_bytes(source.take((size + 7) // 8), "big") >> (-size % 8)
    low = [packed >> (shift * (count - 1 - i)) & ((1 << shift) - 1) for i in range(count)]
    return [lo + (a << shift) + b for a, b in zip(high, low)]


def sets(source: Bytes, s: int, n: int, positions: int) -> list[list[int]]:
    if s * n > 4096:
        source.varint()
    coded = Coded(source)

    def members(chosen: int, start: int, size: int) -> list[int]:
        if chosen in (0, size):
            return list(range(start, start + chosen))
        if chosen == 1:
            return [start + coded.uniform(size)]
        least, freqs = hypergeometric(size, chosen)
        lower = least + coded.symbol(freqs)
        half = size // 2
        return members(lower, start, half) + members(chosen - lower, start + half, size - half)

    columns = [members(s, 0, positions) for _ in range(n)]
    coded.finish()
    return columns


@settings(deadline=None)
@given(
    shape=st.sampled_from([0, 1, 2, 3, 4, 7]),
    scale=st.integers(0, 127),
    size=st.integers(1, 80),
    centre=st.floats(0, 1, exclude_max=True),
)
def test_frequencies(shape: int, scale: int, size: int, centre: float) -> None:
    middle = int(centre * size)
    assert model.frequencies(shape, scale, size, middle).tolist() == frequencies(shape, scale, size, middle)


@pytest.mark.parametrize(("shape", "scale"), [(0, 0), (0, 127), (1, 80), (2, 90), (3, 100), (4, 127)])
def test_frequencies_of_the_largest_support(shape: int, scale: int) -> None:
    assert model.frequencies(shape, scale, 4096, 1500).tolist() == frequencies(shape, scale, 4096, 1500)


@settings(deadline=None)
@given(st.data())
def test_hypergeometric(data: st.DataObject) -> None:
    positions = data.draw(st.integers(1, 3000))
    chosen = data.draw(st.integers(0, min(positions, 60)))
    least, freqs = model.hypergeometric(positions, chosen)
    assert (least, freqs.tolist()) == hypergeometric(positions, chosen)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=30) | st.lists(st.integers(-9, 9), min_size=1))
def test_integers(q: list[int]) -> None:
    source = Bytes(encode_ints(np.array(q, dtype=np.int64)) + b"next")
    coder = source.take(1)[0]
    if coder != 1:  # Brotli
        assert integers(source, coder, len(q)) == q
        assert source.take(5) == b"next"


@pytest.mark.parametrize("mean", [0, 5000])
@pytest.mark.parametrize("deviation", [0.3, 30, 3000])
def test_integers_with_a_length(mean: int, deviation: float) -> None:
    q = np.rint(np.random.default_rng(1).normal(mean, deviation, 4100)).astype(np.int64)
    source = Bytes(encode_ints(q))
    assert integers(source, source.take(1)[0], len(q)) == q.tolist()
    assert source.at == len(source.data)


@settings(deadline=None, max_examples=20)
@given(st.data())
def test_sets(data: st.DataObject) -> None:
    positions = data.draw(st.integers(1, 2000))
    s = data.draw(st.integers(1, min(positions, 20)))
    column = st.sets(st.integers(0, positions - 1), min_size=s, max_size=s).map(sorted)
    columns = data.draw(st.lists(column, min_size=1, max_size=4))
    source = Bytes(encode_sets(np.array(columns).T, positions) + b"next")
    assert sets(source, s, len(columns), positions) == columns
    assert source.take(5) == b"next"


def test_sets_with_a_length() -> None:
    rng = np.random.default_rng(3)
    columns = [sorted(rng.choice(90, 17, replace=False).tolist()) for _ in range(242)]
    source = Bytes(encode_sets(np.array(columns).T, 90))
    assert sets(source, 17, len(columns), 90) == columns
    assert source.at == len(source.data)
