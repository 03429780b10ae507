"""Reports of long-running work to listeners that it does not know, and the usual displays for them."""

import functools
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

Arguments = ParamSpec("Arguments")
T = TypeVar("T")

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


# -- displays ------------------------------------------------------------------------------------------------


@contextmanager
def displayed(progress: Progress | bool | None) -> Iterator[Progress]:
    """The display for an argument `progress`: one as it is, the usual one for True, none for False and None.

    The usual one is a bar on terminals and in notebooks, and occasional lines on stderr elsewhere.
    """
    if not isinstance(progress, bool) and progress is not None:
        yield progress
    elif not progress:
        yield NullProgress()
    elif sys.stderr.isatty() or "ipykernel" in sys.modules:
        with _bar() as bar:
            yield bar
    else:
        yield Lines()


def with_display(function: Callable[Arguments, T]) -> Callable[Arguments, T]:
    """Decorate a function whose argument `progress` may also be True, for the usual display; it gets a display."""

    @functools.wraps(function)
    def shown(*args: Arguments.args, **kwargs: Arguments.kwargs) -> T:
        progress: Any = kwargs.pop("progress", None)
        with displayed(progress) as display:
            return function(*args, **kwargs, progress=display)  # type: ignore[arg-type]

    return shown


class Lines:
    """Plain lines on stderr: one at the start of a task, then one every ten seconds with the time that is left."""

    def __init__(self, every: float = 10.0) -> None:
        self.every = every
        self._label, self._total, self._began, self._next = "", 0.0, 0.0, 0.0

    def start(self, label: str, total: float) -> None:
        """Start a task and print its name."""
        self._label, self._total, self._began = label, total, time.monotonic()
        self._next = self._began + self.every
        self.say(f"{label} ...")

    def update(self, done: float, text: str = "") -> None:
        """Print a line if the interval since the last one has passed."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + self.every
        amount, left = "" if text else f"{done:g}", ""
        if self._total:
            share = min(done / self._total, 1.0)
            amount = f"{100 * share:.0f}%"
            left = f"about {_duration((now - self._began) * (1 - share) / share)} left" if 0 < share < 1 else ""
        self.say(" ".join(filter(None, [self._label, amount, ", ".join(filter(None, [text, left]))])))

    def say(self, text: str) -> None:
        """Print a line."""
        print(text, file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    """A time in seconds, minutes or hours."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


@contextmanager
def _bar() -> Iterator["_Bar"]:
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    # Rich's default of half a minute is shorter than a step of some tasks.
    with Bar(*columns, console=Console(stderr=True), transient=True, speed_estimate_period=3600) as bar:
        yield _Bar(bar)


class _Bar:
    """A bar for each task; a total of 0 means unknown length."""

    def __init__(self, bar: "Bar") -> None:
        self._bar = bar
        self._task: TaskID | None = None

    def start(self, label: str, total: float) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(label, total=total or None, text="")

    def update(self, done: float, text: str = "") -> None:
        assert self._task is not None
        self._bar.update(self._task, completed=done, text=text)

    def say(self, text: str) -> None:
        self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)


# -- fits ----------------------------------------------------------------------------------------------------


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
