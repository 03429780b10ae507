"""Reading and writing triangle meshes by trimesh."""

import json
import os
from functools import reduce
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np

from sinr_codec.errors import InputError
from sinr_codec.files import atomic_write
from sinr_codec.signals.mesh import Mesh, require
from sinr_codec.signals.sources import translated
from sinr_codec.types import Array, PathLike

READS: Final = (".ply", ".obj", ".stl", ".off", ".glb", ".gltf")
WRITES: Final = (".ply", ".obj", ".stl", ".off", ".glb")

_WHITE: Final = 255  # the colour of what has none beside coloured parts, as in glTF
_UNREAD: Final = ("EXT_meshopt_compression", "KHR_meshopt_compression", "EXT_mesh_gpu_instancing")
_FAN: Final = 6  # a mode in glTF
_FLOAT: Final = 5126  # a type of numbers in glTF
_COARSE: Final = 0.01  # error of binary32 coordinates, in edges of the mesh, above which they do not do


# -- reading ---------------------------------------------------------------------------------------------------


def read_mesh(source: Any) -> Mesh:
    """A mesh from a file, a `trimesh.Trimesh` or `Scene`, or arrays (vertices, faces).

    A scene becomes one mesh; textures and materials become vertex colours.

    Raises
    ------
    InputError : unreadable, without faces, or coordinates that are not finite
    MissingExtraError : trimesh is not installed
    """
    trimesh = require("trimesh", "meshes")
    name = str(source) if isinstance(source, str | os.PathLike) else "mesh"
    with translated(name, "not a readable mesh ({reason})"):
        if isinstance(source, tuple):
            source = trimesh.Trimesh(*source, process=False)
        elif isinstance(source, str | os.PathLike):
            source = trimesh.load(process=False, **_file(Path(source)))
        if isinstance(source, trimesh.Scene):
            placed = [source.graph[node] for node in source.graph.nodes_geometry]
            pieces = [(source.geometry[geometry], matrix) for matrix, geometry in placed]
        else:
            pieces = [(source, np.eye(4))]
        parts = [_moved(_part(piece, name), matrix) for piece, matrix in pieces if len(getattr(piece, "faces", ()))]
    if not parts:
        raise InputError(f"{name}: expected a mesh of triangles, found no faces (a point cloud needs meshing first)")
    return parts[0] if len(parts) == 1 else _joined(parts)


def _file(path: Path) -> dict[str, Any]:
    """Arguments of `trimesh.load` for a file. In headers of PLY files trimesh reads UTF-8 alone."""
    if path.suffix.lower() in (".gltf", ".glb"):
        _check_gltf(path.read_bytes())
    data = path.read_bytes() if path.suffix.lower() == ".ply" else b""
    header, end, rest = data.partition(b"end_header")
    try:
        header.decode()
    except UnicodeDecodeError:
        from trimesh.resolvers import FilePathResolver

        file = BytesIO(header.decode("latin-1").encode() + end + rest)
        return {"file_obj": file, "file_type": "ply", "resolver": FilePathResolver(path)}
    return {"file_obj": path}


def _check_gltf(data: bytes) -> None:
    """`InputError` for forms of glTF that trimesh misreads, or reads a part of, without an error."""
    table = json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")] if data[:4] == b"glTF" else data)
    for name in set(_UNREAD).intersection(table.get("extensionsUsed", ())):
        raise InputError(f"expected no {name} in it; export it without, or as .ply")
    accessors = table.get("accessors", [])
    for primitive in (each for mesh in table.get("meshes", []) for each in mesh["primitives"]):
        if primitive.get("mode") == _FAN:
            raise InputError("expected triangles, found fans of them; export it as .ply")
        named = (primitive["attributes"].get("POSITION"), primitive.get("indices"))
        points, corners = ({} if i is None else accessors[i] for i in named)
        if "sparse" in points or "sparse" in corners:
            raise InputError("expected no sparse arrays of points or faces; export it as .ply")
        if points.get("normalized") and points["componentType"] != _FLOAT:
            raise InputError("expected no normalised integers for points; dequantise it (gltf-transform dequantize)")


def _part(source: Any, name: str) -> Mesh:
    """A checked mesh from one of trimesh."""
    faces, vertices = np.asarray(source.faces, np.int64), np.asarray(source.vertices, np.float64)
    if faces.shape[1:] != (3,) or vertices.shape[1:] != (3,):
        raise InputError(f"{name}: damaged mesh: expected triangles of points (x, y, z)")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise InputError(f"{name}: damaged mesh: a face names vertex {faces.max()} of {len(vertices)}")
    used, corners = np.unique(faces, return_inverse=True)  # others may lie anywhere
    faces = corners.reshape(faces.shape)
    if not np.isfinite(vertices[used]).all():
        raise InputError(f"{name}: damaged mesh: a vertex is not finite")
    colours = _colours_of(source.visual)
    if colours is None:
        return Mesh(vertices[used], faces)
    colours = np.broadcast_to(colours[..., :3], (len(vertices), 3)) if colours.ndim == 1 else colours[:, :3]
    return Mesh(vertices[used], faces, colours[used].astype(np.uint8) if colours.shape == vertices.shape else None)


def _moved(mesh: Mesh, matrix: Array) -> Mesh:
    """A mesh under an affine map (4, 4); its faces keep their outside under a mirror image."""
    vertices = mesh.vertices @ matrix[:3, :3].T + matrix[:3, 3]
    return Mesh(vertices, mesh.faces[:, ::-1] if np.linalg.det(matrix[:3, :3]) < 0 else mesh.faces, mesh.colours)


def _joined(parts: list[Mesh]) -> Mesh:
    starts = np.cumsum([0] + [len(part.vertices) for part in parts])
    colours = None
    if any(part.colours is not None for part in parts):
        plain = (
            np.full(part.vertices.shape, _WHITE, np.uint8) if part.colours is None else part.colours for part in parts
        )
        colours = np.concatenate(list(plain))
    return Mesh(
        np.concatenate([part.vertices for part in parts]),
        np.concatenate([part.faces + start for part, start in zip(parts, starts)]),
        colours,
    )


def _colours_of(visual: Any) -> Array | None:
    """RGB or RGBA in 0..255 of each vertex (v, 3 or 4) or of all; None without colours.

    As in glTF, colours of vertices, texture and material are multiplied.
    """
    from trimesh.visual.color import DEFAULT_COLOR, uv_to_color

    if visual.kind in ("vertex", "face"):
        return np.asarray(visual.vertex_colors)
    if visual.kind != "texture":
        return None
    material = visual.material
    physical = hasattr(material, "baseColorTexture")
    image = material.baseColorTexture if physical else getattr(material, "image", None)
    factors = [visual.vertex_attributes.get("color")]
    if image is not None and visual.uv is not None:
        factors.append(uv_to_color(visual.uv, image))
    if physical or len(factors) == 1:  # a texture of .obj replaces the colour
        plain = material.main_color
        factors.append(None if np.array_equal(plain, DEFAULT_COLOR) else plain)  # of none, in trimesh
    shares = [_share(np.asarray(factor)) for factor in factors if factor is not None]
    return np.rint(255 * reduce(np.multiply, shares)) if shares else None


def _share(colours: Array) -> Array:
    """RGB of integers or floats in 0..1."""
    most = np.iinfo(colours.dtype).max if colours.dtype.kind in "iu" else 1.0
    return np.clip(colours[..., :3] / most, 0, 1)


# -- writing ---------------------------------------------------------------------------------------------------


def write_mesh(mesh: Mesh, path: PathLike) -> None:
    """Write a mesh; the extension selects the format. Colours are written if the format has them.

    Coordinates of .ply, .stl and .glb have single precision. Where that is too coarse, as for maps, they are double
    numbers in .ply, the text form of .stl, or local ones in .glb, in a node that is moved.

    Raises
    ------
    InputError : an extension not in `WRITES`, or a path that cannot be written
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in WRITES:
        raise InputError(f"{path}: expected one of {', '.join(WRITES)} for a mesh")
    trimesh = require("trimesh", "meshes")
    colours = None if suffix == ".stl" else mesh.colours
    coarse = mesh.rounding() > _COARSE
    origin = np.rint(mesh.vertices.mean(0)) if coarse and suffix == ".glb" else np.zeros(3)
    result = trimesh.Trimesh(mesh.vertices - origin, mesh.faces, vertex_colors=colours, process=False)
    options: dict[str, Any] = {}
    if suffix in (".obj", ".off"):  # digits behind the point
        options["digits"] = int(np.clip(8 - np.floor(np.log10(mesh.diagonal or 1.0)), 8, 300))
    with atomic_write(path) as temporary:
        if coarse and suffix == ".ply":
            _write_ply(mesh, temporary)
        elif coarse and suffix == ".glb":
            scene = trimesh.Scene()
            scene.add_geometry(result, transform=trimesh.transformations.translation_matrix(origin))
            scene.export(temporary, file_type="glb")
        else:
            result.export(temporary, file_type="stl_ascii" if coarse and suffix == ".stl" else suffix[1:], **options)


def _write_ply(mesh: Mesh, path: Path) -> None:
    """Write a binary PLY file with coordinates in double precision, which trimesh does not write."""
    names = [(axis, "<f8", "double") for axis in "xyz"]
    if mesh.colours is not None:
        names += [(colour, "u1", "uchar") for colour in ("red", "green", "blue")]
    vertices = np.empty(len(mesh.vertices), [(name, kind) for name, kind, _ in names])
    columns = [*mesh.vertices.T, *([] if mesh.colours is None else mesh.colours.T)]
    for (name, _, _), column in zip(names, columns):
        vertices[name] = column
    faces = np.empty(len(mesh.faces), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, mesh.faces
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(vertices)}",
        *(f"property {kind} {name}" for name, _, kind in names),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header\n",
    ]
    path.write_bytes("\n".join(header).encode() + vertices.tobytes() + faces.tobytes())
