import ml_dtypes
import numpy as np
import pytest

from sinr_codec.coding import atoms
from sinr_codec.coding.tensor import Direct, Raw, Sparse, decode_tensor
from sinr_codec.errors import InputError
from sinr_codec.planning.paper import baseline_bytes, plan_paper
from sinr_codec.planning.plan import plan, plan_by_weights


def network(width: int = 24) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        "first": rng.uniform(-0.5, 0.5, (width, 2)).astype(np.float32),
        "hidden": rng.normal(0, 0.02, (width, width)).astype(np.float32),
        "bias": rng.normal(0, 0.2, width).astype(np.float32),
        "last": rng.normal(0, 0.1, (1, width)).astype(np.float32),
    }


def outputs(params: dict[str, np.ndarray]) -> np.ndarray:
    axis = np.linspace(-1, 1, 24)
    x = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    x = np.sin(30 * (x @ params["first"].astype(float).T))
    x = np.sin(30 * (x @ params["hidden"].astype(float).T + params["bias"]))
    return x @ params["last"].astype(float).T


def against(params: dict[str, np.ndarray]):
    """The mean squared difference from the outputs of `params`, over the error of a fit that has converged."""
    wanted = outputs(params)
    return lambda candidate: float(np.mean((outputs(candidate) - wanted) ** 2)) + 1e-4


def weight_snr(old: np.ndarray, new: np.ndarray) -> float:
    wide = complex if old.dtype.kind == "c" else float
    old, new = old.astype(wide), new.astype(wide)
    noise = np.sum(np.abs(new - old) ** 2)
    return 10 * np.log10(np.sum(np.abs(old) ** 2) / noise) if noise else np.inf


def test_the_loss_of_what_is_decoded_is_within_the_limit_and_close_to_it():
    params = network()
    loss = against(params)
    limit = loss(params) * 10**0.01
    result = plan(params, loss, limit, dictionaries=(64,))
    decoded = {n: decode_tensor(r, params[n].shape, params[n].dtype) for n, r in result.records.items()}
    assert loss(decoded) == result.loss
    assert loss(params) + 0.5 * (limit - loss(params)) < result.loss <= limit
    assert all(np.array_equal(decoded[n], result.params[n]) for n in params)
    assert result.bytes == sum(map(len, result.records.values())) < 0.65 * baseline_bytes(params)


def test_a_larger_limit_makes_a_smaller_file():
    params = network()
    loss = against(params)
    sizes = [plan(params, loss, loss(params) * factor, dictionaries=()).bytes for factor in (1.01, 1.1, 2.0, 10.0)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < 0.8 * sizes[0]


def test_sensitive_tensors_get_finer_steps():
    params = network()
    loss = against(params)
    steps = {n: c.step for n, c in plan(params, loss, 1.02 * loss(params), dictionaries=()).codings.items()}
    # An error in the first or hidden layer is multiplied by omega0 = 30; one in the last layer is not.
    assert steps["hidden"] < steps["last"] / 2


def test_given_bytes_the_best_quality_that_fits_is_chosen():
    params = network()
    loss = against(params)
    results = [plan(params, loss, np.inf, max_bytes=size, dictionaries=()) for size in (400, 550, 700)]
    for size, result in zip((400, 550, 700), results):
        assert 0.97 * size <= result.bytes <= size
    assert results[0].loss > results[1].loss > results[2].loss


def test_given_more_bytes_than_the_network_has_it_is_kept_exactly():
    params = network()
    result = plan(params, against(params), np.inf, max_bytes=10**6)
    assert all(np.array_equal(result.params[n], params[n]) for n in params)


def test_bytes_that_no_coding_reaches_give_the_smallest_file_there_is():
    result = plan(network(), against(network()), np.inf, max_bytes=3, dictionaries=())
    assert 3 < result.bytes < 100


def test_a_limit_below_the_network_itself_is_refused():
    params = network()
    with pytest.raises(InputError, match="limit"):
        plan(params, against(params), 0.5 * against(params)(params))


def test_what_no_quantiser_takes_is_kept_exactly():
    params = network() | {
        "steps": np.array(7, np.int64),
        "mask": np.array([True, False]),
        "empty": np.zeros((0, 3), np.float32),
        "odd": np.array([np.inf, np.nan], np.float32),
        "zero": np.zeros(5, np.float32),
    }
    loss = against(params)
    result = plan(params, loss, 1.02 * loss(params), dictionaries=())
    for name in ("steps", "mask", "empty", "odd", "zero"):
        assert np.array_equal(result.params[name], params[name], equal_nan=name == "odd")
        assert result.params[name].dtype == params[name].dtype
    assert result.codings["steps"] == Raw()


def test_a_tensor_without_influence_costs_almost_nothing():
    params = network() | {"unused": np.random.default_rng(3).normal(size=2000).astype(np.float32)}
    loss = against(params)
    result = plan(params, loss, 1.02 * loss(params), dictionaries=())
    assert len(result.records["unused"]) < 100


def test_what_must_be_exact_is_exact():
    params = network() | {"scale": np.array([30.1, 2.7], np.float32)}
    loss = against(params)
    result = plan(params, loss, 1.02 * loss(params), dictionaries=(), exact=frozenset({"scale", "bias"}))
    assert result.codings["scale"] == result.codings["bias"] == Raw()
    assert np.array_equal(result.params["bias"], params["bias"])


def test_the_sparse_code_is_used_where_it_is_smaller():
    # A matrix that is sparse in the very dictionary: 2 of 1024 atoms a column.
    from sinr_codec.coding.dictionary import make_dictionary

    rng = np.random.default_rng(5)
    dictionary = make_dictionary("sign", 0, 64, 1024).astype(float)
    code = np.zeros((1024, 64))
    for column in range(64):
        code[rng.choice(1024, 2, replace=False), column] = rng.normal(0, 0.01, 2)
    params = {"w": (dictionary @ code).astype(np.float32)}

    def loss(candidate):
        return float(np.mean((candidate["w"].astype(float) - params["w"]) ** 2)) + 1e-9

    limit = 1e-9 + float(np.mean(params["w"].astype(float) ** 2)) * 1e-5
    sparse, direct = (plan(params, loss, limit, dictionaries=k2s) for k2s in ((1024,), ()))
    assert isinstance(sparse.codings["w"], Sparse)
    assert sparse.loss <= limit
    assert sparse.bytes < 0.5 * direct.bytes


def test_sparse_codes_that_cannot_keep_the_limit_come_as_near_to_it_as_they_can():
    params = {"w": np.random.default_rng(1).normal(0, 0.1, (64, 64)).astype(np.float32)}

    def loss(candidate):
        return float(np.mean((candidate["w"].astype(float) - params["w"]) ** 2)) + 1e-9

    limit = 1.1e-9
    result = plan(params, loss, limit, dictionaries=(1024,), sparse_only=True)
    assert isinstance(result.codings["w"], Sparse)
    assert result.loss > limit
    zeros = loss({"w": np.zeros_like(params["w"])})
    assert result.loss < 0.1 * zeros
    assert result.bytes < plan(params, loss, limit, dictionaries=()).bytes


def test_without_a_loss_every_tensor_keeps_its_snr():
    params = network() | {"complex": (np.arange(64) * (1 - 2j)).astype(np.complex64)}
    result = plan_by_weights(params, 46.0)
    for name, w in params.items():
        assert 46 <= weight_snr(w, result.params[name]) < 49


@pytest.mark.parametrize("snr", [6.0, 30.0, 46.0, 90.0])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ml_dtypes.bfloat16, "c8", "c16"])
def test_without_a_loss_the_snr_is_a_promise(dtype, snr):
    rng = np.random.default_rng(7)
    spiked = rng.normal(size=300) * 1e-3
    spiked[17] = 1.0
    arrays = {
        "normal": rng.normal(size=(40, 30)),
        "two values": np.where(rng.random(64) < 0.5, 0.3, 0.3 + 1e-3),
        "heavy": rng.standard_t(2, size=500),
        "spiked": spiked,
        "offset": 5 + rng.uniform(size=100) * 0.01,
        "sixteen": rng.normal(size=16),
        "few": rng.normal(size=15),
        "ones": np.ones((30, 20)),
        "zeros": np.zeros(99),
        "scalar": np.array(0.7),
        "one": np.array([1e-3]),
    }
    params = {name: array.astype(dtype) for name, array in arrays.items()}
    result = plan_by_weights(params, snr)
    for name, w in params.items():
        assert weight_snr(w, result.params[name]) >= snr, name
    for name in ("few", "ones", "zeros", "scalar", "one"):
        assert result.codings[name] == Raw()
    assert len(result.records["ones"]) <= (30 if params["ones"].dtype.kind == "c" else 11)
    if snr == 46:
        assert result.codings["normal"] != Raw()


HUGE = {
    "huge": np.array([1e300, -2e300, 3.0] * 20),
    "tiny": np.array([1e-300, -2e-300] * 20),
    "least": np.full(40, 5e-324),
    "large": np.linspace(-3e38, 3e38, 64, dtype=np.float32),
    "half": np.linspace(-65000, 65000, 64).astype(np.float16),
}


@pytest.mark.parametrize("name", HUGE)
def test_numbers_at_the_ends_of_the_range(name):
    params = {"w": HUGE[name], "v": np.linspace(0, 1, 40)}

    def loss(candidate):
        assert set(candidate) == set(params)
        with np.errstate(all="ignore"):
            return float(np.mean((candidate["v"] - params["v"]) ** 2 + candidate["w"].astype(float)[:40] * 0)) + 1e-6

    assert baseline_bytes(params) > 0
    assert (
        weight_snr(params["w"] / params["w"].max(), plan_by_weights(params, 46.0).params["w"] / params["w"].max()) >= 46
    )
    assert plan(params, loss, 1e-5, dictionaries=()).loss <= 1e-5
    assert plan(params, loss, 1e-5, max_bytes=60, dictionaries=()).bytes > 0
    assert plan_paper(params).bytes > 0


def test_matrices_that_are_too_large_for_the_sparse_code_are_coded_without(monkeypatch):
    params = {"w": np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)}
    monkeypatch.setattr(atoms, "_MAX_PRODUCTS", 26 * 64 * 64 - 1)
    assert plan_paper(params, k2=512).codings["w"] == Direct(bits=16, paper=True)
    result = plan(params, lambda p: float(np.mean((p["w"] - params["w"]) ** 2)), 1e-3, sparse_only=True)
    assert isinstance(result.codings["w"], Direct)


def test_the_same_seed_gives_the_same_bytes():
    params = network()
    loss = against(params)
    first, second = (plan(params, loss, 1.02 * loss(params), seed=4, dictionaries=(64,)) for _ in range(2))
    assert first.records == second.records


def test_a_loss_that_forgives_small_errors_alone():
    """What lies beyond the end of a range is clipped: errors are free there until they are not."""
    rng = np.random.default_rng(3)
    params = {name: rng.standard_normal((20, 25)).astype(np.float32) for name in ("a", "b")}

    def error(state, name):
        return float(np.mean((state[name].astype(np.float64) - params[name]) ** 2))

    def loss(state):
        return 1e-4 + 0.01 * error(state, "a") + 100 * max(error(state, "b") - 1e-5, 0.0)

    found = plan(params, loss, 1.1e-4, max_bytes=800)
    assert found.bytes <= 800
    assert found.loss < 0.05  # half of the bits for each would be 0.1, and a "b" that seems free 100


def test_a_curvature_that_the_probes_miss_is_found_at_the_errors_of_the_plan(monkeypatch):
    """Of a tensor that forgives small errors and no larger ones."""
    rng = np.random.default_rng(0)
    params = {name: rng.normal(size=(32, 32)).astype(np.float32) for name in ("plain", "steep")}

    def loss(given):
        plain, steep = (float(np.mean((given[name] - params[name]) ** 2)) for name in params)
        return 1e-3 + plain + max(0.0, steep - 2e-4)

    twice = plan(params, loss, 1.1e-3, dictionaries=())
    monkeypatch.setattr("sinr_codec.planning.plan.steeper", lambda *_: False)
    once = plan(params, loss, 1.1e-3, dictionaries=())
    assert loss(twice.params) <= 1.1e-3
    assert twice.bytes < 0.9 * once.bytes
