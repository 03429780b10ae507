"""Interlaced samples, which every later version must decode to the same bits: weights, integers and samples.

`interlaced/golden.json` has the SHA-256 of every decoded tensor and of renderings. `GENERATE_EXPECTED=1` makes what is
missing and never touches what is there. A function below makes each file, and still gives its bytes.
"""

import contextlib
import hashlib
import json
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import threadpoolctl

from sinr_codec import container, decode, decompress, tiles
from sinr_codec.coding import compiled, interlaced
from sinr_codec.container import FIELD, Header
from sinr_codec.fields import Interlaced
from sinr_codec.fields.interlaced import SAMPLES
from sinr_codec.fields.interlaced_section import InterlacedSection
from sinr_codec.signals.base import Spec
from sinr_codec.signals.image import ImageSpec
from sinr_codec.signals.levels import Levels
from sinr_codec.signals.video import Clip, VideoSpec
from sinr_codec.signals.volume import VolumeSpec

HERE = Path(__file__).parent / "interlaced"
OPTIONS: dict[str, dict[str, dict[str, Any]]] = {
    "picture": {
        "pixels": {},
        "region": {"region": (3, 0, 17, 1)},
        "larger": {"size": (31, 77)},
        "smaller": {"scale": 0.3},
    },
    "volume": {
        "pixels": {},
        "region": {"region": ((1, 3), (0, 2))},
        "larger": {"scale": 1.5},
        "smaller": {"scale": 0.4},
    },
    "video": {"pixels": {}, "region": {"region": ((2, 5), (0, 7), (3, 17))}, "faster": {"fps": 40}},
}
"""Renderings whose hashes are golden, by kind."""


def file_of(field: Interlaced, spec: Spec, spread: float) -> bytes:
    """A file with random weights, and integers of a smooth surface with noise."""
    numbers = np.random.Generator(np.random.Philox(2028))
    params = {
        name: np.floor(numbers.uniform(-60, 61, shape)).astype(np.int32) for name, shape in field.networks.items()
    }
    axes = np.meshgrid(*(np.arange(n) * 3 // 2 for n in field.sizes), indexing="ij")
    surface = sum(((k + 2) * axis) % 17 for k, axis in enumerate(axes))
    noise = np.floor(numbers.uniform(-1, 2, field.shapes()[SAMPLES]))
    params[SAMPLES] = np.floor((surface - 8 * field.in_features + noise) * spread).astype(np.int32)
    section = InterlacedSection()
    coded = section.assemble(field, section.records(field, params))
    return container.write(Header(FIELD, field.to_header(), spec.to_header(), quality=65535), [coded.section])


def gray() -> bytes:
    field = Interlaced((24, 33), 1, (5, 6), 4, 3, 5, (2 / 255,), (0.0,))
    return file_of(field, ImageSpec(24, 33, 1, "uint8", "L"), 4)


def rgb() -> bytes:
    field = Interlaced((20, 31), 3, (5, 5), 2, 1, 4, (14 / 255,) * 3, (0.0, 0.25, -0.25))
    return file_of(field, ImageSpec(20, 31, 3, "uint8", "RGB"), 0.5)


def deep() -> bytes:
    """16 bits and four values; axes that are halved less often than they could be."""
    spec = ImageSpec(19, 26, 4, "uint16", "RGBA;16", 100, 60_000)
    return file_of(Interlaced((19, 26), 4, (2, 1), 1, 7, 3, (2.0**-14,) * 4, (0.0,) * 4), spec, 300)


def row() -> bytes:
    return file_of(Interlaced((1, 60), 1, (0, 6), 4, 5, 4, (0.01,), (0.0,)), ImageSpec(1, 60, 1, "uint8", "L"), 3)


def pixel() -> bytes:
    return file_of(
        Interlaced((1, 1), 1, (0, 0), 0, 1, 1, (1,), (0.5,)), ImageSpec(1, 1, 1, "float32", "F", -1.0, 1.0), 0
    )


def volume() -> bytes:
    """Low bits of their own, and escapes."""
    spec = VolumeSpec((9, 12, 7), 0, Levels("int16", -30_000, 30_000))
    return file_of(Interlaced((9, 12, 7), 1, (4, 4, 3), 4, 3, 6, (2 / 60_000,), (0.0,)), spec, 900)


def floats() -> bytes:
    """Four axes, of which that of time is not halved, and steps that no number of few bits is."""
    spec = VolumeSpec((5, 6, 7, 6), 0, Levels("float32", -1.5, 2.5))
    return file_of(Interlaced((5, 6, 7, 6), 1, (3, 3, 3, 0), 2, 3, 5, (0.0123,), (-0.1,)), spec, 1)


def clip() -> bytes:
    field = Interlaced((7, 13, 18), 3, (3, 4, 5), 1, 3, 5, (6 / 255,) * 3, (0.0,) * 3)
    return file_of(field, VideoSpec(7, 13, 18, 3, Fraction(25)), 1)


CASES = {make.__name__: make for make in (gray, rgb, deep, row, pixel, volume, floats, clip)}


def kind_of(name: str) -> str:
    return {"volume": "volume", "floats": "volume", "clip": "video"}.get(name, "picture")


def digest(array: np.ndarray) -> str:
    little = array.astype(array.dtype.newbyteorder("<"))
    return hashlib.sha256(f"{array.dtype} {array.shape} ".encode() + little.tobytes()).hexdigest()


def digests(name: str, blob: bytes) -> dict[str, str]:
    """Hashes of the decoded tensors and of renderings."""
    found = {key: digest(array) for key, array in decompress(blob).items()}
    options = {"pixels": {}} if name == "pixel" else OPTIONS[kind_of(name)]
    return found | {key: digest(rendered(blob, **each)) for key, each in options.items()}


def rendered(blob: bytes, **options: Any) -> np.ndarray:
    """Samples of a picture or a volume, or the frames of a clip."""
    found = decode(blob, **options)
    return found.frames if isinstance(found, Clip) else np.asarray(found)


def expected() -> dict[str, Any]:
    path = HERE / "golden.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    if os.environ.get("GENERATE_EXPECTED") != "1":
        return known
    HERE.mkdir(exist_ok=True)
    for name, make in CASES.items():
        file = HERE / f"{name}.sinr"
        if not file.exists():
            file.write_bytes(make())
        if name not in known:
            known[name] = digests(name, file.read_bytes())
    path.write_text(json.dumps(known, indent=1) + "\n")
    return known


EXPECTED = expected()


def test_no_file_is_forgotten():
    assert set(EXPECTED) == set(CASES) == {path.stem for path in HERE.glob("*.sinr")}


@pytest.mark.parametrize("name", CASES)
class TestGolden:
    def test_it_can_be_made_again(self, name):
        assert CASES[name]() == (HERE / f"{name}.sinr").read_bytes()

    @pytest.mark.parametrize("with_numba", [False, True])
    @pytest.mark.parametrize("threads", [1, 2])
    def test_integers_and_samples_are_the_same_bits(self, name, with_numba, threads, monkeypatch):
        """With and without numba, and with products by one thread and by two."""
        if with_numba:
            pytest.importorskip("numba")
        monkeypatch.setattr(compiled, "pays", lambda *_: with_numba)
        for module in (interlaced, tiles):
            monkeypatch.setattr(module, "one_thread_a_product", contextlib.nullcontext())
        with threadpoolctl.threadpool_limits(threads, "blas"):
            found = digests(name, (HERE / f"{name}.sinr").read_bytes())
        assert found == EXPECTED[name]

    def test_the_file_is_the_only_encoding_of_its_header(self, name):
        blob = (HERE / f"{name}.sinr").read_bytes()
        assert container.write(*container.read(blob)) == blob


@pytest.mark.parametrize("name", [name for name in CASES if name != "pixel"])
def test_samples_use_the_range(name):
    samples = rendered((HERE / f"{name}.sinr").read_bytes()).astype(np.float64)
    assert samples.std() > 0.05 * (samples.max() - samples.min()) > 0
