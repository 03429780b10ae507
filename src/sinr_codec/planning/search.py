"""The atom with the largest correlation to each residual: the inner step of a pursuit.

On a CPU products are computed in float32, block by block, and only the largest correlation of each small group of atoms
is kept. Rounding in float32 is bounded, so the groups that can hold the true maximum are known, and float64 decides
among these few.

Where atoms are small integers and PyTorch is loaded, residuals and products are rounded to eight bits instead:
processors multiply bytes several times faster than floats, and that rounding is bounded as well.

On an accelerator products are in float32, for a whole batch at once.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from sinr_codec.types import AnyArray, Array, Floats, Ints

Singles = NDArray[np.float32]

_GUESS_GROUP: Final = 2  # atoms that share a maximum while steps are guessed
_GUESS_SHARE: Final = 16  # one atom of so many is a candidate for the next steps
_GUESS_COLUMNS: Final = 32  # vectors times steps that one product verifies at little more than the cost of one
_GUESS_STEPS: Final = 16  # most steps verified at once
_GUESS_ENTRIES: Final = 1 << 22  # a smaller dictionary stays in cache: nothing to gain
_BYTES_WORK: Final = 1 << 28  # multiplications a step from which it pays to measure products of bytes
_TRIALS: Final = 20  # products to measure
_TRIAL_SECONDS: Final = 0.2  # limit of the measurement
_BLOCK_BYTES: Final = 1 << 22  # products of a block of atoms, which stay in cache until they are reduced
_LEAST_BLOCK: Final = 512  # atoms, to amortise the call of a product
_CHUNK_ENTRIES: Final = 1 << 18  # float64 entries (2 MiB) of atoms expanded at a time
_DEVICE_ENTRIES: Final = 1 << 25  # the same on an accelerator (256 MiB)


def gather(atoms: AnyArray, indices: AnyArray) -> AnyArray:
    """Rows of `atoms` (k2, k1) by number, (m, t) -> float64 (m, t, k1); zeros where the number is -1."""
    xp = array_namespace(indices)
    members = xp.astype(atoms[indices], xp.float64)
    members[indices < 0] = 0.0
    return members


class Search:
    """Finds the atom of largest normalised correlation with each residual.

    Group i of a block of `count` groups holds the rows i, i + count, i + 2 count, ...: the largest of each
    group then comes from halving the product by elementwise maxima, which is as fast as memory allows.
    """

    most_steps: int
    """Steps to verify at once."""

    def __init__(self, atoms: Array, n: int) -> None:
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

    def alone(self, several: bool) -> AbstractContextManager[object]:
        """A context in which several threads search, each on one core, or one thread on all."""
        return self.products.alone(several)

    @staticmethod
    def take(vectors: Floats) -> Floats:
        """Vectors on the device of the search."""
        return vectors

    def best(self, residuals: Floats) -> tuple[Ints, Floats, Array]:
        """The best atom for each row of `residuals` (m, k1), none of which is zero; of equal ones the first.

        Returns the atoms (m,), |a.r| / |a| (m,) and the maxima of the groups, (m, groups).
        """
        maxima, least = self._maxima(at_unit(residuals))
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
        """All atoms at unit length, in float32; only while steps are guessed, since products of bytes have none."""
        assert isinstance(self.products, _Singles)
        return self.products.unit

    def unit_atoms(self, selected: Ints) -> Floats:
        """Atoms (m,) at unit length: (m, k1)."""
        return gather(self.atoms, selected) * self.inverse_norms[selected, None]

    def candidates(self, maxima: Array) -> Ints:
        """Atoms that correlate most, for each row of `maxima` (m, groups): (m, count)."""
        m, groups = maxima.shape
        count = -(-groups // _GUESS_SHARE)
        best = np.argpartition(maxima, -count, axis=1)[:, -count:]
        return np.maximum(self.members[best].reshape(m, -1), 0)

    def _maxima(self, unit_residuals: Singles) -> tuple[Array, Array]:
        """Largest |a.r| of each group, (m, groups), and the least value for the group of the true maximum, (m,)."""
        m = len(unit_residuals)
        operand: AnyArray = self.products.operand(unit_residuals)
        maxima = np.empty((m, len(self.members)), self.products.DTYPE)
        for number, groups in enumerate(self.blocks):
            _largest(self.products.absolute(number, operand), self.group, maxima[:, groups])
        return maxima, self.products.least(maxima.max(axis=1), operand)

    def _exact(self, group: Ints, residuals: Floats) -> tuple[Ints, Floats]:
        """The best atom of one group for each residual, in float64."""
        members = self.members[group]
        products = gather(self.atoms, members) @ residuals[:, :, None]
        correlations = np.abs(products[:, :, 0]) * self.inverse_norms[members]
        correlations[members < 0] = -1.0
        winner = correlations.argmax(axis=1)[:, None]
        return (
            np.take_along_axis(members, winner, axis=1)[:, 0],
            np.take_along_axis(correlations, winner, axis=1)[:, 0],
        )


def _largest(products: Array, group: int, out: Array) -> None:
    """Maximum of columns i, i + count, i + 2 count, ... into column i of `out` (m, count); overwrites `products`."""
    half = products.shape[1] // 2
    while half > out.shape[1]:
        np.maximum(products[:, :half], products[:, half : 2 * half], out=products[:, :half])
        half //= 2
    np.maximum(products[:, :half], products[:, half : 2 * half], out=out)


def at_unit(residuals: AnyArray) -> AnyArray:
    """Rows (m, k1) at unit length, in float32."""
    xp = array_namespace(residuals)
    return xp.astype(residuals / xp.linalg.vector_norm(residuals, axis=1, keepdims=True), xp.float32)


def _slack(k1: int) -> float:
    """Largest difference of two float32 products of unit vectors of length k1 that are in the wrong order.

    |fl(a.r) - a.r| <= g / (1 - g) for unit vectors that were themselves rounded to float32, whatever the order of
    summation (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1); the 8 stands for that rounding
    and for the subtraction of the slack. Values further apart than twice the bound are in the right order.
    """
    g = (k1 + 8) * 2.0**-24
    return 2 * g / (1 - g) if g < 0.5 else np.inf


def _all_at_unit(atoms: Array, inverse_norms: Floats, rows: int) -> Singles:
    """Atoms (k2, k1) at unit length, in float32, padded with zeros to `rows`."""
    unit = np.zeros((rows, atoms.shape[1]), np.float32)
    chunk = max(1, _CHUNK_ENTRIES // atoms.shape[1])
    for first in range(0, len(atoms), chunk):
        part = slice(first, min(first + chunk, len(atoms)))
        factors = inverse_norms[part, None]
        if atoms.dtype.kind == "f":  # may be out of float32's range
            unit[part] = atoms[part] * factors
        else:
            np.multiply(atoms[part], factors.astype(np.float32), out=unit[part], casting="same_kind")
    return unit


def _inverse_norms(atoms: Array) -> Floats:
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

    GROUP: Final = 16  # atoms that share one maximum; each group that may win costs a product in float64
    DTYPE: Final = np.float32

    def __init__(self, atoms: Array, inverse_norms: Floats, blocks: list[slice]) -> None:
        self.slack = np.float32(_slack(atoms.shape[1]))
        self.blocks = blocks
        self.unit = _all_at_unit(atoms, inverse_norms, blocks[-1].stop)

    @staticmethod
    def alone(_: bool) -> AbstractContextManager[object]:
        """A context in which several threads multiply, each on one core; `map_tiles` makes NumPy's."""
        return nullcontext()

    @staticmethod
    def operand(unit_residuals: Singles) -> Singles:
        """Residuals (m, k1) in the form for `absolute`."""
        return unit_residuals

    def absolute(self, block: int, operand: Singles) -> Singles:
        """|a.r| of the atoms of a block, (m, rows)."""
        products: Singles = operand @ self.unit[self.blocks[block]].T
        return np.abs(products, out=products)

    def least(self, largest: Singles, _: Singles) -> Singles:
        """The least value here of the true maximum of each vector, given the `largest` (m,) that was found."""
        return largest - self.slack


@dataclass(frozen=True)
class _Levels:
    """Residuals in 127 levels of each sign, with a step for each vector; stored plus 128 as uint8."""

    levels: AnyArray
    steps: Singles
    unit: float
    """One unit of the products."""


class _Bytes:
    """Products in bytes: atoms are small integers, residuals are in levels, and products are rounded to 127 units.

    They are computed by the linear layer of PyTorch's quantised networks (oneDNN), which multiplies, divides by the
    norms of the atoms and rounds in one call.
    """

    GROUP: Final = 4  # smaller, since the bound is wider: more groups may hold the best
    DTYPE: Final = np.uint8

    @staticmethod
    def can(atoms: Array) -> bool:
        """Whether atoms are small enough, and PyTorch is already loaded, as importing it takes seconds.

        Processors without products of bytes add two in 16 bits, 2 * 255 * 64 at most.
        """
        return (
            atoms.dtype == np.int8
            and atoms.shape[1] < 1 << 10
            and "torch" in sys.modules
            and -64 <= atoms.min() <= atoms.max() <= 64
        )

    def __init__(self, atoms: Array, inverse_norms: Floats, blocks: list[slice]) -> None:
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

        The slack covers the rounding of residuals to levels, of residuals and factors to float32, and of both products.
        """
        slack = (self.spread * (1 + 2**-10) + 2**-21 / operand.steps) / operand.unit + 1 + 2**-7
        return np.ceil(np.maximum(largest - slack, 0)).astype(np.uint8)


@cache
def _bytes_are_faster() -> bool:
    """Whether this machine multiplies bytes faster than floats; the result of a pursuit is the same either way."""
    generator = np.random.default_rng(0)
    atoms = generator.integers(-32, 32, (4096, 128)).astype(np.int8)
    residuals = at_unit(generator.standard_normal((128, 128)))

    def seconds(kind: type[_Singles | _Bytes]) -> float:
        products = kind(atoms, _inverse_norms(atoms), [slice(0, len(atoms))])
        operand: AnyArray = products.operand(residuals)
        times: list[float] = []
        with products.alone(True):
            while len(times) < _TRIALS and sum(times) < _TRIAL_SECONDS:
                began = time.perf_counter()
                products.absolute(0, operand)
                times.append(time.perf_counter() - began)
        return min(times)

    try:
        return seconds(_Bytes) < seconds(_Singles)
    except (AttributeError, RuntimeError):  # a PyTorch without oneDNN
        return False


class DeviceSearch:
    """`Search` on torch tensors on an accelerator, whose memory is fast: all products at once, then maxima."""

    GROUP = 16  # atoms in a row that share one maximum
    most_steps = 1

    def __init__(self, atoms: Array, device: str) -> None:
        import torch

        self.torch, self.device = torch, device
        self.count, k1 = atoms.shape
        inverse_norms = _inverse_norms(atoms)
        rows = -(-self.count // self.GROUP) * self.GROUP
        self.atoms, self.inverse_norms = torch.from_numpy(atoms).to(device), torch.from_numpy(inverse_norms).to(device)
        self.unit = torch.from_numpy(_all_at_unit(atoms, inverse_norms, rows)).to(device)
        self.slack = _slack(k1)

    @contextmanager
    def alone(self, _: bool) -> Iterator[None]:
        """As of `Search`; products keep the full precision of float32."""
        settings = self.torch.backends.cuda.matmul
        before, settings.fp32_precision = settings.fp32_precision, "ieee"
        try:
            yield
        finally:
            settings.fp32_precision = before

    def take(self, vectors: Floats) -> AnyArray:
        """As of `Search`."""
        return self.torch.from_numpy(vectors).to(self.device)

    def best(self, residuals: AnyArray) -> tuple[AnyArray, AnyArray, AnyArray]:
        """As of `Search`."""
        torch, m = self.torch, len(residuals)
        maxima = (at_unit(residuals) @ self.unit.T).abs_().view(m, -1, self.GROUP).amax(2)
        least = maxima.amax(1, keepdim=True) - self.slack
        vector, group = torch.nonzero(maxima >= least, as_tuple=True)
        atom, correlation = torch.empty_like(group), residuals.new_empty(len(group))
        step = max(1, _DEVICE_ENTRIES // (self.GROUP * residuals.shape[1]))
        for first in range(0, len(group), step):
            part = slice(first, first + step)
            atom[part], correlation[part] = self._exact(group[part], residuals[vector[part]])
        best = residuals.new_zeros(m).scatter_reduce(0, vector, correlation, "amax")
        atom = torch.where(correlation == best[vector], atom, self.count)
        return atom.new_full((m,), self.count).scatter_reduce(0, vector, atom, "amin"), best, maxima

    def unit_atoms(self, selected: AnyArray) -> AnyArray:
        """As of `Search`."""
        return gather(self.atoms, selected) * self.inverse_norms[selected, None]

    def _exact(self, group: AnyArray, residuals: AnyArray) -> tuple[AnyArray, AnyArray]:
        """As of `Search`."""
        members = self.GROUP * group[:, None] + self.torch.arange(self.GROUP, device=self.device)
        members = self.torch.where(members < self.count, members, -1)
        products = gather(self.atoms, members) @ residuals[:, :, None]
        correlations = products[:, :, 0].abs() * self.inverse_norms[members]
        largest = correlations.amax(1, keepdim=True)
        # Of equal ones the first: `argmax` may take any.
        first = self.torch.where((correlations == largest) & (members >= 0), members, self.count).amin(1)
        return first, largest[:, 0]
