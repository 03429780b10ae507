"""Meshes as trimesh reads and writes them: colours of all sorts, coordinates of maps, text of any alphabet."""

import base64
import json

import numpy as np
import pytest
from PIL import Image

from sinr_codec.errors import InputError
from sinr_codec.signals.mesh import Mesh, occupancy
from sinr_codec.signals.mesh_files import WRITES, read_mesh, write_mesh
from sinr_codec.signals.shape import ShapeSignal

trimesh = pytest.importorskip("trimesh")
pytest.importorskip("igl")

FAR = np.array([5e5, 5.2e6, 300.0])


def box(visual=None, at=(0, 0, 0), size=(1, 1, 1)):
    mesh = trimesh.creation.box(size)
    mesh.apply_translation(at)
    if isinstance(visual, dict):
        mesh.visual = trimesh.visual.ColorVisuals(mesh, **visual)
    elif visual is not None:
        mesh.visual = visual.copy()
    return mesh


def textured(material, uv=True):
    return trimesh.visual.TextureVisuals(np.full((8, 2), 0.5) if uv else None, material)


def physical(**options):
    return trimesh.visual.material.PBRMaterial(**options)


RED, BLUE = [255, 0, 0, 255], [0, 0, 255, 255]
GREEN = Image.new("RGB", (4, 4), (0, 200, 0))


@pytest.mark.parametrize("suffix", ["glb", "obj", None])
@pytest.mark.parametrize(
    ("visual", "colour"),
    [
        (textured(physical(baseColorFactor=RED)), RED),
        (textured(physical(baseColorFactor=RED), uv=False), RED),
        (textured(physical(baseColorTexture=GREEN)), [0, 200, 0]),
        (textured(physical(baseColorTexture=GREEN), uv=False), None),
        (textured(physical(metallicFactor=0.5)), None),
        (textured(trimesh.visual.material.SimpleMaterial(diffuse=RED)), RED),
        (textured(trimesh.visual.material.SimpleMaterial(image=GREEN)), [0, 200, 0]),
        ({"vertex_colors": BLUE}, BLUE),
        ({"face_colors": BLUE}, BLUE),
    ],
)
def test_colours_of_all_sorts(tmp_path, visual, colour, suffix):
    source = box(visual)
    if suffix:
        source.export(tmp_path / f"a.{suffix}")
        source = tmp_path / f"a.{suffix}"
    mesh = read_mesh(source)
    if colour is None:
        assert mesh.colours is None
    else:
        assert mesh.colours.shape == mesh.vertices.shape
        assert abs(mesh.colours.astype(int) - colour[:3]).max() <= 1


def gltf(path, more=lambda table: None, **arrays):
    """A box as a glTF file with further arrays of its vertices by name, each normalised if of integers."""
    mesh = box()
    arrays = {"POSITION": mesh.vertices.astype("<f4"), **arrays, "indices": mesh.faces.astype("<u4").reshape(-1, 1)}
    types = {"u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
    views, accessors, data = [], [], b""
    for name, array in arrays.items():
        packed = np.pad(array, ((0, 0), (0, 1))) if name == "POSITION" else array  # rows of a multiple of four bytes
        views.append({"buffer": 0, "byteOffset": len(data), "byteLength": packed.nbytes})
        if name == "POSITION":
            views[-1]["byteStride"] = packed.strides[0]
        accessors.append({
            "bufferView": len(accessors), "componentType": types[array.dtype.str[1:]], "count": len(array),
            "type": {1: "SCALAR", 2: "VEC2"}.get(array.shape[1], f"VEC{array.shape[1]}"),
            "normalized": name != "indices" and array.dtype.kind in "iu",
        })  # fmt: skip
        data += packed.tobytes()
    attributes = {name: i for i, name in enumerate(arrays) if name != "indices"}
    uri = "data:;base64," + base64.b64encode(data).decode()
    table = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": len(data), "uri": uri}],
        "bufferViews": views,
        "accessors": accessors,
        "meshes": [{"primitives": [{"attributes": attributes, "indices": len(accessors) - 1, "material": 0}]}],
        "materials": [{"pbrMetallicRoughness": {"metallicFactor": 0.5}}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
        "scene": 0,
    }
    more(table)
    path.write_text(json.dumps(table))
    return path


@pytest.mark.parametrize("dtype", ["u1", "<u2", "<f4"])
def test_colours_of_vertices_come_through_a_material(tmp_path, dtype):
    most = 1 if dtype == "<f4" else np.iinfo(dtype).max
    colours = np.tile(most * np.array([1, 0.5, 0, 1]), (8, 1)).astype(dtype)
    mesh = read_mesh(gltf(tmp_path / "a.gltf", COLOR_0=colours))
    assert abs(mesh.colours.astype(int) - [255, 128, 0]).max() <= 1

    def tinted(table):
        table["materials"][0]["pbrMetallicRoughness"]["baseColorFactor"] = [0.6, 0.6, 1, 1]

    mesh = read_mesh(gltf(tmp_path / "b.gltf", tinted, COLOR_0=colours))
    assert abs(mesh.colours.astype(int) - [153, 76, 0]).max() <= 1


def test_textures_are_tinted_by_their_material():
    tinted = physical(baseColorTexture=GREEN, baseColorFactor=[255, 128, 255, 255])
    assert abs(read_mesh(box(textured(tinted))).colours.astype(int) - [0, 100, 0]).max() <= 1


def test_placed_parts_are_where_trimesh_has_them(tmp_path):
    mirror = np.diag([-2.0, 1, 1, 1])
    scene = trimesh.Scene()
    scene.add_geometry(box(at=(1, 0, 0)), transform=mirror)
    scene.add_geometry(box(at=(1, 0, 0)), transform=move(3))
    scene.add_geometry(box(), node_name="up", transform=trimesh.transformations.rotation_matrix(0.3, [1, 1, 0]))
    for source in (scene, scene.export(tmp_path / "a.glb") and tmp_path / "a.glb"):
        found, expected = read_mesh(source), scene.to_mesh()
        again = trimesh.Trimesh(found.vertices, found.faces, process=False)
        np.testing.assert_allclose(again.bounds, expected.bounds, atol=1e-6)
        np.testing.assert_allclose((again.volume, again.area), (expected.volume, expected.area), rtol=1e-6)


@pytest.mark.parametrize(
    ("more", "points", "reason"),
    [
        (lambda table: table.update(extensionsUsed=["EXT_meshopt_compression"]), "<f4", "EXT_meshopt_compression"),
        (lambda table: table.update(extensionsUsed=["EXT_mesh_gpu_instancing"]), "<f4", "EXT_mesh_gpu_instancing"),
        (lambda table: table["meshes"][0]["primitives"][0].update(mode=6), "<f4", "fans"),
        (lambda table: table["accessors"][0].update(sparse={"count": 1}), "<f4", "sparse"),
        (lambda table: None, "<i2", "normalised integers"),
    ],
)
def test_gltf_that_trimesh_misreads_is_refused(tmp_path, more, points, reason):
    positions = box().vertices * (1 if points == "<f4" else 32767)
    path = gltf(tmp_path / "a.gltf", more, POSITION=positions.astype(points))
    with pytest.raises(InputError, match=rf"a\.gltf: expected.*{reason}"):
        read_mesh(path)
    binary = trimesh.load(gltf(tmp_path / "b.gltf")).export(file_type="glb")
    table = path.read_bytes() + b" " * (-path.stat().st_size % 4)
    size = int.from_bytes(binary[12:16], "little")
    head = binary[:8] + (12 + 8 + len(table)).to_bytes(4, "little") + len(table).to_bytes(4, "little") + b"JSON"
    (tmp_path / "a.glb").write_bytes(head + table + binary[20 + size :])
    with pytest.raises(InputError, match=rf"a\.glb: expected.*{reason}"):
        read_mesh(tmp_path / "a.glb")


def test_integers_for_points_in_a_scaled_node(tmp_path):
    def plain(table):
        table["accessors"][0]["normalized"] = False
        table["nodes"][0]["scale"] = [2 / 32767] * 3

    path = gltf(tmp_path / "a.gltf", plain, POSITION=np.rint(box().vertices * 32767).astype("<i2"))
    np.testing.assert_allclose(np.ptp(read_mesh(path).vertices, axis=0), 2, rtol=1e-3)


def test_vertices_without_faces_are_left_out():
    mesh = box({"vertex_colors": BLUE})
    for stray in (1e6, np.nan):
        read = read_mesh((np.vstack([np.full((1, 3), stray), mesh.vertices]), mesh.faces + 1))
        np.testing.assert_array_equal(read.vertices, mesh.vertices)
        np.testing.assert_array_equal(read.faces, mesh.faces)


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12, 1e30])
def test_voxels_do_not_depend_on_the_unit(scale):
    mesh = trimesh.creation.icosphere(2)
    solids = [ShapeSignal.load((mesh.vertices * factor, mesh.faces), resolution=24).solid for factor in (1.0, scale)]
    assert (solids[0] != solids[1]).sum() <= 0.002 * solids[0].sum()


def test_parts_of_a_scene_keep_their_colours(tmp_path):
    scene = trimesh.Scene()
    scene.add_geometry(box(textured(physical(baseColorFactor=RED))))
    scene.add_geometry(box({"vertex_colors": BLUE}), transform=move(3))
    scene.add_geometry(box(), transform=move(6))
    scene.add_geometry(trimesh.PointCloud([[9.0, 9, 9]]))
    scene.export(tmp_path / "a.glb")
    for source in (scene, tmp_path / "a.glb"):
        mesh = read_mesh(source)
        for at, colour in ((0, RED), (3, BLUE), (6, [255, 255, 255])):
            of_part = abs(mesh.vertices[:, 0] - at) < 1
            assert of_part.any()
            assert (mesh.colours[of_part] == colour[:3]).all()
    assert ShapeSignal.load(tmp_path / "a.glb", resolution=16, variant="coloured").spec.variant == "coloured"


def move(x):
    return trimesh.transformations.translation_matrix([x, 0, 0])


def test_voxels_do_not_depend_on_the_place():
    ball = trimesh.creation.icosphere(3, radius=10)
    here = ShapeSignal.load((ball.vertices, ball.faces), resolution=48)
    there = ShapeSignal.load((ball.vertices + FAR, ball.faces), resolution=48)
    np.testing.assert_allclose(there.spec.origin, FAR + here.spec.origin, atol=0.01 * here.spec.voxel)
    assert np.mean(here.solid ^ there.solid) < 1e-3
    apart = (
        np.abs(here._shell[2][:100] - there._shell[2][:100]).max() if len(here._shell[0]) == len(there._shell[0]) else 0
    )
    assert apart < 0.05


@pytest.mark.parametrize("suffix", WRITES)
@pytest.mark.parametrize("place", [FAR, np.array([4e6, 2e6, -4.5e6])])
def test_written_coordinates_of_maps_are_as_fine_as_the_mesh(tmp_path, suffix, place):
    ball = trimesh.creation.icosphere(3, radius=10)
    colours = np.random.default_rng(0).integers(0, 255, (len(ball.vertices), 3), np.uint8)
    write_mesh(Mesh(ball.vertices + place, ball.faces, colours), tmp_path / f"a{suffix}")
    back = trimesh.load(tmp_path / f"a{suffix}", process=False)
    back = back.to_mesh() if isinstance(back, trimesh.Scene) else back
    np.testing.assert_allclose(back.triangles, (ball.vertices + place)[ball.faces], atol=1e-5)
    if suffix in (".ply", ".glb", ".obj"):
        np.testing.assert_array_equal(back.visual.vertex_colors[:, :3], colours)


@pytest.mark.parametrize("suffix", WRITES)
def test_coordinates_of_ordinary_and_tiny_meshes(tmp_path, suffix):
    for size in (1e-9, 1.0, 1e6):
        ball = trimesh.creation.icosphere(2, radius=size)
        write_mesh(Mesh(ball.vertices, ball.faces), tmp_path / f"a{suffix}")
        back = trimesh.load(tmp_path / f"a{suffix}", process=False)
        back = back.to_mesh() if isinstance(back, trimesh.Scene) else back
        np.testing.assert_allclose(back.triangles, ball.triangles, atol=1e-6 * size)
    if suffix in (".ply", ".stl"):
        head = (tmp_path / f"a{suffix}").read_bytes()[:500]
        assert b"double" not in head
        assert not head.startswith(b"solid ")


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-16"])
def test_text_of_any_alphabet(tmp_path, encoding):
    body = trimesh.creation.box().export(file_type="obj")
    (tmp_path / "a.obj").write_bytes(f"# Würfel\n{body}".encode(encoding))
    assert len(read_mesh(tmp_path / "a.obj").faces) == 12
    if encoding == "utf-16":
        return
    (tmp_path / "b.obj").write_bytes(f"{body}\n# Würfel".encode(encoding))
    assert len(read_mesh(tmp_path / "b.obj").faces) == 12
    ply = trimesh.creation.box().export(file_type="ply")
    (tmp_path / "a.ply").write_bytes(
        ply.replace(b"\nelement vertex", "\ncomment Würfel\nelement vertex".encode(encoding), 1)
    )
    assert len(read_mesh(tmp_path / "a.ply").faces) == 12
    stl = trimesh.creation.box().export(file_type="stl_ascii")
    (tmp_path / "a.stl").write_bytes(stl.replace("solid ", "solid Würfel", 1).encode(encoding))
    assert len(read_mesh(tmp_path / "a.stl").faces) == 12


def test_windings_that_disagree_are_said():
    p, q = box(size=(2, 2, 2)), box(size=(2, 2, 2), at=(1, 0, 0))
    both = trimesh.util.concatenate(p, q)
    assert ShapeSignal.load(both, resolution=16).notes == ()
    q.invert()
    for source in (trimesh.util.concatenate(p, q), trimesh.Trimesh(p.vertices, turned(p.faces), process=False)):
        (note,) = ShapeSignal.load(source, resolution=16).notes
        assert "disagree" in note
    hollow = trimesh.util.concatenate(box(size=(2, 2, 2)), inverted(box()))
    assert ShapeSignal.load(hollow, resolution=16).notes == ()
    assert ShapeSignal.load(inverted(box()), resolution=16).notes == ()
    solid, opposed = occupancy(read_mesh(inverted(box(size=(2, 2, 2)))), (-2, -2, -2), 0.5, (8, 8, 8))
    assert (solid.sum(), opposed) == (64, False)


def turned(faces):
    faces = faces.copy()
    faces[::3] = faces[::3, ::-1]
    return faces


def inverted(mesh):
    mesh.invert()
    return mesh


def test_thin_walls_are_told_from_open_surfaces():
    plates = trimesh.util.concatenate(box(size=(4, 4, 0.001)), box(size=(0.001, 4, 4), at=(2.01, 0, 2.1)))
    with pytest.raises(InputError, match="thinner than a voxel: raise the resolution"):
        ShapeSignal.load(plates, resolution=20)
