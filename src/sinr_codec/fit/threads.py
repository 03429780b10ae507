"""How many threads a step is worth on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch

#: Multiply-adds of a forward pass that a thread should have to do. A step consists of dozens of small parallel
#: regions, each with a barrier, and a thread that waits there for one that another process holds up costs far more
#: than it gains: on two cores, with one of them busy, a SIREN 3x64 with batches of 4,096 (5e7) took 20 times as long
#: with two threads as with one. On quiet cores it took 0.7 times as long.
WORK_A_THREAD: Final = 1e8


@contextmanager
def threads_for(work: float) -> Iterator[None]:
    """Let torch use no more threads inside than `work` multiply-adds a forward pass are worth."""
    allowed = torch.get_num_threads()
    torch.set_num_threads(min(allowed, max(1, int(work / WORK_A_THREAD))))
    try:
        yield
    finally:
        torch.set_num_threads(allowed)


def one_thread() -> None:
    """Let torch use one thread from here on, in a process beside others that fit."""
    torch.set_num_threads(1)
