"""A run of a training loop: its budget, progress reports, interruption and checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

from sinr_codec.fit import checkpoint
from sinr_codec.fit.interrupt import Interrupt
from sinr_codec.progress import Listener


class Limits(Protocol):
    """The settings of a run."""

    @property
    def max_steps(self) -> int | None:
        """The budget in steps; None where only seconds bound it."""

    @property
    def seconds(self) -> float | None:
        """The budget in seconds; None where only steps bound it."""

    @property
    def least_steps(self) -> int:
        """Steps that a run in seconds makes whatever the clock says."""

    @property
    def checkpoint(self) -> Path | None:
        """The file that an interrupted run resumes from."""

    @property
    def checkpoint_seconds(self) -> float:
        """Seconds between checkpoints."""


class Resumable(Protocol):
    """Training whose state a checkpoint holds, the step and the seconds of its `Run` included."""

    def identity(self) -> str:
        """Text that differs between trainings that must not resume each other's checkpoints."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes: nested dicts, lists, numbers and tensors."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Inverse of `state_dict`."""


class Run:
    """Iterates over the share of the budget spent before each step, in [0, 1), until it is spent or Ctrl-C::

        run.resume()
        with run:
            for share in run:
                ...  # one step of gradient descent
                run.advance()
                run.report(loss)

    A budget in seconds is spent on steps alone: what comes before the first one, such as compilation, does not count.
    Checkpoints are written between steps, whenever `checkpoint_seconds` have passed.

    Parameters
    ----------
    limits
        Budget and checkpoint.
    training
        What is trained.
    listener
        Hears `report`. It may have a method ``stopping()``, which is called at once at the first Ctrl-C.
    clock
        Seconds from some fixed time on.
    """

    def __init__(
        self,
        limits: Limits,
        training: Resumable,
        listener: Listener | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.limits, self._training, self._listener = limits, training, listener
        self.clock = clock or perf_counter
        self._began = self.clock()
        self._interrupt = Interrupt(getattr(listener, "stopping", None))
        self.step = 0
        #: Seconds that the processes took whose work was resumed.
        self.before = 0.0
        #: Seconds before the schedule begins, and seconds to leave for the work after the last step.
        self.origin = self.reserve = 0.0
        #: Seconds that the budget does not count.
        self.uncounted = 0.0
        self._iterated = False
        #: Seconds of the last step.
        self.latest = 0.0

    # -- budget

    @property
    def elapsed(self) -> float:
        """Seconds since the run was made, and those before it was resumed."""
        return self.before + self.clock() - self._began

    @property
    def share(self) -> float:
        """Share of the budget that is spent, in steps or in seconds, whichever is larger."""
        limits, spent = self.limits, 0.0
        if limits.max_steps is not None:
            spent = self.step / limits.max_steps if limits.max_steps else 1.0
        if limits.seconds is not None:
            left = limits.seconds - (self.origin - self.uncounted) - self.reserve
            share = (self.elapsed - self.origin) / left if left > 0 else 1.0
            if self.step < limits.least_steps:  # then the schedule goes by steps
                share = min(share, self.step / limits.least_steps)
            spent = max(spent, share)
        return spent

    def exclude(self, seconds: float) -> None:
        """Leave seconds that have passed out of the budget, and shift the schedule by them."""
        self.uncounted += seconds
        self.origin += seconds

    @property
    def total(self) -> int:
        """The budget in steps, or an estimate where it is in seconds."""
        return self.limits.max_steps or max(self.step, round(self.step / max(self.share, 1e-9)))

    def __iter__(self) -> Iterator[float]:
        if not self._iterated:
            self._iterated = True
            self.exclude(self.clock() - self._began)
        saved = self.clock()
        while (share := self.share) < 1 and not self.interrupted:
            self._step_began = self.clock()
            yield share
            if self.limits.checkpoint is not None and self.clock() - saved > self.limits.checkpoint_seconds:
                self.save()
                saved = self.clock()

    def advance(self) -> None:
        """Count a step."""
        self.step += 1
        self.latest = self.clock() - self._step_began

    # -- interruption and reports

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C was pressed, or the listener raised `KeyboardInterrupt`."""
        return self._interrupt.seen

    def __enter__(self) -> Run:
        self._interrupt.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._interrupt.__exit__(*error)

    def complete(self, loop: Callable[[], None]) -> None:
        """Call a loop over this run; write a checkpoint where Ctrl-C ends it. A second Ctrl-C raises at once."""
        loop()
        if self.interrupted:
            self.save()

    def report(self, loss: float, total: int | None = None) -> None:
        """Tell the listener step, total and loss."""
        if self._listener is not None:
            self._interrupt.tell(self._listener, self.step, self.total if total is None else total, loss)

    # -- checkpoints

    def save(self) -> None:
        """Write a checkpoint; a failure costs the checkpoint, not the run."""
        if self.limits.checkpoint is not None:
            checkpoint.try_to_save(self.limits.checkpoint, self._training.state_dict(), self._training.identity())

    def resume(self) -> None:
        """Continue from the checkpoint, where there is one.

        Raises
        ------
        InputError
            The file is no checkpoint, or one of another run.
        """
        if self.limits.checkpoint is None:
            return
        state = checkpoint.load(self.limits.checkpoint, self._training.identity())
        if state is not None:
            self._training.load_state_dict(state)

    def finish(self, keep: bool = False) -> None:
        """Remove the checkpoint of a run that came to its end, or write the last one where it is to be kept."""
        if self.interrupted:
            return
        if keep:
            self.save()
        else:
            checkpoint.discard(self.limits.checkpoint)
