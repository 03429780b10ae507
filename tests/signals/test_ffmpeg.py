"""Videos as players show them: upright, in time, with the right colours; against PyAV."""

from fractions import Fraction

import numpy as np
import pytest
from PIL import Image, ImageOps

from sinr_codec.errors import InputError
from sinr_codec.signals import ffmpeg, registry
from sinr_codec.signals.video import Clip, VideoSignal

av = pytest.importorskip("av")

COUNT, HEIGHT, WIDTH = 8, 48, 64


def write(path, codec="libx264", layout="yuv420p", times=None, pixel=None, clear=False, prepare=lambda stream: None):
    """A clip whose frames get brighter, with a white corner at the top left."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, layout
        if times:
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        if pixel:
            stream.codec_context.sample_aspect_ratio = pixel
        prepare(stream)
        for i in range(len(times or range(COUNT))):
            picture = np.full((HEIGHT, WIDTH, 4), 30 * i % 250, np.uint8)
            picture[:16, :16] = 255
            picture[..., 3] = 255
            if clear:
                picture[24:, :, 3] = 0
            frame = av.VideoFrame.from_ndarray(picture, format="rgba")
            if times:
                frame.pts, frame.time_base = times[i], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def decoded(path):
    """The frames as PyAV gives them."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


@pytest.mark.parametrize(
    ("degrees", "across", "down"), [(90, 0, 0), (180, 0, 0), (270, 0, 0), (0, 0, 1), (90, 0, 1), (270, 1, 0)]
)
def test_clips_of_phones_are_upright(tmp_path, degrees, across, down):
    path = write(
        tmp_path / "a.mp4", prepare=lambda stream: stream.set_display_rotation(degrees, hflip=across, vflip=down)
    )
    shown = np.rot90(decoded(path), degrees // 90, axes=(1, 2))
    shown = shown[:, :: -1 if down else 1, :: -1 if across else 1]
    np.testing.assert_array_equal(VideoSignal.load(path).array, shown)


@pytest.mark.parametrize("turn", [1, 3, 6, 8])
def test_pictures_of_cameras_with_exif(tmp_path, turn):
    """FFmpeg gives the EXIF of each frame beside its display matrix, and PyAV does not know the first."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = turn, "maker"
    pixels = np.full((HEIGHT, WIDTH, 3), 60, np.uint8)
    pixels[:16, :16] = 255
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif, quality=95)
    (tmp_path / "a.mjpeg").write_bytes(3 * (tmp_path / "a.jpg").read_bytes())
    with Image.open(tmp_path / "a.jpg") as opened:
        shown = np.asarray(ImageOps.exif_transpose(opened)).astype(int)
    array = VideoSignal.load(tmp_path / "a.mjpeg").array
    assert array.shape == (3, *shown.shape)
    assert abs(array - shown).mean() < 3


def test_frames_of_varying_durations_are_put_on_a_clock(tmp_path):
    times = [0, 40, 80, 120, 1120, 1160, 1200, 3000]
    path = write(tmp_path / "a.mp4", times=times)
    signal = VideoSignal.load(path)
    assert signal.spec.fps == 25
    assert signal.spec.frames == 76  # three seconds, and the last frame
    assert "varying durations" in " ".join(signal.notes)
    shown = decoded(path)
    for i, frame in enumerate(signal.array):
        np.testing.assert_array_equal(frame, shown[max(k for k, time in enumerate(times) if time <= 40 * i)])
    part = VideoSignal.load(path, frames=(0, 4))
    assert (part.spec.frames, part.spec.fps, part.notes) == (4, 25, ())
    # A rate that is named takes the frames as they are, also when a file of them is verified.
    named = VideoSignal.load(path, fps=10)
    assert (named.spec.frames, named.spec.fps, named.notes) == (8, 10, ())
    assert VideoSignal.load(path, like=named.spec).spec.frames == 8
    assert VideoSignal.load(path, like=signal.spec).spec.frames == 76


@pytest.mark.parametrize("rate", [Fraction(30_000, 1001), Fraction(60), Fraction(24_000, 1001)])
def test_times_in_milliseconds_are_a_steady_rate(tmp_path, rate):
    path = write(tmp_path / "a.mkv", "mpeg4", times=[round(1000 * i / rate) for i in range(40)])
    signal = VideoSignal.load(path)
    assert (signal.spec.frames, signal.notes) == (40, ())
    assert float(signal.spec.fps) == pytest.approx(float(rate), rel=5e-3)


def test_the_last_picture_of_an_animation_is_held(tmp_path):
    frames = [Image.new("RGB", (16, 12), (80 * i, 0, 0)) for i in range(3)]
    for name in ("a.gif", "a.png", "a.webp"):
        frames[0].save(
            tmp_path / name, save_all=True, append_images=frames[1:], duration=[100, 100, 500], lossless=True
        )
        signal = VideoSignal.load(tmp_path / name)
        assert (signal.spec.fps, signal.array[:, 0, 0, 0].tolist()) == (10, [0, 80, *5 * [160]])
        assert "transparency" not in " ".join(signal.notes)


def test_what_a_video_loses_is_said(tmp_path):
    assert VideoSignal.load(write(tmp_path / "a.mp4")).notes == ()
    clear = [("c.webm", "libvpx-vp9", "yuva420p"), ("c.mov", "qtrle", "argb")]
    for name, codec, layout in clear:
        assert VideoSignal.load(write(tmp_path / name, codec, layout, clear=True)).notes == (ffmpeg.TRANSPARENT,)
    assert VideoSignal.load(write(tmp_path / "d.mov", "qtrle", "argb")).notes == ()

    def wide(stream):
        stream.codec_context.color_trc, stream.codec_context.color_primaries = 16, 9

    notes = " ".join(VideoSignal.load(write(tmp_path / "f.mp4", layout="yuv420p10le", prepare=wide)).notes)
    assert "8 bits" in notes
    assert "tone mapping" in notes

    def interlaced(stream):
        stream.options = {"flags": "+ildct+ilme", "x264-params": "tff=1"}

    assert "fields" in " ".join(VideoSignal.load(write(tmp_path / "e.mp4", prepare=interlaced)).notes)


@pytest.mark.parametrize("degrees", [0, 90])
@pytest.mark.parametrize("name", ["b.mp4", "b.mkv", "b.mov", "b.webm"])
def test_tags_and_the_form_of_pixels_come_back(tmp_path, degrees, name):
    def prepare(stream):
        stream.container.metadata.update({"title": "Ein Würfel", "comment": "none"})
        stream.set_display_rotation(degrees)

    signal = VideoSignal.load(write(tmp_path / "a.mp4", pixel=Fraction(16, 11), prepare=prepare))
    assert signal.notes == ()
    assert signal.metadata == {
        "pixels": [11, 16] if degrees else [16, 11],
        "tags": {"title": "Ein Würfel", "comment": "none"},
    }
    signal.spec.save(Clip(signal.array, Fraction(25)), tmp_path / name, metadata=signal.metadata)
    with av.open(str(tmp_path / name)) as container:
        if not name.endswith("webm"):  # VP9 does not hold it
            aspect = container.streams.video[0].sample_aspect_ratio
            assert aspect == (Fraction(11, 16) if degrees else Fraction(16, 11))
        tags = {key.lower(): text for key, text in container.metadata.items()}
        assert (tags["title"], tags["comment"]) == ("Ein Würfel", "none")
    again = VideoSignal.load(tmp_path / name).metadata
    assert again | {"pixels": signal.metadata["pixels"]} == signal.metadata
    assert VideoSignal.load(tmp_path / name, metadata=False).metadata == {}
    # Another form, as for pixels that a user has made square.
    signal.spec.save(Clip(signal.array[:, ::2], Fraction(25)), tmp_path / name, metadata=signal.metadata)
    with av.open(str(tmp_path / name)) as container:
        assert container.streams.video[0].sample_aspect_ratio in (None, 1)


def test_strange_metadata_are_no_obstacle(tmp_path):
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    for strange in ({"pixels": [0, 1]}, {"pixels": "16:11"}, {"tags": ["title"]}, {"tags": {"title": 3, "x": "y"}}):
        ffmpeg.write(frames, Fraction(25), tmp_path / "a.mp4", strange)
        assert VideoSignal.load(tmp_path / "a.mp4").metadata == {}


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.ts", "mpeg2video"),
        ("a.M2TS", "mpeg2video"),
        ("a.3gp", "mpeg4"),
        ("a.wmv", "wmv2"),
        ("a.flv", "flv1"),
        ("a.y4m", "rawvideo"),
        ("a.vob", "mpeg2video"),
        ("a.mxf", "mpeg2video"),
        ("a.mpg", "mpeg1video"),
        ("a.h264", "libx264"),
    ],
)
def test_containers_are_known_by_their_names(tmp_path, name, codec):
    path = write(tmp_path / name, codec)
    signal = registry.load(path)
    assert signal.spec.fps == 25
    np.testing.assert_array_equal(signal.array, decoded(path))


@pytest.mark.parametrize(("height", "matrix"), [(48, 6), (720, 1)])
@pytest.mark.parametrize("name", ["a.mp4", "a.webm"])
def test_colours_are_written_with_their_matrix(tmp_path, height, matrix, name):
    frames = np.zeros((1, height, 48, 3), np.uint8)
    frames[:, :, :16], frames[:, :, 16:32], frames[:, :, 32:] = (250, 0, 0), (0, 200, 30), (40, 60, 220)
    VideoSignal.load((frames, 25)).spec.save(Clip(frames, Fraction(25)), tmp_path / name)
    with av.open(str(tmp_path / name)) as container:
        frame = next(container.decode(video=0))
        assert (frame.colorspace, frame.color_range) == (matrix, 1)
        shown = frame.to_ndarray(format="rgb24").astype(int)
    np.testing.assert_allclose(shown[height // 2, 8::16], frames[0, 0, 8::16].astype(int), atol=8)


def test_odd_sizes_are_ones_that_all_players_take(tmp_path):
    frames = np.arange(33, dtype=np.uint8)[None, :, None].repeat(47, 2)
    VideoSignal.load((frames, 25)).spec.save(Clip(frames, Fraction(25)), tmp_path / "a.mp4")
    with av.open(str(tmp_path / "a.mp4")) as container:
        frame = next(container.decode(video=0))
        assert (frame.width, frame.height, frame.format.name) == (48, 34, "yuv420p")
        grey = frame.to_ndarray(format="gray").astype(int)
    assert abs(grey[:33, :47] - frames[0]).max() <= 4
    assert abs(grey[33] - frames[0, 32, 0]).max() <= 4


def test_a_list_of_files_is_no_video(tmp_path):
    write(tmp_path / "a.ts", "mpeg2video")
    (tmp_path / "a.m3u8").write_text("#EXTM3U\n#EXTINF:1,\na.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(InputError, match=r"a\.m3u8: expected a video"):
        VideoSignal.load(tmp_path / "a.m3u8")
