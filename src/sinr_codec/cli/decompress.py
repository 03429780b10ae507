"""`sinr decompress`: restore the network in a `.sinr` file."""

from pathlib import Path
from typing import Annotated

import typer

from sinr_codec.cli import _common
from sinr_codec.cli._common import JsonOption, LimitOption
from sinr_codec.cli._sources import name_beside, output_of, source_of


def decompress(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="FILE", help="A .sinr file; a URL; - is standard input.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Network to write: .safetensors, .npz, .pt, .pth or .ckpt; - is standard output.",
            show_default="FILE with .safetensors behind it",
        ),
    ] = None,
    format: Annotated[
        str, typer.Option(metavar="EXT", help="Extension of the format, where --out does not tell it.")
    ] = "safetensors",
    limit: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Restore a compressed network.

    Keys, shapes and dtypes are those of the original. For the file of a picture, the weights of its network are
    written.

    Example:
      sinr decompress siren.sinr -o siren.safetensors
    """
    from sinr_codec.foreign import decompress as receiver

    limits = _common.limits_of(limit)
    out = name_beside(source, f".{format.removeprefix('.')}", replacing=False) if out is None else out
    output = output_of(ctx, out)
    with source_of(source) as file:
        state = receiver.decompress(file, output, format=format, limits=limits)
    numbers = sum(tensor.size for tensor in state.values())
    if as_json:
        tensors = {name: {"shape": tensor.shape, "dtype": str(tensor.dtype)} for name, tensor in state.items()}
        _common.show_json({"path": out, "numbers": numbers, "tensors": tensors})
    else:
        _common.show(str(out), [("holds", f"{len(state)} tensors, {numbers:,} numbers")])
