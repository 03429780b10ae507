"""How long-running work tells the outside where it is, without knowing who listens."""

from collections.abc import Callable
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


class Steps:
    """Passes the steps of a fit on as one task, with the dB that its loss stands for, if it stands for any."""

    def __init__(self, progress: Progress, label: str, decibels: Callable[[float], float | None]) -> None:
        self._progress, self._label, self._decibels = progress, label, decibels
        self._started = False

    def __call__(self, step: int, total: int, loss: float) -> None:
        """Report a step; the first one begins the task."""
        if not self._started:
            self._progress.start(self._label, total)
            self._started = True
        db = self._decibels(loss)
        self._progress.update(step, "" if db is None else f"{db:.2f} dB")
