"""Samples within a bound on their error: interlaced, quantised, and coded under a network that predicts them."""

import math
from typing import Any, Final

import numpy as np

from sinr_codec.coding.assembled import Plan
from sinr_codec.errors import InputError
from sinr_codec.fields import Interlaced, ReLU
from sinr_codec.fields.interlaced_section import InterlacedSection
from sinr_codec.methods.base import Coded, Method, Task, Training
from sinr_codec.signals.base import Spec
from sinr_codec.signals.grids import GridSignal
from sinr_codec.types import Array

LARGEST: Final = 1 << 24
"""Samples above which a signal is cut into blocks."""
SHORT: Final = 32
"""Samples of an axis that may not be halved: a longer one has neighbours that tell of each other."""
ROUGH: Final = 4.0
"""How much worse samples along such an axis are interpolated than along others."""
_ENOUGH: Final = 1 << 20  # samples to tell that by


def interlaced(signal: GridSignal[Any], error: float) -> Interlaced:
    """The field that keeps samples within an error, in units of the samples.

    Raises
    ------
    InputError
        An error that the sample type cannot resolve.
    """
    levels, values = signal.levels, signal.out_features
    step, origin = levels.step_within(error), (_usual(signal) - levels.low) * 2 / levels.span - 1
    return Interlaced.for_grid(signal.spec.axes, [step] * values, [origin] * values, _rough_axes(signal))


def _usual(signal: GridSignal[Any]) -> float:
    """The most frequent sample, such as that of the air around a body, which is to have no error."""
    sizes = signal.spec.sizes
    step = max(1, math.ceil((math.prod(sizes) / _ENOUGH) ** (1 / len(sizes))))
    found, counts = np.unique(signal.array[(slice(None, None, step),) * len(sizes)], return_counts=True)
    return float(found[np.argmax(counts)])


def _rough_axes(signal: GridSignal[Any]) -> tuple[int, ...]:
    """The axes along which neighbours tell little of a sample, such as months or levels."""
    sizes = signal.spec.sizes
    errors: dict[int, float] = {}
    for axis, size in enumerate(sizes):
        if size >= 3:
            first, middle, last = (_along(signal.array, axis, sizes, k) for k in range(3))
            errors[axis] = float(np.abs(middle - (first + last) / 2).mean())
    least = min(errors.values(), default=0.0)
    return tuple(a for a, each in errors.items() if sizes[a] <= SHORT and each > ROUGH * least)


def _along(array: Array, axis: int, sizes: tuple[int, ...], first: int) -> Array:
    """Samples from one of an axis on but for the last ones, thinned along the others."""
    step = max(1, int((array.size / _ENOUGH) ** (1 / max(len(sizes) - 1, 1))))
    part = [slice(None, None, step)] * len(sizes)
    part[axis] = slice(first, sizes[axis] - 2 + first)
    return np.asarray(array[tuple(part)], np.float64)


def _without_bound(spec: Spec, bits: float, width: int | None = None, depth: int | None = None) -> Interlaced:
    raise InputError("interlaced samples: have a bound on their error, with which `interlaced` makes the field")


TRAINING: Final = Training(
    "interlaced",
    ReLU(),
    network=_without_bound,
    fit={"fast": {"steps": 300}, "balanced": {"steps": 2500}, "best": {"steps": 8000}, "paper": {"steps": 8000}},
)


def coded(task: Task) -> Coded:
    """The network and the samples, both integers."""
    records = InterlacedSection().records(task.field, task.params)
    return Coded(Plan({}, records, dict(task.params)))


BOUNDED: Final = Method("interlaced", "samples within a bound", "own", TRAINING, coded)
"""The method that keeps a bound on the error. It is none of `METHODS`, which code any signal at any rate."""
