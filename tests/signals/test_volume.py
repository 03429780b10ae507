import gzip
import io
import json
import math
import subprocess
import sys
from dataclasses import replace

import brotli
import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from sinr_codec.errors import FormatError, InputError, LimitError, MalformedError, MissingExtraError, UnknownIdError
from sinr_codec.fields import MLP, Sine
from sinr_codec.signals import volume, volume_arrays
from sinr_codec.signals.base import Fields
from sinr_codec.signals.volume import FORMATS, VolumeSignal, VolumeSpec

DTYPES = ["bool", "uint8", "int8", "uint16", "int16", "int32", "uint32", "int64", "uint64", "float16", "float32"]


def samples(shape=(5, 6, 7), dtype="int16"):
    """A smooth volume with something different on every axis."""
    grids = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
    wave = sum(np.sin((3 + i) * g + i) for i, g in enumerate(grids))
    unit = (wave - wave.min()) / (np.ptp(wave) or 1)
    if dtype == "bool":
        return unit > 0.5
    return (unit * (200 if np.dtype(dtype).kind == "u" else 120)).astype(dtype)


class Exact:
    """A field that knows every voxel of a signal, and counts what it is asked."""

    def __init__(self, signal):
        coords, values = signal.batch(np.arange(len(signal)))
        self.table = {point.tobytes(): value for point, value in zip(coords, values)}
        self.asked = 0

    def __call__(self, points):
        self.asked += len(points)
        return np.stack([self.table[point.tobytes()] for point in points])


def exactly(signal, tile=64):
    return Fields([Exact(signal)], tile=tile, threads=1)


def network(axes=3, values=1):
    """A field with detail everywhere, for renderings off the source's grid."""
    mlp = MLP(axes, values, 16, 1, Sine(10.0))
    return Fields([mlp.decoder(mlp.init(np.random.default_rng(0)))])


def returned(signal, path):
    """The signal's samples through header and side section into a file, read by us."""
    spec = VolumeSpec.from_header(signal.spec.to_header(), signal.spec.side)
    assert spec == signal.spec
    spec.save(spec.render(exactly(signal)), path)
    return VolumeSignal.load(path)


@pytest.fixture
def nifti(tmp_path):
    """A NIfTI file with all that has to be kept, and its path."""

    def make(name="head.nii.gz", array=None, endian="<", kind=nibabel.Nifti1Image, slope=2.5, inter=-100.0):
        array = samples() if array is None else array
        header = nibabel.Nifti2Header(endianness=endian)
        if kind is nibabel.Nifti1Image:
            header = nibabel.Nifti1Header(endianness=endian)
        header.set_data_dtype(array.dtype)
        header.set_data_shape(array.shape)
        header["pixdim"][1 : 1 + array.ndim] = [0.9, 1.1, 3.0, 2.0, 1.0][: array.ndim]
        rotated = np.array([[0.0, -1.1, 0, 11], [0.9, 0, 0, -7], [0, 0, 3.0, 5.5], [0, 0, 0, 1]])
        header.set_qform(rotated, "scanner")
        header.set_sform(rotated @ np.diag([1, 1, 1.25, 1]), "mni")
        header.set_xyzt_units("mm", "sec")
        header["descrip"] = b"a small head"
        header["scl_slope"], header["scl_inter"] = slope, inter
        header["cal_max"] = 77
        header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"kept, too"))
        path = tmp_path / name
        with (gzip.open if name.endswith(".gz") else open)(path, "wb") as file:
            header.write_to(file)
            file.write(bytes(int(header["vox_offset"]) - file.tell()))
            file.write(array.astype(header.get_data_dtype()).tobytes(order="F"))
        return path

    return make


def unpacked(path):
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


# -- reading and giving back -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [*DTYPES, "float64"])
@pytest.mark.parametrize("suffix", [".npy", ".npz", ".tif", ".zarr", ".zarr.zip"])
def test_every_dtype_comes_back_in_every_format(dtype, suffix, tmp_path):
    array = samples(dtype=dtype)
    back = returned(VolumeSignal.load(array), tmp_path / f"volume{suffix}")
    assert back.array.dtype == array.dtype
    assert back.spec.format == suffix
    np.testing.assert_allclose(back.array.astype(float), array.astype(float), atol=0.1 if dtype == "float16" else 1e-4)


@pytest.mark.parametrize("shape", [(3, 1, 1), (1, 1, 1), (4, 5, 6, 1), (4, 5, 6, 3), (4, 5, 6, 7), (3, 4, 5, 6, 2)])
def test_every_shape_comes_back(shape, tmp_path):
    array = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    back = returned(VolumeSignal.load(array), tmp_path / "volume.npy")
    np.testing.assert_array_equal(back.array, array)


def test_fourth_axis_is_channels_or_a_coordinate():
    few, many = VolumeSignal.load(samples((4, 5, 6, 4))), VolumeSignal.load(samples((4, 5, 6, 5)))
    assert (few.in_features, few.out_features, len(few)) == (3, 4, 120)
    assert (many.in_features, many.out_features, len(many)) == (4, 1, 600)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("endian", ["<", ">"])
@pytest.mark.parametrize("name", ["head.nii", "head.nii.gz"])
def test_nifti_comes_back_byte_by_byte(nifti, tmp_path, name, endian, kind):
    path = nifti(name, endian=endian, kind=kind)
    signal = VolumeSignal.load(path)
    assert signal.spec.suffix == name[4:]
    assert signal.spec.describe()["spacing"] == pytest.approx([0.9, 1.1, 3.0])
    np.testing.assert_array_equal(signal.array, samples())  # the stored samples, not the scaled ones
    returned(signal, tmp_path / f"back-{name}")
    assert unpacked(tmp_path / f"back-{name}") == unpacked(path)


@pytest.mark.parametrize("shape", [(5, 6, 7, 9), (5, 6, 7, 3), (5, 6, 7, 1), (5, 6, 7, 1, 3)])
def test_nifti_of_more_axes_comes_back(nifti, tmp_path, shape):
    path = nifti(array=samples(shape))
    returned(VolumeSignal.load(path), tmp_path / "back.nii.gz")
    assert unpacked(tmp_path / "back.nii.gz") == unpacked(path)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "int32", "uint32", "int64", "float32"])
def test_nifti_of_every_dtype(nifti, tmp_path, dtype):
    path = nifti(array=samples(dtype=dtype))
    back = returned(VolumeSignal.load(path), tmp_path / "back.nii")
    assert back.array.dtype == np.dtype(dtype)
    np.testing.assert_allclose(back.array, samples(dtype=dtype), atol=1e-4)


def test_nibabel_image(nifti):
    image = nibabel.load(nifti())
    signal = VolumeSignal.load(image)
    again = signal.spec.nifti(signal.spec.render(exactly(signal)))
    np.testing.assert_array_equal(again.get_fdata(), image.get_fdata())
    np.testing.assert_array_equal(again.affine, image.affine)
    assert again.get_data_dtype() == image.get_data_dtype()
    assert len(again.header.extensions) == 1


def test_nibabel_image_made_in_memory():
    image = nibabel.Nifti1Image(samples(dtype="float32"), np.diag([2, 3, 4, 1]))
    signal = VolumeSignal.load(image)
    again = signal.spec.nifti(signal.spec.render(exactly(signal)))
    np.testing.assert_allclose(again.get_fdata(), image.get_fdata(), atol=1e-4)
    np.testing.assert_array_equal(again.affine, image.affine)


def test_other_images_of_nibabel_become_nifti(tmp_path):
    image = nibabel.MGHImage(samples(dtype="float32"), np.diag([2.0, 3, 4, 1]))
    image.to_filename(tmp_path / "head.mgz")
    signal = VolumeSignal.load(tmp_path / "head.mgz")
    assert "MGHImage" in signal.notes[0]
    np.testing.assert_array_equal(signal.array, samples(dtype="float32"))
    decoded = signal.spec.nifti(signal.spec.render(exactly(signal)))
    np.testing.assert_array_equal(decoded.affine, image.affine)


def test_array_as_nifti(tmp_path):
    signal = VolumeSignal.load(samples())
    signal.spec.save(signal.spec.render(exactly(signal)), tmp_path / "a.nii.gz")
    image = nibabel.load(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(np.asarray(image.dataobj), samples())
    np.testing.assert_array_equal(image.affine, np.eye(4))


def test_nifti_lacks_bool(tmp_path):
    signal = VolumeSignal.load(samples(dtype="bool"))
    with pytest.raises(InputError, match=r"a\.nii.*expected \.npy"):
        signal.spec.save(signal.spec.render(exactly(signal)), tmp_path / "a.nii")
    assert list(tmp_path.iterdir()) == []


def test_zarr_keeps_attributes_chunks_and_names(tmp_path):
    source = zarr.create_array(
        str(tmp_path / "a.zarr"), shape=(5, 6, 7), chunks=(2, 3, 7), dtype="int16", dimension_names=["z", "y", "x"]
    )
    source[...] = samples()
    source.attrs.update({"unit": "HU", "nested": [1, {"a": 2.5}]})
    for given in (tmp_path / "a.zarr", source):
        signal = VolumeSignal.load(given)
        returned(signal, tmp_path / "b.zarr")
        back = zarr.open(tmp_path / "b.zarr", mode="r")
        assert dict(back.attrs) == dict(source.attrs)
        assert back.chunks == (2, 3, 7)
        assert back.metadata.dimension_names == ("z", "y", "x")
        np.testing.assert_array_equal(back[...], samples())
        for path in sorted((tmp_path / "b.zarr").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (tmp_path / "b.zarr").rmdir()


def test_zarr_attributes_that_json_lacks_are_left_out(tmp_path):
    source = zarr.create_array(str(tmp_path / "a.zarr"), shape=(5, 6, 7), dtype="int16")
    source[...] = samples()
    source.attrs.update({"unit": "HU", "fill": float("nan"), "ends": [0.0, float("inf")]})
    signal = VolumeSignal.load(tmp_path / "a.zarr")
    assert any("fill, ends" in note for note in signal.notes)
    assert json.loads(signal.spec.metadata)["attributes"] == {"unit": "HU"}
    assert VolumeSpec.from_header(signal.spec.to_header(), signal.spec.side) == signal.spec


def test_zarr_folder_that_exists_stays(tmp_path):
    (tmp_path / "a.zarr").mkdir()
    signal = VolumeSignal.load(samples())
    with pytest.raises(InputError, match="exists"):
        signal.spec.save(samples(), tmp_path / "a.zarr")
    with pytest.raises(InputError, match="does not exist"):
        signal.spec.save(samples(), tmp_path / "none/a.zarr")


def test_tiff_says_what_it_leaves_out(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", samples(dtype="uint8"), imagej=True, metadata={"spacing": 3.0})
    signal = VolumeSignal.load(tmp_path / "a.tif")
    np.testing.assert_array_equal(signal.array, samples(dtype="uint8"))
    assert signal.notes == ("the metadata of ImageJ or OME is not stored",)


def test_npz_of_several_arrays(tmp_path):
    np.savez(tmp_path / "a.npz", volume=samples(), other=np.zeros(3))
    np.testing.assert_array_equal(VolumeSignal.load(tmp_path / "a.npz").array, samples())
    np.savez(tmp_path / "b.npz", one=samples(), two=samples())
    with pytest.raises(InputError, match=r'b\.npz: expected one array or one named "volume", found one, two'):
        VolumeSignal.load(tmp_path / "b.npz")


def test_plain_files_are_mapped(nifti, tmp_path):
    np.save(tmp_path / "a.npy", samples())
    for path in (tmp_path / "a.npy", nifti("head.nii")):
        signal = VolumeSignal.load(path)
        base = signal.array
        while base is not None and not isinstance(base, np.memmap):
            base = base.base
        assert isinstance(base, np.memmap)


@pytest.mark.parametrize("suffix", [".nii.gz", ".npz", ".zarr", ".tif"])
def test_large_packed_files_go_to_a_temporary_file(nifti, tmp_path, monkeypatch, suffix):
    path = nifti() if suffix == ".nii.gz" else tmp_path / f"a{suffix}"
    if suffix != ".nii.gz":
        signal = VolumeSignal.load(samples())
        signal.spec.save(signal.spec.render(exactly(signal)), path)
    monkeypatch.setattr(volume_arrays, "IN_MEMORY", 100)
    signal = VolumeSignal.load(path)
    assert isinstance(signal.array, np.memmap)
    np.testing.assert_array_equal(signal.array, samples())


def test_fortran_order_is_read_forwards():
    array = np.asfortranarray(samples())
    signal = VolumeSignal.load(array)
    coords, values = signal.batch(np.array([0, 1, 5]))
    np.testing.assert_array_equal(signal.levels.to_samples(values)[:, 0], array.ravel(order="F")[[0, 1, 5]])
    assert coords[0, 0] < coords[1, 0]
    assert coords[0, 1] < coords[2, 1]
    assert signal.quality(lambda **o: signal.spec.render(exactly(signal), **o)).db == math.inf


# -- rendering ---------------------------------------------------------------------------------------------


def test_slice_evaluates_only_its_voxels():
    signal = VolumeSignal.load(samples((5, 6, 7)))
    fields = exactly(signal)
    part = signal.spec.render(fields, region=((2, 3), (0, 6), (0, 7)))
    assert fields.parts[0].asked == 42
    np.testing.assert_array_equal(part, samples((5, 6, 7))[2:3])
    box = signal.spec.render(fields, region=((1, 3), (2, 5), (6, 7)))
    assert fields.parts[0].asked == 42 + 6
    np.testing.assert_array_equal(box, samples((5, 6, 7))[1:3, 2:5, 6:7])
    np.testing.assert_array_equal(signal.spec.render(fields, region=((4, 5),)), samples((5, 6, 7))[4:5])


@pytest.mark.parametrize("scale", [2, 0.5, (1, 2, 3)])
def test_region_is_part_of_the_whole_at_any_scale(scale):
    spec = VolumeSignal.load(samples((8, 6, 10))).spec
    whole = spec.render(network(), scale=scale)
    factors = scale if isinstance(scale, tuple) else (scale,) * 3
    assert whole.shape == tuple(round(n * f) for n, f in zip((8, 6, 10), factors))
    part = spec.render(network(), scale=scale, region=((2, 6), (0, 4), (4, 8)))
    ends = [(round(a * f), round(b * f)) for (a, b), f in zip(((2, 6), (0, 4), (4, 8)), factors)]
    np.testing.assert_allclose(part, whole[tuple(slice(*e) for e in ends)], atol=1)


def test_size_of_four_axes_and_channels():
    spec = VolumeSignal.load(samples((4, 5, 6, 7, 2))).spec
    assert spec.render(network(4, 2), size=(2, 3, 4, 5)).shape == (2, 3, 4, 5, 2)


@pytest.mark.parametrize(
    "options",
    [
        {"scale": 0},
        {"scale": (1, 2)},
        {"size": (3, 3)},
        {"scale": 1, "size": (3, 3, 3)},
        {"region": ((0, 6), (0, 6), (0, 7))},
        {"region": ((2, 2),)},
        {"region": (0, 1, 2)},
    ],
)
def test_options_that_make_no_volume(options):
    with pytest.raises(InputError):
        VolumeSignal.load(samples()).spec.render(network(), **options)


def test_limit_before_allocating():
    spec = VolumeSpec((2**31 - 1,) * 3, 0, VolumeSignal.load(samples()).levels)
    with pytest.raises(LimitError):
        spec.render(network())
    assert spec.render(network(), region=((5, 6), (7, 9), (1, 4))).shape == (1, 2, 3)


# -- where a rendering lies --------------------------------------------------------------------------------


def world(image, voxel):
    return image.header.get_best_affine() @ [*voxel, 1]


@pytest.mark.parametrize("code", ["both", "sform", "qform", "none"])
def test_affine_follows_scale_and_region(nifti, tmp_path, code):
    path = nifti(array=samples((8, 6, 10)))
    image = nibabel.load(path)
    if code in ("qform", "none"):
        image.header["sform_code"] = 0
    if code in ("sform", "none"):
        image.header["qform_code"] = 0
    source = nibabel.Nifti1Image(np.asarray(image.dataobj.get_unscaled()), None, image.header)
    spec = VolumeSignal.load(source).spec
    spec.save(spec.render(network(), region=((2, 6), (1, 5), (4, 8))), tmp_path / "cut.nii")
    cut = nibabel.load(tmp_path / "cut.nii")
    assert cut.shape == (4, 4, 4)
    np.testing.assert_allclose(cut.header.get_zooms(), image.header.get_zooms())
    spec.save(spec.render(network(), scale=2), tmp_path / "double.nii")
    double = nibabel.load(tmp_path / "double.nii")
    np.testing.assert_allclose(double.header.get_zooms(), np.divide(image.header.get_zooms(), 2), rtol=1e-6)
    if code != "none":
        np.testing.assert_allclose(world(cut, (0, 0, 0)), world(source, (2, 1, 4)), atol=1e-5)
        np.testing.assert_allclose(world(cut, (3, 3, 3)), world(source, (5, 4, 7)), atol=1e-5)
        # Two samples share a voxel: they lie a quarter of it before and after its centre.
        np.testing.assert_allclose(world(double, (0, 0, 0)), world(source, (-0.25, -0.25, -0.25)), atol=1e-5)
        np.testing.assert_allclose(world(double, (15, 11, 19)), world(source, (7.25, 5.25, 9.25)), atol=1e-5)


def test_time_follows_scale_and_region(nifti, tmp_path):
    spec = VolumeSignal.load(nifti(array=samples((4, 5, 6, 8)))).spec
    rendered = spec.render(network(4), scale=(1, 1, 1, 2), region=((0, 4), (0, 5), (0, 6), (4, 8)))
    spec.save(rendered, tmp_path / "a.nii")
    header = nibabel.load(tmp_path / "a.nii").header
    assert header.get_zooms()[3] == 1.0
    assert header["toffset"] == 2.0 * (4 - 0.25)


def test_coordinates_lie_where_the_affine_says():
    spec = VolumeSignal.load(samples((8, 6, 10))).spec
    seen = []

    def field(coords):
        seen.append(coords)
        return np.zeros((len(coords), 1), np.float32)

    rendered = spec.render(Fields([field]), size=(3, 4, 5), region=((2, 6), (0, 6), (1, 9)))
    first, last = seen[0][0], seen[0][-1]
    for axis, (n, count) in enumerate(zip((8, 6, 10), (3, 4, 5))):
        step, offset = rendered.placement[axis]
        for coord, number in ((first, 0), (last, count - 1)):
            assert (coord[axis] + 1) / 2 * n - 0.5 == pytest.approx(number * step + offset, abs=1e-5)


def test_arrays_of_unknown_place_are_no_nifti(tmp_path):
    signal = VolumeSignal.load(samples())
    rendered = signal.spec.render(exactly(signal))
    signal.spec.save(np.asarray(rendered), tmp_path / "whole.nii")  # of the source's shape: the whole
    with pytest.raises(InputError, match="expected a rendering"):
        signal.spec.save(rendered[1:], tmp_path / "part.nii")


# -- pictures ----------------------------------------------------------------------------------------------


def test_png_shows_three_slices(nifti, tmp_path):
    signal = VolumeSignal.load(nifti(array=samples((20, 30, 10))))
    signal.spec.save(signal.array, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        # 0.9 x 1.1 x 3 mm: (30 x 10) -> 37 x 33, (20 x 10) -> 20 x 33, (20 x 30) -> 20 x 37
        assert picture.size == (37 + 4 + 20 + 4 + 20, 37)
        assert picture.mode == "L"


def test_png_of_one_slice(tmp_path):
    array = samples((12, 20, 30), "uint8")
    spec = VolumeSignal.load(array).spec
    spec.save(array[3:4], tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        shown = np.asarray(picture).astype(float)
    assert shown.shape == (20, 30)
    assert np.corrcoef(shown.ravel(), array[3].ravel())[0, 1] > 0.99


@pytest.mark.parametrize("shape", [(4, 5, 6, 3), (4, 5, 6, 2), (7, 4, 5, 6), (1, 1, 1)])
def test_png_of_other_shapes(tmp_path, shape):
    spec = VolumeSignal.load(samples(shape)).spec
    spec.save(samples(shape), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.mode == ("RGB" if shape[-1] == 3 else "L")


def test_nifti_is_shown_upright(nifti):
    array = np.zeros((9, 9, 9), np.uint8)
    array[:, :, 7:] = 200  # the top of the head
    signal = VolumeSignal.load(nifti(array=array))
    shown = np.asarray(signal.spec.slices(array))
    assert shown[:5, 3].mean() > shown[-5:, 3].mean()


def test_unknown_extension(tmp_path):
    with pytest.raises(InputError, match=r"expected an extension"):
        VolumeSignal.load(samples()).spec.save(samples(), tmp_path / "a.mp3")


# -- quality and loss --------------------------------------------------------------------------------------


def test_quality_over_the_range_of_the_data(monkeypatch):
    monkeypatch.setattr(volume, "_SLAB", 50)
    array = samples((6, 5, 7), "float32")
    signal = VolumeSignal.load(array)
    decoded = (array + np.random.default_rng(0).normal(0, 1, array.shape)).astype(np.float32)
    asked = []

    def render(region):
        asked.append(region)
        return decoded[tuple(slice(*r) for r in region)]

    quality = signal.quality(render)
    assert len(asked) > 1
    error = decoded.astype(float) - array
    assert quality.db == pytest.approx(10 * math.log10(np.ptp(array) ** 2 / np.mean(error**2)))
    assert quality.figures["max_error"] == np.abs(error).max()
    assert quality.figures["mean_error"] == pytest.approx(np.abs(error).mean())
    assert [name for name, _ in quality.leading()] == ["max error", "mean error"]


@pytest.mark.parametrize(("slope", "factor"), [(-0.5, 0.5), (np.nan, 1)])
@pytest.mark.parametrize("form", ["Nifti1Image", "Nifti2Image"])
def test_errors_are_in_units_of_the_data(tmp_path, form, slope, factor):
    nibabel = pytest.importorskip("nibabel")
    image = getattr(nibabel, form)(samples(), np.eye(4))
    image.header.set_slope_inter(slope, 7 if slope == slope else slope)
    image.to_filename(tmp_path / "a.nii")
    signal = VolumeSignal.load(tmp_path / "a.nii")
    decoded = signal.array + np.int16(1)
    quality = signal.quality(lambda region: decoded[tuple(slice(*r) for r in region)])
    assert quality.figures["max_error"] == quality.figures["mean_error"] == factor
    assert abs(nibabel.load(tmp_path / "a.nii").dataobj.slope) == factor


def test_quality_against_another_volume():
    spec = VolumeSignal.load(samples()).spec
    for other in (samples((5, 6, 8)), samples((4, 6, 7)), samples(dtype="float32"), samples((5, 6, 7, 2))):
        with pytest.raises(InputError, match=r"array: expected a volume of shape \(5, 6, 7\) and samples of int16"):
            VolumeSignal.load(other, like=spec)
    assert VolumeSignal.load(samples(), like=spec).spec == spec


def test_loss_counts_what_clipping_leaves():
    torch = pytest.importorskip("torch")
    signal = VolumeSignal.load(samples())
    predicted = np.array([[-1.5], [-0.5], [1.5], [0.5], [1.5]], np.float32)
    values = np.array([[-1.0], [-1.0], [1.0], [1.0], [0.5]], np.float32)
    assert signal.loss(predicted, values) == pytest.approx((0.25 + 0.25 + 1) / 5)
    assert float(signal.loss(torch.from_numpy(predicted), torch.from_numpy(values))) == pytest.approx(0.3)
    assert signal.loss(values, values) == 0


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("channels", [(), (2,)])
def test_empty_space_is_thinned_for_training_alone(order, channels):
    array = np.zeros((30, 31, 32, *channels), np.uint8, order)
    array[12:15, 12:15, 12:15] = 100
    signal = VolumeSignal.load(array)
    (part,) = signal.parts
    assert 9**3 < len(part) < 9**3 + 30 * 31 * 32 / 8
    coords, values = part.batch(np.arange(len(part)))
    table = {point.tobytes(): value for point, value in zip(*signal.batch(np.arange(len(signal))))}
    np.testing.assert_array_equal(values, np.stack([table[point.tobytes()] for point in coords]))
    near = (np.abs(coords * [30, 31, 32] / 2 + [15, 15.5, 16] - 13.5) < 4.6).all(axis=1)
    assert near.sum() == 9**3  # the body and three voxels around it
    assert ((values > -1).all(axis=1)).sum() == 27
    # A field that is wrong where nothing is trained on is found out all the same.
    full = np.ones(signal.out_features)
    assert part.objective(None, 0)(lambda points: np.tile(full, (len(points), 1)), 512) > 0.9


def test_what_fills_its_box_or_has_two_values_is_not_thinned():
    full = VolumeSignal.load(samples((20, 20, 20)))
    assert full.parts == [full]
    noise = VolumeSignal.load(np.random.default_rng(0).integers(0, 2, (20, 20, 20), np.uint8))
    assert noise.parts == [noise]


def test_constant_volume():
    signal = VolumeSignal.load(np.full((3, 4, 5), 7, np.int32))
    assert (signal.spec.render(network()) == 7).all()
    assert signal.quality(lambda **o: signal.spec.render(network(), **o)).db == math.inf


# -- refusals ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_missing_values_are_refused_with_a_remedy(bad):
    array = samples(dtype="float32")
    array[1, 2, 3] = bad
    with pytest.raises(InputError, match="NaN or infinity; fill them"):
        VolumeSignal.load(array)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 4)),
        np.zeros((3, 0, 4)),
        np.zeros((2, 2, 2, 2, 2, 2)),
        np.zeros((2, 2, 2, 2, 65)),
        np.zeros((3, 3, 3), complex),
        np.zeros((3, 3, 3), "U3"),
        np.zeros((3, 3, 3), [("R", "u1"), ("G", "u1"), ("B", "u1")]),
    ],
)
def test_arrays_that_are_no_volumes(array):
    with pytest.raises(InputError, match="array: expected"):
        VolumeSignal.load(array)


def test_huge_declarations_are_refused_before_reading(nifti, tmp_path):
    huge = np.broadcast_to(np.uint8(1), (4096, 2048, 2048))
    with pytest.raises(InputError, match=r"array: 4096 x 2048 x 2048 are more than"):
        VolumeSignal.load(huge)
    path = nifti("head.nii")
    data = bytearray(path.read_bytes())
    data[40:48] = np.array([3, 30000, 30000, 30000], "<i2").tobytes()
    path.write_bytes(data)
    packed = tmp_path / "bomb.nii.gz"
    packed.write_bytes(gzip.compress(data))
    with pytest.raises(InputError, match=r"bomb\.nii\.gz: 30000 x 30000 x 30000 are more than"):
        VolumeSignal.load(packed)
    with pytest.raises(InputError, match=r"head\.nii: 30000"):
        VolumeSignal.load(path)
    zarr.create_array(str(tmp_path / "a.zarr"), shape=(2**20, 2**20, 2**20), dtype="uint8", chunks=(1, 1, 1))
    with pytest.raises(InputError, match=r"a\.zarr: 1048576"):
        VolumeSignal.load(tmp_path / "a.zarr")


@pytest.mark.parametrize("suffix", [s for s in FORMATS if s != ".zarr"])
def test_damaged_files(nifti, tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    if suffix.startswith(".nii"):
        path = nifti(f"a{suffix}")
    else:
        VolumeSignal.load(samples()).spec.save(samples(), path)
    whole = path.read_bytes()
    for content in (b"", b"garbage" * 100, whole[: len(whole) // 2], whole[:-40]):
        path.write_bytes(content)
        with pytest.raises(InputError, match=rf"a{suffix}: "):
            VolumeSignal.load(path)


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        VolumeSignal.load(tmp_path / "none.nii")
    with pytest.raises(InputError):
        VolumeSignal.load(tmp_path)
    zarr.create_group(str(tmp_path / "group.zarr"))
    with pytest.raises(InputError, match="found a group"):
        VolumeSignal.load(tmp_path / "group.zarr")
    with pytest.raises(InputError, match="expected a file, an array"):
        VolumeSignal.load(17)


def test_pickles_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.full((2, 2, 2), None), allow_pickle=True)
    np.savez(tmp_path / "a.npz", np.full((2, 2, 2), None), allow_pickle=True)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(InputError, match=name):
            VolumeSignal.load(tmp_path / name)


HEADER = [2, [5, 6, 7], 0, 0, [7, -3, 120]]


def test_header():
    array = samples()
    array[0, 0, 0] = -3
    assert VolumeSignal.load(array).spec.to_header() == [2, [5, 6, 7], 0, 0, [7, -3, int(array.max())]]


@pytest.mark.parametrize(
    "header",
    [
        None,
        [],
        [0],
        [2],
        HEADER[:4],
        [*HEADER, 0],
        [2, [5, 6], 0, 0, [7, -3, 120]],
        [2, [5, 6, 7, 8, 9], 0, 0, [7, -3, 120]],
        [2, [5, 6, 0], 0, 0, [7, -3, 120]],
        [2, [5, 6, 2**31], 0, 0, [7, -3, 120]],
        [2, [5, 6, True], 0, 0, [7, -3, 120]],
        [2, (5, 6, 7), 0, 0, [7, -3, 120]],
        [2, [5, 6, 7], -1, 0, [7, -3, 120]],
        [2, [5, 6, 7], 65, 0, [7, -3, 120]],
        [2, [5, 6, 7], 0, -1, [7, -3, 120]],
        [2, [5, 6, 7], 0, 1.0, [7, -3, 120]],
        [2, [5, 6, 7], 0, 0, [99, -3, 120]],
        [2, [5, 6, 7], 0, 0, [7, 120, -3]],
        [2, [5, 6, 7], 0, 2, [7, -3, 120]],  # NIfTI without a side section
        [2, [5, 6, 7], 0, 4, [7, -3, 120]],  # zarr without one
    ],
)
def test_header_refusals(header):
    with pytest.raises((MalformedError, UnknownIdError)):
        VolumeSpec.from_header(header)


def test_unknown_format_is_named():
    with pytest.raises(UnknownIdError, match="format 99"):
        VolumeSpec.from_header([2, [5, 6, 7], 0, 99, [7, -3, 120]])


def test_side_section_refusals(nifti):
    spec = VolumeSignal.load(nifti()).spec
    header, metadata = spec.to_header(), spec.metadata
    wrong_shape, wrong_dtype, wrong_size = bytearray(metadata), bytearray(metadata), bytearray(metadata)
    wrong_shape[42] += 1
    wrong_dtype[70] = 16
    wrong_size[0] += 1
    for bad in (b"x", b"\0" * 400, metadata[:300], wrong_shape, wrong_dtype, wrong_size):
        with pytest.raises(MalformedError):
            VolumeSpec.from_header(header, brotli.compress(bytes(bad)))
    for side in (b"no brotli", spec.side[:-3], brotli.compress(bytes(1 << 25)), brotli.compress(b"")):
        with pytest.raises(FormatError):
            VolumeSpec.from_header(header, side)
    with pytest.raises(MalformedError, match="no side section"):
        VolumeSpec.from_header([*header[:3], 0, header[4]], spec.side)


def test_zarr_side_section_refusals():
    header = [2, [5, 6, 7], 0, 4, [7, -3, 120]]
    good = {"attributes": {}, "chunks": [5, 6, 7]}

    def packed(value):
        return brotli.compress(json.dumps(value, separators=(",", ":")).encode())

    assert VolumeSpec.from_header(header, packed(good)).format == ".zarr"
    for bad in (
        [],
        {},
        {"chunks": [5, 6, 7]},
        good | {"chunks": [5, 6]},
        good | {"chunks": [5, 6, 0]},
        good | {"attributes": []},
        good | {"more": 1},
        good | {"dimension_names": ["z"]},
        good | {"dimension_names": ["z", "y", 3]},
    ):
        with pytest.raises(MalformedError):
            VolumeSpec.from_header(header, packed(bad))
    constants = [
        b'{"attributes":{"a":[%s]},"chunks":[5,6,7]}' % c for c in (b"NaN", b"Infinity", b"-Infinity", b"1e999")
    ]
    for text in (b"{", b"[" * 100_000, b'{"attributes": {}, "chunks": [5, 6, 7]}', b"\xff", *constants):
        with pytest.raises(MalformedError):
            VolumeSpec.from_header(header, brotli.compress(text))


def test_damaged_nifti_header_in_a_file(nifti, tmp_path):
    """What passes our own look at the header may still displease nibabel: no traceback, and no file."""
    spec = VolumeSignal.load(nifti()).spec
    damaged = bytearray(spec.metadata)
    damaged[344:348] = b"????"
    damaged[356:360] = b"\xff" * 4
    spec = VolumeSpec.from_header(spec.to_header(), brotli.compress(bytes(damaged)))
    with pytest.raises((InputError, FormatError)):
        spec.save(spec.render(network()), tmp_path / "a.nii")
    assert not (tmp_path / "a.nii").exists()


@pytest.mark.parametrize(("library", "suffix"), [("nibabel", ".nii.gz"), ("zarr", ".zarr.zip"), ("tifffile", ".tif")])
def test_missing_libraries_are_named(nifti, tmp_path, monkeypatch, library, suffix):
    path = nifti(f"a{suffix}")  # what is in it does not matter
    spec = VolumeSignal.load(nifti()).spec
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=rf"a{suffix}: .*needs {library}: pip install 'sinr-codec\[volume\]'"):
        VolumeSignal.load(path)
    # A volume from NIfTI is described and decoded to other formats all the same.
    spec = VolumeSpec.from_header(spec.to_header(), spec.side)
    assert spec.describe()["spacing"] == pytest.approx([0.9, 1.1, 3.0])
    rendered = spec.render(network())
    spec.save(rendered, tmp_path / "a.npy")
    with pytest.raises(MissingExtraError, match=library):
        spec.save(rendered, tmp_path / f"b{suffix}")
    assert not (tmp_path / f"b{suffix}").exists()


# -- real volumes ------------------------------------------------------------------------------------------


def test_mri(data_file, tmp_path):
    path = data_file("volume/mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz")
    signal = VolumeSignal.load(path)
    assert signal.spec.shape == (197, 233, 189)
    assert signal.source_bytes == 8_675_289
    assert len(signal.spec.side) < 200
    rendered = signal.spec.render(network(), region=((90, 91), (50, 90), (60, 100)))
    signal.spec.save(rendered, tmp_path / "cut.nii.gz")
    source, cut = nibabel.load(path), nibabel.load(tmp_path / "cut.nii.gz")
    np.testing.assert_allclose(world(cut, (0, 0, 0)), world(source, (90, 50, 60)))
    assert cut.get_data_dtype() == np.uint8


def test_ct_has_negative_numbers(data_file):
    signal = VolumeSignal.load(data_file("volume/totalseg_example_ct.nii.gz"))
    assert signal.spec.describe()["range"] == [-1207, 3382]
    crop = VolumeSignal.load(np.asarray(signal.array[50:58, 50:60, 50:62]))
    render = crop.spec.render(exactly(crop))
    np.testing.assert_array_equal(render, signal.array[50:58, 50:60, 50:62])


# -- blocks ------------------------------------------------------------------------------------------------


def textured(*sizes, order="C", dtype=np.int16):
    """Every voxel another value than its neighbours'."""
    return np.asarray(np.arange(math.prod(sizes)).reshape(sizes) * 7 % 4001, dtype, order=order)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("sizes", [(40, 21, 18), (19, 33, 17, 5), (40, 20, 18, 3)])
def test_what_every_block_knows_of_its_voxels_is_the_volume(sizes, order):
    signal = VolumeSignal.load(textured(*sizes, order=order), block=16)
    spec = signal.spec
    assert spec.cut is not None
    assert VolumeSpec.from_header(spec.to_header(), spec.side) == spec
    assert VolumeSpec.parts_in(spec.to_header()) == spec.parts == len(signal.parts) > 1
    assert spec.describe()["blocks"] == list(spec.cut.counts)
    fields = Fields([Exact(part) for part in signal.parts], tile=300)
    np.testing.assert_array_equal(spec.render(fields), signal.array)
    np.testing.assert_array_equal(
        spec.render(fields, region=((3, 18), (2, 9), (15, 17))), signal.array[3:18, 2:9, 15:17]
    )
    assert signal.quality(lambda **options: spec.render(fields, **options)).db == math.inf


def test_only_the_blocks_of_a_slice_are_taken():
    spec, taken = VolumeSignal.load(textured(48, 48, 48), block=16).spec, set()

    class Parts(list):
        def __getitem__(self, number):
            taken.add(number)
            return lambda coords: np.zeros((len(coords), 1), np.float32)

    spec.render(Fields(Parts()), region=((5, 6), (0, 48), (0, 10)))
    assert taken == {0, 3, 6}


def test_large_volumes_are_cut_when_asked(monkeypatch):
    monkeypatch.setattr(VolumeSignal, "BLOCKS", replace(VolumeSignal.BLOCKS, largest=40 * 20 * 18, side=16))
    assert VolumeSignal.load(textured(40, 20, 18)).in_blocks().spec.cut is None
    cut = VolumeSignal.load(textured(41, 20, 18)).in_blocks()
    assert cut.spec == VolumeSignal.load(textured(41, 20, 18), block=16).spec
    assert VolumeSignal.load(textured(41, 20, 18), like=cut.spec).spec == cut.spec
    assert VolumeSignal.load(textured(41, 20, 18), block=0).spec.cut is None


@pytest.mark.parametrize("block", [-1, 15, 16.5, math.nan, math.inf, 2**31, "16"])
def test_sizes_of_blocks_that_are_refused(block):
    with pytest.raises(InputError, match="block"):
        VolumeSignal.load(textured(20, 20, 20), block=block)


@pytest.mark.parametrize(
    "change",
    [
        {5: [1, 1, 1]},
        {5: [3, 1]},
        {5: [0, 2, 1]},
        {5: [41, 1, 1]},
        {5: [2, True, 1]},
        {5: 3},
        {6: 11},
        {6: -1},
        {6: 1.0},
        {7: 1},
    ],
)
def test_headers_of_blocks_that_nobody_can_have_written(change):
    header = VolumeSignal.load(textured(40, 20, 18), block=16).spec.to_header()
    for place, value in change.items():
        header[place:] = [value, *header[place + 1 :]]
    with pytest.raises(MalformedError, match=r"volume|blocks|fade"):
        VolumeSpec.from_header(header)
    with pytest.raises(MalformedError, match=r"volume|blocks|fade"):
        VolumeSpec.parts_in(header)


def test_quality_tells_of_seams_in_any_order():
    for order in ("C", "F"):
        signal = VolumeSignal.load(textured(40, 20, 18, order=order), block=20)
        decoded = signal.array.copy()
        decoded[::2] ^= 1

        def render(region, decoded=decoded):
            return decoded[tuple(slice(*ends) for ends in region)]

        assert signal.quality(render).figures["seam_db"] == pytest.approx(0, abs=0.5)
        decoded[18:22] ^= 2
        assert signal.quality(render).figures["seam_db"] > 3


def test_empty_space_is_thinned_in_every_block():
    array = np.zeros((64, 32, 32), np.uint8)
    array[20:24, 12:20, 12:20] = 200
    parts = VolumeSignal.load(array, block=32).parts
    assert [len(part) < 0.5 * 34 * 32 * 32 for part in parts] == [True, True]
    assert [part.in_features for part in parts[:1]] == [3]
    with pytest.raises(IndexError):
        parts[2]


def test_odd_values_of_a_nifti_header_are_mended_silently():
    """In a process of its own, where no handler of pytest takes the messages."""
    header = nibabel.Nifti1Header()
    header.set_data_shape((4, 4, 4))
    file = io.BytesIO()
    header.write_to(file)
    data = bytearray(file.getvalue() + bytes(16))
    data[254:256] = (348).to_bytes(2, "little")  # no form code
    program = (
        "import io, sys; from sinr_codec.signals.nifti import read_header; "
        "print(read_header(io.BytesIO(sys.stdin.buffer.read()))['sform_code'])"
    )
    run = subprocess.run([sys.executable, "-c", program], input=bytes(data), capture_output=True, check=True)
    assert (run.stdout.strip(), run.stderr) == (b"0", b"")
