"""Which kind of signal a source is."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sinr_codec.errors import FormatError, InputError, MalformedError, UnknownIdError
from sinr_codec.signals import registry
from sinr_codec.signals.image import ImageSpec
from sinr_codec.signals.registry import KINDS


def kind_of(source):
    return registry.kind_of(source).name


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.png", "image"),
        ("A.JPG", "image"),
        ("a.wav", "audio"),
        ("a.FLAC", "audio"),
        ("a.nii", "volume"),
        ("a.b.nii.gz", "volume"),
        ("a.nc", "dataset"),
        ("a.mp4", "video"),
        ("a.ply", "shape"),
        ("a.glb", "shape"),
        ("transforms.json", "radiance"),
    ],
)
def test_names(name, kind):
    assert kind_of(name) == kind


@pytest.mark.parametrize(
    ("shape", "dtype", "kind"),
    [
        ((8, 9), np.uint8, "image"),
        ((8, 9, 3), np.uint8, "image"),
        ((8, 9, 10), np.uint8, "volume"),
        ((8, 9, 10), bool, "shape"),
        ((4, 8, 9, 3), np.uint8, "video"),
        ((4, 8, 9, 10), np.float32, "volume"),
    ],
)
def test_arrays(shape, dtype, kind, tmp_path):
    array = np.zeros(shape, dtype)
    np.save(tmp_path / "a.npy", array)
    np.savez(tmp_path / "a.npz", array)
    assert {kind_of(array), kind_of(tmp_path / "a.npy"), kind_of(tmp_path / "a.npz")} == {kind}


def test_archives_and_stacks(tmp_path):
    np.savez(tmp_path / "scene.npz", images=np.zeros((2, 4, 4, 3)), poses=np.zeros((2, 4, 4)), focal=1.0)
    assert kind_of(tmp_path / "scene.npz") == "radiance"
    pages = [Image.new("L", (5, 4))] * 3
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    pages[0].save(tmp_path / "page.tif")
    assert (kind_of(tmp_path / "stack.tif"), kind_of(tmp_path / "page.tif")) == ("volume", "image")


def test_folders(tmp_path):
    for name, file, content, kind in (
        ("scene", "transforms_train.json", "{}", "radiance"),
        ("group.zarr", "zarr.json", json.dumps({"node_type": "group"}), "dataset"),
        ("array.zarr", "zarr.json", json.dumps({"node_type": "array"}), "volume"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text(content)
        assert kind_of(tmp_path / name) == kind
    (tmp_path / "frames").mkdir()
    for number in range(2):
        Image.new("L", (4, 3)).save(tmp_path / "frames" / f"000{number}.png")
    assert kind_of(tmp_path / "frames") == "video"
    (tmp_path / "nothing").mkdir()
    with pytest.raises(InputError, match="nothing: expected a folder"):
        kind_of(tmp_path / "nothing")


def test_objects():
    assert kind_of(Image.new("L", (3, 3))) == "image"
    assert kind_of((np.zeros(10), 8000)) == "audio"
    assert kind_of((np.zeros((2, 3, 4, 3), np.uint8), 25)) == "video"
    xarray = pytest.importorskip("xarray")
    assert kind_of(xarray.Dataset()) == "dataset"
    trimesh = pytest.importorskip("trimesh")
    assert kind_of(trimesh.creation.box()) == "shape"


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_has_its_classes(kind):
    found = registry.kind_named(kind)
    assert (found.name, found.ids) == (kind, KINDS[kind])
    assert kind == found.spec.KIND
    for number in found.ids:
        assert registry.kind_in_header([number]) is found
        with pytest.raises(FormatError):
            registry.spec_from_header([number])


def test_the_ids_are_a_promise():
    assert KINDS == {
        "image": (0, 7),
        "audio": (1,),
        "volume": (2, 8),
        "dataset": (3, 11),
        "video": (4, 9),
        "shape": (5, 10),
        "radiance": (6,),
    }


def test_headers():
    spec = ImageSpec(3, 4, 3, "uint8", "RGB")
    assert registry.spec_from_header(spec.to_header()) == spec
    assert registry.kind_in_header(spec.to_header()).parts_in(spec.to_header()) == 1
    with pytest.raises(MalformedError, match="side"):
        registry.spec_from_header(spec.to_header(), b"x")
    with pytest.raises(UnknownIdError, match="signal id 99"):
        registry.spec_from_header([99])
    with pytest.raises(UnknownIdError, match="signal id 'smell': not known here; install the package"):
        registry.spec_from_header(["smell", 1])
    for header in (None, [], [""], ["x" * 65], [b"image"], {}, [True]):
        with pytest.raises(MalformedError):
            registry.spec_from_header(header)


def test_what_cannot_be_read(tmp_path):
    (tmp_path / "empty.wav").touch()
    with pytest.raises(InputError, match=r"empty\.wav: expected a sound, found an empty file"):
        registry.load(tmp_path / "empty.wav")
    with pytest.raises(InputError, match="no such file"):
        registry.load(tmp_path / "none.wav")
    with pytest.raises(InputError, match="kind: expected one of image"):
        registry.load(np.zeros((3, 3)), kind="smell")


@pytest.mark.parametrize("source", [None, 5, [1, 2], (1, 2), b"x", {}])
def test_sources_that_are_none(source):
    with pytest.raises(InputError, match="source: expected a path, an array"):
        kind_of(source)


def test_vertices_and_faces_are_a_shape():
    assert kind_of((np.zeros((4, 3)), np.zeros((4, 3), int))) == "shape"


def test_networks_and_finished_files_are_no_signals(tmp_path):
    for name, word in (("a.pth", "use compress"), ("a.safetensors", "use compress"), ("a.sinr", "already")):
        with pytest.raises(InputError, match=word):
            kind_of(tmp_path / name)


def test_a_file_is_compared_with_its_own_kind(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(InputError, match=r"a\.wav: is a sound, but the file holds a picture"):
        registry.load(tmp_path / "a.wav", like=ImageSpec(3, 4, 3, "uint8", "RGB"))


def test_a_file_is_compared_as_the_kind_it_was_encoded_as(tmp_path):
    """An animation is a picture by its name, but FFmpeg reads it as a video."""
    pytest.importorskip("av")
    frames = [Image.new("RGB", (16, 12), (60 * number, 30, 90)) for number in range(4)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    spec = registry.load(tmp_path / "a.gif", "video").spec
    assert registry.load(tmp_path / "a.gif", like=spec).spec == spec


def test_the_guide_has_the_default_rates():
    text = (Path(__file__).parents[2] / "docs/guide/pictures.md").read_text()
    told = {kind: float(rate) for kind, rate in re.findall(r"^\| (\w+) \| ([\d.]+) a \w+ \|$", text, re.MULTILINE)}
    kinds = map(registry.kind_named, KINDS)
    assert told == {kind.name: kind.recipe.rate for kind in kinds if kind.recipe.width is None}
