"""Many cases, in processes that a watcher starts again where one hangs or dies.

    python tests/fuzz/run.py --cases 1000000 --seed 1 --jobs 2 --out fuzz-output
    python tests/fuzz/run.py --seed 1 --case 4711          # one case, with its traceback; the file goes to --out

A run goes on where it was stopped: `progress-SEED-JOBS.json` tells how far. Findings are lines of `findings.jsonl`, and
the first files of each kind lie beside it.
"""

import argparse
import hashlib
import json
import mmap
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
sys.path.insert(0, str(Path(__file__).parent))

from fuzz_cases import HANGS, Finding, Hang, Runner, limited, timed, warm_up
from fuzz_mutations import Corpus

SLOT = 16  # bytes of shared memory a process: number of its case, time at which it began
KEPT = 3  # files of a kind of finding


class Log:
    def __init__(self, out, seed):
        self.out, self.seed = out, seed
        self.seen = Counter()

    def add(self, number, case, finding):
        self.seen[finding.kind] += 1
        entry = {"seed": self.seed, "number": number, "what": case and case.what, "kind": finding.kind}
        if case is not None and self.seen[finding.kind] <= KEPT:
            digest = hashlib.sha256(finding.kind.encode()).hexdigest()[:8]
            (self.out / f"{digest}-{self.seed}-{number}.sinr").write_bytes(case.blob)
            entry |= {"file": digest, "text": finding.text}
        with open(self.out / "findings.jsonl", "a") as file:
            file.write(json.dumps(entry) + "\n")


def work(args, corpus, runner, slot, first):
    """Run the cases first, first + jobs, ... in this process."""
    os.sched_setaffinity(0, {sorted(os.sched_getaffinity(0))[first % len(os.sched_getaffinity(0))]})
    limited()
    runner.in_this_process()
    log = Log(args.out, args.seed)
    for number in range(first, args.cases, args.jobs):
        slot[:SLOT] = number.to_bytes(8, "little") + int(time.time()).to_bytes(8, "little")
        case = corpus.case(args.seed, number)
        timed(HANGS)
        try:
            found = runner.run(case, number)
        except Hang as error:
            found = [Finding("hang", str(error))]
        finally:
            timed(0)
        for finding in found:
            log.add(number, case, finding)
    slot[:8] = args.cases.to_bytes(8, "little")


class Watcher:
    """Starts a process a job, and another one behind the case where it ended."""

    def __init__(self, args, corpus, runner):
        self.args, self.corpus, self.runner = args, corpus, runner
        self.slots = [mmap.mmap(-1, SLOT) for _ in range(args.jobs)]
        self.progress = args.out / f"progress-{args.seed}-{args.jobs}.json"
        self.pids = {}

    def run(self):
        firsts = list(range(self.args.jobs))
        if self.progress.exists():
            firsts = json.loads(self.progress.read_text())
        began, before = time.monotonic(), sum(firsts)
        for job, first in enumerate(firsts):
            self._start(job, first)
        said = 0.0
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
        try:
            while self.pids:
                time.sleep(0.2)
                for job in list(self.pids):
                    self._look_at(job)
                if time.monotonic() > said + 60 or not self.pids:
                    said = time.monotonic()
                    numbers = self._save()
                    rate = (sum(numbers) - before) / self.args.jobs / (said - began)
                    print(f"{min(numbers):,} of {self.args.cases:,} cases, {rate:.0f} a second", flush=True)
        finally:
            for pid in self.pids.values():
                os.kill(pid, signal.SIGKILL)
            self._save()

    def _save(self):
        numbers = [self._slot(job)[0] for job in range(self.args.jobs)]
        self.progress.write_text(json.dumps(numbers))
        return numbers

    def _start(self, job, first):
        self.slots[job][:SLOT] = first.to_bytes(8, "little") + int(time.time()).to_bytes(8, "little")
        if pid := os.fork():
            self.pids[job] = pid
            return
        status = 1
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        try:
            work(self.args, self.corpus, self.runner, self.slots[job], first)
            status = 0
        finally:
            os._exit(status)

    def _slot(self, job):
        view = self.slots[job]
        return int.from_bytes(view[:8], "little"), int.from_bytes(view[8:16], "little")

    def _look_at(self, job):
        number, since = self._slot(job)
        if time.time() - since > 10 * HANGS:
            os.kill(self.pids[job], signal.SIGKILL)
        pid, status = os.waitpid(self.pids[job], os.WNOHANG)
        if not pid:
            return
        del self.pids[job]
        if status:
            signalled = os.WTERMSIG(status)
            kind = "hang that no alarm ends" if signalled == signal.SIGKILL else f"death by signal {signalled}"
            case = self.corpus.case(self.args.seed, number)
            Log(self.args.out, self.args.seed).add(number, case, Finding(kind, case.what))
            if number + self.args.jobs < self.args.cases:
                self._start(job, number + self.args.jobs)


def summary(args):
    path = args.out / "findings.jsonl"
    entries = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    entries = [entry for entry in entries if entry["seed"] == args.seed]
    kinds = Counter(entry["kind"] for entry in entries)
    print(f"{args.cases:,} cases of seed {args.seed} (numbers 0 to {args.cases - 1:,}): {len(entries)} findings")
    for kind, count in kinds.most_common():
        first = next(entry["number"] for entry in entries if entry["kind"] == kind)
        print(f"  {count:6} x {kind} (--seed {args.seed} --case {first})")
    return not entries


def one(args, corpus, runner):
    case = corpus.case(args.seed, args.case)
    path = args.out / f"case-{args.seed}-{args.case}.sinr"
    path.write_bytes(case.blob)
    if case.base is not None:
        path.with_suffix(".base.sinr").write_bytes(case.base)
    print(f"{path}: {case.what}, {len(case.blob)} bytes")
    found = runner.run(case, args.case)
    for finding in found:
        print(f"-- {finding.kind}\n{finding.text}")
    return not found


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--case", type=int, help="number of the only case to run")
    parser.add_argument("--out", type=Path, default=Path("fuzz-output"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    corpus, runner = Corpus(), Runner()
    try:
        warm_up(corpus, runner)
        if args.case is not None:
            return one(args, corpus, runner)
        Watcher(args, corpus, runner).run()
        return summary(args)
    finally:
        runner.close()


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
