"""What a decoded file of a dataset holds, compared with the source by netCDF4, zarr and xarray."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from sinr_codec.errors import InputError
from sinr_codec.signals.base import Fields
from sinr_codec.signals.dataset import DatasetSignal, DatasetSpec

xr = pytest.importorskip("xarray")
netCDF4 = pytest.importorskip("netCDF4")

OVER = ("time", "lat", "lon")
VALUES = np.add.outer(np.arange(4.0), np.add.outer(np.arange(9.0), np.arange(12.0))).astype("f4")


def grid(path, units="days since 2000-01-01", calendar=None):
    """A file with three coordinates, which have no fill values."""
    file = netCDF4.Dataset(path, "w")
    for name, size in (("time", None), ("lat", 9), ("lon", 12)):
        file.createDimension(name, size)
    places = {"lat": ("degrees_north", np.linspace(80, -80, 9)), "lon": ("degrees_east", np.arange(0, 360, 30))}
    for name, (unit, values) in ({"time": (units, np.arange(4))} | places).items():
        v = file.createVariable(name, "f8", (name,))
        v.units = unit
        v[:] = values
    if calendar is not None:
        file["time"].calendar = calendar
    return file


def add(file, name, values, dims=OVER, fill_value=None, **attrs):
    v = file.createVariable(name, values.dtype, dims, fill_value=fill_value)
    v.set_auto_maskandscale(False)
    v.setncatts(attrs)
    v[:] = values
    return v


def gaps(values, *marks):
    """Values with a row of each of some marks."""
    values = values.copy()
    for row, mark in enumerate(marks):
        values[:, row, row:] = mark
    return values


def marked(file):
    add(file, "t", gaps(VALUES, 1e20, -999, np.nan, np.inf), fill_value=1e20, missing_value=np.float32(-999))
    add(file, "rounded", gaps(VALUES, -999.99), missing_value=-999.99)
    add(file, "unwritten", gaps(VALUES, netCDF4.default_fillvals["f4"]))
    packed = gaps(VALUES.astype("i2"), -1, -2, -32767)
    add(file, "packed", packed, fill_value=-1, missing_value=np.int16([-2, -3]), scale_factor=0.5, units="K")
    add(file, "unsigned", packed.astype("i1"), fill_value=-1, _Unsigned="true", scale_factor=0.5)


def described(file):
    """Attributes, types and dimensions that xarray does not write as it reads them."""
    add(file, "t", VALUES, units="K", listed=["a", "ü"], none=np.array([], "i4"), blank="", grid_mapping="crs")
    file.createVariable("crs", "S1").grid_mapping_name = "latitude_longitude"
    file.createDimension("two", 2)
    file.createDimension("letters", 5)
    file.createDimension("unused", 7)
    file.createDimension("grows", None)
    file["time"].bounds = "time_bnds"
    add(file, "time_bnds", np.arange(8.0).reshape(4, 2), ("time", "two"), units="days since 2000-01-01")
    file.createVariable("names", "S1", ("lat", "letters"))[:] = np.full((9, 5), b"x")
    file.createVariable("words", str, ("two",))[:] = np.array(["", "é\n"], object)
    clouds = file.createEnumType(np.int8, "clouds", {"clear": 0, "cloudy": 1, "missing": -1})
    file.createVariable("seen", clouds, ("lat",), fill_value=-1)[:7] = np.arange(7) % 2
    add(file, "ids", 2**60 + np.arange(12), ("lon",), units="m", missing_value=np.int64(2**60))
    add(file, "covariance", np.eye(9), ("lat", "lat"))
    file.setncatts({"history": "made", "version": np.int16(3), "weights": np.array([0.25, np.nan], "f4")})


FILES = {
    "marked": (marked, {}),
    "described": (described, {}),
    "months": (lambda file: add(file, "t", VALUES), {"units": "months since 1960-01-01", "calendar": "360"}),
    "years": (lambda file: add(file, "t", VALUES), {"units": "common_years since 2000-01-01", "calendar": "noleap"}),
    "zero": (lambda file: add(file, "t", VALUES), {"units": "days since 0000-01-01"}),
    "ancient": (lambda file: add(file, "t", VALUES), {"units": "hours since 1-1-1 00:00:0.0"}),
}


@pytest.fixture(scope="module", params=FILES)
def source(request, tmp_path_factory):
    write, options = FILES[request.param]
    path = tmp_path_factory.mktemp("source") / f"{request.param}.nc"
    with grid(path, **options) as file:
        write(file)
        if request.param == "ancient":
            file["time"][:] = 17e6 + 24 * np.arange(4)
    return path


def knowing(signal):
    """A network that knows every sample."""
    coords, values = signal.batch(np.arange(len(signal)))
    table = {point.tobytes(): value for point, value in zip(coords, values)}
    other = np.zeros(signal.out_features, np.float32)
    return Fields([lambda points: np.stack([table.get(point.tobytes(), other) for point in points])], threads=1)


def decoded(source, path, **options):
    signal = DatasetSignal.load(source)
    spec = DatasetSpec.from_header(signal.spec.to_header(), signal.spec.side)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return spec, spec.write(knowing(signal), path, **options)


def attributes(holder):
    return {name: holder.getncattr(name) for name in holder.ncattrs()}


def assert_same_attributes(a, b):
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert type(b[name]) is type(value), name
        assert np.asarray(b[name]).dtype == np.asarray(value).dtype, name
        np.testing.assert_array_equal(b[name], value)


def assert_same_cells(a, b, approximated, name):
    """All cells, but for the values of fields, which may differ in the last bit."""
    if not approximated:
        np.testing.assert_array_equal(b, a, name)
        return
    assert a.dtype == b.dtype
    value = np.isfinite(a) & (np.abs(a.astype("f8")) < 998) if a.dtype.kind == "f" else a >= 0
    np.testing.assert_array_equal(b[~value], a[~value], name)
    np.testing.assert_allclose(b[value].astype("f8"), a[value], atol=1e-5, err_msg=name)


def test_a_netcdf_file_holds_what_the_source_held(source, tmp_path):
    spec, _ = decoded(source, tmp_path / "out.nc")
    fields = [v.name for v in spec.variables]
    with netCDF4.Dataset(source) as a, netCDF4.Dataset(tmp_path / "out.nc") as b:
        sizes = [{n: (len(d), d.isunlimited()) for n, d in file.dimensions.items()} for file in (a, b)]
        assert sizes[0] == sizes[1]
        assert list(a.variables) == list(b.variables)
        assert_same_attributes(attributes(a), attributes(b))
        for name, v in a.variables.items():
            w = b[name]
            assert (w.dimensions, str(w.datatype)) == (v.dimensions, str(v.datatype))
            assert_same_attributes(attributes(v), attributes(w))
            for each in (v, w):
                each.set_auto_maskandscale(False)
                each.set_auto_chartostring(False)
            assert_same_cells(np.asarray(v[...]), np.asarray(w[...]), name in fields, name)


@pytest.mark.filterwarnings("ignore")  # zarr has no specification of texts yet
def test_a_zarr_group_holds_what_the_source_held(source, tmp_path):
    pytest.importorskip("zarr")
    spec, _ = decoded(source, tmp_path / "out.zarr")
    fields = [v.name for v in spec.variables]
    with xr.open_dataset(source, decode_cf=False) as a, xr.open_zarr(tmp_path / "out.zarr", decode_cf=False) as b:
        assert set(a.variables) == set(b.variables)
        assert a.attrs.keys() == b.attrs.keys()
        for name, v in a.variables.items():
            w = b.variables[name]
            assert w.dims == v.dims
            assert w.attrs.keys() == v.attrs.keys()
            for key, value in v.attrs.items():  # JSON has no types of numbers
                np.testing.assert_array_equal(w.attrs[key], value)
            assert_same_cells(v.values, w.values.astype(v.dtype), name in fields, name)


def test_what_python_gets_is_what_xarray_opens(source, tmp_path):
    spec, dataset = decoded(source, tmp_path / "out.nc")
    try:
        expected = xr.open_dataset(source)
    except ValueError:  # xarray does not know the times
        expected = xr.open_dataset(source, decode_times=False)
    with expected:
        fields = [v.name for v in spec.variables]
        xr.testing.assert_identical(dataset.drop_vars(fields), expected.drop_vars(fields))
        xr.testing.assert_allclose(dataset[fields], expected[fields], atol=1e-5)


def test_what_python_gets_can_be_written_by_xarray_without_new_fill_values(source, tmp_path):
    if source.stem == "years":
        pytest.skip("xarray writes no times in these units")
    _, dataset = decoded(source, tmp_path / "out.npz")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.to_netcdf(tmp_path / "own.nc")
    with netCDF4.Dataset(source) as a, netCDF4.Dataset(tmp_path / "own.nc") as b:
        for name, v in b.variables.items():
            assert ("_FillValue" in v.ncattrs()) == ("_FillValue" in a[name].ncattrs()), name


def test_parts_keep_which_mark_a_cell_has(tmp_path):
    with grid(tmp_path / "a.nc") as file:
        marked(file)
    decoded(tmp_path / "a.nc", tmp_path / "part.nc", region={"lat": (0, 4), "lon": (1, 5)}, variables=["t"])
    decoded(tmp_path / "a.nc", tmp_path / "fine.nc", scale={"lon": 2})
    with netCDF4.Dataset(tmp_path / "part.nc") as part, netCDF4.Dataset(tmp_path / "fine.nc") as fine:
        assert set(part.variables) == {"t", "time", "lat", "lon"}
        for file in (part, fine):
            file["t"].set_auto_maskandscale(False)
        rows = gaps(VALUES, 1e20, -999, np.nan, np.inf)
        np.testing.assert_array_equal(
            part["t"][:, :4, :][rows[:, :4, 1:5] > 998], rows[:, :4, 1:5][rows[:, :4, 1:5] > 998]
        )
        np.testing.assert_array_equal(np.isnan(fine["t"][:, :, ::2]), np.isnan(rows))
        np.testing.assert_array_equal(fine["t"][:, :, ::2] == -999, rows == -999)


def test_datasets_in_memory_get_fill_values_where_cells_are_missing_alone(tmp_path):
    source = xr.Dataset({"t": (OVER, gaps(VALUES, np.nan)), "u": (OVER, VALUES)}, {"lat": np.arange(9.0)})
    decoded(source, tmp_path / "a.nc")
    with netCDF4.Dataset(tmp_path / "a.nc") as file:
        assert [name for name, v in file.variables.items() if "_FillValue" in v.ncattrs()] == ["t"]
    source["t"].encoding = {"_FillValue": np.float32(1e20), "missing_value": np.float32(-999)}
    signal = DatasetSignal.load(source)
    assert any("missing_value" in note for note in signal.notes)


def test_attributes_that_netcdf_lacks_become_text_and_are_named(tmp_path):
    source = xr.Dataset(
        {"t": (("y", "x"), VALUES[0])}, attrs={"kept": {"a": [1, None]}, "yes": True, "half": np.float16(1)}
    )
    signal = DatasetSignal.load(source)
    with pytest.warns(UserWarning, match="kept of the dataset as text"):
        signal.spec.write(knowing(signal), tmp_path / "a.nc")
    with netCDF4.Dataset(tmp_path / "a.nc") as file:
        assert attributes(file) == {"kept": '{"a": [1, null]}', "yes": 1, "half": 1.0}


def test_texts_keep_their_fill_value_where_the_format_has_one(tmp_path):
    with grid(tmp_path / "a.nc") as file:
        add(file, "t", VALUES, units="K", least_significant_digit=np.int64(2))
        file.createVariable("words", str, ("lat",), fill_value="none")[:4] = np.array(["a", "b", "", "é"], object)
        file.createDimension("length", 3)
        file.createVariable("letters", "S1", ("lat", "length"), fill_value=b"-")[:4] = b"x"
    decoded(tmp_path / "a.nc", tmp_path / "b.nc")
    with netCDF4.Dataset(tmp_path / "a.nc") as a, netCDF4.Dataset(tmp_path / "b.nc") as b:
        for name, v in a.variables.items():
            assert_same_attributes(attributes(v), attributes(b[name]))
        np.testing.assert_array_equal(b["words"][:], a["words"][:])
        np.testing.assert_array_equal(b["letters"][:].filled(), a["letters"][:].filled())
    signal = DatasetSignal.load(tmp_path / "a.nc")
    with pytest.warns(UserWarning, match="_FillValue of words left out"):
        signal.spec.write(knowing(signal), tmp_path / "b.zarr")
    with xr.open_zarr(tmp_path / "b.zarr") as b, xr.open_dataset(tmp_path / "a.nc", decode_cf=False) as a:
        assert b.words.values.tolist() == a.words.values.tolist()
        assert b.letters.dtype == "S3"


def test_integers_without_names_among_those_with_names(tmp_path):
    source = xr.Dataset({"t": (("y", "x"), VALUES[0]), "c": (("y",), np.arange(9, dtype="i1"))})
    source.c.encoding["dtype"] = np.dtype("i1", metadata={"enum": {"zero": 0, "one": 1}, "enum_name": "few"})
    signal = DatasetSignal.load(source)
    with pytest.warns(UserWarning, match="names of the integers of c left out"):
        signal.spec.write(knowing(signal), tmp_path / "a.nc")
    with netCDF4.Dataset(tmp_path / "a.nc") as file:
        np.testing.assert_array_equal(file["c"][:], np.arange(9))


def test_arrays_of_any_name(tmp_path):
    source = xr.Dataset({"file": (("y", "x"), VALUES[0]), "allow_pickle": (("y", "x"), VALUES[1])})
    decoded(source, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as arrays:
        assert set(arrays) == {"file", "allow_pickle"}
        np.testing.assert_allclose(arrays["file"], VALUES[0], atol=1e-5)
    with pytest.raises(InputError, match=r"a\.npz: the variable '\.\./\.\./x'"):
        decoded(source.rename(file="../../x"), tmp_path / "a.npz")


def test_no_partial_group_is_left_on_a_full_disk(tmp_path, monkeypatch):
    pytest.importorskip("zarr")
    whole, written = Path.write_bytes, []

    def full(path, data):
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        written.append(path)
        return whole(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"a\.zarr: cannot be written \(No space left"):
        decoded(xr.Dataset({"t": (OVER, VALUES), "u": (OVER, VALUES)}), tmp_path / "a.zarr")
    assert written
    assert list(tmp_path.iterdir()) == []


def test_the_golden_file_has_three_marks_and_a_steady_grid():
    from sinr_codec import codec

    golden = Path(__file__).parents[1] / "conformance/signals/dataset-gaps.sinr"
    cells = codec.decode(golden, decode_cf=False)["T2"].values
    assert (cells[:, 0, :3] == np.float32(1e20)).all()
    assert (cells[:, 1, 2:4] == -999).all()
    assert np.isnan(cells[1, 4, 4])
    assert np.count_nonzero((cells > 270) & (cells < 300)) == cells.size - 6 - 4 - 1
    part = codec.decode(golden, decode_cf=False, region={"Time": (1, 2), "x": (2, 5)})
    np.testing.assert_array_equal(part["T2"].values == -999, cells[1:, :, 2:5] == -999)
