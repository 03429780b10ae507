"""Networks of other programs as functions: against their own PyTorch modules, and by description."""

import json
import math

import numpy as np
import pytest

from sinr_codec.errors import InputError
from sinr_codec.fields import MLP, Gaussian, ReLU, Sine, Wire
from sinr_codec.fields.foreign import Chain, Nerf, activation_from_text, activation_text, network_from_table
from sinr_codec.fields.recognise import recognise

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


# -- chains ----------------------------------------------------------------------------------------------------


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


# -- NeRF ------------------------------------------------------------------------------------------------------


def yenchenlin(torch, width=16, depth=8, directions=True):
    """The network of nerf-pytorch, from the paper's description and the names in its checkpoints."""
    linear = torch.nn.Linear
    net = torch.nn.Module()
    sizes = [63] + [width + 63 * (i == 4) for i in range(depth - 1)]
    net.pts_linears = torch.nn.ModuleList([linear(size, width) for size in sizes])
    net.views_linears = torch.nn.ModuleList([linear(width + 27, width // 2)])
    if directions:
        net.feature_linear, net.alpha_linear = linear(width, width), linear(width, 1)
        net.rgb_linear = linear(width // 2, 3)
    else:
        net.output_linear = linear(width, 5)

    def run(xyz, view):
        relu, x = torch.relu, xyz
        for i, layer in enumerate(net.pts_linears):
            x = relu(layer(torch.cat([xyz, x], -1) if i == 5 else x))
        if not directions:
            return net.output_linear(x)[:, :4]
        y = relu(net.views_linears[0](torch.cat([net.feature_linear(x), view], -1)))
        return torch.cat([net.rgb_linear(y), net.alpha_linear(x)], -1)

    return net, run


def krrish94(torch, width=16, depth=7):
    linear = torch.nn.Linear
    net = torch.nn.Module()
    net.layer1 = linear(39, width)
    net.layers_xyz = torch.nn.ModuleList([linear(width + 39 * (i == 4), width) for i in range(depth - 1)])
    net.layers_dir = torch.nn.ModuleList([linear(width + 24, width // 2)])
    net.fc_alpha, net.fc_rgb, net.fc_feat = linear(width, 1), linear(width // 2, 3), linear(width, width)

    def run(xyz, view):
        relu, x = torch.relu, net.layer1(xyz)
        for i, layer in enumerate(net.layers_xyz):
            x = relu(layer(torch.cat([x, xyz], -1) if i == 4 else x))
        y = relu(net.layers_dir[0](torch.cat([relu(net.fc_feat(x)), view], -1)))
        return torch.cat([net.fc_rgb(y), net.fc_alpha(x)], -1)

    return net, run


def encoded(torch, x, octaves, included):
    waves = [f(2.0**i * x) for i in range(octaves) for f in (torch.sin, torch.cos)]
    return torch.cat(([x] if included else []) + waves, -1)


@pytest.mark.parametrize("kind", ["yenchenlin", "joint", "krrish94"])
def test_a_nerf_is_its_module(kind):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    if kind == "krrish94":
        (net, run), octaves, included = krrish94(torch), 6, False
    else:
        (net, run), octaves, included = yenchenlin(torch, directions=kind == "yenchenlin"), 10, True
    state = {f"fine.{name}": tensor.detach().numpy() for name, tensor in net.state_dict().items()}
    (found,) = recognise(state)
    nerf = found.network
    assert isinstance(nerf, Nerf)
    assert nerf.direction == (None if kind == "joint" else type(nerf.position)(4, input=included))
    exact = {"fine.views_linears.0.weight", "fine.views_linears.0.bias"} if kind == "joint" else set()
    assert set(nerf.names) == set(state) - exact
    x, direction = 1.5 * points(3, 200), RNG.normal(size=(200, 3)).astype(np.float32)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    view = None if kind == "joint" else encoded(torch, torch.from_numpy(direction), 4, included)
    with torch.no_grad():
        raw = run(encoded(torch, torch.from_numpy(x), octaves, True), view).numpy()
    colour, density = nerf.radiance(state)(x, direction)
    np.testing.assert_allclose(colour, 1 / (1 + np.exp(-raw[:, :3])), atol=1e-5)
    np.testing.assert_allclose(density, np.maximum(raw[:, 3:], 0), atol=1e-5)
    assert network_from_table(json.loads(json.dumps(nerf.to_table())), state) == nerf
    broken = {name: array for name, array in state.items() if "rgb" not in name and "output" not in name}
    assert recognise(broken) == []


def test_pixels_of_a_nerf():
    """Of a fog of one colour: opacity by the length of the ray within the box (Beer and Lambert)."""
    torch = pytest.importorskip("torch")
    net, _ = krrish94(torch)
    state = {name: 0 * tensor.numpy() for name, tensor in net.state_dict().items()}
    state["fc_alpha.bias"] = np.array([0.7], np.float32)
    state["fc_rgb.bias"] = np.array([-9.0, 0.0, 9.0], np.float32)
    nerf = network_from_table({"kind": "nerf", "domain": [[-1, 1], [-2, 2], [-3, 3]]}, state)
    # A point of the box, cosine of the polar angle, azimuth / pi: along z, x and y.
    rays = np.array([[0.5, 0.5, 0.5, 1, 0], [0, 0.3, 0, 0, 0], [0.9, 0, 0.1, 0, 0.5]], np.float32)
    pixels = nerf.function(state)(rays)
    opacity = 1 - np.exp(-0.7 * np.array([6.0, 2.0, 4.0]))
    np.testing.assert_allclose(pixels[:, 3], opacity, rtol=1e-4)
    np.testing.assert_allclose(pixels[:, 1], opacity / 2, rtol=1e-4)
    assert pixels[:, 0].max() < 1e-3
    np.testing.assert_allclose(pixels[:, 2], opacity, rtol=1e-3)


# -- descriptions ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "word"),
    [
        (5, "table"),
        ({}, "activation"),
        ({"activation": "tanh"}, "sine, gaussian, wire, relu"),
        ({"activation": "sine:fast"}, "sine:30"),
        ({"activation": "sine:-1"}, "omega0"),
        ({"activation": 30}, "activation"),
        ({"activation": "relu", "colour": 1}, "colour"),
        ({"activation": "relu", "kind": "transformer"}, "kind"),
        ({"activation": "relu", "prefix": 3}, "prefix"),
        ({"activation": "relu", "prefix": "none."}, "none."),
        ({"activation": "relu", "layers": []}, "layers"),
        ({"activation": "relu", "layers": ["0", "7"]}, "7.weight"),
        ({"activation": "relu", "layers": ["0", 7]}, "layers"),
        ({"activation": "relu", "layers": [["0.bias"]]}, "matrix"),
        ({"activation": "relu", "layers": ["1", "0"]}, "0.weight"),
        ({"activation": "relu", "transposed": "yes", "layers": ["0"]}, "true or false"),
        ({"activation": "relu", "transposed": True}, "transposed"),
        ({"activation": "relu", "output": "tanh"}, "output"),
        ({"activation": "relu", "skip": True}, "skip"),
        ({"activation": "relu", "domain": [1, -1]}, "domain"),
        ({"activation": "relu", "domain": [[0, 1]] * 3}, "domain"),
        ({"activation": "relu", "domain": "all"}, "domain"),
        ({"activation": "relu", "encoding": 7}, "encoding"),
        ({"activation": "relu", "encoding": {"octaves": 7}}, "features"),
        ({"activation": "relu", "encoding": {"octaves": -1}}, "octaves"),
        ({"activation": "relu", "encoding": {"octaves": 1, "sigma": 2}}, "sigma"),
        ({"activation": "relu", "encoding": {"matrix": "0.bias"}}, "matrix"),
        ({"activation": "wire:5,5"}, "complex"),
        ({"kind": "nerf"}, "pts_linears.0"),
        ({"kind": "nerf", "activation": "relu"}, "activation"),
    ],
)
def test_wrong_descriptions_are_one_line(table, word):
    with pytest.raises(InputError) as caught:
        network_from_table(table, layers("", (2, 8), (8, 1)))
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_description_says_everything():
    state = layers("a.", (10, 8), (8, 4), (14, 3)) | {"a.other.weight": np.zeros((3, 3), np.float32)}
    table = {
        "prefix": "a.",
        "layers": ["0", "1", "2"],
        "activation": "sine:30,60",
        "encoding": {"octaves": 2},
        "domain": [[0, 1], [-2, 2.5]],
    }
    chain = network_from_table(table, state)
    assert isinstance(chain, Chain)
    assert network_from_table(json.loads(json.dumps(chain.to_table())), state) == chain
    assert "10 features of 2" in chain.describe()


def test_activations_as_text():
    for activation in (Sine(30.0), Sine(25.5, 60.0), Gaussian(0.1), Wire(20.0, 30.0), ReLU()):
        assert activation_from_text(activation_text(activation)) == activation
