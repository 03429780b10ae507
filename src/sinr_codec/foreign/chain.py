"""Chains of affine layers that other programs saved, as functions.

A network names the tensors of a state dict that it uses and maps points of [-1, 1]^a to the values that are
compared. It can be written as a small table (`to_table`), the same that a user's description file holds
(`tables.network_from_table`) and that a compressed file keeps for `verify`. Points and encodings are NumPy's; from the
first layer on, a namespace may be named whose tensors know gradients.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import ModuleType
from typing import ClassVar, Final

import numpy as np

from sinr_codec.errors import InputError
from sinr_codec.fields._numbers import compact
from sinr_codec.fields.activations import AnyActivation, activation_text
from sinr_codec.fields.mlp import MLP
from sinr_codec.signals.base import Apply
from sinr_codec.types import AnyArray, Array, JsonObject

State = Mapping[str, AnyArray]
"""Arrays of NumPy, or tensors, by name."""
Domain = tuple[tuple[float, float], ...]

MAX_OCTAVES: Final = 64
"""Most octaves of an encoding."""


# -- encodings -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Waves:
    """Sines and cosines of ``base 2^i x`` for i < octaves, after the coordinates themselves if these are included.

    `interleaved` is the order of INRIC and WIRE (for each octave, for each coordinate: sine, cosine), the other one
    that of NeRF (for each octave: all sines, then all cosines). NeRF's code has the base 1 and not its paper's pi.
    """

    octaves: int
    base: float = 1.0
    input: bool = True
    interleaved: bool = False

    def coordinates(self, features: int) -> int | None:
        """How many coordinates become so many features; None where no number does."""
        each = 2 * self.octaves + self.input
        return features // each if each and features % each == 0 else None

    def function(self, state: State) -> Apply:
        """The encoding as a function of coords (n, a)."""
        factors = (self.base * 2.0 ** np.arange(self.octaves)).astype(np.float32)[:, None]

        def encode(x: Array) -> Array:
            phase = x[:, None, :] * factors
            waves = np.stack([np.sin(phase), np.cos(phase)], axis=-1 if self.interleaved else -2)
            waves = waves.reshape(len(x), -1)
            return np.concatenate([x, waves], axis=1) if self.input else waves

        return encode

    def to_table(self) -> JsonObject:
        """See `Chain.to_table`."""
        return {
            "octaves": self.octaves,
            "base": compact(self.base),
            "input": self.input,
            "interleaved": self.interleaved,
        }


@dataclass(frozen=True)
class Projection:
    """Sines, then cosines, of ``factor B x`` with a matrix B that the state holds (Tancik et al. 2020: factor 2 pi)."""

    tensor: str
    rows: int
    columns: int
    factor: float = 2 * math.pi

    def coordinates(self, features: int) -> int | None:
        """How many coordinates become so many features: B is (features / 2, a), or its transpose."""
        for waves, coordinates in ((self.rows, self.columns), (self.columns, self.rows)):
            if 2 * waves == features:
                return coordinates
        return None

    def function(self, state: State) -> Apply:
        """The encoding as a function of coords (n, a)."""
        matrix = (self.factor * np.asarray(state[self.tensor]).astype(np.float64)).astype(np.float32)

        def encode(x: Array) -> Array:
            phase = x @ (matrix if len(matrix) == x.shape[1] else matrix.T)
            return np.concatenate([np.sin(phase), np.cos(phase)], axis=1)

        return encode

    def to_table(self) -> JsonObject:
        """See `Chain.to_table`."""
        return {"matrix": self.tensor, "factor": self.factor}


# -- layers ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layer:
    """One affine layer: the keys of its weight (out, in) and of its bias (out,), if it has one, and its size.

    Of a `transposed` layer the weight is (in, out).
    """

    weight: str
    bias: str | None
    fan_in: int
    fan_out: int
    transposed: bool = False

    def affine(self, state: State, gain: float = 1.0, xp: ModuleType = np) -> Callable[[AnyArray], AnyArray]:
        """``x -> gain (W x + b)`` for x (n, in), in float32 or complex64."""
        weight = gain * _single(state[self.weight], xp)
        weight = weight if self.transposed else xp.ascontiguousarray(weight.T) if xp is np else weight.T
        bias = None if self.bias is None else gain * _single(state[self.bias], xp)

        def apply(x: AnyArray) -> AnyArray:
            x = x @ weight
            if bias is not None:
                x += bias
            return x

        return apply

    @property
    def names(self) -> list[str]:
        """Keys of its tensors."""
        return [self.weight] if self.bias is None else [self.weight, self.bias]


def layer_of(state: State, weight: str, bias: str | None = None, transposed: bool = False) -> Layer | None:
    """The layer of these tensors; None where they are no matrix (out, in) and no vector (out,) of floats."""
    w, b = state[weight], None if bias is None else state[bias]
    if len(w.shape) != 2 or 0 in w.shape or not is_inexact(w):
        return None
    fan_in, fan_out = w.shape if transposed else w.shape[::-1]
    if b is not None and (tuple(b.shape) != (fan_out,) or not is_inexact(b)):
        return None
    return Layer(weight, bias, fan_in, fan_out, transposed)


def layers_under(state: State, prefix: str = "") -> list[Layer]:
    """Every matrix with that prefix whose name ends in "weight", with the bias of the same name."""
    layers = []
    for key in state:
        if key.startswith(prefix) and key.endswith("weight"):
            bias = key.removesuffix("weight") + "bias"
            layer = layer_of(state, key, bias if bias in state else None)
            layers += [layer] if layer is not None else []
    return layers


def in_order(layers: Sequence[Layer], skips: bool = False) -> list[Layer]:
    """Put layers into an order in which each feeds the next; empty where there is none among those that are tried.

    Numbers in the keys come first, then the order of storage, then the shapes ("last_layer" sorts before "layers"
    in files that sort their keys). An order with fewer widths goes before: a last layer of one output also fits before
    a first one of one input.
    """
    fitting = []
    by_number = sorted(layers, key=lambda layer: natural(layer.weight))
    by_shape = sorted(by_number, key=lambda layer: (layer.fan_in >= layer.fan_out) + (layer.fan_in > layer.fan_out))
    for order in (by_number, list(layers), by_shape):
        again = order[0].fan_in if skips and order else 0
        if all(after.fan_in - before.fan_out in {0, again} for before, after in pairwise(order)):
            fitting.append(order)
    return min(fitting, key=lambda order: len({layer.fan_out for layer in order[:-1]}), default=[])


def natural(key: str) -> list[tuple[int, str]]:
    """Sort key in which layer 10 follows layer 9."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", key)]


def is_inexact(array: Array) -> bool:
    """Whether an array has floats or complex numbers."""
    # bfloat16 is of kind "V", as are other dtypes that NumPy does not know.
    return array.dtype.kind in "fc" or array.dtype.name == "bfloat16"


def _single(array: AnyArray, xp: ModuleType) -> AnyArray:
    if xp is not np:
        return array.to(xp.complex64 if array.is_complex() else xp.float32)
    array = np.asarray(array)
    return array.astype(np.complex64 if array.dtype.kind == "c" else np.float32)


# -- chains ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Chain:
    """Affine layers with one activation between them: coordinate networks of any widths, with encoding and skips.

    Attributes
    ----------
    prefix
        What the keys of its tensors have in common; its name in reports.
    layers
        In order. One whose input is larger than the output of the layer before gets the encoded coordinates again,
        behind that output or, with `skip_first`, before it.
    activation, encoding
        Encoding None: the coordinates themselves.
    domain
        Range of each coordinate; [-1, 1] is mapped to it.
    sigmoid
        Whether the outputs go through a sigmoid before they are compared.
    """

    prefix: str
    layers: tuple[Layer, ...]
    activation: AnyActivation
    encoding: Waves | Projection | None
    domain: Domain
    sigmoid: bool = False
    skip_first: bool = False

    KIND: ClassVar[str] = "mlp"
    POINTS: ClassVar[int] = 1
    """Evaluations of the layers for one output."""

    @property
    def in_features(self) -> int:
        """Coordinates a."""
        return len(self.domain)

    @property
    def out_features(self) -> int:
        """Values b."""
        return self.layers[-1].fan_out

    @property
    def names(self) -> tuple[str, ...]:
        """Keys of the tensors that coding may change."""
        return tuple(name for layer in self.layers for name in layer.names)

    @property
    def widest(self) -> int:
        """Real numbers that one point takes where the network is widest."""
        widths = max(max(layer.fan_in, layer.fan_out) for layer in self.layers)
        return widths * (2 if self.activation.COMPLEX else 1)

    @property
    def peak(self) -> float | None:
        """Peak of the fidelity; None for the range of the old outputs."""
        return 1.0 if self.sigmoid else None

    @property
    def compared(self) -> str:
        """What is compared, in words."""
        outputs = "outputs after a sigmoid, peak 1," if self.sigmoid else "outputs, peak = their range,"
        return f"{outputs} over {box(self.domain)}"

    def function(self, state: State, xp: ModuleType = np) -> Apply:
        """``f(points (n, a) in [-1, 1]^a) -> outputs (n, b)``; may be called from several threads at a time.

        The state is of arrays of `xp`, and so are the outputs.
        """
        place, last = placing(self.domain), len(self.layers) - 1
        encode = self.encoding.function(state) if self.encoding is not None else None
        affine = [
            layer.affine(state, self.activation.gain(i == 0) if i < last else 1.0, xp)
            for i, layer in enumerate(self.layers)
        ]
        again = self.skips()

        def apply(points: Array) -> Array:
            with np.errstate(all="ignore"):
                placed = place(points)
                x = first = xp.asarray(placed if encode is None else encode(placed))
                for i, layer in enumerate(affine):
                    if i in again:
                        x = xp.concat([first, x] if self.skip_first else [x, first], axis=1)
                    x = layer(x)
                    if i < last:
                        x = activated(self.activation, x, xp)
                x = x.real if self.activation.COMPLEX else x
                return logistic(x, xp) if self.sigmoid else x

        return apply

    def skips(self) -> set[int]:
        """Layers that get the encoded coordinates again."""
        return {i for i in range(1, len(self.layers)) if self.layers[i].fan_in != self.layers[i - 1].fan_out}

    def mlp(self) -> MLP | None:
        """The same as an `MLP` of this package, where it is one."""
        width, hidden = self.layers[0].fan_out, self.layers[1:-1]
        plain = self.encoding is None and not self.sigmoid and self.domain == ((-1.0, 1.0),) * self.in_features
        if not plain or any(layer.bias is None for layer in self.layers):
            return None
        if self.skips() or any(layer.fan_out != width for layer in hidden):
            return None
        try:
            return MLP(self.in_features, self.out_features, width, len(hidden), self.activation)
        except InputError:  # larger than any field may be
            return None

    def describe(self) -> str:
        """One line for people, such as "63 features of 3 -> 256 256 128 relu -> 4" or "2 -> 3x256 sine:30 -> 1"."""
        first, sizes = self.layers[0].fan_in, [layer.fan_out for layer in self.layers[:-1]]
        alike = len(set(sizes)) == 1  # in the words of this package: hidden layers x width
        widths = f"{len(sizes) - 1}x{sizes[0]}" if alike else " ".join(map(str, sizes))
        start = str(first) if self.encoding is None else f"{first} features of {self.in_features}"
        return f"{start} -> {widths} {activation_text(self.activation)} -> {self.out_features}"

    def to_table(self) -> JsonObject:
        """A description from which `network_from_table` makes the same network."""
        table: JsonObject = {"kind": self.KIND, "prefix": self.prefix}
        table["layers"] = [_layer_entry(layer, self.prefix) for layer in self.layers]
        if any(layer.transposed for layer in self.layers):
            table["transposed"] = True
        table["activation"] = activation_text(self.activation)
        if self.encoding is not None:
            table["encoding"] = self.encoding.to_table()
        if self.skips():
            table["skip"] = "before" if self.skip_first else "behind"
        table["output"] = "sigmoid" if self.sigmoid else "linear"
        table["domain"] = [[compact(low), compact(high)] for low, high in self.domain]
        return table


def _layer_entry(layer: Layer, prefix: str) -> str | list[str]:
    """What a description says of a layer; see `_layer`."""
    name = layer.weight.removesuffix(".weight")
    if name != layer.weight and layer.bias == f"{name}.bias":
        return name.removeprefix(prefix)
    return [key.removeprefix(prefix) for key in layer.names]


def activated(activation: AnyActivation, x: AnyArray, xp: ModuleType) -> AnyArray:
    """The activation of x; may overwrite a NumPy array."""
    return activation.overwrite(np, x) if xp is np else activation(xp, x)


def placing(domain: Domain) -> Apply:
    """The map of [-1, 1]^a to the domain."""
    low, high = np.array(domain, np.float32).T
    if np.all(low == -1) and np.all(high == 1):
        return lambda points: points
    return lambda points: low + (points + np.float32(1)) * ((high - low) / 2)


def logistic(x: AnyArray, xp: ModuleType) -> AnyArray:
    """1 / (1 + exp(-x)), written so that its derivative is finite where exp overflows."""
    return 0.5 + 0.5 * xp.tanh(0.5 * x)


def box(domain: Domain) -> str:
    """A domain in words, such as "[-1, 1]^3"."""
    ranges = [f"[{low:g}, {high:g}]" for low, high in domain]
    if len(set(ranges)) > 1:
        return " x ".join(ranges)
    return ranges[0] if len(ranges) == 1 else f"{ranges[0]}^{len(ranges)}"
