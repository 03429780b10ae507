from dataclasses import replace

import numpy as np
import pytest

from sinr_codec.coding.tensor import Direct
from sinr_codec.methods import direct


def test_minmax_has_levels_of_16_bits(task):
    plan = direct.minmax(task).plan
    for name, w in task.params.items():
        assert plan.codings[name] == Direct(bits=16, paper=True)
        assert np.abs(plan.params[name] - w).max() <= np.ptp(w) / (2**16 - 1)


def test_plans_keep_the_limit_in_fewer_bytes_for_a_larger_one(task):
    sizes = []
    for drop in (0.05, 0.5, 3.0):
        allowed = replace(task, max_drop=drop)
        plan = direct.planned(allowed).plan
        error = task.error()
        assert error(plan.params) <= allowed.limit(error(task.params))
        sizes.append(plan.bytes)
    assert sizes[0] > sizes[1] > sizes[2]


def test_a_trellis_takes_fewer_bytes(task):
    loose = replace(task, max_drop=0.5)
    assert direct.trellis(loose).plan.bytes < direct.planned(loose).plan.bytes


@pytest.mark.parametrize("bits", [4, 7])
def test_refinement_starts_from_a_plan_of_the_size(task, bits):
    coded = direct.refined(bits)(task)
    assert coded.figures["unrefined_bytes"] <= bits * task.field.num_params / 8
    assert coded.figures["refinement_db"] >= 0
