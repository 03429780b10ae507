"""Batched orthogonal matching pursuit without a Gram matrix (paper, section 4.2).

    Tropp, Gilbert, "Signal recovery from random measurements via orthogonal matching pursuit", IEEE Trans.
    Inf. Theory 53(12), 2007.

All vectors advance together, one atom a step. Nearly all work is the product of the dictionary with the
residuals. It runs in float32, block by block, and only the largest correlation of each small group of atoms
is kept. Rounding in float32 is bounded, so the groups that can hold the true maximum are known; these few
are evaluated in float64, which decides. Everything else is float64.

Where atoms are small integers and PyTorch is loaded, residuals are rounded to eight bits instead, and so are the
products: processors multiply bytes several times faster than floats, and what that rounding can do is bounded, too.

With few vectors and a large dictionary that product is bound by reading the dictionary. Then several steps are
guessed from the atoms that were near the maximum last time, and one product verifies them all; a wrong guess is
taken back. The result is the same.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sinr_codec.errors import InputError
from sinr_codec.tiles import cores, map_tiles

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Integers = NDArray[np.int64]

_GUESS_GROUP = 2  # the same where steps are guessed: smaller, so that the best groups are the best atoms
_GUESS_SHARE = 16  # one atom of so many is a candidate for the next steps
_GUESS_COLUMNS = 32  # vectors times steps that one product verifies at hardly more than the cost of one
_GUESS_STEPS = 16  # most steps verified at once
_GUESS_ENTRIES = 1 << 22  # a smaller dictionary stays in cache: nothing to gain
_GUESS_CORRELATION = 1e-3  # a guess below is no use, and might depend on the atoms already taken
_BYTES_WORK = 1 << 28  # multiplications a step that are worth finding out whether those of bytes are faster
_TRIALS = 20  # products that tell
_TRIAL_SECONDS = 0.2  # after which no more are tried
_BLOCK_BYTES = 1 << 22  # products that a block of atoms makes: in cache until they are reduced
_LEAST_BLOCK = 512  # atoms, so that the matrix product is worth its call
_BATCH = 512  # most vectors that advance together
_SHARED = 64  # vectors a core that are worth sharing
_WORK = 1 << 25  # float64 entries (256 MiB) that the orthonormal bases of a batch may take
_CHUNK_ENTRIES = 1 << 18  # float64 entries (2 MiB) of atoms expanded at a time
_WELL_CONDITIONED = 0.7  # an atom that keeps this much of its length needs no second orthogonalisation


def omp(A: ArrayLike, W: ArrayLike, s: int, tol: float | None = None) -> tuple[Integers, Floats]:
    """Approximate each column w of W by s columns of A, chosen greedily: w ~ A[:, indices] @ values.

    Parameters
    ----------
    A : real array (k1, k2)
        Dictionary; atoms need not have unit norm. A zero atom is never chosen. Fastest in Fortran order.
    W : real array (k1, n)
        Vectors to code, any scale.
    s : int
        Atoms a vector, 0 <= s <= min(k1, k2).
    tol : float, optional
        A vector also stops when its residual's norm is at most `tol` times its own norm.

    Returns
    -------
    indices : int64 array (s, n)
        Atoms in the order of selection, so that the first t rows are the result for s = t. A vector that
        stops early (tolerance reached, or no atom reduces the residual beyond rounding) has -1 in the rest.
    values : float64 array (s, n)
        Their least-squares coefficients; 0 where the index is -1.

    Raises
    ------
    InputError
        Shapes that do not fit, entries that are not finite real numbers, s or tol out of range.
    """
    atoms, vectors = _atoms_as_rows(A), _vectors(W)
    k2, k1 = atoms.shape
    if len(vectors) != k1:
        raise InputError(f"W: vectors of length {len(vectors)}, expected {k1} as in A")
    if not 0 <= s <= min(k1, k2):
        raise InputError(f"s: {s} atoms, expected 0 to {min(k1, k2)} for a dictionary of {k1} x {k2}")
    if tol is not None and not 0 <= tol < np.inf:
        raise InputError(f"tol: {tol}, expected a number >= 0")
    n = vectors.shape[1]
    indices = np.full((s, n), -1, np.int64)
    values = np.zeros((s, n))
    if s == 0 or n == 0:
        return indices, values
    # Side by side on all cores where there are vectors for it: products of one core have no waits in between.
    threads = cores() if n >= _SHARED * cores() else 1
    batch = max(1, min(_BATCH, _WORK // (s * (k1 + s)), -(-n // threads)))
    search = _Search(atoms, batch)
    parts = [slice(first, first + batch) for first in range(0, n, batch)]

    def pursue(part: slice) -> None:
        indices[:, part], values[:, part] = _pursue(search, vectors[:, part], s, tol or 0.0)

    with search.products.alone(threads > 1):
        for _ in map_tiles(pursue, parts, threads):
            pass
    return indices, values


def solve(A: ArrayLike, W: ArrayLike, indices: ArrayLike, step: float | None = None) -> Floats:
    """Least-squares coefficients of W on given atoms; one run of `omp` at a large s serves every smaller s.

    With a step they are multiples of it, by Babai's nearest plane (1986): rounded one after the other, each making up
    for those before.

    Parameters
    ----------
    A : real array (k1, k2)
        Dictionary.
    W : real array (k1, n)
        Vectors.
    indices : integers (s, n)
        Atoms of each column, without repeats; -1 marks unused rows.
    step : float > 0, optional
        Of a quantiser of the coefficients.

    Returns
    -------
    float64 array (s, n), 0 where the index is -1.

    Raises
    ------
    InputError
        Shapes that do not fit, indices out of range, more atoms than k1.
    """
    atoms, vectors = _atoms_as_rows(A), _vectors(W)
    chosen = np.asarray(indices)
    k2, k1 = atoms.shape
    if chosen.ndim != 2 or chosen.dtype.kind not in "iu" or chosen.shape[1:] != vectors.shape[1:]:
        raise InputError(f"indices: {chosen.dtype} {chosen.shape}, expected integers (s, {vectors.shape[1]})")
    s, n = chosen.shape
    if len(vectors) != k1 or s > k1:
        raise InputError(f"A, W, indices: {k1} rows, {len(vectors)} rows and {s} atoms do not fit together")
    if chosen.size and not -1 <= chosen.min() <= chosen.max() < k2:
        raise InputError(f"indices: {chosen.min()} to {chosen.max()}, expected -1 to {k2 - 1}")
    values = np.zeros((s, n))
    if chosen.size == 0:
        return values
    # Unused rows go last, so that they leave the triangular system of the others alone.
    order = np.argsort(chosen < 0, axis=0, kind="stable")
    packed = np.take_along_axis(chosen.astype(np.int64), order, axis=0)
    batch = max(1, _WORK // (s * (k1 + s)))
    for first in range(0, n, batch):
        part = slice(first, first + batch)
        members = _gather(atoms, packed[:, part].T)
        basis, triangle = np.linalg.qr(members.transpose(0, 2, 1))
        unused = packed[:, part].T < 0
        np.einsum("mii->mi", triangle)[unused] = 1.0
        basis = np.where(unused[:, :, None], 0.0, basis.transpose(0, 2, 1))
        if step is None:
            found = _least_squares(members, vectors[:, part].T, basis, triangle)
        else:
            found = step * _nearest_plane(vectors[:, part].T / step, basis, triangle)
        np.put_along_axis(values[:, part], order[:, part], found.T, axis=0)
    return values


def _atoms_as_rows(A: ArrayLike) -> NDArray[Any]:
    matrix = np.asarray(A)
    if matrix.ndim != 2 or matrix.dtype.kind not in "biuf" or 0 in matrix.shape:
        raise InputError(f"A: {matrix.dtype} {matrix.shape}, expected a real matrix (k1, k2), not empty")
    if matrix.dtype.kind == "f" and not np.isfinite(matrix).all():
        raise InputError("A: has entries that are not finite")
    return np.ascontiguousarray(matrix.T)


def _vectors(W: ArrayLike) -> Floats:
    matrix = np.asarray(W)
    if matrix.ndim != 2 or matrix.dtype.kind not in "biuf":
        raise InputError(f"W: {matrix.dtype} {matrix.shape}, expected a real matrix (k1, n)")
    vectors = matrix.astype(np.float64)
    if not np.isfinite(vectors).all():
        raise InputError("W: has entries that are not finite")
    return vectors


def _gather(atoms: NDArray[Any], indices: Integers) -> Floats:
    """Rows of `atoms` (k2, k1) by number, (m, t) -> (m, t, k1); zeros where the number is -1."""
    members = atoms[indices].astype(np.float64)
    members[indices < 0] = 0.0
    return members


def _least_squares(members: Floats, vectors: Floats, basis: Floats, triangle: Floats) -> Floats:
    """Coefficients (m, t) of `vectors` (m, k1) on `members` (m, t, k1).

    `members` = triangle^T basis, with orthonormal rows in `basis` (m, t, k1) and `triangle` (m, t, t) upper
    triangular. One step of iterative refinement takes the rounding of the factors out.
    """

    def solved(right: Floats) -> Floats:
        return np.asarray(np.linalg.solve(triangle, basis @ right[:, :, None])[:, :, 0], np.float64)

    try:
        values = solved(vectors)
        return values + solved(vectors - (values[:, None, :] @ members)[:, 0])
    except np.linalg.LinAlgError:
        raise InputError("indices: the atoms of a vector are linearly dependent") from None


def _nearest_plane(vectors: Floats, basis: Floats, triangle: Floats) -> Floats:
    """Integer coefficients (m, t) of `vectors` (m, k1) on triangle^T basis, as `_least_squares` has them."""
    right = (basis @ vectors[:, :, None])[:, :, 0]
    levels = np.zeros_like(right)
    for i in reversed(range(right.shape[1])):
        others = (triangle[:, i, i + 1 :] * levels[:, i + 1 :]).sum(1)
        levels[:, i] = np.rint((right[:, i] - others) / triangle[:, i, i])
    return levels


class _Search:
    """Finds the atom of largest normalised correlation with each residual.

    Group i of a block of `count` groups holds the rows i, i + count, i + 2 count, ...: the largest of each
    group then comes from halving the product by elementwise maxima, which is as fast as memory allows.
    """

    most_steps: int
    """Steps worth verifying at once."""

    def __init__(self, atoms: NDArray[Any], n: int) -> None:
        k2 = len(atoms)
        self.most_steps = 1 if atoms.size < _GUESS_ENTRIES else min(_GUESS_STEPS, max(1, _GUESS_COLUMNS // n))
        self.atoms = atoms
        self.inverse_norms = _inverse_norms(atoms)
        worth = self.most_steps == 1 and atoms.size * n >= _BYTES_WORK
        products: type[_Singles | _Bytes] = _Bytes if worth and _Bytes.can(atoms) and _bytes_are_faster() else _Singles
        self.group = group = products.GROUP if self.most_steps == 1 else _GUESS_GROUP
        groups = -(-k2 // group)
        self.members = np.empty((groups, group), np.int64)
        self.blocks: list[slice] = []  # of groups
        rows: list[slice] = []  # of the atoms of each block
        entries = _BLOCK_BYTES // np.dtype(products.DTYPE).itemsize
        per_block = max(_LEAST_BLOCK, entries // (n * self.most_steps)) // group
        for first in range(0, groups, per_block):
            count = min(per_block, groups - first)
            block = slice(first, first + count)
            self.blocks.append(block)
            rows.append(slice(first * group, (first + count) * group))
            self.members[block] = np.arange(rows[-1].start, rows[-1].stop).reshape(group, count).T
        self.members[self.members >= k2] = -1
        self.products = products(atoms, self.inverse_norms, rows)

    def best(self, residuals: Floats) -> tuple[Integers, Floats, NDArray[Any]]:
        """The best atom for each row of `residuals` (m, k1), none of which is zero; of equal ones the first.

        Returns the atoms (m,), |a.r| / |a| (m,) and the maxima of the groups, (m, groups).
        """
        maxima, least = self._maxima(_unit(residuals))
        vector, group = np.divmod(np.flatnonzero(maxima >= least[:, None]), maxima.shape[1])
        atom = np.empty(len(group), np.int64)
        correlation = np.empty(len(group))
        step = max(1, _CHUNK_ENTRIES // (self.group * residuals.shape[1]))
        for first in range(0, len(group), step):
            part = slice(first, first + step)
            atom[part], correlation[part] = self._exact(group[part], residuals[vector[part]])
        order = np.lexsort((atom, -correlation, vector))
        winners = order[np.unique(vector[order], return_index=True)[1]]
        return atom[winners], correlation[winners], maxima

    @property
    def unit(self) -> Singles:
        """All atoms at unit length, in float32; where steps are guessed, for products of bytes have none."""
        assert isinstance(self.products, _Singles)
        return self.products.unit

    def unit_atoms(self, chosen: Integers) -> Floats:
        """Atoms (m,) at unit length: (m, k1)."""
        return _gather(self.atoms, chosen) * self.inverse_norms[chosen, None]

    def candidates(self, maxima: NDArray[Any]) -> Integers:
        """Atoms that correlate most, for each row of `maxima` (m, groups): (m, count)."""
        m, groups = maxima.shape
        count = -(-groups // _GUESS_SHARE)
        best = np.argpartition(maxima, -count, axis=1)[:, -count:]
        return np.maximum(self.members[best].reshape(m, -1), 0)

    def _maxima(self, unit_residuals: Singles) -> tuple[NDArray[Any], NDArray[Any]]:
        """Largest |a.r| of each group, (m, groups); and how much the group of the largest of all has at least, (m,)."""
        m = len(unit_residuals)
        operand: Any = self.products.operand(unit_residuals)
        maxima = np.empty((m, len(self.members)), self.products.DTYPE)
        for number, groups in enumerate(self.blocks):
            _largest(self.products.absolute(number, operand), self.group, maxima[:, groups])
        return maxima, self.products.least(maxima.max(axis=1), operand)

    def _exact(self, group: Integers, residuals: Floats) -> tuple[Integers, Floats]:
        """The best atom of one group for each residual, in float64."""
        members = self.members[group]
        products = _gather(self.atoms, members) @ residuals[:, :, None]
        correlations = np.abs(products[:, :, 0]) * self.inverse_norms[members]
        correlations[members < 0] = -1.0
        winner = correlations.argmax(axis=1)[:, None]
        return (
            np.take_along_axis(members, winner, axis=1)[:, 0],
            np.take_along_axis(correlations, winner, axis=1)[:, 0],
        )


def _largest(products: NDArray[Any], group: int, out: NDArray[Any]) -> None:
    """Of columns i, i + count, i + 2 count, ... the largest, into column i of `out` (m, count); takes `products`."""
    half = products.shape[1] // 2
    while half > out.shape[1]:
        np.maximum(products[:, :half], products[:, half : 2 * half], out=products[:, :half])
        half //= 2
    np.maximum(products[:, :half], products[:, half : 2 * half], out=out)


def _unit(residuals: Floats) -> Singles:
    return (residuals / np.linalg.norm(residuals, axis=1, keepdims=True)).astype(np.float32)


def _inverse_norms(atoms: NDArray[Any]) -> Floats:
    """1 / |a| for each row, 0 for zero rows; no square overflows or underflows."""
    inverse = np.empty(len(atoms))
    chunk = max(1, _CHUNK_ENTRIES // atoms.shape[1])
    for first in range(0, len(atoms), chunk):
        rows = atoms[first : first + chunk].astype(np.float64)
        largest = np.ones(len(rows))
        if atoms.dtype.kind == "f":
            largest = np.abs(rows).max(axis=1)
            largest[largest == 0] = 1.0
            rows /= largest[:, None]
        norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        inverse[first : first + chunk] = np.divide(1.0 / largest, norms, out=np.zeros(len(rows)), where=norms > 0)
    return inverse


class _Singles:
    """Products of unit atoms and unit residuals in float32."""

    GROUP = 16  # atoms that share one maximum; each group that may win costs a product in float64
    DTYPE = np.float32

    def __init__(self, atoms: NDArray[Any], inverse_norms: Floats, blocks: list[slice]) -> None:
        k2, k1 = atoms.shape
        # |fl(a.r) - a.r| <= g / (1 - g) for unit vectors that were themselves rounded to float32, whatever
        # the order of summation (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1); the 8
        # stands for that rounding and for the subtraction in `least`. Values further apart than twice the
        # bound are in the right order.
        g = (k1 + 8) * 2.0**-24
        self.slack = np.float32(2 * g / (1 - g) if g < 0.5 else np.inf)
        self.blocks = blocks
        self.unit = np.zeros((blocks[-1].stop, k1), np.float32)
        chunk = max(1, _CHUNK_ENTRIES // k1)
        for first in range(0, k2, chunk):
            part = slice(first, min(first + chunk, k2))
            factors = inverse_norms[part, None]
            if atoms.dtype.kind == "f":  # may be out of float32's range
                self.unit[part] = atoms[part] * factors
            else:
                np.multiply(atoms[part], factors.astype(np.float32), out=self.unit[part], casting="same_kind")

    @staticmethod
    def alone(_: bool) -> AbstractContextManager[Any]:
        """Surroundings in which several threads multiply, each on one core; those of NumPy are made by `map_tiles`."""
        return nullcontext()

    @staticmethod
    def operand(unit_residuals: Singles) -> Singles:
        """What is multiplied, of residuals (m, k1)."""
        return unit_residuals

    def absolute(self, block: int, operand: Singles) -> Singles:
        """|a.r| of the atoms of a block, (m, rows)."""
        products: Singles = operand @ self.unit[self.blocks[block]].T
        return np.abs(products, out=products)

    def least(self, largest: Singles, _: Singles) -> Singles:
        """The least that the true best of each vector can have here, where `largest` (m,) was found."""
        return largest - self.slack


@dataclass(frozen=True)
class _Levels:
    """Residuals in 127 levels of each sign, each with a step of its own, plus 128 as uint8."""

    levels: Any
    steps: Singles
    unit: float
    """One unit of the products."""


class _Bytes:
    """The same in bytes: atoms of small integers as they are, residuals in levels, and products rounded to 127 units.

    With the linear layer of PyTorch's quantised networks (oneDNN), which multiplies, divides by the lengths of the
    atoms and rounds in one go.
    """

    GROUP = 4  # smaller, since the bound is wider: more groups may hold the best
    DTYPE = np.uint8

    @staticmethod
    def can(atoms: NDArray[Any]) -> bool:
        """Whether atoms are small enough, and PyTorch is loaded; importing it takes seconds.

        Processors without products of bytes add two in 16 bits, 2 * 255 * 64 at most.
        """
        return (
            atoms.dtype == np.int8
            and atoms.shape[1] < 1 << 10
            and "torch" in sys.modules
            and -64 <= atoms.min() <= atoms.max() <= 64
        )

    def __init__(self, atoms: NDArray[Any], inverse_norms: Floats, blocks: list[slice]) -> None:
        import torch

        self.torch = torch
        rows, k1 = blocks[-1].stop, atoms.shape[1]
        padded = np.zeros((rows, k1), np.int8)
        padded[: len(atoms)] = atoms
        factors = np.ones(rows, np.float32)
        np.copyto(factors[: len(atoms)], inverse_norms, where=inverse_norms > 0, casting="same_kind")
        self.blocks = [
            (
                torch.ops.onednn.qlinear_prepack(torch.from_numpy(padded[part]), None),
                torch.from_numpy(factors[part]),
                torch.zeros(part.stop - part.start, dtype=torch.int32),
            )
            for part in blocks
        ]
        # |a.(r / step - q)| / |a|_2 <= |a|_1 / 2 |a|_2, of which this is twice the largest
        self.spread = float((np.abs(padded).sum(axis=1, dtype=np.int32) * factors).max())

    @contextmanager
    def alone(self, several: bool) -> Iterator[None]:
        """As of `_Singles`."""
        before = self.torch.get_num_threads()
        self.torch.set_num_threads(1 if several else before)
        try:
            yield
        finally:
            self.torch.set_num_threads(before)

    def operand(self, unit_residuals: Singles) -> _Levels:
        """As of `_Singles`."""
        steps = np.abs(unit_residuals).max(axis=1) / 127
        levels = np.rint(unit_residuals / steps[:, None])
        # |a.q| / |a| <= |q|, so no product is above 127 units.
        unit = float(np.linalg.norm(levels, axis=1).max()) / 127
        return _Levels(self.torch.from_numpy((levels + 128).astype(np.uint8)), steps, unit)

    def absolute(self, block: int, operand: _Levels) -> NDArray[np.uint8]:
        """As of `_Singles`, in units."""
        atoms, factors, zeros = self.blocks[block]
        products = self.torch.ops.onednn.qlinear_pointwise(
            *(operand.levels, 1.0, 128, atoms, factors, zeros, None, operand.unit, 0, self.torch.int8, "none", [], "")
        ).numpy()
        return np.abs(products, out=products).view(np.uint8)

    def least(self, largest: NDArray[np.uint8], operand: _Levels) -> NDArray[np.uint8]:
        """As of `_Singles`, in units: two products are in order if they differ by more than the slack.

        It holds the rounding of residuals to levels, that of residuals and factors to float32, and half a unit twice.
        """
        slack = (self.spread * (1 + 2**-10) + 2**-21 / operand.steps) / operand.unit + 1 + 2**-7
        return np.ceil(np.maximum(largest - slack, 0)).astype(np.uint8)


@cache
def _bytes_are_faster() -> bool:
    """Whether this machine multiplies bytes faster than floats; the result of a pursuit is the same."""
    generator = np.random.default_rng(0)
    atoms = generator.integers(-32, 32, (4096, 128)).astype(np.int8)
    residuals = _unit(generator.standard_normal((128, 128)))

    def seconds(kind: type[_Singles | _Bytes]) -> float:
        products = kind(atoms, _inverse_norms(atoms), [slice(0, len(atoms))])
        operand: Any = products.operand(residuals)
        times: list[float] = []
        with products.alone(True):
            while len(times) < _TRIALS and sum(times) < _TRIAL_SECONDS:
                began = time.perf_counter()
                products.absolute(0, operand)
                times.append(time.perf_counter() - began)
        return min(times)

    try:
        return seconds(_Bytes) < seconds(_Singles)
    except (AttributeError, NotImplementedError, RuntimeError):  # a PyTorch without oneDNN
        return False


class _State:
    """Vectors that advance together, after t atoms each; every array has one row a vector."""

    def __init__(self, vectors: Floats, s: int, tol: float) -> None:
        m, k1 = vectors.shape
        norms = np.linalg.norm(vectors, axis=1)
        self.columns = np.arange(m)
        self.vectors = vectors
        self.residuals = vectors.copy()
        # What rounding leaves of a residual that should be zero, or orthogonal to an atom.
        self.noise = 8 * (k1 + 16) * float(np.finfo(np.float64).eps) * norms
        self.goal = np.maximum(tol * norms, self.noise)
        self.indices = np.full((m, s), -1, np.int64)
        self.basis = np.zeros((m, s, k1))
        self.triangle = np.zeros((m, s, s))
        self.candidates = np.empty((m, 0), np.int64)  # atoms to guess from

    def __len__(self) -> int:
        return len(self.columns)

    def subset(self, rows: NDArray[np.bool_]) -> "_State":
        part = object.__new__(_State)
        part.__dict__.update({name: array[rows] for name, array in self.__dict__.items()})
        return part

    def append(self, t: int, chosen: Integers, unit_atoms: Floats) -> None:
        """Take atom t: extend the orthonormal basis by Gram-Schmidt, then project the residual.

        To take steps back, restore `residuals` and append at the earlier t again.
        """
        done = self.basis[:, :t]
        rest = unit_atoms[:, :, None]
        along = done @ rest
        rest = rest - done.transpose(0, 2, 1) @ along
        length = np.linalg.norm(rest, axis=1, keepdims=True)
        if (length < _WELL_CONDITIONED).any():
            # Twice is enough (Kahan, Parlett): a second pass restores orthogonality to rounding.
            again = done @ rest
            along += again
            rest -= done.transpose(0, 2, 1) @ again
            length = np.linalg.norm(rest, axis=1, keepdims=True)
        direction = (rest / length)[:, :, 0]
        self.indices[:, t] = chosen
        self.basis[:, t] = direction
        self.triangle[:, :t, t] = along[:, :, 0]
        self.triangle[:, t, t] = length[:, 0, 0]
        along_direction = (self.residuals * direction).sum(axis=1, keepdims=True)
        self.residuals = self.residuals - along_direction * direction

    def finished(self) -> NDArray[np.bool_]:
        return np.linalg.norm(self.residuals, axis=1) <= self.goal

    def values(self, search: _Search, t: int) -> Floats:
        """Least-squares coefficients (m, t) of the first t atoms."""
        chosen = self.indices[:, :t]
        triangle = self.triangle[:, :t, :t] / search.inverse_norms[chosen][:, None, :]
        return _least_squares(_gather(search.atoms, chosen), self.vectors, self.basis[:, :t], triangle)


def _guess(state: _State, search: _Search, t: int, steps: int) -> tuple[list[Integers], list[Floats]]:
    """Advance `state` from t by up to `steps` steps, choosing among its candidates alone.

    Returns the atoms (m,) of each step, and the residuals (m, k1) before each step and after the last. It stops
    short of a step that finishes a vector.
    """
    guesses: list[Integers] = []
    residuals = [state.residuals]
    if steps <= 0:
        return guesses, residuals
    rows = search.unit[state.candidates]
    for _ in range(steps):
        correlations = np.abs(rows @ _unit(state.residuals)[:, :, None])[:, :, 0]
        place = correlations.argmax(axis=1)[:, None]
        if np.take_along_axis(correlations, place, axis=1).min() < _GUESS_CORRELATION:
            break
        chosen = np.take_along_axis(state.candidates, place, axis=1)[:, 0]
        state.append(t + len(guesses), chosen, search.unit_atoms(chosen))
        if state.finished().any():
            break
        guesses.append(chosen)
        residuals.append(state.residuals)
    return guesses, residuals


def _pursue(search: _Search, W: Floats, s: int, tol: float) -> tuple[Integers, Floats]:
    """`omp` for one batch of vectors."""
    n = W.shape[1]
    indices = np.full((s, n), -1, np.int64)
    values = np.zeros((s, n))
    # Powers of two change no mantissa: the result does not depend on the scale of W, however small.
    exponents = np.frexp(np.abs(W).max(axis=0))[1]
    state = _State(np.ascontiguousarray(np.ldexp(W, -exponents).T), s, tol)

    def retire(rows: NDArray[np.bool_], t: int) -> _State:
        """Store the results of the vectors that stop after t atoms; the others remain."""
        if not rows.any():
            return state
        done = state.subset(rows)
        if t:
            indices[:t, done.columns] = done.indices[:, :t].T
            values[:t, done.columns] = np.ldexp(done.values(search, t).T, exponents[done.columns])
        return state.subset(~rows)

    t = steps = 0
    while t < s:
        state = retire(state.finished(), t)
        m = len(state)
        if not m:
            break
        guesses, residuals = _guess(state, search, t, min(steps, s - t - 1))
        best, correlation, maxima = search.best(np.concatenate(residuals))
        best, correlation = best.reshape(-1, m), correlation.reshape(-1, m)
        # Guesses count as far as they are right; the step after them is known as well.
        right = 0
        while right < len(guesses) and (
            (best[right] == guesses[right]).all() and (correlation[right] > state.noise).all()
        ):
            right += 1
        t += right
        state.residuals = residuals[right]
        steps = min(search.most_steps - 1, 2 * right + 1)
        if steps:
            state.candidates = search.candidates(maxima[right * m : (right + 1) * m])
        finished = correlation[right] <= state.noise
        state, chosen = retire(finished, t), best[right][~finished]
        if not len(state):
            break
        state.append(t, chosen, search.unit_atoms(chosen))
        t += 1
    retire(np.ones(len(state), bool), s)
    return indices, values
