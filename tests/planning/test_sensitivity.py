import numpy as np
import pytest

from sinr_codec.coding.assembled import assemble
from sinr_codec.coding.tensor import Direct
from sinr_codec.planning.rounder import Rounded
from sinr_codec.planning.sensitivity import Counter, probed, steeper
from sinr_codec.planning.tensors import PlannedTensor


def parameters() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=(20, 10)) for name in ("coarse", "fine", "unused")}


def quadratic(params: dict[str, np.ndarray], **weights: float):
    """A loss that is quadratic in errors, with a gradient that is not zero at the parameters."""

    def loss(given: dict[str, np.ndarray]) -> float:
        errors = {name: given[name] - params[name] for name in weights}
        return 1.0 + sum(w * float(np.sum(errors[n] ** 2)) + 1e-4 * float(errors[n].sum()) for n, w in weights.items())

    return loss


def test_sensitivities_are_the_curvatures():
    params = parameters()
    loss = quadratic(params, coarse=0.01, fine=5.0)
    coarse, fine, unused = probed(params, params, loss, 1.0, Counter(None), seed=0)
    assert [coarse.name, fine.name, unused.name] == list(params)
    assert coarse.sensitivity == pytest.approx(0.01, rel=1e-3)
    assert fine.sensitivity == pytest.approx(5.0, rel=1e-3)
    assert unused.sensitivity < 1e-100


def test_probes_shrink_until_the_loss_is_quadratic():
    params = {"w": np.random.default_rng(1).normal(size=100)}

    def loss(given):  # quadratic for errors up to 1e-4 alone
        error = float(np.sqrt(np.mean((given["w"] - params["w"]) ** 2)))
        return error**2 if error < 1e-4 else 1e6

    (tensor,) = probed(params, params, loss, 1e-10, Counter(None), seed=0)
    assert tensor.sensitivity == pytest.approx(1 / 100, rel=1e-6)


def test_tensors_without_power_or_with_a_loss_that_is_not_finite_are_left_out():
    params = {"zeros": np.zeros(9), "w": np.ones(9)}
    assert probed(params, params, lambda given: 1.0 if (given["w"] == 1).all() else np.inf, 1.0, Counter(None), 0) == []


def test_a_steeper_loss_at_the_errors_of_a_plan_is_found():
    params = {name: np.random.default_rng(2).normal(size=(16, 16)) for name in ("plain", "steep")}

    def loss(given):
        plain, steep = (float(np.sum((given[name] - params[name]) ** 2)) for name in params)
        return plain + (steep if steep < 1e-3 else 50 * steep)

    tensors = [PlannedTensor(name, w, 1.0) for name, w in params.items()]
    plan = assemble(params, {name: Direct(step=0.1) for name in params})
    assert steeper(params, tensors, plan, loss, Counter(None))
    assert tensors[0].sensitivity == 1.0
    assert tensors[1].sensitivity == pytest.approx(50)
    assert not steeper(params, tensors, plan, loss, Counter(None))


def test_evaluations_and_roundings_are_told():
    seen = []
    counter = Counter(lambda number, text: seen.append((number, text)))
    assert counter(lambda params: 2.5, {}) == 2.5

    def rounder(params, codings, progress=None):
        progress(0.25)
        return Rounded({}, {}, {})

    counter.round(rounder, {}, {})
    counter(lambda params: 1.0, {})
    counter.round(rounder, {}, {})
    assert seen == [
        (1, "1 networks tried"),
        (1, "1 networks tried, rounding all weights, pass 1: 25%"),
        (2, "2 networks tried"),
        (2, "2 networks tried, rounding all weights, pass 2: 25%"),
    ]
