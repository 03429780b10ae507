"""Code length of a pyramid's latents under their entropy model, and its gradients, in one pass.

The model is that of `coding.latents` in real numbers: a Laplace distribution for each latent, whose centre and scale a
small network predicts from latents decoded before. All products of a tile of positions stay in the cache, which makes
the pass several times faster than the same operations one after the other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sinr_codec.coding.latents import offsets
from sinr_codec.errors import MissingExtraError
from sinr_codec.fields.pyramid import CONTEXT, Pyramid
from sinr_codec.fit.synthesis import LEAK
from sinr_codec.fit.tiles import Window, tiles_of

try:
    from llvmlite import ir
    from numba import njit, types
    from numba.extending import intrinsic
except ImportError as error:
    raise MissingExtraError("fitting a pyramid needs numba: pip install 'sinr-codec[fit]'") from error

Floats = NDArray[np.float32]

WIDEST: Final = 5.0
"""Largest magnitude of log2 of a scale."""

_TILE: Final = 128  # positions that are worked on together
_ROWS: Final = 6  # outputs of the first layer that are worked on together
_LOG2E: Final = np.float32(math.log2(math.e))
_LN2: Final = np.float32(math.log(2))
_ONE: Final = np.float32(1)
_HALF: Final = np.float32(0.5)
_SLOPE: Final = np.float32(LEAK)
_MOST: Final = np.float32(WIDEST)
_FAST: Final[dict[str, Any]] = {
    "fastmath": {"nnan", "ninf", "nsz", "arcp", "contract", "afn", "reassoc"},
    "nogil": True,
    "cache": True,
    "error_model": "numpy",
}


@intrinsic
def _as_float(_context: Any, _bits: Any) -> Any:
    """A float32 from its bits."""
    return types.float32(types.int32), lambda c, b, s, a: b.bitcast(a[0], ir.FloatType())


@intrinsic
def _as_bits(_context: Any, _number: Any) -> Any:
    """The bits of a float32."""
    return types.int32(types.float32), lambda c, b, s, a: b.bitcast(a[0], ir.IntType(32))


@njit(inline="always", **_FAST)
def exp2(x: Any) -> Any:
    """2^x by a polynomial, to about 1e-5, in operations that compilers vectorise."""
    x = min(max(x, np.float32(-125.0)), np.float32(125.0))
    n = math.floor(x)
    r = x - n
    p = np.float32(0.0013333558)
    p = p * r + np.float32(0.0096181291)
    p = p * r + np.float32(0.0555041087)
    p = p * r + np.float32(0.2402265070)
    p = p * r + np.float32(0.6931471806)
    p = p * r + _ONE
    return p * _as_float((types.int32(n) + types.int32(127)) << types.int32(23))


@njit(inline="always", **_FAST)
def _log2(m: Any) -> Any:
    """log2(m) for positive m, to about 1e-4."""
    bits = _as_bits(m)
    exponent = (bits >> types.int32(23)) - types.int32(127)
    mantissa = _as_float((bits & types.int32(0x7FFFFF)) | types.int32(0x3F800000))
    y = mantissa * np.float32(2 / 3) - _ONE  # within 1/3 of 0
    p = np.float32(-0.24044917)
    p = p * y + np.float32(0.2885390082)
    p = p * y + np.float32(-0.3606737602)
    p = p * y + np.float32(0.4808983470)
    p = p * y + np.float32(-0.7213475204)
    p = p * y + _LOG2E
    return np.float32(0.5849625007) + p * y + types.float32(exponent)


@njit(inline="always", **_FAST)
def _affine(x: Any, w: Any, out: Any, count: Any) -> None:
    """Add the product of the first `count` rows of w (rows, columns), columns a multiple of 4, with x to out."""
    for i in range(0, w.shape[1], 4):
        x0, x1, x2, x3 = x[i], x[i + 1], x[i + 2], x[i + 3]
        for j in range(0, count, 2):
            a0, a1, a2, a3 = w[j, i], w[j, i + 1], w[j, i + 2], w[j, i + 3]
            b0, b1, b2, b3 = w[j + 1, i], w[j + 1, i + 1], w[j + 1, i + 2], w[j + 1, i + 3]
            a, b = out[j], out[j + 1]
            for t in range(_TILE):
                a[t] += a0 * x0[t] + a1 * x1[t] + a2 * x2[t] + a3 * x3[t]
                b[t] += b0 * x0[t] + b1 * x1[t] + b2 * x2[t] + b3 * x3[t]


@njit(inline="always", **_FAST)
def _laplace(values: Any, out: Any, bits: Any, by_value: Any, by_out: Any) -> None:
    """Bits of values under Laplace distributions with centre out[0] and scale 2^out[1], and their gradients.

    The mass of [v - 1/2, v + 1/2]; beyond half a unit from the centre, it is an exponential, so that bits and gradients
    of far values stay exact.
    """
    for t in range(_TILE):
        rate = exp2(-min(max(out[1, t], -_MOST), _MOST))
        distance = values[t] - out[0, t]
        sign = _ONE if distance >= 0 else -_ONE
        distance = abs(distance)
        low = (distance - _HALF) * rate
        near = low < 0
        one = exp2(-rate * _LOG2E)
        lower = exp2(-abs(low) * _LOG2E)
        upper = exp2(-(distance + _HALF) * rate * _LOG2E)
        mass = _ONE - _HALF * (lower + upper) if near else _HALF * (_ONE - one)
        inverse = _LOG2E / mass
        bits[t] = -_log2(mass) + (np.float32(0) if near else low * _LOG2E)
        by_distance = _HALF * rate * (lower - upper) * inverse if near else rate * _LOG2E
        by_rate = (
            _HALF * ((distance - _HALF) * lower - (distance + _HALF) * upper) * inverse
            if near
            else (distance - _HALF) * _LOG2E - _HALF * one * inverse
        )
        by_value[t] = sign * by_distance
        by_out[0, t] = -sign * by_distance
        by_out[1, t] = -_LN2 * rate * by_rate


@njit(**_FAST)
def _plane(
    y: Any, g: Any, starts: Any, width: Any, taps: Any, w1: Any, b1: Any, w2: Any, b2: Any, w3: Any, b3: Any,
    gw1: Any, gb1: Any, gw2: Any, gb2: Any, gw3: Any, gb3: Any,
) -> float:  # fmt: skip
    """Bits of the latents of a plane; adds the gradients by latents to g, and those by weights to gw1, ...

    Rows of `width` positions begin at `starts` in the flat array y; the inputs of a position lie at `taps` from it.
    The first layer w1 (J, K) has K a multiple of 4 and J of 6; its last outputs but the padding are added to centre and
    scale.
    """
    inputs, outputs, hidden = taps.shape[0], w1.shape[0], w2.shape[0]
    x = np.empty((inputs, _TILE), np.float32)
    h = np.empty((outputs, _TILE), np.float32)
    dh = np.zeros((outputs, _TILE), np.float32)
    a, da = np.empty((hidden, _TILE), np.float32), np.empty((hidden, _TILE), np.float32)
    c, dc = np.empty((hidden, _TILE), np.float32), np.empty((hidden, _TILE), np.float32)
    z = np.empty((hidden, _TILE), np.float32)
    out, dout = np.empty((2, _TILE), np.float32), np.empty((2, _TILE), np.float32)
    bits, dv, dx = np.empty(_TILE, np.float32), np.empty(_TILE, np.float32), np.empty(_TILE, np.float32)
    total = 0.0
    for start in starts:
        for first in range(0, width, _TILE):
            at, count = start + first, min(_TILE, width - first)
            for k in range(inputs):
                x[k] = y[at + taps[k] : at + taps[k] + _TILE]
            for j in range(outputs):
                h[j] = b1[j]
            _affine(x, w1, h, outputs)
            for j in range(hidden):
                c[j] = b2[j]
                for t in range(_TILE):
                    a[j, t] = max(h[j, t], h[j, t] * _SLOPE)
            _affine(a, w2, c, hidden)
            for t in range(_TILE):
                out[0, t], out[1, t] = h[hidden, t] + b3[0], h[hidden + 1, t] + b3[1]
            for j in range(hidden):
                for t in range(_TILE):
                    z[j, t] = max(c[j, t], c[j, t] * _SLOPE) + a[j, t]
                    out[0, t] += w3[0, j] * z[j, t]
                    out[1, t] += w3[1, j] * z[j, t]
            _laplace(y[at : at + _TILE], out, bits, dv, dout)
            for t in range(count, _TILE):
                bits[t], dv[t], dout[0, t], dout[1, t] = 0, 0, 0, 0
            total += bits.sum()
            # backwards
            for t in range(_TILE):
                g[at + t] += dv[t]
                dh[hidden, t], dh[hidden + 1, t] = dout[0, t], dout[1, t]
            gb3[0] += dout[0].sum()
            gb3[1] += dout[1].sum()
            for j in range(hidden):
                s0, s1, s2 = np.float32(0), np.float32(0), np.float32(0)
                for t in range(_TILE):
                    s0 += dout[0, t] * z[j, t]
                    s1 += dout[1, t] * z[j, t]
                    da[j, t] = w3[0, j] * dout[0, t] + w3[1, j] * dout[1, t]
                    dc[j, t] = da[j, t] if c[j, t] > 0 else da[j, t] * _SLOPE
                    s2 += dc[j, t]
                gw3[0, j] += s0
                gw3[1, j] += s1
                gb2[j] += s2
            for i in range(0, hidden, 2):
                for j in range(0, hidden, 4):
                    d0, d1, d2, d3 = dc[j], dc[j + 1], dc[j + 2], dc[j + 3]
                    s00, s01, s02, s03 = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
                    s10, s11, s12, s13 = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
                    v0, v1, v2, v3 = w2[j, i], w2[j + 1, i], w2[j + 2, i], w2[j + 3, i]
                    u0, u1, u2, u3 = w2[j, i + 1], w2[j + 1, i + 1], w2[j + 2, i + 1], w2[j + 3, i + 1]
                    a0, a1, e0, e1 = a[i], a[i + 1], da[i], da[i + 1]
                    for t in range(_TILE):
                        e0[t] += v0 * d0[t] + v1 * d1[t] + v2 * d2[t] + v3 * d3[t]
                        e1[t] += u0 * d0[t] + u1 * d1[t] + u2 * d2[t] + u3 * d3[t]
                        s00 += a0[t] * d0[t]
                        s01 += a0[t] * d1[t]
                        s02 += a0[t] * d2[t]
                        s03 += a0[t] * d3[t]
                        s10 += a1[t] * d0[t]
                        s11 += a1[t] * d1[t]
                        s12 += a1[t] * d2[t]
                        s13 += a1[t] * d3[t]
                    gw2[j, i] += s00
                    gw2[j + 1, i] += s01
                    gw2[j + 2, i] += s02
                    gw2[j + 3, i] += s03
                    gw2[j, i + 1] += s10
                    gw2[j + 1, i + 1] += s11
                    gw2[j + 2, i + 1] += s12
                    gw2[j + 3, i + 1] += s13
            for j in range(hidden):
                for t in range(_TILE):
                    dh[j, t] = da[j, t] if h[j, t] > 0 else da[j, t] * _SLOPE
            for j in range(hidden + 2):
                gb1[j] += dh[j].sum()
            for k in range(inputs):
                xk = x[k]
                dx[:] = 0
                for j in range(0, outputs, _ROWS):
                    d0, d1, d2, d3, d4, d5 = dh[j], dh[j + 1], dh[j + 2], dh[j + 3], dh[j + 4], dh[j + 5]
                    v0, v1, v2 = w1[j, k], w1[j + 1, k], w1[j + 2, k]
                    v3, v4, v5 = w1[j + 3, k], w1[j + 4, k], w1[j + 5, k]
                    s0, s1, s2 = np.float32(0), np.float32(0), np.float32(0)
                    s3, s4, s5 = np.float32(0), np.float32(0), np.float32(0)
                    for t in range(_TILE):
                        dx[t] += v0 * d0[t] + v1 * d1[t] + v2 * d2[t] + v3 * d3[t] + v4 * d4[t] + v5 * d5[t]
                        s0 += d0[t] * xk[t]
                        s1 += d1[t] * xk[t]
                        s2 += d2[t] * xk[t]
                        s3 += d3[t] * xk[t]
                        s4 += d4[t] * xk[t]
                        s5 += d5[t] * xk[t]
                    gw1[j, k] += s0
                    gw1[j + 1, k] += s1
                    gw1[j + 2, k] += s2
                    gw1[j + 3, k] += s3
                    gw1[j + 4, k] += s4
                    gw1[j + 5, k] += s5
                p = at + taps[k]
                for t in range(_TILE):
                    g[p + t] += dx[t]
    return total


@dataclass(frozen=True)
class _Job:
    """A plane: distances of its inputs in the flat array, and their columns in layer 1."""

    taps: NDArray[np.int64]
    columns: NDArray[np.int64]


class _Level:
    """The latents of a level and of its parent, repeated to the same size, in one flat array with margins of zeros."""

    def __init__(self, field: Pyramid, level: int) -> None:
        d, last = field.in_features, level == field.levels
        self.size, self.channels = field.size(level), field.channels[level - 1]
        self.parents = 0 if last else field.channels[level]
        self.halved = (False,) * d if last else field.halved(level)
        own = offsets(d, field.causal, causal=True)
        before, above = offsets(d, field.previous), offsets(d, field.parent)
        reach = [[max(abs(o[a]) for o in some) for a in range(d)] for some in (own, before, above)]
        margin = [max(r, q, p << int(h)) for r, q, p, h in zip(*reach, self.halved)]
        # Where a parent reaches beyond the level, by one position, its neighbours see that, too.
        reaches = [n + (n & int(h)) for n, h in zip(self.size, self.halved)]
        padded = [n + 2 * m for n, m in zip(reaches, margin)]
        strides = [math.prod(padded[a + 1 :]) for a in range(d)]
        plane = math.prod(padded)
        count = (self.channels + self.parents) * plane
        self.y, self.g = (np.zeros(count + _TILE, np.float32) for _ in range(2))
        own_part = (slice(self.channels), *(slice(m, m + n) for n, m in zip(self.size, margin)))
        above_part = (slice(self.channels, None), *(slice(m, m + n) for n, m in zip(reaches, margin)))
        y, g = (flat[:count].reshape(-1, *padded) for flat in (self.y, self.g))
        self.own, self.own_g, self.above, self.above_g = y[own_part], g[own_part], y[above_part], g[above_part]

        def place(offset: Sequence[int]) -> int:
            return sum(o * s for o, s in zip(offset, strides))

        self._origin, self._strides, self.places = place(margin), strides, plane
        self.jobs = []
        for k in range(self.channels):
            taps = [place(o) for o in own]
            columns = list(range(len(own)))
            if k >= 1:
                taps += [place(o) - plane for o in before]
                columns += [len(own) + i for i in range(len(before))]
            if k >= 2:
                taps.append(-2 * plane)
                columns.append(len(own) + len(before))
            if self.parents:
                up = (self.channels + min(k, self.parents - 1) - k) * plane
                taps += [place([x << int(h) for x, h in zip(o, self.halved)]) + up for o in above]
                columns += [len(own) + len(before) + 1 + i for i in range(len(above))]
            taps += [0] * (-len(taps) % 4)  # with weights of zero
            self.jobs.append(_Job(np.array(taps), np.array(columns)))

    def rows(self, window: Window) -> NDArray[np.int64]:
        """Places of the first positions of a window's rows in the first plane."""
        grids = np.meshgrid(*(np.arange(a, b) for a, b in window[:-1]), [window[-1][0]], indexing="ij")
        return self._origin + sum(grid.ravel() * stride for grid, stride in zip(grids, self._strides))

    def fill(self, own: Floats, above: Floats | None) -> None:
        """Take the latents of the level and of its parent."""
        self.own[:] = own
        if above is not None:
            for axis, halved in enumerate(self.halved, 1):
                above = above.repeat(2, axis) if halved else above
            self.above[:] = above
        self.g[:] = 0

    def above_gradient(self) -> Floats:
        """The gradient by the parent's latents."""
        found = self.above_g
        for axis, halved in enumerate(self.halved, 1):
            if halved:
                found = np.add.reduceat(found, np.arange(0, found.shape[axis], 2), axis)
        return found


class CodeLength:
    """Bits of the latents of a pyramid, and their gradients; not thread-safe."""

    def __init__(self, field: Pyramid) -> None:
        self.field = field
        self._levels = [_Level(field, level) for level in range(1, field.levels + 1)]
        (whole,) = tiles_of(field)
        self._whole = whole.parts

    def __call__(
        self, latents: Sequence[Floats], networks: Mapping[str, Floats]
    ) -> tuple[list[float], list[Floats], dict[str, Floats]]:
        """Bits of each level, and the gradients of their sum by latents and by networks.

        Parameters
        ----------
        latents
            (channels, *size) float32 of level 1, 2, ...; they may lie between integers.
        networks
            The parameters `CONTEXT` in real numbers.
        """
        self.fill(latents)
        bits, by_networks = self.add(networks, self._whole)
        return bits, self.gradients(), by_networks

    def fill(self, latents: Sequence[Floats]) -> None:
        """Take the latents, for calls of `add`."""
        for number, level in enumerate(self._levels):
            level.fill(latents[number], latents[number + 1] if level.parents else None)

    def add(self, networks: Mapping[str, Floats], parts: Sequence[Window]) -> tuple[list[float], dict[str, Floats]]:
        """Bits in a window of each level, and the gradients of their sum by networks; those by latents are kept."""
        hidden = self.field.hidden
        padded = -(-hidden // 4) * 4  # zeros change nothing
        outputs = -(-(padded + 2) // _ROWS) * _ROWS
        first, middle, last = (networks[f"context.{n}.weight"] for n in range(3))
        biases, bias, end = (networks[f"context.{n}.bias"] for n in range(3))
        w2, b2, w3 = _wider(middle, padded, padded), _wider(bias, padded), _wider(last, 2, padded)
        gw2, gb2, gw3, gb3 = (np.zeros_like(w) for w in (w2, b2, w3, end))
        gw1, gb1 = np.zeros_like(first), np.zeros_like(biases)
        rows = np.concatenate([np.arange(hidden), [padded, padded + 1]])
        bits, plane = [], 0
        for level, part in zip(self._levels, parts):
            starts, width = level.rows(part), part[-1][1] - part[-1][0]
            total = 0.0
            for number, job in enumerate(level.jobs):
                w1 = np.zeros((outputs, len(job.taps)), np.float32)
                w1[rows, : len(job.columns)] = first[:, job.columns]
                b1 = np.zeros(outputs, np.float32)
                b1[rows] = biases[plane]
                g1, h1 = np.zeros_like(w1), np.zeros_like(b1)
                total += _plane(
                    *(level.y, level.g, starts + number * level.places, width, job.taps, w1, b1, w2, b2, w3, end),
                    *(g1, h1, gw2, gb2, gw3, gb3),
                )
                gw1[:, job.columns] += g1[rows, : len(job.columns)]
                gb1[plane] += h1[rows]
                plane += 1
            bits.append(total)
        found = (gw1, gb1, gw2[:hidden, :hidden], gb2[:hidden], gw3[:, :hidden], gb3)
        return bits, dict(zip(CONTEXT, found))

    def gradients(self) -> list[Floats]:
        """Gradients of all bits since `fill` by the latents of each level."""
        found = [level.own_g.copy() for level in self._levels]
        for number, level in enumerate(self._levels):
            if level.parents:
                found[number + 1] += level.above_gradient()
        return found


def _wider(array: Floats, *shape: int) -> Floats:
    """An array with zeros up to a shape."""
    out = np.zeros(shape, np.float32)
    out[tuple(map(slice, array.shape))] = array
    return out


@njit(inline="always", **_FAST)
def _soft(x: Any, slope: Any, norm: Any) -> Any:
    down = math.floor(x)
    e = exp2((x - down - _HALF) * slope * np.float32(2) * _LOG2E)
    tanh = (e - _ONE) / (e + _ONE)
    return down + _HALF + tanh * norm, (_ONE - tanh * tanh) * slope * norm


@njit(**_FAST)
def _soft_rounded(x: Any, uniform: Any, out: Any, slopes: Any, gain: Any, temperature: Any, noise: Any) -> None:
    slope = _ONE / temperature
    e = exp2(slope * _LOG2E)
    norm = _HALF * (e + _ONE) / (e - _ONE)
    for i in range(x.shape[0]):
        once, by_once = _soft(x[i] * gain, slope, norm)
        twice, by_twice = _soft(once + (uniform[i] - _HALF) * noise, slope, norm)
        out[i] = twice
        slopes[i] = by_once * by_twice * gain


def soft_rounded(x: Floats, uniform: Floats, gain: float, temperature: float, noise: float) -> tuple[Floats, Floats]:
    """Numbers gain * x (n,), rounded softly, with noise, and softly again; and the derivative of each.

    Soft rounding (Agustsson and Theis 2020) is ``floor(x) + 1/2 + tanh((x - floor(x) - 1/2) / t) / (2 tanh(1 / 2t))``.
    `uniform` are numbers in [0, 1); `noise` is the width of the noise.
    """
    out, slopes = np.empty_like(x), np.empty_like(x)
    _soft_rounded(x, uniform, out, slopes, np.float32(gain), np.float32(temperature), np.float32(noise))
    return out, slopes
