"""A tensor of a plan: its sensitivity, its candidate codings and their costs."""

import math
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from sinr_codec.coding.atoms import sparse_in_limits
from sinr_codec.coding.dictionary import MEAN_SQUARES
from sinr_codec.coding.dtypes import real
from sinr_codec.coding.quantize import MAX_STEP, MIN_STEP, round_step
from sinr_codec.coding.scales import Scales, scales_for
from sinr_codec.coding.sparse import SparseCode, layout_of, to_vectors
from sinr_codec.coding.tensor import Coding, Direct, Raw, Sparse, direct_cost, sparse_cost
from sinr_codec.coding.trellis import SQUARED_ERROR
from sinr_codec.planning.pursuit import as_noise, sparse_codes
from sinr_codec.types import Array

UNUSED: Final = 1e-200
"""Sensitivity of a tensor without influence on the loss."""

_SLOPE: Final = 6 / (8 * math.log(2))  # bytes per unit of loss at kappa = 1, as -d(bytes)/d(step) = n / (8 ln 2 step)
_TRELLIS_STEP: Final = math.sqrt(1 / (12 * SQUARED_ERROR))  # times the step of a uniform quantiser, for an equal error
_LEAST_POWER: Final = 1e-250  # least mean square of a tensor that is quantised
_LEAST_MATRIX: Final = 256  # elements of the smallest matrix for which a dictionary may pay
_MAX_DICTIONARY: Final = 1 << 26  # entries of a dictionary that is worth searching


@dataclass
class PlannedTensor:
    """A tensor with its sensitivity (loss per squared error of the weights) and its sparse codes."""

    name: str
    w: Array
    sensitivity: float
    sparse: list[SparseCode] = field(default_factory=list)
    scales: Scales | None = None  # of the direct codings
    scaled: float = 1.0  # sensitivity to errors in units of the scales, over that to errors in the weights
    trellis: bool = True  # whether levels may follow one
    dense: bool = True  # whether there are candidates without a dictionary

    def cheapest(self, kappa: float) -> tuple[Coding, SparseCode | None]:
        """The candidate of least cost at the slope that `kappa` stands for."""
        return min(self.candidates(kappa), key=lambda candidate: candidate[0])[1:]

    def candidates(self, kappa: float) -> list[tuple[float, Coding, SparseCode | None]]:
        """(bytes + loss in units of bytes, coding, its sparse code) of all candidates."""
        price = self.sensitivity * _SLOPE / kappa**2
        choices: list[tuple[float, Coding, SparseCode | None]] = []
        if self.dense:
            choices = [(_raw_bytes(self.w), Raw(), None)]
            for trellis, per_kappa in ((False, 1.0), (True, _TRELLIS_STEP))[: 1 + self.trellis]:
                step = round_step(per_kappa * self._step(kappa, self.scaled))
                size, error = direct_cost(self.w, step, trellis, self.scales)
                coding = Direct(step=step, trellis=trellis, scales=self.scales)
                choices.append((size + self.scaled * price * error, coding, None))
        for code in self.sparse:
            step = self._step(kappa, _atom_power(code, self.w.shape))
            size, error = sparse_cost(code, self.w, step)
            sparse = Sparse(code.kind, code.seed, code.k2, len(code.indices), code.layout, step=step)
            choices.append((size + price * error, sparse, code))
        return choices

    def error(self, coding: Coding, moved: Array) -> float:
        """Squared error of weights decoded from `coding`, in the units that the sensitivity counts."""
        wide = wide_type(self.w)
        difference = real(moved.astype(wide) - self.w.astype(wide))
        if isinstance(coding, Direct) and coding.scales is not None:
            return self.scaled * float(np.sum((difference / coding.scales.factors(difference.shape)) ** 2))
        return float(np.sum(difference**2))

    def with_scales(self, kappa: float, felt: Array) -> tuple["PlannedTensor", float]:
        """The tensor with the best scales, by rows, columns, both or none, and the cost that they save.

        The cost is bytes plus loss in units of bytes, as in `candidates`, and includes the bytes of the scales.
        """
        choices = [self]
        for rows, columns in ((True, False), (False, True), (True, True)):
            scales = scales_for(felt, rows, columns)
            if scales != Scales():
                units = scales.factors(felt.shape)
                scaled = float(np.mean(felt * units**2)) / max(float(np.mean(felt)), 1e-300)
                choices.append(replace(self, scales=scales, scaled=scaled))
        costs = [min(cost for cost, *_ in replace(choice, trellis=False).candidates(kappa)) for choice in choices]
        return choices[int(np.argmin(costs))], costs[0] - min(costs)

    def add_sparse(self, k2s: tuple[int, ...], seed: int, device: str, only: bool) -> None:
        """Find sparse codes of a matrix in each dictionary; with `only`, a square one has no other candidates.

        A pursuit is expensive and rarely pays: see `pursuit.as_noise`.
        """
        if self.w.ndim != 2 or self.w.dtype.kind == "c" or self.w.size < _LEAST_MATRIX:
            return
        layout = layout_of(self.w.shape, max(self.w.shape))
        vectors = to_vectors(self.w, layout)
        k1 = len(vectors)
        for k2 in k2s:
            if k2 <= k1 or k1 * k2 > _MAX_DICTIONARY or not sparse_in_limits(self.w.shape, layout, k2, (k1 - 1) // 2):
                continue
            if only or not as_noise(vectors, k2, seed, device):
                self.sparse += sparse_codes(vectors, k2, seed, layout, device)
        self.dense = not (only and self.sparse and self.w.shape[0] == self.w.shape[1])

    def _step(self, kappa: float, power: float = 1.0) -> float:
        """The step of numbers whose squared errors count `power` times in the squared error of the weights."""
        coarsest = 2 * float(np.abs(self.w).max()) or 1.0
        step = kappa / math.sqrt(max(self.sensitivity * power, UNUSED))
        return round_step(min(max(step, MIN_STEP), coarsest, MAX_STEP))


def mean_square(w: Array) -> float:
    """Mean square of the elements; 0 where it, or values derived from it, would leave the range of float64."""
    with np.errstate(over="ignore"):
        power = float(np.mean(np.abs(w.astype(wide_type(w))) ** 2))
    return power if _LEAST_POWER < power < math.inf else 0.0


def wide_type(w: Array) -> type[np.generic]:
    """The type for computing with a tensor: float64 or complex128."""
    return np.complex128 if w.dtype.kind == "c" else np.float64


def _raw_bytes(w: Array) -> float:
    return w.nbytes + 3.0


def _atom_power(code: SparseCode, shape: tuple[int, ...]) -> float:
    """Mean squared norm of the dictionary's atoms."""
    k1, _ = code.layout.dims(shape)
    return k1 * MEAN_SQUARES[code.kind]
