"""Channels that are known exactly, and colours that nobody sees because their alpha is 0."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from sinr_codec.types import Array

Exact = None | int | tuple[int, int]
"""The value of a constant channel, the two values of a channel that has no others, or None."""

_TILE: Final = 1024  # pixels a side of the tiles that are filled: the pyramid takes 30 bytes a pixel


def exact_channels(array: Array, alpha: bool) -> tuple[Exact, ...]:
    """What is known of each channel of integer samples (H, W, C); of an alpha channel also two values.

    Empty where nothing is known.
    """
    found = [_exact(array[..., channel], alpha and channel + 1 == array.shape[2]) for channel in range(array.shape[2])]
    return tuple(found) if any(each is not None for each in found) else ()


def _exact(plane: Array, two: bool) -> Exact:
    low, high = int(plane.min()), int(plane.max())
    if low == high:
        return low
    return (
        (low, high) if two and np.count_nonzero(plane == low) + np.count_nonzero(plane == high) == plane.size else None
    )


def applied(samples: Array, exact: Sequence[Exact]) -> Array:
    """Samples (..., C) with the channels that are known, in place."""
    for channel, known in enumerate(exact):
        if isinstance(known, tuple):
            upper = 2 * samples[..., channel].astype(np.int64) > sum(known)
            samples[..., channel] = np.where(upper, known[1], known[0])
        elif known is not None:
            samples[..., channel] = known
    return samples


def hidden(array: Array) -> Array:
    """Where the alpha of samples (..., C), the last channel, is 0."""
    return np.equal(array[..., -1], 0)


def with_smooth_hidden(array: Array) -> Array:
    """Samples (H, W, C) with smooth colours where alpha is 0, which cost a network the least.

    The array itself where there is nothing to change.
    """
    unseen = hidden(array)
    if not unseen.any():
        return array
    out = array.copy()
    visible = ~unseen
    colours = range(array.shape[2] - 1)
    mean = np.array([np.mean(array[..., k], where=visible) if visible.any() else 0.0 for k in colours])
    for top in range(0, array.shape[0], _TILE):
        for left in range(0, array.shape[1], _TILE):
            tile = out[top : top + _TILE, left : left + _TILE]
            mask = unseen[top : top + _TILE, left : left + _TILE]
            if mask.all():
                tile[..., :-1] = np.rint(mean)
            elif mask.any():
                tile[mask, :-1] = np.rint(_filled(tile[..., :-1], ~mask)[mask])
    return out


def _filled(colours: Array, seen: Array) -> Array:
    """Colours (h, w, c) that continue those that are seen: means of ever larger squares, from the largest on."""
    weight = seen.astype(np.float32)[..., None]
    total = colours * weight
    levels = []
    while total.shape[0] > 1 or total.shape[1] > 1:
        levels.append((total, weight))
        total, weight = _halved(total), _halved(weight)
    known = total / weight
    for total, weight in reversed(levels):
        rows, columns = total.shape[:2]
        coarse = _blurred(known.repeat(2, axis=0).repeat(2, axis=1)[:rows, :columns])
        known = np.where(weight > 0, total / np.maximum(weight, 1), coarse)
    return known


def _halved(array: Array) -> Array:
    """Sums over squares of 2 x 2."""
    rows, columns = array.shape[:2]
    even = np.pad(array, ((0, rows % 2), (0, columns % 2), (0, 0)))
    return even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]


def _blurred(array: Array) -> Array:
    """Means over 3 x 3."""
    for axis in (0, 1):
        ends = [(1, 1) if axis == other else (0, 0) for other in range(3)]
        wide, count = np.pad(array, ends, mode="edge"), array.shape[axis]
        array = np.mean([np.take(wide, range(k, k + count), axis=axis) for k in range(3)], axis=0)
    return array
