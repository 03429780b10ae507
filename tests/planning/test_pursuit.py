import numpy as np
import pytest

from sinr_codec.coding.dictionary import MAX_MAGNITUDES
from sinr_codec.coding.sparse import Layout, reconstruct
from sinr_codec.coding.tensor import Direct, Raw, Sparse
from sinr_codec.errors import InputError, LimitError
from sinr_codec.planning.pursuit import code_for, paper_sparsity, sparse_encode

AXES = (None, 0, 1)
RANDOM = ("gaussian", "sign", "hadamard")


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


def test_a_sparse_code_takes_a_number_of_atoms_or_a_tolerance():
    with pytest.raises(InputError, match="s, tol"):
        sparse_encode(np.ones((4, 4)), kind="sign", seed=0, k2=8, layout=Layout(0))


def test_only_a_sparse_coding_of_real_numbers_has_a_code():
    w = np.random.default_rng(6).normal(size=(12, 10)).astype(np.float32)
    coding = Sparse("sign", 3, 64, 2, Layout(0), step=0.1)
    code = code_for(w, coding)
    assert code is not None
    assert (code.kind, code.seed, code.k2, code.layout, len(code.indices)) == ("sign", 3, 64, Layout(0), 2)
    assert code_for(w + 1j * w, Sparse("sign", 3, 64, 2, Layout(None), step=0.1)).indices.shape == (2, 1)
    assert code_for(w, Direct(step=0.1)) is code_for(w, Raw()) is code_for(w.astype(int), coding) is None
