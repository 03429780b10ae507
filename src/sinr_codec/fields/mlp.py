"""Multilayer perceptrons over coordinates, as pure functions of a flat dict of parameters.

The same code runs on NumPy arrays, for decoding, and on torch tensors, for training under `torch.compile` and
`torch.func.vmap`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from types import ModuleType
from typing import Any, ClassVar, Final, Self

import numpy as np
from array_api_compat import array_namespace, device
from numpy.typing import NDArray

from sinr_codec.errors import InputError, LimitError, MalformedError, quoted
from sinr_codec.fields._buffers import buffer
from sinr_codec.fields._numbers import built
from sinr_codec.fields.activations import AnyActivation, Sine
from sinr_codec.fields.base import FieldDefaults, Params
from sinr_codec.fields.encodings import AnyEncoding, Identity, layers_from_header, layers_to_header
from sinr_codec.fields.exact import exact_function, is_exact
from sinr_codec.types import AnyArray, Array, Cbor

MAX_PARAMS: Final = 1 << 27
_MAX_SIZES: Final = {"in_features": 1 << 10, "out_features": 1 << 16, "width": 1 << 14, "hidden_layers": 1 << 10}


@dataclass(frozen=True)
class MLP(FieldDefaults):
    """A first layer and `hidden_layers` hidden layers with an activation, and a linear output layer.

    Parameters
    ----------
    in_features, out_features
        Coordinates a and values b of one sample.
    width
        Width k of the hidden layers (complex numbers where the activation is complex).
    hidden_layers
        Number l of k x k layers; the network has l + 2 layers (SINR, section 3.3.1).
    activation, encoding
        See `activations` and `encodings`.

    Raises
    ------
    InputError
        A size is not a positive integer within the limits (hidden_layers may be 0).
    """

    in_features: int
    out_features: int
    width: int
    hidden_layers: int
    activation: AnyActivation = field(default_factory=Sine)
    encoding: AnyEncoding = field(default_factory=Identity)

    ID: ClassVar[int] = 0
    EXACT: ClassVar[bool] = True
    GROWS: ClassVar[bool] = True
    latents: ClassVar[int] = 0
    """As a base: number of latents of a signal; it has a difference from all parameters instead."""

    def __post_init__(self) -> None:
        for name, limit in _MAX_SIZES.items():
            value, least = getattr(self, name), 0 if name == "hidden_layers" else 1
            if type(value) is not int or not least <= value <= limit:
                raise InputError(f"MLP: {name} must be an integer in [{least}, {limit}], got {quoted(value)}")
        self.encoding.out_features(self.in_features)  # rejects encodings for other coordinates

    # -- parameters

    @property
    def layers(self) -> int:
        """Number of affine layers."""
        return self.hidden_layers + 2

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes by name, in storage order: weight (out, in) and bias (out,) of each layer."""
        features = self.encoding.out_features(self.in_features)
        sizes = [features, *[self.width] * (self.layers - 1), self.out_features]
        shapes: dict[str, tuple[int, ...]] = {}
        for i, (fan_in, fan_out) in enumerate(pairwise(sizes)):
            shapes[f"layers.{i}.weight"] = (fan_out, fan_in)
            shapes[f"layers.{i}.bias"] = (fan_out,)
        return shapes

    def dtypes(self) -> dict[str, np.dtype]:
        """Dtypes by name: float32, and complex64 after the first layer of a complex network."""
        real, later = np.dtype(np.float32), np.dtype(np.complex64 if self.activation.COMPLEX else np.float32)
        return {name: real if name.startswith("layers.0.") else later for name in self.shapes()}

    @property
    def num_params(self) -> int:
        """Number of real parameters (complex parameters count twice), biases included."""
        per_layer = [self._layer_size(i) for i in range(self.layers)]
        return per_layer[0] + (2 if self.activation.COMPLEX else 1) * sum(per_layer[1:])

    @property
    def widest(self) -> int:
        """Real numbers of a sample in the widest layer."""
        width = (2 if self.activation.COMPLEX else 1) * self.width
        return max(self.encoding.out_features(self.in_features), width, self.out_features)

    @property
    def neurons(self) -> int:
        """Hidden neurons, and numbers of the encoding; a complex neuron counts as two."""
        hidden = self.width * (self.layers - 1) * (2 if self.activation.COMPLEX else 1)
        return hidden + self.encoding.out_features(self.in_features)

    def _layer_size(self, i: int) -> int:
        fan_in = self.encoding.out_features(self.in_features) if i == 0 else self.width
        return (fan_in + 1) * (self.out_features if i == self.layers - 1 else self.width)

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Initial parameters: uniform within the bounds of the activation."""
        dtypes = self.dtypes()
        params: dict[str, Array] = {}
        for name, shape in self.shapes().items():
            layer = int(name.split(".")[1])
            fan_in = self.encoding.out_features(self.in_features) if layer == 0 else self.width
            weight, bias = self.activation.bounds(fan_in, layer, layer == self.layers - 1)
            bound = weight if name.endswith("weight") else bias
            values = rng.uniform(-bound, bound, shape)
            if dtypes[name].kind == "c":
                values = values + 1j * rng.uniform(-bound, bound, shape)
            params[name] = values.astype(dtypes[name])
        return params

    def centre(self, params: Mapping[str, Array], mean: NDArray[np.float32]) -> dict[str, Array]:
        """Parameters with the mean (b,) of the values to fit as last bias."""
        last = f"layers.{self.layers - 1}.bias"
        return {**params, last: mean.astype(params[last].dtype)}

    def grown(self, params: Mapping[str, Array], rng: np.random.Generator) -> dict[str, Array]:
        """Parameters that continue from those of the same network at another width.

        A wider network gets newly initialised neurons with zero weights to the old neurons, which preserves the
        function (as in Net2Net, Chen et al. 2016, which copies neurons instead). A narrower network keeps the neurons
        with the largest weights in the next layer.
        """
        result = self.init(rng)
        stay: Any = slice(None)  # neurons of the layer before
        for i in range(self.layers):
            weight, bias = params[f"layers.{i}.weight"][:, stay], params[f"layers.{i}.bias"]
            stay = slice(None)
            if i < self.layers - 1 and len(bias) > self.width:
                heard = np.linalg.norm(params[f"layers.{i + 1}.weight"], axis=0)
                stay = np.sort(np.argsort(-heard, kind="stable")[: self.width])
            weight, bias = weight[stay], bias[stay]
            rows, columns = weight.shape
            into = result[f"layers.{i}.weight"]
            into[:rows, columns:] = 0
            into[:rows, :columns] = weight
            result[f"layers.{i}.bias"][:rows] = bias
        return result

    @property
    def mlp(self) -> MLP:
        """See `Field.mlp`."""
        return self

    def of(self, params: Params) -> Self:
        """See `Field.of`."""
        width = params["layers.0.bias"].size
        return self if width == self.width else replace(self, width=width)

    def adapted(self) -> dict[str, tuple[int, ...]]:
        """As a base: names and shapes of the parameters adapted to a signal, which are all."""
        return self.shapes()

    def check(self, params: Params) -> None:
        """Raise `InputError` unless the parameters have the names and shapes of this network."""
        shapes = self.shapes()
        if set(params) != set(shapes):
            odd = sorted(set(params) ^ set(shapes))[0]
            raise InputError(f"params: the names must be those of the field; {quoted(odd)} is missing or too much")
        for name, shape in shapes.items():
            if tuple(params[name].shape) != shape:
                found = tuple(params[name].shape)
                raise InputError(f"params: {name} must have the shape {shape}, got {found}")

    # -- the function

    def function(self, xp: ModuleType, device: object = None) -> Callable[[Params, AnyArray], AnyArray]:
        """``f(params, coords) -> values`` in the array namespace `xp` (from `array_api_compat`).

        Constants of the encoding are created here, on `device`. The function looks nothing up, so that it compiles to
        one graph and maps over stacked parameters.
        """
        encode = self.encoding.function(xp, self.in_features, device)
        activation, last = self.activation, self.layers - 1

        def f(params: Params, coords: AnyArray) -> AnyArray:
            x = encode(coords)
            for i in range(self.layers):
                weight, bias = params[f"layers.{i}.weight"], params[f"layers.{i}.bias"]
                if i == last:
                    x = xp.matmul(x, weight.mT) + bias
                else:
                    gain = activation.gain(i == 0)
                    x = activation(xp, xp.matmul(x, (gain * weight).mT) + gain * bias)
            return xp.real(x) if activation.COMPLEX else x

        return f

    def apply(self, params: Params, coords: AnyArray) -> AnyArray:
        """Values (..., b) at coords (..., a), for both NumPy arrays and torch tensors.

        Parameters and coordinates must be of the same library, in float32 (complex64).
        """
        return self.function(array_namespace(coords), device(coords))(params, coords)

    def decoder(self, params: Params) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        """``f(coords (n, a)) -> values (n, b)``: `apply` on NumPy, with folded gains and reused buffers.

        The function is thread-safe, with separate buffers for each thread. Calls with a few thousand samples keep the
        buffers in the cache.
        """
        encode = self.encoding.function(np, self.in_features)
        affine = []
        for i in range(self.layers):
            gain = 1.0 if i == self.layers - 1 else self.activation.gain(i == 0)
            weight, bias = np.asarray(params[f"layers.{i}.weight"]), np.asarray(params[f"layers.{i}.bias"])
            affine.append((np.ascontiguousarray((gain * weight).T), gain * bias))

        def decode(coords: NDArray[np.float32]) -> NDArray[np.float32]:
            x = encode(coords)
            for i, (weight, bias) in enumerate(affine):
                if i == len(affine) - 1:
                    x = x @ weight
                    x += bias
                else:
                    z = np.matmul(x, weight, out=buffer(i % 2, len(coords), weight))
                    z += bias
                    x = self.activation.overwrite(np, z)
            return x.real.copy() if self.activation.COMPLEX else x

        return decode

    def is_exact(self, params: Params) -> bool:
        """See `base.Exact`."""
        return is_exact(self, params)

    def exact(self, xp: ModuleType, params: Params, device: object = None) -> Callable[[AnyArray], AnyArray]:
        """See `base.Exact`."""
        return exact_function(xp, self, params, device)

    def describe(self) -> str:
        """One-line description for users, such as "2 -> 3 x 64 sine (omega0 30) -> 3"."""
        inside = ", ".join(
            f"{name} {value:g}" for name, value in vars(self.activation).items() if isinstance(value, int | float)
        )
        kind = type(self.activation).__name__.lower() + (f" ({inside})" if inside else "")
        encoding = "" if self.encoding == Identity() else f" {type(self.encoding).__name__.lower()} ->"
        return f"{self.in_features} ->{encoding} {self.hidden_layers} x {self.width} {kind} -> {self.out_features}"

    # -- the header of a file

    def to_header(self) -> list[Cbor]:
        """``[0, a, b, k, l, activation, encoding]``; an identity encoding is omitted."""
        sizes = self.in_features, self.out_features, self.width, self.hidden_layers
        return [self.ID, *sizes, *layers_to_header(self.activation, self.encoding)]

    @classmethod
    def from_header(cls, value: object, max_params: int = MAX_PARAMS) -> MLP:
        """Inverse of `to_header`; nothing is allocated.

        Raises
        ------
        MalformedError
            The value breaks the form above or a range.
        UnknownIdError
            An id is unknown.
        LimitError
            More parameters than `max_params`, or a size above the reader's limit.
        """
        if not isinstance(value, Sequence) or isinstance(value, str | bytes) or not 6 <= len(value) <= 7:
            raise MalformedError("field header: an MLP is a list of six or seven entries")
        if any(type(x) is not int or x < 0 for x in value[:5]) or value[0] != cls.ID:
            raise MalformedError("field header: an MLP starts with its id and four sizes, integers >= 0")
        for (name, limit), size in zip(_MAX_SIZES.items(), value[1:5]):
            if size > limit:
                raise LimitError(f"field header: {name} = {size} is more than {limit}")
        in_features, out_features, width, hidden_layers = value[1:5]
        layers = layers_from_header(value[5:])
        return built(lambda: cls(in_features, out_features, width, hidden_layers, *layers), max_params)
