import numpy as np
import pytest
from array_api_compat import numpy as xp

from sinr_codec.coding.dictionary import make_dictionary
from sinr_codec.errors import InputError
from sinr_codec.fields import MLP, AxisOctaves, Fourier, Identity, Octaves, RotatedOctaves

C = np.array([[0.25, -0.5], [0.9, 0.1]], np.float32)


def test_identity_is_the_identity():
    assert Identity().function(xp, 2)(C) is C
    assert Identity().out_features(5) == 5


def test_inric_order_and_size():
    encoding = Octaves(16, 1.4)
    assert encoding.out_features(2) == 66
    got = encoding.function(xp, 2)(C)
    expected = [C[0, 0], C[0, 1]]
    for i in range(16):
        for j in range(2):
            phase = 1.4**i * np.pi * float(C[0, j])
            expected += [np.sin(phase), np.cos(phase)]
    assert got.dtype == np.float32
    np.testing.assert_allclose(got[0], expected, atol=1e-4)


def test_nerf_order():
    got = Octaves(2, 2.0, False, "octave").function(xp, 2)(C)[1]
    x = np.pi * C[1].astype(float)
    expected = [*np.sin(x), *np.cos(x), *np.sin(2 * x), *np.cos(2 * x)]
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_octaves_of_each_axis():
    encoding = AxisOctaves((1, 3), 1.5)
    got = encoding.function(xp, 2)(C)
    expected = [C[1, 0], C[1, 1]]
    for j, count in enumerate((1, 3)):
        for i in range(count):
            phase = 1.5**i * np.pi * float(C[1, j])
            expected += [np.sin(phase), np.cos(phase)]
    assert encoding.out_features(2) == len(expected)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got[1], expected, atol=1e-5)
    # no octaves: the coordinates
    assert np.array_equal(AxisOctaves((0, 0)).function(xp, 2)(C), C)


def test_octaves_that_turn():
    """Octave i has the wave numbers (cos, sin) and (-sin, cos) of i golden angles, in units of the longer axis."""
    encoding = RotatedOctaves((2, 3), 1.5)
    got = encoding.function(xp, 2)(C)
    y, x = float(C[1, 0]) / 1.5, float(C[1, 1])  # the first axis is shorter by an octave
    expected = [C[1, 0], C[1, 1]]
    for turned in (0, np.pi / 2):
        for i in range(3):
            angle = i * np.pi * (3 - 5**0.5) + turned
            phase = 1.5**i * np.pi * (np.cos(angle) * y + np.sin(angle) * x)
            expected += [np.sin(phase), np.cos(phase)]
    assert encoding.out_features(2) == len(expected)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got[1], expected, atol=1e-5)
    assert np.array_equal(RotatedOctaves((0, 0)).function(xp, 2)(C), C)


def test_octaves_turn_in_a_plane():
    with pytest.raises(InputError, match="2 coordinates"):
        MLP(3, 1, 8, 1, encoding=RotatedOctaves((1, 3)))


def test_octaves_of_as_many_axes_as_there_are():
    with pytest.raises(InputError, match="expected 3 counts"):
        MLP(3, 1, 8, 1, encoding=AxisOctaves((1, 3)))


def test_fourier_features_come_from_the_dictionary():
    encoding = Fourier(8, 3.0, seed=11)
    b = make_dictionary("gaussian", 11, 2, 8) * (3.0 / 4)
    phase = 2 * np.pi * C.astype(float) @ b
    got = encoding.function(xp, 2)(C)
    np.testing.assert_allclose(got, np.concatenate([np.sin(phase), np.cos(phase)], -1), atol=2e-5)


def test_fourier_scale_is_the_standard_deviation():
    b = Fourier(4096, 5.0).frequencies(3) / (2 * np.pi)
    assert b.std() == pytest.approx(5.0, rel=0.03)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Octaves(0),
        lambda: Octaves(65),
        lambda: Octaves(4, -1.0),
        lambda: Octaves(64, 2.0),
        lambda: Octaves(4, 2.0, True, "row"),  # type: ignore[arg-type]
        lambda: AxisOctaves(()),
        lambda: AxisOctaves((1, 65)),
        lambda: AxisOctaves((1, -1)),
        lambda: AxisOctaves((1, 2.0)),  # type: ignore[arg-type]
        lambda: AxisOctaves((1, 64), 2.0),
        lambda: AxisOctaves((1, 2), 0),
        lambda: RotatedOctaves((1, 2, 3)),  # type: ignore[arg-type]
        lambda: RotatedOctaves((1, 65)),
        lambda: Fourier(0),
        lambda: Fourier(4, float("inf")),
        lambda: Fourier(4, 1.0, -1),
    ],
)
def test_refuses(make):
    with pytest.raises(InputError, match="encoding"):
        make()
