"""Quantisation units of the weights of a matrix that differ by row and column.

The sensitivity of the outputs to a weight is roughly a product of two factors: the size of the input that it
multiplies, and the sensitivity to the neuron that it feeds. Neurons that are rarely active, or never, spread both
factors over powers of ten. Where an error of weight (i, j) costs f_ij, close to r_i c_j, the fewest bits for a given
loss follow from steps proportional to 1 / sqrt(r_i c_j): reverse water-filling at small steps (Cover and Thomas,
"Elements of information theory", section 10.3.3). A file holds the units as quarter octaves above the finest.
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
"""Largest exponent of a row, and of a column."""

_FRACTIONS: Final = np.array([256, 304, 362, 431])  # 256 times powers of 2^(1/4)
_LEAST: Final = 1e-3  # lower bound of f, an estimate, as a share of its mean
_ROUNDS: Final = 20


@dataclass(frozen=True)
class Scales:
    """Exponents of units: that of weight (i, j) is 2^((rows[i] + columns[j]) / 4) times the finest.

    A real tensor is a matrix with its last axis as columns. `rows` or `columns` is empty where all are 0.
    """

    rows: tuple[int, ...] = ()
    columns: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for exponents in (self.rows, self.columns):
            if exponents and not 0 <= min(exponents) <= max(exponents) <= MAX_EXPONENT:
                raise InputError(f"scales: expected exponents of 0 to {MAX_EXPONENT}")

    def exponents(self, shape: tuple[int, ...]) -> Ints:
        """Exponent of each weight of a real tensor in C order, in quarter octaves, int64 (n,)."""
        return exponents_of(np.array(self.rows, np.int64), np.array(self.columns, np.int64), shape)

    def factors(self, shape: tuple[int, ...]) -> Floats:
        """Unit of each weight of a real tensor, float64 of its shape: exact, 9 bits times a power of two."""
        return factors_of(self.exponents(shape)).reshape(shape)


def exponents_of(rows: Ints, columns: Ints, shape: tuple[int, ...]) -> Ints:
    """As `Scales.exponents`, from exponents int64 (rows,) and (columns,), or (0,) where all are 0."""
    total = np.zeros(matrix_of(shape), np.int64)
    if (len(rows) or len(total), len(columns) or total.shape[1]) != total.shape:
        raise InputError(f"scales: expected those of a tensor {shape}, got {len(rows)} x {len(columns)}")
    total += rows[:, None] if len(rows) else 0
    total += columns if len(columns) else 0
    return total.reshape(-1)


def factors_of(exponents: Ints) -> Floats:
    """About 2^(e / 4), float64 of the shape of `exponents` and exact."""
    return np.ldexp(_FRACTIONS[exponents % PER_OCTAVE] / 256, exponents // PER_OCTAVE)


def matrix_of(shape: tuple[int, ...]) -> tuple[int, int]:
    """(rows, columns) of a real tensor."""
    return (math.prod(shape[:-1]), shape[-1]) if shape else (1, 1)


def scales_for(felt: npt.ArrayLike, rows: bool = True, columns: bool = True) -> Scales:
    """Units for weights whose squared errors cost `felt` each, an array of the real tensor's shape.

    The factors r and c are those of the fewest bits: with them, f_ij / (r_i c_j) has mean 1 in every row and column.
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
