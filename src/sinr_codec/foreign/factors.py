"""The factor of the first layer of a network of sines, which no weight tells, by what training did behind that layer.

SIREN starts with the same uniform first layer for any factor: 30 for pictures, 3000 for sounds. But training sets the
weights of each later layer to the inputs that it gets, and these depend on the factor. With the true one, the sums that
neurons take over their inputs are larger or smaller, smoother or rougher, than inputs of such variances give. With any
other, the phases of the inputs are as good as random. So both ratios stand out at the true factor, compared with the
factors beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from sinr_codec.types import Array

USUAL: Final = 30.0
_OF_SOUNDS: Final = (3000.0, 10.0, 20.0, 60.0, 100.0, 200.0, 300.0, 500.0, 1000.0, 2000.0, 5000.0, 10000.0)
"""Those in use where there is one coordinate, besides the usual one."""

_BESIDE: Final = (0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.05, 1.11, 1.17, 1.24, 1.31, 1.38)
# In standard deviations, root mean square: at most 2.9 in untrained networks, 2.5 to 12 in trained ones.
_SURE: Final = 3.2
_CERTAIN: Final = 4.5
_LIKELY: Final = 2.6  # for a single factor that most networks have
_WORK: Final = 1 << 29  # points times weights
_MOST_POINTS: Final = 1 << 13
_LEAST_POINTS: Final = 1 << 10


def first_factor(weights: Sequence[Array], biases: Sequence[Array], omega: float) -> float | None:
    """The factor of the first of some layers with sines between them, or None where none stands out.

    Other factors than the usual one are tried where there is one coordinate.

    Parameters
    ----------
    weights, biases
        Of the layers in order, (out, in) and (out,).
    omega
        Factor of the layers behind the first.
    """
    usual = _standing(weights, biases, USUAL, omega)
    if weights[0].shape[1] > 1:
        return USUAL if usual > _LIKELY else None
    if usual > _SURE:
        return USUAL
    found = {}
    for factor in _OF_SOUNDS:
        found[factor] = _standing(weights, biases, factor, omega)
        if found[factor] > _CERTAIN:
            return factor
    best = max(found, key=found.__getitem__)
    return best if found[best] > _SURE else None


def _standing(weights: Sequence[Array], biases: Sequence[Array], first: float, omega: float) -> float:
    """By how many standard deviations a factor stands out among those beside it."""
    here = _ratios(weights, biases, first, omega)
    beside = np.array([_ratios(weights, biases, first * times, omega) for times in _BESIDE])
    with np.errstate(all="ignore"):
        deviations = (here - beside.mean(0)) / beside.std(0, ddof=1)
        found = float(np.sqrt(np.mean(deviations**2)))
    return found if np.isfinite(found) else 0.0


def _ratios(weights: Sequence[Array], biases: Sequence[Array], first: float, omega: float) -> Array:
    """Logarithms of two ratios for the last two layers: of variances, and of differences over a small distance."""
    rng = np.random.default_rng(0)
    coordinates = weights[0].shape[1]
    count = int(np.clip(_WORK // sum(w.size for w in weights), _LEAST_POINTS, _MOST_POINTS))
    points = rng.uniform(-1, 1, (count, coordinates))
    step = rng.normal(size=(count, coordinates))
    step *= 0.5 / first / np.linalg.norm(step, axis=1, keepdims=True)
    x = np.concatenate([points, points + step]).astype(np.float32)
    found = []
    with np.errstate(all="ignore"):
        for number, (weight, bias) in enumerate(zip(weights, biases)):
            z = x @ weight.T + bias
            if number >= max(1, len(weights) - 2):
                variance = z.var(0).mean()
                found.append(np.log(variance / (x.var(0) @ (weight**2).T).mean()))
                found.append(np.log(((z[:count] - z[count:]) ** 2).mean() / variance))
            x = np.sin((omega if number else first) * z)
    return np.array(found)
