from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from sinr_codec.coding.dtypes import (
    check_dtype,
    from_bits,
    from_floats,
    is_float,
    largest,
    real,
    real_shape,
    to_bits,
)
from sinr_codec.errors import InputError, MalformedError

ALL = ["?", "i1", "u1", "i2", "u2", ">i4", "u4", "i8", "u8", "f2", "f4", ">f4", "f8", "c8", "c16", ml_dtypes.bfloat16]


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_bits_give_every_element_back(dtype):
    kind = np.dtype(dtype)
    raw = np.random.default_rng(0).integers(0, 2 if kind.kind == "b" else 256, 40 * kind.itemsize, np.uint8)
    array = np.frombuffer(raw.tobytes(), kind)
    q = to_bits(array)
    assert q.dtype.kind in "iu"
    assert q.shape == real_shape(array.shape, kind)
    assert from_bits(q.reshape(-1).astype(np.int64), kind, "x").tobytes() == array.tobytes()


def test_integers_keep_their_values():
    assert to_bits(np.array([-3, 7], ">i2")).tolist() == [-3, 7]
    assert to_bits(np.array([True, False])).tolist() == [1, 0]


@pytest.mark.parametrize(("dtype", "beyond"), [("?", 2), ("u1", 256), ("i2", -(2**15) - 1), ("f2", -1), ("f4", 2**32)])
def test_integers_beyond_an_element_are_refused(dtype, beyond):
    with pytest.raises(MalformedError, match="weights: an element is outside"):
        from_bits(np.array([0, beyond]), np.dtype(dtype), "weights")


@pytest.mark.parametrize("dtype", ["U1", "O", "V3", "M8[s]", "f4,i4", np.longdouble])
def test_types_without_numbers_are_refused(dtype):
    with pytest.raises(InputError, match="tensor: expected numbers"):
        check_dtype(np.dtype(dtype))


def test_complex_numbers_are_two_real_ones():
    array = np.array([[1 + 2j, -3j]], np.complex64)
    assert real(array).tolist() == [[[1, 2], [0, -3]]]
    assert real_shape((1, 2), array.dtype) == (1, 2, 2)
    assert from_floats(np.array([1.0, 2.0, 0.0, -3.0]), array.dtype).tolist() == [1 + 2j, -3j]
    plain = np.ones((2, 3), np.float16)
    assert real(plain) is plain


def test_floating_types():
    assert {t: is_float(np.dtype(t)) for t in ("f2", "c8", ml_dtypes.bfloat16, "i4", "?")} == {
        "f2": True,
        "c8": True,
        ml_dtypes.bfloat16: True,
        "i4": False,
        "?": False,
    }
    assert largest(np.dtype("f2")) == 65504
    assert largest(np.dtype("c8")) == float(np.finfo(np.float32).max)


@pytest.mark.parametrize(("dtype", "digits"), [("f2", 11), ("f4", 24), (ml_dtypes.bfloat16, 8)])
def test_numbers_are_rounded_once_to_nearest_even(dtype, digits):
    """Beside the middle of two neighbours by less than an intermediate type could tell."""
    unit = Fraction(1, 2 ** (digits - 1))
    middles = [1 + unit * n + unit / 2 for n in range(6)]
    values = np.array([float(m + d) for m in middles for d in (Fraction(-1, 2**45), 0, Fraction(1, 2**45))])
    expected = []
    for value in values.tolist():
        steps = Fraction(value) / unit
        low = steps.numerator // steps.denominator
        rest = steps - low
        up = rest > Fraction(1, 2) or (rest == Fraction(1, 2) and low % 2 == 1)
        expected.append(float((low + up) * unit))
    assert from_floats(values, np.dtype(dtype)).astype(np.float64).tolist() == expected
