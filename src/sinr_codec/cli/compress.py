"""`sinr compress`: compress trained networks into a `.sinr` file."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sinr_codec.cli import _common
from sinr_codec.cli._common import JsonOption, Preset, PresetOption, QuietOption, SeedOption
from sinr_codec.cli._sources import name_beside, output_of, source_of

if TYPE_CHECKING:
    from sinr_codec.foreign.compress import CompressReport


def compress(
    ctx: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help=".safetensors, .npz, or .pt, .pth, .ckpt, .pth.tar (no code in it is run); a URL; - is stdin.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; - is stdout.", show_default="MODEL with .sinr")
    ] = None,
    preset: PresetOption = Preset.BALANCED,
    fidelity: Annotated[
        float | None,
        typer.Option(help="PSNR in dB of the outputs after coding against those before.", show_default="46"),
    ] = None,
    signal: Annotated[Path | None, typer.Option(help="Training picture, for measuring the loss.")] = None,
    max_drop: Annotated[
        float | None, typer.Option(help="dB of PSNR that coding may cost on --signal.", show_default="0.1")
    ] = None,
    activation: Annotated[
        Any,
        typer.Option(
            parser=_common.parse_activation,
            metavar="NAME",
            help="sine, gaussian, wire or relu, as in sine:30 or sine:30,3000 (first layer 3000), "
            "if the weights do not determine it.",
        ),
    ] = None,
    describe: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Description of the networks, a .toml or .json file, if the keys do not determine them.",
        ),
    ] = None,
    write_description: Annotated[
        bool, typer.Option("--write-description", help="Only print the recognised networks, as a file for --describe.")
    ] = False,
    weights_snr: Annotated[
        float | None,
        typer.Option(help="Also code weights outside known networks, at this SNR in dB."),
    ] = None,
    keep_optimiser: Annotated[
        bool, typer.Option("--keep-optimiser", help="Keep the optimiser's tensors, losslessly.")
    ] = False,
    seed: SeedOption = 0,
    device: Annotated[str, typer.Option(help="Device for pursuits: cpu, cuda, ...")] = "cpu",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compress trained coordinate networks into a file.

    Known networks are coded so that their outputs stay close; everything else is lossless. `sinr decompress` restores
    the same keys, shapes and dtypes.

    Example:
      sinr compress siren.pth -o siren.sinr
      sinr compress siren.safetensors --fidelity 50
      sinr compress model.npz --describe model.toml
    """
    _common.exclusive(fidelity=fidelity, signal=signal)
    _common.exclusive(activation=activation, describe=describe)
    _common.exclusive(write_description=write_description or None, describe=describe)
    if max_drop is not None and signal is None:
        raise typer.BadParameter("--max-drop: expected --signal beside it")
    out = name_beside(model, ".sinr", replacing=True) if out is None else out
    output = out if write_description else output_of(ctx, out)

    from sinr_codec.foreign.compress import compress_report
    from sinr_codec.foreign.descriptions import description_of

    if write_description:
        with source_of(model) as network:
            typer.echo(description_of(network, activation), nl=False)
        return
    with source_of(model) as network, _common.progress(quiet) as progress:
        report = compress_report(
            network,
            output,
            preset=preset.value,
            signal=signal,
            activation=activation,
            describe=describe,
            weights_snr=weights_snr,
            keep_optimiser=keep_optimiser,
            seed=seed,
            device=device,
            progress=progress,
            **_common.given(fidelity=fidelity, max_drop=max_drop),
        )
    _common.show_report(report, as_json, str(out), _rows(report), report.notes)


def _rows(report: "CompressReport") -> Iterator[tuple[str, str]]:
    ratio = report.bytes / report.baseline_bytes
    yield "size", f"{report.bytes:,} bytes, {8 * report.bytes / max(report.weights, 1):.2f} bits a weight"
    yield "against", f"{ratio:.3f} of 16-bit min-max + Brotli ({report.baseline_bytes:,} bytes)"
    yield "kept", report.criterion
    for network in report.networks:
        yield "network", (f"{network.name.rstrip('.')}: " if network.name else "") + network.network
        yield "", f"{network.weights:,} weights in {network.bytes:,} bytes"
        condition = ", if the activation is as assumed" if network.assumed else ""
        yield "", f"fidelity {network.fidelity:.2f} dB{condition}: {network.compared}"
    if report.psnr is not None:
        yield "quality", f"{report.psnr:.2f} dB on the signal"
    yield "exact", f"{report.exact:,} numbers bit by bit"
    yield "time", f"{report.seconds:.1f} s"
