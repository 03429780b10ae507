"""The activation of networks of integers, in float64."""

from typing import Final

import numpy as np

from sinr_codec.types import Floats

__all__ = ["HIDDEN", "leaky"]

HIDDEN: Final = 1 << 15
"""Hidden values are clipped to -HIDDEN .. HIDDEN - 1."""


def leaky(values: Floats, shifted: Floats, out: Floats) -> None:
    """max(a, a >> 3) of a = clip(floor(values), -2**15, 2**15 - 1); `shifted` is memory for it."""
    np.multiply(values, 0.125, shifted)
    np.maximum(values, shifted, out=shifted)
    np.floor(shifted, shifted)
    shifted.clip(-HIDDEN // 8, HIDDEN - 1, out)
