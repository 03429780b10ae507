"""Architectures told from the keys and shapes of other people's state dicts."""

from itertools import pairwise

import ml_dtypes
import numpy as np
import pytest

from sinr_codec.fields import MLP, Gaussian, ReLU, Sine, Wire
from sinr_codec.foreign.checkpoints import read_checkpoint
from sinr_codec.foreign.recognise import described, recognise

RNG = np.random.default_rng(0)
SIREN = MLP(2, 3, 16, 2, Sine(30.0))


def renamed(field, weight="layers.{}.weight", bias="layers.{}.bias", last=None, order=None):
    """A state of `field` under other keys."""
    params = field.init(np.random.default_rng(1))
    state = {}
    for i in range(field.layers):
        prefix = last if last and i == field.layers - 1 else None
        state[f"{prefix}.weight" if prefix else weight.format(i)] = params[f"layers.{i}.weight"]
        state[f"{prefix}.bias" if prefix else bias.format(i)] = params[f"layers.{i}.bias"]
    return {key: state[key] for key in (order(state) if order else state)}


def the_mlp(state, activation=None):
    """The MLP that all of a state is, or None, and the parameters under its own names."""
    found = recognise(state, activation)
    if not found:
        return None, {}
    (one,) = found
    field = one.network.mlp()
    dtypes = field.dtypes().values()
    return field, dict(zip(field.shapes(), (state[name].astype(to) for name, to in zip(one.network.names, dtypes))))


@pytest.mark.parametrize(
    "state",
    [
        renamed(SIREN),
        renamed(SIREN, "net.net.{}.0.weight", "net.net.{}.0.bias"),  # siren, STAF
        renamed(SIREN, "{}.weight", "{}.bias"),  # torch.nn.Sequential
        renamed(SIREN, "net.{}.linear.weight", "net.{}.linear.bias", last="last_layer.linear"),  # COIN
        renamed(SIREN, last="last_layer"),  # siren-pytorch
        renamed(SIREN, last="last_layer", order=sorted),  # the same in safetensors
        renamed(SIREN, "state_dict.model.{}.weight", "state_dict.model.{}.bias"),
        renamed(SIREN, order=lambda state: list(state)[::-1]),
        {key: array.astype(np.float16) for key, array in renamed(SIREN).items()},
        {key: array.astype(ml_dtypes.bfloat16) for key, array in renamed(SIREN).items()},
        renamed(SIREN) | {"epoch": np.array(3), "loss": np.zeros(1)},
    ],
)
def test_common_names(state):
    field, params = the_mlp(state)
    assert field == SIREN
    SIREN.check(params)
    expected = renamed(SIREN)
    assert all(np.allclose(params[name], expected[name], atol=0.01) for name in expected)
    assert "omega0 = 30" in recognise(state)[0].reason


def test_ten_and_more_layers_are_sorted_by_number():
    deep = MLP(2, 1, 8, 11)
    (found,) = recognise(renamed(deep, order=sorted))
    assert found.network.mlp() == deep
    assert found.network.names[20] == "layers.10.weight"


@pytest.mark.parametrize("field", [MLP(2, 2, 8, 0), MLP(8, 8, 8, 1, ReLU()), MLP(1, 1, 1, 1)])
def test_shapes_that_look_alike(field):
    assert the_mlp(renamed(field), field.activation)[0] == (None if field.in_features > 6 else field)


@pytest.mark.parametrize("activation", [ReLU(), Gaussian(10.0)])
def test_other_activations_must_be_given(activation):
    field = MLP(2, 3, 64, 2, activation)
    assert recognise(renamed(field)) == []
    assert the_mlp(renamed(field), activation)[0] == field


def test_wire_by_its_stored_factors():
    field = MLP(2, 3, 12, 2, Wire(20.0, 10.0))
    state = renamed(field, "net.{}.linear.weight", "net.{}.linear.bias", last="net.3")
    assert recognise(state) == []
    assert recognise(state, Sine()) == []  # complex weights
    for i in range(3):
        state |= {f"net.{i}.omega_0": np.array([20.0]), f"net.{i}.scale_0": np.array([10.0])}
    assert the_mlp(state)[0] == field
    assert recognise(state | {"net.0.omega_0": np.array([30.0])}) == []


def test_sine_by_its_stored_factor():
    state = renamed(SIREN) | {f"layers.{i}.omega_0": np.array(25.0) for i in range(3)}
    assert the_mlp(state)[0].activation == Sine(25.0)


@pytest.mark.parametrize(
    "change",
    [
        {"layers.1.bias": None},
        {"layers.1.weight": RNG.normal(size=(16, 17)).astype(np.float32)},
        {"layers.1.weight": np.full((16, 16), np.nan, np.float32)},
        {"layers.1.weight": np.zeros((16, 16), np.float32)},
        {"layers.1.weight": np.ones((16, 16), np.int64)},
        {"layers.1.bias": np.zeros(15, np.float32)},
        {"features.B": np.zeros((2, 8), np.float32)},
        {"layers.1.weight": np.full((16, 16), np.inf, np.float32)},
        {"layers.0.weight": np.zeros((16, 63), np.float32)},  # an encoding stands before it
        {"other.weight": np.zeros((16, 2), np.float32), "other.bias": np.zeros(16, np.float32)},
        dict.fromkeys(renamed(SIREN)),
    ],
)
def test_not_a_chain(change):
    state = {key: array for key, array in (renamed(SIREN) | change).items() if array is not None}
    assert recognise(state) == []


# -- several networks ------------------------------------------------------------------------------------------


def under(prefix, state):
    return {f"{prefix}{key}": array for key, array in state.items()}


def test_an_ensemble():
    small = MLP(1, 1, 8, 1, Sine(30.0))
    state = under("models.0.", renamed(SIREN)) | under("models.1.", renamed(SIREN, "{}.weight", "{}.bias"))
    state |= under("small.", renamed(small)) | {"step": np.array(3)}
    found = [one.network for one in recognise(state)]
    assert [network.prefix for network in found] == ["models.0.", "models.1.", "small."]
    assert [network.mlp() for network in found] == [SIREN, SIREN, small]
    names = [name for network in found for name in network.names]
    assert sorted(names) == sorted(set(state) - {"step"})


def test_a_decoder_beside_an_encoder():
    state = under("decoder.", renamed(SIREN)) | {
        "encoder.conv.weight": RNG.normal(size=(32, 3, 3, 3)).astype(np.float32),
        "encoder.conv.bias": RNG.normal(size=32).astype(np.float32),
    }
    (found,) = recognise(state)
    assert found.network.prefix == "decoder."
    assert found.network.mlp() == SIREN


@pytest.mark.parametrize(
    "other",
    [
        {"head.weight": np.zeros((1, 3), np.float32), "head.bias": np.zeros(1, np.float32)},  # goes on
        {"modulation": np.zeros((9, 16), np.float32)},  # acts on hidden layers
        {"latent": np.zeros(16, np.float32)},
        {"grid": np.zeros((100, 2), np.float32)},  # makes its inputs
    ],
)
def test_what_may_be_connected_is_left_alone(other):
    assert recognise(under("net.", renamed(SIREN)) | other) == []
    assert len(recognise(under("net.", renamed(SIREN)))) == 1


def test_a_siren_of_others(data_file):
    pytest.importorskip("torch")
    state = read_checkpoint(data_file("checkpoints/staf_siren_cameraman_test2_epoch2350.pth")).state
    field, params = the_mlp(state)
    assert field == MLP(2, 1, 256, hidden_layers=3, activation=Sine(30.0))
    # It stands for a picture in [-1, 1]: a wrong frequency would give noise of another range.
    axis = np.linspace(-1, 1, 64, dtype=np.float32)
    coords = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    values = field.decoder(params)(coords)
    assert -1.2 < values.min() < -0.9
    assert 0.7 < values.max() < 1.2


def test_the_nerfs_of_others(data_file):
    pytest.importorskip("torch")
    state = read_checkpoint(data_file("checkpoints/krrish94_lego_lowres.ckpt")).state
    coarse, fine = (one.network for one in recognise(state))
    assert (coarse.prefix, fine.prefix) == ("model_coarse_state_dict.", "model_fine_state_dict.")
    assert {*coarse.names, *fine.names} == set(state) - {"loss"}
    # Objects are solid and the space around them is clear: a wrong forward pass would give fog.
    rays = np.random.default_rng(0).uniform(-1, 1, (500, 5)).astype(np.float32)
    for network in (coarse, fine):
        opacity = network.function(state)(rays)[:, 3]
        assert np.mean((opacity < 0.1) | (opacity > 0.9)) > 0.8
        assert 0.1 < opacity.mean() < 0.9


# -- factors that no weight tells ------------------------------------------------------------------------------------


def trained_siren(first, width=48):
    """A SIREN that PyTorch trained for a sound, under the keys of SIREN's own code."""
    torch = pytest.importorskip("torch")
    random = torch.Generator().manual_seed(0)
    state = {}
    for i, (fan_in, fan_out) in enumerate([(1, width), (width, width), (width, width), (width, 1)]):
        bounds = {"weight": 1.0 if i == 0 else (6 / fan_in) ** 0.5 / 30, "bias": fan_in**-0.5}
        for part, shape in (("weight", (fan_out, fan_in)), ("bias", (fan_out,))):
            state[f"net.{i}.linear.{part}"] = (torch.rand(shape, generator=random) * 2 - 1) * bounds[part]
    x = torch.linspace(-1, 1, 2048)[:, None]
    tones = ((40, -0.5), (97, 0.1), (180, 0.6))
    wanted = sum(torch.sin(2 * torch.pi * f * x) * torch.exp(-8 * (x - at) ** 2) for f, at in tones)
    optimiser = torch.optim.Adam([w.requires_grad_() for w in state.values()], 1e-3)
    for _ in range(100):
        h = x
        for i in range(4):
            h = h @ state[f"net.{i}.linear.weight"].T + state[f"net.{i}.linear.bias"]
            h = torch.sin((first if i == 0 else 30) * h) if i < 3 else h
        optimiser.zero_grad()
        ((h - wanted) ** 2).mean().backward()
        optimiser.step()
    return {key: w.detach().numpy() for key, w in state.items()}


@pytest.mark.parametrize("first", [30, 3000])
def test_the_first_factor_of_a_sound_is_told_by_the_layers_behind(first):
    (found,) = recognise(trained_siren(first))
    assert found.network.activation.gain(True) == first
    assert found.network.activation.gain(False) == 30
    assert not found.assumed


def test_a_factor_that_nothing_tells_is_assumed_and_said_to_be():
    (found,) = recognise(renamed(SIREN))
    assert found.assumed
    assert "assumed" in found.reason
    (given,) = recognise(renamed(SIREN), Sine(30.0, 60.0))
    assert not given.assumed


def test_one_input_and_one_output_under_keys_that_sort_the_last_layer_first():
    sound = MLP(1, 1, 16, 2, Sine(30.0))
    named = renamed(sound, "net.{}.linear.weight", "net.{}.linear.bias", last="last_layer.linear")
    for state in (named, dict(sorted(named.items()))):
        field, params = the_mlp(state, Sine(30.0))
        assert field == sound
        assert params["layers.3.weight"].shape == (1, 16)


def test_averages_in_a_list_are_the_same_network():
    net = renamed(SIREN)
    state = {f"model.{key}": array for key, array in net.items()}
    state |= {f"ema.shadow_params.{i}": array + 0 for i, array in enumerate(net.values())} | {"ema.decay": np.ones(1)}
    named, listed = recognise(state)
    assert (named.network.prefix, listed.network.prefix) == ("", "ema.shadow_params.")
    assert listed.network.mlp() == named.network.mlp() == SIREN
    points = RNG.uniform(-1, 1, (5, 2)).astype(np.float32)
    assert np.array_equal(listed.network.function(state)(points), named.network.function(state)(points))
    (again,) = described(state, [listed.network.to_table()])
    assert again.network == listed.network
    assert recognise(state | {"ema.shadow_params.8": np.zeros((16, 5))}) == []


def test_a_list_of_two_networks():
    net = {f"coarse.{key}": array for key, array in renamed(SIREN).items()}
    net |= {f"fine.{key}": array for key, array in renamed(SIREN).items()}
    listed = {f"ema.{i}": array + 0 for i, array in enumerate(net.values())}
    found = recognise(net | listed)
    assert [one.network.prefix for one in found] == ["coarse.", "fine.", "ema.", "ema."]
    assert len({name for one in found for name in one.network.names}) == 32


@pytest.mark.parametrize("sizes", [[2, 64, 64, 64, 3], [2, 64, 32, 3]])
def test_networks_are_described_as_elsewhere(sizes):
    state = {}
    for i, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        state |= {f"{i}.weight": np.zeros((fan_out, fan_in)), f"{i}.bias": np.zeros(fan_out)}
    (found,) = described(state, [{"activation": "relu"}])
    assert found.network.describe() == f"2 -> {'2x64' if len(sizes) > 4 else '64 32'} relu -> 3"
