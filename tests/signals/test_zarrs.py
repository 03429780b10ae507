import json
import zipfile

import numpy as np
import pytest
import zarr

from sinr_codec.errors import InputError
from sinr_codec.signals import zarrs
from sinr_codec.signals.dataset import DatasetSignal
from sinr_codec.signals.volume import VolumeSignal

SHAPE = (3, 4, 5)


def array_at(path, **options):
    array = zarr.create_array(str(path), shape=SHAPE, dtype="int16", chunks=(2, 4, 5), **options)
    array[...] = np.arange(60).reshape(SHAPE)
    return array


def changed(path, **changes):
    document = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("version", [2, 3])
def test_a_codec_that_unpickles_is_refused_before_it_is_made(tmp_path, version):
    array_at(tmp_path / "a.zarr", zarr_format=version)
    if version == 2:
        changed(tmp_path / "a.zarr/.zarray", compressor={"id": "pickle"})
    else:
        changed(tmp_path / "a.zarr/zarr.json", codecs=["bytes", {"name": "numcodecs.pickle", "configuration": {}}])
    with pytest.raises(InputError, match=r"a\.zarr.*codec 'pickle' is not read"):
        VolumeSignal.load(tmp_path / "a.zarr")


def test_codecs_in_shards_and_groups_and_archives_are_looked_at(tmp_path):
    import xarray as xr

    array_at(tmp_path / "a.zarr", shards=(4, 4, 5))
    document = json.loads((tmp_path / "a.zarr/zarr.json").read_text())
    document["codecs"][0]["configuration"]["codecs"] += [{"name": "numcodecs.pickle"}]
    (tmp_path / "a.zarr/zarr.json").write_text(json.dumps(document))
    with zipfile.ZipFile(tmp_path / "a.zarr.zip", "w") as archive:
        archive.write(tmp_path / "a.zarr/zarr.json", "zarr.json")
    for name in ("a.zarr", "a.zarr.zip"):
        with pytest.raises(InputError, match="'pickle'"):
            VolumeSignal.load(tmp_path / name)

    for version, metadata in ((2, ".zmetadata"), (3, "zarr.json")):
        path = tmp_path / f"group{version}.zarr"
        dataset = xr.Dataset(
            {"t": (("y", "x"), np.ones((4, 5)), {"units": "K"}), "n": ("x", np.array([*"abcde"], object))}
        )
        dataset.to_zarr(path, zarr_format=version, consolidated=True)
        assert DatasetSignal.load(path).spec.content.find("n") is not None  # texts are read
        text = (path / metadata).read_text()
        for codec in ("blosc", "zstd"):
            text = text.replace(f'"{codec}"', '"pickle"' if version == 2 else '"numcodecs.pickle"')
        (path / metadata).write_text(text)
        with pytest.raises(InputError, match="'pickle'"):
            DatasetSignal.load(path)


def test_objects_and_huge_chunks_are_refused(tmp_path):
    array_at(tmp_path / "a.zarr", zarr_format=2)
    metadata = tmp_path / "a.zarr/.zarray"
    for dtype in ("|O", [["a", "<i2"], ["b", "|O"]]):
        changed(metadata, dtype=dtype)
        with pytest.raises(InputError, match="Python objects"):
            VolumeSignal.load(tmp_path / "a.zarr")
    changed(metadata, dtype="<i2", chunks=[1 << 20] * 3)
    with pytest.raises(InputError, match=r"chunks of more than 1,073,741,824 values"):
        VolumeSignal.load(tmp_path / "a.zarr")
    metadata.write_text("[" * 100_000)
    with pytest.raises(InputError, match=r"\.zarray: damaged zarr metadata"):
        VolumeSignal.load(tmp_path / "a.zarr")


def test_chunks_are_not_listed(tmp_path, monkeypatch):
    array_at(tmp_path / "a.zarr", zarr_format=2)
    (tmp_path / "a.zarr/0").mkdir()
    (tmp_path / "a.zarr/0/.zarray").write_text("not read: below an array there are chunks")
    zarrs.check(tmp_path / "a.zarr")
    (tmp_path / "a.zarr/.zgroup").write_text('{"zarr_format": 2}')
    with pytest.raises(InputError, match="damaged"):  # a group may have it as a member
        zarrs.check(tmp_path / "a.zarr")
