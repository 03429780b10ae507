"""All tensors of a network as records, and what a decoder gets from them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from sinr_codec.coding.sparse import SparseCode
from sinr_codec.coding.tensor import Coding, decode_tensor, encode_tensor
from sinr_codec.types import Array, Params


@dataclass(frozen=True)
class Plan:
    """The coding chosen for each tensor, and what came of it.

    Attributes
    ----------
    codings
        By name.
    records
        The coded tensors, in the order of the parameters: what a section of the file holds.
    params
        What a decoder gets from them.
    loss
        Measured on `params`; NaN where there was nothing to measure with.
    codes
        The sparse codes of those tensors that have one.
    """

    codings: dict[str, Coding]
    records: dict[str, bytes]
    params: dict[str, Array]
    loss: float = math.nan
    codes: Mapping[str, SparseCode | None] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Size of all records."""
        return sum(map(len, self.records.values()))


def assemble(params: Params, codings: dict[str, Coding], codes: Mapping[str, SparseCode | None] | None = None) -> Plan:
    """Code every tensor as decided; what the decoder gets is decoded from the records themselves.

    Parameters
    ----------
    params, codings
        By name.
    codes
        Sparse codes that are known already, by name; their values count, not those of `params`.
    """
    codes = codes or {}
    records = {name: encode_tensor(w, codings[name], codes.get(name)) for name, w in params.items()}
    decoded = {name: decode_tensor(records[name], w.shape, w.dtype) for name, w in params.items()}
    return Plan(codings, records, decoded, codes=codes)
