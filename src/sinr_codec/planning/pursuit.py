"""Sparse codes of weight tensors by orthogonal matching pursuit."""

from sinr_codec.coding.dtypes import real
from sinr_codec.coding.sparse import SparseCode, sparse_encode
from sinr_codec.coding.tensor import Coding, Sparse, is_lossy
from sinr_codec.devices import CPU
from sinr_codec.types import Array


def code_for(w: Array, coding: Coding, device: str = CPU) -> SparseCode | None:
    """The sparse code that `encode_tensor` needs for a tensor; None for a coding, or a tensor, that has none.

    Raises what `sparse_encode` raises.
    """
    if not isinstance(coding, Sparse) or not is_lossy(w):
        return None
    return sparse_encode(
        real(w), kind=coding.kind, seed=coding.seed, k2=coding.k2, layout=coding.layout, s=coding.s, device=device
    )
