"""Sizes of hash grids for a rate, from a signal's samples and the bits for each."""

import math
from typing import Any, Final

from sinr_codec.fields.hashgrid import HashGrid
from sinr_codec.fields.radiance import RadianceGrid

WIDTH: Final = 16
DEPTH: Final = 1
"""Two ReLU layers of 16, as in SHACIRA's configuration for pictures."""
TABLE: Final = 1 << 18
"""Most entries of a level. Levels without hashing are coded with neighbours as context, which saves a seventh."""
COARSEST: Final = 8
"""Least cells of the coarsest level; each level has twice the cells of the one before."""
FINEST: Final = 0.5
"""Cells of the finest level for each sample and bit, from pictures at 0.2 to 0.4 bits a pixel."""
OF_SCENES: Final = 8, 16, 31, 62
"""Cells for a scene: the finest level has as many vertices as a table holds without hashing."""


def grid_for_rate(spec: Any, bits: float, width: int | None = None, depth: int | None = None) -> HashGrid:
    """The hash grid for a signal at a rate in bits a sample: finer for more bits."""
    shape = tuple(int(n) for n in spec.describe()["shape"][: spec.in_features])
    side = round(spec.samples ** (1 / spec.in_features))
    axes = shape if len(shape) == spec.in_features else (side,) * spec.in_features
    # The optimal cell covers about bits^(-1/a) samples along each axis.
    finest = max(axes) * min(1.0, (FINEST * bits) ** (1 / len(axes)))
    levels = max(1, 1 + round(math.log2(max(finest / COARSEST, 1))))
    cells = tuple(max(1, round(finest / 2 ** (levels - 1 - level))) for level in range(levels))
    return grid_of(spec, cells, TABLE, axes, width, depth)


def grid_of(
    spec: Any, cells: tuple[int, ...], table: int, axes: tuple[int, ...], width: int | None, depth: int | None
) -> HashGrid:
    """The hash grid with these cells for a signal with `axes` samples along its axes; a cube without axes."""
    divisor = math.gcd(*axes) if axes else 1
    extent = tuple(n // divisor for n in axes) if len(set(axes)) > 1 else ()
    hidden = DEPTH if depth is None else depth
    return HashGrid(spec.in_features, spec.out_features, cells, table, 1, width or WIDTH, hidden, extent)


def scene_for_rate(_spec: Any, _bits: float, width: int | None = None, depth: int | None = None) -> RadianceGrid:
    """The hash grid for a scene, which is the same at all rates."""
    return RadianceGrid(OF_SCENES, TABLE, 1, width or WIDTH, DEPTH if depth is None else depth)
