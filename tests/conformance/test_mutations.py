"""Whole files attacked from the inside: the checksums are right, what they protect is not.

Whatever the damage, the answer is weights of the declared shapes or a `SinrError`, in bounded time and
memory.
"""

import contextlib
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinr_codec import codec, container, networks
from sinr_codec.coding.varint import Reader, write_varint
from sinr_codec.container import FIELD, MAGIC, VERSION, Limits
from sinr_codec.errors import FormatError, SinrError

FILES = {path.stem: path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.sinr"))}
LIMITS = Limits(max_params=2**16)
MEMORY = 64e6  # bytes: 65,536 weights in float64 and integers, dictionary atoms for them, and the coder's tables

EDITS = st.lists(
    st.tuples(
        st.floats(0, 1),  # where
        st.integers(0, 4),  # bytes that go
        st.one_of(
            st.binary(max_size=4),
            st.integers(0, 2**40).map(write_varint),
            st.integers(0, 255).map(lambda byte: bytes([byte])),
        ),
    ),
    min_size=1,
    max_size=3,
)


def mutate(data: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    for where, length, new in edits:
        at = round(where * len(data))
        data = data[:at] + new + data[at + length :]
    return data


def seal(cbor: bytes, section: bytes) -> bytes:
    head = MAGIC + bytes([VERSION]) + write_varint(len(cbor)) + cbor
    checksum = zlib.crc32(head)
    parts = [
        head,
        checksum.to_bytes(4, "little"),
        section,
        zlib.crc32(section, checksum).to_bytes(4, "little"),
    ]
    return b"".join(parts)


def decode(blob: bytes) -> list[tuple[tuple[int, ...], np.dtype, np.ndarray]]:
    """Declared shape, declared dtype and array of every tensor, as the package opens files."""
    header = container.read_header(blob, LIMITS)
    if header.kind == FIELD:
        decoder = codec.open(blob, limits=LIMITS)
        shapes, dtypes = decoder.network.shapes(), decoder.network.dtypes()
        return [(shapes[name], dtypes[name], array) for name, array in decoder.params.items()]
    state = networks.decompress(blob, limits=LIMITS)
    return [(entry.shape, entry.dtype, state[entry.name]) for entry in header.tensors]


def check(blob: bytes) -> None:
    """Decode in bounded memory: arrays as declared, or a one-line `SinrError`."""
    tracemalloc.start()
    message = ""
    try:
        for shape, dtype, array in decode(blob):
            assert (array.shape, array.dtype) == (shape, dtype)
    except SinrError as error:
        message = str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert "\n" not in message
    assert peak < MEMORY


@pytest.mark.parametrize("name", FILES)
def test_the_undamaged_file_decodes(name):
    assert decode(FILES[name])


@settings(max_examples=400, deadline=10_000)
@given(st.sampled_from(sorted(FILES)), EDITS)
def test_records(name, edits):
    header, (section,) = container.read(FILES[name])
    check(container.write(header, [mutate(section, edits)]))


@settings(max_examples=300, deadline=10_000)
@given(st.sampled_from(sorted(FILES)), EDITS)
def test_reports_on_records(name, edits):
    header, (section,) = container.read(FILES[name])
    with contextlib.suppress(SinrError):
        codec.info(container.write(header, [mutate(section, edits)]), limits=LIMITS)


@settings(max_examples=400, deadline=10_000)
@given(st.sampled_from(sorted(FILES)), EDITS)
def test_headers(name, edits):
    blob = FILES[name]
    _, (section,) = container.read(blob)
    reader = Reader(blob[len(MAGIC) + 1 :])
    cbor = bytes(reader.take(reader.varint()))
    check(seal(mutate(cbor, edits), section))


@pytest.mark.parametrize("name", FILES)
def test_truncated_at_every_byte(name):
    for end in range(len(FILES[name])):
        with pytest.raises(FormatError):
            container.read(FILES[name][:end])


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_section(name):
    """The header agrees that the section is short: only the records can know better."""
    header, (section,) = container.read(FILES[name])
    # Every byte of a small file; of a large one some, which differ from file to file by its length.
    for end in range(0, len(section), 1 + len(section) // 100):
        with pytest.raises(FormatError):
            decode(container.write(header, [section[:end]]))


def test_every_bit_flipped():
    """Outside, a checksum finds it; inside, it decodes to something or is refused."""
    blob = FILES["direct"]
    for position in range(8 * len(blob)):
        damaged = bytearray(blob)
        damaged[position // 8] ^= 1 << position % 8
        with pytest.raises(FormatError):
            decode(bytes(damaged))
    header, (section,) = container.read(blob)
    for position in range(8 * len(section)):
        damaged = bytearray(section)
        damaged[position // 8] ^= 1 << position % 8
        check(container.write(header, [bytes(damaged)]))
