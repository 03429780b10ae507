"""The table of coders: what each takes comes back, and skipping ends where decoding ends."""

import math

import numpy as np
import pytest

from sinr_codec.coding import coders
from sinr_codec.coding.coders import ADAPTIVE, BROTLI, CODERS, CONSTANT, CONTEXT, RANGE, Coder, Stream, coder_of
from sinr_codec.coding.entropy import decode_ints, encode_ints, encode_stream
from sinr_codec.coding.model import SHAPES, UNIFORM
from sinr_codec.coding.trellis import quantise
from sinr_codec.coding.varint import Reader
from sinr_codec.errors import UnknownIdError
from sinr_codec.types import Ints


def streams() -> list[Stream]:
    rng = np.random.default_rng(0)
    spread = np.exp(rng.normal(size=(40, 1)) + 2)
    rows = np.rint(rng.normal(size=(40, 30)) * spread).astype(np.int64).reshape(-1)
    exponents = np.repeat(rng.integers(0, 12, 40), 30)
    values = [
        Stream(np.full(9, -4)),
        Stream(np.tile(rng.integers(-99, 99, 20), 60)),
        Stream(rows, 30, neighbours=True),
        Stream(quantise(rng.normal(size=(6, 20)) * 9).reshape(-1), 20, trellis=True),
        Stream(rows, 30, exponents=exponents),
    ]
    draws = [rng.standard_t(1.2, 900) * 3, rng.laplace(0, 9, 900), rng.normal(0, 9, 900), rng.uniform(-40, 40, 900)]
    return values + [Stream(np.rint(x).astype(np.int64)) for x in draws]


def test_each_coder_gives_back_what_it_takes():
    taken = set()
    for stream in streams():
        for number, coder in CODERS.items():
            if stream.constant and number != CONSTANT:
                continue
            body = coder.encode(stream, math.inf)
            if body is None:
                continue
            taken.add(number)
            reader = Reader(body + b"more")
            decoded = coder.decode(reader, stream.values.size, stream.exponents)
            np.testing.assert_array_equal(decoded, stream.values)
            assert reader.remaining == 4
            reader = Reader(body + b"more")
            coder.skip(reader, stream.values.size, stream.exponents)
            assert reader.remaining == 4
    assert {CONSTANT, BROTLI, CONTEXT, ADAPTIVE, RANGE + UNIFORM} < taken


def test_ids_are_those_of_the_format():
    names = {number: coder.name for number, coder in CODERS.items()}
    assert names == {
        0: "constant",
        1: "brotli",
        2: "range/context",
        3: "range/adaptive",
        8: "range/gg0.5",
        9: "range/gg1",
        10: "range/gg1.5",
        11: "range/gg2",
        12: "range/gg3",
        15: "range/uniform",
    }
    assert len(SHAPES) == 5
    for number in set(range(20)) - set(names):
        with pytest.raises(UnknownIdError, match=f"field: coder id {number} is unknown"):
            coder_of(Reader(b"", "field"), number)


def test_only_levels_of_a_trellis_say_that_they_follow_one():
    for stream in streams()[2:5]:
        body = CODERS[ADAPTIVE].encode(stream, math.inf)
        assert body is not None
        assert CODERS[ADAPTIVE].follows_trellis(Reader(body)) == stream.trellis
    assert not CODERS[CONTEXT].follows_trellis(Reader(b"\x08"))


def test_a_coder_is_an_object_and_a_line_of_the_table(monkeypatch):
    class Bits(Coder):
        id, name = 5, "bits"

        def encode(self, stream: Stream, limit: float) -> bytes | None:
            if not set(stream.values.tolist()) <= {0, 1}:
                return None
            return np.packbits(stream.values.astype(np.uint8)).tobytes()

        def decode(self, reader: Reader, count: int, exponents: Ints | None = None) -> Ints:
            packed = np.frombuffer(reader.take(-(-count // 8)), np.uint8)
            return np.unpackbits(packed, count=count).astype(np.int64)

        def skip(self, reader: Reader, count: int, exponents: Ints | None = None) -> None:
            reader.take(-(-count // 8))

    q = np.random.default_rng(1).integers(0, 2, 64)
    assert encode_stream(q)[0] != 5
    monkeypatch.setitem(coders.CODERS, 5, Bits())
    data = encode_ints(q)
    assert data[0] == 5
    assert len(data) == 9
    np.testing.assert_array_equal(decode_ints(data, 64), q)
