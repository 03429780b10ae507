"""Parallel work in tiles, with results in order and bounded buffering."""

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def map_tiles(compute: Callable[[T], R], tiles: Iterable[T], threads: int | None = None) -> Iterator[R]:
    """``map(compute, tiles)`` on `threads` cores; default: all that this process may use.

    NumPy releases the interpreter lock, so threads suffice. The matrix products of a tile are too small to parallelise:
    each runs on one core while tiles run in parallel. This is faster than the reverse, several times so on a busy
    machine.
    """
    threads = cores() if threads is None else threads
    if threads <= 1:
        yield from map(compute, tiles)
        return
    waiting: deque[Future[R]] = deque()
    with one_thread_a_product, ThreadPoolExecutor(threads) as pool:
        try:
            for tile in tiles:
                waiting.append(pool.submit(compute, tile))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def cores() -> int:
    """Number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _OneThreadAProduct:
    """A context that limits the BLAS library to one core; the last user to leave restores the setting.

    The setting is global to the process: without a count, overlapping users would restore each other's limit.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._limit: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                # Imported late, because reading a header or a few points requires no threads.
                from threadpoolctl import ThreadpoolController

                self._limit = ThreadpoolController().limit(limits=1, user_api="blas")
                self._limit.__enter__()
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._limit.__exit__(None, None, None)


one_thread_a_product = _OneThreadAProduct()
