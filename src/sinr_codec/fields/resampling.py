"""Values at any position, from the samples of a grid: cubic interpolation, and means of boxes for reductions."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from sinr_codec.types import Floats, Ints

_MEMORY: Final = 26_000_000  # bytes of a window
_MOST: Final = 1 << 20  # samples of a window
_INTERPOLATED: Final = 4  # an interpolated value takes the memory of so many samples
_KEPT: Final = 64  # blocks kept
_ROUNDING: Final = 2.0**-25  # float32 of a coordinate in [-1, 1], twice its error

Window = Sequence[tuple[int, int]]
"""First position and end of a part of a grid, by axis."""


class Gridded(Protocol):
    """The samples of a grid, of which any window can be had."""

    field: Any
    """The field, with `sizes` and `out_features`."""
    bytes: int
    """Memory of a sample while a window is computed."""

    def window(self, window: Window) -> NDArray[np.float32]:
        """Values (*lengths, b) of a part of the grid."""


class Resampled:
    """A `GridDecoder` on the samples of a grid at the centres of [-1, 1]^d.

    A coordinate c is the position u = ((c + 1) n - 1) / 2 among the n samples of an axis. It counts as the nearest
    integer if it is within n 2^-25, the rounding of float32 coordinates: samples are then exact. Values between samples
    are those of cubic convolution with a = -1/2 (Catmull-Rom; Keys 1981), axis by axis, the first axis first; beyond
    the grid, samples are those at the edge. Products and sums are binary64, ((w0 s0 + w1 s1) + w2 s2) + w3 s3.

    On grids, an axis whose positions are f = floor(spacing) >= 2 samples apart is reduced first: its samples are
    replaced by the means of f samples, those beyond the edge included as above, and positions are those among the
    means.

    Parameters
    ----------
    samples
        Those of the grid.
    factors
        Reductions of the axes of grids; default: those that follow from the axes of each call.
    """

    def __init__(self, samples: Gridded, factors: Sequence[int] | None = None) -> None:
        self._samples, self._factors = samples, factors
        self._sizes = samples.field.sizes
        self._most = max(1 << 12, min(_MOST, _MEMORY // samples.bytes))
        # Several frames at once share the samples around them.
        self.tile = self._most if len(self._sizes) < 3 else 2 * self._most
        self._side = 1 << 16 // len(self._sizes)
        self._blocks: dict[tuple[int, ...], NDArray[np.float32]] = {}
        self._lock = threading.Lock()

    # -- grids

    def over(self, axes: Sequence[NDArray[np.float32]]) -> Resampled:
        """See `base.TiledDecoder.over`: reductions follow from the whole axes."""
        return Resampled(self._samples, self._reductions(axes))

    def on_grid(self, axes: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """See `GridDecoder.on_grid`."""
        factors = self._reductions(axes) if self._factors is None else self._factors
        return self._at([_Axis.of(axis, n, f) for axis, n, f in zip(axes, self._sizes, factors)])

    def _reductions(self, axes: Sequence[NDArray[np.float32]]) -> list[int]:
        return [_factor(_positions(axis, n)) for axis, n in zip(axes, self._sizes)]

    def _at(self, axes: list[_Axis]) -> NDArray[np.float32]:
        """Values at all combinations, in parts of bounded memory."""
        lengths = [axis.stop - axis.start for axis in axes]
        parts = [i for i in range(len(axes)) if len(axes[i].base) > 1]
        exact = all(axis.exact for axis in axes)
        count = math.prod(len(axis.base) for axis in axes)
        if (math.prod(lengths) > self._most or (not exact and _INTERPOLATED * count > self._most)) and parts:
            longest = max(parts, key=lambda i: max(lengths[i], _INTERPOLATED * len(axes[i].base)))
            middle = len(axes[longest].base) // 2
            halves = [axes[longest].part(0, middle), axes[longest].part(middle, None)]
            return np.concatenate([self._at([*axes[:longest], h, *axes[longest + 1 :]]) for h in halves], longest)
        samples = self._samples.window([(axis.start, axis.stop) for axis in axes])
        if exact:
            if all(len(axis.base) == length for axis, length in zip(axes, lengths)):
                return samples
            return samples[np.ix_(*(axis.base - axis.start for axis in axes))]
        values = samples.astype(np.float64)
        values = _box_means(values, axes)
        for number, axis in enumerate(axes):
            values = axis.interpolated(values, number)
        return values.astype(np.float32)

    # -- points

    def __call__(self, coords: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `GridDecoder.__call__`."""
        out = np.empty((len(coords), self._samples.field.out_features), np.float32)
        positions = [_positions(coords[:, axis], n) for axis, n in enumerate(self._sizes)]
        base = np.stack([np.floor(u).astype(np.int64) for u in positions], 1)
        weights = [_cubic(u - b) for u, b in zip(positions, base.T)]
        blocks, inverse = np.unique(base // self._side, axis=0, return_inverse=True)
        order = np.argsort(inverse.reshape(-1), kind="stable")
        counts = np.bincount(inverse.reshape(-1), minlength=len(blocks))
        for block, some in zip(blocks.tolist(), np.split(order, np.cumsum(counts)[:-1])):
            samples, corner = self._block(tuple(block))
            places = [
                np.clip(base[some, axis, None] + np.arange(-1, 3), 0, n - 1) - corner[axis]
                for axis, n in enumerate(self._sizes)
            ]
            d = len(places)
            grid = tuple(p.reshape(-1, *(4 if a == axis else 1 for a in range(d))) for axis, p in enumerate(places))
            values = samples[grid].astype(np.float64)
            for each in weights:
                shape = (-1, *[1] * (values.ndim - 2))
                values = _weighted((values[:, t] for t in range(4)), [w[some].reshape(shape) for w in each])
            out[some] = values
        return out

    def _block(self, block: tuple[int, ...]) -> tuple[NDArray[np.float32], list[int]]:
        """The samples near the points of a block, and the position of the first one."""
        window = [(max(0, i * self._side - 1), min(n, (i + 1) * self._side + 2)) for i, n in zip(block, self._sizes)]
        with self._lock:
            known = self._blocks
            known[block] = known.pop(block) if block in known else self._samples.window(window)
            if len(known) > _KEPT:
                del known[next(iter(known))]
            return known[block], [start for start, _ in window]


@dataclass(frozen=True)
class _Axis:
    """Positions along an axis, among the means of `factor` samples.

    Attributes
    ----------
    size, factor
        Samples of the axis, and of a mean.
    base, weights
        The mean at or before each position, int64 (n,), and the weights of the four means around it.
    exact
        Whether all positions are samples.
    start, stop
        The samples that are needed.
    """

    size: int
    factor: int
    base: Ints
    weights: tuple[Floats, ...]
    exact: bool
    start: int
    stop: int

    @classmethod
    def of(cls, coords: NDArray[np.float32], size: int, factor: int) -> _Axis:
        u = _positions(coords, size)
        if factor > 1:
            u = _snapped((u - (factor - 1) / 2) / factor, 2 * size / factor)
            u = np.clip(u, 0, -(-size // factor) - 1)
        base = np.floor(u).astype(np.int64)
        return cls(size, factor, base, _cubic(u - base), factor == 1 and bool((u == base).all()), 0, 0)._bounded()

    def _bounded(self) -> _Axis:
        margin = (0, 1) if self.exact else (-1, 3)
        first, end = int(self.base.min()) + margin[0], int(self.base.max()) + margin[1]
        start = min(max(first * self.factor, 0), self.size - 1)
        stop = max(min(end * self.factor, self.size), start + 1)
        return _Axis(self.size, self.factor, self.base, self.weights, self.exact, start, stop)

    def part(self, first: int, end: int | None) -> _Axis:
        """Some of the positions."""
        base, weights = self.base[first:end], tuple(w[first:end] for w in self.weights)
        return _Axis(self.size, self.factor, base, weights, self.exact, 0, 0)._bounded()

    @property
    def means(self) -> Ints:
        """The means that the samples start..stop-1 make, those beyond the edges left out."""
        return np.arange(self.start // self.factor, -(-self.stop // self.factor))

    def interpolated(self, values: Floats, number: int) -> Floats:
        """Values at the positions from the means along the axis of this number."""
        if self.factor == 1 and bool((self.weights[1] == 1).all()):
            return np.take(values, self.base - self.start, axis=number)
        last = -(-self.size // self.factor) - 1
        first = self.start // self.factor
        taps = (np.take(values, np.clip(self.base + k, 0, last) - first, axis=number) for k in range(-1, 3))
        shape = [-1 if axis == number else 1 for axis in range(values.ndim)]
        return _weighted(taps, [w.reshape(shape) for w in self.weights])


def _box_means(values: Floats, axes: Sequence[_Axis]) -> Floats:
    """Sums of boxes along all axes that are reduced, divided once by their number of samples."""
    boxes = 1
    for number, axis in enumerate(axes):
        if axis.factor > 1:
            boxes *= axis.factor
            means = axis.means
            total = None
            for k in range(axis.factor):
                some = np.take(values, np.clip(means * axis.factor + k, 0, axis.size - 1) - axis.start, axis=number)
                total = some if total is None else np.add(total, some, out=total)
            assert total is not None
            values = total
    return values / boxes if boxes > 1 else values


def _positions(coords: NDArray[np.float32], size: int) -> Floats:
    """Positions among the samples of an axis, clipped to it."""
    with np.errstate(all="ignore"):
        u = ((np.asarray(coords, np.float64) + 1) * size - 1) / 2
    return np.clip(_snapped(np.nan_to_num(u), size), 0, size - 1)


def _snapped(u: Floats, size: float) -> Floats:
    """Positions, as integers where they are that within the rounding of coordinates."""
    nearest = np.rint(u)
    return np.where(np.abs(u - nearest) <= size * _ROUNDING, nearest, u)


def _factor(u: Floats) -> int:
    """The number of samples that are replaced by their mean: the spacing of positions, rounded down."""
    if len(u) < 2:
        return 1
    spacing = float(u[-1] - u[0]) / (len(u) - 1)
    return max(1, math.floor(spacing * (1 + 2.0**-16)))


def _cubic(t: Floats) -> tuple[Floats, ...]:
    """Weights of the samples at -1, 0, 1, 2 for positions t in [0, 1)."""
    return (
        ((2 - t) * t - 1) * t / 2,
        ((3 * t - 5) * t * t + 2) / 2,
        ((4 - 3 * t) * t + 1) * t / 2,
        (t - 1) * t * t / 2,
    )


def _weighted(taps: Iterable[Floats], weights: Sequence[Floats]) -> Floats:
    """((w0 s0 + w1 s1) + w2 s2) + w3 s3, one product at a time."""
    products = (tap * weight for tap, weight in zip(taps, weights))
    total = next(products)
    for each in products:
        total += each
    return total
