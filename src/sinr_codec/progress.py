"""How long-running work tells the outside where it is, without knowing who listens."""

from typing import Protocol


class Progress(Protocol):
    """A listener for one task at a time: `start` names it, `update` moves it."""

    def start(self, label: str, total: float) -> None:
        """Begin a task that ends when `update` reports `total` (any unit)."""

    def update(self, done: float, text: str = "") -> None:
        """Report how much of the total is done; `text` is a short remark such as the PSNR so far."""


class NullProgress:
    """Listens to nothing."""

    def start(self, label: str, total: float) -> None:
        """Ignore the start."""

    def update(self, done: float, text: str = "") -> None:
        """Ignore the step."""
