"""Files that every reader must refuse, with the error that the package gives.

`malformed/malformed.json` has, for each file, the class of the error (docs/format.md, section 8) and what is wrong.
Each file breaks one rule; checksums are right unless they are the rule. `GENERATE_EXPECTED=1` writes what is missing.
"""

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import numpy as np
import pytest

from sinr_codec import errors
from sinr_codec.coding.rangecoder import range_encode
from sinr_codec.coding.varint import Reader, write_varint
from sinr_codec.coding.weights import decode_weights, encode_weights
from sinr_codec.container import MAGIC, read
from sinr_codec.container.format import seal
from sinr_codec.decoding import open as open_file
from sinr_codec.fields import Pyramid
from sinr_codec.fields.pyramid_section import PyramidSection
from sinr_codec.foreign.decompress import decompress

HERE = Path(__file__).parent
FOLDER = HERE / "malformed"


def golden(name: str) -> tuple[dict[int, Any], list[bytes]]:
    """The header of a golden file as Python values, and its sections."""
    blob = (HERE / f"{name}.sinr").read_bytes()
    reader = Reader(blob[len(MAGIC) + 1 :])
    return cbor2.loads(bytes(reader.take(reader.varint()))), read(blob)[1]


def built(header: dict[int, Any], sections: list[bytes]) -> bytes:
    lengths = {5: [len(section) for section in sections]} if 5 in header else {}
    return seal(cbor2.dumps(header | lengths, canonical=True), sections)


# -- edits of golden files -------------------------------------------------------------------------------------


def changed(name: str, **entries: Any) -> bytes:
    """A golden file with other header entries: key1=..., and None to leave one out."""
    header, sections = golden(name)
    for key, value in entries.items():
        number = int(key.removeprefix("key"))
        if value is None:
            del header[number]
        else:
            header[number] = value
    return built(header, sections)


def at(name: str, key: int, position: int, value: Any) -> bytes:
    """A golden file with another value in a list of its header."""
    entry = list(golden(name)[0][key])
    entry[position] = value
    return changed(name, **{f"key{key}": entry})


def section(name: str, edit: Callable[[bytes], bytes], number: int = 0) -> bytes:
    """A golden file with an edited section."""
    header, sections = golden(name)
    sections[number] = edit(sections[number])
    return built(header, sections)


def put(position: int, *values: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:position] + bytes(values) + data[position + len(values) :]


def tensors(*entries: list[Any], record: bytes = b"\x00\x00") -> bytes:
    """A state file with a manifest, and one record for all."""
    return built({0: 1, 3: list(entries), 5: [0]}, [record])


def raw(record: str, shape: tuple[int, ...] = (4,), dtype: int = 0) -> bytes:
    """A state file with a tensor whose record is given as hexadecimal digits."""
    return tensors([0, "w", dtype, *shape], record=bytes.fromhex(record))


def direct() -> bytes:
    return (HERE / "direct.sinr").read_bytes()


def flipped(position: int) -> bytes:
    blob = bytearray(direct())
    blob[position] ^= 1
    return bytes(blob)


def header_cbor(edit: Callable[[bytes], bytes]) -> bytes:
    header, sections = golden("direct")
    return seal(edit(cbor2.dumps(header, canonical=True)), sections)


def weights(name: str) -> bytes:
    """A pyramid whose weights of one name are as large as integers allow."""
    header, (coded,) = golden("pyramids/gray")
    pyramid, reader = Pyramid.from_header(header[1], 1 << 20), Reader(coded)
    counts = {key: math.prod(shape) for key, shape in pyramid.networks.items()}
    tensors = dict(zip(counts, decode_weights(reader, list(counts.values()))))
    tensors[name][:] = 2**31 - 1
    return built(header, [encode_weights(list(tensors.values())) + bytes(reader.take(reader.remaining))])


def wide_context() -> bytes:
    """A picture of near-zero latents under a context network of 64 neurons: a stream of few bytes."""
    field = Pyramid.for_grid((1800, 1500), 1, width=1, hidden=64, residuals=0)
    params = field.init(np.random.default_rng(0))
    params["context.0.bias"][:, -1] = -10_000
    for name in field.latents:
        params[name][:, -1, -1] = 1
    codec = PyramidSection()
    coded = codec.assemble(field, codec.records(field, params))
    return built(golden("pyramids/gray")[0] | {1: field.to_header(), 2: [0, 1800, 1500, 1, 0]}, [coded.section])


FIELD = [0, 2, 3, 4, 1, [0, 30]]
PYRAMID = [7, 1, [24, 33], [1, 2], [2, 1], 9, 2, 2, 6, 5, 2]
FAR = [(2, 1, 6), (0, 1, 64), (0, 1, 16), *[(2**20 - 1, 1, 2**20)] * 264, (32, 1, 64), (0, 1, 2**16), (0, 1, 2**16)]
STEP = "0088"  # 1.0

CASES: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    # the container
    "magic": ("NotSinrError", "another first byte", lambda: b"\x88" + direct()[1:]),
    "text-mode": ("NotSinrError", "CR LF turned into LF", lambda: direct().replace(b"\r\n", b"\n", 1)),
    "version": ("VersionError", "version 2", lambda: seal(b"\xa0", [], 2)),
    "empty-header": ("MalformedError", "a header without entries", lambda: seal(b"\xa0", [])),
    "ends-in-magic": ("TruncatedError", "5 bytes", lambda: direct()[:5]),
    "ends-in-header": ("TruncatedError", "20 bytes", lambda: direct()[:20]),
    "ends-in-section": ("TruncatedError", "the last byte is missing", lambda: direct()[:-1]),
    "header-checksum": ("ChecksumError", "a bit of the header is flipped", lambda: flipped(18)),
    "section-checksum": ("ChecksumError", "a bit of the section is flipped", lambda: flipped(60)),
    "bytes-behind": ("MalformedError", "a byte follows the last section", lambda: direct() + b"\0"),
    "header-length": ("LimitError", "a header of 2^21 bytes", lambda: MAGIC + b"\x01" + write_varint(1 << 21)),
    "varint": ("MalformedError", "the header's length is not the shortest varint", lambda: MAGIC + b"\x01\x9d\x00"),
    # CBOR
    "cbor-long-integer": ("MalformedError", "0 in two bytes", lambda: header_cbor(put(2, 0x18, 0))),
    "cbor-indefinite": ("MalformedError", "a map without a length", lambda: header_cbor(lambda c: b"\xbf" + c[1:] + b"\xff")),
    "cbor-duplicate-key": ("MalformedError", "key 0 twice", lambda: header_cbor(lambda c: b"\xa6\x00\x00" + c[1:])),
    "cbor-order": ("MalformedError", "the last key stands first", lambda: header_cbor(lambda c: c[:1] + c[-5:] + c[1:-5])),
    "cbor-tag": ("MalformedError", "a tag", lambda: changed("direct", key6={"a": cbor2.CBORTag(1, 0)})),
    "cbor-nan": ("MalformedError", "NaN", lambda: changed("direct", key6={"a": float("nan")})),
    "cbor-depth": ("MalformedError", "nine lists in each other", lambda: changed("direct", key6={"a": [[[[[[[[[0]]]]]]]]]})),
    "cbor-mixed-keys": ("MalformedError", "a map with numbers and texts as keys", lambda: changed("direct", key6={"a": 0, 1: 0})),
    "cbor-ends": ("MalformedError", "the header's item is longer than the header", lambda: header_cbor(lambda c: c[:-1])),
    # the map
    "unknown-key": ("UnknownIdError", "key 1000", lambda: changed("direct", key1000=0)),
    "unknown-kind": ("UnknownIdError", "kind of content 3", lambda: changed("direct", key0=3)),
    "no-signal": ("MalformedError", "kind 0 without a signal", lambda: changed("direct", key2=None)),
    "no-sections": ("MalformedError", "no section lengths", lambda: changed("direct", key5=None)),
    "quality": ("MalformedError", "quality 65536", lambda: changed("direct", key4=65536)),
    "extra": ("MalformedError", "an empty map of extra entries", lambda: changed("direct", key6={})),
    "planes-of-state": ("MalformedError", "planes in a state file", lambda: changed("state", key8=2)),
    "base-name": ("MalformedError", "a base's name of 15 bytes", lambda: changed("direct", key7=bytes(15))),
    # fields
    "field-id": ("UnknownIdError", "field id 99", lambda: changed("direct", key1=[99, 2, 3, 4, 1, [0, 30]])),
    "field-short": ("MalformedError", "an MLP without activation", lambda: changed("direct", key1=FIELD[:5])),
    "field-width-0": ("MalformedError", "width 0", lambda: at("direct", 1, 3, 0)),
    "field-width": ("LimitError", "width 16385", lambda: at("direct", 1, 3, 16385)),
    "field-inputs": ("MalformedError", "three coordinates for a picture", lambda: at("direct", 1, 1, 3)),
    "field-outputs": ("MalformedError", "two values for RGB", lambda: at("direct", 1, 2, 2)),
    "activation-id": ("UnknownIdError", "activation 9", lambda: at("direct", 1, 5, [9, 30])),
    "activation-omega": ("MalformedError", "omega0 = 0", lambda: at("direct", 1, 5, [0, 0])),
    "activation-numbers": ("MalformedError", "three numbers for a sine", lambda: at("direct", 1, 5, [0, 30, 30, 30])),
    "encoding-id": ("UnknownIdError", "encoding 9", lambda: changed("direct", key1=[*FIELD, [9, 1]])),
    "encoding-counts": ("MalformedError", "three counts for two coordinates", lambda: at("axes", 1, 6, [3, 1.5, 0, 3, 3])),
    "encoding-sigma": ("MalformedError", "sigma = 17", lambda: at("axes", 1, 6, [3, 17, 0, 3])),
    "encoding-frequency": ("MalformedError", "a frequency above 2^23", lambda: at("axes", 1, 6, [3, 16, 0, 7])),
    # pyramids
    "pyramid-short": ("MalformedError", "no number of residuals", lambda: changed("pyramids/gray", key1=PYRAMID[:10])),
    "pyramid-halvings": ("MalformedError", "no axis is halved", lambda: at("pyramids/gray", 1, 3, [0, 0])),
    "pyramid-halved": ("MalformedError", "24 samples are halved six times", lambda: at("pyramids/gray", 1, 3, [6, 2])),
    "pyramid-channels": ("MalformedError", "the last channels are repeated", lambda: at("pyramids/gray", 1, 4, [1, 1])),
    "pyramid-levels": ("MalformedError", "channels of three levels where there are two", lambda: at("pyramids/gray", 1, 4, [1, 2, 1])),
    "pyramid-size": ("MalformedError", "2^24 + 1 samples", lambda: at("pyramids/gray", 1, 2, [(1 << 24) + 1, 33])),
    "pyramid-prior": ("UnknownIdError", "a prior", lambda: changed("pyramids/gray", key1=[*PYRAMID, bytes(16)])),
    "pyramid-latents": ("LimitError", "more than 2^30 latents", lambda: at("pyramids/gray", 1, 2, [1 << 16, 1 << 16])),
    "pyramid-bytes": ("LimitError", "25 million latents in 132 bytes", lambda: at("pyramids/gray", 1, 2, [1 << 13, 1 << 13])),
    "pyramid-memory": ("LimitError", "385 MB for decoding 2.2 million latents of 207 bytes", wide_context),
    "pyramid-ends": ("TruncatedError", "the latents end early", lambda: section("pyramids/gray", lambda s: s[:-20])),
    "pyramid-behind": ("MalformedError", "two bytes after the latents", lambda: section("pyramids/gray", lambda s: s + b"\0\0")),
    "pyramid-sums": ("MalformedError", "a sum of the synthesis may reach 2^53", lambda: weights("synthesis.1.weight")),
    "pyramid-context": ("MalformedError", "a sum of the context network may reach 2^31", lambda: weights("context.1.weight")),
    "pyramid-weight": ("MalformedError", "a weight of 2^31", lambda: section("pyramids/gray", lambda s: range_encode(FAR) + s)),
    # pictures
    "signal-id": ("UnknownIdError", "signal id 99", lambda: at("direct", 2, 0, 99)),
    "signal-text-id": ("UnknownIdError", "a signal of a package that is not there", lambda: changed("direct", key2=["nowhere", 1])),
    "image-mode": ("UnknownIdError", "mode 50", lambda: at("direct", 2, 3, 50)),
    "image-grid": ("MalformedError", "grid 8", lambda: at("direct", 2, 4, 8)),
    "image-height": ("MalformedError", "height 0", lambda: at("direct", 2, 1, 0)),
    "image-short": ("MalformedError", "a picture without grid", lambda: changed("direct", key2=[0, 8, 12, 0])),
    "image-colours": ("MalformedError", "a palette of 257 colours", lambda: at("paper", 2, 5, 257)),
    "image-range": ("MalformedError", "low above high", lambda: at("sparse", 2, 6, -3.0)),
    "image-side": ("MalformedError", "a picture with a side section", lambda: built(golden("direct")[0], [*golden("direct")[1], b"\0"])),
    "image-sections": ("MalformedError", "no section of records", lambda: built(golden("direct")[0], [])),
    "blocks-fade": ("MalformedError", "a fade of more than half a block", lambda: at("blocks", 2, 6, 9)),
    "blocks-one": ("MalformedError", "one block", lambda: built(golden("blocks")[0] | {2: [7, 9, 13, 0, 1, 1, 0]}, golden("blocks")[1][:1])),
    # manifests
    "tensor-dtype": ("UnknownIdError", "dtype 15", lambda: raw("0000", dtype=15)),
    "tensor-axes": ("MalformedError", "17 axes", lambda: raw("0000", shape=(1,) * 17)),
    "tensor-shared": ("MalformedError", "more characters shared than there are", lambda: tensors([0, "a", 0, 1], [2, "b", 0, 1])),
    "tensor-shared-few": ("MalformedError", "fewer characters shared than possible", lambda: tensors([0, "aa", 0, 1], [0, "ab", 0, 1])),
    "tensor-twice": ("MalformedError", "a name twice", lambda: tensors([0, "a", 0, 1], [1, "", 0, 1])),
    "tensor-params": ("LimitError", "2^28 numbers", lambda: raw("0000", shape=(1 << 28,))),
    # records
    "record-transform": ("UnknownIdError", "transform 9", lambda: raw("9000")),
    "record-coder": ("UnknownIdError", "coder 5", lambda: raw("0500")),
    "record-ends": ("TruncatedError", "the section ends in a record", lambda: section("direct", lambda s: s[:-1])),
    "record-behind": ("MalformedError", "a byte after the last record", lambda: section("direct", lambda s: s + b"\0")),
    "record-of-integers": ("MalformedError", "a step for integers", lambda: raw("10" + STEP + "00", dtype=13)),
    "record-value": ("MalformedError", "300 in uint8", lambda: raw("00d804", dtype=8)),
    "record-step": ("MalformedError", "an infinite step", lambda: raw("20" + "0000807f" + "00000000" + "00")),
    "record-exponent": ("MalformedError", "an exponent of 128", lambda: raw("50" + STEP + "008002" + "0000" + "00")),
    "record-symbols": ("LimitError", "2^20 symbols in one byte", lambda: raw("1f" + STEP + "0001" + "0100", shape=(1 << 20,))),
    "record-model": ("MalformedError", "a range-coded stream leaves its model", lambda: raw("1f" + STEP + "0002" + "ffffffffffff")),
    "record-low-parts": ("MalformedError", "an integer above its support", lambda: raw("1f" + STEP + "008020" + "ffe7" + "80", (1,))),
    "record-centre": ("MalformedError", "a centre outside of the support", lambda: raw("19" + STEP + "80ff" + "0001" + "05" + "00")),
    "contexts-row": ("MalformedError", "coder 2 with rows of no numbers", lambda: raw("12" + STEP + "0000")),
    "adaptive-shape": ("MalformedError", "coder 3 with shape 7", lambda: raw("13" + STEP + "07" + "0101" + "0400")),
    "brotli-damaged": ("MalformedError", "no Brotli stream", lambda: raw("01" + "00" + "03" + "ffffff", dtype=8)),
    "brotli-parameters": ("MalformedError", "unknown bits in the parameters", lambda: raw("01" + "20" + "01" + "06", dtype=8)),
    "sparse-many": ("MalformedError", "more atoms a vector than there are", lambda: raw("30" + STEP + "00" + "00" + "02" + "03" + "00")),
    "sparse-dictionary": ("UnknownIdError", "dictionary kind 9", lambda: raw("30" + STEP + "09" + "00" + "02" + "01" + "00" + "00")),
    "sparse-atoms": ("MalformedError", "2^17 atoms", lambda: raw("30" + STEP + "00" + "00" + "808008" + "01" + "00" + "00")),
}  # fmt: skip


def decode(blob: bytes) -> None:
    """Everything that the package decodes of a file."""
    header, _ = read(blob)
    if header.kind == 1:
        decompress(blob)
    else:
        open_file(blob).render()


def table() -> dict[str, dict[str, str]]:
    path = FOLDER / "malformed.json"
    if os.environ.get("GENERATE_EXPECTED") == "1":
        for name, (_, _, make) in CASES.items():
            if not (FOLDER / f"{name}.sinr").exists():
                (FOLDER / f"{name}.sinr").write_bytes(make())
        stated = {name: {"error": error, "wrong": wrong} for name, (error, wrong, _) in CASES.items()}
        path.write_text(json.dumps(stated, indent=1) + "\n")
    return json.loads(path.read_text())


TABLE = table()


def test_no_file_is_forgotten():
    stated = {name: {"error": error, "wrong": wrong} for name, (error, wrong, _) in CASES.items()}
    assert stated == TABLE
    assert set(TABLE) == {path.stem for path in FOLDER.glob("*.sinr")}


@pytest.mark.parametrize("name", TABLE)
def test_the_reader_refuses_it(name):
    blob = (FOLDER / f"{name}.sinr").read_bytes()
    with pytest.raises(errors.FormatError) as caught:
        decode(blob)
    assert type(caught.value).__name__ == TABLE[name]["error"]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", TABLE)
def test_it_can_be_made_again(name):
    assert CASES[name][2]() == (FOLDER / f"{name}.sinr").read_bytes()
