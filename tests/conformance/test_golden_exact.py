"""Files whose fields are evaluated by integers: samples are the same bits on every machine.

They are golden files of other fields and signals with the header's key 9. `exact/golden.json` has the SHA-256 of
renderings. `GENERATE_EXPECTED=1` makes what is missing and never touches what is there.
"""

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import array_api_compat.torch as xtorch
import numpy as np
import pytest
import threadpoolctl
import torch
from numpy._core._multiarray_umath import __cpu_features__

from sinr_codec import codec, container, tiles
from sinr_codec.errors import SinrError
from sinr_codec.evaluators import decoder_on

CONFORMANCE = Path(__file__).parent
HERE = CONFORMANCE / "exact"
PICTURES = (
    *("direct", "sparse", "wire", "encodings", "fourier", "axes", "rotated", "corners"),
    *("column_first", "wide", "progressive", "blocks", "deep", "hashgrid"),
)
SIGNALS = "audio", "dataset", "dataset-gaps", "shape", "video", "video-blocks", "volume", "volume-blocks"
OF_A_PICTURE: dict[str, dict[str, Any]] = {
    "pixels": {},
    "region": {"region": (1, 0, 7, 5)},
    "larger": {"size": (31, 77)},
    "smaller": {"scale": 0.3},
}
"""Renderings of pictures whose hashes are golden; of other signals it is the one without options."""


def made(name: str) -> bytes:
    """A golden file with key 9."""
    header, sections = container.read(
        (CONFORMANCE / ("signals" if name in SIGNALS else "") / f"{name}.sinr").read_bytes()
    )
    return container.write(replace(header, exact=True), sections)


def blob_of(name: str) -> bytes:
    return (HERE / f"{name}.sinr").read_bytes()


def arrays(decoded: Any) -> list[np.ndarray]:
    """The samples of a rendering."""
    for samples in ("samples", "frames", "level"):
        if hasattr(decoded, samples):
            return [getattr(decoded, samples)]
    if hasattr(decoded, "data_vars"):
        values = [np.asarray(variable.values) for _, variable in sorted(decoded.data_vars.items())]
        return [array for array in values if array.dtype.kind in "biuf"]
    return [np.asarray(decoded)]


def digest(array: np.ndarray) -> str:
    little = array.astype(array.dtype.newbyteorder("<"))
    return hashlib.sha256(f"{array.dtype} {array.shape} ".encode() + little.tobytes()).hexdigest()


def digests(name: str) -> dict[str, list[str]]:
    """Hashes of renderings."""
    options = {"samples": {}} if name in SIGNALS else OF_A_PICTURE
    opened = codec.open(blob_of(name))
    return {key: [digest(array) for array in arrays(opened.render(**each))] for key, each in options.items()}


def expected() -> dict[str, Any]:
    path = HERE / "golden.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    if os.environ.get("GENERATE_EXPECTED") != "1":
        return known
    HERE.mkdir(exist_ok=True)
    for name in (*PICTURES, *SIGNALS):
        if not (HERE / f"{name}.sinr").exists():
            (HERE / f"{name}.sinr").write_bytes(made(name))
        if name not in known:
            known[name] = digests(name)
    path.write_text(json.dumps(known, indent=1) + "\n")
    return known


EXPECTED = expected()


def test_no_file_is_forgotten():
    assert set(EXPECTED) == {*PICTURES, *SIGNALS} == {path.stem for path in HERE.glob("*.sinr")}


@pytest.mark.parametrize("name", EXPECTED)
class TestGolden:
    def test_it_can_be_made_again(self, name):
        assert made(name) == blob_of(name)

    @pytest.mark.parametrize("threads", [1, 2])
    def test_samples_are_the_same_bits(self, name, threads, monkeypatch):
        """With products by one thread and by two."""
        monkeypatch.setattr(tiles, "one_thread_a_product", contextlib.nullcontext())
        with threadpoolctl.threadpool_limits(threads, "blas"):
            assert digests(name) == EXPECTED[name]

    def test_values_are_the_same_bits_in_pytorch(self, name):
        opened = codec.open(blob_of(name))
        network, params = opened.network, opened.params
        coords = np.random.default_rng(5).uniform(-1.1, 1.1, (700, network.in_features)).astype(np.float32)
        there = network.exact(xtorch, params, torch.device("cpu"))(torch.tensor(coords)).numpy()
        assert (there == decoder_on(network, params, exact=True)(coords)).all()

    def test_values_are_those_of_floats_but_for_the_last_bits(self, name):
        exact, fast = codec.open(blob_of(name)), codec.open(blob_of(name), fast=True)
        coords = np.random.default_rng(6).uniform(-1, 1, (700, exact.network.in_features))
        ours, theirs = exact(coords), fast(coords)
        assert exact.exact
        assert not fast.exact
        # Entries of the hash grid that no encoder writes are clipped.
        assert np.quantile(np.abs(ours - theirs), 0.99) < 2e-3 * np.abs(theirs).max()
        assert not (ours == theirs).all()


@pytest.mark.parametrize("kernels", ["Haswell", "Zen", "SkylakeX", "Sandybridge"])
def test_samples_are_the_same_bits_with_other_kernels(kernels):
    """OpenBLAS adds in another order, with and without fused multiply-add."""
    if kernels == "SkylakeX" and not __cpu_features__["AVX512_SKX"]:
        pytest.skip("this processor does not have the instructions of these kernels")
    environment = os.environ | {"OPENBLAS_CORETYPE": kernels}
    found = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, check=True, text=True)
    assert json.loads(found.stdout) == EXPECTED


@pytest.mark.parametrize("value", [3e38, np.inf, np.nan])
def test_weights_that_are_too_large(value):
    opened = codec.open(blob_of("direct"))
    params = {name: weights.copy() for name, weights in opened.params.items()}
    params["layers.1.weight"][0, 0] = value
    assert not opened.network.is_exact(params)
    with pytest.raises(SinrError, match="too large for an exact evaluation"):
        opened.network.exact(np, params)


def test_scenes_have_no_evaluation_by_integers():
    header, sections = container.read((CONFORMANCE / "signals" / "radiance.sinr").read_bytes())
    blob = container.write(replace(header, exact=True), sections)
    with pytest.raises(SinrError, match="no evaluation by integers"):
        codec.open(blob)


if __name__ == "__main__":
    print(json.dumps({name: digests(name) for name in EXPECTED}))
