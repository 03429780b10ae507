"""`sinr encode`: a signal in, a `.sinr` file out."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sinr_codec.cli import _common
from sinr_codec.cli._common import JsonOption, Preset, PresetOption, QuietOption, SeedOption


def encode(
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="A picture, sound, volume, dataset, video, mesh or scene.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write.", show_default="INPUT with .sinr")
    ] = None,
    preset: PresetOption = Preset.BALANCED,
    method: Annotated[
        str | None, typer.Option(metavar="NAME", help="Code as coin, inric, sinr, ... do, instead of planning.")
    ] = None,
    base: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Of coinpp and inric-meta: what `sinr learn` wrote.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="KIND",
            help="image, audio, volume, dataset, video, shape or radiance, where INPUT does not tell.",
        ),
    ] = None,
    bpp: Annotated[float | None, typer.Option(help="Aim at this rate, bits a pixel (sample, voxel, ...).")] = None,
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
    max_drop: Annotated[float | None, typer.Option(help="dB that coding may lose, where no rate rules it.")] = None,
    seed: SeedOption = 0,
    device: Annotated[str, typer.Option(help="Where PyTorch fits: cpu, cuda, ...")] = "cpu",
    resolution: Annotated[int | None, typer.Option(help="Of a shape: voxels along its longest side.")] = None,
    variant: Annotated[
        str | None, typer.Option(help="Of a shape: occupancy, sdf (signed distances) or coloured.")
    ] = None,
    block: Annotated[
        float | None,
        typer.Option(help="Of a sound: seconds a network. Of a picture: pixels a side of the blocks; 0 for one piece."),
    ] = None,
    frames: Annotated[
        Any, typer.Option(parser=_common.parse_range, metavar="A:B", help="Of a video: only these frames.")
    ] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Keep the fit's state here, and resume from it.")] = None,
    progressive: Annotated[
        bool, typer.Option("--progressive", help="Order the file so that its beginning decodes, at lower quality.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Turn a signal into a small file.

    A small neural network is fitted to it, and its weights are coded. Ctrl-C stops the fit; what it has found
    by then becomes the file.

    Example:
      sinr encode photo.png -o photo.sinr
      sinr encode photo.png --bpp 0.3 --preset fast
      sinr encode brain.nii.gz --size 90000
      sinr encode photo.png --method coinpp --base photos.sinr
    """
    _common.exclusive(bpp=bpp, size=size, psnr=psnr)
    out = (
        _common.without_suffix(source if source.name else source.resolve()).with_suffix(".sinr") if out is None else out
    )
    options = _common.given(resolution=resolution, variant=variant, block=block, frames=frames)

    from sinr_codec import codec

    with _common.progress(quiet) as progress:
        report = codec.encode(
            source,
            out,
            preset=preset.value,
            method=method,
            base=base,
            kind=kind,
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
            progressive=progressive,
            progress=progress,
            **options,
        )
    if as_json:
        _common.show_json(report)
        return
    share = report.source_bytes / report.bytes
    ratio = f", 1/{share:.3g} of the samples" if share >= 1 else f", {1 / share:.3g} times the samples" if share else ""
    rows = [
        ("size", f"{report.bytes:,} bytes{ratio}"),
        ("rate", f"{report.bpp:.3g} bits a {report.unit}"),
        (report.measure, f"{report.quality:.2f} dB ({report.fit_quality:.2f} dB before coding)"),
        *((name, f"{value:.5g}") for name, value in report.figures.items() if name != "psnr_db"),
        ("time", f"{report.seconds:.1f} s"),
        ("how", f"{report.preset}, {report.kind}, {_common.describe_field(report.field, report.parts)}"),
    ]
    if report.target is not None:
        rows.append(("target", f"{report.target}: {'met' if report.target_met else 'MISSED'}"))
    _common.show(str(out), rows, report.notes)
