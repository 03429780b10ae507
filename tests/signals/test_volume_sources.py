"""Files of other programs, compared with what their own libraries make of them."""

import json
import re
import sys

import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from nibabel.testing import data_path
from PIL import Image

from sinr_codec.errors import InputError, MissingExtraError
from sinr_codec.signals import registry, volume_tiff
from sinr_codec.signals.base import Fields
from sinr_codec.signals.volume import VolumeSignal, VolumeSpec


def decoded(signal, path, region=None, scale=None):
    """A file that a decoder of the exact samples would write."""
    spec = VolumeSpec.from_header(signal.spec.to_header(), signal.spec.side)
    assert spec == signal.spec
    array = np.array(signal.array)
    if region is not None:
        array = array[tuple(slice(*span) for span in region)]
    placed = array.view(type(spec.render(constant(spec))))
    steps = scale or (1.0,) * len(spec.sizes)
    starts = [span[0] for span in region] if region else [0] * len(spec.sizes)
    placed.placement = tuple((float(step), float(start)) for step, start in zip(steps, starts))
    spec.save(placed, path)
    return path


def constant(spec):
    """Networks that are not asked for their values."""
    return Fields([lambda points: np.zeros((len(points), spec.out_features), np.float32)])


def afni(path, array, factors):
    """An AFNI dataset of 16-bit samples with a factor for each volume."""

    def attribute(kind, name, value):
        body = f"'{value}~" if kind == "string" else " ".join(map(str, value))
        return f"\ntype = {kind}-attribute\nname = {name}\ncount = {len(value) + (kind == 'string')}\n{body}\n"

    volumes = array.shape[3] if array.ndim == 4 else 1
    rows = [
        ("integer", "DATASET_RANK", [3, volumes]),
        ("integer", "DATASET_DIMENSIONS", array.shape[:3]),
        ("integer", "BRICK_TYPES", [1] * volumes),
        ("float", "BRICK_FLOAT_FACS", factors),
        ("string", "BYTEORDER_STRING", "LSB_FIRST"),
        ("integer", "ORIENT_SPECIFIC", [0, 3, 4]),
        ("float", "ORIGIN", [0, 0, 0]),
        ("float", "DELTA", [2, 2, 2]),
        ("float", "IJK_TO_DICOM_REAL", [2, 0, 0, 0, 0, 2, 0, 0, 0, 0, 2, 0]),
        ("string", "TYPESTRING", "3DIM_HEAD_ANAT"),
        ("integer", "SCENE_DATA", [0, 0, 0]),
    ]
    if volumes > 1:
        rows += [("integer", "TAXIS_NUMS", [volumes, 0, 77002]), ("float", "TAXIS_FLOATS", [0, 2, 0, 0, 0])]
    path.write_text("".join(attribute(*row) for row in rows))
    array.astype("<i2").ravel("F").tofile(path.with_suffix(".BRIK"))


@pytest.mark.parametrize(
    ("shape", "factors", "stored"),
    [
        ((12, 10, 8), [0.001], "int16"),
        ((12, 10, 8), [0], "int16"),
        ((6, 5, 4, 7), [0.5] * 7, "int16"),
        ((6, 5, 4, 7), [0.001, 0.5, *[2] * 5], "float32"),
    ],
)
def test_afni_keeps_its_factors(tmp_path, shape, factors, stored):
    path = tmp_path / "a+orig.HEAD"
    afni(path, np.arange(np.prod(shape)).reshape(shape), factors)
    assert registry.kind_of(path).name == "volume"
    for source in (path, nibabel.load(path)):
        signal = VolumeSignal.load(source)
        assert signal.array.dtype == stored
        assert any("scalings of their own" in note for note in signal.notes) == (stored == "float32")
        back = nibabel.load(decoded(signal, tmp_path / "a.nii.gz"))
        wanted = nibabel.load(path)
        np.testing.assert_allclose(back.get_fdata(), wanted.get_fdata(), rtol=1e-6)
        np.testing.assert_allclose(back.affine, wanted.affine)
    if stored == "float32":
        return
    part = decoded(signal, tmp_path / "b.nii", region=[(1, 3), (0, 5), (2, 4), (0, 7)][: len(shape)])
    np.testing.assert_allclose(nibabel.load(part).get_fdata(), wanted.get_fdata()[1:3, :5, 2:4], rtol=1e-6)


@pytest.mark.parametrize(
    "name",
    [
        "scaled+tlrc.HEAD",
        "phantom_EPI_asc_CLEAR_2_1.PAR",
        "phantom_varscale.PAR",
        "small.mnc",
        "test.mgz",
        "nifti1.hdr",
    ],
)
def test_what_nibabel_opens_keeps_its_values_and_places(tmp_path, name):
    source = nibabel.load(f"{data_path}/{name}") if name != "nifti1.hdr" else pair(tmp_path)
    signal = VolumeSignal.load(source.get_filename() if name != "nifti1.hdr" else tmp_path / "pair.img")
    back = nibabel.load(decoded(signal, tmp_path / "a.nii.gz"))
    wanted = source.get_fdata()
    assert back.shape == wanted.shape
    np.testing.assert_allclose(back.get_fdata(), wanted, rtol=1e-6, atol=1e-6 * np.abs(wanted).max())
    np.testing.assert_allclose(back.affine, source.affine, atol=1e-4)


@pytest.mark.parametrize("name", ["minc1_4d.mnc", "minc2-4d-d.mnc"])
def test_time_which_is_first_in_minc_is_last_in_nifti(tmp_path, name):
    source = nibabel.load(f"{data_path}/{name}")
    back = nibabel.load(decoded(VolumeSignal.load(f"{data_path}/{name}"), tmp_path / "a.nii.gz"))
    np.testing.assert_allclose(back.get_fdata(), np.moveaxis(source.get_fdata(), 0, -1), rtol=1e-6)
    np.testing.assert_allclose(back.affine, source.affine, atol=1e-4)
    np.testing.assert_allclose(back.header.get_zooms(), np.roll(source.header.get_zooms(), -1))


def test_the_part_of_a_volume_that_is_not_there_is_named(tmp_path):
    pair(tmp_path)
    (tmp_path / "pair.img").unlink()
    with pytest.raises(InputError, match=r"pair\.hdr: needs .*pair\.img, which is not there"):
        VolumeSignal.load(tmp_path / "pair.hdr")


def pair(folder):
    image = nibabel.Nifti1Pair(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.diag([2, 3, 4, 1]))
    image.header.set_slope_inter(0.5, 3)
    image.to_filename(folder / "pair.img")
    return nibabel.load(folder / "pair.img")


@pytest.mark.parametrize(
    "kind",
    [
        nibabel.AnalyzeImage,
        nibabel.spm99analyze.Spm99AnalyzeImage,
        nibabel.spm2analyze.Spm2AnalyzeImage,
        nibabel.Nifti1Pair,
    ],
)
def test_pairs_of_header_and_image_are_volumes(tmp_path, kind):
    image = kind(np.linspace(0, 1, 60, dtype=np.float32).reshape(3, 4, 5), np.diag([2.0, 3, 4, 1]))
    image.set_data_dtype(np.int16 if kind is not nibabel.AnalyzeImage else np.float32)
    image.to_filename(tmp_path / "a.img")
    for name in ("a.img", "a.hdr"):
        assert registry.kind_of(tmp_path / name).name == "volume"
        signal = VolumeSignal.load(tmp_path / name)
        assert bool(signal.notes) == (kind is not nibabel.Nifti1Pair)
        back = nibabel.load(decoded(signal, tmp_path / "b.nii"))
        np.testing.assert_allclose(back.get_fdata(), nibabel.load(tmp_path / "a.img").get_fdata(), atol=1e-6)


@pytest.mark.parametrize(("fields", "extra"), [("RGB", ()), ("RGBA", ()), ("RGB", (5,))])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_colours_of_nifti_are_channels(tmp_path, fields, extra, suffix):
    colours = np.random.default_rng(0).integers(0, 255, (4, 3, 2, *extra, len(fields)), np.uint8)
    packed = np.ascontiguousarray(colours).view([(name, "u1") for name in fields])[..., 0]
    nibabel.Nifti1Image(packed, np.diag([2, 2, 2, 1])).to_filename(tmp_path / f"a{suffix}")
    signal = VolumeSignal.load(tmp_path / f"a{suffix}")
    assert signal.spec.channels == len(fields)
    np.testing.assert_array_equal(signal.array.reshape(colours.shape), colours)
    assert "vector of uint8" in signal.notes[0]
    back = nibabel.load(decoded(signal, tmp_path / f"b{suffix}"))
    assert back.header.get_intent()[0] == f"{fields.lower()} vector"
    np.testing.assert_array_equal(np.asarray(back.dataobj).reshape(colours.shape), colours)


def test_images_that_are_no_grids_of_real_numbers_are_told_in_words(tmp_path, monkeypatch):
    nibabel.Nifti1Image(np.zeros((3, 4, 5), np.complex64), np.eye(4)).to_filename(tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match=r"a\.nii\.gz: expected real samples, found complex"):
        VolumeSignal.load(tmp_path / "a.nii.gz")
    with pytest.raises(InputError, match="complex"):
        VolumeSignal.load(np.zeros((5, 6, 7), np.complex128))
    with pytest.raises(InputError, match="is a Cifti2Image, expected a grid of voxels"):
        VolumeSignal.load(f"{data_path}/row_major.dconn.nii")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match="needs h5py: pip install"):
        VolumeSignal.load(f"{data_path}/small.mnc")


# -- TIFF ------------------------------------------------------------------------------------------------------


def stack(shape, dtype="uint16"):
    return np.random.default_rng(0).integers(0, 9999, shape).astype(dtype)


@pytest.mark.parametrize(
    ("shape", "axes", "sizes", "channels"),
    [
        ((3, 4, 2, 20, 100), "TZCYX", (3, 4, 20, 100), 2),
        ((3, 4, 2, 20, 40), "TZCYX", (3, 4, 20, 40), 2),
        ((6, 2, 20, 30), "ZCYX", (6, 20, 30), 2),
        ((6, 20, 3), "ZYX", (6, 20, 3), 0),
        ((5, 6, 20, 3), "TZYX", (5, 6, 20, 3), 0),
    ],
)
@pytest.mark.parametrize("ome", [False, True])
def test_axes_of_a_stack_are_those_that_the_file_names(tmp_path, shape, axes, sizes, channels, ome):
    path = tmp_path / ("a.ome.tif" if ome else "a.tif")
    tifffile.imwrite(path, stack(shape), imagej=not ome, ome=ome, metadata={"axes": axes}, photometric="minisblack")
    signal = VolumeSignal.load(path)
    assert (signal.spec.sizes, signal.spec.channels) == (sizes, channels)
    with tifffile.TiffFile(decoded(signal, tmp_path / "b.tif")) as back:
        assert back.series[0].axes == axes
        np.testing.assert_array_equal(back.series[0].asarray(), tifffile.imread(path))


def test_coloured_stacks_are_volumes_where_they_say_so(tmp_path):
    colours = stack((6, 20, 30, 3), "uint8")
    tifffile.imwrite(tmp_path / "a.tif", colours, imagej=True, metadata={"axes": "ZYXS"})
    tifffile.imwrite(tmp_path / "pages.tif", colours, photometric="rgb")
    assert registry.kind_of(tmp_path / "a.tif").name == "volume"
    assert registry.kind_of(tmp_path / "pages.tif").name == "image"
    signal = VolumeSignal.load(tmp_path / "a.tif")
    assert (signal.spec.sizes, signal.spec.channels) == ((6, 20, 30), 3)
    np.testing.assert_array_equal(tifffile.imread(decoded(signal, tmp_path / "b.tif")), colours)


@pytest.mark.parametrize("dtype", ["float64", "float16", "uint64", "int8", "uint8", "uint16", "bool"])
def test_stacks_of_any_samples_are_volumes(tmp_path, dtype, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", stack((6, 20, 24), dtype), photometric="minisblack")
    tifffile.imwrite(tmp_path / "page.tif", stack((20, 24), dtype), photometric="minisblack")
    assert registry.kind_of(tmp_path / "a.tif").name == "volume"
    assert not volume_tiff.is_stack(tmp_path / "page.tif")
    if dtype == "uint8":
        tifffile.imwrite(tmp_path / "b.tif", stack((32, 32, 32), "uint8"), tile=(16, 16, 16), volumetric=True)
        assert registry.kind_of(tmp_path / "b.tif").name == "volume"
        monkeypatch.setitem(sys.modules, "tifffile", None)
        assert volume_tiff.is_stack(tmp_path / "a.tif")
        assert not volume_tiff.is_stack(tmp_path / "page.tif")


@pytest.mark.parametrize("suffix", [".btf", ".lsm"])
def test_other_extensions_of_tiff_are_volumes(tmp_path, suffix):
    tifffile.imwrite(tmp_path / f"a{suffix}", stack((6, 20, 24)), bigtiff=suffix == ".btf")
    assert registry.kind_of(tmp_path / f"a{suffix}").name == "volume"
    np.testing.assert_array_equal(VolumeSignal.load(tmp_path / f"a{suffix}").array, stack((6, 20, 24)))


def test_a_resolution_that_is_left_out_is_told(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", stack((6, 20, 24)), resolution=(100, 100), resolutionunit="CENTIMETER")
    assert VolumeSignal.load(tmp_path / "a.tif").notes == ("the resolution is not stored",)


# -- zarr ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".zarr", ".zarr.zip"])
@pytest.mark.parametrize(
    "options",
    [
        {"zarr_format": 2, "fill_value": 7, "attributes": {"_ARRAY_DIMENSIONS": ["z", "y", "x"]}},
        {"zarr_format": 3, "fill_value": 7, "shards": (8, 12, 20), "dimension_names": ["z", None, "x"]},
        {"zarr_format": 3},
        {"zarr_format": 2, "fill_value": float("nan"), "dtype": "float32"},
        {"zarr_format": 3, "fill_value": float("-inf"), "dtype": "float64"},
    ],
)
def test_zarr_arrays_come_back_as_they_were(tmp_path, options, suffix):
    options = {"dtype": "uint16"} | options
    source = zarr.create_array(str(tmp_path / "a.zarr"), shape=(8, 24, 20), chunks=(4, 12, 10), **options)
    source[...] = np.arange(3840).reshape(8, 24, 20)
    path = decoded(VolumeSignal.load(tmp_path / "a.zarr"), tmp_path / f"b{suffix}")
    store = zarr.storage.ZipStore(path, mode="r") if suffix == ".zarr.zip" else path
    back = zarr.open_array(store, mode="r")
    for name in ("shape", "chunks", "shards", "dtype"):
        assert getattr(back, name) == getattr(source, name)
    np.testing.assert_equal(back.fill_value, source.fill_value)
    assert (back.metadata.zarr_format, dict(back.attrs)) == (source.metadata.zarr_format, dict(source.attrs))
    assert getattr(back.metadata, "dimension_names", None) == getattr(source.metadata, "dimension_names", None)
    np.testing.assert_array_equal(back[...], source[...])
    part = decoded(VolumeSignal.load(tmp_path / "a.zarr"), tmp_path / "part.zarr", [(1, 4), (5, 24), (0, 3)])
    np.testing.assert_array_equal(zarr.open_array(part, mode="r")[...], source[1:4, 5:24, :3])


def pyramid(path, shape, axes, version="0.4", **options):
    """An OME-Zarr image of two levels of 0.5, 0.25 and 0.25 micrometers."""
    scale = [0.5 if name == "z" else 0.25 if name in "yx" else 1.0 for name in axes]
    types = {"t": "time", "c": "channel"}
    named = [{"name": name, "type": types.get(name, "space")} for name in axes]
    for axis in named:
        if axis["type"] == "space":
            axis["unit"] = "micrometer"
    group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    levels = []
    for i in range(2):
        array = group.create_array(f"s{i}", shape=shape, dtype="u2", chunks=shape, **options)
        array[...] = np.arange(np.prod(shape)).reshape(shape)
        grown = [each * 2**i if name in "zyx" else each for name, each in zip(axes, scale)]
        levels.append({"path": f"s{i}", "coordinateTransformations": [{"type": "scale", "scale": grown}]})
    image = {"axes": named, "datasets": levels}
    if version == "0.4":
        group.attrs["multiscales"] = [{"version": version, **image}]
        group.attrs["omero"] = {"channels": [{"color": "FF0000"}]}
    else:
        group.attrs["ome"] = {"version": version, "multiscales": [image], "omero": {"channels": []}}
    return group


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize(
    ("shape", "axes", "sizes", "channels"),
    [
        ((1, 8, 24, 20), "czyx", (8, 24, 20), 0),
        ((1, 1, 8, 24, 20), "tczyx", (8, 24, 20), 0),
        ((2, 3, 8, 12, 10), "tczyx", (2, 8, 12, 10), 3),
        ((8, 24, 20), "zyx", (8, 24, 20), 0),
        ((1, 8, 24), "zyx", (1, 8, 24), 0),
        ((5, 1, 1, 24, 20), "tczyx", (5, 1, 24, 20), 0),
    ],
)
def test_ome_zarr_images_come_back_with_axes_and_scale(tmp_path, version, shape, axes, sizes, channels):
    source = pyramid(tmp_path / "a.zarr", shape, axes, version)
    assert registry.kind_of(tmp_path / "a.zarr").name == "volume"
    signal = VolumeSignal.load(tmp_path / "a.zarr")
    assert (signal.spec.sizes, signal.spec.channels) == (sizes, channels)
    assert signal.spec.spacing[-1] == 0.25
    assert signal.notes == ("of the image's resolutions only the first is stored",)
    back = zarr.open_group(decoded(signal, tmp_path / "b.zarr"), mode="r")
    inner, wanted = (dict(group.attrs).get("ome", dict(group.attrs)) for group in (back, source))
    assert inner["omero"] == wanted["omero"]
    image, first = inner["multiscales"][0], wanted["multiscales"][0]
    assert image["axes"] == first["axes"]
    level, full = image["datasets"][0], first["datasets"][0]
    assert level["coordinateTransformations"][0] == full["coordinateTransformations"][0]
    np.testing.assert_array_equal(back[level["path"]][...], source[full["path"]][...])
    assert back.metadata.zarr_format == source.metadata.zarr_format
    if version == "0.4":
        assert json.loads((tmp_path / "b.zarr/0/.zarray").read_text())["dimension_separator"] == "/"


def test_parts_of_an_ome_zarr_image_say_where_they_lie(tmp_path):
    pyramid(tmp_path / "a.zarr", (1, 8, 24, 20), "czyx")
    signal = VolumeSignal.load(tmp_path / "a.zarr")
    path = decoded(signal, tmp_path / "b.zarr.zip", [(2, 8), (0, 24), (4, 20)], scale=(0.5, 1.0, 2.0))
    with zarr.storage.ZipStore(path, mode="r") as store:
        attributes = dict(zarr.open_group(store, mode="r").attrs)
    level = attributes["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    assert level[0] == {"type": "scale", "scale": [1.0, 0.25, 0.25, 0.5]}
    assert level[1] == {"type": "translation", "translation": [0.0, 1.0, 0.0, 1.0]}


def test_groups_of_images_give_the_first_and_other_groups_a_hint(tmp_path):
    pyramid(tmp_path / "a.zarr/0", (8, 24, 20), "zyx")
    group = zarr.open_group(tmp_path / "a.zarr", mode="a", zarr_format=2)
    group.attrs["bioformats2raw.layout"] = 3
    signal = VolumeSignal.load(tmp_path / "a.zarr")
    assert signal.notes[0] == "only the first image of the file is stored"
    assert registry.kind_of(tmp_path / "a.zarr").name == "volume"
    pyramid(tmp_path / "flat.zarr", (2, 24, 20), "cyx")
    with pytest.raises(InputError, match="expected three axes besides the channels, found c, y, x"):
        VolumeSignal.load(tmp_path / "flat.zarr")
    zarr.open_group(tmp_path / "none.zarr", mode="w").create_array("a", shape=(3, 4, 5), dtype="u1")
    with pytest.raises(InputError, match="found a group; name one of its arrays, or encode a dataset"):
        VolumeSignal.load(tmp_path / "none.zarr")


def test_metadata_of_zarr_that_no_writer_writes_is_refused(tmp_path):
    from dataclasses import replace

    from sinr_codec.errors import MalformedError

    pyramid(tmp_path / "a.zarr", (1, 8, 24, 20), "czyx")
    spec = VolumeSignal.load(tmp_path / "a.zarr").spec
    kept = json.loads(spec.metadata)
    for change in (
        {"zarr_format": 3},
        {"fill_value": "seven"},
        {"shards": [8, 8]},
        {"ome": None},
        {"ome": kept["ome"] | {"dropped": [0, 0]}},
        {"ome": kept["ome"] | {"dropped": [4]}},
        {"ome": kept["ome"] | {"scale": [1.0]}},
        {"ome": kept["ome"] | {"axes": [{}] * 4}},
    ):
        changed = replace(spec, metadata=json.dumps(kept | change, separators=(",", ":")).encode())
        with pytest.raises(MalformedError):
            VolumeSpec.from_header([*spec.to_header()[:3], 7, spec.levels.to_header()], changed.side)
    plain = {key: value for key, value in kept.items() if key in ("attributes", "chunks")} | {"chunks": [1, 1, 1]}
    changed = replace(spec, metadata=json.dumps(plain, separators=(",", ":")).encode())
    with pytest.raises(MalformedError, match="format 7: does not go with the metadata"):
        VolumeSpec.from_header([*spec.to_header()[:3], 7, spec.levels.to_header()], changed.side)


# -- full disks ------------------------------------------------------------------------------------------------


FULL = """
import sys
from pathlib import Path

import numpy as np
import xarray as xr

from sinr_codec.errors import InputError
from sinr_codec.signals import dataset_output
from sinr_codec.signals.volume import VolumeSignal

folder = Path(sys.argv[1])
array = np.random.default_rng(0).integers(0, 65_000, (200, 32, 32), np.uint16)
spec = VolumeSignal.load(array).spec
writers = {name: lambda path: spec.save(array, path) for name in ("a.zarr", "a.zarr.zip", "a.nii", "a.npz", "a.tif")}
writers["b.zarr"] = lambda path: dataset_output.save_zarr(xr.Dataset({"t": (("z", "y", "x"), array)}), path)
for name, write in writers.items():
    try:
        write(folder / name)
    except InputError as error:
        print(name, f"{name}: cannot be written" in str(error), list(folder.iterdir()))
"""


def test_nothing_is_left_on_a_full_disk(tmp_path, small_files):
    names = ("a.zarr", "a.zarr.zip", "a.nii", "a.npz", "a.tif", "b.zarr")
    assert small_files(FULL, tmp_path).splitlines() == [f"{name} True []" for name in names]


ROOM = """
import sys

from sinr_codec.errors import InputError
from sinr_codec.signals import volume_arrays
from sinr_codec.signals.volume import VolumeSignal

volume_arrays.IN_MEMORY = 100
try:
    VolumeSignal.load(sys.argv[1])
except InputError as error:
    print(error)
"""


def test_room_in_the_temporary_folder_is_reserved_before_it_is_used(tmp_path, small_files):
    np.savez_compressed(tmp_path / "a.npz", np.zeros((20, 40, 40), np.uint8))
    said = small_files(ROOM, tmp_path / "a.npz")
    assert re.search(r"a\.npz: needs 32,000 bytes in the temporary folder .*TMPDIR", said)


# -- pictures of slices ----------------------------------------------------------------------------------------


def shown(volume, path, window=None):
    placed = np.asarray(volume.array).view(type(volume.spec.render(constant(volume.spec))))
    placed.window = window
    volume.spec.save(placed, path)
    return np.asarray(Image.open(path))


def body(dtype="int16", slope=1.0, inter=0.0):
    """Air, fat, two organs 60 units apart, and bone, as a CT has them."""
    values = np.full((40, 40, 40), -1000.0)
    values[4:36, 4:36, 4:36] = -100
    values[8:20, 8:32, 8:32], values[20:30, 8:32, 8:32] = 0, 60
    values[30:33, 10:14, 18:22] = 1500
    image = nibabel.Nifti1Image(np.rint((values - inter) / slope).astype(dtype), np.diag([-1, 1, 1, 1]))
    image.header.set_slope_inter(slope, inter)
    return values, VolumeSignal.load(nibabel.Nifti1Image.from_bytes(image.to_bytes()))


def test_pictures_show_soft_tissue_by_themselves(tmp_path):
    values, signal = body()
    levels = dict(zip(values[:, 20, 20], shown(signal, tmp_path / "a.png")[20, 44:84]))
    assert levels[-1000.0] == 0
    assert levels[60.0] - levels[0.0] > 20
    assert levels[0.0] - levels[-100.0] > 40


@pytest.mark.parametrize(
    ("dtype", "slope", "inter"), [("int16", 1.0, 0.0), ("uint16", 0.5, -1024.0), ("int16", -1.0, 0.0)]
)
def test_windows_are_in_units_of_the_data(tmp_path, dtype, slope, inter):
    values, signal = body(dtype, slope, inter)
    decoder = VolumeSpec.from_header(signal.spec.to_header(), signal.spec.side)
    assert decoder.render(constant(decoder), region=[(0, 2)], window=[-160, 240]).window == (-160, 240)
    picture = shown(signal, tmp_path / "a.png", (-160, 240))
    wanted = np.rint(255 * np.clip((values[20].T[::-1] + 160) / 400, 0, 1))
    np.testing.assert_allclose(picture[:, :40], wanted, atol=1)
    with pytest.raises(InputError, match=r"a\.npy: a window is for pictures"):
        shown(signal, tmp_path / "a.npy", (-160, 240))


@pytest.mark.parametrize("window", [(240, -160), (1,), (1, 2, 3), (0, float("inf")), (float("nan"), 1), (0, 0), "ab"])
def test_windows_that_are_none_are_refused(window):
    spec = VolumeSignal.load(np.zeros((3, 4, 5), np.uint8)).spec
    with pytest.raises(InputError, match=r"window .*expected LOW,HIGH"):
        spec.render(constant(spec), window=window)


def test_absurd_voxel_sizes_are_drawn_and_moved_without_a_warning(tmp_path, recwarn):
    header = nibabel.Nifti1Header()
    header.set_data_shape((6, 7, 8))
    header.set_data_dtype(np.uint8)
    header["pixdim"][1:4] = [1e-38, 3e38, 1]
    header["sform_code"], header["srow_x"] = 1, [3e38, 3e38, 3e38, 3e38]
    path = tmp_path / "a.nii"
    path.write_bytes(header.binaryblock + bytes(4) + stack((6, 7, 8), "uint8").tobytes())
    signal = VolumeSignal.load(path)
    assert max(shown(signal, tmp_path / "a.png").shape) < 20_000
    part = signal.spec.render(constant(signal.spec), scale=2, region=[(1, 3)] * 3)
    signal.spec.save(part, tmp_path / "b.nii")
    assert not [w for w in recwarn if "sinr" in str(w.filename) or "nibabel" in str(w.filename)]
