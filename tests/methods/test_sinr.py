from dataclasses import replace

import pytest

from sinr_codec.coding.sparse import Layout
from sinr_codec.coding.tensor import Direct, Raw, Sparse
from sinr_codec.methods import sinr


def test_numbers_that_are_transmitted_are_counted(task):
    sparse = Sparse("gaussian", 0, 64, 3, Layout(0), bits=16)
    codings = {name: Raw() if name.endswith("bias") else Direct(bits=16) for name in task.params}
    assert sinr.sent(task.params, codings) == task.field.num_params
    codings["layers.1.weight"] = sparse  # 12 vectors of 12
    assert sinr.sent(task.params, codings) == task.field.num_params - 144 + 2 * 3 * 12


def test_variants_share_a_pursuit(task):
    task = replace(task, known={})
    whole = sinr.Published(k2=64)(task)
    hidden = sinr.Published(k2=64, hidden=True)(task)
    assert len(task.known) == 1
    assert whole.figures["s"] > 0
    assert sum(isinstance(c, Sparse) for c in hidden.plan.codings.values()) == 2
    assert hidden.figures["sent"] > 0


@pytest.mark.parametrize("k2", [64, 256])
def test_more_atoms_make_a_smaller_error(task, k2):
    error = task.error()
    losses = [error(sinr.Published(k2=k2, s=s, hidden=True)(task).plan.params) for s in (1, 6)]
    assert losses[1] < losses[0]
