"""Which inputs are meant, and what their outputs are called."""

import zipfile

import fsspec
import pytest
from PIL import Image

from sinr_codec.batch.inputs import addresses_of, output_names
from sinr_codec.errors import InputError, MissingExtraError


@pytest.fixture
def folder(tmp_path):
    """photos/{a.png, b.jpg, .hidden.png}, photos/clip/{1,2}.png, photos/coded/{a.sinr, batch.jsonl}."""
    photos = tmp_path / "photos"
    for name in ("a.png", "b.jpg", ".hidden.png", "clip/1.png", "clip/2.png"):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8)).save(photos / name)
    (photos / "coded").mkdir()
    for name in ("a.sinr", "coded/a.sinr", "coded/batch.jsonl"):
        (photos / name).write_bytes(b"")
    return photos


def test_a_pattern_means_signals_and_no_files_of_a_batch(folder):
    assert addresses_of([f"{folder}/*"]) == [str(folder / name) for name in ("a.png", "b.jpg", "clip")]
    assert addresses_of([folder / "b.jpg", f"{folder}/**/*.png", f"{folder}/*.jpg"]) == [
        str(folder / name) for name in ("b.jpg", "a.png", "clip/1.png", "clip/2.png")
    ]


def test_paths_are_absolute_and_stand_once(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert addresses_of(["a.png", "./a.png", f"file://{folder}/a.png", "*.png"]) == [str(folder / "a.png")]


def test_what_exists_is_no_pattern_and_what_matches_nothing_is_missing(tmp_path):
    (tmp_path / "a[1].png").touch()
    (tmp_path / "a1.png").touch()
    assert addresses_of([f"{tmp_path}/a[1].png"]) == [f"{tmp_path}/a[1].png"]
    assert addresses_of([f"{tmp_path}/*.jpg"]) == [f"{tmp_path}/*.jpg"]


def test_urls():
    system = fsspec.filesystem("memory")
    for name in ("a.png", "b/c.png", ".hidden.png", "a.sinr"):
        system.pipe_file(f"/urls/{name}", b"")
    assert addresses_of(["memory://urls/*"]) == ["memory:///urls/a.png"]
    assert addresses_of(["memory://urls/**/*.png", "memory:///urls/a.png"]) == [
        "memory:///urls/a.png",
        "memory:///urls/b/c.png",
    ]
    with pytest.raises(InputError, match=r"nothing://a\.png: Protocol not known"):
        addresses_of(["nothing://a.png"])
    with pytest.raises(MissingExtraError, match=r"s3://bucket/a\.png: Install s3fs"):
        addresses_of(["s3://bucket/a.png"])


def test_names_are_those_of_the_inputs():
    inputs = ["/in/photo.png", "/in/scan.nii.gz", "/in/data.zarr", "s3://bucket/x/tune.flac"]
    assert list(output_names(inputs, {}).values()) == ["photo.sinr", "scan.sinr", "data.sinr", "tune.sinr"]


def test_inputs_of_the_same_name_are_told_apart_in_any_order():
    inputs = ["/in/a.png", "/in/a.jpg", "/in/x/b.png", "/in/y/b.png", "/1/z/c.png", "/2/z/c.png", "/in/d.png"]
    names = output_names(inputs, {})
    assert [names[each] for each in inputs[:4]] == ["a.png.sinr", "a.jpg.sinr", "x-b.png.sinr", "y-b.png.sinr"]
    assert names["/in/d.png"] == "d.sinr"
    assert len({name.casefold() for name in names.values()}) == len(inputs)
    assert output_names(inputs[::-1], {}) == names
    assert len({name.casefold() for name in output_names(["/in/a.png", "/in/A.PNG"], {}).values()}) == 2


def test_a_name_is_kept_and_is_nobody_elses():
    first = output_names(["/x/a.png"], {})
    later = output_names(["/y/a.png", "/x/a.png"], first)
    assert later == {"/y/a.png": "y-a.png.sinr", "/x/a.png": "a.sinr"}
    assert output_names(["/y/a.png"], first) == {"/y/a.png": "a.png.sinr"}
    assert output_names(["/y/a.png"], later) == {"/y/a.png": "y-a.png.sinr"}


def test_links_to_folders_above_are_not_followed(folder):
    (folder / "here").symlink_to(".", target_is_directory=True)
    (folder / "clip" / "up").symlink_to("..", target_is_directory=True)
    wanted = ["a.png", "clip/1.png", "clip/2.png"]
    assert addresses_of([f"{folder}/**/*.png"]) == [str(folder / name) for name in wanted]
    assert addresses_of([f"{folder}/**/clip/**/*.png"]) == [str(folder / name) for name in wanted[1:]]
    found = [path.removeprefix(f"{folder}/") for path in addresses_of([f"{folder}/**"])]
    assert found == ["a.png", "b.jpg", "clip", "clip/1.png", "clip/2.png"]
    linked = folder.parent / "linked"
    linked.symlink_to(folder, target_is_directory=True)
    assert addresses_of([f"{linked}/**/*.jpg"]) == [f"{linked}/b.jpg"]


def test_patterns_in_archives(tmp_path, monkeypatch):
    for archive, names in (("a.zip", ["1.png", "x/2.png", "3.txt"]), ("b.zip", ["4.png"])):
        with zipfile.ZipFile(tmp_path / archive, "w") as file:
            for name in names:
                file.writestr(name, b"")
    monkeypatch.chdir(tmp_path)
    first = [f"zip://1.png::{tmp_path}/a.zip"]
    assert addresses_of(["zip://*.png::a.zip"]) == first
    assert addresses_of(["zip://1.png::a.zip", f"zip://*.png::file://{tmp_path}/a.zip"]) == first
    everything = [*first, f"zip://4.png::{tmp_path}/b.zip", f"zip://x/2.png::{tmp_path}/a.zip"]
    assert addresses_of(["zip://**/*.png::*.zip"]) == everything
    assert addresses_of([f"simplecache::file://{tmp_path}/*.zip"]) == [
        f"simplecache::file://{tmp_path}/{name}.zip" for name in "ab"
    ]
    assert addresses_of(["zip://*.gif::a.zip"]) == [f"zip://*.gif::{tmp_path}/a.zip"]
    assert list(output_names(everything, {}).values()) == ["1.sinr", "4.sinr", "2.sinr"]
