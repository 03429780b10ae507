"""What a field is to the rest of the package."""

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

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


class Field(Trainable, Protocol):
    """A network as a frozen spec and pure functions of a flat dict of parameters."""

    @property
    def width(self) -> int:
        """Neurons a hidden layer."""

    @property
    def widest(self) -> int:
        """Real numbers that one sample takes where the network is widest."""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes by name in the order of storage."""

    def dtypes(self) -> dict[str, np.dtype[Any]]:
        """Dtypes by name."""

    def init(self, rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        """Fresh parameters."""

    def centre(self, params: Mapping[str, NDArray[Any]], mean: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Parameters that begin at the mean (b,) of the values to fit."""

    def decoder(self, params: Params) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
        """The same on NumPy, for fixed parameters; may be called from several threads at a time."""

    def describe(self) -> str:
        """One line for people."""

    def to_header(self) -> list[Any]:
        """CBOR-ready description that starts with the field's id."""
