import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinr_codec.coding.rangecoder import TOTAL, RangeDecoder, body_bytes, least_bytes, range_encode
from sinr_codec.coding.varint import Reader
from sinr_codec.errors import FormatError, TruncatedError

FREQS = st.lists(st.integers(1, 1000), min_size=1, max_size=40)


def cumulative(weights: list[int]) -> list[int]:
    freqs = [1 + w * (TOTAL - len(weights)) // sum(weights) for w in weights]
    freqs[0] += TOTAL - sum(freqs)
    return [0, *np.cumsum(freqs).tolist()]


def triples(cum: list[int], symbols: list[int]) -> list[tuple[int, int, int]]:
    return [(cum[i], cum[i + 1] - cum[i], TOTAL) for i in symbols]


def test_known_answer() -> None:
    assert range_encode([(0, 1, 3), (5, 10, TOTAL), (2, 1, 3)]).hex() == "00003f"


@settings(deadline=None)
@given(st.data(), FREQS)
def test_round_trip_in_front_of_anything(data: st.DataObject, weights: list[int]) -> None:
    cum = cumulative(weights)
    symbols = data.draw(st.lists(st.integers(0, len(weights) - 1), max_size=200))
    follows = data.draw(st.binary(max_size=12))
    coded = range_encode(triples(cum, symbols))
    one_by_one, at_once = Reader(coded + follows), Reader(coded + follows)
    decoder = RangeDecoder(one_by_one, most=3 * len(symbols) + 8)
    assert [decoder.symbol(cum) for _ in symbols] == symbols
    decoder.finish()
    decoder = RangeDecoder(at_once, most=3 * len(symbols) + 8)
    assert decoder.symbols(cum, len(symbols)) == symbols
    decoder.finish()
    assert one_by_one.position == at_once.position == len(coded)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, TOTAL), st.floats(0, 1, exclude_max=True)), max_size=100))
def test_uniform_numbers(pairs: list[tuple[int, float]]) -> None:
    values = [int(total * part) for total, part in pairs]
    coded = range_encode((v, 1, total) for v, (total, _) in zip(values, pairs))
    decoder = RangeDecoder(Reader(coded), most=len(coded))
    assert [decoder.uniform(total) for total, _ in pairs] == values
    decoder.finish()


@pytest.mark.parametrize("symbol", [0, 1])
def test_carries_run_through(symbol: int) -> None:
    # The first or last slice again and again: all ones in the window, and carries through many words.
    cum = [0, 1, TOTAL]
    symbols = [symbol] * 50 + [1 - symbol] + [symbol] * 50
    coded = range_encode(triples(cum, symbols))
    assert RangeDecoder(Reader(coded), most=1000).symbols(cum, 101) == symbols


def test_length_is_the_entropy_and_at_most_two_bytes_more() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        cum = cumulative(rng.integers(1, 100, 30).tolist())
        symbols = rng.integers(0, 30, 300).tolist()
        ideal = sum(np.log2(TOTAL / (cum[i + 1] - cum[i])) for i in symbols) / 8
        assert 0 < len(range_encode(triples(cum, symbols))) - ideal < 2.2
        assert abs(body_bytes(8 * ideal, 300) - ideal) < 1


@settings(deadline=None)
@given(st.data(), FREQS)
def test_cut_streams_never_pass_for_whole_ones(data: st.DataObject, weights: list[int]) -> None:
    cum = cumulative(weights)
    symbols = data.draw(st.lists(st.integers(0, len(weights) - 1), min_size=1, max_size=60))
    coded = range_encode(triples(cum, symbols))
    decoder = RangeDecoder(Reader(coded[: data.draw(st.integers(0, len(coded) - 1))]), most=1000)
    try:
        decoded = decoder.symbols(cum, len(symbols))
        decoder.finish()
    except FormatError:
        return
    assert decoded != symbols  # a stream of its own; telling them apart is the business of checksums


def test_reading_on_and_on_is_stopped() -> None:
    cum = [0, 1, TOTAL]
    with pytest.raises(TruncatedError):
        RangeDecoder(Reader(bytes(4)), most=10**9).symbols(cum, 10**9)


def test_least_bytes_is_1024_symbols_a_byte_after_the_first_4096() -> None:
    assert [least_bytes(n) for n in (0, 1, 4096, 4097, 5120, 5121, 2**30)] == [0, 0, 0, 1, 1, 2, 2**20 - 4]
