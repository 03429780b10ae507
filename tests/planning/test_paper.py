import numpy as np

from sinr_codec.coding.tensor import Direct
from sinr_codec.planning.paper import PAPER_K2, baseline_bytes, plan_paper


def test_what_min_max_cannot_take_counts_with_its_own_bytes():
    noise = np.random.default_rng(0).normal(size=1000)
    assert 7000 < baseline_bytes({"w": noise * 1e300}) < 8100
    assert baseline_bytes({"w": noise}) < 2100


def test_the_paper_flattens_nothing_that_is_longer_than_a_dictionary_may_be():
    params = {"w": np.ones((40, 120), np.float32), "b": np.zeros(40, np.float32)}
    assert plan_paper(params).codings["w"] == Direct(bits=16, paper=True)


def test_paper_codes_matrices_sparsely_and_biases_directly():
    rng = np.random.default_rng(0)
    params = {
        "w": rng.normal(size=(64, 64)).astype(np.float32),
        "b": rng.normal(size=64).astype(np.float32),
    }
    result = plan_paper(params, k2=4096)
    assert result.codings["b"] == Direct(bits=16, paper=True)
    coding = result.codings["w"]
    assert (coding.kind, coding.k2, coding.s, coding.bits) == ("gaussian", 4096, 26, 16)
    noise = np.sum((result.params["w"] - params["w"]) ** 2)
    assert 10 * np.log10(np.sum(params["w"] ** 2) / noise) > 20
    assert PAPER_K2 == 2**16


def test_paper_flattens_the_matrices_of_tiny_networks():
    rng = np.random.default_rng(0)
    result = plan_paper({"w": rng.normal(size=(16, 16)).astype(np.float32)}, k2=1024)
    assert result.codings["w"].layout.axis is None
    assert result.codings["w"].s == 104


def test_paper_reads_the_width_of_the_network_from_its_biases():
    rng = np.random.default_rng(0)
    shapes = {"w0": (64, 256), "b0": (64,), "w1": (64, 64), "b1": (64,), "w2": (3, 64), "b2": (3,)}
    params = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    codings = plan_paper(params, k2=512).codings
    assert [(codings[n].layout.axis, codings[n].s) for n in ("w0", "w1", "w2")] == [(0, 26), (0, 26), (1, 26)]
    # Without biases, the longer side of each matrix.
    assert plan_paper({"w0": params["w0"]}, k2=512).codings["w0"].layout.axis == 1
    # A tiny network: all of it is flattened, whatever its inputs.
    tiny = {"w0": rng.normal(size=(8, 60)), "b0": rng.normal(size=8)}
    assert plan_paper(tiny, k2=512).codings["w0"].layout.axis is None
