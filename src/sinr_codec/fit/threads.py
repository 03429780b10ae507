"""How many threads a step is worth on a CPU, and fits side by side, each on one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from sinr_codec.tiles import map_tiles

R = TypeVar("R")

#: Multiply-adds of a forward pass that a thread should have to do. A step consists of dozens of small parallel
#: regions, each with a barrier, and a thread that waits there for one that another process holds up costs far more
#: than it gains: on two cores, with one of them busy, a SIREN 3x64 with batches of 4,096 (5e7) took 20 times as long
#: with two threads as with one. On quiet cores it took 0.7 times as long.
WORK_A_THREAD = 1e8


@contextmanager
def threads_for(work: float) -> Iterator[None]:
    """Let torch use no more threads inside than `work` multiply-adds a forward pass are worth."""
    allowed = torch.get_num_threads()
    torch.set_num_threads(min(allowed, max(1, int(work / WORK_A_THREAD))))
    try:
        yield
    finally:
        torch.set_num_threads(allowed)


def side_by_side(work: Callable[[int], R], count: int, threads: int) -> Iterator[R]:
    """``work(0), ..., work(count - 1)`` in order, as many at a time as there are threads, with one core each.

    Python runs in one thread at a time, but most of a step are sines and products, which do not need it: on two cores
    fits of 3x34 are 1.6 times as fast as one after the other, those of 3x80 twice, with the same results.
    """
    from sinr_codec.fit import kernels

    def alone(number: int) -> R:
        one_thread()
        return work(number)

    allowed = torch.get_num_threads()
    try:
        # Outermost, so that what each of them sets and sets back is the same.
        with kernels.training(0):
            yield from map_tiles(alone, range(count), threads)
    finally:
        torch.set_num_threads(allowed)


def one_thread() -> None:
    """Let torch use one thread from here on, in a process beside others that fit."""
    torch.set_num_threads(1)
