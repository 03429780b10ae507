"""Grids cut into blocks: every sample is somebody's, shares sum to 1, and what is evaluated is what counts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinr_codec.errors import MalformedError
from sinr_codec.fields import Pyramid
from sinr_codec.signals import cut as cuts
from sinr_codec.signals import lattice
from sinr_codec.signals.base import Fields
from sinr_codec.signals.cut import Cut


@st.composite
def lines(draw):
    """A cut of one axis."""
    n = draw(st.integers(2, 300))
    cut = Cut((n,), (draw(st.integers(2, n)),), 0)
    return Cut(cut.sizes, cut.counts, draw(st.integers(0, cut.most_fade)))


@given(lines(), st.data())
def test_shares_sum_to_one_and_stretches_name_who_has_some(cut, data):
    n, blocks = cut.sizes[0], cut.counts[0]
    first = data.draw(st.floats(0, n - 0.01))
    x = np.linspace(first, data.draw(st.floats(first, n)), data.draw(st.integers(1, 40)))
    shares = np.array([cut.share(0, k, x) for k in range(blocks)])
    np.testing.assert_allclose(shares.sum(axis=0), 1)
    named = np.zeros((blocks, len(x)), bool)
    for part, who in cut.stretches(0, x):
        assert not named[:, part].any()
        named[list(who), part] = True
    assert named.any(axis=0).all()
    assert named.sum(axis=0).max() <= 2
    assert not shares[~named].any()


@given(lines())
def test_areas_are_near_equal_and_within_the_domain(cut):
    owned = np.zeros(cut.sizes, int)
    sizes = []
    for k in range(cut.parts):
        (area,), (coords,) = cut.area(k), cut.axes(k)
        owned[area] += 1
        assert len(coords) == len(owned[area])
        assert np.abs(coords).max() < 1
        np.testing.assert_allclose(np.diff(coords), 2 / cut.extents[0], atol=1e-6)
        sizes.append(cut.edge(0, k + 1) - cut.edge(0, k))
    np.testing.assert_array_equal(owned == 2, cut.near_seams(0))
    assert owned.min() == 1
    assert max(sizes) - min(sizes) <= 1


@given(st.integers(1, 3000), st.integers(8, 600))
def test_blocks_are_about_as_large_as_was_asked(n, block):
    cut = Cut.into((n, 5000), block, 4)
    size = n / cut.counts[0]
    assert cut.counts[0] == 1 or 2 / 3 * block <= size <= 1.5 * block
    assert 2 <= cut.fade <= 4


def test_an_axis_in_one_piece_has_no_fade():
    cut = Cut.into((7, 100), 50, 4)
    assert (cut.counts, cut.extents) == ((1, 2), (7, 58))
    assert cut.area(1) == (slice(0, 7), slice(46, 100))


def test_small_blocks_have_short_fades():
    assert Cut.into((9, 9), 3, 4) == Cut((9, 9), (3, 3), 1)


@pytest.mark.parametrize("scale", [0.7, 1, 2.5])
def test_any_number_of_axes(scale):
    """Blocks that know a straight slope give it back, on a volume."""
    sizes = (9, 14, 21)
    cut = Cut.into(sizes, 6, 2)

    def slope(part):
        start = [cut.edge(axis, k) - cut._reach(axis) for axis, k in enumerate(cut.place(part))]
        return lambda coords: (
            ((coords + 1) / 2 * cut.extents + start).sum(axis=1, keepdims=True).astype(np.float32) / 50
        )

    assert [cut.number(cut.place(part)) for part in range(cut.parts)] == list(range(cut.parts))
    spans = lattice.window(sizes, scale=scale)
    fields = Fields([slope(part) for part in range(cut.parts)], tile=37)
    out = cuts.render(fields, cut, spans, 1, lambda values: values, np.float64)
    x, y, z = np.meshgrid(*map(cuts.positions, spans), indexing="ij")
    np.testing.assert_allclose(out[..., 0], (x + y + z) / 50, atol=1e-5)


@pytest.mark.parametrize(("counts", "fade"), [((1, 1), 0), ((9, 1), 0), ((2, 2), 3), ((2, 2), -1), ((2, True), 0)])
def test_headers_that_are_refused(counts, fade):
    with pytest.raises(MalformedError, match="block"):
        Cut.from_header((8, 12), counts, fade)


@pytest.mark.parametrize("scale", [1.0, 2.3, 0.4])
def test_pyramids_are_evaluated_on_grids_as_they_are_at_points(scale):
    rng = np.random.default_rng(0)
    cut = Cut((40, 52), (2, 2), 3)
    field = Pyramid.for_grid(cut.extents, 1, channels=(1,), width=4, hidden=2)
    decoders = []
    for _ in range(cut.parts):
        params = {name: rng.integers(-300, 300, shape, np.int32) for name, shape in field.networks.items()}
        params |= {name: rng.integers(-9, 9, shape, np.int32) for name, shape in field.latents.items()}
        decoders.append(field.decoder(params))
    spans = lattice.window(cut.sizes, scale=scale, most=1 << 20)
    found = [
        cuts.render(Fields(parts), cut, spans, 1, lambda v: v, np.float32)
        for parts in (decoders, [lambda coords, points=decoder: points(coords) for decoder in decoders])
    ]
    assert np.ptp(found[0]) > 0
    np.testing.assert_array_equal(*found)
