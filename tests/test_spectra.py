"""A kind of signal from a package of its own, which `make` installs from tests/packages."""

import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from typer.testing import CliRunner

import sinr_codec as sinr
from sinr_codec.cli._kinds import _as_typer
from sinr_codec.cli.main import app
from sinr_codec.errors import InputError, UnknownIdError
from sinr_codec.signals import registry
from sinr_codec.signals.options import Option
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


def command(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env={"COLUMNS": "200"})


def test_the_command_line_has_its_options():
    encode, decode = (" ".join(command(verb, "--help").stdout.split()) for verb in ("encode", "decode"))
    assert "[spectrum] Take -log10 of transmittances" in encode
    assert "--column <int>" in encode
    assert "[spectrum] Greatest position to render." in decode


def test_a_newcomer_encodes_decodes_verifies_and_batches(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table("a.csv")
    table("b.xy", even=False)
    fast = ("--preset", "fast", "--method", "coin", "--width", 16, "-q")
    made = command("encode", "a.csv", "--absorbance", *fast)
    assert made.exit_code == 0, made.stderr
    assert "bits a point" in made.stdout
    assert command("verify", "a.sinr", "--against", "a.csv", "--absorbance").exit_code == 0
    assert command("verify", "a.sinr", "--against", "a.csv").exit_code == 1
    decoded = command("decode", "a.sinr", "--low", 600, "--high=800", "-o", "c.csv")
    assert decoded.exit_code == 0, decoded.stderr
    x, y = np.loadtxt("c.csv", delimiter=",").T
    assert (x.min(), x.max()) == (600, 800)
    source = np.loadtxt("a.csv", delimiter=",")[100:201, 1]
    assert np.abs(y + np.log10(source)).max() < 0.05
    batched = command("batch", "a.csv", "b.xy", "--out", "coded", *fast)
    assert batched.exit_code == 0, batched.stderr
    rows = [json.loads(line) for line in Path("coded/batch.jsonl").read_text().splitlines()]
    assert sum(row.get("kind") == "spectrum" for row in rows) == 2


def test_positions_are_kept_exactly(tmp_path, monkeypatch):
    source = sinr_spectra.SpectrumSignal.load(table(tmp_path / "a.csv", even=False))
    assert source.spec.side
    x = np.loadtxt(tmp_path / "a.csv", delimiter=",")[:, 0]
    np.testing.assert_array_equal(source.spec.x, x)
    assert not sinr_spectra.SpectrumSignal.load(table(tmp_path / "b.csv")).spec.side


def test_a_reader_without_the_package_says_what_is_missing(tmp_path, monkeypatch):
    blob = sinr.encode(table(tmp_path / "a.csv"), preset="fast", method="coin", width=8).blob
    monkeypatch.setattr(registry, "_registered", dict)
    with pytest.raises(UnknownIdError, match="signal id 'spectrum': not known here; install the package"):
        sinr.decode(blob)
    with pytest.raises(InputError, match=r"kind: expected one of image, .*, got 'spectrum'"):
        sinr.encode(tmp_path / "a.csv", kind="spectrum")


def test_a_package_cannot_change_the_type_of_an_option():
    """The first kind with an option decides about it."""
    option = Option("mesh", 0, "Points of a mesh", int)
    flag = Option("mesh", False, "Make the surface", None)
    made = _as_typer("mesh", [("radiance", flag), ("spectrum", option)])
    assert made.is_flag
    assert made.help == "[radiance] Make the surface.  [spectrum] Points of a mesh."
