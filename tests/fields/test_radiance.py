"""The network of radiance fields."""

import numpy as np
import pytest
from array_api_compat import numpy as xnp

from sinr_codec.errors import FormatError, InputError, LimitError, MalformedError, UnknownIdError
from sinr_codec.fields import (
    Fourier,
    HashGrid,
    Identity,
    Octaves,
    Radiance,
    RadianceGrid,
    ReLU,
    Sine,
    Wire,
    field_from_header,
)

FIELDS = [
    Radiance(16, 2, ReLU(), Octaves(4)),
    Radiance(8, 1, Sine(20.0), features=3, head=5, octaves=0),
    Radiance(8, 1, Wire(6.0, 6.0), Fourier(8, 2.0, 1)),
    RadianceGrid((3, 7), 256, 2, 8, 1, features=4, head=6, octaves=1),
]


def rays(n, seed=0):
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(n, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return np.concatenate([rng.uniform(-1, 1, (n, 3)), directions], axis=1).astype(np.float32)


@pytest.fixture(params=FIELDS, ids=lambda field: type(getattr(field, "activation", field)).__name__)
def field(request):
    return request.param


def test_init_agrees_with_shapes_dtypes_and_count(field):
    params = field.init(np.random.default_rng(0))
    field.check(params)
    assert {name: value.shape for name, value in params.items()} == field.shapes()
    assert {name: value.dtype for name, value in params.items()} == field.dtypes()
    assert sum(v.size * (2 if np.iscomplexobj(v) else 1) for v in params.values()) == field.num_params


def test_decoder_and_torch_agree_with_the_function(field):
    torch = pytest.importorskip("torch")
    params, coords = field.init(np.random.default_rng(0)), rays(50)
    values = field.apply(params, coords)
    assert values.shape == (50, 4)
    np.testing.assert_allclose(field.decoder(params)(coords), values, atol=2e-5)
    tensors = {name: torch.from_numpy(value) for name, value in params.items()}
    np.testing.assert_allclose(field.apply(tensors, torch.from_numpy(coords)).numpy(), values, atol=2e-5)


def test_density_depends_on_the_position_only(field):
    params, coords = field.init(np.random.default_rng(0)), rays(50)
    other = coords.copy()
    other[:, 3:] = rays(50, 1)[:, 3:]
    one, two = (field.apply(params, c) for c in (coords, other))
    np.testing.assert_array_equal(one[:, 3], two[:, 3])
    assert (one[:, :3] != two[:, :3]).any()
    np.testing.assert_allclose(field.density(xnp)(params, coords[:, :3]), one[:, 3], atol=1e-6)


def test_centre_sets_the_last_biases(field):
    params = field.centre(field.init(np.random.default_rng(0)), np.array([1, 2, 3, -4], np.float32))
    still = {name: value * ("bias" in name) for name, value in params.items()}
    last = {name: value for name, value in still.items() if name in ("trunk.layers.2.bias", "head.layers.1.bias")}
    zero = {name: np.zeros_like(value) for name, value in params.items()}
    if field.hidden_layers == 1:
        np.testing.assert_allclose(field.apply(zero | last, rays(3)), [[1, 2, 3, -4]] * 3)


def test_gradients_reach_every_parameter():
    torch = pytest.importorskip("torch")
    field = FIELDS[0]
    params = {n: torch.tensor(v, requires_grad=True) for n, v in field.init(np.random.default_rng(0)).items()}
    field.apply(params, torch.from_numpy(rays(200))).square().sum().backward()
    assert all(value.grad is not None and value.grad.abs().max() > 0 for value in params.values())


def test_header_round_trip(field):
    assert field_from_header(field.to_header()) == field


def test_header_of_the_recipe():
    assert Radiance(64, 3, ReLU(), Octaves(6)).to_header() == [1, 64, 3, 15, 32, 2, [3], [1, 6, 2, 1]]


@pytest.mark.parametrize(
    ("header", "error"),
    [
        ([1], MalformedError),
        ([1, 64, 3, 15, 32, 2], MalformedError),
        ([1, 64, 3, 15, 32, 2, [3], [0]], MalformedError),
        ([1, 64, 3, 15, 32, True, [3]], MalformedError),
        ([1, 64, 3, 15, 32, 17, [3]], MalformedError),
        ([1, 64, 3, 0, 32, 2, [3]], MalformedError),
        ([1, -64, 3, 15, 32, 2, [3]], MalformedError),
        ([1, 1 << 20, 3, 15, 32, 2, [3]], MalformedError),
        ([1, 64, 3, 15, 32, 2, [99]], UnknownIdError),
        ([1, 64, 3, 15, 32, 2, "sine"], MalformedError),
        ([1, 16384, 1000, 15, 32, 2, [3]], LimitError),
        ([5], MalformedError),
        ([5, [2, 3, 16, 8, 1, 1, 8, [4]], 15, 32], MalformedError),
        ([5, [2, 3, 16, 8, 1, 1, 8, [4]], 15, 32, 2.0], MalformedError),
        ([5, [2, 3, 16, 8, 1, 1, 8, [4]], 0, 32, 2], MalformedError),
        ([5, [2, 3, 16, 8, 1, 1, 8, [4]], 14, 32, 2], MalformedError),
        ([5, [2, 2, 16, 8, 1, 1, 8, [4]], 15, 32, 2], MalformedError),
        ([5, [2, 3, 16, 8, 1, 1, 8, [4], [1, 1, 2]], 15, 32, 2], MalformedError),
        ([5, [0, 3, 16, 8, 1, [3]], 15, 32, 2], MalformedError),
        ([5, "grid", 15, 32, 2], MalformedError),
        ([5, [2, 3, 16, 8, 1, 8, 24, [1 << 20] * 32], 15, 32, 2], LimitError),
    ],
)
def test_bad_headers(header, error):
    with pytest.raises(error):
        field_from_header(header)
    assert issubclass(error, FormatError)


def test_bad_arguments():
    for options in ({"features": 0}, {"head": 0}, {"octaves": -1}, {"width": 0}, {"octaves": 2.0}):
        with pytest.raises(InputError):
            Radiance(**{"width": 8, "hidden_layers": 1} | options)
    field = Radiance(8, 1, ReLU(), Identity())
    params = field.init(np.random.default_rng(0))
    with pytest.raises(InputError, match="too much"):
        field.check({**params, "more": np.zeros(1)})
    with pytest.raises(InputError, match="shape"):
        field.check({**params, "head.layers.1.bias": np.zeros(4)})


def test_describe_names_both_parts():
    assert FIELDS[0].describe().startswith("trunk 3 -> octaves -> 2 x 16 relu -> 16; head ")


def test_the_trunk_of_a_grid_is_a_hash_grid_of_the_position():
    field = FIELDS[3]
    trunk = HashGrid(3, 5, (3, 7), 256, 2, 8, 1)
    params, coords = field.init(np.random.default_rng(0)), rays(50)
    assert (trunk.hashed(0), trunk.hashed(1)) == (False, True)
    assert list(field.tables) == ["trunk.grid.0", "trunk.grid.1"]
    alone = {name.removeprefix("trunk."): value for name, value in params.items() if name.startswith("trunk.")}
    np.testing.assert_allclose(field.apply(params, coords)[:, 3], trunk.apply(alone, coords[:, :3])[:, 0], atol=1e-6)
    assert field.to_header() == [5, [2, 3, 5, 8, 1, 2, 8, [3, 7]], 4, 6, 1]
    with pytest.raises(LimitError):
        field_from_header(field.to_header(), field.num_params - 1)
