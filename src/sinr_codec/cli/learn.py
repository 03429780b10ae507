"""`sinr learn`: signals in, a base out, from which `sinr encode --base` encodes in a few steps."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sinr_codec.cli import _common
from sinr_codec.cli._common import JsonOption, QuietOption, SeedOption

if TYPE_CHECKING:
    from sinr_codec.learning import LearnReport


def learn(
    sources: Annotated[list[Path], typer.Argument(metavar="SIGNALS...", help="Signals to learn from, or folders.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Base to write.")],
    method: Annotated[str, typer.Option(metavar="NAME", help="coinpp or inric-meta.")] = "coinpp",
    held_out: Annotated[
        list[Path] | None, typer.Option(help="Signals whose quality the learning curve shows; may be repeated.")
    ] = None,
    width: Annotated[int | None, typer.Option(help="Neurons a layer.")] = None,
    depth: Annotated[int | None, typer.Option(help="Hidden layers.")] = None,
    activation: Annotated[
        Any, typer.Option(parser=_common.parse_activation, metavar="NAME", help="sine, gaussian or relu.")
    ] = None,
    encoding: Annotated[bool, typer.Option("--encoding", help="INRIC's encoding before the first layer.")] = False,
    latents: Annotated[int | None, typer.Option(help="Of coinpp: numbers a patch.")] = None,
    patch: Annotated[
        str | None, typer.Option(metavar="AxB", help="Samples of a patch by axis, such as 32x32; none for none.")
    ] = None,
    levels: Annotated[int, typer.Option(help="Of coinpp: levels of a latent.")] = 63,
    sigmas: Annotated[float, typer.Option(help="Of coinpp: standard deviations that they reach from the mean.")] = 6.0,
    kind: Annotated[str | None, typer.Option("--as", metavar="KIND", help="What the signals are.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps to learn for.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Time to learn for.")] = None,
    tasks: Annotated[int | None, typer.Option(help="Patches or signals a step.")] = None,
    at_once: Annotated[int | None, typer.Option(help="As many of them in memory at a time.")] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.")] = None,
    inner_rate: Annotated[float | None, typer.Option(help="Rate of the inner steps, where learning begins.")] = None,
    inner_steps: Annotated[int | None, typer.Option(help="Steps on a task.")] = None,
    learn_rates: Annotated[
        bool | None, typer.Option("--learn-rates/--fixed-rate", help="Learn the rates of the inner steps.")
    ] = None,
    first_order: Annotated[bool, typer.Option("--first-order", help="Do not differentiate inner gradients.")] = False,
    evaluate_every: Annotated[int | None, typer.Option(help="Steps between points of the learning curve.")] = None,
    start: Annotated[Path | None, typer.Option(metavar="FILE", help="A base to begin with.")] = None,
    seed: SeedOption = 0,
    device: Annotated[str, typer.Option(help="Where PyTorch learns: cpu, cuda, ...")] = "cpu",
    compiled: Annotated[bool, typer.Option("--compile", help="Use torch.compile.")] = False,
    checkpoint: Annotated[Path | None, typer.Option(help="Keep the state here, and resume from it.")] = None,
    log: Annotated[Path | None, typer.Option(help="Write the learning curve here, a line of JSON a point.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Learn what signals share.

    Files that `sinr encode --base` makes hold but what is their own; whoever decodes them needs the same base.

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
    _common.show_report(report, as_json, str(out), _rows(report))


def _rows(report: "LearnReport") -> Iterator[tuple[str, str]]:
    yield "name", report.digest
    yield "size", f"{report.bytes:,} bytes; {report.receiver_bytes:,} to decode with"
    yield "learned", f"{report.steps:,} steps on {report.signals} signal(s), {report.seconds:.0f} s"
    yield "how", f"{report.method}, {report.field.describe()}"
    if report.curve and "psnr" in report.curve[-1]:
        yield "held out", f"{report.curve[-1]['psnr']:.2f} dB"


def _patch(text: str) -> tuple[int, ...]:
    if text == "none":
        return ()
    parts = text.lower().split("x")
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise typer.BadParameter(f"{text!r}: expected samples by axis, such as 32x32 or 200, or none")
    return tuple(int(part) for part in parts)
