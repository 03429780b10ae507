"""Some thousand damaged and hostile files; `make fuzz` runs more of them."""

import os
import sys
import warnings
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fuzz_cases import Runner
from fuzz_mutations import Corpus, rebuilt, take_apart

CORPUS = Corpus()
CASES, BATCH = 2000, 250


@pytest.fixture
def runner():
    """On one core, where the decoder starts no threads, which would take longer than small files."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    runner = Runner()
    yield runner
    runner.close()
    os.sched_setaffinity(0, cores)


def test_the_parts_of_a_golden_file_make_the_file():
    for name, parts in CORPUS.files.items():
        assert rebuilt(parts.header, parts.sections) == parts.blob, name
        assert take_apart(name, parts.blob) == parts


def test_a_case_is_determined_by_seed_and_number():
    for number in range(100):
        case = CORPUS.case(3, number)
        assert case == Corpus().case(3, number) if number < 3 else case == CORPUS.case(3, number)
    assert len({CORPUS.case(3, number).blob for number in range(100)}) > 90
    assert CORPUS.case(3, 1) != CORPUS.case(4, 1)


@pytest.mark.parametrize("first", range(0, CASES, BATCH))
def test_a_damaged_file_is_decoded_or_refused_in_one_line(first, runner):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", RuntimeWarning)
        for number in range(first, first + BATCH):
            case = CORPUS.case(0, number)
            # Neither time nor the peak of memory, which depend on the machine and on tests before.
            found = [f for f in runner.run(case, number) if not f.kind.startswith(("slow", "memory"))]
            assert not found, f"run.py --seed 0 --case {number}: {case.what}\n{found[0].kind}\n{found[0].text}"
