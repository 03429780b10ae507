"""Fields trained through a map of their parameters, and rounding that lets gradients pass."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from array_api_compat import torch as xtorch  # noqa: E402

from sinr_codec.fields import MLP  # noqa: E402
from sinr_codec.fit.through import Through, round_through  # noqa: E402

FIELD = MLP(2, 3, 8, 1)


def test_the_field_sees_the_weights_and_gradients_reach_the_numbers():
    params = {name: torch.from_numpy(w) for name, w in FIELD.init(np.random.default_rng(0)).items()}
    halves = {name: (w / 2).requires_grad_() for name, w in params.items()}
    through = Through(FIELD, lambda numbers: {name: 2 * w for name, w in numbers.items()})
    coords = torch.rand(5, 2, generator=torch.Generator().manual_seed(0))
    outputs = through.function(xtorch)(halves, coords)
    torch.testing.assert_close(outputs, FIELD.function(xtorch)(params, coords))
    outputs.sum().backward()
    assert all(w.grad is not None for w in halves.values())


def test_it_has_the_shape_of_the_field_and_takes_any_numbers():
    through = Through(FIELD, dict)
    assert (through.in_features, through.out_features, through.num_params) == (2, 3, FIELD.num_params)
    through.check({"code": np.zeros(7)})


@pytest.mark.parametrize("step", [0.25, torch.tensor([0.25, 0.5, 1.0, 2.0])])
def test_rounding_gives_multiples_and_passes_the_gradient(step):
    x = torch.tensor([0.3, -0.7, 1.4, 5.1], requires_grad=True)
    rounded = round_through(x, step)
    assert torch.equal((rounded / step).round() * step, rounded)
    assert (rounded - x).abs().le(torch.as_tensor(step) / 2).all()
    rounded.square().sum().backward()
    torch.testing.assert_close(x.grad, 2 * rounded.detach())
