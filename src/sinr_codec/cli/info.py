"""`sinr info`: describe a file."""

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from sinr_codec.cli import _common
from sinr_codec.cli._common import BaseOption, JsonOption, LimitOption
from sinr_codec.cli._sources import source_of
from sinr_codec.errors import SinrError, printable

if TYPE_CHECKING:
    from sinr_codec.types import JsonObject


def info(
    sources: Annotated[list[str], typer.Argument(metavar="FILE...", help=".sinr files; a URL; - is standard input.")],
    base: BaseOption = None,
    limit: LimitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Describe the content of files.

    The description has the network, the bytes of each part, and the coding of each tensor. Of several files, JSON is a
    list; a file that cannot be read leaves the others, and the exit code is 1.

    Example:
      sinr info photo.sinr
    """
    from sinr_codec import inspecting

    limits = _common.limits_of(limit)
    answers = []
    for source in sources:
        try:
            with source_of(source) as file:
                answers.append(
                    inspecting.info(file, base=base, limits=limits) | ({"path": source} if len(sources) > 1 else {})
                )
        except SinrError as error:
            if len(sources) == 1:
                raise
            _common.show_error(str(error))
            continue
        if not as_json:
            _describe(source, answers[-1])
    if as_json:
        _common.show_json(answers if len(sources) > 1 else answers[0])
    if len(answers) < len(sources):
        raise typer.Exit(1)


def _describe(source: str, answer: "JsonObject") -> None:
    """Print a description."""
    rows = [("kind", answer["kind"])]
    if "signal" in answer:
        signal = dict(answer["signal"])
        shape = " x ".join(map(str, signal.pop("shape")))
        rest = ", ".join(
            f"{key} {_short(value)}" for key, value in signal.items() if key not in ("type", "dtype") and value
        )
        rows.append(("source", f"{signal['type']} {shape} {signal.get('dtype', '')}, {rest}".rstrip(", ")))
    if "base" in answer:
        rows.append(("name" if answer["kind"] == "base" else "base", answer["base"]))
    if "field" in answer:
        many = f"{answer['networks']} of " if answer.get("networks", 1) > 1 else ""
        rows.append(("network", f"{many}{answer['field']}"))
    if "exact" in answer:
        exact = "the same bits on every machine" if answer["exact"] else "the last bits differ between machines"
        if "max_error" in answer:
            exact += f", with a largest error of {answer['max_error']:.5g}" if answer["max_error"] else ", without loss"
        rows.append(("samples", exact))
    rate = f", {answer['bpp']:.3g} bits a {answer['unit']}" if "bpp" in answer else ""
    beside = f", beside the networks {answer['side_bytes']:,} bytes" if answer.get("side_bytes") else ""
    rows.append(("size", f"{answer['bytes']:,} bytes{rate}; header {answer['header_bytes']:,} bytes{beside}"))
    if "metadata_bytes" in answer:
        items = answer["metadata"]
        named = "damaged" if items is None else ", ".join(f"{name} {size:,}" for name, size in items.items())
        rows.append(("metadata", f"{answer['metadata_bytes']:,} bytes in the file: {named}"))
    if "receiver_bytes" in answer:
        rows.append(("decoding", f"{answer['receiver_bytes']:,} bytes are needed"))
    if "bits_per_parameter" in answer:
        rows.append(("weights", f"{answer['parameters']:,} at {answer['bits_per_parameter']:.2f} bits each"))
    if "plane_bytes" in answer:
        planes = " + ".join(f"{size:,}" for size in answer["plane_bytes"])
        rows.append(("planes", f"{planes} bytes of last bits, behind all else"))
    if answer["quality_db"] is not None:
        rows.append(("quality", f"{answer['quality_db']:.2f} dB {answer.get('measure', 'fidelity')} recorded"))
    _common.show(source, rows)
    known = ("name", "shape", "dtype", "bytes")
    tensors = _summed(answer["tensors"]) if answer.get("networks", 1) > 1 else answer["tensors"]
    names = {tensor["name"]: printable(tensor["name"]) for tensor in tensors}
    longest = max(map(len, names.values()), default=0)
    for tensor in tensors:
        shape = "x".join(map(str, tensor["shape"])) or "scalar"
        coding = ", ".join(f"{key} {_short(value)}" for key, value in tensor.items() if key not in known)
        size = f"{shape:>9} {tensor['dtype']}  {tensor['bytes']:>8,} bytes"
        typer.echo(f"  {names[tensor['name']]:<{longest}}  {size}  {printable(coding)}")


def _summed(tensors: "list[JsonObject]") -> "list[JsonObject]":
    """One entry for each tensor, summed over the networks of all blocks, whose numbers are the prefix of names."""
    found: dict[str, list[JsonObject]] = {}
    for tensor in tensors:
        found.setdefault(tensor["name"].partition(".")[2], []).append(tensor)
    rows = []
    for name, group in found.items():
        sizes = [tensor["bytes"] for tensor in group]
        ways = Counter(tensor["transform"] for tensor in group).most_common()
        row = {"name": name, "shape": group[0]["shape"], "dtype": group[0]["dtype"], "bytes": sum(sizes)}
        row |= {"a network": f"{min(sizes):,} to {max(sizes):,} bytes"}
        row |= {"transform": ", ".join(f"{way} ({count})" if len(ways) > 1 else way for way, count in ways)}
        rows.append(row)
    return rows


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
