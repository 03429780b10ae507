import math

import numpy as np

from sinr_codec.coding.assembled import Plan, assemble
from sinr_codec.coding.sparse import Layout, SparseCode
from sinr_codec.coding.tensor import Direct, Raw, Sparse, decode_tensor, encode_tensor


def test_records_are_those_of_the_codings_and_parameters_those_of_the_records():
    rng = np.random.default_rng(0)
    params = {"w": rng.normal(size=(16, 9)).astype(np.float32), "b": rng.normal(size=16), "steps": np.array(7)}
    codings = {"w": Direct(step=0.1), "b": Direct(bits=6), "steps": Direct(step=1.0)}
    plan = assemble(params, codings)
    assert list(plan.records) == list(params)
    assert plan.records == {name: encode_tensor(w, codings[name]) for name, w in params.items()}
    for name, w in params.items():
        decoded = decode_tensor(plan.records[name], w.shape, w.dtype)
        assert decoded.tobytes() == plan.params[name].tobytes()
    assert plan.params["steps"] == 7  # no quantiser takes integers
    assert plan.bytes == sum(len(record) for record in plan.records.values())
    assert math.isnan(plan.loss)


def test_sparse_codes_count_instead_of_the_parameters():
    code = SparseCode("sign", 7, 16, Layout(0), np.array([[5, 0], [2, 9]]), np.array([[1.0, 2.0], [-1.0, 0.5]]))
    coding = Sparse("sign", 7, 16, 2, Layout(0), step=0.5)
    plan = assemble({"w": np.zeros((4, 2), np.float32)}, {"w": coding}, {"w": code})
    assert plan.codes["w"] is code
    assert np.abs(plan.params["w"]).max() > 1


def test_a_plan_without_records_has_no_bytes():
    assert Plan({"w": Raw()}, {}, {}).bytes == 0
