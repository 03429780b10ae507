"""Samples of pictures that Pillow opens, 16 bits a sample included, and pictures of samples."""

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

from sinr_codec.errors import InputError, MissingExtraError
from sinr_codec.files import atomic_write
from sinr_codec.signals import image_metadata, png16, sources
from sinr_codec.signals.metadata import Metadata
from sinr_codec.types import Array

WIDE: Final = {"RGB;16": "RGB", "RGBA;16": "RGBA", "LA;16": "LA"}
"""Modes of 16 bits that Pillow lacks, and those of 8 bits for them."""
FLOATS: Final = "plane"
"""The mode of a plane of float64 samples."""
_STRIP: Final = 1 << 20  # pixels processed at once, where a copy of all would be large
_READ_AS: Final = {"La": "LA", "RGBa": "RGBA", "RGBX": "RGB", "PA": "RGBA"}
_OTHER_HALF: Final = {"B": "L", "L": "B", "N": "B" if np.little_endian else "L"}
_NODATA: Final = 42113  # GDAL's tag for the sample that stands for missing data
_WHITE_IS_0: Final = 0
_BLACK_IS_0: Final = 1
_RGB: Final = 2
_PALETTE: Final = 3
"""Photometric interpretations of TIFF files."""
_PREMULTIPLIED: Final = 1
_UNASSOCIATED: Final = 2
"""Kinds of alpha there; 0 is none."""
_NARROW: Final = "samples of {} bits are stored as they are; as 16 bits they look dark"
_TURNS: Final[dict[Any, Callable[[Array], Array]]] = {  # what turns samples (H, W, ...) upright, by orientation
    2: lambda array: array[:, ::-1],
    3: lambda array: array[::-1, ::-1],
    4: lambda array: array[::-1],
    5: lambda array: array.swapaxes(0, 1),
    6: lambda array: array[::-1].swapaxes(0, 1),
    7: lambda array: array[::-1, ::-1].swapaxes(0, 1),
    8: lambda array: array.swapaxes(0, 1)[::-1],
}
_BANDS: Final = "only {} of {} bands are stored; an array (.npy) keeps four"
_NO_LAYERS: Final = ("PSD", "ICO", "ICNS")  # what Pillow counts there are no frames
_NEAR_DB: Final = 40.0  # of a written picture, below which a warning says so
_FINE: Final[dict[str, dict[str, Any]]] = {
    "PNG": {"compress_level": 4},  # 2 to 4 % larger than at zlib's default level, in less than half the time
    "WEBP": {"lossless": True, "exact": True},
    "JPEG": {"quality": 95, "subsampling": 0},
    "MPO": {"quality": 95, "subsampling": 0},
    "PDF": {"quality": 95, "subsampling": 0},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
}
# Writers that keep these modes as they are; the others are asked what they have kept.
_EXACT: Final = {
    "PNG": ("1", "L", "LA", "RGB", "RGBA", "I;16"),
    "TIFF": ("1", "L", "LA", "RGB", "RGBA", "CMYK", "LAB", "I;16", "I", "F"),
}
_COLOUR_SPACES: Final = ("CMYK", "YCbCr", "LAB", "HSV")


@dataclass(frozen=True)
class Samples:
    """The samples of a picture, (H, W, C), as its mode has them; the number of colours of its palette, or 0.

    In a picture, unlike an array, colours with alpha 0 do not matter.
    """

    array: Array
    mode: str
    colours: int = 0
    notes: tuple[str, ...] = ()
    metadata: Metadata = field(default_factory=dict)
    is_picture: bool = True


# -- reading ---------------------------------------------------------------------------------------------------


def read(path: Path) -> Samples:
    """The samples of a picture in a file.

    Raises
    ------
    InputError : not a picture, damaged, or of a form that nothing here reads
    """
    told: list[tuple[str, Metadata, tuple[str, ...]]] = []
    try:
        return _through_pillow(path, told)
    except sources.UnknownPictureError:
        with path.open("rb") as file:
            is_tiff = file.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
        if not is_tiff:
            raise
        form, metadata, notes = told[0] if told else ("samples of this form", {}, ("the tags are not stored",))
        return _through_tifffile(path, form, metadata, notes)


def _through_pillow(path: Path, told: list[tuple[str, Metadata, tuple[str, ...]]]) -> Samples:
    """The samples of a picture that Pillow reads; of others, what they tell besides is added to `told`."""
    raw: list[str] = []

    def look(picture: Image.Image) -> None:
        raw.extend(_raw_modes(picture))
        if (form := _beyond_pillow(picture)) is not None:
            told.append((form, *image_metadata.read(picture)))
            raise sources.UnknownPictureError(f"{path}: {form}")

    with sources.picture(path, look) as picture:
        if not _is_wide(raw):
            return of_picture(picture, str(path), _bits(picture, raw, path))
        with sources.picture(path, _take_other_half) as low:
            return _of_halves(picture, low, raw[0], str(path))


def of_image(picture: Image.Image) -> Samples:
    """The samples of a Pillow image that a user has opened or made."""
    with sources.translated("image", "damaged picture: {reason}"):
        origin = Path(filename) if isinstance(filename := getattr(picture, "filename", None), str) else None
        bits = _bits(picture, _raw_modes(picture), origin if origin is not None and origin.is_file() else None)
        return of_picture(picture, "image", bits)


def of_picture(picture: Image.Image, name: str, bits: int = 8) -> Samples:
    """The samples of a Pillow image, upright, whose file has so many bits a sample."""
    if 0 in picture.size:
        raise InputError(f"{name}: expected at least one pixel, found {picture.width}x{picture.height}")
    metadata, notes = image_metadata.read(picture)
    notes = (*_remarks(picture), *notes)
    clear = picture.info.get("transparency")
    if isinstance(clear, str):  # a text of a PNG file
        clear = None
    unsigned = _is_unsigned(picture)
    tags = getattr(picture, "tag_v2", {})
    picture = _upright(picture)
    mode, colours = _READ_AS.get(picture.mode, picture.mode), 0
    if picture.mode.startswith("I;16"):
        mode = "I;16"
    elif picture.mode == "P":
        mode, colours = "P", len(picture.getcolors(256) or ()) or 256
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    elif picture.mode in ("L", "RGB") and clear is not None:
        mode = {"L": "LA", "RGB": "RGBA"}[picture.mode]
    if mode not in ("P", "I;16") and mode != picture.mode:
        picture = picture.convert(mode)
    array = _samples(picture)
    array = array.reshape(*array.shape[:2], -1)
    if mode in ("1", "I;16") and isinstance(clear, int):
        array, mode = _with_alpha(array, clear)
    if mode == "LAB":
        array[..., 1:] ^= 128  # a and b are signed: neutral colours lie in the middle
    if mode == "I" and unsigned:
        array, notes = _signed(array.view(np.uint32), notes)
        mode = "I" if array.dtype == np.int32 else FLOATS
    if mode == "I;16" and 8 < bits < 16:
        notes += (_NARROW.format(bits),)
    if mode == "I;16" and tags.get(262) == _WHITE_IS_0:
        notes += ("white is 0 in the file; samples are stored as they are, so that other formats show a negative",)
    if bits > 8 and array.dtype == np.uint8:
        remedy = "the file itself" if name == "image" else "an array (.npy)"
        notes += (f"samples of {bits} bits are read as 8 bits; give {remedy} to keep them",)
    return Samples(array, mode, colours, (*notes, *_outliers(tags, array, name)), metadata)


def _raw_modes(picture: Any) -> list[str]:
    """How the samples of a picture lie in its file, as Pillow's decoders name it."""
    found = []
    for tile in getattr(picture, "tile", ()):
        args = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if tile[0].startswith("ppm") and len(args) > 1 and args[1] > 255:
            found.append("ppm;16")
        found += [str(args[0])] if args else []
    return found


def _is_wide(raw: Sequence[str]) -> bool:
    """Whether Pillow reads the upper half of samples of 16 bits, and can be made to read the lower half."""
    return bool(raw) and all(each[:-1] in ("RGB;16", "RGBA;16", "LA;16", "RGBX;16") for each in raw)


def _take_other_half(picture: Any) -> None:
    """Let Pillow read the lower half of samples of 16 bits: the upper one in the other order of bytes."""
    for number, tile in enumerate(picture.tile):
        args = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        raw = args[0][:-1] + _OTHER_HALF[args[0][-1]]
        if raw.startswith("LA"):
            raw = "RGBA"  # both halves of both samples
        changed = (raw, *args[1:]) if isinstance(tile[3], tuple) else raw
        picture.tile[number] = tile._replace(args=changed)


def _of_halves(high: Image.Image, low: Image.Image, raw: str, name: str) -> Samples:
    """Samples of 16 bits from their upper and lower halves."""
    metadata, notes = image_metadata.read(high)
    clear = high.info.get("transparency")
    notes = (*_remarks(high), *notes)
    low = low.transpose(turned) if (turned := image_metadata.orientation(high)) is not None else low
    high = _upright(high)
    if raw.startswith("LA"):
        array = _samples(low).view(">u2").astype(np.uint16)
        return Samples(array, "LA;16", 0, notes, metadata)
    array = _samples(high).astype(np.uint16)
    array <<= 8
    array |= _samples(low)
    if array.shape[2] == 3 and isinstance(clear, tuple):
        alpha = np.where((array == np.array(clear)).all(axis=2, keepdims=True), 0, 65535).astype(np.uint16)
        array = np.concatenate([array, alpha], axis=2)
    return Samples(array, "RGBA;16" if array.shape[2] == 4 else "RGB;16", 0, notes, metadata)


def _with_alpha(array: Array, clear: int) -> tuple[Array, str]:
    """A plane of samples with an alpha channel for the one that is transparent."""
    top = 255 if array.dtype == bool else 65535
    alpha = np.where(array == (bool(clear) if array.dtype == bool else clear), 0, top)
    kind, mode = (np.uint8, "LA") if array.dtype == bool else (np.uint16, "LA;16")
    gray = array.astype(kind) * 255 if array.dtype == bool else array
    return np.concatenate([gray, alpha.astype(kind)], axis=2), mode


def _beyond_pillow(picture: Any) -> str | None:
    """The form of a TIFF file that Pillow misreads, in words."""
    tags = getattr(picture, "tag_v2", {})
    if tags.get(284) != 2:
        return None
    if max(_listed(tags.get(258, 8))) > 8:
        return "planes of 16 bits"
    return "planes with more than colours" if tags.get(338, (2,)) != (2,) else None


def _through_tifffile(path: Path, form: str, metadata: Metadata, notes: tuple[str, ...]) -> Samples:
    """The samples of a TIFF file whose form Pillow does not read."""
    library = sources.library("tifffile", "volume", f"{path}: {form}")
    with sources.translated(path, "damaged picture: {reason}"), library.TiffFile(path) as file:
        page = file.pages.first
        array = page.asarray()
        if page.axes == "SYX":
            array = np.moveaxis(array, 0, 2)
        elif page.axes not in ("YX", "YXS"):
            raise InputError(f"expected a picture, found the axes {page.axes}")
        photometric, extra = int(page.photometric), tuple(map(int, page.extrasamples))
        if photometric == _PALETTE and page.colormap is not None:
            photometric, array = _RGB, np.moveaxis(page.colormap[:, array], 0, 2)
        elif 8 < page.bitspersample < 16:
            notes += (_NARROW.format(page.bitspersample),)
        elif photometric == _RGB and page.bitspersample < 8:
            array = array * np.uint8(255 // (2**page.bitspersample - 1))
        tags = {tag.code: tag.value for tag in page.tags}
    array = _TURNS.get(tags.get(274), np.asarray)(array)
    array = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    array = array.reshape(*array.shape[:2], -1)
    if array.dtype == np.uint32:
        array, notes = _signed(array, notes)
    if photometric == _RGB and extra == (0,):
        array, notes = array[..., :3], (*notes, _BANDS.format(3, 4))
    if extra == (_PREMULTIPLIED,) and array.dtype.kind == "u":
        array = _divided(array)
    notes += _outliers(tags, array, str(path))
    return Samples(array, _mode_of_tiff(array, photometric, extra), 0, notes, metadata)


def _mode_of_tiff(array: Array, photometric: int, extra: tuple[int, ...]) -> str:
    """The mode of samples (H, W, C), as far as a TIFF file says that they are gray, colours, or either with alpha."""
    channels = array.shape[2]
    has_alpha = extra in ((_PREMULTIPLIED,), (_UNASSOCIATED,))
    mode = {(_BLACK_IS_0, 1): "L", (_BLACK_IS_0, 2): "LA", (_RGB, 3): "RGB", (_RGB, 4): "RGBA"}.get(
        (photometric, channels)
    )
    if mode is not None and has_alpha == mode.endswith("A"):
        if array.dtype == np.uint8:
            return mode
        if array.dtype == np.uint16:
            return "I;16" if mode == "L" else f"{mode};16"
        if array.dtype == np.int32 and mode == "L":
            return "I"
    return FLOATS if channels == 1 else "array"


def _divided(array: Array) -> Array:
    """Unsigned samples (H, W, C) without the factor of their alpha, the last channel."""
    alpha, top = array[..., -1:], np.iinfo(array.dtype).max
    colours = np.rint(array[..., :-1] / np.maximum(alpha, 1) * float(top)).clip(0, top)
    return np.concatenate([colours.astype(array.dtype), alpha], axis=2)


def _signed(array: Array, notes: tuple[str, ...]) -> tuple[Array, tuple[str, ...]]:
    """Unsigned samples of 32 bits in a type that is stored, and remarks with one on it where it is float64."""
    if array.max() < 1 << 31:
        return array.view(np.int32), notes
    return array.astype(np.float64), (*notes, "unsigned samples of 32 bits are stored as float64")


def _listed(value: Any) -> Sequence[int]:
    return value if isinstance(value, tuple) and value else (value,) if isinstance(value, int) else (8,)


def _is_unsigned(picture: Any) -> bool:
    """Whether a TIFF file has unsigned samples of 32 bits, which Pillow takes for signed ones."""
    tags = getattr(picture, "tag_v2", {})
    return _listed(tags.get(258, 8))[0] == 32 and _listed(tags.get(339, 1))[0] == 1


def _bits(picture: Any, raw: Sequence[str], path: Path | None) -> int:
    """Bits a sample in the file of a picture, as far as it tells."""
    if any(";16" in each for each in raw):
        return 16
    if hasattr(picture, "tag_v2"):
        return max(_listed(picture.tag_v2.get(258, 8)))
    if path is None or picture.format not in ("PNG", "AVIF", "JPEG2000"):
        return 8
    with path.open("rb") as file:
        head = file.read(1 << 16)
    if picture.format == "PNG":
        return max(head[24], 8)
    if picture.format == "AVIF":
        at = head.find(b"av1C")
        flags = head[at + 6] if 0 <= at < len(head) - 6 else 0
        return 8 if not flags & 0x40 else 12 if flags & 0x20 else 10
    at = head.find(b"\xff\x4f\xff\x51")
    return (head[at + 42] & 127) + 1 if 0 <= at < len(head) - 42 else 8


def _upright(picture: Image.Image) -> Image.Image:
    turned = image_metadata.orientation(picture)
    return picture if turned is None else picture.transpose(turned)


def strips(shape: Sequence[int]) -> Iterator[slice]:
    """Rows of a picture, in strips of about a million pixels."""
    rows = max(1, _STRIP // shape[1])
    return (slice(top, min(top + rows, shape[0])) for top in range(0, shape[0], rows))


def _samples(picture: Image.Image) -> Array:
    """The pixels of a picture, read in strips: Pillow would copy the whole picture twice."""
    width, height = picture.size
    out: Array | None = None
    for strip in strips((height, width)):
        whole = (strip.start, strip.stop) == (0, height)
        part = np.asarray(picture if whole else picture.crop((0, strip.start, width, strip.stop)))
        if out is None:
            out = np.empty((height, *part.shape[1:]), part.dtype.newbyteorder("="))
        out[strip] = part
    assert out is not None
    return out


def _remarks(picture: Image.Image) -> tuple[str, ...]:
    """Remarks on parts of a picture that Pillow or this codec drops."""
    notes = []
    frames = getattr(picture, "n_frames", 1)
    if frames > 1 and picture.format not in _NO_LAYERS:
        notes.append(f"only the first of {frames} {'pages' if picture.format == 'TIFF' else 'frames'} is stored")
    bands = getattr(picture, "tag_v2", {}).get(277, 1)
    if isinstance(bands, int) and bands > len(picture.getbands()):
        notes.append(_BANDS.format(len(picture.getbands()), bands))
    return tuple(notes)


def _outliers(tags: Any, array: Array, name: str) -> tuple[str, ...]:
    """A remark on a sample, float or signed, far from all others, as where data are missing.

    Raises
    ------
    InputError : samples that the file declares as missing
    """
    if array.dtype.kind not in "fi":
        return ()
    missing = None
    with contextlib.suppress(KeyError, ValueError, AttributeError, OverflowError):
        missing = array.dtype.type(float(tags[_NODATA].strip("\0 ")))
    if count := 0 if missing is None else int(np.count_nonzero(array == missing)):
        raise InputError(
            f"{name}: {count:,} of {array.size:,} samples are {float(missing or 0):g}, which stands for missing data; "
            "fill them, or give a dataset (NetCDF, xarray), whose missing values are kept"
        )
    for end in (array.min(), array.max()):
        rest = array[array != end]
        if rest.size and rest.size < array.size - 1:
            span = float(rest.max()) - float(rest.min())
            if min(abs(float(end) - float(rest.min())), abs(float(end) - float(rest.max()))) > 9 * span:
                return (
                    f"{array.size - rest.size:,} samples are {float(end):g}, far from all others, and the PSNR is "
                    "relative to the range with them; if they stand for missing data, fill them",
                )
    return ()


# -- writing ---------------------------------------------------------------------------------------------------


def image(array: Array, mode: str) -> Image.Image:
    """A Pillow image of samples (h, w) or (h, w, C); of samples of 16 bits in several channels, the upper half."""
    if mode in WIDE:
        return Image.fromarray((array >> 8).astype(np.uint8))
    if mode == "LAB":
        array = array.copy()
        array[..., 1:] ^= 128
    if mode in _COLOUR_SPACES:
        return Image.frombytes(mode, array.shape[1::-1], np.ascontiguousarray(array).tobytes())
    return Image.fromarray(array)


def format_of(path: Path) -> str:
    """Pillow's name of the format of an output; `.sinr`, which the plug-in adds to Pillow's, is none."""
    suffix = path.suffix.lower()
    Image.preinit()
    if suffix not in Image.EXTENSION:
        Image.init()  # dozens of formats, which take longer than decoding a small file
    name = Image.EXTENSION.get(suffix)
    if name not in Image.SAVE or suffix == ".sinr":
        raise InputError(f"{path}: expected an extension of a format that Pillow writes, such as .png, or .npy")
    assert name is not None
    return name


def save(
    array: Array, mode: str, path: Path, remedy: str, metadata: Metadata, whole: bool, options: dict[str, Any]
) -> None:
    """Write samples (h, w) or (h, w, C) with their metadata; the extension selects the format.

    Warns where the format keeps the samples inexactly, with the PSNR against them.

    Raises
    ------
    InputError : a format that is unknown, or does not hold the mode
    """
    writer = format_of(path)
    unsuitable = f"{path}: {writer} does not hold a picture of mode {mode}; expected {remedy}"
    if mode in WIDE:
        if writer not in ("PNG", "TIFF"):
            raise InputError(unsuitable)
        with atomic_write(path) as temporary:
            _save_wide(array, writer, temporary, metadata)
        return
    picture = image(array, mode)
    sent = _with_palette(picture) if writer == "GIF" else picture
    about = image_metadata.save_options(metadata, writer, whole)
    options = _FINE.get(writer, {}) | options
    with atomic_write(path) as temporary:
        try:
            try:
                sent.save(temporary, writer, **about | options)
            except Exception:  # metadata that the writer stumbles over
                sent.save(temporary, writer, **options)
        except (OSError, ValueError, KeyError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise InputError(unsuitable) from error
        if picture.mode not in _EXACT.get(writer, ()) and temporary.is_file():
            _check_written(picture, temporary, writer, unsuitable)


def _with_palette(picture: Image.Image) -> Image.Image:
    """A picture in 256 colours, or with alpha in 255 and one that is transparent; exactly where it has no more.

    Pillow's own choice has far fewer with alpha, and changes even a few colours.
    """
    if picture.mode not in ("RGB", "RGBA", "LA"):
        return picture
    has_alpha = picture.mode != "RGB"
    most = 255 if has_alpha else 256
    clear = np.asarray(picture.getchannel("A")) < 128 if has_alpha else np.zeros(picture.size[::-1], bool)
    colours = picture.convert("RGB")
    packed = np.asarray(colours).astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    found = np.unique(packed[~clear])
    if len(found) <= most:
        indices = np.searchsorted(found, packed).astype(np.uint8)
        palette = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1).astype(np.uint8).tobytes()
    else:
        chosen = colours.quantize(most, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        indices, palette = np.asarray(chosen), bytes(chosen.getpalette() or ())
    sent = Image.fromarray(np.where(clear, 255, indices).astype(np.uint8))
    sent.putpalette(palette[: 3 * most].ljust(768, b"\0"))
    if has_alpha:
        sent.info["transparency"] = 255
    return sent


def _check_written(picture: Image.Image, written: Path, writer: str, unsuitable: str) -> None:
    """Compare a picture with what its writer has kept of it.

    Raises
    ------
    InputError : another size, or another kind of samples, without transparency or in another colour space
    """
    try:
        with sources.picture(written) as kept:
            found = _upright(kept)
            found = found.convert("RGBA") if found.mode in ("P", "PA") else found.copy()
    except InputError:
        return  # Pillow writes formats that it does not read, such as PDF
    depths = {"I;16": 2, "I": 3, "F": 4}
    opaque = "A" not in picture.getbands() or picture.getchannel("A").getextrema() == (255, 255)
    if (
        found.size != picture.size
        or depths.get(found.mode, 1) != depths.get(picture.mode, 1)
        or (not opaque and "A" not in found.getbands())
        or (
            picture.mode in _COLOUR_SPACES
            and found.mode != picture.mode
            and (writer, picture.mode) != ("JPEG", "YCbCr")
        )
    ):
        raise InputError(unsuitable)
    wanted = picture if found.mode == picture.mode else picture.convert(found.mode)
    total, worst = 0.0, np.float64(0)
    for strip in strips((wanted.height, wanted.width)):
        box = (0, strip.start, wanted.width, strip.stop)
        error = np.asarray(wanted.crop(box)).astype(np.float64) - np.asarray(found.crop(box)).astype(np.float64)
        if "A" in wanted.getbands():
            error[np.asarray(wanted.getchannel("A").crop(box)) == 0, :-1] = 0  # colours that are not seen
        total, worst = total + float(np.square(error).sum()), max(worst, np.abs(error).max())
    if found.mode in ("I;16", "I", "F") and total:
        raise InputError(unsuitable)
    samples = wanted.width * wanted.height * len(wanted.getbands())
    peak = 1.0 if found.mode == "1" else 255.0
    db = 10 * np.log10(peak**2 * samples / total) if total else np.inf
    if db < _NEAR_DB:
        warnings.warn(f"{writer} keeps the decoded picture at {db:.1f} dB only; .png keeps it exactly", stacklevel=2)


def _save_wide(array: Array, writer: str, path: Path, metadata: Metadata) -> None:
    """Write samples of 16 bits, which Pillow does not."""
    about = image_metadata.save_options(metadata, "PNG", True)
    if writer == "PNG":
        png16.write(array, path, about)
        return
    try:
        library = sources.library("tifffile", "volume", path)
    except MissingExtraError as missing:
        raise MissingExtraError(f"{missing}; or write .png") from missing
    colours = array.shape[2] >= 3
    options: dict[str, Any] = {"photometric": "rgb" if colours else "minisblack", "compression": "zlib"}
    if array.shape[2] in (2, 4):
        options["extrasamples"] = ["unassalpha"]
    if "dpi" in about:
        options |= {"resolution": about["dpi"], "resolutionunit": "inch"}
    library.imwrite(path, array, iccprofile=about.get("icc_profile"), metadata=None, planarconfig="contig", **options)
