"""Hash grids for a rate: their sizes by the samples of a signal and the bits for each."""

import math
from typing import Any, Final

from sinr_codec.fields.hashgrid import HashGrid
from sinr_codec.fields.radiance import RadianceGrid

WIDTH: Final = 16
DEPTH: Final = 1
"""Two ReLU layers of 16, as the authors of SHACIRA have for pictures."""
TABLE: Final = 1 << 18
"""Entries of a level. A level that is not hashed is coded in the context of its neighbours, which saves a seventh."""
COARSEST: Final = 8
"""Cells of the coarsest level, at least; every level has twice as many as the one before."""
FINEST: Final = 0.5
"""Finest cells a sample and bit, from pictures at 0.2 to 0.4 bits a pixel."""
OF_SCENES: Final = 8, 16, 31, 62
"""Cells of a scene: the finest level has as many vertices as a table may have without hashing."""


def grid_for_rate(spec: Any, bits: float, width: int | None = None, depth: int | None = None) -> HashGrid:
    """The hash grid for a signal in so many bits a sample: the more bits, the finer."""
    shape = tuple(int(n) for n in spec.describe()["shape"][: spec.in_features])
    side = round(spec.samples ** (1 / spec.in_features))
    axes = shape if len(shape) == spec.in_features else (side,) * spec.in_features
    # Cells that are worth their bits cover some bits^-1/a samples an axis each.
    finest = max(axes) * min(1.0, (FINEST * bits) ** (1 / len(axes)))
    levels = max(1, 1 + round(math.log2(max(finest / COARSEST, 1))))
    cells = tuple(max(1, round(finest / 2 ** (levels - 1 - level))) for level in range(levels))
    return grid_of(spec, cells, TABLE, axes, width, depth)


def grid_of(
    spec: Any, cells: tuple[int, ...], table: int, axes: tuple[int, ...], width: int | None, depth: int | None
) -> HashGrid:
    """The hash grid of these cells for a signal with so many samples along its axes; of no axes, a cube."""
    divisor = math.gcd(*axes) if axes else 1
    extent = tuple(n // divisor for n in axes) if len(set(axes)) > 1 else ()
    hidden = DEPTH if depth is None else depth
    return HashGrid(spec.in_features, spec.out_features, cells, table, 1, width or WIDTH, hidden, extent)


def scene_for_rate(_spec: Any, _bits: float, width: int | None = None, depth: int | None = None) -> RadianceGrid:
    """The hash grid of a scene, which is the same at all rates."""
    return RadianceGrid(OF_SCENES, TABLE, 1, width or WIDTH, DEPTH if depth is None else depth)
