"""Distances of voxels to the surface of a solid."""

import numpy as np
import pytest

from sinr_codec.signals.voxels import near_surface


def test_distances_near_the_surface_are_those_of_a_distance_transform():
    ndimage = pytest.importorskip("scipy.ndimage")
    solid = np.random.default_rng(0).random((7, 30, 26)) < 0.03
    solid = ndimage.binary_dilation(solid, iterations=2)
    padded = np.pad(solid, 1)
    inside, outside = (ndimage.distance_transform_edt(side)[1:-1, 1:-1, 1:-1] for side in (padded, ~padded))
    wanted = (np.where(solid, inside, -outside) - np.where(solid, 0.5, -0.5)).reshape(-1)
    for band, reach in ((1.5, 2.5), (3, 4)):
        index, distance = near_surface(solid, band)
        assert np.array_equal(index, np.flatnonzero(np.abs(wanted) <= reach))
        assert np.allclose(distance, wanted[index])


@pytest.mark.parametrize("band", [0.0, 1.5, 2.5])
def test_the_surface_lies_half_a_voxel_before_the_other_side(band):
    solid = np.zeros((1, 1, 9), bool)
    solid[..., 4:] = True
    index, distance = near_surface(np.repeat(np.repeat(solid, 9, 0), 9, 1), band)
    row = (index // 9 // 9 == 4) & (index // 9 % 9 == 4)
    found = dict(zip(index[row] % 9, distance[row]))
    assert found == {1: -2.5, 2: -1.5, 3: -0.5, 4: 0.5, 5: 1.5, 6: 2.5, 7: 1.5, 8: 0.5}  # beyond the last is outside


def test_outside_of_the_grid_is_outside():
    index, distance = near_surface(np.ones((3, 3, 3), bool), 1.0)
    assert np.array_equal(index, np.arange(27))
    assert distance.reshape(3, 3, 3)[1, 1, 1] == 1.5
    assert (np.delete(distance, 13) == 0.5).all()
