"""Evaluation of networks by integers, with the same bits on every machine (docs/format.md, section 4.3).

Weights, features and activations are integers in float64. Sums stay below 2^53, so that matrix products are exact in
any order. Everything else is table look-ups, and single operations with one rounding each.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import numpy as np

from sinr_codec.errors import MalformedError
from sinr_codec.fields._buffers import buffer
from sinr_codec.fields.activations import AnyActivation, Gaussian, ReLU, Sine, Wire
from sinr_codec.types import AnyArray, Array, Floats, Params

if TYPE_CHECKING:
    from sinr_codec.fields.mlp import MLP

#: Entries of the table of sines, one turn; fractional bits of its values.
TURN: Final = 1 << 16
FRACTION: Final = 20
#: Table indices of a radian; entries of a unit in the table of Gaussians.
RADIAN: Final = TURN / (2 * math.pi)
GAUSSIAN: Final = 1 << 14
#: Entries of a unit in the table of magnitudes of wavelets; fractional bits of values between which they lie.
MAGNITUDE: Final = 1 << 13
FINE: Final = 30
#: Largest coordinates, arguments of wavelets, and logarithm of the largest integer that is not a sine.
MOST_COORDINATE: Final = 4.0
MOST_ARGUMENT: Final = 2.0**16
MOST_BITS: Final = 26
#: Fractional bits of coordinates, and of ReLUs and interpolated entries.
COORDINATE: Final = 24
LINEAR: Final = 16
#: Fractional bits of wavelets, which are below 4.
WAVELET: Final = 21
#: Logarithm of what all sums stay below, in units of their last bit.
_SUM_BITS: Final = 52
_MOST_SHIFT: Final = 512  # the product of a weight and 2^512 is a number
_ROUND: Final = 1.5 * 2**52  # x + _ROUND has the integer nearest to x in its low bits


class Unit(NamedTuple):
    """Fractional bits of an integer, and the logarithm of its largest magnitude."""

    fraction: int
    bits: int


WAVE: Final = Unit(FRACTION, FRACTION)
INTERPOLATED: Final = Unit(LINEAR, MOST_BITS)
_COORDINATE: Final = Unit(COORDINATE, MOST_BITS)


class _Layer(NamedTuple):
    """An affine layer: weights (in, out) and biases (out,), which are multiples of one power of two."""

    weight: Floats
    bias: Floats


def exact_function(
    xp: ModuleType,
    network: MLP,
    params: Params,
    device: object = None,
    inputs: Sequence[Unit] | None = None,
) -> Callable[[AnyArray], AnyArray]:
    """``f(coords (n, a)) -> values (n, b)``, float32, with fixed parameters in the array namespace `xp`.

    With `inputs`, f takes integers (n, a) in float64 of these units instead of coordinates.

    Raises
    ------
    MalformedError
        A weight is too large.
    """
    encode = _encoder(xp, network, device) if inputs is None else None
    layers = [
        _Layer(xp.asarray(weight, device=device), xp.asarray(bias, device=device))
        for weight, bias in _layers(network, params, inputs)
    ]
    activate = _ACTIVATIONS[type(network.activation)](xp, network.activation, device)

    def f(coords: AnyArray) -> AnyArray:
        x = coords if encode is None else encode(coords)
        for layer in layers[:-1]:
            sums, out = (_buffer(x, layer, slot) for slot in ("sums", "activations"))
            x = activate(_affine(xp, x, layer, sums), out)
        return xp.astype(_affine(xp, x, layers[-1]), xp.float32)

    return f


def is_exact(network: MLP, params: Params, inputs: Sequence[Unit] | None = None) -> bool:
    """Whether the weights are small enough for `exact_function`."""
    try:
        _layers(network, params, inputs)
    except MalformedError:
        return False
    return True


def fixed(xp: ModuleType, x: AnyArray, unit: Unit) -> AnyArray:
    """Numbers as integers of a unit in float64; those beyond its largest magnitude are clipped."""
    most = 2.0**unit.bits
    return xp.clip(xp.round(xp.astype(x, xp.float64) * 2.0**unit.fraction), -most, most)


def _affine(xp: ModuleType, x: AnyArray, layer: _Layer, out: Floats | None = None) -> AnyArray:
    z = xp.matmul(x, layer.weight) if out is None else np.matmul(x, layer.weight, out=out)
    z += layer.bias
    return z


def _buffer(x: AnyArray, layer: _Layer, slot: str) -> Floats | None:
    """An array for the outputs of a layer, in NumPy: to get and to give back large ones takes long."""
    return buffer(slot, len(x), layer.weight) if isinstance(x, np.ndarray) else None


# -- integers of the weights -----------------------------------------------------------------------------------


def _layers(network: MLP, params: Params, inputs: Sequence[Unit] | None) -> list[_Layer]:
    activation = network.activation
    if isinstance(activation, Wire) and activation.omega0 > 2 * activation.scale:
        raise MalformedError("a wavelet of omega0 > 2 scale has values above e, too large for an exact evaluation")
    units, hidden = list(inputs or _features(network)), _UNITS[type(activation)]
    found = []
    for i in range(network.layers):
        last = i == network.layers - 1
        scale = 1.0 if last else _scale(activation, i == 0)
        weight, bias = params[f"layers.{i}.weight"], params[f"layers.{i}.bias"]
        if activation.COMPLEX:
            weight, bias = _real(weight, bias, last)
        found.append(_integers(weight, bias, scale, units))
        units = [hidden] * len(bias)
    return found


def _features(network: MLP) -> list[Unit]:
    """Units of the encoding: coordinates, if any, come before waves."""
    coordinates = network.encoding.coordinates(network.in_features)
    waves = network.encoding.out_features(network.in_features) - coordinates
    return [_COORDINATE] * coordinates + [WAVE] * waves


def _integers(weight: Array, bias: Array, scale: float, units: Sequence[Unit]) -> _Layer:
    """A layer rounded to the most fractional bits with which its sums stay exact."""
    fractions, bits = np.array(units, np.float64).T
    weights, biases = weight.astype(np.float64) * scale * 2.0**-fractions, bias.astype(np.float64) * scale
    largest = float(max(np.abs(weights * 2.0**bits).max(), np.abs(biases).max()))
    shift = _SUM_BITS - len(units).bit_length() - math.frexp(largest)[1] if math.isfinite(largest) else 0
    if shift < 1:
        raise MalformedError("a weight is too large for an exact evaluation")
    unit = 2.0 ** min(shift, _MOST_SHIFT)
    return _Layer(np.ascontiguousarray(np.rint(weights * unit).T) / unit, np.rint(biases * unit) / unit)


def _real(weight: Array, bias: Array, last: bool) -> tuple[Array, Array]:
    """A complex layer as one of real numbers, real parts before imaginary ones; the last layer gives the real parts.

    Of the first layer, weights and inputs are real; the imaginary parts are 0.
    """
    columns = (weight,) if np.isrealobj(weight) else (weight.real, -weight.imag)
    real = np.concatenate(columns, axis=1)
    if last:
        return real, bias.real
    others = (np.zeros_like(weight),) if np.isrealobj(weight) else (weight.imag, weight.real)
    return np.concatenate([real, np.concatenate(others, axis=1)]), np.concatenate([bias.real, bias.imag])


# -- tables ----------------------------------------------------------------------------------------------------
# No entry is nearer than 10^-7 to the middle between two integers, so that every library rounds to the same ones.


@cache
def sines(fraction: int = FRACTION) -> Floats:
    """A turn of the sine, with so many fractional bits."""
    return np.rint(2.0**fraction * np.sin(2 * np.pi / TURN * np.arange(TURN)))


@cache
def gaussians() -> Floats:
    """exp(-z^2) from z = 0 to 4."""
    return np.rint(2.0**FRACTION * np.exp(-((np.arange(4 * GAUSSIAN) / GAUSSIAN) ** 2)))


@cache
def magnitudes() -> Floats:
    """exp(1 - z) from z = 0 to 16; the last entries stand for all smaller values."""
    table = np.rint(2.0**FINE * np.exp(1 - np.arange(16 * MAGNITUDE) / MAGNITUDE))
    table[-2:] = 0
    return table


def _nearest(xp: ModuleType, table: AnyArray, position: AnyArray, out: Floats | None = None) -> AnyArray:
    """Entries of a table, one turn of which has a power of two of them, nearest to positions; these are overwritten."""
    position += _ROUND
    index = position.view(xp.int64)
    index &= len(table) - 1
    # Indices are in range; NumPy would copy to a buffer of its own to raise an error for others.
    return table.take(index) if out is None else table.take(index, out=out, mode="clip")


def _between(xp: ModuleType, table: AnyArray, position: AnyArray) -> AnyArray:
    """Values between the entries of such a table, by linear interpolation."""
    floor = xp.floor(position)
    index = xp.astype(floor, xp.int64)
    low, high = (table.take(i & (len(table) - 1)) for i in (index, index + 1))
    return low + (high - low) * (position - floor)


class _Sines:
    """An array namespace whose sines and cosines are those of the table, in units of `WAVE`."""

    def __init__(self, xp: ModuleType, device: object, between: bool) -> None:
        self.xp, self.between = xp, between
        self.table = xp.asarray(sines(FINE if between else FRACTION), device=device)

    def sin(self, phase: AnyArray) -> AnyArray:
        """Sines of phases in radians."""
        return self._at(self.xp.astype(phase, self.xp.float64) * RADIAN)

    def cos(self, phase: AnyArray) -> AnyArray:
        """Cosines of phases in radians."""
        return self._at(self.xp.astype(phase, self.xp.float64) * RADIAN + TURN / 4)

    def _at(self, position: AnyArray) -> AnyArray:
        if not self.between:
            return _nearest(self.xp, self.table, position)
        return self.xp.round(_between(self.xp, self.table, position) * 2.0 ** (FRACTION - FINE))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.xp, name)


# -- encodings and activations ---------------------------------------------------------------------------------


def _encoder(xp: ModuleType, network: MLP, device: object) -> Callable[[AnyArray], AnyArray]:
    """Coords (n, a) -> features (n, e) as integers of the units that `_features` names."""
    waves = cast(ModuleType, _Sines(xp, device, isinstance(network.activation, Wire)))
    encode = network.encoding.function(waves, network.in_features, device)
    coordinates = network.encoding.coordinates(network.in_features)

    def f(coords: AnyArray) -> AnyArray:
        coords = xp.clip(coords, -MOST_COORDINATE, MOST_COORDINATE)
        features = xp.astype(encode(coords), xp.float64)
        if coordinates:
            features[:, :coordinates] = fixed(xp, coords, _COORDINATE)
        return features

    return f


_Activate = Callable[[AnyArray, Floats | None], AnyArray]
"""Integers of an activation from sums in its table's entries, in an array for them or in a new one."""


def _sine(xp: ModuleType, activation: Sine, device: object) -> _Activate:
    table = xp.asarray(sines(), device=device)
    return lambda z, out: _nearest(xp, table, z, out)


def _gaussian(xp: ModuleType, activation: Gaussian, device: object) -> _Activate:
    table = xp.asarray(gaussians(), device=device)
    return lambda z, out: _nearest(xp, table, xp.clip(xp.abs(z), 0.0, len(table) - 1.0), out)


def _relu(xp: ModuleType, activation: ReLU, device: object) -> _Activate:
    most = 2.0**MOST_BITS

    def activate(z: AnyArray, out: Floats | None) -> AnyArray:
        if out is None:
            return xp.clip(xp.round(z), 0.0, most)
        return np.clip(np.rint(z, out=out), 0.0, most, out=out)

    return activate


def _wire(xp: ModuleType, activation: Wire, device: object) -> _Activate:
    """Wavelets are steep: their tables are interpolated."""
    waves, table = xp.asarray(sines(FINE), device=device), xp.asarray(magnitudes(), device=device)
    omega, square = activation.omega0, activation.scale * activation.scale

    def activate(z: AnyArray, _: Floats | None) -> AnyArray:
        z = xp.clip(z, -MOST_ARGUMENT, MOST_ARGUMENT)
        real, imaginary = z[:, : z.shape[1] // 2], z[:, z.shape[1] // 2 :]
        exponent = -omega * imaginary - square * (real * real + imaginary * imaginary)
        position = xp.clip((1 - exponent) * MAGNITUDE, 0.0, len(table) - 2.0)
        magnitude = _between(xp, table, position) * 2.0 ** (WAVELET - 2 * FINE)
        turn = omega * real * RADIAN
        cosine, sine = _between(xp, waves, turn + TURN / 4), _between(xp, waves, turn)
        return xp.round(xp.concat([magnitude * cosine, magnitude * sine], axis=-1))

    return activate


_ACTIVATIONS: Final[dict[type[AnyActivation], Callable[..., _Activate]]] = {
    Sine: _sine,
    Gaussian: _gaussian,
    Wire: _wire,
    ReLU: _relu,
}
_UNITS: Final = {Sine: WAVE, Gaussian: WAVE, Wire: Unit(WAVELET, WAVELET + 2), ReLU: INTERPOLATED}


def _scale(activation: AnyActivation, first: bool) -> float:
    """Entries of the table for a sum of 1, the gain included."""
    entries = {Sine: RADIAN, Gaussian: float(GAUSSIAN), Wire: 1.0, ReLU: 2.0**LINEAR}[type(activation)]
    return activation.gain(first) * entries
