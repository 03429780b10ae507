"""The contract of a rounder: weights on the grids of their codings, chosen together."""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

from sinr_codec.coding.sparse import SparseCode
from sinr_codec.coding.tensor import Direct, Sparse
from sinr_codec.types import Array, Floats, Params


class Rounded(NamedTuple):
    """The result of a `Rounder`.

    Attributes
    ----------
    params
        All parameters; those with a coding are on its grid.
    codes
        The sparse codes of those with a sparse coding, with values on its grid.
    left
        By name, for each weight as real numbers, the remaining share of the loss that coding it by itself would add.
    """

    params: dict[str, Array]
    codes: dict[str, SparseCode]
    left: dict[str, Floats]


class Rounder(Protocol):
    """Puts weights on the grids of their codings, all together for the outputs of the network (`fit.rounding`)."""

    def __call__(
        self, params: Params, codings: Mapping[str, Direct | Sparse], progress: Callable[[float], None] | None = None
    ) -> Rounded:
        """Round the parameters named by `codings`. `progress` is called with the share of the work that is done."""
