from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinr_codec.coding import sparse
from sinr_codec.coding.dictionary import make_dictionary
from sinr_codec.coding.sparse import Layout, fill_unused, from_vectors, layout_of, reconstruct, to_vectors
from sinr_codec.errors import InputError, LimitError
from sinr_codec.planning.pursuit import sparse_encode

AXES = (None, 0, 1)
RANDOM = ("gaussian", "sign", "hadamard")


@given(
    shape=st.lists(st.integers(0, 6), min_size=1, max_size=4).map(tuple),
    axis=st.sampled_from(AXES),
    dtype=st.sampled_from([np.float16, np.float32, np.float64, np.int16]),
)
def test_layouts_round_trip(shape, axis, dtype):
    w = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    layout = Layout(axis)
    vectors = to_vectors(w, layout)
    assert vectors.dtype == np.float64
    assert vectors.shape == layout.dims(shape)
    assert np.array_equal(from_vectors(vectors, shape, layout), w)


def test_layouts_mean_what_they_say():
    w = np.arange(6.0).reshape(2, 3)
    assert to_vectors(w, Layout(0)).T.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert to_vectors(w, Layout(1)).T.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert to_vectors(w, Layout(None)).T.tolist() == [[0, 1, 2, 3, 4, 5]]
    assert to_vectors(np.float64(3), Layout(None)).tolist() == [[3]]


@pytest.mark.parametrize(
    ("shape", "k", "axis"),
    [
        ((64, 2), 64, 0),  # first: a vectors of length k
        ((64, 66), 64, 0),
        ((64, 64), 64, 0),
        ((3, 64), 64, 1),  # last: b vectors of length k
        ((32, 32), 32, None),  # tiny: flattened
        ((49, 2), 49, None),
        ((50, 2), 50, 0),
        ((100, 300), 64, 1),
        ((300, 100), 64, 0),
        ((20, 30), 64, None),
        ((64,), 64, None),
        ((), 64, None),
        ((64, 3, 3, 3), 64, 0),
    ],
)
def test_layout_of(shape, k, axis):
    assert layout_of(shape, k) == Layout(axis)


def exact(kind, seed, k2, layout, shape, indices, q, step, offset):
    """docs/format.md in Python integers and fractions: each operation rounded once."""
    k1, n = layout.dims(shape)
    A = make_dictionary(kind, seed, k1, k2).tolist()
    vectors = np.empty((k1, n))
    for i in range(k1):
        for j in range(n):
            used = [(A[i][a], int(c)) for a, c in zip(indices[:, j].tolist(), q[:, j].tolist()) if a >= 0]
            first = Fraction(float(sum(a * c for a, c in used))) * Fraction(step)
            second = Fraction(float(sum(a for a, _ in used))) * Fraction(offset)
            vectors[i, j] = float(Fraction(float(first)) + Fraction(float(second)))
    return from_vectors(vectors, shape, layout)


@given(
    kind=st.sampled_from(RANDOM),
    axis=st.sampled_from(AXES),
    s=st.integers(0, 5),
    magnitude=st.sampled_from([1, 2**8, 2**16, 2**31, 2**43, 2**52]),
    step=st.floats(1e-30, 1e30),
    offset=st.floats(-1e30, 1e30),
    seed=st.integers(0, 2**64 - 1),
)
def test_reconstruct_is_exact(kind, axis, s, magnitude, step, offset, seed):
    """Small coefficients run through float64 products, large ones through int64: both are exact."""
    rng = np.random.default_rng(seed)
    shape, k2, layout = (4, 3), 20, Layout(axis)
    n = layout.dims(shape)[1]
    indices = np.stack([rng.choice(k2, s, replace=False) for _ in range(n)], axis=1)
    indices[rng.random(indices.shape) < 0.1] = -1
    q = rng.integers(-magnitude, magnitude, indices.shape, endpoint=True)
    decoded = reconstruct(kind, seed, k2, layout, shape, indices, q, step, offset)
    assert np.array_equal(decoded, exact(kind, seed, k2, layout, shape, indices, q, step, offset))


def test_reconstruct_of_long_vectors_is_cut_along_the_atoms(monkeypatch):
    rng = np.random.default_rng(4)
    indices, q = rng.integers(-1, 60, (50, 3)), rng.integers(-99, 99, (50, 3))
    arguments = ("sign", 2, 60, Layout(0), (70, 3), indices, q, 0.5, 0.25)
    whole = reconstruct(*arguments)
    monkeypatch.setattr(sparse, "_GATHER_ENTRIES", 500)
    assert reconstruct(*arguments).tobytes() == whole.tobytes() == exact(*arguments).tobytes()


def test_reconstruct_ignores_the_order_of_atoms():
    rng = np.random.default_rng(3)
    indices = np.stack([rng.choice(900, 40, replace=False) for _ in range(70)], axis=1)
    q = rng.integers(-1000, 1000, indices.shape)
    order = np.argsort(indices, axis=0)
    arguments = ("gaussian", 1, 900, Layout(0), (130, 70))
    one = reconstruct(*arguments, indices, q, 0.1, 0.3)
    two = reconstruct(*arguments, np.take_along_axis(indices, order, 0), np.take_along_axis(q, order, 0), 0.1, 0.3)
    assert one.tobytes() == two.tobytes()
    assert one.tobytes() == exact(*arguments, indices, q, 0.1, 0.3).tobytes()


def test_fill_unused_completes_sets_and_decodes_alike():
    w = np.zeros((16, 3))
    w[:, 1] = make_dictionary("gaussian", 0, 16, 9)[:, [1, 4]].sum(axis=1)
    code = sparse_encode(w, kind="gaussian", seed=0, k2=9, layout=Layout(0), s=5)
    filled = fill_unused(code.indices, 9)
    assert np.sort(filled, axis=0).T.tolist() == [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]
    assert np.array_equal(filled[code.indices >= 0], code.indices[code.indices >= 0])
    q = np.rint(code.values).astype(np.int64)
    for indices in (code.indices, filled):
        assert np.array_equal(reconstruct("gaussian", 0, 9, Layout(0), w.shape, indices, q, 1.0, 0.0), w)


def test_refused():
    with pytest.raises(InputError, match="layout"):
        Layout(2)
    with pytest.raises(InputError, match="layout"):
        to_vectors(np.float64(1), Layout(0))
    with pytest.raises(InputError, match="real"):
        to_vectors(np.ones((2, 2)) * 1j, Layout(0))
    with pytest.raises(InputError, match="v:"):
        from_vectors(np.ones((4, 4)), (4, 5), Layout(0))
    zeros = np.zeros((2, 4), np.int64)
    with pytest.raises(InputError, match="indices, q"):
        reconstruct("sign", 0, 8, Layout(0), (4, 4), zeros, zeros[:1], 1.0, 0.0)
    with pytest.raises(InputError, match="indices"):
        reconstruct("sign", 0, 8, Layout(0), (4, 4), zeros + 8, zeros, 1.0, 0.0)
    with pytest.raises(LimitError, match="q:"):
        reconstruct("sign", 0, 8, Layout(0), (4, 4), zeros, zeros - 2**62, 1.0, 0.0)
