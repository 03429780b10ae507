"""Finds coordinate networks in a state dict that another program saved.

Keys and shapes tell the architecture; the activation, which no state dict names, is told by the caller, by factors
stored as tensors (WIRE's `omega_0` and `scale_0`), by the small weights that SIREN starts from, or by names that only
one program uses (NeRF). What would be a guess is left to a description (`tables`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from sinr_codec.errors import InputError, quoted
from sinr_codec.fields.activations import AnyActivation, Sine, Wire
from sinr_codec.foreign.chain import Chain, Layer, in_order, layers_under
from sinr_codec.foreign.nerf import NERFS, find_nerf
from sinr_codec.foreign.tables import Network, network_from_table
from sinr_codec.types import Array, Params

# More inputs than space, time and a viewing direction have are features of an encoding that no key names.
_MAX_COORDINATES: Final = 6
# std * sqrt(fan_in) * 30 of hidden layers: sqrt(2) as SIREN initialises them (section 3.2), growing in
# training; 17 and more for the defaults that networks with other activations start from.
_SINE_SCALE: Final = (0.7, 6.0)


@dataclass(frozen=True)
class Recognised:
    """A network of a state dict, and one line on how it was found."""

    network: Network
    reason: str


def recognise(state: Params, activation: AnyActivation | None = None) -> list[Recognised]:
    """Find the networks in `state` whose function is known.

    These are chains of affine layers of one width over at most 6 coordinates (SIREN, COIN, WIRE, plain multilayer
    perceptrons) that are all of the state or all of a module in it, and the NeRFs of `nerf.NERFS`. A module is
    left alone where other matrices of the state could be connected with it.

    Parameters
    ----------
    state
        Arrays by name. Keys of weights (out, in) end in "weight", those of biases (out,) in "bias".
    activation
        What the caller knows of the activation of the chains.

    Returns
    -------
    The networks, no tensor in two of them; empty where none is known.
    """
    found = [
        Recognised(nerf, f"{_named(prefix)}the NeRF of {nerf.style}'s nerf-pytorch, by its names")
        for prefix in _nerf_prefixes(state)
        if (nerf := find_nerf(state, prefix)) is not None
    ]
    taken = {name for one in found for name in one.network.names}
    rest = {key: array for key, array in state.items() if key not in taken}
    chains = list(_chains(rest, "", activation))
    while True:
        mine = {name for one in chains for name in one.network.names}
        others = [array for key, array in rest.items() if key not in mine]
        alone = [one for one in chains if not any(_could_belong(array, one.network) for array in others)]
        if len(alone) == len(chains):
            return found + alone
        chains = alone


def described(state: Params, tables: Sequence[object]) -> list[Recognised]:
    """The networks that a description names.

    Raises
    ------
    InputError
        A table is wrong, or two of them use the same tensor.
    """
    found: list[Recognised] = []
    taken: set[str] = set()
    for number, table in enumerate(tables, start=1):
        try:
            network = network_from_table(table, state)
        except InputError as error:
            raise InputError(f"network {number}: {error}") from error
        if twice := sorted(taken.intersection(network.names)):
            raise InputError(f"network {number}: tensor {quoted(twice[0])} is already part of another network")
        taken.update(network.names)
        found.append(Recognised(network, f"{_named(network.prefix)}{network.describe()}, as described"))
    return found


def _named(prefix: str) -> str:
    return f"{prefix.rstrip('.')}: " if prefix else ""


def _nerf_prefixes(state: Params) -> list[str]:
    """What stands before the first layer of each trunk of a NeRF."""
    ends = [style.trunk.format(0) + ".weight" for style in NERFS.values()]
    return [key.removesuffix(end) for key in state for end in ends if key == end or key.endswith("." + end)]


def _chains(state: Params, prefix: str, activation: AnyActivation | None) -> Iterator[Recognised]:
    """The chain that all tensors with a prefix are, or those of the modules under it."""
    inside = {key: array for key, array in state.items() if key.startswith(prefix)}
    whole = _chain(inside, prefix, activation)
    if whole is not None:
        yield whole
        return
    # A name without another dot is a tensor of this module itself.
    modules = dict.fromkeys(key[: key.index(".", len(prefix)) + 1] for key in inside if "." in key[len(prefix) :])
    for module in modules:
        yield from _chains(inside, module, activation)


def _chain(state: Params, prefix: str, activation: AnyActivation | None) -> Recognised | None:
    layers = in_order(layers_under(state))
    if len(layers) < 2 or layers[0].fan_in > _MAX_COORDINATES or any(layer.bias is None for layer in layers):
        return None
    if len({layer.fan_out for layer in layers[:-1]}) > 1:  # a head may follow, with something else before it
        return None
    used = {name for layer in layers for name in layer.names}
    if any(math.prod(array.shape) > 1 for key, array in state.items() if key not in used):
        return None
    known = (activation, "as given") if activation else _infer(state, layers)
    if known is None:
        return None
    complex_later = known[0].COMPLEX
    for i, layer in enumerate(layers):
        if any((state[name].dtype.kind == "c") != (complex_later and i > 0) for name in layer.names):
            return None
    chain = Chain(prefix, tuple(layers), known[0], None, ((-1.0, 1.0),) * layers[0].fan_in)
    return Recognised(chain, f"{_named(prefix)}{chain.describe()}: {known[1]}")


def _could_belong(array: Array, network: Network) -> bool:
    """Whether a tensor of nobody may be a head, a modulation or an input of a chain: one side has its size."""
    assert isinstance(network, Chain)
    sizes = {network.in_features, *(layer.fan_out for layer in network.layers)} - {1}
    return len(array.shape) in (1, 2) and math.prod(array.shape) > 1 and not sizes.isdisjoint(array.shape)


def _infer(state: Params, chain: Sequence[Layer]) -> tuple[AnyActivation, str] | None:
    stored = _stored_factors(state)
    if stored is not None:
        return stored, "factors as stored beside the weights"
    scales = [_scale(state[layer.weight]) for layer in chain[1:-1] or chain[1:]]
    low, high = _SINE_SCALE
    if all(low <= scale <= high for scale in scales):
        mean = sum(scales) / len(scales)
        return Sine(30.0), f"sine, omega0 = 30, by the scale of the weights ({mean:.1f}, at the start 1.4)"
    return None


def _scale(weight: Array) -> float:
    """Scale of a weight matrix, std * sqrt(fan_in) * 30; NaN where the weights are not finite."""
    with np.errstate(all="ignore"):
        return float(np.std(weight.astype(np.complex128))) * math.sqrt(weight.shape[1]) * 30


def _stored_factors(state: Params) -> AnyActivation | None:
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
