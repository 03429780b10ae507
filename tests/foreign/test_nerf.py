"""NeRFs of other programs as functions: against their own PyTorch modules."""

import json

import numpy as np
import pytest

from sinr_codec.foreign.nerf import Nerf
from sinr_codec.foreign.recognise import recognise
from sinr_codec.foreign.tables import network_from_table

RNG = np.random.default_rng(0)


def points(dimensions, n=50):
    return RNG.uniform(-1, 1, (n, dimensions)).astype(np.float32)


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
