"""`sinr batch`: encode many signals into a folder of `.sinr` files."""

from typing import Annotated

import typer

from sinr_codec.cli import _common
from sinr_codec.cli._common import JsonOption, Preset, PresetOption, QuietOption, SeedOption
from sinr_codec.cli._kinds import options_given


def batch(
    ctx: typer.Context,
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUTS...", help="Files, folders that are signals, quoted patterns; or their URLs."),
    ],
    out: Annotated[str, typer.Option("--out", "-o", metavar="DIR", help="Output folder, or its URL.")],
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Inputs encoded in parallel, in a process each.", show_default="1"),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Scheduler of a Dask cluster that encodes, such as tcp://host:8786."),
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
    width: _common.WidthOption = None,
    depth: _common.DepthOption = None,
    activation: _common.ActivationOption = None,
    seconds: _common.SecondsOption = None,
    max_drop: _common.MaxDropOption = None,
    seed: SeedOption = 0,
    device: _common.DeviceOption = "cpu",
    progressive: _common.ProgressiveOption = False,
    strict: _common.StrictOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Encode many signals into small files.

    A run that was stopped or killed resumes with the same command: encoded inputs are skipped, failed inputs are
    retried. DIR/batch.jsonl lists the outcome of every input. An input whose file would be less than 5 dB better than
    the signal's mean fails. Exits with 1 if an input failed, and with 3 if a file misses its target.

    Example:
      sinr batch photos/*.png --out coded --jobs 4
      sinr batch 'scans/**/*.nii.gz' --out coded --psnr 40
      sinr batch 's3://bucket/photos/*' --out s3://bucket/coded --scheduler tcp://host:8786
    """
    _common.exclusive(bpp=bpp, size=size, psnr=psnr, snr=snr)
    _common.exclusive(jobs=jobs, scheduler=scheduler)

    from sinr_codec.batch import encode_many

    with _common.progress(quiet) as progress:
        report = encode_many(
            inputs,
            out,
            jobs=jobs or 1,
            scheduler=scheduler,
            progress=progress,
            preset=preset.value,
            method=method,
            field=field,
            base=base,
            kind=kind,
            bpp=bpp,
            size=size,
            psnr=psnr,
            snr=snr,
            width=width,
            depth=depth,
            activation=activation,
            seconds=seconds,
            max_drop=max_drop,
            seed=seed,
            device=device,
            progressive=progressive,
            strict=strict,
            **options_given(ctx),
        )
    _common.show_report(report, as_json, report.title, report.rows(), report.notes)
    for entry in report.entries:
        if entry.error is not None:
            _common.show_error(entry.error)
    if report.interrupted:
        _common.show_error(f"interrupted; the same command goes on with the {report.left:,} that are left")
        raise typer.Exit(130)
    if report.failed:
        raise typer.Exit(1)
    if report.missed:
        raise typer.Exit(3)
