"""Reports of long-running work to listeners that it does not know."""

import threading
from collections.abc import Callable
from typing import Protocol

Listener = Callable[[int, int, float], None]
"""Called between the steps of a fit as ``listener(step, total, loss)`` with the running loss."""


class Progress(Protocol):
    """A display for one task at a time: `start` names it, `update` moves it.

    A display may also have a method ``say(text)``, which shows a line that stays.
    """

    def start(self, label: str, total: float) -> None:
        """Begin a task that ends when `update` reports `total` (any unit)."""

    def update(self, done: float, text: str = "") -> None:
        """Report how much of the total is done; `text` is a short remark such as the PSNR so far."""


def say(progress: Progress, text: str) -> None:
    """Show a line on a display that has a method ``say(text)``."""
    getattr(progress, "say", lambda _: None)(text)


def acknowledge(progress: Progress) -> None:
    """Say that Ctrl-C was noticed."""
    say(progress, "stopping, and writing what is there; Ctrl-C again gives up")


class NullProgress:
    """A display that shows nothing."""

    def start(self, label: str, total: float) -> None:
        """Ignore the start."""

    def update(self, done: float, text: str = "") -> None:
        """Ignore the step."""


class Together:
    """Shows the steps of several fits that run side by side as one task.

    Parameters
    ----------
    progress, label
        The display, and the name of the task.
    count
        Number of fits.
    stopped
        Whether the fits should end; each of them then receives a `KeyboardInterrupt`, as after a Ctrl-C.
    """

    def __init__(self, progress: Progress, label: str, count: int, stopped: Callable[[], bool]) -> None:
        self._progress, self._stopped = progress, stopped
        self._done = [0.0] * count
        self._lock = threading.Lock()
        progress.start(label, count)

    def steps(self, number: int) -> Listener:
        """The listener for fit `number`, to be called from any thread."""

        def listen(step: int, total: int, _: float) -> None:
            if self._stopped():
                raise KeyboardInterrupt
            with self._lock:
                self._done[number] = step / max(total, 1)
                finished = sum(done >= 1 for done in self._done)
                self._progress.update(sum(self._done), f"{finished} of {len(self._done)}")

        return listen


class Steps:
    """A `Listener` that shows the steps of a fit as one task.

    Parameters
    ----------
    progress, label
        The display, and the name of the task, which begins with the first step.
    decibels
        Quality in dB that a loss stands for; None where there is none to show.
    """

    def __init__(self, progress: Progress, label: str, decibels: Callable[[float], float | None]) -> None:
        self._progress, self._label, self._decibels = progress, label, decibels
        self._started = False

    def stopping(self) -> None:
        """Acknowledge a Ctrl-C."""
        acknowledge(self._progress)

    def __call__(self, step: int, total: int, loss: float) -> None:
        """Report a step."""
        if not self._started:
            self._progress.start(self._label, total)
            self._started = True
        db = self._decibels(loss)
        self._progress.update(step, "" if db is None else f"{db:.2f} dB")
