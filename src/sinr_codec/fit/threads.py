"""The number of threads for a training step on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import torch

#: Least multiply-adds of a forward pass per thread. A step consists of dozens of small parallel regions, each with a
#: barrier. A thread that waits there for one delayed by another process costs far more than it gains: on two cores, one
#: of them busy, a SIREN 3x64 with batches of 4,096 (5e7) took 20 times as long with two threads as with one. On idle
#: cores it took 0.7 times as long.
WORK_A_THREAD: Final = 1e8


@contextmanager
def threads_for(work: float, others: int = 0) -> Iterator[None]:
    """Limit torch to the threads that pay for `work` multiply-adds per forward pass, besides `others` of others."""
    allowed = torch.get_num_threads()
    torch.set_num_threads(max(1, min(allowed - others, int(work / WORK_A_THREAD))))
    try:
        yield
    finally:
        torch.set_num_threads(allowed)


def one_thread() -> None:
    """Limit torch to one thread, in one of several processes that fit side by side."""
    torch.set_num_threads(1)
