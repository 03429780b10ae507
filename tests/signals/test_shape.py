import lzma
import math
import tracemalloc

import numpy as np
import pytest

from sinr_codec import codec
from sinr_codec.errors import FormatError, InputError, LimitError, MalformedError, UnknownIdError
from sinr_codec.presets import preset_named
from sinr_codec.signals import registry
from sinr_codec.signals.base import Fields
from sinr_codec.signals.cut import Cut
from sinr_codec.signals.shape import KIND, ShapeSignal, intersection_over_union
from sinr_codec.signals.shape_spec import Shape, ShapeSpec

trimesh = pytest.importorskip("trimesh")
pytest.importorskip("igl")
pytest.importorskip("skimage")
scipy_io = pytest.importorskip("scipy.io")


def ball(radius=1.0, at=(0, 0, 0), subdivisions=3):
    return trimesh.creation.icosphere(subdivisions, radius).apply_translation(at)


def solid_ball(n=20):
    x = np.arange(n) - n / 2 + 0.5
    return sum(np.square(np.meshgrid(x, x, x, indexing="ij"))) < (0.4 * n) ** 2


def exact(signal):
    """A network that knows the level of every voxel."""
    spec = signal.spec
    _, values = signal._samples(np.arange(spec.samples))
    table = values.reshape(*spec.shape, -1)

    def apply(coords):
        place = np.floor((coords.astype(np.float64) + 1) / 2 * spec.shape).astype(int)
        return table[tuple(np.clip(place, 0, np.array(spec.shape) - 1).T)]

    return apply


def decoded(signal, **options):
    return signal.spec.render(Fields([exact(signal)]), **options)


# -- meshes ------------------------------------------------------------------------------------------------


def test_grid_of_a_mesh_holds_it_with_a_margin():
    signal = ShapeSignal.load(trimesh.creation.box((1, 2, 4)).apply_translation((100, -3, 7)), resolution=34)
    spec = signal.spec
    assert spec.shape == (10, 18, 34)
    assert spec.voxel == 0.125
    assert np.allclose(spec.origin, [99.375, -4.125, 4.875])
    assert signal.solid.sum() == 8 * 16 * 32
    assert not signal.solid[0].any()
    assert signal.source_bytes == math.ceil(10 * 18 * 34 / 8)
    assert signal.notes == ()


def test_inverted_and_open_meshes_have_the_same_voxels():
    whole = ball()
    inverted, opened = whole.copy(), whole.copy()
    inverted.invert()
    opened.update_faces(np.arange(len(opened.faces)) > 3)
    signals = [ShapeSignal.load(mesh, resolution=24) for mesh in (whole, inverted, opened)]
    assert np.array_equal(signals[0].solid, signals[1].solid)
    assert np.mean(signals[0].solid != signals[2].solid) < 1e-3
    assert "not closed" in signals[2].notes[0]


def test_the_open_bunny_is_solid(data_file):
    signal = ShapeSignal.load(data_file("mesh/stanford_bunny_open.ply"), resolution=32)
    assert 0.2 < signal.solid.mean() < 0.35
    quality = signal.quality(lambda: decoded(signal))
    assert quality.figures["iou"] == 1
    assert quality.figures["chamfer"] < 0.01


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".stl", ".off", ".glb"])
def test_decoded_meshes_lie_where_the_source_lay(tmp_path, suffix):
    source = ball(2.0, (50, 60, -70))
    signal = ShapeSignal.load(source, resolution=32)
    signal.spec.save(decoded(signal), tmp_path / f"ball{suffix}")
    back = trimesh.load(tmp_path / f"ball{suffix}", force="mesh")
    assert np.abs(back.bounds - source.bounds).max() < 0.25 * signal.spec.voxel
    assert back.volume == pytest.approx(source.volume, rel=0.01)


def test_levels_follow_the_distance_to_the_faces():
    signal = ShapeSignal.load(ball(subdivisions=5), resolution=32)
    index = np.arange(signal.spec.samples)
    _, values = signal._samples(index)
    distance = (1 - np.linalg.norm(signal.spec.centres(index), axis=1)) / signal.spec.voxel
    wanted = np.clip(distance / 1.5, -1, 1)
    assert np.abs(values[:, 0] - wanted).max() < 0.02
    assert np.array_equal(values[:, 0] > 0, signal.solid.reshape(-1))


# -- volumes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32, np.int32])
def test_arrays_and_files_of_zeros_and_ones(tmp_path, dtype):
    solid = solid_ball()
    np.save(tmp_path / "a.npy", solid.astype(dtype))
    scipy_io.savemat(tmp_path / "a.mat", {"hypercube": solid.astype(np.uint8), "other": np.zeros((2, 2, 2))})
    for source in (solid.astype(dtype), tmp_path / "a.npy", tmp_path / "a.mat"):
        signal = ShapeSignal.load(source)
        assert np.array_equal(signal.solid, solid)
        assert signal.notes == ()
        assert signal.spec.suffix == ".npy"
        assert np.array_equal(decoded(signal).solid, solid)


def test_other_values_are_cut_at_half_with_a_note():
    volume = np.linspace(0, 8, 125).reshape(5, 5, 5)
    signal = ShapeSignal.load(volume)
    assert np.array_equal(signal.solid, volume > 4)
    assert "above half" in signal.notes[0]
    assert ShapeSignal.load((volume > 4) * 255).notes == ()


def test_cropping_keeps_the_last_slab_and_the_coordinates():
    solid = np.zeros((9, 9, 9), bool)
    solid[2:5, 3:9, 0:4] = True
    signal = ShapeSignal.load(solid, crop=True)
    assert signal.solid.shape == (3, 6, 4)
    assert signal.solid.all()
    assert signal.spec.origin == (2, 3, 0)
    again = ShapeSignal.load(solid, like=signal.spec)
    assert again.spec == signal.spec
    assert np.array_equal(again.solid, signal.solid)
    mesh = decoded(signal).mesh()
    assert mesh.vertices.min(0) == pytest.approx([2, 3, 0], abs=0.6)


# -- variants ----------------------------------------------------------------------------------------------


def test_signed_distances():
    signal = ShapeSignal.load(ball(subdivisions=5), resolution=32, variant="sdf")
    assert signal.spec.band == 4
    shape = decoded(signal)
    radius = np.linalg.norm(signal.spec.centres(np.arange(signal.spec.samples)), axis=1)
    wanted = np.clip(radius - 1, -4 * signal.spec.voxel, 4 * signal.spec.voxel)
    assert np.abs(shape.distance.reshape(-1) - wanted).max() < 0.05 * signal.spec.voxel
    quality = signal.quality(lambda: shape)
    assert quality.figures["iou"] == 1
    assert quality.figures["distance_error"] < 1e-3


def test_signed_distances_of_a_volume_and_their_file(tmp_path):
    signal = ShapeSignal.load(solid_ball(), variant="sdf", band=6)
    signal.spec.save(decoded(signal), tmp_path / "d.npy")
    distance = np.load(tmp_path / "d.npy")
    assert distance.dtype == np.float32
    assert distance[10, 10, 10] == -6
    assert distance[10, 10, 18] == pytest.approx(0.5, abs=0.01)


def test_colours_come_back_on_the_surface(tmp_path):
    source = ball()
    source.visual.vertex_colors = np.rint((source.vertices + 1) * 127.5).astype(np.uint8)
    signal = ShapeSignal.load(source, resolution=32, variant="coloured")
    assert signal.out_features == 4
    shape = decoded(signal)
    quality = signal.quality(lambda: shape)
    assert quality.figures["rgb_psnr_db"] > 50
    mesh = shape.mesh()
    assert np.abs(mesh.colours - (mesh.vertices + 1) * 127.5).max() < 15
    signal.spec.save(shape, tmp_path / "c.npy")
    assert np.array_equal(np.load(tmp_path / "c.npy")[..., 3] > 0, signal.solid)
    with pytest.raises(InputError, match="has no colours"):
        ShapeSignal.load(ball(), resolution=16, variant="coloured")
    assert "colours were left out" in ShapeSignal.load(source, resolution=16).notes[0]


def test_absent_colours_and_levels_beyond_one_cost_nothing():
    source = ball()
    source.visual.vertex_colors = np.full((len(source.vertices), 4), 200, np.uint8)
    signal = ShapeSignal.load(source, resolution=24, variant="coloured")
    far = np.flatnonzero(signal._target.reshape(-1) == -127)[:1]
    _, values = signal._samples(far)
    predicted = values.copy()
    predicted[:, 0] = -7
    predicted[:, 1:] = 0.3
    assert signal.loss(predicted, values) == 0
    predicted[:, 0] = 0.5
    assert signal.loss(predicted, values) == pytest.approx(1.5**2 / 4)
    torch = pytest.importorskip("torch")
    assert float(signal.loss(torch.from_numpy(predicted), torch.from_numpy(values))) == pytest.approx(1.5**2 / 4)


def test_a_bare_step_is_fitted_as_in_the_paper():
    signal = ShapeSignal.load(solid_ball(), band=0, sampling="uniform")
    assert len(signal) == 20**3
    coords, values = signal.batch(np.arange(len(signal)))
    assert set(values.ravel().tolist()) == {-1, 1}
    assert coords[0].tolist() == pytest.approx([-0.95] * 3)
    assert signal.loss(2 * values, values) == 1


# -- samples -----------------------------------------------------------------------------------------------


def test_four_of_five_samples_lie_near_the_surface():
    signal = ShapeSignal.load(ball(), resolution=32)
    _, values = signal.batch(np.linspace(0, len(signal) - 1, 5000).astype(int))
    near = (np.abs(values) < 1).mean()
    everywhere = (np.abs(signal._samples(np.arange(signal.spec.samples))[1]) < 1).mean()
    assert near > 2 * everywhere
    last, _ = signal.batch(np.array([0, len(signal) - 1]))
    assert (np.abs(last) < 1).all()


def test_objective_is_the_volume_that_changes_sides():
    ndimage = pytest.importorskip("scipy.ndimage")
    signal = ShapeSignal.load(ball(), resolution=40)
    table = decoded(signal).level
    noise = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=table.shape), 2)
    noise *= 0.2 / noise.std()

    def noisy(coords):
        place = np.floor((coords.astype(np.float64) + 1) / 2 * table.shape).astype(int)
        return (table + noise)[tuple(np.clip(place, 0, 39).T)][:, None].astype(np.float32)

    wanted = 1 - intersection_over_union(table + noise, signal.solid)
    assert wanted > 0.01
    for samples in (None, 20_000):
        error = signal.objective(samples, 0)
        assert error(exact(signal), 1000) == 0
        assert error(noisy, 1000) == pytest.approx(wanted, rel=0.35)
        assert error(lambda coords: -noisy(coords), 1000) > 0.8


def test_quality_counts_voxels():
    signal = ShapeSignal.load(solid_ball())
    shape = decoded(signal)
    level = shape.level.copy()
    level[:10] = -1
    quality = signal.quality(lambda: Shape(level, shape.origin, shape.spacing))
    assert quality.figures["iou"] == 0.5
    assert quality.brief("IoU") == "IoU 0.5"
    assert quality.db == pytest.approx(3.0103)
    assert signal.quality(lambda: shape).db == math.inf
    with pytest.raises(InputError, match="expected a shape of"):
        signal.quality(lambda: decoded(signal, scale=2))


# -- rendering ---------------------------------------------------------------------------------------------


def test_any_resolution_and_region_in_the_same_place():
    signal = ShapeSignal.load(ball(at=(5, 0, 0)), resolution=32)
    whole = signal.spec.render(Fields([lambda c: 0.8 - np.linalg.norm(c, axis=1, keepdims=True)]))
    double = signal.spec.render(Fields([lambda c: 0.8 - np.linalg.norm(c, axis=1, keepdims=True)]), resolution=64)
    assert double.level.shape == (64, 64, 64)
    assert np.allclose(double.mesh().vertices.max(0), whole.mesh().vertices.max(0), atol=0.01)
    part = signal.spec.render(
        Fields([lambda c: 0.8 - np.linalg.norm(c, axis=1, keepdims=True)]), region=((16, 32), (0, 32), (8, 24))
    )
    assert np.array_equal(part.level, whole.level[16:32, :, 8:24])
    assert part.mesh().vertices[:, 0].min() == pytest.approx(whole.origin[0] + 15.5 * whole.spacing[0], abs=0.05)
    with pytest.raises(InputError, match="expected one of them"):
        signal.spec.render(Fields([exact(signal)]), resolution=8, scale=1)
    with pytest.raises(InputError, match="resolution: expected"):
        signal.spec.render(Fields([exact(signal)]), resolution=0)


def test_too_many_voxels_are_refused_before_anything_is_allocated():
    spec = ShapeSpec((60_000, 60_000, 60_000))
    tracemalloc.start()
    with pytest.raises(LimitError):
        spec.render(Fields([lambda c: c[:, :1]]))
    assert tracemalloc.get_traced_memory()[1] < 1 << 22
    tracemalloc.stop()


def test_a_rendering_takes_no_more_than_itself():
    spec = ShapeSpec((64, 64, 64))
    tracemalloc.start()
    shape = spec.render(Fields([lambda c: c[:, :1]], threads=1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < shape.level.nbytes + (1 << 20)


def test_a_damaged_network_gives_a_shape():
    spec = ShapeSpec((8, 8, 8), "coloured", mesh=True)
    shape = spec.render(Fields([lambda c: np.full((len(c), 4), np.nan, np.float32)]))
    assert not shape.solid.any()
    with pytest.raises(MalformedError):
        spec.render(Fields([lambda c: c[:, :1]]))


def test_files_of_every_kind(tmp_path):
    signal = ShapeSignal.load(ball(), resolution=24)
    shape = decoded(signal)
    signal.spec.save(shape, tmp_path / "a.npy")
    assert np.array_equal(np.load(tmp_path / "a.npy"), signal.solid)
    signal.spec.save(shape, tmp_path / "a.png", size=64)
    image = pytest.importorskip("PIL.Image").open(tmp_path / "a.png")
    assert image.size == (64, 64)
    assert image.convert("L").getextrema()[0] < 150
    with pytest.raises(InputError, match=r"expected .*\.ply"):
        signal.spec.save(shape, tmp_path / "a.docx")
    empty = Shape(-np.ones((4, 4, 4), np.float32), (0, 0, 0), (1, 1, 1))
    for name in ("b.ply", "b.png"):
        with pytest.raises(InputError, match="is empty"):
            signal.spec.save(empty, tmp_path / name)
    assert not list(tmp_path.glob("b.*"))
    assert "24 x 24 x 24 voxels" in signal.spec.summary(shape)


# -- headers -----------------------------------------------------------------------------------------------

SPECS = [
    ShapeSpec((3, 4, 5)),
    ShapeSpec((3, 4, 5), band=0.0),
    ShapeSpec((256, 100, 65536), "sdf", 32.0, (1e6, -0.1, 3.25), 1e-4, True),
    ShapeSpec((1, 1, 1), "coloured", 1.5, (0.0, 0.0, 0.0), 12.5, True),
]


@pytest.mark.parametrize("spec", SPECS)
def test_header_comes_back(spec):
    assert ShapeSpec.from_header(spec.to_header()) == spec
    assert registry.spec_from_header(spec.to_header()) == spec
    assert spec.describe()["shape"] == list(spec.shape)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        *((2, 2), (2, True), (3, 0), (4, 65537), (5, 3.0), (5, True), (6, -1.0), (6, 1e9), (6, math.nan), (6, 1)),
        *((7, 0.0), (7, -1.0), (7, math.inf), (8, math.nan), (10, "0")),
    ],
)
def test_other_headers_are_refused(place, value):
    header = SPECS[2].to_header()
    header[place] = value
    with pytest.raises(MalformedError):
        ShapeSpec.from_header(header)


def test_headers_of_the_wrong_form_are_refused():
    header = SPECS[0].to_header()
    for wrong in ([], header[:-1], [*header, 0], {}, [4, *header[1:]]):
        with pytest.raises(MalformedError):
            ShapeSpec.from_header(wrong)
    with pytest.raises(UnknownIdError):
        ShapeSpec.from_header([5, 3, *header[2:]])
    with pytest.raises(MalformedError, match="side"):
        ShapeSpec.from_header(header, b"x")
    with pytest.raises(MalformedError, match="band"):
        ShapeSpec.from_header([5, 1, 0, 3, 4, 5, 0.0, 1.0, 0.0, 0.0, 0.0])


# -- what cannot be read -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((4, 4, 4)), "nothing is inside"),
        (np.ones((4, 4)), "expected a volume"),
        (np.ones((0, 4, 4)), "expected a volume"),
        (np.full((4, 4, 4), np.nan), "zeros and ones"),
        (-np.ones((4, 4, 4)), "zeros and ones"),
        (np.ones((4, 4, 4), complex), "dtype complex"),
    ],
)
def test_volumes_that_are_none(array, reason):
    with pytest.raises(InputError, match=reason):
        ShapeSignal.load(array)


def test_files_that_cannot_be_read(tmp_path):
    scipy_io.savemat(tmp_path / "two.mat", {"a": np.ones((2, 2, 2)), "b": np.ones((2, 2, 2))})
    (tmp_path / "broken.mat").write_bytes(bytes(range(256)) * 4)
    (tmp_path / "broken.npy").write_bytes(b"\x93NUMPY no more")
    np.save(tmp_path / "pickled.npy", np.array([{}, 1], object), allow_pickle=True)
    (tmp_path / "v73.mat").write_bytes(b"MATLAB 7.3 MAT-file".ljust(124, b" ") + b"\x00\x02IM" + bytes(200))
    for name in ("two.mat", "broken.mat", "broken.npy", "pickled.npy", "v73.mat", "missing.npy", "missing.mat"):
        with pytest.raises(InputError, match=name):
            ShapeSignal.load(tmp_path / name)


def test_flat_and_tiny_meshes_are_refused():
    triangle = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], float)
    for turn in (np.eye(3), [[0.6, 0.8, 0], [-0.48, 0.36, 0.8], [0.64, -0.48, 0.6]]):
        with pytest.raises(InputError, match="is flat"):
            ShapeSignal.load((triangle @ turn + 3, np.array([[0, 1, 2]])), resolution=16)
    with pytest.raises(InputError, match="single point"):
        ShapeSignal.load((np.zeros((3, 3)), np.array([[0, 1, 2]])))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"resolution": 4}, "resolution"),
        ({"resolution": 1e9}, "resolution"),
        ({"variant": "mesh"}, "variant"),
        ({"band": -1}, "band"),
        ({"band": 0, "variant": "sdf"}, "band"),
        ({"sampling": "all"}, "sampling"),
        ({"crop": True}, "crop"),
    ],
)
def test_options_are_checked(options, reason):
    with pytest.raises(InputError, match=reason):
        ShapeSignal.load(ball(), **options)
    if "resolution" in options:
        with pytest.raises(InputError, match="is for meshes"):
            ShapeSignal.load(solid_ball(), **options)


def test_another_volume_is_refused_for_comparison():
    spec = ShapeSignal.load(solid_ball()).spec
    with pytest.raises(InputError, match="expected a volume of"):
        ShapeSignal.load(solid_ball(16), like=spec)


# -- a fit -------------------------------------------------------------------------------------------------


def test_a_small_network_holds_a_ball():
    pytest.importorskip("torch")
    from sinr_codec.fields import MLP, Gaussian
    from sinr_codec.fit import FitConfig, fit

    signal = ShapeSignal.load(ball(), resolution=32)
    field = MLP(3, 1, 24, 1, Gaussian(3.0))
    result = fit(field, signal, FitConfig(steps=150, batch=1024, lr=1e-2))
    quality = signal.quality(lambda: signal.spec.render(Fields([field.decoder(result.params)])))
    assert quality.figures["iou"] > 0.97
    assert quality.figures["chamfer"] < 0.01
    assert signal.decibels(result.loss) == pytest.approx(quality.db, abs=6)


# -- blocks ------------------------------------------------------------------------------------------------


class Known:
    """A network that has learned the level, and the colours, of every voxel of a part."""

    def __init__(self, part):
        coords, values = part._samples(np.arange(part.spec.samples))
        self.table = {point.tobytes(): value for point, value in zip(coords, values)}

    def __call__(self, coords):
        return np.stack([self.table[point.tobytes()] for point in np.ascontiguousarray(coords)])


def known(signal):
    return Fields([Known(part) for part in signal.parts], tile=500)


def solid_box(*shape):
    """A solid that leaves some blocks empty."""
    solid = np.zeros(shape, bool)
    solid[2 : shape[0] // 2, 3:-3, 2:-2] = True
    return solid


@pytest.mark.parametrize("options", [{}, {"variant": "sdf"}, {"band": 0.0}, {"sampling": "uniform"}])
def test_what_every_block_knows_of_its_voxels_is_the_shape(options):
    solid = solid_box(70, 34, 20)
    whole, signal = ShapeSignal.load(solid, **options), ShapeSignal.load(solid, block=16, **options)
    spec = signal.spec
    assert spec.cut == Cut.into((70, 34, 20), 16, 2)
    assert spec.parts == len(signal.parts) == math.prod(spec.cut.counts) > 1
    assert ShapeSpec.from_header(spec.to_header()) == spec
    assert ShapeSpec.parts_in(spec.to_header()) == spec.parts
    assert spec.describe()["blocks"] == list(spec.cut.counts)
    fields = known(signal)
    level = spec.render(fields).level
    np.testing.assert_allclose(level, whole.spec.render(known(whole)).level, atol=1e-6)
    assert signal.quality(lambda: spec.render(fields)).figures["iou"] == 1
    part = spec.render(fields, region="30:45,0:9")
    np.testing.assert_array_equal(part.level, level[30:45, :9])
    assert part.origin == (30, 0, 0)


def test_colours_of_blocks_are_those_of_the_shape():
    mesh = ball(subdivisions=3)
    mesh.visual.vertex_colors = np.uint8(127 + 120 * mesh.vertices / np.abs(mesh.vertices).max())
    whole, signal = (ShapeSignal.load(mesh, variant="coloured", resolution=36, block=block) for block in (None, 18))
    parts = list(signal.parts)
    assert sum(len(part._near) for part in parts) > len(whole._near)  # fades are in several
    for number, part in enumerate(parts):
        area = signal.spec.cut.area(number)
        place = np.stack(np.unravel_index(part._near, part.solid.shape), 1) + [s.start for s in area]
        row = np.searchsorted(whole._near, np.ravel_multi_index(tuple(place.T), whole.solid.shape))
        np.testing.assert_array_equal(part._colours, whole._colours[row])
        np.testing.assert_array_equal(part._target, whole._target[area])


def test_errors_of_blocks_add_up_to_that_of_the_shape():
    whole, signal = ShapeSignal.load(solid_box(64, 32, 32)), ShapeSignal.load(solid_box(64, 32, 32), block=16)

    def outside(coords):
        return np.full((len(coords), 1), -1, np.float32)

    parts = [part.objective(None, 0)(outside, 500) for part in signal.parts]
    wanted = whole.objective(None, 0)(outside, 500)
    assert wanted <= np.mean(parts) <= 1.6 * wanted  # fades count more than once
    assert min(parts) == 0  # blocks without anything in them


def test_of_blocks_without_a_surface_all_voxels_are_drawn_alike():
    signal = ShapeSignal.load(solid_box(70, 34, 20), block=16)
    empty = [part for part in signal.parts if not len(part._near)]
    assert empty
    for part in empty:
        assert len(part) == part.solid.size
        coords, values = part.batch(np.arange(len(part)))
        assert len(coords) == part.solid.size
        assert (values == -1).all()
        assert part.objective(100, 0)(lambda coords: np.full((len(coords), 1), -1, np.float32), 50) == 0
        assert part.objective(100, 0)(lambda coords: np.full((len(coords), 1), 1, np.float32), 50) > 0
        assert part.decibels(0.1) == math.inf


def test_only_the_blocks_of_a_region_are_taken():
    spec, taken = ShapeSignal.load(solid_box(70, 34, 20), block=16).spec, set()

    class Networks(list):
        def __getitem__(self, number):
            taken.add(number)
            return lambda coords: np.zeros((len(coords), 1), np.float32)

    spec.render(Fields(Networks()), region=((0, 8), (0, 34), (0, 20)))
    assert taken == set(range(math.prod(spec.cut.counts[1:])))


def test_a_damaged_network_of_a_block_is_outside():
    spec = ShapeSignal.load(solid_box(70, 34, 20), block=16).spec
    broken = Fields([lambda coords: np.full((len(coords), 1), np.nan, np.float32)] * spec.parts)
    assert (spec.render(broken).level == -1).all()


def test_a_source_is_compared_as_it_was_cut():
    spec = ShapeSignal.load(solid_box(70, 34, 20), block=16).spec
    assert ShapeSignal.load(solid_box(70, 34, 20), like=spec).spec == spec
    assert ShapeSignal.load(solid_box(20, 20, 20), block=32).spec.cut is None


@pytest.mark.parametrize("block", [-1, 15, 16.5, math.nan, 2**31, "16"])
def test_sizes_of_blocks_that_are_refused(block):
    with pytest.raises(InputError, match="block"):
        ShapeSignal.load(solid_box(40, 40, 40), block=block)


@pytest.mark.parametrize(
    "change",
    [
        {11: 1, 12: 1, 13: 1},
        {11: 0},
        {11: 71},
        {12: True},
        {12: 2.0},
        {13: None},
        {14: -1},
        {14: 9},
        {14: 1.0},
        {15: 1},
        {3: 4},
        {1: 9},
    ],
)
def test_headers_of_blocks_that_nobody_can_have_written(change):
    header = ShapeSignal.load(solid_box(70, 34, 20), block=16).spec.to_header()
    for place, value in change.items():
        header[place:] = [value, *header[place + 1 :]]
    with pytest.raises(FormatError, match=r"shape|blocks|fade"):
        ShapeSpec.from_header(header)
    with pytest.raises(MalformedError, match="shape"):
        ShapeSpec.from_header(header[:14])


def test_a_shape_in_blocks_is_a_file(tmp_path):
    pytest.importorskip("torch")
    source = solid_box(48, 20, 20)
    report = codec.encode(source, tmp_path / "a.sinr", preset="fast", width=8, depth=1, block=24)
    assert report.parts == 2
    assert report.quality > 10
    assert report.bytes > report.figures["lossless_bytes"]
    assert any("larger than the source without loss" in note for note in report.notes)
    assert codec.verify(tmp_path / "a.sinr", source).ok
    part = codec.decode(tmp_path / "a.sinr", region="0:20")
    np.testing.assert_array_equal(part.level, codec.decode(tmp_path / "a.sinr").level[:20])
    assert codec.encode(source, preset="fast", depth=1, block=24, size=900).bytes <= 900


# -- beside lossless coding ------------------------------------------------------------------------------------


def test_the_report_has_the_size_without_loss():
    solid = np.random.default_rng(0).random((12, 9, 10)) < 0.5
    signal = ShapeSignal.load(solid)
    quality = signal.quality(lambda: Shape(np.where(solid, np.float32(1), np.float32(-1)), (0, 0, 0), (1, 1, 1)))
    assert quality.figures["lossless_bytes"] == len(lzma.compress(np.packbits(solid).tobytes()))
    assert quality.units["lossless_bytes"] == "bytes"


def test_networks_of_small_grids_are_small():
    def width(*shape, **options):
        return KIND.recipe.default_width(ShapeSpec(shape, **options))

    assert width(256, 254, 199) == width(256, 100, 90) == width(512, 512, 512) == 128
    assert width(96, 96, 75, variant="sdf") == width(96, 96, 75, variant="coloured") == 128
    assert KIND.recipe.under(preset_named("paper")).default_width(ShapeSpec((16, 16, 16))) == 128
    widths = [width(n, n, n * 3 // 4) for n in range(8, 258, 10)]
    assert widths == sorted(widths)
    # xz takes 2,756, 5,864 and 10,032 bytes for the bunny's voxels; weights of a width w take about 3.6 w^2.
    for shape, lossless in (((64, 64, 51), 2756), ((96, 96, 75), 5864), ((128, 127, 100), 10_032)):
        assert 0.8 * lossless < 3.6 * width(*shape) ** 2 < lossless
