"""Zarr data: what its metadata declares, checked before the library decodes anything.

The library takes codecs from a registry that other packages extend, and some versions of it have a codec that
unpickles, so that a file would run code. Only codecs that turn bytes into bytes or numbers are let through.
"""

import json
import math
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from sinr_codec.errors import InputError

_CODECS: Final = {
    *("bytes", "transpose", "sharding_indexed", "crc32c", "gzip", "zstd", "blosc"),  # of version 3
    *("zlib", "bz2", "lzma", "lz4", "zfpy", "pcodec", "shuffle", "packbits", "base64"),
    *("delta", "fixedscaleoffset", "quantize", "bitround", "astype"),
    *("adler32", "crc32", "fletcher32", "jenkins_lookup3"),
}
_TEXTS: Final = {"vlen-utf8", "vlen-bytes"}
_DOCUMENTS: Final = ("zarr.json", ".zarray", ".zgroup", ".zmetadata")
_PREFIX: Final = "numcodecs."  # of the codecs of version 2 in version 3
_MOST_VALUES: Final = 1 << 30  # of a chunk
_LARGEST: Final = 1 << 26  # bytes of a document


def check(path: Path) -> None:
    """Check the metadata of all arrays in a folder or a `.zip` file of zarr data.

    Raises
    ------
    InputError : a codec or a sample type that may run code, a chunk of more than 2^30 values, a link to a file
        outside the folder, or damage
    """
    if path.is_dir():
        _check_links(path, os.path.realpath(path))
    for name, document in _in_zip(path) if path.is_file() else _in_folder(path):
        for array in _arrays(document):
            check_array(array, name)


def _check_links(folder: Path | str, root: str) -> None:
    """Refuse links to files elsewhere: whoever sends the folder would get files of this machine back."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink() and not os.path.realpath(entry.path).startswith(root + os.sep):
                raise InputError(f"{entry.path}: is a link out of the folder; expected a folder by itself")
            if entry.is_dir(follow_symlinks=False):
                _check_links(entry.path, root)


def _in_zip(path: Path) -> Iterator[tuple[str, Any]]:
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if info.filename.rpartition("/")[2] in _DOCUMENTS:
                name = f"{path}: {info.filename}"
                _check_size(info.file_size, name)
                yield name, _parsed(archive.read(info), name)


def _in_folder(path: Path) -> Iterator[tuple[str, Any]]:
    for folder, below, names in os.walk(path):
        documents = {}
        for name in {*names} & {*_DOCUMENTS}:
            file = Path(folder, name)
            _check_size(file.stat().st_size, str(file))
            documents[name] = _parsed(file.read_bytes(), str(file))
            yield str(file), documents[name]
        if documents and all(_is_array(name, document) for name, document in documents.items()):
            below.clear()  # chunks, of which there may be millions


def _is_array(name: str, document: Any) -> bool:
    """Whether a document says that its folder is an array and no group."""
    return name == ".zarray" or (isinstance(document, dict) and document.get("node_type") == "array")


def _check_size(size: int, name: str) -> None:
    if size > _LARGEST:
        raise InputError(f"{name}: expected at most {_LARGEST:,} bytes of metadata, found {size:,}")


def _parsed(data: bytes, name: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name}: damaged zarr metadata, expected JSON") from error


def _arrays(document: Any) -> Iterator[dict[str, Any]]:
    """The descriptions of arrays in a document: its own, and those of a group that it consolidates."""
    if not isinstance(document, dict):
        return
    if "chunks" in document or "chunk_grid" in document:
        yield document
    for holder in (document, document.get("consolidated_metadata")):
        children = holder.get("metadata") if isinstance(holder, dict) else None
        if isinstance(children, dict):
            for child in children.values():
                yield from _arrays(child)


def check_array(document: dict[str, Any], name: str) -> None:
    """Check the metadata of one array, of version 2 or 3.

    Raises
    ------
    InputError : a codec or a sample type that may run code, or a chunk of more than 2^30 values
    """
    codecs = {*_named(document.get("codecs")), *_named(document.get("filters")), *_named(document.get("compressor"))}
    if unknown := sorted(codecs - _CODECS - _TEXTS):
        raise InputError(f"{name}: the codec {unknown[0][:60]!r} is not read; expected arrays of numbers or texts")
    if _has_objects(document.get("dtype")) and not codecs & _TEXTS:
        raise InputError(f"{name}: holds Python objects; expected arrays of numbers or texts")
    grid = document.get("chunk_grid")
    settings = grid.get("configuration") if isinstance(grid, dict) else None
    chunks = settings.get("chunk_shape") if isinstance(settings, dict) else document.get("chunks")
    if (
        isinstance(chunks, list | tuple)
        and all(isinstance(n, int) for n in chunks)
        and math.prod(chunks) > _MOST_VALUES
    ):
        raise InputError(f"{name}: has chunks of more than {_MOST_VALUES:,} values; expected smaller ones")


def _named(codecs: Any) -> Iterator[str]:
    """Names of codecs, those within shards included."""
    for codec in codecs if isinstance(codecs, list | tuple) else [codecs]:
        if codec is None:
            continue
        settings = codec.get("configuration", {}) if isinstance(codec, dict) else {}
        name = codec.get("name", codec.get("id")) if isinstance(codec, dict) else codec
        yield str(name).removeprefix(_PREFIX)
        if isinstance(settings, dict):
            yield from _named(settings.get("codecs"))
            yield from _named(settings.get("index_codecs"))


def _has_objects(dtype: Any) -> bool:
    """Whether a sample type of version 2, a text or a list of fields, is or has one of objects."""
    if isinstance(dtype, list | tuple):
        return any(_has_objects(field[1]) for field in dtype if isinstance(field, list | tuple) and len(field) > 1)
    return "O" in str(dtype)
