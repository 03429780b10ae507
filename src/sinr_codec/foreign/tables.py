"""Networks of a state dict from tables: those of a user's description, or of a compressed file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Final

import numpy as np

from sinr_codec.errors import InputError, quoted
from sinr_codec.fields._numbers import is_number
from sinr_codec.fields.activations import ACTIVATIONS, activation_from_text, activation_text
from sinr_codec.foreign.chain import (
    MAX_OCTAVES,
    Chain,
    Domain,
    Layer,
    Projection,
    State,
    Waves,
    in_order,
    is_inexact,
    layer_of,
    layers_under,
)
from sinr_codec.foreign.nerf import NERFS, SCENE, Nerf, find_nerf

Network = Chain | Nerf
Table = Mapping[str, Any]

_MAX_COORDINATES: Final = 16


def network_from_table(table: object, state: State) -> Network:
    """The network that a description tells, with its tensors in `state`.

    Raises
    ------
    InputError
        The table has unknown or wrong entries, or the state no such tensors; one line says which.
    """
    if not isinstance(table, Mapping):
        raise InputError(f"expected a table of entries, found {quoted(table)}")
    kind = table.get("kind", Chain.KIND)
    if kind not in (Chain.KIND, Nerf.KIND):
        raise InputError(f"kind: expected mlp or nerf, found {quoted(kind)}")
    known = {"kind", "prefix", "domain"} | (
        set() if kind == Nerf.KIND else {"layers", "activation", "encoding", "skip", "output", "transposed"}
    )
    if unknown := sorted(map(str, set(table) - known)):
        raise InputError(f"unknown entry {quoted(unknown[0])}; expected some of {', '.join(sorted(known))}")
    prefix = table.get("prefix", "")
    if not isinstance(prefix, str):
        raise InputError(f"prefix: expected text, found {quoted(prefix)}")
    if kind == Nerf.KIND:
        return _nerf_from_table(table, prefix, state)
    return _chain_from_table(table, prefix, state)


def _nerf_from_table(table: Table, prefix: str, state: State) -> Nerf:
    found = find_nerf(state, prefix)
    if found is None:
        names = " or ".join(style.trunk.format(0) for style in NERFS.values())
        raise InputError(f"no NeRF under the prefix {quoted(prefix)}: expected {names} there, and its other layers")
    return replace(found, domain=_domain(table.get("domain", SCENE), 3))


def _chain_from_table(table: Table, prefix: str, state: State) -> Chain:
    if "activation" not in table:
        raise InputError("activation: expected one of " + ", ".join(ACTIVATIONS) + ", such as sine:30")
    activation = activation_from_text(table["activation"])
    entries, transposed = table.get("layers"), _flag(table, "transposed", False)
    if transposed and entries is None:
        raise InputError("transposed: expected the names of the layers beside it")
    if entries is None:
        layers = in_order(layers_under(state, prefix), skips=True)
        if not layers:
            raise InputError(f"no layers in one chain under the prefix {quoted(prefix)}: name them in order (layers)")
    elif isinstance(entries, list) and 1 <= len(entries) <= 1024:
        layers = [_layer(entry, prefix, state, transposed) for entry in entries]
    else:
        raise InputError("layers: expected a list of names, first layer first")
    for i, layer in enumerate(layers):
        kind = np.asarray(state[layer.weight]).dtype.kind
        if (kind == "c") != (activation.COMPLEX and i > 0):
            wanted = "complex" if activation.COMPLEX and i > 0 else "real"
            name = activation_text(activation)
            raise InputError(f"layer {quoted(layer.weight)}: expected {wanted} weights with {name}")
    encoding = _encoding(table.get("encoding"), prefix, state)
    features = layers[0].fan_in
    coordinates = features if encoding is None else encoding.coordinates(features)
    if coordinates is None:
        raise InputError(f"encoding: gives no {features} features, which the first layer expects")
    if not 1 <= coordinates <= _MAX_COORDINATES:
        raise InputError(
            f"encoding: expected 1 to {_MAX_COORDINATES} coordinates, found {coordinates}; name an encoding"
        )
    for before, layer in pairwise(layers):
        if layer.fan_in not in (before.fan_out, before.fan_out + features):
            raise InputError(
                f"layer {quoted(layer.weight)}: expected {before.fan_out} inputs, as the layer before has outputs, or "
                f"{before.fan_out + features} with a skip, found {layer.fan_in}"
            )
    return Chain(
        prefix,
        tuple(layers),
        activation,
        encoding,
        _domain(table.get("domain", (-1.0, 1.0)), coordinates),
        _choice(table, "output", ("linear", "sigmoid")) == "sigmoid",
        _choice(table, "skip", ("behind", "before")) == "before",
    )


def _layer(entry: object, prefix: str, state: State, transposed: bool) -> Layer:
    """A layer from "net.0" (net.0.weight, net.0.bias if there is one) or from the names of both tensors."""
    if isinstance(entry, str):
        join = "" if not entry or entry.endswith(".") else "."
        keys = [f"{prefix}{entry}{join}weight", f"{prefix}{entry}{join}bias"]
        keys = keys if keys[1] in state else keys[:1]
    elif isinstance(entry, list) and 1 <= len(entry) <= 2 and all(isinstance(name, str) for name in entry):
        keys = [prefix + name for name in entry]
    else:
        raise InputError(f"layers: expected a name, or a list of a weight's and a bias's name, found {quoted(entry)}")
    for key in keys:
        if key not in state:
            raise InputError(f"layers: no tensor {quoted(key)}")
    layer = layer_of(state, keys[0], keys[1] if len(keys) == 2 else None, transposed)
    if layer is None:
        shape = "(in, out)" if transposed else "(out, in)"
        raise InputError(f"layers: {quoted(keys[0])}: expected a matrix {shape} of floats and a bias (out,)")
    return layer


def _encoding(table: object, prefix: str, state: State) -> Waves | Projection | None:
    if table is None:
        return None
    if not isinstance(table, Mapping):
        raise InputError(f"encoding: expected a table with octaves or matrix, found {quoted(table)}")
    if "matrix" in table:
        _only(table, "matrix", "factor")
        name = table["matrix"]
        key = name if not isinstance(name, str) or name in state else prefix + name
        if not isinstance(key, str) or key not in state or len(state[key].shape) != 2 or not is_inexact(state[key]):
            raise InputError(f"encoding: matrix: expected the name of a matrix of floats, found {quoted(name)}")
        rows, columns = state[key].shape
        return Projection(key, rows, columns, _number(table, "factor", 2 * math.pi))
    _only(table, "octaves", "base", "input", "interleaved")
    octaves = table.get("octaves")
    if type(octaves) is not int or not 0 <= octaves <= MAX_OCTAVES:
        raise InputError(f"encoding: octaves: expected an integer from 0 to {MAX_OCTAVES}, found {quoted(octaves)}")
    return Waves(octaves, _number(table, "base", 1.0), _flag(table, "input", True), _flag(table, "interleaved", False))


def _domain(value: object, coordinates: int) -> Domain:
    """A range for all coordinates, or a list of one each."""
    pairs = [value] * coordinates if isinstance(value, list | tuple) and value and is_number(value[0]) else value
    if not isinstance(pairs, list | tuple) or len(pairs) != coordinates:
        raise InputError(f"domain: expected a range [low, high], or a list of {coordinates}, found {quoted(value)}")
    for pair in pairs:
        if (
            not isinstance(pair, list | tuple)
            or len(pair) != 2
            or not all(is_number(x) and abs(x) < 1e6 for x in pair)
            or not pair[0] < pair[1]
        ):
            raise InputError(f"domain: expected ranges [low, high] with low < high, found {quoted(pair)}")
    return tuple((float(low), float(high)) for low, high in pairs)


def _choice(table: Table, name: str, choices: Sequence[str]) -> str:
    value = table.get(name, choices[0])
    if value not in choices:
        raise InputError(f"{name}: expected {' or '.join(choices)}, found {quoted(value)}")
    return str(value)


def _flag(table: Table, name: str, default: bool) -> bool:
    value = table.get(name, default)
    if type(value) is not bool:
        raise InputError(f"{name}: expected true or false, found {quoted(value)}")
    return value


def _only(table: Table, *known: str) -> None:
    if unknown := sorted(map(str, set(table) - set(known))):
        raise InputError(f"encoding: unknown entry {quoted(unknown[0])}; expected {', '.join(known)}")


def _number(table: Table, name: str, default: float) -> float:
    value = table.get(name, default)
    if not is_number(value) or not 0 < value < 1e6:
        raise InputError(f"encoding: {name}: expected a positive number, found {quoted(value)}")
    return float(value)
