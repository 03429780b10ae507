import dataclasses
import math
import subprocess
import sys
import tracemalloc
import warnings
from functools import partial

import brotli
import cbor2
import numpy as np
import pytest

from sinr_codec import codec, container
from sinr_codec.coding.varint import Reader, write_varint
from sinr_codec.errors import FormatError, InputError, LimitError, MalformedError, SinrError, UnknownIdError
from sinr_codec.signals import dataset
from sinr_codec.signals.base import Fields
from sinr_codec.signals.dataset import MISSING, DatasetSignal, DatasetSpec
from sinr_codec.signals.lossless import pack, unpack, write_mask

xr = pytest.importorskip("xarray")
pytest.importorskip("netCDF4")

ERA, TOS = "geo/eraint_uvz.nc", "geo/tos_O1_2001-2002.nc"


def waves(*shape):
    """A smooth field in [-1, 1]."""
    axes = np.meshgrid(*(np.linspace(0, 3 + i, n) for i, n in enumerate(shape)), indexing="ij")
    return np.sin(sum((i + 1) * a for i, a in enumerate(axes)))


def climate(masked=True):
    """Two variables on a global grid, one packed and with gaps, beside everything that a dataset may hold."""
    lat, lon = np.linspace(-85, 85, 9), np.arange(0, 360, 30.0)
    sst = 290 + 8 * waves(4, 9, 12)
    if masked:
        sst[:, 2:5, 3:7] = np.nan
    dataset = xr.Dataset(
        {
            "sst": (("time", "lat", "lon"), sst, {"units": "K", "valid_range": np.array([271.0, 310.0], np.float32)}),
            "wind": (("time", "lat", "lon"), waves(4, 9, 12).astype(np.float32), {"units": "m s-1"}),
            "flag": (("lat", "lon"), np.arange(108, dtype=np.int8).reshape(9, 12) % 3, {"flag_values": [0, 1, 2]}),
            "label": (("time",), np.array(["a", "bc", "", "Ünicode"], object)),
            "crs": ((), np.int32(7), {"grid_mapping_name": "latitude_longitude"}),
            "late": (("time",), np.array([True, False, True, True])),
        },
        coords={
            "time": np.array(["2001-01-16T12", "2001-02-15", "2001-03-16T12", "2001-04-16"], "M8[ns]"),
            "lat": ("lat", lat, {"units": "degrees_north", "standard_name": "latitude"}),
            "lon": ("lon", lon, {"units": "degrees_east"}),
            "area": (("lat", "lon"), np.outer(np.cos(np.radians(lat)), np.ones(12))),
            "height": ((), 2.0),
        },
        attrs={"title": "test", "version": np.int16(3), "weights": np.array([0.25, 0.75]), "nothing": float("nan")},
    )
    dataset.sst.encoding = {"dtype": "int16", "scale_factor": 0.01, "add_offset": 280.0, "_FillValue": np.int16(-999)}
    dataset.time.encoding = {"units": "hours since 1900-01-01", "calendar": "standard", "dtype": "int32"}
    dataset.encoding["unlimited_dims"] = {"time"}
    return dataset


def exact(signal):
    """A network that knows every sample of the signal, and -1 elsewhere."""
    coords, values = signal.batch(np.arange(len(signal)))
    table = {point.tobytes(): value for point, value in zip(coords, values)}
    other = -np.ones(signal.out_features, np.float32)
    return lambda points: np.stack([table.get(point.tobytes(), other) for point in points])


def flat(signal, value=0.0):
    return lambda points: np.full((len(points), signal.out_features), value, np.float32)


def render(spec, apply, **options):
    limits = {k: options.pop(k) for k in ("max_samples", "tile") if k in options}
    return spec.render(Fields([apply], threads=1, **limits), **options)


def reread(signal):
    spec = DatasetSpec.from_header(signal.spec.to_header(), signal.spec.side)
    assert spec == signal.spec
    return spec


# -- the same dataset comes back ---------------------------------------------------------------------------


def test_a_dataset_comes_back_with_coordinates_attributes_and_encodings():
    source = climate()
    signal = DatasetSignal.load(source)
    decoded = render(reread(signal), exact(signal), tile=50)
    # sst is packed, so it comes back as unpacking the stored numbers gives it
    packed = source.assign(sst=(np.round((source.sst - 280) / 0.01) * 0.01 + 280).assign_attrs(source.sst.attrs))
    xr.testing.assert_allclose(decoded, packed, rtol=1e-6)
    xr.testing.assert_identical(decoded.drop_vars(["sst", "wind"]), source.drop_vars(["sst", "wind"]))
    assert decoded.sst.attrs.keys() == source.sst.attrs.keys()
    assert decoded.attrs["version"].dtype == np.int16
    assert decoded.wind.dtype == np.float32
    assert decoded.sst.dims == ("time", "lat", "lon")
    for key, value in source.sst.encoding.items():
        assert decoded.sst.encoding[key] == value
    assert decoded.time.encoding["units"] == "hours since 1900-01-01"
    assert decoded.time.encoding["dtype"] == np.int32
    assert decoded.encoding["unlimited_dims"] == {"time"}
    assert {"area", "height"} <= set(decoded.coords)


def test_what_goes_to_the_network_and_what_does_not():
    signal = DatasetSignal.load(climate())
    about = signal.spec.describe()
    assert about["variables"] == ["sst", "wind"]
    assert set(about["exact"]) == {"flag", "label", "crs", "late", "time", "lat", "lon", "area", "height"}
    assert (about["dims"], about["shape"]) == (["time", "lat", "lon"], [4, 9, 12])
    assert about["masked"] == ["sst"]
    assert any("flag" in note for note in signal.notes)
    assert (signal.spec.in_features, signal.spec.out_features) == (4, 2)
    assert signal.spec.samples == 4 * 9 * 12
    # int16 and float32 fields; the rest in the dtype they are stored in
    assert signal.source_bytes > 4 * 9 * 12 * 6


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_files_hold_the_same_as_objects(tmp_path, suffix):
    source = climate()
    path = tmp_path / f"data{suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source.to_netcdf(path) if suffix == ".nc" else source.to_zarr(path)
        expected = xr.open_dataset(path, engine="zarr" if suffix == ".zarr" else None).load()
    signal = DatasetSignal.load(path)
    spec = reread(signal)
    decoded = render(spec, exact(signal))
    fields = [v.name for v in spec.variables]
    xr.testing.assert_identical(decoded.drop_vars(fields), expected.drop_vars(fields))
    xr.testing.assert_allclose(decoded, expected, rtol=1e-6)
    again = tmp_path / f"again{suffix}"
    spec.save(decoded, again)
    second = DatasetSignal.load(again, like=spec)
    assert [v.name for v in second.spec.variables] == fields
    assert second.quality(lambda **o: render(spec, exact(signal), **o)).db > 120


def test_a_nameless_array_is_stored_too():
    source = xr.DataArray(waves(6, 7), dims=("y", "x"))
    signal = DatasetSignal.load(source)
    assert any("no name" in note for note in signal.notes)
    decoded = render(reread(signal), exact(signal))
    np.testing.assert_allclose(decoded["data"].values, source.values, atol=1e-7)
    assert signal.in_features == 2


def test_variables_over_different_dimensions_share_the_network():
    source = climate()
    source["temperature"] = (("time", "level", "lat", "lon"), 250 + waves(4, 3, 9, 12))
    source["zonal"] = (("time", "lat"), waves(4, 9))
    signal = DatasetSignal.load(source)
    spec = reread(signal)
    assert spec.dims == ("time", "level", "lat", "lon")
    assert spec.describe()["variables"] == [
        "sst(time, lat, lon)",
        "wind(time, lat, lon)",
        "temperature",
        "zonal(time, lat)",
    ]
    assert (spec.in_features, spec.out_features) == (5, 4)
    assert len(signal) == 432 + 3 * 432 + 36
    decoded = render(spec, exact(signal), tile=64)
    np.testing.assert_allclose(decoded.temperature, source.temperature, rtol=1e-6)
    np.testing.assert_allclose(decoded.zonal, source.zonal, atol=1e-6)
    coords, values = signal.batch(np.arange(len(signal)))
    # each sample has values of the variables that live there, and of no other
    assert (np.count_nonzero(values == MISSING, axis=1) >= 2).all()
    assert np.abs(coords).max() <= 1


def test_small_variables_are_exact():
    source = climate()
    source["profile"] = (("level",), np.array([3.14, 2.72, 1.41]))
    source["big"] = (("a", "b"), waves(64, 64))
    signal = DatasetSignal.load(source)
    assert "profile" in signal.spec.describe()["exact"]
    np.testing.assert_array_equal(render(signal.spec, flat(signal))["profile"], source["profile"])


def test_unsigned_packing_is_no_jump_in_the_field():
    stored = np.linspace(0, 255, 60).astype(np.uint8).view(np.int8).reshape(6, 10)
    raw = xr.Dataset({"b": (("y", "x"), stored, {"_Unsigned": "true", "units": "1"})})
    signal = DatasetSignal.load(raw)
    _, values = signal.batch(np.arange(60))
    assert (np.diff(values[:, 0]) > 0).all()
    np.testing.assert_array_equal(render(reread(signal), exact(signal), decode_cf=False)["b"], stored)


def test_times_of_other_calendars(data_file):
    path = data_file(TOS)
    expected = xr.open_dataset(path)
    signal = DatasetSignal.load(path)
    decoded = render(reread(signal), flat(signal), region={"lat": (0, 5), "lon": (0, 5)})
    assert decoded.time.equals(expected.time)
    assert decoded.time_bnds.equals(expected.time_bnds)
    assert decoded.time.encoding["calendar"] == "360_day"
    assert len(signal.spec.side) < 2000


def test_real_packed_fields(data_file):
    path = data_file(ERA)
    signal = DatasetSignal.load(path)
    assert signal.source_bytes == 4_167_384
    assert signal.spec.describe()["dtype"] == "int16"
    decoded = render(signal.spec, flat(signal), region={"latitude": (10, 14), "longitude": (7, 9)}, variables="u")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = xr.open_dataset(path)["u"].isel(latitude=slice(10, 14), longitude=slice(7, 9))
    assert decoded.u.dtype == expected.dtype
    assert decoded.u.attrs == expected.attrs
    assert set(decoded) == {"u"}
    assert decoded.latitude.identical(expected.latitude)
    assert {k: decoded.u.encoding[k] for k in ("dtype", "scale_factor", "add_offset")} == {
        k: expected.encoding[k] for k in ("dtype", "scale_factor", "add_offset")
    }


# -- missing values ----------------------------------------------------------------------------------------


def test_masks_are_exact_whatever_the_network_says():
    source = climate()
    signal = DatasetSignal.load(source)
    for value in (0.0, 7.0, np.nan):
        decoded = render(reread(signal), flat(signal, value))
        np.testing.assert_array_equal(np.isnan(decoded.sst), np.isnan(source.sst))
        assert not np.isnan(decoded.wind).any()
    raw = render(signal.spec, flat(signal), decode_cf=False)
    assert (raw.sst.values == -999).sum() == np.isnan(source.sst.values).sum()
    assert raw.sst.dtype == np.int16


def test_missing_values_are_never_trained_on():
    source = climate().drop_vars("wind")
    signal = DatasetSignal.load(source)
    assert len(signal) == np.isfinite(source.sst.values).sum()
    _, values = signal.batch(np.arange(len(signal)))
    assert np.abs(values).max() <= 1
    assert np.ptp(values) == pytest.approx(2, abs=1e-6)


def test_a_value_missing_beside_others_does_not_count():
    signal = DatasetSignal.load(climate())
    _, values = signal.batch(np.arange(len(signal)))
    assert len(signal) == 432
    gaps = values[:, 0] == MISSING
    assert gaps.sum() == 4 * 3 * 4
    guess = np.zeros_like(values)
    wrong = guess + gaps[:, None] * [[50.0, 0.0]]
    assert signal.loss(wrong, values) == pytest.approx(signal.loss(guess, values))
    error = signal.objective(None, 0)
    assert error(exact(signal), 100) < 1e-12
    worse = exact(signal)
    assert error(lambda c: np.where(worse(c) == MISSING, -1, worse(c)), 100) < 1e-12


def test_loss_is_that_of_torch():
    torch = pytest.importorskip("torch")
    signal = DatasetSignal.load(climate())
    _, values = signal.batch(np.arange(50))
    guess = np.full_like(values, 0.1)
    assert float(signal.loss(torch.from_numpy(guess), torch.from_numpy(values))) == pytest.approx(
        float(signal.loss(guess, values))
    )


def test_masks_that_change_with_time():
    source = climate(masked=False)
    values = source.sst.values
    for t in range(4):
        values[t, : t + 1] = np.nan
    signal = DatasetSignal.load(source)
    assert [gap.dims for gap in signal.spec.variables[0].gaps] == [("time", "lat")]
    decoded = render(reread(signal), flat(signal))
    np.testing.assert_array_equal(np.isnan(decoded.sst), np.isnan(source.sst))


def test_shared_masks_are_stored_once():
    source = xr.Dataset()
    gaps = np.random.default_rng(0).random((60, 60)) < 0.5
    for name in "abcd":
        source[name] = (("y", "x"), np.where(gaps, np.nan, waves(60, 60)))
    sizes = [len(DatasetSignal.load(source[list(names)]).spec.side) for names in ("a", "abcd")]
    assert sizes[1] - sizes[0] < 60 * 60 / 8 / 2


def test_unmarked_fill_values_are_exact_if_they_are_few():
    values = waves(10, 10)
    values[3, 3:5] = 1e20
    signal = DatasetSignal.load(xr.DataArray(values, dims=("y", "x"), name="t"))
    assert "t: 2 cells hold 1e+20, and are stored exactly" in signal.notes
    assert signal.spec.variables[0].levels.high < 2
    np.testing.assert_array_equal(render(reread(signal), flat(signal)).t.values == 1e20, values == 1e20)
    values[5] = 1e16 + 1e14 * np.arange(10)
    notes = DatasetSignal.load(xr.DataArray(values, dims=("y", "x"), name="t")).notes
    assert any("_FillValue" in note for note in notes)


# -- coordinates -------------------------------------------------------------------------------------------


def test_global_grids_lie_on_the_sphere():
    signal = DatasetSignal.load(climate())
    coords, _ = signal.batch(np.arange(len(signal)))
    np.testing.assert_allclose(np.unique(coords[:, 0]), [-0.75, -0.25, 0.25, 0.75])
    np.testing.assert_allclose(np.linalg.norm(coords[:, 1:], axis=1), 1, atol=0.01)
    # lat -85, lon 0: near the south pole
    np.testing.assert_allclose(coords[0, 1:], [np.cos(np.radians(85)), 0, -np.sin(np.radians(85))], atol=0.01)


def test_regions_fill_the_domain():
    lat, lon = np.linspace(47, 55, 20), np.linspace(6, 15, 30)
    source = xr.DataArray(waves(20, 30), {"lat": lat, "lon": lon}, ("lat", "lon"), name="t")
    coords, _ = DatasetSignal.load(source).batch(np.arange(600))
    assert coords.max() == pytest.approx(1)
    assert coords.min() == pytest.approx(-1)


def test_curvilinear_grids_and_lists_of_stations():
    a, b = np.meshgrid(np.linspace(40, 60, 8), np.linspace(-20, 10, 9), indexing="ij")
    attrs = ({"standard_name": "latitude"}, {"standard_name": "longitude"})
    for dims, shape in ((("y", "x"), (8, 9)), (("station",), (72,))):
        place = {n: (dims, v.reshape(shape), k) for n, v, k in zip(("nav_lat", "nav_lon"), (a + 0.1 * b, b), attrs)}
        source = xr.Dataset({"t": (("time", *dims), waves(2, *shape))}, coords=place)
        signal = DatasetSignal.load(source)
        assert signal.in_features == 4
        decoded = render(reread(signal), exact(signal), region={dims[-1]: (2, 5)})
        assert decoded.drop_vars("t").identical(source.drop_vars("t").isel({dims[-1]: slice(2, 5)}))
        np.testing.assert_allclose(decoded.t, source.t.isel({dims[-1]: slice(2, 5)}), atol=1e-6)
        with pytest.raises(InputError, match="not axes"):
            render(signal.spec, flat(signal), scale=2)


def test_latitude_and_longitude_as_axes_when_asked():
    signal = DatasetSignal.load(climate(), sphere=False)
    spec = reread(signal)
    assert spec.in_features == 3
    assert not spec.describe()["sphere"]
    assert DatasetSignal.load(climate(), like=spec).spec == spec
    np.testing.assert_allclose(
        spec.coords(time=np.datetime64("2001-02-15"), lat=-85.0, lon=330.0), [-0.25, 1 / 9 - 1, 1 - 1 / 12], atol=1e-6
    )


@pytest.mark.parametrize(
    ("name", "standard_name", "sphere"),
    [
        ("t2m", None, True),
        ("u10", None, False),
        ("u", "air_temperature", True),
        ("w", "northward_wind", False),
        ("tau", "surface_downward_eastward_stress", False),
    ],
)
def test_components_of_vectors_are_not_put_on_the_sphere(name, standard_name, sphere):
    source = climate()[["wind"]].rename(wind=name)
    source[name].attrs |= {"standard_name": standard_name} if standard_name else {}
    signal = DatasetSignal.load(source)
    assert signal.spec.describe()["sphere"] == sphere
    assert reread(signal).in_features == (4 if sphere else 3)


def test_points_by_place_and_time():
    source = climate()
    signal = DatasetSignal.load(source)
    spec = reread(signal)
    where = spec.coords(time=source.time.values[[1, 3]], lat=source.lat.values[[0, 8]], lon=np.array([30.0, 60.0]))
    values = spec.physical(exact(signal)(where))
    np.testing.assert_allclose(values["wind"], source.wind.values[[1, 3], [0, 8], [1, 2]], atol=1e-6)
    np.testing.assert_allclose(values["sst"], source.sst.values[[1, 3], [0, 8], [1, 2]], atol=0.01)
    # halfway between two times, as a date or as the stored number
    half = source.time.values[0] + (source.time.values[1] - source.time.values[0]) / 2
    assert spec.coords(time=half, lat=0, lon=0)[0] == pytest.approx(-0.5)
    assert spec.coords(time=half, lat=0, lon=360).shape == (4,)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"lat": 0, "lon": 0}, "time"),
        ({"time": 885_000, "lon": 0}, "lat"),
        ({"time": 0, "lat": 0, "lon": 0}, "expected values from"),
        ({"time": "x", "lat": 0, "lon": 0}, "expected numbers"),
        ({"time": np.datetime64("2001-02-15"), "lat": 0, "lon": 0, "level": 1}, "unknown level"),
    ],
)
def test_points_that_are_no_points(where, message):
    spec = DatasetSignal.load(climate()).spec
    with pytest.raises(InputError, match=message):
        spec.coords(**where)


# -- parts and resolutions ---------------------------------------------------------------------------------


def test_regions_are_those_of_the_whole():
    source = climate()
    signal = DatasetSignal.load(source)
    whole = render(signal.spec, exact(signal))
    part = render(signal.spec, exact(signal), region={"time": (1, 3), "lon": (4, 5)}, variables=["sst", "flag"])
    assert part.identical(whole.isel(time=slice(1, 3), lon=slice(4, 5))[["sst", "flag"]])
    listed = render(signal.spec, exact(signal), region=[(1, 3), (0, 9), (4, 5)])
    assert listed.sst.identical(part.sst)


def test_a_finer_grid_keeps_the_samples_and_closes_the_circle():
    source = climate()
    signal = DatasetSignal.load(source)
    fine = render(signal.spec, exact(signal), scale=2)
    assert dict(fine.sst.sizes) == {"time": 4, "lat": 17, "lon": 24}
    np.testing.assert_allclose(fine.lon, np.arange(0, 360, 15.0))
    np.testing.assert_allclose(fine.lat[::2], source.lat)
    np.testing.assert_allclose(fine.wind[:, ::2, ::2], source.wind, atol=1e-6)
    np.testing.assert_array_equal(np.isnan(fine.sst[:, ::2, ::2]), np.isnan(source.sst))
    assert fine.lat.attrs == source.lat.attrs
    assert "area" not in fine.variables
    slow = render(signal.spec, flat(signal), scale={"time": 3})
    assert slow.sizes["time"] == 10
    assert slow.time.values[3] == source.time.values[1]
    coarse = render(signal.spec, exact(signal), scale=0.5)
    np.testing.assert_allclose(coarse.wind, source.wind[:, ::2, ::2], atol=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"variables": "nothing"},
        {"region": {"depth": (0, 1)}},
        {"region": {"lat": (3, 3)}},
        {"region": {"lat": (0, 10)}},
        {"region": {"lat": 3}},
        {"region": [(0, 1)] * 9},
        {"region": (0, 0, 2, 2)},
        {"scale": 0},
        {"scale": "two"},
        {"scale": (1, 2)},
        {"scale": {"lat": float("nan")}},
        {"scale": {"depth": 2}},
    ],
)
def test_renderings_that_are_refused(options):
    signal = DatasetSignal.load(climate())
    with pytest.raises(InputError):
        render(signal.spec, flat(signal), **options)


def test_renderings_beyond_the_limit():
    signal = DatasetSignal.load(climate())
    with pytest.raises(LimitError):
        render(signal.spec, flat(signal), max_samples=500)
    with pytest.raises(LimitError):
        render(signal.spec, flat(signal), scale=1e6, max_samples=10_000)
    with pytest.raises(LimitError):
        render(signal.spec, flat(signal), scale=2e9)


# -- quality and files -------------------------------------------------------------------------------------


def test_quality_is_over_each_range_and_the_values_that_are_there():
    source = climate()
    signal = DatasetSignal.load(source)
    best = exact(signal)
    quality = signal.quality(lambda **options: render(signal.spec, lambda c: best(c) * [0.9, 1.0], **options))
    assert quality.figures["wind.psnr_db"] > 120
    sst = render(signal.spec, lambda c: best(c) * [0.9, 1.0])["sst"].values
    truth = render(signal.spec, best)["sst"].values
    known = np.isfinite(truth)
    span = np.ptp(truth[known])
    expected = np.mean((sst[known] - truth[known]) ** 2) / span**2
    assert quality.figures["sst.psnr_db"] == pytest.approx(-10 * np.log10(expected), abs=1e-6)
    assert quality.figures["sst.max_error"] == pytest.approx(np.abs(sst - truth)[known].max())
    assert quality.figures["sst.mean_error"] == pytest.approx(np.abs(sst - truth)[known].mean())
    assert quality.units["sst.max_error"] == source["sst"].attrs["units"]
    assert quality.leading()[0][0] in ("sst.max error", "wind.max error")
    share = known.sum() / (known.sum() + 432)
    assert quality.db == pytest.approx(-10 * np.log10(expected * share), abs=1e-3)
    # what the fit and the plan minimise is that
    assert signal.objective(None, 0)(lambda c: best(c) * [0.9, 1.0], 64) == pytest.approx(10 ** (-quality.db / 10))


@pytest.mark.parametrize("block", [1, 5, 1000])
def test_quality_is_the_same_in_blocks_of_any_size(monkeypatch, block):
    source = climate()
    source["zonal"] = (("time", "lat"), waves(4, 9))
    signal = DatasetSignal.load(source)
    decode = lambda **options: render(signal.spec, flat(signal, 0.1), **options)  # noqa: E731
    whole = signal.quality(decode)
    monkeypatch.setattr(dataset, "_BLOCK", block)
    again = signal.quality(decode)
    assert again.db == pytest.approx(whole.db)
    assert again.figures == pytest.approx(whole.figures)


def test_quality_of_long_series_takes_few_steps(monkeypatch):
    signal = DatasetSignal.load(xr.DataArray(waves(200_000), dims=("x",), name="t"))
    decoded = render(signal.spec, flat(signal), decode_cf=False)
    maxima = []

    class Counting(np.ndarray):
        def __getitem__(self, item):
            maxima.append(item)
            return super().__getitem__(item)

    signal.stored = {"t": signal.stored["t"].view(Counting)}
    signal.quality(lambda **options: decoded)
    assert len(maxima) < 20


def test_quality_against_another_dataset():
    signal = DatasetSignal.load(climate())
    other = DatasetSignal.load(climate().rename(wind="gust"))
    with pytest.raises(InputError, match="gust"):
        other.quality(lambda **options: render(signal.spec, flat(signal), **options))
    with pytest.raises(InputError, match="wind"):
        DatasetSignal.load(climate().rename(wind="gust"), like=signal.spec)


def test_pictures_and_arrays(tmp_path):
    from PIL import Image

    source = climate()
    signal = DatasetSignal.load(source)
    decoded = render(signal.spec, exact(signal))
    signal.spec.save(decoded, tmp_path / "maps.png")
    with Image.open(tmp_path / "maps.png") as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert pixels.shape == (2 * (14 + 9), 12, 3)
    grey = (pixels[14:23] == 190).all(-1)
    # latitudes rise, so that north is drawn at the top
    np.testing.assert_array_equal(grey, np.isnan(source.sst.values[0])[::-1])
    signal.spec.save(decoded, tmp_path / "arrays.npz")
    with np.load(tmp_path / "arrays.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["sst"], decoded.sst)
        assert arrays["label"].tolist() == ["a", "bc", "", "Ünicode"]
    with pytest.raises(InputError, match=r"\.nc, \.zarr"):
        signal.spec.save(decoded, tmp_path / "data.csv")
    signal.spec.save(decoded, tmp_path / "data.zarr")
    with pytest.raises(InputError, match="exists"):
        signal.spec.save(decoded, tmp_path / "data.zarr")
    with pytest.raises(InputError, match="does not exist"):
        signal.spec.save(decoded, tmp_path / "none" / "data.zarr")
    assert "sst, wind over time 4" in signal.spec.summary(decoded)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["arrays.npz", "data.zarr", "maps.png"]


def test_packed_numbers_survive_decoding_and_saving(tmp_path):
    source = climate()
    signal = DatasetSignal.load(source)
    best = exact(signal)
    signal.spec.save(render(signal.spec, best), tmp_path / "out.nc")
    raw = xr.open_dataset(tmp_path / "out.nc", decode_cf=False)
    np.testing.assert_array_equal(raw.sst, render(signal.spec, best, decode_cf=False).sst)


# -- inputs that are refused -------------------------------------------------------------------------------


def test_files_that_are_no_datasets(tmp_path):
    (tmp_path / "empty.nc").touch()
    (tmp_path / "text.nc").write_text("no netCDF at all")
    (tmp_path / "folder.zarr").mkdir()
    good = tmp_path / "good.nc"
    climate().to_netcdf(good)
    (tmp_path / "cut.nc").write_bytes(good.read_bytes()[:900])
    for name in ("none.nc", "empty.nc", "text.nc", "folder.zarr", "cut.nc"):
        with pytest.raises(InputError, match=name):
            DatasetSignal.load(tmp_path / name)


def test_files_that_declare_more_than_they_hold(tmp_path, monkeypatch):
    path = tmp_path / "classic.nc"
    xr.DataArray(waves(10, 12), dims=("y", "x"), name="t").to_netcdf(path, format="NETCDF3_CLASSIC")
    good = path.read_bytes()
    DatasetSignal.load(path)
    size = (10).to_bytes(4, "big")
    place = good.index(b"\0\0\0\1y\0\0\0" + size) + 8
    path.write_bytes(good[:place] + (30_000_000).to_bytes(4, "big") + good[place + 4 :])
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"classic\.nc: declares [0-9,]+ bytes, which the file cannot hold"):
            DatasetSignal.load(path)
        assert tracemalloc.get_traced_memory()[1] < 50e6
    finally:
        tracemalloc.stop()
    monkeypatch.setattr("sinr_codec.signals.dataset_files._MOST_BYTES", 500)
    for name in ("large.nc", "large.zarr"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            large = climate()
            large.to_netcdf(tmp_path / name) if name.endswith(".nc") else large.to_zarr(tmp_path / name)
        with pytest.raises(InputError, match="expected at most 500"):
            DatasetSignal.load(tmp_path / name)


def ragged(**attrs):
    stored = np.arange(12, dtype=np.int16).reshape(3, 4)
    return xr.Dataset({"t": (("y", "x"), stored, {"units": "K", **attrs})})


def test_numbers_that_are_no_numbers(tmp_path):
    for attrs in ({"scale_factor": [[1.0], [1.0, 2.0]]}, {"missing_value": np.ones((2, 2))}):
        with pytest.raises(InputError, match=f"t, attribute {next(iter(attrs))}: expected a number"):
            DatasetSignal.load(ragged(**attrs))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (lambda: xr.DataArray(np.zeros((1,) * 33), name="t").expand_dims({"n": [0, 1]}), "at most 32 dimensions"),
        (lambda: climate().assign_attrs(deep=[[[[[[[[[1]]]]]]]]]), "nested too deep"),
        (lambda: climate().assign_attrs(wide=np.zeros((1,) * 9)), "at most 8 axes"),
        (lambda: xr.Dataset(), "no variable to represent"),
        (lambda: climate()[["flag", "label"]], "no variable to represent"),
        (lambda: xr.DataArray(np.full((4, 4), np.nan), dims=("y", "x"), name="t"), "no variable to represent"),
        (lambda: xr.DataArray(np.full((2, 4), np.inf), dims=("y", "x"), name="t"), "no variable to represent"),
        (lambda: xr.DataArray(np.zeros((0, 4)), dims=("y", "x"), name="t"), "no samples"),
        (lambda: xr.DataArray(np.zeros((3, 4), complex), dims=("y", "x"), name="t"), "complex128"),
        (lambda: climate().assign_attrs(when=object()), "found object"),
        (lambda: np.zeros((3, 4)), "expected a file"),
    ],
)
def test_objects_that_are_refused(source, message):
    with pytest.raises(InputError, match=message):
        DatasetSignal.load(source())


def test_some_variables_alone():
    signal = DatasetSignal.load(climate(), variables=["wind"])
    assert [v.name for v in signal.spec.variables] == ["wind"]
    assert {"lat", "lon", "time"} <= set(signal.spec.describe()["exact"])
    with pytest.raises(InputError, match="nothing"):
        DatasetSignal.load(climate(), variables=["nothing"])


# -- headers and side sections that are refused ------------------------------------------------------------


@pytest.mark.parametrize("header", [None, [], ["3"], [True], [3, 0], [3.0], {"id": 3}])
def test_headers_that_are_refused(header):
    side = DatasetSignal.load(climate()).spec.side
    with pytest.raises(MalformedError):
        DatasetSpec.from_header(header, side)


def test_another_id():
    with pytest.raises(UnknownIdError):
        DatasetSpec.from_header([2], b"")


def meta_of(side):
    reader = Reader(unpack(side, "side"), "side")
    meta = cbor2.loads(bytes(reader.take(reader.varint())))
    return meta, bytes(reader.take(reader.remaining))


def side_of(meta, rest):
    coded = cbor2.dumps(meta)
    return pack(write_varint(len(coded)) + coded + rest)


def changed(path, value):
    """A change of one entry of the metadata."""

    def change(meta):
        at = meta
        for step in path[:-1]:
            at = at[step]
        at[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        changed([0, 0], ["time", 0]),
        changed([0, 0], ["time", 2**50]),
        changed([0, 0], [7, 4]),
        changed([0, 0, 0], "lat"),
        changed([0, 0, 1], 5),
        changed([1], []),
        changed([1, "x"], {0: [0, b"12"]}),
        changed([1, "x"], {0: [99, b"1"]}),
        changed([1, "x"], {0: [0, b"1", [2**40, 2**40]]}),
        changed([2], [99]),
        changed([3], ["lat"]),
        changed([3], ["lat", "crs", True]),
        changed([3], ["lat", "nowhere", True]),
        changed([4], []),
        changed([4, 0], []),
        changed([4, 0], [0, 0]),
        changed([5], []),
        changed([5, 0, 0], "wind"),
        changed([5, 0, 2], "complex64"),
        changed([5, 0, 2], "int64"),
        changed([5, 0, 4], [7, 5, 1]),
        changed([5, 0, 5], 3),
        changed([5, 0, 3, "_FillValue"], 1e9),
        changed([5, 0, 3, "_FillValue"], [[1.0], [1.0, 2.0]]),
        changed([5, 0, 3, "scale_factor"], [[1.0], [1.0, 2.0]]),
        changed([5, 0, 3, "scale_factor"], [{0: [0, b"1", [1]]}, {0: [0, b"12", [2]]}]),
        changed([5, 0, 3, "_FillValue"], 1.5),
        changed([1, "x"], {0: [0, b"", [0, 2**62, 2**62]]}),
        changed([5, 3, 4], ["a"]),
        changed([5, 3, 4, 0], 1),
        changed([5, 2, 2], "S0"),
        changed([5, 2, 2], "object"),
    ],
)
def test_side_sections_that_no_writer_makes(change):
    spec = DatasetSignal.load(climate()).spec
    meta, rest = meta_of(spec.side)
    assert meta[5][0][0] == "sst"
    assert meta[5][3][0] == "label"
    DatasetSpec.from_header([3], side_of(meta, rest))
    change(meta)
    with pytest.raises(FormatError):
        DatasetSpec.from_header([3], side_of(meta, rest))


def everything(side):
    """All elements and masks of a side section."""
    variables = DatasetSpec.from_header([3], side).content.variables
    return [v.data if v.read else [gap.mask.unpack() for gap in v.gaps] for v in variables]


def test_side_sections_cut_or_bent():
    side = DatasetSignal.load(climate()).spec.side
    assert everything(side)
    for n in range(0, len(side), 7):
        with pytest.raises(FormatError):
            everything(side[:n])
    rng = np.random.default_rng(1)
    for _ in range(300):
        bent = bytearray(side)
        bent[rng.integers(len(side))] ^= 1 << rng.integers(8)
        try:
            spec = DatasetSpec.from_header([3], bytes(bent))
            spec.describe()
            spec.render(Fields([lambda c, b=spec.out_features: np.zeros((len(c), b), np.float32)], max_samples=10_000))
        except SinrError:
            pass


def test_times_that_xarray_does_not_know_stay_numbers():
    signal = DatasetSignal.load(climate())
    meta, rest = meta_of(signal.spec.side)
    for record in meta[5]:
        if record[0] == "time":
            record[3] = {"units": "fortnights since the flood"}
    spec = DatasetSpec.from_header([3], side_of(meta, rest))
    with pytest.warns(UserWarning, match="time .*unable to decode time units"):
        decoded = render(spec, flat(signal))
    assert decoded.time.dtype == np.int32
    assert decoded.time.attrs == {"units": "fortnights since the flood"}
    assert np.isnan(decoded.sst).any()
    assert {"area", "height"} <= set(decoded.coords)


def test_more_dimensions_than_arrays_have_are_refused():
    meta, rest = meta_of(DatasetSignal.load(climate()).spec.side)
    first = len(meta[0])
    meta[0] += [[f"d{i}", 1] for i in range(70)]
    meta[5].append(["far", list(range(first, first + 70)), "text", {}, [""]])
    with pytest.raises(MalformedError):
        DatasetSpec.from_header([3], side_of(meta, rest))


def test_the_variables_of_earth_lie_over_dimensions_of_fields():
    spec = DatasetSignal.load(climate()[["sst", "wind"]]).spec
    meta, rest = meta_of(spec.side)
    place = next(record for record in meta[5] if record[0] == "lat")
    meta[0].append(["other", 9])
    place[1] = [len(meta[0]) - 1]
    with pytest.raises(MalformedError):
        DatasetSpec.from_header([3], side_of(meta, rest))


def test_bombs_are_refused_before_they_grow():
    with pytest.raises(LimitError):
        DatasetSpec.from_header([3], write_varint(2**40) + brotli.compress(bytes(1000)))
    meta, rest = meta_of(DatasetSignal.load(climate()).spec.side)
    meta[0][0][1] = 2**36
    with pytest.raises(FormatError):
        DatasetSpec.from_header([3], side_of(meta, rest))


def test_coastlines_are_small(data_file):
    with xr.open_dataset(data_file(TOS)) as source:
        mask = np.isnan(source.tos.values[0])
    assert len(brotli.compress(write_mask(mask))) < 750
    assert len(brotli.compress(np.packbits(mask).tobytes())) > 900


def test_reading_a_header_imports_no_library():
    code = (
        "import sys, sinr_codec.signals.dataset; "
        "sys.exit(any(name in sys.modules for name in ('xarray', 'netCDF4', 'zarr', 'torch', 'PIL')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# -- blocks ------------------------------------------------------------------------------------------------


def several():
    """Fields over three dimensions, two and one, with gaps, over latitude and longitude as axes."""
    lat, lon = np.linspace(-60, 70, 26), np.arange(0, 360, 9.0)
    t = waves(4, 26, 40).astype(np.float32)
    t[:, :12, :12] = np.nan  # all of some blocks
    t[1, 15, 20:23] = np.nan
    return xr.Dataset(
        {
            "t": (("time", "lat", "lon"), t, {"units": "K"}),
            "packed": (("time", "lat", "lon"), waves(4, 26, 40), {"units": "m"}),
            "relief": (("lat", "lon"), 100 * waves(26, 40), {"units": "m"}),
        },
        coords={
            "time": np.arange(4.0),
            "lat": ("lat", lat, {"units": "degrees_north"}),
            "lon": ("lon", lon, {"units": "degrees_east"}),
        },
    )


def curvilinear():
    """Latitudes and longitudes that are no axes."""
    y, x = np.mgrid[:18, :20]
    return xr.Dataset(
        {"t": (("time", "y", "x"), waves(3, 18, 20).astype(np.float32), {"units": "K"})},
        coords={
            "lat": (("y", "x"), 40.0 + y + 0.2 * x, {"units": "degrees_north", "standard_name": "latitude"}),
            "lon": (("y", "x"), 5.0 + x - 0.1 * y, {"units": "degrees_east", "standard_name": "longitude"}),
        },
    )


CUT = {
    "sphere": (several(), {"sphere": True, "block": 10}),
    "axes": (several(), {"sphere": False, "block": 10}),
    "curvilinear": (curvilinear(), {"block": 9}),
    "masked": (climate(), {"block": 8}),
}


def all_known(signal):
    return Fields([exact(part) for part in signal.parts], threads=1, tile=70)


@pytest.mark.parametrize("name", CUT)
def test_what_every_block_knows_of_its_cells_is_the_dataset(name):
    source, options = CUT[name]
    signal = DatasetSignal.load(source, **options)
    spec = reread(signal)
    assert spec.parts == len(signal.parts) == math.prod(spec.cut.counts) > 1
    assert DatasetSpec.parts_in(spec.to_header()) == spec.parts
    assert spec.describe()["blocks"] == list(spec.cut.counts)
    fields = all_known(signal)
    whole = DatasetSignal.load(source, **(options | {"block": None}))
    wanted = render(whole.spec, exact(whole))
    xr.testing.assert_allclose(spec.render(fields), wanted, rtol=1e-6, atol=1e-5)
    assert signal.quality(partial(spec.render, fields)).db > 100
    region = {spec.dims[-1]: (3, 12), spec.dims[-2]: (2, 9)}
    part = spec.render(fields, region=region)
    xr.testing.assert_allclose(part, wanted.isel({d: slice(*ends) for d, ends in region.items()}), rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("name", CUT)
def test_coordinates_of_a_block_fill_its_domain(name):
    source, options = CUT[name]
    signal = DatasetSignal.load(source, **options)
    for part in signal.parts:
        coords, values = part.batch(np.arange(len(part)))
        assert np.abs(coords).max() <= 1 + 1e-6
        assert (values <= MISSING).all()
        if len(part) > 1 and signal.spec._sphere:
            assert np.abs(coords[:, -3:]).max() > 0.5


def test_blocks_in_which_no_field_has_a_value():
    source = several()[["t"]]
    signal = DatasetSignal.load(source, sphere=False, block=8)
    empty = [part for part in signal.parts if len(part) == 1]
    assert empty
    for part in empty:
        coords, values = part.batch(np.zeros(3, np.int64))
        assert (coords.shape, values.shape) == ((3, 3), (3, 1))
        assert not values.any()
        assert part.loss(values + 0.5, values) == 0.25
        assert part.objective(None, 0)(lambda c: c, 10) == 0
        assert part.decibels(1.0) == math.inf
    assert np.isnan(signal.spec.render(all_known(signal)).t.values[:, :7, :8]).all()


def test_a_field_without_a_dimension_is_in_the_first_blocks_along_it():
    signal = DatasetSignal.load(several().isel(lat=slice(16)), sphere=False, block=8)
    spec, taken = signal.spec, set()
    assert spec.cut.counts == (1, 2, 5)
    cells = sum(len(part) for part in DatasetSignal.load(several()[["relief"]], sphere=False, block=8).parts)
    assert cells > 26 * 40

    class Networks(list):
        def __getitem__(self, number):
            taken.add(number)
            return lambda coords: np.zeros((len(coords), 3), np.float32)

    spec.render(Fields(Networks()), variables="relief", region={"lat": (0, 3), "lon": (0, 3)})
    assert taken == {0}


def test_only_the_blocks_of_a_region_are_taken_in_time_too():
    t, z = (("time", "y", "x"), waves(30, 9, 9), {"units": "K"}), (("y", "x"), waves(9, 9), {"units": "m"})
    data = xr.Dataset({"t": t, "z": z})
    spec, taken = DatasetSignal.load(data, block=10).spec, []
    assert spec.cut.counts == (3, 1, 1)

    class Networks(list):
        def __getitem__(self, number):
            taken.append(number)
            return lambda coords: np.zeros((len(coords), 2), np.float32)

    spec.render(Fields(Networks()), variables="t", region={"time": (25, 30)})
    assert set(taken) == {2}
    taken.clear()
    spec.render(Fields(Networks()), variables="z", region={"time": (25, 30)})
    assert set(taken) == {0}


def test_points_of_a_block():
    spec = DatasetSignal.load(several(), sphere=True, block=10).spec
    number = spec.part_at(spec.dims, (0, 1, 2))
    area = spec.area(number)
    grids = {d: np.array(s.start + 1) for d, s in area.items()}
    where = {d: spec.content.named(d).data[s.start + 1] for d, s in area.items()}
    np.testing.assert_allclose(spec.coords(number, **where), spec.features(grids, part=number), atol=1e-6)
    for part in (None, -1, spec.parts):
        with pytest.raises(InputError, match="block"):
            spec.coords(part, **where)
    with pytest.raises(InputError, match="one piece"):
        DatasetSignal.load(several()).spec.coords(0, **where)


def test_a_dataset_is_compared_as_it_was_cut():
    spec = DatasetSignal.load(climate(), block=8).spec
    assert DatasetSignal.load(climate(), like=spec).spec == spec
    assert DatasetSignal.load(climate(), block=30).spec.cut is None
    assert DatasetSignal.load(climate()).spec.to_header() == [3]


@pytest.mark.parametrize("block", [-1, 7, 8.5, math.nan, 2**31, "8"])
def test_sizes_of_blocks_that_are_refused(block):
    with pytest.raises(InputError, match="block"):
        DatasetSignal.load(climate(), block=block)


@pytest.mark.parametrize(
    "header",
    [
        [11],
        [11, [1, 1, 2]],
        [11, [1, 1, 2], 0, 0],
        [11, 2, 0],
        [11, [], 0],
        [11, [1, 1, 1], 0],
        [11, [1, 2], 0],
        [11, [1, 1, 2, 1], 0],
        [11, [0, 1, 2], 0],
        [11, [1, True, 2], 0],
        [11, [1, 2.0, 2], 0],
        [11, [1, 1, 13], 0],
        [11, [5, 1, 1], 0],
        [11, [1, 1, 2], 4],
        [11, [1, 1, 2], -1],
        [11, [1, 1, 2], None],
        [11, [1, 1, 2**70], 0],
    ],
)
def test_headers_of_blocks_that_nobody_can_have_written(header):
    side = DatasetSignal.load(climate()).spec.side
    assert DatasetSpec.from_header([11, [1, 1, 2], 3], side).parts == 2
    with pytest.raises(MalformedError, match=r"blocks|header"):
        DatasetSpec.from_header(header, side)


def test_a_header_of_more_networks_than_the_file_has():
    pytest.importorskip("torch")
    blob = codec.encode(climate(), preset="fast", width=8, depth=1).blob
    header, sections = container.read(blob)
    for counts in ([1, 1, 2], [1, 1, 12], [4, 9, 12], [2**40] * 3):
        wrong = container.write(dataclasses.replace(header, signal=[11, counts, 0]), sections)
        with pytest.raises(FormatError):
            codec.decode(wrong)


def test_a_dataset_in_blocks_is_a_file(tmp_path):
    pytest.importorskip("torch")
    source = several()
    report = codec.encode(source, tmp_path / "a.sinr", preset="fast", width=8, depth=1, block=20)
    assert report.parts == 2
    assert report.quality > 10
    assert codec.verify(tmp_path / "a.sinr", source).ok
    region = "1:3,4:9,15:25"
    whole = codec.decode(tmp_path / "a.sinr")
    part = codec.decode(tmp_path / "a.sinr", region=region)
    xr.testing.assert_allclose(part, whole.isel(time=slice(1, 3), lat=slice(4, 9), lon=slice(15, 25)), atol=1e-4)
    every = slice(None, None, 2)
    fine = codec.decode(tmp_path / "a.sinr", scale=2, variables="packed")
    xr.testing.assert_allclose(fine.isel(lat=every, lon=every), whole[["packed"]], atol=1e-4)
