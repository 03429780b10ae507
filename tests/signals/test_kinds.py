"""The contract of kinds, for those of this package."""

import json
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from sinr_codec.signals import audio, dataset, image, radiance, registry, shape, video, volume
from sinr_codec.testing import KindContract

SMOOTH = np.sin(np.arange(16)[:, None, None] / 5) * np.cos(np.arange(14)[:, None] / 6) + np.arange(12) / 20


class TestImage(KindContract):
    kind = image.KIND

    def source(self, folder):
        Image.fromarray(np.uint8(100 + 60 * SMOOTH[..., 0])).save(folder / "a.png")
        return folder / "a.png"


class TestImageInBlocks(TestImage):
    load: ClassVar = {"block": 8}


class TestAudio(KindContract):
    kind = audio.KIND

    def source(self, folder):
        soundfile = pytest.importorskip("soundfile")
        soundfile.write(folder / "a.wav", 0.3 * np.sin(np.arange(800) / 9), 8000)
        return folder / "a.wav"


class TestVolume(KindContract):
    kind = volume.KIND

    def source(self, folder):
        np.save(folder / "a.npy", SMOOTH.astype(np.float32))
        return folder / "a.npy"


class TestVolumeInBlocks(TestVolume):
    load: ClassVar = {"block": 16}

    def source(self, folder):
        np.save(folder / "a.npy", np.tile(SMOOTH, (2, 1, 2)).astype(np.float32))
        return folder / "a.npy"


class TestDataset(KindContract):
    kind = dataset.KIND

    def source(self, folder):
        xarray = pytest.importorskip("xarray")
        fields = {"tos": (("time", "y", "x"), SMOOTH.astype(np.float32))}
        xarray.Dataset(fields, {"time": np.arange(16.0)}).to_netcdf(folder / "a.nc")
        return folder / "a.nc"


class TestVideo(KindContract):
    kind = video.KIND

    def source(self, folder):
        np.savez(folder / "a.npz", frames=np.uint8(100 + 60 * SMOOTH[..., None].repeat(3, -1)), fps=10)
        return folder / "a.npz"


class TestShape(KindContract):
    kind = shape.KIND

    def source(self, folder):
        pytest.importorskip("trimesh").creation.icosphere(2).export(folder / "a.ply")
        return folder / "a.ply"

    load: ClassVar = {"resolution": 16}


class TestRadiance(KindContract):
    kind = radiance.KIND

    def source(self, folder):
        angles = np.arange(6) * np.pi / 3
        poses = np.tile(np.eye(4), (6, 1, 1))
        poses[:, 0, 0] = poses[:, 2, 2] = np.cos(angles)
        poses[:, 0, 2], poses[:, 2, 0] = np.sin(angles), -np.sin(angles)
        poses[:, :3, 3] = 3 * poses[:, :3, 2]
        images = np.zeros((6, 12, 12, 4), np.float32)
        images[:, 4:8, 4:8] = (0.8, 0.3, 0.2, 1.0)
        np.savez(folder / "a.npz", images=images, poses=poses, focal=14.0)
        return folder / "a.npz"


def test_every_kind_is_under_contract():
    tested = {contract.kind.name for contract in KindContract.__subclasses__()}
    assert tested >= set(registry.KINDS)


@pytest.mark.parametrize("kind", list(registry.KINDS))
def test_descriptions_are_ready_for_people(kind):
    found = registry.kind_named(kind)
    assert found.noun.split()[0] in ("a", "an")
    assert json.dumps(list(found.ids))
