"""Ctrl-C while a fit runs."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from sinr_codec.progress import Listener


class Interrupt:
    """Turns the first Ctrl-C into a flag, which takes effect between two steps; a second one raises as usual.

    `tell_others` is called at the first one, in the main thread.
    """

    def __init__(self, tell_others: Callable[[], None] | None = None) -> None:
        self.seen = False
        self._tell_others = tell_others
        self._old: Any = None

    def __enter__(self) -> Interrupt:
        # only the main thread may set handlers, and only it receives a Ctrl-C
        if threading.current_thread() is threading.main_thread():
            self._old = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        if self._old is not None:
            signal.signal(signal.SIGINT, self._old)
            self._old = None

    def tell(self, listener: Listener, step: int, total: int, loss: float) -> None:
        """Call a listener between two steps. A `KeyboardInterrupt` that it raises sets the flag."""
        try:
            listener(step, total, loss)
        except KeyboardInterrupt:
            self.seen = True

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.seen:
            raise KeyboardInterrupt
        self.seen = True
        if self._tell_others is not None:
            # A display that was interrupted as it wrote a line refuses another one, and stderr may be closed.
            with contextlib.suppress(RuntimeError, OSError):
                self._tell_others()
