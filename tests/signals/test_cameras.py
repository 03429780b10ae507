"""Cameras: projections, lens distortion, poses, files."""

import json
import math

import numpy as np
import pytest

from sinr_codec.errors import InputError
from sinr_codec.signals.cameras import Camera, Orbit, check_poses, focus, look_at, read_poses

PLAIN = Camera(60, 40, 50.0, 55.0, 30.0, 20.0)
BENT = Camera(60, 40, 50.0, 55.0, 29.0, 21.0, k1=-0.2, k2=0.05, p1=0.01, p2=-0.008)


def posed(position=(0, 0, 4), target=(0, 0, 0), up=(0, 1, 0)):
    return look_at(np.array(position, float), np.array(target, float), np.array(up, float))


class TestProjection:
    def test_the_axis_hits_the_principal_point(self):
        pixels, depth = PLAIN.project(np.array([[0.0, 0.0, 0.0]]), posed())
        np.testing.assert_allclose(pixels, [[30, 20]])
        np.testing.assert_allclose(depth, [4])

    def test_right_is_right_and_up_is_up(self):
        # half a unit at distance 4: 50 * 0.5 / 4 pixels to the right, 55 * 0.5 / 4 up, which is down in rows
        pixels, _ = PLAIN.project(np.array([[0.5, 0.5, 0.0]]), posed())
        np.testing.assert_allclose(pixels, [[30 + 6.25, 20 - 6.875]])

    def test_behind_the_camera_depth_is_negative(self):
        assert PLAIN.project(np.array([[0.0, 0.0, 9.0]]), posed())[1][0] == pytest.approx(-5)

    @pytest.mark.parametrize("camera", [PLAIN, BENT])
    def test_rays_pass_through_the_pixels_they_belong_to(self, camera):
        pose = posed((1, -2, 3), (0.2, 0.1, 0))
        rays = camera.directions().reshape(-1, 3).astype(np.float64) @ pose[:3, :3].T
        np.testing.assert_allclose(np.linalg.norm(rays, axis=1), 1, atol=1e-6)
        pixels, _ = camera.project(pose[:3, 3] + 2.5 * rays, pose)
        u, v = pixels.reshape(camera.height, camera.width, 2).transpose(2, 0, 1)
        np.testing.assert_allclose(u, np.broadcast_to(np.arange(60) + 0.5, u.shape), atol=1e-3)
        np.testing.assert_allclose(v, np.broadcast_to(np.arange(40)[:, None] + 0.5, v.shape), atol=1e-3)

    def test_resized_sees_the_same(self):
        points = np.random.default_rng(0).uniform(-1, 1, (9, 3))
        small, _ = BENT.project(points, posed())
        large, _ = BENT.resized(120, 80).project(points, posed())
        np.testing.assert_allclose(large, 2 * small)


class TestDistortion:
    def test_known_values(self):
        # x = 0.5, y = 0: r^2 = 0.25, radial 1 - 0.05 + 0.003125; tangential p2 (r^2 + 2 x^2) and p1 r^2
        bent = BENT.distort(np.array([0.5, 0.0]))
        np.testing.assert_allclose(bent, [0.5 * 0.953125 - 0.008 * 0.75, 0.01 * 0.25])

    def test_undistort_inverts(self):
        points = np.random.default_rng(0).uniform(-0.6, 0.6, (200, 2))
        np.testing.assert_allclose(BENT.undistort(BENT.distort(points)), points, atol=1e-9)

    def test_a_lens_that_folds_the_picture_is_refused(self):
        with pytest.raises(InputError, match="cannot be undone"):
            Camera(60, 40, 20.0, 20.0, 30.0, 20.0, k1=-0.9).directions()


class TestTable:
    def test_blender(self):
        camera = Camera.from_table({"camera_angle_x": 0.6911112070083618}, (100, 100), "t")
        assert camera.fx == camera.fy == pytest.approx(138.8888792)
        assert (camera.cx, camera.cy, camera.distortion) == (50, 50, (0, 0, 0, 0))

    def test_nerfstudio(self):
        table = {
            "fl_x": 50,
            "fl_y": 55,
            "cx": 29,
            "cy": 21,
            "w": 60,
            "h": 40,
            "k1": -0.2,
            "k2": 0.05,
            "p1": 0.01,
            "p2": -0.008,
        }
        assert Camera.from_table({**table, "camera_model": "OPENCV", "k3": 0}, (60, 40), "t") == BENT
        listed = {**table, "k1": 0, "distortion_params": [-0.2, 0.05, 0, 0, 0.01, -0.008]}
        assert Camera.from_table(listed, (60, 40), "t") == BENT

    def test_angles_of_instant_ngp_are_in_degrees(self):
        table = {"x_fov": math.degrees(2 * math.atan(0.6)), "y_fov": math.degrees(2 * math.atan(0.4))}
        camera = Camera.from_table(table, (60, 40), "t")
        assert camera.intrinsics == pytest.approx((50, 50, 30, 20))

    def test_smaller_pictures_scale_the_intrinsics(self):
        table = {"fl_x": 50, "fl_y": 55, "cx": 30, "cy": 20, "w": 60, "h": 40}
        camera = Camera.from_table(table, (30, 20), "t")
        assert camera == PLAIN.resized(30, 20)

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            ({}, "focal length"),
            ({"fl_x": 50, "camera_model": "OPENCV_FISHEYE"}, "fisheye"),
            ({"fl_x": 50, "is_fisheye": True}, "fisheye"),
            ({"fl_x": 50, "latlong": True}, "panoramic"),
            ({"fl_x": 50, "ftheta_p0": 0.1}, "fisheye"),
            ({"fl_x": 50, "camera_model": "FOV"}, "unknown lens 'fov'"),
            ({"fl_x": 50, "camera_model": "ORTHOPHOTO"}, "unknown lens 'orthophoto'"),
            ({"fl_x": 50, "distortion_params": [0.1, 0, 0.2, 0, 0, 0]}, "k3"),
            ({"fl_x": 50, "distortion_params": [0.1, 0]}, "6 numbers"),
            ({"x_fov": 200}, "between 0 and 180"),
            ({"fl_x": 50, "k3": 0.1}, "k3"),
            ({"fl_x": "wide"}, "number"),
            ({"fl_x": math.nan}, "number"),
            ({"fl_x": -5}, "above 0"),
            ({"camera_angle_x": 4.0}, "between 0 and pi"),
            ({"fl_x": 50, "w": 60, "h": 60}, "60 x 60"),
        ],
    )
    def test_refusals(self, table, message):
        with pytest.raises(InputError, match=message):
            Camera.from_table(table, (60, 40), "t")


class TestPoses:
    def test_shapes(self):
        assert check_poses(posed(), "p").shape == (1, 4, 4)
        assert check_poses([posed()[:3].tolist()] * 2, "p").shape == (2, 4, 4)

    @pytest.mark.parametrize(
        "poses",
        [
            np.eye(3),
            np.zeros((0, 4, 4)),
            np.full((4, 4), np.nan),
            2 * np.eye(4),
            np.diag([1, 1, -1, 1.0]),
            "no",
            [[1, 2], [3]],
        ],
    )
    def test_refusals(self, poses):
        with pytest.raises(InputError, match="p: expected"):
            check_poses(poses, "p")

    def test_files(self, tmp_path):
        pose = posed((1, 2, 3))
        (tmp_path / "a.json").write_text(json.dumps({"frames": [{"transform_matrix": pose.tolist()}]}))
        (tmp_path / "b.json").write_text(json.dumps(pose.tolist()))
        np.save(tmp_path / "c.npy", pose[None])
        for name in ("a.json", "b.json", "c.npy"):
            np.testing.assert_allclose(read_poses(tmp_path / name), pose[None])

    @pytest.mark.parametrize("text", ["", "[", "{", "3", '{"frames": []}', '{"frames": [{}]}', '{"frames": [3]}'])
    def test_files_that_are_none(self, tmp_path, text):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(InputError, match=r"a\.json"):
            read_poses(tmp_path / "a.json")
        with pytest.raises(InputError, match="no such file"):
            read_poses(tmp_path / "b.json")

    def test_focus_is_what_all_look_at(self):
        target = np.array([0.3, -0.2, 0.5])
        poses = np.stack([posed(p, target) for p in ((4, 0, 1), (0, 3, 2), (-2, -2, 3))])
        np.testing.assert_allclose(focus(poses), target, atol=1e-5)
        aside = np.repeat(posed()[None], 2, axis=0)
        aside[1, 0, 3] = 2  # parallel axes meet nowhere
        np.testing.assert_allclose(focus(aside), [1, 0, 4])

    def test_orbit_keeps_height_and_distance_and_looks_inwards(self):
        poses = np.stack([posed((4 * math.cos(a), 4 * math.sin(a), 2), up=(0, 0, 1)) for a in (0.3, 2, 5)])
        orbit = Orbit.of(poses, np.zeros(3))
        assert orbit.up == (0, 0, 1)
        around = orbit.poses(7)
        np.testing.assert_allclose(around[0, :3, 3], poses[0, :3, 3], atol=5e-3)
        np.testing.assert_allclose(around[:, 2, 3], 2, atol=2e-3)
        np.testing.assert_allclose(focus(around), 0, atol=2e-3)
        assert len(check_poses(around, "orbit")) == 7
