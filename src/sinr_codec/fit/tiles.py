"""Tiles of a pyramid: networks are trained on one after the other, and so have several steps in a pass."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Final

from sinr_codec.fields.pyramid import Pyramid

Window = tuple[tuple[int, int], ...]
"""The first position along each axis, and the one behind the last."""

_KERNEL: Final = 2
"""Parents on each side of a position's own that upsampling takes."""


@dataclass(frozen=True)
class Tile:
    """A part of a pyramid's samples.

    Attributes
    ----------
    parts
        Windows of level 1, 2, ...; those of all tiles cover a level once.
    around
        Windows of level 1, 2, ... with the latents that the samples of the part depend on.
    """

    parts: tuple[Window, ...]
    around: tuple[Window, ...]


def tiles_of(field: Pyramid, most: float = math.inf) -> list[Tile]:
    """Tiles of a pyramid with at most so many positions of level 1, cut across the longest sides."""
    sides, pieces = list(field.size(1)), [1] * field.in_features
    while math.prod(sides) > most and max(sides) > 1:
        axis = sides.index(max(sides))
        pieces[axis] += 1
        sides[axis] = -(-field.size(1)[axis] // pieces[axis])
    axes = [list(pairwise([n * i // p for i in range(p + 1)])) for n, p in zip(field.size(1), pieces)]
    return [_tile(field, first) for first in product(*axes)]


def _tile(field: Pyramid, first: Window) -> Tile:
    reach = 1 + field.residuals
    parts = [first]
    around = [tuple((max(0, a - reach), min(n, b + reach)) for (a, b), n in zip(first, field.size(1)))]
    for level in range(2, field.levels + 1):
        size, halved = field.size(level), field.halved(level - 1)
        ends = zip(parts[-1], field.size(level - 1), size, halved)
        parts.append(tuple((a >> h, m if b == n else b >> h) for (a, b), n, m, h in ends))
        around.append(
            tuple(
                (max(0, (a >> 1) - _KERNEL), min(m, (b - 1 >> 1) + 1 + _KERNEL)) if h else (a, b)
                for (a, b), m, h in zip(around[-1], size, halved)
            )
        )
    return Tile(tuple(parts), tuple(around))
