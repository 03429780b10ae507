"""All tensors of a network as records, with the decoded parameters."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from sinr_codec.coding.sparse import SparseCode
from sinr_codec.coding.tensor import Coding, decode_tensor, encode_tensor
from sinr_codec.types import Array, Params


@dataclass(frozen=True)
class Plan:
    """The coding of each tensor, its record, and the decoded parameters.

    Attributes
    ----------
    codings
        By name.
    records
        The coded tensors, in the order of the parameters; a section of the file.
    params
        The parameters that a decoder restores from the records.
    loss
        Loss of `params`; NaN where none was measured.
    codes
        Sparse codes by name.
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
    """Code every tensor, and decode the parameters from the records.

    Parameters
    ----------
    params, codings
        By name.
    codes
        The sparse code of each tensor with a sparse coding; its values are coded, not those of `params`.

    Raises what `encode_tensor` raises.
    """
    codes = codes or {}
    records = {name: encode_tensor(w, codings[name], codes.get(name)) for name, w in params.items()}
    decoded = {name: decode_tensor(records[name], w.shape, w.dtype) for name, w in params.items()}
    return Plan(codings, records, decoded, codes=codes)
