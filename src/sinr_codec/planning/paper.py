"""The plan of SINR as published, and the paper's baseline size."""

import contextlib
from collections.abc import Mapping
from typing import Final

import brotli

from sinr_codec.coding.assembled import Plan, assemble
from sinr_codec.coding.atoms import sparse_in_limits
from sinr_codec.coding.dictionary import MAX_ENTRIES
from sinr_codec.coding.dtypes import real, real_shape
from sinr_codec.coding.quantize import minmax
from sinr_codec.coding.sparse import Layout, SparseCode, layout_of
from sinr_codec.coding.tensor import Coding, Direct, Raw, Sparse, is_lossy
from sinr_codec.devices import CPU
from sinr_codec.errors import InputError
from sinr_codec.planning.pursuit import paper_sparsity, sparse_encode
from sinr_codec.types import Array, Params

PAPER_K2: Final = 65_536
"""Atoms of the paper's dictionary: the most that its 16-bit indices address. The paper prints no k2."""
PAPER_BITS: Final = 16


def plan_paper(
    params: Params,
    seed: int = 0,
    k2: int = PAPER_K2,
    s: int | None = None,
    *,
    kind: str = "gaussian",
    bits: int = PAPER_BITS,
    flatten: bool = False,
    hidden: bool = False,
    codes: Mapping[str, SparseCode | None] | None = None,
    device: str = CPU,
) -> Plan:
    """SINR as published: weight matrices by OMP, s from the width, 16-bit min-max, Brotli; biases only quantised.

    The width k of the network is the length of its longest vector, a bias, or else the longer side of each matrix
    (section 3.3.2: matrices are flattened when k < 50). A matrix that is too large for a dictionary of k2 atoms, or
    for what a reader computes, is only quantised; with `hidden`, all are that are not k x k, such as the first and the
    last, which hold few weights and most of the sensitivity.

    A pursuit takes most of the time: `codes` are those of an earlier plan with the same dictionary and s, and it works
    on a `device` (see `omp.omp`).
    """
    known = codes or {}
    found: dict[str, SparseCode | None] = {}
    codings: dict[str, Coding] = {}
    k = max((w.size for w in params.values() if w.ndim == 1), default=0)
    for name, w in params.items():
        codings[name] = Direct(bits=bits, paper=True) if is_lossy(w) else Raw()
        if is_lossy(w) and w.ndim == 2 and min(w.shape) > 0 and (w.shape == (k, k) or not hidden):
            layout = Layout(None) if flatten else layout_of(w.shape, k or max(w.shape))
            shape = real_shape(w.shape, w.dtype)
            k1, _ = layout.dims(shape)
            sparsity = min(s or paper_sparsity(k1), (k1 - 1) // 2, k2)
            if sparsity > 0 and k1 * k2 <= MAX_ENTRIES and sparse_in_limits(shape, layout, k2, sparsity):
                codings[name] = Sparse(kind, seed, k2, sparsity, layout, bits=bits, paper=True)
                found[name] = known.get(name) or sparse_encode(
                    real(w), kind=kind, seed=seed, k2=k2, s=sparsity, layout=layout, device=device
                )
    return assemble(params, codings, found)


def baseline_bytes(params: Params) -> int:
    """Bytes of the tensors by the paper's baseline for all methods: 16-bit min-max by tensor, then Brotli over all.

    Tensors that the quantiser cannot take count with their own bytes.
    """
    return len(brotli.compress(b"".join(map(_words, params.values())), quality=11))


def _words(w: Array) -> bytes:
    if is_lossy(w):
        with contextlib.suppress(InputError):  # beyond float32
            return minmax(real(w), PAPER_BITS)[0].astype("<u2").tobytes()
    return w.tobytes()
