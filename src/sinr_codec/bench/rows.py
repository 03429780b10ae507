"""What a run measures: points, one for a signal, a network and a method, and rows, which are their means."""

from collections.abc import Mapping
from dataclasses import dataclass

from sinr_codec.types import JsonObject

Point = JsonObject
"""A point as in its JSON file; what every point has, `report.read_points` checks."""


@dataclass(frozen=True)
class Row:
    """The mean of a method over the signals of a configuration.

    Attributes
    ----------
    method, title, protocol, configuration
        Names; `protocol` is paper, own or classical.
    signals
        Number of signals.
    params
        Parameters of the networks; None for codecs without one.
    bytes, bpp
        Size of the whole files.
    published_bpp
        Rate as the authors of the method count it, where they do.
    db, loss
        Quality in dB, and how far it is below that of the uncoded networks.
    ratio
        Bytes over those of the same networks with a 16-bit min-max quantiser and Brotli.
    figures
        Further figures of the points, by name.
    """

    method: str
    title: str
    protocol: str
    configuration: str
    signals: int
    params: float | None
    bytes: float
    bpp: float
    published_bpp: float | None
    db: float
    loss: float | None
    ratio: float | None
    figures: Mapping[str, float]
