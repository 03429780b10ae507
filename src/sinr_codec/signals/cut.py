"""Grids cut into blocks: a network for each, which fade into each other where they meet.

Along every axis block k owns the samples from k n // b to the next block's first, so that blocks are near equal in
size, and reaches `fade` samples beyond each seam, where its share falls in a straight line while its neighbour's
rises. Positions are real numbers in samples of the source, [0, n] along an axis, sample i in the middle of
[i, i + 1]: shares and coordinates are functions of them, so that seams are as smooth at any other scale.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import InputError, MalformedError, quoted
from sinr_codec.fields.base import TiledDecoder
from sinr_codec.signals import lattice
from sinr_codec.signals.base import Fields
from sinr_codec.signals.lattice import Span
from sinr_codec.tiles import map_tiles
from sinr_codec.types import Array

Stretch = tuple[slice, tuple[int, ...]]
"""Positions along an axis, in their order, and the blocks there: one, or the two at a seam."""


@dataclass(frozen=True)
class Cut:
    """How a grid is cut.

    Attributes
    ----------
    sizes
        Samples by axis.
    counts
        Blocks by axis, 1 to as many as there are samples.
    fade
        Samples on either side of a seam over which neighbours are blended, 0 to `most_fade`.
    """

    sizes: tuple[int, ...]
    counts: tuple[int, ...]
    fade: int

    @classmethod
    def into(cls, sizes: Sequence[int], block: int, fade: int) -> "Cut":
        """Cut into blocks of about `block` samples a side, which fade over `fade` samples, or as many as they can."""
        cut = cls(tuple(sizes), tuple(min(max(1, round(n / block)), n) for n in sizes), 0)
        return cls(cut.sizes, cut.counts, min(fade, cut.most_fade))

    @classmethod
    def from_header(cls, sizes: Sequence[int], counts: Sequence[Any], fade: Any) -> "Cut":
        """The cut that a header describes; `MalformedError` for what no writer can have written."""
        for n, count in zip(sizes, counts):
            if type(count) is not int or not 1 <= count <= n:
                raise MalformedError(f"blocks: expected 1 to {n} along an axis of {n}, found {quoted(count)}")
        cut = cls(tuple(sizes), tuple(counts), 0)
        if cut.parts == 1:
            raise MalformedError("blocks: expected more than one")
        if type(fade) is not int or not 0 <= fade <= cut.most_fade:
            raise MalformedError(f"fade of blocks: expected 0 to {cut.most_fade}, found {quoted(fade)}")
        return cls(cut.sizes, cut.counts, fade)

    def describe(self) -> dict[str, Any]:
        """Blocks by axis and fade, for reports."""
        return {"blocks": list(self.counts), "fade": self.fade}

    @property
    def parts(self) -> int:
        """Number of blocks; they are numbered in C order."""
        return math.prod(self.counts)

    @property
    def most_fade(self) -> int:
        """Longest fade that touches no more than the two blocks at a seam."""
        return min((n // b // 2 for n, b in zip(self.sizes, self.counts) if b > 1), default=0)

    @property
    def extents(self) -> tuple[int, ...]:
        """Samples by axis between the ends of the domain [-1, 1] of every network, fades included."""
        return tuple(-(-n // b) + 2 * self._reach(axis) for axis, (n, b) in enumerate(zip(self.sizes, self.counts)))

    def place(self, part: int) -> tuple[int, ...]:
        """A block's number along each axis."""
        return tuple(int(k) for k in np.unravel_index(part, self.counts))

    def number(self, place: Sequence[int]) -> int:
        """Inverse of `place`."""
        return int(np.ravel_multi_index(tuple(place), self.counts))

    def area(self, part: int) -> tuple[slice, ...]:
        """The samples that a block has a share in: those that it owns and those of its fades."""
        return tuple(
            slice(max(self.edge(axis, k) - self._reach(axis), 0), min(self.edge(axis, k + 1) + self._reach(axis), n))
            for axis, (k, n) in enumerate(zip(self.place(part), self.sizes))
        )

    def axes(self, part: int) -> list[NDArray[np.float32]]:
        """Coordinates of the samples of `area` along each axis, float32."""
        return [
            self.coords(axis, k, np.arange(area.start, area.stop) + 0.5)
            for axis, (k, area) in enumerate(zip(self.place(part), self.area(part)))
        ]

    def coords(self, axis: int, block: int, positions: Array) -> NDArray[np.float32]:
        """Coordinates float32 (n,) in a block's domain of positions float64 (n,)."""
        start = self.edge(axis, block) - self._reach(axis)
        return (2 * (positions - start) / self.extents[axis] - 1).astype(np.float32)

    def share(self, axis: int, block: int, positions: Array) -> Array:
        """Share of a block at positions along an axis, float64 (n,); the shares of all blocks sum to 1."""
        rise = 1.0 if block == 0 else self.rise(positions - self.edge(axis, block))
        fall = 0.0 if block == self.counts[axis] - 1 else self.rise(positions - self.edge(axis, block + 1))
        return np.broadcast_to(np.asarray(rise * (1 - fall)), positions.shape)

    def stretches(self, axis: int, positions: Array) -> Iterator[Stretch]:
        """Rising positions, where one block has all of the share, and where two have some."""
        reach, last = self._reach(axis), self.counts[axis] - 1
        # The block where the first position fades out, or the one before: one further back may have a share in it.
        block = max(min(int((positions[0] + reach) * self.counts[axis] // self.sizes[axis]), last) - 1, 0)
        begin = 0
        while begin < len(positions):
            edge = self.edge(axis, block + 1) if block < last else math.inf
            for end, blocks in ((edge - reach, (block,)), (edge + reach, (block, block + 1))):
                stop = int(np.searchsorted(positions, end))
                if stop > begin:
                    yield slice(begin, stop), blocks
                    begin = stop
            block += 1

    def near_seams(self, axis: int) -> NDArray[np.bool_]:
        """Which samples along an axis two blocks have a share in."""
        near = np.zeros(self.sizes[axis], bool)
        for block in range(1, self.counts[axis]):
            edge = self.edge(axis, block)
            near[edge - self.fade : edge + self.fade] = True
        return near

    def edge(self, axis: int, block: int) -> int:
        """First sample that a block owns; of the block after the last, the number of samples."""
        return block * self.sizes[axis] // self.counts[axis]

    def _reach(self, axis: int) -> int:
        """The fade along an axis: none where there is nothing to fade into."""
        return self.fade if self.counts[axis] > 1 else 0

    def rise(self, distance: Array) -> Array:
        """0 before a seam, 1 behind it, and a straight line over `fade` samples on either side."""
        if self.fade == 0:
            return (distance >= 0).astype(np.float64)
        return np.clip(distance / (2 * self.fade) + 0.5, 0, 1)


@dataclass(frozen=True)
class Blocking:
    """How signals of a kind are cut into blocks.

    Attributes
    ----------
    least
        Samples a side of the smallest blocks that may be asked for.
    fade
        Samples on either side of a seam over which blocks are blended.
    noun
        What sizes of blocks count, in the plural.
    largest
        Samples above which a signal is cut by itself; None: it never is.
    side
        About how many samples a side its blocks have then.
    """

    least: int
    fade: int
    noun: str
    largest: int | None = None
    side: int = 0

    def check(self, block: float | None) -> None:
        """Raise `InputError` for what is no size of blocks; 0 and None are one piece."""
        if block and not (isinstance(block, int | float) and self.least <= block < 2**31 and block % 1 == 0):
            number = f"{block:g}" if isinstance(block, float) else repr(block)
            raise InputError(
                f"block {number}: expected {self.noun}, an integer of at least {self.least}, or 0 for one piece"
            )

    def cut(self, sizes: Sequence[int], block: float) -> Cut:
        """Cut a grid into blocks of about so many samples a side."""
        return Cut.into(sizes, int(block), self.fade)


class Seams:
    """Adds up squared errors where blocks are blended, and elsewhere."""

    def __init__(self, cut: Cut) -> None:
        self._near = [cut.near_seams(axis) for axis in range(len(cut.sizes))]
        self._sums, self._counts = [0.0, 0.0], [0, 0]

    def add(self, errors: Array, axis: int = 0, slab: tuple[int, int] | None = None) -> None:
        """Take in the errors of all samples, one each, or of a slab from one sample of an axis up to another."""
        seam = np.zeros(errors.shape, bool)
        for a, near in enumerate(self._near):
            lines = near[slice(*slab)] if slab is not None and a == axis else near
            seam |= np.expand_dims(lines, tuple(b for b in range(errors.ndim) if b != a))
        for number, where in enumerate((seam, ~seam)):
            self._sums[number] += float(errors[where].sum())
            self._counts[number] += int(where.sum())

    def figures(self) -> dict[str, float]:
        """The mean squared error near seams over that elsewhere, "seam_db" in dB; 0 where seams are no worse."""
        if not (all(self._sums) and all(self._counts)):
            return {}
        inside, outside = (total / count for total, count in zip(self._sums, self._counts))
        return {"seam_db": 10 * math.log10(inside / outside)}


def to_unit(values: Array) -> Array:
    """Values clipped to [-1, 1], NaN to 1."""
    return np.fmax(np.fmin(values, 1), -1)


def positions(span: Span) -> NDArray[np.float64]:
    """Where the samples of a span lie among the source's."""
    i = np.arange(span.first, span.last, dtype=np.float64)
    return ((2 * i + 1) * (span.stop - span.start) + 2.0 * span.start * span.count) / (2.0 * span.count)


def render(
    fields: Fields,
    cut: Cut,
    spans: Sequence[Span],
    values: int,
    finish: Callable[[Array], Array],
    dtype: Any,
    noun: str = "sample",
    clip: Callable[[Array], Array] = to_unit,
) -> Array:
    """Evaluate the networks of all blocks that a window touches, in memory bounded by the result plus a few tiles.

    Parameters
    ----------
    fields, cut
        The networks, one for each block; those outside the window are not decoded.
    spans
        The window, as `lattice.window` gives it.
    values, finish, dtype, noun
        As for `lattice.render`.
    clip
        What becomes of values (n, b) before they are blended.

    Returns
    -------
    (len(spans[0]), len(spans[1]), ..., values) of `dtype`

    Raises
    ------
    LimitError : more values than `fields.max_samples`, before anything is allocated
    """

    def tile(place: tuple[int, ...]) -> int:
        apply = fields.parts[cut.number(place)]
        return max(fields.tile, cast(TiledDecoder, apply).tile) if hasattr(apply, "over") else fields.tile

    def evaluate(place: tuple[int, ...], at: Sequence[Array]) -> Array:
        axes = [cut.coords(axis, k, x) for axis, (k, x) in enumerate(zip(place, at))]
        apply = fields.parts[cut.number(place)]
        if hasattr(apply, "over"):  # as for points, whose values do not depend on a spacing
            return lattice.on_grid(apply.over([axis[:1] for axis in axes]), axes, values)
        return lattice.evaluated(apply, lattice.points(axes), values)

    where = [positions(span) for span in spans]
    return blended(fields, cut, where, values, evaluate, finish, dtype, noun, clip, tile)


def blended(
    fields: Fields,
    cut: Cut,
    where: Sequence[Array],
    values: int,
    evaluate: Callable[[tuple[int, ...], Sequence[Array]], Array],
    finish: Callable[[Array], Array],
    dtype: Any,
    noun: str = "sample",
    clip: Callable[[Array], Array] = to_unit,
    tile: Callable[[tuple[int, ...]], int] | None = None,
) -> Array:
    """As `render`, at all combinations of any positions, from functions of blocks.

    Parameters
    ----------
    fields, cut, values, finish, dtype, noun, clip
        As for `render`.
    where
        Rising positions along each axis, in samples of the source, sample i at i + 1/2.
    evaluate
        Values (n, `values`) of the block at a place, at all combinations of some of these positions in C order.
    tile
        Positions in each call for the block at a place; default: `fields.tile`.
    """
    shape = tuple(map(len, where))
    lattice.check_count(shape, fields.max_samples // values, noun)
    out = np.empty((*shape, values), dtype)

    def tiles() -> Iterator[tuple[tuple[slice, ...], list[tuple[int, ...]]]]:
        for stretches in itertools.product(*(list(cut.stretches(axis, x)) for axis, x in enumerate(where))):
            whole = [stretch for stretch, _ in stretches]
            places = list(itertools.product(*(blocks for _, blocks in stretches)))
            most = fields.tile if tile is None else tile(places[0])
            for some in lattice.blocks([s.stop - s.start for s in whole], most):
                yield tuple(slice(s.start + t.start, s.start + t.stop) for s, t in zip(whole, some)), places

    def compute(work: tuple[tuple[slice, ...], list[tuple[int, ...]]]) -> tuple[tuple[slice, ...], Array]:
        part, places = work
        at = [x[s] for x, s in zip(where, part)]
        if len(places) == 1:
            return part, finish(evaluate(places[0], at))
        blend = np.zeros((math.prod(map(len, at)), values))
        for place in places:
            shares = [cut.share(axis, k, x) for axis, (k, x) in enumerate(zip(place, at))]
            blend += lattice.points(shares).prod(axis=1)[:, None] * clip(evaluate(place, at))
        return part, finish(blend)

    for part, samples in map_tiles(compute, tiles(), fields.threads):
        out[part] = samples.reshape(out[part].shape)
    return out
