"""Samples and their place in [-1, 1]."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinr_codec.errors import InputError, MalformedError
from sinr_codec.signals.levels import DTYPES, Levels, chunks, max_error, psnr


@pytest.mark.parametrize("dtype", DTYPES)
def test_samples_survive(dtype):
    rng = np.random.default_rng(1)
    if dtype == "bool":
        samples = rng.random(100) > 0.5
    elif dtype.startswith("float"):
        samples = (rng.standard_normal(100) * 50).astype(dtype)
    else:
        info = np.iinfo(dtype)
        samples = rng.integers(max(info.min, -5000), min(info.max, 5000), 100).astype(dtype)
    levels = Levels.of(samples, "a")
    values = levels.to_values(samples)
    assert values.dtype == np.float32
    assert np.abs(values).max() == 1
    back = levels.to_samples(values)
    assert back.dtype == samples.dtype
    assert max_error(samples, back) <= (1e-4 * levels.span if dtype.startswith("float") else 0)
    assert Levels.from_header(levels.to_header()) == levels


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_64_bits_are_taken_as_far_as_float64_counts(dtype):
    levels = Levels.of(np.array([0, 2**53], dtype), "a")
    assert levels.to_samples(np.array([-1, 1], np.float32)).tolist() == [0, 2**53]
    with pytest.raises(InputError, match=r"a\.npy.*2\^53"):
        Levels.of(np.array([2**60, 2**60 + 1], dtype), "a.npy")


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_the_ends_of_64_bits_in_a_header(dtype):
    info = np.iinfo(dtype)
    levels = Levels(dtype, float(info.min), float(info.max))
    low, high = levels.to_samples(np.array([-1, 1], np.float32))
    assert (low, high > info.max - 5000) == (info.min, True)
    assert Levels.from_header(levels.to_header()) == levels


def test_the_range_of_eight_bits_or_of_the_samples():
    samples = np.array([10, 20], np.uint8)
    assert Levels.of(samples, "a", dtype_range=True) == Levels("uint8", 0, 255)
    assert Levels.of(samples, "a") == Levels("uint8", 10, 20)
    assert (Levels.of(samples, "a").span, Levels.of(samples, "a").dtype_peak) == (10, 255)


def test_a_constant_signal():
    levels = Levels.of(np.full(5, 7.5), "a")
    assert levels.span == 1
    assert (levels.to_samples(levels.to_values(np.full(5, 7.5))) == 7.5).all()


def test_wild_values_are_clipped():
    samples = Levels("uint8", 0, 255).to_samples(np.array([np.nan, np.inf, -np.inf, 9, -9], np.float32))
    assert samples.tolist() == [255, 255, 0, 255, 0]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_only_finite_samples(bad):
    with pytest.raises(InputError, match=r"a\.npy.*finite"):
        Levels.of(np.array([0, bad]), "a.npy")


def test_only_real_samples():
    with pytest.raises(InputError, match="complex"):
        Levels.of(np.zeros(3, complex), "a")


@pytest.mark.parametrize(
    "header",
    [
        None,
        [],
        [0, 0],
        [12, 0, 1],
        [-1, 0, 1],
        [True, 0, 1],
        [0, 0, 256],
        [0, 5, 4],
        [0, 0.0, 1.0],
        [4, 0, 1],
        [4, math.nan, 1.0],
        [4, 0.0, 1e39],
        [5, -1.7e308, 1.7e308],
        [1, 0, 2],
    ],
)
def test_malformed_headers(header):
    with pytest.raises(MalformedError):
        Levels.from_header(header)


@given(st.integers(1, 60), st.integers(1, 9), st.sampled_from("CF"), st.sampled_from("CF"))
def test_chunks_are_all_elements_in_order(rows, size, one, other):
    array = np.arange(rows * 7).reshape(rows, 7)
    parts = list(chunks(array.copy(one), array.copy(other), size=size))
    for side in zip(*parts):
        np.testing.assert_array_equal(np.concatenate(side), array.ravel())


def test_psnr_by_hand():
    assert psnr(np.zeros(4), np.full(4, 0.5), 1.0) == pytest.approx(6.0206, abs=1e-4)
    assert psnr(np.ones(4), np.ones(4), 1.0) == math.inf
    with pytest.raises(InputError, match="shape"):
        psnr(np.ones(4), np.ones(5), 1.0)
