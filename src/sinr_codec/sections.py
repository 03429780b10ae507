"""What files of signals and of networks share: sections of tensor records."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sinr_codec.coding.planes import PlaneReader, encode_plane
from sinr_codec.coding.tensor import coarse_record, decode_tensor
from sinr_codec.coding.varint import Reader
from sinr_codec.container import Header, Limits, load, read
from sinr_codec.errors import MalformedError, SinrError, TruncatedError
from sinr_codec.fields import Field
from sinr_codec.types import Array, PathLike

Manifest = list[tuple[str, tuple[int, ...], Any]]
Source = PathLike | bytes | bytearray | memoryview


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


def section_bytes(records: Mapping[str, bytes], blob: bytes) -> dict[str, int]:
    """Bytes by part of a file: each record, and "header" for everything else."""
    sizes = {name: len(record) for name, record in records.items()}
    return sizes | {"header": len(blob) - sum(sizes.values())}


def part_name(number: int, parts: int, name: str) -> str:
    """Name of a tensor among those of all networks of a file."""
    return name if parts == 1 else f"{number}.{name}"
