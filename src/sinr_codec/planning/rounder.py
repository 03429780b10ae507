"""The contract of a rounder: weights on the grids of their codings, chosen together."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from sinr_codec.coding.sparse import SparseCode
from sinr_codec.coding.tensor import Direct, Sparse
from sinr_codec.types import Array, Floats, Params


class Rounded(NamedTuple):
    """What a `Rounder` makes of parameters.

    Attributes
    ----------
    params
        All of them; those that have a coding are what it can represent.
    codes
        Of those that have a sparse one: values on the grid of the coding.
    left
        By name, of each weight as real numbers, the share that is left of the loss that coding it by itself would add.
    """

    params: dict[str, Array]
    codes: dict[str, SparseCode]
    left: dict[str, Floats]


class Rounder(Protocol):
    """Weights on the grids of their codings, chosen together for what the network puts out (`fit.rounding`)."""

    def __call__(
        self, params: Params, codings: Mapping[str, Direct | Sparse], progress: Callable[[float], None] | None = None
    ) -> Rounded:
        """Round those named by `codings`. `progress` is called with the share of the work that is done."""
