"""Bases, and files that need one, which every later version must decode to the same bits.

`bases/golden.json` has the name of each base and the SHA-256 of every decoded tensor; pictures are compared within
a level.
`GENERATE_EXPECTED=1` makes what is missing and never touches what is there.
"""

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sinr_codec import codec, container, decode
from sinr_codec.bases import Base, make_base, read_base
from sinr_codec.coding.sparse import Layout
from sinr_codec.coding.tensor import Coding, Direct, Sparse, encode_tensor
from sinr_codec.container import FIELD, Header, Limits
from sinr_codec.errors import SinrError
from sinr_codec.fields import MLP, Modulated, Modulations, Octaves, Sine
from sinr_codec.fields.latents import LatentModel
from sinr_codec.fields.modulated import LATENTS
from sinr_codec.planning.pursuit import code_for
from sinr_codec.signals.image import ImageSpec

HERE = Path(__file__).parent / "bases"
SIZES = (11, 14)
RGB = ImageSpec(*SIZES, 3, "uint8", "RGB")
LIMITS = Limits(max_params=2**16)
BASE_OF = {"patches": "shared", "steps": "shared", "cosines": "shared", "whole": "shared_whole", "difference": "start"}
"""Files of signals and the bases that they need."""


def rng() -> np.random.Generator:
    return np.random.Generator(np.random.Philox(77))


def latent_base(patch: tuple[int, ...]) -> Base:
    field = Modulated(MLP(2, 3, 6, 1, Sine(20.0, 9.5)), 5)
    counts = np.floor(500 * np.exp(-0.5 * np.linspace(-3, 3, 16) ** 2)).astype(np.int64)
    model = LatentModel(
        rng().normal(0, 0.1, 5).astype(np.float32),
        np.array([1, 2, 0.5, 3, 1e-3], np.float32),
        np.stack([np.roll(counts, shift) for shift in range(5)]),
    )
    rates = {LATENTS: rng().uniform(0.005, 0.02, (3, 5)).astype(np.float32)}
    return make_base(field, field.init(rng()), patch, rates, model)


def shared() -> bytes:
    return latent_base((4, 5)).to_bytes()


def shared_whole() -> bytes:
    return latent_base(()).decoding


def start() -> bytes:
    field = MLP(2, 3, 7, 1, Sine(30.0), Octaves(3, 1.4))
    params = field.init(rng())
    return make_base(
        field, params, (), {name: np.full((2, *[1] * v.ndim), 0.01, np.float32) for name, v in params.items()}
    ).to_bytes()


def of_latents(base: Base, sizes: tuple[int, ...]) -> bytes:
    network = Modulations(base.field, base.params, sizes, base.patch)
    latents = rng().normal(0, 1, network.shapes()[LATENTS]).astype(np.float32)
    header = Header(FIELD, network.to_header(), RGB.to_header(), quality=2710, base=base.digest)
    return container.write(header, [base.model.encode(latents)])


def patches() -> bytes:
    return of_latents(read_base(HERE / "shared.sinr"), SIZES)


def whole() -> bytes:
    return of_latents(read_base(HERE / "shared_whole.sinr"), ())


def recorded(coding: Coding) -> bytes:
    base = read_base(HERE / "shared.sinr")
    network = Modulations(base.field, base.params, SIZES, base.patch, recorded=True)
    latents = base.model.scaled(rng().normal(0, 1, network.shapes()[LATENTS]).astype(np.float32))
    header = Header(FIELD, network.to_header(), RGB.to_header(), quality=2710, base=base.digest)
    return container.write(header, [encode_tensor(latents, coding, code_for(latents, coding))])


def steps() -> bytes:
    return recorded(Direct(step=0.05, row=5))


def cosines() -> bytes:
    rows, columns = 3, 3  # of patches
    return recorded(Sparse("dct", columns, 4 * rows * columns, rows, Layout(0), step=0.05))


def difference() -> bytes:
    base = read_base(HERE / "start.sinr")
    moved = {n: rng().normal(0, 0.05, v.shape).astype(np.float32) for n, v in base.params.items()}
    records = [encode_tensor(value, Direct(step=0.01)) for value in moved.values()]
    header = Header(FIELD, base.field.to_header(), RGB.to_header(), quality=2710, base=base.digest)
    return container.write(header, [b"".join(records)])


CASES = {make.__name__: make for make in (shared, shared_whole, start, patches, steps, cosines, whole, difference)}


def facts(name: str) -> dict[str, str]:
    """What a file decodes to: names and hashes."""
    if name in BASE_OF:
        return hashes(codec.open(HERE / f"{name}.sinr", base=HERE / f"{BASE_OF[name]}.sinr").params)
    base = read_base(HERE / f"{name}.sinr")
    beside = {"rates." + key: value for key, value in (base.rates or {}).items()}
    model = {} if base.model is None else vars(base.model) | {"_cumulative": np.array(base.model._cumulative)}
    return {"base": base.digest.hex()} | hashes(base.params | beside | model)


def little_endian(array: np.ndarray) -> np.ndarray:
    return array.astype(array.dtype.newbyteorder("<"))


def hashes(tensors: Any) -> dict[str, str]:
    little = {key: little_endian(np.asarray(value)) for key, value in tensors.items()}
    return {
        key: hashlib.sha256(f"{v.dtype} {v.shape} ".encode() + v.tobytes()).hexdigest() for key, v in little.items()
    }


def expected() -> dict[str, Any]:
    path = HERE / "golden.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    if os.environ.get("GENERATE_EXPECTED") != "1":
        return known
    for name, make in CASES.items():
        file = HERE / f"{name}.sinr"
        if not file.exists():
            file.write_bytes(make())
        if name not in known:
            known[name] = facts(name)
            if name in BASE_OF:
                np.save(HERE / f"{name}.npy", decode(file, base=HERE / f"{BASE_OF[name]}.sinr"))
    path.write_text(json.dumps(known, indent=1) + "\n")
    return known


EXPECTED = expected()


def test_no_file_is_forgotten():
    assert set(EXPECTED) == set(CASES) == {path.stem for path in HERE.glob("*.sinr")}


@pytest.mark.parametrize("name", CASES)
def test_a_file_can_be_made_again(name):
    assert CASES[name]() == (HERE / f"{name}.sinr").read_bytes()


@pytest.mark.parametrize("name", CASES)
def test_numbers_are_the_same_bits(name):
    assert facts(name) == EXPECTED[name]


@pytest.mark.parametrize("name", BASE_OF)
def test_the_picture_is_the_same_within_a_level(name):
    picture, wanted = decode(HERE / f"{name}.sinr", base=HERE / f"{BASE_OF[name]}.sinr"), np.load(HERE / f"{name}.npy")
    assert (picture.shape, picture.dtype) == (wanted.shape, wanted.dtype)
    assert np.abs(picture.astype(int) - wanted).max() <= 1


def test_a_base_without_rates_is_named_by_its_hash():
    blob = (HERE / "shared_whole.sinr").read_bytes()
    assert EXPECTED["shared_whole"]["base"] == hashlib.sha256(blob).hexdigest()[:32]


FILES = {name: container.read((HERE / f"{name}.sinr").read_bytes()) for name in CASES}


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(CASES)), st.integers(0, 1), st.floats(0, 1), st.integers(0, 4), st.binary(max_size=4))
def test_what_is_damaged_is_refused_or_decodes(name, number, where, length, new):
    header, sections = FILES[name]
    sections = list(sections)
    number = min(number, len(sections) - 1)
    at = round(where * len(sections[number]))
    sections[number] = sections[number][:at] + new + sections[number][at + length :]
    blob = container.write(header, sections)
    with contextlib.suppress(SinrError):
        if name in BASE_OF:
            base = read_base(HERE / f"{BASE_OF[name]}.sinr")
            params = codec.open(blob, base=base, limits=LIMITS).params
            assert all(value.dtype == np.float32 for value in params.values())
        else:
            assert read_base(blob, LIMITS).params.keys() == read_base(HERE / f"{name}.sinr").params.keys()
