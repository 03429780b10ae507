"""Pyramids of latents, which every later version must decode to the same bits: weights, latents and samples.

`pyramids/golden.json` has the SHA-256 of every decoded tensor and of renderings. Unlike those of other fields, samples
are the same bits on every machine, those between the source's positions included. `GENERATE_EXPECTED=1` makes what is
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
from hypothesis import given, settings
from hypothesis import strategies as st

from sinr_codec import codec, container, decode, decompress, tiles
from sinr_codec.coding import compiled, latents
from sinr_codec.container import FIELD, Header, Limits
from sinr_codec.errors import SinrError
from sinr_codec.fields import Pyramid
from sinr_codec.fields.pyramid_section import PyramidSection
from sinr_codec.signals.base import Spec
from sinr_codec.signals.image import ImageSpec
from sinr_codec.signals.video import Clip, VideoSpec

HERE = Path(__file__).parent / "pyramids"
LIMITS = Limits(max_params=2**16)
OPTIONS: dict[str, dict[str, Any]] = {
    "pixels": {},
    "region": {"region": (3, 0, 17, 1)},
    "larger": {"size": (31, 77)},
    "smaller": {"scale": 0.3},
}
"""Renderings of pictures whose hashes are golden."""
OF_A_CLIP: dict[str, dict[str, Any]] = {
    "pixels": {},
    "region": {"region": ((2, 5), (0, 7), (3, 17))},
    "faster": {"fps": 40},
    "smaller": {"scale": 0.3},
}
"""The same for videos."""


def rng() -> np.random.Generator:
    return np.random.Generator(np.random.Philox(2027))


def file_of(field: Pyramid, spec: Spec) -> bytes:
    """A file with random integers in place of fitted ones; one plane is zero, one has an escape."""
    numbers = rng()

    def integers(spread: float, shape: tuple[int, ...]) -> np.ndarray:
        return np.floor(numbers.uniform(-spread, spread + 1, shape)).astype(np.int32)

    params = field.init(numbers)
    spreads = {"context": 30, "synthesis.0": 150, "synthesis.1": 500, "residuals": 300}
    for name, shape in field.networks.items():
        params[name] = params[name] + integers(
            next((s for key, s in spreads.items() if name.startswith(key)), 9), shape
        )
    for name, shape in field.latents.items():
        params[name] = integers(3, shape) * integers(1, shape)
    params["latents.1"][-1] = 0
    params["latents.1"][0].ravel()[1] = -3000
    section = PyramidSection()
    coded = section.assemble(field, section.records(field, params))
    return container.write(Header(FIELD, field.to_header(), spec.to_header(), quality=3245), [coded.section])


def gray() -> bytes:
    return file_of(
        Pyramid.for_grid((24, 33), 1, channels=(2, 1), width=5, hidden=6), ImageSpec(24, 33, 1, "uint8", "L")
    )


def rgb() -> bytes:
    return file_of(Pyramid.for_grid((37, 50), 3, width=8, hidden=8), ImageSpec(37, 50, 3, "uint8", "RGB"))


def rgba() -> bytes:
    """One residual convolution, and small contexts."""
    field = Pyramid((20, 18), 4, (1, 2), (2, 3), 2, 1, 0, hidden=4, width=6, residuals=1)
    return file_of(field, ImageSpec(20, 18, 4, "uint8", "RGBA"))


def deep() -> bytes:
    spec = ImageSpec(19, 26, 3, "uint16", "RGB;16", 100, 60_000)
    return file_of(Pyramid.for_grid((19, 26), 3, channels=(3,), width=6, hidden=5, residuals=0), spec)


def row() -> bytes:
    """One pixel high: an axis that is not halved."""
    return file_of(Pyramid.for_grid((1, 60), 3, width=6, hidden=5), ImageSpec(1, 60, 3, "uint8", "RGB"))


def pixel() -> bytes:
    """A single pixel of floats."""
    field = Pyramid((1, 1), 1, (1, 1), (2,), 9, 2, 2, hidden=3, width=3)
    return picture_of_one(field, ImageSpec(1, 1, 1, "float32", "F", -1.0, 1.0))


def picture_of_one(field: Pyramid, spec: ImageSpec) -> bytes:
    params = field.init(rng())
    params["latents.1"][:] = [[[3]], [[-2]]]
    params["synthesis.0.weight"][:] = 100
    params["synthesis.1.weight"][:] = -70
    section = PyramidSection()
    coded = section.assemble(field, section.records(field, params))
    return container.write(Header(FIELD, field.to_header(), spec.to_header()), [coded.section])


def clip() -> bytes:
    """Three axes, of which that of time is halved once."""
    field = Pyramid((7, 13, 18), 3, (1, 2, 2), (2, 1), 4, 1, 1, hidden=5, width=6, residuals=1)
    return file_of(field, VideoSpec(7, 13, 18, 3, Fraction(25)))


CASES = {make.__name__: make for make in (gray, rgb, rgba, deep, row, pixel, clip)}


def digest(array: np.ndarray) -> str:
    little = array.astype(array.dtype.newbyteorder("<"))
    return hashlib.sha256(f"{array.dtype} {array.shape} ".encode() + little.tobytes()).hexdigest()


def digests(name: str, blob: bytes) -> dict[str, str]:
    """Hashes of the decoded tensors and of renderings."""
    found = {key: digest(array) for key, array in decompress(blob).items()}
    return found | {key: digest(rendered(blob, **options)) for key, options in options_of(name).items()}


def options_of(name: str) -> dict[str, dict[str, Any]]:
    return {"pixel": {"pixels": {}}, "clip": OF_A_CLIP}.get(name, OPTIONS)


def rendered(blob: bytes, **options: Any) -> np.ndarray:
    """Samples of a picture, or the frames of a clip."""
    found = decode(blob, **options)
    return found.frames if isinstance(found, Clip) else found


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
    def test_weights_latents_and_samples_are_the_same_bits(self, name, with_numba, threads, monkeypatch):
        """With and without numba, and with products by one thread and by two."""
        if with_numba:
            pytest.importorskip("numba")
        monkeypatch.setattr(compiled, "pays", lambda *_: with_numba)
        for module in (latents, tiles):
            monkeypatch.setattr(module, "one_thread_a_product", contextlib.nullcontext())
        with threadpoolctl.threadpool_limits(threads, "blas"):
            found = digests(name, (HERE / f"{name}.sinr").read_bytes())
        assert found == EXPECTED[name]

    def test_the_file_is_the_only_encoding_of_its_header(self, name):
        blob = (HERE / f"{name}.sinr").read_bytes()
        assert container.write(*container.read(blob)) == blob


@pytest.mark.parametrize("name", [name for name in CASES if name != "pixel"])
def test_samples_use_the_range(name):
    """Random networks make nothing flat, so that hashes say something."""
    samples = rendered((HERE / f"{name}.sinr").read_bytes()).astype(np.float64)
    assert samples.std() > 0.05 * (samples.max() - samples.min()) > 0


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(sorted(CASES)), st.floats(0, 1), st.integers(0, 5), st.binary(max_size=4))
def test_damaged_sections(name, where, length, new):
    """Samples of the declared shape, or an error."""
    header, (section,) = container.read((HERE / f"{name}.sinr").read_bytes())
    at = round(where * len(section))
    blob = container.write(header, [section[:at] + new + section[at + length :]])
    with contextlib.suppress(SinrError):
        opened = codec.open(blob, limits=LIMITS)
        found = opened.render()
        assert (found.frames if isinstance(found, Clip) else found).shape == opened.shape
