"""Hulls of scenes: as bits of a file, on other grids, and carved from pictures."""

import brotli
import numpy as np
import pytest

from sinr_codec.errors import FormatError, InputError, MalformedError
from sinr_codec.signals.cameras import Camera, look_at
from sinr_codec.signals.hull import HULL, behind, box_of, carve, hull_from, rounded, upsampled
from sinr_codec.signals.radiance_files import Views

CAMERA = Camera(40, 40, 40.0, 40.0, 20.0, 20.0)
PLACES = [np.array(p, float) for p in ((3, 0, 0), (-3, 0, 0), (0, 3, 0), (0, -3, 0), (0.1, 0, 3), (0.1, 0, -3))]


def views(alpha=255, radius=0.5):
    """Pictures of a ball about the origin, from six sides: a disc each, transparent outside."""
    poses = np.stack([look_at(place, np.zeros(3), np.array([0.0, 0, 1])) for place in PLACES])
    v, u = np.mgrid[:40, :40] - 19.5
    disc = np.hypot(u, v) < 40 * radius / np.sqrt(9 - radius**2)
    pictures = np.zeros((len(poses), 40, 40, 4), np.uint8)
    pictures[..., :3] = 50
    pictures[..., 3] = np.where(disc, alpha, 0)
    return Views(pictures, poses)


def test_bits_come_back():
    hull = np.random.default_rng(0).random((HULL,) * 3) < 0.3
    side = brotli.compress(np.packbits(hull).tobytes())
    assert np.array_equal(hull_from(HULL, side), hull)
    assert hull_from(0, b"") is None


@pytest.mark.parametrize(
    ("cells", "side"),
    [(0, b"x"), (HULL, b""), (16, b"x"), (True, b""), (HULL, b"no stream"), (HULL, brotli.compress(bytes(9)))],
)
def test_what_is_no_hull(cells, side):
    with pytest.raises(MalformedError, match="scene"):
        hull_from(cells, side)


def test_a_hull_that_unpacks_to_more_than_its_cells():
    with pytest.raises(FormatError, match="scene hull"):
        hull_from(HULL, brotli.compress(bytes(1 << 24)))


@pytest.mark.parametrize("cells", [16, 32, 64, 50])
def test_other_grids(cells):
    hull = np.zeros((HULL,) * 3, bool)
    hull[:8] = True
    assert upsampled(hull, cells).mean() == pytest.approx(0.25, abs=1 / cells)
    assert upsampled(None, cells).all()


def test_what_views_show_as_transparent_is_carved_away():
    cells = 24
    hull = carve(CAMERA, views(), (-1.0,) * 3, (1.0,) * 3, cells)
    axis = (np.arange(cells) + 0.5) / cells * 2 - 1
    distance = np.sqrt(sum(np.square(np.meshgrid(axis, axis, axis, indexing="ij"))))
    assert hull[distance < 0.45].all()
    assert not hull[distance > 1.1].any()


def test_the_box_of_a_masked_scene_is_tight():
    low, high, told = box_of(CAMERA, views(), "ball")
    assert told
    assert (low < -0.45).all()
    assert (high > 0.45).all()
    assert (high - low).max() < 1.6


def test_without_transparent_parts_the_box_is_a_cube_about_what_is_looked_at():
    opaque = Views(views().pictures[..., :3], views().poses)
    low, high, told = box_of(CAMERA, opaque, "ball")
    assert not told
    np.testing.assert_allclose(high - low, (high - low)[0])
    np.testing.assert_allclose(high + low, 0, atol=0.2)
    assert behind(opaque) == (50, 50, 50)


def test_scenes_without_a_box():
    nothing = views(alpha=0)
    with pytest.raises(InputError, match=r"ball: .* transparent parts leave no place"):
        box_of(CAMERA, nothing, "ball")
    still = views()
    with pytest.raises(InputError, match=r"ball: .* all stand in one place"):
        box_of(CAMERA, Views(still.pictures, np.repeat(still.poses[:1], 6, 0)), "ball")


def test_corners_are_rounded_outwards():
    low, high = np.array([0.1, -0.1, 1 / 3]), np.array([0.7, 0.3, 2 / 3])
    down, up = rounded(low, high)
    assert all(a < b for a, b in zip(down, low))
    assert all(a > b for a, b in zip(up, high))
    assert all(float(np.float32(each)) == each for each in (*down, *up))
    with pytest.raises(InputError, match="too far from its origin"):
        rounded(low + 1e5, high + 1e5)
