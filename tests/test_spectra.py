"""A kind of signal from a package of its own, which `make` installs from tests/packages."""

import json
import os
import subprocess
import sys
from typing import ClassVar

import numpy as np
import pytest

import sinr_codec as sinr
from sinr_codec.errors import InputError, UnknownIdError
from sinr_codec.signals import registry
from sinr_codec.testing import KindContract

sinr_spectra = pytest.importorskip("sinr_spectra", reason="make installs tests/packages/sinr-spectra")


def table(path, even=True):
    """Three bands on a slope, at even positions or at uneven ones that fall."""
    x = np.linspace(400.0, 1800.0, 701) if even else 1e7 / np.linspace(500.0, 900.0, 701)
    bands = sum(a * np.exp(-(((x - c) / w) ** 2)) for a, c, w in ((0.5, 700, 40), (0.3, 1100, 15), (0.2, 1500, 90)))
    np.savetxt(path, np.stack([x, 0.9 - bands / 2 - x / 1e5], 1), delimiter=",", header="cm-1, transmittance")
    return path


class TestSpectrum(KindContract):
    kind = sinr_spectra.KIND

    def source(self, folder):
        return table(folder / "a.csv")


class TestUnevenSpectrum(TestSpectrum):
    load: ClassVar = {"absorbance": True}

    def source(self, folder):
        return table(folder / "a.csv", even=False)


def command(*arguments, cwd):
    code = "from sinr_codec.cli.main import main; main()"
    environment = os.environ | {"COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


def test_the_command_line_has_its_options():
    encode, decode = (" ".join(command(verb, "--help", cwd=".").stdout.split()) for verb in ("encode", "decode"))
    assert "[spectrum] Take -log10 of transmittances" in encode
    assert "--column <int>" in encode
    assert "[spectrum] Least and greatest position to render." in decode


def test_a_newcomer_encodes_decodes_verifies_and_batches(tmp_path):
    table(tmp_path / "a.csv")
    table(tmp_path / "b.xy", even=False)
    fast = ("--preset", "fast", "--width", "16", "-q")
    made = command("encode", "a.csv", "--absorbance", *fast, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    assert "bits a point" in made.stdout
    assert command("verify", "a.sinr", "--against", "a.csv", "--absorbance", cwd=tmp_path).returncode == 0
    assert command("verify", "a.sinr", "--against", "a.csv", cwd=tmp_path).returncode == 1
    decoded = command("decode", "a.sinr", "--low", "600", "--high=800", "-o", "c.csv", cwd=tmp_path)
    assert decoded.returncode == 0, decoded.stderr
    x, y = np.loadtxt(tmp_path / "c.csv", delimiter=",").T
    assert (x.min(), x.max()) == (600, 800)
    source = np.loadtxt(tmp_path / "a.csv", delimiter=",")[100:201, 1]
    assert np.abs(y + np.log10(source)).max() < 0.05
    batched = command("batch", "a.csv", "b.xy", "--out", "coded", *fast, cwd=tmp_path)
    assert batched.returncode == 0, batched.stderr
    rows = [json.loads(line) for line in (tmp_path / "coded/batch.jsonl").read_text().splitlines()]
    assert sum(row.get("kind") == "spectrum" for row in rows) == 2


def test_positions_are_kept_exactly(tmp_path, monkeypatch):
    source = sinr_spectra.SpectrumSignal.load(table(tmp_path / "a.csv", even=False))
    assert source.spec.side
    x = np.loadtxt(tmp_path / "a.csv", delimiter=",")[:, 0]
    np.testing.assert_array_equal(source.spec.x, x)
    assert not sinr_spectra.SpectrumSignal.load(table(tmp_path / "b.csv")).spec.side


def test_a_reader_without_the_package_says_what_is_missing(tmp_path, monkeypatch):
    blob = sinr.encode(table(tmp_path / "a.csv"), preset="fast", width=8, depth=1).blob
    monkeypatch.setattr(registry, "_registered", dict)
    with pytest.raises(UnknownIdError, match="signal id 'spectrum': not known here; install the package"):
        sinr.decode(blob)
    with pytest.raises(InputError, match=r"kind: expected one of image, .*, got 'spectrum'"):
        sinr.encode(tmp_path / "a.csv", kind="spectrum")
