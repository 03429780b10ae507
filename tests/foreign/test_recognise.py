"""Architectures told from the keys and shapes of other people's state dicts."""

import ml_dtypes
import numpy as np
import pytest

from sinr_codec.fields import MLP, Gaussian, ReLU, Sine, Wire
from sinr_codec.foreign.checkpoints import read_checkpoint
from sinr_codec.foreign.recognise import recognise

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
