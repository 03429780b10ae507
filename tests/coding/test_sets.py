from math import lgamma, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinr_codec.coding.sets import decode_sets, encode_sets, set_bits, skip_sets
from sinr_codec.coding.varint import Reader
from sinr_codec.errors import FormatError, InputError, TruncatedError


def random_sets(s: int, n: int, positions: int) -> np.ndarray:
    rng = np.random.default_rng(s * n)
    return np.stack([np.sort(rng.choice(positions, s, replace=False)) for _ in range(n)], axis=1)


def log2_binomial(n: int, k: int) -> float:
    return (lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)) / log(2)


@pytest.mark.parametrize(
    ("positions", "s", "n"),
    [(64, 28, 64), (64, 31, 20), (1024, 26, 64), (4096, 13, 40), (65536, 53, 48), (65536, 1000, 2), (1000, 499, 2)],
)
def test_size_is_the_number_of_sets(positions: int, s: int, n: int) -> None:
    sets = random_sets(s, n, positions)
    data = encode_sets(sets, positions)
    ideal = n * log2_binomial(positions, s) / 8
    assert ideal * 0.999 < len(data) < ideal * 1.003 + 4
    assert abs(set_bits(s, n, positions) / 8 - len(data)) < 0.003 * ideal + 2
    np.testing.assert_array_equal(decode_sets(data, s, n, positions), sets)


@settings(deadline=None)
@given(st.data())
def test_round_trip(data: st.DataObject) -> None:
    positions = data.draw(st.integers(1, 65536))
    s = data.draw(st.integers(0, min(positions, 30)))
    column = st.sets(st.integers(0, positions - 1), min_size=s, max_size=s).map(sorted)
    columns = data.draw(st.lists(column, min_size=1, max_size=5))
    sets = np.array(columns, dtype=np.int64).reshape(len(columns), s).T
    coded = encode_sets(sets, positions)
    np.testing.assert_array_equal(decode_sets(coded, s, len(columns), positions), sets)
    reader = Reader(coded + b"more")
    skip_sets(reader, s, len(columns), positions)
    assert reader.remaining == 4


def test_long_bodies_are_skipped_by_their_length() -> None:
    sets = random_sets(50, 100, 1024)
    reader = Reader(encode_sets(sets, 1024)[:2] + bytes(10**4))
    start = reader.remaining
    skip_sets(reader, 50, 100, 1024)
    assert 2000 < start - reader.remaining < 5000


def test_full_sets_cost_nothing() -> None:
    sets = random_sets(9, 5, 9)
    assert len(encode_sets(sets, 9)) == 1
    np.testing.assert_array_equal(decode_sets(encode_sets(sets, 9), 9, 5, 9), sets)
    with pytest.raises(InputError, match="too little"):
        encode_sets(random_sets(64, 1000, 64), 64)


@pytest.mark.parametrize(
    ("sets", "positions"),
    [([[1], [1]], 8), ([[2], [1]], 8), ([[-1]], 8), ([[8]], 8), ([[0]], 65537), ([[0], [1], [2]], 2)],
)
def test_refuses_what_is_no_set(sets: list[list[int]], positions: int) -> None:
    with pytest.raises(InputError, match="sets"):
        encode_sets(np.array(sets), positions)


def test_every_truncation_is_seen() -> None:
    for s, n in ((6, 4), (50, 100)):
        data = encode_sets(random_sets(s, n, 1024), 1024)
        for cut in range(0, len(data), 1 + len(data) // 200):
            with pytest.raises(TruncatedError):
                decode_sets(data[:cut], s, n, 1024)


@settings(deadline=None)
@given(st.binary(max_size=60), st.integers(1, 40), st.integers(1, 200), st.integers(40, 65536))
def test_random_bytes_give_sets_or_a_typed_error(data: bytes, s: int, n: int, positions: int) -> None:
    try:
        sets = decode_sets(data, s, n, positions)
    except FormatError:
        return
    assert sets.shape == (s, n)
    assert (np.diff(sets, axis=0) > 0).all()
    assert 0 <= sets.min() <= sets.max() < positions
