"""Bounds on the error of every sample, from the source to the decoded file."""

import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import sinr_codec as sinr
from sinr_codec.cli.main import app
from sinr_codec.encoding.request import parsed_bound
from sinr_codec.errors import InputError
from sinr_codec.fields import Interlaced


def smooth(*sizes, seed=0):
    """Waves and some noise, in about [-1, 1]."""
    rng = np.random.default_rng(seed)
    grid = np.meshgrid(*(np.arange(n) / 9 for n in sizes), indexing="ij")
    return 0.8 * np.sin(sum((k + 1) * g for k, g in enumerate(grid))) + rng.normal(0, 0.03, sizes)


def largest(source, decoded):
    return np.abs(source.astype(np.float64) - np.asarray(decoded, np.float64)).max()


VOLUMES = {
    "uint8": (100 * smooth(9, 14, 11) + 110).clip(0, 255).astype(np.uint8),
    "int16": (1000 * smooth(9, 14, 11)).astype(np.int16),
    "int32": (100_000 * smooth(9, 14, 11)).astype(np.int32),
    "uint16": (20_000 * smooth(6, 7, 8, 9) + 30_000).astype(np.uint16),
    "bool": smooth(9, 14, 11) > 0.3,
    "constant": np.full((6, 7, 8), -5, np.int16),
}


@pytest.mark.parametrize("name", VOLUMES)
def test_integers_without_loss(name):
    source = VOLUMES[name]
    report = sinr.encode(source, lossless=True, preset="fast", kind="volume")
    decoded = sinr.decode(report.blob)
    assert decoded.dtype == source.dtype
    np.testing.assert_array_equal(decoded, source)
    assert (report.target, report.target_met) == ("no error", True)
    assert sinr.verify(report.blob, against=source).ok


@pytest.mark.parametrize("error", [1, 2.9, 40])
def test_a_bound_of_integers(error):
    source = VOLUMES["int16"]
    report = sinr.encode(source, max_error=error, preset="fast")
    assert largest(source, sinr.decode(report.blob)) == report.figures["max_error"] == int(error)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("error", [0.5, 0.01])
def test_a_bound_of_floats(dtype, error):
    source = (3 * smooth(9, 14, 11) + 7).astype(dtype)
    report = sinr.encode(source, max_error=error, preset="fast")
    decoded = sinr.decode(report.blob)
    assert decoded.dtype == source.dtype
    assert (0.5 if dtype == "float16" else 0.9) * error < largest(source, decoded) <= error


def test_a_larger_bound_takes_fewer_bytes():
    source = VOLUMES["int16"]
    sizes = [sinr.encode(source, max_error=e, preset="fast").bytes for e in (1, 8, 64)]
    assert sizes[0] > 1.3 * sizes[1] > 1.6 * sizes[2]


def test_the_most_frequent_sample_has_no_error():
    source = VOLUMES["uint8"].copy()
    source[:5] = 7
    decoded = sinr.decode(sinr.encode(source, max_error=4, preset="fast").blob)
    assert largest(source, decoded) == 4
    np.testing.assert_array_equal(decoded[:5], 7)


def test_parts_of_the_range_and_units():
    source = (3 * smooth(9, 14, 11) + 7).astype(np.float32)
    span = float(source.max() - source.min())
    assert largest(source, sinr.decode(sinr.encode(source, max_error="2%", preset="fast").blob)) <= 0.02 * span
    assert parsed_bound("20HU") == (20, "HU")
    assert parsed_bound(" 1e-3 K ") == (1e-3, "K")
    assert parsed_bound("0.5%") == (0.5, "%")
    assert parsed_bound(3) == (3, "")
    for wrong in ("", "HU", "1.2.3", "-1", "0", 0, -2, float("nan"), "nan"):
        with pytest.raises(InputError, match="max_error: expected a"):
            parsed_bound(wrong)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "I;16"])
def test_pictures_without_loss(mode, tmp_path):
    channels = {"L": 1, "RGB": 3, "RGBA": 4, "I;16": 1}[mode]
    top, dtype = (60_000, np.uint16) if mode == "I;16" else (255, np.uint8)
    planes = np.stack([smooth(21, 30, seed=k) for k in range(channels)], -1)
    source = ((planes / 2.4 + 0.5).clip(0, 1) * top).astype(dtype).squeeze()
    if mode == "RGBA":
        source[..., 3] = np.maximum(source[..., 3], 1)
    path = tmp_path / "a.png"
    Image.fromarray(source).save(path)
    report = sinr.encode(path, tmp_path / "a.sinr", lossless=True, preset="fast")
    sinr.decode(tmp_path / "a.sinr", tmp_path / "b.png")
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "b.png")), source)
    assert report.quality == np.inf
    assert report.target_met


@pytest.mark.parametrize("mode", ["P", "1", "LA"])
def test_pictures_of_other_modes(mode, tmp_path):
    image = Image.fromarray((127 * smooth(24, 33) / 2.4 + 120).clip(0, 255).astype(np.uint8))
    image = image.quantize(7) if mode == "P" else image.convert(mode)
    image.save(tmp_path / "a.png")
    sinr.encode(tmp_path / "a.png", tmp_path / "a.sinr", lossless=True, preset="fast")
    sinr.decode(tmp_path / "a.sinr", tmp_path / "b.png")
    found, wanted = (np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGBA")) for name in "ba")
    np.testing.assert_array_equal(found, wanted)


def test_a_video_within_a_bound():
    frames = (100 * np.stack([smooth(5, 12, 16, seed=k) for k in range(3)], -1) + 120).clip(0, 255).astype(np.uint8)
    report = sinr.encode(frames, max_error=3, preset="fast", kind="video")
    assert largest(frames, sinr.decode(report.blob).frames) == 3


def test_blocks_do_not_overlap_and_keep_the_bound():
    source = VOLUMES["int16"].repeat(4, 0)
    report = sinr.encode(source, max_error=2, preset="fast", block=16)
    assert report.parts == 2
    about = sinr.info(report.blob)
    assert about["signal"]["fade"] == 0
    decoder = sinr.open(report.blob)
    assert largest(source, decoder.render()) == 2
    np.testing.assert_array_equal(decoder.render(region=[(15, 22), (3, 9), (0, 11)]), decoder.render()[15:22, 3:9])


def test_the_file_tells_its_bound():
    report = sinr.encode(VOLUMES["int16"], max_error=2, preset="fast")
    about = sinr.info(report.blob)
    assert about["max_error"] == 2
    assert about["exact"]
    assert isinstance(sinr.open(report.blob).network, Interlaced)
    assert "max_error" not in sinr.info(sinr.encode(VOLUMES["int16"], preset="fast", width=8, seconds=0.1).blob)


def test_the_slope_of_a_volume_counts(tmp_path):
    nibabel = pytest.importorskip("nibabel")
    image = nibabel.Nifti1Image(VOLUMES["int16"], np.eye(4))
    image.header.set_slope_inter(0.5, 10)
    nibabel.save(image, tmp_path / "a.nii.gz")
    report = sinr.encode(tmp_path / "a.nii.gz", tmp_path / "a.sinr", max_error="2", preset="fast")
    sinr.decode(tmp_path / "a.sinr", tmp_path / "b.nii.gz")
    found, wanted = (nibabel.load(tmp_path / f"{name}.nii.gz").get_fdata() for name in "ba")
    assert largest(wanted, found) == report.figures["max_error"] == sinr.info(tmp_path / "a.sinr")["max_error"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lossless": True, "max_error": 1}, "at most one"),
        ({"max_error": 1, "psnr": 30}, "at most one"),
        ({"max_error": 1, "width": 8}, "width: does not go with max_error"),
        ({"lossless": True, "field": "mlp"}, "field: does not go with lossless"),
        ({"lossless": True, "progressive": True}, "progressive: does not go with lossless"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        sinr.encode(VOLUMES["int16"], preset="fast", **arguments)


def test_what_cannot_be_kept_is_refused():
    floats = smooth(9, 14, 11).astype(np.float32)
    with pytest.raises(InputError, match="lossless: is for integers"):
        sinr.encode(floats, lossless=True)
    with pytest.raises(InputError, match="max_error: values of a field have 24 bits"):
        sinr.encode(floats, max_error=1e-9)
    wide = (2.0**29 * smooth(9, 14, 11)).astype(np.int32)
    with pytest.raises(InputError, match=r"allow 2\d\d or more"):
        sinr.encode(wide, lossless=True)
    assert largest(wide, sinr.decode(sinr.encode(wide, max_error=2000, preset="fast").blob)) <= 2000
    sound = np.sin(np.arange(4000) / 9).astype(np.float32), 8000
    with pytest.raises(InputError, match="are for pictures, volumes and videos"):
        sinr.encode(sound, kind="audio", max_error=0.1)


def test_the_command(tmp_path):
    def cli(*arguments):
        return CliRunner().invoke(app, arguments)

    np.save(tmp_path / "ct.npy", VOLUMES["int16"])
    result = cli("encode", str(tmp_path / "ct.npy"), "--max-error", "5HU", "--preset", "fast", "--json")
    report = json.loads(result.stdout)
    assert report["target"] == "a largest error of 5"
    assert report["target_met"]
    shown = cli("info", str(tmp_path / "ct.sinr")).stdout
    assert "largest error of 5" in shown
