"""What `sinr bench NAME` does: experiments and analyses by name, and the report of a run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sinr_codec.bench import runs, sparsity, weights
from sinr_codec.bench.experiments import EXPERIMENTS, experiment_named
from sinr_codec.bench.report import report, summary_text
from sinr_codec.bench.runs import Settings
from sinr_codec.errors import InputError
from sinr_codec.progress import Progress

NAMES: Final = (*EXPERIMENTS, "sparsity", "weights", "report")


@dataclass(frozen=True)
class Made:
    """Files that were written, and a summary for people."""

    files: list[Path]
    summary: str


def study(
    name: str, settings: Settings, *, resume: bool = False, results: Path | None = None, progress: Progress
) -> Made:
    """Run an experiment or an analysis, or report on a folder.

    Parameters
    ----------
    name
        One of `NAMES`.
    settings
        Signals, folder, and how much of it.
    resume
        Go on with the run in the folder.
    results
        Folder to which the results go without fits and files.
    progress
        Listens.

    Raises
    ------
    InputError
        An unknown name, a folder that cannot be used, no signals, or nothing to report on.
    """
    if name not in NAMES:
        raise InputError(f"experiment: expected one of {', '.join(NAMES)}, got {name!r}")
    if name == "report":
        if not (settings.out / "run.json").exists():
            raise InputError(f"{settings.out}: holds no run; make one with sinr bench c1 --out {settings.out}")
    elif name in EXPERIMENTS:
        runs.run(experiment_named(name), settings, resume=resume, progress=progress)
    else:
        {"sparsity": sparsity, "weights": weights}[name].run(settings, resume=resume, progress=progress)
    made = [*report(settings.out, results), *sparsity.report(settings.out, results)]
    made += weights.report(settings.out, results)
    if not made:
        raise InputError(f"{settings.out}: has no points yet; go on with sinr bench NAME --resume")
    return Made(made, summary_text(settings.out))
