"""The synthesis in real numbers against the exact one."""

import numpy as np
import pytest
import torch

from sinr_codec.errors import InputError
from sinr_codec.fields.pyramid import Pyramid, latents_name
from sinr_codec.fields.synthesis import Synthesis as Exact
from sinr_codec.fit.synthesis import Synthesis

FIELDS = {
    "line": Pyramid.for_grid((37,), 2, channels=(2, 1), width=5),
    "picture": Pyramid.for_grid((41, 26), 3, width=6),
    "row": Pyramid.for_grid((1, 33), 1, width=4),
    "plain": Pyramid((30, 9), 1, (4, 2), (1, 1, 2, 1), 4, 1, 1, width=3, residuals=0),
    "video": Pyramid.for_grid((3, 18, 17), 3, channels=(2, 1), width=4, residuals=1),
}


def random_params(field):
    rng = np.random.default_rng(2)
    params = field.init(rng)
    for name, shape in field.shapes().items():
        if name.startswith("latents"):
            params[name] = np.rint(rng.laplace(0, 2, shape)).astype(np.int32)
        elif name.startswith(("synthesis", "residuals")):
            params[name] = np.rint(rng.normal(0, 400, shape)).astype(np.int32)
    return params


@pytest.mark.parametrize("supported", [False, True])
@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("name", FIELDS)
def test_samples_are_the_exact_ones_but_for_rounding(name, fast, supported, monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: supported)
    field = FIELDS[name]
    params = random_params(field)
    networks = {n: torch.tensor(params[n] / 2.0 ** field.fraction(n)).float() for n in field.networks}
    latents = [torch.tensor(params[latents_name(k)]).float() for k in range(1, field.levels + 1)]
    synthesis = Synthesis(field, fast=fast)
    found = synthesis.samples(synthesis(latents, networks)).movedim(0, -1)
    wanted = Exact(field, params).window([(0, n) for n in field.sizes])
    rounding = 2**-5 if fast and supported else 2e-3
    np.testing.assert_allclose(found, wanted, atol=rounding * np.abs(wanted).max())


@pytest.mark.parametrize("name", FIELDS)
def test_targets_are_the_samples_by_phase(name):
    field = FIELDS[name]
    values = np.random.default_rng(0).normal(size=(*field.sizes, field.out_features)).astype(np.float32)
    synthesis = Synthesis(field)
    np.testing.assert_array_equal(synthesis.samples(synthesis.targets(values)).movedim(0, -1), values)


def test_four_axes_are_refused():
    with pytest.raises(InputError, match="at most 3 axes, found 4"):
        Synthesis(Pyramid.for_grid((9, 9, 9, 9), 1))
