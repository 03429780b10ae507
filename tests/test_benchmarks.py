"""The programs under benchmarks/ follow the library: they start, and say how they are used."""

import runpy
from pathlib import Path

import pytest

PROGRAMS = sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py"))


def test_there_are_some() -> None:
    assert len(PROGRAMS) >= 5


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_a_benchmark_imports_and_explains_itself(
    program: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", [str(program), "--help"])
    monkeypatch.syspath_prepend(str(program.parent))
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(program), run_name="__main__")
    assert end.value.code == 0
    assert "--json" in (text := capsys.readouterr().out) or "--out" in text
