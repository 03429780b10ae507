import pytest

from sinr_codec.errors import InputError
from sinr_codec.methods import shacira
from sinr_codec.signals.image import ImageSpec

SPEC = ImageSpec(512, 768, 3, "uint8", "RGB")


def test_more_bits_make_finer_grids():
    finest = [max(shacira.grid(SPEC, bits).cells) for bits in (0.1, 0.3, 1.0, 3.0)]
    assert finest == sorted(finest)
    assert finest[0] < finest[-1] <= 768


def test_width_and_depth_may_be_given():
    shallow, deep = (shacira.grid(SPEC, 0.3, width=24, depth=depth).network for depth in (1, 2))
    assert shallow.width == deep.width == 24
    assert deep.layers == shallow.layers + 1


def test_the_published_grid_is_the_same_at_all_rates():
    grid = shacira.published_grid(SPEC, 0.1)
    assert grid == shacira.published_grid(SPEC, 4.0)
    assert len(grid.cells) == 24
    assert (grid.cells[0], grid.cells[-1]) == (16, 512)


def test_more_than_three_coordinates_are_refused():
    class Spec:
        KIND, in_features, out_features, samples = "dataset", 4, 1, 1000

    with pytest.raises(InputError, match="at most 3 coordinates"):
        shacira.grid(Spec(), 1.0)
