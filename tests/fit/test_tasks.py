"""Tasks of meta-learning: crops, samples of whole signals, patches."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from sinr_codec.errors import InputError  # noqa: E402
from sinr_codec.fit.tasks import Crops, Tables, box_coords, joined, local_coords, patches_of  # noqa: E402

RNG = np.random.default_rng(5)


@pytest.mark.parametrize(
    ("sizes", "shape"), [((50,), (8,)), ((20, 33), (8, 8)), ((9, 7, 10), (4, 4, 4)), ((1, 5), (4, 4))]
)
def test_patches_join_to_the_signal(sizes, shape):
    values = RNG.standard_normal((*sizes, 2))
    patches = patches_of(values, shape)
    assert patches.shape[1:] == (np.prod(shape), 2)
    np.testing.assert_array_equal(joined(patches, sizes, shape), values)


def test_crops_are_windows_of_the_signals():
    y, x = np.meshgrid(np.arange(12.0), np.arange(10.0), indexing="ij")
    tasks = Crops([np.stack([y, x], -1).astype(np.float32)], (4, 3), seed=0)
    coords, values = tasks.draw(50)
    np.testing.assert_allclose(coords[:, 0].reshape(4, 3)[:, 0], [-0.75, -0.25, 0.25, 0.75])
    boxes = values.reshape(50, 4, 3, 2)
    torch.testing.assert_close(boxes - boxes[:, :1, :1], (boxes[:1] - boxes[:1, :1, :1]).expand(50, -1, -1, -1))
    assert set(boxes[:, 0, 0, 0].tolist()) == set(range(9))
    assert set(boxes[:, 0, 0, 1].tolist()) == set(range(8))


def test_whole_signals_have_coordinates_of_the_box_that_was_drawn():
    ramp = (2 * np.arange(64, dtype=np.float32) + 1) / 64 - 1
    coords, values = Crops([ramp[:, None]], samples=100, seed=1).draw(5)
    torch.testing.assert_close(coords, values)
    coords, values = Crops([ramp[:, None]], samples=100, least=0.25, seed=1).draw(20)
    slope = (values.amax(1) - values.amin(1)) / (coords.amax(1) - coords.amin(1))
    assert 0.2 < float(slope.min()) < 0.6 < float(slope.max()) < 1.05


def test_mixed_boxes_keep_every_value_at_a_place_of_its_own():
    y, x = np.meshgrid((2 * np.arange(8) + 1) / 8 - 1, (2 * np.arange(16) + 1) / 16 - 1, indexing="ij")
    coords, values = Crops([np.stack([y, x], -1).astype(np.float32)], samples=50, mix=True, seed=3).draw(40)
    # the values of this picture are its coordinates: each task has both, in one order or the other
    same = (values == coords).all(2).all(1)
    swapped = (values == coords.flip(-1)).all(2).all(1)
    assert (same | swapped).all()
    assert 0 < int(same.sum()) < 40


def test_local_coords_are_centres():
    assert local_coords(torch.arange(4)[:, None], torch.tensor([4])).flatten().tolist() == [-0.75, -0.25, 0.25, 0.75]


def test_a_patch_that_does_not_fit_is_refused():
    with pytest.raises(InputError, match="32x32"):
        Crops([np.zeros((24, 20, 3), np.float32)], (32, 32))


def test_signals_that_do_not_go_together_are_refused():
    with pytest.raises(InputError, match="at least one"):
        Crops([])
    with pytest.raises(InputError, match="as many axes"):
        Crops([np.zeros((4, 4, 1), np.float32), np.zeros((4, 4, 3), np.float32)])


def test_the_same_seed_draws_the_same():
    array = RNG.standard_normal((9, 7, 2)).astype(np.float32)
    first, again, other = (Crops([array], (3, 3), mirror=(True, True), seed=seed).draw(20)[1] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_boxes_have_coordinates_of_all_samples():
    coords = box_coords((2, 4))
    assert coords.shape == (8, 2)
    assert coords[:, 0].unique().tolist() == [-0.5, 0.5]
    assert coords[:4, 1].tolist() == [-0.75, -0.25, 0.25, 0.75]


class Points:
    """A signal whose only value is its number, at coordinates that tell its sample."""

    in_features, out_features = 1, 1

    def __init__(self, number, count):
        self.number, self.count = number, count

    def __len__(self):
        return self.count

    def batch(self, index):
        return index[:, None].astype(np.float32), np.full((len(index), 1), self.number, np.float32)


def test_tables_draw_samples_of_one_signal_each():
    tasks = Tables([Points(0, 5), Points(1, 500)], samples=40, seed=0)
    coords, values = tasks.draw(60)
    assert coords.shape == values.shape == (60, 40, 1)
    which = values[:, 0, 0]
    assert torch.equal(values, which[:, None, None].expand_as(values))
    assert 15 < int(which.sum()) < 45  # every signal is as likely, however long
    assert int(coords[which == 0].max()) < 5 <= int(coords[which == 1].max())


def test_tables_of_other_shapes_are_refused():
    other = Points(0, 5)
    other.out_features = 2
    for parts in ([], [Points(0, 5), other]):
        with pytest.raises(InputError, match="as many coordinates"):
            Tables(parts)
