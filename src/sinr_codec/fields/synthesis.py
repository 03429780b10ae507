"""The samples of a pyramid on its own grid, by integer arithmetic that is the same on every machine.

Integers are held in float64, exact below 2^53 in any order of summation, so that convolutions are matrix products.
Weights are scaled by powers of two beforehand; a shift to the right is then a floor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import MalformedError
from sinr_codec.fields.resampling import Window
from sinr_codec.types import Array, Floats

if TYPE_CHECKING:
    from sinr_codec.fields.base import Params
    from sinr_codec.fields.pyramid import Pyramid

_EXACT: Final = 1 << 53
_COLUMNS: Final = 1 << 17  # numbers of a matrix of neighbours: 1 MB, which a cache holds


class Synthesis:
    """Exact samples of a pyramid; docs/format.md, section 4.2, has the formulas.

    Immutable, and so safe for threads.

    Parameters
    ----------
    field
        The pyramid.
    params
        Its integers.

    Raises
    ------
    InputError
        Parameters of another field.
    MalformedError
        Weights so large that a sum may reach 2^53.
    """

    def __init__(self, field: Pyramid, params: Params) -> None:
        field.check(params)
        check_sums(field, params)
        d, phases = field.in_features, field.phases
        self.field = field
        self.bytes = 16 * (field.planes + 2 * field.out_features * phases) // phases
        """Memory of a sample while a window is computed."""
        self._sizes = [field.size(level) for level in range(field.levels + 1)]
        self._latents = [params[f"latents.{level}"] for level in range(1, field.levels + 1)]
        self._kernel = [float(w) / 2**12 for w in params["upsampling"]] if field.levels > 1 else []
        weight = params["synthesis.0.weight"].reshape(field.width, field.planes, -1).transpose(0, 2, 1)
        self._first = _affine(weight.reshape(field.width, -1), params["synthesis.0.bias"] * 2.0**8, 10)
        self._taps = list(product((-1, 0, 1), repeat=d))
        weight = params["synthesis.1.weight"] * np.repeat([1.0, 2.0**5], [field.width, field.planes])
        self._second = _affine(weight, params["synthesis.1.bias"] * 2.0**9, 9)
        #: The samples near a position of level 1, by axis: offset of their position, and phase.
        near = [[(-1, 1), (0, 0), (0, 1), (1, 0)] if h else [(-1, 0), (0, 0), (1, 0)] for h in field.halved(0)]
        self._near = [([o for o, _ in each], self._phase([p for _, p in each])) for each in product(*near)]
        self._residuals = [self._residual(params, number) for number in range(field.residuals)]

    def _phase(self, phases: Sequence[int]) -> int:
        """Number of a phase: a bit for each axis that is halved, that of the last axis lowest."""
        number = 0
        for phase, halved in zip(phases, self.field.halved(0)):
            number = 2 * number + phase if halved else number
        return number

    def _residual(self, params: Params, number: int) -> Floats:
        """A convolution of samples as a matrix from the near samples of all phases to the phases of a position."""
        field = self.field
        kernel, halved = params[f"residuals.{number}.weight"].astype(np.float64), field.halved(0)
        matrix = np.zeros((field.out_features, field.phases, len(self._near), field.out_features))
        phases = [[p >> i & 1 for i in reversed(range(sum(halved)))] for p in range(field.phases)]
        for phase, bits in enumerate(phases):
            own = iter(bits)
            mine = [next(own) if h else 0 for h in halved]
            for column, (offset, other) in enumerate(self._near):
                theirs = iter(phases[other])
                tap = [1 + (2 * o + next(theirs) - m if h else o) for o, m, h in zip(offset, mine, halved)]
                if min(tap) >= 0 and max(tap) <= 2:
                    matrix[:, phase, column, :] = kernel[(slice(None), slice(None), *tap)]
                if number == field.residuals - 1 and not any(offset) and other == phase:
                    matrix[:, phase, column, :] += 2**12 * np.eye(field.out_features)
        bias = np.repeat(params[f"residuals.{number}.bias"] * 2.0**12, field.phases)
        return _affine(matrix.reshape(field.out_features * field.phases, -1), bias, 12)

    # -- windows

    def window(self, window: Window) -> NDArray[np.float32]:
        """Values (*lengths, b) of a part of the grid: the same bits as that part of the whole."""
        field = self.field
        halved = field.halved(0)
        inner = [((a >> h), ((b - 1) >> h) + 1) for (a, b), h in zip(window, halved)]
        # A residual convolution takes one more sample on every side, which is half a position of a halved axis.
        margins = [-(-field.residuals >> h) for h in halved]
        outer = [(max(0, a - m), min(n, b + m)) for (a, b), n, m in zip(inner, self._sizes[1], margins)]
        planes, padded = self._planes(outer)
        current = self._perceptron(planes, padded)
        for number, matrix in enumerate(self._residuals):
            _replicate_phases(current.reshape(field.out_features, *[2] * sum(halved), *padded), halved)
            current = self._convolved(current, padded, matrix, last=number == field.residuals - 1)
        return self._samples(current.reshape(-1, *padded), [a for a, _ in outer], window)

    def _planes(self, outer: Window) -> tuple[Floats, tuple[int, ...]]:
        """All planes at the positions `outer` of level 1 and one more on every side, (planes, *padded)."""
        padded = tuple(b - a + 2 for a, b in outer)
        inside = [(max(0, a - 1), min(n, b + 1)) for (a, b), n in zip(outer, self._sizes[1])]
        planes = np.empty((self.field.planes, *padded))
        there = tuple(slice(i - a + 1, j - a + 1) for (i, j), (a, _) in zip(inside, outer))
        self._gather(1, inside, planes[(slice(None), *there)])
        for axis, (part, length) in enumerate(zip(there, padded)):
            _edges(planes, axis + 1, part.start, length - part.stop)
        return planes, padded

    def _gather(self, level: int, window: Window, out: Floats) -> None:
        """The latents of a level and, upsampled, those of all coarser ones, into out (planes, *lengths)."""
        own = self.field.channels[level - 1]
        latents = self._latents[level - 1][(slice(None), *(slice(a, b) for a, b in window))]
        np.multiply(latents, 2.0**8, out=out[:own])
        if level == self.field.levels:
            return
        halved = self.field.halved(level)
        needed = [
            (max(0, (a >> 1) - 2), min(n, (b - 1 >> 1) + 3)) if h else (a, b)
            for (a, b), n, h in zip(window, self._sizes[level + 1], halved)
        ]
        coarse = np.empty((sum(self.field.channels[level:]), *(b - a for a, b in needed)))
        self._gather(level + 1, needed, coarse)
        for axis, h in enumerate(halved):
            if h:
                coarse = self._doubled(coarse, axis + 1, window[axis], needed[axis])
        out[own:] = coarse

    def _doubled(self, x: Floats, axis: int, wanted: tuple[int, int], there: tuple[int, int]) -> Floats:
        """Positions `wanted` of the finer grid along an axis, from `there` of the coarser one."""
        first, last = wanted[0] >> 1, wanted[1] - 1 >> 1
        pairs, length = last - first + 1, there[1] - there[0]
        taps = []
        for k in range(5):  # positions first - 2 + k .. last - 2 + k of the coarser grid
            start = first - 2 + k - there[0]
            if start >= 0 and start + pairs <= length:
                taps.append(x[(*[slice(None)] * axis, slice(start, start + pairs))])
            else:
                taps.append(np.take(x, np.clip(np.arange(start, start + pairs), 0, length - 1), axis=axis))
        out = np.empty((*x.shape[:axis], pairs, 2, *x.shape[axis + 1 :]))
        some = np.empty_like(taps[0], order="C")
        for phase in range(2):
            total = np.full_like(some, 0.5)
            for t, w in enumerate(self._kernel):
                total += np.multiply(taps[4 - t if phase else t], w, out=some)
            np.floor(total, out=np.moveaxis(out, axis + 1, 0)[phase])
        out = out.reshape(*x.shape[:axis], 2 * pairs, *x.shape[axis + 1 :])
        return out[(*[slice(None)] * axis, slice(wanted[0] - 2 * first, wanted[1] - 2 * first))]

    # -- layers, on flattened grids

    def _perceptron(self, planes: Floats, padded: tuple[int, ...]) -> Floats:
        """Both layers at all positions of a padded grid but its edges: (values * phases, positions)."""
        count, flat = len(planes), planes.reshape(len(planes), -1)
        shifts = [_shift(padded, tap) for tap in self._taps]
        out = np.empty((len(self._second), flat.shape[1]))
        width = len(self._first)
        hidden = _with_ones(width + count, _columns(self._first))
        scaled = np.empty((width, hidden.shape[1]))
        columns = _with_ones(count * len(shifts), hidden.shape[1])
        for start, stop in _chunks(padded, columns.shape[1]):
            n = stop - start
            for i, shift in enumerate(shifts):
                columns[i * count : (i + 1) * count, :n] = flat[:, start + shift : stop + shift]
            h, s = hidden[:width, :n], scaled[:, :n]
            np.floor(np.matmul(self._first, columns[:, :n], out=h), out=h)
            np.maximum(h, np.multiply(h, 8.0, out=s), out=h)
            hidden[width:-1, :n] = flat[:, start:stop]
            o = out[:, start:stop]
            np.floor(np.matmul(self._second, hidden[:, :n]), out=o)
        return out

    def _convolved(self, x: Floats, padded: tuple[int, ...], matrix: Floats, last: bool) -> Floats:
        """A residual convolution at all positions of a padded grid but its edges: (values * phases, positions)."""
        values, phases = self.field.out_features, self.field.phases
        near = [(_shift(padded, offset), phase) for offset, phase in self._near]
        out = np.empty_like(x)
        columns = _with_ones(values * len(near), _columns(matrix))
        for start, stop in _chunks(padded, columns.shape[1]):
            n = stop - start
            for i, (shift, phase) in enumerate(near):
                columns[i * values : (i + 1) * values, :n] = x[phase::phases, start + shift : stop + shift]
            r = np.matmul(matrix, columns[:, :n])
            if last:
                np.floor(r, out=out[:, start:stop])
                continue
            np.floor(r, out=r)
            small = np.multiply(r, 0.125)
            np.maximum(r, np.floor(small, out=small), out=r)
            np.add(r, x[:, start:stop], out=out[:, start:stop])
        return out

    def _samples(self, x: Floats, origin: Sequence[int], window: Window) -> NDArray[np.float32]:
        """The phases (values * phases, *padded) as samples of a window, in their units."""
        values, phases, halved = self.field.out_features, self.field.phases, self.field.halved(0)
        out = np.empty((*(b - a for a, b in window), values), np.float32)
        for bits in product(*((0, 1) if h else (0,) for h in halved)):
            there: list[slice] = []
            here: list[slice] = []
            for (a, b), corner, h, bit in zip(window, origin, halved, bits):
                first = a + (bit - a) % 2 if h else a
                step, start = 1 + h, (first >> h) - corner + 1
                there.append(slice(first - a, None, step))
                here.append(slice(start, start + len(range(first, b, step))))
            phase = self._phase(bits)
            for value in range(values):
                source, target = x[value * phases + phase], out[..., value]
                np.multiply(source[tuple(here)], 2.0**-16, out=target[tuple(there)], casting="same_kind")
        out += np.float32(0)  # no negative zeros, whose signs depend on the order of sums
        return out


def _affine(weight: Array, bias: Array, shift: int) -> Floats:
    """A layer (out, in + 1) on inputs and a 1: its floor is (weight x + bias + 2^(shift - 1)) >> shift."""
    whole = np.concatenate([weight, np.asarray(bias)[:, None]], 1, dtype=np.float64)
    whole[:, -1] += 2.0 ** (shift - 1)
    return whole * 2.0**-shift


def _columns(matrix: Floats) -> int:
    """Positions at once: a multiple of 64."""
    return max(64, _COLUMNS // matrix.shape[1] // 64 * 64)


def _with_ones(rows: int, columns: int) -> Floats:
    """An array for rows of inputs, and a row of ones behind them."""
    out = np.empty((rows + 1, columns))
    out[-1] = 1
    return out


def _strides(padded: Sequence[int]) -> list[int]:
    strides = [1]
    for length in reversed(padded[1:]):
        strides.insert(0, strides[0] * length)
    return strides


def _shift(padded: Sequence[int], offset: Sequence[int]) -> int:
    """Distance of two positions in a flattened grid."""
    return sum(o * stride for o, stride in zip(offset, _strides(padded)))


def _chunks(padded: Sequence[int], most: int) -> Iterator[tuple[int, int]]:
    """Ranges of a flattened grid, from its first position that is no edge to the last one."""
    start = sum(_strides(padded))
    end = _shift(padded, [length - 2 for length in padded]) + 1
    for at in range(start, end, most):
        yield at, min(at + most, end)


def _edges(x: Floats, axis: int, before: int, behind: int) -> None:
    """Replicate the inner positions of an axis into those before and behind them."""
    x = np.moveaxis(x, axis, 0)
    x[:before] = x[before]
    x[len(x) - behind :] = x[len(x) - behind - 1]


def _replicate_phases(x: Floats, halved: Sequence[bool]) -> None:
    """Mirror samples into the edges of a padded grid, for those phases that are neighbours; replicate whole axes.

    x (values, 2 for each halved axis, *padded).
    """
    number = 1
    for axis, h in enumerate(halved):
        grid = 1 + sum(halved) + axis
        if h:
            moved = np.moveaxis(x, (number, grid), (0, 1))
            moved[1, 0] = moved[1, 1]
            moved[0, -1] = moved[0, -2]
            number += 1
        else:
            _edges(x, grid, 1, 1)


def check_sums(field: Pyramid, params: Params) -> None:
    """Raise `MalformedError` where a sum may reach 2^53 in magnitude, by the bounds of docs/format.md."""

    def bounded(layer: str, rows: int, most: int, shift: int, bias_shift: int, itself: int = 0) -> int:
        """Bound of the outputs of a layer whose inputs are at most `most`."""
        weights = np.abs(params[f"{layer}.weight"].astype(np.int64)).reshape(rows, -1).sum(1)
        bias = int(np.abs(params[f"{layer}.bias"].astype(np.int64)).max())
        return shifted(layer, (int(weights.max()) + itself) * most + (bias << bias_shift), shift)

    def shifted(layer: str, most: int, shift: int) -> int:
        if most + (1 << shift - 1) >= _EXACT:
            raise MalformedError(f"pyramid: the weights of {layer} are so large that a sum may reach 2^53")
        return (most + (1 << shift - 1) >> shift) + 1

    ends = [(int(params[name].min()), int(params[name].max())) for name in field.latents]
    most = max(1, *(max(-low, high) for low, high in ends)) << 8
    for level in range(1, field.levels):
        kernel = int(np.abs(params["upsampling"].astype(np.int64)).sum())
        for _ in range(sum(field.halved(level))):
            most = max(most, shifted("upsampling", kernel * most, 12))
    most = max(8 * bounded("synthesis.0", field.width, most, 10, 8), most << 5)
    most = bounded("synthesis.1", field.out_features * field.phases, most, 9, 9)
    for number in range(field.residuals):
        most = bounded(f"residuals.{number}", field.out_features, most, 12, 12, itself=1 << 12)
