"""Rendering on regular grids of any dimension: the samples, their coordinates, and tiles."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import InputError, LimitError, MalformedError
from sinr_codec.fields.base import GridDecoder, TiledDecoder
from sinr_codec.signals.base import Apply, Fields, Part
from sinr_codec.signals.grammar import Range, Region, RegionLike, Scale, ScaleLike, Size, SizeLike
from sinr_codec.signals.grid import Grid
from sinr_codec.tiles import map_tiles
from sinr_codec.types import Array


@dataclass(frozen=True)
class Span:
    """Samples first..last-1 out of `count` over source samples [start, stop) of an axis with `size` samples."""

    size: int
    count: int
    start: int
    stop: int
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first


def window(
    sizes: Sequence[int],
    *,
    scale: ScaleLike | None = None,
    size: SizeLike | None = None,
    region: RegionLike | None = None,
    most: int | None = None,
    noun: str = "sample",
) -> tuple[Span, ...]:
    """The samples of a rendering along each axis, without allocating it.

    Parameters
    ----------
    sizes
        Samples of the source by axis.
    scale
        Factor on the source's size; with a region the result is that part of the whole at this scale.
    size
        Samples of the result along each axis, for the whole or for the region.
    region
        Part of the source.
    most
        Largest number of samples in the result.
    noun
        Name of a sample in messages.

    Raises
    ------
    InputError : a scale, size or region that leaves no sample or lies outside the source
    LimitError : more than `most` samples
    """
    axes = len(sizes)
    ranges = [Range(0, n) for n in sizes] if region is None else Region.parse(region).within(sizes, noun)
    if scale is not None and size is not None:
        raise InputError("scale and size: expected one of them, not both")
    if size is not None:
        counts = Size.parse(size).along(axes)
        spans = tuple(Span(n, count, *ends, 0, count) for n, count, ends in zip(sizes, counts, ranges))
    else:
        factors = Scale.parse(1.0 if scale is None else scale).along(axes)
        spans = tuple(_scaled(n, *ends, factor) for n, ends, factor in zip(sizes, ranges, factors))
    if most is not None:
        check_count([len(span) for span in spans], most, noun)
    return spans


def check_count(shape: Sequence[int], most: int, noun: str) -> None:
    """Raise `LimitError` for a rendering with more than `most` positions."""
    if math.prod(shape) > most:
        raise LimitError(f"a rendering of {' x '.join(map(str, shape))} {noun}s: above the limit of {most:,}")


def _scaled(size: int, start: int, stop: int, scale: float) -> Span:
    count = max(1, round(size * scale))
    first = min(round(start * count / size), count - 1)
    return Span(size, count, 0, size, first, max(round(stop * count / size), first + 1))


def axes_of(grid: Grid, spans: Sequence[Span]) -> list[NDArray[np.float32]]:
    """Coordinates of each axis, float32 (len(span),)."""
    longest = max(span.size for span in spans)
    return [grid.axis(s.size, longest, s.count, start=s.start, stop=s.stop, first=s.first, last=s.last) for s in spans]


def points(axes: Sequence[Array]) -> Array:
    """All combinations of coordinates in C order: n axes -> (product of lengths, n)."""
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, len(axes))


def blocks(shape: Sequence[int], most: int) -> Iterator[tuple[slice, ...]]:
    """Divide an array into blocks of at most `most` elements, in C order, with as many whole trailing axes as fit."""
    extents, room = [], max(most, 1)
    for n in reversed(shape):
        extents.append(min(n, room))
        room = room // extents[-1] if extents[-1] == n else 1
    extents.reverse()
    for corner in np.ndindex(*(math.ceil(n / e) for n, e in zip(shape, extents))):
        yield tuple(slice(i * e, min((i + 1) * e, n)) for i, e, n in zip(corner, extents, shape))


def render(
    fields: Fields,
    axes: Sequence[Array],
    values: int,
    finish: Callable[[Array], Array],
    dtype: Any,
    *,
    part: int = 0,
    to_coords: Callable[[Sequence[Array]], Array] = points,
    noun: str = "sample",
) -> Array:
    """Evaluate a field at all combinations of coordinates, in memory bounded by the result plus a few tiles.

    Parameters
    ----------
    fields, part
        The networks, and the index of the network to evaluate; a `GridDecoder` gets the axes of tiles.
    axes
        Coordinates along each axis of the result.
    values
        Number b of the field's outputs.
    finish, dtype
        Function from values (n, b) to samples (n, b), of `dtype`.
    to_coords
        Function from the axes of a tile to coords (n, a) in C order.
    noun
        Name of a position in messages.

    Returns
    -------
    (len(axes[0]), len(axes[1]), ..., b) of `dtype`

    Raises
    ------
    LimitError : more values than `fields.max_samples`, before anything is allocated
    """
    shape = tuple(len(axis) for axis in axes)
    check_count(shape, fields.max_samples // values, noun)
    apply = fields.parts[part]
    out = np.empty((*shape, values), dtype)
    whole = to_coords is points and hasattr(apply, "on_grid")
    tile = max(fields.tile, getattr(apply, "tile", 0)) if whole else fields.tile
    if whole and hasattr(apply, "over"):
        apply = cast(TiledDecoder, apply).over(axes)

    def compute(block: tuple[slice, ...]) -> tuple[tuple[slice, ...], Array]:
        some = [axis[s] for axis, s in zip(axes, block)]
        if whole:
            return block, finish(on_grid(cast(GridDecoder, apply), some, values))
        return block, finish(evaluated(apply, to_coords(some), values))

    for block, samples in map_tiles(compute, blocks(shape, tile), fields.threads):
        out[block] = samples.reshape(out[block].shape)
    return out


def evaluated(apply: Apply, coords: Array, values: int) -> Array:
    """Values (n, b) of a field at coords (n, a); `MalformedError` for another shape."""
    with np.errstate(all="ignore"):
        result = np.asarray(apply(coords))
    if result.shape != (len(coords), values):
        raise MalformedError(f"field: expected {values} values a position, found {result.shape}")
    return result


def on_grid(decoder: GridDecoder, axes: Sequence[Array], values: int) -> Array:
    """Values at all combinations of coordinates, in C order."""
    with np.errstate(all="ignore"):
        result = np.asarray(decoder.on_grid(axes))
    if result.shape != (*map(len, axes), values):
        raise MalformedError(f"field: expected {values} values a position, found {result.shape}")
    return result.reshape(-1, values)


def values_of(part: Part, sizes: Sequence[int]) -> NDArray[np.float32]:
    """Values (*sizes, b) of a part with samples at the centres of a grid over [-1, 1]^a.

    Raises
    ------
    InputError : other sample positions, such as points on a sphere or pixels at the corners of the grid
    """
    if len(sizes) != part.in_features or math.prod(sizes) != len(part):
        raise InputError("patches: expected a signal whose samples are a regular grid, and nothing else")
    out = np.empty((*sizes, part.out_features), np.float32)
    for start in range(0, len(part), 1 << 18):
        coords, values = part.batch(np.arange(start, min(start + (1 << 18), len(part))))
        places = ((coords.astype(np.float64) + 1) * sizes - 1) / 2
        nearest = np.rint(places)
        if np.abs(places - nearest).max() > 0.25:
            raise InputError("patches: expected samples at the centres of a grid over [-1, 1]")
        out[tuple(nearest.astype(np.int64).T)] = values
    return out
