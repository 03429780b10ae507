"""Files of other people: what they may not reach, and what they may not cost."""

import dataclasses
import tracemalloc
import warnings

import brotli
import cbor2
import numpy as np
import pytest

from sinr_codec.coding.varint import Reader, write_varint
from sinr_codec.errors import InputError, LimitError
from sinr_codec.signals.base import Fields
from sinr_codec.signals.dataset import DatasetSignal, DatasetSpec
from sinr_codec.signals.lossless import Mask, write_mask
from sinr_codec.signals.volume import VolumeSignal

xr = pytest.importorskip("xarray")
netCDF4 = pytest.importorskip("netCDF4")
h5py = pytest.importorskip("h5py")

SECRET = np.arange(64, dtype="u1")


@pytest.fixture
def source(tmp_path):
    """A dataset, and beside it a file that its reader shall not get."""
    (tmp_path / "secret.bin").write_bytes(SECRET.tobytes())
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["key"] = SECRET
    with netCDF4.Dataset(tmp_path / "a.nc", "w") as file:
        file.createDimension("x", 64)
        file.createVariable("t", "f4", ("x",))[:] = np.arange(64.0)
        file.createGroup("below")
    return tmp_path / "a.nc"


def external_storage(file, folder):
    file.create_dataset("stolen", (64,), "u1", external=[(str(folder / "secret.bin"), 0, 64)])


def external_link(file, folder):
    file["stolen"] = h5py.ExternalLink(str(folder / "secret.h5"), "/key")


def below(file, folder):
    file["below/stolen"] = h5py.ExternalLink(str(folder / "secret.h5"), "/key")


def group(file, folder):
    file["stolen"] = h5py.ExternalLink(str(folder / "secret.h5"), "/")


def virtual(file, folder):
    layout = h5py.VirtualLayout((64,), "u1")
    layout[:] = h5py.VirtualSource(str(folder / "secret.h5"), "key", (64,))
    file.create_virtual_dataset("stolen", layout)


@pytest.mark.parametrize("steal", [external_storage, external_link, below, group, virtual])
def test_data_in_other_files_are_refused(source, steal):
    with h5py.File(source, "a") as file:
        steal(file, source.parent)
    with pytest.raises(InputError, match=r"a\.nc: '(below/)?stolen' is in another file"):
        DatasetSignal.load(source)


def test_volumes_in_hdf5_are_looked_at_as_well(source):
    pytest.importorskip("nibabel")
    with h5py.File(source.with_suffix(".mnc"), "w") as file:
        file["minc-2.0/image/0/image"] = h5py.ExternalLink(str(source.parent / "secret.h5"), "/key")
    with pytest.raises(InputError, match=r"a\.mnc: 'minc-2\.0/image/0/image' is in another file"):
        VolumeSignal.load(source.with_suffix(".mnc"))


def test_links_within_a_file_are_read(source):
    with h5py.File(source, "a") as file:
        file["again"] = h5py.SoftLink("/t")
    DatasetSignal.load(source)


def test_damaged_hdf5_files_are_told(source):
    source.write_bytes(source.read_bytes()[:600])
    with pytest.raises(InputError, match=r"a\.nc: expected a netCDF file"):
        DatasetSignal.load(source)


def test_zarr_chunks_that_are_links_out_of_the_group_are_refused(tmp_path):
    pytest.importorskip("zarr")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        xr.Dataset({"t": (("x",), np.arange(64.0))}).to_zarr(tmp_path / "a.zarr", zarr_format=2)
    chunk = tmp_path / "a.zarr/t/0"
    chunk.rename(tmp_path / "a.zarr/t/data")
    chunk.symlink_to("data")
    DatasetSignal.load(tmp_path / "a.zarr")
    chunk.unlink()
    (tmp_path / "secret").write_bytes(SECRET.tobytes())
    chunk.symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match=r"a\.zarr/t/0: is a link out of the folder"):
        DatasetSignal.load(tmp_path / "a.zarr")


# -- files of a few bytes that stand for much --------------------------------------------------------------


def side_of(meta, rest=b""):
    coded = cbor2.dumps(meta)
    data = write_varint(len(coded)) + coded + rest
    return write_varint(len(data)) + brotli.compress(data, quality=1)


def field(name, dims, mask=-1):
    return [name, dims, "float32", {}, [4, 0.0, 1.0], mask]


def peak(work):
    """Bytes that Python and NumPy have allocated at most."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_file_is_described_without_unpacking_coordinates():
    n = 1 << 22
    meta = [[["x", n]], {}, [], ["lat", "lon", True], [], [field("t", [0])]]
    meta[5] += [[name, [0], "float32", {}] for name in ("lat", "lon")]
    side = side_of(meta, bytes(2 * (1 + 4 * n)))
    assert len(side) < 10_000

    def describe():
        spec = DatasetSpec.from_header([3], side)
        assert (spec.samples, spec.in_features, spec.axes, spec.describe()["sphere"]) == (n, 3, (1155,) * 3, True)

    assert peak(describe) < n / 4


def test_a_mask_is_unpacked_for_the_region_alone():
    meta = [[["y", 1 << 14], ["x", 1 << 14]], {}, [], [], [[0, 1]], [field("t", [0, 1], 0)]]
    gaps = bytes([1]) + write_varint(1) + bytes([8, 0, 0, 0])  # true from the first row on, in the eighth column
    spec = DatasetSpec.from_header([3], side_of(meta, gaps))
    fields = Fields([lambda points: np.zeros((len(points), 1), np.float32)], threads=1)
    decoded = []
    region = {"y": (9000, 9003), "x": (5, 10)}
    spec.render(fields, region=region)  # imports
    assert peak(lambda: decoded.append(spec.render(fields, region=region, decode_cf=False))) < 2e6
    np.testing.assert_array_equal(np.isnan(decoded[0].t), [[False, False, True, False, False]] * 3)


@pytest.mark.parametrize("value", [[], {}, "", 0])
def test_metadata_of_too_many_values_are_refused(value):
    meta = [[["x", 4]], {"a": [value] * (1 << 19)}, [], [], [], [field("t", [0])]]
    with pytest.raises(LimitError, match="more than 524,288 values"):
        DatasetSpec.from_header([3], side_of(meta))


def test_too_many_variables_are_refused():
    meta = [[["x", 4]], {}, [], [], [], [field(f"{i}", [0]) for i in range((1 << 14) + 1)]]
    with pytest.raises(LimitError, match="16,385 variables"):
        DatasetSpec.from_header([3], side_of(meta))


def test_parts_of_masks_are_those_of_the_whole():
    rng = np.random.default_rng(0)
    for shape in ((50,), (7, 9), (3, 4, 5)):
        for share in (0.02, 0.5):
            mask = rng.random(shape) < share
            whole = Mask(Reader(write_mask(mask)), shape)
            np.testing.assert_array_equal(whole.unpack(), mask)
            axes = [rng.integers(0, n, 6) for n in shape]  # in any order, some twice
            np.testing.assert_array_equal(whole.at(axes), mask[np.ix_(*axes)])


def test_what_is_stored_exactly_counts_as_memory():
    n = 1 << 20
    meta = [[["x", n]], {}, [], [], [], [field("t", [0]), ["z", [0], "int32", {}]]]
    spec = DatasetSpec.from_header([3], side_of(meta, bytes(1 + 4 * n)))
    fields = Fields([lambda points: np.zeros((len(points), 1), np.float32)], threads=1, max_bytes=1 << 24)
    with pytest.raises(LimitError, match=r"what is stored exactly takes about .* bytes"):
        spec.render(fields, region={"x": (0, 2)})
    spec.render(dataclasses.replace(fields, max_bytes=1 << 25), region={"x": (0, 2)})
