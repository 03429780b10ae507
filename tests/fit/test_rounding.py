"""Rounding for the outputs of a network."""

import numpy as np
import pytest
import torch
from array_api_compat import torch as xtorch
from PIL import Image

from sinr_codec.coding.quantize import round_step
from sinr_codec.coding.scales import Scales, scales_for
from sinr_codec.coding.sparse import Layout
from sinr_codec.coding.tensor import Direct, Sparse, decode_tensor, encode_tensor
from sinr_codec.coding.trellis import follows_trellis
from sinr_codec.fields import MLP, Sine, Wire
from sinr_codec.fit import FitConfig, fit
from sinr_codec.fit.rounding import Effort, Rounding, rounding_for
from sinr_codec.planning.plan import plan
from sinr_codec.planning.pursuit import sparse_encode
from sinr_codec.signals import registry

FIELD = MLP(2, 1, 24, 2, Sine(10.0))
SMALL = MLP(2, 1, 16, 2, Sine(10.0))  # to be planned
EFFORT = Effort(groups=6, steps=30, batch=256)


def network(field=FIELD, seed=0):
    return field.init(np.random.default_rng(seed))


def draw(count, generator):
    return torch.rand(count, 2, generator=generator) * 2 - 1


def rounding(field=FIELD, **settings):
    return Rounding(field.function(xtorch), draw, EFFORT, **settings)


def error_of(field, params, rounded):
    points = np.random.default_rng(9).uniform(-1, 1, (4000, 2)).astype(np.float32)
    return float(np.mean((field.decoder(rounded)(points) - field.decoder(params)(points)) ** 2))


def nearest(params, codings):
    return {n: decode_tensor(encode_tensor(w, codings[n]), w.shape, w.dtype) for n, w in params.items()}


@pytest.mark.parametrize("trellis", [False, True])
@pytest.mark.parametrize("field", [FIELD, MLP(2, 1, 16, 1, Wire(5.0, 3.0))], ids=["real", "complex"])
def test_outputs_change_less_than_by_rounding_to_the_nearest(field, trellis):
    params = network(field)
    codings = {n: Direct(step=float(np.abs(w).max()) / 8, trellis=trellis) for n, w in params.items()}
    rounded, _, left = rounding(field)(params, codings)
    for name, w in rounded.items():
        assert (w.shape, w.dtype) == (params[name].shape, params[name].dtype)
        again = decode_tensor(encode_tensor(w, codings[name]), w.shape, w.dtype)
        np.testing.assert_allclose(again, w, rtol=1e-6)  # it is on its grid
    assert error_of(field, params, rounded) < 0.6 * error_of(field, params, nearest(params, codings))
    assert set(left) == set(codings)
    for name, share in left.items():
        assert share.size == rounded[name].size * (1 + np.iscomplexobj(rounded[name]))
        assert ((share >= 0.0099) & (share <= 1)).all()


@pytest.mark.parametrize("layout", [Layout(0), Layout(1), Layout(None)], ids=["columns", "rows", "flat"])
def test_sparse_codes_are_chosen_for_the_outputs(layout):
    params = network()
    name, s = "layers.1.weight", 10 if layout.axis is not None else 240
    plain = sparse_encode(params[name], kind="sign", seed=3, k2=512, layout=layout, s=s)
    step = round_step(float(np.abs(plain.values).max()) / 16)
    coding = Sparse("sign", 3, 512, s, layout, step=step)
    record = encode_tensor(params[name], coding, plain)
    before = {**params, name: decode_tensor(record, params[name].shape, params[name].dtype)}
    rounded, codes, left = rounding()(params, {name: coding})
    code = codes[name]
    assert (np.diff(np.sort(code.indices, axis=0), axis=0) > 0).all()  # s atoms a vector, no one twice
    np.testing.assert_allclose(code.values / step, np.rint(code.values / step), atol=1e-6)  # on the grid
    again = decode_tensor(encode_tensor(params[name], coding, code), params[name].shape, params[name].dtype)
    np.testing.assert_allclose(again, rounded[name], rtol=1e-4, atol=1e-6)
    assert error_of(FIELD, params, rounded) < 0.8 * error_of(FIELD, params, before)
    assert ((left[name] >= 0.0099) & (left[name] <= 1)).all()


def test_the_error_on_a_signal_counts_where_there_is_one():
    """A network that has not come to rest goes on down the slope while its weights are rounded."""
    y, x = np.mgrid[:32, :48] / 48
    signal = registry.load(Image.fromarray(np.uint8(128 + 90 * np.sin(9 * x) * np.cos(7 * y))), "image")
    (part,) = signal.parts
    field = MLP(2, 1, 24, 2, Sine(10.0))
    params = fit(field, part, FitConfig(optimizer="adam", lr=3e-3, steps=60, batch=256, compile=False)).params
    codings = {n: Direct(step=float(np.abs(w).max()) / 40) for n, w in params.items()}
    error = part.objective(None, 0)
    before = error(field.decoder(params), 4096)
    with_signal = rounding_for(field, part, EFFORT)
    as_it_was = Rounding(with_signal.function, with_signal.draw, EFFORT)
    rounded = error(field.decoder(with_signal(params, codings)[0]), 4096)
    assert rounded < 0.5 * min(before, error(field.decoder(as_it_was(params, codings)[0]), 4096))


@pytest.mark.parametrize("trellis", [False, True])
@pytest.mark.parametrize("field", [FIELD, MLP(2, 1, 16, 1, Wire(5.0, 3.0))], ids=["real", "complex"])
def test_steps_may_differ_within_a_tensor(field, trellis):
    params = network(field)
    rng, codings = np.random.default_rng(4), {}
    for name, w in params.items():
        scales = Scales(tuple(rng.integers(0, 9, len(w)).tolist())) if w.ndim > 1 and not np.iscomplexobj(w) else None
        codings[name] = Direct(step=float(np.abs(w).max()) / 16, trellis=trellis, scales=scales)
    rounded, *_ = rounding(field)(params, codings)
    for name, w in rounded.items():
        again = decode_tensor(encode_tensor(w, codings[name]), w.shape, w.dtype)
        np.testing.assert_allclose(again, w, rtol=1e-6)  # it is on its grid
    assert error_of(field, params, rounded) < 0.6 * error_of(field, params, nearest(params, codings))


def test_what_the_outputs_feel():
    """Mean squares of derivatives that are taken one output at a time."""
    params = network()
    made = rounding()
    felt = made.felt(params)
    tensors = {n: torch.from_numpy(w).requires_grad_() for n, w in params.items()}
    points = draw(2000, torch.Generator().manual_seed(5))
    total = {n: np.zeros(w.shape) for n, w in params.items()}
    for point in points:
        output = FIELD.function(xtorch)(tensors, point[None])[0, 0]
        for name, slope in zip(tensors, torch.autograd.grad(output, list(tensors.values()))):
            total[name] += slope.numpy() ** 2 / len(points)
    for name, each in felt.items():
        assert each.shape == params[name].shape
        assert each.mean() == pytest.approx(total[name].mean(), rel=0.15)
        if each.size > 1:
            assert np.corrcoef(each.ravel(), total[name].ravel())[0, 1] > 0.9


def test_plans_with_what_is_felt_are_smaller_where_neurons_hardly_matter():
    params = network(SMALL)
    quiet = np.arange(SMALL.width) % 3 > 0
    params["layers.2.weight"] = params["layers.2.weight"] * np.where(quiet, 1e-3, 1).astype(np.float32)
    points = np.random.default_rng(3).uniform(-1, 1, (4000, 2)).astype(np.float32)
    wanted = SMALL.decoder(params)(points)

    def loss(candidate):
        return 1e-4 + float(np.mean((SMALL.decoder(candidate)(points) - wanted) ** 2))

    made = rounding(SMALL)
    settings = {"dictionaries": (), "felt": made.felt(params)}
    without = plan(params, loss, 1.02e-4, dictionaries=())
    with_scales = plan(params, loss, 1.02e-4, **settings)
    rounded = plan(params, loss, 1.02e-4, rounder=made, **settings)
    scales = with_scales.codings["layers.1.weight"].scales
    assert scales is not None
    assert min(np.array(scales.rows)[quiet]) > max(np.array(scales.rows)[~quiet])
    assert without.codings["layers.1.weight"].scales is None
    assert max(with_scales.loss, rounded.loss) <= 1.02e-4
    assert with_scales.bytes < 0.85 * without.bytes
    assert rounded.bytes <= with_scales.bytes
    assert scales_for(settings["felt"]["layers.1.weight"], columns=False) == scales


def test_levels_follow_the_trellis():
    params = network()
    coding = Direct(step=0.01, trellis=True)
    rounded, *_ = rounding()(params, {"layers.1.weight": coding})
    assert follows_trellis(np.rint(rounded["layers.1.weight"] / coding.step).astype(np.int64))
    for name in params.keys() - {"layers.1.weight"}:
        np.testing.assert_array_equal(rounded[name], params[name])  # what has no coding stays


def test_the_same_seed_gives_the_same_weights():
    params, codings = network(), {"layers.1.weight": Direct(step=0.05), "layers.2.weight": Direct(step=0.05)}
    first, second, other = (rounding(seed=seed)(params, codings)[0] for seed in (1, 1, 2))
    for name in codings:
        np.testing.assert_array_equal(first[name], second[name])
    assert any((first[name] != other[name]).any() for name in codings)


def test_a_plan_with_it_is_smaller():
    params = network()
    points = np.random.default_rng(3).uniform(-1, 1, (4000, 2)).astype(np.float32)
    wanted = FIELD.decoder(params)(points)

    def loss(candidate):
        return 1e-4 + float(np.mean((FIELD.decoder(candidate)(points) - wanted) ** 2))

    limit = 1.05e-4
    without = plan(params, loss, limit, dictionaries=())
    said = []
    better = plan(params, loss, limit, dictionaries=(), rounder=rounding(), progress=lambda *now: said.append(now))
    assert better.loss <= limit
    assert [count for count, _ in said] == sorted(count for count, _ in said)
    texts = [text for _, text in said]
    assert any(text.endswith("rounding all weights, pass 1: 0%") for text in texts)
    assert any(text.endswith("rounding all weights, pass 2: 50%") for text in texts)
    assert better.bytes < 0.95 * without.bytes
    size = without.bytes
    fitting = plan(params, loss, limit, dictionaries=(), max_bytes=size, rounder=rounding())
    assert fitting.bytes <= size
    assert fitting.loss - 1e-4 < 0.8 * (without.loss - 1e-4)
