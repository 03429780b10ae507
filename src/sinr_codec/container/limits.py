"""Bounds on the memory and the work that a reader spends on a file it does not trust."""

from dataclasses import dataclass
from typing import Final

from sinr_codec.errors import LimitError


@dataclass(frozen=True)
class Limits:
    """Upper bounds of a reader. Each is checked before the memory that it bounds is allocated.

    They belong to the reader, not to the format: a server may lower them, a user raise them.
    """

    max_file_bytes: int = 2**30
    """Size of the whole file."""
    max_header_bytes: int = 2**20
    """Size of the CBOR header."""
    max_sections: int = 2**16
    """Number of sections."""
    max_tensors: int = 2**16
    """Number of tensors in a state dict."""
    max_params: int = 2**27
    """Weights of all networks of a file together."""
    max_samples: int = 2**30
    """Values (positions times channels) of a decoded signal."""
    max_work: int = 2**46
    """Parameters times positions of a rendering: about its multiply-adds; 2**46 are half an hour on two cores."""

    def check(self, name: str, value: int) -> None:
        """Raise `LimitError` when `value` is above the bound called `name`, for example "max_params"."""
        bound = getattr(self, name)
        if value > bound:
            raise LimitError(f"the file declares {value:,} for {name}; this reader accepts {bound:,}")


DEFAULT_LIMITS: Final = Limits()
