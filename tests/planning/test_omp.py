import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinr_codec.coding.dictionary import make_dictionary
from sinr_codec.errors import InputError
from sinr_codec.planning import omp as module
from sinr_codec.planning import search
from sinr_codec.planning.omp import omp, solve


def sums(A, indices, values):
    """A x for each column, from its sparse form."""
    atoms = np.where(indices >= 0, np.asarray(A, np.float64)[:, indices], 0.0)
    return (atoms * values).sum(axis=1)


def plain_omp(A, w, s):
    """The textbook algorithm: one vector, one full least squares a step."""
    A = np.asarray(A, np.float64)
    unit = A / np.linalg.norm(A, axis=0)
    support, residual = [], w
    for _ in range(s):
        support.append(int(np.abs(unit.T @ residual).argmax()))
        values = np.linalg.lstsq(A[:, support], w, rcond=None)[0]
        residual = w - A[:, support] @ values
    return support, values


def trained_like(k1, n, rng):
    """Heavy-tailed and correlated columns, at the scale of a SIREN's hidden weights."""
    shared = rng.standard_normal((k1, 3)) @ rng.standard_normal((3, n))
    return 5e-3 * (0.5 * shared + rng.standard_normal((k1, n)) * rng.gamma(2, 0.5, n))


def equal_supports(A, W, s):
    """Share of columns with the same support as scikit-learn's float64 OMP, and both results."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    norms = np.linalg.norm(A.astype(np.float64), axis=0)
    theirs = linear_model.orthogonal_mp(A / norms, W, n_nonzero_coefs=s).reshape(A.shape[1], -1)
    indices, values = omp(A, W, s)
    ours = np.zeros_like(theirs)
    np.put_along_axis(ours, indices, values * norms[indices], axis=0)
    return ((ours != 0) == (theirs != 0)).all(axis=0).mean(), ours, theirs


@pytest.mark.parametrize("kind", ["gaussian", "sign", "hadamard"])
@pytest.mark.parametrize(("k1", "k2", "s"), [(64, 1024, 31), (100, 700, 41)])
def test_equals_scikit_learn_on_random_vectors(kind, k1, k2, s):
    W = np.random.default_rng(1).standard_normal((k1, 30))
    share, ours, theirs = equal_supports(make_dictionary(kind, 2, k1, k2), W, s)
    assert share == 1
    assert np.allclose(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.slow
def test_the_papers_dictionary_stays_below_2_gib():
    """The largest that a preset asks for; without a Gram matrix (32 GiB), and without float64 copies of everything."""
    W = np.random.default_rng(0).standard_normal((128, 384))
    tracemalloc.start()
    try:
        indices, _ = omp(make_dictionary("gaussian", 0, 128, 65_536), W, 2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert indices.shape == (2, 384)
    assert peak < 2**31


def test_equals_scikit_learn_on_trained_like_weights():
    W = trained_like(128, 30, np.random.default_rng(3))
    share, ours, theirs = equal_supports(make_dictionary("gaussian", 4, 128, 2048), W, 53)
    assert share == 1
    assert np.allclose(ours, theirs, rtol=1e-10, atol=1e-14)


@pytest.mark.slow
def test_equals_scikit_learn_on_a_trained_network(data_file):
    torch = pytest.importorskip("torch")
    path = data_file("checkpoints/staf_siren_cameraman_test2_epoch2350.pth")
    state = torch.load(path, map_location="cpu", weights_only=True)
    W = np.concatenate([state[f"net.net.{i}.0.weight"].numpy() for i in (1, 2, 3)], axis=1)[:, ::6]
    share, _, _ = equal_supports(make_dictionary("gaussian", 5, 256, 4096), W.astype(np.float64), 106)
    assert share >= 0.999


@pytest.mark.parametrize("dtype", [np.int8, np.float32, np.float64])
def test_equals_the_textbook_algorithm(dtype):
    """Any dtype, atoms of any length, more vectors than one batch would need."""
    rng = np.random.default_rng(6)
    A = (rng.standard_normal((24, 90)) * rng.uniform(1, 30, 90)).astype(dtype)
    A[0] += A[0] == 0
    W = rng.standard_normal((24, 20))
    indices, values = omp(A, W, 11)
    for j in range(20):
        support, expected = plain_omp(A, W[:, j], 11)
        assert indices[:, j].tolist() == support
        assert np.allclose(values[:, j], expected, rtol=1e-9)


@pytest.mark.parametrize("kind", ["gaussian", "sign", "hadamard"])
def test_recovers_sparse_vectors_and_stops(kind):
    rng = np.random.default_rng(7)
    A = make_dictionary(kind, 8, 128, 512)
    truth = np.zeros((512, 40))
    for j in range(40):
        truth[rng.choice(512, 1 + j % 8, replace=False), j] = rng.choice([-1, 1]) * rng.uniform(1, 3)
    indices, values = omp(A, A @ truth, 20)
    found = np.zeros((512, 40))
    for j in range(40):
        used = 1 + j % 8
        assert (indices[:used, j] >= 0).all()
        assert (indices[used:, j] == -1).all()
        assert (values[used:, j] == 0).all()
        found[indices[:used, j], j] = values[:used, j]
    assert np.allclose(found, truth, atol=1e-13)


@given(power=st.integers(-1000, 900))
@settings(max_examples=20, deadline=None)
def test_powers_of_two_change_nothing_but_the_values(power):
    W = np.random.default_rng(9).standard_normal((16, 5))
    A = make_dictionary("gaussian", 0, 16, 40)
    indices, values = omp(A, W, 8)
    scaled_indices, scaled_values = omp(A, np.ldexp(W, power), 8)
    assert np.array_equal(indices, scaled_indices)
    assert np.array_equal(np.ldexp(values, power), scaled_values)


@pytest.mark.parametrize("kind", ["gaussian", "sign", "hadamard"])
def test_products_of_bytes_change_nothing(kind, monkeypatch):
    """Zero atoms and vectors that are done early among them."""
    pytest.importorskip("torch")
    rng = np.random.default_rng(11)
    A = make_dictionary(kind, 3, 64, 900)
    A[:, 7] = 0
    W = rng.standard_normal((64, 50)) * rng.gamma(0.3, 1.0, (64, 1))
    W[:, 5] = 3.0 * A[:, 11] - A[:, 400]
    expected = omp(A, W, 31)
    used = []
    monkeypatch.setattr(search, "_BYTES_WORK", 0)
    monkeypatch.setattr(search, "_bytes_are_faster", lambda: True)
    operand = search._Bytes.operand
    monkeypatch.setattr(search._Bytes, "operand", lambda self, unit: used.append(len(unit)) or operand(self, unit))
    indices, values = omp(A, W, 31)
    assert used[0] == 50
    assert np.array_equal(indices, expected[0])
    assert np.array_equal(values, expected[1])


@pytest.mark.parametrize("error", [AttributeError, NotImplementedError, RuntimeError])
def test_without_products_of_bytes_floats_are_used(error, monkeypatch):
    """As with a PyTorch that was built without oneDNN."""
    pytest.importorskip("torch")
    rng = np.random.default_rng(12)
    A = make_dictionary("gaussian", 3, 64, 900)
    W = rng.standard_normal((64, 50))
    expected = omp(A, W, 20)

    def refuse(*_):
        raise error("no such operator")

    monkeypatch.setattr(search, "_BYTES_WORK", 0)
    monkeypatch.setattr(search, "_bytes_are_faster", search._bytes_are_faster.__wrapped__)
    monkeypatch.setattr(search._Bytes, "__init__", refuse)
    indices, values = omp(A, W, 20)
    assert np.array_equal(indices, expected[0])
    assert np.array_equal(values, expected[1])


@pytest.mark.parametrize("scale", [1e-8, 1e-30, 1e30])
def test_scale_free(scale):
    W = trained_like(64, 30, np.random.default_rng(10))
    A = make_dictionary("sign", 0, 64, 512)
    indices, values = omp(A, W, 31)
    scaled_indices, scaled_values = omp(A * 1e-200, W * scale, 31)
    assert np.array_equal(indices, scaled_indices)
    assert np.allclose(values, scaled_values / (scale * 1e200), rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.int32, np.int8, bool])
def test_vectors_of_other_dtypes(dtype):
    W = (40 * np.random.default_rng(11).standard_normal((32, 6))).astype(dtype)
    A = make_dictionary("gaussian", 0, 32, 128)
    indices, values = omp(A, W, 12)
    expected = omp(A, W.astype(np.float64), 12)
    assert np.array_equal(indices, expected[0])
    assert np.array_equal(values, expected[1])


def test_selection_order_serves_every_smaller_s():
    W = np.random.default_rng(12).standard_normal((64, 10))
    A = make_dictionary("gaussian", 0, 64, 256)
    indices, _ = omp(A, W, 31)
    for s in (0, 1, 7, 20):
        fewer, values = omp(A, W, s)
        assert np.array_equal(fewer, indices[:s])
        assert np.allclose(solve(A, W, indices[:s]), values, rtol=1e-12, atol=1e-15)


def test_tolerance_stops_each_vector_at_its_own_time():
    W = np.random.default_rng(13).standard_normal((64, 30)) * np.logspace(-9, 9, 30)
    A = make_dictionary("gaussian", 0, 64, 512)
    indices, values = omp(A, W, 40, tol=0.2)
    full, _ = omp(A, W, 40)
    used = (indices >= 0).sum(axis=0)
    assert 5 < used.min() < used.max() < 40
    left = np.linalg.norm(W - sums(A, indices, values), axis=0) / np.linalg.norm(W, axis=0)
    assert (left <= 0.2).all()
    for j, count in enumerate(used):
        assert np.array_equal(indices[:count, j], full[:count, j])
        shorter = full[: count - 1, j : j + 1]
        before = W[:, j] - sums(A, shorter, solve(A, W[:, j : j + 1], shorter))[:, 0]
        assert np.linalg.norm(before) > 0.2 * np.linalg.norm(W[:, j])


def test_zero_columns_and_zero_atoms():
    W = np.random.default_rng(14).standard_normal((16, 4))
    W[:, 2] = 0
    A = make_dictionary("gaussian", 0, 16, 40).copy()
    A[:, ::3] = 0
    indices, values = omp(A, W, 7)
    assert (indices[:, 2] == -1).all()
    assert (values[:, 2] == 0).all()
    assert (indices[:, [0, 1, 3]] % 3 != 0).all()
    assert (indices[:, [0, 1, 3]] >= 0).all()


def test_nothing_to_code():
    A = make_dictionary("sign", 0, 8, 16)
    for n, s in ((0, 3), (5, 0)):
        indices, values = omp(A, np.ones((8, n)), s)
        assert indices.shape == values.shape == solve(A, np.ones((8, n)), indices).shape == (s, n)
        assert (indices.dtype, values.dtype) == (np.int64, np.float64)


def test_dictionary_that_does_not_span():
    """A vector stops when nothing that is left correlates with it, however large its residual."""
    rng = np.random.default_rng(15)
    A = rng.standard_normal((20, 6))
    W = rng.standard_normal((20, 9))
    A[10:] = 0
    W[:10, 8] = 0
    indices, values = omp(A, W, 6)
    assert (indices[:, 8] == -1).all()
    assert np.array_equal(np.sort(indices[:, :8], axis=0), np.tile(np.arange(6)[:, None], 8))
    assert np.allclose(A.T @ (W - sums(A, indices, values)), 0, atol=1e-13)


def test_repeated_atoms_are_taken_once():
    A = np.repeat(make_dictionary("gaussian", 0, 12, 10), 3, axis=1)
    indices, _ = omp(A, np.random.default_rng(16).standard_normal((12, 8)), 12)
    for column in indices.T:
        used = column[column >= 0] // 3
        assert len(np.unique(used)) == len(used) == 10


@pytest.mark.parametrize("s", [32, 60, 64])
def test_least_squares_is_exact_up_to_k1(s):
    """The residual is orthogonal to the atoms as far as float64 allows; at s = k1 it is gone."""
    W = trained_like(64, 20, np.random.default_rng(17))
    A = make_dictionary("gaussian", 0, 64, 4096)
    indices, values = omp(A, W, s)
    residual = W - sums(A, indices, values)
    atoms = A.astype(np.float64)[:, indices]
    cosines = np.einsum("isn,in->sn", atoms, residual) / np.linalg.norm(atoms, axis=0)
    assert np.abs(cosines / np.linalg.norm(W, axis=0)).max() < 1e-13
    assert np.linalg.norm(residual) < (0.02 if s < 60 else 1e-6) * np.linalg.norm(W)


def test_groups_blocks_and_batches_leave_no_trace(monkeypatch):
    """Sizes at which every loop of the search is cut short somewhere."""
    W = np.random.default_rng(18).standard_normal((24, 50))
    A = make_dictionary("gaussian", 0, 24, 1111)
    expected = omp(A, W, 11)
    monkeypatch.setattr(search, "_BLOCK_BYTES", 1)
    monkeypatch.setattr(search, "_LEAST_BLOCK", 48)
    monkeypatch.setattr(module, "_BATCH", 7)
    monkeypatch.setattr(search, "_CHUNK_ENTRIES", 1000)
    indices, values = omp(A, W, 11)
    assert np.array_equal(indices, expected[0])
    assert np.allclose(values, expected[1], rtol=1e-12)


@pytest.mark.parametrize("share", [2, 16, 1000])
@pytest.mark.parametrize("kind", ["gaussian", "sign", "hadamard"])
def test_guessed_steps_change_nothing(monkeypatch, kind, share):
    """Good guesses, poor ones, and hopeless ones from a single group; vectors that finish on the way."""
    rng = np.random.default_rng(21)
    A = make_dictionary(kind, 0, 48, 500)
    W = rng.standard_normal((48, 5))
    W[:, 1] = A[:, :3] @ [1.0, 2.0, 3.0]
    W[:, 3] = 0
    arguments = [(W, 40, None), (W, 40, 0.1), (W[:, :1], 48, None), (W[:, 1:2], 9, None)]
    expected = [omp(A, *each) for each in arguments]
    guessed = []

    def spy(*each):
        result = guess(*each)
        guessed.append(len(result[0]))
        return result

    guess = module._guess
    monkeypatch.setattr(module, "_guess", spy)
    monkeypatch.setattr(search, "_GUESS_ENTRIES", 1)
    monkeypatch.setattr(search, "_GUESS_SHARE", share)
    for each, (indices, values) in zip(arguments, expected):
        found = omp(A, *each)
        assert np.array_equal(found[0], indices)
        assert np.allclose(found[1], values, rtol=1e-12, atol=1e-14)
    assert sum(guessed) > 20


def test_guesses_survive_repeated_atoms(monkeypatch):
    """All candidates may already be taken, or copies of one another."""
    monkeypatch.setattr(search, "_GUESS_ENTRIES", 1)
    A = np.repeat(make_dictionary("gaussian", 0, 12, 6), 40, axis=1)
    indices, _ = omp(A, np.random.default_rng(22).standard_normal((12, 2)), 12)
    assert (np.sort(indices[:6] // 40, axis=0) == np.arange(6)[:, None]).all()
    assert (indices[6:] == -1).all()


def test_near_ties_are_decided_in_float64():
    """Atoms that float32 cannot tell apart: the better one is found all the same."""
    rng = np.random.default_rng(19)
    A = np.tile(rng.standard_normal((32, 1)), 64)
    W = A[:, :1] + 0.1 * rng.standard_normal((32, 1))
    A += 1e-9 * rng.standard_normal(A.shape)
    best = np.abs(A.T @ W[:, 0] / np.linalg.norm(A, axis=0)).argmax()
    assert omp(A, W, 1)[0][0, 0] == best
    assert omp(-A, W, 1)[0][0, 0] == best


def test_solve_skips_unused_rows_anywhere():
    W = np.random.default_rng(20).standard_normal((16, 3))
    A = make_dictionary("gaussian", 0, 16, 40)
    indices, _ = omp(A, W, 5)
    holes = np.insert(indices, 2, -1, axis=0)
    assert np.allclose(np.delete(solve(A, W, holes), 2, axis=0), solve(A, W, indices), rtol=1e-12)
    assert (solve(A, W, holes)[2] == 0).all()


def test_solve_in_steps_is_nearer_than_rounding():
    W = np.random.default_rng(20).standard_normal((16, 30))
    A = make_dictionary("gaussian", 0, 16, 40).astype(float)
    indices, values = omp(A, W, 12)
    step = float(np.abs(values).max()) / 8
    indices = np.insert(indices, 2, -1, axis=0)
    chosen = solve(A, W, indices, step)
    assert np.allclose(chosen / step, np.rint(chosen / step), atol=1e-9)
    assert (chosen[2] == 0).all()

    def error(x):
        atoms = A[:, np.maximum(indices, 0)]
        return np.sum((W - np.einsum("ksn,sn->kn", atoms, x)) ** 2)

    exact = solve(A, W, indices)
    assert error(chosen) - error(exact) < 0.85 * (error(step * np.rint(exact / step)) - error(exact))


OK = np.ones((4, 3))


@pytest.mark.parametrize(
    ("A", "W", "s", "tol", "names"),
    [
        (np.ones(4), OK, 1, None, "A:"),
        (np.ones((4, 0)), OK, 0, None, "A:"),
        (OK * 1j, OK, 1, None, "A:"),
        (OK * np.nan, OK, 1, None, "A:"),
        (OK, np.ones((5, 3)), 1, None, "W:"),
        (OK, OK * np.inf, 1, None, "W:"),
        (OK, OK * 1j, 1, None, "W:"),
        (OK, OK, 4, None, "s:"),
        (OK, OK, -1, None, "s:"),
        (OK, OK, 1, -0.1, "tol:"),
        (OK, OK, 1, np.nan, "tol:"),
    ],
)
def test_refused(A, W, s, tol, names):
    with pytest.raises(InputError, match=names) as caught:
        omp(A, W, s, tol)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "indices",
    [np.ones(3, int), np.ones((1, 2), int), [[0.5] * 3], [[3] * 3], [[-2] * 3], np.ones((5, 3), int)],
)
def test_solve_refuses(indices):
    with pytest.raises(InputError, match="indices"):
        solve(OK, OK, indices)


def test_solve_refuses_dependent_atoms():
    with pytest.raises(InputError, match="dependent"):
        solve(np.eye(4)[:, [0, 0]], np.ones((4, 1)), [[0], [1]])


@pytest.fixture
def accelerator(monkeypatch):
    """The CPU in the place of an accelerator: the same lines on torch tensors."""
    pytest.importorskip("torch")
    monkeypatch.setattr(module, "has_float64", lambda device: True)
    searched = []
    best = search.DeviceSearch.best
    monkeypatch.setattr(search.DeviceSearch, "best", lambda self, r: searched.append(len(r)) or best(self, r))
    yield "cpu"
    assert searched


@pytest.mark.parametrize("kind", ["gaussian", "sign", "hadamard"])
@pytest.mark.parametrize("tol", [None, 0.3])
def test_an_accelerator_changes_nothing(kind, tol, accelerator):
    """More vectors than a batch takes, zero vectors and atoms, vectors that are done early."""
    rng = np.random.default_rng(31)
    A = make_dictionary(kind, 3, 48, 777)
    A[:, 5] = 0
    W = rng.standard_normal((48, 60)) * rng.gamma(0.3, 1.0, (48, 1))
    W[:, 4] = 0
    W[:, 9] = 3.0 * A[:, 11] - A[:, 400]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "has_float64", lambda device: False)
        expected = omp(A, W, 23, tol)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_DEVICE_PRODUCTS", 777 * 25)
        patch.setattr(search, "_DEVICE_ENTRIES", 48 * 16 * 10)
        indices, values = omp(A, W, 23, tol, device=accelerator)
    assert np.array_equal(indices, expected[0])
    assert np.allclose(values, expected[1], rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_accelerator_takes_real_atoms_and_decides_near_ties(dtype, accelerator):
    rng = np.random.default_rng(32)
    A = np.tile(rng.standard_normal((32, 4)), 40)
    A[:, ::3] += 1e-7 * rng.standard_normal((32, 54))
    A = A.astype(dtype)
    W = rng.standard_normal((32, 7))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "has_float64", lambda device: False)
        expected, _ = omp(A, W, 4)
    assert np.array_equal(omp(A, W, 4, device=accelerator)[0], expected)


def test_of_equal_atoms_an_accelerator_takes_the_first(accelerator):
    A = np.repeat(make_dictionary("gaussian", 0, 12, 6), 40, axis=1)
    indices, _ = omp(A, np.random.default_rng(22).standard_normal((12, 2)), 6, device=accelerator)
    assert (np.sort(indices // 40, axis=0) == np.arange(6)[:, None]).all()
    assert (indices % 40 == 0).all()


def test_a_device_that_does_not_exist_is_refused():
    pytest.importorskip("torch")
    with pytest.raises(InputError, match="device: 'nonsense' cannot be used"):
        omp(np.eye(4), np.eye(4), 1, device="nonsense")
