"""docs/format.md says what the golden files are."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from sinr_codec import container
from sinr_codec.coding.tensor import decode_tensor
from sinr_codec.coding.varint import Reader
from sinr_codec.fields import field_from_header

DOC = (Path(__file__).parents[2] / "docs/format.md").read_text()
BLOB = (Path(__file__).parent / "direct.sinr").read_bytes()
LINES = [
    re.fullmatch(r" *(\d+)  ((?:[0-9a-f]{2} )+) *(.*)", line).groups()
    for line in re.search(r"```hexdump\n(.*?)```", DOC, re.DOTALL)[1].splitlines()
]


def test_the_dump_is_the_golden_file():
    offset = 0
    for stated, hexadecimal, _ in LINES:
        assert int(stated) == offset
        data = bytes.fromhex(hexadecimal)
        assert BLOB[offset : offset + len(data)] == data
        offset += len(data)
    assert offset == len(BLOB)


def test_its_explanations_are_right():
    header, (section,) = container.read(BLOB)
    field, reader, step = field_from_header(header.field), Reader(section), 0.010009765625
    decoded = {}
    for name, shape in field.shapes().items():
        offset = header.header_bytes + reader.position
        assert any(int(at) == offset and text.startswith(f"{name} {shape}:") for at, _, text in LINES)
        decoded[name] = decode_tensor(reader, shape, np.float32)
    stated = [int(q) for _, _, text in LINES for q in re.sub(r".*: ", "", text).split() if is_list_of_integers(text)]
    assert np.array_equal(stated, np.concatenate([np.rint(w.ravel() / step) for w in decoded.values()]))
    assert decoded["layers.0.weight"][0, 0] == np.float32(-23 * step) == -0.230224609375


def is_list_of_integers(text: str) -> bool:
    return re.fullmatch(r"(\d+ symbols: )?-?\d+( -?\d+)+", text) is not None


def test_dtype_codes_and_limits_are_those_of_the_package():
    header = DOC[DOC.index("## 3.") : DOC.index("## 4.")]
    table = re.findall(r"\| (\d+) \| (bool|(?:b?float|u?int|complex)\d+) (?=\|)", header)
    assert {int(code): name for code, name in table} == {i: d.name for i, d in enumerate(container.DTYPES)}
    for name, exponent in re.findall(r"^\| `(max_\w+)`[^|]*\| 2\^(\d+) \|", DOC, re.MULTILINE):
        assert getattr(container.DEFAULT_LIMITS, name) == 2 ** int(exponent)
    assert set(re.findall(r"`(max_\w+)`", DOC)) == set(vars(container.DEFAULT_LIMITS))


def test_file_knows_the_magic(tmp_path):
    """The lines for `file(1)`, where that program is installed."""
    if shutil.which("file") is None:
        pytest.skip("file(1) is not installed")
    (tmp_path / "magic").write_text(re.search(r"```magic\n(.*?)```", DOC, re.DOTALL)[1])
    command = ["file", "--brief", "-m", tmp_path / "magic", Path(__file__).parent / "direct.sinr"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said == "Small neural field (.sinr), version 1\n"
