"""Code lengths of latents: against autograd, and against the stream of a file."""

import itertools

import numpy as np
import pytest
import torch
from torch.nn import functional

from sinr_codec.coding.latents import bits_of, offsets
from sinr_codec.fields.pyramid import CONTEXT, Pyramid
from sinr_codec.fields.pyramid_section import context_model
from sinr_codec.fit.code_length import CodeLength, soft_rounded

FIELDS = {
    "line": Pyramid.for_grid((61,), 1, channels=(2, 1)),
    "picture": Pyramid.for_grid((33, 47), 3, channels=(3, 2, 1), hidden=14),
    "volume": Pyramid.for_grid((9, 10, 17), 1, channels=(3, 1)),
    "video": Pyramid.for_grid((3, 20, 20), 3, channels=(2, 1), hidden=8),
}


def random_parts(field, spread=0.05):
    rng = np.random.default_rng(1)
    networks = {n: (rng.normal(size=field.networks[n]) * spread).astype(np.float32) for n in CONTEXT}
    sizes = [(field.channels[k - 1], *field.size(k)) for k in range(1, field.levels + 1)]
    return [(2 * rng.normal(size=size)).astype(np.float32) for size in sizes], networks


def at(plane, offset):
    """A plane at every position + offset, 0 outside."""
    padded = functional.pad(plane, (9,) * (2 * plane.ndim))
    return padded[tuple(slice(9 + o, 9 + o + n) for o, n in zip(offset, plane.shape))]


def inputs_of(field, levels, level, channel):
    """The inputs (K, *size) of a plane, as docs/format.md, 6.10, lists them."""
    d, y = field.in_features, levels[level - 1]
    own = [at(y[channel], o) for o in offsets(d, field.causal) if o < (0,) * d]
    zero = torch.zeros_like(y[channel])
    before = [at(y[channel - 1], o) if channel else zero for o in offsets(d, field.previous)]
    second = [y[channel - 2] if channel > 1 else zero]
    above = [zero] * len(offsets(d, field.parent))
    if level < field.levels:
        parent = levels[level][min(channel, field.channels[level] - 1)]
        above = [at(parent, o) for o in offsets(d, field.parent)]
        for axis, halved in enumerate(field.halved(level)):
            if halved:
                above = [a.repeat_interleave(2, axis).narrow(axis, 0, zero.shape[axis]) for a in above]
    return torch.stack([*own, *before, *second, *above])


def by_autograd(field, levels, networks):
    """Bits of all latents under the Laplace distributions that the network predicts."""
    w, total = networks, 0.0
    planes = itertools.count()
    for level in range(1, field.levels + 1):
        for channel in range(field.channels[level - 1]):
            x = inputs_of(field, levels, level, channel).flatten(1)
            first = w["context.0.weight"] @ x + w["context.0.bias"][next(planes)][:, None]
            h = functional.leaky_relu(first[: field.hidden], 0.125)
            g = h + functional.leaky_relu(w["context.1.weight"] @ h + w["context.1.bias"][:, None], 0.125)
            mean, log2_scale = w["context.2.weight"] @ g + w["context.2.bias"][:, None] + first[field.hidden :]
            laplace = torch.distributions.Laplace(mean, 2**log2_scale)
            value = levels[level - 1][channel].flatten()
            below = -(value - mean).abs()  # of the lower tail, whose mass does not round to 1
            total = total - torch.log2(laplace.cdf(mean + below + 0.5) - laplace.cdf(mean + below - 0.5)).sum()
    return total


@pytest.mark.parametrize("name", FIELDS)
def test_bits_and_gradients_are_those_of_autograd(name):
    field = FIELDS[name]
    levels, networks = random_parts(field)
    bits, by_latents, by_networks = CodeLength(field)(levels, networks)
    leaves = [torch.tensor(y, dtype=torch.float64, requires_grad=True) for y in levels]
    weights = {n: torch.tensor(w, dtype=torch.float64, requires_grad=True) for n, w in networks.items()}
    wanted = by_autograd(field, leaves, weights)
    wanted.backward()
    assert sum(bits) == pytest.approx(float(wanted.detach()), rel=1e-4)
    for leaf, found in zip(leaves, by_latents):
        np.testing.assert_allclose(found, leaf.grad, atol=1e-3 * float(leaf.grad.abs().max()))
    for n, found in by_networks.items():
        np.testing.assert_allclose(found, weights[n].grad, atol=1e-3 * float(weights[n].grad.abs().max()))


def test_it_is_the_code_length_in_a_file():
    """Integers of latents and networks: the tables of the file cost about as much."""
    field = FIELDS["picture"]
    levels, networks = random_parts(field)
    params = {n: np.rint(256 * w).astype(np.int32) for n, w in networks.items()}
    rounded = [np.rint(y) for y in levels]
    bits, _, _ = CodeLength(field)(rounded, {n: (w / 256).astype(np.float32) for n, w in params.items()})
    stored = bits_of([y.astype(np.int32) for y in rounded], context_model(field, params), field.halvings)
    assert sum(bits) == pytest.approx(float(np.sum(stored)), rel=0.01)


def test_far_latents_keep_a_gradient():
    field = Pyramid((4, 4), 1, (1, 1), (1,), 1, 0, 0, hidden=4)
    networks = {n: np.zeros(field.networks[n], np.float32) for n in CONTEXT}
    y = np.zeros((1, 2, 2), np.float32)
    y[0, 0, 0] = 200
    bits, (gradient,), _ = CodeLength(field)([y], networks)
    assert gradient[0, 0, 0] == pytest.approx(np.log2(np.e), rel=1e-3)
    assert bits[0] == pytest.approx(
        1 + 199.5 * np.log2(np.e) - np.log2(1 - 1 / np.e) - 3 * np.log2(1 - np.exp(-0.5)), rel=1e-4
    )


def test_soft_rounding_tends_to_rounding():
    x = np.linspace(-3, 3, 601, dtype=np.float32)
    uniform = np.full_like(x, 0.5)
    found, slopes = soft_rounded(x, uniform, gain=1.0, temperature=0.02, noise=0.0)
    away = np.abs(x - np.floor(x) - 0.5) > 0.1
    np.testing.assert_allclose(found[away], np.rint(x)[away], atol=1e-3)
    soft, slopes = soft_rounded(x, uniform, gain=1.0, temperature=1.0, noise=0.0)
    np.testing.assert_allclose(slopes[1:-1], np.gradient(soft, x)[1:-1], atol=0.02)
    assert np.abs(soft - x).max() < 0.1
