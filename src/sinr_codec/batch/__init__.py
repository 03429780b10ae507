"""Encoding many signals into a folder of `.sinr` files, in resumable runs."""

import dataclasses
import hashlib
import inspect
import json
import math
import os
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import PurePath
from statistics import fmean
from typing import Any, cast

from sinr_codec import __version__, codec
from sinr_codec.bases import Base, read_base
from sinr_codec.batch.inputs import addresses_of, output_names
from sinr_codec.batch.manifest import Entry, Manifest
from sinr_codec.batch.places import Folder, address_of, content_hash, open_folder
from sinr_codec.batch.pools import Cluster, Pool, Processes
from sinr_codec.batch.work import Encoded, Failed, failure
from sinr_codec.devices import CPU, check_device
from sinr_codec.encoding.request import Request
from sinr_codec.errors import InputError
from sinr_codec.progress import Progress, with_display
from sinr_codec.reports import Report
from sinr_codec.types import JsonObject, Options, PathLike


@dataclass(frozen=True, repr=False)
class BatchReport(Report):
    """Result of `encode_many`; `print(report)` is a table.

    Attributes
    ----------
    out
        The folder: an absolute path, or a URL.
    done, skipped, failed, left
        Numbers of inputs: encoded in this run, already encoded, failed, and not finished at an interrupt.
    missed
        Number of inputs, done or skipped, that miss the requested size, rate or quality.
    bytes_in, bytes_out
        Sizes of the inputs done and skipped, as stored, and of their `.sinr` files.
    mean_quality
        Mean quality in dB by kind of signal, over inputs done and skipped with a finite quality.
    mean_figures
        Means of the figures in dB that lead the reports of a kind, by kind and name, such as the SNR of sounds.
    seconds
        Wall-clock time of this run.
    interrupted
        Whether Ctrl-C ended the run.
    entries
        Entries of the inputs that ended, in this run or an earlier one, in the order of the inputs.
    """

    out: str
    done: int
    skipped: int
    failed: int
    left: int
    missed: int
    bytes_in: int
    bytes_out: int
    mean_quality: dict[str, float]
    mean_figures: dict[str, dict[str, float]]
    seconds: float
    interrupted: bool
    entries: tuple[Entry, ...]

    @property
    def title(self) -> str:
        """The folder."""
        return self.out

    @property
    def notes(self) -> tuple[str, ...]:
        """One-line remarks."""
        missed = f"{self.missed:,} missed the target; {self.out}/batch.jsonl says which"
        return (missed,) if self.missed else ()

    def rows(self) -> Iterator[tuple[str, str]]:
        """Names and values for a table."""
        yield "done", f"{self.done:,}, {self.skipped:,} skipped, {self.failed:,} failed"
        yield "size", f"{self.bytes_out:,} bytes of {self.bytes_in:,}"
        for kind, db in self.mean_quality.items():
            name, value = next(iter(self.mean_figures.get(kind, {}).items()), ("", db))
            yield kind, f"{name.removesuffix('_db').upper()} {value:.2f} dB in the mean".lstrip()
        yield "time", f"{self.seconds:.1f} s"


@with_display
def encode_many(
    inputs: PathLike | Iterable[PathLike],
    out: PathLike,
    *,
    jobs: int = 1,
    scheduler: str | None = None,
    progress: Progress | bool | None = None,
    **options: Any,
) -> BatchReport:
    """Encode many signals into a folder.

    The folder has a manifest, `batch.jsonl`, with a line for every input that ended. A run that was stopped or killed
    resumes when it is started again. An input is skipped if its content, the options and the version of this package
    match its line, and its file is unchanged. Failed inputs are retried after the others. A failed input, even one that
    kills its process, does not affect the others. Ctrl-C stops the run; the report then has the number of inputs left.

    Parameters
    ----------
    inputs
        One or several files, folders with a signal, or patterns such as "photos/*.png" or "s3://bucket/**/*.nii.gz".
    out
        Output folder, a path or a URL for fsspec. Outputs are named after inputs, `photo.sinr` for `photo.png`; see
        `inputs.output_names` for inputs with the same name.
    jobs
        Number of inputs encoded in parallel, each in a separate process, with one torch thread if there are several.
        The processes are spawned, so a script must call this under `if __name__ == "__main__"`.
    scheduler
        Address of the scheduler of a Dask cluster that encodes instead, such as "tcp://host:8786". Paths must be valid
        on the cluster too.
    progress
        Receives progress; True for the usual display.
    options
        Options of `codec.encode` except `out` and `checkpoint`. Inputs are not encoded again for another `device`.

    Raises
    ------
    InputError
        An option that suits no signal, no inputs, a folder that cannot be written, lies in an input or is in use by
        another run, or a scheduler that cannot be reached or has stopped.
    MissingExtraError
        fsspec (for URLs) or distributed (for a scheduler) is not installed.

    Examples
    --------
    >>> report = encode_many(["photos/*.png"], "coded", jobs=4, preset="fast")      # doctest: +SKIP
    >>> report.done, report.mean_quality                                            # doctest: +SKIP
    (24, {'image': 29.3})
    """
    start = time.perf_counter()
    if jobs < 1:
        raise InputError(f"jobs: expected a number from 1, got {jobs}")
    given, recorded = _options(options)
    if scheduler is None:
        check_device(given.get("device", CPU))
    addresses = addresses_of([inputs] if isinstance(inputs, str | os.PathLike) else inputs)
    if not addresses:
        raise InputError("inputs: expected at least one")
    for address in addresses:
        if PurePath(address_of(out)).is_relative_to(address):
            raise InputError(f"{out}: is in the input {address}, which it would change; name another folder")
    folder = open_folder(out)
    with Manifest(folder) as manifest:
        names = output_names(addresses, {entry.input: entry.output for entry in manifest.entries.values()})
        run = _Run(folder, manifest, names, given, recorded, cast(Progress, progress))
        try:
            # Failed inputs come last: they may fail again in a way that takes down the machine.
            failed = {address for address, entry in manifest.entries.items() if entry.error is not None}
            todo = sorted(run.look_for_done(), key=failed.__contains__)
            if todo:
                if scheduler is None and find_spec("torch") is None:
                    import sinr_codec.fit  # noqa: F401  # says what to install, once and not for each input
                with closing(Processes(jobs) if scheduler is None else Cluster(scheduler)) as pool:
                    run.encode(todo, pool)
            interrupted = False
        except KeyboardInterrupt:
            interrupted = True
    return run.report(addresses, time.perf_counter() - start, interrupted)


def _options(options: Options) -> tuple[Options, JsonObject]:
    """The options that differ from the defaults, and their form in the manifest."""
    for name in ("out", "checkpoint"):
        if name in options:
            raise InputError(f"{name}: is for one input; leave it out")
    checked = {field.name for field in dataclasses.fields(Request)}
    Request(**{name: value for name, value in options.items() if name in checked})
    usual = {name: each.default for name, each in inspect.signature(codec.encode).parameters.items()}
    given = {name: value for name, value in options.items() if name not in usual or value != usual[name]}
    if "base" in given and not isinstance(given["base"], Base):
        given["base"] = read_base(given["base"])
    recorded = {name: value for name, value in given.items() if name != "device"}
    written: JsonObject = json.loads(json.dumps(recorded, default=_in_words))
    return given, written


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _in_words(value: object) -> str:
    return value.digest.hex() if isinstance(value, Base) else repr(value)


@dataclass
class _Run:
    """A run on an open folder; `ended` has entries by address, the first `skipped` of which are from earlier runs."""

    folder: Folder
    manifest: Manifest
    names: Mapping[str, str]
    options: Options
    recorded: JsonObject
    progress: Progress
    ended: dict[str, Entry] = field(default_factory=dict)
    skipped: int = 0

    def look_for_done(self) -> Iterator[str]:
        """The addresses of inputs to encode."""
        self.progress.start("look for what is done", len(self.names))
        for number, (address, name) in enumerate(self.names.items(), 1):
            entry = self.manifest.entries.get(address)
            if entry is not None and self._stands(entry):
                self.ended[address] = entry
                self.skipped += 1
            else:
                try:
                    self.folder.check(name)
                    yield address
                except InputError as error:
                    self._end(address, failure(error, address))
            self.progress.update(number)

    def _stands(self, entry: Entry) -> bool:
        now = (None, __version__, self.recorded)
        if (entry.error, entry.version, entry.options) != now or not entry.stands_in(self.folder):
            return False
        try:
            return content_hash(entry.input)[0] == entry.input_sha256
        except Exception:  # unreadable, as encoding will report
            return False

    def encode(self, todo: Sequence[str], pool: Pool) -> None:
        """Encode inputs, as many in parallel as the pool has room for."""
        self.progress.start("encode", len(todo))
        waiting = deque(todo)
        for number in range(1, len(todo) + 1):
            while waiting and pool.room:
                pool.submit(waiting.popleft(), self.options)
            address, outcome = pool.take()
            ended = outcome.quality.brief(outcome.measure) if isinstance(outcome, Encoded) else "failed"
            entry = self._end(address, outcome)
            self.progress.update(number, f"{entry.output} {ended if entry.error is None else 'failed'}")

    def _end(self, address: str, outcome: Encoded | Failed) -> Entry:
        """Record the outcome of an input: first the file, so that the manifest never lists a missing one."""
        name = self.names[address]
        if isinstance(outcome, Encoded):
            try:
                self.folder.write(name, outcome.blob)
            except InputError as error:
                outcome = failure(error, address)
        entry = Entry(address, name, __version__, self.recorded)
        if isinstance(outcome, Failed):
            entry = replace(entry, error=outcome.error)
        else:
            quality = outcome.quality
            entry = replace(
                entry,
                input_sha256=outcome.input_sha256,
                input_bytes=outcome.input_bytes,
                output_sha256=hashlib.sha256(outcome.blob).hexdigest(),
                output_bytes=len(outcome.blob),
                kind=outcome.kind,
                measure=outcome.measure,
                quality=_finite(quality.db),
                figures={name: _finite(value) for name, value in quality.figures.items()} or None,
                units=quality.units or None,
                headline=quality.headline or None,
                bpp=outcome.bpp,
                target_met=outcome.target_met,
                seconds=round(outcome.seconds, 2),
                notes=outcome.notes or None,
            )
        self.ended[address] = entry  # first: Ctrl-C may come when the line is written, but not yet on the disk
        self.manifest.add(entry)
        return entry

    def report(self, addresses: Sequence[str], seconds: float, interrupted: bool) -> BatchReport:
        """The report on the inputs, in their order."""
        ended = [self.ended[address] for address in addresses if address in self.ended]
        good = [entry for entry in ended if entry.error is None]
        qualities: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        for entry in good:
            figures = {name: (entry.figures or {}).get(name) for name in entry.headline or () if name.endswith("_db")}
            for name, value in (figures | {"": entry.quality}).items():
                if value is not None:
                    qualities[str(entry.kind)][name].append(value)
        means = {kind: {name: fmean(each) for name, each in found.items()} for kind, found in qualities.items()}
        return BatchReport(
            out=self.folder.address,
            done=len(good) - self.skipped,
            skipped=self.skipped,
            failed=len(ended) - len(good),
            left=len(addresses) - len(ended),
            missed=sum(entry.target_met is False for entry in good),
            bytes_in=sum(entry.input_bytes or 0 for entry in good),
            bytes_out=sum(entry.output_bytes or 0 for entry in good),
            mean_quality={kind: found.pop("") for kind, found in means.items() if "" in found},
            mean_figures={kind: found for kind, found in means.items() if found},
            seconds=seconds,
            interrupted=interrupted,
            entries=tuple(ended),
        )
