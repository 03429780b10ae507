"""A family that this package does not have, from a picture to a file and back: one class, one line of the table."""

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from sinr_codec import codec
from sinr_codec.coding.assembled import Plan
from sinr_codec.coding.records import CodedNetwork
from sinr_codec.coding.varint import Reader
from sinr_codec.container import read, write
from sinr_codec.errors import FormatError, UnknownIdError
from sinr_codec.fields import FAMILIES, MLP, Difference, Family, HashGrid, Radiance, family_of, field_from_header
from sinr_codec.fields.base import FieldDefaults
from sinr_codec.fields.latents import LatentModel
from sinr_codec.foreign.decompress import decompress

LEVELS = 32
ID = 999


@dataclass(frozen=True)
class Mosaic(FieldDefaults):
    """Tiles of one colour each: latents whose model stands before them in the same section."""

    rows: int
    columns: int
    channels: int

    in_features: ClassVar[int] = 2
    width: ClassVar[int] = 1

    @property
    def out_features(self):
        return self.channels

    @property
    def widest(self):
        return self.channels

    @property
    def num_params(self):
        return self.rows * self.columns * self.channels

    def shapes(self):
        return {"tiles": (self.rows * self.columns, self.channels)}

    def dtypes(self):
        return {"tiles": np.dtype(np.float32)}

    def decoder(self, params):
        return MosaicDecoder(self, params["tiles"])

    def describe(self):
        return f"mosaic of {self.rows} x {self.columns}"

    def to_header(self):
        return [ID, self.rows, self.columns, self.channels]


class MosaicDecoder:
    """At points, and on grids in a way of its own."""

    tile = 1 << 14
    grids: ClassVar[list] = []

    def __init__(self, field, tiles):
        self.tiles = tiles.reshape(field.rows, field.columns, field.channels)

    def places(self, axis, x):
        count = self.tiles.shape[axis]
        return np.clip(np.floor((x + 1) * (count / 2)).astype(int), 0, count - 1)

    def __call__(self, coords):
        return self.tiles[self.places(0, coords[:, 0]), self.places(1, coords[:, 1])]

    def on_grid(self, axes):
        self.grids.append(tuple(map(len, axes)))
        return self.tiles[np.ix_(self.places(0, axes[0]), self.places(1, axes[1]))]


class ModelFirst:
    """The model of the latents, then the latents."""

    decoding = 8

    def assemble(self, field, records, planes=0):
        return CodedNetwork(records["tiles"])

    def decode(self, field, coded):
        reader = Reader(coded.section)
        model = LatentModel.from_reader(reader, field.channels)
        return {"tiles": model.decode(reader.take(len(coded.section) - reader.position), field.rows * field.columns)}

    def describe(self, field, section):
        shape = [field.rows * field.columns, field.channels]
        return [
            {"name": "tiles", "shape": shape, "dtype": "float32", "bytes": len(section), "coding": "model, latents"}
        ]


def train(field, part, config, params, progress):
    """Means of tiles: nothing to descend."""
    from sinr_codec.fit import FitResult

    coords, values = part.batch(np.arange(len(part)))
    decoder = MosaicDecoder(field, np.zeros(field.shapes()["tiles"]))
    tile = decoder.places(0, coords[:, 0]) * field.columns + decoder.places(1, coords[:, 1])
    sums = np.stack([np.bincount(tile, v, field.rows * field.columns) for v in values.T], 1)
    means = (sums / np.bincount(tile, minlength=len(sums))[:, None]).astype(np.float32)
    loss = float(((means[tile] - values) ** 2).mean())
    return FitResult({"tiles": means}, loss, 1, 0.0, False, 0, False, False)


def code(task):
    from sinr_codec.methods import Coded

    tiles = task.params["tiles"]
    zeros = np.zeros(tiles.shape[1], np.float32)
    model = LatentModel(zeros, zeros + 1, np.zeros((tiles.shape[1], LEVELS), np.int64))
    levels = model.quantised(tiles)
    counts = np.stack([np.bincount(column, minlength=LEVELS) for column in levels.T])
    model = dataclasses.replace(model, counts=counts)
    record = model.to_bytes() + model.encode(tiles)
    return Coded(Plan({}, {"tiles": record}, {"tiles": model.dequantised(levels)}))


def sized(spec, bits, width=None, depth=None):
    side = max(1, math.isqrt(int(bits * spec.samples / (8 * spec.out_features))))
    return Mosaic(side, side, spec.out_features)


def from_header(value, max_params):
    return Mosaic(*value[1:])


@pytest.fixture
def mosaic(monkeypatch):
    """The line of the table."""
    coder, trainer = f"{__name__}:code", f"{__name__}:train"
    family = Family(ID, "mosaic", from_header, ModelFirst(), trainer, coder, sized)
    monkeypatch.setitem(FAMILIES, ID, family)
    return family


@pytest.fixture
def picture():
    rows, columns = np.mgrid[0:48, 0:40]
    return np.stack([5 * rows, 6 * columns, 2 * (rows + columns)], -1).astype(np.uint8)


class TestMosaic:
    def test_from_a_picture_to_a_file_and_back(self, mosaic, picture):
        pytest.importorskip("torch")
        MosaicDecoder.grids.clear()
        report = codec.encode(picture, method="mosaic", bpp=2.0)
        assert report.target_met
        assert report.psnr > 20
        decoded = codec.decode(report.blob)
        assert MosaicDecoder.grids[-1] == (48, 40)
        assert decoded.tobytes() == codec.decode(report.blob).tobytes()
        opened = codec.open(report.blob)
        assert family_of(opened.network) is mosaic
        centres = [(2 * np.arange(n) + 1) / n - 1 for n in (48, 40)]
        at_points = opened(np.stack(np.meshgrid(*centres, indexing="ij"), -1))
        np.testing.assert_allclose(decoded, np.clip((at_points + 1) * 127.5, 0, 255), atol=0.51)
        assert codec.verify(report.blob, picture).ok
        (tensor,) = codec.info(report.blob)["tensors"]
        assert tensor["coding"] == "model, latents"

    def test_for_a_quality(self, mosaic, picture):
        pytest.importorskip("torch")
        report = codec.encode(picture, method="mosaic", psnr=22)
        assert report.target_met
        assert report.field.rows > 1

    def test_what_a_decoder_gets_is_what_was_coded(self, mosaic, picture):
        pytest.importorskip("torch")
        from sinr_codec.methods import Task
        from sinr_codec.signals import registry

        blob = codec.encode(picture, method="mosaic", bpp=2.0).blob
        field = codec.open(blob).network
        part = registry.load(picture).parts[0]
        planned = code(Task(field, train(field, part, None, None, None).params, part)).plan
        section = mosaic.section.assemble(field, planned.records)
        assert read(blob)[1] == [section.section]
        for tiles in (mosaic.section.decode(field, section)["tiles"], decompress(blob)["tiles"]):
            assert tiles.tobytes() == planned.params["tiles"].tobytes()

    def test_a_damaged_section(self, mosaic, picture):
        pytest.importorskip("torch")
        header, sections = read(codec.encode(picture, method="mosaic", bpp=2.0).blob)
        with pytest.raises(FormatError):
            codec.open(write(header, [sections[0][:20]]))

    def test_without_its_line_it_is_unknown(self, monkeypatch, mosaic, picture):
        pytest.importorskip("torch")
        blob = codec.encode(picture, method="mosaic", bpp=2.0).blob
        monkeypatch.delitem(FAMILIES, ID)
        with pytest.raises(UnknownIdError, match=f"field id {ID} is not known"):
            codec.open(blob)


def test_a_family_by_the_header_of_a_field():
    mlp = MLP(2, 3, 8, 1)
    for field in (mlp, Radiance(8, 1), HashGrid(2, 3, (4, 8), 64, 1, 8, 1)):
        family = family_of(field)
        assert family.id == field.to_header()[0] == type(field).ID
        assert field_from_header(field.to_header()) == field
    assert family_of(Difference(mlp, mlp.init(np.random.default_rng(0)))) is family_of(mlp)


def test_ids_are_those_of_the_table():
    assert all(family.id == number for number, family in FAMILIES.items())
    assert len({family.name for family in FAMILIES.values()}) == len(FAMILIES)
