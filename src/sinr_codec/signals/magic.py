"""Extensions from first bytes, for files whose names tell nothing and for pipes, which have no name."""

import re
import zlib
from pathlib import Path
from typing import Final

from sinr_codec.container import MAGIC
from sinr_codec.streams import HEAD

# The more particular first. "." is any byte; \s ends the magic of formats that are text.
_FORMATS: Final[dict[str, bytes]] = {
    ".sinr": re.escape(MAGIC),
    # pictures
    ".png": rb"\x89PNG\r\n",
    ".jpg": rb"\xff\xd8\xff",
    ".gif": rb"GIF8[79]a",
    ".webp": rb"RIFF....WEBP",
    ".tif": rb"II[*+]\x00|MM\x00[*+]",
    ".heic": rb"....ftyp(hei[cmsx]|hev[cmsx])",
    ".avif": rb"....ftyp(avif|avis|mif1|msf1)",
    ".jp2": rb"\x00\x00\x00\x0cjP  ",
    ".j2k": rb"\xff\x4f\xff\x51",
    ".bmp": rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\x00\x00\x00",
    ".psd": rb"8BPS\x00",
    ".qoi": rb"qoif",
    ".ico": rb"\x00\x00\x01\x00[^\x00]\x00",
    ".icns": rb"icns",
    ".dds": rb"DDS \x7c",
    ".sgi": rb"\x01\xda[\x00\x01][\x01\x02]",
    ".fits": rb"SIMPLE  =",
    ".pfm": rb"P[Ff]\s",
    ".ppm": rb"P[1-7]\s",
    # sounds
    ".wav": rb"(RIFF|RIFX|RF64)....WAVE",
    ".flac": rb"fLaC",
    ".ogg": rb"OggS.{24}(\x01vorbis|OpusHead|\x7fFLAC|Speex)",
    ".aiff": rb"FORM....AIF[FC]",
    ".au": rb"\.snd|dns\.",
    ".caf": rb"caff\x00",
    ".w64": rb"riff\x2e\x91\xcf\x11",
    ".voc": rb"Creative Voice File",
    ".m4a": rb"....ftypM4[AB] ",
    # volumes
    ".nii": rb".{344}n[i+]1\x00|.{4}n[i+]2\x00\r\n\x1a\n",
    ".zarr.zip": rb"PK\x03\x04.{26}[^\x00]{0,200}?(zarr\.json|\.zarray|\.zgroup)",
    ".dcm": rb".{128}DICM",
    # datasets
    ".nc": rb"CDF[\x01\x02\x05]|\x89HDF\r\n\x1a\n",
    ".grib": rb"GRIB...[\x01\x02]",
    # videos
    ".mp4": rb"....(ftyp|moov|mdat|wide|free)",
    ".mkv": rb"\x1a\x45\xdf\xa3",
    ".avi": rb"RIFF....AVI ",
    ".mpg": rb"\x00\x00\x01[\xba\xb3]",
    ".ts": rb"\x47.{187}\x47.{187}\x47",
    ".flv": rb"FLV\x01",
    ".wmv": rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
    ".ogv": rb"OggS.{24}(\x80theora|fishead)",
    ".y4m": rb"YUV4MPEG2 ",
    # shapes
    ".ply": rb"ply\r?\n",
    ".glb": rb"glTF[\x01\x02]\x00\x00\x00",
    ".mat": rb"MATLAB 5\.0 MAT-file",
    ".off": rb"C?OFF\s",
    ".stl": rb"solid\s",
    ".obj": rb"(\s*#[^\n]*\n|\s)*(mtllib|usemtl|o|g|vn?)[ \t]",
    # arrays
    ".npy": rb"\x93NUMPY",
    ".npz": rb"PK\x03\x04.{26}[^\x00]{1,200}?\.npy",
    # After all others, because its frames have no more of a magic than eleven bits.
    ".mp3": rb"ID3[\x02-\x04]|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]",
}

_REMEDIES: Final = {
    ".svg .pdf .ai .wmf .emf": "is a drawing; render it as a picture of the size that you want",
    ".heic .heif": "is a picture that Pillow does not read; convert it to PNG or TIFF, or in Python, with pillow-heif, "
    "give Image.open(file)",
    ".jxl .exr .cr2 .nef .arw .dng .raf .orf .xcf .kra": "is a picture that Pillow does not read; "
    "convert it to PNG or TIFF",
    ".dcm .dicom .ima": "is DICOM; convert the series to NIfTI, as dcm2niix does",
    ".nrrd .nhdr .mha .mhd .vtk .vti .czi .lif .nd2": "is a volume in a format that is not read; "
    "convert it to NIfTI, TIFF or zarr",
    ".bufr .shp .gpkg .geojson .parquet": "is no grid of data in a format that xarray reads; convert it to netCDF",
    ".mid .midi .m3u .ra .aa": "is no sound in a format that libsndfile reads; convert it to .wav",
    ".3mf .dae .amf .fbx .blend .usd .usda .usdc .usdz .3ds .step .stp .iges .igs .x3d .wrl": "is a shape in a format "
    "that is not read; convert it to .glb or .ply",
    ".las .laz .pcd .e57": "is a cloud of points; a shape is a mesh, such as a .ply file with faces",
    ".zip .tar .tgz .7z .rar": "is an archive; unpack it first",
}
UNREAD: Final = {suffix: remedy for key, remedy in _REMEDIES.items() for suffix in key.split()}
"""What to do with formats of signals that no library here reads, by extension."""


def suffix_of(head: bytes) -> str:
    """Extension of a file that begins with these bytes, with `.gz` behind it for a packed one; empty if none is known.

    At most `HEAD` bytes are looked at.
    """
    packed = ""
    if head.startswith(b"\x1f\x8b"):
        try:
            head, packed = zlib.decompressobj(31).decompress(head, HEAD), ".gz"
        except zlib.error:
            return ""
    found = (suffix for suffix, magic in _FORMATS.items() if re.match(magic, head[:HEAD], re.DOTALL))
    suffix = next(found, "")
    return suffix and suffix + packed


def suffix_in(path: Path) -> str:
    """`suffix_of` a file; empty for one that cannot be read."""
    try:
        with path.open("rb") as file:
            return suffix_of(file.read(HEAD))
    except OSError:
        return ""
