import math
from dataclasses import replace

import numpy as np
import pytest

from sinr_codec.coding.scales import Scales
from sinr_codec.coding.tensor import Direct, Sparse, decode_tensor, encode_tensor
from sinr_codec.planning.tensors import PlannedTensor, mean_square, wide_type


def matrix(rows: int = 40, columns: int = 30) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.05, (rows, columns)).astype(np.float32)


def test_the_step_follows_kappa_and_the_sensitivity():
    w = matrix()
    plain = PlannedTensor("w", w, 4.0, trellis=False)
    steps = [coding.step for _, coding, _ in plain.candidates(0.01) if isinstance(coding, Direct)]
    assert steps == [pytest.approx(0.01 / math.sqrt(4.0), rel=0.002)]
    trellis = [c for _, c, _ in replace(plain, trellis=True).candidates(0.01) if isinstance(c, Direct)]
    assert [coding.trellis for coding in trellis] == [False, True]


def test_costs_are_bytes_and_loss_at_the_slope():
    """A finer step costs more bytes, a coarser one more loss; at kappa's own step the sum is the least."""
    w, sensitivity, kappa = matrix(), 2.0, 0.01
    slope = 6 / (8 * math.log(2)) / kappa**2  # bytes per unit of loss

    def cost(step: float) -> float:
        record = encode_tensor(w, Direct(step=step))
        decoded = decode_tensor(record, w.shape, w.dtype)
        return len(record) + slope * sensitivity * float(np.sum((decoded.astype(float) - w) ** 2))

    (expected, coding, _), *_ = [
        each
        for each in PlannedTensor("w", w, sensitivity, trellis=False).candidates(kappa)
        if isinstance(each[1], Direct)
    ]
    assert coding.step is not None
    assert cost(coding.step) == pytest.approx(expected, rel=0.02)
    assert cost(coding.step) < min(cost(coding.step * 2), cost(coding.step / 2))


def test_a_tensor_without_influence_takes_any_step_and_a_sensitive_one_stays_exact():
    w = matrix()
    coarse, _ = PlannedTensor("w", w, 0.0).cheapest(1.0)
    assert isinstance(coarse, Direct)
    assert not decode_tensor(encode_tensor(w, coarse), w.shape, w.dtype).any()
    exact, _ = PlannedTensor("w", w, 1e30).cheapest(1e-9)
    assert decode_tensor(encode_tensor(w, exact), w.shape, w.dtype).tobytes() == w.tobytes()


def test_scales_are_taken_where_they_save_bytes():
    w = matrix(64, 64)
    felt = np.ones(w.shape) * np.exp(np.linspace(-6, 6, 64))[:, None]
    tensor = PlannedTensor("w", w, 1.0, trellis=False)
    scaled, saved = tensor.with_scales(0.05, felt)
    assert scaled.scales is not None
    assert len(scaled.scales.rows) == 64
    assert saved > 0
    assert tensor.with_scales(0.05, np.ones(w.shape)) == (tensor, 0.0)
    assert Scales() == Scales((), ())


def test_errors_are_counted_in_units_of_the_scales():
    w = matrix(4, 6)
    moved = w + np.float32(0.5)
    tensor = PlannedTensor("w", w, 1.0)
    assert tensor.error(Direct(step=0.1), moved) == pytest.approx(24 * 0.25)
    scales = Scales(rows=(0, 4, 8, 12))  # units 1, 2, 4, 8
    in_units = sum(6 * 0.25 / unit**2 for unit in (1, 2, 4, 8))
    assert tensor.error(Direct(step=0.1, scales=scales), moved) == pytest.approx(in_units)
    assert replace(tensor, scaled=3.0).error(Direct(step=0.1, scales=scales), moved) == pytest.approx(3 * in_units)


def test_sparse_candidates_of_square_matrices_alone_may_be_all_there_are():
    w = matrix(64, 64)
    tensor = PlannedTensor("w", w, 1.0)
    tensor.add_sparse((256,), seed=0, device="cpu", only=True)
    assert tensor.sparse
    assert not tensor.dense
    assert all(isinstance(coding, Sparse) for _, coding, _ in tensor.candidates(0.01))
    oblong = PlannedTensor("w", matrix(64, 20), 1.0)
    oblong.add_sparse((256,), seed=0, device="cpu", only=True)
    assert oblong.dense
    for w in (matrix(4, 5), np.ones(4096), matrix(64, 64).astype(np.complex64)):  # too small, no matrix, not real
        other = PlannedTensor("w", w, 1.0)
        other.add_sparse((256,), seed=0, device="cpu", only=True)
        assert other.sparse == []
        assert other.dense


def test_a_dictionary_that_takes_no_more_than_of_noise_is_left_out():
    tensor = PlannedTensor("w", matrix(64, 64), 1.0)
    tensor.add_sparse((1024,), seed=0, device="cpu", only=False)
    assert tensor.sparse == []


def test_mean_squares_that_float64_has_no_room_for_are_none():
    assert mean_square(np.array([3.0, 4.0])) == 12.5
    assert mean_square(np.array([3 + 4j], np.complex64)) == 25
    assert mean_square(np.zeros(3)) == mean_square(np.full(3, 1e300)) == mean_square(np.full(3, 1e-300)) == 0
    assert wide_type(np.ones(1, np.complex64)) is np.complex128
    assert wide_type(np.ones(1, np.float16)) is np.float64
