"""Hash grids: indexing against plain loops, interpolation, both libraries, headers."""

import itertools
import math

import numpy as np
import pytest
from array_api_compat import numpy as xnp

from sinr_codec.errors import InputError, LimitError, MalformedError
from sinr_codec.fields import HashGrid, field_from_header

FIELDS = [
    HashGrid(2, 3, (4, 8, 40), 256, 1, 8, 1, (2, 3)),
    HashGrid(3, 1, (2, 5, 9), 128, 2, 8, 0),
    HashGrid(1, 2, (7, 300), 64, 3, 4, 0),
]
PRIMES = (1, 2_654_435_761, 805_459_861)


@pytest.fixture(params=FIELDS, ids=lambda field: f"{field.in_features}D")
def field(request):
    return request.param


def coords_of(field, n=60, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (n, field.in_features)).astype(np.float32)


def entry_by_hand(field, level, vertex):
    """Entry of a vertex, as docs/format.md has it."""
    counts = field.vertices(level)
    if math.prod(counts) <= field.table:
        entry = 0
        for number, count in zip(vertex, counts):
            entry = entry * count + number
        return entry
    entry = 0
    for number, prime in zip(vertex, PRIMES):
        entry ^= number * prime
    return entry % field.table


def feature_by_hand(field, level, table, point):
    """Multilinear interpolation in float64, one vertex at a time."""
    counts = field.vertices(level)
    position = [min(max((float(c) + 1) / 2 * (n - 1), 0), n - 1) for c, n in zip(point, counts)]
    base = [min(int(p), n - 2) for p, n in zip(position, counts)]
    total = np.zeros(field.channels)
    for side in itertools.product((0, 1), repeat=field.in_features):
        weight = math.prod(p - b if s else 1 - (p - b) for p, b, s in zip(position, base, side))
        total += weight * table[entry_by_hand(field, level, [b + s for b, s in zip(base, side)])]
    return total


def test_levels_are_dense_and_hashed(field):
    assert field.hashed(field.levels - 1)
    assert not field.hashed(0)


def test_features_are_those_of_a_plain_loop(field):
    params, coords = field.init(np.random.default_rng(1)), coords_of(field)
    coords[:4] = np.array([1, -1, 1.5, -3])[:, None]  # edges, and beyond them
    features = field.features(xnp, params, coords)
    assert features.shape == (60, field.levels * field.channels)
    wanted = [
        np.concatenate([feature_by_hand(field, level, params[f"grid.{level}"], c) for level in range(field.levels)])
        for c in coords
    ]
    np.testing.assert_allclose(features, wanted, atol=1e-5)


def test_interpolation_is_exact_at_vertices():
    field = HashGrid(2, 1, (8,), 256, 1, 4, 0, (1, 2))
    assert field.vertices(0) == (5, 9)
    table = np.random.default_rng(0).normal(size=(45, 1)).astype(np.float32)
    row, column = (x.reshape(-1) for x in np.mgrid[:5, :9])
    coords = np.stack([row / 2 - 1, column / 4 - 1], -1).astype(np.float32)
    np.testing.assert_array_equal(field.features(xnp, {"grid.0": table}, coords), table)


def test_weights_sum_to_one(field):
    for level in range(field.levels):
        corners = list(field.corners(xnp, level, coords_of(field)))
        assert len(corners) == 2**field.in_features
        np.testing.assert_allclose(sum(weight for _, weight in corners), 1, atol=1e-6)
        assert all(entry.min() >= 0 and entry.max() < field.entries(level) for entry, _ in corners)


def test_decoder_and_torch_agree_with_the_function(field):
    torch = pytest.importorskip("torch")
    params, coords = field.init(np.random.default_rng(0)), coords_of(field)
    values = field.apply(params, coords)
    assert values.shape == (60, field.out_features)
    assert values.dtype == np.float32
    np.testing.assert_allclose(field.decoder(params)(coords), values, atol=1e-6)
    tensors = {name: torch.from_numpy(value) for name, value in params.items()}
    np.testing.assert_allclose(field.apply(tensors, torch.from_numpy(coords)).numpy(), values, atol=1e-6)
    cube = field.apply(params, coords.reshape(3, 20, -1))
    np.testing.assert_array_equal(cube.reshape(60, -1), values)


def test_an_affine_map_of_a_level_is_part_of_the_first_layer(field):
    params, coords = field.init(np.random.default_rng(0)), coords_of(field)
    mapped = dict(params)
    mapped["grid.1"] = 3 * params["grid.1"] - 2
    some = slice(field.channels, 2 * field.channels)
    first = params["layers.0.weight"]
    folded = dict(params)
    folded["layers.0.weight"] = first.copy()
    folded["layers.0.weight"][:, some] *= 3
    folded["layers.0.bias"] = params["layers.0.bias"] - 2 * first[:, some].sum(1)
    np.testing.assert_allclose(field.apply(folded, coords), field.apply(mapped, coords), atol=1e-5)


def test_init_agrees_with_shapes_dtypes_and_count(field):
    params = field.init(np.random.default_rng(0))
    field.check(params)
    assert {name: value.shape for name, value in params.items()} == field.shapes()
    assert {name: value.dtype for name, value in params.items()} == field.dtypes()
    assert sum(value.size for value in params.values()) == field.num_params
    assert field.describe().startswith("hash grid")
    mean = np.arange(field.out_features, dtype=np.float32)
    centred = field.centre({name: np.zeros_like(w) for name, w in params.items()}, mean)
    np.testing.assert_array_equal(field.apply(centred, coords_of(field, 2)), [mean, mean])


def test_check_names_what_is_wrong(field):
    params = field.init(np.random.default_rng(0))
    for wrong in (
        {name: w for name, w in params.items() if name != "grid.1"},
        params | {"grid.0": params["grid.0"][1:]},
        params | {"grid.9": params["grid.0"]},
        {name: w for name, w in params.items() if name != "layers.0.bias"},
    ):
        with pytest.raises(InputError, match="params"):
            field.check(wrong)


def test_header_round_trip(field):
    header = field.to_header()
    assert field_from_header(header) == field
    assert len(header) == (9 if field.extent else 8)
    with pytest.raises(LimitError):
        field_from_header(header, field.num_params - 1)


@pytest.mark.parametrize(
    "header",
    [
        [2, 2, 3, 8, 1, 1, 8],
        [2, 2, 3, 8, 1, 1, 8, []],
        [2, 2, 3, 8, 1, 1, 8, [4], []],
        [2, 2, 3, 8, 1, 1, 8, [4], [1]],
        [2, 2, 3, 8, 1, 1, 8, [4, 0]],
        [2, 2, 3, 8, 1, 1, 8, [4.0]],
        [2, 2, 3, 8, 1, 1, 8, 4],
        [2, 4, 3, 8, 1, 1, 8, [4]],
        [2, 2, 3, 8, 1, 0, 8, [4]],
        [2, 2, 3, 8, 1, 1, 25, [4]],
        [2, 2, 3, 8, 1, 1, -1, [4]],
        [2, 2, 3, 8, 1, 1, 1 << 70, [4]],
        [2, 2, 3, 0, 1, 1, 8, [4]],
        [2, 2, 3, 8, -1, 1, 8, [4]],
        [2, 2, 3, 8, 1, 1, 8, [4] * 33],
        [2, 2, 3, 8, 1, 1, 8, [1 << 21]],
        [2, 2, 3, 8, 1, True, 8, [4]],
        [2, 2, 3, 8, 1, 1, 8, "44"],
    ],
)
def test_headers_that_break_the_form_are_refused(header):
    with pytest.raises(MalformedError, match="field header"):
        field_from_header(header)


def test_tables_are_limited_before_they_are_made():
    with pytest.raises(LimitError):
        field_from_header([2, 3, 1, 16, 1, 32, 24, [1 << 20] * 32])
    with pytest.raises(LimitError):
        field_from_header([2, 3, 1, 1 << 14, 1 << 10, 1, 4, [4]])


@pytest.mark.parametrize(
    "change",
    [{"table": 100}, {"table": 1 << 25}, {"cells": ()}, {"extent": (2,)}, {"extent": (2, 0)}, {"in_features": 4}],
)
def test_sizes_outside_the_limits(change):
    sizes = {"in_features": 2, "out_features": 3, "cells": (4,), "table": 16, "channels": 1, "width": 4}
    with pytest.raises(InputError, match="hash grid"):
        HashGrid(**(sizes | {"hidden_layers": 1} | change))
