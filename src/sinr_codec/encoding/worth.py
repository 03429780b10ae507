"""Whether a file is worth more than a constant in place of the signal."""

from typing import Final

import numpy as np

from sinr_codec.methods.base import PROBE_SAMPLES
from sinr_codec.quality import decibels
from sinr_codec.signals.base import TILE, Part, Signal

ABOVE_MEAN: Final = 5.0
"""dB that a file must have above the signal's mean."""
NEAR_EXACT: Final = 4e-4
"""Loss of values in [-1, 1], 40 dB below their range, that is enough even where the mean is almost the signal."""
_OUTSIDE: Final = 1.5  # values are about [-1, 1]; what is far outside marks a missing one
_LEAST_SAMPLES: Final = 1024  # of a part


def least_worth(signal: Signal, quality: float, seed: int, asked: float | None = None) -> float | None:
    """The quality in dB that a file of the signal needs to be better than a constant; None where `quality` has it.

    That is `ABOVE_MEAN` above the quality of the mean of the signal's values. Of a signal that is nearly constant, it
    is `NEAR_EXACT`, or the quality that was asked for if that is less.
    """
    parts = signal.parts
    lengths = [len(part) for part in parts]

    def over_all(errors: list[float]) -> float:
        return decibels(float(np.average(errors, weights=lengths)))

    enough = over_all([10 ** (-part.decibels(NEAR_EXACT) / 10) for part in parts])
    if quality >= enough:
        return None
    samples = max(PROBE_SAMPLES // len(parts), _LEAST_SAMPLES)
    least = over_all([_error_of_mean(part, samples, seed) for part in parts]) + ABOVE_MEAN
    if least > enough:
        least = enough if asked is None else min(asked, enough)
    return None if quality >= least else least


def _error_of_mean(part: Part, samples: int, seed: int) -> float:
    """The error of the mean of a part's values, 10^(-dB / 10), as its objective or, for rays, its loss has it."""
    count = min(len(part), samples)
    _, values = part.batch(np.arange(count) * len(part) // count)
    mean = np.ma.masked_where(np.abs(values) > _OUTSIDE, values).mean(axis=0).filled(0).astype(np.float32)
    if hasattr(part, "trainable"):  # the values are not those of the network
        return float(10 ** (-part.decibels(float(part.loss(np.broadcast_to(mean, values.shape), values))) / 10))
    return part.objective(samples, seed)(lambda coords: np.broadcast_to(mean, (len(coords), len(mean))), TILE)
