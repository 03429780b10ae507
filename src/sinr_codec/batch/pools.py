"""Pools of workers: local processes, or a Dask cluster."""

import logging
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib import metadata
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any, Final, Protocol

from sinr_codec import __version__
from sinr_codec.batch.places import fetched
from sinr_codec.batch.work import Encoded, Failed, encode_input, failure
from sinr_codec.errors import InputError, MissingExtraError
from sinr_codec.types import Options

DISTRIBUTION: Final = "sinr-codec"
PATIENCE: Final = 10.0
"""Connection timeout for a scheduler, in seconds."""


class Pool(Protocol):
    """Encodes inputs in parallel."""

    @property
    def room(self) -> bool:
        """Whether another input can be submitted."""

    def submit(self, address: str, options: Options) -> None:
        """Start encoding an input."""

    def take(self) -> tuple[str, Encoded | Failed]:
        """Wait for the next input to end."""

    def close(self) -> None:
        """Stop all work in progress."""


# -- processes -------------------------------------------------------------------------------------------------


class Processes:
    """Local processes with one input each; if one is killed, its input fails and the process is replaced.

    In a pool of `concurrent.futures`, a killed process would fail all inputs.

    Parameters
    ----------
    jobs
        Number of processes; if several, each has one torch thread.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._idle: list[_Process] = []
        self._busy: dict[Any, tuple[_Process, str, ExitStack]] = {}
        self._ended: deque[tuple[str, Failed]] = deque()  # inputs that could not be fetched

    @property
    def room(self) -> bool:
        """See `Pool`."""
        return len(self._busy) < self._jobs

    def submit(self, address: str, options: Options) -> None:
        """Start encoding an input; a remote input is fetched before this returns."""
        with ExitStack() as stack:
            try:
                path = str(stack.enter_context(fetched(address)))
            except Exception as error:
                self._ended.append((address, failure(error, address)))
                return
            process = self._free()
            self._busy[process.connection] = process, address, stack.pop_all()
            process.send((address, path, options, __version__))

    def _free(self) -> "_Process":
        while self._idle:
            if (process := self._idle.pop()).is_alive():
                return process
        return _Process(single=self._jobs > 1)

    def take(self) -> tuple[str, Encoded | Failed]:
        """See `Pool`."""
        if self._ended:
            return self._ended.popleft()
        connection = wait(list(self._busy))[0]
        process, address, stack = self._busy.pop(connection)
        with stack:
            try:
                outcome = process.connection.recv()
            except (EOFError, OSError):
                return address, Failed(f"{address}: {process.how_it_ended()}")
        self._idle.append(process)
        return address, outcome

    def close(self) -> None:
        """See `Pool`."""
        for process in [*self._idle, *(process for process, *_ in self._busy.values())]:
            process.kill()
        for *_, stack in self._busy.values():
            stack.close()
        self._idle.clear()
        self._busy.clear()


class _Process:
    """A process that encodes one input after another."""

    def __init__(self, *, single: bool) -> None:
        context = get_context("spawn")  # torch is not safe to fork
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, single), daemon=True)
        with _without_ctrl_c():
            self._process.start()
        theirs.close()

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def send(self, task: object) -> None:
        with suppress(OSError):  # the process has ended, as `recv` will report
            self.connection.send(task)

    def how_it_ended(self) -> str:
        self._process.join()
        self.connection.close()
        code = self._process.exitcode or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
        return f"the process that encoded it {how}; where memory is short, take fewer --jobs"

    def kill(self) -> None:
        self._process.kill()
        self._process.join()
        self.connection.close()


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Shield processes started in the block from Ctrl-C, which a terminal sends to all processes.

    It would stop a fit early, and the file would pass for a complete one. The parent stops its children instead.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # if started later, it would unblock Ctrl-C
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


def _serve(connection: Connection, single: bool) -> None:
    """Encode incoming inputs until the connection closes."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if single:
        with suppress(MissingExtraError):  # every input will report it
            from sinr_codec.fit.threads import one_thread

            one_thread()
    with suppress(EOFError, OSError):
        while True:
            connection.send(encode_input(*connection.recv()))


def _end_with_parent() -> None:
    """End with the parent: children of a killed parent would otherwise continue."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


# -- a cluster -------------------------------------------------------------------------------------------------


class Cluster:
    """The workers of a Dask scheduler, which reassigns the inputs of a worker that dies.

    Workers open inputs by their addresses and return the encoded files, so paths must be valid on the workers too.

    Parameters
    ----------
    scheduler
        Address of the scheduler, such as "tcp://host:8786".

    Raises
    ------
    InputError : the scheduler cannot be reached, or it or a worker has another version of this package
    MissingExtraError : distributed is not installed
    """

    def __init__(self, scheduler: str) -> None:
        try:
            from distributed import Client, as_completed
        except ImportError as error:
            raise MissingExtraError("scheduler: needs distributed: pip install 'sinr-codec[batch]'") from error
        self._scheduler = scheduler
        self._busy: dict[object, str] = {}
        try:
            self._client = Client(scheduler, timeout=PATIENCE, set_as_default=False)
        except (OSError, ValueError) as error:
            raise InputError(f"{scheduler}: no Dask scheduler can be reached there") from error
        # It would log a traceback if the scheduler stops, which `take` reports in one line.
        self._log = logging.getLogger("distributed.client")
        self._log_level = self._log.level
        self._log.setLevel(logging.CRITICAL)
        try:
            self._compare_versions()
        except BaseException:
            self.close()
            raise
        self._done = as_completed(loop=self._client.loop)

    def _compare_versions(self) -> None:
        """Fail early where all inputs would fail; `encode_input` checks workers that join later."""
        try:
            found = {self._scheduler: self._client.run_on_scheduler(metadata.version, DISTRIBUTION)}
        except ImportError as error:
            found = {self._scheduler: error}
        found |= self._client.run(metadata.version, DISTRIBUTION, on_error="return")
        for where, version in found.items():
            if version != __version__ and isinstance(version, str | ImportError):
                has = "no sinr-codec" if isinstance(version, ImportError) else f"sinr-codec {version}"
                raise InputError(f"{where}: has {has}; install {__version__} there, as here")

    @property
    def room(self) -> bool:
        """See `Pool`. One input a thread is queued; without workers, a single input is."""
        try:
            threads = sum(self._client.nthreads().values())
        except OSError as error:
            raise self._gone() from error
        return len(self._busy) < max(1, 2 * threads)

    def submit(self, address: str, options: Options) -> None:
        """See `Pool`."""
        # Not pure: a failed input must be retried instead of cached.
        future = self._client.submit(encode_input, address, address, options, __version__, pure=False)
        self._busy[future] = address
        self._done.add(future)

    def take(self) -> tuple[str, Encoded | Failed]:
        """See `Pool`.

        Raises
        ------
        InputError : the scheduler has stopped
        """
        future = next(self._done)
        address = self._busy.pop(future)
        if future.status not in ("finished", "error"):
            raise self._gone()
        error = future.exception()
        return address, future.result() if error is None else failure(error, address)

    def close(self) -> None:
        """See `Pool`; workers finish inputs they have started, and the results are dropped."""
        with suppress(Exception):  # the scheduler may have stopped
            self._client.cancel(list(self._busy), force=True)
        self._client.close()
        self._log.setLevel(self._log_level)

    def _gone(self) -> InputError:
        return InputError(f"{self._scheduler}: the Dask scheduler is gone; the same command goes on when it is back")
