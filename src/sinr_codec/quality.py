"""Qualities in dB, as files record them and searches compare them."""

import math
from typing import Final

from sinr_codec.container import MAX_QUALITY

VERIFY_SLACK: Final = 0.02
"""dB that sine and sum may differ between platforms."""
NO_LOSS: Final = 1e-9
"""A network this close to its aim (90 dB) may lose something all the same."""


def decibels(loss: float) -> float:
    """-10 log10 of a normalised error; infinite for none, and without bound below for NaN."""
    if math.isnan(loss):
        return -math.inf
    return -10 * math.log10(loss) if loss > 0 else math.inf


def hundredths(db: float) -> int | None:
    """A quality in dB for the header, in 1/100 dB, rounded down; None for NaN."""
    if math.isnan(db):
        return None
    return MAX_QUALITY if db == math.inf else int(min(max(math.floor(100 * db), 0), MAX_QUALITY))
