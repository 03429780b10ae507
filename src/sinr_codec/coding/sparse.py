"""The SINR transform: a weight tensor as a few atoms of a seeded dictionary (paper, sections 3.2 and 3.3).

A tensor is read as n vectors w of length k1. Each becomes w ~ A x, where x has s non-zeros and 2s < k1, so
that s values and s indices replace k1 weights (section 3.2). The inverse is exact: it gives the same bits on every
platform.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from sinr_codec.coding.dictionary import MAX_MAGNITUDES, atoms
from sinr_codec.errors import InputError, LimitError, quoted
from sinr_codec.types import Floats, Ints

TINY_WIDTH: Final = 50
"""A network of fewer neurons a layer is tiny: its matrices are flattened (section 3.3.2)."""

SENT: Final = "sent"
"""Kind of a learned dictionary, which is stored with its codes."""
MAX_SENT: Final = 2**15
"""Largest magnitude of its entries."""

_EXACT_FLOAT: Final = 2**53  # integers up to this magnitude are float64 numbers
_EXACT_INT: Final = 2**62  # and up to this one they are safe in int64
_GATHER_ENTRIES: Final = 1 << 20  # entries (8 MiB) of atoms expanded at a time in `reconstruct`


@dataclass(frozen=True)
class Layout:
    """The entries of a tensor that form one vector.

    axis 0: columns, vectors of length shape[0]; axis 1: rows, vectors of length shape[1]; None: the whole
    tensor in C order is one vector. With more than two dimensions the trailing ones count as one.
    """

    axis: int | None

    def __post_init__(self) -> None:
        if self.axis not in (0, 1, None):
            raise InputError(f"layout: axis {quoted(self.axis)}, expected 0, 1 or None")

    def dims(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """(k1, n): length and number of the vectors of a tensor of this shape."""
        if self.axis is None:
            return math.prod(shape), 1
        if not shape:
            raise InputError("layout: a tensor without dimensions has no rows or columns, expected axis None")
        rows, columns = shape[0], math.prod(shape[1:])
        return (rows, columns) if self.axis == 0 else (columns, rows)


def layout_of(shape: tuple[int, ...], k: int) -> Layout:
    """The vectors of a weight matrix (out, in) in a network of k neurons a layer.

    Every matrix has a side of length k - the first k x a, the hidden k x k, the last b x k - and its vectors
    lie along that side (section 3.3.1: a, k and b vectors). A tiny network (k < 50) has its matrices
    flattened (section 3.3.2). A matrix with no such side is read along its longer one, or flattened when
    that is short.
    """
    if k < TINY_WIDTH or len(shape) < 2:
        return Layout(None)
    rows, columns = shape[0], math.prod(shape[1:])
    if k not in (rows, columns):
        k = max(rows, columns)
    if k < TINY_WIDTH:
        return Layout(None)
    return Layout(0 if rows == k else 1)


def to_vectors(w: ArrayLike, layout: Layout) -> Floats:
    """The vectors of a real tensor as columns: float64 (k1, n)."""
    tensor = np.asarray(w)
    if tensor.dtype.kind == "c":
        raise InputError(f"w: {tensor.dtype}, expected a real tensor")
    k1, n = layout.dims(tensor.shape)
    matrix = tensor.reshape((n, k1) if layout.axis == 1 else (k1, n)).astype(np.float64)
    return np.ascontiguousarray(matrix.T if layout.axis == 1 else matrix)


def from_vectors(v: Floats, shape: tuple[int, ...], layout: Layout) -> Floats:
    """Inverse of `to_vectors`: columns (k1, n) to a tensor of `shape`."""
    if v.shape != layout.dims(shape):
        raise InputError(f"v: {v.shape}, expected {layout.dims(shape)} for a tensor {shape} and {layout}")
    return np.ascontiguousarray(v.T if layout.axis == 1 else v).reshape(shape)


@dataclass(frozen=True)
class SparseCode:
    """A tensor in a dictionary: per vector the atoms in the order of selection and their coefficients."""

    kind: str
    seed: int
    k2: int
    layout: Layout
    indices: Ints  # (s, n), -1 where a vector needed fewer atoms
    values: Floats  # (s, n), 0 where the index is -1
    table: Ints | None = None  # (k1, k2), a dictionary of kind "sent"


def fill_unused(indices: Ints, k2: int) -> Ints:
    """Replace every -1 by the lowest atom that its column does not use: each column becomes a set of atoms.

    The values that go with them are 0, so that a quantiser for which 0 is exact decodes to the same weights.
    """
    filled = indices.copy()
    for column in np.flatnonzero((indices < 0).any(axis=0)):
        unused = filled[:, column] < 0
        lowest = np.arange(min(len(filled), k2))
        filled[unused, column] = np.setdiff1d(lowest, filled[~unused, column])[: unused.sum()]
    return filled


def reconstruct(
    kind: str,
    seed: int,
    k2: int,
    layout: Layout,
    shape: tuple[int, ...],
    indices: Ints,
    q: Ints,
    step: float,
    offset: float,
    table: Ints | None = None,
) -> Floats:
    """Decode weights from quantised coefficients (section 3.4), to the same bits on every platform.

    w_i = step * (sum_j A_ij q_j) + offset * (sum_j A_ij), j over the atoms of the vector. Both sums are exact
    integers. They are converted to float64, the first is multiplied by step, the second by offset, and the
    products are added: in this order, each operation rounded once, to nearest even.

    Parameters
    ----------
    kind, seed, k2, layout, shape
        The dictionary and the tensor; k1 follows from layout and shape.
    indices : int64 (s, n)
        Atoms, in any order; rows with -1 take no part in either sum.
    q : int64 (s, n)
        Quantised coefficients.
    step, offset : float
        A coefficient is step * q + offset.
    table : int64 (k1, k2), optional
        The dictionary itself, of kind `SENT`, whose entries are at most `MAX_SENT`.

    Returns
    -------
    float64 tensor of `shape`. The caller rounds once to the tensor's dtype.

    Raises
    ------
    InputError
        Shapes that do not fit or indices out of range.
    LimitError
        Coefficients so large that a sum could leave int64, or an allocation that would be too large.
    """
    k1, n = layout.dims(shape)
    if indices.shape != q.shape or q.ndim != 2 or q.shape[1] != n:
        raise InputError(f"indices, q: {indices.shape} and {q.shape}, expected (s, {n}) for a tensor {shape}")
    if k1 == 0 or n == 0:
        return np.zeros(shape)
    exact = _exact_type(MAX_MAGNITUDES[kind] if table is None else MAX_SENT, q)
    last = int(indices.max(initial=0))
    if last >= k2:
        raise InputError(f"indices: atom {last}, expected 0 to {k2 - 1}")
    # A batch of vectors at a time, and of long vectors a chunk of atoms: constant streams take no memory of their own,
    # and must not take much here.
    s = len(q)
    batch, chunk = max(1, _GATHER_ENTRIES // (max(s, 1) * k1)), max(1, _GATHER_ENTRIES // k1)
    parts = [slice(first, first + batch) for first in range(0, n, batch)]
    needed = np.zeros(last + 1, bool)
    for part in parts:
        needed[np.maximum(indices[:, part], 0)] = True
    numbers = np.flatnonzero(needed)
    entries = (atoms(kind, seed, k1, k2, numbers) if table is None else table[:, numbers]).T
    place = np.cumsum(needed) - 1
    vectors = np.empty((n, k1))
    for part in parts:
        used = indices[:, part].T >= 0
        weights = np.stack([np.where(used, q[:, part].T, 0), used], axis=1).astype(exact)
        rows = place[np.maximum(indices[:, part].T, 0)]
        sums = np.zeros((len(used), 2, k1), exact)
        for first in range(0, s, chunk):
            some = slice(first, first + chunk)
            sums += weights[:, :, some] @ entries[rows[:, some]].astype(exact)
        floats = sums.astype(np.float64)
        vectors[part] = step * floats[:, 0] + offset * floats[:, 1]
    return from_vectors(vectors.T, shape, layout)


def _exact_type(magnitude: int, q: Ints) -> type[np.float64 | np.int64]:
    """The type in which sums over atoms with entries up to a magnitude and coefficients q (s, n) are exact.

    No partial sum, in any order, exceeds magnitude * s * max |q|. Up to 2^53 float64 represents all of them, with or
    without fused multiply-add, so that the fast product of floats equals that of integers.
    """
    bound = magnitude * len(q) * max(int(q.max(initial=1)), -int(q.min(initial=-1)))
    if bound > _EXACT_INT:
        raise LimitError(f"q: sums up to {bound:.3g}, expected at most 2^62")
    return np.float64 if bound <= _EXACT_FLOAT else np.int64
