"""`sinr decode`: a `.sinr` file in, the signal out, at any size."""

from pathlib import Path
from typing import Annotated, Any

import typer

from sinr_codec.cli import _common
from sinr_codec.cli._common import BaseOption, JsonOption


def decode(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A .sinr file of a signal.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File to write; the extension names the format, .npy keeps the array.",
            show_default="FILE with the kind's extension behind it, as in photo.sinr.png",
        ),
    ] = None,
    base: BaseOption = None,
    scale: Annotated[
        Any,
        typer.Option(
            parser=_common.parse_scale, metavar="S", help="Factor on the source's size; of volumes also AxBxC by axis."
        ),
    ] = None,
    size: Annotated[
        Any, typer.Option(parser=_common.parse_size, metavar="HxW", help="Height and width of the result.")
    ] = None,
    region: Annotated[
        Any,
        typer.Option(
            parser=_common.parse_region,
            metavar="L,T,R,B",
            help="Part of a picture in source pixels; of a volume or video START:STOP for every axis.",
        ),
    ] = None,
    rate: Annotated[int | None, typer.Option(help="Of a sound: samples a second.")] = None,
    start: Annotated[float | None, typer.Option(help="Of a sound: first second.")] = None,
    stop: Annotated[float | None, typer.Option(help="Of a sound: second to stop before.")] = None,
    fps: Annotated[float | None, typer.Option(help="Of a video: frames a second.")] = None,
    variables: Annotated[list[str] | None, typer.Option(help="Of a dataset: only these; may be repeated.")] = None,
    resolution: Annotated[int | None, typer.Option(help="Of a shape: voxels along its longest side.")] = None,
    pose: Annotated[Path | None, typer.Option(help="Of a scene: JSON file with the cameras to render.")] = None,
    orbit: Annotated[int | None, typer.Option(help="Of a scene: so many views around it.")] = None,
    mesh: Annotated[bool, typer.Option("--mesh", help="Of a scene: its geometry.")] = False,
    progressive: Annotated[
        bool, typer.Option("--progressive", help="Take a file whose end is missing, at the quality that is there.")
    ] = False,
    device: Annotated[str, typer.Option(help="Where to evaluate the network: cpu, cuda, ...")] = "cpu",
    as_json: JsonOption = False,
) -> None:
    """Render a signal from its file, at any size.

    Example:
      sinr decode photo.sinr
      sinr decode photo.sinr -o large.png --scale 2
      sinr decode photo.sinr -o part.png --region 100,50,356,306 --scale 4
      sinr decode brain.sinr -o slice.nii.gz --region 90:91,0:233,0:189
    """
    _common.exclusive(scale=scale, size=size)

    from sinr_codec import codec
    from sinr_codec.files import check_output

    options = _common.given(
        scale=scale,
        size=size,
        region=region,
        rate=rate,
        start=start,
        stop=stop,
        fps=fps,
        variables=variables or None,
        resolution=resolution,
        pose=pose,
        orbit=orbit,
        mesh=mesh or None,
    )
    decoder = codec.open(source, base=base, progressive=progressive, device=device)
    out = source.with_name(source.name + decoder.spec.suffix) if out is None else out
    check_output(out, source)
    decoded = decoder.save(out, **options)
    if as_json:
        shape = list(decoded.shape) if hasattr(decoded, "shape") else None
        planes = {"planes": list(decoder.planes)} if decoder.header.planes else {}
        _common.show_json({"path": out, "kind": decoder.spec.KIND, "shape": shape, **planes})
    else:
        there, of = decoder.planes
        notes = [f"the end of the file is missing: {there} of {of} planes are there"] if there < of else []
        _common.show(str(out), [("decoded", decoder.spec.summary(decoded))], notes)
