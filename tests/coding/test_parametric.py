import numpy as np
import pytest

from sinr_codec.coding import parametric
from sinr_codec.coding.model import UNIFORM
from sinr_codec.coding.varint import Reader
from sinr_codec.errors import MalformedError


def drawn(name: str, n: int = 3000) -> np.ndarray:
    rng = np.random.default_rng(3)
    samples = {
        "normal": rng.normal(0, 30, n),
        "heavy": rng.standard_t(1.5, n) * 4,
        "uniform": rng.uniform(-500, 500, n),
        "shifted": rng.normal(4000, 5, n),
        "one-sided": rng.exponential(200, n),
        "wide": rng.normal(0, 1e12, n),
        "two": rng.integers(0, 2, n) * (2.0**62),
    }
    return np.rint(samples[name]).astype(np.int64)


@pytest.mark.parametrize("name", ["normal", "heavy", "uniform", "shifted", "one-sided", "wide", "two"])
@pytest.mark.parametrize("n", [3, 3000, 5000])
def test_what_is_coded_is_decoded_in_about_the_bits_that_were_told(name, n):
    q = drawn(name, n)
    model, bits = parametric.fit(q)
    body = parametric.encode(q, model)
    assert 8 * len(body) == pytest.approx(bits, abs=24, rel=0.001)
    reader = Reader(body + b"more")
    np.testing.assert_array_equal(parametric.decode(reader, model.shape, n), q)
    assert reader.remaining == 4
    reader = Reader(body + b"more")
    parametric.skip(reader, model.shape, n)
    assert reader.remaining == 4


def test_the_model_suits_the_distribution():
    assert parametric.fit(drawn("uniform"))[0].shape == UNIFORM
    assert parametric.fit(drawn("heavy"))[0].shape < parametric.fit(drawn("normal"))[0].shape < UNIFORM
    assert abs(parametric.fit(drawn("shifted"))[0].centre - 4000) < 5
    assert parametric.fit(drawn("wide"))[0].shift > 0


def test_a_header_gives_its_model_back():
    for name in ("normal", "uniform", "shifted", "one-sided", "wide"):
        model, _ = parametric.fit(drawn(name))
        assert parametric.Model.read(Reader(model.header()), model.shape) == model


def test_a_support_beyond_64_bits_is_refused():
    header = bytes.fromhex("ff" * 9 + "01" + "0a")  # from -2^63, whose width is 11
    assert parametric.Model.read(Reader(header), UNIFORM).lo == -(2**63)
    header = bytes.fromhex("fe" + "ff" * 8 + "01" + "0a")  # from 2^63 - 1
    with pytest.raises(MalformedError, match="beyond 64-bit"):
        parametric.Model.read(Reader(header), UNIFORM)
