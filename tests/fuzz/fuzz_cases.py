"""What is done with a file, and what counts as a finding.

Every file is described, opened, rendered small and evaluated at positions; a share of them is decompressed, verified,
opened without its end, and written in a random format. The answer is a result or a `SinrError` of one printable line of
at most 300 characters. All else is a finding: another exception, a warning of NumPy, a lack of memory under small
limits, a peak of memory, more than two seconds, a temporary file that is left.
"""

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import tempfile
import time
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sinr_codec import codec
from sinr_codec.container import Limits
from sinr_codec.errors import SinrError
from sinr_codec.foreign.decompress import decompress

LIMITS = Limits(
    max_params=2**16, max_samples=2**15, max_bytes=2**23, max_work=2**26, max_file_bytes=2**20, max_sections=256
)
SLOW = 2.0
"""Seconds from which on a file is a finding."""
HANGS = 10
"""Seconds of computing after which a file is given up; ten times as many on the clock, if it waits."""
PEAK = 320 << 10
"""Growth of the process in KiB from which on a file is a finding."""
LONGEST = 300
SMALL = {
    "image": {"size": (5, 4)},
    "audio": {"start": 0.0, "stop": 0.001},
    "volume": {"size": (3, 3, 2)},
    "video": {"size": (4, 3)},
    "shape": {"size": (5, 4, 3)},
    "radiance": {"size": (4, 3)},
}
FORMATS = {
    "image": [".png", ".npy", ".tif", ".jpg", ".gif", ".webp", ".bmp"],
    "audio": [".wav", ".flac", ".npy", ".png", ".ogg"],
    "volume": [".npy", ".npz", ".nii", ".nii.gz", ".zarr", ".zarr.zip", ".tif", ".png"],
    "dataset": [".nc", ".zarr", ".npz", ".png"],
    "video": [".npy", ".npz", ".png", "", ".mp4"],
    "shape": [".npy", ".ply", ".png", ".obj"],
    "radiance": [".png", ".npy", ".gif", ""],
}


@dataclass(frozen=True)
class Finding:
    """What went wrong, told apart from others by its kind, and the details."""

    kind: str
    text: str


class Hang(BaseException):
    """A file takes too long."""


class Runner:
    """Runs cases in this process; written files go to a temporary folder."""

    def __init__(self, saved=0.02):
        self.saved = saved
        self.root = Path(tempfile.mkdtemp(prefix="sinr-fuzz-"))
        self.peak = _peak()
        self.in_this_process()

    def in_this_process(self):
        """Take a folder that no other process looks into."""
        self.folder = self.root / str(os.getpid())
        self.folder.mkdir(exist_ok=True)

    def close(self):
        shutil.rmtree(self.root, ignore_errors=True)

    def run(self, case, number):
        """The findings of a case, after which the process goes on."""
        rng, found, began = random.Random(number), [], time.process_time()
        for action in self._actions(case, rng):
            try:
                action()
            except SinrError as error:
                found += _flaws(error)
            except Exception as error:
                text = "".join(traceback.format_exception(error))[-6000:]
                found.append(Finding(_place(error), text))
        if (spent := time.process_time() - began) > SLOW:
            found.append(Finding(f"slow: {case.what}", f"{spent:.1f} s, {len(case.blob)} bytes"))
        if (peak := _peak()) > self.peak + PEAK:
            found.append(Finding(f"memory: {case.what}", f"{peak - self.peak >> 10} MiB, {len(case.blob)} bytes"))
        self.peak = max(self.peak, peak)
        if left := os.listdir(self.folder):
            found.append(Finding("files are left", ", ".join(left)))
            for name in left:
                self._remove(name)
        return found

    def _actions(self, case, rng):
        limits, blob, base = LIMITS, case.blob, case.base
        yield lambda: json.dumps(codec.info(blob, base=base, limits=limits))
        yield lambda: self._rendered(blob, base, rng)
        if rng.random() < 0.3:
            yield lambda: decompress(blob, limits=limits)
        if rng.random() < 0.15:
            yield lambda: codec.verify(blob, base=base, limits=limits)
        if rng.random() < 0.1:
            part = blob[: rng.randrange(len(blob) + 1)]
            yield lambda: codec.open(part, base=base, progressive=True, limits=limits).params
        if rng.random() < self.saved:
            yield lambda: self._written(blob, rng.choice(["net.npz", "net.safetensors"]))

    def _rendered(self, blob, base, rng):
        decoder = codec.open(blob, base=base, limits=LIMITS)
        kind, spec = decoder.spec.KIND, decoder.spec
        options = dict(SMALL.get(kind, {}))
        if kind == "volume" and len(spec.sizes) == 4:
            options = {"size": (2, 2, 2, 2)}
        if kind == "dataset" and spec.values > 1 << 12:
            options = {"region": {d: (0, min(2, spec.content.dims[d])) for d in spec.dims}}
        if rng.random() < 0.3 and spec.values <= 1 << 12:
            options = {}
        decoded = decoder.render(**options)
        decoder(np.zeros((3, decoder.network.in_features), "float32"))
        spec.summary(decoded)
        if rng.random() < (0.5 if decoder.metadata else self.saved):
            name = f"out{rng.choice(FORMATS[kind])}"
            try:
                decoder.save(self.folder / name, **options)
            finally:
                self._remove(name)

    def _written(self, blob, name):
        try:
            decompress(blob, self.folder / name, limits=LIMITS)
        finally:
            self._remove(name)

    def _remove(self, name):
        path = self.folder / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def warm_up(corpus, runner):
    """Import what the readers and writers of all kinds use, so that the peak of memory is that of cases."""
    from fuzz_mutations import SIGNAL, Case

    warnings.simplefilter("ignore")
    written = set()
    for name in corpus.names:
        case = Case(name, corpus.files[name].blob, corpus.base_for(corpus.files[name].header))
        runner.run(case, 0)
        if corpus.files[name].header.get(SIGNAL):
            decoder = codec.open(case.blob, base=case.base)
            for suffix in set(FORMATS[decoder.spec.KIND]) - written:
                written.add(suffix)
                with contextlib.suppress(SinrError):
                    decoder.save(runner.folder / f"out{suffix}")
                runner._remove(f"out{suffix}")
    warnings.simplefilter("error", RuntimeWarning)
    runner.peak = _peak()


def limited():
    """Bound the address space, and make `timed` raise."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + (1 << 30)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))

    def too_long(*_):
        raise Hang(f"more than {HANGS} s")

    signal.signal(signal.SIGPROF, too_long)


def timed(seconds):
    """After so many seconds of computing, raise; 0 for never."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _flaws(error):
    text = str(error)
    if not text.isprintable():
        return [Finding(f"message that is not one printable line: {_place(error)}", ascii(text[:500]))]
    if len(text) > LONGEST:
        return [Finding(f"message of more than {LONGEST} characters: {_place(error)}", text[:500])]
    if "not enough memory" in text:
        return [Finding(f"lack of memory: {_place(error.__cause__ or error)}", text)]
    return []


def _place(error):
    frames = traceback.extract_tb(error.__traceback__)
    ours = [f for f in frames if "sinr_codec" in f.filename and "site-packages" not in f.filename] or frames
    name = "/".join(Path(ours[-1].filename).parts[-2:])
    within = "" if ours[-1] is frames[-1] else f" in {Path(frames[-1].filename).name}"
    return f"{type(error).__name__} at {name}:{ours[-1].lineno} {ours[-1].name}{within}"


def _peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
