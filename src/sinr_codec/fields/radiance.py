"""Networks of radiance fields: density from position, colour from position and view direction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, ClassVar, Final

import numpy as np
from array_api_compat import array_namespace, device
from numpy.typing import NDArray

from sinr_codec.coding.tensor import Direct
from sinr_codec.errors import InputError, MalformedError, quoted
from sinr_codec.fields._numbers import built
from sinr_codec.fields.activations import AnyActivation, ReLU
from sinr_codec.fields.base import FieldDefaults, Params
from sinr_codec.fields.encodings import AnyEncoding, Identity, Octaves, layers_from_header, layers_to_header
from sinr_codec.fields.hashgrid import HashGrid
from sinr_codec.fields.mlp import MAX_PARAMS, MLP
from sinr_codec.types import AnyArray, Array, Cbor

_TRUNK: Final = "trunk."
_HEAD: Final = "head."
_MAX_FEATURES: Final = 1 << 12


class _TrunkAndHead(FieldDefaults):
    """A trunk: position -> density and features; and a head: features and view direction -> colour."""

    features: int
    head: int
    octaves: int

    #: Inputs: position, unit view direction. Outputs: red, green, blue, density, before their non-linearities.
    in_features: ClassVar[int] = 6
    out_features: ClassVar[int] = 4

    def __post_init__(self) -> None:
        for name, least, most in (("features", 1, _MAX_FEATURES), ("head", 1, 1 << 14), ("octaves", 0, 16)):
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise InputError(f"radiance field: {name} must be an integer in [{least}, {most}], got {quoted(value)}")
        _ = self.parts  # checks the limits of an MLP

    @property
    def directions(self) -> AnyEncoding:
        """Encoding of the view direction."""
        return Octaves(self.octaves) if self.octaves else Identity()

    @property
    def parts(self) -> dict[str, Any]:
        """Trunk and head, by the prefix of their parameters' names."""
        raise NotImplementedError

    def _head(self, activation: AnyActivation) -> MLP:
        return MLP(self.features + self.directions.out_features(3), 3, self.head, 0, activation)

    # -- parameters

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes by name, in storage order: those of the trunk, then of the head, as in `MLP`."""
        return {prefix + name: shape for prefix, part in self.parts.items() for name, shape in part.shapes().items()}

    def dtypes(self) -> dict[str, np.dtype]:
        """Dtypes by name."""
        return {prefix + name: dtype for prefix, part in self.parts.items() for name, dtype in part.dtypes().items()}

    @property
    def num_params(self) -> int:
        """Number of real parameters."""
        return sum(part.num_params for part in self.parts.values())

    @property
    def neurons(self) -> int:
        """Those of trunk and head."""
        return sum(part.neurons for part in self.parts.values())

    @property
    def widest(self) -> int:
        """Real numbers of a sample in the widest layer."""
        return max(part.widest for part in self.parts.values())

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Initial parameters; each part as an `MLP` with its activation."""
        return {prefix + name: value for prefix, part in self.parts.items() for name, value in part.init(rng).items()}

    def centre(self, params: Mapping[str, Array], mean: NDArray[np.float32]) -> dict[str, Array]:
        """Parameters with (red, green, blue, density) of `mean` as last biases."""
        values = {_TRUNK: mean[3:], _HEAD: mean[:3]}
        result = dict(params)
        for prefix, part in self.parts.items():
            name = f"{prefix}layers.{part.layers - 1}.bias"
            bias = params[name].copy()
            bias[: len(values[prefix])] = values[prefix]
            result[name] = bias
        return result

    def check(self, params: Params) -> None:
        """Raise `InputError` unless the parameters have the names and shapes of this network."""
        for prefix, part in self.parts.items():
            part.check(_under(prefix, params))
        if odd := sorted(set(params) - set(self.shapes())):
            raise InputError(f"params: the names must be those of the field; {quoted(odd[0])} is too much")

    # -- the function

    def function(self, xp: ModuleType, device: object = None) -> Callable[[Params, AnyArray], AnyArray]:
        """``f(params, coords (n, 6)) -> (n, 4)`` in an array namespace; see `MLP.function`."""
        functions = {prefix: part.function(xp, device) for prefix, part in self.parts.items()}
        encode = self.directions.function(xp, 3, device)

        def f(params: Params, coords: AnyArray) -> AnyArray:
            hidden = functions[_TRUNK](_under(_TRUNK, params), coords[..., :3])
            seen = xp.concat([hidden[..., 1:], encode(coords[..., 3:])], axis=-1)
            return xp.concat([functions[_HEAD](_under(_HEAD, params), seen), hidden[..., :1]], axis=-1)

        return f

    def density(self, xp: ModuleType, device: object = None) -> Callable[[Params, AnyArray], AnyArray]:
        """``f(params, positions (n, 3)) -> density (n,)``: the last value of `function`, computed without the head."""
        trunk = self.parts[_TRUNK].function(xp, device)
        return lambda params, positions: trunk(_under(_TRUNK, params), positions)[..., 0]

    def apply(self, params: Params, coords: AnyArray) -> AnyArray:
        """Values (..., 4) at coords (..., 6), for both NumPy arrays and torch tensors."""
        return self.function(array_namespace(coords), device(coords))(params, coords)

    def decoder(self, params: Params) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        """``f(coords (n, 6)) -> values (n, 4)`` on NumPy; see `MLP.decoder`."""
        trunk, head = (part.decoder(_under(prefix, params)) for prefix, part in self.parts.items())
        encode = self.directions.function(np, 3)

        def decode(coords: NDArray[np.float32]) -> NDArray[np.float32]:
            hidden = trunk(np.ascontiguousarray(coords[:, :3]))
            seen = np.concatenate([hidden[:, 1:], encode(coords[:, 3:])], axis=1)
            return np.concatenate([head(seen), hidden[:, :1]], axis=1)

        return decode

    def describe(self) -> str:
        """One-line description for users."""
        trunk, head = self.parts.values()
        return f"trunk {trunk.describe()}; head {head.describe()}"


@dataclass(frozen=True)
class Radiance(_TrunkAndHead):
    """Two multilayer perceptrons: position -> density and features; features and view direction -> colour.

    The trunk's only input is the position, so that density, and with it geometry, is independent of the view direction
    (Mildenhall et al. 2020, "NeRF", section 3). The split into a trunk for density and a few features, and a head with
    one hidden layer, follows instant-ngp (Müller et al. 2022, section 5.4). One network serves the coarse and fine
    passes of a renderer, as in mip-NeRF (Barron et al. 2021); the two networks of NeRF take twice the bytes.

    Parameters
    ----------
    width, hidden_layers, activation, encoding
        Architecture of the trunk, as in `MLP`.
    features
        Number of features from trunk to head.
    head
        Width of the head's hidden layer.
    octaves
        Octaves of the view direction's encoding (`Octaves`); 0 for no encoding.

    Raises
    ------
    InputError
        A size outside the limits.
    """

    width: int
    hidden_layers: int
    activation: AnyActivation = field(default_factory=ReLU)
    encoding: AnyEncoding = field(default_factory=Identity)
    features: int = 15
    head: int = 32
    octaves: int = 2

    ID: ClassVar[int] = 1

    @property
    def parts(self) -> dict[str, Any]:
        """Trunk and head, by the prefix of their parameters' names."""
        trunk = MLP(3, 1 + self.features, self.width, self.hidden_layers, self.activation, self.encoding)
        return {_TRUNK: trunk, _HEAD: self._head(self.activation)}

    # -- the header of a file

    def to_header(self) -> list[Cbor]:
        """``[1, k, l, features, head, octaves, activation, encoding]``; an identity encoding is omitted."""
        sizes = self.width, self.hidden_layers, self.features, self.head, self.octaves
        return [self.ID, *sizes, *layers_to_header(self.activation, self.encoding)]

    @classmethod
    def from_header(cls, value: object, max_params: int = MAX_PARAMS) -> Radiance:
        """Inverse of `to_header`; nothing is allocated.

        Raises
        ------
        MalformedError
            The value breaks the form above or a range.
        UnknownIdError
            An id is unknown.
        LimitError
            More parameters than `max_params`.
        """
        if not isinstance(value, Sequence) or isinstance(value, str | bytes) or not 7 <= len(value) <= 8:
            raise MalformedError("field header: a radiance field is a list of seven or eight entries")
        if any(type(x) is not int for x in value[:6]) or value[0] != cls.ID:
            raise MalformedError("field header: a radiance field starts with its id and five sizes, integers")
        _, width, hidden_layers, features, head, octaves = value[:6]
        activation, encoding = layers_from_header(value[6:])
        return built(lambda: cls(width, hidden_layers, activation, encoding, features, head, octaves), max_params)


@dataclass(frozen=True)
class RadianceGrid(_TrunkAndHead):
    """A radiance field with a hash grid over the box as trunk (SHACIRA, Girish et al. 2023) and ReLU activations.

    Parameters
    ----------
    cells, table, channels, width, hidden_layers
        Architecture of the trunk, as in `HashGrid`.
    features, head, octaves
        As in `Radiance`.

    Raises
    ------
    InputError
        A size outside the limits.
    """

    cells: tuple[int, ...]
    table: int
    channels: int
    width: int
    hidden_layers: int
    features: int = 15
    head: int = 32
    octaves: int = 2

    ID: ClassVar[int] = 5

    @property
    def parts(self) -> dict[str, Any]:
        """Trunk and head, by the prefix of their parameters' names."""
        trunk = HashGrid(3, 1 + self.features, self.cells, self.table, self.channels, self.width, self.hidden_layers)
        return {_TRUNK: trunk, _HEAD: self._head(ReLU())}

    @property
    def tables(self) -> dict[str, Direct]:
        """As in `HashGrid`."""
        return {_TRUNK + name: coding for name, coding in self.parts[_TRUNK].tables.items()}

    @property
    def network_params(self) -> int:
        """As in `HashGrid`."""
        return int(self.parts[_TRUNK].network_params) + int(self.parts[_HEAD].num_params)

    @property
    def work(self) -> int:
        """Multiply-adds a sample."""
        return int(self.parts[_TRUNK].work) + int(self.parts[_HEAD].num_params)

    # -- the header of a file

    def to_header(self) -> list[Cbor]:
        """``[3, trunk, features, head, octaves]``, the trunk as in `HashGrid`."""
        return [self.ID, self.parts[_TRUNK].to_header(), self.features, self.head, self.octaves]

    @classmethod
    def from_header(cls, value: object, max_params: int = MAX_PARAMS) -> RadianceGrid:
        """Inverse of `to_header`; nothing is allocated.

        Raises
        ------
        MalformedError
            The value breaks the form above or a range.
        LimitError
            More parameters than `max_params`.
        """
        if not isinstance(value, Sequence) or isinstance(value, str | bytes) or len(value) != 5 or value[0] != cls.ID:
            raise MalformedError("field header: a radiance field of a hash grid is a list of its id and four entries")
        if any(type(x) is not int for x in value[2:]):
            raise MalformedError("field header: the sizes of a radiance field are integers")
        trunk = HashGrid.from_header(value[1], max_params)
        sizes = trunk.cells, trunk.table, trunk.channels, trunk.width, trunk.hidden_layers

        def build() -> RadianceGrid:
            radiance = cls(*sizes, *value[2:])
            if radiance.parts[_TRUNK] != trunk:
                raise InputError("the trunk of a radiance field is a cube of 3 coordinates to its features")
            return radiance

        return built(build, max_params)


def _under(prefix: str, params: Params) -> dict[str, AnyArray]:
    return {name.removeprefix(prefix): value for name, value in params.items() if name.startswith(prefix)}
