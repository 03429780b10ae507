"""`sinr compress` and `sinr decompress`, there and back."""

import json

import numpy as np


def test_decompress_and_compress(sinr, fails, tmp_path, network):
    out, back = tmp_path / "siren.sinr", tmp_path / "back.npz"
    result = sinr("compress", network, "--preset", "paper", "--activation", "sine", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["bytes"] == out.stat().st_size
    assert report["fidelity"] > 10
    assert "blob" not in report
    assert sinr("verify", out, "--against", network).exit_code == 0
    assert sinr("decompress", out, "-o", back).exit_code == 0
    old, new = np.load(network), np.load(back)
    assert old.files == new.files
    assert all(old[name].shape == new[name].shape and old[name].dtype == new[name].dtype for name in old.files)
    fails(sinr("decompress", out, "-o", tmp_path / "x.foo"), "x.foo")
    fails(sinr("decode", out), "network", "decompress")


def test_compress_by_a_description(sinr, fails, names, tmp_path, network):
    result = sinr("compress", network, "--write-description", "--activation", "sine")
    assert result.exit_code == 0
    assert "[[network]]" in result.stdout
    assert names(tmp_path) == [network.name]
    described = tmp_path / "net.toml"
    described.write_text(result.stdout)
    result = sinr("compress", network, "--describe", described, "--preset", "fast", "--quiet")
    assert result.exit_code == 0, result.output
    assert "fidelity" in result.stdout
    described.write_text("[[network]]\nactivation = 3")
    fails(sinr("compress", network, "--describe", described), "net.toml", "network 1", "activation")
    assert sinr("compress", network, "--describe", described, "--activation", "sine").exit_code == 2
