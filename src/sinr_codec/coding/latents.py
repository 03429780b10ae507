"""Integers on the grids of a pyramid, each coded under a Laplace distribution that a small network predicts.

The network sees what is decoded before: neighbours in the same plane, earlier planes of the level, and the next coarser
level. All its arithmetic is exact: its integers are carried by float64 products, or by 32-bit integers where numba is
used. So every machine decodes the same integers. docs/format.md, 6.10, defines the stream.

A *plane* is one channel of one level. Planes and levels are listed finest level first, and coded coarsest level first;
within a level by *fronts*, sets of places whose contexts lie in earlier fronts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise, product
from math import isqrt, prod
from typing import Any, Final

import numpy as np

from sinr_codec.coding import compiled, laplace, rans
from sinr_codec.coding.laplace import FRACTIONS, SIGMA, ZERO, Symbols, tables
from sinr_codec.coding.latents_numba import decode_level, seconds_saved
from sinr_codec.coding.leaky import HIDDEN, leaky
from sinr_codec.coding.varint import Reader
from sinr_codec.errors import InputError, LimitError, MalformedError
from sinr_codec.tiles import one_thread_a_product
from sinr_codec.types import Array, Floats, Ints

__all__ = ["ContextModel", "bits_of", "decode_latents", "encode_latents", "offsets"]

Offset = tuple[int, ...]

CLIP: Final = 255
"""Inputs of the network are clipped to -CLIP .. CLIP."""

_WORST: Final = 1 << 31
_LARGEST_TAP: Final = 5  # of an offset along an axis
_MOST_WIDTH: Final = 256
_CHUNK: Final = 4096  # places that are predicted at once where all is known
_OUTSIDE: Final = -(1 << 31)
_PLACE: Final = 36  # bytes of a latent's places in orders and buffers


def offsets(axes: int, radius2: int, *, causal: bool = False) -> list[Offset]:
    """All o with |o|^2 <= radius2, sorted by (|o|^2, o); with `causal` those before 0 in raster order."""
    reach = isqrt(radius2)
    found = [o for o in product(range(-reach, reach + 1), repeat=axes) if sum(v * v for v in o) <= radius2]
    if causal:
        found = [o for o in found if o < (0,) * axes]
    return sorted(found, key=lambda o: (sum(v * v for v in o), o))


@dataclass(frozen=True, eq=False)
class ContextModel:
    """The network that predicts the distribution of a latent; integers with 8 fractional bits.

    `causal`, `previous` and `parent` are the squared radii of the inputs from the same plane, the plane before and the
    next coarser level, for a grid of `axes` axes (1..4). The inputs, K of them, are `offsets(axes, causal,
    causal=True)`, `offsets(axes, previous)`, the place itself two planes before, and `offsets(axes, parent)`.

    Arrays of integers, W being the hidden width: `first` (W + 2, K), `bias` (planes, W + 2), `second` (W, W),
    `second_bias` (W,), `third` (2, W), `third_bias` (2,). InputError where they do not fit each other, or where a sum
    may reach 2**31.
    """

    axes: int
    causal: int
    previous: int
    parent: int
    first: Ints
    bias: Ints
    second: Ints
    second_bias: Ints
    third: Ints
    third_bias: Ints

    def __post_init__(self) -> None:
        radii = self.causal, self.previous, self.parent
        if not 1 <= self.axes <= 4 or min(radii) < 0 or isqrt(max(radii)) > _LARGEST_TAP:
            raise InputError(f"a context model: expected 1..4 axes and radii of at most {_LARGEST_TAP}")
        width, planes = len(self.second), len(self.bias)
        shapes = {
            "first": (width + 2, sum(self.taps)),
            "bias": (planes, width + 2),
            "second": (width, width),
            "second_bias": (width,),
            "third": (2, width),
            "third_bias": (2,),
        }
        if not 1 <= width <= _MOST_WIDTH:
            raise InputError(f"a context model: expected a width of 1..{_MOST_WIDTH}, got {width}")
        for name, shape in shapes.items():
            values = np.asarray(getattr(self, name))
            if values.shape != shape or values.dtype.kind != "i":
                raise InputError(f"a context model: expected integers {shape} for {name}, got {values.shape}")
            if values.size and not -_WORST < values.min() <= values.max() < _WORST:
                raise InputError(f"a context model: {name} has a weight of more than 31 bits")
            object.__setattr__(self, name, values.astype(np.int64))
        self._check_sums()

    def _check_sums(self) -> None:
        first = self._first_sums()
        second = HIDDEN * np.abs(self.second).sum(1) + 256 * np.abs(self.second_bias) + 128
        third = HIDDEN * np.abs(self.third).sum(1) + 256 * np.abs(self.third_bias) + 128
        output = third // 256 + 1 + first[-2:] + 16
        if max(int(each.max()) for each in (first, second, third, output)) >= _WORST:
            raise InputError("a context model: its weights are so large that a sum may reach 2**31")

    def _first_sums(self) -> Ints:
        """The largest magnitudes of the sums of the first product."""
        return CLIP * np.abs(self.first).sum(1) + np.abs(self.bias).max(0, initial=0)

    @property
    def largest_first(self) -> int:
        """The largest magnitude of a sum of the first product."""
        return int(self._first_sums().max())

    @cached_property
    def taps(self) -> tuple[int, int, int, int]:
        """Numbers of inputs in the four groups."""
        groups = offsets(self.axes, self.causal, causal=True), offsets(self.axes, self.previous)
        return len(groups[0]), len(groups[1]), 1, len(offsets(self.axes, self.parent))

    @cached_property
    def slopes(self) -> tuple[int, ...]:
        """How many fronts later the next place along each axis comes: the least that put causal inputs first."""
        slopes = [1] * self.axes
        for axis in range(self.axes - 2, -1, -1):
            for o in offsets(self.axes, self.causal, causal=True):
                if o[axis] < 0 and not any(o[:axis]):
                    behind = sum(s * v for s, v in zip(slopes[axis + 1 :], o[axis + 1 :]))
                    slopes[axis] = max(slopes[axis], behind // -o[axis] + 1)
        return tuple(slopes)

    @cached_property
    def delay(self) -> int:
        """How many fronts later the same place of the next plane comes."""
        return 1 + max(sum(s * v for s, v in zip(self.slopes, o)) for o in offsets(self.axes, self.previous))

    @cached_property
    def work(self) -> int:
        """Multiply-adds for one latent."""
        return int(self.first.size + self.second.size + self.third.size)

    @cached_property
    def matrices(self) -> _Matrices:
        """The network as `predict` multiplies it."""
        return _Matrices(self)


class _Matrices:
    """The network in float64 products: scales are powers of two, and biases the weights of an input that is 1.

    The first product is in `dtype`, which is float32 where that holds its sums.
    The first product gives W hidden values, mu and s, and 1. The third one gives, rounded down: m + 8 - 16 ZERO, sigma
    + 40 before its clip, and the centre less ZERO. `row` combines them to a row of the tables.
    """

    def __init__(self, model: ContextModel) -> None:
        width, parents = len(model.second), model.taps[3]
        near = model.first.shape[1] - parents
        self.dtype = np.dtype(np.float32 if model.largest_first < 1 << 24 else np.float64)
        first = np.pad(model.first.astype(self.dtype), ((0, 1), (0, 0)))
        self.first = np.ascontiguousarray(first[:, :near])
        self.parents = np.ascontiguousarray(first[:, near:].T)
        self.bias = np.pad(model.bias.astype(self.dtype), ((0, 0), (0, 1)), constant_values=1)
        self.second = np.empty((width, width + 1))
        self.second[:, :width] = model.second / 256
        self.second[:, width] = model.second_bias + 0.5
        out = np.zeros((2, width + 3))
        out[:, :width] = model.third / 256
        out[:, width : width + 2] = np.eye(2)
        out[:, width + 2] = model.third_bias + 0.5
        steps = np.array([[256 / FRACTIONS], [32]])  # of m and of sigma
        out /= steps
        out[:, width + 2] += 0.5 + np.array([FRACTIONS // 2 - FRACTIONS * ZERO, SIGMA])
        self.third = np.stack([*out, out[0] / FRACTIONS])
        self.row = np.array([[1.0, FRACTIONS, -FRACTIONS]])


class _Memory:
    """Memory for the predictions of up to `most` places, which all of them share."""

    def __init__(self, first: Array, most: int) -> None:
        self.width, self.near, self.most = len(first) - 3, first.shape[1], most
        self.index = np.empty(self.near * most, np.intp)
        self.hidden = np.ones((self.width + 1) * most)
        self.first = np.empty((self.near + 2 * (self.width + 3)) * most, first.dtype)
        self.rest = np.empty((3 * self.width + 7) * most)


class _Scratch:
    """Arrays for the predictions of `places` places, each contiguous, in shared memory."""

    def __init__(self, memory: _Memory, places: int) -> None:
        width, near = memory.width, memory.near
        self.index = memory.index[: near * places].reshape(-1, places)
        self.inputs, parents, self.near = _split(memory.first, places, near, width + 3, width + 3)
        self.parents = parents.reshape(places, width + 3)
        self.transposed = self.parents.T
        self.outer, self.next, self.shifted, self.out, self.row = _split(
            memory.rest, places, width + 3, width, width, 3, 1
        )
        self.inner, self.sigma = self.outer[:width], self.out[1]
        first = width * memory.most  # ones are from there on, for any number of places
        self.hidden = memory.hidden[first - width * places : first + places].reshape(-1, places)
        self.active = self.hidden[:width]


def _split(memory: Array, places: int, *rows: int) -> list[Array]:
    """Arrays (rows, places), one behind the other."""
    ends = accumulate(n * places for n in rows)
    return [memory[end - n * places : end].reshape(n, places) for end, n in zip(ends, rows)]


class _Level:
    """The coded planes of one level, with what their contexts need.

    `order` (n,) numbers the latents of these planes, plane after plane in raster order, as they are coded: by fronts
    where `fronts` is true. `bounds` are the limits of the fronts. The coarser level `parent` (c, *shape) is complete.
    Inputs, and what parents contribute, have the `dtype` of the first product unless another is given.
    """

    def __init__(
        self, model: ContextModel, number: int, planes: Array, coded: Sequence[int], halved: Sequence[bool],
        parent: Array | None, *, fronts: bool, dtype: Any = None,
    ) -> None:  # fmt: skip
        self.model, self.planes, self.coded = model, planes, list(coded)
        shape = planes.shape[1:]
        margins = _margins(shape, max(model.causal, model.previous))
        self._padded = tuple(n + 2 * margin for n, margin in zip(shape, margins))
        self._inside = tuple(slice(margin, margin + n) for n, margin in zip(shape, margins))
        self.size, self.plane_size = prod(shape), prod(self._padded)
        # Two planes of zeros stand before the first one.
        dtype = model.matrices.dtype if dtype is None else dtype
        self.buffer = np.zeros((len(planes) + 2) * self.plane_size, dtype)
        self.order, self.bounds = self._ordered(shape, fronts=fronts)

        strides = _strides(self._padded)
        place = _raster([(np.arange(n) + margin) * s for n, margin, s in zip(shape, margins, strides)])
        base = [_index(place + (k + 2) * self.plane_size) for k in self.coded]
        self.base = np.concatenate(base)[self.order]
        zero = (0,) * model.axes
        taps = [(0, o) for o in offsets(model.axes, model.causal, causal=True)]
        taps += [(1, o) for o in offsets(model.axes, model.previous)] + [(2, zero)]
        seen = [i for i, (_, o) in enumerate(taps) if _within(o, shape)]
        steps = [sum(s * v for s, v in zip(strides, o)) - back * self.plane_size for back, o in taps]
        self.steps = np.array(steps, np.intp)[seen, None]
        self.first = np.ascontiguousarray(model.matrices.first[:, seen])

        bias = model.matrices.bias[number : number + len(planes)][self.coded]
        if parent is None:
            self.from_parent = bias.astype(dtype)
            above = np.repeat(_index(np.arange(len(self.coded))), self.size)
        else:
            chosen = [min(k, len(parent) - 1) for k in self.coded]
            maps = {k: _parent_products(model, parent[k]) for k in set(chosen)}
            of_planes = np.empty((len(chosen), *maps[chosen[0]].shape), dtype)
            for of_plane, k, b in zip(of_planes, chosen, bias):
                np.add(maps[k], b, out=of_plane, casting="unsafe")
            self.from_parent = of_planes.reshape(-1, bias.shape[1])
            del maps
            coarse = _strides(parent.shape[1:])
            cell = _raster([(np.arange(n) >> h) * s for n, h, s in zip(shape, map(int, halved), coarse)])
            above = np.concatenate([_index(cell + i * prod(parent.shape[1:])) for i in range(len(self.coded))])
        self.above = above[self.order]
        self._memory = _Memory(self.first, max(int(np.diff(self.bounds).max()), min(_CHUNK, len(self.order))))
        self._scratch: dict[int, _Scratch] = {}

    def _ordered(self, shape: tuple[int, ...], *, fronts: bool) -> tuple[Ints, list[int]]:
        count = self.size * len(self.coded)
        if not fronts:
            return np.arange(count), [*range(0, count, _CHUNK), count]
        slopes, delay = self.model.slopes, self.model.delay
        dtype = np.uint16 if _last_front(self.model, shape, self.coded) < 1 << 16 else np.int64  # 16 bits: by radix
        time = _raster([(np.arange(n) * s).astype(dtype) for n, s in zip(shape, slopes)])
        times = np.concatenate([time + delay * k for k in self.coded])
        order = _index(np.argsort(times, kind="stable"))
        ends = np.flatnonzero(np.diff(times[order])) + 1
        return order, [0, *ends.tolist(), count]

    def fill(self) -> None:
        """Copy all planes into the inputs: those of an encoder."""
        inputs = self.buffer.reshape(-1, *self._padded)[2:]
        np.clip(self.planes, -CLIP, CLIP, out=inputs[:, *self._inside], casting="unsafe")

    def predict(self, first: int, last: int) -> tuple[Array, Array]:
        """Rows of the tables and the integers of symbol 0, both float64 (last - first,), for first..last-1 in order."""
        m, places = self.model.matrices, last - first
        s = self._scratch.get(places) or self._scratch.setdefault(places, _Scratch(self._memory, places))
        np.add(self.base[first:last], self.steps, s.index)
        self.buffer.take(s.index, None, s.inputs, "wrap")  # the fastest mode: all places are inside
        np.matmul(self.first, s.inputs, s.near)
        self.from_parent.take(self.above[first:last], 0, s.parents, "wrap")
        np.add(s.near, s.transposed, s.outer)
        leaky(s.inner, s.shifted, s.active)
        np.matmul(m.second, s.hidden, s.next)
        leaky(s.next, s.shifted, s.next)
        np.add(s.next, s.active, s.inner)
        np.minimum(s.inner, HIDDEN - 1.0, out=s.inner)  # both are at least -HIDDEN / 8
        np.matmul(m.third, s.outer, s.out)
        np.floor(s.out, s.out)
        s.sigma.clip(0, 2 * SIGMA, s.sigma)
        np.matmul(m.row, s.out, s.row)
        return s.row[0], s.out[2]

    def predictions(self) -> tuple[Ints, Ints]:
        """Rows of all latents in order, and the integers of symbol 0, where all planes are known."""
        self.fill()
        rows, origins = np.empty((2, len(self.order)), np.int64)
        for first in range(0, len(self.order), _CHUNK):
            last = min(first + _CHUNK, len(self.order))
            rows[first:last], origins[first:last] = self.predict(first, last)
        return rows, origins

    def values(self) -> Ints:
        """The latents in order."""
        return self.planes[self.coded].reshape(-1)[self.order].astype(np.int64)

    def decode(self, decoder: rans.Decoder, kernel: Any) -> None:
        """Fill the coded planes from a stream, by the compiled loop where there is one: its dtype is int32."""
        found = np.empty(len(self.order), np.int32)
        if kernel:
            self._decode_compiled(kernel, decoder, found)
        else:
            self._decode_by_fronts(decoder, found)
        planes = np.empty_like(found)
        planes[self.order] = found
        self.planes[self.coded] = planes.reshape(len(self.coded), *self.planes.shape[1:])

    def _decode_by_fronts(self, decoder: rans.Decoder, found: Array) -> None:
        for first, last in pairwise(self.bounds):
            found[first:last] = values = laplace.decoded(decoder, *self.predict(first, last))
            self.buffer.put(self.base[first:last], values.clip(-CLIP, CLIP, values))

    def _decode_compiled(self, kernel: Any, decoder: rans.Decoder, found: Array) -> None:
        m, t = self.model, tables()
        small = [np.ascontiguousarray(a, np.int32) for a in (self.first[:-1].T, m.second, m.third)]
        biases = (m.second_bias * 256 + 128).astype(np.int32), (m.third_bias * 256 + 128).astype(np.int32)
        status, decoder.state, decoder.at = kernel(
            self.buffer, self.base, self.steps[:, 0], self.from_parent, self.above,
            *small, *biases, t.starts, t.frequencies, t.radii, decoder.words, decoder.state, decoder.at, found,
        )  # fmt: skip
        if status:
            raise decoder.error(status)


def _last_front(model: ContextModel, shape: Sequence[int], coded: Sequence[int]) -> int:
    """Number of the last front of a level."""
    return model.delay * max(coded) + sum(s * (n - 1) for s, n in zip(model.slopes, shape))


def _within(o: Offset, shape: Sequence[int]) -> bool:
    """Whether any place of a grid has a neighbour at this offset."""
    return all(abs(v) < n for v, n in zip(o, shape))


def _margins(shape: Sequence[int], radius2: int) -> list[int]:
    """Zeros at the ends of each axis, for the offsets that are `_within`: few along short axes."""
    return [min(isqrt(radius2), n - 1) for n in shape]


def _index(values: Ints) -> Array:
    """In 32 bits where they suffice."""
    return values.astype(np.int32) if values.max(initial=0) < 1 << 31 else values


def _strides(shape: Sequence[int]) -> list[int]:
    return [prod(shape[a + 1 :]) for a in range(len(shape))]


def _raster(terms: Sequence[Array]) -> Array:
    """Sums of one term for each axis, in raster order."""
    total = np.zeros(1, terms[0].dtype)
    for term in terms:
        total = (total[:, None] + term).reshape(-1)
    return total


def _parent_products(model: ContextModel, plane: Array) -> Array:
    """What a plane of the coarser level contributes to the first product, (cells, W + 3)."""
    margins = _margins(plane.shape, model.parent)
    around = np.pad(np.clip(plane, -CLIP, CLIP), [(margin, margin) for margin in margins])
    inputs = np.zeros((plane.size, model.taps[3]), model.matrices.dtype)
    for column, o in zip(inputs.T, offsets(model.axes, model.parent)):
        if _within(o, plane.shape):
            first = [margin + v for margin, v in zip(margins, o)]
            column[:] = around[tuple(slice(a, a + n) for a, n in zip(first, plane.shape))].reshape(-1)
    return inputs @ model.matrices.parents


# -- all levels --------------------------------------------------------------------------------------------------


def _halved(
    shapes: Sequence[tuple[int, ...]], channels: Sequence[int], model: ContextModel, halvings: Sequence[int]
) -> list[list[bool]]:
    """For each level, which axes are halved from it to the next coarser one; InputError where sizes do not fit."""
    if not shapes or len(shapes) != len(channels) or len(shapes) != max(halvings, default=0):
        raise InputError(f"latents: expected {max(halvings, default=0)} levels, got {len(shapes)}")
    if {len(s) for s in shapes} | {len(halvings)} != {model.axes} or sum(channels) != len(model.bias):
        raise InputError(f"latents: expected {model.axes} axes and {len(model.bias)} planes")
    if min(channels) < 1 or min(map(min, shapes)) < 1:
        raise InputError("latents: expected at least one plane at a level and one place along an axis")
    halved = [[h > level for h in halvings] for level in range(1, len(shapes) + 1)]
    for fine, coarse, half in zip(shapes, shapes[1:], halved):
        if tuple(-(-n // 2) if h else n for n, h in zip(fine, half)) != tuple(coarse):
            raise InputError(f"latents: a level of {tuple(coarse)} does not follow from {tuple(fine)}")
    return halved


def _levels(
    levels: Sequence[Array], model: ContextModel, halvings: Sequence[int], *, fronts: bool
) -> Iterator[tuple[int, _Level]]:
    """The levels with a plane that is not zero, finest first, each with the number of its first plane."""
    for planes in levels:
        if planes.dtype.kind != "i" or (planes.size and not _OUTSIDE <= planes.min() <= planes.max() < -_OUTSIDE):
            raise InputError("latents: expected integers of 32 bits")
    shapes, channels = [tuple(y.shape[1:]) for y in levels], [len(y) for y in levels]
    halved = _halved(shapes, channels, model, halvings)
    number = 0
    with one_thread_a_product:
        for i, planes in enumerate(levels):
            coded = [k for k, plane in enumerate(planes) if plane.any()]
            parent = levels[i + 1] if i + 1 < len(levels) else None
            if coded:
                yield number, _Level(model, number, planes, coded, halved[i], parent, fronts=fronts)
            number += len(planes)


def bits_of(levels: Sequence[Array], model: ContextModel, halvings: Sequence[int]) -> Floats:
    """Ideal code length of each plane in bits, (planes,): what the stream takes but for some five bytes.

    Arguments as for `encode_latents`.
    """
    bits = np.zeros(sum(map(len, levels)))
    for number, level in _levels(levels, model, halvings, fronts=False):
        cost = Symbols.of(*level.predictions(), level.values()).bits
        bits[number + np.array(level.coded)] = cost.reshape(len(level.coded), -1).sum(1)
    return bits


def encode_latents(levels: Sequence[Array], model: ContextModel, halvings: Sequence[int]) -> bytes:
    """The stream of a pyramid of latents.

    `levels` are integers (planes, *shape) of 32 bits, the finest level first. An axis is halved from a level to the
    next coarser one, rounding up, as often as `halvings` says, less the time before the finest level. InputError where
    this does not fit.
    """
    starts: list[Ints] = []
    counts: list[Ints] = []
    for _, level in _levels(levels, model, halvings, fronts=True):
        start, count = Symbols.of(*level.predictions(), level.values()).intervals
        starts.append(start)
        counts.append(count)
    zero = [not plane.any() for planes in reversed(levels) for plane in planes]
    flags = np.packbits(zero, bitorder="little").tobytes()
    if not starts:
        return flags
    return flags + rans.encode(np.concatenate(starts[::-1]), np.concatenate(counts[::-1]))


def decode_latents(
    data: Reader | bytes,
    shapes: Sequence[tuple[int, ...]],
    channels: Sequence[int],
    halvings: Sequence[int],
    model: ContextModel,
    *,
    coarsest: int | None = None,
) -> list[Array]:
    """Inverse of `encode_latents`: int32 (channels, *shape) for each level, the finest first.

    With `coarsest`, only so many levels are decoded, of a stream whose end may be missing. LimitError for more latents
    than the bytes can hold, or more memory or work than the reader allows, before any of it is taken; TruncatedError
    and MalformedError for damaged streams.
    """
    reader = data if isinstance(data, Reader) else Reader(data, "latents")
    halved = _halved(shapes, channels, model, halvings)
    levels = len(shapes) if coarsest is None else min(coarsest, len(shapes))
    wanted = range(len(shapes) - levels, len(shapes))
    coded = _coded_planes(reader, channels)
    count = sum(len(coded[i]) * prod(shapes[i]) for i in wanted)
    if count > reader.remaining * rans.SYMBOLS_PER_BYTE:
        raise LimitError(f"{reader.name}: {count} latents in {reader.remaining} bytes")
    kept = 4 * sum(channels[i] * prod(shapes[i]) for i in wanted)
    reader.check_memory(kept + max(_memory(model, channels[i], len(coded[i]), shapes[i : i + 2]) for i in wanted))
    reader.spend(count * model.work)
    found: list[Array] = []
    decoder = rans.Decoder(reader) if any(coded[len(shapes) - levels :]) else None
    with one_thread_a_product:
        for i in range(len(shapes) - 1, len(shapes) - levels - 1, -1):
            planes = np.zeros((channels[i], *shapes[i]), np.int32)
            if coded[i] and decoder:
                number = sum(channels[:i])
                parent = found[-1] if found else None
                fronts = _last_front(model, shapes[i], coded[i])
                saved = seconds_saved(fronts, len(coded[i]) * prod(shapes[i]))
                kernel = compiled.loop(decode_level) if compiled.pays(saved) else None
                dtype = np.int32 if kernel else None
                arguments = model, number, planes, coded[i], halved[i], parent
                _Level(*arguments, fronts=True, dtype=dtype).decode(decoder, kernel)  # not kept beside the next level
            found.append(planes)
    if levels == len(shapes):
        if decoder:
            decoder.finish()
        reader.end()
    return found[::-1]


def _memory(model: ContextModel, planes: int, coded: int, shapes: Sequence[tuple[int, ...]]) -> int:
    """Bytes that decoding a level takes beside all latents, at most: `shapes` are its own and the next coarser one."""
    if not coded:
        return 0
    shape, cells = shapes[0], sum(map(prod, shapes[1:]))
    number, outputs = model.matrices.dtype.itemsize, len(model.second) + 3
    places = coded * prod(shape)
    padded = prod(n + 2 * margin for n, margin in zip(shape, _margins(shape, max(model.causal, model.previous))))
    buffer = (planes + 2) * padded * number
    parents = cells * number * (model.taps[3] + 2 * coded * outputs)
    front = max(min(places, _CHUNK), places // max(shape))  # along one axis no two places are in one front
    inputs = sum(model.taps[:3])
    return _PLACE * places + buffer + parents + front * ((8 + number) * inputs + (2 * number + 32) * outputs)


def _coded_planes(reader: Reader, channels: Sequence[int]) -> list[list[int]]:
    """The planes of each level that are not all zeros, finest level first."""
    planes = sum(channels)
    flags = np.unpackbits(np.frombuffer(reader.take(-(-planes // 8)), np.uint8), bitorder="little")
    if flags[planes:].any():
        raise MalformedError(f"{reader.name}: bits are set behind the flags of {planes} planes")
    coded, at = [], 0
    for count in reversed(channels):
        coded.append([k for k in range(count) if not flags[at + k]])
        at += count
    return coded[::-1]
