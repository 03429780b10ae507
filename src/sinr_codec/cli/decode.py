"""`sinr decode`: a `.sinr` file in, a picture out, at any size."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sinr_codec.cli import _common
from sinr_codec.cli._common import JsonOption


def decode(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A .sinr file of a picture.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Picture to write; .npy keeps the array.",
            show_default="FILE with .png behind it, as in photo.sinr.png; .tif or .npy where PNG lacks its mode",
        ),
    ] = None,
    scale: Annotated[float | None, typer.Option(help="Factor on the source's size.")] = None,
    size: Annotated[
        Any, typer.Option(parser=_common.parse_size, metavar="HxW", help="Height and width of the result.")
    ] = None,
    region: Annotated[
        Any, typer.Option(parser=_common.parse_region, metavar="L,T,R,B", help="Part of the picture, in source pixels.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Render a picture from its file, at any size.

    Example:
      sinr decode photo.sinr
      sinr decode photo.sinr -o large.png --scale 2
      sinr decode photo.sinr -o part.png --region 100,50,356,306 --scale 4
    """
    _common.exclusive(scale=scale, size=size)

    from sinr_codec import codec
    from sinr_codec.files import check_output

    decoder = codec.open(source)
    out = source.with_name(source.name + decoder.spec.suffix) if out is None else out
    check_output(out, source)
    array = decoder.render(scale=scale, size=size, region=region)
    decoder.spec.save(array, out)
    height, width = array.shape[:2]
    if as_json:
        _common.show_json({"path": out, "height": height, "width": width, "mode": decoder.spec.mode})
    else:
        _common.show(str(out), [("size", f"{width} x {height} pixels, {decoder.spec.mode}")])
