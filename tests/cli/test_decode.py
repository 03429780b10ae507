"""`sinr decode`: what it prints and writes, and how it ends."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sinr_codec import codec, container
from sinr_codec.signals.lossless import pack, unpack

GOLDEN = Path(__file__).parents[1] / "conformance/signals"


def test_decode(sinr, tmp_path, coded):
    result = sinr("decode", coded)
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "waves.sinr.png")), codec.decode(coded))
    assert sinr("decode", coded, "-o", tmp_path / "b.png", "--scale", "2").exit_code == 0
    assert Image.open(tmp_path / "b.png").size == (48, 32)
    assert sinr("decode", coded, "-o", tmp_path / "c.tif", "--size", "10x30").exit_code == 0
    assert Image.open(tmp_path / "c.tif").size == (30, 10)
    result = sinr("decode", coded, "-o", tmp_path / "d.npy", "--region", "2,3,12,9", "--json")
    assert json.loads(result.stdout) == {"path": str(tmp_path / "d.npy"), "kind": "image", "shape": [6, 10, 3]}
    np.testing.assert_allclose(np.load(tmp_path / "d.npy"), codec.decode(coded)[3:9, 2:12], atol=1)


@pytest.mark.parametrize("verb", ["decode", "verify", "info", "decompress"])
def test_limits_of_the_reader(sinr, fails, coded, tmp_path, verb):
    out = (
        ["-o", tmp_path / "out.npz"]
        if verb == "decompress"
        else ["-o", tmp_path / "out.png"]
        if verb == "decode"
        else []
    )
    fails(sinr(verb, coded, *out, "--limit", "max_params=10"), "max_params", "--limit max_params=VALUE")
    fails(sinr(verb, coded, *out, "--limit", "max_bytes=1k"), "max_bytes", "--limit max_bytes=VALUE")
    assert sinr(verb, coded, *out, "--limit", "max_bytes=16G", "--limit", "max_work=2**50").exit_code == 0
    assert sinr(verb, coded, *out, "--limit", "memory=1").exit_code == 2
    assert sinr(verb, coded, *out, "--limit", "max_bytes=much").exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--region", "0,0,25,5"], "region"),
        (["--scale", "1e6"], "limit"),
        (["--scale", "-2"], "scale"),
        (["-o", "x.abc"], "x.abc"),
    ],
)
def test_decode_refuses(sinr, fails, names, coded, arguments, word, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    fails(sinr("decode", coded, *arguments), word)
    assert names(tmp_path) == ["waves.sinr"]


def test_decode_overwrites(sinr, tmp_path, coded):
    out = tmp_path / "old.png"
    out.write_text("old")
    assert sinr("decode", coded, "-o", out).exit_code == 0
    assert Image.open(out).size == (24, 16)


def test_decode_tells_what_xarray_cannot_decode(sinr, tmp_path):
    pytest.importorskip("netCDF4")
    header, (network, side) = container.load(GOLDEN / "dataset.sinr")
    months = pack(unpack(side, "side").replace(b"days since 2001", b"mons since 2001"))
    (tmp_path / "a.sinr").write_bytes(container.write(header, [network, months]))
    for name, told in (("a.npz", True), ("a.nc", False)):
        result = sinr("decode", tmp_path / "a.sinr", "-o", tmp_path / name)
        assert result.exit_code == 0, result.output
        assert ("note: as stored, because xarray cannot decode it: time" in " ".join(result.output.split())) == told
