"""Grids of any dimension."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinr_codec.errors import InputError, LimitError, MalformedError
from sinr_codec.signals import lattice
from sinr_codec.signals.base import Fields
from sinr_codec.signals.grid import Grid

SHAPE = (5, 7, 6)


def total(coords):
    """A field whose value tells the coordinates apart."""
    return (coords * np.array([1, 10, 100], np.float32)).sum(1, keepdims=True)


def render(spans, tile=50, threads=2, most=10**6, apply=total):
    fields = Fields([apply], tile, most, threads)
    return lattice.render(fields, lattice.axes_of(Grid(), spans), 1, lambda v: v, np.float32)[..., 0]


def test_the_whole():
    axes = [(2 * np.arange(n) + 1) / n - 1 for n in SHAPE]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    np.testing.assert_allclose(render(lattice.window(SHAPE)), z + 10 * y + 100 * x, rtol=1e-5, atol=1e-5)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_region_is_part_of_the_whole(data):
    region = []
    for n in SHAPE:
        start = data.draw(st.integers(0, n - 1))
        region.append((start, data.draw(st.integers(start + 1, n))))
    tile, threads = data.draw(st.integers(1, 300)), data.draw(st.integers(1, 3))
    part = render(lattice.window(SHAPE, region=region), tile, threads)
    whole = render(lattice.window(SHAPE))
    np.testing.assert_array_equal(part, whole[tuple(slice(*ends) for ends in region)])


def test_only_the_region_is_computed():
    seen = []

    def count(coords):
        seen.append(len(coords))
        return total(coords)

    render(lattice.window(SHAPE, region=((2, 3), (0, 7), (0, 6))), threads=1, apply=count)
    assert sum(seen) == 42


def test_scale_and_size():
    assert render(lattice.window(SHAPE, scale=2)).shape == (10, 14, 12)
    assert render(lattice.window(SHAPE, scale=(1, 2, 0.5))).shape == (5, 14, 3)
    assert render(lattice.window(SHAPE, size=(3, 4, 5))).shape == (3, 4, 5)
    np.testing.assert_array_equal(
        render(lattice.window(SHAPE, size=(10, 14, 12))), render(lattice.window(SHAPE, scale=2))
    )


@pytest.mark.parametrize(
    "options",
    [
        {"scale": 0},
        {"scale": math.nan},
        {"scale": (1, 2)},
        {"scale": "two"},
        {"size": (1, 2)},
        {"size": (0, 1, 1)},
        {"size": 5},
        {"size": (4, 4, 4), "scale": 1},
        {"region": ((0, 1),) * 4},
        {"region": ((0, 6), (0, 1), (0, 1))},
        {"region": ((1, 1), (0, 1), (0, 1))},
        {"region": ((-1, 1), (0, 1), (0, 1))},
        {"region": (0, 1, 0, 1)},
    ],
)
def test_windows_that_are_none(options):
    with pytest.raises(InputError, match=r"scale|size|region"):
        lattice.window(SHAPE, **options)


def test_limits_come_before_memory():
    with pytest.raises(LimitError, match="limit"):
        lattice.window((10**9,) * 3, most=10**6)
    with pytest.raises(LimitError, match="limit"):
        render(lattice.window(SHAPE), most=209)
    assert render(lattice.window(SHAPE), most=210).size == 210


def test_a_field_of_another_shape_is_refused():
    with pytest.raises(MalformedError, match="field"):
        render(lattice.window(SHAPE), apply=lambda coords: coords)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(1, 100))
def test_blocks_cover_all_once(shape, most):
    seen = np.zeros(shape, int)
    for block in lattice.blocks(shape, most):
        seen[block] += 1
        assert seen[block].size <= most
    assert (seen == 1).all()
