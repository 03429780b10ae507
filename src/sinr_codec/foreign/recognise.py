"""Finds coordinate networks in a state dict that another program saved.

Keys and shapes tell the architecture; the activation, which no state dict names, is told by the caller, by factors
stored as tensors (WIRE's `omega_0` and `scale_0`), by the small weights that SIREN starts from, or by names that only
one program uses (NeRF). What would be a guess is left to a description (`tables`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from sinr_codec.errors import InputError, quoted
from sinr_codec.fields.activations import AnyActivation, Sine, Wire
from sinr_codec.foreign.chain import Chain, Layer, in_order, layers_under
from sinr_codec.foreign.factors import USUAL, first_factor
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
    assumed: bool = False
    """Whether the activation is only the likely one."""


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
    lists = _lists(rest)
    listed = {key for keys in lists.values() for key in keys}
    chains = list(_chains({key: array for key, array in rest.items() if key not in listed}, "", activation))
    chains += _copies(rest, lists, chains)
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
    known = _Known(activation, "as given") if activation else _infer(state, layers)
    if known is None:
        return None
    complex_later = known.activation.COMPLEX
    for i, layer in enumerate(layers):
        if any((state[name].dtype.kind == "c") != (complex_later and i > 0) for name in layer.names):
            return None
    chain = Chain(prefix, tuple(layers), known.activation, None, ((-1.0, 1.0),) * layers[0].fan_in)
    return Recognised(chain, f"{_named(prefix)}{chain.describe()}: {known.reason}", known.assumed)


def _lists(state: Params) -> dict[str, list[str]]:
    """The keys of tensors in lists, by what stands before their numbers: "ema.params." for ema.params.0, ..."""
    found: dict[str, dict[int, str]] = {}
    for key, array in state.items():
        prefix, dot, number = key.rpartition(".")
        if dot and number.isdecimal() and len(array.shape) in (1, 2):
            found.setdefault(prefix + dot, {})[int(number)] = key
    return {
        prefix: [keys[i] for i in range(len(keys))]
        for prefix, keys in found.items()
        if len(keys) > 1 and set(keys) == set(range(len(keys)))
    }


def _copies(state: Params, lists: Mapping[str, Sequence[str]], chains: Sequence[Recognised]) -> Iterator[Recognised]:
    """Networks whose tensors are in a list, such as averages of weights, in the order of a network that has names."""
    groups = [[one] for one in chains] + ([list(chains)] if len(chains) > 1 else [])
    for prefix, keys in lists.items():
        for group in groups:
            names = {name for one in group for name in one.network.names}
            own = [key for key in state if key in names]
            if [state[key].shape for key in keys] == [state[key].shape for key in own]:
                for one in group:
                    copy = _renamed(one.network, dict(zip(own, keys)), prefix)
                    reason = f"as {_named(one.network.prefix) or 'the network: '}its tensors in their order"
                    yield Recognised(copy, f"{_named(prefix)}{copy.describe()}: {reason}", one.assumed)
                break


def _renamed(chain: Network, names: Mapping[str, str], prefix: str) -> Chain:
    assert isinstance(chain, Chain)
    layers = (
        replace(layer, weight=names[layer.weight], bias=None if layer.bias is None else names[layer.bias])
        for layer in chain.layers
    )
    return replace(chain, prefix=prefix, layers=tuple(layers))


def _could_belong(array: Array, network: Network) -> bool:
    """Whether a tensor of nobody may be a head, a modulation or an input of a chain: one side has its size."""
    assert isinstance(network, Chain)
    sizes = {network.in_features, *(layer.fan_out for layer in network.layers)} - {1}
    return len(array.shape) in (1, 2) and math.prod(array.shape) > 1 and not sizes.isdisjoint(array.shape)


@dataclass(frozen=True)
class _Known:
    """An activation, and how it was found."""

    activation: AnyActivation
    reason: str
    assumed: bool = False


def _infer(state: Params, chain: Sequence[Layer]) -> _Known | None:
    stored = _stored_factors(state)
    if stored is not None:
        return _Known(stored, "factors as stored beside the weights")
    scales = [_scale(state[layer.weight]) for layer in chain[1:-1] or chain[1:]]
    low, high = _SINE_SCALE
    if all(low <= scale <= high for scale in scales):
        if any(state[name].dtype.kind == "c" for layer in chain for name in layer.names):
            return None
        scale = f"by the scale of the weights ({sum(scales) / len(scales):.1f}, at the start 1.4)"
        real = [[state[name].astype(np.float32) for name in layer.names] for layer in chain]
        first = first_factor([layer[0] for layer in real], [layer[1] for layer in real], USUAL)
        if first is not None:
            behind = f"and {first:g} in the first layer, by what training did to the layers behind it"
            return _Known(Sine(USUAL, None if first == USUAL else first), f"sine, omega0 = 30 {scale}, {behind}")
        asked = "if its first layer has another, name both (sine:30,3000)"
        return _Known(Sine(USUAL), f"sine, omega0 = 30 {scale}, assumed for all layers; {asked}", assumed=True)
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
