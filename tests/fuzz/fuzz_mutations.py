"""Damaged and hostile `.sinr` files, made from golden ones; each is determined by (seed, number).

All checksums are repaired, so that mutations reach the decoders: values of the header's CBOR, bytes of sections and of
records, what side sections pack, sections of other files, files that begin from a damaged base, missing ends.
"""

import contextlib
import hashlib
import json
import math
import random
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import brotli
import cbor2
from PIL import ImageCms

from sinr_codec.coding.varint import Reader, write_varint
from sinr_codec.container import MAGIC
from sinr_codec.container.format import seal

GOLDEN = Path(__file__).parents[1] / "conformance"

# keys of a header
KIND, SIGNAL, LENGTHS, EXTRA, BASE = 0, 2, 5, 6, 7

INTEGERS = [*range(10), 14, 15, 16, 17, 23, 24, 31, 32, 33, 63, 64, 65, 100, 127, 128, 255, 256, 257, 1000, 1023, 1024]
INTEGERS += [
    1025,
    4095,
    4096,
    4097,
    16383,
    16384,
    16385,
    32767,
    *(2**n + k for n in (16, 20, 24, 27) for k in (-1, 0, 1)),
]
INTEGERS += [2**28, 2**30, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**48, 2**53, 2**63 - 1, 2**63, 2**64 - 1]
INTEGERS += [-1, -2, -24, -25, -128, -129, -(2**31), -(2**32), -(2**63), -(2**64)]
FLOATS = [0.0, -0.0, 0.5, 1.0, -1.0, 1.5, 1e-300, 5e-324, 1e-45, 1e-38, 1e38, 3.4e38, 3.5e38, 1e300, 1.7e308, -1.7e308]
FLOATS += [1e6, 999999.9, 16.0, 1e9, 1e4, 65504.0, 65520.0, 2.0**53, 0.1, math.pi, 1e-6, 1e-9]
TEXTS = ["", "a", "file", "\x1b[31mred\x1b]0;title\x07", "../../x", "a\nb", "\x00", "é" * 20, "x" * 1024, "y" * 2000]
TEXTS += ["\u202e", "true", "zz", "metadata"]
OTHERS = [
    True,
    False,
    None,
    b"",
    b"\0" * 16,
    b"\xff" * 17,
    [],
    {},
    [0],
    [[]],
    {0: 0},
    {"a": 1},
    [1, [2, [3, [4, [5]]]]],
]
BYTES = [0, 1, 2, 3, 8, 9, 10, 11, 12, 15, 0x1F, 0x2F, 0x3F, 0x40, 0x53, 0x7F, 0x80, 0x81, 0xFE, 0xFF]


METADATA = {
    "icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    "exif": bytes.fromhex(
        "4d4d002a000000080002011a00050000000100000026013100020000000461006200000000000000012c00000001"
    ),
    "dpi": [300.0, 300.0],
    "comment": b"a",
    "text": {"Title": "a", "Comment": "b"},
    "xmp": b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>",
    "channels": ["FL", "FR"],
    "tags": {"title": "a", "date": "2020"},
    "pixels": [4, 3],
}
"""Items of all kinds of signal; each kind ignores those of others."""


@dataclass(frozen=True)
class Parts:
    """A file taken apart."""

    name: str
    blob: bytes
    cbor: bytes
    header: dict
    sections: list


def take_apart(name, blob):
    reader = Reader(blob, name)
    reader.take(len(MAGIC) + 1)
    cbor = bytes(reader.take(reader.varint()))
    reader.take(4)
    header = cbor2.loads(cbor)
    sections = []
    for length in header[LENGTHS]:
        sections.append(bytes(reader.take(length)))
        reader.take(4)
    return Parts(name, blob, cbor, header, sections)


def rebuilt(header, sections):
    """A file of a header as Python values, with the lengths of its sections, unless "lengths" keeps wrong ones."""
    header = dict(header)
    if header.pop("lengths", None) is None and LENGTHS in header:
        header[LENGTHS] = [len(section) for section in sections]
    return seal(cbor2.dumps(header, canonical=True), sections)


# -- values ----------------------------------------------------------------------------------------------------


def value(rng):
    kind = rng.random()
    if kind < 0.5:
        return rng.choice(INTEGERS)
    if kind < 0.7:
        return rng.choice(FLOATS)
    if kind < 0.8:
        return rng.choice(TEXTS)
    if kind < 0.83:
        return rng.choice([math.nan, math.inf, -math.inf])
    return rng.choice(OTHERS)


def nearby(rng, old):
    """A value of the same type, near the old one."""
    if isinstance(old, bool):
        return not old
    if isinstance(old, int):
        return [old + 1, old - 1, old * 2, old // 2, old ^ 1 << rng.randrange(34), -old][rng.randrange(6)]
    if isinstance(old, float):
        whole = float(int(old)) if abs(old) < 1e300 else 0.0
        return rng.choice([old * 2, old / 2, -old, old + 1, math.nextafter(old, math.inf), whole])
    if isinstance(old, str):
        return rng.choice([old[:-1], old + "a", old.upper(), old[::-1], old + "\0", old * 2])
    if isinstance(old, bytes):
        return edited(rng, old, 2)
    return value(rng)


def places(tree, path=()):
    """Paths of the nodes of a tree of lists and maps."""
    yield path
    if len(path) > 40:
        return
    children = enumerate(tree) if isinstance(tree, list) else tree.items() if isinstance(tree, dict) else ()
    for key, child in list(children)[:64]:
        yield from places(child, (*path, key))


def at(tree, path):
    for key in path:
        tree = tree[key]
    return tree


def copied(tree):
    if isinstance(tree, list):
        return [copied(child) for child in tree]
    if isinstance(tree, dict):
        return {key: copied(child) for key, child in tree.items()}
    return tree


def mutated(rng, tree):
    """A tree of lists and maps with one to three changes."""
    tree = copied(tree)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        paths = [path for path in places(tree) if path]
        if not paths:
            break
        path = rng.choice(paths)
        node, last, way = at(tree, path[:-1]), path[-1], rng.random()
        if way < 0.35:
            node[last] = value(rng)
        elif way < 0.7:
            node[last] = nearby(rng, node[last])
        elif way < 0.75:
            del node[last]
        elif way < 0.8:
            node[last] = [node[last]]
        elif way < 0.85:
            node[last] = copied(at(tree, rng.choice(paths)))
        elif isinstance(node, list):
            change = rng.randrange(4)
            if change == 2:
                rng.shuffle(node)
            else:
                node.insert(last if change else len(node), value(rng) if change < 2 else copied(node[last]))
        else:
            key = rng.choice([*range(-1, 12), "a", "networks", "containers", "values", "metadata", 2**64 - 1])
            node[key] = node[last] if rng.random() < 0.5 else value(rng)
    return tree


def edited(rng, data, times=None):
    """Bytes with some edits: bits, bytes, varints, repeats, cuts, moves."""
    data = bytearray(data)
    for _ in range(times or rng.choice([1, 1, 1, 2, 2, 3, 5, 8])):
        size, way = len(data), rng.random()
        i = rng.randrange(size + 1) if rng.random() < 0.6 else rng.randrange(min(size, 12) + 1)
        if way < 0.35 and i < size:
            data[i] ^= 1 << rng.randrange(8)
        elif way < 0.55 and i < size:
            data[i] = rng.choice([*BYTES, rng.randrange(256)])
        elif way < 0.65:
            data[i:i] = write_varint(min(max(rng.choice(INTEGERS), 0), 2**64 - 1))
        elif way < 0.72:
            data[i : i + rng.randrange(1, 5)] = write_varint(min(max(rng.choice(INTEGERS), 0), 2**64 - 1))
        elif way < 0.8:
            del data[i : i + rng.randrange(1, 9)]
        elif way < 0.86:
            data[i:i] = rng.randbytes(rng.randrange(1, 9))
        elif way < 0.9:
            del data[i:]
        elif way < 0.94:
            data[i:i] = data[i : i + rng.randrange(1, 64)]
        elif way < 0.97:
            data[i:i] = bytes([rng.choice([0, 255])]) * rng.randrange(1, 200)
        elif size > 8:
            j = rng.randrange(size - 7)
            data[i : i + 8], data[j : j + 8] = data[j : j + 8], data[i : i + 8]
    return bytes(data)


# -- files -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A file, the base that it is opened with, and what was done to it."""

    what: str
    blob: bytes
    base: bytes | None = None


class Corpus:
    """The golden files, and the cases made from them."""

    def __init__(self, golden=GOLDEN):
        paths = sorted(path for path in golden.rglob("*.sinr") if path.parent.name != "malformed")
        found = [take_apart(str(path.relative_to(golden)), path.read_bytes()) for path in paths]
        self.files = {parts.name: parts for parts in found}
        self.names = list(self.files)
        self.bases = {
            hashlib.sha256(rebuilt(parts.header, parts.sections[:1])).digest()[:16]: parts.name
            for parts in found
            if parts.header[KIND] == 2
        }

    @cached_property
    def beside(self):
        """Names of files with a side section."""
        signals = [n for n in self.names if self.files[n].header[KIND] == 0 and len(self.files[n].sections) > 1]
        return [n for n in signals if self.files[n].header[SIGNAL][0] in (2, 3, 6, 8, 11)]

    def base_for(self, header):
        named = header.get(BASE)
        return self.files[self.bases[named]].blob if isinstance(named, bytes) and named in self.bases else None

    def case(self, seed, number):
        rng = random.Random(seed * 10_000_019 + number)
        parts = self.files[rng.choice(self.names)]
        base, how = self.base_for(parts.header), rng.random()
        try:
            if how < 0.04 and parts.header[KIND] == 0:
                return self._told(rng, parts, base)
            return self._case(rng, parts, base, how)
        except (cbor2.CBOREncodeError, OverflowError, TypeError, ValueError):  # what CBOR cannot say in canonical form
            return Case(f"unchanged {parts.name}", parts.blob, base)

    def _case(self, rng, parts, base, how):
        header, sections, name = parts.header, list(parts.sections), parts.name
        if how < 0.36 or 0.62 <= how < 0.68:
            i = rng.randrange(len(sections))
            sections[i] = edited(rng, sections[i])
        if 0.36 <= how < 0.68:
            header = mutated(rng, header)
            if rng.random() < 0.2:
                header["lengths"] = True
        if how < 0.68:
            return Case(f"header and sections of {name}", rebuilt(header, sections), base)
        if how < 0.74:
            return Case(f"CBOR bytes of {name}", seal(edited(rng, parts.cbor), sections), base)
        if how < 0.82:
            return self._spliced(rng, parts)
        if how < 0.92:
            return self._beside(rng)
        if how < 0.96:
            return self._based(rng)
        if how < 0.98:
            return Case(f"end cut off {name}", parts.blob[: rng.randrange(len(parts.blob))], base)
        return Case(f"bytes of {name}", edited(rng, parts.blob), base)

    def _told(self, rng, parts, base):
        """A file with damaged metadata."""
        items = mutated(rng, METADATA) if rng.random() < 0.8 else METADATA
        packed = brotli.compress(cbor2.dumps(items, canonical=True), quality=1)
        extra = {"metadata": edited(rng, packed) if rng.random() < 0.2 else packed}
        return Case(f"metadata of {parts.name}", rebuilt({**parts.header, EXTRA: extra}, parts.sections), base)

    def _spliced(self, rng, parts):
        """Sections and header of one file with those of another."""
        other = self.files[rng.choice(self.names)]
        header, sections, theirs, way = dict(parts.header), list(parts.sections), other.sections, rng.randrange(6)
        if way == 0:
            sections = list(theirs)
        elif way == 1:
            sections[rng.randrange(len(sections))] = rng.choice(theirs)
        elif way == 2:
            sections += theirs
            rng.shuffle(sections)
            del sections[rng.randrange(len(sections) + 1) :]
        elif way == 3:
            sections.append(rng.choice([b"", b"\0", *theirs]))
        elif way == 4:
            a, b = rng.choice(sections), rng.choice(theirs)
            sections = [a[: rng.randrange(len(a) + 1)] + b[rng.randrange(len(b) + 1) :] for _ in sections]
        else:
            key = rng.choice([1, 2, 3, 4, 6, 7, 8])
            header.pop(key, None)
            if key in other.header:
                header[key] = other.header[key]
        return Case(f"{parts.name} and {other.name}", rebuilt(header, sections), self.base_for(header))

    def _beside(self, rng):
        """A file whose side section holds something else."""
        parts = self.files[rng.choice(self.beside)]
        *sections, side = parts.sections
        kind = parts.header[SIGNAL][0]
        if kind in (3, 11):
            made = _packed(rng, side)
        else:
            try:
                made = brotli.compress(_unlike(rng, brotli.decompress(side)), quality=1)
            except brotli.error:  # the last section is one of records
                made = edited(rng, side)
        return Case(
            f"side section of {parts.name}", rebuilt(parts.header, [*sections, made]), self.base_for(parts.header)
        )

    def _based(self, rng):
        """A damaged base, and a file that names it."""
        digest = rng.choice(sorted(self.bases))
        name = self.bases[digest]
        header, sections = self.files[name].header, list(self.files[name].sections)
        if rng.random() < 0.5:
            header = mutated(rng, header)
        if rng.random() < 0.7:
            i = rng.randrange(len(sections))
            sections[i] = edited(rng, sections[i])
        base = rebuilt(header, sections)
        users = [n for n in self.names if self.files[n].header.get(BASE) == digest]
        if not users or rng.random() < 0.2:
            return Case(f"base {name}", base)
        user = self.files[rng.choice(users)]
        named = {**user.header, BASE: hashlib.sha256(rebuilt(header, sections[:1])).digest()[:16]}
        theirs = [edited(rng, section) if rng.random() < 0.3 else section for section in user.sections]
        return Case(f"{user.name} with a damaged base {name}", rebuilt(named, theirs), base)


def _packed(rng, side):
    """The side section of a dataset, with other metadata or arrays."""
    reader = Reader(side, "side")
    reader.varint()
    inner = Reader(brotli.decompress(bytes(reader.take(reader.remaining))), "side")
    meta = bytes(inner.take(inner.varint()))
    rest, way = bytes(inner.take(inner.remaining)), rng.random()
    if way < 0.75:
        with contextlib.suppress(cbor2.CBOREncodeError, OverflowError, TypeError, ValueError):
            meta = cbor2.dumps(mutated(rng, cbor2.loads(meta)))
    elif way < 0.85:
        meta = edited(rng, meta)
    if way > 0.7:
        rest = edited(rng, rest)
    whole = write_varint(len(meta)) + meta + rest
    return write_varint(len(whole)) + brotli.compress(whole, quality=1)


def _unlike(rng, inner):
    """What another side section packs (JSON, the header of a NIfTI file, bits), changed."""
    if inner[:1] == b"{" and rng.random() < 0.6:
        with contextlib.suppress(TypeError, ValueError):
            return json.dumps(mutated(rng, json.loads(inner)), separators=(",", ":")).encode()
    if inner[:1] != b"{" and len(inner) >= 348 and rng.random() < 0.7:
        made = bytearray(inner)
        for _ in range(rng.choice([1, 1, 2, 4])):
            i = rng.randrange(len(made) - 8)
            number = struct.pack("<f", rng.choice([0, -1, 1e30, math.nan, math.inf, -math.inf, 1e-40]))
            whole = struct.pack("<i", rng.choice([0, 1, -1, 2**31 - 1, 348, 540, 2**20]))
            new = rng.choice([number, whole, struct.pack("<h", rng.choice([0, 1, -1, 2, 7, 32767, 16, 4, 8]))])
            made[i : i + len(new)] = new
        return bytes(made)
    return edited(rng, inner)
