"""How long-running work tells the outside where it is, without knowing who listens."""

import threading
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


class Together:
    """Adds up the steps of several fits that run side by side, as one task.

    Parameters
    ----------
    progress, label
        Who listens, and to what.
    count
        Of fits.
    stopped
        Whether they should come to an end; each hears of it as if it were a Ctrl-C.
    """

    def __init__(self, progress: Progress, label: str, count: int, stopped: Callable[[], bool]) -> None:
        self._progress, self._stopped = progress, stopped
        self._done = [0.0] * count
        self._lock = threading.Lock()
        progress.start(label, count)

    def steps(self, number: int) -> Callable[[int, int, float], None]:
        """A listener for one of the fits, in whatever thread."""

        def listen(step: int, total: int, _: float) -> None:
            if self._stopped():
                raise KeyboardInterrupt
            with self._lock:
                self._done[number] = step / max(total, 1)
                finished = sum(done >= 1 for done in self._done)
                self._progress.update(sum(self._done), f"{finished} of {len(self._done)}")

        return listen


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
