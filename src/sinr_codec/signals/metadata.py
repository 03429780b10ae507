"""Metadata of a source: what its file tells besides the samples, in the map `extra` of the header (docs/format.md).

No decoder needs it, so readers of any version decode the samples of a file that has metadata.
"""

from collections.abc import Mapping
from typing import Final

import brotli
import cbor2

from sinr_codec.coding.inflate import inflate
from sinr_codec.container.format import loads
from sinr_codec.errors import LimitError, MalformedError
from sinr_codec.types import Cbor

Metadata = Mapping[str, Cbor]
"""Items by name, the most important first: `Signal.metadata` of a source that has any."""

KEY: Final = "metadata"
"""Key in the header's `extra`."""
MOST_PACKED: Final = 1 << 16
"""Most bytes of packed metadata that a writer puts into a file."""
MOST_BYTES: Final = 1 << 20
"""Most bytes of unpacked metadata that a reader accepts."""
_MOST_RATIO: Final = 16  # bytes a packed one that are tried: compressing megabytes takes seconds


def packed(metadata: Metadata) -> bytes:
    """The content of the header's entry: Brotli of a deterministic CBOR map; nothing for no items."""
    return brotli.compress(cbor2.dumps(dict(metadata), canonical=True)) if metadata else b""


def packed_within(metadata: Metadata, most: int) -> tuple[bytes, tuple[str, ...]]:
    """Packed metadata of at most so many bytes, and the names of the items that are left out for it."""
    most = min(most, MOST_PACKED)
    room = min(_MOST_RATIO * most, MOST_BYTES // 2)
    kept: dict[str, Cbor] = {}
    for (name, item), size in zip(metadata.items(), sizes(metadata).values()):
        if size <= room and len(packed(kept | {name: item})) <= most:
            kept[name] = item
            room -= size
    return packed(kept), tuple(name for name in metadata if name not in kept)


def entry(data: bytes) -> dict[str, Cbor] | None:
    """The header's `extra` for packed metadata."""
    return {KEY: data} if data else None


def packed_in(extra: Mapping[str, Cbor] | None) -> bytes:
    """The packed metadata in a header's `extra`; nothing where there is none."""
    found = (extra or {}).get(KEY, b"")
    return found if isinstance(found, bytes) else b""


def metadata_in(extra: Mapping[str, Cbor] | None) -> dict[str, Cbor]:
    """The metadata in a header's `extra`, empty where there is none.

    Raises
    ------
    MalformedError, TruncatedError, LimitError : damage, which does not concern the samples
    """
    if KEY not in (extra or {}):
        return {}
    data = inflate(packed_in(extra), MOST_BYTES, KEY)
    if len(data) > MOST_BYTES:
        raise LimitError(f"metadata: more than {MOST_BYTES:,} bytes")
    found = loads(data)
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise MalformedError("metadata: expected a map with text keys")
    return found


def sizes(metadata: Metadata) -> dict[str, int]:
    """Bytes of each item, before they are compressed together."""
    return {name: len(item) if isinstance(item, bytes) else len(cbor2.dumps(item)) for name, item in metadata.items()}
