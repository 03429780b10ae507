"""Networks of other programs as functions: to compare their outputs, and to round weights by their derivatives.

A network names the tensors of a state dict that it uses and maps points of [-1, 1]^a to the values that are
compared. What it is can be written as a small table (`to_table`), the same that a user's description file holds
(`network_from_table`) and that a compressed file keeps for `verify`. Points, and what is made of them before the first
layer, are NumPy's; from there on a namespace may be named whose tensors know gradients.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sinr_codec.errors import InputError
from sinr_codec.fields._numbers import compact, is_number
from sinr_codec.fields.activations import ACTIVATIONS, AnyActivation, ReLU, activation_from_text, activation_text
from sinr_codec.fields.mlp import MLP
from sinr_codec.types import Array

State = Mapping[str, Any]
Apply = Callable[[NDArray[np.float32]], Array]
Domain = tuple[tuple[float, float], ...]

_MAX_COORDINATES = 16
_RELU = ReLU()
_MAX_OCTAVES = 64
_SCENE = (-1.5, 1.5)
"""Box of the scenes that NeRF's code calls "blender"; cameras stand outside it, at a distance of 4."""
_RAY_SAMPLES = 32
"""Points of a ray within the box: enough to meet every surface, and compared networks meet the same ones."""


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

    def to_table(self) -> dict[str, Any]:
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

    def to_table(self) -> dict[str, Any]:
        """See `Chain.to_table`."""
        return {"matrix": self.tensor, "factor": self.factor}


# -- networks --------------------------------------------------------------------------------------------------


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

    def affine(self, state: State, gain: float = 1.0, xp: Any = np) -> Callable[[Any], Any]:
        """``x -> gain (W x + b)`` for x (n, in), in float32 or complex64."""
        weight = gain * _single(state[self.weight], xp)
        weight = weight if self.transposed else xp.ascontiguousarray(weight.T) if xp is np else weight.T
        bias = None if self.bias is None else gain * _single(state[self.bias], xp)

        def apply(x: Any) -> Any:
            x = x @ weight
            if bias is not None:
                x += bias
            return x

        return apply

    @property
    def names(self) -> list[str]:
        """Keys of its tensors."""
        return [self.weight] if self.bias is None else [self.weight, self.bias]


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
        return f"{outputs} over {_box(self.domain)}"

    def function(self, state: State, xp: Any = np) -> Apply:
        """``f(points (n, a) in [-1, 1]^a) -> outputs (n, b)``; may be called from several threads at a time.

        The state is of arrays of `xp`, and so are the outputs.
        """
        place, last = _placing(self.domain), len(self.layers) - 1
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
                        x = _activated(self.activation, x, xp)
                x = x.real if self.activation.COMPLEX else x
                return _logistic(x, xp) if self.sigmoid else x

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
        """One line for people, such as "63 features of 3 -> 256 256 256 relu -> 4"."""
        first, widths = self.layers[0].fan_in, " ".join(str(layer.fan_out) for layer in self.layers[:-1])
        start = str(first) if self.encoding is None else f"{first} features of {self.in_features}"
        return f"{start} -> {widths} {activation_text(self.activation)} -> {self.out_features}"

    def to_table(self) -> dict[str, Any]:
        """A description from which `network_from_table` makes the same network."""
        table: dict[str, Any] = {"kind": self.KIND, "prefix": self.prefix}
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


@dataclass(frozen=True)
class _Naming:
    """How a program names the parts of its NeRF, and where its forward pass has its own ways."""

    trunk: str  # with the number of the layer
    first: str | None  # a layer before the trunk that no ReLU follows
    feature: str
    views: str
    density: str
    colour: str
    joint: str  # without viewing directions: colour and density of one layer
    feature_relu: bool
    skip_first: bool


NERFS = {
    "yenchenlin": _Naming(
        "pts_linears.{}", None, "feature_linear", "views_linears.{}", "alpha_linear", "rgb_linear", "output_linear",
        feature_relu=False, skip_first=True,
    ),
    "krrish94": _Naming(
        "layers_xyz.{}", "layer1", "fc_feat", "layers_dir.{}", "fc_alpha", "fc_rgb", "fc_out",
        feature_relu=True, skip_first=False,
    ),
}  # fmt: skip
"""The two widespread PyTorch programs called nerf-pytorch, by their authors' names on GitHub."""


@dataclass(frozen=True)
class Nerf:
    """A radiance field as NeRF's code builds it: a trunk over positions, density, and a colour that sees directions.

    Compared are pixels: rays through uniform points of the box `domain` in all directions, 32 samples each within the
    box, composited as in NeRF (section 4) to red, green, blue and opacity; peak 1. Comparing colours and densities
    point by point would be strict where nothing is to be seen, in empty space and within objects.
    """

    prefix: str
    style: str
    trunk: tuple[Layer, ...]
    feature: Layer | None
    views: tuple[Layer, ...]
    density: Layer | None
    colour: Layer
    position: Waves
    direction: Waves | None
    domain: Domain = (_SCENE,) * 3

    KIND: ClassVar[str] = "nerf"
    POINTS: ClassVar[int] = _RAY_SAMPLES
    in_features: ClassVar[int] = 5
    out_features: ClassVar[int] = 4
    peak: ClassVar[float] = 1.0

    @property
    def _layers(self) -> list[Layer]:
        layers = [*self.trunk, self.feature, *self.views, self.density, self.colour]
        return [layer for layer in layers if layer is not None]

    @property
    def names(self) -> tuple[str, ...]:
        """Keys of the tensors that coding may change."""
        return tuple(name for layer in self._layers for name in layer.names)

    @property
    def widest(self) -> int:
        """Real numbers that one ray takes where the network is widest."""
        return self.POINTS * max(max(layer.fan_in, layer.fan_out) for layer in self._layers)

    @property
    def compared(self) -> str:
        """What is compared, in words."""
        return f"pixels of rays through the box {_box(self.domain)}, peak 1"

    def function(self, state: State, xp: Any = np) -> Apply:
        """``f(rays (n, 5) in [-1, 1]^5) -> red, green, blue, opacity (n, 4)``: a point in the box and a direction.

        The state is of arrays of `xp`, and so are the outputs.
        """
        radiance, place = self.radiance(state, xp), _placing(self.domain)
        low, high = np.array(self.domain, np.float32).T
        steps = ((np.arange(self.POINTS) + 0.5) / self.POINTS).astype(np.float32)

        def apply(rays: Array) -> Array:
            with np.errstate(all="ignore"):
                point, direction = place(rays[:, :3]), _on_sphere(rays[:, 3:])
                walls = np.stack([(low - point) / direction, (high - point) / direction])
                near, far = walls.min(0).max(1), walls.max(0).min(1)
                along = near[:, None] + steps * (far - near)[:, None]
                x = point[:, None] + along[:, :, None] * direction[:, None]
                colour, density = radiance(x.reshape(-1, 3), direction)
                lengths = xp.asarray(((far - near) / self.POINTS)[:, None])
                passed = xp.exp(-density.reshape(along.shape) * lengths)
                light = xp.cumprod(passed, 1)
                weight = xp.concat([xp.ones_like(light[:, :1]), light[:, :-1]], axis=1) * (1 - passed)
                pixel = (weight[:, :, None] * colour.reshape(*along.shape, 3)).sum(1)
                return xp.concat([pixel, weight.sum(1)[:, None]], axis=1)

        return apply

    def radiance(self, state: State, xp: Any = np) -> Callable[[Array, Array], tuple[Any, Any]]:
        """``f(positions (n m, 3), directions (n, 3)) -> colours (n m, 3), densities (n m, 1)``, both as rendered."""
        style = NERFS[self.style]
        encode = self.position.function(state)
        encode_direction = None if self.direction is None else self.direction.function(state)
        trunk = [layer.affine(state, xp=xp) for layer in self.trunk]
        again = {i for i in range(1, len(trunk)) if self.trunk[i].fan_in != self.trunk[i - 1].fan_out}
        feature = None if self.feature is None else self.feature.affine(state, xp=xp)
        views = [layer.affine(state, xp=xp) for layer in self.views]
        density = None if self.density is None else self.density.affine(state, xp=xp)
        colour = self.colour.affine(state, xp=xp)

        def apply(positions: Array, directions: Array) -> tuple[Any, Any]:
            x = first = xp.asarray(encode(positions))
            for i, layer in enumerate(trunk):
                if i in again:
                    x = xp.concat([first, x] if style.skip_first else [x, first], axis=1)
                x = layer(x)
                if i > 0 or style.first is None:
                    x = _activated(_RELU, x, xp)
            if density is None or feature is None or encode_direction is None:
                raw = colour(x)
                return _logistic(raw[:, :3], xp), _RELU(xp, raw[:, 3:4])
            sigma, x = density(x), feature(x)
            if style.feature_relu:
                x = _activated(_RELU, x, xp)
            seen = xp.asarray(np.repeat(encode_direction(directions), len(x) // len(directions), axis=0))
            x = xp.concat([x, seen], axis=1)
            for layer in views:
                x = layer(x)
                x = _activated(_RELU, x, xp)
            return _logistic(colour(x), xp), _RELU(xp, sigma)

        return apply

    def describe(self) -> str:
        """One line for people."""
        widths = " ".join(str(layer.fan_out) for layer in self.trunk)
        views = f", directions in {self.direction.octaves} octaves" if self.direction is not None else ""
        return f"NeRF: positions in {self.position.octaves} octaves -> {widths} relu{views} -> colour, density"

    def to_table(self) -> dict[str, Any]:
        """A description from which `network_from_table` makes the same network."""
        domain = [[compact(low), compact(high)] for low, high in self.domain]
        return {"kind": self.KIND, "prefix": self.prefix, "domain": domain}


Network = Chain | Nerf


# -- from a description and a state ----------------------------------------------------------------------------


def network_from_table(table: Any, state: State) -> Network:
    """The network that a description tells, with its tensors in `state`.

    Raises
    ------
    InputError
        The table has unknown or wrong entries, or the state no such tensors; one line says which.
    """
    if not isinstance(table, Mapping):
        raise InputError(f"expected a table of entries, found {table!r:.40}")
    kind = table.get("kind", Chain.KIND)
    if kind not in (Chain.KIND, Nerf.KIND):
        raise InputError(f"kind: expected mlp or nerf, found {kind!r:.40}")
    known = {"kind", "prefix", "domain"} | (
        set() if kind == Nerf.KIND else {"layers", "activation", "encoding", "skip", "output", "transposed"}
    )
    if unknown := sorted(map(str, set(table) - known)):
        raise InputError(f"unknown entry {unknown[0]!r:.40}; expected some of {', '.join(sorted(known))}")
    prefix = table.get("prefix", "")
    if not isinstance(prefix, str):
        raise InputError(f"prefix: expected text, found {prefix!r:.40}")
    if kind == Nerf.KIND:
        return _nerf_from_table(table, prefix, state)
    return _chain_from_table(table, prefix, state)


def _nerf_from_table(table: Mapping[str, Any], prefix: str, state: State) -> Nerf:
    found = find_nerf(state, prefix)
    if found is None:
        names = " or ".join(style.trunk.format(0) for style in NERFS.values())
        raise InputError(f"no NeRF under the prefix {prefix!r}: expected {names} there, and its other layers")
    return replace(found, domain=_domain(table.get("domain", _SCENE), 3))


def _chain_from_table(table: Mapping[str, Any], prefix: str, state: State) -> Chain:
    if "activation" not in table:
        raise InputError("activation: expected one of " + ", ".join(ACTIVATIONS) + ", such as sine:30")
    activation = activation_from_text(table["activation"])
    entries, transposed = table.get("layers"), _flag(table, "transposed", False)
    if transposed and entries is None:
        raise InputError("transposed: expected the names of the layers beside it")
    if entries is None:
        layers = in_order(layers_under(state, prefix), skips=True)
        if not layers:
            raise InputError(f"no layers in one chain under the prefix {prefix!r}: name them in order (layers)")
    elif isinstance(entries, list) and 1 <= len(entries) <= 1024:
        layers = [_layer(entry, prefix, state, transposed) for entry in entries]
    else:
        raise InputError("layers: expected a list of names, first layer first")
    for i, layer in enumerate(layers):
        kind = np.asarray(state[layer.weight]).dtype.kind
        if (kind == "c") != (activation.COMPLEX and i > 0):
            wanted = "complex" if activation.COMPLEX and i > 0 else "real"
            raise InputError(f"layer {layer.weight!r}: expected {wanted} weights with {activation_text(activation)}")
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
                f"layer {layer.weight!r}: expected {before.fan_out} inputs, as the layer before has outputs, or "
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


def _choice(table: Mapping[str, Any], name: str, choices: Sequence[str]) -> str:
    value = table.get(name, choices[0])
    if value not in choices:
        raise InputError(f"{name}: expected {' or '.join(choices)}, found {value!r:.40}")
    return str(value)


def _layer(entry: Any, prefix: str, state: State, transposed: bool) -> Layer:
    """A layer from "net.0" (net.0.weight, net.0.bias if there is one) or from the names of both tensors."""
    if isinstance(entry, str):
        join = "" if not entry or entry.endswith(".") else "."
        keys = [f"{prefix}{entry}{join}weight", f"{prefix}{entry}{join}bias"]
        keys = keys if keys[1] in state else keys[:1]
    elif isinstance(entry, list) and 1 <= len(entry) <= 2 and all(isinstance(name, str) for name in entry):
        keys = [prefix + name for name in entry]
    else:
        raise InputError(f"layers: expected a name, or a list of a weight's and a bias's name, found {entry!r:.60}")
    for key in keys:
        if key not in state:
            raise InputError(f"layers: no tensor {key!r}")
    layer = layer_of(state, keys[0], keys[1] if len(keys) == 2 else None, transposed)
    if layer is None:
        shape = "(in, out)" if transposed else "(out, in)"
        raise InputError(f"layers: {keys[0]!r}: expected a matrix {shape} of floats and a bias (out,)")
    return layer


def layer_of(state: State, weight: str, bias: str | None = None, transposed: bool = False) -> Layer | None:
    """The layer of these tensors; None where they are no matrix (out, in) and no vector (out,) of floats."""
    w, b = state[weight], None if bias is None else state[bias]
    if len(w.shape) != 2 or 0 in w.shape or not _is_inexact(w):
        return None
    fan_in, fan_out = w.shape if transposed else w.shape[::-1]
    if b is not None and (tuple(b.shape) != (fan_out,) or not _is_inexact(b)):
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
    in files that sort their keys).
    """
    by_number = sorted(layers, key=lambda layer: natural(layer.weight))
    by_shape = sorted(by_number, key=lambda layer: (layer.fan_in >= layer.fan_out) + (layer.fan_in > layer.fan_out))
    for order in (by_number, list(layers), by_shape):
        again = order[0].fan_in if skips and order else 0
        if all(after.fan_in - before.fan_out in {0, again} for before, after in pairwise(order)):
            return order
    return []


def find_nerf(state: State, prefix: str) -> Nerf | None:
    """The NeRF whose tensors have this prefix, by the names that one of `NERFS` gives them."""
    for style, names in NERFS.items():
        found = _find_nerf(state, prefix, style, names)
        if found is not None:
            return found
    return None


def _find_nerf(state: State, prefix: str, style: str, names: _Naming) -> Nerf | None:
    def layer(name: str) -> Layer | None:
        keys = f"{prefix}{name}.weight", f"{prefix}{name}.bias"
        return layer_of(state, *keys) if all(key in state for key in keys) else None

    def numbered(name: str) -> list[Layer]:
        found: list[Layer] = []
        while (here := layer(name.format(len(found)))) is not None:
            found.append(here)
        return found

    trunk = numbered(names.trunk)
    if names.first is not None:
        first = layer(names.first)
        trunk = [] if first is None else [first, *trunk]
    position = _deduced(trunk[0].fan_in) if len(trunk) > 1 else None
    if position is None:
        return None
    width, size = trunk[-1].fan_out, trunk[0].fan_in
    if any(here.fan_in not in (before.fan_out, before.fan_out + size) for before, here in pairwise(trunk)):
        return None
    joint = layer(names.joint)
    if joint is not None:
        fits = joint.fan_in == width and joint.fan_out >= 4
        return Nerf(prefix, style, tuple(trunk), None, (), None, joint, position, None) if fits else None
    feature, density, colour, views = (
        layer(names.feature), layer(names.density), layer(names.colour), numbered(names.views)
    )  # fmt: skip
    if feature is None or density is None or colour is None or not views:
        return None
    direction = _deduced(views[0].fan_in - feature.fan_out)
    sizes = [(feature.fan_in, width), (density.fan_in, width), (density.fan_out, 1), (colour.fan_out, 3)]
    sizes += [(after.fan_in, before.fan_out) for before, after in zip(views, [*views[1:], colour])]
    if direction is None or any(found != wanted for found, wanted in sizes):
        return None
    return Nerf(prefix, style, tuple(trunk), feature, tuple(views), density, colour, position, direction)


def _deduced(features: int) -> Waves | None:
    """NeRF's encoding of three coordinates by its size: an odd number of each three says that they are included."""
    each, rest = divmod(features, 3)
    return Waves(each // 2, input=bool(each % 2)) if each > 0 and not rest and each <= 2 * _MAX_OCTAVES else None


def _encoding(table: Any, prefix: str, state: State) -> Waves | Projection | None:
    if table is None:
        return None
    if not isinstance(table, Mapping):
        raise InputError(f"encoding: expected a table with octaves or matrix, found {table!r:.40}")
    if "matrix" in table:
        _only(table, "matrix", "factor")
        name = table["matrix"]
        key = name if not isinstance(name, str) or name in state else prefix + name
        if not isinstance(key, str) or key not in state or len(state[key].shape) != 2 or not _is_inexact(state[key]):
            raise InputError(f"encoding: matrix: expected the name of a matrix of floats, found {name!r:.60}")
        rows, columns = state[key].shape
        return Projection(key, rows, columns, _number(table, "factor", 2 * math.pi))
    _only(table, "octaves", "base", "input", "interleaved")
    octaves = table.get("octaves")
    if type(octaves) is not int or not 0 <= octaves <= _MAX_OCTAVES:
        raise InputError(f"encoding: octaves: expected an integer from 0 to {_MAX_OCTAVES}, found {octaves!r:.40}")
    return Waves(octaves, _number(table, "base", 1.0), _flag(table, "input", True), _flag(table, "interleaved", False))


def _flag(table: Mapping[str, Any], name: str, default: bool) -> bool:
    value = table.get(name, default)
    if type(value) is not bool:
        raise InputError(f"{name}: expected true or false, found {value!r:.40}")
    return value


def _only(table: Mapping[str, Any], *known: str) -> None:
    if unknown := sorted(map(str, set(table) - set(known))):
        raise InputError(f"encoding: unknown entry {unknown[0]!r:.40}; expected {', '.join(known)}")


def _number(table: Mapping[str, Any], name: str, default: float) -> float:
    value = table.get(name, default)
    if not is_number(value) or not 0 < value < 1e6:
        raise InputError(f"encoding: {name}: expected a positive number, found {value!r:.40}")
    return float(value)


def _domain(value: Any, coordinates: int) -> Domain:
    """A range for all coordinates, or a list of one each."""
    pairs = [value] * coordinates if isinstance(value, list | tuple) and value and is_number(value[0]) else value
    if not isinstance(pairs, list | tuple) or len(pairs) != coordinates:
        raise InputError(f"domain: expected a range [low, high], or a list of {coordinates}, found {value!r:.60}")
    for pair in pairs:
        if (
            not isinstance(pair, list | tuple)
            or len(pair) != 2
            or not all(is_number(x) and abs(x) < 1e6 for x in pair)
            or not pair[0] < pair[1]
        ):
            raise InputError(f"domain: expected ranges [low, high] with low < high, found {pair!r:.60}")
    return tuple((float(low), float(high)) for low, high in pairs)


# -- small things ----------------------------------------------------------------------------------------------


def natural(key: str) -> list[tuple[int, str]]:
    """Sort key in which layer 10 follows layer 9."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", key)]


def _layer_entry(layer: Layer, prefix: str) -> str | list[str]:
    """What a description says of a layer; see `_layer`."""
    name = layer.weight.removesuffix(".weight")
    if name != layer.weight and layer.bias == f"{name}.bias":
        return name.removeprefix(prefix)
    return [key.removeprefix(prefix) for key in layer.names]


def _is_inexact(array: Any) -> bool:
    # bfloat16 is of kind "V", as are other dtypes that NumPy does not know.
    return array.dtype.kind in "fc" or array.dtype.name == "bfloat16"


def _single(array: Any, xp: Any) -> Any:
    if xp is not np:
        return array.to(xp.complex64 if array.is_complex() else xp.float32)
    array = np.asarray(array)
    return array.astype(np.complex64 if array.dtype.kind == "c" else np.float32)


def _activated(activation: AnyActivation, x: Any, xp: Any) -> Any:
    return activation.overwrite(np, x) if xp is np else activation(xp, x)


def _placing(domain: Domain) -> Apply:
    """The map of [-1, 1]^a to the domain."""
    low, high = np.array(domain, np.float32).T
    if np.all(low == -1) and np.all(high == 1):
        return lambda points: points
    return lambda points: low + (points + np.float32(1)) * ((high - low) / 2)


def _on_sphere(points: Array) -> Array:
    """Unit vectors (n, 3), uniform where the points (n, 2) are in [-1, 1]^2 (Archimedes)."""
    height, angle = points[:, 0], np.float32(math.pi) * points[:, 1]
    radius = np.sqrt(np.maximum(1 - height * height, 0))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1)


def _logistic(x: Any, xp: Any) -> Any:
    """1 / (1 + exp(-x)), written so that its derivative is finite where exp overflows."""
    return 0.5 + 0.5 * xp.tanh(0.5 * x)


def _box(domain: Domain) -> str:
    ranges = [f"[{low:g}, {high:g}]" for low, high in domain]
    if len(set(ranges)) > 1:
        return " x ".join(ranges)
    return ranges[0] if len(ranges) == 1 else f"{ranges[0]}^{len(ranges)}"
