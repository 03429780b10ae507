from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinr_codec.coding import sparse
from sinr_codec.coding.dictionary import MAX_MAGNITUDES, make_dictionary
from sinr_codec.coding.sparse import (
    Layout,
    fill_unused,
    from_vectors,
    layout_of,
    paper_sparsity,
    reconstruct,
    sparse_encode,
    to_vectors,
)
from sinr_codec.errors import InputError, LimitError

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


def test_paper_sparsity():
    assert [paper_sparsity(k) for k in (1, 2, 64, 128, 1024)] == [0, 0, 26, 52, 419]
    assert all(0 < 2 * paper_sparsity(k) < k for k in range(3, 3000))


@pytest.mark.parametrize("kind", RANDOM)
@pytest.mark.parametrize("axis", AXES)
def test_encode_then_reconstruct(kind, axis):
    """Coefficients on a fine grid give the weights back as well as the sparse code itself does."""
    w = 0.01 * np.random.default_rng(0).standard_normal((12, 10)).astype(np.float32)
    layout = Layout(axis)
    k1, n = layout.dims(w.shape)
    code = sparse_encode(w, kind=kind, seed=5, k2=2000, layout=layout, s=max(k1 - 2, 1))
    assert code.indices.shape == code.values.shape == (max(k1 - 2, 1), n)
    step = np.abs(code.values).max() / 2**20
    q = np.rint(code.values / step).astype(np.int64)
    decoded = reconstruct(kind, 5, 2000, layout, w.shape, code.indices, q, step, 0.0)
    assert np.linalg.norm(decoded - w) < 0.02 * np.linalg.norm(w)


def test_cosines_hold_what_changes_slowly_over_a_grid():
    """Numbers of 16 x 24 places that are smooth take few atoms, and come back by integers alone."""
    y, x = np.mgrid[:16, :24] / 24
    w = np.stack([np.exp(-((y - 0.3) ** 2) - (x - 0.5) ** 2), y * x + x**2], -1).reshape(384, 2)
    layout = Layout(0)
    codes = {
        kind: sparse_encode(w, kind=kind, seed=24, k2=4 * 384, layout=layout, s=24) for kind in ("dct", "gaussian")
    }
    errors = {}
    for kind, code in codes.items():
        q = np.rint(code.values * 2**24).astype(np.int64)
        decoded = reconstruct(kind, 24, 4 * 384, layout, w.shape, code.indices, q, 2**-24, 0.0)
        errors[kind] = np.linalg.norm(decoded - w) / np.linalg.norm(w)
    assert errors["dct"] < 0.01 < 0.1 < errors["gaussian"]
    large = np.full(codes["dct"].indices.shape, 2**50)
    with pytest.raises(LimitError):
        reconstruct("dct", 24, 4 * 384, layout, w.shape, codes["dct"].indices, large * 40, 1.0, 0.0)
    assert MAX_MAGNITUDES["dct"] * 24 * 2**50 < 2**62


@pytest.mark.parametrize("k1", [64, 128])
def test_paper_setting_on_gaussian_vectors(k1):
    """k2 = 4,096 here, to be quick; 65,536 gives about 43 dB."""
    w = np.random.default_rng(1).standard_normal((k1, 8))
    code = sparse_encode(w, kind="gaussian", seed=0, k2=4096, layout=Layout(0), s=paper_sparsity(k1))
    q = np.rint(code.values * 2**24).astype(np.int64)
    error = w - reconstruct("gaussian", 0, 4096, Layout(0), w.shape, code.indices, q, 2.0**-24, 0.0)
    assert 27 < 10 * np.log10((w**2).sum() / (error**2).sum()) < 40


def test_tolerance_alone_keeps_2s_below_k1():
    w = np.random.default_rng(2).standard_normal((64, 20))
    code = sparse_encode(w, kind="sign", seed=0, k2=512, layout=Layout(0), tol=0.3)
    assert code.indices.shape == (31, 20)
    used = (code.indices >= 0).sum(axis=0)
    assert 0 < used.min() <= used.max() < 31


@pytest.mark.parametrize("shape", [(0, 3), (64, 0)])
def test_empty_tensors(shape):
    for axis in (0, 1):
        code = sparse_encode(np.zeros(shape), kind="sign", seed=0, k2=8, layout=Layout(axis), s=2)
        q = np.zeros(code.indices.shape, np.int64)
        decoded = reconstruct("sign", 0, 8, Layout(axis), shape, code.indices, q, 1.0, 0.0)
        assert decoded.shape == shape


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
    with pytest.raises(InputError, match="s, tol"):
        sparse_encode(np.ones((4, 4)), kind="sign", seed=0, k2=8, layout=Layout(0))
    with pytest.raises(InputError, match="v:"):
        from_vectors(np.ones((4, 4)), (4, 5), Layout(0))
    zeros = np.zeros((2, 4), np.int64)
    with pytest.raises(InputError, match="indices, q"):
        reconstruct("sign", 0, 8, Layout(0), (4, 4), zeros, zeros[:1], 1.0, 0.0)
    with pytest.raises(InputError, match="indices"):
        reconstruct("sign", 0, 8, Layout(0), (4, 4), zeros + 8, zeros, 1.0, 0.0)
    with pytest.raises(LimitError, match="q:"):
        reconstruct("sign", 0, 8, Layout(0), (4, 4), zeros, zeros - 2**62, 1.0, 0.0)
