"""Sections of tensor records: one record after the other, their last bits in sections of their own where asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from sinr_codec.coding.planes import PlaneReader, encode_plane
from sinr_codec.coding.tensor import coarse_record, decode_tensor, describe_tensor
from sinr_codec.coding.varint import MOST_MEMORY, MOST_WORK, Reader
from sinr_codec.types import Array, JsonObject

Manifest = list[tuple[str, tuple[int, ...], np.dtype]]
"""Name, shape and dtype of each tensor, in the order of the records."""

DECODING: Final = 16
"""Bytes of a number while its tensor is decoded: as an integer and in float64."""


@dataclass(frozen=True)
class CodedNetwork:
    """The section of a network, and those with last bits of its levels: as many as are there, `of` how many.

    Decoding may take up to `work` multiply-adds, and `memory` bytes.
    """

    section: bytes
    planes: tuple[bytes, ...] = ()
    of: int = 0
    work: int = MOST_WORK
    memory: int = MOST_MEMORY


def tensors_of(manifest: Manifest, coded: CodedNetwork) -> dict[str, Array]:
    """Decode a section: the tensors (name, shape, dtype) of a manifest, one record after the other."""
    reader = Reader(coded.section, work=coded.work)
    planes = [PlaneReader(plane, number) for number, plane in enumerate(coded.planes)]
    params = {name: decode_tensor(reader, shape, dtype, planes, coded.of) for name, shape, dtype in manifest}
    reader.end()
    for plane in planes:
        plane.end()
    return params


def in_planes(manifest: Manifest, records: Mapping[str, bytes], planes: int) -> CodedNetwork:
    """A network's records with the last bits of their levels in sections of their own."""
    split = [coarse_record(records[name], shape, dtype, planes) for name, shape, dtype in manifest]
    levels = [levels for _, levels in split]
    bits = tuple(encode_plane(levels, planes, number) for number in range(planes))
    return CodedNetwork(b"".join(record for record, _ in split), bits, planes)


def describe_records(manifest: Manifest, section: bytes) -> list[JsonObject]:
    """Name, shape, dtype, bytes and coding of each record of a section, ready for JSON; nothing is decoded."""
    reader = Reader(section)
    described = [
        {"name": name, "shape": list(shape), "dtype": str(dtype)} | describe_tensor(reader, shape, dtype)
        for name, shape, dtype in manifest
    ]
    reader.end()
    return described
