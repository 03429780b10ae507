"""PNG files of 16 bits a sample in two to four channels, which Pillow does not write."""

import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from sinr_codec.signals.exif import PREFIX

_COLOUR_TYPES: Final = {2: 4, 3: 2, 4: 6}  # by channels: gray with alpha, colours, colours with alpha
_STRIP: Final = 1 << 20  # samples that are filtered at once
_PAETH: Final = 4


def write(array: NDArray[np.uint16], path: Path, about: Mapping[str, Any]) -> None:
    """Write samples (h, w, 2..4), with the options of Pillow's writer for metadata: icc_profile, dpi, exif, pnginfo."""
    height, width, channels = array.shape
    with path.open("wb") as file:

        def chunk(name: bytes, *data: bytes) -> None:
            body = b"".join(data)
            file.write(struct.pack(">L", len(body)) + name + body + struct.pack(">L", zlib.crc32(name + body)))

        file.write(b"\x89PNG\r\n\x1a\n")
        chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, 16, _COLOUR_TYPES[channels], 0, 0, 0))
        if "icc_profile" in about:
            chunk(b"iCCP", b"ICC Profile\0\0", zlib.compress(about["icc_profile"]))
        if "dpi" in about:
            x, y = (min(round(dots / 0.0254), 2**31 - 1) for dots in about["dpi"])
            chunk(b"pHYs", struct.pack(">LLB", x, y, 1))
        if "exif" in about:
            chunk(b"eXIf", about["exif"].removeprefix(PREFIX))
        for name, data, *_ in about["pnginfo"].chunks if "pnginfo" in about else ():
            chunk(name, data)
        squeezed = zlib.compressobj(6)
        above = np.zeros((1, 2 * width * channels), np.uint8)
        rows = max(1, _STRIP // (width * channels))
        for top in range(0, height, rows):
            strip = array[top : top + rows].astype(">u2").reshape(-1, width * channels).view(np.uint8)
            chunk(b"IDAT", squeezed.compress(_filtered(strip, above, 2 * channels).tobytes()))
            above = strip[-1:]
        chunk(b"IDAT", squeezed.flush())
        chunk(b"IEND")


def _filtered(rows: NDArray[np.uint8], above: NDArray[np.uint8], pixel: int) -> NDArray[np.uint8]:
    """Rows of bytes less what their neighbours predict, the filter's number in front; the row above, bytes a pixel."""
    up = np.concatenate([above, rows[:-1]]).astype(np.int16)
    left, corner = np.zeros_like(up), np.zeros_like(up)
    left[:, pixel:], corner[:, pixel:] = rows[:, :-pixel], up[:, :-pixel]
    by_left, by_up, by_corner = np.abs(up - corner), np.abs(left - corner), np.abs(left + up - 2 * corner)
    guess = np.where((by_left <= by_up) & (by_left <= by_corner), left, np.where(by_up <= by_corner, up, corner))
    out = np.full((len(rows), 1 + rows.shape[1]), _PAETH, np.uint8)
    out[:, 1:] = rows - guess.astype(np.uint8)
    return out
