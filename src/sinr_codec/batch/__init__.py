"""Many signals in, a folder of `.sinr` files out, in as many runs as it takes."""

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
from pathlib import PurePath
from statistics import fmean
from typing import Any

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
from sinr_codec.progress import NullProgress, Progress
from sinr_codec.types import JsonObject, Options, PathLike


@dataclass(frozen=True)
class BatchReport:
    """What `encode_many` did.

    Attributes
    ----------
    out
        The folder: an absolute path, or a URL.
    done, skipped, failed, left
        Numbers of inputs: encoded now, there already, without a file, and not begun or not ended at an interrupt.
    missed
        Of those done and skipped, how many miss the size, rate or quality that was asked for.
    bytes_in, bytes_out
        Of the files of the inputs done and skipped, as they lie on the disk, and of their `.sinr` files.
    mean_quality
        In dB, by kind of signal, of those done and skipped whose quality is a finite number.
    seconds
        Wall-clock time of this run.
    interrupted
        Whether Ctrl-C ended it.
    entries
        Those of the inputs that ended, now or in an earlier run, in the order of the inputs.
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
    seconds: float
    interrupted: bool
    entries: tuple[Entry, ...]


def encode_many(
    inputs: PathLike | Iterable[PathLike],
    out: PathLike,
    *,
    jobs: int = 1,
    scheduler: str | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> BatchReport:
    """Encode many signals into a folder.

    The folder has a manifest, `batch.jsonl`, with a line for every input that ended. A run that is stopped, or killed,
    goes on when it is started again: an input is skipped if its content, the options and the version of this package
    are those of its line and its file is there as it was written. Inputs that failed are tried again, after
    the others. One input's failure, and the death of the process that encodes it, is no concern of the others. Ctrl-C
    stops what runs; the report then says how many inputs are left.

    Parameters
    ----------
    inputs
        Files, folders that are signals, and patterns such as "photos/*.png" or "s3://bucket/**/*.nii.gz"; one or many.
    out
        A folder; a URL for one that fsspec opens. Outputs are called after the inputs, `photo.sinr` for `photo.png`;
        `inputs.output_names` has the rules for inputs with the same name.
    jobs
        How many are encoded at a time, each in a process of its own, with one torch thread where they are several. The
        processes are spawned: a script must call this under `if __name__ == "__main__"`.
    scheduler
        Of a Dask cluster that encodes instead, such as "tcp://host:8786". Paths must mean the same there as here.
    progress
        Listens to the work.
    options
        Those of `codec.encode` but `out` and `checkpoint`. Another `device` makes no other file.

    Raises
    ------
    InputError
        An option that suits no signal, no inputs, a folder that cannot be written, lies in an input or is written to
        by another run, or a scheduler that cannot be reached or is gone.
    MissingExtraError
        fsspec, for URLs, or distributed, for a scheduler, is not installed.

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
        run = _Run(folder, manifest, names, given, recorded, progress or NullProgress())
        try:
            # What failed comes last: it may fail again in a way that takes the whole machine with it.
            failed = {address for address, entry in manifest.entries.items() if entry.error is not None}
            todo = sorted(run.look_for_done(), key=failed.__contains__)
            if todo:
                with closing(Processes(jobs) if scheduler is None else Cluster(scheduler)) as pool:
                    run.encode(todo, pool)
            interrupted = False
        except KeyboardInterrupt:
            interrupted = True
    return run.report(addresses, time.perf_counter() - start, interrupted)


def _options(options: Options) -> tuple[Options, JsonObject]:
    """The options that are not as usual, and what the manifest says of them."""
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


def _in_words(value: object) -> str:
    return value.digest.hex() if isinstance(value, Base) else repr(value)


@dataclass
class _Run:
    """A run on a folder that is open; `ended` are entries by address, of which the first `skipped` stood already."""

    folder: Folder
    manifest: Manifest
    names: Mapping[str, str]
    options: Options
    recorded: JsonObject
    progress: Progress
    ended: dict[str, Entry] = field(default_factory=dict)
    skipped: int = 0

    def look_for_done(self) -> Iterator[str]:
        """The addresses of inputs that are to be encoded."""
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
        except Exception:  # it cannot be read, as encoding it will tell
            return False

    def encode(self, todo: Sequence[str], pool: Pool) -> None:
        """Encode inputs, as many at a time as the pool has room for."""
        self.progress.start("encode", len(todo))
        waiting = deque(todo)
        for number in range(1, len(todo) + 1):
            while waiting and pool.room:
                pool.submit(waiting.popleft(), self.options)
            entry = self._end(*pool.take())
            quality = "" if entry.quality is None else f" {entry.quality:.2f} dB"
            self.progress.update(number, entry.output + (" failed" if entry.error is not None else quality))

    def _end(self, address: str, outcome: Encoded | Failed) -> Entry:
        """Write what came of an input: the file first, so that there is none of which the manifest knows too early."""
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
            entry = replace(
                entry,
                input_sha256=outcome.input_sha256,
                input_bytes=outcome.input_bytes,
                output_sha256=hashlib.sha256(outcome.blob).hexdigest(),
                output_bytes=len(outcome.blob),
                kind=outcome.kind,
                measure=outcome.measure,
                quality=outcome.quality if math.isfinite(outcome.quality) else None,
                bpp=outcome.bpp,
                target_met=outcome.target_met,
                seconds=round(outcome.seconds, 2),
                notes=outcome.notes or None,
            )
        self.manifest.add(entry)
        self.ended[address] = entry
        return entry

    def report(self, addresses: Sequence[str], seconds: float, interrupted: bool) -> BatchReport:
        """What became of the inputs, in their order."""
        ended = [self.ended[address] for address in addresses if address in self.ended]
        good = [entry for entry in ended if entry.error is None]
        qualities = defaultdict(list)
        for entry in good:
            if entry.quality is not None:
                qualities[str(entry.kind)].append(entry.quality)
        return BatchReport(
            out=self.folder.address,
            done=len(good) - self.skipped,
            skipped=self.skipped,
            failed=len(ended) - len(good),
            left=len(addresses) - len(ended),
            missed=sum(entry.target_met is False for entry in good),
            bytes_in=sum(entry.input_bytes or 0 for entry in good),
            bytes_out=sum(entry.output_bytes or 0 for entry in good),
            mean_quality={kind: fmean(values) for kind, values in qualities.items()},
            seconds=seconds,
            interrupted=interrupted,
            entries=tuple(ended),
        )
