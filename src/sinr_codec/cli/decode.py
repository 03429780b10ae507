"""`sinr decode`: render the signal of a `.sinr` file at any size."""

import warnings
from pathlib import Path
from typing import Annotated

import typer

from sinr_codec.cli import _common
from sinr_codec.cli._common import BaseOption, JsonOption, LimitOption
from sinr_codec.cli._kinds import options_given
from sinr_codec.cli._sources import name_beside, output_of, source_of


def decode(
    ctx: typer.Context,
    source: Annotated[
        str, typer.Argument(metavar="FILE", help="A .sinr file of a signal; a URL; - is standard input.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Output file; the extension selects the format, .npy the array; - is standard output.",
            show_default="FILE with the kind's extension behind it, as in photo.sinr.png",
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="EXT", help="Extension of the format, where --out does not tell it.", show_default="the kind's"
        ),
    ] = None,
    base: BaseOption = None,
    progressive: Annotated[
        bool, typer.Option("--progressive", help="Accept a file whose end is missing, at reduced quality.")
    ] = False,
    device: Annotated[str, typer.Option(help="Device for evaluating the network: cpu, cuda, ...")] = "cpu",
    fast: Annotated[
        bool, typer.Option("--fast", help="Evaluate by floats: faster, but the last bits may differ between machines.")
    ] = False,
    limit: LimitOption = None,
    as_json: JsonOption = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing.")] = False,
) -> None:
    """Render a signal from its file, at any size.

    Example:
      sinr decode photo.sinr
      sinr decode photo.sinr -o large.png --scale 2
      sinr decode photo.sinr -o part.png --region 100,50,356,306 --scale 4
      sinr decode - -o - --format png < photo.sinr > photo.png
      sinr decode brain.sinr -o slice.nii.gz --region 90:91,0:233,0:189
    """
    options = options_given(ctx)
    limits = _common.limits_of(limit)
    _common.exclusive(scale=options.get("scale"), size=options.get("size"))

    from sinr_codec.decoding import open
    from sinr_codec.files import check_output

    if out is not None:
        output = output_of(ctx, out)
        check_output(output, source)
    with source_of(source) as file:
        decoder = open(file, base=base, progressive=progressive, device=device, fast=fast, limits=limits)
    if out is None:
        suffix = decoder.spec.suffix if format is None else f".{format.removeprefix('.')}"
        out = name_beside(source, suffix, replacing=False)
        output = output_of(ctx, out)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", UserWarning)
        decoded = decoder.save(output, format=format, **options)
    notes = [str(each.message) for each in said if each.category is UserWarning]
    if quiet:
        return
    if as_json:
        shape = list(decoded.shape) if hasattr(decoded, "shape") else None
        planes = {"planes": list(decoder.planes)} if decoder.header.planes else {}
        remarks = {"notes": notes} if notes else {}
        _common.show_json({"path": out, "kind": decoder.spec.KIND, "shape": shape, **planes, **remarks})
    else:
        there, of = decoder.planes
        if there < of:
            notes.append(f"the end of the file is missing: {there} of {of} planes are there")
        _common.show(str(out), [("decoded", decoder.spec.summary(decoded))], notes)
