"""`sinr encode`: encode a signal into a `.sinr` file."""

import warnings
from pathlib import Path
from typing import Annotated

import typer

from sinr_codec.cli import _common
from sinr_codec.cli._common import JsonOption, Preset, PresetOption, QuietOption, SeedOption
from sinr_codec.cli._kinds import options_given
from sinr_codec.cli._sources import name_beside, output_of, source_of
from sinr_codec.errors import QualityWarning


def encode(
    ctx: typer.Context,
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT", help="A picture, sound, volume, dataset, video, mesh or scene; a URL; - is stdin."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; - is stdout.", show_default="INPUT with .sinr")
    ] = None,
    preset: PresetOption = Preset.BALANCED,
    method: _common.MethodOption = None,
    field: _common.FieldOption = None,
    base: _common.FromBaseOption = None,
    kind: _common.KindOption = None,
    bpp: _common.BppOption = None,
    size: _common.SizeOption = None,
    psnr: _common.PsnrOption = None,
    snr: _common.SnrOption = None,
    max_error: _common.MaxErrorOption = None,
    lossless: _common.LosslessOption = False,
    width: _common.WidthOption = None,
    depth: _common.DepthOption = None,
    activation: _common.ActivationOption = None,
    seconds: _common.SecondsOption = None,
    max_drop: _common.MaxDropOption = None,
    seed: SeedOption = 0,
    device: _common.DeviceOption = "cpu",
    checkpoint: Annotated[Path | None, typer.Option(help="File for the state of the fit, to resume from.")] = None,
    progressive: _common.ProgressiveOption = False,
    strict: _common.StrictOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Encode a signal into a small file.

    A small neural network is fitted to the signal, and its weights are coded. Ctrl-C stops the fit and codes the
    weights found so far, unless the signal is in blocks: then --checkpoint keeps the state for the next run.
    Exits with 3 if the file misses its target or is less than 5 dB better than the signal's mean, and with 130 after
    Ctrl-C.

    Example:
      sinr encode photo.png -o photo.sinr
      sinr encode photo.png --bpp 0.3 --preset fast
      sinr encode brain.nii.gz --size 90000
      sinr encode scan.nii.gz --max-error 20HU
      sinr encode photo.png --method coinpp --base photos.sinr
    """
    _common.exclusive(bpp=bpp, size=size, psnr=psnr, snr=snr, max_error=max_error, lossless=lossless or None)
    out = name_beside(source, ".sinr", replacing=True) if out is None else out
    output = output_of(ctx, out)

    from sinr_codec import codec

    with source_of(source) as signal, _common.progress(quiet) as progress, warnings.catch_warnings():
        warnings.simplefilter("ignore", QualityWarning)  # the exit code and the last line tell
        report = codec.encode(
            signal,
            output,
            preset=preset.value,
            method=method,
            field=field,
            base=base,
            kind=kind,
            width=width,
            depth=depth,
            activation=activation,
            bpp=bpp,
            size=size,
            psnr=psnr,
            snr=snr,
            max_error=max_error,
            lossless=lossless,
            seconds=seconds,
            seed=seed,
            device=device,
            max_drop=max_drop,
            checkpoint=checkpoint,
            progressive=progressive,
            strict=strict,
            progress=progress,
            **options_given(ctx),
        )
    _common.show_report(report, as_json, str(out), report.rows(), report.notes)
    _common.end(report.shortfall, report.interrupted, out)
