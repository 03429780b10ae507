"""Interlaced integers: against loops over integers as docs/format.md has them, round trips, damage, limits."""

import itertools
from fractions import Fraction
from math import floor, isqrt, prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinr_codec.coding import compiled
from sinr_codec.coding.entropy import decode_ints
from sinr_codec.coding.interlaced import LARGEST, Predictor, bits_of, decode_grid, encode_grid, passes, taps
from sinr_codec.coding.laplace import ZERO
from sinr_codec.coding.varint import Reader
from sinr_codec.errors import FormatError, InputError, LimitError, MalformedError, TruncatedError


def random_predictor(
    axes: int, values: int = 1, *, near: int = 2, far: int = 3, seed: int = 0, scale: float = 90
) -> Predictor:
    rng = np.random.default_rng(seed)
    shapes = Predictor.shapes(axes, near, far, values, 5)
    return Predictor(axes, near, far, values, *(np.rint(rng.normal(0, scale, s)).astype(int) for s in shapes.values()))


def random_grid(sizes: tuple, values: int = 1, spread: float = 20, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.rint(rng.normal(0, spread, (values, *sizes))).astype(np.int32)


def decoded(data: bytes, sizes: tuple, halvings: tuple, predictor: Predictor, **limits: int) -> np.ndarray:
    reader = Reader(data, "test", **limits)
    grid = decode_grid(reader, sizes, halvings, predictor)
    reader.end()
    return grid


CASES = {
    "row": ((37,), (6,), 1, 20),
    "one": ((1,), (0,), 1, 20),
    "picture": ((13, 18), (4, 5), 3, 20),
    "unhalved": ((3, 9, 10), (0, 4, 4), 1, 20),
    "partly": ((17, 6), (2, 3), 1, 20),
    "volume": ((6, 9, 7), (3, 4, 3), 1, 3000),
    "4D": ((2, 3, 4, 5), (1, 2, 2, 3), 2, 20),
    "large": ((9, 33), (4, 6), 1, 1e8),
    "zeros": ((40, 40), (6, 6), 1, 0),
}


@pytest.mark.parametrize("with_numba", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_round_trip(name: str, with_numba: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if with_numba:
        pytest.importorskip("numba")
    monkeypatch.setattr(compiled, "pays", lambda *_: with_numba)
    sizes, halvings, values, spread = CASES[name]
    grid, predictor = random_grid(sizes, values, spread), random_predictor(len(sizes), values)
    data = encode_grid(grid, halvings, predictor)
    np.testing.assert_array_equal(decoded(data, sizes, halvings, predictor), grid)
    coarsest = prod(len(range(0, n, 1 << h)) for n, h in zip(sizes, halvings)) * values
    assert (
        bits_of(grid, halvings, predictor) / 8
        <= len(data)
        <= bits_of(grid, halvings, predictor) / 8 + 5 * coarsest + 16
    )


# -- the prediction by loops, as docs/format.md has it


def clipped(x: int, most: int) -> int:
    return min(max(x, -most), most)


def logarithm(x: int, count: int) -> int:
    def power(k: int) -> int:
        value = 1 << (64 << 4) + k
        for _ in range(4):
            value = isqrt(value)
        return value

    return sum(count * power(k) >> 64 <= x for k in range(1, 512))


def leaky(x: int) -> int:
    x = min(max(x, -32768), 32767)
    return max(x, x // 8)


def predicted(predictor: Predictor, group: int, near: list[int], before: list[int] | None) -> tuple[int, int, int]:
    """Row, centre and number of low bits from the neighbours, and from the value before and its neighbours."""
    p = {name: getattr(predictor, name).astype(int).tolist() for name in ("linear", "first", "second", "third")}
    bias = {name: getattr(predictor, f"{name}_bias").astype(int).tolist() for name in ("first", "second", "third")}
    t = len(near)
    m = near[0] + near[1]
    d = [clipped(2 * y - m, 1 << 24) for y in near]
    spread = t + sum(map(abs, d))
    if predictor.values > 1:
        d += [0] * (t + 1) if before is None else [clipped(2 * z - before[1] - before[2], 1 << 24) for z in before]
    u = [clipped(floor(Fraction(64 * t * x, spread)), 1 << 12) for x in d]
    u += [4 * logarithm(spread, t), 4 * logarithm(abs(d[0]) + 1, 1)]
    h = [leaky((sum(w * x for w, x in zip(row, u)) + 64 * b) // 64) for row, b in zip(p["first"], bias["first"][group])]
    second = [sum(w * x for w, x in zip(row, h)) + 256 * b + 128 for row, b in zip(p["second"], bias["second"])]
    h = [x + leaky(s // 256) for x, s in zip(h, second)]
    o = [(sum(w * x for w, x in zip(row, h)) + 256 * b) // 256 for row, b in zip(p["third"], bias["third"][group])]
    mean = 8 * m + (sum(w * x for w, x in zip(p["linear"][group], d)) + 256) // 512
    mean = clipped(mean + floor(o[0] * spread / (32 * t)), 1 << 36)
    sigma = min(max((16 * logarithm(spread, t) + o[1]) // 32, -40), 240)
    q = max(0, -((32 - sigma) // 8))
    c = (mean - 8 * (2**q - 1)) // 2**q + 8
    return 16 * (sigma - 8 * q + 40) + c % 16, c // 16, q


@pytest.mark.parametrize("name", ["row", "picture", "unhalved", "partly", "volume", "4D", "large"])
def test_predictions_are_those_of_the_format(name: str) -> None:
    sizes, halvings, values, spread = CASES[name]
    grid, predictor = random_grid(sizes, values, spread, seed=3), random_predictor(len(sizes), values, near=4, seed=4)
    d = len(sizes)
    known = set(itertools.product(*(range(0, n, 1 << h) for n, h in zip(sizes, halvings))))
    spacing = [1 << h for h in halvings]
    expected = iter(passes(sizes, halvings))
    for level in range(max(halvings), 0, -1):
        for axis in range(d):
            if halvings[axis] < level:
                continue
            half = spacing[axis] // 2
            new = [
                place
                for place in itertools.product(*map(range, sizes))
                if all(x % (half if a == axis else s) == 0 for a, (x, s) in enumerate(zip(place, spacing)))
                and place not in known
            ]
            if not new:
                spacing[axis] = half
                continue
            each = next(expected)
            sides = [o for o in itertools.product(range(-2, 3), repeat=d - 1) if sum(v * v for v in o) <= 4]
            sides.sort(key=lambda o: (sum(v * v for v in o), o))
            offsets = [(*o[:axis], along, *o[axis:]) for o in sides for along in (-1, 1)]
            offsets += [tuple(along if a == axis else 0 for a in range(d)) for along in (-3, 3)]
            assert taps(d, axis, 4, 3) == offsets
            steps = [half if a == axis else s for a, s in enumerate(spacing)]

            def at(value: int, place: tuple, offset: tuple, steps: list = steps, axis: int = axis) -> int:
                index = []
                for a, (x, o, s, n) in enumerate(zip(place, offset, steps, sizes)):
                    grain = spacing[a]
                    index.append(min(max(x + o * s, 0), (n - 1) // grain * grain))
                return int(grid[(value, *index)])

            group = 3 * axis + min(level - 1, 2)
            assert (each.shape, each.group) == (tuple(len({p[a] for p in new}) for a in range(d)), group)
            for value in range(values):
                view = predictor.view(each, grid, value)
                whole = tuple(slice(None) for _ in sizes)
                rows, origins, low = predictor.predict(view(whole), each.group)
                for i in range(0, len(new), max(1, len(new) // 7)):
                    near = [at(value, new[i], o) for o in offsets]
                    zero = (0,) * d
                    before = None
                    if value:
                        before = [int(grid[(value - 1, *new[i])])] + [at(value - 1, new[i], o) for o in offsets]
                    assert zero in sides or d > 1 or sides == [()]
                    found = int(rows[i]), int(origins[i]) + ZERO, int(low[i])
                    assert found == predicted(predictor, group, near, before)
            known |= set(new)
            spacing[axis] = half
    assert next(expected, None) is None
    assert known == set(itertools.product(*map(range, sizes)))


def test_parts_of_a_pass_are_predicted_as_the_whole() -> None:
    grid, predictor = random_grid((70, 90)), random_predictor(2)
    each = passes((70, 90), (7, 7))[-1]
    view = predictor.view(each, grid, 0)
    rows = predictor.predict(view((slice(None), slice(None))), each.group)[0].reshape(each.shape)
    part = slice(5, 30), slice(11, 12)
    np.testing.assert_array_equal(predictor.predict(view(part), each.group)[0].reshape(25, 1), rows[part])


# -- damage and limits


@pytest.fixture(scope="module")
def coded() -> tuple:
    grid, predictor = random_grid((12, 15, 9), spread=300), random_predictor(3)
    return encode_grid(grid, (4, 4, 4), predictor), (12, 15, 9), (4, 4, 4), predictor


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
                found.append(decoded(cut, *coded[1:]).tobytes())
            except FormatError as error:
                found.append(type(error))
    assert found[0] == found[1]


def test_low_bits_are_neither_too_few_nor_too_many(coded: tuple) -> None:
    data = coded[0]
    reader = Reader(data)
    decode_ints(reader, 1)
    at = reader.position  # of the length, a varint of two bytes
    assert data[at] >= 0x80 > data[at + 1]
    length = (data[at] & 0x7F) | data[at + 1] << 7

    def with_low(low: bytes) -> bytes:
        return data[:at] + bytes([len(low) & 0x7F | 0x80, len(low) >> 7]) + low + data[at + 2 + length :]

    low = data[at + 2 : at + 2 + length]
    np.testing.assert_array_equal(decoded(with_low(low), *coded[1:]), decoded(*coded))
    with pytest.raises(TruncatedError, match="fewer low bits"):
        decoded(with_low(low[:-1]), *coded[1:])
    with pytest.raises(MalformedError, match="more low bits"):
        decoded(with_low(low + b"\0"), *coded[1:])


def test_limits_are_checked_before_anything_is_taken(coded: tuple) -> None:
    with pytest.raises(LimitError, match="integers in"):
        decoded(coded[0][:40], (1 << 12, 1 << 12, 1 << 12), (4, 4, 4), coded[3])
    with pytest.raises(LimitError, match="memory"):
        decoded(*coded, memory=10_000)
    with pytest.raises(LimitError, match="work"):
        decoded(*coded, work=1000)


def test_integers_are_bounded() -> None:
    predictor = random_predictor(1)
    for least, most in ((-LARGEST, LARGEST), (LARGEST, LARGEST)):
        grid = np.array([[least, most, 0, most, least]], np.int64)
        np.testing.assert_array_equal(decoded(encode_grid(grid, (3,), predictor), (5,), (3,), predictor), grid)
    with pytest.raises(InputError, match="magnitude"):
        encode_grid(np.array([[LARGEST + 1]]), (0,), predictor)
    with pytest.raises(InputError, match="expected 1 values of 1 axes"):
        encode_grid(np.zeros((2, 3), np.int32), (2,), predictor)


def test_networks_that_do_not_fit_are_refused() -> None:
    shapes = Predictor.shapes(2, 2, 3, 1, 4)
    arrays = {name: np.zeros(shape, int) for name, shape in shapes.items()}
    Predictor(2, 2, 3, 1, *arrays.values())
    for change, message in (
        ({"first": np.zeros((4, 3), int)}, "for first"),
        ({"third": np.full((2, 4), 1 << 20)}, "20 bits"),
        ({"linear": np.zeros(shapes["linear"])}, "for linear"),
    ):
        with pytest.raises(InputError, match=message):
            Predictor(2, 2, 3, 1, *(arrays | change).values())
    with pytest.raises(InputError, match="far one of"):
        Predictor(2, 2, 4, 1, *arrays.values())
    with pytest.raises(InputError, match="width"):
        Predictor.shapes(2, 2, 3, 1, 65)
