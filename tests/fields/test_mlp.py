from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinr_codec.errors import FormatError, InputError, LimitError, MalformedError, UnknownIdError
from sinr_codec.fields import (
    MLP,
    AxisOctaves,
    Fourier,
    Gaussian,
    Identity,
    Octaves,
    ReLU,
    RotatedOctaves,
    Sine,
    Wire,
    field_from_header,
)

ACTIVATIONS = [Sine(30.0), Sine(30.0, 60.0), Gaussian(4.0), Wire(6.0, 6.0), ReLU()]
ENCODINGS = [
    Identity(),
    AxisOctaves((3, 5)),
    RotatedOctaves((3, 5)),
    Octaves(16, 1.4),
    Octaves(6, 2.0, False, "octave"),
    Fourier(32, 4.0, 3),
]
INRIC = Octaves(16, 1.4)


def coords_of(n: int, axes: int = 2, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (n, axes)).astype(np.float32)


def torch_of(params):
    torch = pytest.importorskip("torch")
    return {name: torch.from_numpy(value) for name, value in params.items()}


class TestParameters:
    @pytest.mark.parametrize(
        ("hidden", "width", "plain", "encoded"),
        [
            (2, 32, 2307, 4355),
            (3, 32, 3363, 5411),
            (3, 64, 12867, 16963),
            (5, 64, 21187, 25283),
            (7, 64, 29507, 33603),
            (3, 96, 28515, 34659),
            (3, 128, 50307, 58499),
        ],
    )
    def test_counts_are_those_of_the_paper(self, hidden, width, plain, encoded):
        assert MLP(2, 3, width, hidden).num_params == plain
        assert MLP(2, 3, width, hidden, encoding=INRIC).num_params == encoded

    def test_count_of_the_occupancy_network(self):
        assert MLP(3, 1, 128, 3, Gaussian(10.0)).num_params == 50177

    @pytest.mark.parametrize(("activation", "encoding"), list(product(ACTIVATIONS, ENCODINGS)))
    def test_init_agrees_with_shapes_dtypes_and_count(self, activation, encoding):
        field = MLP(2, 3, 16, 2, activation, encoding)
        params = field.init(np.random.default_rng(0))
        field.check(params)
        assert {name: value.shape for name, value in params.items()} == field.shapes()
        assert {name: value.dtype for name, value in params.items()} == field.dtypes()
        assert sum(v.size * (2 if np.iscomplexobj(v) else 1) for v in params.values()) == field.num_params

    def test_init_is_sirens(self):
        params = MLP(2, 3, 256, 1, Sine(20.0)).init(np.random.default_rng(0))
        assert 0.49 < np.abs(params["layers.0.weight"]).max() <= 0.5
        bound = np.sqrt(6 / 256) / 20
        for name in ("layers.1.weight", "layers.2.weight"):
            assert 0.95 * bound < np.abs(params[name]).max() <= bound

    def test_activations_of_sirens_keep_their_spread_with_depth(self):
        field = MLP(2, 1, 256, 6)
        params = field.init(np.random.default_rng(0))
        x = coords_of(2000)
        for i in range(field.layers - 1):
            x = np.sin(30 * (x @ params[f"layers.{i}.weight"].T + params[f"layers.{i}.bias"]))
            assert 0.6 < x.std() < 0.8

    def test_init_depends_on_the_seed_only(self):
        field = MLP(2, 3, 8, 1)
        one, same, other = (field.init(np.random.default_rng(s)) for s in (5, 5, 6))
        assert all(np.array_equal(one[n], same[n]) for n in one)
        assert not np.array_equal(one["layers.0.weight"], other["layers.0.weight"])

    @pytest.mark.parametrize(("activation", "encoding"), list(product(ACTIVATIONS, ENCODINGS)), ids=str)
    def test_wider_networks_begin_with_the_same_function(self, activation, encoding):
        narrow, wide = (MLP(2, 3, width, 2, activation, encoding) for width in (7, 12))
        params = narrow.init(np.random.default_rng(0))
        grown = wide.grown(params, np.random.default_rng(1))
        wide.check(grown)
        assert {name: value.dtype for name, value in grown.items()} == wide.dtypes()
        coords = coords_of(50)
        assert np.allclose(wide.apply(grown, coords), narrow.apply(params, coords), atol=1e-5)
        assert all(np.abs(grown[f"layers.{i}.weight"][7:]).min() > 0 for i in range(3))  # new neurons are fresh

    @pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
    def test_narrower_networks_keep_the_neurons_that_matter(self, activation):
        """With as many silent neurons as go, nothing changes."""
        wide, narrow = (MLP(2, 3, width, 2, activation) for width in (9, 6))
        params = wide.init(np.random.default_rng(0))
        for i, silent in ((1, [0, 4, 5]), (2, [1, 2, 8]), (3, [3, 6, 7])):
            params[f"layers.{i}.weight"][:, silent] = 0
        left = narrow.grown(params, np.random.default_rng(1))
        narrow.check(left)
        coords = coords_of(50)
        assert np.allclose(narrow.apply(left, coords), wide.apply(params, coords), atol=1e-5)

    @pytest.mark.parametrize("change", ["missing", "shape"])
    def test_check_refuses_other_parameters(self, change):
        field = MLP(2, 3, 8, 1)
        params = field.init(np.random.default_rng(0))
        name = "layers.1.weight"
        if change == "missing":
            del params[name]
        else:
            params[name] = params[name][:, :-1]
        with pytest.raises(InputError, match=name):
            field.check(params)

    @pytest.mark.parametrize("sizes", [(0, 3, 8, 1), (2, 3, 8, -1), (2, 3, 8.0, 1), (2, 3, (1 << 14) + 1, 1)])
    def test_refuses_sizes(self, sizes):
        with pytest.raises(InputError):
            MLP(*sizes)


class TestFunction:
    @pytest.mark.parametrize(("activation", "encoding"), list(product(ACTIVATIONS, ENCODINGS)))
    def test_numpy_and_torch_agree(self, activation, encoding):
        torch = pytest.importorskip("torch")
        field = MLP(2, 3, 32, 2, activation, encoding)
        params, coords = field.init(np.random.default_rng(0)), coords_of(500)
        ours = field.apply(params, coords)
        assert ours.dtype == np.float32
        assert ours.shape == (500, 3)
        theirs = field.apply(torch_of(params), torch.from_numpy(coords)).numpy()
        np.testing.assert_allclose(ours, theirs, atol=1e-5, rtol=0)

    @pytest.mark.parametrize(("activation", "encoding"), list(product(ACTIVATIONS, ENCODINGS)))
    def test_decoder_agrees_with_apply(self, activation, encoding):
        field = MLP(2, 3, 32, 2, activation, encoding)
        params, coords = field.init(np.random.default_rng(0)), coords_of(500)
        decode = field.decoder(params)
        first = decode(coords)
        kept = first.copy()
        for size in (1, 500, 77):
            np.testing.assert_allclose(decode(coords[:size]), field.apply(params, coords[:size]), atol=1e-5, rtol=0)
        assert first.dtype == np.float32
        np.testing.assert_array_equal(first, kept)  # later calls must not write into earlier results

    def test_decoder_serves_threads(self):
        from concurrent.futures import ThreadPoolExecutor

        field = MLP(2, 3, 32, 2)
        decode = field.decoder(field.init(np.random.default_rng(0)))
        parts = [coords_of(1000, seed=i) for i in range(16)]
        alone = [decode(part) for part in parts]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(decode, parts))
        for a, b in zip(alone, together):
            np.testing.assert_array_equal(a, b)

    def test_is_the_siren_formula(self):
        field = MLP(2, 1, 4, 1, Sine(30.0, 7.0))
        params = field.init(np.random.default_rng(0))
        w = {n: v.astype(np.float64) for n, v in params.items()}
        x = coords_of(9)
        first = np.sin(7.0 * (x @ w["layers.0.weight"].T + w["layers.0.bias"]))
        second = np.sin(30.0 * (first @ w["layers.1.weight"].T + w["layers.1.bias"]))
        expected = second @ w["layers.2.weight"].T + w["layers.2.bias"]
        np.testing.assert_allclose(field.apply(params, x), expected, atol=1e-5)

    def test_is_the_wire_formula(self):
        field = MLP(2, 1, 4, 1, Wire(10.0, 4.0))
        w = field.init(np.random.default_rng(0))
        x = coords_of(9)

        def wavelet(z):
            return np.exp(10j * z - np.abs(4 * z) ** 2)

        first = wavelet(x @ w["layers.0.weight"].T + w["layers.0.bias"])
        second = wavelet(first @ w["layers.1.weight"].T + w["layers.1.bias"])
        expected = (second @ w["layers.2.weight"].T + w["layers.2.bias"]).real
        np.testing.assert_allclose(field.apply(w, x), expected, atol=1e-5)

    def test_is_the_gaussian_formula(self):
        field = MLP(1, 1, 4, 0, Gaussian(3.0))
        w = field.init(np.random.default_rng(0))
        x = coords_of(9, 1)
        first = np.exp(-((3.0 * (x @ w["layers.0.weight"].T + w["layers.0.bias"])) ** 2))
        expected = first @ w["layers.1.weight"].T + w["layers.1.bias"]
        np.testing.assert_allclose(field.apply(w, x), expected, atol=1e-6)

    def test_takes_any_leading_shape(self):
        field = MLP(2, 3, 8, 1, encoding=Octaves(4))
        params, coords = field.init(np.random.default_rng(0)), coords_of(24)
        grid = field.apply(params, coords.reshape(2, 3, 4, 2))
        np.testing.assert_allclose(grid.reshape(24, 3), field.apply(params, coords), atol=1e-6)

    @pytest.mark.parametrize("activation", [Sine(), Wire(10.0, 4.0)])
    def test_maps_over_stacked_parameters(self, activation):
        torch = pytest.importorskip("torch")
        from array_api_compat import torch as xp

        field = MLP(2, 3, 8, 1, activation)
        each = [torch_of(field.init(np.random.default_rng(seed))) for seed in range(3)]
        stacked = {name: torch.stack([p[name] for p in each]) for name in each[0]}
        coords = torch.from_numpy(coords_of(10))
        mapped = torch.func.vmap(field.function(xp), in_dims=(0, None))(stacked, coords)
        for one, params in zip(mapped, each):
            torch.testing.assert_close(one, field.apply(params, coords), atol=1e-5, rtol=0)


class TestHeader:
    @pytest.mark.parametrize(("activation", "encoding"), list(product(ACTIVATIONS, ENCODINGS)))
    def test_round_trip(self, activation, encoding):
        field = MLP(2, 1, 48, 4, activation, encoding)
        assert field_from_header(field.to_header()) == field

    def test_is_small(self):
        cbor2 = pytest.importorskip("cbor2")
        assert len(cbor2.dumps(MLP(2, 3, 128, 3).to_header())) <= 16

    @pytest.mark.parametrize(
        ("header", "error"),
        [
            (None, MalformedError),
            ([], MalformedError),
            (b"abc", MalformedError),
            ([99], UnknownIdError),
            ([0, 2, 3, 64], MalformedError),
            ([0, 2, 3, 64, 3, [9, 1]], UnknownIdError),
            ([0, 2, 3, 64, 3, [0, 30], [9]], UnknownIdError),
            ([0, 2, 3, 64, 3, [0, 30], [0]], MalformedError),
            ([0, 2, 3, 64, 3, [0]], MalformedError),
            ([0, 2, 3, 64, 3, [0, float("nan")]], MalformedError),
            ([0, 2, 3, 64, 3, [0, -1.0]], MalformedError),
            ([0, 2, 3, 64, 3, [0, True]], MalformedError),
            ([0, 0, 3, 64, 3, [0, 30]], MalformedError),
            ([0, 2, 3, 64.0, 3, [0, 30]], MalformedError),
            ([0, 2, 3, 64, 3, [0, 30], [1, 16, 1.4, 9]], MalformedError),
            ([0, 2, 3, 64, 3, [0, 30], [1, 60, 9.0, 1]], MalformedError),
            ([0, 2, 3, 1 << 40, 3, [0, 30]], LimitError),
            ([0, 2, 3, 1 << 14, 1 << 10, [0, 30]], LimitError),
            ([0, 2, 3, 64, 3, [0, 30], [2, 1 << 40, 1, 0]], LimitError),
        ],
    )
    def test_refuses(self, header, error):
        with pytest.raises(error):
            field_from_header(header)

    def test_refuses_more_parameters_than_asked_for(self):
        header = MLP(2, 3, 64, 3).to_header()
        assert MLP.from_header(header, max_params=12867).num_params == 12867
        with pytest.raises(LimitError):
            MLP.from_header(header, max_params=12866)

    @settings(max_examples=300, deadline=None)
    @given(st.data())
    def test_damaged_headers_raise_format_errors_only(self, data):
        header = MLP(2, 3, 64, 3, Sine(), Octaves(16, 1.4)).to_header()
        anything = st.recursive(
            st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats() | st.binary(max_size=3),
            lambda inner: st.lists(inner, max_size=4),
            max_leaves=4,
        )
        target = data.draw(st.sampled_from([header, header[5], header[6]]))
        target[data.draw(st.integers(0, len(target) - 1))] = data.draw(anything)
        try:
            field = field_from_header(header)
        except FormatError:
            return
        assert field.to_header() == header
