"""Scenes as their programs write them: one camera, splits, missing pictures, folders, sizes."""

import json

import numpy as np
import pytest
from PIL import Image

from sinr_codec.errors import InputError
from sinr_codec.signals import radiance_files
from sinr_codec.signals.cameras import Camera, look_at, read_poses
from sinr_codec.signals.radiance import RadianceSignal

LENS = {"fl_x": 30.0, "fl_y": 30.0, "cx": 16, "cy": 12, "w": 32, "h": 24}


def scene(path, count=12, of_frame=lambda i: {}, size=(32, 24), mode="RGBA", name="images/{}.png", **root):
    """A folder with a transforms.json and pictures of a disc on a clear ground."""
    (path / "images").mkdir(parents=True)
    frames = []
    for i in range(count):
        turn = 2 * np.pi * i / count
        pose = look_at(np.array([3 * np.cos(turn), 3 * np.sin(turn), 1.0]), np.zeros(3), np.array([0.0, 0, 1]))
        pixels = np.zeros((size[1], size[0], 4), np.uint8)
        pixels[size[1] // 3 : -size[1] // 3, size[0] // 3 : -size[0] // 3] = (200, 10 * i % 250, 0, 255)
        Image.fromarray(pixels).convert(mode).save(path / f"images/{i}.png", compress_level=1)
        frames.append({"file_path": name.format(i), "transform_matrix": pose.tolist(), **of_frame(i)})
    (path / "transforms.json").write_text(json.dumps({"frames": frames, **root}))
    return path


def test_pictures_of_a_usual_scene_are_read(tmp_path):
    signal = RadianceSignal.load(scene(tmp_path / "a", 36, size=(500, 500), camera_angle_x=0.7))
    assert (len(signal.views), len(signal.tests)) == (31, 5)
    assert 36 * signal.spec.values * 4 // 3 > radiance_files.MOST_RENDERED  # once the limit of them all
    assert radiance_files.MOST_PIXELS > 100 * 800 * 800 * 4


@pytest.mark.parametrize("form", ["json", "npz"])
def test_too_many_or_too_large_pictures_are_refused_before_they_are_read(tmp_path, monkeypatch, form):
    path = scene(tmp_path / "a", **LENS)
    if form == "npz":
        images, poses = np.zeros((12, 24, 32, 3), np.uint8), read_poses(path / "transforms.json")
        path = tmp_path / "a.npz"
        np.savez(path, images=images, poses=poses, focal=30.0)
        monkeypatch.setattr(np, "load", None)
    else:
        monkeypatch.setattr(radiance_files, "_read_pictures", None)
    for limit, value, reason in (
        ("MOST_PIXELS", 12 * 24 * 32 * 3 - 1, "too many"),
        ("MOST_RENDERED", 700, "too large"),
    ):
        monkeypatch.setattr(radiance_files, limit, value)
        with pytest.raises(InputError, match=f"pictures of 32 x 24 are {reason}"):
            RadianceSignal.load(path)


@pytest.mark.parametrize(
    ("of_frame", "root"),
    [
        (lambda i: {"camera_angle_x": 0.5 if i % 2 else 1.0}, {}),
        (lambda i: {"fl_x": 60.0, "fl_y": 60.0} if i % 2 else {}, LENS),
        (lambda i: {"k1": 0.1} if i == 11 else {}, LENS),
        (lambda i: {"cx": 15.0} if i == 0 else {}, LENS),
        (lambda i: {"camera_angle_x": 1.0} if i == 3 else LENS, {}),
    ],
)
def test_scenes_of_several_cameras_are_refused(tmp_path, of_frame, root):
    with pytest.raises(InputError, match=r"transforms\.json: expected one camera"):
        RadianceSignal.load(scene(tmp_path / "a", of_frame=of_frame, **root))


def test_one_camera_may_be_said_in_every_frame_or_in_several_ways(tmp_path):
    angle = 2 * np.arctan(16 / 30)
    for i, (of_frame, root) in enumerate(
        [
            (lambda i: LENS, {}),
            (lambda i: {"fl_x": 30.0} if i % 2 else {}, LENS),
            (lambda i: {"camera_angle_x": angle} if i % 2 else LENS, {}),
        ]
    ):
        signal = RadianceSignal.load(scene(tmp_path / str(i), of_frame=of_frame, **root))
        np.testing.assert_allclose(signal.spec.camera.intrinsics, (30, 30, 16, 12))


@pytest.mark.parametrize("split", ["test", "val"])
def test_splits_of_nerfstudio(tmp_path, split):
    names = {"train_filenames": [f"images/{i}.png" for i in range(7)]}
    names[f"{split}_filenames"] = [f"./images/{i}.png" for i in range(8, 12)]
    path = scene(tmp_path / "a", **LENS, **names)
    signal = RadianceSignal.load(path)
    greens = [views.pictures[:, 12, 16, 1].tolist() for views in (signal.views, signal.tests)]
    assert greens == [[10 * i for i in range(7)], [80, 90, 100, 110]]
    assert any(note == "pictures in neither split were left out: 1" for note in signal.notes)
    assert not any("held out" in note for note in signal.notes)


def test_missing_pictures_are_left_out(tmp_path):
    path = scene(tmp_path / "a", **LENS)
    for i in (0, 5):
        (path / f"images/{i}.png").unlink()
    signal = RadianceSignal.load(path)
    assert len(signal.views) + len(signal.tests) == 10
    assert any(note == "missing pictures were left out: 2 of 12, such as images/0.png" for note in signal.notes)
    for picture in (path / "images").iterdir():
        picture.unlink()
    with pytest.raises(InputError, match=r"images/0\.png: no such picture"):
        RadianceSignal.load(path)


@pytest.mark.parametrize("of_test", ["missing", "none"])
def test_test_views_without_pictures_are_no_obstacle(tmp_path, of_test):
    path = scene(tmp_path / "a", camera_angle_x=0.7)
    table = json.loads((path / "transforms.json").read_text())
    held = {"frames": [{**frame, "file_path": f"./test/{i}"} for i, frame in enumerate(table["frames"])]}
    (path / "transforms_train.json").write_text(json.dumps(table))
    (path / "transforms_test.json").write_text(json.dumps(held if of_test == "missing" else {"frames": []}))
    signal = RadianceSignal.load(path)
    assert (len(signal.views), len(signal.tests)) == (10, 2)
    assert any("12 of 12" in note for note in signal.notes) == (of_test == "missing")
    (path / "transforms_val.json").write_text(json.dumps({**table, "frames": table["frames"][:3]}))
    signal = RadianceSignal.load(path)
    assert (len(signal.views), len(signal.tests)) == (12, 3)


@pytest.mark.parametrize("opaque", [(0, 8), (1, 5), (1, 2, 3, 4, 5, 6, 7, 9, 10, 11)])
def test_pictures_without_transparency_are_opaque_beside_others(tmp_path, opaque):
    path = scene(tmp_path / "a", **LENS)  # views 0 and 8 are held out
    for i in opaque:
        with Image.open(path / f"images/{i}.png") as opened:
            opened.convert("RGB").save(path / f"images/{i}.png")
    signal = RadianceSignal.load(path)
    order = [i for i in range(12) if i % 8], [0, 8]
    for views, numbers in zip((signal.views, signal.tests), order):
        assert views.pictures.shape[3] == 4
        for pixels, i in zip(views.pictures, numbers):
            with Image.open(path / f"images/{i}.png") as opened:
                np.testing.assert_array_equal(pixels, np.asarray(opened.convert("RGBA")))


def test_motion_of_the_camera_is_said_to_be_unused(tmp_path):
    for i, options in enumerate(
        [{"rolling_shutter": [0, 0.1, 0]}, {"of_frame": lambda i: {"transform_matrix_end": 0}}]
    ):
        signal = RadianceSignal.load(scene(tmp_path / str(i), **LENS, **options))
        assert "the motion of the camera during an exposure is not used" in signal.notes


def test_names_as_windows_writes_them(tmp_path):
    path = scene(tmp_path / "a", name="images\\{}", **LENS)
    for i in range(12):
        (path / f"images/{i}.png").rename(path / f"images/{i}.PNG")
    text = (path / "transforms.json").read_text()
    for encoding in ("utf-8-sig", "utf-16"):
        (path / "transforms.json").write_text(text, encoding=encoding)
        assert len(RadianceSignal.load(path).views) == 10


def test_pictures_outside_of_the_folder_are_asked_for(tmp_path):
    whole = scene(tmp_path / "a", name="../images/{}.png", **LENS)
    (whole / "inner").mkdir()
    (whole / "transforms.json").rename(whole / "inner" / "transforms.json")
    absolute = scene(tmp_path / "b", name=f"{tmp_path}/a/images/{{}}.png", **LENS)
    for path in (whole / "inner", absolute):
        with pytest.raises(InputError, match=r"outside of its folder; --outside"):
            RadianceSignal.load(path)
        assert len(RadianceSignal.load(path, outside=True).views) == 10
    inside = scene(tmp_path / "c", name=f"{tmp_path}/c/images/../images/{{}}.png", **LENS)
    assert len(RadianceSignal.load(inside).views) == 10


def test_deep_pictures_are_scaled(tmp_path):
    path = scene(tmp_path / "a", **LENS)
    for i in range(12):
        Image.fromarray(np.full((24, 32), 1000 * i, np.uint16)).save(path / f"images/{i}.png")
    signal = RadianceSignal.load(path)
    assert signal.tests.pictures[:, 0, 0].tolist() == [3 * [round(1000 * i / 257)] for i in (0, 8)]


def test_camera_paths_of_the_viewer(tmp_path):
    poses = np.stack([look_at(np.array([3.0, y, 1.0]), np.zeros(3), np.array([0.0, 0, 1])) for y in (0, 1, 2)])
    for flat in (True, False):
        cameras = [{"camera_to_world": (p.reshape(-1) if flat else p).tolist(), "fov": 50, "aspect": 1} for p in poses]
        (tmp_path / "camera_path.json").write_text(json.dumps({"camera_path": cameras, "fps": 24}))
        np.testing.assert_array_equal(read_poses(tmp_path / "camera_path.json"), poses)
    for broken in ({"camera_path": 3}, {"camera_path": [{}]}, {"camera_path": [{"camera_to_world": [1, 2]}]}):
        (tmp_path / "camera_path.json").write_text(json.dumps(broken))
        with pytest.raises(InputError, match=r"camera_path\.json: expected a camera_path of cameras"):
            read_poses(tmp_path / "camera_path.json")


def test_directions_in_bands_are_those_of_the_whole():
    camera = Camera(7, 9, 8.0, 9.0, 3.0, 4.0, k1=0.05)
    bands = [camera.directions(first, min(first + 4, 9)) for first in range(0, 9, 4)]
    np.testing.assert_array_equal(np.concatenate(bands), camera.directions())
