"""Which voxels of a volume are trained on, where most are empty."""

import numpy as np
import pytest

from sinr_codec.signals.thinning import busy


def body(shape=(30, 31, 32), channels=()):
    """Empty space with something in it."""
    array = np.zeros((*shape, *channels), np.uint8)
    array[12:15, 12:15, 12:15] = 100
    return array


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("channels", [(), (2,)])
def test_a_body_with_what_is_around_it_and_one_in_eight_others(order, channels):
    kept = busy(body(channels=channels), bool(channels), order)
    place = np.stack(np.unravel_index(kept, (30, 31, 32), order=order))
    near = ((place >= 9) & (place < 18)).all(0)  # three voxels to all sides
    assert near.sum() == 9**3
    assert set(range(0, 30 * 31 * 32, 8)) <= set(kept.tolist())
    assert (kept[~near] % 8 == 0).all()


def test_a_body_that_is_the_least_of_the_range():
    assert np.array_equal(busy(255 - body(), False, "C"), busy(body(), False, "C"))


@pytest.mark.parametrize("array", [np.arange(8000).reshape(20, 20, 20), np.indices((20, 20, 20)).sum(0) % 2])
def test_nothing_is_left_out_where_most_would_stay(array):
    assert busy(array, False, "C") is None


def test_a_constant_has_no_body():
    kept = busy(np.full((20, 20, 20), 3.0), False, "C")
    assert np.array_equal(kept, np.arange(0, 8000, 8))
