"""Finds the field in a state dict that another program saved.

Keys and shapes tell the architecture; the activation, which no state dict names, is told by the caller, by
factors stored as tensors (WIRE's `omega_0` and `scale_0`), or by the small weights that SIREN starts from.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from sinr_codec.errors import InputError
from sinr_codec.fields.activations import AnyActivation, Sine, Wire
from sinr_codec.fields.mlp import MLP

# More inputs than space, time and a viewing direction have are features of an encoding that no key names.
_MAX_COORDINATES = 6
# std * sqrt(fan_in) * 30 of hidden layers: sqrt(2) as SIREN initialises them (section 3.2), growing in
# training; 17 and more for the defaults that networks with other activations start from.
_SINE_SCALE = (0.7, 6.0)


@dataclass(frozen=True)
class Recognised:
    """An `MLP`, the state's key for each of its parameters, and one line on how the activation was found."""

    field: MLP
    names: dict[str, str]
    reason: str

    def params(self, state: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """The field's parameters, in its dtypes, from a state dict with the keys that were recognised."""
        dtypes = self.field.dtypes()
        return {name: np.asarray(state[key]).astype(dtypes[name]) for name, key in self.names.items()}


@dataclass(frozen=True)
class _Layer:
    prefix: str
    fan_in: int
    fan_out: int


def recognise(state: Mapping[str, Any], activation: AnyActivation | None = None) -> Recognised | None:
    """Find a chain of affine layers of one width in `state` and the activation between them.

    Parameters
    ----------
    state
        Arrays by name. Keys of weights (out, in) end in "weight", those of biases (out,) in "bias"; further
        tensors may have one element only.
    activation
        What the caller knows of the activation.

    Returns
    -------
    Recognised, or None where the state is no such chain or its activation cannot be told.
    """
    layers = _layers(state)
    chain = _chain(layers) if layers else None
    if chain is None or chain[0].fan_in > _MAX_COORDINATES:
        return None
    known = (activation, "as given") if activation else _infer(state, chain)
    if known is None:
        return None
    names = {
        f"layers.{i}.{part}": f"{layer.prefix}{part}" for i, layer in enumerate(chain) for part in ("weight", "bias")
    }
    try:
        field = MLP(chain[0].fan_in, chain[-1].fan_out, chain[0].fan_out, len(chain) - 2, known[0])
    except InputError:  # larger than any field may be
        return None
    if any((state[names[name]].dtype.kind == "c") != (dtype.kind == "c") for name, dtype in field.dtypes().items()):
        return None
    return Recognised(field, names, known[1])


def _layers(state: Mapping[str, Any]) -> list[_Layer] | None:
    """Weights with their biases, in the order of the state; None where anything else is in the way."""
    layers, used = [], set()
    for key, array in state.items():
        prefix = key.removesuffix("weight")
        bias = state.get(f"{prefix}bias")
        if prefix == key or len(array.shape) != 2 or bias is None:
            continue
        if tuple(bias.shape) != (array.shape[0],) or 0 in array.shape or not _is_inexact(array, bias):
            return None
        layers.append(_Layer(prefix, array.shape[1], array.shape[0]))
        used |= {key, f"{prefix}bias"}
    if any(np.prod(array.shape) > 1 for key, array in state.items() if key not in used):
        return None
    return layers


def _is_inexact(*arrays: Any) -> bool:
    # bfloat16 is of kind "V", as are other dtypes that NumPy does not know.
    return all(array.dtype.kind in "fc" or array.dtype.name == "bfloat16" for array in arrays)


def _chain(layers: list[_Layer]) -> list[_Layer] | None:
    """Put layers into an order in which each feeds the next and all hidden widths are equal.

    Numbers in the keys come first, then the order of storage, then the shapes ("last_layer" sorts before
    "layers" in files that sort their keys).
    """
    by_number = sorted(layers, key=lambda layer: _natural(layer.prefix))
    by_shape = sorted(by_number, key=lambda layer: (layer.fan_in >= layer.fan_out) + (layer.fan_in > layer.fan_out))
    for order in (by_number, layers, by_shape):
        width = order[0].fan_out
        if (
            len(order) >= 2
            and all(layer.fan_out == width for layer in order[:-1])
            and all(layer.fan_in == width for layer in order[1:])
        ):
            return order
    return None


def _natural(key: str) -> list[tuple[int, str]]:
    """Sort key in which layer 10 follows layer 9."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", key)]


def _infer(state: Mapping[str, Any], chain: list[_Layer]) -> tuple[AnyActivation, str] | None:
    stored = _stored_factors(state)
    if stored is not None:
        return stored, "from the factors stored beside the weights"
    scales = [_scale(state[f"{layer.prefix}weight"]) for layer in chain[1:-1] or chain[1:]]
    low, high = _SINE_SCALE
    if all(low <= scale <= high for scale in scales):
        mean = sum(scales) / len(scales)
        return Sine(30.0), f"sine, omega0 = 30, by the scale of the weights ({mean:.1f}, at the start 1.4)"
    return None


def _scale(weight: Any) -> float:
    """Scale of a weight matrix, std * sqrt(fan_in) * 30; NaN where the weights are not finite."""
    with np.errstate(all="ignore"):
        return float(np.std(weight.astype(np.complex128))) * math.sqrt(weight.shape[1]) * 30


def _stored_factors(state: Mapping[str, Any]) -> AnyActivation | None:
    """Activation by scalars called omega_0 (SIREN, WIRE) and scale_0 (WIRE), the same in all layers."""
    found: dict[str, set[float]] = {"omega": set(), "scale": set()}
    for key, array in state.items():
        if np.prod(array.shape) == 1 and (match := re.search(r"(?:^|\.)(omega|scale)_?0?$", key)):
            found[match[1]].add(float(np.asarray(array, np.float64).reshape(())))
    try:
        if [len(values) for values in found.values()] == [1, 0]:
            return Sine(*found["omega"])
        if [len(values) for values in found.values()] == [1, 1]:
            return Wire(*found["omega"], *found["scale"])
    except InputError:  # a factor that no activation takes
        pass
    return None
