"""`sinr encode`: a picture in, a `.sinr` file out."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sinr_codec.cli import _common
from sinr_codec.cli._common import JsonOption, Preset, PresetOption, QuietOption, SeedOption


def encode(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A picture (anything Pillow opens), or .npy.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write.", show_default="INPUT with .sinr")
    ] = None,
    preset: PresetOption = Preset.BALANCED,
    bpp: Annotated[float | None, typer.Option(help="Aim at this rate, bits a pixel.")] = None,
    size: Annotated[int | None, typer.Option(help="Aim at this file size, bytes.")] = None,
    psnr: Annotated[float | None, typer.Option(help="Aim at this quality, dB.")] = None,
    width: Annotated[int | None, typer.Option(help="Neurons a layer, instead of an aim.")] = None,
    depth: Annotated[int | None, typer.Option(help="Hidden layers.")] = None,
    activation: Annotated[
        Any,
        typer.Option(
            parser=_common.parse_activation, metavar="NAME", help="sine, gaussian, wire or relu; sine:30 sets omega0."
        ),
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="Fit for this long; starting and coding come on top.")] = None,
    max_drop: Annotated[float, typer.Option(help="dB that coding may lose.")] = 0.1,
    seed: SeedOption = 0,
    device: Annotated[str, typer.Option(help="Where PyTorch fits: cpu, cuda, ...")] = "cpu",
    checkpoint: Annotated[Path | None, typer.Option(help="Keep the fit's state here, and resume from it.")] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Turn a picture into a small file.

    A small neural network is fitted to it, and its weights are coded. Ctrl-C stops the fit; what it has found
    by then becomes the file.

    Example:
      sinr encode photo.png -o photo.sinr
      sinr encode photo.png --bpp 0.3 --preset fast
    """
    _common.exclusive(bpp=bpp, size=size, psnr=psnr)
    out = source.with_suffix(".sinr") if out is None else out

    from sinr_codec import codec

    with _common.progress(quiet) as progress:
        report = codec.encode(
            source,
            out,
            preset=preset.value,
            width=width,
            depth=depth,
            activation=activation,
            bpp=bpp,
            size=size,
            psnr=psnr,
            seconds=seconds,
            seed=seed,
            device=device,
            max_drop=max_drop,
            checkpoint=checkpoint,
            progress=progress,
        )
    if as_json:
        _common.show_json(report)
        return
    rows = [
        ("size", f"{report.bytes:,} bytes"),
        ("rate", f"{report.bpp:.3f} bpp"),
        ("PSNR", f"{report.psnr:.2f} dB ({report.fit_psnr:.2f} dB before coding)"),
        ("time", f"{report.seconds:.1f} s"),
        ("how", f"{report.preset}, {_common.describe_field(report.field)}"),
    ]
    if report.target is not None:
        rows.append(("target", f"{report.target}: {'met' if report.target_met else 'MISSED'}"))
    _common.show(str(out), rows, report.notes)
