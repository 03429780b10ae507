from dataclasses import replace

import numpy as np
import pytest

from sinr_codec.coding.tensor import Direct
from sinr_codec.methods.direct import plan_for
from sinr_codec.methods.refine import refine, refit


@pytest.mark.parametrize("options", [{}, {"sparse": True, "dictionaries": (64,)}], ids=["direct", "sparse"])
def test_codes_get_better_and_keep_their_steps_and_atoms(task, options):
    task = replace(task, effort=0.1)
    start = plan_for(task, 5 * task.field.num_params // 8, **options)
    error = task.error()
    better, after = refine(task, start, error)
    assert after == error(better.params) < error(start.params)
    assert better.codings == start.codings
    for name, code in start.codes.items():
        if code is not None:
            np.testing.assert_array_equal(better.codes[name].indices, code.indices)
    for name, coding in better.codings.items():
        if isinstance(coding, Direct) and coding.step is not None:
            levels = better.params[name] / coding.step
            np.testing.assert_allclose(levels, np.rint(levels), atol=1e-3)


def test_what_does_not_help_is_left_out(task):
    start = plan_for(task, 5 * task.field.num_params // 8)
    calls = []

    def worse_each_time(params):
        calls.append(params)
        return float(len(calls))

    assert refine(task, start, worse_each_time) == (start, 1.0)


def test_a_refit_takes_fewer_bytes_at_the_same_loss(task):
    error = task.error()
    allowed = replace(task, max_drop=0.5)
    before = plan_for(allowed)
    params = refit(task.field, task.part, task.params, before.bytes, effort=0.1)
    again = plan_for(task.with_params(params), limit=allowed.limit(error(task.params)))
    assert again.bytes < before.bytes
