"""Networks that other programs saved: read and written without ever running what is inside.

A checkpoint becomes a flat dict of arrays (`trees`). What a file is, is told by its first bytes, since suffixes vary:
.pth.tar, .ckpt, .model, ...
"""

import contextlib
import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import IO, Any, Final

import ml_dtypes
import numpy as np

from sinr_codec import streams
from sinr_codec.container import MAGIC
from sinr_codec.errors import InputError, MissingExtraError, MissingFileError, printable, quoted
from sinr_codec.files import atomic_write
from sinr_codec.foreign.pickles import Object
from sinr_codec.foreign.torch_files import (
    MOST_BYTES,
    Stored,
    Unkept,
    is_archive,
    read_archive,
    read_pickles,
    understood,
)
from sinr_codec.foreign.trees import Checkpoint, Value, flat, nested
from sinr_codec.types import PathLike

TORCH_SUFFIXES: Final = (".pt", ".pth", ".ckpt", ".bin", ".tar")
SUFFIXES: Final = (".safetensors", ".npz", *TORCH_SUFFIXES)
INDEX: Final = ".index.json"
"""Suffix of the list of files over which a large network is spread."""

_SAFETENSORS_DTYPES: Final = {
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "BF16": "bfloat16",
    "C64": "complex64",
    "BOOL": "bool",
    "I8": "int8",
    "U8": "uint8",
    "I16": "int16",
    "U16": "uint16",
    "I32": "int32",
    "U32": "uint32",
    "I64": "int64",
    "U64": "uint64",
}
_MOST_METADATA: Final = 1 << 17  # characters
_MOST_SHARDS: Final = 1 << 10
_MOST_INDEX: Final = 1 << 26  # bytes


def read_checkpoint(source: object, keep_optimiser: bool = False) -> Checkpoint:
    """Read the tensors of a file, a torch module or a (nested) mapping of arrays or torch tensors.

    Files are .safetensors, .npz, what `torch.save` wrote (.pt, .pth, .ckpt, .bin, .tar) or the index of several such
    files (.index.json); their bytes may be given instead of a path, or a binary file object. Optimiser state is left
    out unless `keep_optimiser`; what is left out, such as values that are neither tensors nor plain, is listed in
    `Checkpoint.skipped`.

    Raises
    ------
    InputError
        The file is missing, damaged, of another kind, or holds no tensor.
    """
    if isinstance(source, bytes | bytearray):
        source = io.BytesIO(source)
    if streams.is_stream(source):
        with streams.as_file(source, lambda _: "") as copied:
            return read_checkpoint(copied, keep_optimiser)
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        if path.name.lower().endswith(INDEX):
            return _read_index(path, keep_optimiser)
        with _opened(path) as file:
            return _read(str(source), file, keep_optimiser)
    if callable(state_dict := getattr(source, "state_dict", None)):
        return flat(type(source).__name__, state_dict(), keep_optimiser)
    if isinstance(source, Mapping):
        return flat("the state dict", source, keep_optimiser)
    raise InputError(
        f"cannot read a network from a {type(source).__name__}; "
        f"expected a path ({', '.join(SUFFIXES)}), a torch module or a dict of arrays"
    )


def check_format(path: PathLike) -> str:
    """The extension of a network file, in lower case; `InputError` and `MissingExtraError` as `write_checkpoint`."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: unknown kind of network file; {_expected()}")
    if suffix in TORCH_SUFFIXES:
        _torch(path)
    return suffix


def write_checkpoint(
    state: Mapping[str, np.ndarray],
    path: PathLike,
    containers: Mapping[str, int] | None = None,
    values: Mapping[str, Value] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a flat dict of arrays as .safetensors, .npz or a torch file, by the suffix of `path`.

    A torch file gets back the nesting and the values of a `Checkpoint`, and .safetensors its metadata.

    Raises
    ------
    InputError
        The suffix is unknown, the file cannot be written, or the file type cannot hold a tensor's dtype or name.
    MissingExtraError
        The file needs PyTorch and there is none.
    """
    suffix = check_format(path)
    # NumPy's own order="C" keeps 0-d arrays 0-d; safetensors reads memory as it lies.
    state = {name: np.asarray(array, order="C") for name, array in state.items()}
    if suffix == ".safetensors":
        _write_safetensors(state, path, metadata or {})
    elif suffix == ".npz":
        _write_npz(state, path)
    else:
        _write_torch(state, path, containers or {}, values or {})


# -- reading -------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    if not path.is_file():
        kind, problem = (InputError, "is no file") if path.exists() else (MissingFileError, "no such file")
        raise kind(f"{path}: {problem}; {_expected()}")
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def _expected() -> str:
    return f"expected one of {', '.join(SUFFIXES)}"


def _read(name: str, file: IO[bytes], keep_optimiser: bool) -> Checkpoint:
    """The checkpoint in a file, of the kind that its first bytes tell."""
    head = file.read(512)
    file.seek(0)
    readers: dict[str, Callable[[], Checkpoint]] = {
        "a PyTorch file": lambda: flat(name, _tree(name, read_pickles(file)), keep_optimiser, understood),
        "a safetensors file": lambda: _read_safetensors(name, file.read(), keep_optimiser),
        "a zip archive of arrays": lambda: _read_zip(name, file, keep_optimiser),
    }
    if head[:1] == b"\x80" and head[1:2] <= b"\x05":
        kind = "a PyTorch file"
    elif head[:2] == b"PK":
        kind = "a zip archive of arrays"
    elif head[8:9] == b"{":
        kind = "a safetensors file"
    else:
        raise InputError(f"{name}: {_what_else(head)}; {_expected()}")
    try:
        return readers[kind]()
    except InputError:
        raise
    except Exception as error:  # ValueError, BadZipFile, zlib.error, SafetensorError, KeyError of a bad pickle, ...
        text = printable(str(error))[:160] or type(error).__name__
        raise InputError(f"{name}: not readable as {kind} ({text})") from error


def _what_else(head: bytes) -> str:
    """What a file is that is no network, in words."""
    if not head:
        return "is empty"
    if head.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS and not the file itself (git lfs pull)"
    if head.startswith(MAGIC):
        return "is a .sinr file already"
    if head.startswith((b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"fLaC")):
        return "is a picture or a sound, for encode"
    if head[257:262] == b"ustar":
        return "is a tar archive"
    if head.startswith(b"\x89HDF"):
        return "is an HDF5 file"
    return "unknown kind of network file"


def _tree(name: str, tree: object) -> Mapping[Any, object]:
    tree = understood(tree)
    if isinstance(tree, Mapping):
        return tree
    if isinstance(tree, Stored):
        raise InputError(f"{name}: holds a single tensor; expected a dict of tensors")
    what = f"Python objects ({printable(tree.name)[:100]})" if isinstance(tree, Object) else f"a {type(tree).__name__}"
    raise InputError(f"{name}: holds {what}; expected a dict of tensors, as torch.save(net.state_dict(), path) gives")


def _read_zip(name: str, file: IO[bytes], keep_optimiser: bool) -> Checkpoint:
    with zipfile.ZipFile(file) as archive:
        if is_archive(archive.namelist()):
            return flat(name, _tree(name, read_archive(archive)), keep_optimiser, understood)
        unpacked = sum(info.file_size for info in archive.infolist())
        if unpacked > MOST_BYTES:
            raise InputError(f"{name}: unpacks to {unpacked:,} bytes; expected at most {MOST_BYTES:,}")
        return flat(name, _npz_arrays(archive), keep_optimiser)


def _npz_arrays(archive: zipfile.ZipFile) -> dict[str, object]:
    arrays: dict[str, object] = {}
    for info in archive.infolist():
        key = info.filename.removesuffix(".npy")
        if key == info.filename:
            arrays[key] = Unkept("a file that is no array")
            continue
        with archive.open(info) as member:
            try:
                arrays[key] = np.lib.format.read_array(member, allow_pickle=False)
            except ValueError as error:
                if "allow_pickle" not in str(error):
                    raise
                arrays[key] = Unkept("an array of Python objects")
    return arrays


def _read_safetensors(name: str, data: bytes, keep_optimiser: bool) -> Checkpoint:
    import safetensors

    views = dict(safetensors.deserialize(data))
    # `deserialize` gives no order of its own; its checks make the header safe to look at.
    order = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    metadata = order.pop("__metadata__", None) or {}
    state: dict[str, object] = {}
    for key in order:
        view = views[key]
        dtype = _SAFETENSORS_DTYPES.get(view["dtype"])
        if dtype is None:
            state[key] = Unkept(f"a tensor of {view['dtype']}, which the format lacks")
        else:
            state[key] = np.frombuffer(view["data"], np.dtype(dtype)).reshape(view["shape"])
    found = flat(name, state, keep_optimiser)
    if sum(len(key) + len(text) for key, text in metadata.items()) > _MOST_METADATA:
        skipped = (*found.skipped, f"__metadata__: more than {_MOST_METADATA:,} characters")
        return Checkpoint(found.state, skipped, found.optimiser, found.containers, found.values)
    return Checkpoint(found.state, found.skipped, found.optimiser, found.containers, found.values, metadata)


def _read_index(path: Path, keep_optimiser: bool) -> Checkpoint:
    """The tensors of all files that an index lists, as Hugging Face's libraries spread a large network."""
    with _opened(path) as file:
        text = file.read(_MOST_INDEX)
    try:
        where = json.loads(text)["weight_map"]
        names = list(dict.fromkeys(where.values()))
        if not names or len(names) > _MOST_SHARDS or not all(isinstance(name, str) for name in names):
            raise ValueError("no names of files")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: not readable as an index of a network's files, with a weight_map") from error
    state: dict[str, np.ndarray] = {}
    skipped: list[str] = []
    metadata: dict[str, str] = {}
    for name in names:
        if name != Path(name).name or name in ("", ".", ".."):  # nothing outside its own folder
            raise InputError(f"{path}: expected files beside the index, found {quoted(name)}")
        shard = read_checkpoint(path.with_name(name), keep_optimiser)
        state |= shard.state
        skipped += shard.skipped
        metadata |= shard.metadata
    found = flat(str(path), {name: state[name] for name in [*where, *state] if name in state}, keep_optimiser)
    missing = [name for name in where if name not in state]
    if missing and not skipped:
        raise InputError(f"{path}: lists {quoted(missing[0])}, which {where[missing[0]]} lacks")
    skipped.append(f"the distribution over {len(names)} files: all tensors are in one")
    return Checkpoint(found.state, tuple(skipped), found.optimiser, metadata=metadata)


def _torch(path: PathLike) -> ModuleType:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError(
            f"{path}: needs PyTorch: pip install 'sinr-codec[fit]'; .safetensors and .npz need none"
        ) from error
    return torch


# -- writing -------------------------------------------------------------------------------------------------------


def _write_safetensors(state: dict[str, np.ndarray], path: PathLike, metadata: Mapping[str, str]) -> None:
    from safetensors.numpy import save

    for name, array in state.items():
        if array.dtype.name not in _SAFETENSORS_DTYPES.values():
            raise InputError(
                f"{path}: tensor {quoted(name)} is {array.dtype}, which .safetensors lacks; use .npz or .pt"
            )
    # Not `save_file`, which would make a file of its own, that nobody else may read, and report a full disk otherwise.
    with atomic_write(path) as temporary:
        temporary.write_bytes(save(state, dict(metadata) or None))


def _write_npz(state: dict[str, np.ndarray], path: PathLike) -> None:
    for name, array in state.items():
        if array.dtype == ml_dtypes.bfloat16:
            raise InputError(f"{path}: tensor {quoted(name)} is bfloat16, which .npz lacks; use .safetensors or .pt")
        # Programs that unpack archives take the names of their members for paths.
        if name.startswith("/") or ".." in name.replace("\\", "/").split("/") or "\0" in name or ":" in name[1:2]:
            raise InputError(f"{path}: tensor {quoted(name)} has a name that leads elsewhere; use .safetensors or .pt")
    # Not np.savez: its own parameters would collide with a tensor named "file".
    with atomic_write(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in state.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _write_torch(
    state: dict[str, np.ndarray],
    path: PathLike,
    containers: Mapping[str, int],
    values: Mapping[str, Value],
) -> None:
    torch = _torch(path)

    def to_torch(array: np.ndarray) -> Any:
        if array.dtype == ml_dtypes.bfloat16:
            return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
        return torch.from_numpy(array.copy())

    tensors = {name: to_torch(array) for name, array in state.items()}
    data = io.BytesIO()  # PyTorch reports a full disk as an internal error
    torch.save(nested(tensors | dict(values), containers), data)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data.getbuffer())
