"""Reading files of signals and of networks, and their common sections."""

import contextlib
import math
from collections.abc import Iterator, Mapping

import numpy as np

from sinr_codec import streams
from sinr_codec.coding.records import DECODING, CodedNetwork, Manifest
from sinr_codec.container import MAGIC, Header, Limits, load, read
from sinr_codec.errors import InputError, LimitError, MalformedError, SinrError, TruncatedError, quoted
from sinr_codec.types import PathLike

Source = PathLike | bytes | bytearray | memoryview | streams.Readable


def load_source(source: Source, limits: Limits, *, partial: bool = False) -> tuple[Header, list[bytes]]:
    """Read a file from a path, bytes or a stream; errors name the source. With `partial`, the end may be missing."""
    if streams.is_name(source):
        return load(source, limits, partial=partial)
    with naming(source):
        return read(_taken(source, limits), limits, partial=partial)


def _taken(source: Source, limits: Limits) -> bytes:
    """The bytes of a source; of a stream no more than the limit allows, and few if it is no `.sinr` file."""
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes(source)
    if not streams.is_stream(source):
        raise InputError(f"expected a path, bytes or an open file, got {quoted(source)}")
    name = streams.name_of(source)
    with streams.opened(source) as stream:
        head = streams.read(stream, len(MAGIC), name)
        return head if head != MAGIC else head + streams.read(stream, limits.max_file_bytes, name)


@contextlib.contextmanager
def naming(source: Source) -> Iterator[None]:
    """Prefix messages about a source's content with its name, once."""
    try:
        yield
    except SinrError as error:
        name = streams.name_of(source)
        if str(error).startswith(f"{name}: "):
            raise
        raise type(error)(f"{name}: {error}") from error


@contextlib.contextmanager
def within_memory() -> Iterator[None]:
    """Turn a lack of memory into a `LimitError` with the remedy."""
    try:
        yield
    except MemoryError as error:
        text = "there is not enough memory; ask for a part (a region) or a smaller size, or free some"
        raise LimitError(f"{text}; max_bytes refuses such files beforehand") from error


def check_tensors(manifest: Manifest, limits: Limits, times: int = 1, decoding: int = DECODING) -> None:
    """Raise `LimitError` where decoding `times` such manifests takes more memory than the limits allow.

    `decoding` are the bytes that a number of the largest tensor takes meanwhile.
    """
    sizes = [math.prod(shape) for _, shape, _ in manifest]
    kept = sum(size * np.dtype(dtype).itemsize for size, (_, _, dtype) in zip(sizes, manifest))
    limits.check("max_bytes", times * kept + decoding * max(sizes, default=0), "weights of so many bytes:")


def coded_networks(
    header: Header, sections: list[bytes], parts: int, limits: Limits
) -> tuple[list[CodedNetwork], bytes]:
    """The networks of a signal with `parts` parts, and the side section.

    If the end of the file is missing, networks have only the planes present.
    """
    declared = len(header.section_lengths)
    first = declared - header.planes * parts
    if not parts <= first <= parts + 1:
        raise MalformedError(
            f"expected {parts * (1 + header.planes)} section(s) of networks, found {declared} sections"
        )
    if len(sections) < first:
        reason = "" if header.planes else "; it was not written with progressive, so that it decodes only as a whole"
        raise TruncatedError(
            f"the file ends in section {len(sections)} of {declared}; {first} are needed for a signal{reason}"
        )
    side = sections[parts] if first > parts else b""
    if first > parts and not side:
        raise MalformedError("an empty side section is left out, not written")
    work, memory = limits.bound("max_work") // parts, limits.bound("max_bytes")
    networks = [
        CodedNetwork(sections[number], tuple(sections[first + number :: parts]), header.planes, work, memory)
        for number in range(parts)
    ]
    return networks, side


def only(sections: list[bytes]) -> bytes:
    """The only section of a file."""
    if len(sections) != 1:
        raise MalformedError(f"expected one section, found {len(sections)}")
    return sections[0]


def section_bytes(records: Mapping[str, bytes], blob: bytes) -> dict[str, int]:
    """Bytes by part of a file: each record, and "header" for the rest."""
    sizes = {name: len(record) for name, record in records.items()}
    return sizes | {"header": len(blob) - sum(sizes.values())}


def part_name(number: int, parts: int, name: str) -> str:
    """Name of a tensor among all networks of a file."""
    return name if parts == 1 else f"{number}.{name}"
