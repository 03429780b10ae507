"""The `.sinr` file: magic, version, CBOR header, sections, checksums (docs/format.md).

    magic  version  header length (LEB128)  header (CBOR)  CRC-32  { section  CRC-32 }*

A reader trusts nothing: it checks magic, version, length, checksum and structure in this order, raises a child of
`FormatError` for every violation, and never allocates for a size that it has not checked. A header has exactly one
encoding: one that does not re-encode to the same bytes is refused.
"""

import dataclasses
import math
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeGuard

import cbor2
import ml_dtypes  # registers the dtype name "bfloat16" with NumPy
import numpy as np

from sinr_codec.coding.planes import MAX_PLANES
from sinr_codec.coding.varint import Reader, write_varint
from sinr_codec.container.limits import DEFAULT_LIMITS, Limits
from sinr_codec.errors import (
    ChecksumError,
    FormatError,
    InputError,
    LimitError,
    MalformedError,
    MissingFileError,
    NotSinrError,
    TruncatedError,
    UnknownIdError,
    VersionError,
    quoted,
)
from sinr_codec.types import Cbor, PathLike

MAGIC: Final = b"\x89SINR\r\n\x1a"
VERSION: Final = 1
FIELD: Final = 0
STATE: Final = 1
BASE: Final = 2
"""Kinds of content: the field of a signal; a state dict; a base, which the fields of many signals share."""
DIGEST_BYTES: Final = 16
"""Length of a base's digest in files that need the base: the beginning of its SHA-256."""

DTYPES: Final[tuple[np.dtype, ...]] = tuple(
    np.dtype(name)
    for name in (
        *("float32", "float16", ml_dtypes.bfloat16, "float64", "complex64", "complex128", "bool"),
        *("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"),
    )
)
"""The dtypes of a state dict; a dtype's code is its position here."""

MAX_QUALITY: Final = 65535
_MAX_DEPTH: Final = 8
_MAX_NAME: Final = 1024
_MAX_DIMS: Final = 16

# keys of the header
_KIND: Final = 0
_FIELD: Final = 1
_SIGNAL: Final = 2
_TENSORS: Final = 3
_QUALITY: Final = 4
_SECTIONS: Final = 5
_EXTRA: Final = 6
_BASE: Final = 7
_PLANES: Final = 8
_EXACT: Final = 9


@dataclass(frozen=True)
class TensorEntry:
    """One line of a state dict's manifest: the tensor's name, shape and dtype (one of `DTYPES`)."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Header:
    """The header of a `.sinr` file.

    Attributes
    ----------
    kind
        `FIELD`, `STATE` or `BASE`.
    field, signal
        CBOR values (ints, finite floats, bools, None, str, bytes, lists, maps) that the packages `fields` and
        `signals` define. A file of kind `FIELD` has both; a state dict has no signal, and its field, where it is
        known, is information that no decoder needs.
    tensors
        The manifest of a state dict, in the order of the records; empty for kind `FIELD`, whose shapes follow
        from the field.
    quality
        What the encoder measured, in 1/100 dB, 0..65535: PSNR against the signal, or fidelity of the outputs.
    extra
        Information that no decoder needs, as a non-empty map; readers ignore keys that they do not know.
    base
        For a field that begins from a base, the first bytes of that base's SHA-256. For a base, the samples of a patch
        by axis; empty where signals are not cut into patches.
    planes
        Bits that the levels of the first sections lack, at most `MAX_PLANES`; the sections after them hold these bits,
        plane by plane. Only a file of kind `FIELD` without a base has any.
    exact
        Whether the samples are those of the evaluation by integers. Only a file of kind `FIELD` can have it.
    section_lengths, header_bytes
        Filled in by `read_header`: bytes of each section, and the offset of the first one.
    """

    kind: int
    field: Cbor = None
    signal: Cbor = None
    tensors: Sequence[TensorEntry] = ()
    quality: int | None = None
    extra: Mapping[str, Cbor] | None = None
    base: bytes | tuple[int, ...] | None = None
    planes: int = 0
    exact: bool = False
    section_lengths: tuple[int, ...] = dataclasses.field(default=(), compare=False)
    header_bytes: int = dataclasses.field(default=0, compare=False)

    @property
    def file_bytes(self) -> int:
        """Size of the whole file, for a header that was read."""
        return self.header_bytes + sum(length + 4 for length in self.section_lengths)


def write(header: Header, sections: Sequence[bytes], limits: Limits = DEFAULT_LIMITS) -> bytes:
    """Build the file. The section lengths in `header` are replaced by those of `sections`.

    Raises
    ------
    FormatError
        `read` would refuse the header under the same limits.
    """
    cbor = _encode(dataclasses.replace(header, section_lengths=tuple(len(section) for section in sections)))
    data = seal(cbor, sections)
    limits.check("max_file_bytes", read_header(data, limits).file_bytes)
    return data


def seal(cbor: bytes, sections: Sequence[bytes], version: int = VERSION) -> bytes:
    """The file of a header's CBOR item and sections, with the checksums; nothing is checked."""
    head = MAGIC + bytes([version]) + write_varint(len(cbor)) + cbor
    checksum = _crc(head)
    return b"".join([head, checksum, *(part for section in sections for part in (section, _crc(section, checksum)))])


def read(data: bytes, limits: Limits = DEFAULT_LIMITS, *, partial: bool = False) -> tuple[Header, list[bytes]]:
    """Split a whole file into header and sections, and check everything that needs no decoding.

    With `partial`, bytes may be missing at the end; only complete sections are returned.

    Raises
    ------
    NotSinrError, VersionError, TruncatedError, ChecksumError, MalformedError, LimitError, UnknownIdError
        All of them `FormatError`.
    """
    limits.check("max_file_bytes", len(data))
    header = read_header(data, limits)
    _check_length(header, len(data), limits, partial)
    sections, start = [], header.header_bytes
    header_checksum = data[start - 4 : start]
    for number, length in enumerate(header.section_lengths):
        section, checksum = data[start : start + length], data[start + length : start + length + 4]
        if partial and len(checksum) < 4:
            break
        if checksum != _crc(section, header_checksum):
            raise ChecksumError(f"the checksum of section {number} does not match; the file is damaged")
        sections.append(section)
        start += length + 4
    return header, sections


def read_header(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Header:
    """Read and check the header of a file, from its bytes or a beginning that holds the header.

    Raises
    ------
    FormatError
        As `read`, sections aside.
    """
    if not data.startswith(MAGIC):
        raise _wrong_magic(data)
    reader = Reader(data, "header")
    reader.take(len(MAGIC))
    if (version := reader.byte()) != VERSION:
        raise VersionError(f"format version {version}; this reader knows version {VERSION}")
    length = reader.varint()
    limits.check("max_header_bytes", length)
    cbor = bytes(reader.take(length))
    checked = data[: reader.position]
    if bytes(reader.take(4)) != _crc(checked):
        raise ChecksumError("the header's checksum does not match; the file is damaged")
    items = loads(cbor)
    if cbor2.dumps(items, canonical=True) != cbor:
        raise MalformedError("the header is not in its deterministic encoding")
    header = _parse(items, limits)
    if _encode(header) != cbor:
        raise MalformedError("the header has an entry that is left out where it has its usual value")
    return dataclasses.replace(header, header_bytes=reader.position)


def load(path: PathLike, limits: Limits = DEFAULT_LIMITS, *, partial: bool = False) -> tuple[Header, list[bytes]]:
    """`read` a file by name; every error names it."""
    with _naming(path):
        size = Path(path).stat().st_size
        limits.check("max_file_bytes", size)
        with open(path, "rb") as file:
            return read(file.read(size), limits, partial=partial)


def load_header(path: PathLike, limits: Limits = DEFAULT_LIMITS) -> Header:
    """`read_header` of a file by name, without reading its sections; checks the file's size as well."""
    with _naming(path):
        size = Path(path).stat().st_size
        with open(path, "rb") as file:
            # Magic, version, a varint of at most 10 bytes, header, checksum.
            header = read_header(file.read(limits.max_header_bytes + 32), limits)
        _check_length(header, size, limits)
        return header


@contextmanager
def _naming(path: PathLike) -> Iterator[None]:
    """Put the file's name in front of every message about it."""
    if not Path(path).is_file():
        if not Path(path).exists():
            raise MissingFileError(f"{path}: no such file; expected a .sinr file")
        raise InputError(f"{path}: is not a file; expected a .sinr file")
    try:
        yield
    except FormatError as error:
        raise type(error)(f"{path}: {error}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def _check_length(header: Header, size: int, limits: Limits, partial: bool = False) -> None:
    expected = header.file_bytes
    limits.check("max_file_bytes", expected)
    if size < expected and not partial:
        remedy = "; what is there decodes with progressive" if header.planes else ""
        raise TruncatedError(f"the file ends after {size:,} bytes; its header declares {expected:,}{remedy}")
    if size > expected:
        raise MalformedError(f"{size - expected:,} bytes follow the last section; expected none")


def _crc(data: bytes, start: bytes = bytes(4)) -> bytes:
    """CRC-32 continued from `start`; a section's continues from the header's.

    That ties the section to its file, and leaves no bytes that are their own checksum (FF FF FF FF would be).
    """
    return zlib.crc32(data, int.from_bytes(start, "little")).to_bytes(4, "little")


def _wrong_magic(data: bytes) -> FormatError:
    if MAGIC.startswith(data):
        return TruncatedError(f"the file ends after {len(data)} bytes, inside the magic bytes")
    if data.startswith((b"\x89SINR\n\x1a", b"\x89SINR\r\r\n", b"\tSINR")):
        return NotSinrError("the file was damaged by a transfer in text mode; transfer it as binary")
    return NotSinrError("not a .sinr file: it does not start with the magic bytes")


# --- header <-> CBOR ---------------------------------------------------------------------------------------


def _encode(header: Header) -> bytes:
    """Serialise in the deterministic encoding of RFC 8949, section 4.2.1; absent parts take no bytes."""
    items = {
        _KIND: header.kind,
        _FIELD: header.field,
        _SIGNAL: header.signal,
        _TENSORS: _manifest_to_cbor(header.tensors) or None,
        _QUALITY: header.quality,
        _SECTIONS: list(header.section_lengths),
        _EXTRA: header.extra,
        _BASE: list(header.base) if isinstance(header.base, tuple) else header.base,
        _PLANES: header.planes or None,
        _EXACT: int(header.exact) or None,
    }
    try:
        return cbor2.dumps({key: item for key, item in items.items() if item is not None}, canonical=True)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise MalformedError(f"the header holds a value that CBOR cannot ({error})") from error


def _parse(items: object, limits: Limits) -> Header:
    """The header of a decoded CBOR map; raises what `read_header` raises."""
    if not isinstance(items, dict):
        raise MalformedError("the header is not a map")
    if unknown := [key for key in items if not _is_uint(key) or key > _EXACT]:
        raise UnknownIdError(f"unknown header key {quoted(unknown[0])}; the last one known is {_EXACT}")
    kind, quality, extra = items.get(_KIND), items.get(_QUALITY), items.get(_EXTRA)
    if not _is_uint(kind):
        raise MalformedError("the header does not state the kind of its content")
    base, planes = items.get(_BASE), items.get(_PLANES, 0)
    _check_kind(items, kind)
    if _PLANES in items and not (_is_uint(planes) and 1 <= planes <= MAX_PLANES and kind == FIELD and base is None):
        raise MalformedError(f"only a file of kind 0 without a base has planes, 1..{MAX_PLANES} of them")
    if _EXACT in items:
        _check_exact(items[_EXACT], kind)
    if quality is not None and not (_is_uint(quality) and quality <= MAX_QUALITY):
        raise MalformedError(f"quality {quoted(quality)} is not an integer in 0..{MAX_QUALITY}")
    if extra is not None and not (isinstance(extra, dict) and extra):
        raise MalformedError("extra is not a map with entries")
    lengths = items.get(_SECTIONS)
    if not isinstance(lengths, list) or not all(map(_is_uint, lengths)):
        raise MalformedError("the section lengths are not a list of non-negative integers")
    limits.check("max_sections", len(lengths))
    return Header(
        kind=kind,
        field=items.get(_FIELD),
        signal=items.get(_SIGNAL),
        tensors=_manifest_from_cbor(items.get(_TENSORS, []), limits),
        quality=quality,
        extra=extra,
        base=tuple(base) if isinstance(base, list) else base,
        planes=planes,
        exact=_EXACT in items,
        section_lengths=tuple(lengths),
    )


def _check_exact(arithmetic: Cbor, kind: int) -> None:
    """Refuse an arithmetic that is not known, and one where there is no signal."""
    if kind != FIELD or not _is_uint(arithmetic) or not arithmetic:
        raise MalformedError("only a file of kind 0 names an arithmetic, by an integer from 1 on")
    if arithmetic != 1:
        raise UnknownIdError(f"unknown arithmetic {quoted(arithmetic)}; this reader knows 1")


def _check_kind(items: Mapping[int, Cbor], kind: int) -> None:
    """Refuse a header without what its kind of content has, or with what it has not."""
    base = items.get(_BASE)
    if kind not in (FIELD, STATE, BASE):
        raise UnknownIdError(f"unknown kind of content {kind}; expected 0 (field), 1 (state dict) or 2 (base)")
    if kind == FIELD and (items.get(_FIELD) is None or items.get(_SIGNAL) is None or _TENSORS in items):
        raise MalformedError("a file of kind 0 has a field and a signal, and no tensor manifest")
    if kind == STATE and not items.get(_TENSORS):
        raise MalformedError("a file of kind 1 has a tensor manifest with at least one entry")
    if kind == STATE and _SIGNAL in items:
        raise MalformedError("a file of kind 1 has no signal")
    if kind == BASE and not (
        isinstance(base, list) and len(base) <= _MAX_DIMS and all(_is_uint(n) and n for n in base)
    ):
        raise MalformedError("a file of kind 2 states the samples of a patch by axis")
    if kind == BASE and (items.get(_FIELD) is None or _SIGNAL in items or _TENSORS in items):
        raise MalformedError("a file of kind 2 has a field, and neither a signal nor a tensor manifest")
    digest = isinstance(base, bytes) and len(base) == DIGEST_BYTES
    if kind != BASE and base is not None and not (kind == FIELD and digest):
        raise MalformedError(f"only a file of kind 0 names a base, by {DIGEST_BYTES} bytes")


def _manifest_to_cbor(tensors: Sequence[TensorEntry]) -> list[list[int | str]]:
    """Front-code the names: [characters shared with the name before, the rest, dtype code, *shape] each."""
    entries: list[list[int | str]] = []
    previous = ""
    for tensor in tensors:
        if tensor.dtype not in DTYPES:
            raise MalformedError(f"tensor {quoted(tensor.name)} has dtype {tensor.dtype}, which the format lacks")
        shared = _common_prefix(previous, tensor.name)
        entries.append([shared, tensor.name[shared:], DTYPES.index(tensor.dtype), *tensor.shape])
        previous = tensor.name
    return entries


def _common_prefix(a: str, b: str) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))


def _manifest_from_cbor(entries: object, limits: Limits) -> tuple[TensorEntry, ...]:
    if not isinstance(entries, list):
        raise MalformedError("the tensor manifest is not a list")
    limits.check("max_tensors", len(entries))
    tensors: dict[str, TensorEntry] = {}
    name, params = "", 0
    for entry in entries:
        if not isinstance(entry, list) or not 3 <= len(entry) <= 3 + _MAX_DIMS:
            raise MalformedError(f"an entry of the manifest is not a list of 3 to {3 + _MAX_DIMS} items")
        shared, rest, code, *shape = entry
        if not (isinstance(rest, str) and all(map(_is_uint, (shared, code, *shape))) and shared <= len(name)):
            raise MalformedError("an entry of the manifest is not [shared, text, dtype, *shape]")
        if code >= len(DTYPES):
            raise UnknownIdError(f"unknown dtype code {code}; the last one known is {len(DTYPES) - 1}")
        name = name[:shared] + rest
        if len(name) > _MAX_NAME:
            raise LimitError(f"a tensor name has {len(name):,} characters; the format allows {_MAX_NAME}")
        if name in tensors:
            raise MalformedError(f"two tensors are named {quoted(name)}")
        # An empty tensor still carries its other dimensions into allocations, so zeros count as one.
        params += math.prod(max(length, 1) for length in shape)
        limits.check("max_params", params)
        tensors[name] = TensorEntry(name, tuple(shape), DTYPES[code])
    return tuple(tensors.values())


def _is_uint(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


# --- CBOR, the safe part of it -----------------------------------------------------------------------------


class _Items(Reader):
    """Bytes of a CBOR item, and how many items there may still be in it: empty lists take a byte, but 64 in memory."""

    def __init__(self, data: bytes, most: int) -> None:
        super().__init__(data, "CBOR")
        self.most = self.left = most

    def count(self) -> None:
        """Count an item; LimitError if it is one too many."""
        self.left -= 1
        if self.left < 0:
            raise LimitError(f"more than {self.most:,} values in each other")


def loads(data: bytes, most: int | None = None) -> Any:
    """Decode one CBOR item, of at most `most` items in each other, after `_scan` has found only plain values in it."""
    reader = _Items(data, len(data) + 1 if most is None else most)
    try:
        _scan(reader, 0)
        reader.end()
        return cbor2.loads(data)
    except LimitError:
        raise
    except FormatError as error:
        raise MalformedError(f"the header is not valid: {error}") from error
    except (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError, MemoryError) as error:
        raise MalformedError("the header is not valid CBOR") from error


def _scan(reader: _Items, depth: int) -> int:
    """Walk one item and refuse everything that the format does not use, before a general decoder sees it.

    Returns the item's major type.

    No tags (decoders turn them into dates, patterns, references), no indefinite lengths, no NaN or infinity,
    no `undefined` or other simple values, bounded depth, and in one map only text or only unsigned keys.
    """
    if depth > _MAX_DEPTH:
        raise MalformedError(f"nested deeper than {_MAX_DEPTH} levels")
    reader.count()
    head = reader.byte()
    major, info = head >> 5, head & 31
    if major == 7:
        _scan_simple(reader, info)
        return major
    if info > 27 or major == 6:
        raise MalformedError(f"item head 0x{head:02x} is a tag, an indefinite length or reserved")
    argument = info if info < 24 else int.from_bytes(reader.take(1 << (info - 24)), "big")
    if major in (2, 3):  # bytes, text
        reader.take(argument)
    elif major == 4:
        for _ in range(argument):
            _scan(reader, depth + 1)
    elif major == 5:
        key_majors = set()
        for _ in range(argument):
            key_majors.add(_scan(reader, depth + 1))
            _scan(reader, depth + 1)
        if key_majors not in (set(), {0}, {3}):
            raise MalformedError("the keys of a map are neither all unsigned integers nor all text")
    return major


def _scan_simple(reader: Reader, info: int) -> None:
    if info in (25, 26, 27):
        width, code = {25: (2, ">e"), 26: (4, ">f"), 27: (8, ">d")}[info]
        if not math.isfinite(struct.unpack(code, reader.take(width))[0]):
            raise MalformedError("a number is not finite")
    elif info not in (20, 21, 22):  # false, true, null
        raise MalformedError(f"simple value {info} is not allowed")
