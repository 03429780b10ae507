"""The decoder in docs/, plain Python that shares no code with the package, against the package."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sinr_codec
from sinr_codec.coding.scales import Scales
from sinr_codec.coding.tensor import Coding, Direct, decode_tensor, encode_tensor
from sinr_codec.coding.varint import Reader

HERE = Path(__file__).parent
PROGRAM = HERE.parents[1] / "docs/minimal_decoder.py"
COFFEE = HERE.parents[1] / "examples/coffee.png"


@pytest.fixture(scope="module")
def minimal():
    spec = importlib.util.spec_from_file_location("minimal_decoder", PROGRAM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def decoded(minimal, blob: bytes, every: int = 1) -> np.ndarray:
    height, width, channels, rows = minimal.decode(blob, every)
    return np.frombuffer(b"".join(rows), np.uint8).reshape(height, width, channels)


@pytest.mark.parametrize("name", ["direct", "axes", "rotated", "blocks", "corners", "column_first", "wide", "known"])
def test_golden_pictures(minimal, name):
    found, expected = decoded(minimal, (HERE / f"{name}.sinr").read_bytes()), np.load(HERE / f"{name}.npy")
    assert np.abs(found - expected.reshape(found.shape).astype(int)).max() <= 1


@pytest.mark.parametrize("name", ["fourier", "sparse", "state", "progressive", "wire"])
def test_other_files_are_refused(minimal, name):
    with pytest.raises(ValueError, match="profile"):
        minimal.decode((HERE / f"{name}.sinr").read_bytes())


SCALES = Scales(tuple(range(24)), tuple(i % 7 for i in range(40)))
CODINGS = {
    "step": Direct(step=0.01),
    "coarse": Direct(step=0.3),
    "fine": Direct(step=1e-7),
    "trellis": Direct(step=0.02, trellis=True),
    "scaled": Direct(step=0.002, scales=Scales(tuple(range(24)), tuple(i % 7 for i in range(40)))),
    "scaled trellis": Direct(
        step=0.002, scales=Scales(tuple(range(24)), tuple(i % 5 for i in range(40))), trellis=True
    ),
}


@pytest.mark.parametrize("coding", CODINGS.values(), ids=CODINGS)
@pytest.mark.parametrize("spread", ["normal", "rows", "zero", "outlier"])
def test_records(minimal, coding: Coding, spread):
    """All weights to the bit, whatever coder the package selects."""
    rng = np.random.default_rng(7)
    weights = rng.normal(0, 0.1, (24, 40))
    match spread:
        case "rows":
            weights *= np.exp2(rng.normal(0, 1, (24, 1)))
        case "zero":
            weights[:] = 0
        case "outlier":
            weights[3, 5] = 40
    record = encode_tensor(weights.astype(np.float32), coding)
    reader = minimal.Reader(record)
    ours = minimal.tensor(reader, 24, 40)
    assert reader.at == len(record)
    assert np.array_equal(np.array(ours, np.float32), decode_tensor(Reader(record), (24, 40), np.float32))


def test_large_tensors(minimal):
    """Above 4,096 integers a body states its length."""
    weights = np.random.default_rng(3).normal(0, 0.1, (50, 90)).astype(np.float32)
    for coding in (Direct(step=0.05), Direct(step=0.05, trellis=True)):
        record = encode_tensor(weights, coding)
        expected = decode_tensor(Reader(record), weights.shape, np.float32)
        assert np.array_equal(np.array(minimal.tensor(minimal.Reader(record), 50, 90), np.float32), expected)


def test_a_picture_as_encode_writes_it(minimal, tmp_path):
    """The whole program on a file of the default preset, every third pixel."""
    with Image.open(COFFEE) as picture:
        small = picture.resize((30, 20))
    path, out = tmp_path / "small.sinr", tmp_path / "small.pam"
    sinr_codec.encode(small, path, width=6, preset="fast")
    subprocess.run([sys.executable, "-I", PROGRAM, path, out, "3"], check=True)
    pixels = np.frombuffer(out.read_bytes().partition(b"ENDHDR\n")[2], np.uint8).reshape(7, 10, 3)
    assert np.abs(pixels.astype(int) - sinr_codec.decode(path)[::3, ::3]).max() <= 1
