import math
from dataclasses import replace

import numpy as np
import pytest

from sinr_codec.coding.tensor import Sparse
from sinr_codec.errors import InputError
from sinr_codec.fields import MLP
from sinr_codec.methods.trained import Rated, SparseFromTheStart


@pytest.mark.parametrize("bits", [3, 4, 6])
def test_atoms_take_the_bits(bits):
    method = SparseFromTheStart(bits)
    s = method.atoms_of(64)
    taken = [n * method.VALUE_BITS + math.log2(math.comb(128, n)) for n in (s, s + 1)]
    assert taken[0] <= bits * 64 < taken[1]


def test_hidden_matrices_are_sparse_codes_of_the_size(task):
    coded = SparseFromTheStart(5)(replace(task, effort=0.05))
    assert coded.plan.bytes <= 1.03 * 5 * task.field.num_params / 8
    for name, w in task.params.items():
        coding = coded.plan.codings[name]
        assert isinstance(coding, Sparse) == (w.shape == (12, 12))
        if isinstance(coding, Sparse):
            assert coding.s == coded.figures["s"]
            assert np.isfinite(coded.plan.params[name]).all()


def test_a_network_without_hidden_matrices_is_refused(task):
    flat = MLP(2, 3, 12, 0)
    with pytest.raises(InputError, match="hidden layers"):
        SparseFromTheStart(4)(replace(task, field=flat, params=flat.init(np.random.default_rng(0))))


def test_a_rated_network_takes_the_size(task):
    coded = Rated(5)(replace(task, effort=0.05))
    assert coded.plan.bytes <= 5 * task.field.num_params / 8
