"""Clips: reading, rendering at other rates and sizes, writing, headers."""

import math
import os
import re
from dataclasses import replace
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from PIL import Image

from sinr_codec.errors import InputError, LimitError, MalformedError, UnknownIdError
from sinr_codec.signals import registry, video, video_files
from sinr_codec.signals.base import Fields
from sinr_codec.signals.video import Clip, VideoSignal, VideoSpec


def clip(frames=12, height=32, width=48, channels=3):
    """A bright disk that crosses a shaded ground."""
    t, y, x = np.meshgrid(np.arange(frames), np.arange(height), np.arange(width), indexing="ij")
    disk = np.hypot(y - height / 2, x - (t + 0.5) * width / frames) < height / 5
    planes = [40 + 3 * y + 100 * disk, 30 + 2 * x, 200 - 2 * y - 60 * disk][:channels]
    array = np.stack(planes, -1).astype(np.uint8)
    return array if channels == 3 else array[..., 0]


def ramp(spec):
    """A field whose three values are the coordinates (t, y, x)."""
    return Fields([lambda coords: coords[:, : spec.channels]])


# -- reading and writing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", ["a.npy", "a.npz", "frames", "frame_%03d.png"])
def test_lossless_forms_bring_the_frames_back(tmp_path, name, channels):
    frames = clip(channels=channels)
    spec = VideoSignal.load((frames, 30)).spec
    decoded = spec.render(ramp(spec))
    assert decoded.frames.shape == frames.shape
    spec.save(Clip(frames, Fraction(30)), tmp_path / name)
    again = VideoSignal.load(tmp_path if "%" in name else tmp_path / name)
    np.testing.assert_array_equal(again.array.reshape(frames.shape), frames)
    assert again.spec.fps == (30 if name == "a.npz" else video.DEFAULT_FPS)
    assert VideoSignal.load(tmp_path if "%" in name else tmp_path / name, like=spec).spec.fps == 30


@pytest.mark.parametrize(("rate", "fraction"), [(Fraction(1, 1000), "1/1000"), (1e-3, "1/1000"), (10**6, "1000000")])
def test_the_slowest_and_the_fastest_clip(rate, fraction):
    assert video_files.fraction(rate, "fps") == Fraction(fraction)
    for beyond in (Fraction(1, 1001), np.float32(1e7), np.complex64(1), math.nan):
        with pytest.raises(InputError, match=r"expected frames a second, from 0\.001"):
            video_files.fraction(beyond, "fps")


def test_folders_as_other_programs_leave_them(tmp_path):
    frames = clip(frames=4)
    spec = VideoSignal.load(frames).spec
    spec.save(Clip(frames, Fraction(25)), tmp_path / "mac")
    (tmp_path / "mac/._frame_00001.png").write_bytes(b"\0\5\26\7")
    (tmp_path / "mac/.DS_Store").write_bytes(b"Bud1")
    assert registry.kind_of(tmp_path / "mac").name == "video"
    np.testing.assert_array_equal(VideoSignal.load(tmp_path / "mac").array, frames)

    (tmp_path / "jpeg").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    for i, frame in enumerate(frames):
        Image.fromarray(np.rot90(frame)).save(tmp_path / f"jpeg/f{8 + i}.jpg", exif=exif, quality=95)
    array = VideoSignal.load(tmp_path / "jpeg").array
    assert array.shape == frames.shape
    assert abs(array.astype(int) - frames).mean() < 5
    with pytest.raises(InputError, match="--as video"):  # they may be photographs
        registry.kind_of(tmp_path / "jpeg")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.mov", "a.avi", "a.webm"])
@pytest.mark.parametrize(("height", "width"), [(32, 48), (33, 47)])
def test_videos_are_written_and_read(tmp_path, name, height, width):
    pytest.importorskip("av")
    frames = clip(frames=9, height=height, width=width)
    spec = VideoSignal.load((frames, 29.97)).spec
    assert spec.fps == Fraction(30_000, 1001)
    spec.save(Clip(frames, spec.fps), tmp_path / name)
    again = VideoSignal.load(tmp_path / name)
    even = height + height % 2, width + width % 2  # H.264 at half the resolution has no odd sizes
    assert again.array.shape[1:3] == ((height, width) if name == "a.webm" else even)
    assert again.notes == ()
    assert float(again.spec.fps) == pytest.approx(float(spec.fps), rel=1e-3)
    # Colours at half the resolution, but the right ones, and every frame in its place.
    grey = [array.astype(float).mean(-1) for array in (again.array[:, :height, :width], frames)]
    assert np.sqrt(np.mean((grey[0] - grey[1]) ** 2)) < 6


def test_a_grey_video(tmp_path):
    av = pytest.importorskip("av")
    frames = clip(channels=1)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "gray"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="gray")))
        container.mux(stream.encode())
    signal = VideoSignal.load(tmp_path / "a.mkv")
    np.testing.assert_array_equal(signal.array[..., 0], frames)
    assert (signal.spec.channels, signal.spec.fps) == (1, 24)
    signal.spec.save(Clip(frames, Fraction(24)), tmp_path / "b.mp4")
    assert VideoSignal.load(tmp_path / "b.mp4").spec.frames == 12


def test_a_range_of_frames(tmp_path):
    frames = clip()
    np.save(tmp_path / "a.npy", frames)
    spec = VideoSignal.load(frames).spec
    spec.save(Clip(frames, spec.fps), tmp_path / "a")
    sources = [frames, tmp_path / "a.npy", tmp_path / "a"]
    if pytest.importorskip("av"):
        spec.save(Clip(frames, spec.fps), tmp_path / "a.mkv")
        sources.append(tmp_path / "a.mkv")
    for source in sources:
        part = VideoSignal.load(source, frames=(3, 7), fps=12.5)
        assert part.spec.frames == 4
        assert part.spec.fps == Fraction(25, 2)
        whole = VideoSignal.load(source)
        np.testing.assert_array_equal(part.array, whole.array[3:7])
        with pytest.raises(InputError, match="in that range"):
            VideoSignal.load(source, frames=(50, 60))
    with pytest.raises(InputError, match="first < stop"):
        VideoSignal.load(frames, frames=(4, 4))


def test_frames_of_a_folder_are_ordered_by_their_numbers(tmp_path):
    for number in (10, 9, 100):
        Image.new("RGB", (4, 4), (number, 0, 0)).save(tmp_path / f"f{number}.png")
    assert VideoSignal.load(tmp_path).array[:, 0, 0, 0].tolist() == [9, 10, 100]
    Image.new("RGB", (5, 4)).save(tmp_path / "f101.png")
    with pytest.raises(InputError, match="one size"):
        VideoSignal.load(tmp_path)


def test_deep_and_clear_frames_are_scaled_and_said(tmp_path):
    deep = [np.full((6, 8), 8000 * i + 1000, np.uint16) for i in range(4)]
    for i, frame in enumerate(deep):
        Image.fromarray(frame).save(tmp_path / f"{i}.png")
    signal = VideoSignal.load(tmp_path)
    assert signal.array[:, 0, 0, 0].tolist() == [round(value[0, 0] / 257) for value in deep]
    assert signal.notes == ("its samples are stored with 8 bits",)
    for mode in ("RGBA", "LA"):
        for alpha, notes in ((255, ()), (9, ("its transparency is not stored",))):
            for i in range(2):
                frame = Image.new("L", (8, 6), 50 * i).convert(mode)
                frame.putalpha(alpha)
                frame.save(tmp_path / f"{mode}{i}.png")
            folder = tmp_path / f"{mode}{alpha}"
            folder.mkdir()
            for i in range(2):
                (tmp_path / f"{mode}{i}.png").rename(folder / f"{i}.png")
            signal = VideoSignal.load(folder)
            assert signal.notes == notes
            assert signal.array[:, 0, 0, 0].tolist() == [0, 50]


def test_colours_of_16_bits_are_said_to_be_8(tmp_path):
    imagecodecs = pytest.importorskip("imagecodecs")
    frame = np.full((6, 8, 3), (60_000, 30_000, 257), np.uint16)
    for i in range(2):
        (tmp_path / f"{i}.png").write_bytes(imagecodecs.png_encode(frame))
    signal = VideoSignal.load(tmp_path)
    assert abs(signal.array[0, 0, 0] - frame[0, 0] / 257).max() <= 1
    assert signal.notes == ("its samples are stored with 8 bits",)


def test_grey_frames_among_coloured_ones_are_grey(tmp_path):
    Image.new("L", (8, 6), 7).save(tmp_path / "0.png")
    Image.new("RGB", (8, 6), (1, 2, 3)).save(tmp_path / "1.png")
    assert VideoSignal.load(tmp_path).array[:, 0, 0].tolist() == [[7, 7, 7], [1, 2, 3]]


def folder_of(path, names, sizes=((8, 6),), taken=None):
    path.mkdir()
    for i, name in enumerate(names):
        exif = Image.Exif()
        if taken:
            exif[0x0110] = "camera"
            exif.get_ifd(0x8769)[0x9003] = taken[i]
        Image.new("RGB", sizes[i % len(sizes)]).save(path / name, exif=exif)
    return path


@pytest.mark.parametrize(
    "names",
    [
        ["f1.png", "f2.png", "f3.png"],
        ["f0009.png", "f0010.PNG"],
        ["shot2_f10.png", "shot2_f20.png", "shot2_f30.png"],
        ["8.png", "9.png", "10.png"],
    ],
)
def test_numbered_pictures_are_a_clip(tmp_path, names):
    assert registry.kind_of(folder_of(tmp_path / "a", names)).name == "video"


def test_a_pipe_beside_the_frames_is_not_waited_for(tmp_path):
    folder = folder_of(tmp_path / "a", ["1.png", "2.png"])
    os.mkfifo(folder / "3.png")
    assert registry.kind_of(folder).name == "video"


@pytest.mark.parametrize(
    ("names", "options", "reason"),
    [
        (["cat.png", "dog.png"], {}, "by one number"),
        (["a1.png", "b2.png"], {}, "by one number"),
        (["1.png"], {}, "one PNG file"),
        ([], {}, "no PNG files"),
        (["IMG_1234.png", "IMG_1240.png", "IMG_1300.png"], {}, "rise evenly"),
        (["IMG_1.png", "IMG_2.png"], {"sizes": [(8, 6), (6, 8)]}, "differ in size"),
        (["k01.png", "k02.png", "k03.png"], {"sizes": [(8, 6), (6, 8), (8, 6)]}, "differ in size .k01.png, k02.png"),
        (["IMG_1.png", "IMG_2.png"], {"taken": ["2026:01:01 10:00:00", "2026:01:02 09:00:00"]}, "photographs"),
    ],
)
def test_pictures_of_their_own_are_no_clip(tmp_path, names, options, reason):
    path = folder_of(tmp_path / "a", names, **options)
    with pytest.raises(InputError, match=rf"{reason}.*sinr batch '.*a/\*'.*--as video"):
        registry.load(path)
    if names and "sizes" not in options:
        assert registry.load(path, "video").spec.frames == len(names)


def test_frames_are_written_all_or_none(tmp_path, monkeypatch):
    def interrupted(self, path, *rest):
        if "0002" in str(path):
            raise KeyboardInterrupt
        original(self, path, *rest)

    original = Image.Image.save
    monkeypatch.setattr(Image.Image, "save", interrupted)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "mine.txt").write_text("")
    for name in ("new", "old"):
        with pytest.raises(KeyboardInterrupt):
            video_files.save(Clip(clip(4), Fraction(25)), tmp_path / name)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["old", "old/mine.txt"]


def test_a_contact_sheet(tmp_path):
    spec = VideoSignal.load(clip()).spec
    spec.save(Clip(clip(), spec.fps), tmp_path / "a.png")
    spec.save(Clip(clip(1), spec.fps), tmp_path / "b.png")
    assert Image.open(tmp_path / "a.png").size == (3 * 48, 3 * 32)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "b.png")), clip(1)[0])
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png"))[:32, :48], clip()[0])


def test_what_is_no_clip_is_refused(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video at all")
    (tmp_path / "text.npz").write_text("no arrays at all")
    np.savez(tmp_path / "many.npz", a=clip(), b=clip())
    np.savez(tmp_path / "rate.npz", frames=clip(), fps=np.nan)
    (tmp_path / "none").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged/a.png").write_bytes(b"\x89PNG\r\n")
    for source, words in (
        (tmp_path / "missing.mp4", "no such file"),
        (tmp_path / "empty.mp4", "empty file"),
        (tmp_path / "text.mp4", "FFmpeg"),
        (tmp_path / "text.npz", "plain arrays"),
        (tmp_path / "many.npz", "called frames"),
        (tmp_path / "rate.npz", "fps"),
        (tmp_path / "none", "PNG"),
        (tmp_path / "damaged", "damaged"),
        (clip().astype(np.float32), "uint8"),
        (clip()[..., :2], "shape"),
        (clip()[:0], "shape"),
        (clip()[0, 0], "shape"),
        ((clip(), 0), "fps"),
        ((clip(), "fast"), "fps"),
        (12, "int"),
    ):
        if "FFmpeg" in words:
            pytest.importorskip("av")
        with pytest.raises(InputError, match=words) as caught:
            VideoSignal.load(source)
        assert "\n" not in str(caught.value)


def test_a_clip_beyond_memory_is_refused_before_it_is_read(tmp_path, monkeypatch):
    spec = VideoSignal.load(clip()).spec
    spec.save(Clip(clip(), spec.fps), tmp_path / "frames")
    np.save(tmp_path / "a.npy", clip())
    monkeypatch.setattr(video_files, "MAX_BYTES", 5 * 32 * 48 * 3)
    for source in (tmp_path / "frames", clip(), tmp_path / "a.npy"):
        with pytest.raises(InputError, match=re.escape("take frames=(0, 5)")):
            VideoSignal.load(source)
        assert VideoSignal.load(source, frames=(2, 7)).spec.frames == 5


def test_what_cannot_be_written_is_refused(tmp_path):
    spec = VideoSignal.load(clip()).spec
    with pytest.raises(InputError, match=r"\.mp4"):
        spec.save(Clip(clip(), spec.fps), tmp_path / "a.txt")
    with pytest.raises(InputError, match="cannot be made"):
        spec.save(Clip(clip(), spec.fps), tmp_path / "a/b/c")


# -- samples and rendering -------------------------------------------------------------------------------------


def test_samples_and_renderings_agree():
    signal = VideoSignal.load(clip())
    coords, values = signal.batch(np.arange(len(signal)))
    assert coords.dtype == values.dtype == np.float32
    lattice = {tuple(row): value for row, value in zip(coords.tolist(), values.tolist())}

    def apply(points):
        return np.array([lattice[tuple(row)] for row in points.tolist()])

    fields = Fields([apply], tile=777)
    np.testing.assert_array_equal(signal.spec.render(fields).frames, signal.array)
    assert signal.quality(partial(signal.spec.render, fields)).db == video.BEST_PSNR
    piece = signal.spec.render(fields, region=((2, 5), (4, 20), (10, 40))).frames
    np.testing.assert_array_equal(piece, signal.array[2:5, 4:20, 10:40])
    assert signal.objective(None, 0)(apply, 500) == 0


@pytest.mark.parametrize(
    ("options", "shape", "fps"),
    [
        ({}, (12, 32, 48), 25),
        ({"scale": 0.5}, (12, 16, 24), 25),
        ({"size": (8, 20)}, (12, 8, 20), 25),
        ({"fps": 50}, (24, 32, 48), 50),
        ({"fps": 12.5, "scale": 2}, (6, 64, 96), 12.5),
        ({"fps": 100, "size": (64, 96)}, (48, 64, 96), 100),
        ({"region": ((3, 9), (0, 32), (0, 24)), "size": (64, 64), "fps": 50}, (12, 64, 64), 50),
    ],
)
def test_rates_and_sizes(options, shape, fps):
    spec = VideoSignal.load(clip()).spec
    decoded = spec.render(ramp(spec), **options)
    assert decoded.frames.shape == (*shape, 3)
    assert decoded.fps == fps
    corner, opposite = decoded.frames[0, 0, 0].astype(float), decoded.frames[-1, -1, -1].astype(float)
    region = options.get("region", ((0, 12), (0, 32), (0, 48)))
    for axis, ((start, stop), size, count) in enumerate(zip(region, (12, 32, 48), shape)):
        half = (stop - start) / count / 2
        assert corner[axis] == pytest.approx(255 * (start + half) / size, abs=0.6)
        assert opposite[axis] == pytest.approx(255 * (stop - half) / size, abs=0.6)
    assert spec.summary(decoded).startswith(f"{shape[0]} frames of {shape[2]} x {shape[1]} pixels at {fps:g} fps")


def test_quality_is_the_mean_of_the_frames():
    signal = VideoSignal.load(clip())
    damaged = signal.array.copy()
    damaged[0] ^= 1  # one level everywhere
    quality = signal.quality(lambda: Clip(damaged, Fraction(25)))
    one_level = 20 * np.log10(255)
    assert quality.figures["worst_frame_db"] == pytest.approx(one_level)
    assert quality.db == pytest.approx((11 * video.BEST_PSNR + one_level) / 12)
    assert quality.figures["max_error"] == 1
    with pytest.raises(InputError, match="decoded clip"):
        signal.quality(lambda: Clip(damaged[:5], Fraction(25)))


def test_impossible_renderings_are_refused():
    spec = VideoSignal.load(clip()).spec
    for options in (
        {"scale": 0},
        {"size": (0, 5)},
        {"size": (12, 32, 48)},
        {"size": 5},
        {"scale": 2, "size": (5, 5)},
        {"fps": 0},
        {"fps": "30"},
        {"fps": float("nan")},
        {"region": ((0, 13), (0, 5), (0, 5))},
        {"region": (0, 0, 5, 5)},
    ):
        with pytest.raises(InputError, match="expected"):
            spec.render(ramp(spec), **options)
    with pytest.raises(LimitError):
        spec.render(Fields(ramp(spec).parts, max_samples=12 * 32 * 48 * 3 - 1))


# -- headers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [clip(), clip(channels=1), (clip(), 23.976)])
def test_the_header_comes_back(source):
    spec = VideoSignal.load(source).spec
    assert VideoSpec.from_header(spec.to_header()) == spec


def test_headers_that_no_writer_wrote_are_refused():
    good = VideoSignal.load(clip()).spec.to_header()
    bad = [
        *([*good[:i], value, *good[i + 1 :]] for i in range(1, 7) for value in (None, True, 0, -1, 2**60, "x", 1.5)),
        good[:6],
        [*good, 0],
        None,
        [0, *good[1:]],
        [*good[:4], 2, *good[5:]],
        [*good[:5], 50, 2],
    ]
    for header in bad:
        with pytest.raises((MalformedError, UnknownIdError)):
            VideoSpec.from_header(header)
    with pytest.raises(MalformedError):
        VideoSpec.from_header(good, b"x")


# -- real clips ------------------------------------------------------------------------------------------------


def test_a_real_clip_from_end_to_end(data_file, tmp_path):
    codec = pytest.importorskip("sinr_codec.codec")
    pytest.importorskip("torch")
    path = data_file("video/carphone_rgb_32frames.npz")
    crop = VideoSignal.load(path, frames=(0, 6)).array[:, 40:88, 60:116]
    report = codec.encode((crop, 29.97), tmp_path / "a.sinr", kind="video", width=12, preset="fast")
    assert report.quality > 20
    decoded = codec.decode(tmp_path / "a.sinr", fps=60, scale=2)
    assert decoded.frames.shape == (12, 96, 112, 3)
    again = codec.decode(tmp_path / "a.sinr").frames
    assert VideoSignal.load(crop).quality(lambda: Clip(again, Fraction(30))).db == pytest.approx(
        report.quality, abs=0.1
    )


def test_a_real_video_file(data_file):
    pytest.importorskip("av")
    spec = VideoSignal.load(data_file("video/carphone_pristine.mp4")).spec
    assert (spec.frames, spec.height, spec.width, spec.fps) == (120, 144, 176, Fraction(30_000, 1001))


# -- blocks ------------------------------------------------------------------------------------------------


def textured(*shape):
    """Every sample another value than its neighbours'."""
    return (np.arange(math.prod(shape)).reshape(shape) * 7 % 251).astype(np.uint8)


def exact(part):
    """A field that knows the samples of a part."""
    coords, values = part.batch(np.arange(len(part)))
    known = {tuple(c): v for c, v in zip(coords.tolist(), values)}
    return lambda at: np.array([known[tuple(c)] for c in at.tolist()], np.float32)


@pytest.mark.parametrize("shape", [(20, 37, 34, 3), (50, 17, 20), (16, 16, 64, 3)])
def test_what_every_block_knows_is_the_clip(shape):
    signal = VideoSignal.load((textured(*shape), 25), block=16)
    spec = signal.spec
    assert spec.cut is not None
    assert VideoSpec.from_header(spec.to_header()) == spec
    assert VideoSpec.parts_in(spec.to_header()) == spec.parts == len(signal.parts) > 1
    assert spec.describe()["blocks"] == list(spec.cut.counts)
    fields = Fields([exact(part) for part in signal.parts], tile=300)
    np.testing.assert_array_equal(spec.render(fields).frames, textured(*shape))
    part = spec.render(fields, region=((2, 9), (1, 16), (9, 15))).frames
    np.testing.assert_array_equal(part, textured(*shape)[2:9, 1:16, 9:15])
    assert signal.quality(lambda: spec.render(fields)).db == video.BEST_PSNR


def test_large_clips_are_cut_when_asked(monkeypatch):
    monkeypatch.setattr(VideoSignal, "BLOCKS", replace(VideoSignal.BLOCKS, largest=8 * 40 * 20, side=16))
    assert VideoSignal.load(textured(8, 40, 20)).in_blocks().spec.cut is None
    cut = VideoSignal.load(textured(8, 41, 20)).in_blocks().spec
    assert cut == VideoSignal.load(textured(8, 41, 20), block=16).spec
    assert cut.cut.counts == (1, 3, 1)
    assert VideoSignal.load(textured(8, 41, 20), like=cut).spec == cut
    assert VideoSignal.load(textured(8, 41, 20), block=0).spec.cut is None
    with pytest.raises(InputError, match="block"):
        VideoSignal.load(textured(8, 41, 20), block=15)


@pytest.mark.parametrize("change", [{7: 0}, {8: 41}, {9: 1.0}, {10: -1}, {10: 11}, {7: 1, 8: 1, 9: 1}, {11: 1}])
def test_headers_of_blocks_that_nobody_can_have_written(change):
    header = VideoSignal.load(textured(8, 40, 20), block=20).spec.to_header()
    for place, value in change.items():
        header[place:] = [value, *header[place + 1 :]]
    with pytest.raises(MalformedError, match=r"video|blocks|fade"):
        VideoSpec.from_header(header)


def test_quality_tells_of_seams():
    signal = VideoSignal.load(textured(8, 40, 20), block=20)
    frames = signal.array.copy()
    frames[:, ::2] ^= 1
    assert signal.quality(lambda: Clip(frames, 25)).figures["seam_db"] == pytest.approx(0, abs=0.01)
    frames[:, 17:23] ^= 2
    assert signal.quality(lambda: Clip(frames, 25)).figures["seam_db"] > 3
