"""Units of the weights of a matrix that differ from row to row and from column to column.

What the outputs of a network feel of a weight is about a product: of how large the input is that it multiplies, and of
how much depends on the neuron that it feeds. Neurons that are seldom at work, or never, make both differ by powers of
ten. With errors that cost f_ij each, and f_ij near r_i c_j, the fewest bits for an error follow from steps in
proportion to 1 / sqrt(r_i c_j): reverse water-filling, where all steps are small (Cover and Thomas, "Elements of
information theory", section 10.3.3). The steps are sent as quarters of octaves above the finest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from sinr_codec.errors import InputError
from sinr_codec.types import Floats, Ints

__all__ = ["MAX_EXPONENT", "PER_OCTAVE", "Scales", "scales_for"]


PER_OCTAVE: Final = 4
MAX_EXPONENT: Final = 127
"""Of a row and of a column, in quarter octaves."""

_FRACTIONS: Final = np.array([256, 304, 362, 431])  # 256 times powers of 2^(1/4)
_LEAST: Final = 1e-3  # of the mean of f, which is an estimate; nothing counts as less felt
_ROUNDS: Final = 20


@dataclass(frozen=True)
class Scales:
    """The unit of a weight is 2^((rows[i] + columns[j]) / 4) times that of the finest.

    A real tensor is a matrix with its last axis as columns; `rows` or `columns` are empty where all are alike.
    """

    rows: tuple[int, ...] = ()
    columns: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for exponents in (self.rows, self.columns):
            if exponents and not 0 <= min(exponents) <= max(exponents) <= MAX_EXPONENT:
                raise InputError(f"scales: expected exponents of 0 to {MAX_EXPONENT}")

    def exponents(self, shape: tuple[int, ...]) -> Ints:
        """Quarter octaves of each weight of a real tensor in C order, int64 (n,)."""
        rows, columns = np.array(self.rows, np.int64), np.array(self.columns, np.int64)
        total = np.zeros(matrix_of(shape), np.int64)
        if (len(rows) or len(total), len(columns) or total.shape[1]) != total.shape:
            raise InputError(f"scales: expected those of a tensor {shape}, got {len(rows)} x {len(columns)}")
        total += rows[:, None] if len(rows) else 0
        total += columns if len(columns) else 0
        return total.reshape(-1)

    def factors(self, shape: tuple[int, ...]) -> Floats:
        """Units of each weight of a real tensor, float64 of its shape: exact, 9 bits and a power of two."""
        return factors_of(self.exponents(shape)).reshape(shape)


def factors_of(exponents: Ints) -> Floats:
    """About 2^(e / 4), float64 of the shape of `exponents` and exact."""
    return np.ldexp(_FRACTIONS[exponents % PER_OCTAVE] / 256, exponents // PER_OCTAVE)


def matrix_of(shape: tuple[int, ...]) -> tuple[int, int]:
    """(rows, columns) of a real tensor."""
    return (math.prod(shape[:-1]), shape[-1]) if shape else (1, 1)


def scales_for(felt: npt.ArrayLike, rows: bool = True, columns: bool = True) -> Scales:
    """Units for weights of which an error costs as much as is `felt`, an array of the real tensor's shape.

    r and c are those that need the fewest bits: with them, f_ij / (r_i c_j) has the mean 1 in every row and column.
    """
    f = np.asarray(felt, np.float64)
    f = f.reshape(matrix_of(f.shape))
    f = f + _LEAST * float(f.mean()) + 1e-300
    r, c = np.ones(len(f)), np.ones(f.shape[1])
    for _ in range(_ROUNDS):
        if rows:
            r = (f / c).mean(1)
        if columns:
            c = (f / r[:, None]).mean(0)
    return Scales(_quarters(r) if rows else (), _quarters(c) if columns else ())


def _quarters(felt: Floats) -> tuple[int, ...]:
    steps = -0.5 * np.log2(felt)
    exponents = np.rint(PER_OCTAVE * (steps - steps.min())).astype(int)
    return tuple(np.minimum(exponents, MAX_EXPONENT).tolist()) if exponents.any() else ()
