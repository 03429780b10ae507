"""Tiles of a pyramid: together they are the whole."""

import numpy as np
import pytest
import torch

from sinr_codec.fields.pyramid import CONTEXT, Pyramid
from sinr_codec.fit.code_length import CodeLength
from sinr_codec.fit.synthesis import Synthesis
from sinr_codec.fit.tiles import tiles_of

FIELDS = {
    "line": Pyramid.for_grid((137,), 2, channels=(2, 1), width=5),
    "picture": Pyramid.for_grid((81, 66), 3, width=6, hidden=6),
    "plain": Pyramid((30, 9), 1, (4, 2), (1, 1, 2, 1), 4, 1, 1, width=3, residuals=0),
    "video": Pyramid.for_grid((3, 38, 37), 3, channels=(2, 1), width=4, residuals=1),
}
MOST = 50


def index(window):
    return (slice(None), *(slice(a, b) for a, b in window))


def random_parts(field):
    rng = np.random.default_rng(3)
    latents = [rng.laplace(0, 2, shape).astype(np.float32) for shape in reversed(field.latents.values())]
    return latents, {n: rng.normal(0, 0.2, shape).astype(np.float32) for n, shape in field.networks.items()}


@pytest.mark.parametrize("name", FIELDS)
def test_tiles_cover_each_level_once(name):
    field = FIELDS[name]
    tiles = tiles_of(field, MOST)
    assert len(tiles) > 1
    for level in range(1, field.levels + 1):
        counts = np.zeros((1, *field.size(level)), int)
        for tile in tiles:
            counts[index(tile.parts[level - 1])] += 1
        assert (counts == 1).all()


@pytest.mark.parametrize("name", FIELDS)
def test_samples_of_tiles_are_those_of_the_whole(name):
    field = FIELDS[name]
    latents, networks = random_parts(field)
    weights = {n: torch.tensor(w) for n, w in networks.items()}
    whole = Synthesis(field, fast=False)([torch.tensor(y) for y in latents], weights)
    for tile in tiles_of(field, MOST):
        around = [torch.tensor(y[index(window)]) for y, window in zip(latents, tile.around)]
        found = Synthesis(field, tile, fast=False)(around, weights)
        torch.testing.assert_close(found[0], whole[0][index(tile.parts[0])], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", FIELDS)
def test_bits_of_tiles_add_up(name):
    field = FIELDS[name]
    latents, networks = random_parts(field)
    context = {n: networks[n] for n in CONTEXT}
    wanted_bits, wanted_by_latents, wanted = CodeLength(field)(latents, context)
    code_length = CodeLength(field)
    code_length.fill(latents)
    found = [code_length.add(context, tile.parts) for tile in tiles_of(field, MOST)]
    np.testing.assert_allclose(np.sum([bits for bits, _ in found], 0), wanted_bits, rtol=1e-4)
    for mine, theirs in zip(code_length.gradients(), wanted_by_latents):
        np.testing.assert_allclose(mine, theirs, atol=1e-3)
    for n, gradient in wanted.items():
        total = np.sum([by_networks[n] for _, by_networks in found], 0)
        np.testing.assert_allclose(total, gradient, rtol=1e-3, atol=1e-3 * np.abs(gradient).max())
