"""The context coder's size: counted by hand, and never below what the voxels hold."""

import math

import numpy as np
import pytest

from sinr_codec.bench.lossless import HEADER, TEMPLATE, code_bits, counts, lossless_bytes

pytest.importorskip("scipy")


def test_every_voxel_is_counted_once_in_the_context_of_those_before_it() -> None:
    volume = np.random.default_rng(0).random((5, 6, 7)) < 0.4
    found = counts(volume)
    assert found.sum(0).tolist() == [(~volume).sum(), volume.sum()]
    expected = np.zeros_like(found)
    for place in np.ndindex(volume.shape):
        context = 0
        for offset in TEMPLATE:
            near = tuple(np.add(place, offset))
            inside = all(0 <= at < size for at, size in zip(near, volume.shape))
            context = context << 1 | int(inside and volume[near])
        expected[context, int(volume[place])] += 1
    np.testing.assert_array_equal(found, expected)
    assert all(offset < (0, 0, 0) for offset in TEMPLATE)


def test_an_estimator_costs_what_its_predictions_do_one_after_the_other() -> None:
    zeros = ones = 0
    bits = 0.0
    for bit in (0, 0, 1, 0, 1, 1, 1, 0, 0, 0):
        bits -= math.log2(((ones if bit else zeros) + 0.5) / (zeros + ones + 1))
        zeros, ones = zeros + (not bit), ones + bit
    assert code_bits(np.array([[0, 0], [zeros, ones]])) == pytest.approx(bits)


def test_a_ball_is_small_noise_is_not_and_the_order_of_axes_does_not_matter() -> None:
    ball = np.linalg.norm(np.mgrid[-1:1:24j, -1:1:20j, -1:1:16j], axis=0) < 0.8
    noise = np.random.default_rng(0).random(ball.shape) < 0.5
    assert HEADER < lossless_bytes(ball) < ball.size / 8 / 4
    assert lossless_bytes(noise) > noise.size / 8
    assert lossless_bytes(ball.transpose(2, 0, 1)) == lossless_bytes(ball)
