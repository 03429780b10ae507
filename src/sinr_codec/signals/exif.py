"""EXIF data without what belongs to the samples of a file: orientation, sizes, thumbnail, large maker notes.

Entries are copied as they are, so that an odd value, which libraries stumble over, does no harm.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

PREFIX: Final = b"Exif\0\0"
"""What JPEG files and Pillow put in front of the data."""
_MOST_ENTRY: Final = 4096  # bytes of an entry that is kept
_MOST_MAKER_NOTE: Final = 512  # offsets inside are wrong when it moves, so that little of it can be read
_BYTES: Final = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}  # by type

_EXIF: Final = 0x8769
_GPS: Final = 0x8825
_INTEROPERABILITY: Final = 0xA005
"""Tags of entries that point to further directories."""
_POINTERS: Final = {0: (_EXIF, _GPS), _EXIF: (_INTEROPERABILITY,), _GPS: (), _INTEROPERABILITY: ()}
_MAKER_NOTE: Final = 0x927C
# How samples are stored in a TIFF file, orientation among it; XMP, IPTC, Photoshop's data, colour profile.
_STRUCTURE: Final = frozenset(
    (
        *(254, 255, 256, 257, 258, 259, 262, 263, 264, 265, 266, 273, 274, 277, 278, 279, 280, 281, 284, 288, 289),
        *(290, 291, 292, 293, 297, 301, 317, 318, 319, 320, 321, 322, 323, 324, 325, 330, 332, 334, 336, 338, 339),
        *(340, 341, 342, 347, 512, 513, 514, 515, 517, 518, 519, 520, 521, 529, 530, 531, 532),
        *(559, 700, 33723, 34377, 34675, 40962, 40963),
    )
)


@dataclass(frozen=True)
class _Entry:
    tag: int
    type: int
    count: int
    value: bytes
    entries: "Sequence[_Entry] | None" = None  # of the directory that it points to


def is_structure(tag: int) -> bool:
    """Whether a tag of a TIFF file tells how its samples are stored, or has a place of its own among the metadata."""
    return tag in _STRUCTURE


def cleaned(data: bytes) -> tuple[bytes, tuple[str, ...]]:
    """EXIF data, with or without the prefix, in their shortest form, and what was left out of them, in words.

    Empty where nothing is left, and for data that are damaged.
    """
    while data.startswith(PREFIX):
        data = data[len(PREFIX) :]
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        return b"", ("damaged data",) if data else ()
    dropped: list[str] = []
    first = _number(data, 4, order)
    entries = _entries(data, first, order, 0, dropped)
    if _has_thumbnail(data, first, order):
        dropped.append("the thumbnail")
    if not entries:
        return b"", tuple(dropped)
    return data[:4] + struct.pack(order + "L", 8) + _directory(entries, 8, order), tuple(dropped)


def _number(data: bytes, start: int, order: str, code: str = "L") -> int:
    number: int = struct.unpack_from(order + code, data, start)[0]
    return number


def _entries(data: bytes, start: int, order: str, which: int, dropped: list[str]) -> list[_Entry]:
    """The entries of a directory that are kept, in the order of their tags; those that are cut off are left out."""
    found: dict[int, _Entry] = {}
    count = _number(data, start, order, "H") if 8 <= start <= len(data) - 2 else 0
    for at in range(start + 2, min(start + 2 + 12 * count, len(data) - 11), 12):
        tag, kind, number = struct.unpack_from(order + "HHL", data, at)
        size = _BYTES.get(kind, 0) * number
        begin = at + 8 if size <= 4 else _number(data, at + 8, order)
        if tag in found or tag in _STRUCTURE or size == 0 or begin + size > len(data):
            continue
        if tag in _POINTERS:
            inner = tag in _POINTERS[which] and _entries(data, _number(data, at + 8, order), order, tag, dropped)
            if inner:
                found[tag] = _Entry(tag, 4, 1, b"", inner)
        elif size > (_MOST_MAKER_NOTE if tag == _MAKER_NOTE else _MOST_ENTRY):
            dropped.append(f"{'the maker note' if tag == _MAKER_NOTE else f'entry {tag}'} ({size:,} bytes)")
        else:
            found[tag] = _Entry(tag, kind, number, data[begin : begin + size])
    return [found[tag] for tag in sorted(found)]


def _has_thumbnail(data: bytes, start: int, order: str) -> bool:
    """Whether a second directory follows the first."""
    if not 8 <= start <= len(data) - 2:
        return False
    end = start + 2 + 12 * _number(data, start, order, "H")
    return end <= len(data) - 4 and 8 <= _number(data, end, order) <= len(data) - 2


def _directory(entries: Sequence[_Entry], start: int, order: str) -> bytes:
    """A directory at an offset, followed by the values that its entries point to."""
    head, body = struct.pack(order + "H", len(entries)), b""
    beyond = start + 2 + 12 * len(entries) + 4
    for each in entries:
        head += struct.pack(order + "HHL", each.tag, each.type, each.count)
        if each.entries is None and len(each.value) <= 4:
            head += each.value.ljust(4, b"\0")
            continue
        place = beyond + len(body)
        head += struct.pack(order + "L", place)
        value = each.value if each.entries is None else _directory(each.entries, place, order)
        body += value + bytes(len(value) % 2)
    return head + bytes(4) + body
