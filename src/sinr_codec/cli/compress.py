"""`sinr compress`: somebody's trained network in, a `.sinr` file out."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sinr_codec.cli import _common
from sinr_codec.cli._common import JsonOption, Preset, PresetOption, QuietOption, SeedOption


def compress(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help=".safetensors, .npz, or .pt, .pth, .ckpt (no code in it is run).")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write.", show_default="MODEL with .sinr")
    ] = None,
    preset: PresetOption = Preset.BALANCED,
    fidelity: Annotated[
        float | None,
        typer.Option(help="PSNR in dB of the new network's outputs against the old one's.", show_default="46"),
    ] = None,
    signal: Annotated[Path | None, typer.Option(help="The picture it was trained on: measure the loss there.")] = None,
    max_drop: Annotated[
        float | None, typer.Option(help="dB of PSNR that coding may cost on --signal.", show_default="0.1")
    ] = None,
    activation: Annotated[
        Any,
        typer.Option(
            parser=_common.parse_activation,
            metavar="NAME",
            help="sine, gaussian, wire or relu, as in sine:30, where the weights do not tell.",
        ),
    ] = None,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Make a file of a trained coordinate network.

    `sinr decompress` gives back its keys, shapes and dtypes.

    Example:
      sinr compress siren.pth -o siren.sinr
      sinr compress siren.safetensors --fidelity 50
    """
    _common.exclusive(fidelity=fidelity, signal=signal)
    if max_drop is not None and signal is None:
        raise typer.BadParameter("--max-drop: expected --signal beside it")
    out = model.with_suffix(".sinr") if out is None else out

    from sinr_codec import codec

    limits = {"fidelity": fidelity, "max_drop": max_drop}
    with _common.progress(quiet) as progress:
        report = codec.compress_report(
            model,
            out,
            preset=preset.value,
            signal=signal,
            activation=activation,
            seed=seed,
            progress=progress,
            **{name: value for name, value in limits.items() if value is not None},
        )
    if as_json:
        _common.show_json(report)
        return
    ratio = report.bytes / report.baseline_bytes
    rows = [
        ("size", f"{report.bytes:,} bytes, {8 * report.bytes / max(report.weights, 1):.2f} bits a weight"),
        ("against", f"{ratio:.3f} of 16-bit min-max + Brotli ({report.baseline_bytes:,} bytes)"),
        ("kept", report.criterion),
    ]
    if report.fidelity is not None:
        rows.append(("fidelity", f"{report.fidelity:.2f} dB"))
    if report.psnr is not None:
        rows.append(("PSNR", f"{report.psnr:.2f} dB on the signal"))
    if report.field is not None:
        rows.append(("network", f"{_common.describe_field(report.field)}, {report.weights:,} weights"))
    rows.append(("time", f"{report.seconds:.1f} s"))
    _common.show(str(out), rows, report.notes)
