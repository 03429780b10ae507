"""What an accelerator would compute, by the same lines of PyTorch on the CPU: files decode to the same values."""

from pathlib import Path

import numpy as np
import pytest

from sinr_codec import codec, container, evaluators
from sinr_codec.container import BASE, FIELD
from sinr_codec.errors import InputError

pytest.importorskip("torch")

HERE = Path(__file__).parent
BASES = {
    codec.info(path)["base"]: path
    for path in (HERE / "bases").glob("*.sinr")
    if container.read_header(path.read_bytes()).kind == BASE
}
FILES = [
    path
    for folder in (HERE, HERE / "signals", HERE / "bases")
    for path in sorted(folder.glob("*.sinr"))
    if container.read_header(path.read_bytes()).kind == FIELD
]


def base_of(path: Path) -> Path | None:
    """The base that a golden file names, if it names one."""
    named = container.read_header(path.read_bytes()).base
    return BASES[named.hex()] if isinstance(named, bytes) else None


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_networks_have_the_same_values(path, monkeypatch):
    decoder = codec.open(path, base=base_of(path))
    coords = np.random.default_rng(1).uniform(-1, 1, (300, decoder.network.in_features)).astype(np.float32)
    expected = [decoder(coords, part) for part in range(decoder.spec.parts)]
    monkeypatch.setattr(evaluators, "is_cpu", lambda device: False)
    elsewhere = codec.open(path, base=base_of(path))
    for part, wanted in enumerate(expected):
        found = elsewhere(coords, part)
        assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
        assert np.allclose(found, wanted, rtol=1e-3, atol=1e-3 * max(np.abs(wanted).max(), 1e-6))


@pytest.mark.parametrize("name", ["axes.sinr", "blocks.sinr", "signals/audio.sinr", "signals/radiance.sinr"])
def test_signals_are_the_same(name, monkeypatch):
    def decoded() -> np.ndarray:
        rendered = codec.decode(HERE / name)
        return np.asarray(getattr(rendered, "samples", rendered), np.float64)

    expected = decoded()
    monkeypatch.setattr(evaluators, "is_cpu", lambda device: False)
    assert np.abs(decoded() - expected).max() <= (1e-3 if "audio" in name else 1)


def test_a_device_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(InputError, match="device: 'nonsense' cannot be used"):
        codec.decode(HERE / "axes.sinr", tmp_path / "out.png", device="nonsense")
    assert not (tmp_path / "out.png").exists()
