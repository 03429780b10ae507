"""Files that every later version must decode to the same bits.

`golden.json` has, for each file, the SHA-256 of every decoded tensor (little-endian bytes). Pictures are
compared within one level, because sines are not the same in the last bit everywhere. `GENERATE_EXPECTED=1`
makes what is missing and never touches what is there: a golden file is replaced by deleting it on purpose.
A function below makes each file, and still gives its bytes.
"""

import hashlib
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from sinr_codec import container, decode, decompress
from sinr_codec.coding.scales import Scales
from sinr_codec.coding.sparse import Layout, SparseCode
from sinr_codec.coding.tensor import Coding, Direct, Raw, Sparse, encode_tensor
from sinr_codec.container import FIELD, STATE, Header, TensorEntry
from sinr_codec.fields import MLP, AxisOctaves, Fourier, Gaussian, HashGrid, Octaves, ReLU, RotatedOctaves, Sine, Wire
from sinr_codec.fields.sections import Records
from sinr_codec.planning.pursuit import code_for
from sinr_codec.signals.cut import Cut
from sinr_codec.signals.grid import Grid
from sinr_codec.signals.image import ImageSpec

HERE = Path(__file__).parent
DIRECT = Direct(step=0.002)
HEIGHT, WIDTH = 8, 12
RGB = ImageSpec(HEIGHT, WIDTH, 3, "uint8", "RGB")


def encoded(array: np.ndarray, coding: Coding) -> bytes:
    return encode_tensor(array, coding, code_for(array, coding))


def image(field: MLP, spec: ImageSpec, coding: Callable[[str], Coding]) -> bytes:
    """A picture's file with random weights in place of trained ones."""
    params = field.init(np.random.Generator(np.random.Philox(2024)))
    records = [encoded(array, coding(name)) for name, array in params.items()]
    header = Header(FIELD, field=field.to_header(), signal=spec.to_header(), quality=3245)
    return container.write(header, [b"".join(records)])


class EarlySine(Sine):
    """Biases start within PyTorch's bounds, as all sines did when the first files were made."""

    def bounds(self, fan_in: int, layer: int, last: bool) -> tuple[float, float]:
        return super().bounds(fan_in, layer, last)[0], 1 / math.sqrt(fan_in)


def direct() -> bytes:
    return image(MLP(2, 3, 4, 1, EarlySine()), RGB, lambda name: Direct(step=0.01))


def sparse() -> bytes:
    codings = {
        "layers.1.weight": Sparse("gaussian", 1, 256, 12, Layout(0), step=0.0005),
        "layers.2.weight": Sparse("sign", 2**63 + 5, 128, 13, Layout(1), step=0.002),
        "layers.3.weight": Sparse("hadamard", 3, 96, 14, Layout(0), step=0.002),
        "layers.4.weight": Sparse("hadamard", 4, 300, 9, Layout(None), bits=9),
    }
    spec = ImageSpec(HEIGHT, WIDTH, 1, "float32", "F", -2.5, 1000.0, grid=Grid(corners=True, aspect=True, xy=True))
    return image(MLP(2, 1, 34, 3, Gaussian(4.0)), spec, lambda name: codings.get(name, DIRECT))


def paper() -> bytes:
    weights = Sparse("gaussian", 7, 256, 13, Layout(0), bits=16, paper=True)
    first = Sparse("gaussian", 7, 256, 26, Layout(None), bits=16, paper=True)
    codings = {"layers.0.weight": first, "layers.1.weight": weights, "layers.2.weight": weights}
    spec = ImageSpec(HEIGHT, WIDTH, 3, "uint8", "P", colours=17)
    return image(MLP(2, 3, 32, 2, EarlySine()), spec, lambda name: codings.get(name, Direct(bits=16, paper=True)))


def sent() -> bytes:
    """Dictionaries that stand in the file: one with indices, and one of which every vector has all atoms."""
    rng = np.random.Generator(np.random.Philox(31))
    spec = MLP(2, 3, 34, 1)
    records = []
    for name, array in spec.init(rng).items():
        if name == "layers.1.weight":
            coding, n = Sparse("sent", 0, 40, 9, Layout(0), step=0.0005), 34
            indices = np.argsort(rng.random((40, n)), axis=0)[:9]
            code = SparseCode(
                "sent", 0, 40, Layout(0), indices, rng.normal(0, 0.01, (9, n)), rng.integers(-9, 10, (34, 40))
            )
            records.append(encode_tensor(array, coding, code))
        elif name == "layers.2.weight":
            coding = Sparse("sent", 0, 2, 2, Layout(1), bits=9)
            indices = np.repeat([[0], [1]], 3, axis=1)
            code = SparseCode(
                "sent", 0, 2, Layout(1), indices, rng.normal(0, 0.001, (2, 3)), rng.integers(-99, 99, (34, 2))
            )
            records.append(encode_tensor(array, coding, code))
        else:
            records.append(encode_tensor(array, DIRECT))
    header = Header(FIELD, field=spec.to_header(), signal=RGB.to_header(), quality=3245)
    return container.write(header, [b"".join(records)])


def wire() -> bytes:
    return image(MLP(2, 3, 6, 1, Wire(10.0, 5.5)), RGB, lambda name: DIRECT)


def encodings() -> bytes:
    return image(MLP(2, 3, 8, 0, ReLU(), Octaves(3, 1.5, False, "octave")), RGB, lambda name: Direct(bits=12))


def fourier() -> bytes:
    return image(MLP(2, 3, 8, 0, ReLU(), Fourier(5, 1.25, 99)), RGB, lambda name: DIRECT)


def axes() -> bytes:
    return image(MLP(2, 3, 8, 1, encoding=AxisOctaves((0, 3), 1.5)), RGB, lambda name: Direct(step=0.01, trellis=True))


def rotated() -> bytes:
    return image(MLP(2, 3, 8, 1, encoding=RotatedOctaves((2, 3), 1.5)), RGB, lambda name: Direct(step=0.01))


def corners() -> bytes:
    """The first coordinate is the column's; the first and the last pixel lie at -1 and 1 of the longer axis."""
    spec = ImageSpec(HEIGHT, WIDTH, 1, "uint8", "L", grid=Grid(corners=True, aspect=True, xy=True))
    return image(MLP(2, 1, 6, 1), spec, lambda name: DIRECT)


def column_first() -> bytes:
    """Centres, the first coordinate that of the column, on a picture that is not square."""
    spec = ImageSpec(HEIGHT, WIDTH, 4, "uint8", "RGBA", grid=Grid(xy=True))
    return image(MLP(2, 4, 6, 1), spec, lambda name: DIRECT)


def wide() -> bytes:
    """A picture with more than 4,096 weights in a layer: its bodies state their lengths."""
    codings = {"layers.1.weight": Direct(step=0.02), "layers.2.weight": Direct(step=0.02, trellis=True)}
    return image(MLP(2, 3, 66, 2), RGB, lambda name: codings.get(name, DIRECT))


def progressive() -> bytes:
    """Levels without their last three bits, and these in planes; one tensor is stored as it is."""
    field = MLP(2, 3, 8, 1)
    params = field.init(np.random.Generator(np.random.Philox(2024)))
    codings = {"layers.0.bias": Raw(), "layers.2.weight": Direct(step=0.005, trellis=True)}
    records = {name: encoded(array, codings.get(name, DIRECT)) for name, array in params.items()}
    coded = Records().assemble(field, records, 3)
    header = Header(FIELD, field=field.to_header(), signal=RGB.to_header(), quality=3245, planes=3)
    return container.write(header, [coded.section, *coded.planes])


def blocks() -> bytes:
    """Two rows and three columns of unequal blocks, each with weights of its own, blended over two pixels."""
    field = MLP(2, 3, 4, 1)
    spec = ImageSpec(HEIGHT + 1, WIDTH + 1, 3, "uint8", "RGB", cut=Cut((HEIGHT + 1, WIDTH + 1), (2, 3), 1))
    rng = np.random.Generator(np.random.Philox(2024))
    networks = [field.init(rng) for _ in range(spec.parts)]
    sections = [b"".join(encode_tensor(array, DIRECT) for array in params.values()) for params in networks]
    header = Header(FIELD, field=field.to_header(), signal=spec.to_header(), quality=3245)
    return container.write(header, sections)


def known() -> bytes:
    """Colours with a constant channel and with an alpha of two values."""
    spec = ImageSpec(HEIGHT, WIDTH, 4, "uint8", "RGBA", exact=(None, 77, None, (0, 255)))
    return image(MLP(2, 4, 4, 1, Sine(9.0)), spec, lambda name: Direct(step=0.01))


def deep() -> bytes:
    """Colours of 16 bits with an opaque alpha, on the range that occurs."""
    spec = ImageSpec(HEIGHT, WIDTH, 4, "uint16", "RGBA;16", 100, 65535, exact=(None, None, None, 65535))
    return image(MLP(2, 4, 4, 1, Sine(9.0)), spec, lambda name: Direct(step=0.01))


def lab() -> bytes:
    return image(
        MLP(2, 3, 4, 1, Sine(9.0)), ImageSpec(HEIGHT, WIDTH, 3, "uint8", "LAB"), lambda name: Direct(step=0.01)
    )


def hashgrid() -> bytes:
    """Levels of integers: two in the context of their neighbours, one of them with a long code; one that is hashed."""
    rng = np.random.Generator(np.random.Philox(77))
    field = HashGrid(2, 3, (6, 40, 90), 2048, 1, 8, 1, (2, 3))
    records = []
    params = field.init(rng)
    for level, coding in enumerate(field.tables.values()):
        rows, columns = field.vertices(level)
        busy = np.exp(-((np.mgrid[:rows, :columns] - rows / 2) ** 2).sum(0) / rows**2 * 9)
        table = np.rint(rng.laplace(0, 2 * busy.reshape(-1)[: field.entries(level)]))[:, None]
        if level == 1:
            table[700:703, 0] = 14, -15, 70_000
        records.append(encode_tensor(table.astype(np.float32), coding))
    records += [encode_tensor(params[name], DIRECT) for name in field.network.shapes()]
    header = Header(FIELD, field=field.to_header(), signal=RGB.to_header(), quality=3245)
    return container.write(header, [b"".join(records)])


def trellis() -> bytes:
    """Levels of a trellis, and integers whose scale follows the rows, in short streams and in long ones."""
    rng = np.random.Generator(np.random.Philox(5))
    spread = rng.normal(size=(70, 64)) * np.exp(rng.normal(size=(70, 1)))
    tensors: dict[str, tuple[np.ndarray, Coding]] = {
        "rows": (spread[:20].astype(np.float32), Direct(step=0.05)),
        "levels": (spread[:20].astype(np.float32), Direct(step=0.05, trellis=True)),
        "coarse": (spread[20:40].astype(np.float16), Direct(step=0.5, trellis=True)),
        "vector": (spread[0], Direct(step=0.01, trellis=True)),
        "short rows": (spread[:, :2].astype(np.float32), Direct(step=0.02, trellis=True)),
        "complex": ((spread[:9] + 1j * spread[9:18]).astype(np.complex64), Direct(step=0.05, trellis=True)),
        "long": (spread, Direct(step=0.02, trellis=True)),
    }
    entries = tuple(TensorEntry(name, array.shape, array.dtype) for name, (array, _) in tensors.items())
    return container.write(Header(STATE, tensors=entries), [b"".join(encoded(*t) for t in tensors.values())])


def scaled() -> bytes:
    """Steps that differ by rows and columns, in short streams and in long ones, with a trellis and without."""
    rng = np.random.Generator(np.random.Philox(6))
    spread = rng.normal(size=(70, 64))

    def by(rows: int, columns: int, octaves: int) -> Scales:
        return Scales(*(tuple(rng.integers(0, 4 * octaves, n).tolist()) for n in (rows, columns)))

    tensors: dict[str, tuple[np.ndarray, Coding]] = {
        "rows": (spread[:20].astype(np.float32), Direct(step=0.02, scales=by(20, 0, 5))),
        "columns": (spread[:20].astype(np.float64), Direct(step=0.02, scales=by(0, 64, 3))),
        "both": (spread[20:40].astype(np.float16), Direct(step=0.001, trellis=True, scales=by(20, 64, 9))),
        "wide": (spread[40:].astype(np.float32), Direct(step=0.0007, scales=by(30, 64, 30))),
        "short rows": (spread[:, :2].astype(np.float32), Direct(step=0.02, trellis=True, scales=by(70, 2, 4))),
        "complex": ((spread[:9] + 1j * spread[9:18]).astype(np.complex64), Direct(step=0.05, scales=by(576, 2, 2))),
        "vector": (spread[0].astype(np.float32), Direct(step=0.05, scales=by(0, 64, 2))),
        "long": (spread, Direct(step=0.004, trellis=True, scales=by(70, 64, 4))),
    }
    entries = tuple(TensorEntry(name, array.shape, array.dtype) for name, (array, _) in tensors.items())
    return container.write(Header(STATE, tensors=entries), [b"".join(encoded(*t) for t in tensors.values())])


def scaled_progressive() -> bytes:
    """Levels of different units without their last two bits, and these in planes."""
    field = MLP(2, 3, 18, 1)
    rng = np.random.Generator(np.random.Philox(2025))
    params = field.init(rng)
    scales = Scales(tuple(rng.integers(0, 9, 18).tolist()), tuple(rng.integers(0, 5, 18).tolist()))
    codings = {"layers.1.weight": Direct(step=0.0004, scales=scales)}
    records = {name: encoded(array, codings.get(name, DIRECT)) for name, array in params.items()}
    coded = Records().assemble(field, records, 2)
    header = Header(FIELD, field=field.to_header(), signal=RGB.to_header(), quality=3245, planes=2)
    return container.write(header, [coded.section, *coded.planes])


def state() -> bytes:
    rng = np.random.Generator(np.random.Philox(11))
    normal = rng.standard_normal((9, 7))
    tensors: dict[str, tuple[np.ndarray, Coding]] = {
        "net.0.weight": (normal.astype(np.float16), Direct(step=0.05)),
        "net.0.bias": (normal[0].astype(ml_dtypes.bfloat16), Direct(bits=5)),
        "net.1.weight": (normal * 1e-3, Direct(step=1e-5)),
        "net.1.bias": (normal[1].astype(np.complex64), Direct(step=0.01)),
        "net.2.weight": (normal + 1j * normal[::-1], Sparse("sign", 0, 64, 5, Layout(None), step=0.01)),
        "lossless": (normal.astype(np.float32), Raw()),
        "constant": (np.full((3, 5), 0.1, np.float32), Direct(bits=8)),
        "broken": (np.array([np.nan, -np.inf, -0.0, 1e-45], np.float32), DIRECT),
        "mask": (normal > 0, Raw()),
        "steps": (np.array(2350), Raw()),
        "empty": (np.zeros((0, 4), np.uint16), Raw()),
        "extremes": (np.array([-(2**63), 2**63 - 1]), Raw()),
        "unsigned": (np.array([2**64 - 1, 0, 2**63], np.uint64), Raw()),
        "bytes": (np.arange(300).astype(np.uint8), Raw()),
        "größe": (np.arange(-5, 5, dtype=np.int8).reshape(2, 5), Raw()),
    }
    entries = tuple(TensorEntry(name, array.shape, array.dtype) for name, (array, _) in tensors.items())
    records = [encoded(array, coding) for array, coding in tensors.values()]
    header = Header(STATE, tensors=entries, quality=4600, extra={"source": "random numbers"})
    return container.write(header, [b"".join(records)])


def cosines() -> bytes:
    """Numbers of the places of a grid, as atoms that oscillate over it."""
    y, x = np.mgrid[:6, :8]
    smooth = np.stack([0.1 * y + x, np.hypot(y - 2, x - 3), (y * x) % 5], -1).reshape(48, 3).astype(np.float32)
    tensors: dict[str, tuple[np.ndarray, Coding]] = {
        "whole": (smooth, Sparse("dct", 8, 48, 12, Layout(0), step=0.0005)),
        "twice": (smooth.T, Sparse("dct", 8, 192, 20, Layout(1), step=0.0002)),
        "line": (smooth[:, 1], Sparse("dct", 1, 48, 10, Layout(None), bits=9)),
    }
    entries = tuple(TensorEntry(name, array.shape, array.dtype) for name, (array, _) in tensors.items())
    records = [encoded(array, coding) for array, coding in tensors.values()]
    return container.write(Header(STATE, tensors=entries), [b"".join(records)])


def large() -> bytes:
    """Streams and sets of more than 4,096 numbers, which state their lengths."""
    rng = np.random.Generator(np.random.Philox(4097))
    hidden = rng.normal(0, 0.05, (70, 64)).astype(np.float32)
    wide = rng.normal(0, 1e-3, (64, 240)).astype(np.float32)
    tensors: dict[str, tuple[np.ndarray, Coding]] = {
        "modelled": (hidden, Direct(step=0.01)),
        "with low parts": (hidden[::-1], Direct(step=2e-6)),
        "uniform": (rng.uniform(-1, 1, 4100), Direct(bits=4)),
        "repeated": (np.tile(rng.integers(0, 2**40, 50), 90), Raw()),
        "sets": (wide, Sparse("gaussian", 11, 128, 18, Layout(0), step=2e-5)),
    }
    entries = tuple(TensorEntry(name, array.shape, array.dtype) for name, (array, _) in tensors.items())
    return container.write(Header(STATE, tensors=entries), [b"".join(encoded(*t) for t in tensors.values())])


MAKERS = (
    direct,
    sparse,
    sent,
    paper,
    wire,
    encodings,
    axes,
    rotated,
    fourier,
    corners,
    column_first,
    wide,
    blocks,
    hashgrid,
    known,
    deep,
    lab,
    state,
    large,
    cosines,
    trellis,
    progressive,
    scaled,
    scaled_progressive,
)
CASES = {make.__name__: make for make in MAKERS}


def digest(array: np.ndarray) -> str:
    little = array.astype(array.dtype.newbyteorder("<"))
    return hashlib.sha256(f"{array.dtype} {array.shape} ".encode() + little.tobytes()).hexdigest()


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
            blob = file.read_bytes()
            known[name] = {key: digest(array) for key, array in decompress(blob).items()}
            if container.read_header(blob).kind == FIELD:
                np.save(HERE / f"{name}.npy", decode(blob))
    path.write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n")
    return known


EXPECTED = expected()


def test_no_file_is_forgotten():
    assert set(EXPECTED) == set(CASES) == {path.stem for path in HERE.glob("*.sinr")}


@pytest.mark.parametrize("name", CASES)
class TestGolden:
    def test_it_can_be_made_again(self, name):
        assert CASES[name]() == (HERE / f"{name}.sinr").read_bytes()

    def test_weights_are_the_same_bits(self, name):
        tensors = decompress((HERE / f"{name}.sinr").read_bytes())
        assert {key: digest(array) for key, array in tensors.items()} == EXPECTED[name]

    def test_the_picture_is_the_same_within_a_level(self, name):
        blob = (HERE / f"{name}.sinr").read_bytes()
        if container.read_header(blob).kind == STATE:
            assert not (HERE / f"{name}.npy").exists()
            return
        picture, wanted = decode(blob), np.load(HERE / f"{name}.npy")
        assert (picture.shape, picture.dtype) == (wanted.shape, wanted.dtype)
        level = 1.0 if wanted.dtype == np.uint8 else 1e-3
        assert np.abs(picture.astype(np.float64) - wanted).max() <= level

    def test_the_file_is_the_only_encoding_of_its_header(self, name):
        blob = (HERE / f"{name}.sinr").read_bytes()
        assert container.write(*container.read(blob)) == blob


def test_coding_is_close_to_what_was_coded():
    """The hashes say that nothing changed; this says that it was right to begin with."""
    field = MLP(2, 1, 34, 3, Gaussian(4.0))
    params = field.init(np.random.Generator(np.random.Philox(2024)))
    decoded = decompress((HERE / "sparse.sinr").read_bytes())
    for name, array in params.items():
        relative = np.linalg.norm(decoded[name] - array) / np.linalg.norm(array)
        assert relative < (0.6 if name in ("layers.1.weight", "layers.2.weight", "layers.3.weight") else 0.65)
