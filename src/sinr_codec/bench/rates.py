"""Rates at equal quality: interpolation along a curve, and Bjontegaard deltas."""

import math
import warnings
from collections.abc import Sequence

import numpy as np

Points = Sequence[tuple[float, float]]


def rate_at(points: Points, db: float) -> float | None:
    """Rate at a quality, linear in log rate between the points (rate, dB) of a curve; None outside of it."""
    hull = rising(points)
    if len(hull) < 2 or not hull[0][1] <= db <= hull[-1][1]:
        return None
    rates, quality = np.array(hull).T
    return float(np.exp(np.interp(db, quality, np.log(rates))))


def rising(points: Points) -> list[tuple[float, float]]:
    """The points in order of rate, without those that cost more and give no more."""
    kept: list[tuple[float, float]] = []
    for rate, db in sorted(points):
        if not kept or db > kept[-1][1]:
            kept.append((float(rate), float(db)))
    return kept


def bd_rate(anchor: Points, test: Points) -> float | None:
    """Bjontegaard delta rate in per cent, piecewise cubic (ITU-T VCEG-M33 with pchip); None where it means nothing.

    Both curves need three points, and their ranges of quality must overlap by at least half of the shorter one.
    """
    return _delta("bd_rate", anchor, test)


def bd_psnr(anchor: Points, test: Points) -> float | None:
    """Bjontegaard delta PSNR in dB; None as for `bd_rate`."""
    return _delta("bd_psnr", anchor, test)


def _delta(name: str, anchor: Points, test: Points) -> float | None:
    import bjontegaard

    a, b = rising(anchor), rising(test)
    if min(len(a), len(b)) < 3:
        return None
    axis = 1 if name == "bd_rate" else 0
    ends = [(points[0][axis], points[-1][axis]) for points in (a, b)]
    overlap = min(end for _, end in ends) - max(begin for begin, _ in ends)
    if overlap < 0.5 * min(end - begin for begin, end in ends):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        delta = getattr(bjontegaard, name)(
            *map(list, zip(*a)), *map(list, zip(*b)), method="pchip", require_matching_points=False, min_overlap=0
        )
    return float(delta) if math.isfinite(delta) else None
