"""Metadata of pictures: read from a Pillow image, and handed to Pillow's writers, each of which holds some of it.

Items are named as in `Image.info`: "icc_profile", "exif", "xmp" and "comment" are bytes, "dpi" two numbers, and "text"
a map of texts by their keys. "exif" begins with the byte order. "gamma", "chromaticity" and "srgb" are a number, eight
numbers and a rendering intent, which PNG files have in place of a profile.
"""

import contextlib
import math
import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from PIL import Image, PngImagePlugin, TiffImagePlugin

from sinr_codec.signals import exif
from sinr_codec.signals.metadata import Metadata
from sinr_codec.types import Cbor

_BYTES: Final = ("icc_profile", "exif", "comment", "xmp")
_PLACEHOLDERS: Final = (1, 72, 96)  # resolutions that writers put where they know of none
_NO_TEXT: Final = (  # keys of `Image.info`
    *("compression", "transparency", "psnr", "dpi", "text", "gamma", "chromaticity", "srgb"),
    *_BYTES,
)
_RAW_PROFILE: Final = "Raw profile type "  # ImageMagick's EXIF, XMP and IPTC data as text in PNG files
_XMP_KEY: Final = "XML:com.adobe.xmp"
_XMP_TAG: Final = 700
_XMP_ORIENTATION: Final = re.compile(
    rb'\s*tiff:Orientation="[^"<>]{0,9}"|<tiff:Orientation>[^<>]{0,9}</tiff:Orientation>'
)
_GEOGRAPHY: Final = (33550, 33922, 34264, 34735, 34736, 34737, 42112, 42113)  # tags that hold for all pixels alone


# -- reading ---------------------------------------------------------------------------------------------------


def read(picture: Image.Image) -> tuple[dict[str, Cbor], tuple[str, ...]]:
    """The metadata of a picture as it is upright, and remarks on what is left out of them."""
    info = picture.info
    data, dropped = exif.cleaned(_exif(picture))
    xmp = info.get("xmp", b"")
    found: dict[str, Cbor] = {
        "icc_profile": info.get("icc_profile"),
        **_colours(info),
        "dpi": _resolution(info.get("dpi")),
        "exif": data,
        "comment": _as_bytes(info.get("comment")),
        "text": _text(picture),
        "xmp": _XMP_ORIENTATION.sub(b"", _as_bytes(xmp)),
    }
    notes = [f"EXIF data are stored without {', '.join(dropped)}" if data else "damaged EXIF data are not stored"]
    notes = notes if dropped else []
    if "photoshop" in info or _tag(picture, 33723) or _tag(picture, 34377):
        notes.append("IPTC data and other data of Photoshop are not stored")
    return {name: item for name, item in found.items() if item or item == 0}, tuple(notes)


def _colours(info: Mapping[Any, Any]) -> dict[str, Cbor]:
    """What a PNG file tells of its colours without a profile, as far as it is of the right type."""
    told = {"gamma": info.get("gamma"), "chromaticity": info.get("chromaticity"), "srgb": info.get("srgb")}
    told = {name: list(value) if isinstance(value, tuple) else value for name, value in told.items()}
    return {name: value for name, value in told.items() if _is_colour(name, value)}


def _is_colour(name: str, value: Any) -> bool:
    """Whether this is the value of an item of `_colours`."""
    if name == "srgb":
        return type(value) is int and 0 <= value <= 3
    numbers = value if isinstance(value, list) and name == "chromaticity" and len(value) == 8 else [value]
    wanted = 8 if name == "chromaticity" else 1
    return len(numbers) == wanted and all(type(n) in (int, float) and 0 <= n <= 10_000 for n in numbers)


def orientation(picture: Image.Image) -> Image.Transpose | None:
    """The operation that turns a picture upright; None where it is, or where damaged data do not tell."""
    try:
        return _UPRIGHT.get(picture.getexif().get(274, 1))
    except Exception:  # Pillow raises anything on damage
        return None


_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _exif(picture: Image.Image) -> bytes:
    """The EXIF data of a picture as they stand in its file, or those of the tags of a TIFF file."""
    info = picture.info
    if isinstance(found := info.get("exif"), bytes):
        return found
    if isinstance(text := info.get(_RAW_PROFILE + "exif"), str):
        with contextlib.suppress(ValueError):
            return bytes.fromhex("".join(text.split("\n")[3:]))
    if hasattr(picture, "tag_v2"):
        return _of_tags(picture)
    return b""


def _of_tags(picture: Any) -> bytes:
    """The tags of a TIFF file as EXIF data, but for values that cannot be written."""
    kept = TiffImagePlugin.ImageFileDirectory_v2()
    with contextlib.suppress(Exception):  # Pillow raises anything on damage
        for tag, value in picture.getexif().items():
            if exif.is_structure(tag):
                continue
            alone = TiffImagePlugin.ImageFileDirectory_v2()
            if tag in (0x8769, 0x8825):
                value = picture.getexif().get_ifd(tag)
            else:
                alone.tagtype[tag] = kept.tagtype[tag] = picture.tag_v2.tagtype[tag]
            with contextlib.suppress(Exception):
                alone[tag] = value
                alone.tobytes(8)
                kept[tag] = value
    if not len(kept):
        return b""
    return b"II*\0\x08\0\0\0" + kept.tobytes(8)


def _tag(picture: Any, tag: int) -> bool:
    return hasattr(picture, "tag_v2") and tag in picture.tag_v2


def _resolution(dpi: Any) -> list[float] | None:
    """Dots an inch, across and down; None for no numbers, and for numbers that stand for none."""
    try:
        x, y = map(float, dpi)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    if not all(math.isfinite(value) and 0 < value < 1e6 for value in (x, y)):
        return None
    # A PNG file has whole pixels a metre: 300 is 299.9994.
    rounded = [float(near) if abs((near := round(value)) - value) < 0.02 else round(value, 4) for value in (x, y)]
    return None if x == y and rounded[0] in _PLACEHOLDERS else rounded


def _text(picture: Image.Image) -> dict[str, Cbor]:
    """Texts by their keys: of a PNG file, or of a copy of one."""
    found = getattr(picture, "text", None)
    if not isinstance(found, dict):
        found = {k: v for k, v in picture.info.items() if k not in _NO_TEXT} if picture.format is None else {}
    return {
        str(key): str(value)
        for key, value in found.items()
        if isinstance(key, str) and isinstance(value, str) and key != _XMP_KEY and not key.startswith(_RAW_PROFILE)
    }


def _as_bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else b""


# -- giving back -----------------------------------------------------------------------------------------------


def checked(metadata: Metadata) -> dict[str, Any]:
    """The items that this version knows, of the types that they should have."""
    found: dict[str, Any] = {
        name: metadata[name] for name in _BYTES if isinstance(metadata.get(name), bytes) and metadata[name]
    }
    match metadata.get("dpi"):
        case [int() | float() as x, int() | float() as y] if 0 < x < 1e6 and 0 < y < 1e6:
            found["dpi"] = float(x), float(y)
    for name in ("gamma", "chromaticity", "srgb"):
        if _is_colour(name, value := metadata.get(name)):
            found[name] = tuple(value) if isinstance(value, list) else value
    if isinstance(texts := metadata.get("text"), Mapping):
        found["text"] = {k: v for k, v in texts.items() if isinstance(k, str) and isinstance(v, str) and k}
    return found


def info_of(metadata: Metadata) -> dict[str, Any]:
    """The metadata as the entries of `Image.info`."""
    known = checked(metadata)
    info = {key: value for key, value in known.pop("text", {}).items() if key not in _NO_TEXT}
    if "exif" in known:
        known["exif"] = exif.PREFIX + known["exif"]
    return info | known


def save_options(metadata: Metadata, writer: str, whole: bool) -> dict[str, Any]:
    """What of the metadata a writer of Pillow takes, as its options; without geography for a part or another scale."""
    known = checked(metadata)
    texts = known.get("text", {})
    comment = known.get("comment") or texts.get("Comment", "").encode()
    taken = {
        "PNG": ("icc_profile", "exif", "dpi"),
        "JPEG": ("icc_profile", "exif", "dpi", "xmp", "comment"),
        "MPO": ("icc_profile", "exif", "dpi", "xmp", "comment"),
        "PDF": ("dpi",),
        "WEBP": ("icc_profile", "exif", "xmp"),
        "AVIF": ("icc_profile", "exif", "xmp"),
        "TIFF": ("icc_profile", "dpi"),
        "GIF": ("comment",),
        "JPEG2000": ("comment",),
        "BMP": ("dpi",),
    }.get(writer, ())
    options = {name: known[name] for name in taken if name in known}
    if "exif" in options:
        options["exif"] = exif.PREFIX + known["exif"]
    if comment and "comment" in taken:
        options["comment"] = comment
    if writer == "PNG":
        options["pnginfo"] = _png_chunks(known, comment)
    elif writer == "TIFF":
        options["tiffinfo"] = _tiff_tags(known, comment, whole)
    return options


def _png_chunks(known: Mapping[str, Any], comment: bytes) -> PngImagePlugin.PngInfo:
    chunks = PngImagePlugin.PngInfo()
    if "srgb" in known:
        chunks.add(b"sRGB", bytes([known["srgb"]]))
    for name, chunk in (("gamma", b"gAMA"), ("chromaticity", b"cHRM")):
        if name in known:
            numbers = np.round(np.atleast_1d(known[name]) * 100_000)
            chunks.add(chunk, numbers.astype(">u4").tobytes())
    texts = dict(known.get("text", {}))
    if comment:
        texts["Comment"] = comment.decode("utf-8", "replace")
    for key, value in texts.items():
        with contextlib.suppress(ValueError, UnicodeError):  # a key that PNG does not allow
            chunks.add_text(key.encode("latin-1")[:79], value)
    if "xmp" in known:
        chunks.add_itxt(_XMP_KEY, known["xmp"].decode("utf-8", "replace"))
    return chunks


def _tiff_tags(known: Mapping[str, Any], comment: bytes, whole: bool) -> TiffImagePlugin.ImageFileDirectory_v2:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    if comment:
        tags[270] = comment.decode("utf-8", "replace")
    if "exif" in known:
        source = Image.Exif()
        with contextlib.suppress(Exception):  # Pillow raises anything on damage
            source.load(known["exif"])
            for tag in source:
                if whole or tag not in _GEOGRAPHY:
                    value = source.get_ifd(tag) if tag in (0x8769, 0x8825) else source[tag]
                    alone = TiffImagePlugin.ImageFileDirectory_v2()
                    with contextlib.suppress(Exception):
                        alone[tag] = value
                        alone.tobytes(8)
                        tags[tag] = value
    if "xmp" in known:
        tags.tagtype[_XMP_TAG] = 1
        tags[_XMP_TAG] = known["xmp"]
    return tags
