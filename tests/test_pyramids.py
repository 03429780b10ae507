"""Pictures and videos as pyramids, from the source to the decoded file."""

import io

import numpy as np
import pytest
from PIL import Image

import sinr_codec as sinr
from sinr_codec.container import read
from sinr_codec.encoding.job import job_for
from sinr_codec.encoding.request import Request
from sinr_codec.errors import InputError
from sinr_codec.fields import Pyramid
from sinr_codec.progress import NullProgress


def picture(rows=48, columns=64, channels=3):
    y, x = np.mgrid[:rows, :columns] / 32
    planes = [np.sin(2 * x + k) * np.cos(y - k) * ((x + k / 2 > y + 0.5) + 0.5) for k in range(channels)]
    return np.clip(128 + 60 * np.stack(planes, -1), 0, 255).astype(np.uint8)


def job(**request):
    return job_for(picture(16, 16), Request(**request), None, {}, NullProgress())


@pytest.fixture(scope="module")
def coded():
    return sinr.encode(picture(), preset="fast")


def test_a_picture_is_a_pyramid_by_default(coded):
    field = sinr.open(coded.blob).network
    assert isinstance(field, Pyramid)
    assert field.sizes == (48, 64)
    assert coded.bytes < 1500
    assert coded.psnr > 27
    assert sinr.verify(coded.blob, against=picture()).ok


def test_no_quality_is_lost_by_coding(coded):
    assert coded.quality == pytest.approx(coded.fit_quality, abs=1e-9)


def test_regions_are_crops(coded):
    whole = sinr.decode(coded.blob)
    np.testing.assert_array_equal(sinr.decode(coded.blob, region=(10, 5, 40, 33)), whole[5:33, 10:40])


def test_other_sizes_look_like_it(coded):
    whole = Image.fromarray(sinr.decode(coded.blob))
    for size, kernel in (((96, 128), Image.Resampling.BICUBIC), ((12, 16), Image.Resampling.BOX)):
        found = sinr.decode(coded.blob, size=size).astype(float)
        wanted = np.asarray(whole.resize(size[::-1], kernel), float)
        assert np.abs(found - wanted).mean() < 3


def test_the_same_seed_gives_the_same_bytes(coded):
    assert sinr.encode(picture(), preset="fast").blob == coded.blob


OTHERS = [{"field": "mlp"}, {"progressive": True}, {"max_drop": 0.2}, {"width": 16}, {"preset": "paper"}]


@pytest.mark.parametrize("options", OTHERS, ids=str)
def test_other_requests_take_a_network_of_coordinates(options):
    assert job(**options).method is None
    assert job().method.name == "pyramid"


def test_blocks_have_a_pyramid_each():
    report = sinr.encode(picture(24, 40), preset="fast", block=20)
    decoder = sinr.open(report.blob)
    assert isinstance(decoder.network, Pyramid)
    assert decoder.spec.parts == 2
    assert report.psnr > 22


def test_modes_of_pillow_come_back():
    image = Image.fromarray(picture(24, 24, 4), "RGBA")
    image.putalpha(Image.fromarray((picture(24, 24, 1)[..., 0] > 120).astype(np.uint8) * 255))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    report = sinr.encode(io.BytesIO(buffer.getvalue()), preset="fast")
    decoded = sinr.open(report.blob).image()
    assert decoded.mode == "RGBA"
    assert set(np.unique(np.asarray(decoded)[..., 3])) <= {0, 255}


def test_a_fit_elsewhere_than_on_the_cpu_is_noted():
    found = job(device="cuda")
    assert found.device == "cpu"
    assert any("fitted on the CPU, not on cuda" in note for note in found.notes)


@pytest.mark.parametrize("options", [{"field": "grid"}, {"field": "mlp", "method": "coin"}], ids=str)
def test_fields_that_are_none_are_refused(options):
    with pytest.raises(InputError, match="field: "):
        sinr.encode(picture(8, 8), **options)


def test_the_header_names_the_family(coded):
    header, _ = read(coded.blob)
    assert header.field[0] == Pyramid.ID


# -- videos


def clip(frames=6, rows=24, columns=30, channels=3):
    """A bright bar that crosses a shaded ground, (T, H, W, C)."""
    t, y, x = np.mgrid[:frames, :rows, :columns]
    bar = np.abs(x - 4 * t - 3) < 3
    return np.stack([60 + 2 * y + (100 - 30 * k) * bar for k in range(channels)], -1).astype(np.uint8)


@pytest.fixture(scope="module")
def coded_clip():
    return sinr.encode((clip(16), 30), field="pyramid", preset="fast")


def test_a_video_is_a_pyramid_with_an_axis_of_time(coded_clip):
    field = sinr.open(coded_clip.blob).network
    assert isinstance(field, Pyramid)
    assert field.sizes == (16, 24, 30)
    assert field.halved(0) == (True, True, True)
    assert coded_clip.bytes < 2000
    assert coded_clip.psnr > 27
    assert sinr.verify(coded_clip.blob, against=(clip(16), 30)).ok


def test_ranges_of_frames_are_crops(coded_clip):
    whole, fps = sinr.decode(coded_clip.blob)
    assert fps == 30
    found, _ = sinr.decode(coded_clip.blob, region=((5, 8), (2, 20), (9, 30)))
    np.testing.assert_array_equal(found, whole[5:8, 2:20, 9:30])


def test_frames_between_frames(coded_clip):
    whole, _ = sinr.decode(coded_clip.blob)
    faster, fps = sinr.decode(coded_clip.blob, fps=60)
    assert fps == 60
    pairs = (whole[:-1].astype(float) + whole[1:]) / 2
    between = (faster[1:-1:2].astype(float) + faster[2::2]) / 2  # quarters of a frame on either side of the middle
    assert np.abs(between - pairs).mean() < 4


SHAPES = [(1, 24, 30, 3), (2, 24, 30, 3), (5, 21, 27, 3), (9, 24, 31, 1)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_clips_of_any_shape(shape):
    frames = clip(*shape)
    frames = frames if shape[3] == 3 else frames[..., 0]
    report = sinr.encode((frames, 25), kind="video", field="pyramid", preset="fast")
    decoded, _ = sinr.decode(report.blob)
    assert isinstance(sinr.open(report.blob).network, Pyramid)
    assert decoded.shape == frames.shape
    assert report.psnr > 22


def test_blocks_of_a_video_have_a_pyramid_each():
    report = sinr.encode((clip(4, 20, 36), 25), field="pyramid", preset="fast", block=18)
    decoder = sinr.open(report.blob)
    assert isinstance(decoder.network, Pyramid)
    assert decoder.spec.parts == 2
    whole, _ = decoder.render()
    part, _ = decoder.render(region=((1, 3), (0, 20), (0, 12)))
    np.testing.assert_array_equal(part, whole[1:3, :, :12])


def test_a_video_is_a_network_of_coordinates_by_default():
    assert job_for((clip(2), 25), Request(), None, {}, NullProgress()).method is None
