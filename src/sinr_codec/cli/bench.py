"""`sinr bench`: run the experiments of the paper and report on them."""

from pathlib import Path
from typing import Annotated

import typer

from sinr_codec.cli import _common
from sinr_codec.cli._common import JsonOption, QuietOption, SeedOption
from sinr_codec.errors import InputError


def bench(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="c1, c2, c3, c4, c5, encoding, refinement, coding, ablations, shacira, shacira-radiance, sparsity, "
            "weights, occupancy, radiance; or report.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the run: points, files, fits, report.")],
    data: Annotated[Path, typer.Option(help="Folder with the signals, such as the Kodak pictures.")] = Path("data"),
    images: Annotated[
        str | None, typer.Option(metavar="A-B", help="Range of signals, counted from 1. Default: all.")
    ] = None,
    scale: Annotated[str, typer.Option(metavar="S", help="Scale factor of the signals, such as 1/4.")] = "1",
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of every fit.", show_default="the experiment's own")
    ] = None,
    effort: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of the published steps for methods that continue training.")
    ] = 0.3,
    methods: Annotated[str | None, typer.Option(metavar="A,B", help="Only these methods.")] = None,
    configurations: Annotated[str | None, typer.Option(metavar="HxM,...", help="Only these networks.")] = None,
    device: _common.DeviceOption = "cpu",
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Processes, each with one thread.")] = 1,
    together: Annotated[int, typer.Option(min=1, help="Pictures fitted as one batch, by Adam, for a GPU.")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the run in the folder.")] = False,
    bases: Annotated[Path | None, typer.Option(help="Folder of existing bases, such as coinpp-d64.sinr.")] = None,
    learn_from: Annotated[
        Path | None, typer.Option(help="Pictures to learn bases from.", show_default="the first half of the data")
    ] = None,
    learn_steps: Annotated[
        int | None, typer.Option(min=1, help="Steps for learning a base.", show_default="the experiment's own")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="Further folder for the results: JSON and plots, without the fits.")
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run an experiment and report on it.

    Each finished point is written to a file, and trained networks are kept and shared between methods, so that a run
    that was stopped or killed resumes with --resume.

    Example:
      sinr bench c1 --data kodak --images 1-2 --scale 1/4 --out out
      sinr bench c1 --data kodak --jobs 2 --out out --resume
      sinr bench c5 --data kodak --images 13-14 --scale 1/4 --learn-steps 100 --configurations d64 --out out
      sinr bench report --out out
    """
    if not 0 <= effort <= 1:  # nan passes typer's limits
        raise InputError(f"effort: expected a number from 0 to 1, got {effort}")
    from sinr_codec.bench import experiments, studies
    from sinr_codec.bench.runs import Settings

    settings = Settings(
        data=data,
        out=out,
        numbers=None if images is None else experiments.parse_numbers(images),
        scale=experiments.parse_scale(scale),
        steps=steps,
        effort=effort,
        seed=seed,
        device=device,
        jobs=jobs,
        together=together,
        methods=_names(methods),
        configurations=_names(configurations),
        bases=bases,
        learn_from=learn_from,
        learn_steps=learn_steps,
    )
    with _common.progress(quiet) as progress:
        made = studies.study(name, settings, resume=resume, results=results, progress=progress)
    if as_json:
        _common.show_json({"files": [str(path) for path in made.files]})
        return
    typer.echo(made.summary)
    for path in made.files:
        typer.echo(str(path))


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())
