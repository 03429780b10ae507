"""Whether both decoders say the same of damaged files: of each, that it is read, or the class of the error.

    python tests/fuzz/verdicts.py [--cases 10000] [--seed 1] [--out fuzz-output]

Files are those of `fuzz_mutations`; all weights are decoded, and nothing is rendered. Node.js and what `make js-test`
installs are needed. Files with two verdicts go to --out; the exit code is 1 where there are any.
"""

import argparse
import os
import struct
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
sys.path.insert(0, str(Path(__file__).parent))

from fuzz_mutations import Corpus

from sinr_codec.bases import base_in
from sinr_codec.container import BASE, DEFAULT_LIMITS, FIELD, read
from sinr_codec.decoding import opened
from sinr_codec.errors import SinrError
from sinr_codec.foreign.decompress import state_of

JS = Path(__file__).parents[2] / "js"


def verdict(blob, base):
    """ "ok", or the class of the error."""
    try:
        header, sections = read(blob, DEFAULT_LIMITS)
        if header.kind == BASE:
            base_in(header, sections, DEFAULT_LIMITS)
        elif header.kind == FIELD:
            decoder = opened(blob, header, sections, DEFAULT_LIMITS, base)
            for part in decoder.fields.parts:
                assert callable(part)
        else:
            state_of(header, sections, DEFAULT_LIMITS)
    except SinrError as error:
        return type(error).__name__
    return "ok"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("fuzz-output"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    corpus, cases = Corpus(), args.out / "cases"
    files = [corpus.case(args.seed, number) for number in range(args.cases)]
    with cases.open("wb") as file:
        for case in files:
            file.write(struct.pack("<II", len(case.blob), len(case.base or b"")) + case.blob + (case.base or b""))
    names = ["--entry-file-names", "[name].mjs", "--chunk-file-names", "[name].mjs"]
    bundle = ["npx", "rolldown", "test/verdicts.ts", "--dir", args.out.resolve(), "--format", "esm", *names]
    subprocess.run([*bundle, "--platform", "node"], cwd=JS, check=True, stdout=subprocess.DEVNULL)
    with ThreadPoolExecutor(1) as pool:
        node = pool.submit(
            subprocess.run, ["node", args.out / "verdicts.mjs", cases], check=True, capture_output=True, text=True
        )
        ours = [verdict(case.blob, case.base) for case in files]
        theirs = node.result().stdout.splitlines()
    assert len(theirs) == len(files)
    differ = [number for number, (a, b) in enumerate(zip(ours, theirs)) if a != b]
    for number in differ:
        print(f"{number}: {files[number].what}: Python {ours[number]}, Node {theirs[number]}")
        (args.out / f"verdicts-{args.seed}-{number}.sinr").write_bytes(files[number].blob)
    kinds = ", ".join(f"{count:,} {name}" for name, count in Counter(ours).most_common())
    print(f"{len(files) - len(differ):,} of {len(files):,} files have the same verdict: {kinds}")
    sys.exit(bool(differ))


if __name__ == "__main__":
    main()
