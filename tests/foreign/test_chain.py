"""Chains of layers as functions: against this package's own networks, and against their formulas."""

import math

import numpy as np
import pytest

from sinr_codec.fields import MLP, Gaussian, ReLU, Sine, Wire
from sinr_codec.fields.activations import activation_text
from sinr_codec.foreign.tables import network_from_table

RNG = np.random.default_rng(0)


def layers(prefix, *sizes):
    """Random affine layers under numbered names: sizes (in, out)."""
    state = {}
    for i, (fan_in, fan_out) in enumerate(sizes):
        state[f"{prefix}{i}.weight"] = (RNG.normal(size=(fan_out, fan_in)) / math.sqrt(fan_in)).astype(np.float32)
        state[f"{prefix}{i}.bias"] = RNG.normal(size=fan_out).astype(np.float32)
    return state


def points(dimensions, n=50):
    return RNG.uniform(-1, 1, (n, dimensions)).astype(np.float32)


@pytest.mark.parametrize("activation", [Sine(20.0), Sine(30.0, 60.0), Gaussian(3.0), ReLU(), Wire(5.0, 6.0)])
def test_a_chain_is_the_mlp(activation):
    field = MLP(3, 2, 16, 2, activation)
    state = field.init(np.random.default_rng(1))
    table = {"activation": activation_text(activation)}
    chain = network_from_table(table, state)
    assert chain.mlp() == field
    x = points(3)
    np.testing.assert_allclose(chain.function(state)(x), field.decoder(state)(x), rtol=1e-5, atol=1e-5)


def test_widths_skips_and_a_sigmoid():
    state = layers("", (2, 8), (8, 12), (14, 6), (6, 3))
    x = points(2)
    for skip in ("behind", "before"):
        chain = network_from_table({"activation": "relu", "skip": skip, "output": "sigmoid"}, state)
        h = np.maximum(x @ state["0.weight"].T + state["0.bias"], 0)
        h = np.maximum(h @ state["1.weight"].T + state["1.bias"], 0)
        h = np.concatenate([h, x] if skip == "behind" else [x, h], 1)
        h = np.maximum(h @ state["2.weight"].T + state["2.bias"], 0)
        h = 1 / (1 + np.exp(-(h @ state["3.weight"].T + state["3.bias"])))
        np.testing.assert_allclose(chain.function(state)(x), h, rtol=1e-5, atol=1e-6)
        assert chain.mlp() is None
        assert chain.peak == 1


def test_a_sigmoid_has_finite_derivatives_where_it_is_flat():
    torch = pytest.importorskip("torch")
    from array_api_compat import torch as xtorch

    state = layers("", (2, 8), (8, 3))
    state["1.bias"] = np.float32([-200, 0, 200])
    chain = network_from_table({"activation": "relu", "output": "sigmoid"}, state)
    tensors = {name: torch.from_numpy(w).requires_grad_() for name, w in state.items()}
    outputs = chain.function(tensors, xtorch)(points(2))
    outputs.sum().backward()
    assert outputs[:, [0, 2]].detach().unique().tolist() == [0, 1]
    assert all(torch.isfinite(w.grad).all() for w in tensors.values())


def test_encodings():
    state = layers("", (2 * (2 * 3 + 1), 8), (8, 1)) | {"bare.B": RNG.normal(size=(7, 2)).astype(np.float32)}
    x = points(2)

    def through(features):
        h = np.maximum(features @ state["0.weight"].T + state["0.bias"], 0)
        return h @ state["1.weight"].T + state["1.bias"]

    def outputs(encoding):
        table = {"layers": ["0", "1"], "activation": "relu", "encoding": encoding}
        return network_from_table(table, state).function(state)(x)

    by_octave = [x] + [f(2**i * x) for i in range(3) for f in (np.sin, np.cos)]
    np.testing.assert_allclose(outputs({"octaves": 3}), through(np.concatenate(by_octave, 1)), atol=1e-4)
    columns = [x] + [f(2**i * math.pi * x[:, j : j + 1]) for i in range(3) for j in (0, 1) for f in (np.sin, np.cos)]
    table = {"octaves": 3, "base": math.pi, "interleaved": True}
    np.testing.assert_allclose(outputs(table), through(np.concatenate(columns, 1)), atol=1e-4)
    phase = 2 * math.pi * x @ state["bare.B"].T
    wanted = through(np.concatenate([np.sin(phase), np.cos(phase)], 1))
    np.testing.assert_allclose(outputs({"matrix": "bare.B"}), wanted, atol=1e-4)


def test_kernels_of_other_libraries_and_a_domain():
    state = {"k0": RNG.normal(size=(1, 8)), "b0": RNG.normal(size=8), "k1": RNG.normal(size=(8, 2))}
    table = {"layers": [["k0", "b0"], ["k1"]], "transposed": True, "activation": "sine:2", "domain": [0, 10]}
    chain = network_from_table(table, state)
    x = np.array([[-1.0], [0.0], [1.0]], np.float32)
    wanted = np.sin(2 * (np.array([[0.0], [5.0], [10.0]]) @ state["k0"] + state["b0"])) @ state["k1"]
    np.testing.assert_allclose(chain.function(state)(x), wanted, rtol=1e-3, atol=1e-3)
    assert network_from_table(chain.to_table(), state) == chain
