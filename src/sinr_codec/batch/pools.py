"""Who does the work: processes of this machine, or a Dask cluster."""

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
"""Seconds to wait for a scheduler."""


class Pool(Protocol):
    """Encodes inputs, several at a time."""

    @property
    def room(self) -> bool:
        """Whether it can begin with one more."""

    def submit(self, address: str, options: Options) -> None:
        """Begin with an input."""

    def take(self) -> tuple[str, Encoded | Failed]:
        """Wait for the next input to end."""

    def close(self) -> None:
        """Stop what runs."""


# -- processes -------------------------------------------------------------------------------------------------


class Processes:
    """Processes of this machine, one input each; one that is killed fails its input and is replaced.

    `concurrent.futures` has a pool, too, but there all inputs fail with the one whose process is killed.

    Parameters
    ----------
    jobs
        How many; each has one torch thread where they are several.
    """

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._idle: list[_Process] = []
        self._busy: dict[Any, tuple[_Process, str, ExitStack]] = {}
        self._ended: deque[tuple[str, Failed]] = deque()  # those that could not even be fetched

    @property
    def room(self) -> bool:
        """See `Pool`."""
        return len(self._busy) < self._jobs

    def submit(self, address: str, options: Options) -> None:
        """Begin with an input; one that is elsewhere is fetched before this returns."""
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
    """A process that encodes one input after the other."""

    def __init__(self, *, single: bool) -> None:
        context = get_context("spawn")  # torch and forks do not go together
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, single), daemon=True)
        with _without_ctrl_c():
            self._process.start()
        theirs.close()

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def send(self, task: object) -> None:
        with suppress(OSError):  # it is gone, as `recv` will tell
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
    """Keep Ctrl-C, which a terminal sends to all processes, from those that are started inside.

    There it would end a fit before its time, and the file would pass for a whole one. Who started them stops them.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # started later, it would let Ctrl-C in again
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)


def _serve(connection: Connection, single: bool) -> None:
    """Encode what comes, until the other side is gone."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if single:
        with suppress(MissingExtraError):  # every input will say so
            from sinr_codec.fit.threads import one_thread

            one_thread()
    with suppress(EOFError, OSError):
        while True:
            connection.send(encode_input(*connection.recv()))


def _end_with_parent() -> None:
    """A parent that is killed kills nobody; its work would go on for nobody."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


# -- a cluster -------------------------------------------------------------------------------------------------


class Cluster:
    """The workers of a Dask scheduler; if one dies, the scheduler gives its inputs to others.

    Workers open inputs by their addresses, and what they encode comes back: paths must mean the same there as here.

    Parameters
    ----------
    scheduler
        Its address, such as "tcp://host:8786".

    Raises
    ------
    InputError : it cannot be reached, or has not this version of this package, or a worker has not
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
        # Its log is a traceback where the scheduler is gone, of which `take` tells in a line.
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
        """Tell now what would make all inputs fail; workers that come later are compared by `encode_input`."""
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
        """See `Pool`. One input a thread waits in line; where there are no workers yet, one waits for the first."""
        try:
            threads = sum(self._client.nthreads().values())
        except OSError as error:
            raise self._gone() from error
        return len(self._busy) < max(1, 2 * threads)

    def submit(self, address: str, options: Options) -> None:
        """See `Pool`."""
        # Not pure: an input that failed is to be tried again, not remembered.
        future = self._client.submit(encode_input, address, address, options, __version__, pure=False)
        self._busy[future] = address
        self._done.add(future)

    def take(self) -> tuple[str, Encoded | Failed]:
        """See `Pool`.

        Raises
        ------
        InputError : the scheduler is gone
        """
        future = next(self._done)
        address = self._busy.pop(future)
        if future.status not in ("finished", "error"):
            raise self._gone()
        error = future.exception()
        return address, future.result() if error is None else failure(error, address)

    def close(self) -> None:
        """See `Pool`; what a worker has begun with, it ends, and nobody takes it."""
        with suppress(Exception):  # of a scheduler that is gone
            self._client.cancel(list(self._busy), force=True)
        self._client.close()
        self._log.setLevel(self._log_level)

    def _gone(self) -> InputError:
        return InputError(f"{self._scheduler}: the Dask scheduler is gone; the same command goes on when it is back")
