"""Whole files attacked from the inside: the checksums are right, what they protect is not.

Whatever the damage, the answer is weights of the declared shapes or a `SinrError`, in bounded time and
memory.
"""

import contextlib
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinr_codec import codec, container
from sinr_codec.coding.varint import Reader, write_varint
from sinr_codec.container import FIELD, MAGIC, Limits
from sinr_codec.container.format import seal
from sinr_codec.errors import FormatError, SinrError, TruncatedError
from sinr_codec.foreign.decompress import decompress

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


def damaged(sections: list[bytes], edits: list[tuple[float, int, bytes]], which: float) -> list[bytes]:
    """One of the sections mutated."""
    at = min(int(which * len(sections)), len(sections) - 1)
    return [*sections[:at], mutate(sections[at], edits), *sections[at + 1 :]]


def decode(blob: bytes) -> list[tuple[tuple[int, ...], np.dtype, np.ndarray]]:
    """Declared shape, declared dtype and array of every tensor, as the package opens files."""
    header = container.read_header(blob, LIMITS)
    if header.kind == FIELD:
        decoder = codec.open(blob, limits=LIMITS)
        shapes, dtypes = decoder.network.shapes(), decoder.network.dtypes()
        # Of several networks, each is decoded when it is needed: here are the weights of all.
        weights = decoder.params if decoder.spec.parts == 1 else decompress(blob, limits=LIMITS)
        names = [name if decoder.spec.parts == 1 else name.partition(".")[2] for name in weights]
        return [(shapes[name], dtypes[name], array) for name, array in zip(names, weights.values())]
    state = decompress(blob, limits=LIMITS)
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


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(FILES)), EDITS, st.floats(0, 1))
def test_records(name, edits, which):
    header, sections = container.read(FILES[name])
    check(container.write(header, damaged(sections, edits, which)))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(FILES)), EDITS, st.floats(0, 1))
def test_reports_on_records(name, edits, which):
    header, sections = container.read(FILES[name])
    with contextlib.suppress(SinrError):
        codec.info(container.write(header, damaged(sections, edits, which)), limits=LIMITS)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(FILES)), EDITS)
def test_headers(name, edits):
    blob = FILES[name]
    _, sections = container.read(blob)
    reader = Reader(blob[len(MAGIC) + 1 :])
    cbor = bytes(reader.take(reader.varint()))
    check(seal(mutate(cbor, edits), sections))


@pytest.mark.parametrize("name", FILES)
def test_truncated_at_every_byte(name):
    for end in range(len(FILES[name])):
        with pytest.raises(FormatError):
            container.read(FILES[name][:end])


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_section(name):
    """The header agrees that the section is short: only the records can know better."""
    header, sections = container.read(FILES[name])
    for number, section in enumerate(sections):
        # Every byte of a small file; of a large one some, which differ from file to file by its length.
        for end in range(0, len(section), 1 + len(section) // 100):
            with pytest.raises(FormatError):
                decode(container.write(header, [*sections[:number], section[:end], *sections[number + 1 :]]))


def test_the_end_of_a_progressive_file_may_be_missing():
    """Wherever it ends: what is there decodes, each plane nearer to the whole, or it says what is missing."""
    blob = FILES["progressive"]
    header, sections = container.read(blob)
    whole = codec.open(blob).params
    enough = header.header_bytes + len(sections[0]) + 4
    for end in range(enough):
        with pytest.raises(TruncatedError, match=r"the file ends|more bytes"):
            codec.open(blob[:end], progressive=True)
    far = {}
    for end in range(enough, len(blob)):
        decoder = codec.open(blob[:end], progressive=True)
        far[decoder.planes[0]] = sum(np.abs(w - whole[name]).sum() for name, w in decoder.params.items())
        with pytest.raises(TruncatedError):
            codec.open(blob[:end])
    assert list(far) == [0, 1, 2]
    assert far[0] > 1.6 * far[1] > 2.5 * far[2] > 0


def test_every_bit_flipped():
    """Outside, a checksum finds it; inside, it decodes to something or is refused."""
    blob = FILES["direct"]
    for position in range(8 * len(blob)):
        flipped = bytearray(blob)
        flipped[position // 8] ^= 1 << position % 8
        with pytest.raises(FormatError):
            decode(bytes(flipped))
    header, (section,) = container.read(blob)
    for position in range(8 * len(section)):
        flipped = bytearray(section)
        flipped[position // 8] ^= 1 << position % 8
        check(container.write(header, [bytes(flipped)]))
