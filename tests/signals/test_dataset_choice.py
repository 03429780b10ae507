"""Which variables a network represents, which are exact, and what is said of those that are neither."""

import warnings

import numpy as np
import pytest

from sinr_codec.errors import InputError
from sinr_codec.signals import registry
from sinr_codec.signals.base import Fields
from sinr_codec.signals.dataset import DatasetSignal, DatasetSpec

xr = pytest.importorskip("xarray")
netCDF4 = pytest.importorskip("netCDF4")

Y, X = np.mgrid[40:60:10j, -20:10:12j]
FIELD = (20 - 0.2 * Y).astype("f4")


def about(source, **options):
    """What a file says of a source, and the notes."""
    signal = DatasetSignal.load(source, **options)
    spec = DatasetSpec.from_header(signal.spec.to_header(), signal.spec.side)
    return spec.describe() | {"coordinates": spec.in_features}, " / ".join(signal.notes)


def curvilinear(lat, lon, y=Y, x=X, dims=("y", "x"), names=("a", "b")):
    """A field whose places are known by attributes alone."""
    data = {names[0]: (dims, y, lat), names[1]: (dims, x, lon), "t": (dims, np.broadcast_to(FIELD, y.shape))}
    return xr.Dataset(data)


@pytest.mark.parametrize(
    ("lat", "lon", "names"),
    [
        ({"units": "degrees_north"}, {"units": "degrees_east"}, ("gphit", "glamt")),
        ({"units": "degree_north"}, {"units": "degree_east"}, ("lat_rho", "lon_rho")),
        ({"units": "degreesN"}, {"units": "degreesE"}, ("p", "q")),
        ({"standard_name": "latitude"}, {"standard_name": "longitude"}, ("p", "q")),
        ({}, {}, ("gphit", "glamt")),
        ({"units": "degrees"}, {"units": "degrees"}, ("XLAT_M", "XLONG_M")),
        ({"long_name": "Latitude"}, {"long_name": "Longitude"}, ("p", "q")),
        ({"_CoordinateAxisType": "Lat"}, {"_CoordinateAxisType": "Lon"}, ("p", "q")),
    ],
)
def test_latitude_and_longitude_over_two_dimensions_are_exact_and_become_the_sphere(lat, lon, names):
    said, _ = about(curvilinear(lat, lon, names=names))
    assert said["variables"] == ["t"]
    assert said["exact"] == list(names)
    assert (said["sphere"], said["coordinates"]) == (True, 3)


def test_what_is_named_as_a_coordinate_is_exact():
    source = curvilinear({}, {})
    assert about(source)[0]["variables"] == ["a", "b", "t"]
    source["t"].attrs["coordinates"] = "b a"
    assert about(source)[0]["variables"] == ["t"]


def test_axes_of_other_names_become_the_sphere():
    places = {
        "y": ("y", Y[:, 0], {"axis": "Y", "units": "degrees"}),
        "x": ("x", X[0], {"axis": "X", "units": "degrees"}),
    }
    assert about(xr.Dataset({"t": (("y", "x"), FIELD)}, places))[0]["sphere"]
    for v in places.values():
        v[2]["units"] = "m"
    assert not about(xr.Dataset({"t": (("y", "x"), FIELD)}, places))[0]["sphere"]


def test_amounts_in_degrees_are_fields():
    source = xr.Dataset({"t": (("y", "x"), FIELD), "heat": (("y", "x"), FIELD, {"units": "W m-2"})})
    assert about(source.rename(heat="lat"))[0]["variables"] == ["t", "lat"]
    source["heat"].attrs = {"units": "degrees_east", "standard_name": "wind_from_direction"}
    assert about(source)[0]["variables"] == ["t", "heat"]


def test_a_grid_that_is_stored_for_each_time_leaves_time_an_axis():
    y, x = np.stack([Y] * 3), np.stack([X] * 3)
    source = curvilinear(
        {"units": "degree_north"}, {"units": "degree_east"}, y, x, ("Time", "y", "x"), ("XLAT", "XLONG")
    )
    source["t"] = source["t"] + np.arange(3.0)[:, None, None].astype("f4")
    signal = DatasetSignal.load(source)
    assert (signal.spec.in_features, signal.spec.describe()["sphere"]) == (4, True)
    coords, values = signal.batch(np.arange(len(signal)))
    spec = DatasetSpec.from_header(signal.spec.to_header(), signal.spec.side)
    table = {point.tobytes(): value for point, value in zip(coords, values)}
    fields = Fields([lambda points: np.stack([table[p.tobytes()] for p in points])], threads=1)
    decoded = spec.render(fields, region={"Time": (1, 3)}, decode_cf=False)
    np.testing.assert_allclose(decoded.t, source.t[1:], atol=1e-4)
    np.testing.assert_array_equal(decoded.XLAT, y[1:])


def test_places_that_move_with_time_are_no_sphere():
    y = np.stack([Y, Y + 1, Y + 2])
    source = curvilinear({"units": "degree_north"}, {"units": "degree_east"}, y, np.stack([X] * 3), ("Time", "y", "x"))
    assert not about(source)[0]["sphere"]
    ship = xr.Dataset(
        {"t": ("time", FIELD[:, 0]), "lat": ("time", Y[:, 0]), "lon": ("time", X[:10, 0])},
        {"time": ("time", np.arange(10.0), {"units": "days since 2000-01-01"})},
    )
    assert not about(ship)[0]["sphere"]
    assert about(ship.rename_dims(time="station").drop_vars("time"))[0]["sphere"]


def test_of_staggered_grids_the_one_with_most_values_is_the_sphere():
    source = curvilinear({"units": "degrees_north"}, {"units": "degrees_east"}, names=("lat_u", "lon_u"))
    rho = curvilinear(
        {"units": "degrees_north"}, {"units": "degrees_east"}, dims=("r", "s"), names=("lat_rho", "lon_rho")
    )
    source = source.merge(rho.rename(t="salt")).assign(heat=rho.t)
    signal = DatasetSignal.load(source)
    assert signal.spec.content.earth == ("lat_rho", "lon_rho")


@pytest.mark.parametrize("units", ["1", "ids", "index", "class", "category", ""])
def test_integers_that_are_codes_are_exact(units):
    codes = (np.arange(120, dtype="i4") // 7).reshape(10, 12)
    source = xr.Dataset({"t": (("y", "x"), FIELD), "basin": (("y", "x"), codes, {"units": units})})
    said, notes = about(source)
    assert said["exact"] == ["basin"]
    assert "stored exactly, not by the network: basin" in notes
    # alone, they are what there is to represent
    said, notes = about(source[["basin"]])
    assert said["variables"] == ["basin"]
    assert "integers that the network approximates: basin" in notes


def test_integers_that_are_amounts_are_named_and_exact_when_asked():
    height = (np.arange(120, dtype="i2") * 11).reshape(10, 12)
    source = xr.Dataset({"t": (("y", "x"), FIELD), "z": (("y", "x"), height, {"units": "m"})})
    said, notes = about(source)
    assert said["variables"] == ["t", "z"]
    assert "integers that the network approximates: z; keep some exact (--exact" in notes
    said, notes = about(source, exact=["z"])
    assert said["exact"] == ["z"]
    assert "approximates" not in notes
    with pytest.raises(InputError, match="no variable 'w'"):
        about(source, exact=["w"])


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """A file with variables that cannot be stored, beside one that can."""
    path = tmp_path_factory.mktemp("odd") / "odd.nc"
    with netCDF4.Dataset(path, "w") as file:
        for name, size in (("y", 10), ("x", 12), ("none", None)):
            file.createDimension(name, size)
        file.createVariable("t", "f4", ("y", "x"))[:] = FIELD
        lists = file.createVLType(np.int32, "lists")
        file.createVariable("ragged", lists, ("x",))
        pairs = file.createCompoundType(np.dtype([("a", "f4"), ("b", "i4")]), "pairs")
        file.createVariable("pair", pairs, ("x",))
        file.createVariable("empty", "f4", ("none", "x"))
        file.createVariable("big", "i8", ("y", "x")).units = "m"
        file["big"][:] = 2**60 + np.arange(120).reshape(10, 12)
        file.createVariable("log", "f4", ("y", "x"))[:] = np.where(X > 0, FIELD, -np.inf)
    return path


def test_variables_that_cannot_be_stored_are_left_out_and_named(odd):
    said, notes = about(odd)
    assert said["variables"] == ["t", "log"]
    assert said["exact"] == ["big"]
    for reason in (
        "ragged (elements of type lists",
        "pair (elements of type records)",
        "empty (no samples along none)",
    ):
        assert reason in notes
    assert "log: 80 cells hold -inf, and are stored exactly" in notes


def test_a_variable_that_cannot_be_stored_is_refused_by_name(odd):
    for name in ("ragged", "pair", "empty"):
        with pytest.raises(InputError, match=rf"odd\.nc: {name}: .*cannot be stored"):
            about(odd, variables=[name, "t"])
    assert about(odd, variables="t, log")[0]["variables"] == ["t", "log"]
    assert about(odd, without=["log,ragged", "big"])[0]["exact"] == []
    said, notes = about(odd, variables="t")
    assert (said["variables"], said["exact"], notes) == (["t"], [], "")
    assert "log" not in about(odd, without=["log", "ragged"])[0]["variables"]
    with pytest.raises(InputError, match=r"no variable to represent.*left out.*pair"):
        about(odd, without=["t", "log"])
    with pytest.raises(InputError, match="no variable 'nothing'"):
        about(odd, without=["nothing"])


def test_complex_numbers_are_left_out():
    source = xr.Dataset({"t": (("y", "x"), FIELD), "z": (("y", "x"), FIELD * 1j)})
    said, notes = about(source)
    assert said["variables"] == ["t"]
    assert "z (elements of type complex64)" in notes
    with pytest.raises(InputError, match=r"no variable to represent.*complex64"):
        about(source[["z"]])


def test_variables_over_a_dimension_twice_are_exact(tmp_path):
    with netCDF4.Dataset(tmp_path / "a.nc", "w") as file:
        file.createDimension("lat", 9)
        file.createVariable("t", "f4", ("lat",))[:] = np.arange(9.0)
        file.createVariable("cov", "f4", ("lat", "lat"))[:] = np.arange(81.0).reshape(9, 9)
    signal = DatasetSignal.load(tmp_path / "a.nc")
    assert [v.name for v in signal.spec.variables] == ["t"]
    fields = Fields([lambda points: np.zeros((len(points), 1), np.float32)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # xarray says that it can do little with such variables
        decoded = signal.spec.render(fields, region={"lat": (2, 5)})
    np.testing.assert_array_equal(decoded["cov"].values, np.arange(81.0).reshape(9, 9)[2:5, 2:5])


# -- groups ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def groups(tmp_path_factory):
    """The same tree of groups as a netCDF file and as Zarr; another one with groups alone."""
    folder = tmp_path_factory.mktemp("groups")
    one, two = xr.Dataset({"t": (("y", "x"), FIELD)}), xr.Dataset({"p": (("y", "x"), FIELD + 1)})
    tree = xr.DataTree.from_dict({"/": one, "/forecast": two, "/forecast/surface": two})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree.to_netcdf(folder / "tree.nc")
        tree.to_zarr(folder / "tree.zarr")
        xr.DataTree.from_dict({"/forecast/surface": two}).to_netcdf(folder / "alone.nc")
    return folder


@pytest.mark.parametrize("name", ["tree.nc", "tree.zarr"])
def test_groups_that_are_left_out_are_named_and_can_be_chosen(groups, name):
    if name.endswith(".zarr"):
        pytest.importorskip("zarr")
    said, notes = about(groups / name)
    assert said["variables"] == ["t"]
    assert "forecast, forecast/surface" in notes
    said, notes = about(groups / name, group="/forecast")
    assert said["variables"] == ["p"]
    assert "forecast/surface" in notes
    assert about(groups / name, group="forecast/surface")[1] == ""
    with pytest.raises(InputError, match="no group 'past'; expected forecast, forecast/surface"):
        about(groups / name, group="past")


def test_a_file_of_groups_alone_says_so(groups):
    with pytest.raises(InputError, match=r"alone\.nc: holds its variables in groups.*: forecast/surface"):
        about(groups / "alone.nc")
    assert about(groups / "alone.nc", group="forecast/surface")[0]["variables"] == ["p"]


def test_a_tree_in_memory_is_one_of_its_groups(groups):
    with xr.open_datatree(groups / "tree.nc") as tree:
        assert "forecast, forecast/surface" in about(tree)[1]
        assert about(tree, group="forecast")[0]["variables"] == ["p"]
        with pytest.raises(InputError, match="no group 'past'"):
            about(tree, group="past")
    with pytest.raises(InputError, match="group: expected a file or a DataTree"):
        about(xr.Dataset({"t": (("y", "x"), FIELD)}), group="past")


def test_formats_that_are_not_read_get_a_remedy(tmp_path):
    (tmp_path / "era5.grib").write_bytes(b"GRIB\0\0\0\2" + bytes(20))
    with pytest.raises(InputError, match=r"era5\.grib: GRIB is not read; convert it"):
        registry.load(tmp_path / "era5.grib")


def test_hdf5_files_are_datasets(odd, tmp_path):
    for name in ("a.h5", "a.HDF5", "a.he5"):
        (tmp_path / name).write_bytes(odd.read_bytes())
        assert registry.kind_of(tmp_path / name).name == "dataset"
        assert about(tmp_path / name)[0]["variables"] == ["t", "log"]


@pytest.mark.parametrize(
    ("attrs", "dtype", "exact"),
    [
        ({"valid_range": np.int16([0, 100])}, "i2", True),
        ({"valid_min": np.int16(0), "valid_max": np.int16(100)}, "i2", True),
        ({"valid_max": np.float32(100)}, "f4", True),
        ({"valid_range": [0.0, 100.0]}, "i2", False),  # it may be about unpacked numbers
        ({"valid_range": [0.0, 100.0, 200.0]}, "f4", False),
        ({"valid_range": "0 100"}, "f4", False),
        ({}, "f4", False),
    ],
)
def test_a_few_numbers_out_of_the_valid_range_are_exact(attrs, dtype, exact):
    values = (np.arange(120) % 90).reshape(10, 12).astype(dtype)
    values[2, 3:6], values[4, 4] = 201, 202
    source = xr.Dataset({"t": (("y", "x"), values, {"units": "K", **attrs})})
    signal = DatasetSignal.load(source)
    assert (signal.spec.variables[0].levels.high < 100) == exact
    assert ("t: 3 cells hold 201, and are stored exactly" in signal.notes) == exact
    low = Fields([lambda points: np.full((len(points), 1), -1, np.float32)], threads=1)
    decoded = signal.spec.render(low, decode_cf=False).t.values
    assert ((decoded == values)[values > 200].all()) == exact


def test_many_numbers_out_of_the_valid_range_are_values():
    values = np.arange(120.0).reshape(10, 12)
    source = xr.Dataset({"t": (("y", "x"), values, {"valid_max": 100.0})})
    assert DatasetSignal.load(source).spec.variables[0].levels.high == 119


def test_what_is_too_large_to_be_exact_is_named(monkeypatch):
    monkeypatch.setattr("sinr_codec.signals.dataset_choice.MOST_BYTES", 100)
    source = xr.Dataset({"t": (("y", "x"), FIELD), "mask": (("y", "x"), FIELD > 0)})
    with pytest.raises(InputError, match=r"120 bytes are to be stored exactly.*\(--without, without=\), such as mask"):
        DatasetSignal.load(source)


def test_names_that_are_no_text_become_text():
    signal = DatasetSignal.load(xr.Dataset({1: (("y", 2), FIELD)}))
    assert signal.spec.describe()["variables"] == ["1"]
    assert signal.spec.dims == ("y", "2")


def test_floats_that_are_codes_are_exact():
    codes = (np.arange(120, dtype="f4") // 7).reshape(10, 12)
    source = xr.Dataset({"t": (("y", "x"), FIELD), "LU_INDEX": (("y", "x"), codes, {"units": ""})})
    assert about(source)[0]["exact"] == ["LU_INDEX"]
    assert about(source.rename(LU_INDEX="mask"))[0]["exact"] == ["mask"]
    source["LU_INDEX"] += 0.5
    assert about(source)[0]["exact"] == []
    source["whole"] = (("y", "x"), codes, {"units": "K"})
    source["rain"] = (("y", "x"), codes)
    assert about(source)[0]["exact"] == []
