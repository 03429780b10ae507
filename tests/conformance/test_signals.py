"""Small real files of every kind of signal: what they decode to, and what becomes of damaged ones.

`signals/golden.json` has the SHA-256 of every weight, `signals/KIND.npz` what is rendered, which must match within
the differences of sines between platforms. `GENERATE_EXPECTED=1` makes what is missing and never touches what is there.
The files themselves are the results of fits, whose last bits depend on the machine: nothing here makes them again.
"""

import contextlib
import hashlib
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sinr_codec import codec, container, decompress
from sinr_codec.coding.varint import write_varint
from sinr_codec.container import MAGIC, Limits
from sinr_codec.container.format import seal
from sinr_codec.errors import SinrError
from sinr_codec.signals.registry import KINDS

HERE = Path(__file__).parent / "signals"
FILES = {path.stem: path.read_bytes() for path in sorted(HERE.glob("*.sinr"))}
LIMITS = Limits(max_params=2**16, max_samples=2**24)
MEMORY = 200e6  # bytes: what the limits allow of samples, coordinates and weights


def digest(array: np.ndarray) -> str:
    little = array.astype(array.dtype.newbyteorder("<"))
    return hashlib.sha256(f"{array.dtype} {array.shape} ".encode() + little.tobytes()).hexdigest()


def rendered(name: str) -> dict[str, np.ndarray]:
    """What a file decodes to, as arrays."""
    decoded, kind = codec.decode(FILES[name]), name.partition("-")[0]
    if kind == "audio":
        return {"samples": decoded.samples, "rate": np.array(decoded.rate)}
    if kind == "dataset":
        return {key: values for key, values in variables(decoded) if values.dtype.kind in "biuf"}
    if kind == "shape":
        return {"level": decoded.level, "origin": np.array(decoded.origin), "spacing": np.array(decoded.spacing)}
    if kind == "video":
        return {"frames": decoded.frames}
    return {"array": np.asarray(decoded)}


def variables(dataset: Any) -> list[tuple[str, np.ndarray]]:
    return [(str(key), np.asarray(variable.values)) for key, variable in dataset.variables.items()]


def expected() -> dict[str, dict[str, str]]:
    path = HERE / "golden.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    if os.environ.get("GENERATE_EXPECTED") == "1":
        for name, blob in FILES.items():
            if name not in known:
                known[name] = {key: digest(array) for key, array in decompress(blob).items()}
                np.savez_compressed(HERE / f"{name}.npz", allow_pickle=False, **rendered(name))
        path.write_text(json.dumps(known, indent=1) + "\n")
    return known


GOLDEN = expected()


def test_every_other_kind_is_here():
    assert set(FILES) == set(GOLDEN)
    assert {name.partition("-")[0] for name in FILES} == set(KINDS) - {"image"}


@pytest.mark.parametrize("name", FILES)
def test_weights_are_the_same_bits(name):
    assert {key: digest(array) for key, array in decompress(FILES[name]).items()} == GOLDEN[name]


@pytest.mark.parametrize("name", FILES)
def test_signals_are_the_same(name):
    if name == "dataset":
        pytest.importorskip("xarray")
    found = rendered(name)
    with np.load(HERE / f"{name}.npz", allow_pickle=False) as wanted:
        assert set(found) == set(wanted.files)
        for key, array in found.items():
            old = wanted[key]
            assert (array.dtype, array.shape) == (old.dtype, old.shape)
            if array.dtype.kind in "iu":
                assert np.abs(array.astype(np.float64) - old).max(initial=0) <= (1 if array.itemsize == 1 else 2)
            else:
                span = float(np.nanmax(old) - np.nanmin(old)) if old.size else 0.0
                np.testing.assert_allclose(array, old, rtol=0, atol=1e-3 * span + 1e-12)


@pytest.mark.parametrize("name", FILES)
def test_what_is_told_of_them(name):
    answer = codec.info(FILES[name])
    assert answer["signal"]["type"] == name.partition("-")[0]
    assert answer["bytes"] == len(FILES[name])
    assert codec.verify(FILES[name]).ok


# -- damage ------------------------------------------------------------------------------------------------


def mutate(data: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    for where, length, new in edits:
        at = round(where * len(data))
        data = data[:at] + new + data[at + length :]
    return data


EDITS = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.integers(0, 4),
        st.one_of(st.binary(max_size=4), st.integers(0, 2**40).map(write_varint), st.just(b"\xff\xff\xff\x7f")),
    ),
    min_size=1,
    max_size=3,
)


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(edits=EDITS, last=st.booleans())
def test_damage_is_refused_in_bounded_memory(name, edits, last):
    header, sections = container.read(FILES[name])
    start = len(MAGIC) + 1
    cbor = FILES[name][start : header.header_bytes - 4]
    # The varint of the length in front has one byte for short headers and two for others.
    cbor = cbor[1 if len(cbor) <= 128 else 2 :]
    if last:
        sections = [*sections[:-1], mutate(sections[-1], edits)]
    else:
        cbor = mutate(cbor, edits)
    tracemalloc.start()
    try:
        with contextlib.suppress(SinrError):
            decoder = codec.open(seal(cbor, sections), limits=LIMITS)
            decoder.spec.describe()
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", FILES)
def test_the_seal_is_right(name):
    header, sections = container.read(FILES[name])
    start = len(MAGIC) + 1
    cbor = FILES[name][start : header.header_bytes - 4]
    cbor = cbor[1 if len(cbor) <= 128 else 2 :]
    assert seal(cbor, sections) == FILES[name]


@pytest.mark.parametrize("name", FILES)
def test_sections_too_many_or_too_few(name):
    header, sections = container.read(FILES[name])
    for wrong in (sections[:-1], [*sections, b"x", b"y"]):
        with pytest.raises(SinrError):
            codec.open(container.write(header, wrong))
