import numpy as np
import pytest

from sinr_codec.errors import InputError, LimitError
from sinr_codec.signals import mesh as meshes
from sinr_codec.signals.mesh import Mesh, chamfer, marching_cubes, occupancy, shaded
from sinr_codec.signals.mesh_files import READS, WRITES, read_mesh, write_mesh

trimesh = pytest.importorskip("trimesh")
pytest.importorskip("igl")
pytest.importorskip("skimage")


def ball(radius=1.0, subdivisions=3):
    return read_mesh(trimesh.creation.icosphere(subdivisions, radius))


def coloured_box():
    box = trimesh.creation.box((1, 2, 3))
    box.visual.vertex_colors = np.linspace(0, 255, 8 * 4).reshape(8, 4).astype(np.uint8)
    return read_mesh(box)


def volume(mesh):
    a, b, c = mesh.vertices[mesh.faces].transpose(1, 0, 2)
    return np.einsum("nc,nc->", a, np.cross(b, c)) / 6


def grid(n=24, half=1.2):
    return ((-half,) * 3, 2 * half / n, (n, n, n))


def sphere_level(n=40):
    x = (np.arange(n) + 0.5) / n * 3 - 1.5
    squared = sum(np.square(np.meshgrid(x, x, x, indexing="ij")))
    return (1 - np.sqrt(squared)).astype(np.float32)


# -- inside ------------------------------------------------------------------------------------------------


def test_voxels_of_a_ball_are_those_within_its_radius():
    solid = occupancy(ball(subdivisions=4), *grid())[0]
    centre = (np.arange(24) + 0.5) / 10 - 1.2
    distance = np.sqrt(sum(np.square(np.meshgrid(centre, centre, centre, indexing="ij"))))
    sure = np.abs(distance - 1) > 0.01
    assert np.array_equal(solid[sure], distance[sure] < 1)


def test_inverted_and_slightly_open_surfaces_have_the_same_inside():
    whole = ball()
    inverted = Mesh(whole.vertices, whole.faces[:, ::-1])
    opened = Mesh(whole.vertices, whole.faces[:-3])
    solid = occupancy(whole, *grid())[0]
    assert whole.flawed_edges() == (0, 0)
    assert opened.flawed_edges()[0] > 0
    assert np.array_equal(occupancy(inverted, *grid())[0], solid)
    assert np.mean(occupancy(opened, *grid())[0] != solid) < 1e-3


def test_a_cavity_is_outside_and_slabs_change_nothing(monkeypatch):
    outer, inner = ball(), ball(0.6)
    hollow = Mesh(
        np.concatenate([outer.vertices, inner.vertices]),
        np.concatenate([outer.faces, inner.faces[:, ::-1] + len(outer.vertices)]),
    )
    solid = occupancy(hollow, *grid())[0]
    assert not solid[12, 12, 12]
    assert solid[12, 12, 20]
    monkeypatch.setattr(meshes, "_QUERIES", 1000)
    assert np.array_equal(occupancy(hollow, *grid())[0], solid)


# -- files -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", WRITES)
def test_every_format_keeps_the_surface(tmp_path, suffix):
    box = coloured_box()
    write_mesh(box, tmp_path / f"box{suffix}")
    back = read_mesh(tmp_path / f"box{suffix}")
    assert np.allclose(back.vertices.min(0), [-0.5, -1, -1.5])
    assert np.allclose(back.vertices.max(0), [0.5, 1, 1.5])
    assert len(back.faces) == 12
    assert volume(back) == pytest.approx(6)
    if suffix in (".ply", ".glb", ".obj"):
        assert {tuple(c) for c in back.colours} == {tuple(c) for c in box.colours}


def test_scenes_are_joined_and_arrays_are_read():
    scene = trimesh.Scene([trimesh.creation.box((1, 1, 1)), trimesh.creation.icosphere(1).apply_translation((3, 0, 0))])
    assert np.allclose(np.ptp(read_mesh(scene).vertices, axis=0), [4.5, 2, 2])
    corner = (np.eye(3), np.array([[0, 1, 2]]))
    assert np.array_equal(read_mesh(corner).faces, [[0, 1, 2]])


@pytest.mark.parametrize("suffix", READS)
def test_damaged_files_are_refused_in_one_line(tmp_path, suffix):
    path = tmp_path / f"broken{suffix}"
    path.write_bytes(b"ply\nformat ascii 1.0\nelement vertex 9\n" + bytes(range(256)) * 3)
    with pytest.raises(InputError, match=r"broken.*(not a readable mesh|no faces|damaged)") as caught:
        read_mesh(path)
    assert "\n" not in str(caught.value)


def test_clouds_and_broken_numbers_are_refused():
    with pytest.raises(InputError, match="no faces"):
        read_mesh(trimesh.PointCloud(np.eye(3)))
    vertices = np.eye(3)
    vertices[0, 0] = np.nan
    with pytest.raises(InputError, match="not finite"):
        read_mesh((vertices, [[0, 1, 2]]))
    with pytest.raises(InputError, match="face names vertex 7"):
        read_mesh((np.eye(3), [[0, 1, 7]]))


def test_unknown_output_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"expected one of \.ply"):
        write_mesh(ball(), tmp_path / "ball.blend")
    assert not list(tmp_path.iterdir())


# -- surfaces ----------------------------------------------------------------------------------------------


def test_marching_cubes_give_a_closed_surface_in_place():
    surface = marching_cubes(sphere_level(), (-1.5, -1.5, -1.5), (3 / 40,) * 3)
    assert surface.flawed_edges() == (0, 0)
    assert volume(surface) == pytest.approx(4 / 3 * np.pi, rel=0.01)  # positive: faces wound outwards
    assert np.abs(np.linalg.norm(surface.vertices, axis=1) - 1).max() < 0.005


def test_marching_cubes_close_at_the_border_and_know_the_empty():
    assert marching_cubes(np.full((4, 5, 6), np.float32(1)), (0, 0, 0), (1, 1, 1)).flawed_edges() == (0, 0)
    assert len(marching_cubes(np.full((4, 5, 6), np.float32(-1)), (0, 0, 0), (1, 1, 1)).faces) == 0


def test_surfaces_of_noise_are_refused_before_they_are_made(monkeypatch):
    noise = np.random.default_rng(0).standard_normal((8, 8, 8)).astype(np.float32)
    count = len(marching_cubes(noise, (0, 0, 0), (1, 1, 1)).vertices)
    monkeypatch.setattr(meshes, "MOST_VERTICES", count)
    assert len(marching_cubes(noise, (0, 0, 0), (1, 1, 1)).vertices) == count
    monkeypatch.setattr(meshes, "MOST_VERTICES", count // 2)
    with pytest.raises(LimitError, match="points: above"):
        marching_cubes(noise, (0, 0, 0), (1, 1, 1))


def test_chamfer_is_the_distance_of_concentric_balls():
    assert chamfer(ball(), ball(), 2000) < 1e-7
    assert chamfer(ball(1, 5), ball(1.25, 5), 2000) == pytest.approx(0.25, rel=0.01)


def test_samples_cover_the_surface_evenly():
    points = meshes.surface_samples(coloured_box(), 4000)
    on_top = np.isclose(points[:, 2], 1.5).mean()
    assert on_top == pytest.approx(2 / 22, abs=0.002)
    assert np.array_equal(points, meshes.surface_samples(coloured_box(), 4000))


def test_colours_are_interpolated_within_a_face():
    triangle = Mesh(np.eye(3), np.array([[0, 1, 2]]), np.array([[240, 0, 0], [0, 240, 0], [0, 0, 240]], np.uint8))
    points = np.array([[1, 0, 0], [1 / 3, 1 / 3, 1 / 3], [0, 0.5, 0.5]])
    rgb = meshes.colours_at(triangle, np.zeros(3, int), points)
    assert rgb.tolist() == [[240, 0, 0], [80, 80, 80], [0, 120, 120]]


# -- a view ------------------------------------------------------------------------------------------------


def test_a_view_shows_a_round_shaded_ball():
    picture = np.asarray(shaded(ball(1, 4), 96))
    assert picture.shape == (96, 96, 3)
    ground = (picture == 255).all(-1)
    assert ground[0].all()
    assert ground[:, 0].all()
    assert (~ground).mean() == pytest.approx(np.pi / 4 / 1.08**2, abs=0.02)
    grey = picture.mean(-1)
    assert grey[30, 36] > grey[66, 70] + 40  # lit from the upper left


def test_a_view_shows_colours_and_turns_with_the_viewer():
    box = coloured_box()
    front = np.asarray(shaded(box, 64, azimuth=0, elevation=0))
    assert front.shape[0] > 2 * front.shape[1]  # z, the longest, is up, and x, the shortest, runs across
    assert np.ptp(front.astype(int), axis=-1).max() > 3
    assert np.asarray(shaded(box, 64, azimuth=90, elevation=0)).shape != front.shape


def test_options_of_a_view_are_checked():
    with pytest.raises(InputError, match="up: expected"):
        shaded(ball(), up="w")
    with pytest.raises(InputError, match="size: expected"):
        shaded(ball(), 3)
