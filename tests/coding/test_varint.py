import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinr_codec.coding.varint import UINT64_MAX, Reader, unzigzag, write_varint, write_zigzag, zigzag
from sinr_codec.errors import FormatError, InputError, MalformedError, TruncatedError


@pytest.mark.parametrize(
    ("n", "data"),
    [(0, "00"), (127, "7f"), (128, "8001"), (300, "ac02"), (65536, "808004"), (UINT64_MAX, "ff" * 9 + "01")],
)
def test_known_answers(n: int, data: str) -> None:
    assert write_varint(n).hex() == data
    assert Reader(bytes.fromhex(data)).varint() == n


@given(st.integers(0, UINT64_MAX))
def test_round_trip(n: int) -> None:
    reader = Reader(write_varint(n) + b"\xff")
    assert reader.varint() == n
    assert reader.remaining == 1


@given(st.integers(-(2**63), 2**63 - 1))
def test_zigzag_round_trip(n: int) -> None:
    assert unzigzag(zigzag(n)) == n
    assert Reader(write_zigzag(n)).zigzag() == n


def test_zigzag_interleaves_signs() -> None:
    assert [zigzag(n) for n in (0, -1, 1, -2, 2)] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("n", [-1, UINT64_MAX + 1])
def test_write_refuses_what_does_not_fit(n: int) -> None:
    with pytest.raises(InputError, match="varint"):
        write_varint(n)


@pytest.mark.parametrize("data", ["8000", "ff00", "80808000", "ff" * 9 + "02", "80" * 10 + "01"])
def test_only_the_shortest_form_below_64_bits(data: str) -> None:
    with pytest.raises(MalformedError):
        Reader(bytes.fromhex(data)).varint()


@pytest.mark.parametrize("data", ["", "80", "ffff"])
def test_truncated(data: str) -> None:
    with pytest.raises(TruncatedError):
        Reader(bytes.fromhex(data)).varint()


def test_limit_is_inclusive() -> None:
    assert Reader(b"\x05").varint(5) == 5
    with pytest.raises(MalformedError, match="at most 4"):
        Reader(b"\x05").varint(4)


@given(st.binary(max_size=12))
def test_any_bytes_give_a_canonical_number_or_a_typed_error(data: bytes) -> None:
    reader = Reader(data)
    try:
        n = reader.varint()
    except FormatError:
        return
    assert write_varint(n) == data[: reader.position]


def test_reader_moves_and_ends() -> None:
    reader = Reader(b"abcd", "header")
    assert reader.byte() == ord("a")
    assert bytes(reader.peek(9)) == b"bcd"
    assert bytes(reader.take(2)) == b"bc"
    assert (reader.position, reader.remaining) == (3, 1)
    with pytest.raises(TruncatedError, match="header"):
        reader.take(2)
    with pytest.raises(MalformedError, match="1 bytes"):
        reader.end()
    reader.take(1)
    reader.end()


def test_reader_refuses_huge_lengths_without_allocating() -> None:
    with pytest.raises(TruncatedError):
        Reader(b"abc").take(UINT64_MAX)
