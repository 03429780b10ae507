"""The file around the tensors: written once, refused when a single bit is wrong."""

import contextlib
import struct
import tracemalloc
import zlib

import cbor2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinr_codec import container
from sinr_codec.coding.varint import write_varint
from sinr_codec.container import DTYPES, FIELD, MAGIC, STATE, VERSION, Header, Limits, TensorEntry
from sinr_codec.errors import (
    ChecksumError,
    FormatError,
    InputError,
    LimitError,
    MalformedError,
    NotSinrError,
    SinrError,
    TruncatedError,
    UnknownIdError,
    VersionError,
)

IMAGE = Header(FIELD, field=[0, 2, 3, 128, 3, [0, 30.0]], signal=[0, 768, 512, 3, 0], quality=3245)
NETWORK = Header(
    STATE,
    tensors=(
        TensorEntry("net.net.0.0.weight", (64, 2), np.dtype("float32")),
        TensorEntry("net.net.0.0.bias", (64,), np.dtype("float16")),
        TensorEntry("net.net.1.0.weight", (1, 64), DTYPES[2]),
        TensorEntry("steps", (), np.dtype("int64")),
        TensorEntry("empty", (0, 3), np.dtype("bool")),
        TensorEntry("", (1,), np.dtype("complex64")),
    ),
    quality=4600,
    extra={"made by": "test", "runs": [1, -2, 0.5, None, True, b"\x00"]},
)
FILES = {
    "image": (IMAGE, [bytes(range(50))]),
    "network": (NETWORK, [b"weights", b"", b"more"]),
    "no sections": (IMAGE, []),
}


@pytest.fixture(params=FILES)
def example(request):
    return FILES[request.param]


def seal(cbor: bytes, sections: list[bytes] | None = None) -> bytes:
    """A file with right checksums around whatever header it is given."""
    head = MAGIC + bytes([VERSION]) + write_varint(len(cbor)) + cbor
    checksum = zlib.crc32(head)
    parts = [head, checksum.to_bytes(4, "little")]
    for section in sections or []:
        parts += [section, zlib.crc32(section, checksum).to_bytes(4, "little")]
    return b"".join(parts)


def sealed_map(**changes) -> bytes:
    """The image's header with some keys replaced; a value of `...` removes the key."""
    items = {0: 0, 1: IMAGE.field, 2: IMAGE.signal, 4: 3245, 5: []}
    items |= {int(key.removeprefix("key_")): value for key, value in changes.items()}
    return seal(cbor2.dumps({key: items[key] for key in sorted(items) if items[key] is not ...}, canonical=True))


class TestRoundTrip:
    def test_read_returns_what_was_written(self, example):
        header, sections = example
        blob = container.write(header, sections)
        back, read_sections = container.read(blob)
        assert back == header
        assert read_sections == sections
        assert back.section_lengths == tuple(map(len, sections))
        assert blob[back.header_bytes :].startswith(sections[0] if sections else b"")

    def test_header_is_read_from_a_beginning_of_the_file(self, example):
        blob = container.write(*example)
        whole = container.read_header(blob)
        assert container.read_header(blob[: whole.header_bytes]) == whole

    def test_the_bytes_are_those_of_the_specification(self):
        cbor = bytes.fromhex("a5000001860002031880038200f94f80028500190300190200030004190cad058103")
        assert container.write(IMAGE, [b"abc"]) == seal(cbor, [b"abc"])

    def test_an_image_costs_at_most_64_bytes(self):
        section = bytes(100_000)
        assert len(container.write(IMAGE, [section])) - len(section) <= 64

    def test_names_are_front_coded(self):
        names = [f"model.decoder.layers.{i}.{kind}" for i in range(32) for kind in ("weight", "bias")]
        tensors = [TensorEntry(name, (256, 256), np.dtype("float32")) for name in names]
        cost = len(container.write(Header(STATE, tensors=tensors), [b""]))
        assert cost < 24 * len(names)

    @settings(max_examples=50)
    @given(
        st.lists(
            st.builds(
                TensorEntry,
                st.text(max_size=12),
                st.lists(st.integers(0, 9), max_size=4).map(tuple),
                st.sampled_from(DTYPES),
            ),
            min_size=1,
            unique_by=lambda tensor: tensor.name,
        )
    )
    def test_any_manifest(self, tensors):
        header = Header(STATE, tensors=tuple(tensors))
        assert container.read(container.write(header, [b"x"]))[0] == header

    @pytest.mark.parametrize(
        "header",
        [
            Header(FIELD, field=[0]),
            Header(STATE),
            Header(2, field=[0], signal=[0]),
            Header(FIELD, field=[np.float32(1)], signal=[0]),
            Header(FIELD, field=[float("nan")], signal=[0]),
            Header(FIELD, field=[0], signal=[0], quality=-1),
            Header(STATE, tensors=(NETWORK.tensors[0], NETWORK.tensors[0])),
            Header(STATE, tensors=(TensorEntry("a", (1,), np.dtype("S4")),)),
        ],
    )
    def test_the_writer_refuses_what_the_reader_would(self, header):
        with pytest.raises(FormatError):
            container.write(header, [b""])


class TestDamage:
    def test_truncated_at_every_byte(self, example):
        blob = container.write(*example)
        for end in range(len(blob)):
            with pytest.raises(TruncatedError):
                container.read(blob[:end])

    def test_every_bit_flipped(self, example):
        blob = container.write(*example)
        for position in range(8 * len(blob)):
            damaged = bytearray(blob)
            damaged[position // 8] ^= 1 << position % 8
            with pytest.raises(FormatError):
                container.read(bytes(damaged))

    def test_trailing_bytes(self, example):
        with pytest.raises(MalformedError, match="1 bytes follow"):
            container.read(container.write(*example) + b"\0")

    def test_wrong_magic(self):
        with pytest.raises(NotSinrError, match="does not start with"):
            container.read(b"\x89PNG\r\n\x1a\n" + bytes(100))

    @pytest.mark.parametrize("old_new", [(b"\r\n", b"\n"), (b"\n", b"\r\n")])
    def test_text_mode_transfer_is_named(self, old_new):
        with pytest.raises(NotSinrError, match="text mode"):
            container.read(container.write(IMAGE, [b"abc"]).replace(*old_new))

    @pytest.mark.parametrize("version", [0, 2, 255])
    def test_other_version(self, version):
        blob = bytearray(container.write(IMAGE, [b"abc"]))
        blob[8] = version
        with pytest.raises(VersionError, match=f"version {version};"):
            container.read(bytes(blob))

    def test_a_section_with_a_wrong_checksum_is_named(self):
        blob = bytearray(container.write(NETWORK, [b"one", b"two"]))
        blob[-5] ^= 1
        with pytest.raises(ChecksumError, match="section 1"):
            container.read(bytes(blob))

    def test_a_section_of_another_file(self):
        blob, other = (container.write(header, [b"same"]) for header in (IMAGE, NETWORK))
        with pytest.raises(ChecksumError):
            container.read(blob[:-8] + other[-8:])

    def test_bytes_that_are_their_own_plain_checksum(self):
        blob = container.write(IMAGE, [b"same"])
        assert zlib.crc32(b"\xff" * 4) == 0xFFFFFFFF
        with pytest.raises(ChecksumError):
            container.read(blob[:-8] + b"\xff" * 8)


class TestStructure:
    def test_the_unchanged_map_is_read(self):
        assert container.read(sealed_map())[0] == IMAGE

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"key_0": ...}, MalformedError),
            ({"key_0": 3}, UnknownIdError),
            ({"key_0": True}, MalformedError),
            ({"key_0": 1}, MalformedError),  # a state dict without tensors
            ({"key_1": ...}, MalformedError),
            ({"key_2": ...}, MalformedError),
            ({"key_2": None}, MalformedError),
            ({"key_3": [[0, "a", 0, 1]]}, MalformedError),  # a field with a manifest
            ({"key_4": -1}, MalformedError),
            ({"key_4": 1.0}, MalformedError),
            ({"key_4": 65536}, MalformedError),
            ({"key_4": None}, MalformedError),  # absent, not null
            ({"key_5": ...}, MalformedError),
            ({"key_5": 3}, MalformedError),
            ({"key_5": [-1]}, MalformedError),
            ({"key_5": [True]}, MalformedError),
            ({"key_5": [1]}, TruncatedError),
            ({"key_5": [2**64 - 1] * 3}, LimitError),
            ({"key_6": {}}, MalformedError),
            ({"key_6": [1]}, MalformedError),
            ({"key_8": 0}, MalformedError),
            ({"key_8": 16}, MalformedError),
            ({"key_8": True}, MalformedError),
            ({"key_9": 0}, MalformedError),
            ({"key_9": True}, MalformedError),
            ({"key_9": 2}, UnknownIdError),
            ({"key_0": 1, "key_2": ..., "key_3": [[0, "a", 0, 1]], "key_9": 1}, MalformedError),
            ({"key_10": 1}, UnknownIdError),
            ({"key_99": 1}, UnknownIdError),
        ],
    )
    def test_a_wrong_map(self, changes, error):
        with pytest.raises(error):
            container.read(sealed_map(**changes))

    def test_a_state_dict_may_have_a_field_but_no_signal(self):
        state = {"key_0": 1, "key_3": [[0, "a", 0, 1]]}
        assert container.read(sealed_map(**state, key_2=...))[0].field == IMAGE.field
        with pytest.raises(MalformedError, match="no signal"):
            container.read(sealed_map(**state))

    @pytest.mark.parametrize(
        ("entries", "error"),
        [
            ({}, MalformedError),
            ([1], MalformedError),
            ([[0, "a"]], MalformedError),
            ([[0, b"a", 0]], MalformedError),
            ([[0, "a", 0, -1]], MalformedError),
            ([[0, "a", 0, True]], MalformedError),
            ([[0, "a", 15, 1]], UnknownIdError),
            ([[1, "a", 0, 1]], MalformedError),  # shares a character with nothing
            ([[0, "ab", 0, 1], [0, "ac", 0, 1]], MalformedError),  # front coding not used
            ([[0, "a", 0, 1], [1, "", 0, 1]], MalformedError),  # twice the same name
            ([[0, "a", 0, *[1] * 17]], MalformedError),
            ([[0, "a", 0, 10**12]], LimitError),
            ([[0, "a", 0, 2**40, 0]], LimitError),  # empty, yet no array can have this shape
            ([[0, "a", 0, 2**29], [0, "b", 0, 2**29], [0, "c", 0, 1]], LimitError),
            ([[0, "a" * 1025, 0, 1]], LimitError),
        ],
    )
    def test_a_wrong_manifest(self, entries, error):
        with pytest.raises(error):
            container.read(seal(cbor2.dumps({0: 1, 3: entries, 5: []}, canonical=True)))

    @pytest.mark.parametrize(
        "item",
        [
            "c11a514b67b0",  # a tag: date
            "d8236161",  # a tag: regular expression
            "c24101",  # a tag: big number
            "d81c80",  # a tag: shared value
            "9f01ff",  # indefinite list
            "7f6161ff",  # indefinite text
            "bf0001ff",  # indefinite map
            "1c",  # reserved
            "f7",  # undefined
            "f0",  # simple value
            "f820",  # simple value
            "ff",  # break
            "f97e00",  # NaN
            "fb7ff8000000000001",  # NaN with a payload
            "f97c00",  # infinity
            "faff800000",  # -infinity
            "1801",  # 1 in two bytes
            "1b0000000000000001",  # 1 in nine bytes
            "fb3ff0000000000000",  # 1.0 as a double
            "a201010001",  # keys not sorted
            "a200010001",  # the same key twice
            "a20001613101",  # keys of two types
            "a1f90000f6",  # key is a float
            "a12000",  # key is negative
            "61ff",  # not UTF-8
            "5b7fffffffffffffff",  # 2^63 bytes that are not there
            "9b7fffffffffffffff",  # 2^63 items that are not there
            "bb7fffffffffffffff",
            "81" * 9 + "00",  # too deep
            "81" * 30_000 + "00",
            "",
        ],
    )
    def test_cbor_that_is_not_plain_and_deterministic(self, item):
        cbor = bytes.fromhex("a4 0000 01" + item + "0200 0580")
        with pytest.raises(MalformedError):
            container.read(seal(cbor))

    @pytest.mark.parametrize("cbor", [b"", b"\x00", b"\x80", b"\xa0", b"\xf6", b"\xa1\x00", b"\xa0\x00"])
    def test_a_header_that_is_no_map(self, cbor):
        with pytest.raises(MalformedError):
            container.read(seal(cbor))


class TestLimits:
    def test_absurd_size_is_refused_before_it_is_allocated(self):
        blob = seal(cbor2.dumps({0: 1, 3: [[0, "w", 0, 10**6, 10**6]], 5: [8]}, canonical=True), [bytes(8)])
        assert len(blob) < 100
        tracemalloc.start()
        try:
            with pytest.raises(LimitError, match=r"1,000,000,000,000 for max_params"):
                container.read(blob)
            assert tracemalloc.get_traced_memory()[1] < 1e6
        finally:
            tracemalloc.stop()

    @pytest.mark.parametrize(
        "limits",
        [
            Limits(max_file_bytes=100),
            Limits(max_header_bytes=20),
            Limits(max_sections=2),
            Limits(max_tensors=5),
            Limits(max_params=200),
        ],
    )
    def test_each_limit(self, limits):
        blob = container.write(*FILES["network"])
        with pytest.raises(LimitError):
            container.read(blob, limits)
        with pytest.raises(LimitError):
            container.write(*FILES["network"], limits)

    def test_a_header_length_beyond_the_limit(self):
        with pytest.raises(LimitError):
            container.read(MAGIC + b"\x01" + write_varint(2**40))

    def test_names_that_grow_cannot_fill_the_memory(self):
        entries = [[i, "a", 0, 1] for i in range(4000)]
        with pytest.raises(LimitError):
            container.read(seal(cbor2.dumps({0: 1, 3: entries, 5: []}, canonical=True)))


class TestFiles:
    def test_by_name(self, tmp_path, example):
        header, sections = example
        path = tmp_path / "x.sinr"
        path.write_bytes(container.write(header, sections))
        assert container.load(path) == (header, sections)
        assert container.load_header(path) == header

    @pytest.mark.parametrize("read", [container.load, container.load_header])
    def test_errors_name_the_file(self, tmp_path, read):
        path = tmp_path / "x.sinr"
        with pytest.raises(InputError, match=r"x\.sinr"):
            read(path)
        with pytest.raises(InputError, match="is not a file"):
            read(tmp_path)
        blob = container.write(IMAGE, [b"abc"])
        for data, error in [
            (blob[:-1], TruncatedError),
            (blob + b"1", MalformedError),
            (b"", TruncatedError),
        ]:
            path.write_bytes(data)
            with pytest.raises(error, match=r"x\.sinr: "):
                read(path)
        path.write_bytes(blob)
        with pytest.raises(LimitError):
            read(path, Limits(max_file_bytes=10))


def mutate(data: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
    """Replace, at each (position, length), what is there by other bytes."""
    for position, length, new in edits:
        at = position % (len(data) + 1)
        data = data[:at] + new + data[at + length :]
    return data


EDITS = st.lists(
    st.tuples(
        st.integers(0, 10_000),
        st.integers(0, 9),
        st.one_of(
            st.binary(max_size=9),
            st.sampled_from([b"\xff" * 8, b"\x1b" + struct.pack(">Q", 2**63), b"\x9b" + b"\x7f" * 8]),
        ),
    ),
    min_size=1,
    max_size=4,
)


class TestMutations:
    """Thousands of damaged files: the original, or a `SinrError`, in bounded memory."""

    @settings(max_examples=1500, deadline=None)
    @given(st.sampled_from(sorted(FILES)), EDITS)
    def test_any_damage(self, name, edits):
        header, sections = FILES[name]
        damaged = mutate(container.write(header, sections), edits)
        with contextlib.suppress(SinrError):
            assert container.read(damaged) == (header, sections)

    @settings(max_examples=1500, deadline=None)
    @given(st.sampled_from(sorted(FILES)), EDITS)
    def test_damage_under_right_checksums(self, name, edits):
        header, sections = FILES[name]
        blob = container.write(header, sections)
        end = container.read_header(blob).header_bytes - 4
        attacked = seal(mutate(blob[10:end], edits), sections)
        tracemalloc.start()
        try:
            back, payloads = container.read(attacked)
        except SinrError:
            pass
        else:  # a different, valid file: then it is the only encoding of what it says
            assert container.write(back, payloads) == attacked
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert peak < 4e6
