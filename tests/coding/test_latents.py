"""Pyramids of latents: their stream, against a decoder of docs/format.md in plain Python integers."""

import itertools
import math
import re
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinr_codec.coding import compiled, laplace, rans
from sinr_codec.coding.latents import ContextModel, bits_of, decode_latents, encode_latents, offsets
from sinr_codec.coding.latents_numba import decode_level, seconds_saved
from sinr_codec.coding.varint import MOST_MEMORY, Reader
from sinr_codec.errors import InputError, LimitError, MalformedError, TruncatedError

RADII = {1: (4, 1, 1), 2: (9, 2, 2), 3: (4, 1, 1), 4: (2, 1, 1)}
WIDTH = 6


def random_model(axes: int, planes: int, seed: int = 0, scale: float = 40, width: int = WIDTH) -> ContextModel:
    rng = np.random.default_rng(seed)
    taps = 1 + sum(len(offsets(axes, r, causal=c)) for r, c in zip(RADII[axes], (True, False, False)))

    def weights(*shape: int) -> np.ndarray:
        return np.rint(rng.normal(0, scale, shape)).astype(np.int64)

    first = weights(width + 2, taps)
    first[-1] = np.abs(first[-1]) // 8
    return ContextModel(
        axes, *RADII[axes], first, weights(planes, width + 2), weights(width, width), weights(width),
        weights(2, width), weights(2),
    )  # fmt: skip


def sizes(shape: tuple[int, ...], halvings: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Of all levels, the finest first, for a signal of this shape."""
    return [
        tuple(-(-n // 2 ** min(level, h)) for n, h in zip(shape, halvings)) for level in range(1, max(halvings) + 1)
    ]


def random_latents(shapes: list, channels: list[int], seed: int = 0, spread: float = 2.0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.rint(rng.laplace(0, spread, (c, *s))).astype(np.int32) for c, s in zip(channels, shapes)]


def assert_equal(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    assert [y.dtype for y in found] == [np.dtype(np.int32)] * len(expected)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


def round_trip(levels: list[np.ndarray], model: ContextModel, halvings: tuple[int, ...]) -> bytes:
    data = encode_latents(levels, model, halvings)
    shapes, channels = [y.shape[1:] for y in levels], [len(y) for y in levels]
    assert_equal(decode_latents(data, shapes, channels, halvings, model), levels)
    return data


def radius_of(sigma: int) -> int:
    return int(laplace.tables().radii[16 * (sigma + 40)])


def frequencies_of(row: int) -> list[int]:
    """Those of the symbols of docs/format.md: an escape, and the integers within the radius."""
    t = laplace.tables()
    inside = np.abs(np.arange(256) - laplace.ZERO) <= t.radii[row]
    assert not t.frequencies[row, 1:][~inside[1:]].any()
    return [int(t.frequencies[row, 0]), *t.frequencies[row, inside].tolist()]


CASES = [
    ((23,), (3,), [2, 1, 3]),
    ((1,), (1,), [1]),
    ((20, 31), (3, 3), [3, 1, 1]),
    ((1, 40), (0, 4), [1, 2, 1, 1]),
    ((40, 2), (3, 1), [2, 2, 1]),
    ((5, 4), (2, 2), [3, 1]),
    ((9, 3, 14), (2, 0, 2), [2, 3]),
    ((5, 1, 7, 6), (1, 0, 2, 2), [2, 1]),
]


@pytest.mark.parametrize(("shape", "halvings", "channels"), CASES)
def test_round_trips(shape: tuple, halvings: tuple, channels: list[int]) -> None:
    shapes = sizes(shape, halvings)
    model = random_model(len(shape), sum(channels))
    levels = random_latents(shapes, channels)
    round_trip(levels, model, halvings)
    levels[0][0] = 0
    levels[-1][-1] *= 200  # beyond the clip of the inputs, and escapes
    assert round_trip(levels, model, halvings)
    zeros = [0 * y for y in levels]
    assert len(round_trip(zeros, model, halvings)) == -(-sum(channels) // 8)


# -- the description ---------------------------------------------------------------------------------------------


def clip(value: int, least: int, most: int) -> int:
    return min(max(value, least), most)


def leaky(value: int) -> int:
    value = clip(value, -32768, 32767)
    return max(value, value >> 3)


def predicted(planes: dict, place: tuple, level: int, k: int, known: tuple) -> tuple[int, int, int]:
    """(m, sigma, centre) of one latent by the formulas, from what is decoded."""
    model, channels, halvings = known
    number = sum(channels[: level - 1]) + k

    def value(at: int, plane: int, x: tuple, o: tuple) -> int:
        return clip(planes.get((at, plane, *(a + b for a, b in zip(x, o))), 0), -255, 255)

    zero = (0,) * model.axes
    inputs = [value(level, k, place, o) for o in offsets(model.axes, model.causal, causal=True)]
    inputs += [value(level, k - 1, place, o) for o in offsets(model.axes, model.previous)]
    inputs += [value(level, k - 2, place, zero)]
    up = tuple(x >> 1 if h >= level + 1 else x for x, h in zip(place, halvings))
    above = min(k, channels[level] - 1) if level < len(channels) else 0
    inputs += [value(level + 1, above, up, o) for o in offsets(model.axes, model.parent)]

    def product(matrix: np.ndarray, values: list[int]) -> list[int]:
        return [sum(int(w) * v for w, v in zip(row, values)) for row in matrix]

    acc = [a + int(b) for a, b in zip(product(model.first, inputs), model.bias[number])]
    h = [leaky(a) for a in acc[:-2]]
    acc2 = [a + (int(b) << 8) for a, b in zip(product(model.second, h), model.second_bias)]
    g = [clip(leaky((a + 128) >> 8) + b, -32768, 32767) for a, b in zip(acc2, h)]
    acc3 = [a + (int(b) << 8) for a, b in zip(product(model.third, g), model.third_bias)]
    mu, s = (((a + 128) >> 8) + lin for a, lin in zip(acc3, acc[-2:]))
    m = (mu + 8) >> 4
    return m, clip((s + 16) >> 5, -40, 40), (m + 8) >> 4


def plain_decoder(data: bytes, shapes: list, model: ContextModel, channels: list[int], halvings: tuple) -> dict:
    """The latents that are not zero by (level, plane, *place)."""
    at = -(-sum(channels) // 8)
    flags = int.from_bytes(data[:at], "little")
    numbers = [(level, k) for level in range(len(channels), 0, -1) for k in range(channels[level - 1])]
    coded = [pair for i, pair in enumerate(numbers) if not flags >> i & 1]
    state = int.from_bytes(data[at : at + 4], "little")
    at += 4

    def symbol(frequencies: list[int]) -> int:
        nonlocal state, at
        slot, found, start = state % 16384, 0, 0
        while slot >= start + frequencies[found]:
            start += frequencies[found]
            found += 1
        state = frequencies[found] * (state // 16384) + slot - start
        if state < 65536:
            state = state * 65536 + int.from_bytes(data[at : at + 2], "little")
            at += 2
        return found

    def order(latent: tuple) -> tuple:
        level, k, *place = latent
        front = model.delay * k + sum(s * x for s, x in zip(model.slopes, place))
        return -level, front, k, place

    planes: dict = {}
    everything = [(level, k, *x) for level, k in coded for x in itertools.product(*map(range, shapes[level - 1]))]
    for level, k, *place in sorted(everything, key=order):
        m, sigma, centre = predicted(planes, tuple(place), level, k, (model, channels, halvings))
        radius = radius_of(sigma)
        distance = symbol(frequencies_of(16 * (sigma + 40) + m - 16 * centre + 8)) - radius - 1
        if distance == -radius - 1:
            code = shift = 0
            while (byte := symbol([64] * 256)) >= 128:
                code, shift = code + ((byte - 128) << shift), shift + 7
            code += byte << shift
            distance = (code // 2 + radius + 1) * (-1 if code % 2 else 1)
        planes[level, k, *place] = centre + distance
    assert (state, at) == (65536, len(data))
    return planes


@pytest.mark.parametrize(("shape", "halvings", "channels"), CASES)
def test_the_description_decodes_it(shape: tuple, halvings: tuple, channels: list[int]) -> None:
    shapes = [tuple(min(n, 6) for n in s) for s in sizes(tuple(min(n, 12) for n in shape), halvings)]
    model = random_model(len(shape), sum(channels), seed=1)
    levels = random_latents(shapes, channels, spread=3)
    levels[0].reshape(-1)[-1] = -70000
    found = plain_decoder(encode_latents(levels, model, halvings), shapes, model, channels, halvings)
    for level, k, *place in found:
        assert levels[level - 1][(k, *place)] == found[level, k, *place]
    assert len(found) == sum(y.size for y in levels)


def test_the_examples_of_the_format() -> None:
    text = (Path(__file__).parents[2] / "docs/format.md").read_text()
    section = text[text.index("### 6.10 ") : text.index("### 6.11 ")]
    rows = re.findall(r"^\| (-?\d+) \| (\d+) \| (\d+) \| ([\d ]+) \|$", section, re.MULTILINE)
    assert len(rows) == 5
    for sigma, fraction, radius, numbers in rows:
        assert radius_of(int(sigma)) == int(radius)
        assert " ".join(map(str, frequencies_of(16 * (int(sigma) + 40) + int(fraction)))) == numbers

    def array(*values: object) -> np.ndarray:
        return np.array(values, np.int64)

    model = ContextModel(
        1, 1, 0, 0, array([64, 0, 0, 128], [128, 0, 0, 256], [0, 0, 0, 0]), array([0, 0, 0], [0, 256, 256]),
        array([128]), array(16), array([64], [32]), array(0, -64),
    )  # fmt: skip
    levels = [np.array([[1, 3, -2, 0]]), np.array([[2, -1]])]
    streams = re.findall(r"`((?:[0-9a-f]{2} )+[0-9a-f]{2})`", section)
    found = [encode_latents([levels[0], levels[1] * times], model, (2,)).hex(" ") for times in (1, 2000)]
    assert found == streams
    latents = {(level + 1, 0, x): int(v) for level, y in enumerate(levels) for x, v in enumerate(y[0])}
    of_ends = [
        predicted(latents, (0,), 2, 0, (model, [1, 1], (2,))),
        predicted(latents, (3,), 1, 0, (model, [1, 1], (2,))),
    ]
    stated = re.findall(r"m = (-?\d+), sigma = (-?\d+), f = (\d+)", section)
    assert [(str(m), str(sigma), str(m - 16 * centre + 8)) for m, sigma, centre in of_ends] == stated


def test_fronts_are_as_late_as_they_must_be_and_no_later() -> None:
    assert (random_model(2, 1).slopes, random_model(2, 1).delay) == ((3, 1), 5)
    for axes in RADII:
        model = random_model(axes, 1)
        causal = offsets(axes, model.causal, causal=True)

        def ahead(slopes: tuple, taps: list = causal) -> bool:
            return all(sum(s * v for s, v in zip(slopes, o)) < 0 for o in taps)

        assert ahead(model.slopes)
        for axis in range(axes):
            assert not ahead(tuple(s - (i == axis) for i, s in enumerate(model.slopes)))
        latest = max(sum(s * v for s, v in zip(model.slopes, o)) for o in offsets(axes, model.previous))
        assert model.delay == latest + 1


# -- distributions -----------------------------------------------------------------------------------------------


def test_tables_are_those_of_laplace_and_cost_what_it_costs() -> None:
    stats = pytest.importorskip("scipy.stats")
    for row in range(0, laplace.ROWS, 13):
        sigma, offset = row // 16 - 40, (row % 16 - 8) / 16
        radius, counts = radius_of(sigma), np.array(frequencies_of(row))
        assert counts.sum() == rans.TOTAL
        assert counts.min() >= 1
        assert len(counts) == 2 * radius + 2
        d = np.arange(-3000, 3001)
        cdf = stats.laplace(offset, 2 ** (sigma / 8)).cdf
        mass = cdf(d + 0.5) - cdf(d - 0.5)
        inside = np.abs(d) <= radius
        away = np.abs(counts[1:] - mass[inside] * rans.TOTAL)
        assert np.delete(away, radius).max() < 1.01  # the centre takes the remainder
        lengths = np.full(len(d), 14.0)
        lengths[inside] -= np.log2(counts[1:])
        lengths[~inside] += np.where(np.abs(d[~inside]) - radius <= 64, 8, 16)
        some = mass > 0
        ideal = -(mass[some] * np.log2(mass[some])).sum()
        assert (mass * lengths).sum() < 1.001 * ideal + 0.0009 or sigma > 32


def test_code_lengths() -> None:
    shapes = sizes((80, 90), (4, 4))
    model = random_model(2, 6, scale=10)
    levels = random_latents(shapes, [3, 1, 1, 1])
    levels[0][1, ::9] *= 100
    levels[1][:] = 0
    bits = bits_of(levels, model, (4, 4))
    assert bits.shape == (6,)
    assert bits[3] == 0
    assert bits[[0, 1, 2, 4, 5]].min() > 0
    size = 8 * len(encode_latents(levels, model, (4, 4)))
    assert bits.sum() < size < 1.003 * bits.sum() + 8 * 5


# -- models ------------------------------------------------------------------------------------------------------


def test_the_largest_weights() -> None:
    model = random_model(2, 4)
    width, taps = WIDTH, model.first.shape[1]
    largest = replace(
        model,
        first=np.sign(model.first + 0.5).astype(np.int64) * ((1 << 30) // (255 * taps)),
        bias=np.sign(model.bias) * ((1 << 30) - 10**6),
        second=np.full((width, width), 65535 // width),
        second_bias=np.full(width, -100),
        third=np.array([[1], [-1]]) * np.full(width, 5000 // width),
    )
    for each in (model, largest):
        levels = random_latents(sizes((24, 20), (2, 2)), [3, 1], spread=100)
        levels[0][0, 0, :2] = -(2**31), 2**31 - 1
        round_trip(levels, each, (2, 2))
    for name, factor in (("first", 3), ("bias", 3), ("second", 2), ("second_bias", 10**5), ("third", 20)):
        with pytest.raises(InputError, match=r"2\*\*31|31 bits"):
            replace(largest, **{name: getattr(largest, name) * factor})
    for name in ("first", "bias", "second_bias", "third", "third_bias"):
        with pytest.raises(InputError, match="expected integers"):
            replace(model, **{name: getattr(model, name)[..., :-1]})
    with pytest.raises(InputError, match="expected integers"):
        replace(model, second=model.second * 1.0)
    with pytest.raises(InputError, match="axes"):
        replace(model, axes=5)


def test_arguments_that_do_not_fit() -> None:
    model, shapes = random_model(2, 4), sizes((20, 20), (2, 2))
    levels = random_latents(shapes, [3, 1])
    for wrong, halvings in (
        (levels[:1], (2, 2)),
        (levels, (2, 1)),
        (levels, (2, 2, 2)),
        (levels[::-1], (2, 2)),
        ([levels[0][:2], levels[1]], (2, 2)),
        ([levels[0], levels[1][:, :0]], (2, 2)),
        ([levels[0] * 1.0, levels[1]], (2, 2)),
        ([levels[0].astype(np.int64) + 2**31, levels[1]], (2, 2)),
    ):
        with pytest.raises(InputError):
            encode_latents(wrong, model, halvings)
        with pytest.raises(InputError):
            bits_of(wrong, model, halvings)
    with pytest.raises(InputError):
        decode_latents(b"", shapes, [0, 4], (2, 2), model)


# -- streams -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def coded() -> tuple[bytes, list, list[int], tuple, ContextModel]:
    """A stream and what its decoder needs."""
    shapes, channels, halvings = sizes((24, 36), (2, 2)), [3, 1], (2, 2)
    model = random_model(2, 4)
    levels = random_latents(shapes, channels)
    levels[0][0, 2, 2], levels[1][0, 1] = 10**9, -500
    return encode_latents(levels, model, halvings), shapes, channels, halvings, model


def test_a_beginning_gives_the_coarse_levels(coded: tuple) -> None:
    data, *rest = coded
    whole = decode_latents(data, *rest)
    assert_equal(decode_latents(data, *rest, coarsest=1), whole[1:])
    assert_equal(decode_latents(data[:200], *rest, coarsest=1), whole[1:])
    assert_equal(decode_latents(data, *rest, coarsest=2), whole)
    with pytest.raises(TruncatedError):
        decode_latents(data[:200], *rest)


def test_limits(coded: tuple) -> None:
    data, shapes, channels, halvings, model = coded
    total = sum(c * math.prod(s) for c, s in zip(channels, shapes))
    with pytest.raises(LimitError, match="work"):
        decode_latents(Reader(data, work=total), *coded[1:])
    large = sizes((2**16, 2**12), halvings)
    with pytest.raises(LimitError, match=f"in {len(data) - 1} bytes"):
        decode_latents(data, large, channels, halvings, model)
    zeros = decode_latents(b"\x0f", sizes((2**10, 2**9), halvings), channels, halvings, model)
    assert not any(y.any() for y in zeros)
    for wrong in (b"\x1f", b"\x0f\x00", b"\x07\xff\xff\x00\x00", data + b"\0", data + b"\0\0"):
        with pytest.raises(MalformedError):
            decode_latents(wrong, *coded[1:])
    for end in (0, 3, 4, 5, 100, len(data) - 2, len(data) - 1):
        with pytest.raises((TruncatedError, LimitError)):
            decode_latents(data[:end], *coded[1:])


@pytest.mark.parametrize("with_numba", [False, True])
@pytest.mark.parametrize(
    ("shape", "halvings", "channels", "width"),
    [
        ((400, 500), (5, 5), [3, 1, 1, 1, 1], 16),
        ((400, 500), (1, 1), [8], 4),
        ((60_000,), (2,), [1, 1], 60),
        ((4, 5, 3000), (0, 0, 3), [3, 1, 1], 6),
        ((3, 4, 5, 600), (0, 0, 0, 1), [2], 6),
    ],
)
def test_memory_is_bounded_before_it_is_taken(
    shape: tuple, halvings: tuple, channels: list[int], width: int, with_numba: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if with_numba:
        pytest.importorskip("numba")
        compiled.loop(decode_level)
    monkeypatch.setattr(compiled, "pays", lambda *_: with_numba)
    shapes, model = sizes(shape, halvings), random_model(len(shape), sum(channels), scale=10, width=width)
    levels = random_latents(shapes, channels, spread=0.3)
    arguments = shapes, channels, halvings, model
    data = encode_latents(levels, model, halvings)
    decode_latents(data, *arguments)  # once for what is kept: tables and machine code

    def peak(memory: int) -> int:
        tracemalloc.start()
        try:
            decode_latents(Reader(data, memory=memory), *arguments)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    needed = peak(MOST_MEMORY)
    tracemalloc.start()
    try:
        with pytest.raises(LimitError, match=r"max_bytes=VALUE"):
            decode_latents(Reader(data, memory=needed), *arguments)
        assert tracemalloc.get_traced_memory()[1] < 2 * len(data) + 10**5
    finally:
        tracemalloc.stop()
    assert peak(3 * needed) == pytest.approx(needed, rel=0.02)


def test_planes_of_zeros_take_only_themselves(coded: tuple) -> None:
    shapes, channels, halvings, model = sizes((2000, 2000), (2, 2)), *coded[2:]
    latents = sum(c * math.prod(s) for c, s in zip(channels, shapes))
    decode_latents(Reader(b"\x0f", memory=4 * latents), shapes, channels, halvings, model)
    with pytest.raises(LimitError, match="max_bytes"):
        decode_latents(Reader(b"\x0f", memory=4 * latents - 1), shapes, channels, halvings, model)


def test_short_axes_take_no_memory() -> None:
    """Margins of five places along four axes would be a thousand times the grid."""
    width, taps = 1, 1 + sum(len(offsets(4, 25, causal=causal)) for causal in (True, False, False))
    zeros = np.zeros((width + 2, taps), np.int64)
    model = ContextModel(4, 25, 25, 25, zeros, zeros[:, :1].T, zeros[:1, :1], zeros[0, :1], zeros[:2, :1], zeros[0, :2])
    levels = random_latents([(1, 1, 1, 3000)], [1])
    bits_of(levels, model, (0, 0, 0, 1))
    tracemalloc.start()
    try:
        bits_of(levels, model, (0, 0, 0, 1))
        assert tracemalloc.get_traced_memory()[1] < 3e6
    finally:
        tracemalloc.stop()


def test_a_near_constant_plane_is_within_the_limit() -> None:
    """The most symbols that a byte can hold: all of the largest frequency."""
    model = random_model(1, 1)
    still = replace(model, first=0 * model.first, bias=0 * model.bias - np.eye(8, dtype=np.int64)[-1:] * 10000)
    still = replace(still, third=0 * still.third, third_bias=0 * still.third_bias)
    levels = [np.zeros((1, 200_000), np.int32)]
    levels[0][0, -1] = 1
    assert len(encode_latents(levels, still, (1,))) < 20
    assert max(laplace.tables().frequencies.max(), 0) == rans.TOTAL - 3
    steps, state = 0, (1 << 32) - 1
    while state >= rans.FIRST_STATE and steps < 10**5:
        state = (rans.TOTAL - 3) * (state >> 14) + min(state & 16383, rans.TOTAL - 2) - 1
        steps += 1
    assert steps < 2 * rans.SYMBOLS_PER_BYTE


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_damaged_streams(coded: tuple, data: st.DataObject) -> None:
    damaged = bytearray(coded[0])
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(damaged[: data.draw(st.integers(len(damaged) // 2, len(damaged)))])
    found = []
    for with_numba in (False, True):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(compiled, "pays", lambda *_, chosen=with_numba: chosen)
            try:
                found.append([y.tobytes() for y in decode_latents(cut, *coded[1:])])
            except (TruncatedError, MalformedError, LimitError) as error:
                found.append(type(error))
    assert found[0] == found[1]


# -- compiled ----------------------------------------------------------------------------------------------------


def test_compiled_code_gives_the_same(coded: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba")
    kernel, calls = compiled.loop(decode_level), []
    monkeypatch.setattr(compiled, "pays", lambda *_: False)
    whole = decode_latents(*coded)
    monkeypatch.setattr(compiled, "pays", lambda *_: True)
    monkeypatch.setattr(compiled, "loop", lambda _: lambda *a: calls.append(1) or kernel(*a))
    assert_equal(decode_latents(*coded), whole)
    assert len(calls) == 2
    with pytest.raises(TruncatedError):
        decode_latents(coded[0][:300], *coded[1:])
    model = random_model(4, 3, scale=400)
    round_trip(random_latents(sizes((9, 5, 8, 6), (1, 0, 2, 2)), [2, 1], spread=80), model, (1, 0, 2, 2))


def test_without_numba_fronts_do_all(coded: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    monkeypatch.setattr(compiled, "loop", compiled.loop.__wrapped__)
    monkeypatch.setattr(compiled, "pays", lambda *_: True)
    assert compiled.loop(decode_level) is None
    assert decode_latents(*coded)[0][0, 2, 2] == 10**9


def test_compiled_code_where_no_folder_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    numba = pytest.importorskip("numba")

    def njit(function: object = None, *, cache: bool = False) -> object:
        if cache:
            raise RuntimeError("no locator available")
        return function

    monkeypatch.setattr(numba, "njit", njit)
    assert compiled.loop.__wrapped__(decode_level) is decode_level


def test_numba_is_used_where_it_pays() -> None:
    loaded = "numba" in sys.modules
    assert compiled.pays(seconds_saved(2300, 330_000)) == loaded
    assert compiled.pays(seconds_saved(10**5, 10**5))
    assert compiled.pays(seconds_saved(2300, 10**7))
