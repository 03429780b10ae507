"""Regions, scales and sizes: text and Python values say the same, and what is none is named."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinr_codec.errors import InputError
from sinr_codec.signals import lattice
from sinr_codec.signals.grammar import Range, Region, Scale, Size

ENDS = st.tuples(st.integers(0, 10**6), st.integers(0, 10**6))


@given(st.lists(ENDS, min_size=1, max_size=5))
def test_ranges_as_text_and_as_numbers(ends):
    region = Region.parse(ends)
    assert Region.parse(str(region)) == region == Region.parse(region)
    assert region.ranges == tuple(Range(*pair) for pair in ends)
    assert Region.parse([f"{start}:{stop}" for start, stop in ends]) == region
    assert Region.parse(np.array(ends).tolist()) == Region.parse([tuple(np.array(pair)) for pair in ends]) == region


@given(st.dictionaries(st.from_regex(r"[a-z_]\w*", fullmatch=True), ENDS, min_size=1, max_size=4))
def test_ranges_by_name(ends):
    region = Region.parse(ends)
    assert Region.parse(str(region)) == region
    assert region.by_name([*ends, "other"]) == ends
    with pytest.raises(InputError, match=r"dimension .* expected one of"):
        region.by_name(list(ends)[1:] or ["other"])
    with pytest.raises(InputError, match="expected START:STOP for each of"):
        region.within((9,) * len(ends), "cell")


@pytest.mark.parametrize("value", ["2,3,12,9", " 2, 3,12,9", (2, 3, 12, 9), np.array([2, 3, 12, 9]).tolist()])
def test_corners_of_a_picture_are_its_rows_and_columns(value):
    region = Region.parse(value)
    assert region.within((20, 33), "pixel") == ((3, 9), (2, 12)) == Region.parse("3:9,2:12").within((20, 33), "pixel")
    assert Region.parse(str(region)) == region
    for sizes in ((20, 33, 9), (20, 33, 9, 9)):
        with pytest.raises(InputError, match="region 2,3,12,9: expected START:STOP for each of"):
            region.within(sizes, "voxel")
    with pytest.raises(InputError, match="expected START:STOP for each of lat, lon"):
        region.by_name(("lat", "lon"))


def test_axes_that_are_left_out_at_the_end_are_whole():
    assert Region.parse("4:5").within((9, 7, 8), "voxel") == ((4, 5), (0, 7), (0, 8))
    assert Region.parse("4:5,1:2").by_name(("time", "lat", "lon")) == {"time": (4, 5), "lat": (1, 2)}


@pytest.mark.parametrize(
    ("region", "message"),
    [
        ("0:10", "region 0:10: expected 0 <= start < stop <= 9, in voxels of the source"),
        (((3, 3),), "region 3:3: expected 0 <= start < stop <= 9, in voxels of the source"),
        (((-1, 3),), "region -1:3: expected 0 <= start < stop <= 9, in voxels of the source"),
        ("0:1,0:1,0:1", "region 0:1,0:1,0:1: expected START:STOP for each of 2 axes, in voxels"),
        ((0, 0, 8, 9), "region 0,0,8,9: expected left < right <= 7 and top < bottom <= 9"),
        ((5, 5, 5, 8), "region 5,5,5,8: expected left < right <= 7 and top < bottom <= 9"),
    ],
)
def test_regions_outside(region, message):
    with pytest.raises(InputError) as caught:
        Region.parse(region).within((9, 7), "voxel")
    assert str(caught.value) == message


NO_REGIONS = ["", "1", "a:b", "1:2,3", "1:2:3", "1,2,3", "-1:2", "1.5:2", "lat=1", 5, None, (1, 2, 3)]


@pytest.mark.parametrize("value", NO_REGIONS)
def test_what_is_no_region(value):
    with pytest.raises(InputError, match=r"^region .*: expected START:STOP for each axis, .* or of a picture L,T,R,B"):
        Region.parse(value)


@given(st.lists(st.floats(1e-3, 1e3), min_size=1, max_size=5))
def test_factors_as_text_and_as_numbers(factors):
    scale = Scale.parse(factors)
    assert Scale.parse("x".join(map(repr, factors))) == scale == Scale.parse(scale)
    assert scale.along(len(factors)) == tuple(factors)
    if len(factors) == 1:
        assert Scale.parse(factors[0]) == scale
        assert scale.along(3) == 3 * tuple(factors)
    else:
        with pytest.raises(InputError, match=f"expected a number, or one for each of {len(factors) + 1} axes"):
            scale.along(len(factors) + 1)


def test_factors_by_name():
    names = ("time", "lat", "lon")
    assert Scale.parse("lat=2,lon=0.5").by_name(names, ()) == {"lat": 2, "lon": 0.5}
    assert Scale.parse({"time": 3}).by_name(names, ()) == {"time": 3}
    assert Scale.parse("2").by_name(names, ("lat", "lon")) == {"lat": 2, "lon": 2}
    assert Scale.parse("1x2x3").by_name(names, ()) == {"time": 1, "lat": 2, "lon": 3}
    with pytest.raises(InputError, match="dimension 'depth': expected one of time, lat, lon"):
        Scale.parse("depth=2").by_name(names, ())
    with pytest.raises(InputError, match=r"scale lat=2,lon=0\.5: expected a number"):
        Scale.parse("lat=2,lon=0.5").along(2)


@pytest.mark.parametrize("value", [np.float32(2), np.int64(2), Fraction(2), "2.0", [2], "2X2", "2x2x2"])
def test_a_factor_of_any_sort(value):
    assert set(Scale.parse(value).factors) == {2.0}


@pytest.mark.parametrize("value", ["", "big", "1x", (1, "a"), (), {}, None, "lat=a"])
def test_what_is_no_scale(value):
    with pytest.raises(InputError, match=r"^scale .*: expected a number above 0, such as 2, or one an axis"):
        Scale.parse(value)


@pytest.mark.parametrize("value", [0, -1, "-2", "nan", float("inf"), 2**31, (1, 0), "lat=0"])
def test_factors_out_of_range(value):
    scale = Scale.parse(value)
    for use in (lambda: scale.along(2), lambda: scale.by_name(("lat", "lon"), ("lat",))):
        with pytest.raises(InputError, match=r"^scale .*: expected a number above 0, such as 2, or one an axis"):
            use()


def test_sizes():
    assert Size.parse("10x30") == Size.parse((10, 30)) == Size.parse([np.int64(10), 30]) == (10, 30)
    assert Size.parse(Size.parse("10X30X5")).along(3) == (10, 30, 5)
    assert Size.parse((7,)).along(1) == (7,)
    assert str(Size((3, 4))) == "3x4"
    with pytest.raises(InputError, match="size 10x30: expected 3 integers of at least 1, one an axis"):
        Size.parse("10x30").along(3)


@pytest.mark.parametrize("value", ["10", "0x4", "3y3", "1.5x2", "", (0, 4), (3.5, 4), 3, None, (), {"lat": 3}])
def test_what_is_no_size(value):
    with pytest.raises(InputError, match=r"^size .*: expected HxW, such as 1024x1536, or a size for each axis"):
        Size.parse(value)


@pytest.mark.parametrize("value", ["4", "a:4", "1:2:3", (1,), (1, 2, 3), 7, None, (1.5, 2)])
def test_what_is_no_range(value):
    with pytest.raises(InputError, match=r"^frames .*: expected START:STOP, such as 0:32"):
        Range.parse(value, "frames")


def test_windows_take_text():
    sizes = (20, 33)
    assert lattice.window(sizes, region="2,3,12,9") == lattice.window(sizes, region=((3, 9), (2, 12)))
    assert lattice.window(sizes, scale="2x3", region="3:9") == lattice.window(sizes, scale=(2, 3), region=[(3, 9)])
    assert lattice.window(sizes, size="5x6") == lattice.window(sizes, size=(5, 6))


def test_no_ranges_are_the_whole():
    for empty in ((), []):
        assert Region.parse(empty).within((4, 5), "sample") == ((0, 4), (0, 5))
    with pytest.raises(InputError, match="no names of axes here"):
        Region.parse("time=0:1").within((4, 5), "sample")
