"""The interfaces of fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from sinr_codec.types import AnyArray, Array, Cbor

if TYPE_CHECKING:
    from sinr_codec.coding.tensor import Direct
    from sinr_codec.fields.mlp import MLP

Params = Mapping[str, AnyArray]


class Shaped(Protocol):
    """What a network takes and gives."""

    @property
    def in_features(self) -> int:
        """Number of coordinates a."""

    @property
    def out_features(self) -> int:
        """Number of values b."""

    @property
    def num_params(self) -> int:
        """Number of real parameters."""


class Trainable(Shaped, Protocol):
    """A function that can be fitted to a signal from given parameters."""

    def check(self, params: Params) -> None:
        """Raise `InputError` unless the parameters have the names and shapes of this field."""

    def function(self, xp: ModuleType, device: object = None) -> Callable[[Params, AnyArray], AnyArray]:
        """``f(params, coords (n, a)) -> values (n, b)`` in an array namespace."""


class Stored(Protocol):
    """Names, shapes and dtypes of the parameters in a file."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes by name, in storage order."""

    def dtypes(self) -> dict[str, np.dtype]:
        """Dtypes by name."""


class Decodable(Shaped, Stored, Protocol):
    """A network for decoding: a frozen spec, and evaluation with fixed parameters.

    `FieldDefaults` has defaults for the members that few families define.
    """

    ON_DEVICES: ClassVar[bool]
    """Whether PyTorch may evaluate the field on an accelerator by `Field.function`; otherwise only by `decoder`."""
    INTEGERS: ClassVar[bool]
    """Whether the field consists of integers, so that every evaluation gives the same bits on every machine."""
    EXACT: ClassVar[bool]
    """Whether a field of floats is an `Exact` one."""
    GROWS: ClassVar[bool]
    """Whether the field has ``grown(params, rng)``, which adapts the parameters of another width."""

    @property
    def width(self) -> int:
        """Neurons a hidden layer."""

    @property
    def widest(self) -> int:
        """Real numbers of a sample in the widest layer."""

    def decoder(self, params: Params) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        """A thread-safe NumPy function with fixed parameters: coords (n, a) -> values (n, b).

        It may be a `GridDecoder`.
        """

    def describe(self) -> str:
        """One-line description for users."""

    def to_header(self) -> list[Cbor]:
        """CBOR-ready description that starts with the family's id."""

    @property
    def work(self) -> int:
        """Multiply-adds a sample."""

    @property
    def neurons(self) -> int:
        """Evaluations of an activation for a sample."""

    @property
    def network_params(self) -> int:
        """Number of parameters that are not latents, in a field trained for a rate; their bits are part of the rate."""

    @property
    def mlp(self) -> MLP | None:
        """The network that the parameters, or their differences from a base, belong to; None for other fields."""

    def whole(self, params: Params) -> dict[str, AnyArray]:
        """The parameters of `mlp`."""

    def of(self, params: Params) -> Self:
        """The field for these parameters: an MLP takes their width."""


class Field(Trainable, Decodable, Protocol):
    """A network: a frozen spec, and pure functions of a flat dict of parameters."""

    def init(self, rng: np.random.Generator) -> dict[str, Array]:
        """Initial parameters."""

    def centre(self, params: Mapping[str, Array], mean: NDArray[np.float32]) -> dict[str, Array]:
        """Parameters whose output starts at the mean (b,) of the values to fit."""


class GridDecoder(Protocol):
    """A decoder with a separate method for whole grids."""

    tile: int
    """Positions in one call of `on_grid`."""

    def __call__(self, coords: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values (n, b) at coords (n, a)."""

    def on_grid(self, axes: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Values (len(axes[0]), ..., b) at all combinations of coordinates; each axis in [-1, 1], ascending."""


class TiledDecoder(GridDecoder, Protocol):
    """A `GridDecoder` whose values depend on the spacing of a grid, and so on its whole axes."""

    def over(self, axes: Sequence[NDArray[np.float32]]) -> GridDecoder:
        """The decoder for tiles of the grid with these axes."""


class Exact(Protocol):
    """A field with an evaluation by integers, which gives the same bits on every machine (`fields.exact`)."""

    def is_exact(self, params: Params) -> bool:
        """Whether these parameters are small enough for it."""

    def exact(self, xp: ModuleType, params: Params, device: object = None) -> Callable[[AnyArray], AnyArray]:
        """``f(coords (n, a)) -> values (n, b)`` with fixed parameters, NumPy arrays, in an array namespace.

        Raises
        ------
        MalformedError
            A parameter is too large.
        """


class LatentGrid(Protocol):
    """A field with tables that may hold integers, which are coded losslessly."""

    @property
    def tables(self) -> dict[str, Direct]:
        """Coding of each table, by name."""


class Growing(Protocol):
    """A field with `Field.GROWS`."""

    def grown(self, params: Mapping[str, Array], rng: np.random.Generator) -> dict[str, Array]:
        """Parameters that continue from those of the same network at another width."""


def manifest_of(field: Stored) -> list[tuple[str, tuple[int, ...], np.dtype]]:
    """Names, shapes and dtypes, in storage order."""
    dtypes = field.dtypes()
    return [(name, shape, dtypes[name]) for name, shape in field.shapes().items()]


class FieldDefaults:
    """Defaults for members of a field."""

    ON_DEVICES: ClassVar[bool] = True
    INTEGERS: ClassVar[bool] = False
    EXACT: ClassVar[bool] = False
    GROWS: ClassVar[bool] = False
    num_params: Any

    @property
    def work(self) -> int:
        """Multiply-adds a sample: one for each parameter."""
        return int(self.num_params)

    @property
    def neurons(self) -> int:
        """None beside the multiply-adds."""
        return 0

    @property
    def network_params(self) -> int:
        """0: all parameters scale with the rate."""
        return 0

    @property
    def mlp(self) -> MLP | None:
        """None: there is no such network."""
        return None

    def whole(self, params: Params) -> dict[str, AnyArray]:
        """The parameters, unchanged."""
        return dict(params)

    def of(self, params: Params) -> Self:
        """The field itself."""
        return self
