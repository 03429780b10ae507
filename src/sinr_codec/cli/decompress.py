"""`sinr decompress`: restore the network in a `.sinr` file."""

from pathlib import Path
from typing import Annotated

import typer

from sinr_codec.cli import _common
from sinr_codec.cli._common import JsonOption


def decompress(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A .sinr file.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Network to write: .safetensors, .npz, .pt, .pth or .ckpt.")],
    as_json: JsonOption = False,
) -> None:
    """Restore a compressed network.

    Keys, shapes and dtypes are those of the original. For the file of a picture, the weights of its network are
    written.

    Example:
      sinr decompress siren.sinr -o siren.safetensors
    """
    from sinr_codec.foreign import decompress as receiver

    state = receiver.decompress(source, out)
    numbers = sum(tensor.size for tensor in state.values())
    if as_json:
        tensors = {name: {"shape": tensor.shape, "dtype": str(tensor.dtype)} for name, tensor in state.items()}
        _common.show_json({"path": out, "numbers": numbers, "tensors": tensors})
    else:
        _common.show(str(out), [("holds", f"{len(state)} tensors, {numbers:,} numbers")])
