import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinr_codec.errors import MalformedError
from sinr_codec.signals.grid import Grid

GRIDS = [Grid.from_header(i) for i in range(8)]
sides = st.integers(1, 500)


@pytest.mark.parametrize("number", range(8))
def test_header_round_trip(number):
    assert Grid.from_header(number).to_header() == number


@pytest.mark.parametrize("value", [-1, 8, True, 1.0, None, "0", [0]])
def test_header_refuses(value):
    with pytest.raises(MalformedError, match="grid"):
        Grid.from_header(value)


def test_centres_lie_half_a_pixel_inside():
    np.testing.assert_allclose(Grid().axis(4, 8, 4), [-0.75, -0.25, 0.25, 0.75])


def test_corners_touch_the_ends():
    np.testing.assert_allclose(Grid(corners=True).axis(5, 8, 5), [-1, -0.5, 0, 0.5, 1])


def test_aspect_spaces_both_sides_alike():
    grid = Grid(aspect=True)
    short, long = grid.axis(4, 8, 4), grid.axis(8, 8, 8)
    np.testing.assert_allclose(np.diff(short), np.diff(long)[0], rtol=1e-6)
    assert long[0] == -0.875


def test_order():
    y, x = np.float32([[1], [2]]), np.float32([[3, 4, 5]])
    assert Grid().points(y, x)[1, 2].tolist() == [2, 5]
    assert Grid(xy=True).points(y, x)[1, 2].tolist() == [5, 2]


@given(size=sides, longest=sides, grid=st.sampled_from(GRIDS))
def test_axis_is_symmetric_within_the_domain_and_float32(size, longest, grid):
    axis = grid.axis(size, max(size, longest), size)
    assert axis.dtype == np.float32
    assert len(axis) == size
    assert np.all(np.abs(axis) <= 1)
    np.testing.assert_allclose(axis, -axis[::-1], atol=1e-6)


@given(size=sides, grid=st.sampled_from(GRIDS), data=st.data())
def test_a_range_of_source_pixels_is_a_slice_of_the_axis(size, grid, data):
    start = data.draw(st.integers(0, size - 1))
    stop = data.draw(st.integers(start + 1, size))
    part = grid.axis(size, size, stop - start, start=start, stop=stop)
    np.testing.assert_allclose(part, grid.axis(size, size, size)[start:stop], atol=1e-6)


@given(size=sides, count=st.integers(1, 2000), grid=st.sampled_from(GRIDS), data=st.data())
def test_first_and_last_cut_exactly(size, count, grid, data):
    first = data.draw(st.integers(0, count - 1))
    last = data.draw(st.integers(first + 1, count))
    whole = grid.axis(size, size, count)
    np.testing.assert_array_equal(grid.axis(size, size, count, first=first, last=last), whole[first:last])


def test_doubling_centres_halves_the_step_around_the_same_middle():
    coarse, fine = Grid().axis(6, 6, 6), Grid().axis(6, 6, 12)
    np.testing.assert_allclose((fine[0::2] + fine[1::2]) / 2, coarse, atol=1e-6)


@pytest.mark.parametrize("grid", GRIDS)
def test_one_pixel_lies_in_the_middle(grid):
    assert grid.axis(1, 7, 1).tolist() == [0]
