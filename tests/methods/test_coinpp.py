"""Samples that latents are adapted to; files of bases are in tests/test_bases.py."""

import numpy as np
import pytest

pytest.importorskip("torch")

from sinr_codec.errors import InputError
from sinr_codec.methods import coinpp


def test_all_samples_of_a_small_signal_are_one_task(task):
    coords, values = coinpp.some_of(task.part)
    expected = task.part.batch(np.arange(len(task.part)))
    np.testing.assert_array_equal(coords.numpy(), expected[0])
    np.testing.assert_array_equal(values.numpy(), expected[1][None])


def test_large_signals_are_thinned(task, monkeypatch):
    monkeypatch.setattr(coinpp, "WHOLE", 100)
    coords, values = coinpp.some_of(task.part)
    assert coords.shape == (100, 2)
    assert values.shape == (1, 100, 3)
    np.testing.assert_array_equal(coords[0].numpy(), task.part.batch(np.arange(1))[0][0])


def test_latents_need_a_model(task):
    with pytest.raises(InputError, match="model"):
        coinpp.levels(task)
