"""What files of signals and files of networks share: sections of tensor records, checks, and evaluation in tiles."""

import contextlib
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sinr_codec.coding.assembled import Plan
from sinr_codec.coding.planes import PlaneReader, encode_plane
from sinr_codec.coding.tensor import coarse_record, decode_tensor
from sinr_codec.coding.varint import Reader
from sinr_codec.container import MAGIC, MAX_QUALITY, Header, Limits, load, read
from sinr_codec.devices import CPU, is_cpu
from sinr_codec.errors import InputError, MalformedError, SinrError, TruncatedError
from sinr_codec.fields import AnyActivation, Field, Modulations
from sinr_codec.signals.base import TILE, Apply
from sinr_codec.tiles import map_tiles
from sinr_codec.types import Array, PathLike

Manifest = list[tuple[str, tuple[int, ...], Any]]
Source = PathLike | bytes | bytearray | memoryview

VERIFY_SLACK = 0.02
"""dB that sine and sum may differ between platforms."""
NO_LOSS = 1e-9
"""A network this close to its aim (90 dB) may lose something all the same."""

_TILE_NUMBERS = 1 << 19  # numbers that one layer puts out for a tile
_DEVICE_NUMBERS = 1 << 24  # the same on an accelerator


def check_positive(name: str, value: Any) -> None:
    """Raise `InputError` unless the argument is a positive, finite number."""
    if not (isinstance(value, int | float) and value > 0 and math.isfinite(value)):
        raise InputError(f"{name}: expected a positive number, got {value!r}")


def check_replaceable(out: PathLike) -> None:
    """Raise `InputError` where an output exists that is no `.sinr` file: a slip would cost somebody's recording."""
    path = Path(out)
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            check_magic(out, file.read(len(MAGIC)))


def check_magic(out: PathLike, beginning: bytes) -> None:
    """Raise `InputError` where what an output begins with is no `.sinr` file's."""
    if beginning != MAGIC:
        raise InputError(f"{out}: exists and is no .sinr file; remove it first or name another output")


def check_seed(seed: Any) -> None:
    """Raise `InputError` unless the seed is an integer from 0 to 2**63 - 1."""
    if not (isinstance(seed, int) and 0 <= seed < 2**63):
        raise InputError(f"seed: expected an integer from 0 to 2**63 - 1, got {seed!r}")


def check_activation(activation: Any) -> None:
    """Raise `InputError` unless the argument is None or an activation of `fields`."""
    if activation is not None and not isinstance(activation, AnyActivation):
        raise InputError(f"activation: expected one of sinr_codec.fields, such as Sine(30), got {activation!r}")


def hundredths(db: float) -> int | None:
    """A quality in dB for the header, in 1/100 dB, rounded down; None for NaN."""
    if math.isnan(db):
        return None
    return MAX_QUALITY if db == math.inf else int(min(max(math.floor(100 * db), 0), MAX_QUALITY))


def decibels(loss: float) -> float:
    """-10 log10 of a normalised error; infinite for none, and without bound below for NaN."""
    if math.isnan(loss):
        return -math.inf
    return -10 * math.log10(loss) if loss > 0 else math.inf


def load_source(source: Source, limits: Limits, *, partial: bool = False) -> tuple[Header, list[bytes]]:
    """Read a file by its name, or its bytes; errors say which. With `partial`, its end may be missing."""
    if isinstance(source, bytes | bytearray | memoryview):
        with naming(source):
            return read(bytes(source), limits, partial=partial)
    return load(source, limits, partial=partial)


@contextlib.contextmanager
def naming(source: Source) -> Iterator[None]:
    """Put the source's name in front of messages about what is in it, once."""
    try:
        yield
    except SinrError as error:
        name = os.fspath(source) if isinstance(source, str | os.PathLike) else "the data"
        if str(error).startswith(f"{name}: "):
            raise
        raise type(error)(f"{name}: {error}") from error


@dataclass(frozen=True)
class CodedNetwork:
    """The section of a network, and those with last bits of its levels: as many as are there, `of` how many."""

    section: bytes
    planes: tuple[bytes, ...] = ()
    of: int = 0


def field_params(field: Field, coded: CodedNetwork) -> dict[str, Array]:
    """Decode a network: its parameters in the order of `Field.shapes`."""
    return tensors_of(manifest_of(field), coded)


def tensors_of(manifest: Manifest, coded: CodedNetwork) -> dict[str, Array]:
    """Decode a section: the tensors (name, shape, dtype) of a manifest, one record after the other."""
    reader = Reader(coded.section)
    planes = [PlaneReader(plane, number) for number, plane in enumerate(coded.planes)]
    params = {name: decode_tensor(reader, shape, dtype, planes, coded.of) for name, shape, dtype in manifest}
    reader.end()
    for plane in planes:
        plane.end()
    return params


def in_planes(field: Field, records: Mapping[str, bytes], planes: int) -> CodedNetwork:
    """A network's records with the last bits of their levels in sections of their own."""
    split = [coarse_record(records[name], shape, dtype, planes) for name, shape, dtype in manifest_of(field)]
    levels = [levels for _, levels in split]
    bits = tuple(encode_plane(levels, planes, number) for number in range(planes))
    return CodedNetwork(b"".join(record for record, _ in split), bits, planes)


def manifest_of(field: Any) -> Manifest:
    """Names, shapes and dtypes in the order of the records."""
    dtypes = field.dtypes()
    return [(name, shape, dtypes[name]) for name, shape in field.shapes().items()]


def coded_networks(header: Header, sections: list[bytes], parts: int) -> tuple[list[CodedNetwork], bytes]:
    """The networks of a signal with as many parts, and the side section.

    Of a file whose end is missing, each network has the planes that are there.
    """
    declared = len(header.section_lengths)
    first = declared - header.planes * parts
    if not parts <= first <= parts + 1:
        raise MalformedError(
            f"expected {parts * (1 + header.planes)} section(s) of networks, found {declared} sections"
        )
    if len(sections) < first:
        raise TruncatedError(f"the file ends in section {len(sections)} of {declared}; {first} are needed for a signal")
    side = sections[parts] if first > parts else b""
    if first > parts and not side:
        raise MalformedError("an empty side section is left out, not written")
    networks = [
        CodedNetwork(sections[number], tuple(sections[first + number :: parts]), header.planes)
        for number in range(parts)
    ]
    return networks, side


def only(sections: list[bytes]) -> bytes:
    """The section of a file that has one."""
    if len(sections) != 1:
        raise MalformedError(f"expected one section, found {len(sections)}")
    return sections[0]


def section_bytes(coded: Plan, blob: bytes) -> dict[str, int]:
    """Bytes by part of a file: each record, and "header" for everything else."""
    sizes = {name: len(record) for name, record in coded.records.items()}
    return sizes | {"header": len(blob) - coded.bytes}


def decoder_on(field: Field, params: Mapping[str, Array], device: str = CPU) -> Apply:
    """`Field.decoder` on the CPU; the same function by PyTorch on an accelerator, with coordinates and values here.

    Networks of patches, whose places are found in float64, stay on the CPU.
    """
    if is_cpu(device) or isinstance(field, Modulations):
        return field.decoder(params)
    import torch
    from array_api_compat import torch as xtorch

    function = field.function(xtorch, torch.device(device))
    tensors = {name: torch.tensor(w, device=device) for name, w in params.items()}

    def decode(coords: Array) -> Array:
        with torch.inference_mode():
            values: Array = function(tensors, torch.tensor(coords, device=device)).cpu().numpy()
        return values

    return decode


def evaluate(apply: Apply, coords: Array, tile: int) -> Array:
    """Values (n, b) of a decoded network at coords (n, a), in tiles."""
    tiles = (coords[i : i + tile] for i in range(0, len(coords), tile))
    return np.concatenate(list(map_tiles(apply, tiles)))


class _Wide(Protocol):
    @property
    def widest(self) -> int: ...


def tile_of(field: _Wide, device: str = CPU) -> int:
    """Samples to evaluate at once: activations fit the cache of a CPU, and fill an accelerator."""
    if not is_cpu(device):
        return max(16, _DEVICE_NUMBERS // field.widest)
    return max(16, min(TILE, _TILE_NUMBERS // field.widest))
