"""What a field is to the rest of the package."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from sinr_codec.types import Array, Cbor

if TYPE_CHECKING:
    from sinr_codec.coding.tensor import Direct
    from sinr_codec.fields.mlp import MLP

Params = Mapping[str, Any]


class Trainable(Protocol):
    """What can be fitted to a signal from given parameters."""

    @property
    def in_features(self) -> int:
        """Number of coordinates a."""

    @property
    def out_features(self) -> int:
        """Number of values b."""

    @property
    def num_params(self) -> int:
        """Real numbers among the parameters."""

    def check(self, params: Mapping[str, Any]) -> None:
        """Raise `InputError` unless the parameters have the names and shapes of this field."""

    def function(self, xp: ModuleType, device: Any = None) -> Callable[[Params, Any], Any]:
        """``f(params, coords (n, a)) -> values (n, b)`` in an array namespace."""


class Stored(Protocol):
    """What has parameters in a file."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes by name in the order of storage."""

    def dtypes(self) -> dict[str, np.dtype]:
        """Dtypes by name."""


class Decodable(Stored, Protocol):
    """A network as a receiver needs it: a frozen spec, and values for fixed parameters.

    `FieldDefaults` has those members that few families define themselves.
    """

    ON_DEVICES: ClassVar[bool]
    """Whether PyTorch may evaluate it on an accelerator, by `Field.function`; otherwise `decoder` alone does."""
    GROWS: ClassVar[bool]
    """Whether it has ``grown(params, rng)``, which goes on from the parameters of another width."""

    @property
    def in_features(self) -> int:
        """Number of coordinates a."""

    @property
    def out_features(self) -> int:
        """Number of values b."""

    @property
    def num_params(self) -> int:
        """Real numbers among the parameters."""

    @property
    def width(self) -> int:
        """Neurons a hidden layer."""

    @property
    def widest(self) -> int:
        """Real numbers that one sample takes where the network is widest."""

    def decoder(self, params: Params) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        """Values (n, b) at coords (n, a) on NumPy, for fixed parameters; may be called from several threads at a time.

        It may be a `GridDecoder`.
        """

    def describe(self) -> str:
        """One line for people."""

    def to_header(self) -> list[Cbor]:
        """CBOR-ready description that starts with the id of its family."""

    @property
    def work(self) -> int:
        """Multiply-adds a sample."""

    @property
    def network_params(self) -> int:
        """Parameters that are no latents, where a field is trained for a rate; the rate has to pay for them first."""

    @property
    def mlp(self) -> MLP | None:
        """The network whose layers the parameters are, or their difference to others; None where there is no such."""

    def whole(self, params: Params) -> dict[str, Any]:
        """The parameters of `mlp`."""

    def of(self, params: Params) -> Self:
        """The field that these parameters are of: an MLP becomes as narrow as they are."""


class Field(Trainable, Decodable, Protocol):
    """A network as a frozen spec and pure functions of a flat dict of parameters."""

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Fresh parameters."""

    def centre(self, params: Mapping[str, Array], mean: NDArray[np.float32]) -> dict[str, Array]:
        """Parameters that begin at the mean (b,) of the values to fit."""


class GridDecoder(Protocol):
    """A decoder that evaluates whole grids in a way of its own."""

    tile: int
    """Positions for one call of `on_grid`."""

    def __call__(self, coords: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values (n, b) at coords (n, a)."""

    def on_grid(self, axes: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Values (len(axes[0]), ..., b) at all combinations of coordinates; each axis in [-1, 1], ascending."""


class LatentGrid(Protocol):
    """A field whose tables may hold integers, which are coded without loss."""

    @property
    def tables(self) -> dict[str, Direct]:
        """How each table is coded, by name."""


class Growing(Protocol):
    """A field that `Field.GROWS`."""

    def grown(self, params: Mapping[str, Array], rng: np.random.Generator) -> dict[str, Array]:
        """Parameters that go on from those of a network of another width, and the same otherwise."""


def manifest_of(field: Stored) -> list[tuple[str, tuple[int, ...], np.dtype]]:
    """Names, shapes and dtypes in the order of storage."""
    dtypes = field.dtypes()
    return [(name, shape, dtypes[name]) for name, shape in field.shapes().items()]


class FieldDefaults:
    """What holds for a field unless its family says otherwise."""

    ON_DEVICES: ClassVar[bool] = True
    GROWS: ClassVar[bool] = False
    num_params: Any

    @property
    def work(self) -> int:
        """Multiply-adds a sample: one a parameter."""
        return int(self.num_params)

    @property
    def network_params(self) -> int:
        """None: all parameters follow the rate."""
        return 0

    @property
    def mlp(self) -> MLP | None:
        """No network whose layers the parameters are."""
        return None

    def whole(self, params: Params) -> dict[str, Any]:
        """The parameters as they are."""
        return dict(params)

    def of(self, params: Params) -> Self:
        """The field itself."""
        return self
