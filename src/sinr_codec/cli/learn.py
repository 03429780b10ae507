"""`sinr learn`: learn a base from signals, from which `sinr encode --base` encodes in a few steps."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sinr_codec.cli import _common
from sinr_codec.cli._common import JsonOption, QuietOption, SeedOption


def learn(
    sources: Annotated[list[Path], typer.Argument(metavar="SIGNALS...", help="Signals to learn from, or folders.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Output file for the base.")],
    method: Annotated[str, typer.Option(metavar="NAME", help="coinpp or inric-meta.")] = "coinpp",
    held_out: Annotated[
        list[Path] | None, typer.Option(help="Held-out signals for the quality in the learning curve; may be repeated.")
    ] = None,
    width: Annotated[int | None, typer.Option(help="Neurons a layer.")] = None,
    depth: Annotated[int | None, typer.Option(help="Hidden layers.")] = None,
    activation: Annotated[
        Any, typer.Option(parser=_common.parse_activation, metavar="NAME", help="sine, gaussian or relu.")
    ] = None,
    encoding: Annotated[bool, typer.Option("--encoding", help="Use INRIC's encoding before the first layer.")] = False,
    latents: Annotated[int | None, typer.Option(help="Latents a patch, for coinpp.")] = None,
    patch: Annotated[
        str | None,
        typer.Option(metavar="AxB", help="Samples of a patch along each axis, such as 32x32; none for no patches."),
    ] = None,
    levels: Annotated[int, typer.Option(help="Quantisation levels of a latent, for coinpp.")] = 63,
    sigmas: Annotated[float, typer.Option(help="Reach of the levels in standard deviations, for coinpp.")] = 6.0,
    kind: Annotated[str | None, typer.Option("--as", metavar="KIND", help="Kind of the signals.")] = None,
    steps: Annotated[int | None, typer.Option(help="Learning steps.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Learning time in seconds.")] = None,
    tasks: Annotated[int | None, typer.Option(help="Patches or signals a step.")] = None,
    at_once: Annotated[int | None, typer.Option(help="Patches or signals in memory at a time.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    inner_rate: Annotated[float | None, typer.Option(help="Initial learning rate of the inner steps.")] = None,
    inner_steps: Annotated[int | None, typer.Option(help="Inner steps for each task.")] = None,
    learn_rates: Annotated[
        bool | None, typer.Option("--learn-rates/--fixed-rate", help="Learn the learning rates of the inner steps.")
    ] = None,
    first_order: Annotated[
        bool, typer.Option("--first-order", help="Do not differentiate through inner gradients.")
    ] = False,
    evaluate_every: Annotated[int | None, typer.Option(help="Steps between points of the learning curve.")] = None,
    start: Annotated[Path | None, typer.Option(metavar="FILE", help="Base to start from.")] = None,
    seed: SeedOption = 0,
    device: Annotated[str, typer.Option(help="PyTorch device: cpu, cuda, ...")] = "cpu",
    compiled: Annotated[bool, typer.Option("--compile", help="Use torch.compile.")] = False,
    checkpoint: Annotated[Path | None, typer.Option(help="File for the state, to resume from.")] = None,
    log: Annotated[
        Path | None, typer.Option(help="File for the learning curve, with a line of JSON for each point.")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Learn a base for many similar signals.

    Files from `sinr encode --base` contain only the signal's own parameters; decoding them requires the same base.

    Example:
      sinr learn photos/ -o photos.sinr --seconds 3600 --checkpoint photos.checkpoint
      sinr encode photo.png --method coinpp --base photos.sinr
      sinr decode photo.sinr --base photos.sinr
    """
    from sinr_codec.learning import learn as run
    from sinr_codec.methods.inric import ENCODING

    settings = _common.given(
        tasks=tasks,
        at_once=at_once,
        lr=lr,
        inner_rate=inner_rate,
        inner_steps=inner_steps,
        learn_rates=learn_rates,
        evaluate_every=evaluate_every,
    )
    with _common.progress(quiet) as progress:
        report = run(
            sources,
            out,
            method=method,
            held_out=held_out or (),
            width=width,
            depth=depth,
            activation=activation,
            encoding=ENCODING if encoding else None,
            latents=latents,
            patch=None if patch is None else _patch(patch),
            levels=levels,
            sigmas=sigmas,
            kind=kind,
            steps=steps,
            seconds=seconds,
            start=start,
            seed=seed,
            device=device,
            checkpoint=checkpoint,
            log=log,
            progress=progress,
            compile=compiled,
            second_order=not first_order,
            **settings,
        )
    _common.show_report(report, as_json, str(out), report.rows())
    _common.end(None, report.interrupted, out)


def _patch(text: str) -> tuple[int, ...]:
    if text == "none":
        return ()
    parts = text.lower().split("x")
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise typer.BadParameter(f"{text!r}: expected samples by axis, such as 32x32 or 200, or none")
    return tuple(int(part) for part in parts)
