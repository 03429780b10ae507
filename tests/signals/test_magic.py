"""Files whose names tell nothing, open files and pipes are recognised by their first bytes."""

import gzip
import io
import os
import threading

import numpy as np
import pytest
from PIL import Image

from sinr_codec.errors import InputError
from sinr_codec.signals import magic, registry

PIXELS = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)


def picture(name):
    def make():
        file = io.BytesIO()
        Image.fromarray(PIXELS).save(file, name)
        return file.getvalue()

    return make


def sound(name):
    def make():
        soundfile = pytest.importorskip("soundfile")
        file = io.BytesIO()
        soundfile.write(file, np.sin(np.arange(800) / 9), 8000, format=name)
        return file.getvalue()

    return make


def nifti(name="Nifti1Image", packed=False):
    def make():
        nibabel = pytest.importorskip("nibabel")
        data = getattr(nibabel, name)(np.ones((4, 5, 6), np.int16), np.eye(4)).to_bytes()
        return gzip.compress(data) if packed else data

    return make


def netcdf(form):
    def make():
        netcdf4 = pytest.importorskip("netCDF4")
        dataset = netcdf4.Dataset("in memory", "w", format=form, memory=1024)
        dataset.createDimension("x", 3)
        dataset.createVariable("t", "f4", ("x",))[:] = 1
        return bytes(dataset.close())

    return make


def video(name, codec):
    def make():
        av = pytest.importorskip("av")
        file = io.BytesIO()
        with av.open(file, "w", format=name) as container:
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
            for level in (0, 100):
                frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), level, np.uint8), "rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return file.getvalue()

    return make


def mesh(name):
    def make():
        trimesh = pytest.importorskip("trimesh")
        data = trimesh.creation.box().export(file_type=name)
        return data.encode() if isinstance(data, str) else bytes(data)

    return make


def array(shape, archive=False):
    def make():
        file = io.BytesIO()
        (np.savez if archive else np.save)(file, np.zeros(shape, np.uint8))
        return file.getvalue()

    return make


FORMATS = [
    *(("image", suffix, picture(name)) for suffix, name in (
        (".png", "PNG"), (".jpg", "JPEG"), (".gif", "GIF"), (".webp", "WEBP"), (".tif", "TIFF"), (".bmp", "BMP"),
        (".avif", "AVIF"), (".jp2", "JPEG2000"), (".ppm", "PPM"), (".ico", "ICO"), (".dds", "DDS"), (".sgi", "SGI"),
        (".icns", "ICNS"), (".qoi", "QOI"),
    )),
    *(("audio", suffix, sound(name)) for suffix, name in (
        (".wav", "WAV"), (".flac", "FLAC"), (".ogg", "OGG"), (".aiff", "AIFF"), (".au", "AU"), (".caf", "CAF"),
        (".w64", "W64"), (".wav", "RF64"), (".voc", "VOC"), (".mp3", "MP3"),
    )),
    ("volume", ".nii", nifti()),
    ("volume", ".nii", nifti("Nifti2Image")),
    ("volume", ".nii.gz", nifti(packed=True)),
    *(("dataset", ".nc", netcdf(form)) for form in ("NETCDF4", "NETCDF3_CLASSIC", "NETCDF3_64BIT_DATA")),
    *(("video", suffix, video(name, codec)) for suffix, name, codec in (
        (".mp4", "mp4", "mpeg4"), (".mp4", "3gp", "mpeg4"), (".mkv", "matroska", "mpeg4"), (".avi", "avi", "mpeg4"),
        (".ts", "mpegts", "mpeg2video"), (".mpg", "mpeg", "mpeg2video"), (".flv", "flv", "flv"),
        (".wmv", "asf", "mpeg4"), (".y4m", "yuv4mpegpipe", "wrapped_avframe"),
    )),
    *(("shape", f".{name}", mesh(name)) for name in ("ply", "obj", "off", "glb")),
    ("shape", ".stl", mesh("stl_ascii")),
    ("image", ".npy", array((5, 6, 3))),
    ("volume", ".npy", array((5, 6, 7))),
    ("image", ".npz", array((5, 6), archive=True)),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "suffix", "make"), FORMATS, ids=lambda value: value if isinstance(value, str) else "")
def test_first_bytes_tell(kind, suffix, make, tmp_path):
    try:
        data = make()
    except (KeyError, ValueError) as error:
        pytest.skip(f"this library does not write it ({error})")
    assert magic.suffix_of(data[: magic.HEAD]) == suffix
    for name in ("data", "data.2024-05-01", "DATA.BIN"):
        path = tmp_path / name
        path.write_bytes(data)
        assert registry.kind_of(path).name == kind
    with registry.at_hand(io.BytesIO(data)) as there:
        assert registry.kind_of(there).name == kind
        assert there.name.endswith(suffix)
        assert there.read_bytes() == data


def test_what_is_read_is_what_the_library_reads(tmp_path):
    (tmp_path / "photo").write_bytes(picture("PNG")())
    for source in (tmp_path / "photo", open(tmp_path / "photo", "rb"), io.BytesIO(picture("PNG")())):  # noqa: SIM115
        np.testing.assert_array_equal(registry.load(source).array, PIXELS)


def test_a_pipe_is_read(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(picture("PNG")(),))
    writer.start()
    np.testing.assert_array_equal(registry.load(pipe).array, PIXELS)
    writer.join()


@pytest.mark.parametrize("data", [b"\0" * 5000, b"hello, world\n" * 9, b"\x1f\x8b", b"\x1f\x8b" * 20, b"\xff\xfe" * 99])
def test_what_tells_nothing_is_one_line_with_the_kinds(tmp_path, data):
    path = tmp_path / "thing.xyzzy"
    path.write_bytes(data)
    for source in (path, io.BytesIO(data)):
        with pytest.raises(InputError, match=r"first bytes tell .*--as.*audio.*volume") as caught:
            registry.load(source)
        assert "\n" not in str(caught.value)


def test_an_extension_says_how_to_read(tmp_path):
    trimesh = pytest.importorskip("trimesh")
    (tmp_path / "box").write_bytes(trimesh.creation.box().export(file_type="stl"))  # binary: no magic
    with pytest.raises(InputError, match="an extension"):
        registry.kind_of(tmp_path / "box")
    assert registry.kind_named(".stl").name == registry.kind_named(".STL").name == "shape"
    for source in (tmp_path / "box", open(tmp_path / "box", "rb")):  # noqa: SIM115
        with registry.at_hand(source, ".stl") as there:
            assert len(trimesh.load(there).faces) == 12
    with pytest.raises(InputError, match="kind: expected one of"):
        registry.kind_named(".xyzzy")


def test_sources_that_never_end_or_are_no_bytes(tmp_path):
    class Zeros(io.RawIOBase):
        def readinto(self, buffer):
            buffer[:] = bytes(len(buffer))
            return len(buffer)

    with pytest.raises(InputError, match="first bytes"):
        registry.load(Zeros())
    with pytest.raises(InputError, match="/dev/zero: is a device"):
        registry.load("/dev/zero", "volume")
    with pytest.raises(InputError, match="no bytes"):
        registry.load(io.BytesIO())
    with pytest.raises(InputError, match="open for text"):
        registry.load(io.StringIO("x"))
    with pytest.raises(InputError, match="cannot be read"):
        registry.load(open(tmp_path / "out", "wb"))  # noqa: SIM115


def test_messages_name_the_source_not_its_copy(tmp_path):
    damaged = picture("PNG")()[:40]
    (tmp_path / "half").write_bytes(damaged)
    with pytest.raises(InputError, match=r"half: .*picture") as caught:
        registry.load(tmp_path / "half")
    assert str(caught.value).startswith(str(tmp_path / "half"))
    with pytest.raises(InputError, match=r"^the data: .*picture"):
        registry.load(io.BytesIO(damaged))


@pytest.mark.parametrize(("name", "kind"), [
    ("a.mgz", "volume"), ("a.img", "volume"), ("a.hdr", "volume"), ("a.mnc", "volume"),
    ("a.grib", "dataset"), ("a.h5", "dataset"), ("a.hdf5", "dataset"),
    ("a.caf", "audio"), ("a.w64", "audio"), ("a.rf64", "audio"), ("a.aifc", "audio"), ("a.snd", "audio"),
    ("a.m4a", "audio"), ("a.ts", "video"), ("a.3gp", "video"), ("a.wmv", "video"), ("a.flv", "video"),
    ("a.ogv", "video"), ("a.y4m", "video"), ("a.tif", "image"), ("a.ppm", "image"),
])  # fmt: skip
def test_names_that_the_libraries_read(name, kind):
    assert registry.kind_of(name).name == kind


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.png", sound("WAV"), r"its first bytes are those of a sound \(--as \.wav\)"),
        ("a.jpeg", sound("FLAC"), r"its first bytes are those of a sound \(--as \.flac\)"),
        ("a.wav", picture("PNG"), r"its first bytes are those of a picture \(--as \.png\)"),
        ("a.mp4", mesh("glb"), r"its first bytes are those of a shape \(--as \.glb\)"),
    ],
)
def test_a_wrong_extension_is_said(name, make, message, tmp_path):
    (tmp_path / name).write_bytes(make())
    with pytest.raises(InputError, match=message) as caught:
        registry.load(tmp_path / name)
    suffix = str(caught.value).rpartition("--as ")[2].rstrip(")")
    with registry.at_hand(tmp_path / name, suffix) as there:
        assert there.name == f"{name}{suffix}"


def test_raw_photographs_are_not_their_previews(tmp_path):
    """Cameras write TIFF files whose first page is a thumbnail."""
    Image.fromarray(PIXELS).save(tmp_path / "a.dng", "TIFF")
    for read in (registry.load, registry.kind_of):
        with pytest.raises(InputError, match=r"a\.dng: is a picture that Pillow does not read; convert it"):
            read(tmp_path / "a.dng")
    assert registry.load(tmp_path / "a.dng", ".tif").spec.shape == PIXELS.shape


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.svg", "is a drawing; render it"),
        ("a.exr", "convert it to PNG"),
        ("a.heic", "with pillow-heif, give Image.open"),
        ("a.nrrd", "convert it to NIfTI"),
        ("a.fbx", "convert it to .glb"),
        ("a.3mf", "convert it to .glb"),
        ("a.laz", "is a cloud of points"),
        ("a.zip", "unpack it first"),
        ("a.txt", "name the kind"),
        ("a.dcm", "convert the series to NIfTI"),
        ("a.heic", "convert it to PNG"),
    ],
)
def test_formats_that_nobody_reads_have_a_remedy(name, message, tmp_path):
    (tmp_path / name).write_bytes(b"nothing known" * 9)
    with pytest.raises(InputError, match=message):
        registry.load(tmp_path / name)
