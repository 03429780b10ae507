"""What a receiver must already hold, counted apart from the files: a base is paid for once."""

from dataclasses import dataclass

from sinr_codec.errors import InputError


@dataclass(frozen=True)
class Rate:
    """The rate of a file that needs a base, in bits a unit (pixel, sample, voxel, ...).

    Attributes
    ----------
    per_signal
        Of the file alone, as COIN++ and INRIC count.
    amortised
        With the signal's share of the base.
    cold
        With the whole base: what the first signal costs a receiver that holds nothing.
    signals
        Signals that share the base in `amortised`.
    """

    per_signal: float
    amortised: float
    cold: float
    signals: int


def rate_with_base(file_bytes: float, base_bytes: float, units: float, signals: int) -> Rate:
    """The three rates of a file of so many bytes, for a signal of so many units.

    Parameters
    ----------
    file_bytes, base_bytes
        Of the file, and of what a receiver must hold (`bases.Base.receiver_bytes`; 0 where a file needs no base).
    units
        Positions of the signal (`Spec.samples`), above 0.
    signals
        Signals that share the base, at least 1.

    Raises
    ------
    InputError : an argument out of range
    """
    if file_bytes < 0 or base_bytes < 0 or units <= 0 or signals < 1:
        raise InputError("rate: expected bytes of at least 0, units above 0 and at least one signal")
    return Rate(
        8 * file_bytes / units,
        8 * (file_bytes + base_bytes / signals) / units,
        8 * (file_bytes + base_bytes) / units,
        signals,
    )


def break_even(file_bytes: float, base_bytes: float, other_bytes: float) -> float:
    """Signals from which on files of a base, the base included, are smaller in sum than others; infinite if never."""
    return base_bytes / (other_bytes - file_bytes) if other_bytes > file_bytes else float("inf")
