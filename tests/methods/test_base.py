from dataclasses import replace

import numpy as np
import pytest

from sinr_codec.fields import MLP
from sinr_codec.methods.base import Training


def test_the_allowed_error_is_the_larger_of_drop_and_slack(task):
    task = replace(task, max_drop=10.0, slack=0.0)
    assert task.limit(1e-3) == pytest.approx(1e-2)
    assert replace(task, slack=0.5).limit(1e-3) == pytest.approx(0.501)
    assert 0 < task.limit(0.0) < 1e-7


def test_results_are_shared_until_the_parameters_change(task):
    task, computed = replace(task, known={}), []
    for _ in range(2):
        assert task.once("key", lambda: computed.append(1) or len(computed)) == 1
    assert task.with_params(task.params).once("key", lambda: 7) == 7


def test_other_parameters_are_ordered_and_may_be_narrower(task):
    narrow = MLP(2, 3, 9, 2, task.field.activation)
    params = dict(reversed(narrow.init(np.random.default_rng(0)).items()))
    other = task.with_params(params)
    assert other.field == narrow
    assert list(other.params) == list(narrow.shapes())


def test_errors_are_those_of_decoded_samples(task):
    coords, values = task.part.batch(np.arange(len(task.part)))
    error = np.mean((task.field.apply(task.params, coords).astype(np.float64) - values) ** 2) / 4  # a range of 2
    assert task.error()(task.params) == pytest.approx(error, rel=0.02)  # rounded to 8 bits


def test_settings_of_a_kind_override_those_of_the_preset():
    training = Training("name", None, fit={"fast": {"steps": 1, "batch": 2}, "radiance": {"batch": 3}})
    assert training.settings("fast", "image") == {"steps": 1, "batch": 2}
    assert training.settings("fast", "radiance") == {"steps": 1, "batch": 3}
